//! Each client says `ack`, waits for its answer, and says it again; or says it at a given pace.
//!
//! ```text
//!  client:  42<id>["ack",{…seq n…}]
//!  server:  43<id>[{…seq n…}]           then the same with n + 1
//! ```
//!
//! # Invariants
//!
//! - The ack of each event comes once, with its id and its payload.
//! - Acks of different events may overtake each other, as the protocol allows.

use std::time::Duration;

use super::Stage;
use super::open_loop::{OpenLoop, Pace};
use super::rates::{self, Rung};
use crate::clock::{Clock, nanoseconds};
use crate::error::BenchError;
use crate::figures::{Findings, Latencies};
use crate::fleet::{Fleet, Received};
use crate::payload::{Payload, SMALL, write_digits};
use crate::wire;

/// Ack ids have a fixed width: they run through the numbers of six digits.
const ACK_ID_LEN: usize = 6;
const FIRST_ACK_ID: u32 = 100_000;
const ACK_IDS: u32 = 900_000;

/// How long a single answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients of the open loop.
const OPEN_CLIENTS: usize = 100;

/// Events per second of all clients together.
const RATES: [u32; 10] = [
    2_000, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 120_000, 160_000, 240_000,
];

/// Keeps `at_once` events of each client under way.
pub(super) fn run(stage: Stage<'_>, clients: usize, at_once: u32) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    fleet.grow_to(clients)?;
    let mut talk = Talk::new(fleet, clock, clients);
    talk.closed_loop(plan.warm_up, at_once)?;
    talk.ledger.latencies = Latencies::new();

    let count_before = talk.ledger.count;
    let meter = target.meter(plan)?;
    talk.closed_loop(plan.steady, at_once)?;
    let mut figures = meter.finish(talk.ledger.count - count_before)?;
    talk.ledger.latencies.summarize(&mut figures);
    Ok(figures.into())
}

/// Says more and more, whether it is answered or not.
pub(super) fn run_rates(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    if plan.is_traced() {
        return Err(super::untraceable());
    }
    fleet.grow_to(OPEN_CLIENTS)?;
    let mut talk = Talk::new(fleet, clock, OPEN_CLIENTS);
    rates::climb(&RATES, |rate| {
        talk.run_for(plan.warm_up / 2, rate)?;
        talk.ledger.latencies = Latencies::new();
        talk.pace.forget();
        let count_before = talk.ledger.count;
        let meter = target.meter(plan)?;
        talk.run_for(plan.steady / 2, rate)?;
        let mut figures = meter.finish(talk.ledger.count - count_before)?;
        talk.pace.summarize(&mut figures);
        let p99 = talk.ledger.latencies.quantile(0.99);
        Ok(Rung { p99, figures })
    })
}

struct Talk {
    fleet: Fleet,
    pace: Pace,
    ledger: Ledger,
}

impl Talk {
    fn new(fleet: Fleet, clock: Clock, clients: usize) -> Self {
        Self {
            fleet,
            pace: Pace::new(clock),
            ledger: Ledger::new(0, clients),
        }
    }

    /// Keeps every client talking for `duration`, then waits for what is under way.
    fn closed_loop(&mut self, duration: Duration, at_once: u32) -> Result<(), BenchError> {
        let clock = self.pace.clock;
        let end = clock.now() + nanoseconds(duration);
        let mut last_answer = clock.now();
        loop {
            let now = clock.now();
            if now < end {
                for index in self.ledger.idle() {
                    let frames = self.ledger.say(index, clock.now(), at_once);
                    self.fleet.send(index, &frames)?;
                }
            } else if self.ledger.under_way == 0 {
                return Ok(());
            }
            let count_before = self.ledger.count;
            self.listen(Duration::from_millis(100))?;
            if self.ledger.count > count_before {
                last_answer = now;
            } else if now > last_answer + nanoseconds(ANSWER_TIMEOUT) {
                return Err(BenchError::overload(format_args!(
                    "no client got an ack for {ANSWER_TIMEOUT:?}"
                )));
            }
        }
    }
}

/// Clients talk in turn.
impl OpenLoop for Talk {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    fn act(&mut self, intended: u64) -> Result<(), BenchError> {
        let (index, frames) = self.ledger.say_next(intended);
        self.fleet.send(index, &frames)
    }

    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let ledger = &mut self.ledger;
        self.fleet.wait(timeout, &mut |index, received, now| {
            ledger.hear(index, &received, now)
        })
    }

    fn missing(&self) -> u64 {
        self.ledger.under_way
    }
}

/// Who was answered what so far.
pub(super) struct Ledger {
    /// The number of the first client of this ledger.
    first: usize,
    /// The sequence number that each client says next.
    next: Vec<u32>,
    /// The sequence numbers that each client has under way.
    open: Vec<Vec<u32>>,
    /// Clients with nothing under way.
    answered: Vec<usize>,
    /// Whose turn it is in an open loop.
    speaker: usize,
    pub(super) under_way: u64,
    pub(super) count: u64,
    pub(super) latencies: Latencies,
}

impl Ledger {
    pub(super) fn new(first: usize, clients: usize) -> Self {
        Self {
            first,
            next: vec![0; clients],
            open: vec![Vec::new(); clients],
            answered: (first..first + clients).collect(),
            speaker: 0,
            under_way: 0,
            count: 0,
            latencies: Latencies::new(),
        }
    }

    /// Who has nothing under way; they are not named again before they have been answered.
    fn idle(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.answered)
    }

    /// Frames with `count` events of the client `index`.
    fn say(&mut self, index: usize, at: u64, count: u32) -> Vec<u8> {
        let place = index - self.first;
        let mut frames = Vec::new();
        for _ in 0..count {
            let sequence = self.next[place];
            frames.extend_from_slice(&frame(Payload { at, sequence }));
            self.next[place] += 1;
            self.open[place].push(sequence);
            self.under_way += 1;
        }
        frames
    }

    /// The event of the client whose turn it is.
    pub(super) fn say_next(&mut self, at: u64) -> (usize, Vec<u8>) {
        let index = self.first + self.speaker;
        self.speaker = (self.speaker + 1) % self.next.len();
        (index, self.say(index, at, 1))
    }

    pub(super) fn hear(
        &mut self,
        index: usize,
        received: &Received<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        let payload = match received {
            Received::Ack(rest) => decode(rest),
            Received::Connect | Received::Event(_) | Received::Attachment(_) => None,
        };
        let open = index.checked_sub(self.first);
        let open = open.and_then(|place| self.open.get_mut(place));
        let answered = payload.zip(open).and_then(|(payload, open)| {
            let place = open.iter().position(|open| *open == payload.sequence)?;
            open.remove(place);
            Some((payload, open.is_empty()))
        });
        let (payload, is_idle) = answered.ok_or_else(|| {
            BenchError::void(format_args!(
                "client {index} got something else than an ack that was due"
            ))
        })?;
        if is_idle {
            self.answered.push(index);
        }
        self.under_way -= 1;
        self.count += 1;
        self.latencies.record(now.saturating_sub(payload.at));
        Ok(())
    }
}

fn frame(payload: Payload) -> Vec<u8> {
    let id = ack_id(payload.sequence);
    let text = [b"42", &id[..], br#"["ack","#, &payload.encode(SMALL), b"]"];
    wire::client_frame(&text.concat())
}

/// The payload of an ack, if its id is the one that belongs to it.
fn decode(rest: &[u8]) -> Option<Payload> {
    let (id, array) = rest.split_at_checked(ACK_ID_LEN)?;
    let text = array.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let payload = Payload::decode(text)?;
    (id == ack_id(payload.sequence)).then_some(payload)
}

fn ack_id(sequence: u32) -> [u8; ACK_ID_LEN] {
    let mut digits = [0; ACK_ID_LEN];
    write_digits(&mut digits, u64::from(FIRST_ACK_ID + sequence % ACK_IDS));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sequence: u32) -> Vec<u8> {
        let payload = Payload { at: 1, sequence }.encode(SMALL);
        [&ack_id(sequence)[..], b"[", &payload, b"]"].concat()
    }

    #[test]
    fn an_ack_with_the_id_of_another_is_not_read() {
        assert!(decode(&answer(7)).is_some());
        assert!(decode(&answer(7)[1..]).is_none());
        let other_id = [&ack_id(8)[..], &answer(7)[ACK_ID_LEN..]].concat();
        assert!(decode(&other_id).is_none());
    }

    #[test]
    fn ack_ids_keep_their_width() {
        assert_eq!(&ack_id(0), b"100000");
        assert_eq!(&ack_id(899_999), b"999999");
        assert_eq!(&ack_id(900_000), b"100000");
    }

    #[test]
    fn an_ack_that_comes_twice_or_unasked_voids_the_run() {
        let mut ledger = Ledger::new(5, 1);
        ledger.say(5, 1, 1);
        let answer = answer(0);
        assert!(ledger.hear(4, &Received::Ack(&answer), 2).is_err());
        assert!(ledger.hear(5, &Received::Ack(&answer), 2).is_ok());
        assert!(ledger.hear(5, &Received::Ack(&answer), 2).is_err());
    }

    #[test]
    fn a_client_may_speak_again_when_all_of_its_events_were_answered() {
        let mut ledger = Ledger::new(0, 1);
        assert_eq!(ledger.idle(), [0]);
        ledger.say(0, 1, 2);
        ledger.hear(0, &Received::Ack(&answer(1)), 2).unwrap();
        assert!(ledger.idle().is_empty());
        ledger.hear(0, &Received::Ack(&answer(0)), 2).unwrap();
        assert_eq!(ledger.idle(), [0]);
    }
}
