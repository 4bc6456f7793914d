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
//! - A channel that moved has a gap, from when it was lost at the old master until it is
//!   subscribed to at the new one.
//! - What the wrong master refuses is published again where it belongs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis::adapter::{BusGap, GapCause, Health};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::error::LinkError;
use super::link::{Gap, Link};
use super::lookups::Lookups;
use super::queue::Outgoing;
use super::slots::SlotMap;
use super::subscriptions::Subscription;
use super::{BusOptions, Receive};
use crate::tasks::Tasks;

/// How often the cluster is looked at while all is well.
const CALM: Duration = Duration::from_secs(10);

/// How often it is looked at while something is wrong.
const ALARMED: Duration = Duration::from_millis(150);

/// The links to the masters of a cluster.
pub(crate) struct Cluster {
    options: BusOptions,
    lookups: Lookups,
    receive: Arc<dyn Receive>,
    own: Weak<Self>,
    state: Mutex<State>,
    suspected: Notify,
    is_mapped: watch::Sender<bool>,
    closing: CancellationToken,
    tasks: Tasks,
}

#[derive(Default)]
struct State {
    map: SlotMap,
    links: HashMap<String, Arc<Link>>,
    wanted: HashSet<Subscription>,
    /// What waits for a master to be known, or for another one.
    homeless: Vec<Outgoing>,
    /// Who may know more.
    hint: Option<String>,
    failure: Option<String>,
    runs_alone: bool,
}

/// How often it is looked whether everything works, while somebody waits for that.
const GLANCE: Duration = Duration::from_millis(10);

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

    fn misdirected(&self, messages: Vec<Outgoing>) -> bool {
        let Some(cluster) = self.cluster.upgrade() else {
            return false;
        };
        cluster.state.lock().homeless.extend(messages);
        cluster.suspect(None);
        true
    }
}

impl Cluster {
    pub(crate) fn new(
        lookups: Lookups,
        options: BusOptions,
        receive: Arc<dyn Receive>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            options,
            lookups,
            receive,
            own: own.clone(),
            state: Mutex::default(),
            suspected: Notify::new(),
            is_mapped: watch::Sender::new(false),
            closing: CancellationToken::new(),
            tasks: Tasks::current(),
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
                link.subscriptions.remove(subscription);
            }
        }
    }

    pub(crate) fn publish(&self, message: Outgoing) {
        let mut state = self.state.lock();
        match self.link_of(&mut state, &message.channel) {
            Some(link) => link.publish(message),
            None => self.keep(&mut state, message),
        }
    }

    /// Publishes a message past those that wait; follows its channel if that moves meanwhile.
    pub(crate) async fn publish_now(&self, message: &Outgoing) -> Result<(), LinkError> {
        let deadline = Instant::now() + self.options.keep_alive * 2;
        loop {
            let link = self.link_of(&mut self.state.lock(), &message.channel);
            let error = match link {
                Some(link) => match link.publish_now(message).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                None => LinkError::NoCluster {
                    reason: self.reason(),
                },
            };
            let may_pass = error.is_misdirected() || matches!(error, LinkError::NoCluster { .. });
            if !may_pass || Instant::now() >= deadline {
                return Err(error);
            }
            self.suspect(error.hint());
            tokio::time::sleep(ALARMED).await;
        }
    }

    /// Keeps a message until its master is known; the oldest goes if there are too many.
    fn keep(&self, state: &mut State, message: Outgoing) {
        if state.homeless.len() >= self.options.limits.messages {
            state.homeless.remove(0);
            metrics::counter!("portcullis_redis_publish_dropped_total").increment(1);
        }
        state.homeless.push(message);
    }

    /// The link to the master of a channel, made if there is none.
    fn link_of(&self, state: &mut State, channel: &str) -> Option<Arc<Link>> {
        let master = state.map.master_of(channel)?.to_owned();
        if let Some(link) = state.links.get(&master) {
            return Some(Arc::clone(link));
        }
        let server = self.lookups.server(&master).ok()?;
        let mut options = self.options.clone();
        options.probe = state.map.channel_on(&master, &self.options.probe)?;
        let ear = Ear {
            receive: Arc::clone(&self.receive),
            cluster: self.own.clone(),
        };
        let endpoint = Endpoint::Fixed(Box::new(server));
        let link = Link::open(endpoint, options, Arc::new(ear), self.tasks.others());
        if state.runs_alone {
            link.runs_alone();
        }
        link.start();
        state.links.insert(master, Arc::clone(&link));
        Some(link)
    }

    /// How many subscribe to a channel.
    pub(crate) async fn count(&self, channel: &str) -> Result<usize, LinkError> {
        let link = self.link_of(&mut self.state.lock(), channel);
        let link = link.ok_or_else(|| LinkError::NoCluster {
            reason: self.reason(),
        })?;
        link.count(channel).await
    }

    /// Looks at the cluster anew; says whether everything is in its place.
    async fn look(&self) -> bool {
        let hint = self.state.lock().hint.take();
        match self.lookups.slots(hint).await {
            Ok(map) => {
                self.lookups.keep_only(&map.masters());
                let leaving = self.settle_on(map);
                for link in leaving {
                    link.close().await;
                }
                self.is_mapped.send_replace(true);
                self.state
                    .lock()
                    .links
                    .values()
                    .all(|link| link.is_settled())
            }
            Err(error) => {
                self.state.lock().failure = Some(error.to_string());
                false
            }
        }
    }

    /// Puts every subscription and message where it belongs now. Links that nothing belongs to any
    /// more are handed back.
    fn settle_on(&self, map: SlotMap) -> Vec<Arc<Link>> {
        let mut state = self.state.lock();
        state.map = map;
        state.failure = None;
        let wanted: Vec<_> = state.wanted.iter().cloned().collect();
        for subscription in wanted {
            let Some(home) = self.link_of(&mut state, subscription.name()) else {
                continue;
            };
            let mut lost_since = None;
            for link in state.links.values() {
                if !Arc::ptr_eq(link, &home) && link.subscriptions.remove(&subscription) {
                    let since = link.lost_since(&subscription);
                    lost_since = Some(since.unwrap_or_else(SystemTime::now));
                }
            }
            if let Some(since) = lost_since {
                home.begin_gap(Gap {
                    cause: GapCause::Moved,
                    since,
                });
            }
            // Wanted here for the first time; or refused before, or lost.
            home.subscriptions.add(subscription.clone());
            home.subscriptions.want_again(&subscription);
        }
        self.renew_probes(&state);
        let masters = state.map.masters();
        let is_gone = |name: &String, _: &mut Arc<Link>| !masters.contains(name);
        let leaving: Vec<_> = state
            .links
            .extract_if(is_gone)
            .map(|(_, link)| link)
            .collect();
        for link in &leaving {
            state.homeless.extend(link.queue.take_all());
        }
        for message in std::mem::take(&mut state.homeless) {
            match self.link_of(&mut state, &message.channel) {
                Some(link) => link.publish(message),
                None => state.homeless.push(message),
            }
        }
        leaving
    }

    /// Messages to oneself must go where the link goes.
    fn renew_probes(&self, state: &State) {
        for (master, link) in &state.links {
            let channel = link.probe.channel();
            if state.map.master_of(&channel) != Some(master)
                && let Some(renewed) = state.map.channel_on(master, &self.options.probe)
            {
                link.subscriptions.remove(&link.subscription(&channel));
                link.subscriptions.add(link.subscription(&renewed));
                link.probe.rename(renewed);
            }
        }
    }

    /// Ready when every link works and everything is subscribed to. Links come and go meanwhile,
    /// so that there is nothing to wait for but the whole.
    pub(crate) async fn reached(&self) {
        while !self.health().is_up() {
            tokio::time::sleep(GLANCE).await;
        }
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
        state.runs_alone = true;
        state.links.values().for_each(|link| link.runs_alone());
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.state.lock();
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
                    since: Duration::ZERO,
                },
            };
        }
        let worst = healths.iter().find(|health| !health.is_up());
        match worst {
            None => match state.links.values().find(|link| !link.is_settled()) {
                None => Health::Up,
                Some(_) => Health::Degraded {
                    reason: "not everything is subscribed to yet".to_owned(),
                    since: Duration::ZERO,
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

    pub(crate) async fn flush(&self) {
        let links: Vec<_> = self.state.lock().links.values().cloned().collect();
        for link in links {
            link.queue.empty().await;
            link.subscriptions.settled().await;
        }
    }

    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.tasks.stop().await;
        let links: Vec<_> = self.state.lock().links.drain().collect();
        let closing = links.iter().map(|(_, link)| link.close());
        futures_util::future::join_all(closing).await;
        self.lookups.close().await;
    }

    pub(crate) fn abort(&self) {
        self.tasks.abort();
        self.state
            .lock()
            .links
            .values()
            .for_each(|link| link.abort());
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
