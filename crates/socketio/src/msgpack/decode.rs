//! Bytes into values, believing nothing.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use bytes::Bytes;

use crate::value::Value;

/// How many items are reserved at once, whatever length is declared: the lists that nest around
/// them reserve as much each.
const MAX_RESERVED_ITEMS: usize = 256;

/// One second less a nanosecond.
const MAX_NANOSECONDS: u32 = 999_999_999;

/// The 34 bits of a timestamp of 64 that count seconds.
const TIMESTAMP_64_SECONDS: u64 = (1 << 34) - 1;

/// Bytes that are not one msgpack value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MsgpackError {
    /// The input ends within a value, or declares more than it has.
    #[error("the input ends within a value")]
    Truncated,
    /// A marker that msgpack never uses.
    #[error("unknown marker {found:#04x}")]
    UnknownMarker {
        /// The byte.
        found: u8,
    },
    /// A map has a key that JavaScript would not have written.
    #[error("a key is neither text nor a whole number")]
    Key,
    /// Containers nest deeper than allowed.
    #[error("containers nest too deep")]
    TooDeep,
    /// Something follows the value.
    #[error("{len_bytes} bytes follow the value")]
    Trailing {
        /// How much.
        len_bytes: usize,
    },
}

/// Reads one value that is all of `bytes`, nesting at most `max_depth` containers.
///
/// # Errors
///
/// Anything else. The error never quotes the input.
pub fn decode(bytes: &[u8], max_depth: usize) -> Result<Value, MsgpackError> {
    Reader::new(bytes).only_value(max_depth)
}

/// As [`decode`]; binary data shares the memory of the input instead of being copied.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_shared(bytes: &Bytes, max_depth: usize) -> Result<Value, MsgpackError> {
    Reader::shared(bytes).only_value(max_depth)
}

/// Reads msgpack piece by piece.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The memory that `rest` points into, if it can be shared.
    shared: Option<&'a Bytes>,
}

/// The start of one value: what it is, or what follows.
enum Head<'a> {
    Scalar(Value),
    String(&'a [u8]),
    Bytes(&'a [u8]),
    Extension {
        kind: i8,
        data: &'a [u8],
        /// Whether the marker itself says how long the data is.
        is_fixed: bool,
    },
    Array {
        len: usize,
    },
    Map {
        len: usize,
    },
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            shared: None,
        }
    }

    pub(crate) fn shared(bytes: &'a Bytes) -> Self {
        Self {
            rest: bytes,
            shared: Some(bytes),
        }
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn only_value(mut self, max_depth: usize) -> Result<Value, MsgpackError> {
        let value = self.value(max_depth)?;
        self.finish()?;
        Ok(value)
    }

    /// That nothing is left.
    pub(crate) const fn finish(&self) -> Result<(), MsgpackError> {
        match self.rest.len() {
            0 => Ok(()),
            len_bytes => Err(MsgpackError::Trailing { len_bytes }),
        }
    }

    /// Reads one value.
    pub(crate) fn value(&mut self, max_depth: usize) -> Result<Value, MsgpackError> {
        match self.head()? {
            Head::Scalar(value) => Ok(value),
            Head::String(text) => Ok(Value::String(lossy(text))),
            Head::Bytes(bytes) => Ok(Value::Bytes(self.keep(bytes))),
            Head::Extension {
                kind,
                data,
                is_fixed,
            } => Ok(self.extension(kind, data, is_fixed)),
            Head::Array { len } => {
                let depth_left = max_depth.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
                let mut items = Vec::with_capacity(len.min(MAX_RESERVED_ITEMS));
                for _ in 0..len {
                    items.push(self.value(depth_left)?);
                }
                Ok(Value::Array(items))
            }
            Head::Map { len } => {
                let depth_left = max_depth.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
                let mut entries = Vec::with_capacity(len.min(MAX_RESERVED_ITEMS));
                for _ in 0..len {
                    let key = self.key()?;
                    entries.push((key, self.value(depth_left)?));
                }
                Ok(Value::Map(entries))
            }
        }
    }

    /// Checks one value and goes on behind it. What passes here decodes without an error.
    pub(crate) fn skip(&mut self, max_depth: usize) -> Result<(), MsgpackError> {
        match self.head()? {
            Head::Array { len } => {
                let depth_left = max_depth.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
                for _ in 0..len {
                    self.skip(depth_left)?;
                }
            }
            Head::Map { len } => {
                let depth_left = max_depth.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
                for _ in 0..len {
                    self.skip_key()?;
                    self.skip(depth_left)?;
                }
            }
            Head::Scalar(_) | Head::String(_) | Head::Bytes(_) | Head::Extension { .. } => {}
        }
        Ok(())
    }

    /// Enters a map, whose entries follow.
    pub(crate) fn map_len(&mut self) -> Result<Option<usize>, MsgpackError> {
        match self.head()? {
            Head::Map { len } => Ok(Some(len)),
            _ => Ok(None),
        }
    }

    /// Enters a list, whose items follow.
    pub(crate) fn array_len(&mut self) -> Result<Option<usize>, MsgpackError> {
        match self.head()? {
            Head::Array { len } => Ok(Some(len)),
            _ => Ok(None),
        }
    }

    /// Reads the key of a map. JavaScript writes text; a number becomes its digits there.
    pub(crate) fn key(&mut self) -> Result<String, MsgpackError> {
        match self.head()? {
            Head::String(text) => Ok(lossy(text)),
            Head::Scalar(Value::Integer(number)) => Ok(number.to_string()),
            Head::Scalar(Value::Unsigned(number)) => Ok(number.to_string()),
            _ => Err(MsgpackError::Key),
        }
    }

    fn skip_key(&mut self) -> Result<(), MsgpackError> {
        match self.head()? {
            Head::String(_) | Head::Scalar(Value::Integer(_) | Value::Unsigned(_)) => Ok(()),
            _ => Err(MsgpackError::Key),
        }
    }

    /// Reads a marker and, but for containers, all that belongs to it.
    fn head(&mut self) -> Result<Head<'a>, MsgpackError> {
        let [marker] = self.fixed()?;
        match marker {
            0x00..=0x7f => Ok(integer(marker)),
            0x80..=0x8f => self.map_head(usize::from(marker & 0x0f)),
            0x90..=0x9f => self.array_head(usize::from(marker & 0x0f)),
            0xa0..=0xbf => self.take(usize::from(marker & 0x1f)).map(Head::String),
            0xc0 => Ok(Head::Scalar(Value::Null)),
            0xc1 => Err(MsgpackError::UnknownMarker { found: marker }),
            0xc2 => Ok(Head::Scalar(Value::Bool(false))),
            0xc3 => Ok(Head::Scalar(Value::Bool(true))),
            0xc4..=0xc6 => {
                let len = self.len(marker, 0xc4)?;
                self.take(len).map(Head::Bytes)
            }
            0xc7..=0xc9 => {
                let len = self.len(marker, 0xc7)?;
                self.extension_head(len, false)
            }
            0xca => Ok(float(f32::from_be_bytes(self.fixed()?).into())),
            0xcb => Ok(float(f64::from_be_bytes(self.fixed()?))),
            0xcc => Ok(integer(u8::from_be_bytes(self.fixed()?))),
            0xcd => Ok(integer(u16::from_be_bytes(self.fixed()?))),
            0xce => Ok(integer(u32::from_be_bytes(self.fixed()?))),
            0xcf => Ok(Head::Scalar(u64::from_be_bytes(self.fixed()?).into())),
            0xd0 => Ok(integer(i8::from_be_bytes(self.fixed()?))),
            0xd1 => Ok(integer(i16::from_be_bytes(self.fixed()?))),
            0xd2 => Ok(integer(i32::from_be_bytes(self.fixed()?))),
            0xd3 => Ok(integer(i64::from_be_bytes(self.fixed()?))),
            0xd4 => self.extension_head(1, true),
            0xd5 => self.extension_head(2, true),
            0xd6 => self.extension_head(4, true),
            0xd7 => self.extension_head(8, true),
            0xd8 => self.extension_head(16, true),
            0xd9..=0xdb => {
                let len = self.len(marker, 0xd9)?;
                self.take(len).map(Head::String)
            }
            0xdc | 0xdd => {
                let len = self.len(marker, 0xdb)?;
                self.array_head(len)
            }
            0xde | 0xdf => {
                let len = self.len(marker, 0xdd)?;
                self.map_head(len)
            }
            0xe0..=0xff => Ok(integer(i8::from_be_bytes([marker]))),
        }
    }

    /// A length in one, two or four bytes, as `marker` is `one_byte`, the next or the one after.
    ///
    /// Lists and maps have no form of one byte: their `one_byte` is the marker before their first.
    fn len(&mut self, marker: u8, one_byte: u8) -> Result<usize, MsgpackError> {
        match marker.saturating_sub(one_byte) {
            0 => Ok(u8::from_be_bytes(self.fixed()?).into()),
            1 => Ok(u16::from_be_bytes(self.fixed()?).into()),
            _ => {
                let len = u32::from_be_bytes(self.fixed()?);
                usize::try_from(len).map_err(|_| MsgpackError::Truncated)
            }
        }
    }

    fn array_head(&self, len: usize) -> Result<Head<'a>, MsgpackError> {
        // Every item takes a byte at least.
        if len > self.rest.len() {
            return Err(MsgpackError::Truncated);
        }
        Ok(Head::Array { len })
    }

    fn map_head(&self, len: usize) -> Result<Head<'a>, MsgpackError> {
        if len > self.rest.len() / 2 {
            return Err(MsgpackError::Truncated);
        }
        Ok(Head::Map { len })
    }

    fn extension_head(&mut self, len: usize, is_fixed: bool) -> Result<Head<'a>, MsgpackError> {
        let kind = i8::from_be_bytes(self.fixed()?);
        let data = self.take(len)?;
        Ok(Head::Extension {
            kind,
            data,
            is_fixed,
        })
    }

    fn extension(&self, kind: i8, data: &'a [u8], is_fixed: bool) -> Value {
        let known = match (kind, is_fixed, data.len()) {
            (-1, _, _) => timestamp(data),
            // Older JavaScript peers: `undefined`, `Date` and `ArrayBuffer`.
            (0, true, 1) => Some(Value::Null),
            (0, true, 8) => date(data),
            (0, false, _) => Some(Value::Bytes(self.keep(data))),
            _ => None,
        };
        known.unwrap_or_else(|| {
            Value::Array(vec![
                Value::Integer(kind.into()),
                Value::Bytes(self.keep(data)),
            ])
        })
    }

    fn keep(&self, bytes: &'a [u8]) -> Bytes {
        self.shared.map_or_else(
            || Bytes::copy_from_slice(bytes),
            |shared| shared.slice_ref(bytes),
        )
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], MsgpackError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], MsgpackError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(MsgpackError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

fn integer<'a>(number: impl Into<i64>) -> Head<'a> {
    Head::Scalar(Value::Integer(number.into()))
}

const fn float<'a>(number: f64) -> Head<'a> {
    Head::Scalar(Value::Float(number))
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The three forms of the msgpack specification, "Timestamp extension type".
fn timestamp(data: &[u8]) -> Option<Value> {
    let (seconds, nanoseconds) = if let Ok(seconds) = data.try_into() {
        (u32::from_be_bytes(seconds).into(), 0)
    } else if let Ok(both) = data.try_into() {
        let both = u64::from_be_bytes(both);
        let seconds = i64::try_from(both & TIMESTAMP_64_SECONDS).ok()?;
        (seconds, u32::try_from(both >> 34).ok()?)
    } else {
        let (nanoseconds, seconds) = data.split_first_chunk()?;
        let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
        (seconds, u32::from_be_bytes(*nanoseconds))
    };
    Some(Value::Timestamp {
        seconds,
        nanoseconds: nanoseconds.min(MAX_NANOSECONDS),
    })
}

/// Milliseconds since the epoch, as older JavaScript peers write a `Date`.
fn date(data: &[u8]) -> Option<Value> {
    let milliseconds = i64::from_be_bytes(data.try_into().ok()?);
    let fraction = u32::try_from(milliseconds.rem_euclid(1000)).ok()?;
    Some(Value::Timestamp {
        seconds: milliseconds.div_euclid(1000),
        nanoseconds: fraction.saturating_mul(1_000_000),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Reader;
    use crate::MAX_DEPTH;

    proptest! {
        #[test]
        fn what_can_be_skipped_can_be_read_and_nothing_else(bytes: Vec<u8>) {
            let mut skipping = Reader::new(&bytes);
            let mut reading = Reader::new(&bytes);
            prop_assert_eq!(skipping.skip(MAX_DEPTH), reading.value(MAX_DEPTH).map(drop));
            prop_assert_eq!(skipping.rest(), reading.rest());
        }
    }
}
