//! Numbered messages: which were lost, whether that was told, and that none comes twice.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use portcullis::adapter::{BusGap, GapCause};
use serde::Serialize;

use super::gaps::Gaps;
use super::{Client, Node};

/// How long delivery may take to be back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between when and when each message was handed over; its number is its place.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Who is to hear them; everyone if there is none.
    room: Option<&'static str>,
    handed_over: Vec<(SystemTime, SystemTime)>,
    /// The numbers that came, as they came.
    heard: Vec<usize>,
}

impl Ledger {
    /// A ledger of messages to one room.
    pub(crate) fn of_room(room: &'static str) -> Self {
        Self {
            room: Some(room),
            ..Self::default()
        }
    }

    fn send(&self, node: &Node, event: &str, args: &impl Serialize) {
        match self.room {
            Some(room) => node.emitter.to(room).emit(event, args),
            None => node.emitter.emit(event, args),
        }
        .unwrap();
    }

    /// Emits the next message on `node`.
    pub(crate) fn emit(&mut self, node: &Node) {
        self.emit_with(node, "");
    }

    /// Emits the next message with something behind its number.
    pub(crate) fn emit_with(&mut self, node: &Node, ballast: &str) {
        let number = self.handed_over.len();
        let before = SystemTime::now();
        self.send(node, "numbered", &(number, ballast));
        self.handed_over.push((before, SystemTime::now()));
    }

    /// Emits messages, so far apart, for some time.
    pub(crate) async fn emit_for(&mut self, node: &Node, duration: Duration, pause: Duration) {
        let started = Instant::now();
        while started.elapsed() < duration {
            self.emit(node);
            tokio::time::sleep(pause).await;
        }
    }

    /// Emits messages until `client` is sent one of them; says how long that took.
    pub(crate) async fn emit_until_heard(&mut self, node: &Node, client: &mut Client) -> Duration {
        let started = Instant::now();
        let first = self.handed_over.len();
        loop {
            self.emit(node);
            let soon = Duration::from_millis(20);
            if let Ok(packet) = tokio::time::timeout(soon, client.recv()).await {
                self.heard
                    .extend(number_of(&packet.expect("the connection lives")));
            }
            if self.heard.last().is_some_and(|number| *number >= first) {
                return started.elapsed();
            }
            assert!(started.elapsed() < PATIENCE, "delivery is gone");
        }
    }

    /// Which messages `client` was not sent, once `node` reaches it again.
    async fn lost(&mut self, node: &Node, client: &mut Client) -> Vec<usize> {
        let started = Instant::now();
        let mut end_at = started;
        loop {
            assert!(started.elapsed() < PATIENCE, "delivery is gone");
            if end_at <= Instant::now() {
                self.send(node, "end", &());
                end_at = Instant::now() + Duration::from_millis(100);
            }
            let soon = Duration::from_millis(100);
            let Ok(packet) = tokio::time::timeout(soon, client.recv()).await else {
                continue;
            };
            let packet = packet.expect("the connection lives");
            if packet == r#"42["end"]"# {
                break;
            }
            self.heard.extend(number_of(&packet));
        }
        let heard = HashSet::<usize>::from_iter(self.heard.iter().copied());
        assert_eq!(heard.len(), self.heard.len(), "doubled: {:?}", self.heard);
        let numbers = 0..self.handed_over.len();
        numbers.filter(|number| !heard.contains(number)).collect()
    }

    /// Asserts that `client` was sent each message at most once, in order unless a channel moved,
    /// and that each that it was not sent lies within a gap that somebody was told of. Says how
    /// many those are.
    pub(crate) async fn assert_losses_are_told(
        &mut self,
        node: &Node,
        client: &mut Client,
        gaps: &[&Gaps],
    ) -> usize {
        let lost = self.lost(node, client).await;
        let gaps: Vec<BusGap> = gaps.iter().flat_map(|gaps| gaps.all()).collect();
        let has_moved = gaps.iter().any(|gap| gap.cause == GapCause::Moved);
        let is_in_order = self.heard.is_sorted();
        assert!(is_in_order || has_moved, "{:?}", self.heard);
        for number in &lost {
            let (before, after) = self.handed_over[*number];
            let is_told = gaps
                .iter()
                .any(|gap| gap.since <= after && before <= gap.until);
            let total = self.handed_over.len();
            assert!(
                is_told,
                "{number} of {total}, {before:?}, is in none of {gaps:?}"
            );
        }
        lost.len()
    }
}

fn number_of(packet: &str) -> Option<usize> {
    let rest = packet.strip_prefix(r#"42["numbered","#)?;
    Some(rest.split(',').next()?.parse().unwrap())
}
