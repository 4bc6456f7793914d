//! What a process says of itself, and whether a secret is in it.
//!
//! ```text
//!  tracing, at TRACE ─┐
//!  metrics ───────────┼─▶ Witness ◀── what the clients of this kit sent and learned
//!                     │      │
//!                     │      └─▶ leaks(): the secrets that were said
//!                     └▶ count(): how often something was counted
//! ```
//!
//! # Invariants
//!
//! - There is one in a process, because there is one log. Tests that run side by side share it.
//! - It keeps a bounded log, and a bounded number of secrets.
//! - No part of the log is searched for the same secret twice: many tests may run in one process.
//!
//! # Not here
//!
//! Judging what is a secret, beyond what the wire says: session ids, CONNECT payloads, events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, SharedString, Unit};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// As much of the log is kept.
const MAX_LOG_BYTES: usize = 64 << 20;

/// So many secrets are remembered.
const MAX_SECRETS: usize = 4096;

/// What is shorter may well be in a log by chance.
const MIN_SECRET_BYTES: usize = 12;

static WITNESS: OnceLock<Witness> = OnceLock::new();

/// Hears all logs and metrics of this process from its first use on.
///
/// ```
/// use portcullis_testing::Witness;
///
/// let witness = Witness::of_process();
/// witness.learn("a token that must not be said");
/// assert!(witness.leaks().is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct Witness(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    log: Mutex<String>,
    secrets: Mutex<Secrets>,
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

/// What must not be said, and how far that is known.
#[derive(Debug, Default)]
struct Secrets {
    /// Not in the log up to `searched`.
    known: BTreeSet<String>,
    /// Not searched for yet.
    fresh: BTreeSet<String>,
    /// Found in the log.
    leaked: BTreeSet<String>,
    searched: usize,
}

impl Secrets {
    fn learn(&mut self, secret: &str) {
        let is_known = self.known.contains(secret) || self.leaked.contains(secret);
        let count = self.known.len() + self.fresh.len() + self.leaked.len();
        if !is_known && count < MAX_SECRETS {
            self.fresh.insert(secret.to_owned());
        }
    }

    /// Looks for each secret where it was not looked for yet.
    fn search(&mut self, log: &str) {
        let searched = self.searched;
        let mut leaked = std::mem::take(&mut self.leaked);
        let mut is_clean = |secret: &String, text: &str| {
            let is_leaked = text.contains(secret.as_str());
            if is_leaked {
                leaked.insert(secret.clone());
            }
            !is_leaked
        };
        self.known.retain(|secret| {
            // It may have begun in what was there before.
            let from = searched.saturating_sub(secret.len());
            is_clean(secret, log.get(from..).unwrap_or(log))
        });
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|secret| is_clean(secret, log));
        self.known.append(&mut fresh);
        self.leaked = leaked;
        self.searched = log.len();
    }
}

impl Witness {
    /// The witness of this process. The first call makes it the subscriber of `tracing` and the
    /// recorder of `metrics`.
    ///
    /// # Panics
    ///
    /// If the process has another subscriber or recorder already.
    pub fn of_process() -> &'static Self {
        WITNESS.get_or_init(|| {
            let witness = Self(Arc::default());
            let log = Log(Arc::clone(&witness.0));
            tracing::subscriber::set_global_default(log).expect("nobody else subscribes");
            let recorder = Recorder(Arc::clone(&witness.0));
            metrics::set_global_recorder(recorder).expect("nobody else records");
            witness
        })
    }

    /// Remembers a secret of at least 12 bytes.
    pub fn learn(&self, secret: &str) {
        if secret.len() >= MIN_SECRET_BYTES {
            self.0.secrets.lock().learn(secret);
        }
    }

    /// Everything that was logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.0.log.lock().clone()
    }

    /// The secrets that stand in the log, or in the name or a label of a metric.
    #[must_use]
    pub fn leaks(&self) -> Vec<String> {
        let counters = self.0.counters.lock();
        let names = counters
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n");
        drop(counters);
        let log = self.0.log.lock();
        let mut secrets = self.0.secrets.lock();
        secrets.search(&log);
        drop(log);
        let named = secrets
            .known
            .iter()
            .filter(|secret| names.contains(*secret));
        named.chain(&secrets.leaked).cloned().collect()
    }

    /// How often a counter was increased, over all of its series with this label; `""` is any.
    #[must_use]
    pub fn count(&self, name: &str, label: &str) -> u64 {
        let counters = self.0.counters.lock();
        let series = counters.iter().filter(|(key, _)| {
            key.split_once(' ').is_some_and(|(own, labels)| {
                own == name && (label.is_empty() || labels.split('|').any(|own| own == label))
            })
        });
        series.map(|(_, count)| count.load(Ordering::Relaxed)).sum()
    }
}

/// Tells the witness of a secret, if there is one.
pub(crate) fn learn(secret: &str) {
    if let Some(witness) = WITNESS.get() {
        witness.learn(secret);
    }
}

/// What a client sends: its token, its event, without the packet's own signs.
pub(crate) fn sent(packet: &[u8]) {
    let payload = packet.iter().position(|byte| matches!(byte, b'[' | b'{'));
    if let Some(payload) = payload.and_then(|start| std::str::from_utf8(&packet[start..]).ok()) {
        learn(payload);
    }
}

/// What a client sends over HTTP: credentials in headers, and packets in a body.
pub(crate) fn requested(request: &[u8]) {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    for line in head.lines() {
        if let Some((name, value)) = line.split_once(": ")
            && ["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str())
        {
            learn(value);
        }
    }
    for packet in body.split('\u{1e}') {
        sent(packet.as_bytes());
    }
}

/// What a server answers: the id of a new session.
pub(crate) fn received(packets: &[u8]) {
    let id = packets.strip_prefix(b"0{\"sid\":\"").and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(&rest[..end]).ok()
    });
    if let Some(id) = id {
        learn(id);
    }
}

/// Fails the test if a secret was said. A test that fails already has something better to say.
pub(crate) fn check() {
    let Some(witness) = WITNESS.get() else {
        return;
    };
    if !std::thread::panicking() {
        let leaks = witness.leaks();
        assert!(
            leaks.is_empty(),
            "in the log or the metrics: {leaks:?}\n{}",
            witness.log()
        );
    }
}

/// Writes what is logged, at every level.
struct Log(Arc<Heard>);

impl Visit for &Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut log = self.0.log.lock();
        if log.len() < MAX_LOG_BYTES {
            // Writing to a string cannot fail.
            let _ = write!(log, "{field}={value:?} ");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut &*self);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut &*self);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
        self.0.log.lock().push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Counts what is counted.
struct Recorder(Arc<Heard>);

impl Recorder {
    fn counter(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let name = format!("{} {}", key.name(), labels.join("|"));
        Arc::clone(self.0.counters.lock().entry(name).or_default())
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> Counter {
        Counter::from_arc(self.counter(key))
    }

    fn register_gauge(&self, key: &Key, _: &metrics::Metadata<'_>) -> Gauge {
        // Its name and labels are looked at, its value is not.
        self.counter(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &metrics::Metadata<'_>) -> Histogram {
        self.counter(key);
        Histogram::noop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaked(secrets: &Secrets) -> Vec<&str> {
        secrets.leaked.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_secret_is_found_whenever_it_was_said_and_whenever_it_was_learned() {
        let mut secrets = Secrets::default();
        let mut log = "an early one, then half of ".to_owned();
        secrets.learn("another");
        secrets.search(&log);
        assert_eq!(leaked(&secrets), Vec::<&str>::new());
        log.push('a');
        secrets.search(&log);
        log.push_str("nother");
        secrets.search(&log);
        assert_eq!(leaked(&secrets), ["another"]);
        secrets.learn("early one");
        secrets.search(&log);
        secrets.search(&log);
        assert_eq!(leaked(&secrets), ["another", "early one"]);
        assert_eq!(secrets.known.len(), 0);
    }
}
