//! Pieces of the session for counting their instructions (`crate::micro`).

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engineio::{SessionId, Timing};

use super::connection::{Connection, Limits};
use super::engine::CoreOptions;
pub(crate) use super::shard::Shard;
use super::websocket::{Incoming, Reader};
use super::wheel::{Visit, Wheel};

/// The task of a session, as it is kept for its life.
#[cfg(test)]
pub(crate) const fn size_of_session() -> usize {
    size_of::<super::Session>()
}

/// What a session shares with others.
#[cfg(test)]
pub(crate) const fn size_of_connection() -> usize {
    size_of::<Connection>()
}

/// What the wheel keeps of a heartbeat, or of an alarm.
#[cfg(test)]
pub(crate) const fn size_of_visit() -> usize {
    size_of::<Visit>()
}

/// A shard whose tasks do not run.
pub(crate) fn shard(timing: Timing) -> Arc<Shard> {
    let limits = Limits {
        timing,
        outbox: CoreOptions::usual().outbox,
    };
    let wheel = Wheel::new(Duration::from_millis(125), Instant::now());
    Arc::new(Shard::new(limits, wheel))
}

/// A connection whose outbox nobody flushes.
pub(crate) fn connection(id: SessionId, shard: &Arc<Shard>) -> Arc<Connection> {
    let connection = Connection::new(id, Arc::clone(shard), None, None, Instant::now());
    Arc::new(connection)
}

/// Reads a masked frame with `text` from the bytes of a connection.
pub(crate) fn read_frame(rounds: usize, text: &str) {
    let len = u8::try_from(text.len()).expect("a short text");
    let mut frame = vec![0x81, 0x80 | len, 1, 2, 3, 4];
    let key = [1, 2, 3, 4].iter().cycle();
    frame.extend(text.bytes().zip(key).map(|(byte, key)| byte ^ key));
    let mut reader = Reader::new(1_000_000);
    let mut scratch = vec![0; frame.len()];
    for _ in 0..rounds {
        scratch.copy_from_slice(&frame);
        let read = reader.feed(&mut scratch, &mut Vec::new(), |incoming| {
            assert!(
                matches!(black_box(incoming), Incoming::Text(seen) if seen.len() == text.len())
            );
            ControlFlow::Continue(())
        });
        assert_eq!(read, Ok(()));
    }
}

/// Turns a wheel with 18,000 entries once around a ping interval, tick by tick.
pub(crate) fn wheel_18000(rounds: usize, origin: Instant) {
    const TICK: Duration = Duration::from_millis(125);
    const TICKS: u32 = 200;
    let mut wheel = Wheel::new(TICK, origin);
    for slot in 0..18_000 {
        let at = origin + TICK * (slot % TICKS);
        wheel.insert(
            Visit {
                slot,
                generation: 0,
                alarm: 0,
            },
            at,
        );
    }
    let mut now = origin;
    for _ in 0..rounds {
        for _ in 0..TICKS {
            for visit in wheel.advance(now) {
                wheel.insert(black_box(visit), now + TICK * TICKS);
            }
            now += TICK;
        }
    }
}
