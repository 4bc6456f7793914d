//! Making values out of Rust's own types, and getting those back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Value, ValueError};
use crate::json;
use crate::payload::{EncodeError, Payload};

/// Text that is not JSON, or nests too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON, or nested too deep")]
pub struct JsonError(());

impl Value {
    /// Turns anything that serialises into a value.
    ///
    /// # Errors
    ///
    /// What the type's own serialisation refuses, and values that nest too deep.
    pub fn from_serialize<T: Serialize + ?Sized>(source: &T) -> Result<Self, EncodeError> {
        // A tuple of one keeps a tuple in one piece, where it would be spread at the top.
        let payload = Payload::args(&(source,))?;
        Ok(payload.values().pop().unwrap_or_default())
    }

    /// Reads one JSON value that is all of `text` and nests at most `max_depth` containers. It is
    /// read as JavaScript reads it: whatever is valid has a value.
    ///
    /// # Errors
    ///
    /// Anything else. The error does not quote the text.
    pub fn from_json(text: &str, max_depth: usize) -> Result<Self, JsonError> {
        json::parse_within(text, max_depth).map_err(|json::Malformed| JsonError(()))
    }

    /// Reads the value as another type.
    ///
    /// # Errors
    ///
    /// A value of another shape. The error says where, and not what was found there.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        T::deserialize(self)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Unsigned(number), Self::Integer)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
}

impl<V: Into<Self>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<K: Into<String>, V: Into<Self>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}
