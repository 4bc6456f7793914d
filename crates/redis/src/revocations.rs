//! What the cluster has revoked, kept in Redis.
//!
//! ```text
//!  revoke ─▶ MULTI ZADD, INCR version EXEC ─▶ PUBLISH ─▶ every node applies it at once
//!
//!  every 250 ms: GET version ─▶ as known: all that was revoked before is applied here
//!                          └──▶ another: read the set, apply it, write back what it lacks
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
//! - The version is read before the set: what changes meanwhile is seen the next time.
//! - It costs no connection: questions go over the one that publishes, messages over the other.

mod revoker;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use portcullis::revocation::{LocalRevocations, Revocation, RevocationStore, StoreError};
use redis::{Pipeline, Value};
use tokio::sync::watch;
use tokio::time::Instant;

pub use revoker::RedisRevoker;

use crate::connection::Bus;
use crate::connection::error::LinkError;
use crate::connection::queue::Outgoing;
use crate::connection::subscriptions::Subscription;
use crate::protocol::Context;
use crate::wire::revocation as wire;

/// How often Redis is asked for its version.
const INTERVAL: Duration = Duration::from_millis(250);

/// For how long its answer is relied upon.
const FRESH: Duration = Duration::from_secs(1);

/// So many are read or written at once.
const PAGE: usize = 1000;

/// The end of the year 9999, beyond which nothing is kept.
const LAST_DATE: u64 = 253_402_300_799;

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    set: String,
    version: String,
    channel: String,
    is_sharded: bool,
}

impl Names {
    pub(crate) fn new(prefix: &str, is_sharded: bool) -> Self {
        // In one slot of a cluster, because they are changed together.
        let tag = format!("{{{prefix}-revocations}}");
        Self {
            set: format!("{tag}:set"),
            version: format!("{tag}:version"),
            channel: format!("{tag}#"),
            is_sharded,
        }
    }

    fn subscription(&self) -> Subscription {
        if self.is_sharded {
            Subscription::Sharded(self.channel.as_str().into())
        } else {
            Subscription::Channel(self.channel.as_str().into())
        }
    }
}

/// What this node knows of the set.
#[derive(Debug)]
pub(crate) struct Revocations {
    names: Names,
    local: OnceLock<Arc<dyn LocalRevocations>>,
    /// The version that is applied here; `None` if that is not known.
    known: Mutex<Option<u64>>,
    /// When Redis was last asked, and said that this is its version.
    confirmed: watch::Sender<Option<Instant>>,
}

impl Revocations {
    pub(crate) fn new(names: Names) -> Arc<Self> {
        Arc::new(Self {
            names,
            local: OnceLock::new(),
            known: Mutex::new(None),
            confirmed: watch::Sender::new(None),
        })
    }

    /// Takes a message if it is one of these.
    pub(crate) fn receive(&self, channel: &str, payload: &[u8]) -> bool {
        if channel != self.names.channel {
            return false;
        }
        let Some((version, revocation)) = wire::read_message(payload) else {
            metrics::counter!("portcullis_bus_poison_total", "kind" => "revocation").increment(1);
            return true;
        };
        if let Some(local) = self.local.get() {
            local.apply(vec![revocation]);
            self.advance(version);
        }
        true
    }

    /// `version` is applied: the known one, if it is the next.
    fn advance(&self, version: u64) {
        let mut known = self.known.lock();
        if known.and_then(|known| known.checked_add(1)) == Some(version) {
            *known = Some(version);
        }
    }

    /// Asks Redis whether the known version is still its own, and catches up if not.
    async fn look(&self, bus: &Bus, local: &dyn LocalRevocations) -> Result<(), LinkError> {
        let asked_at = Instant::now();
        let version = self.version(bus).await?;
        if *self.known.lock() != Some(version) {
            let kept = self.read(bus).await?;
            let members: HashSet<String> = kept.iter().map(wire::member).collect();
            local.apply(kept);
            let mut held = local.held();
            held.retain(|revocation| !members.contains(&wire::member(revocation)));
            *self.known.lock() = Some(version);
            for page in held.chunks(PAGE) {
                tracing::info!(count = page.len(), "revocations are written back to redis");
                let written = write(bus, &self.names, page).await?;
                self.advance(written);
            }
        }
        self.confirmed.send_replace(Some(asked_at));
        Ok(())
    }

    async fn version(&self, bus: &Bus) -> Result<u64, LinkError> {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg(&self.names.version);
        let answers = bus.ask(&self.names.version, &commands).await?;
        let version: Option<u64> = first(answers)?;
        Ok(version.unwrap_or(0))
    }

    /// The whole set, as far as it has not expired.
    async fn read(&self, bus: &Bus) -> Result<Vec<Revocation>, LinkError> {
        let mut kept = Vec::new();
        let mut offset = 0;
        loop {
            let mut commands = redis::pipe();
            commands
                .cmd("ZRANGEBYSCORE")
                .arg(&self.names.set)
                .arg(now())
                .arg("+inf")
                .arg("WITHSCORES")
                .arg("LIMIT")
                .arg(offset)
                .arg(PAGE);
            let answers = bus.ask(&self.names.set, &commands).await?;
            let page: Vec<(Vec<u8>, f64)> = first(answers)?;
            let len = page.len();
            kept.extend(page.into_iter().filter_map(|(member, until)| {
                let until = until.clamp(0.0, LAST_DATE as f64) as u64;
                let read = wire::read_member(&member, until);
                if read.is_none() {
                    metrics::counter!("portcullis_bus_poison_total", "kind" => "revocation")
                        .increment(1);
                }
                read
            }));
            if len < PAGE {
                return Ok(kept);
            }
            offset += len;
        }
    }

    fn is_fresh(&self) -> bool {
        let confirmed = *self.confirmed.borrow();
        confirmed.is_some_and(|at| at.elapsed() < FRESH)
    }
}

/// Adds revocations to the set; says which version that is.
async fn write(bus: &Bus, names: &Names, revocations: &[Revocation]) -> Result<u64, LinkError> {
    let base = SystemTime::now().duration_since(UNIX_EPOCH);
    let base = base.unwrap_or_default().as_micros();
    let mut commands = Pipeline::new();
    commands.cmd("MULTI");
    commands
        .cmd("ZREMRANGEBYSCORE")
        .arg(&names.set)
        .arg("-inf")
        .arg(format!("({}", now()));
    let add = commands.cmd("ZADD").arg(&names.set);
    for revocation in revocations {
        let until = revocation.kept_until_seconds().unwrap_or(LAST_DATE);
        add.arg(until.min(LAST_DATE)).arg(wire::member(revocation));
    }
    // A Redis that has lost its data must not count up to a version that somebody knows.
    commands
        .cmd("SET")
        .arg(&names.version)
        .arg(base.to_string())
        .arg("NX");
    commands.cmd("INCR").arg(&names.version);
    commands.cmd("EXEC");
    let mut answers = bus.ask(&names.set, &commands).await?;
    let done = answers.pop().unwrap_or(Value::Nil);
    let done: Vec<Value> = first(vec![done])?;
    first(done.into_iter().skip(3).collect())
}

/// Adds a revocation, and tells every node.
async fn publish(bus: &Bus, names: &Names, revocation: &Revocation) -> Result<u64, LinkError> {
    let version = write(bus, names, std::slice::from_ref(revocation)).await?;
    let message = Outgoing {
        channel: names.channel.clone(),
        payload: wire::message(revocation, version).into_bytes(),
        is_sharded: names.is_sharded,
    };
    bus.publish_now(message).await?;
    Ok(version)
}

/// The first answer, as what it should be.
fn first<T: redis::FromRedisValue>(answers: Vec<Value>) -> Result<T, LinkError> {
    let answer = answers.into_iter().next().unwrap_or(Value::Nil);
    let answer = answer.extract_error();
    let answer = answer.map_err(|error| LinkError::redis("redis", error))?;
    T::from_redis_value(answer).map_err(|error| LinkError::redis("redis", error.into()))
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The store, as the framework sees it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) context: Arc<Context>,
}

impl RevocationStore for Store {
    fn start(&self, local: Arc<dyn LocalRevocations>) {
        if self.revocations.local.set(Arc::clone(&local)).is_err() {
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
            match publish(&self.context.bus, names, &revocation).await {
                Ok(version) => {
                    self.revocations.advance(version);
                    Ok(())
                }
                Err(error) => {
                    // Nobody knows what became of it: the set is read, and what it lacks written.
                    *self.revocations.known.lock() = None;
                    Err(StoreError::new(error))
                }
            }
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

/// Keeps this node up to date until its adapter is gone.
async fn keep_up(
    revocations: Arc<Revocations>,
    context: Weak<Context>,
    local: Arc<dyn LocalRevocations>,
) {
    let mut was_heard = true;
    loop {
        let Some(context) = context.upgrade() else {
            return;
        };
        let looked = revocations.look(&context.bus, &*local).await;
        drop(context);
        if let Err(error) = &looked {
            *revocations.known.lock() = None;
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
