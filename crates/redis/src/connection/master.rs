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
//!   new master. That assumes that sentinels hear from each other: one that was cut off from its
//!   peers for more than 3 s, and not from here, may be the first to answer, with what is old.
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

/// When a sentinel was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    /// Says what came first: this clock never goes back.
    order: Instant,
    /// Says when that was: this clock goes on while the machine is suspended.
    at: SystemTime,
}

impl Asked {
    pub(crate) fn now() -> Self {
        Self {
            order: Instant::now(),
            at: SystemTime::now(),
        }
    }
}

#[derive(Debug)]
struct Named {
    server: String,
    /// When whoever said so last was asked.
    asked: Asked,
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
    pub(crate) fn named(&self, server: &str, asked: Asked) {
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
                since: agreed.at.checked_sub(HEARSAY).unwrap_or(UNIX_EPOCH),
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
    let asked = Asked::now();
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
    use crate::connection::is_ready;

    #[tokio::test]
    async fn another_master_is_told_with_the_time_at_which_all_agreed_for_the_last_time() {
        let master = Master::new();
        assert!(!is_ready(master.other_than("a")).await);
        master.named("a", Asked::now());
        let agreed = Asked::now();
        master.named("a", agreed);
        assert!(master.is_named("a") && !is_ready(master.other_than("a")).await);
        assert_eq!(master.other_since("a"), None);

        master.named("b", Asked::now());
        assert!(is_ready(master.other_than("a")).await);
        assert_eq!(master.other_since("a"), Some(agreed.at - HEARSAY));
        assert!(!is_ready(master.other_than("b")).await);
    }

    #[tokio::test]
    async fn what_was_asked_earlier_and_is_heard_later_changes_nothing() {
        let master = Master::new();
        let earlier = Asked::now();
        let later = Asked {
            order: earlier.order + Duration::from_millis(1),
            // The clock was put right.
            at: UNIX_EPOCH,
        };
        master.named("a", earlier);
        master.named("b", later);
        master.named("a", earlier);
        assert!(master.is_named("b"));
    }
}
