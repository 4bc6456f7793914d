//! The name of a room: text, or an integer.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::SocketId;

/// A named set of sockets within a namespace.
///
/// JavaScript peers keep `"1"` and `1` apart, so rooms do too. A room named by a [`SocketId`] is
/// where its socket can be reached alone.
///
/// ```
/// use portcullis_socketio::ids::Room;
///
/// assert_ne!(Room::from("1"), Room::from(1));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "JavaScript peers know no third kind, and adapters must carry each"
)]
pub enum Room {
    /// A name.
    Text(Arc<str>),
    /// A number.
    Number(i64),
}

impl Room {
    /// The longest name that a room should have; the framework refuses longer ones.
    pub const MAX_LEN_BYTES: usize = 256;

    /// How long the name is when it is written out.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(number) => {
                let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                digits as usize + usize::from(*number < 0)
            }
        }
    }
}

impl From<&str> for Room {
    fn from(name: &str) -> Self {
        Self::Text(name.into())
    }
}

impl From<String> for Room {
    fn from(name: String) -> Self {
        Self::Text(name.into())
    }
}

impl From<&String> for Room {
    fn from(name: &String) -> Self {
        Self::Text(name.as_str().into())
    }
}

impl From<Arc<str>> for Room {
    fn from(name: Arc<str>) -> Self {
        Self::Text(name)
    }
}

impl From<i64> for Room {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Room {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for Room {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<SocketId> for Room {
    fn from(id: SocketId) -> Self {
        Self::Text(id.as_str().into())
    }
}

impl From<&SocketId> for Room {
    fn from(id: &SocketId) -> Self {
        Self::from(*id)
    }
}

impl From<&Self> for Room {
    fn from(room: &Self) -> Self {
        room.clone()
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Room({text:?})"),
            Self::Number(number) => write!(f, "Room({number})"),
        }
    }
}

impl Serialize for Room {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Room {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RoomVisitor)
    }
}

struct RoomVisitor;

impl de::Visitor<'_> for RoomVisitor {
    type Value = Room;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a room: a string or an integer")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Room, E> {
        Ok(Room::from(text))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Room, E> {
        Ok(Room::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Room, E> {
        i64::try_from(number)
            .map(Room::Number)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }
}
