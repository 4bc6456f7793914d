//! Who is in which room, by name, as the people in it see it.
//!
//! ```text
//!   room ──▶ socket ──▶ name         two sockets of one person are one member
//! ```
//!
//! # Invariants
//!
//! - A room without sockets is not kept.
//!
//! # Not here
//!
//! Delivery: whom an emit reaches is decided by the framework's own rooms. These are a copy with
//! names, because a socket that is still connecting belongs on the list already, and one that has
//! gone has no rooms left to ask it for.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// The rooms, and the sockets in them under the name of their identity.
#[derive(Debug)]
pub(super) struct Presence<Id> {
    rooms: HashMap<String, HashMap<Id, String>>,
}

/// The names in one room, in order.
pub(super) type Members = Vec<String>;

impl<Id> Default for Presence<Id> {
    fn default() -> Self {
        Self {
            rooms: HashMap::new(),
        }
    }
}

impl<Id: Copy + Eq + Hash> Presence<Id> {
    /// Puts a socket into a room.
    pub(super) fn join(&mut self, room: &str, socket: Id, name: &str) {
        let sockets = self.rooms.entry(room.to_owned()).or_default();
        sockets.insert(socket, name.to_owned());
    }

    /// Takes a socket out of a room; says whether it was there.
    pub(super) fn leave(&mut self, room: &str, socket: Id) -> bool {
        let Some(sockets) = self.rooms.get_mut(room) else {
            return false;
        };
        let was_there = sockets.remove(&socket).is_some();
        if sockets.is_empty() {
            self.rooms.remove(room);
        }
        was_there
    }

    /// Takes a socket out of every room; says which ones it was in.
    pub(super) fn leave_all(&mut self, socket: Id) -> Vec<String> {
        let rooms: Vec<String> = self
            .rooms
            .iter()
            .filter(|(_, sockets)| sockets.contains_key(&socket))
            .map(|(room, _)| room.clone())
            .collect();
        for room in &rooms {
            self.leave(room, socket);
        }
        rooms
    }

    /// Who is in a room.
    pub(super) fn members(&self, room: &str) -> Members {
        let Some(sockets) = self.rooms.get(room) else {
            return Vec::new();
        };
        let names: BTreeSet<&str> = sockets.values().map(String::as_str).collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(joins: &[(&str, u8, &str)]) -> Presence<u8> {
        let mut presence = Presence::default();
        for &(room, socket, name) in joins {
            presence.join(room, socket, name);
        }
        presence
    }

    #[test]
    fn two_sockets_of_one_person_are_one_member_until_both_have_left() {
        let mut presence = with(&[
            ("lobby", 1, "bob"),
            ("lobby", 2, "alice"),
            ("lobby", 3, "bob"),
        ]);
        assert_eq!(presence.members("lobby"), ["alice", "bob"]);
        assert!(presence.leave("lobby", 1));
        assert_eq!(presence.members("lobby"), ["alice", "bob"]);
        assert!(presence.leave("lobby", 3));
        assert_eq!(presence.members("lobby"), ["alice"]);
    }

    #[test]
    fn joining_twice_is_joining_once() {
        let mut presence = with(&[("lobby", 1, "bob"), ("lobby", 1, "bob")]);
        assert!(presence.leave("lobby", 1));
        assert!(!presence.leave("lobby", 1));
    }

    #[test]
    fn who_goes_leaves_exactly_the_rooms_it_was_in() {
        let mut presence = with(&[
            ("a", 1, "bob"),
            ("b", 1, "bob"),
            ("b", 2, "eve"),
            ("c", 2, "eve"),
        ]);
        let mut left = presence.leave_all(1);
        left.sort();
        assert_eq!(left, ["a", "b"]);
        assert_eq!(presence.members("b"), ["eve"]);
        assert_eq!(presence.members("c"), ["eve"]);
    }

    #[test]
    fn leaving_the_last_room_frees_it() {
        let mut presence = with(&[("a", 1, "bob"), ("b", 1, "bob")]);
        presence.leave("a", 1);
        presence.leave_all(1);
        assert!(presence.rooms.is_empty());
    }
}
