//! What is to be subscribed to, and what of it Redis has not been told yet.
//!
//! # Invariants
//!
//! - Each channel is subscribed to once, however often it is asked for: Node counts subscribers.
//! - Changes that cancel each other out before Redis heard of them are never sent.
//! - Redis is told in the order in which things changed, one batch after the other.

use std::collections::{HashMap, HashSet, VecDeque};
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
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    wanted: HashSet<Subscription>,
    /// What Redis has confirmed on the present connection.
    confirmed: HashSet<Subscription>,
    /// What is wanted and was refused or taken away, or has to be made again on a new connection,
    /// and is not back yet.
    open: HashSet<Subscription>,
    /// How many are wanted or confirmed and not both.
    differing: usize,
    /// What may differ between the two, and Redis was not told of.
    dirty: HashSet<Subscription>,
    /// The same, in the order in which it changed.
    line: VecDeque<Subscription>,
    /// How many have ever stood in line.
    lined_up: u64,
    /// How many of them have an answer or need none, as of when no batch was under way last.
    told: u64,
    /// What Redis was told of, and has not answered: whether to subscribe or to leave.
    in_flight: HashMap<Subscription, bool>,
}

impl Subscriptions {
    /// Says whether it was not wanted before.
    pub(crate) fn add(&self, subscription: Subscription) -> bool {
        self.want(subscription, true)
    }

    /// Wants it, and has whoever tells Redis look at it even if Redis knows. It was lost, here or
    /// elsewhere.
    pub(crate) fn adopt(&self, subscription: Subscription) {
        let mut state = self.state.lock();
        state.want(&subscription, true);
        state.note_open(&subscription);
        if state.in_flight.get(&subscription) != Some(&true) {
            state.line_up(subscription);
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
            state.line_up(subscription);
            self.tell(&mut state);
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
        state.note_open(subscription);
        self.tell(&mut state);
        state.wanted.contains(subscription)
    }

    /// Tries again to subscribe to what was refused or lost.
    pub(crate) fn want_again(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        let is_open = state.wanted.contains(subscription)
            && !state.confirmed.contains(subscription)
            && !state.in_flight.contains_key(subscription);
        if is_open && state.line_up(subscription.clone()) {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Whether Redis knows of all that is wanted at this moment.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.lock().is_settled()
    }

    /// Whether something that is wanted was refused or lost, and is not back. What Redis was not
    /// asked for yet is not missing: it had nothing to lose.
    pub(crate) fn has_open(&self) -> bool {
        !self.state.lock().open.is_empty()
    }

    /// What is wanted, was refused or lost, and is not on its way back.
    pub(crate) fn stuck(&self) -> HashSet<Subscription> {
        let state = self.state.lock();
        let is_stuck = |subscription: &&Subscription| {
            !state.dirty.contains(*subscription) && !state.in_flight.contains_key(*subscription)
        };
        state.open.iter().filter(is_stuck).cloned().collect()
    }

    /// Whether Redis has confirmed it, on the connection that there was last.
    pub(crate) fn is_confirmed(&self, subscription: &Subscription) -> bool {
        self.state.lock().confirmed.contains(subscription)
    }

    /// Whether Redis has confirmed that it is left, or never heard of it, on that connection.
    pub(crate) fn has_left(&self, subscription: &Subscription) -> bool {
        let state = self.state.lock();
        let is_under_way = state.in_flight.contains_key(subscription);
        !is_under_way && !state.confirmed.contains(subscription)
    }

    /// A new connection has no subscriptions: all must be made.
    pub(crate) fn forget_confirmed(&self) {
        let mut state = self.state.lock();
        state.confirmed.clear();
        state.in_flight.clear();
        state.differing = state.wanted.len();
        state.open = state.wanted.clone();
        state.dirty.clear();
        state.line.clear();
        for subscription in state.wanted.clone() {
            state.line_up(subscription);
        }
        self.tell(&mut state);
    }

    /// The next changes that Redis must hear of, at most `limit`: what to subscribe to, and what
    /// not to any more. Each must be confirmed or refused before this is called again.
    pub(crate) fn next_changes(&self, limit: usize) -> Vec<(Subscription, bool)> {
        let mut state = self.state.lock();
        let mut changes = Vec::new();
        while changes.len() < limit {
            let Some(next) = state.line.pop_front() else {
                break;
            };
            state.dirty.remove(&next);
            let is_wanted = state.wanted.contains(&next);
            if is_wanted != state.confirmed.contains(&next) {
                state.in_flight.insert(next.clone(), is_wanted);
                changes.push((next, is_wanted));
            }
        }
        self.tell(&mut state);
        changes
    }

    /// Redis has confirmed a change. If it has ended the subscription since, that counts.
    pub(crate) fn confirm(&self, subscription: &Subscription, is_subscribed: bool) {
        let mut state = self.state.lock();
        if state.in_flight.get(subscription) == Some(&is_subscribed) {
            state.in_flight.remove(subscription);
            state.confirm(subscription, is_subscribed);
            self.tell(&mut state);
        }
    }

    /// Redis has refused a change, which may be tried again.
    pub(crate) fn refused(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        state.in_flight.remove(subscription);
        state.note_open(subscription);
        self.tell(&mut state);
    }

    /// Counts what Redis knows of, and wakes whoever waits for that, unless a batch is under way.
    fn tell(&self, state: &mut State) {
        if state.in_flight.is_empty() {
            state.told = state.lined_up - state.line.len() as u64;
            self.answered.notify_waiters();
        }
    }

    /// How many changes there ever were, for [`Self::has_told`].
    pub(crate) fn mark(&self) -> u64 {
        self.state.lock().lined_up
    }

    /// Whether Redis was told of the first `mark` changes, and has answered.
    pub(crate) fn has_told(&self, mark: u64) -> bool {
        self.state.lock().told >= mark
    }

    /// The same, and nothing was refused or lost that is not back.
    pub(crate) fn is_through(&self, mark: u64) -> bool {
        self.state.lock().is_through(mark)
    }

    /// Ready when Redis knows of everything that was wanted before, whatever is wanted meanwhile.
    pub(crate) async fn settled(&self) {
        let mark = self.mark();
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if self.is_through(mark) {
                return;
            }
            answered.await;
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
            if !self.state.lock().line.is_empty() {
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
        if !is_wanted {
            self.open.remove(subscription);
        }
        is_change
    }

    /// It was refused or lost, which matters if it is wanted and not here.
    fn note_open(&mut self, subscription: &Subscription) {
        let is_leaving = self.in_flight.get(subscription) == Some(&false);
        let is_here = self.confirmed.contains(subscription) && !is_leaving;
        if self.wanted.contains(subscription) && !is_here {
            self.open.insert(subscription.clone());
        }
    }

    /// Has whoever tells Redis look at it; says whether nobody was to do so.
    fn line_up(&mut self, subscription: Subscription) -> bool {
        let is_new = self.dirty.insert(subscription.clone());
        if is_new {
            self.line.push_back(subscription);
            self.lined_up += 1;
        }
        is_new
    }

    fn confirm(&mut self, subscription: &Subscription, is_subscribed: bool) {
        if is_subscribed {
            self.open.remove(subscription);
        }
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

    fn is_through(&self, mark: u64) -> bool {
        self.told >= mark && self.open.is_empty()
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
    use crate::connection::is_ready;

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

    #[test]
    fn what_is_left_is_left_when_redis_has_confirmed_it_and_not_before() {
        let subscriptions = Subscriptions::default();
        assert!(subscriptions.has_left(&channel("a")));
        subscriptions.add(channel("a"));
        subscriptions.next_changes(10);
        subscriptions.remove(&channel("a"));
        assert!(!subscriptions.has_left(&channel("a")));
        subscriptions.confirm(&channel("a"), true);
        assert!(!subscriptions.has_left(&channel("a")));
        subscriptions.next_changes(10);
        assert!(!subscriptions.has_left(&channel("a")));
        subscriptions.confirm(&channel("a"), false);
        assert!(subscriptions.has_left(&channel("a")));
    }

    #[test]
    fn redis_is_told_of_changes_in_their_order() {
        let subscriptions = Subscriptions::default();
        for name in ["a", "b", "c", "d"] {
            subscriptions.add(channel(name));
        }
        subscriptions.remove(&channel("b"));
        let first = [(channel("a"), true), (channel("c"), true)];
        assert_eq!(subscriptions.next_changes(2), first);
        assert_eq!(subscriptions.next_changes(2), [(channel("d"), true)]);
    }

    #[test]
    fn what_is_new_is_not_missing_and_what_is_refused_lost_or_to_be_made_again_is() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        assert_eq!(subscriptions.next_changes(10).len(), 1);
        assert!(!subscriptions.has_open());
        subscriptions.refused(&channel("a"));
        assert_eq!(subscriptions.stuck(), HashSet::from([channel("a")]));
        subscriptions.want_again(&channel("a"));
        assert!(subscriptions.stuck().is_empty());
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), true)]);
        assert!(subscriptions.has_open() && subscriptions.stuck().is_empty());
        subscriptions.confirm(&channel("a"), true);
        assert!(!subscriptions.has_open());

        assert!(subscriptions.lose(&channel("a")));
        assert!(subscriptions.has_open());
        subscriptions.remove(&channel("a"));
        assert!(!subscriptions.has_open());

        subscriptions.add(channel("b"));
        subscriptions.forget_confirmed();
        subscriptions.add(channel("c"));
        assert!(subscriptions.has_open());
        assert_eq!(subscriptions.next_changes(1), [(channel("b"), true)]);
        subscriptions.confirm(&channel("b"), true);
        assert!(!subscriptions.has_open());
    }

    #[test]
    fn what_is_adopted_is_missing_until_it_is_here() {
        let subscriptions = Subscriptions::default();
        subscriptions.adopt(channel("a"));
        assert!(subscriptions.has_open());
        subscriptions.next_changes(10);
        subscriptions.confirm(&channel("a"), true);
        assert!(!subscriptions.has_open());
        subscriptions.adopt(channel("a"));
        assert!(!subscriptions.has_open());

        subscriptions.remove(&channel("a"));
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), false)]);
        subscriptions.adopt(channel("a"));
        subscriptions.confirm(&channel("a"), false);
        assert!(subscriptions.has_open());
        assert_eq!(subscriptions.next_changes(10), [(channel("a"), true)]);
        subscriptions.confirm(&channel("a"), true);
        assert!(!subscriptions.has_open());
    }

    #[tokio::test]
    async fn flushing_waits_for_what_was_wanted_before_and_for_nothing_else() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        let waiting = subscriptions.settled();
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        assert_eq!(subscriptions.next_changes(10).len(), 1);
        subscriptions.add(channel("b"));
        assert!(!is_ready(&mut waiting).await);
        subscriptions.confirm(&channel("a"), true);
        assert!(is_ready(waiting).await);
        assert!(!is_ready(subscriptions.settled()).await);
    }

    #[tokio::test]
    async fn flushing_waits_for_what_is_made_again_on_a_new_connection() {
        let subscriptions = Subscriptions::default();
        subscriptions.add(channel("a"));
        let waiting = subscriptions.settled();
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        subscriptions.forget_confirmed();
        assert!(!is_ready(&mut waiting).await);
        assert_eq!(subscriptions.next_changes(10).len(), 1);
        subscriptions.confirm(&channel("a"), true);
        assert!(is_ready(waiting).await);
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
