//! The way to Redis and back: publish here, be told there.
//!
//! ```text
//!  adapter ─ publish, subscribe, count ─▶ Bus ─▶ Link ══ two connections ══▶ Redis
//!  adapter ◀──────── Receive ─────────────────── Link ◀═══════════════════════╝
//! ```
//!
//! | module          | job                                                    |
//! |-----------------|--------------------------------------------------------|
//! | `endpoint`      | which server is the right one now                      |
//! | `master`        | whether sentinels still say so                         |
//! | `first`         | the first good answer of several servers               |
//! | `server`        | one connection to one server                           |
//! | `cluster`       | a link to each master in use, and channels that move   |
//! | `slots`         | which master serves which channel                      |
//! | `lookups`       | questions to the nodes of a cluster                    |
//! | `link`          | the two connections to one server                      |
//! | `publisher`     | the task that publishes                                |
//! | `subscriber`    | the task that keeps everything subscribed to           |
//! | `queue`         | what waits to be published                             |
//! | `subscriptions` | what is to be subscribed to                            |
//! | `probe`         | a message to oneself                                   |
//! | `status`        | whether all this works                                 |
//! | `backoff`       | how long to wait before the next attempt               |
//! | `error`         | why Redis cannot be talked to                          |
//!
//! # Invariants
//!
//! - Nobody waits for Redis to publish or to subscribe.
//! - A standalone server sees two connections of a process, whatever is done with them.
//!
//! # Not here
//!
//! What the messages mean (`protocol`, `wire`).

pub(crate) mod backoff;
pub(crate) mod cluster;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod first;
pub(crate) mod link;
pub(crate) mod lookups;
pub(crate) mod master;
pub(crate) mod probe;
pub(crate) mod publisher;
pub(crate) mod queue;
pub(crate) mod server;
pub(crate) mod slots;
pub(crate) mod status;
pub(crate) mod subscriber;
pub(crate) mod subscriptions;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use portcullis::adapter::{BusGap, Health};
use redis::Value;

use self::cluster::Cluster;
use self::endpoint::Endpoint;
use self::error::LinkError;
use self::link::{COUNT_TIMEOUT, Link};
use self::lookups::Lookups;
use self::queue::{Outgoing, QueueLimits, Queued};
use self::server::Answered;
use self::subscriptions::Subscription;
use crate::address::Address;
use crate::tasks::Tasks;

/// How often it is looked whether something is so, while somebody waits for that.
const GLANCE: Duration = Duration::from_millis(10);

/// Is told what Redis says.
pub(crate) trait Receive: fmt::Debug + Send + Sync + 'static {
    /// A message; must not block.
    fn message(&self, channel: &str, payload: Bytes);

    /// An interval in which messages may have been lost is over.
    fn gap(&self, gap: BusGap);

    /// Something went wrong; there may be other servers now.
    fn suspect(&self, _error: &LinkError) {}

    /// Whether there are other servers, to which a channel may belong.
    fn is_in_cluster(&self) -> bool {
        false
    }

    /// Messages that belong to another server of the cluster; hands them back if nobody looks for
    /// it.
    fn misdirected(&self, messages: Vec<Queued>) -> Result<(), Vec<Queued>> {
        Err(messages)
    }
}

/// What a bus is made of.
#[derive(Debug, Clone)]
pub(crate) struct BusOptions {
    pub(crate) limits: QueueLimits,
    /// Where messages to oneself go.
    pub(crate) probe: String,
    pub(crate) is_sharded: bool,
    /// How long a connection may be silent.
    pub(crate) keep_alive: Duration,
    /// Whether there is nothing to subscribe to, and no connection for it.
    pub(crate) publishes_only: bool,
}

/// The way to Redis and back.
#[derive(Debug)]
pub(crate) enum Bus {
    /// One server at a time: standalone, the master of sentinels, or any master of a cluster.
    Single(Arc<Link>),
    /// The masters of a cluster, each for its channels.
    Sharded(Arc<Cluster>),
}

impl Bus {
    /// Prepares everything; nothing is connected yet.
    pub(crate) fn new(
        address: &Address,
        options: BusOptions,
        receive: Arc<dyn Receive>,
    ) -> Result<Self, LinkError> {
        if let Address::Cluster { seeds } = address
            && options.is_sharded
        {
            let cluster = Cluster::new(Lookups::new(seeds)?, options, receive);
            return Ok(Self::Sharded(cluster));
        }
        let endpoint = Endpoint::new(address)?;
        let link = Link::open(endpoint, options, receive, Tasks::current());
        Ok(Self::Single(link))
    }

    /// Begins to connect, and goes on for as long as the bus is not closed.
    pub(crate) fn start(&self) {
        match self {
            Self::Single(link) => link.start(),
            Self::Sharded(cluster) => cluster.start(),
        }
    }

    /// Ready when everything works.
    pub(crate) async fn reached(&self) {
        match self {
            Self::Single(link) => link.status.reached().await,
            Self::Sharded(cluster) => cluster.reached().await,
        }
    }

    /// What keeps it from working, for a person.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Single(link) => link.status.reason(),
            Self::Sharded(cluster) => cluster.reason(),
        }
    }

    /// Nobody waits for it to work any more.
    pub(crate) fn runs_alone(&self) {
        match self {
            Self::Single(link) => link.runs_alone(SystemTime::now()),
            Self::Sharded(cluster) => cluster.runs_alone(),
        }
    }

    pub(crate) fn health(&self) -> Health {
        match self {
            Self::Single(link) => link.status.health(),
            Self::Sharded(cluster) => cluster.health(),
        }
    }

    pub(crate) fn subscribe(&self, subscription: Subscription) {
        match self {
            Self::Single(link) => _ = link.subscriptions.add(subscription),
            Self::Sharded(cluster) => cluster.subscribe(subscription),
        }
    }

    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        match self {
            Self::Single(link) => _ = link.unsubscribe(subscription),
            Self::Sharded(cluster) => cluster.unsubscribe(subscription),
        }
    }

    pub(crate) fn publish(&self, message: Outgoing) {
        match self {
            Self::Single(link) => link.publish(message),
            Self::Sharded(cluster) => cluster.publish(message),
        }
    }

    /// Publishes a message now, past those that wait; ready when Redis has taken it.
    pub(crate) async fn publish_now(&self, message: Outgoing) -> Result<(), LinkError> {
        match self {
            Self::Single(link) => link.publish_now(&message).await,
            Self::Sharded(cluster) => cluster.publish_now(&message).await,
        }
    }

    /// Asks whichever server keeps `key`, which all the commands are about.
    pub(crate) async fn ask(
        &self,
        key: &str,
        commands: &redis::Pipeline,
    ) -> Result<Answered, LinkError> {
        match self {
            Self::Single(link) => match &link.endpoint {
                Endpoint::Cluster(lookups) => lookups.ask_master_of(key, commands).await,
                Endpoint::Fixed(_) | Endpoint::Sentinel { .. } => link.ask(commands).await,
            },
            Self::Sharded(cluster) => cluster.ask(key, commands).await,
        }
    }

    /// Ready when all that was published before has left or is lost, and all that was wanted before
    /// is subscribed to.
    pub(crate) async fn flush(&self) {
        match self {
            Self::Single(link) => {
                tokio::join!(link.queue.flushed(), link.subscriptions.settled());
            }
            Self::Sharded(cluster) => cluster.flush().await,
        }
    }

    /// How many subscribe to a channel.
    pub(crate) async fn count(&self, channel: &str) -> Result<usize, LinkError> {
        match self {
            Self::Single(link) => match &link.endpoint {
                Endpoint::Cluster(lookups) => lookups.count(channel).await,
                Endpoint::Fixed(_) | Endpoint::Sentinel { .. } => link.count(channel).await,
            },
            Self::Sharded(cluster) => cluster.count(channel).await,
        }
    }

    /// How many others subscribe to a channel that this process subscribes to.
    ///
    /// # Errors
    ///
    /// Also while this process does not hear what is published there: it is not among those who
    /// are counted then, and would hear no answer.
    pub(crate) async fn count_others(&self, channel: &str) -> Result<usize, LinkError> {
        let heard_over = self.hears_over(channel).await?;
        let count = self.count(channel).await?;
        let is_heard = heard_over.hears(channel);
        let others = count.checked_sub(1).filter(|_| is_heard);
        others.ok_or_else(|| heard_over.closed())
    }

    /// How many subscribe to a channel that this process does not subscribe to, or not any more.
    /// Waits for Redis to confirm that, and for a connection to a master that was not in use.
    ///
    /// # Errors
    ///
    /// Also while this process hears nobody: the others may have yet to come back.
    pub(crate) async fn count_unheard(&self, channel: &str) -> Result<usize, LinkError> {
        let deadline = Instant::now() + COUNT_TIMEOUT;
        loop {
            let link = self.link_to(channel)?;
            if link.has_left(channel) && self.health().is_up() {
                let count = self.count(channel).await?;
                let is_known = self.health().is_up();
                return is_known.then_some(count).ok_or_else(|| link.closed());
            }
            if Instant::now() > deadline {
                return Err(link.closed());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The link to where a channel is; to its master, if it has one of its own.
    fn link_to(&self, channel: &str) -> Result<Arc<Link>, LinkError> {
        match self {
            Self::Single(link) => Ok(Arc::clone(link)),
            Self::Sharded(cluster) => cluster.link_to_master_of(channel),
        }
    }

    /// The link over which a channel is heard; waits for Redis to confirm that.
    async fn hears_over(&self, channel: &str) -> Result<Arc<Link>, LinkError> {
        let deadline = Instant::now() + COUNT_TIMEOUT;
        loop {
            let link = self.link_to(channel)?;
            if link.hears(channel) {
                return Ok(link);
            }
            if !link.status.hears() || Instant::now() > deadline {
                return Err(link.closed());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Publishes what waits, unsubscribes, and leaves.
    pub(crate) async fn close(&self) {
        match self {
            Self::Single(link) => {
                link.close().await;
                if let Endpoint::Cluster(lookups) = &link.endpoint {
                    lookups.close().await;
                }
            }
            Self::Sharded(cluster) => cluster.close().await,
        }
    }
}

/// The number in `[channel, number]`, or in `{channel: number}`.
fn count_of(answer: &Value) -> usize {
    let number = match answer {
        Value::Array(parts) => parts.get(1),
        Value::Map(entries) => entries.first().map(|(_, number)| number),
        _ => None,
    };
    match number {
        Some(Value::Int(number)) => usize::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}

/// Whether a future is ready without anything else happening.
#[cfg(test)]
async fn is_ready(future: impl Future<Output = ()>) -> bool {
    let soon = Duration::from_millis(10);
    tokio::time::timeout(soon, future).await.is_ok()
}

impl Drop for Bus {
    fn drop(&mut self) {
        match self {
            Self::Single(link) => link.abort(),
            Self::Sharded(cluster) => cluster.abort(),
        }
    }
}
