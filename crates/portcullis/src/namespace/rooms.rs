//! Rooms: joined and left in constant time, walked over densely.
//!
//! A room keeps its members in a plain vector; each member remembers where it stands in it, so
//! that leaving swaps the last member into the gap. Joining and leaving cost one look-up and a walk
//! over the socket's own places, however many members the room has. A socket's own id is a room of
//! its own on the wire, but not here: it is looked up in the table of sockets.
//!
//! # Invariants
//!
//! - `members[position]` of every membership is the socket that holds the membership.
//! - A room is in the table while it has members, and only then.
//! - A socket gets a packet once, however many of the rooms it is in.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, RwLock};
use portcullis_socketio::ids::{Room, SocketId};
use smallvec::SmallVec;

use super::socket::SocketInner;
use crate::adapter::Target;
use crate::auth::is_reserved_room;

const SHARDS: usize = 16;

/// The members of one room, or of the namespace as a whole.
#[derive(Debug)]
pub(crate) struct Members {
    room: Option<Room>,
    list: RwLock<Vec<Arc<SocketInner>>>,
    /// How often it was walked over.
    walks: AtomicU32,
}

/// A socket's place in one room.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    members: Arc<Members>,
    position: usize,
}

/// The places of one socket: in its namespace, most often in its user's room, and in one more.
#[derive(Debug, Default)]
pub(crate) struct Memberships(Mutex<SmallVec<[Membership; 3]>>);

/// The rooms of one namespace.
#[derive(Debug)]
pub(crate) struct Rooms {
    hasher: RandomState,
    shards: [RwLock<HashMap<Room, Arc<Members>, RandomState>>; SHARDS],
    everyone: Arc<Members>,
}

/// Whether a join or a leave changed anything for the room as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was so already.
    None,
    /// The socket joined or left; others are there.
    Member,
    /// The first came, or the last went.
    Room,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| RwLock::default()),
            everyone: Arc::new(Members::new(None)),
        }
    }

    /// All sockets of the namespace.
    pub(crate) const fn everyone(&self) -> &Arc<Members> {
        &self.everyone
    }

    pub(crate) fn join(&self, socket: &Arc<SocketInner>, room: &Room) -> Change {
        // The shard stays locked, so that an emptying room cannot vanish between look-up and add.
        let mut shard = self.shard(room).write();
        if let Some(members) = shard.get(room) {
            return if members.add(socket) {
                Change::Member
            } else {
                Change::None
            };
        }
        let members = Arc::new(Members::new(Some(room.clone())));
        members.add(socket);
        shard.insert(room.clone(), members);
        Change::Room
    }

    pub(crate) fn leave(&self, socket: &Arc<SocketInner>, room: &Room) -> Change {
        let found = self.members(room);
        found.map_or(Change::None, |members| self.leave_members(socket, &members))
    }

    /// Leaves everything, the namespace included; calls `closed` for each room that ends.
    pub(crate) fn leave_all(&self, socket: &Arc<SocketInner>, mut closed: impl FnMut(&Room)) {
        while let Some(members) = socket.memberships().any() {
            if self.leave_members(socket, &members) == Change::Room
                && let Some(room) = &members.room
            {
                closed(room);
            }
        }
    }

    /// The names of all rooms with members on this node.
    pub(crate) fn names(&self) -> Vec<Room> {
        self.shards
            .iter()
            .flat_map(|shard| shard.read().keys().cloned().collect::<Vec<_>>())
            .collect()
    }

    pub(crate) fn contains(&self, room: &Room) -> bool {
        self.shard(room).read().contains_key(room)
    }

    /// Calls `each` once per socket of `target`; `by_id` finds a socket whose id is the room.
    pub(crate) fn for_each(
        &self,
        target: &Target,
        by_id: impl Fn(&SocketId) -> Option<Arc<SocketInner>>,
        mut each: impl FnMut(&Arc<SocketInner>),
    ) {
        let excluded = Excluded::new(&target.except, self);
        let mut each = |socket: &Arc<SocketInner>| {
            if !excluded.contains(socket) {
                each(socket);
            }
        };
        match target.rooms.as_slice() {
            [] => self.everyone.walk(each),
            [room] => {
                let single = id_of(room).and_then(|id| by_id(&id));
                match (single, self.members(room)) {
                    (None, None) => {}
                    (None, Some(members)) => members.walk(each),
                    (Some(socket), None) => each(&socket),
                    (Some(socket), Some(members)) => {
                        // Somebody joined a room that is named as another socket's id.
                        each(&socket);
                        members.walk(|member| {
                            if member.id() != socket.id() {
                                each(member);
                            }
                        });
                    }
                }
            }
            rooms => {
                let mut seen: HashSet<SocketId, RandomState> = HashSet::default();
                let mut once = |socket: &Arc<SocketInner>| {
                    if seen.insert(*socket.id()) {
                        each(socket);
                    }
                };
                for room in rooms {
                    if let Some(socket) = id_of(room).and_then(|id| by_id(&id)) {
                        once(&socket);
                    }
                    if let Some(members) = self.members(room) {
                        members.walk(&mut once);
                    }
                }
            }
        }
    }

    /// How many bytes rooms take, and the memberships of `sockets`, on both sides; without what the
    /// allocator rounds up.
    #[cfg(test)]
    pub(crate) fn footprint(&self, sockets: &[Arc<SocketInner>]) -> usize {
        /// What an `Arc` counts by.
        const COUNTS: usize = 2 * size_of::<usize>();
        let pointer = size_of::<Arc<SocketInner>>();
        let of_room = |room: &Room, members: &Members| {
            let name = match room {
                Room::Text(name) => COUNTS + name.len(),
                Room::Number(_) => 0,
            };
            let list = members.list.read().capacity() * pointer;
            COUNTS + size_of::<Members>() + name + list
        };
        let rooms = self.shards.iter().map(|shard| {
            let shard = shard.read();
            let rooms = shard.iter().map(|(room, members)| of_room(room, members));
            shard.allocation_size() + rooms.sum::<usize>()
        });
        let places = sockets.iter().map(|socket| {
            let places = socket.memberships().0.lock();
            let capacity = if places.spilled() {
                places.capacity()
            } else {
                0
            };
            capacity * size_of::<Membership>()
        });
        rooms.sum::<usize>() + places.sum::<usize>()
    }

    fn members(&self, room: &Room) -> Option<Arc<Members>> {
        self.shard(room).read().get(room).cloned()
    }

    fn leave_members(&self, socket: &Arc<SocketInner>, members: &Arc<Members>) -> Change {
        match members.remove(socket) {
            None => Change::None,
            Some(left) if left > 0 => Change::Member,
            Some(_) => match &members.room {
                Some(room) if self.forget_if_empty(room) => Change::Room,
                _ => Change::Member,
            },
        }
    }

    fn forget_if_empty(&self, room: &Room) -> bool {
        let mut shard = self.shard(room).write();
        let is_empty = shard
            .get(room)
            .is_some_and(|members| members.list.read().is_empty());
        if is_empty {
            shard.remove(room);
            if shard.capacity() > shard.len() * 4 + 64 {
                shard.shrink_to_fit();
            }
        }
        is_empty
    }

    fn shard(&self, room: &Room) -> &RwLock<HashMap<Room, Arc<Members>, RandomState>> {
        &self.shards[usize::from(self.hasher.hash_one(room).to_le_bytes()[7]) % SHARDS]
    }
}

impl Members {
    fn new(room: Option<Room>) -> Self {
        Self {
            room,
            list: RwLock::default(),
            walks: AtomicU32::new(0),
        }
    }

    /// Calls `each` for every member, beginning somewhere else each time: whoever is last in a
    /// large room waits for all the others, and should not always be the same.
    fn walk(&self, mut each: impl FnMut(&Arc<SocketInner>)) {
        /// 2³² by the golden ratio: its multiples fall far from each other.
        const STRIDE: u32 = 0x9e37_79b9;
        let list = self.list.read();
        let walk = self.walks.fetch_add(1, Ordering::Relaxed);
        let fraction = u64::from(walk.wrapping_mul(STRIDE));
        let start = (fraction * list.len() as u64) >> 32;
        let (before, from) = list.split_at(usize::try_from(start).unwrap_or(0));
        for part in [from, before] {
            part.iter().for_each(&mut each);
        }
    }

    /// Takes a socket in, unless it is in already.
    pub(crate) fn add(self: &Arc<Self>, socket: &Arc<SocketInner>) -> bool {
        let mut list = self.list.write();
        let mut places = socket.memberships().0.lock();
        if places.iter().any(|place| Arc::ptr_eq(&place.members, self)) {
            return false;
        }
        places.push(Membership {
            members: Arc::clone(self),
            position: list.len(),
        });
        list.push(Arc::clone(socket));
        true
    }

    /// Takes the socket out; says how many are left, or nothing if it was not in.
    fn remove(self: &Arc<Self>, socket: &Arc<SocketInner>) -> Option<usize> {
        let mut list = self.list.write();
        let position = socket.memberships().take(self)?;
        let removed = list.swap_remove(position);
        if let Some(moved) = list.get(position) {
            moved.memberships().set(self, position);
        }
        if list.capacity() > list.len() * 4 + 64 {
            list.shrink_to_fit();
        }
        let left = list.len();
        drop(list);
        drop(removed);
        Some(left)
    }
}

impl Memberships {
    /// One of the places, the last one.
    fn any(&self) -> Option<Arc<Members>> {
        let places = self.0.lock();
        places.last().map(|place| Arc::clone(&place.members))
    }

    fn take(&self, members: &Arc<Members>) -> Option<usize> {
        let mut places = self.0.lock();
        let index = places
            .iter()
            .position(|place| Arc::ptr_eq(&place.members, members))?;
        let place = places.swap_remove(index);
        if places.spilled() && places.len() <= places.inline_size() {
            places.shrink_to_fit();
        }
        Some(place.position)
    }

    fn set(&self, members: &Arc<Members>, position: usize) {
        let mut places = self.0.lock();
        if let Some(place) = places
            .iter_mut()
            .find(|place| Arc::ptr_eq(&place.members, members))
        {
            place.position = position;
        }
    }

    /// The rooms, without the namespace itself.
    pub(crate) fn rooms(&self) -> Vec<Room> {
        self.0
            .lock()
            .iter()
            .filter_map(|place| place.members.room.clone())
            .collect()
    }

    pub(crate) fn contains(&self, room: &Room) -> bool {
        self.0
            .lock()
            .iter()
            .any(|place| place.members.room.as_ref() == Some(room))
    }

    /// Whether it is in as many rooms as `limit` says, without the namespace itself and those that
    /// only the framework fills.
    pub(crate) fn is_at(&self, limit: usize) -> bool {
        let places = self.0.lock();
        if places.len() < limit {
            return false;
        }
        let rooms = places
            .iter()
            .filter_map(|place| place.members.room.as_ref());
        rooms.filter(|room| !is_reserved_room(room)).count() >= limit
    }

    fn contains_any(&self, rooms: &[Arc<Members>]) -> bool {
        let places = self.0.lock();
        places
            .iter()
            .any(|place| rooms.iter().any(|room| Arc::ptr_eq(room, &place.members)))
    }
}

/// Whom a broadcast leaves out.
struct Excluded {
    ids: SmallVec<[SocketId; 1]>,
    rooms: SmallVec<[Arc<Members>; 1]>,
}

impl Excluded {
    fn new(except: &[Room], rooms: &Rooms) -> Self {
        Self {
            ids: except.iter().filter_map(id_of).collect(),
            rooms: except
                .iter()
                .filter_map(|room| rooms.members(room))
                .collect(),
        }
    }

    fn contains(&self, socket: &Arc<SocketInner>) -> bool {
        self.ids.contains(socket.id())
            || (!self.rooms.is_empty() && socket.memberships().contains_any(&self.rooms))
    }
}

/// The socket id that a room's name could be.
pub(super) fn id_of(room: &Room) -> Option<SocketId> {
    match room {
        Room::Text(text) => SocketId::parse(text).ok(),
        Room::Number(_) => None,
    }
}
