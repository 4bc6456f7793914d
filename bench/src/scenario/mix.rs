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
use super::open_loop::{OpenLoop, Pace};
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

/// Of all talkers together, events a second. The rest happens with each so many of them.
const EVENTS_PER_SECOND: u32 = 2_000;
const EVENTS_PER_BROADCAST: u64 = 200;
const EVENTS_PER_VISITOR: u64 = 20;

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
        pace: Pace::new(clock),
        events: 0,
        said: 0,
        visitors: Vec::new(),
    };
    mix.run_for(plan.warm_up, EVENTS_PER_SECOND)?;
    mix.ledger.latencies = Latencies::new();
    mix.pace.forget();
    let count_before = mix.ledger.count;
    let meter = target.meter(plan)?;
    mix.run_for(plan.mixed, EVENTS_PER_SECOND)?;
    let mut figures = meter.finish(mix.ledger.count - count_before)?;
    mix.ledger.latencies.summarize(&mut figures);
    mix.pace.summarize(&mut figures);
    Ok(figures.into())
}

struct Mix {
    fleet: Fleet,
    crowd: Crowd,
    ledger: Ledger,
    pace: Pace,
    /// How many events there were.
    events: u64,
    /// How many broadcasts there were.
    said: u32,
    /// Who has come in, and goes.
    visitors: Vec<usize>,
}

impl Mix {
    /// One of the idle says it, so that it costs no timed client anything.
    fn broadcast(&mut self, at: u64) -> Result<(), BenchError> {
        let sequence = self.said;
        let payload = Payload { at, sequence }.encode(SMALL);
        let text = [br#"42["gcast",0,"#, &payload[..], b"]"].concat();
        self.said += 1;
        let speaker = LISTENERS + TALKERS;
        self.fleet.send(speaker, &wire::client_frame(&text))
    }
}

impl OpenLoop for Mix {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    fn act(&mut self, intended: u64) -> Result<(), BenchError> {
        let (index, frames) = self.ledger.say_next(intended);
        self.fleet.send(index, &frames)?;
        if self.events.is_multiple_of(EVENTS_PER_BROADCAST) {
            self.broadcast(intended)?;
        }
        if self.events.is_multiple_of(EVENTS_PER_VISITOR) {
            self.fleet.open()?;
        }
        self.events += 1;
        Ok(())
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

    /// Visitors have to go, too.
    fn missing(&self) -> u64 {
        let unheard = u64::from(self.said) * LISTENERS as u64 - self.crowd.heard;
        let residents = LISTENERS + TALKERS + IDLE;
        let visitors = self.fleet.len().saturating_sub(residents) as u64;
        unheard + self.ledger.under_way + visitors
    }
}
