//! Many small rooms: each client says something to the ten of its room, in turn.
//!
//! ```text
//!  client n:  42["gcast",<room>,{…seq n…}]      every tick, as many clients as the rate asks for
//!  server:    42["m",{…seq n…}]                 to the ten of the room
//! ```
//!
//! CPU counts at the first rate, which every server keeps; the others are for the curve.

use std::time::Duration;

use super::Stage;
use super::rates::{self, Rung};
use crate::clock::{Clock, nanoseconds};
use crate::crowd::{Crowd, SENDER_STRIDE};
use crate::error::BenchError;
use crate::figures::Findings;
use crate::fleet::Fleet;
use crate::payload::{Payload, SMALL};
use crate::wire;

const CLIENTS: usize = 2_000;
const ROOM_LEN: usize = 10;

/// Deliveries per second; ten times as many as are said.
const RATES: [u32; 9] = [
    20_000, 40_000, 60_000, 80_000, 120_000, 160_000, 200_000, 240_000, 320_000,
];

/// How often clients speak up.
const TICK: Duration = Duration::from_millis(2);

const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    fleet.group_from(0, ROOM_LEN);
    fleet.grow_to(CLIENTS)?;
    let mut rooms = Rooms {
        fleet,
        clock,
        said: vec![0; CLIENTS],
        speaker: 0,
        total: 0,
        crowd: Crowd::new(&[CLIENTS], ROOM_LEN),
    };
    if plan.is_traced() {
        let meter = target.meter(plan)?;
        for _ in 0..CLIENTS / ROOM_LEN {
            rooms.speak(ROOM_LEN, clock.now())?;
            rooms.drain()?;
        }
        return Ok(meter.finish(rooms.crowd.heard)?.into());
    }
    rates::climb(&RATES, |rate| {
        rooms.talk_for(plan.warm_up / 2, rate)?;
        rooms.crowd.forget_latencies();
        let heard_before = rooms.crowd.heard;
        let meter = target.meter(plan)?;
        rooms.talk_for(plan.steady / 2, rate)?;
        let mut figures = meter.finish(rooms.crowd.heard - heard_before)?;
        rooms.crowd.latencies[0].summarize(&mut figures);
        let p99 = rooms.crowd.latencies[0].quantile(0.99);
        Ok(Rung { p99, figures })
    })
}

struct Rooms {
    fleet: Fleet,
    clock: Clock,
    /// How many events each client has said.
    said: Vec<u32>,
    /// Whose turn it is.
    speaker: usize,
    total: u64,
    crowd: Crowd,
}

impl Rooms {
    /// Talks for `duration`, so that there are `rate` deliveries a second.
    fn talk_for(&mut self, duration: Duration, rate: u32) -> Result<(), BenchError> {
        let tick = nanoseconds(TICK);
        let per_tick = rate as usize / ROOM_LEN * TICK.as_millis() as usize / 1_000;
        let start = self.clock.now() + tick;
        for time in 0..(nanoseconds(duration) / tick).max(1) {
            let intended = start + time * tick;
            while self.clock.now() < intended {
                let left = intended.saturating_sub(self.clock.now());
                self.listen(Duration::from_nanos(left))?;
            }
            self.speak(per_tick, intended)?;
        }
        self.drain()
    }

    fn speak(&mut self, count: usize, at: u64) -> Result<(), BenchError> {
        for _ in 0..count {
            let client = self.speaker;
            self.speaker = (client + 1) % CLIENTS;
            let (room, place) = (client / ROOM_LEN, client % ROOM_LEN);
            let sequence = place as u32 * SENDER_STRIDE + self.said[client];
            let payload = Payload { at, sequence }.encode(SMALL);
            let head = format!(r#"42["gcast",{room},"#);
            let text = [head.as_bytes(), &payload, b"]"].concat();
            self.fleet.send(client, &wire::client_frame(&text))?;
            self.said[client] += 1;
            self.total += 1;
        }
        Ok(())
    }

    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let crowd = &mut self.crowd;
        self.fleet.wait(timeout, &mut |index, received, now| {
            crowd.hear(index, &received, now)
        })
    }

    fn drain(&mut self) -> Result<(), BenchError> {
        let expected = self.total * ROOM_LEN as u64;
        let deadline = self.clock.now() + nanoseconds(DRAIN_TIMEOUT);
        while self.crowd.heard < expected {
            if self.clock.now() > deadline {
                let missing = expected - self.crowd.heard;
                return Err(BenchError::overload(format_args!(
                    "{missing} of {expected} deliveries missing after {DRAIN_TIMEOUT:?}"
                )));
            }
            self.listen(Duration::from_millis(100))?;
        }
        Ok(())
    }
}
