//! Sharded channels on a cluster: a link to each master in use, and channels that move.
//!
//! ```text
//!  channel ─▶ slot ─▶ master ─▶ Link            MOVED, sunsubscribe, lost links
//!                ▲                                        │
//!             SlotMap ◀── CLUSTER SLOTS ◀── watch ◀───────┘
//! ```
//!
//! # Invariants
//!
//! - Each subscription is wanted at one link: that of the channel's master.
//! - Looking at the cluster waits for nobody who leaves it.
//!
//! # Not here
//!
//! What goes where when the slots are known anew (`settling`); what has no place (`homeless`).

mod homeless;
mod settling;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis::adapter::{BusGap, Health};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::homeless::Homeless;
use super::error::LinkError;
use super::link::Link;
use super::lookups::{Lookups, first_error};
use super::queue::{Outgoing, Queued};
use super::server::Answered;
use super::slots::SlotMap;
use super::subscriptions::Subscription;
use super::{BusOptions, GLANCE, Receive};
use crate::tasks::Tasks;

/// How often the cluster is looked at while all is well.
const CALM: Duration = Duration::from_secs(10);

/// How often it is looked at while something is wrong.
const ALARMED: Duration = Duration::from_millis(150);

/// For how long something is asked again that cannot be answered at the moment.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long what waits for a master, and links that nothing belongs to any more, may take when the
/// cluster is left.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The links to the masters of a cluster.
pub(crate) struct Cluster {
    options: BusOptions,
    lookups: Lookups,
    receive: Arc<dyn Receive>,
    own: Weak<Self>,
    state: Mutex<State>,
    /// What waits for a master to be known, or for another one.
    homeless: Homeless,
    suspected: Notify,
    is_mapped: watch::Sender<bool>,
    closing: CancellationToken,
    tasks: Tasks,
    /// What closes links that nothing belongs to any more.
    leaving: Tasks,
}

struct State {
    map: SlotMap,
    links: HashMap<String, Arc<Link>>,
    wanted: HashSet<Subscription>,
    /// How often messages were handed on from where they waited.
    moves: u64,
    /// Who may know more.
    hint: Option<String>,
    failure: Option<String>,
    /// Since when not everything is in its place.
    wrong_since: Option<Instant>,
    /// Since when the server runs alone, if it does and the cluster was not seen yet.
    alone_since: Option<SystemTime>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            map: SlotMap::default(),
            links: HashMap::new(),
            wanted: HashSet::new(),
            moves: 0,
            hint: None,
            failure: None,
            // Nothing is known of the cluster yet.
            wrong_since: Some(Instant::now()),
            alone_since: None,
        }
    }
}

/// Stands between a link and whoever receives.
#[derive(Debug)]
struct Ear {
    receive: Arc<dyn Receive>,
    cluster: Weak<Cluster>,
}

impl Receive for Ear {
    fn message(&self, channel: &str, payload: Bytes) {
        self.receive.message(channel, payload);
    }

    fn gap(&self, gap: BusGap) {
        self.receive.gap(gap);
    }

    fn suspect(&self, error: &LinkError) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.suspect(error.hint());
        }
    }

    fn is_in_cluster(&self) -> bool {
        true
    }

    fn misdirected(&self, messages: Vec<Queued>) -> Result<(), Vec<Queued>> {
        match self.cluster.upgrade() {
            Some(cluster) if !cluster.closing.is_cancelled() => {
                for queued in messages {
                    cluster.homeless.queue.push_queued(queued);
                }
                cluster.state.lock().moves += 1;
                cluster.suspect(None);
                Ok(())
            }
            // Nobody looks for another master any more.
            _ => Err(messages),
        }
    }
}

impl Cluster {
    pub(crate) fn new(
        lookups: Lookups,
        options: BusOptions,
        receive: Arc<dyn Receive>,
    ) -> Arc<Self> {
        let tasks = Tasks::current();
        Arc::new_cyclic(|own| Self {
            lookups,
            homeless: Homeless::new(options.limits, Arc::clone(&receive)),
            receive,
            own: own.clone(),
            state: Mutex::default(),
            suspected: Notify::new(),
            is_mapped: watch::Sender::new(false),
            closing: CancellationToken::new(),
            leaving: tasks.others(),
            tasks,
            options,
        })
    }

    pub(crate) fn start(self: &Arc<Self>) {
        self.tasks.spawn(watch_topology(Arc::clone(self)));
    }

    fn suspect(&self, hint: Option<String>) {
        if hint.is_some() {
            self.state.lock().hint = hint;
        }
        self.suspected.notify_one();
    }

    pub(crate) fn subscribe(&self, subscription: Subscription) {
        let mut state = self.state.lock();
        if state.wanted.insert(subscription.clone())
            && let Some(link) = self.link_of(&mut state, subscription.name())
        {
            link.subscriptions.add(subscription);
        }
    }

    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        if state.wanted.remove(subscription) {
            for link in state.links.values() {
                link.unsubscribe(subscription);
            }
        }
    }

    pub(crate) fn publish(&self, message: Outgoing) {
        let mut state = self.state.lock();
        match self.link_of(&mut state, &message.channel) {
            Some(link) => link.publish(message),
            None => self.homeless.queue.push(message),
        }
    }

    /// Publishes a message past those that wait; follows its channel if that moves meanwhile.
    pub(crate) async fn publish_now(&self, message: &Outgoing) -> Result<(), LinkError> {
        let deadline = Instant::now() + self.options.keep_alive * 2;
        loop {
            let published = match self.link_to_master_of(&message.channel) {
                Ok(link) => link.publish_now(message).await,
                Err(error) => Err(error),
            };
            match published {
                Err(error) if self.may_pass(&error, deadline).await => {}
                published => return published,
            }
        }
    }

    /// Asks the master of `key`; follows it if it moves meanwhile.
    pub(crate) async fn ask(
        &self,
        key: &str,
        commands: &redis::Pipeline,
    ) -> Result<Answered, LinkError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answered = match self.link_to_master_of(key) {
                Ok(link) => link.ask(commands).await,
                Err(error) => Err(error),
            };
            let answered = answered.and_then(|found| match first_error(key, &found.answers) {
                Some(error) if error.is_misdirected() => Err(error),
                _ => Ok(found),
            });
            match answered {
                Err(error) if self.may_pass(&error, deadline).await => {}
                answered => return answered,
            }
        }
    }

    pub(super) fn link_to_master_of(&self, key: &str) -> Result<Arc<Link>, LinkError> {
        let link = self.link_of(&mut self.state.lock(), key);
        link.ok_or_else(|| LinkError::NoCluster {
            reason: self.reason(),
        })
    }

    /// Whether it is worth trying again what another master may do soon, or the same one once it is
    /// connected to; waits a little if so.
    async fn may_pass(&self, error: &LinkError, deadline: Instant) -> bool {
        self.suspect(error.hint());
        let may_pass = error.is_misdirected()
            || matches!(
                error,
                LinkError::NoCluster { .. } | LinkError::Closed { .. }
            );
        let is_worth_it = may_pass && Instant::now() < deadline;
        if is_worth_it {
            tokio::time::sleep(ALARMED).await;
        }
        is_worth_it
    }

    /// How many subscribe to a channel.
    pub(crate) async fn count(&self, channel: &str) -> Result<usize, LinkError> {
        self.link_to_master_of(channel)?.count(channel).await
    }

    /// Looks at the cluster anew; says whether everything is in its place.
    async fn look(&self) -> bool {
        let hint = self.state.lock().hint.take();
        let is_well = match self.lookups.slots(hint).await {
            Ok(map) => {
                self.lookups.keep_only(&map.masters());
                for link in self.settle_on(map) {
                    // That takes time, in which others may have to be found.
                    self.leaving.spawn(Leaving(link).close());
                }
                self.is_mapped.send_replace(true);
                self.homeless.report_dropped();
                let state = self.state.lock();
                let is_in_order = |link: &Arc<Link>| link.status.hears() && !link.has_open();
                state.links.values().all(is_in_order)
            }
            Err(error) => {
                self.state.lock().failure = Some(error.to_string());
                false
            }
        };
        let mut state = self.state.lock();
        let since = state.wrong_since.take().unwrap_or_else(Instant::now);
        state.wrong_since = (!is_well).then_some(since);
        is_well
    }

    /// Ready when every link works and everything is subscribed to. Links come and go meanwhile,
    /// so that there is nothing to wait for but the whole.
    pub(crate) async fn reached(&self) {
        while !self.health().is_up() || !self.is_settled() {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Whether everything is subscribed to at this moment.
    fn is_settled(&self) -> bool {
        let state = self.state.lock();
        state.links.values().all(|link| link.is_settled())
    }

    pub(crate) fn reason(&self) -> String {
        let state = self.state.lock();
        let links = state.links.values().map(|link| link.status.reason());
        let reasons = state.failure.clone().into_iter().chain(links);
        let found = reasons.into_iter().find(|reason| !reason.is_empty());
        found.unwrap_or_else(|| "the cluster has not been seen yet".to_owned())
    }

    pub(crate) fn runs_alone(&self) {
        let mut state = self.state.lock();
        let since = SystemTime::now();
        let links = state.links.values();
        links.for_each(|link| link.runs_alone(since));
        if !*self.is_mapped.borrow() {
            state.alone_since = Some(since);
        }
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.state.lock();
        let since = state.wrong_since.map(|since| since.elapsed());
        let since = since.unwrap_or_default();
        let healths: Vec<_> = state
            .links
            .values()
            .map(|link| link.status.health())
            .collect();
        if healths.is_empty() {
            return match (&state.failure, *self.is_mapped.borrow()) {
                (None, true) => Health::Up,
                (failure, _) => Health::Down {
                    reason: failure.clone().unwrap_or_else(|| "not seen yet".to_owned()),
                    since,
                },
            };
        }
        let worst = healths.iter().find(|health| !health.is_up());
        match worst {
            None => match state.links.values().find(|link| link.has_open()) {
                None => Health::Up,
                Some(_) => Health::Degraded {
                    reason: "not everything is subscribed to yet".to_owned(),
                    since,
                },
            },
            Some(health) if healths.iter().all(|health| !health.is_up()) => health.clone(),
            Some(Health::Down { reason, since } | Health::Degraded { reason, since }) => {
                Health::Degraded {
                    reason: reason.clone(),
                    since: *since,
                }
            }
            Some(_) => Health::Up,
        }
    }

    /// Ready when what was published before has left, and what was wanted before is subscribed to.
    pub(crate) async fn flush(&self) {
        self.left().await;
        let mut marks = Vec::new();
        while !self.is_through(&mut marks) {
            // Channels may move meanwhile, and links go without ever being settled.
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Whether every link that is still there has done what it had to when it was first seen here.
    fn is_through(&self, marks: &mut Vec<(Arc<Link>, u64)>) -> bool {
        let state = self.state.lock();
        if !*self.is_mapped.borrow() && !state.wanted.is_empty() {
            // There is no link yet to be told of it.
            return false;
        }
        let links = || state.links.values();
        marks.retain(|(known, _)| links().any(|link| Arc::ptr_eq(link, known)));
        for link in links() {
            if !marks.iter().any(|(known, _)| Arc::ptr_eq(known, link)) {
                marks.push((Arc::clone(link), link.subscriptions.mark()));
            }
        }
        let mut known = marks.iter();
        known.all(|(link, mark)| link.subscriptions.is_through(*mark))
    }

    /// Ready when what was published before has left or is lost, wherever it waited.
    async fn left(&self) {
        loop {
            let (moves, homeless, links) = self.marks();
            self.homeless.queue.left(homeless).await;
            for (link, mark) in links {
                link.queue.left(mark).await;
            }
            // What was handed on meanwhile waits elsewhere.
            if self.state.lock().moves == moves {
                return;
            }
        }
    }

    /// How often messages were handed on, and how many were ever added, to what is homeless and at
    /// each link.
    fn marks(&self) -> (u64, u64, Vec<(Arc<Link>, u64)>) {
        let state = self.state.lock();
        let links = state.links.values();
        let links = links.map(|link| (Arc::clone(link), link.queue.mark()));
        (state.moves, self.homeless.queue.mark(), links.collect())
    }

    pub(crate) async fn close(&self) {
        let is_publishing = {
            let state = self.state.lock();
            let mut links = state.links.values();
            links.any(|link| link.publishing.borrow().is_some())
        };
        if is_publishing {
            // What has not left by then never will.
            let _ = tokio::time::timeout(LEAVE_TIMEOUT, self.left()).await;
        }
        self.closing.cancel();
        self.tasks.stop().await;
        let links: Vec<_> = self.state.lock().links.drain().collect();
        let closing = links.iter().map(|(_, link)| link.close());
        futures_util::future::join_all(closing).await;
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, self.leaving.finished()).await;
        self.leaving.stop().await;
        self.homeless.close();
        self.lookups.close().await;
    }

    pub(crate) fn abort(&self) {
        self.tasks.abort();
        self.leaving.abort();
        self.state
            .lock()
            .links
            .values()
            .for_each(|link| link.abort());
    }
}

/// A link that nothing belongs to any more. It ends with whoever closes it.
struct Leaving(Arc<Link>);

impl Leaving {
    async fn close(self) {
        self.0.close().await;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Whoever flushes may wait for what it has.
        self.0.abandon();
    }
}

/// Looks at the cluster now and then, and soon when something is wrong.
async fn watch_topology(cluster: Arc<Cluster>) {
    loop {
        let is_well = cluster.look().await;
        let pause = if is_well { CALM } else { ALARMED };
        let suspected = async {
            cluster.suspected.notified().await;
            // What is wrong with one channel is wrong with others; once is enough for all.
            tokio::time::sleep(ALARMED / 3).await;
        };
        tokio::select! {
            () = suspected => {}
            () = tokio::time::sleep(pause) => {}
            () = cluster.closing.cancelled() => return,
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("lookups", &self.lookups)
            .finish_non_exhaustive()
    }
}
