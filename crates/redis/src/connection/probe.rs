//! A message to oneself, to know that what is subscribed to is delivered.
//!
//! ```text
//!  subscriber ── request ─▶ publisher ── PUBLISH n ─▶ Redis ── n ─▶ subscriber
//!                               └── sent = n                └── seen = n
//! ```
//!
//! The subscriber's connection carries nothing but subscriptions, so it cannot be asked whether it
//! still works. A connection that is alive without its subscriptions is found out too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

/// How long a message to oneself may take, once Redis has taken it.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The messages to oneself on one link.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Where they go.
    channel: RwLock<String>,
    next: AtomicU64,
    requested: Notify,
    sent: watch::Sender<u64>,
    seen: watch::Sender<u64>,
}

impl Probe {
    pub(crate) fn new(channel: String) -> Self {
        Self {
            channel: RwLock::new(channel),
            next: AtomicU64::new(1),
            requested: Notify::new(),
            sent: watch::Sender::new(0),
            seen: watch::Sender::new(0),
        }
    }

    /// Where they go now.
    pub(crate) fn channel(&self) -> String {
        self.channel.read().clone()
    }

    /// Whether this is where they go.
    pub(crate) fn is_on(&self, channel: &str) -> bool {
        *self.channel.read() == channel
    }

    /// They go elsewhere from now on.
    pub(crate) fn rename(&self, channel: String) {
        *self.channel.write() = channel;
    }

    /// Asks the publisher to send one.
    pub(crate) fn request(&self) {
        self.requested.notify_one();
    }

    /// For the publisher: ready when one is to be sent.
    pub(crate) async fn requested(&self) {
        self.requested.notified().await;
    }

    /// For the publisher: the number of the next.
    pub(crate) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// For the publisher: Redis has taken it.
    pub(crate) fn sent(&self, number: u64) {
        self.sent.send_replace(number);
    }

    /// It has come back.
    pub(crate) fn seen(&self, payload: &[u8]) {
        let number = std::str::from_utf8(payload).ok();
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            self.seen.send_if_modified(|seen| {
                let is_newer = number > *seen;
                *seen = number.max(*seen);
                is_newer
            });
        }
    }

    /// Whether all that Redis has taken has come back.
    pub(crate) fn is_answered(&self) -> bool {
        *self.seen.borrow() >= *self.sent.borrow()
    }

    /// Sends one, waits for as long as that takes, and then for its coming back. Says whether it
    /// came in time.
    pub(crate) async fn comes_back(&self) -> bool {
        let first = self.next.load(Ordering::Relaxed);
        self.request();
        let mut sent = self.sent.subscribe();
        // The senders live in `self`.
        let _ = sent.wait_for(|sent| *sent >= first).await;
        let mut seen = self.seen.subscribe();
        let arrived = seen.wait_for(|seen| *seen >= first);
        tokio::time::timeout(PROBE_TIMEOUT, arrived).await.is_ok()
    }
}
