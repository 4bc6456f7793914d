//! Each client says `ack`, waits for its answer, and says it again.
//!
//! ```text
//!  client:  42<id>["ack",{…seq n…}]
//!  server:  43<id>[{…seq n…}]           then the same with n + 1
//! ```
//!
//! # Invariants
//!
//! - One event per client is under way; its ack comes once, with its id and its payload.

use std::time::Duration;

use super::{Plan, Target};
use crate::clock::{Clock, nanoseconds};
use crate::error::BenchError;
use crate::figures::{Figures, Latencies};
use crate::fleet::{Fleet, Received};
use crate::payload::{PAYLOAD_LEN, Payload, write_digits};
use crate::wire;

const CLIENTS: usize = 64;

/// Ack ids have a fixed width: they run through the numbers of six digits.
const ACK_ID_LEN: usize = 6;
const FIRST_ACK_ID: u32 = 100_000;
const ACK_IDS: u32 = 900_000;

/// How long a single answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(
    mut fleet: Fleet,
    clock: Clock,
    target: &Target,
    plan: &Plan,
) -> Result<Figures, BenchError> {
    fleet.grow_to(CLIENTS)?;
    let mut ledger = Ledger {
        sequences: vec![0; CLIENTS],
        answered: (0..CLIENTS).collect(),
        count: 0,
        latencies: Latencies::new(),
    };
    talk_for(plan.warm_up, &mut fleet, clock, &mut ledger)?;
    ledger.latencies = Latencies::new();

    let count_before = ledger.count;
    let meter = target.meter(plan)?;
    talk_for(plan.steady, &mut fleet, clock, &mut ledger)?;
    let mut figures = meter.finish(ledger.count - count_before)?;
    ledger.latencies.summarize(&mut figures);
    Ok(figures)
}

/// Keeps every client talking for `duration`. Up to one event per client is left under way.
fn talk_for(
    duration: Duration,
    fleet: &mut Fleet,
    clock: Clock,
    ledger: &mut Ledger,
) -> Result<(), BenchError> {
    let end = clock.now() + nanoseconds(duration);
    let mut last_answer = clock.now();
    loop {
        for index in ledger.answered.drain(..) {
            let sequence = ledger.sequences[index];
            let at = clock.now();
            fleet.send(index, &frame(Payload { at, sequence }))?;
        }
        fleet.wait(Duration::from_millis(100), &mut |index, received, now| {
            ledger.hear(index, &received, now)
        })?;
        let now = clock.now();
        if now >= end {
            return Ok(());
        }
        if !ledger.answered.is_empty() {
            last_answer = now;
        } else if now > last_answer + nanoseconds(ANSWER_TIMEOUT) {
            return Err(BenchError::void(format_args!(
                "no client got an ack for {ANSWER_TIMEOUT:?}"
            )));
        }
    }
}

/// Who was answered what so far.
struct Ledger {
    /// The sequence number that each client says next, or has under way.
    sequences: Vec<u32>,
    /// Clients with nothing under way.
    answered: Vec<usize>,
    count: u64,
    latencies: Latencies,
}

impl Ledger {
    fn hear(&mut self, index: usize, received: &Received<'_>, now: u64) -> Result<(), BenchError> {
        let sequence = self.sequences[index];
        let payload = match received {
            Received::Ack(rest) => decode(rest, sequence),
            Received::Connect | Received::Event(_) => None,
        };
        let payload = payload.ok_or_else(|| {
            BenchError::void(format_args!(
                "client {index} got something else where the ack of number {sequence} was due"
            ))
        })?;
        self.sequences[index] += 1;
        self.answered.push(index);
        self.count += 1;
        self.latencies.record(now.saturating_sub(payload.at));
        Ok(())
    }
}

fn frame(payload: Payload) -> Vec<u8> {
    let id = ack_id(payload.sequence);
    let text = [b"42", &id[..], br#"["ack","#, &payload.encode(), b"]"];
    wire::client_frame(&text.concat())
}

/// The payload of the ack for `sequence`, if it is that.
fn decode(rest: &[u8], sequence: u32) -> Option<Payload> {
    let (id, array) = rest.split_at_checked(ACK_ID_LEN)?;
    let array: &[u8; PAYLOAD_LEN + 2] = array.try_into().ok()?;
    let [b'[', text @ .., b']'] = array else {
        return None;
    };
    let payload = Payload::decode(text)?;
    (id == ack_id(sequence) && payload.sequence == sequence).then_some(payload)
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
        let payload = Payload { at: 1, sequence }.encode();
        [&ack_id(sequence)[..], b"[", &payload, b"]"].concat()
    }

    #[test]
    fn only_the_ack_that_is_due_is_read() {
        assert!(decode(&answer(7), 7).is_some());
        assert!(decode(&answer(6), 7).is_none());
        assert!(decode(&answer(7)[1..], 7).is_none());
        let other_id = [&ack_id(8)[..], &answer(7)[ACK_ID_LEN..]].concat();
        assert!(decode(&other_id, 7).is_none());
    }

    #[test]
    fn ack_ids_keep_their_width() {
        assert_eq!(&ack_id(0), b"100000");
        assert_eq!(&ack_id(899_999), b"999999");
        assert_eq!(&ack_id(900_000), b"100000");
    }

    #[test]
    fn an_ack_that_comes_twice_voids_the_run() {
        let mut ledger = Ledger {
            sequences: vec![0],
            answered: Vec::new(),
            count: 0,
            latencies: Latencies::new(),
        };
        let answer = answer(0);
        assert!(ledger.hear(0, &Received::Ack(&answer), 2).is_ok());
        assert!(ledger.hear(0, &Received::Ack(&answer), 2).is_err());
    }
}
