//! What waits to be published: bounded, the oldest goes first when it is full.
//!
//! # Invariants
//!
//! - Pushing never waits.
//! - What is dropped is counted.

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
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    /// How many were handed out and are not done yet.
    in_flight: usize,
    dropped: u64,
    dropped_since: Option<SystemTime>,
}

/// What was dropped since this was last asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropped {
    pub(crate) count: u64,
    pub(crate) since: SystemTime,
}

impl PublishQueue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Adds a message, dropping the oldest ones if there is no room.
    pub(crate) fn push(&self, message: Outgoing) {
        let size = message.size_bytes();
        let mut state = self.state.lock();
        let mut dropped = 0_u64;
        while state.waiting.len() >= self.limits.messages
            || (state.bytes + size > self.limits.bytes && !state.waiting.is_empty())
        {
            let Some(oldest) = state.waiting.pop_front() else {
                break;
            };
            state.bytes -= oldest.size_bytes();
            dropped += 1;
        }
        if dropped > 0 {
            state.dropped += dropped;
            state.dropped_since.get_or_insert_with(SystemTime::now);
            metrics::counter!("portcullis_redis_publish_dropped_total").increment(dropped);
        }
        state.bytes += size;
        state.waiting.push_back(message);
        drop(state);
        self.filled.notify_one();
    }

    /// The next messages, at least one. [`Self::done`] must follow.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken if this is dropped before it is ready.
    pub(crate) async fn next_batch(&self) -> Vec<Outgoing> {
        loop {
            let filled = self.filled.notified();
            let batch = self.try_batch();
            if !batch.is_empty() {
                return batch;
            }
            filled.await;
        }
    }

    fn try_batch(&self) -> Vec<Outgoing> {
        let mut state = self.state.lock();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_MESSAGES && bytes < BATCH_BYTES {
            let Some(message) = state.waiting.pop_front() else {
                break;
            };
            bytes += message.size_bytes();
            batch.push(message);
        }
        state.bytes -= bytes;
        state.in_flight += batch.len();
        if state.waiting.is_empty() && state.waiting.capacity() > BATCH_MESSAGES {
            state.waiting.shrink_to(BATCH_MESSAGES);
        }
        batch
    }

    /// A batch of so many has been handed over, or is lost.
    pub(crate) fn done(&self, count: usize) {
        let mut state = self.state.lock();
        state.in_flight -= count;
        let is_empty = state.in_flight == 0 && state.waiting.is_empty();
        drop(state);
        if is_empty {
            self.emptied.notify_waiters();
        }
    }

    /// Ready when nothing waits or is being handed over.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            {
                let state = self.state.lock();
                if state.in_flight == 0 && state.waiting.is_empty() {
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Everything that waits; nothing is left.
    pub(crate) fn take_all(&self) -> VecDeque<Outgoing> {
        let mut state = self.state.lock();
        state.bytes = 0;
        let waiting = std::mem::take(&mut state.waiting);
        let is_empty = state.in_flight == 0;
        drop(state);
        if is_empty {
            self.emptied.notify_waiters();
        }
        waiting
    }

    /// What was dropped since this was last asked.
    pub(crate) fn take_dropped(&self) -> Option<Dropped> {
        let mut state = self.state.lock();
        let since = state.dropped_since.take()?;
        let count = std::mem::take(&mut state.dropped);
        Some(Dropped { count, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn names(batch: &[Outgoing]) -> Vec<&str> {
        batch
            .iter()
            .map(|message| message.channel.as_str())
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
}
