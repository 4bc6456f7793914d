//! What is to be subscribed to, and what of it Redis has not been told yet.
//!
//! # Invariants
//!
//! - Each channel is subscribed to once, however often it is asked for: Node counts subscribers.
//! - Changes that cancel each other out before Redis heard of them are never sent.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Something to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subscription {
    Channel(Arc<str>),
    Pattern(Arc<str>),
    Sharded(Arc<str>),
}

impl Subscription {
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::Channel(name) | Self::Pattern(name) | Self::Sharded(name) => name,
        }
    }

    pub(crate) const fn subscribe(&self) -> &'static str {
        match self {
            Self::Channel(_) => "SUBSCRIBE",
            Self::Pattern(_) => "PSUBSCRIBE",
            Self::Sharded(_) => "SSUBSCRIBE",
        }
    }

    pub(crate) const fn unsubscribe(&self) -> &'static str {
        match self {
            Self::Channel(_) => "UNSUBSCRIBE",
            Self::Pattern(_) => "PUNSUBSCRIBE",
            Self::Sharded(_) => "SUNSUBSCRIBE",
        }
    }
}

/// What is to be subscribed to on one link.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    state: Mutex<State>,
    changed: Notify,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    wanted: HashSet<Subscription>,
    /// What Redis has confirmed on the present connection.
    confirmed: HashSet<Subscription>,
    /// What may differ between the two.
    dirty: HashSet<Subscription>,
}

impl Subscriptions {
    /// Says whether it was not wanted before.
    pub(crate) fn add(&self, subscription: Subscription) -> bool {
        let mut state = self.state.lock();
        let is_new = state.wanted.insert(subscription.clone());
        if is_new {
            state.dirty.insert(subscription);
            drop(state);
            self.changed.notify_one();
        }
        is_new
    }

    /// Says whether it was wanted.
    pub(crate) fn remove(&self, subscription: &Subscription) -> bool {
        let mut state = self.state.lock();
        let was_wanted = state.wanted.remove(subscription);
        if was_wanted {
            state.dirty.insert(subscription.clone());
            drop(state);
            self.changed.notify_one();
        }
        was_wanted
    }

    /// Redis has ended a subscription; says whether it was wanted.
    pub(crate) fn lose(&self, subscription: &Subscription) -> bool {
        let mut state = self.state.lock();
        state.confirmed.remove(subscription);
        state.wanted.contains(subscription)
    }

    /// Tries again to subscribe to what was refused or lost.
    pub(crate) fn want_again(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        let is_open =
            state.wanted.contains(subscription) && !state.confirmed.contains(subscription);
        if is_open && state.dirty.insert(subscription.clone()) {
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.state.lock().is_settled()
    }

    /// A new connection has no subscriptions: all must be made.
    pub(crate) fn forget_confirmed(&self) {
        let mut state = self.state.lock();
        state.confirmed.clear();
        state.dirty = state.wanted.clone();
    }

    /// The next changes that Redis must hear of, at most `limit`: what to subscribe to, and what
    /// not to any more.
    pub(crate) fn next_changes(&self, limit: usize) -> Vec<(Subscription, bool)> {
        let mut state = self.state.lock();
        let mut changes = Vec::new();
        while changes.len() < limit {
            let Some(next) = state.dirty.iter().next().cloned() else {
                break;
            };
            state.dirty.remove(&next);
            let is_wanted = state.wanted.contains(&next);
            if is_wanted != state.confirmed.contains(&next) {
                changes.push((next, is_wanted));
            }
        }
        changes
    }

    /// Redis has confirmed a change.
    pub(crate) fn confirm(&self, subscription: Subscription, is_subscribed: bool) {
        let mut state = self.state.lock();
        if is_subscribed {
            state.confirmed.insert(subscription);
        } else {
            state.confirmed.remove(&subscription);
        }
        if state.is_settled() {
            drop(state);
            self.settled.notify_waiters();
        }
    }

    /// Ready when Redis knows of everything that is wanted.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.state.lock().is_settled() {
                return;
            }
            settled.await;
        }
    }

    /// What ends all subscriptions that Redis knows of.
    pub(crate) fn leave_commands(&self) -> Vec<redis::Cmd> {
        let state = self.state.lock();
        let leave = |subscription: &Subscription| {
            let mut command = redis::cmd(subscription.unsubscribe());
            command.arg(&**subscription.name());
            command
        };
        state.confirmed.iter().map(leave).collect()
    }

    /// Ready when there may be changes that Redis must hear of.
    ///
    /// # Cancel safety
    ///
    /// A change is not forgotten.
    pub(crate) async fn changed(&self) {
        loop {
            let changed = self.changed.notified();
            if !self.state.lock().dirty.is_empty() {
                return;
            }
            changed.await;
        }
    }
}

impl State {
    fn is_settled(&self) -> bool {
        // Nothing is confirmed that was not wanted, so equal numbers are equal sets.
        self.dirty.is_empty() && self.wanted.len() == self.confirmed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Subscription {
        Subscription::Channel(name.into())
    }

    #[test]
    fn what_comes_and_goes_before_redis_hears_of_it_is_never_sent() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        subscriptions.remove(&channel("a"));
        assert!(subscriptions.next_changes(10).is_empty());
    }

    #[test]
    fn what_is_asked_for_twice_is_subscribed_to_once() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        subscriptions.add(channel("a"));
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), true)]);
        subscriptions.confirm(channel("a"), true);
        subscriptions.add(channel("a"));
        assert!(subscriptions.next_changes(10).is_empty());
        subscriptions.remove(&channel("a"));
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), false)]);
    }

    #[test]
    fn a_new_connection_subscribes_to_everything_again() {
        let subscriptions = Subscriptions::default();
        for number in 0..5 {
            assert!(subscriptions.add(channel(&number.to_string())));
        }
        while let [(change, true), ..] = &subscriptions.next_changes(1)[..] {
            subscriptions.confirm(change.clone(), true);
        }
        subscriptions.forget_confirmed();
        assert_eq!(subscriptions.next_changes(3).len(), 3);
        assert_eq!(subscriptions.next_changes(3).len(), 2);
    }
}
