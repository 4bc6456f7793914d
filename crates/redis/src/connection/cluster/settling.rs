//! What belongs to which master, and how it gets there when the slots have moved.
//!
//! ```text
//!  SlotMap ─▶ subscriptions: left there, adopted here, with a gap
//!          ─▶ messages: those at the wrong link, and the homeless, the oldest first
//!          ─▶ messages to oneself: to a channel of the link's own master
//! ```
//!
//! # Invariants
//!
//! - A channel that moved has a gap, from when it was lost at the old master until it is
//!   subscribed to at the new one.
//! - What the wrong master refuses is published again where it belongs, and what waits for the
//!   wrong one goes to the right one with it, in the order in which it was handed over.

use std::sync::Arc;

use portcullis::adapter::GapCause;

use super::{Cluster, Ear, State};
use crate::connection::endpoint::Endpoint;
use crate::connection::link::{Gap, Link};
use crate::connection::queue::{Outgoing, Queued};
use crate::connection::slots::SlotMap;
use crate::connection::subscriptions::Subscription;

impl Cluster {
    /// The link to the master of a channel, made if there is none.
    pub(super) fn link_of(&self, state: &mut State, channel: &str) -> Option<Arc<Link>> {
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
        if let Some(since) = state.alone_since {
            link.runs_alone(since);
        }
        link.start();
        state.links.insert(master, Arc::clone(&link));
        Some(link)
    }

    /// Puts every subscription and message where it belongs now. Links that nothing belongs to any
    /// more are handed back.
    pub(super) fn settle_on(&self, map: SlotMap) -> Vec<Arc<Link>> {
        let mut state = self.state.lock();
        let is_as_before = map.has_masters_of(&state.map);
        state.map = map;
        state.failure = None;
        if is_as_before {
            self.settle_open(&mut state);
        } else {
            self.settle_wanted(&mut state);
            self.renew_probes(&state);
        }
        // Links that are made from now on are for channels that nobody listened to meanwhile.
        state.alone_since = None;
        let masters = state.map.masters();
        let is_gone = |name: &String, _: &mut Arc<Link>| !masters.contains(name);
        let leaving: Vec<_> = state
            .links
            .extract_if(is_gone)
            .map(|(_, link)| link)
            .collect();
        let mut moving = self.homeless.queue.take_all();
        if !is_as_before {
            moving.extend(take_misplaced(&state, &leaving));
        }
        self.settle_messages(&mut state, moving);
        leaving
    }

    /// Puts every subscription where it belongs now.
    fn settle_wanted(&self, state: &mut State) {
        let wanted: Vec<_> = state.wanted.iter().cloned().collect();
        for subscription in wanted {
            if let Some(home) = self.link_of(state, subscription.name()) {
                settle_subscription(state, &home, &subscription);
            }
        }
    }

    /// Where nothing has moved, only what was refused or taken away is not in its place. Walking
    /// over all that is wanted would hold up whoever emits.
    fn settle_open(&self, state: &mut State) {
        let links: Vec<_> = state.links.values().cloned().collect();
        for link in links {
            for subscription in link.unsettled() {
                if !state.wanted.contains(&subscription) {
                    // The channel of its messages to itself.
                    link.subscriptions.want_again(&subscription);
                } else if let Some(home) = self.link_of(state, subscription.name()) {
                    settle_subscription(state, &home, &subscription);
                }
            }
        }
    }

    /// Hands messages to where they belong, the oldest first.
    fn settle_messages(&self, state: &mut State, mut moving: Vec<Queued>) {
        if !moving.is_empty() {
            state.moves += 1;
        }
        moving.sort_by_key(|queued| queued.since);
        for queued in moving {
            match self.link_of(state, &queued.message.channel) {
                Some(link) => link.queue.push_queued(queued),
                None => self.homeless.queue.push_queued(queued),
            }
        }
    }

    /// Messages to oneself must go where the link goes.
    fn renew_probes(&self, state: &State) {
        if self.options.publishes_only {
            return;
        }
        for (master, link) in &state.links {
            let channel = link.probe.channel();
            if state.map.master_of(&channel) != Some(master)
                && let Some(renewed) = state.map.channel_on(master, &self.options.probe)
            {
                link.unsubscribe(&link.subscription(&channel));
                link.subscriptions.add(link.subscription(&renewed));
                link.probe.rename(renewed);
            }
        }
    }
}

/// Takes what waits at the wrong link.
fn take_misplaced(state: &State, leaving: &[Arc<Link>]) -> Vec<Queued> {
    let mut taken = Vec::new();
    for link in leaving {
        taken.extend(link.queue.take_all());
    }
    for (master, link) in &state.links {
        let is_misplaced =
            |message: &Outgoing| state.map.master_of(&message.channel) != Some(master);
        taken.extend(link.queue.take_where(is_misplaced));
    }
    taken
}

/// Puts a subscription where it belongs, with the gap that it has if it was elsewhere or away.
fn settle_subscription(state: &State, home: &Arc<Link>, subscription: &Subscription) {
    let mut lost_since = home.taken_since(subscription);
    for link in state.links.values() {
        if Arc::ptr_eq(link, home) || !link.subscriptions.remove(subscription) {
            continue;
        }
        let since = link.lost_since(subscription);
        // It may be lost and not have been told yet.
        let since = since.unwrap_or_else(|| link.probe.well());
        lost_since = Some(lost_since.map_or(since, |earlier| earlier.min(since)));
    }
    match lost_since {
        Some(since) => home.adopt(
            subscription.clone(),
            Gap {
                cause: GapCause::Moved,
                since,
            },
        ),
        // Wanted here for the first time, if it was not.
        None => _ = home.subscriptions.add(subscription.clone()),
    }
    // Refused before, or lost.
    home.subscriptions.want_again(subscription);
}
