//! Numbered messages: which were lost, and whether that was told.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use portcullis::adapter::BusGap;

use super::gaps::Gaps;
use super::{Client, Node};

/// Between when and when each message was handed over; its number is its place.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    handed_over: Vec<(SystemTime, SystemTime)>,
}

impl Ledger {
    /// Emits the next message on `node`.
    pub(crate) fn emit(&mut self, node: &Node) {
        self.emit_with(node, "");
    }

    /// Emits the next message with something behind its number.
    pub(crate) fn emit_with(&mut self, node: &Node, ballast: &str) {
        let number = self.handed_over.len();
        let before = SystemTime::now();
        node.emitter.emit("numbered", &(number, ballast)).unwrap();
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

    /// Which messages `client` was not sent, once `node` reaches it again.
    async fn lost(&self, node: &Node, client: &mut Client) -> Vec<usize> {
        let mut heard = HashSet::new();
        let started = Instant::now();
        let mut end_at = started;
        loop {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "delivery is gone"
            );
            if end_at <= Instant::now() {
                node.emitter.emit("end", &()).unwrap();
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
            if let Some(rest) = packet.strip_prefix(r#"42["numbered","#) {
                let number = rest.split(',').next().unwrap();
                heard.insert(number.parse::<usize>().unwrap());
            }
        }
        let numbers = 0..self.handed_over.len();
        numbers.filter(|number| !heard.contains(number)).collect()
    }

    /// Asserts that each message that `client` was not sent lies within a gap that somebody was
    /// told of, and says how many those are.
    pub(crate) async fn assert_losses_are_told(
        &self,
        node: &Node,
        client: &mut Client,
        gaps: &[&Gaps],
    ) -> usize {
        let lost = self.lost(node, client).await;
        let gaps: Vec<BusGap> = gaps.iter().flat_map(|gaps| gaps.all()).collect();
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
