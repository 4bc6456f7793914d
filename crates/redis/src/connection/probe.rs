//! A message to oneself, to know that what is subscribed to is delivered.
//!
//! ```text
//!  subscriber ── request ─▶ publisher ── PUBLISH n ─▶ Redis ── n ─▶ subscriber
//!                               └── sent = n                └── seen = n
//! ```
//!
//! The subscriber's connection carries nothing but subscriptions, so it cannot be asked whether it
//! still works. A connection that is alive without its subscriptions is found out too.
//!
//! # Invariants
//!
//! - What Redis took before the last probe that came back has arrived; of what it took later,
//!   nothing is known. So a gap begins when that probe was published, not when the loss is noticed.
//! - Whoever waits for a probe asks for another one if the publisher could not send it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

/// How long a message to oneself may take, once Redis has taken it.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// How often one is asked for again while none could be sent.
const AGAIN: Duration = Duration::from_millis(250);

/// The most whose time is remembered. One that is older and comes back all the same says nothing
/// about when all was well.
const MAX_UNDER_WAY: usize = 64;

/// The messages to oneself on one link.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Where they go.
    channel: RwLock<String>,
    next: AtomicU64,
    requested: Notify,
    sent: watch::Sender<u64>,
    seen: watch::Sender<u64>,
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    /// Those that were published and have not come back, and when.
    under_way: VecDeque<(u64, SystemTime)>,
    /// When the last one that came back was published.
    well: SystemTime,
}

impl Probe {
    pub(crate) fn new(channel: String) -> Self {
        Self {
            channel: RwLock::new(channel),
            next: AtomicU64::new(1),
            requested: Notify::new(),
            sent: watch::Sender::new(0),
            seen: watch::Sender::new(0),
            times: Mutex::new(Times {
                under_way: VecDeque::new(),
                well: SystemTime::now(),
            }),
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

    /// For the publisher: the number of the next, which is about to be published.
    pub(crate) fn next(&self) -> u64 {
        let mut times = self.times.lock();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if times.under_way.len() >= MAX_UNDER_WAY {
            times.under_way.pop_front();
        }
        times.under_way.push_back((number, SystemTime::now()));
        number
    }

    /// When the last one that came back was published: until then, all was well.
    pub(crate) fn well(&self) -> SystemTime {
        self.times.lock().well
    }

    /// For the publisher: Redis has taken it.
    pub(crate) fn sent(&self, number: u64) {
        self.sent.send_replace(number);
    }

    /// It has come back.
    pub(crate) fn seen(&self, payload: &[u8]) {
        let number = std::str::from_utf8(payload).ok();
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            self.times.lock().came_back(number);
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
        let mut sent = self.sent.subscribe();
        loop {
            self.request();
            let taken = sent.wait_for(|sent| *sent >= first);
            // The publisher may have lost its connection over the last one.
            if tokio::time::timeout(AGAIN, taken).await.is_ok() {
                break;
            }
        }
        let mut seen = self.seen.subscribe();
        let arrived = seen.wait_for(|seen| *seen >= first);
        tokio::time::timeout(PROBE_TIMEOUT, arrived).await.is_ok()
    }
}

impl Times {
    fn came_back(&mut self, number: u64) {
        while let Some((under_way, published)) = self.under_way.front().copied()
            && under_way <= number
        {
            self.under_way.pop_front();
            if under_way == number {
                self.well = published;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn all_was_well_until_the_last_probe_that_came_back_was_published() {
        let probe = Probe::new("probe".to_owned());
        let first = probe.next();
        let published = probe.times.lock().under_way.back().unwrap().1;
        std::thread::sleep(Duration::from_millis(5));
        let second = probe.next();
        probe.seen(first.to_string().as_bytes());
        assert_eq!(probe.well(), published);
        probe.seen(b"99");
        assert_eq!(probe.well(), published, "nobody published that");
        assert!(second > first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_the_publisher_could_not_send_is_asked_for_again() {
        let probe = Arc::new(Probe::new("probe".to_owned()));
        let publish = async {
            probe.requested().await;
            // The connection is lost over this one.
            probe.next();
            probe.requested().await;
            let number = probe.next();
            probe.sent(number);
            probe.seen(number.to_string().as_bytes());
        };
        let (came_back, ()) = tokio::join!(probe.comes_back(), publish);
        assert!(came_back);
    }
}
