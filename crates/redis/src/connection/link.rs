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

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use portcullis::adapter::{BusGap, GapCause};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::error::LinkError;
use super::master::{self, Asked, Master};
use super::probe::Probe;
use super::queue::{Lost, Outgoing, PublishQueue, Queued};
use super::server::{Answered, Connection, Pushed, Server};
use super::status::{Half, Status};
use super::subscriptions::{Subscription, Subscriptions};
use super::{BusOptions, Receive, publisher, subscriber};
use crate::tasks::Tasks;

/// How long Redis may take to say how many subscribe to a channel.
pub(super) const COUNT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a connection is looked after in the time for which it may be silent.
const LOOKS: u32 = 4;

/// After how many looks in a row that find nothing a connection is given up.
pub(super) const MAX_MISSES: u32 = 6;

/// How long what waits may take to leave when the link is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The two connections to one server.
pub(crate) struct Link {
    pub(crate) endpoint: Endpoint,
    pub(crate) queue: PublishQueue,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) status: Status,
    pub(crate) probe: Probe,
    pub(crate) master: Master,
    is_sharded: bool,
    publishes_only: bool,
    /// How long a connection may be silent.
    keep_alive: Duration,
    /// The connection that publishes, while there is one.
    pub(crate) publishing: watch::Sender<Option<Connection>>,
    receive: Arc<dyn Receive>,
    /// Since when the server runs without having been reached.
    alone_since: Mutex<Option<SystemTime>>,
    /// The interval in which what other nodes say may be lost, if this is in it.
    gap: Mutex<Option<Gap>>,
    /// Channels that Redis took away, and until when they were known to be well.
    moved: Mutex<HashMap<Subscription, SystemTime>>,
    /// The latest failures to publish.
    lost: Mutex<Option<Lost>>,
    /// Since when others may have missed what this node published, if they may and nobody was told.
    unheard_since: Mutex<Option<SystemTime>>,
    pub(crate) closing: CancellationToken,
    tasks: Tasks,
}

/// An interval in which messages may be lost, which is not over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    pub(crate) cause: GapCause,
    pub(crate) since: SystemTime,
}

impl Link {
    pub(crate) fn open(
        endpoint: Endpoint,
        options: BusOptions,
        receive: Arc<dyn Receive>,
        tasks: Tasks,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            status: Status::new(endpoint.name()),
            endpoint,
            queue: PublishQueue::new(options.limits),
            subscriptions: Subscriptions::default(),
            probe: Probe::new(options.probe),
            master: Master::new(),
            is_sharded: options.is_sharded,
            publishes_only: options.publishes_only,
            keep_alive: options.keep_alive,
            publishing: watch::Sender::new(None),
            receive,
            alone_since: Mutex::new(None),
            gap: Mutex::new(None),
            moved: Mutex::default(),
            lost: Mutex::new(None),
            unheard_since: Mutex::new(None),
            closing: CancellationToken::new(),
            tasks,
        });
        if !link.publishes_only {
            let probe = link.subscription(&link.probe.channel());
            link.subscriptions.add(probe);
        }
        link
    }

    /// Begins to connect.
    pub(crate) fn start(self: &Arc<Self>) {
        self.tasks.spawn(publisher::run(Arc::clone(self)));
        if self.endpoint.has_sentinels() {
            self.tasks.spawn(master::run(Arc::clone(self)));
        }
        if self.publishes_only {
            self.status.up(Half::Subscriber);
        } else {
            self.tasks.spawn(subscriber::run(Arc::clone(self)));
        }
    }

    /// The server to connect to.
    pub(super) async fn resolve(&self) -> Result<Server, LinkError> {
        let asked = Asked::now();
        let server = self.endpoint.resolve().await?;
        if self.endpoint.has_sentinels() {
            self.master.named(&server.name, asked);
        }
        Ok(server)
    }

    /// A channel as this link subscribes to it.
    pub(crate) fn subscription(&self, channel: &str) -> Subscription {
        if self.is_sharded {
            Subscription::Sharded(channel.into())
        } else {
            Subscription::Channel(channel.into())
        }
    }

    /// How often each connection is looked after.
    pub(crate) fn look_interval(&self) -> Duration {
        self.keep_alive / LOOKS
    }

    /// How long Redis may take for an answer. With the longest time until it is asked for one, that
    /// is less than twice the time for which a connection may be silent.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.look_interval() * MAX_MISSES
    }

    pub(crate) const fn is_sharded(&self) -> bool {
        self.is_sharded
    }

    pub(crate) fn publish(&self, message: Outgoing) {
        self.queue.push(message);
    }

    /// Publishes a message past those that wait, as soon as there is a connection.
    pub(crate) async fn publish_now(&self, message: &Outgoing) -> Result<(), LinkError> {
        let timeout = self.answer_timeout();
        let mut publishing = self.publishing.subscribe();
        let connected = publishing.wait_for(Option::is_some);
        let connection = match tokio::time::timeout(timeout, connected).await {
            Ok(Ok(connection)) => connection.clone(),
            _ => None,
        };
        let Some(connection) = connection else {
            let server = self.endpoint.name();
            return Err(LinkError::Timeout { server, timeout });
        };
        let mut command = redis::cmd(publisher::publish_command(self.is_sharded));
        command.arg(&message.channel).arg(&message.payload);
        connection.ask(command, timeout).await?;
        Ok(())
    }

    /// Asks over the connection that publishes, if there is one now.
    pub(crate) async fn ask(&self, commands: &redis::Pipeline) -> Result<Answered, LinkError> {
        let connection = self.publishing.borrow().clone();
        let connection = connection.ok_or_else(|| self.closed())?;
        connection.query(commands, self.answer_timeout()).await
    }

    /// What Redis says, in the task that reads the subscriber's connection.
    pub(crate) fn handle_pushed(&self, pushed: Pushed) {
        match pushed {
            Pushed::Message { channel, payload } => {
                let Ok(channel) = std::str::from_utf8(&channel) else {
                    metrics::counter!("portcullis_bus_poison_total", "kind" => "channel")
                        .increment(1);
                    return;
                };
                if self.probe.is_on(channel) {
                    self.probe.seen(&payload);
                } else {
                    self.receive.message(channel, payload);
                }
            }
            Pushed::Unsubscribed { channel } => {
                let channel = String::from_utf8_lossy(&channel);
                if self.lose(Subscription::Sharded(channel.into())) {
                    self.suspect(&LinkError::Moved {
                        server: self.endpoint.name(),
                    });
                }
            }
        }
    }

    /// Redis took a channel away; says whether it is wanted here.
    fn lose(&self, subscription: Subscription) -> bool {
        // Whoever moves it elsewhere meanwhile looks here as soon as it is not wanted any more, and
        // must find it; nobody else would take it out again.
        let mut moved = self.moved.lock();
        let is_lost = self.subscriptions.lose(&subscription);
        if is_lost {
            moved.insert(subscription, self.probe.well());
        }
        is_lost
    }

    /// The server runs without having reached Redis; the first gap begins.
    pub(crate) fn runs_alone(&self, since: SystemTime) {
        if self.publishes_only || self.status.health().is_up() {
            return;
        }
        let mut alone_since = self.alone_since.lock();
        if alone_since.is_none() {
            *alone_since = Some(since);
            count_begun(GapCause::Start);
        }
    }

    /// A gap begins, or the one that there is began earlier.
    pub(crate) fn begin_gap(&self, begun: Gap) {
        begin(&mut self.gap.lock(), begun);
    }

    /// Subscribes to a channel that was lost, here or elsewhere. The gap is not over before it is
    /// here, and over soon if it is here already.
    pub(crate) fn adopt(&self, subscription: Subscription, begun: Gap) {
        // `end_gap` looks at both under this lock.
        let mut gap = self.gap.lock();
        self.subscriptions.adopt(subscription);
        begin(&mut gap, begun);
    }

    /// Does not subscribe to a channel any more; says whether it did.
    pub(crate) fn unsubscribe(&self, subscription: &Subscription) -> bool {
        // Not to be lost in between, see `lose`.
        let mut moved = self.moved.lock();
        moved.remove(subscription);
        self.subscriptions.remove(subscription)
    }

    /// The gap is over, if there was one and all that was lost is subscribed to again. What is new
    /// had nothing to lose.
    pub(crate) fn end_gap(&self) {
        // Whoever is told may use the link, and the cluster.
        if let Some(Gap { cause, since }) = self.take_ended() {
            self.report_gap(cause, since, None);
        }
    }

    fn take_ended(&self) -> Option<Gap> {
        let mut gap = self.gap.lock();
        if self.has_open() {
            return None;
        }
        let gap = gap.take();
        // Until Redis was reached for the first time, the server ran alone.
        let alone = self.alone_since.lock().take();
        let alone = alone.map(|since| Gap {
            cause: GapCause::Start,
            since,
        });
        if let (Some(_), Some(within)) = (alone, gap) {
            count_over(within.cause);
        }
        alone.or(gap)
    }

    /// What is not over goes on at another link, which was told since when, or ends with the node:
    /// nobody is told of it from here, and it is counted, so that none seems to go on for ever.
    fn leave_gaps(&self) {
        let gap = self.gap.lock().take();
        let alone = self.alone_since.lock().take();
        let causes = gap.map(|gap| gap.cause);
        let causes = causes.into_iter().chain(alone.map(|_| GapCause::Start));
        causes.for_each(count_over);
    }

    /// Since when messages on a channel that Redis took away may be lost.
    pub(crate) fn taken_since(&self, subscription: &Subscription) -> Option<SystemTime> {
        self.moved.lock().remove(subscription)
    }

    /// Since when messages on a channel may be lost, if they may be.
    pub(crate) fn lost_since(&self, subscription: &Subscription) -> Option<SystemTime> {
        let taken = self.taken_since(subscription);
        taken.or_else(|| self.gap.lock().as_ref().map(|gap| gap.since))
    }

    /// Whether Redis knows of all that is wanted here at this moment.
    pub(crate) fn is_settled(&self) -> bool {
        self.subscriptions.is_settled()
    }

    /// Whether something that is wanted here was refused or lost, and is not back.
    pub(crate) fn has_open(&self) -> bool {
        self.subscriptions.has_open()
    }

    /// What was refused or lost here and is not on its way back, or is back with a gap that was not
    /// told.
    pub(crate) fn unsettled(&self) -> HashSet<Subscription> {
        let mut unsettled = self.subscriptions.stuck();
        unsettled.extend(self.moved.lock().keys().cloned());
        unsettled
    }

    /// There is no connection to do it with.
    pub(super) fn closed(&self) -> LinkError {
        LinkError::Closed {
            server: self.endpoint.name(),
        }
    }

    /// Whether this node hears what is published on a channel here.
    pub(crate) fn hears(&self, channel: &str) -> bool {
        let subscription = self.subscription(channel);
        self.status.hears() && self.subscriptions.is_confirmed(&subscription)
    }

    /// Whether this server can be asked who subscribes to a channel, and would not count this node:
    /// Redis hears of what is left over one connection, and is asked over the other.
    pub(crate) fn has_left(&self, channel: &str) -> bool {
        let subscription = self.subscription(channel);
        self.publishing.borrow().is_some() && self.subscriptions.has_left(&subscription)
    }

    /// How many subscribe to a channel, as this server sees it.
    pub(crate) async fn count(&self, channel: &str) -> Result<usize, LinkError> {
        let connection = self.publishing.borrow().clone();
        let connection = connection.ok_or_else(|| self.closed())?;
        let what = if self.is_sharded {
            "SHARDNUMSUB"
        } else {
            "NUMSUB"
        };
        let mut command = redis::cmd("PUBSUB");
        command.arg(what).arg(channel);
        let answer = connection.ask(command, COUNT_TIMEOUT).await?;
        Ok(super::count_of(&answer))
    }

    /// Whether a channel may belong to another server.
    pub(crate) fn is_in_cluster(&self) -> bool {
        self.receive.is_in_cluster()
    }

    /// Hands over messages that belong to another server, or hands them back.
    pub(crate) fn misdirected(&self, messages: Vec<Queued>) -> Result<(), Vec<Queued>> {
        self.receive.misdirected(messages)
    }

    pub(crate) fn report_gap(&self, cause: GapCause, since: SystemTime, lost: Option<u64>) {
        let gap = BusGap::new(cause, since, SystemTime::now(), lost);
        self.receive.gap(gap);
    }

    /// Messages were handed over, and no answer says that Redis took them.
    pub(crate) fn lost(&self, lost: Option<Lost>) {
        if let Some(more) = lost {
            metrics::counter!("portcullis_redis_publish_lost_total").increment(more.count);
            let mut lost = self.lost.lock();
            *lost = Some(Lost::and(*lost, more));
        }
    }

    /// Whether something was lost that is so old, and was not told.
    pub(crate) fn has_lost_for(&self, age: Duration) -> bool {
        let lost = *self.lost.lock();
        let lost_for = lost.and_then(|lost| lost.since.elapsed().ok());
        lost_for.is_some_and(|lost_for| lost_for >= age)
    }

    /// Redis took what was published since then, and others may have been at another server.
    pub(crate) fn note_unheard(&self, since: SystemTime) {
        let mut unheard_since = self.unheard_since.lock();
        *unheard_since = Some(unheard_since.map_or(since, |earlier| earlier.min(since)));
    }

    /// Publishing works: what was lost before is known in full now.
    pub(crate) fn publishing_works(&self) {
        let unheard_since = self.unheard_since.lock().take();
        if let Some(since) = unheard_since {
            // Nobody knows whom it has reached.
            self.report_gap(GapCause::PublishFailed, since, None);
        }
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
        self.never_left(Lost::of(&self.queue.take_all()));
        self.closing.cancel();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.tasks.finished())
            .await
            .is_err()
        {
            self.tasks.stop().await;
        }
        self.give_up();
    }

    /// Counts and tells what has not left, and lets nobody wait for it: nothing leaves any more.
    /// Does nothing the second time.
    fn give_up(&self) {
        self.never_left(Lost::of(&self.queue.take_all()));
        self.never_left(self.queue.abandon());
        // Nobody will know more about what was lost.
        self.publishing_works();
        self.leave_gaps();
    }

    fn never_left(&self, lost: Option<Lost>) {
        if let Some(Lost { count, .. }) = lost {
            tracing::warn!(
                messages = count,
                "messages were not published before closing"
            );
        }
        self.lost(lost);
    }

    /// Ends without a goodbye, and says what is lost by that.
    pub(crate) fn abandon(&self) {
        self.abort();
        self.give_up();
    }

    /// Ends without a goodbye.
    pub(crate) fn abort(&self) {
        self.tasks.abort();
    }
}

fn begin(gap: &mut Option<Gap>, begun: Gap) {
    if let Some(gap) = gap {
        gap.since = gap.since.min(begun.since);
    } else {
        count_begun(begun.cause);
        *gap = Some(begun);
    }
}

fn count_begun(cause: GapCause) {
    metrics::counter!("portcullis_bus_gaps_begun_total", "cause" => cause.as_str()).increment(1);
}

/// Counts the end of a gap that nobody is told of; the framework counts those that it tells.
fn count_over(cause: GapCause) {
    metrics::counter!("portcullis_bus_gaps_total", "cause" => cause.as_str()).increment(1);
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{OnceLock, Weak};

    use bytes::Bytes;
    use portcullis_testing::Witness;
    use redis::IntoConnectionInfo as _;

    use super::*;
    use crate::connection::is_ready;
    use crate::connection::queue::QueueLimits;

    /// Looks whether the link is free when it is told of a gap.
    #[derive(Debug, Default)]
    struct Hook {
        link: OnceLock<Weak<Link>>,
        was_free: Mutex<Vec<bool>>,
    }

    impl Receive for Hook {
        fn message(&self, _channel: &str, _payload: Bytes) {}

        fn gap(&self, _gap: BusGap) {
            let link = self.link.get().and_then(Weak::upgrade).unwrap();
            let is_free = link.gap.try_lock().is_some();
            self.was_free.lock().push(is_free);
        }
    }

    fn link(publishes_only: bool) -> (Arc<Link>, Arc<Hook>) {
        let info = "redis://127.0.0.1:1".into_connection_info().unwrap();
        let endpoint = Endpoint::Fixed(Box::new(Server::new(info).unwrap()));
        let options = BusOptions {
            limits: QueueLimits {
                messages: 1,
                bytes: 1,
            },
            probe: "probe".to_owned(),
            is_sharded: true,
            keep_alive: Duration::from_secs(1),
            publishes_only,
        };
        let hook = Arc::new(Hook::default());
        let link = Link::open(endpoint, options, Arc::clone(&hook) as _, Tasks::current());
        hook.link.set(Arc::downgrade(&link)).unwrap();
        (link, hook)
    }

    #[tokio::test]
    async fn whoever_is_told_of_a_gap_may_use_the_link() {
        let (link, hook) = link(true);
        link.begin_gap(Gap {
            cause: GapCause::Moved,
            since: SystemTime::now(),
        });
        link.end_gap();
        link.end_gap();
        assert_eq!(*hook.was_free.lock(), [true]);
    }

    #[tokio::test]
    async fn a_gap_is_over_when_what_was_lost_is_back_whatever_is_new() {
        let (link, hook) = link(false);
        link.subscriptions.forget_confirmed();
        link.begin_gap(Gap {
            cause: GapCause::Moved,
            since: SystemTime::now(),
        });
        for (subscription, is_wanted) in link.subscriptions.next_changes(10) {
            link.end_gap();
            assert!(hook.was_free.lock().is_empty());
            link.subscriptions.confirm(&subscription, is_wanted);
        }
        link.subscriptions.add(link.subscription("new"));
        link.end_gap();
        assert_eq!(*hook.was_free.lock(), [true]);
    }

    #[tokio::test]
    async fn a_link_that_is_abandoned_tells_what_is_lost_and_nobody_waits_for_it() {
        let (link, hook) = link(true);
        link.publish(Outgoing {
            channel: "a".to_owned(),
            payload: Vec::new(),
            is_sharded: true,
        });
        let batch = link.queue.next_batch().await;
        let flushing = link.queue.flushed();
        tokio::pin!(flushing);
        assert!(!is_ready(&mut flushing).await);
        link.abandon();
        assert!(is_ready(flushing).await);
        // The task that had it was about to say so.
        link.queue.done(batch.len());
        link.abandon();
        assert_eq!(*hook.was_free.lock(), [true]);
    }

    #[tokio::test]
    async fn what_a_server_took_while_others_were_elsewhere_is_told_once() {
        let (link, hook) = link(true);
        link.note_unheard(SystemTime::now());
        link.note_unheard(SystemTime::UNIX_EPOCH);
        link.publishing_works();
        link.publishing_works();
        assert_eq!(*hook.was_free.lock(), [true]);
    }

    /// How many gaps of a cause have begun, and how many are over.
    fn counted(cause: GapCause) -> (u64, u64) {
        let (witness, cause) = (Witness::of_process(), format!("cause={}", cause.as_str()));
        (
            witness.count("portcullis_bus_gaps_begun_total", &cause),
            witness.count("portcullis_bus_gaps_total", &cause),
        )
    }

    #[tokio::test]
    async fn gaps_that_a_link_leaves_behind_are_counted_as_over_and_told_to_nobody() {
        let causes = [GapCause::Silent, GapCause::Start];
        assert_eq!(causes.map(counted), [(0, 0); 2]);
        let (link, hook) = link(false);
        link.runs_alone(SystemTime::now());
        link.runs_alone(SystemTime::now());
        link.begin_gap(Gap {
            cause: GapCause::Silent,
            since: SystemTime::now(),
        });
        assert_eq!(causes.map(counted), [(1, 0); 2]);
        link.close().await;
        assert_eq!(causes.map(counted), [(1, 1); 2]);
        assert!(hook.was_free.lock().is_empty());
    }
}
