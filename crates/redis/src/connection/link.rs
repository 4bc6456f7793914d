//! The two connections to one server: one takes what is subscribed to, the other does the rest.
//!
//! ```text
//!  publish ─▶ queue ─▶ publisher ══ connection ══▶ Redis
//!                          │ probe                   │
//!  receive ◀──────── subscriber ◀══ connection ══════╝
//! ```
//!
//! # Invariants
//!
//! - The link is up only after everything was subscribed to again and a message to oneself came
//!   back.
//! - Every interval in which a message could have been lost is reported, once, when it is over.
//!
//! # Not here
//!
//! Which servers there are (`cluster`, `endpoint`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use portcullis::adapter::{BusGap, GapCause};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::error::LinkError;
use super::probe::Probe;
use super::queue::{Outgoing, PublishQueue, QueueLimits};
use super::server::{Connection, Pushed};
use super::status::Status;
use super::subscriptions::{Subscription, Subscriptions};
use super::{Receive, publisher, subscriber};
use crate::tasks::Tasks;

/// How often each connection is looked after.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long Redis may take for an answer: two rounds of looking after.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what waits may take to leave when the link is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The two connections to one server.
pub(crate) struct Link {
    pub(crate) endpoint: Endpoint,
    pub(crate) queue: PublishQueue,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) status: Status,
    pub(crate) probe: Probe,
    is_sharded: bool,
    /// The connection that publishes, while there is one.
    pub(crate) publishing: watch::Sender<Option<Connection>>,
    receive: Arc<dyn Receive>,
    /// Since when the server runs without having been reached.
    alone_since: Mutex<Option<SystemTime>>,
    /// The latest failures to publish.
    lost: Mutex<Option<Lost>>,
    pub(crate) closing: CancellationToken,
    tasks: Tasks,
}

/// What could not be published.
#[derive(Debug, Clone, Copy)]
struct Lost {
    count: u64,
    since: SystemTime,
}

impl Link {
    pub(crate) fn open(
        endpoint: Endpoint,
        limits: QueueLimits,
        probe: String,
        is_sharded: bool,
        receive: Arc<dyn Receive>,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            status: Status::new(endpoint.name()),
            endpoint,
            queue: PublishQueue::new(limits),
            subscriptions: Subscriptions::default(),
            probe: Probe::new(probe),
            is_sharded,
            publishing: watch::Sender::new(None),
            receive,
            alone_since: Mutex::new(None),
            lost: Mutex::new(None),
            closing: CancellationToken::new(),
            tasks: Tasks::default(),
        });
        link.subscriptions
            .add(link.subscription(&link.probe.channel));
        link
    }

    /// Begins to connect.
    pub(crate) fn start(self: &Arc<Self>) {
        self.tasks.spawn(publisher::run(Arc::clone(self)));
        self.tasks.spawn(subscriber::run(Arc::clone(self)));
    }

    /// A channel as this link subscribes to it.
    pub(crate) fn subscription(&self, channel: &str) -> Subscription {
        if self.is_sharded {
            Subscription::Sharded(channel.into())
        } else {
            Subscription::Channel(channel.into())
        }
    }

    pub(crate) const fn is_sharded(&self) -> bool {
        self.is_sharded
    }

    pub(crate) fn publish(&self, message: Outgoing) {
        self.queue.push(message);
    }

    /// What Redis says, in the task that reads the subscriber's connection.
    pub(crate) fn handle_pushed(&self, pushed: Pushed, moved: &CancellationToken) {
        match pushed {
            Pushed::Message { channel, payload } => {
                let Ok(channel) = std::str::from_utf8(&channel) else {
                    metrics::counter!("portcullis_bus_poison_total", "kind" => "channel")
                        .increment(1);
                    return;
                };
                if channel == self.probe.channel {
                    self.probe.seen(&payload);
                } else {
                    self.receive.message(channel, payload);
                }
            }
            Pushed::Unsubscribed { channel } => {
                let channel = String::from_utf8_lossy(&channel);
                if self.subscriptions.wants_sharded(&channel) {
                    moved.cancel();
                }
            }
        }
    }

    /// The connection for questions to Redis.
    pub(crate) fn connection(&self) -> Option<Connection> {
        self.publishing.borrow().clone()
    }

    /// The server runs without having reached Redis; the first gap begins.
    pub(crate) fn runs_alone(&self) {
        self.alone_since.lock().get_or_insert_with(SystemTime::now);
    }

    /// Since when the server ran without ever having reached Redis, which it has now.
    pub(crate) fn take_alone_since(&self) -> Option<SystemTime> {
        self.alone_since.lock().take()
    }

    pub(crate) fn report_gap(&self, cause: GapCause, since: SystemTime, lost: Option<u64>) {
        let gap = BusGap::new(cause, since, SystemTime::now(), lost);
        self.receive.gap(gap);
    }

    /// So many messages were handed over, and no answer says that Redis took them.
    pub(crate) fn lost(&self, count: u64) {
        metrics::counter!("portcullis_redis_publish_lost_total").increment(count);
        let mut lost = self.lost.lock();
        let lost = lost.get_or_insert_with(|| Lost {
            count: 0,
            since: SystemTime::now(),
        });
        lost.count = lost.count.saturating_add(count);
    }

    /// Publishing works: what was lost before is known in full now.
    pub(crate) fn publishing_works(&self) {
        let lost = self.lost.lock().take();
        if let Some(lost) = lost {
            self.report_gap(GapCause::PublishFailed, lost.since, Some(lost.count));
        }
        if let Some(dropped) = self.queue.take_dropped() {
            self.report_gap(GapCause::QueueFull, dropped.since, Some(dropped.count));
        }
    }

    /// Something went wrong on the way to the topology or to a server.
    pub(crate) fn suspect(&self, error: &LinkError) {
        self.receive.suspect(error);
    }

    /// Publishes what waits, and leaves.
    pub(crate) async fn close(&self) {
        if self.publishing.borrow().is_some() {
            // What has not left by then never will.
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, self.queue.empty()).await;
        }
        let left = self.queue.clear();
        if left > 0 {
            tracing::warn!(
                messages = left,
                "messages were not published before closing"
            );
            self.lost(left);
        }
        self.closing.cancel();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.tasks.finished())
            .await
            .is_err()
        {
            self.tasks.stop().await;
        }
    }

    /// Ends without a goodbye.
    pub(crate) fn abort(&self) {
        self.tasks.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
