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
//! | `link`          | the two connections to one server                      |
//! | `publisher`     | the task that publishes                                |
//! | `subscriber`    | the task that keeps everything subscribed to           |
//! | `queue`         | what waits to be published                             |
//! | `subscriptions` | what is to be subscribed to                            |
//! | `probe`         | a message to oneself                                   |
//! | `status`        | whether all this works                                 |
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
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod link;
pub(crate) mod probe;
pub(crate) mod publisher;
pub(crate) mod queue;
pub(crate) mod server;
pub(crate) mod status;
pub(crate) mod subscriber;
pub(crate) mod subscriptions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis::adapter::{BusGap, Health};
use redis::Value;

use self::endpoint::Endpoint;
use self::error::LinkError;
use self::link::Link;
use self::queue::{Outgoing, QueueLimits};
use self::subscriptions::Subscription;
use crate::address::Address;

/// How long Redis may take to say how many subscribe to a channel.
const COUNT_TIMEOUT: Duration = Duration::from_secs(2);

/// Is told what Redis says.
pub(crate) trait Receive: fmt::Debug + Send + Sync + 'static {
    /// A message; must not block.
    fn message(&self, channel: &str, payload: Bytes);

    /// An interval in which messages may have been lost is over.
    fn gap(&self, gap: BusGap);

    /// Something went wrong; there may be other servers now.
    fn suspect(&self, _error: &LinkError) {}
}

/// What a bus is made of.
#[derive(Debug, Clone)]
pub(crate) struct BusOptions {
    pub(crate) limits: QueueLimits,
    /// Where messages to oneself go.
    pub(crate) probe: String,
    pub(crate) is_sharded: bool,
}

/// The way to Redis and back.
#[derive(Debug)]
pub(crate) struct Bus {
    link: Arc<Link>,
}

impl Bus {
    /// Prepares everything; nothing is connected yet.
    pub(crate) fn new(
        address: &Address,
        options: BusOptions,
        receive: Arc<dyn Receive>,
    ) -> Result<Self, LinkError> {
        let endpoint = Endpoint::new(address)?;
        let link = Link::open(
            endpoint,
            options.limits,
            options.probe,
            options.is_sharded,
            receive,
        );
        Ok(Self { link })
    }

    /// Begins to connect, and goes on for as long as the bus is not closed.
    pub(crate) fn start(&self) {
        self.link.start();
    }

    /// Ready when everything works.
    pub(crate) async fn reached(&self) {
        self.link.status.reached().await;
    }

    /// What keeps it from working, for a person.
    pub(crate) fn reason(&self) -> String {
        self.link.status.reason()
    }

    /// Nobody waits for it to work any more.
    pub(crate) fn runs_alone(&self) {
        self.link.runs_alone();
    }

    pub(crate) fn health(&self) -> Health {
        self.link.status.health()
    }

    pub(crate) fn subscribe(&self, subscription: Subscription) {
        self.link.subscriptions.add(subscription);
    }

    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        self.link.subscriptions.remove(subscription);
    }

    pub(crate) fn publish(&self, message: Outgoing) {
        self.link.publish(message);
    }

    /// Ready when all that was published before has left, or never will.
    pub(crate) async fn flush(&self) {
        self.link.queue.empty().await;
    }

    /// How many subscribe to a channel, this process included.
    pub(crate) async fn count(&self, channel: &str) -> Result<usize, LinkError> {
        let connection = self.link.connection().ok_or_else(|| LinkError::Closed {
            server: self.link.endpoint.name(),
        })?;
        let what = if self.link.is_sharded() {
            "SHARDNUMSUB"
        } else {
            "NUMSUB"
        };
        let mut command = redis::cmd("PUBSUB");
        command.arg(what).arg(channel);
        let answer = connection.ask(command, COUNT_TIMEOUT).await?;
        Ok(count_of(&answer))
    }

    /// Publishes what waits, unsubscribes, and leaves.
    pub(crate) async fn close(&self) {
        self.link.close().await;
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

impl Drop for Bus {
    fn drop(&mut self) {
        self.link.abort();
    }
}
