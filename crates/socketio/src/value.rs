//! The dynamic type: any value that JSON with attachments, or msgpack, can carry.
//!
//! | variant                   | JSON text             | msgpack           |
//! |---------------------------|-----------------------|-------------------|
//! | [`Value::Integer`]        | a number              | the shortest int  |
//! | [`Value::Float`]          | a number, else `null` | float64, or an int if integral |
//! | [`Value::Bytes`]          | a placeholder         | bin               |
//! | [`Value::Timestamp`]      | an ISO 8601 string    | extension −1, to clients 0 |
//! | [`Value::Map`]            | an object, in order   | a map, in order   |
//!
//! # Invariants
//!
//! - Maps keep their order, because JavaScript peers can see it.
//! - Both decoders bound how deep a value nests, so dropping one cannot exhaust the stack.
//!
//! # Not here
//!
//! Parsing (`json`, [`crate::msgpack`]) and arguments that nobody has asked for
//! ([`crate::args`]).

mod convert;
mod de;
mod error;
mod timestamp;

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::json;

pub use self::convert::JsonError;
pub(crate) use self::de::Sequence;
pub use self::error::ValueError;

/// Any value that an event can carry.
///
/// ```
/// use portcullis_socketio::value::Value;
///
/// #[derive(serde::Deserialize)]
/// struct Say { room: String, text: String }
///
/// let value = Value::from_iter([("room", "lobby"), ("text", "hi")]);
/// let say: Say = value.to().unwrap();
/// assert_eq!((say.room.as_str(), say.text.as_str()), ("lobby", "hi"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Value {
    /// JSON's `null`, and JavaScript's `undefined`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Integer(i64),
    /// A whole number above `i64::MAX`, and no other.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// Binary data: an attachment in JSON, `bin` in msgpack.
    Bytes(Bytes),
    /// A list.
    Array(Vec<Self>),
    /// Keys and values in the order of the wire. The last of several equal keys counts.
    Map(Vec<(String, Self)>),
    /// A point in time, which only msgpack has a form for.
    Timestamp {
        /// Seconds since the Unix epoch, rounded down.
        seconds: i64,
        /// What is left: less than a thousand million.
        nanoseconds: u32,
    },
}

impl Value {
    /// What `key` maps to, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.as_map()?;
        let (_, value) = entries.iter().rev().find(|(name, _)| name == key)?;
        Some(value)
    }

    /// The text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is a whole number that fits.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The binary data, if this is binary.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if this is a map.
    #[must_use]
    pub fn as_map(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Whether it is, or holds, a point in time.
    pub(crate) fn has_timestamp(&self) -> bool {
        match self {
            Self::Timestamp { .. } => true,
            Self::Array(items) => items.iter().any(Self::has_timestamp),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.has_timestamp()),
            _ => false,
        }
    }

    /// About how much memory the value keeps, for bounds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let inside = match self {
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Array(items) => items.iter().map(Self::size_bytes).sum(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| size_of::<String>() + key.len() + value.size_bytes())
                .sum(),
            _ => 0,
        };
        size_of::<Self>() + inside
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Not a unit: as the arguments of an event that would be none, and this is one.
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Timestamp {
                seconds,
                nanoseconds,
            } => serializer.collect_str(&timestamp::Iso8601::new(*seconds, *nanoseconds)),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes whatever comes.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(big_number(&entries).unwrap_or(Value::Map(entries)))
    }
}

/// The number that a map stands for, if `arbitrary_precision` is on, which any crate of an
/// application can do: then serde_json passes on as such a map what does not fit 64 bits, or is no
/// whole number.
fn big_number(entries: &[(String, Value)]) -> Option<Value> {
    match entries {
        [(key, Value::String(text))] if key == "$serde_json::private::Number" => {
            json::parse(text).ok().filter(|value| {
                matches!(
                    value,
                    Value::Integer(_) | Value::Unsigned(_) | Value::Float(_)
                )
            })
        }
        _ => None,
    }
}
