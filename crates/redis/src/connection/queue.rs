//! What waits to be published: bounded, the oldest goes first when it is full.
//!
//! # Invariants
//!
//! - Pushing never waits.
//! - What is dropped is counted, with the time at which the oldest of it was handed over.
//! - One batch is under way at a time, so that messages leave in the order in which they came.

use std::collections::VecDeque;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most messages that are handed to Redis at once.
const BATCH_MESSAGES: usize = 256;

/// The most bytes that are handed to Redis at once, besides one message.
const BATCH_BYTES: usize = 1024 * 1024;

/// One message for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) channel: String,
    pub(crate) payload: Vec<u8>,
    /// Whether it goes to a sharded channel.
    pub(crate) is_sharded: bool,
}

impl Outgoing {
    fn size_bytes(&self) -> usize {
        self.channel.len() + self.payload.len() + size_of::<Self>()
    }
}

/// A message that waits, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) message: Outgoing,
    /// When it was handed over.
    pub(crate) since: SystemTime,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// What waits to be published.
#[derive(Debug)]
pub(crate) struct PublishQueue {
    limits: QueueLimits,
    state: Mutex<State>,
    filled: Notify,
    has_left: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Queued>,
    bytes: usize,
    /// How many were ever added.
    pushed: u64,
    /// How many of them have left or are lost, as of when no batch was under way last.
    left: u64,
    /// How many were handed out and are not done yet.
    in_flight: usize,
    /// When the oldest of them was handed over.
    in_flight_since: Option<SystemTime>,
    dropped: Option<Lost>,
}

/// Messages that are lost, or may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) count: u64,
    /// When the oldest of them was handed over.
    pub(crate) since: SystemTime,
}

impl Lost {
    /// These messages, if there are any.
    pub(crate) fn of<'a>(messages: impl IntoIterator<Item = &'a Queued>) -> Option<Self> {
        messages.into_iter().fold(None, |lost, queued| {
            Some(Self::and(
                lost,
                Self {
                    count: 1,
                    since: queued.since,
                },
            ))
        })
    }

    /// These messages, and others.
    pub(crate) fn and(lost: Option<Self>, more: Self) -> Self {
        lost.map_or(more, |lost| Self {
            count: lost.count.saturating_add(more.count),
            since: lost.since.min(more.since),
        })
    }
}

impl PublishQueue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            filled: Notify::new(),
            has_left: Notify::new(),
        }
    }

    /// Adds a message, dropping the oldest ones if there is no room.
    pub(crate) fn push(&self, message: Outgoing) {
        let since = SystemTime::now();
        self.push_queued(Queued { message, since });
    }

    /// Adds a message that has waited elsewhere.
    pub(crate) fn push_queued(&self, queued: Queued) {
        let size = queued.message.size_bytes();
        let mut state = self.state.lock();
        let mut dropped = None;
        while state.waiting.len() >= self.limits.messages
            || (state.bytes + size > self.limits.bytes && !state.waiting.is_empty())
        {
            let Some(oldest) = state.waiting.pop_front() else {
                break;
            };
            state.bytes -= oldest.message.size_bytes();
            let since = oldest.since;
            dropped = Some(Lost::and(dropped, Lost { count: 1, since }));
        }
        if let Some(dropped) = dropped {
            state.dropped = Some(Lost::and(state.dropped, dropped));
            metrics::counter!("portcullis_redis_publish_dropped_total").increment(dropped.count);
            self.tell_left(&mut state);
        }
        state.bytes += size;
        state.pushed += 1;
        state.waiting.push_back(queued);
        drop(state);
        self.filled.notify_one();
    }

    /// The next messages, at least one. [`Self::done`] must follow.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken if this is dropped before it is ready.
    pub(crate) async fn next_batch(&self) -> Vec<Queued> {
        loop {
            let filled = self.filled.notified();
            let batch = self.try_batch();
            if !batch.is_empty() {
                return batch;
            }
            filled.await;
        }
    }

    fn try_batch(&self) -> Vec<Queued> {
        let mut state = self.state.lock();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_MESSAGES && bytes < BATCH_BYTES {
            let Some(queued) = state.waiting.pop_front() else {
                break;
            };
            bytes += queued.message.size_bytes();
            batch.push(queued);
        }
        state.bytes -= bytes;
        state.in_flight += batch.len();
        let oldest = batch.iter().map(|queued| queued.since);
        state.in_flight_since = oldest.chain(state.in_flight_since).min();
        if state.waiting.is_empty() && state.waiting.capacity() > BATCH_MESSAGES {
            state.waiting.shrink_to(BATCH_MESSAGES);
        }
        batch
    }

    /// A batch of so many has been handed over, or is lost.
    pub(crate) fn done(&self, count: usize) {
        let mut state = self.state.lock();
        // It may have been abandoned meanwhile.
        state.in_flight = state.in_flight.saturating_sub(count);
        if state.in_flight == 0 {
            state.in_flight_since = None;
        }
        self.tell_left(&mut state);
    }

    /// Nobody will say what became of the batch that was handed out last.
    pub(crate) fn abandon(&self) -> Option<Lost> {
        let mut state = self.state.lock();
        let count = std::mem::take(&mut state.in_flight) as u64;
        let since = state.in_flight_since.take();
        self.tell_left(&mut state);
        since.map(|since| Lost { count, since })
    }

    /// Counts what has left, and wakes whoever waits for that, unless a batch is under way.
    fn tell_left(&self, state: &mut State) {
        if state.in_flight == 0 {
            state.left = state.pushed - state.waiting.len() as u64;
            self.has_left.notify_waiters();
        }
    }

    /// How many were ever added, for [`Self::left`].
    pub(crate) fn mark(&self) -> u64 {
        self.state.lock().pushed
    }

    /// Ready when the first `mark` that were added have left or are lost; what was taken out of the
    /// middle counts as if it had been the oldest.
    ///
    /// So alone this may end early, while older ones wait here and what was taken waits elsewhere.
    /// Whoever takes some has to say so, and whoever waits has to look at all places again then, as
    /// `Cluster::left` does, which counts the moves.
    pub(crate) async fn left(&self, mark: u64) {
        self.wait_until(|state| state.left >= mark).await;
    }

    /// Ready when all that was added before has left or is lost, whatever is added meanwhile.
    pub(crate) async fn flushed(&self) {
        self.left(self.mark()).await;
    }

    /// Ready when nothing waits or is being handed over.
    pub(crate) async fn empty(&self) {
        self.wait_until(State::is_empty).await;
    }

    async fn wait_until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let has_left = self.has_left.notified();
            tokio::pin!(has_left);
            has_left.as_mut().enable();
            if is_so(&self.state.lock()) {
                return;
            }
            has_left.await;
        }
    }

    /// Everything that waits; nothing is left.
    pub(crate) fn take_all(&self) -> Vec<Queued> {
        self.take_where(|_| true)
    }

    /// What waits and is so; the rest keeps its order.
    pub(crate) fn take_where(&self, is_so: impl Fn(&Outgoing) -> bool) -> Vec<Queued> {
        let mut state = self.state.lock();
        let waiting = std::mem::take(&mut state.waiting);
        let mut taken = Vec::new();
        for queued in waiting {
            if is_so(&queued.message) {
                taken.push(queued);
            } else {
                state.waiting.push_back(queued);
            }
        }
        state.bytes = state
            .waiting
            .iter()
            .map(|queued| queued.message.size_bytes())
            .sum();
        self.tell_left(&mut state);
        taken
    }

    /// What was dropped since this was last asked.
    pub(crate) fn take_dropped(&self) -> Option<Lost> {
        self.state.lock().dropped.take()
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.in_flight == 0 && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::is_ready;

    fn message(number: usize) -> Outgoing {
        Outgoing {
            channel: number.to_string(),
            payload: vec![0; 100],
            is_sharded: false,
        }
    }

    fn queue(messages: usize, bytes: usize) -> PublishQueue {
        PublishQueue::new(QueueLimits { messages, bytes })
    }

    fn names(batch: &[Queued]) -> Vec<&str> {
        batch
            .iter()
            .map(|queued| queued.message.channel.as_str())
            .collect()
    }

    #[tokio::test]
    async fn a_full_queue_drops_its_oldest_and_counts_them() {
        let queue = queue(2, 1_000_000);
        (0..5).for_each(|number| queue.push(message(number)));
        assert_eq!(names(&queue.next_batch().await), ["3", "4"]);
        assert_eq!(queue.take_dropped().unwrap().count, 3);
        assert!(queue.take_dropped().is_none());
    }

    #[tokio::test]
    async fn a_queue_is_bounded_in_bytes_too_but_takes_one_message_of_any_size() {
        let queue = queue(100, 400);
        (0..5).for_each(|number| queue.push(message(number)));
        assert_eq!(names(&queue.next_batch().await), ["3", "4"]);
        let mut large = message(9);
        large.payload = vec![0; 10_000];
        queue.push(large);
        assert_eq!(names(&queue.next_batch().await), ["9"]);
    }

    #[tokio::test]
    async fn a_queue_is_empty_once_what_was_taken_is_done() {
        let queue = queue(100, 1_000_000);
        queue.push(message(0));
        let batch = queue.next_batch().await;
        let empty = tokio::time::timeout(std::time::Duration::from_millis(10), queue.empty());
        assert!(empty.await.is_err());
        queue.done(batch.len());
        queue.empty().await;
    }

    #[tokio::test]
    async fn flushing_waits_for_what_was_added_before_and_for_nothing_else() {
        let queue = queue(100, 1_000_000);
        assert!(is_ready(queue.flushed()).await);
        queue.push(message(0));
        let first = queue.next_batch().await;
        queue.push(message(1));
        let flushing = queue.flushed();
        tokio::pin!(flushing);
        assert!(!is_ready(&mut flushing).await);
        queue.push(message(2));
        queue.done(first.len());
        assert!(!is_ready(&mut flushing).await);
        let second = queue.next_batch().await;
        assert_eq!(names(&second), ["1", "2"]);
        queue.push(message(3));
        queue.done(second.len());
        assert!(is_ready(flushing).await);
        assert!(!is_ready(queue.empty()).await);
    }

    #[tokio::test]
    async fn flushing_waits_for_what_is_under_way_though_what_came_later_is_dropped() {
        let queue = queue(2, 1_000_000);
        queue.push(message(0));
        let batch = queue.next_batch().await;
        let flushing = queue.flushed();
        tokio::pin!(flushing);
        assert!(!is_ready(&mut flushing).await);
        (1..9).for_each(|number| queue.push(message(number)));
        assert!(!is_ready(&mut flushing).await);
        queue.done(batch.len());
        assert!(is_ready(flushing).await);
    }

    #[tokio::test]
    async fn what_is_dropped_counts_from_when_it_was_handed_over() {
        let queue = queue(1, 1_000_000);
        let since = SystemTime::UNIX_EPOCH;
        queue.push_queued(Queued {
            message: message(0),
            since,
        });
        queue.push(message(1));
        queue.push(message(2));
        let dropped = queue.take_dropped().unwrap();
        assert_eq!((dropped.count, dropped.since), (2, since));
    }

    #[tokio::test]
    async fn a_batch_that_is_abandoned_is_counted_and_nobody_waits_for_it() {
        let queue = queue(100, 1_000_000);
        (0..2).for_each(|number| queue.push(message(number)));
        let batch = queue.next_batch().await;
        queue.push(message(2));
        assert_eq!(queue.take_all().len(), 1);
        let lost = queue.abandon().unwrap();
        assert_eq!((lost.count, lost.since), (2, batch[0].since));
        queue.empty().await;
        assert!(queue.abandon().is_none());
    }

    #[tokio::test]
    async fn what_is_taken_out_of_the_middle_leaves_the_others_in_order() {
        let queue = queue(4, 1_000_000);
        (0..4).for_each(|number| queue.push(message(number)));
        assert_eq!(
            names(&queue.take_where(|message| message.channel == "1")),
            ["1"]
        );
        queue.push(message(4));
        assert_eq!(names(&queue.next_batch().await), ["0", "2", "3", "4"]);
    }
}
