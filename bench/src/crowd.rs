//! Who heard what of the events that go to many, and how late.
//!
//! ```text
//!  sequence number = sender × SENDER_STRIDE + number of the event of that sender
//! ```
//!
//! # Invariants
//!
//! - Each client hears every event of each sender once and in order; if one comes late or twice,
//!   the run is void. What never comes was too much for the server, which is known at the end.
//! - Latency counts from the intended time, so a server that is late pays for it.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::BenchError;
use crate::figures::Latencies;
use crate::fleet::Received;
use crate::payload::Payload;

/// How many events one sender may say in a run.
pub(crate) const SENDER_STRIDE: u32 = 100_000_000;

/// The ledger of all who listen.
pub(crate) struct Crowd {
    /// How many senders a client hears.
    senders: usize,
    /// The number that each client hears next, sender by sender.
    next: Vec<u32>,
    /// What was passed over and may still come, by client and sender.
    missing: HashMap<usize, Vec<Range<u32>>>,
    /// How many events were heard.
    pub(crate) heard: u64,
    /// Latencies, by class of listener.
    pub(crate) latencies: Vec<Latencies>,
    /// The latency of the last who heard each event, by class of listener; of one sender only.
    pub(crate) last: Vec<Latencies>,
    /// The latest that each event was heard so far: its number, how many heard it, how late.
    latest: Vec<(u32, usize, u64)>,
    /// Where a class of listeners ends and the next begins.
    bounds: Vec<usize>,
}

impl Crowd {
    /// Listeners in classes that end before the numbers `bounds`, each of whom hears `senders`.
    pub(crate) fn new(bounds: &[usize], senders: usize) -> Self {
        let count = bounds.last().copied().unwrap_or(0);
        let mut crowd = Self {
            senders,
            next: vec![0; count * senders],
            missing: HashMap::new(),
            heard: 0,
            latencies: Vec::new(),
            last: Vec::new(),
            latest: Vec::new(),
            bounds: bounds.to_vec(),
        };
        crowd.forget_latencies();
        crowd
    }

    /// Starts the latencies anew.
    pub(crate) fn forget_latencies(&mut self) {
        self.latencies = self.bounds.iter().map(|_| Latencies::new()).collect();
        self.last = self.bounds.iter().map(|_| Latencies::new()).collect();
        self.latest = vec![(0, 0, 0); self.bounds.len()];
    }

    /// How many listeners there are.
    pub(crate) fn len(&self) -> usize {
        self.next.len() / self.senders
    }

    /// Notes one thing that a client received.
    pub(crate) fn hear(
        &mut self,
        index: usize,
        received: &Received<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        let payload = match received {
            Received::Event(array) => array
                .strip_prefix(br#"["m","#)
                .and_then(|rest| rest.strip_suffix(b"]"))
                .and_then(Payload::decode),
            Received::Attachment(data) => Payload::decode(data),
            Received::Connect | Received::Ack(_) => None,
        };
        let Some(payload) = payload else {
            return Err(BenchError::void(format_args!(
                "client {index} got something else than the event that was due"
            )));
        };
        let sender = (payload.sequence / SENDER_STRIDE) as usize;
        let number = payload.sequence % SENDER_STRIDE;
        let place = index * self.senders + sender;
        let next = match self.next.get_mut(place) {
            Some(next) if sender < self.senders => next,
            _ => {
                return Err(BenchError::void(format_args!(
                    "client {index} heard of sender {sender}, who is not there"
                )));
            }
        };
        if number > *next {
            // Some servers drop what they have no room for; then it is missing at the end.
            self.missing.entry(place).or_default().push(*next..number);
        } else if number < *next {
            let passed_over = self.missing.get(&place);
            let is_late = passed_over
                .is_some_and(|ranges| ranges.iter().any(|range| range.contains(&number)));
            let how = if is_late { "late" } else { "twice" };
            return Err(BenchError::void(format_args!(
                "client {index} heard number {number} {how}, where {next} was due"
            )));
        }
        *next = number + 1;
        self.heard += 1;
        let late = now.saturating_sub(payload.at);
        let class = self.bounds.partition_point(|bound| *bound <= index);
        self.latencies[class].record(late);
        if self.senders == 1 {
            self.note_last(class, number, late);
        }
        Ok(())
    }

    fn note_last(&mut self, class: usize, number: u32, late: u64) {
        let first = class.checked_sub(1).map_or(0, |before| self.bounds[before]);
        let size = self.bounds[class] - first;
        let (event, heard, latest) = &mut self.latest[class];
        // Events overlap under load; then only the newer one is followed.
        if *event != number {
            (*event, *heard, *latest) = (number, 0, 0);
        }
        *heard += 1;
        *latest = late.max(*latest);
        if *heard == size {
            self.last[class].record(*latest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::SMALL;

    fn event(sequence: u32) -> Vec<u8> {
        let payload = Payload { at: 1, sequence }.encode(SMALL);
        [br#"["m","#, &payload[..], b"]"].concat()
    }

    fn hear(crowd: &mut Crowd, client: usize, sequence: u32) -> Result<(), BenchError> {
        crowd.hear(client, &Received::Event(&event(sequence)), 2)
    }

    #[test]
    fn each_client_and_each_sender_is_counted_on_its_own() {
        let mut crowd = Crowd::new(&[2], 2);
        let of_second = SENDER_STRIDE;
        for (client, sequence) in [(0, 0), (0, 1), (0, of_second), (1, 0), (1, of_second)] {
            hear(&mut crowd, client, sequence).unwrap();
        }
        assert_eq!(crowd.heard, 5);
    }

    #[test]
    fn a_doubled_or_a_reordered_event_voids_the_run() {
        for sequences in [[0, 0], [1, 0], [0, SENDER_STRIDE]] {
            let mut crowd = Crowd::new(&[2], 1);
            let voids = sequences
                .iter()
                .any(|sequence| hear(&mut crowd, 0, *sequence).is_err());
            assert!(voids, "{sequences:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_missing_and_what_comes_late_or_twice_is_disorder() {
        let mut crowd = Crowd::new(&[2], 1);
        hear(&mut crowd, 0, 0).unwrap();
        hear(&mut crowd, 0, 2).unwrap();
        hear(&mut crowd, 0, 3).unwrap();
        assert_eq!(crowd.heard, 3);
        for (number, how) in [(1, "1 late"), (0, "0 twice"), (3, "3 twice")] {
            match hear(&mut crowd, 0, number) {
                Err(BenchError::Void(reason)) => assert!(reason.contains(how), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(crowd.heard, 3);
    }

    #[test]
    fn a_payload_that_was_changed_voids_the_run() {
        let mut event = event(0);
        event[40] ^= 1;
        let mut crowd = Crowd::new(&[2], 1);
        assert!(crowd.hear(0, &Received::Event(&event), 2).is_err());
    }

    #[test]
    fn the_last_listener_is_who_hears_last() {
        let mut crowd = Crowd::new(&[2], 1);
        hear(&mut crowd, 0, 0).unwrap();
        crowd
            .hear(1, &Received::Event(&event(0)), 1_000_001)
            .unwrap();
        assert!((crowd.last[0].quantile(1.0) - 1.0).abs() < 0.1);
    }
}
