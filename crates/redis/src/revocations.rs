//! What the cluster has revoked, kept in Redis.
//!
//! ```text
//!  revoke ─▶ MULTI ZADD, new version EXEC ─▶ PUBLISH ─▶ every node applies it at once
//!
//!  every 250 ms: which version? ─▶ as known: all that was revoked before is applied here
//!                            └──▶ another: read the set, apply it, write back what it lacks
//! ```
//!
//! The version is what makes it sound. Whatever went wrong (a message lost, a node that slept, a
//! Redis that lost its data, a master that fell behind), the version is not the known one then, and
//! the set is read again.
//!
//! # Invariants
//!
//! - A node says that it is settled only for a second after Redis has confirmed its version. One
//!   that was stopped in between has to ask again before it admits anybody.
//! - The version is read before the set; what changes meanwhile is told by messages, or seen when
//!   it is asked for again.
//! - It costs no connection: questions go over the one that publishes, messages over the other.

mod history;
mod kept;
mod revoker;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use portcullis::revocation::{LocalRevocations, Revocation, RevocationStore, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use history::{Change, Version};
pub(crate) use kept::Names;
pub use revoker::RedisRevoker;

use self::history::History;
use crate::connection::Bus;
use crate::connection::error::LinkError;
use crate::protocol::Context;
use crate::wire::revocation as wire;

/// How often Redis is asked for its version.
const INTERVAL: Duration = Duration::from_millis(250);

/// For how long its answer is relied upon.
const FRESH: Duration = Duration::from_secs(1);

/// A version that is not known may be that of a message on its way: it is waited for so often, and
/// so long each time, before the whole set is read.
const WAITS: u32 = 5;
const WAIT: Duration = Duration::from_millis(20);

/// How long a node that cannot hold the whole set waits before it reads it again.
const UNTIL_ROOM: Duration = Duration::from_secs(30);

/// What this node knows of the set.
#[derive(Debug)]
pub(crate) struct Revocations {
    names: Names,
    /// The server's, which keeps the store, and this with it: they must not own each other.
    local: OnceLock<Weak<dyn LocalRevocations>>,
    history: Mutex<History>,
    /// When Redis was last asked, and named a version that is applied here.
    confirmed: watch::Sender<Option<Instant>>,
    /// When something did not fit into this node.
    overfull_since: Mutex<Option<Instant>>,
}

impl Revocations {
    pub(crate) fn new(names: Names) -> Arc<Self> {
        Arc::new(Self {
            names,
            local: OnceLock::new(),
            history: Mutex::default(),
            confirmed: watch::Sender::new(None),
            overfull_since: Mutex::new(None),
        })
    }

    /// Takes a message if it is one of these.
    pub(crate) fn receive(&self, channel: &str, payload: &[u8]) -> bool {
        if channel != self.names.channel {
            return false;
        }
        let Some((change, revocation)) = wire::read_message(payload) else {
            kept::count_poison();
            return true;
        };
        if let Some(local) = self.local.get().and_then(Weak::upgrade)
            && self.apply(&*local, vec![revocation])
        {
            self.history.lock().advance(change);
        }
        true
    }

    /// Applies what was revoked. If it does not fit, the node knows nothing for sure any more.
    fn apply(&self, local: &dyn LocalRevocations, revocations: Vec<Revocation>) -> bool {
        let fits = local.apply(revocations);
        if !fits {
            *self.overfull_since.lock() = Some(Instant::now());
            self.history.lock().forget();
            self.confirmed.send_replace(None);
        }
        fits
    }

    /// Asks Redis whether its version is applied here, and catches up if not.
    async fn look(&self, bus: &Bus, local: &dyn LocalRevocations) -> Result<(), LinkError> {
        let overfull_since = *self.overfull_since.lock();
        if overfull_since.is_some_and(|since| since.elapsed() < UNTIL_ROOM) {
            return Ok(());
        }
        if !self.confirm(bus).await? && self.catch_up(bus, local).await? {
            self.confirm(bus).await?;
        }
        Ok(())
    }

    /// Asks Redis for its version; `false` if it is not applied here.
    async fn confirm(&self, bus: &Bus) -> Result<bool, LinkError> {
        let (asked_at, position) = (Instant::now(), self.history.lock().position());
        let version = kept::version(bus, &self.names).await?;
        for _ in 0..WAITS {
            if self.history.lock().has_reached(&version, position) {
                self.confirmed.send_replace(Some(asked_at));
                return Ok(true);
            }
            tokio::time::sleep(WAIT).await;
        }
        Ok(false)
    }

    /// Reads the whole set, applies it, and writes back what it lacks; `false` if it does not fit.
    async fn catch_up(&self, bus: &Bus, local: &dyn LocalRevocations) -> Result<bool, LinkError> {
        let version = kept::version(bus, &self.names).await?;
        // Messages lead on from there while the set is read.
        self.history.lock().restart(version);
        *self.overfull_since.lock() = None;
        let Some(kept) = self.read(bus, local).await? else {
            return Ok(false);
        };
        for page in kept::lacking(local.held(), &kept).chunks(kept::PAGE) {
            tracing::info!(count = page.len(), "revocations are written back to redis");
            let change = kept::write(bus, &self.names, page).await?;
            self.history.lock().advance(change);
        }
        Ok(true)
    }

    /// Reads the whole set and applies it: until when each is kept, or nothing if it does not fit.
    ///
    /// Another server keeps the set in another order, in which the place that was reached says
    /// nothing of what is behind it. So all is read over one connection, or from the start again.
    async fn read(
        &self,
        bus: &Bus,
        local: &dyn LocalRevocations,
    ) -> Result<Option<HashMap<String, u64>>, LinkError> {
        let mut kept = HashMap::new();
        let (mut cursor, mut over) = (0, None::<u64>);
        loop {
            let page = kept::read(bus, &self.names, cursor).await?;
            if over.is_some_and(|over| over != page.over) {
                (cursor, over) = (0, None);
                kept.clear();
                continue;
            }
            over = Some(page.over);
            for revocation in &page.revocations {
                kept.insert(wire::member(revocation), kept::score(revocation));
            }
            if !self.apply(local, page.revocations) {
                return Ok(None);
            }
            cursor = page.cursor;
            if cursor == 0 {
                return Ok(Some(kept));
            }
        }
    }

    fn is_fresh(&self) -> bool {
        let confirmed = *self.confirmed.borrow();
        confirmed.is_some_and(|at| at.elapsed() < FRESH)
    }
}

/// The store, as the framework sees it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) context: Arc<Context>,
}

impl RevocationStore for Store {
    fn start(&self, local: Arc<dyn LocalRevocations>) {
        let local = Arc::downgrade(&local);
        if self.revocations.local.set(Weak::clone(&local)).is_err() {
            return;
        }
        self.context
            .bus
            .subscribe(self.revocations.names.subscription());
        let revocations = Arc::clone(&self.revocations);
        let context = Arc::downgrade(&self.context);
        self.context
            .tasks
            .spawn(keep_up(revocations, context, local));
    }

    fn publish(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let names = &self.revocations.names;
            // The node's own message comes back to it, and leads its history on.
            let published = kept::publish(&self.context.bus, names, &revocation).await;
            published.map_err(|error| {
                // Nobody knows what became of it: the set is read, and what it lacks written.
                self.revocations.history.lock().forget();
                StoreError::new(error)
            })
        })
    }

    fn settled(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut confirmed = self.revocations.confirmed.subscribe();
            while !self.revocations.is_fresh() {
                // The sender lives in `self`.
                let _ = confirmed.changed().await;
            }
        })
    }

    fn is_settled(&self) -> bool {
        self.revocations.is_fresh()
    }
}

/// Keeps this node up to date until its adapter or its server is gone.
async fn keep_up(
    revocations: Arc<Revocations>,
    context: Weak<Context>,
    local: Weak<dyn LocalRevocations>,
) {
    let mut was_heard = true;
    loop {
        let (Some(context), Some(local)) = (context.upgrade(), local.upgrade()) else {
            return;
        };
        let looked = revocations.look(&context.bus, &*local).await;
        drop((context, local));
        if let Err(error) = &looked {
            revocations.history.lock().forget();
            // A line for each change, not for each attempt.
            if was_heard {
                tracing::warn!(%error, "what is revoked cannot be read");
            }
        } else if !was_heard {
            tracing::info!("what is revoked can be read again");
        }
        was_heard = looked.is_ok();
        tokio::time::sleep(INTERVAL).await;
    }
}
