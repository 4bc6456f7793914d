//! What is to be subscribed to, and what of it Redis has not been told yet.
//!
//! # Invariants
//!
//! - Each channel is subscribed to once, however often it is asked for: Node counts subscribers.
//! - Changes that cancel each other out before Redis heard of them are never sent.

use std::collections::{HashMap, HashSet};
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
    /// How many are in one of the two alone.
    differing: usize,
    /// What may differ between the two, and Redis was not told of.
    dirty: HashSet<Subscription>,
    /// What Redis was told of, and has not answered: whether to subscribe or to leave.
    in_flight: HashMap<Subscription, bool>,
}

impl Subscriptions {
    /// Says whether it was not wanted before.
    pub(crate) fn add(&self, subscription: Subscription) -> bool {
        self.want(subscription, true)
    }

    /// Wants it, and has whoever tells Redis look at it even if Redis knows.
    pub(crate) fn adopt(&self, subscription: Subscription) {
        let mut state = self.state.lock();
        state.want(&subscription, true);
        if !state.in_flight.contains_key(&subscription) {
            state.dirty.insert(subscription);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Says whether it was wanted.
    pub(crate) fn remove(&self, subscription: &Subscription) -> bool {
        self.want(subscription.clone(), false)
    }

    fn want(&self, subscription: Subscription, is_wanted: bool) -> bool {
        let mut state = self.state.lock();
        let is_change = state.want(&subscription, is_wanted);
        if is_change {
            state.dirty.insert(subscription);
            drop(state);
            self.changed.notify_one();
        }
        is_change
    }

    /// Redis has ended a subscription; says whether it is wanted, and Redis was not asked to.
    pub(crate) fn lose(&self, subscription: &Subscription) -> bool {
        let mut state = self.state.lock();
        state.confirm(subscription, false);
        if state.in_flight.get(subscription) == Some(&false) {
            // That is its answer.
            return false;
        }
        // If Redis was asked to subscribe, it did, and has ended it before anybody looked at its
        // answer, which is out of date then.
        state.in_flight.remove(subscription);
        self.tell_if_settled(&state);
        state.wanted.contains(subscription)
    }

    /// Tries again to subscribe to what was refused or lost.
    pub(crate) fn want_again(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        let is_open = state.wanted.contains(subscription)
            && !state.confirmed.contains(subscription)
            && !state.in_flight.contains_key(subscription);
        if is_open && state.dirty.insert(subscription.clone()) {
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.state.lock().is_settled()
    }

    /// Whether Redis has confirmed it, on the connection that there was last.
    pub(crate) fn is_confirmed(&self, subscription: &Subscription) -> bool {
        self.state.lock().confirmed.contains(subscription)
    }

    /// A new connection has no subscriptions: all must be made.
    pub(crate) fn forget_confirmed(&self) {
        let mut state = self.state.lock();
        state.confirmed.clear();
        state.in_flight.clear();
        state.differing = state.wanted.len();
        state.dirty = state.wanted.clone();
    }

    /// The next changes that Redis must hear of, at most `limit`: what to subscribe to, and what
    /// not to any more. Each must be confirmed or refused.
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
                state.in_flight.insert(next.clone(), is_wanted);
                changes.push((next, is_wanted));
            }
        }
        self.tell_if_settled(&state);
        changes
    }

    /// Redis has confirmed a change. If it has ended the subscription since, that counts.
    pub(crate) fn confirm(&self, subscription: &Subscription, is_subscribed: bool) {
        let mut state = self.state.lock();
        if state.in_flight.get(subscription) == Some(&is_subscribed) {
            state.in_flight.remove(subscription);
            state.confirm(subscription, is_subscribed);
            self.tell_if_settled(&state);
        }
    }

    /// Redis has refused a change, which may be tried again.
    pub(crate) fn refused(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        state.in_flight.remove(subscription);
        self.tell_if_settled(&state);
    }

    fn tell_if_settled(&self, state: &State) {
        if state.is_settled() {
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
    /// Says whether that is a change.
    fn want(&mut self, subscription: &Subscription, is_wanted: bool) -> bool {
        let is_change = change(&mut self.wanted, subscription, is_wanted);
        if is_change {
            self.count(is_wanted != self.confirmed.contains(subscription));
        }
        is_change
    }

    fn confirm(&mut self, subscription: &Subscription, is_subscribed: bool) {
        if change(&mut self.confirmed, subscription, is_subscribed) {
            self.count(is_subscribed != self.wanted.contains(subscription));
        }
    }

    /// One more differs now, or one less.
    const fn count(&mut self, differs: bool) {
        if differs {
            self.differing += 1;
        } else {
            self.differing -= 1;
        }
    }

    /// Whether Redis knows of what is wanted, and is not about to forget it.
    fn is_settled(&self) -> bool {
        self.differing == 0 && self.in_flight.is_empty()
    }
}

/// Puts something into a set, or takes it out; says whether that changes it.
fn change(set: &mut HashSet<Subscription>, subscription: &Subscription, is_in: bool) -> bool {
    if is_in {
        set.insert(subscription.clone())
    } else {
        set.remove(subscription)
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
        subscriptions.confirm(&channel("a"), true);
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
            subscriptions.confirm(change, true);
        }
        subscriptions.forget_confirmed();
        assert_eq!(subscriptions.next_changes(3).len(), 3);
        assert_eq!(subscriptions.next_changes(3).len(), 2);
    }

    /// Two sets of one size need not be one set.
    #[test]
    fn what_is_half_subscribed_to_and_half_left_is_not_settled() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("old"));
        assert_eq!(subscriptions.next_changes(10).len(), 1);
        subscriptions.confirm(&channel("old"), true);
        assert!(subscriptions.is_settled());
        subscriptions.remove(&channel("old"));
        subscriptions.add(channel("new"));
        assert_eq!(subscriptions.next_changes(10).len(), 2);
        assert!(!subscriptions.is_settled());
        subscriptions.confirm(&channel("old"), false);
        assert!(!subscriptions.is_settled());
        subscriptions.confirm(&channel("new"), true);
        assert!(subscriptions.is_settled());
    }

    #[test]
    fn what_is_wanted_again_while_redis_is_told_to_leave_it_is_neither_settled_nor_lost() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        subscriptions.next_changes(10);
        subscriptions.confirm(&channel("a"), true);
        subscriptions.remove(&channel("a"));
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), false)]);
        subscriptions.add(channel("a"));
        assert!(!subscriptions.is_settled());
        assert!(!subscriptions.lose(&channel("a")));
        subscriptions.confirm(&channel("a"), false);
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), true)]);
        subscriptions.confirm(&channel("a"), true);
        assert!(subscriptions.is_settled());
        assert!(subscriptions.lose(&channel("a")));
    }

    #[test]
    fn what_redis_ends_before_its_yes_is_looked_at_is_lost_and_subscribed_to_again() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), true)]);
        assert!(subscriptions.lose(&channel("a")));
        subscriptions.confirm(&channel("a"), true);
        assert!(!subscriptions.is_confirmed(&channel("a")));
        assert!(!subscriptions.is_settled());
        subscriptions.want_again(&channel("a"));
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), true)]);
        subscriptions.confirm(&channel("a"), true);
        assert!(subscriptions.is_confirmed(&channel("a")));
        assert!(subscriptions.is_settled());
    }

    #[test]
    fn what_redis_ends_before_its_yes_is_looked_at_and_nobody_wants_is_settled() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), true)]);
        subscriptions.remove(&channel("a"));
        assert!(!subscriptions.lose(&channel("a")));
        subscriptions.confirm(&channel("a"), true);
        assert!(subscriptions.next_changes(10).is_empty());
        assert!(subscriptions.is_settled());
    }

    #[tokio::test]
    async fn changes_that_cancel_each_other_out_wake_whoever_waits() {
        let subscriptions = Arc::new(Subscriptions::default());
        subscriptions.add(channel("a"));
        let waiting = subscriptions.settled();
        tokio::pin!(waiting);
        let soon = std::time::Duration::from_millis(10);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        subscriptions.remove(&channel("a"));
        assert!(subscriptions.next_changes(10).is_empty());
        waiting.await;
    }
}
