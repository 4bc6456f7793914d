//! What has happened in this process, for clients to ask.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) verified: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) disconnected: AtomicU64,
    pub(super) handled: AtomicU64,
    reasons: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    verified: u64,
    connected: u64,
    disconnected: u64,
    handled: u64,
    reasons: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_reason(&self, reason: &'static str) {
        if let Ok(mut reasons) = self.reasons.lock() {
            *reasons.entry(reason).or_default() += 1;
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            verified: read(&self.verified),
            connected: read(&self.connected),
            disconnected: read(&self.disconnected),
            handled: read(&self.handled),
            reasons: self
                .reasons
                .lock()
                .map(|reasons| reasons.clone())
                .unwrap_or_default(),
        }
    }
}
