//! One extra client says `bcast`, and everyone in the room hears `m`.
//!
//! ```text
//!  trigger:  42["bcast",{…seq n…}]   at t0 + k × interval, open loop
//!  server:   42["m",{…seq n…}]       to all 1,001, the trigger included
//! ```
//!
//! # Invariants
//!
//! - Each client hears each sequence number once and in order.
//! - Latency counts from the intended time, so a server that is late pays for it.

use std::time::Duration;

use super::{Plan, Target};
use crate::clock::{Clock, nanoseconds};
use crate::error::BenchError;
use crate::figures::{Figures, Latencies};
use crate::fleet::{Fleet, Received};
use crate::meter::Instrument;
use crate::payload::Payload;
use crate::wire;

/// How many clients there are beside the one that triggers.
const CLIENTS: usize = 1_000;

/// How long the last deliveries may take after the last broadcast.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How many broadcasts, or bursts of them, are traced.
const TRACED_STEPS: u32 = 5;

/// The rhythm of the broadcasts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    interval: Duration,
    burst: u32,
}

/// 50 a second.
pub(super) const SINGLE: Rhythm = Rhythm {
    interval: Duration::from_millis(20),
    burst: 1,
};

/// 8 back to back, 10 times a second.
pub(super) const BURSTS: Rhythm = Rhythm {
    interval: Duration::from_millis(100),
    burst: 8,
};

pub(super) fn run(
    fleet: Fleet,
    clock: Clock,
    target: &Target,
    plan: &Plan,
    rhythm: Rhythm,
) -> Result<Figures, BenchError> {
    let mut room = Room::new(fleet, clock)?;
    room.broadcast_for(plan.warm_up, rhythm)?;
    room.ledger.latencies = Latencies::new();

    let heard_before = room.ledger.heard;
    let meter = target.meter(plan)?;
    match plan.instrument {
        Instrument::Cpu => room.broadcast_for(plan.steady, rhythm)?,
        // A traced server cannot keep any rate worth naming: one broadcast after the other.
        Instrument::Syscalls => room.broadcast_stepwise(TRACED_STEPS, rhythm.burst)?,
    }
    let mut figures = meter.finish(room.ledger.heard - heard_before)?;
    room.ledger.latencies.summarize(&mut figures);
    Ok(figures)
}

struct Room {
    fleet: Fleet,
    clock: Clock,
    said: u32,
    ledger: Ledger,
}

/// Who heard what so far.
struct Ledger {
    /// The sequence number that each client hears next.
    next: Vec<u32>,
    heard: u64,
    latencies: Latencies,
}

impl Room {
    fn new(mut fleet: Fleet, clock: Clock) -> Result<Self, BenchError> {
        fleet.grow_to(CLIENTS + 1)?;
        let ledger = Ledger {
            next: vec![0; fleet.len()],
            heard: 0,
            latencies: Latencies::new(),
        };
        Ok(Self {
            fleet,
            clock,
            said: 0,
            ledger,
        })
    }

    /// Broadcasts for about `duration`, and waits until everyone has heard everything.
    fn broadcast_for(&mut self, duration: Duration, rhythm: Rhythm) -> Result<(), BenchError> {
        let interval = nanoseconds(rhythm.interval);
        let times = (nanoseconds(duration) / interval).max(1);
        let start = self.clock.now() + interval;
        for time in 0..times {
            let intended = start + time * interval;
            self.listen_until(intended)?;
            self.say(intended, rhythm.burst)?;
        }
        self.drain()
    }

    /// Broadcasts `steps` times, each time after everyone has heard everything.
    fn broadcast_stepwise(&mut self, steps: u32, burst: u32) -> Result<(), BenchError> {
        for _ in 0..steps {
            self.say(self.clock.now(), burst)?;
            self.drain()?;
        }
        Ok(())
    }

    fn listen_until(&mut self, time: u64) -> Result<(), BenchError> {
        loop {
            let now = self.clock.now();
            if now >= time {
                return Ok(());
            }
            self.listen(Duration::from_nanos(time - now))?;
        }
    }

    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let ledger = &mut self.ledger;
        self.fleet.wait(timeout, &mut |index, received, now| {
            ledger.hear(index, &received, now)
        })
    }

    fn say(&mut self, at: u64, burst: u32) -> Result<(), BenchError> {
        let mut frames = Vec::new();
        for _ in 0..burst {
            let sequence = self.said;
            let text = [
                br#"42["bcast","#,
                &Payload { at, sequence }.encode()[..],
                b"]",
            ];
            frames.extend_from_slice(&wire::client_frame(&text.concat()));
            self.said += 1;
        }
        self.fleet.send(CLIENTS, &frames)
    }

    fn drain(&mut self) -> Result<(), BenchError> {
        let expected = u64::from(self.said) * self.ledger.next.len() as u64;
        let deadline = self.clock.now() + nanoseconds(DRAIN_TIMEOUT);
        while self.ledger.heard < expected {
            if self.clock.now() > deadline {
                let missing = expected - self.ledger.heard;
                return Err(BenchError::void(format_args!(
                    "{missing} of {expected} deliveries missing after {DRAIN_TIMEOUT:?}"
                )));
            }
            self.listen(Duration::from_millis(100))?;
        }
        Ok(())
    }
}

impl Ledger {
    fn hear(&mut self, index: usize, received: &Received<'_>, now: u64) -> Result<(), BenchError> {
        let Received::Event(array) = received else {
            return Err(BenchError::void(format_args!(
                "client {index}: {received:?}"
            )));
        };
        let payload = array
            .strip_prefix(br#"["m","#)
            .and_then(|rest| rest.strip_suffix(b"]"))
            .and_then(Payload::decode)
            .ok_or_else(|| BenchError::void(format_args!("client {index}: another event")))?;
        let next = &mut self.next[index];
        if payload.sequence != *next {
            return Err(BenchError::void(format_args!(
                "client {index} heard number {} where {next} was due",
                payload.sequence
            )));
        }
        *next += 1;
        self.heard += 1;
        self.latencies.record(now.saturating_sub(payload.at));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger {
            next: vec![0; 2],
            heard: 0,
            latencies: Latencies::new(),
        }
    }

    fn event(sequence: u32) -> Vec<u8> {
        let payload = Payload { at: 1, sequence }.encode();
        [br#"["m","#, &payload[..], b"]"].concat()
    }

    #[test]
    fn each_client_is_counted_on_its_own() {
        let mut ledger = ledger();
        for (client, sequence) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let event = event(sequence);
            ledger.hear(client, &Received::Event(&event), 2).unwrap();
        }
        assert_eq!(ledger.heard, 4);
    }

    #[test]
    fn a_lost_a_doubled_or_a_reordered_event_voids_the_run() {
        for sequences in [[0, 2], [0, 0], [1, 0]] {
            let mut ledger = ledger();
            let voids = sequences.iter().any(|sequence| {
                let event = event(*sequence);
                ledger.hear(0, &Received::Event(&event), 2).is_err()
            });
            assert!(voids, "{sequences:?}");
        }
    }

    #[test]
    fn a_payload_that_was_changed_voids_the_run() {
        let mut event = event(0);
        event[40] ^= 1;
        assert!(ledger().hear(0, &Received::Event(&event), 2).is_err());
    }
}
