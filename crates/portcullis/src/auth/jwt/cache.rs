//! Keys that come from elsewhere, kept as long as they are good.
//!
//! ```text
//!  verify ─▶ KeyCache ─▶ known ─▶ go on
//!               │ unknown, and no such fetch within the cool-down
//!               ▼
//!            run() ─▶ source ─▶ read_set ─▶ the new ring ─▶ whoever waits
//!               ▲
//!               └── every `refresh_every`, and sooner after a failure
//! ```
//!
//! | what happened             | tokens with a known key | with an unknown one  | readiness  |
//! |---------------------------|-------------------------|----------------------|------------|
//! | fetched                   | judged                  | one fetch a cool-down | ready     |
//! | the last fetch failed     | judged                  | `AUTH_UNAVAILABLE`   | stale      |
//! | none for `max_stale`      | `AUTH_UNAVAILABLE`      | `AUTH_UNAVAILABLE`   | not ready  |
//! | never fetched             | `AUTH_UNAVAILABLE`      | `AUTH_UNAVAILABLE`   | not ready  |
//!
//! # Invariants
//!
//! - One fetch at a time, made by one task: whoever waits for it may go away.
//! - Unknown names cause at most one fetch in a cool-down, however many there are; while the source
//!   fails, they wait for no other.
//! - A set that cannot be read leaves the one before in place.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::jwk::{Secrets, SetProblem, read_set};
use super::keys::KeyRing;
use crate::auth::Readiness;
use crate::clock;

/// The first wait after a failure; it doubles up to the cool-down.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Where a set of keys comes from.
pub(super) trait KeySource: Send + Sync + 'static {
    /// Gets the text of the set.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>>;

    /// What a person calls it.
    fn name(&self) -> &str;

    fn secrets(&self) -> Secrets;
}

/// Why there is no new set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the connection failed: {0}")]
    Connection(#[source] std::io::Error),
    #[error("the address {0} may not be asked for keys")]
    Address(std::net::IpAddr),
    #[error("the host has no address")]
    NoAddress,
    #[error("HTTP failed: {0}")]
    Http(#[source] hyper::Error),
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("the answer is encoded")]
    Encoded,
    #[error("the answer has more than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("there was no answer within {0:?}")]
    Timeout(Duration),
    #[error("the file cannot be read: {0}")]
    File(#[source] std::io::Error),
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    #[error("the set cannot be used: {0}")]
    Set(#[source] SetProblem),
}

/// How long things are good.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheTimes {
    pub(super) refresh_every: Duration,
    pub(super) max_stale: Duration,
    pub(super) cool_down: Duration,
}

/// See the module.
pub(super) struct KeyCache {
    source: Box<dyn KeySource>,
    issuer: Option<String>,
    times: CacheTimes,
    state: Mutex<State>,
    wanted: Notify,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    ring: Option<Arc<KeyRing>>,
    /// What the ring was read from.
    text: Option<Digest>,
    /// When the source last said what its keys are.
    confirmed_at: Option<Instant>,
    /// Why the last fetch failed, if it did.
    failure: Option<String>,
    /// When an unknown name last caused a fetch, or joined one of a source that fails.
    missed_at: Option<Instant>,
    is_fetching: bool,
    /// Whether the fetch under way is that one.
    is_for_miss: bool,
}

/// What became of the keys after an unknown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterMiss {
    /// They were fetched again.
    Fetched,
    /// They are as new as can be had now.
    Unchanged,
    /// The source cannot be asked.
    Unavailable,
}

impl KeyCache {
    pub(super) fn new(
        source: Box<dyn KeySource>,
        issuer: Option<String>,
        times: CacheTimes,
    ) -> Self {
        Self {
            source,
            issuer,
            times,
            state: Mutex::default(),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
        }
    }

    /// The keys, while they are good.
    pub(super) fn ring(&self) -> Option<Arc<KeyRing>> {
        let state = self.state.lock();
        if self.is_too_stale(&state) {
            return None;
        }
        state.ring.clone()
    }

    fn is_too_stale(&self, state: &State) -> bool {
        state
            .confirmed_at
            .is_none_or(|at| clock::instant().saturating_duration_since(at) > self.times.max_stale)
    }

    /// Has the keys fetched again because of one that is unknown, if that may be done now.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time; the fetch goes on.
    pub(super) async fn after_miss(&self) -> AfterMiss {
        let mut ended = self.ended.subscribe();
        {
            let mut state = self.state.lock();
            // A source that fails is tried again and again: whoever waited for each attempt would
            // hold on to a place at the authenticator nearly all the time.
            let is_worth_it = state.is_for_miss || state.failure.is_none();
            if !(state.is_fetching && is_worth_it) {
                let now = clock::instant();
                let cools_down = state
                    .missed_at
                    .is_some_and(|at| now.saturating_duration_since(at) < self.times.cool_down);
                if cools_down {
                    return self.as_it_is(&state);
                }
                state.missed_at = Some(now);
                state.is_for_miss = true;
                if !state.is_fetching {
                    state.is_fetching = true;
                    self.wanted.notify_one();
                }
            }
        }
        // The sender lives in `self`.
        let _ = ended.changed().await;
        if self.state.lock().failure.is_some() {
            AfterMiss::Unavailable
        } else {
            AfterMiss::Fetched
        }
    }

    fn as_it_is(&self, state: &State) -> AfterMiss {
        if state.failure.is_some() || self.is_too_stale(state) {
            AfterMiss::Unavailable
        } else {
            AfterMiss::Unchanged
        }
    }

    /// Fetches once, and takes over what came.
    pub(super) async fn fetch(&self) -> Result<(), FetchError> {
        self.state.lock().is_fetching = true;
        let fetched = self.source.fetch().await.and_then(|text| {
            let ring = read_set(&text, self.source.secrets(), self.issuer.as_deref());
            ring.map(|ring| (digest(&SHA256, &text), ring))
                .map_err(FetchError::Set)
        });
        let outcome = if fetched.is_ok() { "ok" } else { "failed" };
        metrics::counter!("portcullis_jwks_fetches_total", "outcome" => outcome).increment(1);
        let result = self.take_over(fetched);
        self.ended.send_modify(|count| *count += 1);
        result
    }

    fn take_over(&self, fetched: Result<(Digest, KeyRing), FetchError>) -> Result<(), FetchError> {
        let source = self.source.name();
        let mut state = self.state.lock();
        state.is_fetching = false;
        state.is_for_miss = false;
        match fetched {
            Ok((text, ring)) => {
                state.confirmed_at = Some(clock::instant());
                state.failure = None;
                if state.text.as_ref().map(Digest::as_ref) != Some(text.as_ref()) {
                    tracing::info!(source, keys = ring.iter().count(), "there are new keys");
                    state.text = Some(text);
                    state.ring = Some(Arc::new(ring));
                }
                Ok(())
            }
            Err(error) => {
                // A line for each change, not for each attempt.
                if state.failure.is_none() {
                    tracing::warn!(source, %error, "keys could not be fetched");
                }
                state.failure = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Keeps the keys fresh; never ready.
    pub(super) async fn run(&self) {
        let mut retry = FIRST_RETRY;
        loop {
            let wait = if self.readiness() == Readiness::Ready {
                self.times.refresh_every
            } else {
                retry
            };
            tokio::select! {
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            retry = match self.fetch().await {
                Ok(()) => FIRST_RETRY,
                Err(_) => (retry * 2).min(self.times.cool_down.max(FIRST_RETRY)),
            };
        }
    }

    pub(super) fn readiness(&self) -> Readiness {
        let state = self.state.lock();
        let name = self.source.name();
        let why = state.failure.as_deref().unwrap_or("not fetched yet");
        let reason = format!("keys of {name}: {why}");
        if self.is_too_stale(&state) || state.ring.is_none() {
            Readiness::NotReady { reason }
        } else if state.failure.is_some() {
            Readiness::Stale { reason }
        } else {
            Readiness::Ready
        }
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache")
            .field("source", &self.source.name())
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
