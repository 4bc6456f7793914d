//! What is asked of the chat, and what it says: the shapes on the wire.
//!
//! # Invariants
//!
//! - What was asked has been validated: the framework answers the rest with `VALIDATION`.

use std::ops::Deref;

use garde::Validate;
use portcullis::socketio::ids::Room;
use serde::{Deserialize, Serialize};

use super::presence::RoomMembers;

/// The name of a room, as people write it: 1 to 64 characters. In bytes it is the framework's
/// limit, less one for [`Self::delivery`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Validate)]
#[garde(transparent)]
pub(super) struct RoomName(
    #[garde(length(chars, min = 1, max = 64), length(bytes, max = 255))] String,
);

impl RoomName {
    /// The framework's room for it.
    ///
    /// A socket's id is a room too: without a prefix a client could join that of another, and would
    /// read whatever is sent to it alone.
    pub(super) fn delivery(&self) -> Room {
        Room::from(format!("#{}", self.0))
    }
}

impl Deref for RoomName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RoomName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// `join` and `leave`, and the answer to the latter.
#[derive(Debug, Serialize, Deserialize, Validate)]
pub(super) struct InRoom {
    #[garde(dive)]
    pub(super) room: RoomName,
}

/// `say`
#[derive(Debug, Deserialize, Validate)]
pub(super) struct Say {
    #[garde(dive)]
    pub(super) room: RoomName,
    #[garde(length(chars, min = 1, max = 2_000))]
    pub(super) text: String,
}

/// `welcome`
#[derive(Debug, Serialize)]
pub(super) struct Welcome<'a> {
    pub(super) name: &'a str,
    pub(super) node: &'a str,
    #[serde(flatten)]
    pub(super) lobby: RoomMembers,
}

/// `message`; `at` is in milliseconds since 1970, as everywhere in JavaScript.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    id: String,
    room: &'a RoomName,
    from: &'a str,
    text: &'a str,
    at: u64,
}

impl<'a> Message<'a> {
    pub(super) fn new(id: String, from: &'a str, say: &'a Say, at: u64) -> Self {
        Self {
            id,
            room: &say.room,
            from,
            text: &say.text,
            at,
        }
    }
}

/// The answer to `say`: which message it became.
#[derive(Debug, Serialize)]
pub(super) struct Said {
    id: String,
    at: u64,
}

impl From<Message<'_>> for Said {
    fn from(message: Message<'_>) -> Self {
        Self {
            id: message.id,
            at: message.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis::socketio::ids::SocketId;

    use super::*;

    #[test]
    fn a_room_name_has_1_to_64_characters_however_many_bytes() {
        let is_name = |name: &str| RoomName::from(name).validate().is_ok();
        assert!(!is_name(""));
        assert!(is_name("x"));
        assert!(is_name(&"é".repeat(64)));
        assert!(!is_name(&"x".repeat(65)));
        assert!(!is_name(&"\u{1f600}".repeat(64)), "256 bytes would not fit");
    }

    #[test]
    fn no_name_of_a_room_is_the_room_of_a_socket() {
        let id = SocketId::from_random([7; 15]);
        assert_ne!(RoomName::from(id.as_str()).delivery(), Room::from(id));
    }
}
