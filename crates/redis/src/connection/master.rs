//! Which server sentinels name: asked whenever a connection is made, and again while there are any.
//!
//! ```text
//!  run ── ask ─▶ sentinels ── named ─▶ Master ── another one ─▶ publisher, subscriber: connect
//! ```
//!
//! A master that is replaced goes on for seconds as if nothing had happened: connections to it
//! live, and messages to oneself come back. Whoever connects meanwhile is at another server, and
//! hears nothing of what is published here.
//!
//! # Invariants
//!
//! - The gap of a node that is left behind begins before any sentinel could have sent others to the
//!   new master.
//! - Sentinels that cannot be asked change nothing.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::link::Link;

/// The shortest and the longest time between two questions.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(2);

/// Within which a sentinel hears from another who the master is: they tell each other every 2 s.
const HEARSAY: Duration = Duration::from_secs(3);

/// What sentinels said last; nothing where there are none.
#[derive(Debug)]
pub(crate) struct Master {
    named: watch::Sender<Option<Named>>,
}

#[derive(Debug)]
struct Named {
    server: String,
    /// When whoever said so last was asked.
    asked: Instant,
    /// Since when others may use it.
    since: SystemTime,
}

impl Master {
    pub(crate) fn new() -> Self {
        Self {
            named: watch::Sender::new(None),
        }
    }

    /// A sentinel that was asked then has named a server.
    pub(crate) fn named(&self, server: &str, asked: Instant) {
        self.named.send_if_modified(|named| {
            if let Some(known) = named
                && (known.server == server || known.asked > asked)
            {
                known.asked = known.asked.max(asked);
                return false;
            }
            let agreed = named.as_ref().map_or(asked, |known| known.asked);
            *named = Some(Named {
                server: server.to_owned(),
                asked,
                since: before(agreed.elapsed() + HEARSAY),
            });
            true
        });
    }

    /// Whether this is the server that was named last.
    pub(crate) fn is_named(&self, server: &str) -> bool {
        let named = self.named.borrow();
        named.as_ref().is_some_and(|named| named.server == server)
    }

    /// Since when others may use another server than this one, if another one is named.
    pub(crate) fn other_since(&self, server: &str) -> Option<SystemTime> {
        let named = self.named.borrow();
        let other = named.as_ref().filter(|named| named.server != server);
        other.map(|other| other.since)
    }

    /// Ready when another server than this one is named.
    pub(crate) async fn other_than(&self, server: &str) {
        let mut named = self.named.subscribe();
        let is_other = |named: &Option<Named>| {
            let named = named.as_ref();
            named.is_some_and(|named| named.server != server)
        };
        // The sender lives in `self`, so this only ends one way.
        let _ = named.wait_for(is_other).await;
    }
}

/// The time that was so long ago.
fn before(age: Duration) -> SystemTime {
    SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH)
}

/// Runs until the link is closed.
pub(super) async fn run(link: Arc<Link>) {
    let pause = link.look_interval().clamp(SHORTEST, LONGEST);
    loop {
        let looking = async {
            tokio::time::sleep(pause).await;
            look(&link).await;
        };
        if link.closing.run_until_cancelled(looking).await.is_none() {
            return;
        }
    }
}

/// Asks whether the master is still the same; if not, that one must say so too.
async fn look(link: &Link) {
    let asked = Instant::now();
    let Some(named) = link.endpoint.named().await else {
        return;
    };
    if link.master.is_named(&named.name) {
        link.master.named(&named.name, asked);
    } else {
        // Those who listen to what is named follow it.
        let _ = link.resolve().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a future is ready without anything else happening.
    async fn is_ready(future: impl Future<Output = ()>) -> bool {
        let soon = Duration::from_millis(10);
        tokio::time::timeout(soon, future).await.is_ok()
    }

    #[tokio::test]
    async fn another_master_is_told_with_the_time_at_which_all_agreed_for_the_last_time() {
        let master = Master::new();
        assert!(!is_ready(master.other_than("a")).await);
        master.named("a", Instant::now());
        let agreed_after = before(HEARSAY + Duration::from_millis(1));
        master.named("a", Instant::now());
        let agreed_before = before(HEARSAY - Duration::from_millis(9));
        assert!(master.is_named("a") && !is_ready(master.other_than("a")).await);
        assert_eq!(master.other_since("a"), None);

        master.named("b", Instant::now());
        assert!(is_ready(master.other_than("a")).await);
        let since = master.other_since("a").unwrap();
        assert!(agreed_after < since && since < agreed_before, "{since:?}");
        assert!(!is_ready(master.other_than("b")).await);
    }

    #[tokio::test]
    async fn what_was_asked_earlier_and_is_heard_later_changes_nothing() {
        let master = Master::new();
        let earlier = Instant::now();
        master.named("a", earlier);
        master.named("b", Instant::now() + Duration::from_millis(1));
        master.named("a", earlier);
        assert!(master.is_named("b"));
    }
}
