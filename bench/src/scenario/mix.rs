//! Everything at once, and how late the acks are that go on beside it.
//!
//! | clients | what they do |
//! |---|---|
//! | 5,000 | nothing |
//! | 1,000 in one room | hear 10 broadcasts a second |
//! | 100 | 20 events with ack a second each, in an open loop: these are timed |
//! | 100 a second | connect, and go |
//!
//! CPU counts per round trip, with everything else on its bill: it compares servers, nothing more.

use std::time::Duration;

use super::Stage;
use super::echo::Ledger;
use crate::clock::nanoseconds;
use crate::crowd::Crowd;
use crate::error::BenchError;
use crate::figures::{Findings, Latencies};
use crate::fleet::{Fleet, Received};
use crate::payload::{Payload, SMALL};
use crate::wire;

/// Clients 0 to 999 are group 0, so that a broadcast can be for them alone.
const LISTENERS: usize = 1_000;
const TALKERS: usize = 100;
const IDLE: usize = 5_000;

/// How often something happens.
const TICK: Duration = Duration::from_millis(1);
const TICKS_PER_BROADCAST: u64 = 100;
const TICKS_PER_VISITOR: u64 = 10;
const EVENTS_PER_TICK: u32 = 2;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    if plan.is_traced() {
        return Err(super::untraceable());
    }
    fleet.group_from(0, LISTENERS);
    fleet.grow_to(LISTENERS + TALKERS + IDLE)?;
    let mut mix = Mix {
        fleet,
        crowd: Crowd::new(&[LISTENERS], 1),
        ledger: Ledger::new(LISTENERS, TALKERS),
        said: 0,
        visitors: Vec::new(),
    };
    let run_for = |mix: &mut Mix, duration: Duration| -> Result<(), BenchError> {
        let start = clock.now() + nanoseconds(TICK);
        for tick in 0..(nanoseconds(duration) / nanoseconds(TICK)).max(1) {
            let intended = start + tick * nanoseconds(TICK);
            while clock.now() < intended {
                mix.listen(Duration::from_nanos(intended.saturating_sub(clock.now())))?;
            }
            mix.act(tick, intended)?;
        }
        let deadline = clock.now() + nanoseconds(DRAIN_TIMEOUT);
        while !mix.is_quiet() {
            if clock.now() > deadline {
                return Err(BenchError::overload("not everything came in time"));
            }
            mix.listen(Duration::from_millis(100))?;
        }
        Ok(())
    };
    run_for(&mut mix, plan.warm_up)?;
    mix.ledger.latencies = Latencies::new();
    let count_before = mix.ledger.count;
    let meter = target.meter(plan)?;
    run_for(&mut mix, plan.mixed)?;
    let mut figures = meter.finish(mix.ledger.count - count_before)?;
    mix.ledger.latencies.summarize(&mut figures);
    Ok(figures.into())
}

struct Mix {
    fleet: Fleet,
    crowd: Crowd,
    ledger: Ledger,
    /// How many broadcasts there were.
    said: u32,
    /// Who has come in, and goes.
    visitors: Vec<usize>,
}

impl Mix {
    fn act(&mut self, tick: u64, at: u64) -> Result<(), BenchError> {
        for _ in 0..EVENTS_PER_TICK {
            let (index, frames) = self.ledger.say_next(at);
            self.fleet.send(index, &frames)?;
        }
        if tick.is_multiple_of(TICKS_PER_BROADCAST) {
            let sequence = self.said;
            let payload = Payload { at, sequence }.encode(SMALL);
            let text = [br#"42["gcast",0,"#, &payload[..], b"]"].concat();
            // One of the idle says it, so that it costs no timed client anything.
            let speaker = LISTENERS + TALKERS;
            self.fleet.send(speaker, &wire::client_frame(&text))?;
            self.said += 1;
        }
        if tick.is_multiple_of(TICKS_PER_VISITOR) {
            self.fleet.open()?;
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        let expected = u64::from(self.said) * LISTENERS as u64;
        let residents = LISTENERS + TALKERS + IDLE;
        self.crowd.heard == expected && self.ledger.under_way == 0 && self.fleet.len() == residents
    }

    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let Self {
            fleet,
            crowd,
            ledger,
            visitors,
            ..
        } = self;
        fleet.wait(timeout, &mut |index, received, now| match received {
            Received::Connect => {
                visitors.push(index);
                Ok(())
            }
            Received::Ack(_) => ledger.hear(index, &received, now),
            Received::Event(_) | Received::Attachment(_) if index < LISTENERS => {
                crowd.hear(index, &received, now)
            }
            Received::Event(_) | Received::Attachment(_) => Err(BenchError::void(format_args!(
                "client {index} heard what was not for it"
            ))),
        })?;
        for index in visitors.drain(..) {
            fleet.close(index)?;
        }
        Ok(())
    }
}
