//! A share of the connections: who they are, who of them has something to send, and when each
//! must be looked at next.
//!
//! There are as many shards as processors. Each has one flusher task and one heartbeat task, which
//! is all that runs for a connection besides its own task.
//!
//! # Invariants
//!
//! - A slot's generation changes whenever the slot is given to another connection, so an old
//!   entry of the wheel never speaks for a new connection.
//! - The flusher is woken once per hand-over, not once per connection.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use slab::Slab;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::connection::{Connection, Limits};
use super::wheel::{Visit, Wheel};

/// One share of an engine's connections.
#[derive(Debug)]
pub(crate) struct Shard {
    /// What all connections of the engine have in common; kept here once, not in each of them.
    limits: Limits,
    dirty: Mutex<Vec<Arc<Connection>>>,
    notify: Notify,
    slots: Mutex<Slots>,
    wheel: Mutex<Wheel>,
}

#[derive(Debug, Default)]
struct Slots {
    slab: Slab<(u32, Arc<Connection>)>,
    generation: u32,
}

impl Slots {
    /// The connection that the entry speaks of, if it is there still.
    fn get(&self, visit: Visit) -> Option<&Arc<Connection>> {
        let (generation, connection) = self.slab.get(visit.slot as usize)?;
        (*generation == visit.generation).then_some(connection)
    }
}

impl Shard {
    pub(crate) fn new(limits: Limits, wheel: Wheel) -> Self {
        Self {
            limits,
            dirty: Mutex::new(Vec::new()),
            notify: Notify::new(),
            slots: Mutex::new(Slots::default()),
            wheel: Mutex::new(wheel),
        }
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes in a connection that must be looked at first at `at`.
    pub(crate) fn insert(&self, connection: &Arc<Connection>, at: Instant) -> Visit {
        let visit = {
            let mut slots = self.slots.lock();
            slots.generation = slots.generation.wrapping_add(1);
            let generation = slots.generation;
            let slot = slots.slab.insert((generation, Arc::clone(connection)));
            Visit {
                // More do not fit into memory, and a slot that is not there is not looked at.
                slot: u32::try_from(slot).unwrap_or(u32::MAX),
                generation,
                alarm: 0,
            }
        };
        self.look(visit, at);
        visit
    }

    /// Has a connection looked at once more.
    pub(super) fn look(&self, visit: Visit, at: Instant) {
        self.wheel.lock().insert(visit, at);
    }

    pub(crate) fn remove(&self, visit: Visit) {
        let removed = {
            let mut slots = self.slots.lock();
            if slots.get(visit).is_none() {
                return;
            }
            let removed = slots.slab.try_remove(visit.slot as usize);
            if slots.slab.is_empty() || slots.slab.capacity() > slots.slab.len() * 4 + 1024 {
                slots.slab.shrink_to_fit();
            }
            removed
        };
        // Dropped here, outside the lock: it may be the last reference.
        drop(removed);
    }

    /// Every connection of this shard.
    pub(crate) fn connections(&self) -> Vec<Arc<Connection>> {
        let slots = self.slots.lock();
        slots
            .slab
            .iter()
            .map(|(_, (_, connection))| Arc::clone(connection))
            .collect()
    }

    /// Looks at every connection whose time has come, by `now`.
    pub(crate) fn tick(&self, now: Instant) {
        let due = self.wheel.lock().advance(now);
        for visit in due {
            let connection = {
                let slots = self.slots.lock();
                match slots.get(visit) {
                    Some(connection) => Arc::clone(connection),
                    None => continue,
                }
            };
            let next = match visit.alarm {
                0 => connection.beat(now),
                number => connection.ring(number, now),
            };
            if let Some(at) = next {
                self.look(visit, at);
            }
        }
    }

    /// Waits until a connection has been handed over.
    pub(crate) async fn dirtied(&self) {
        self.notify.notified().await;
    }

    /// Swaps the dirty connections with `pass`, which must be empty.
    pub(crate) fn take_dirty(&self, pass: &mut Vec<Arc<Connection>>) {
        std::mem::swap(&mut *self.dirty.lock(), pass);
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.lock().is_empty()
    }

    /// Gives one connection to the flusher.
    pub(crate) fn push_dirty(&self, connection: Arc<Connection>) {
        self.dirty.lock().push(connection);
        self.notify.notify_one();
    }
}

/// What one shard is handed.
type Bucket = (Arc<Shard>, Vec<Arc<Connection>>);

/// Gives every connection to the flusher of its shard, each of which is woken once.
pub(crate) fn hand_over(connections: &mut Vec<Arc<Connection>>) {
    let mut buckets: SmallVec<[Bucket; 8]> = SmallVec::new();
    let share = connections.len() / 2;
    for connection in connections.drain(..) {
        let shard = connection.shard();
        let bucket = buckets
            .iter()
            .position(|(known, _)| Arc::ptr_eq(known, shard));
        match bucket.and_then(|index| buckets.get_mut(index)) {
            Some((_, bucket)) => bucket.push(connection),
            None => {
                let shard = Arc::clone(shard);
                let mut bucket = Vec::with_capacity(share + 1);
                bucket.push(connection);
                buckets.push((shard, bucket));
            }
        }
    }
    for (shard, mut bucket) in buckets {
        shard.dirty.lock().append(&mut bucket);
        shard.notify.notify_one();
    }
}
