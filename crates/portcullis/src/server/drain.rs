//! How a server leaves: out of sight first, then one transport after the other, the cluster last.
//!
//! ```text
//!  signal ─▶ unready ──▶ still accepting ──▶ 503 for newcomers ────────────────▶ port closed
//!                │          pre_drain            │ window: transports close,        │
//!                │                               │ in random order, at a pace       ▼
//!                │                               │           handlers, on_disconnect, cluster
//!                └───────────────────────── deadline ────────────────────────────────────▶ end
//! ```
//!
//! A second signal cuts all of that short.
//!
//! # Invariants
//!
//! - No client is sent a Socket.IO DISCONNECT: stock clients take it for a word meant for them, and
//!   stay away. They see their transport close, and come back to another node.
//! - The cluster is left when nobody is here any more, however the rest went.
//!
//! # Not here
//!
//! What one session does before its transport closes (`session`).

use std::future::Future;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::time::Instant;

use super::Server;
use crate::broadcast::Emitter;
use crate::listener::Shutdown;

/// How long the rest may take once somebody has asked a second time.
const HURRY: Duration = Duration::from_secs(1);

/// How long leaving the cluster may take where the deadline is over already.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The longest that a shutdown may be given.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// The event that announces a drain.
const NOTICE: &str = "server:draining";

/// How long the parts of a shutdown may take.
///
/// ```
/// use std::time::Duration;
/// use portcullis::Drain;
///
/// let drain = Drain::default().window(Duration::from_secs(60)).deadline(Duration::from_secs(90));
/// # let _ = drain;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    pub(super) pre_drain: Duration,
    pub(super) window: Duration,
    pub(super) deadline: Duration,
    announces: bool,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            pre_drain: Duration::from_secs(5),
            window: Duration::from_secs(20),
            deadline: Duration::from_secs(30),
            announces: false,
        }
    }
}

impl Drain {
    /// For development: nothing is waited for but handlers.
    #[must_use]
    pub const fn at_once() -> Self {
        Self {
            pre_drain: Duration::ZERO,
            window: Duration::ZERO,
            deadline: Duration::from_secs(30),
            announces: false,
        }
    }

    /// How long new clients are still taken after readiness is off, for the balancer to notice.
    /// Default: 5 s.
    #[must_use]
    pub const fn pre_drain(mut self, duration: Duration) -> Self {
        self.pre_drain = duration;
        self
    }

    /// Over how long the transports are closed. Few connections take less: a hundred a second are
    /// closed at least. Default: 20 s.
    #[must_use]
    pub const fn window(mut self, duration: Duration) -> Self {
        self.window = duration;
        self
    }

    /// How long everything may take, from the signal on. Whatever has not ended then is dropped.
    /// Default: 30 s; at most 24 h.
    #[must_use]
    pub const fn deadline(mut self, duration: Duration) -> Self {
        self.deadline = duration;
        self
    }

    /// Whether every socket is sent `server:draining` before the first transport closes, with
    /// `{ "windowMs": … }`. Default: no.
    #[must_use]
    pub const fn announce(mut self, announce: bool) -> Self {
        self.announces = announce;
        self
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<&'static str> {
        // Far beyond any use, and safely within what a clock can add.
        if self.deadline > MAX_DEADLINE {
            return Some("the deadline of the drain must not be longer than 24 h");
        }
        let planned = self.pre_drain.saturating_add(self.window);
        (planned > self.deadline).then_some("the deadline of the drain is shorter than its parts")
    }
}

/// What is left of a shutdown once all transports have been told.
pub(super) struct Departure {
    deadline: Instant,
    hurry: BoxFuture<'static, ()>,
}

impl Server {
    /// Leaves as [`Self::serve`] does when it is told to: readiness off, then `pre_drain`, then the
    /// transports at their pace, then what [`Self::close`] does, all within the deadline.
    ///
    /// For applications that own their port. Keep serving it while this runs: polling clients are
    /// told of their end in answers to their polls.
    pub async fn drain(&self) {
        let departure = self.depart(Shutdown::paced()).await;
        self.finish(departure, self.close()).await;
    }

    /// Takes the node out of sight, and closes the transports.
    pub(super) async fn depart(&self, shutdown: Shutdown) -> Departure {
        tracing::info!("shutting down");
        let drain = self.0.drain;
        let mut departure = Departure {
            deadline: Instant::now() + drain.deadline,
            hurry: shutdown.hurry,
        };
        self.0.readiness.drain();
        if shutdown.is_paced {
            let paced = async {
                tokio::time::sleep(drain.pre_drain).await;
                if drain.announces {
                    self.announce(drain.window);
                }
                self.0.door.core.drain(drain.window).await;
            };
            tokio::select! {
                _ = tokio::time::timeout_at(departure.deadline, paced) => {}
                () = &mut departure.hurry => {
                    tracing::warn!("asked to stop again: stopping at once");
                    departure.deadline = departure.deadline.min(Instant::now() + HURRY);
                    departure.hurry = Box::pin(std::future::pending());
                }
            }
        }
        self.0.door.core.shut_down();
        departure
    }

    /// Waits for `end`, within what is left of the deadline.
    pub(super) async fn finish(&self, departure: Departure, end: impl Future<Output = ()>) {
        let hurried = async {
            departure.hurry.await;
            tokio::time::sleep(HURRY).await;
        };
        tokio::select! {
            () = end => return,
            () = tokio::time::sleep_until(departure.deadline) => {}
            () = hurried => {}
        }
        tracing::warn!("not everything ended in time");
        metrics::counter!("portcullis_shutdowns_cut_short_total").increment(1);
        let _ = tokio::time::timeout(LAST_WORDS, self.leave_cluster()).await;
    }

    fn announce(&self, window: Duration) {
        let Some(namespaces) = self
            .0
            .cluster
            .lock()
            .as_ref()
            .map(|cluster| cluster.namespaces.all())
        else {
            return;
        };
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        for namespace in namespaces {
            let emitter = Emitter::new(self.0.slot.clone(), namespace.path().clone());
            let notice = serde_json::json!({ "windowMs": window });
            // Whoever has gone by now needs no notice.
            let _ = emitter.all().local().emit(NOTICE, &notice);
        }
    }
}
