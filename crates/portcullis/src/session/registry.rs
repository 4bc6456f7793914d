//! Which session answers to which id.
//!
//! # Invariants
//!
//! - An id in the table belongs to a session whose task is alive, or about to end.
//! - The table is keyed by secrets, so its hasher is seeded per process.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use portcullis_engineio::SessionId;

use super::connection::Connection;

const SHARDS: usize = 16;

type Table = HashMap<SessionId, Arc<Connection>, RandomState>;

/// The sessions of one engine.
#[derive(Debug)]
pub(crate) struct Registry {
    hasher: RandomState,
    shards: [Mutex<Table>; SHARDS],
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| Mutex::new(Table::default())),
        }
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<Arc<Connection>> {
        self.shard(id).lock().get(id).cloned()
    }

    /// Enters a session; `false` if the id is taken.
    pub(crate) fn insert(&self, id: SessionId, connection: Arc<Connection>) -> bool {
        let mut table = self.shard(&id).lock();
        match table.entry(id) {
            hashbrown::hash_map::Entry::Occupied(_) => false,
            hashbrown::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(connection);
                true
            }
        }
    }

    pub(crate) fn remove(&self, id: &SessionId) {
        let mut table = self.shard(id).lock();
        let removed = table.remove(id);
        if table.capacity() > table.len() * 4 + 64 {
            table.shrink_to_fit();
        }
        drop(table);
        drop(removed);
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, id: &SessionId) -> &Mutex<Table> {
        let hash = self.hasher.hash_one(id);
        &self.shards[usize::from(hash.to_le_bytes()[7]) % SHARDS]
    }
}
