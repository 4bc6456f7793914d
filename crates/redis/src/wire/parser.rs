//! The seam for a codec of the application's own.

use std::fmt;

use bytes::Bytes;
use portcullis::socketio::msgpack;
use portcullis::socketio::value::Value;

use super::{MAX_DEPTH, MAX_LEN_BYTES, WireError};

/// Encodes what nodes say to each other, where the classic wire lets the application choose
/// (Node: the option `parser`): broadcasts, and events that are to be acknowledged with their
/// acknowledgements. Everything else stays JSON. All nodes of a cluster must agree.
///
/// Default: msgpack, in the dialect of Node's adapter.
pub trait Parser: fmt::Debug + Send + Sync + 'static {
    /// Writes a value. What is written must not begin with `{`, which marks JSON.
    fn encode(&self, value: &Value) -> Vec<u8>;

    /// Reads a value. Bytes come from whoever can publish: this must be total.
    ///
    /// # Errors
    ///
    /// Bytes that are no value.
    fn decode(&self, bytes: &Bytes) -> Result<Value, ParserError>;
}

/// Bytes that a [`Parser`] does not understand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, thiserror::Error)]
#[error("the parser does not understand a message")]
#[non_exhaustive]
pub struct ParserError;

impl ParserError {
    /// An error without details: they would quote what a stranger sent.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

/// msgpack as `notepack.io` writes it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Msgpack;

impl Parser for Msgpack {
    fn encode(&self, value: &Value) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        msgpack::encode(value, &mut out);
        out
    }

    fn decode(&self, bytes: &Bytes) -> Result<Value, ParserError> {
        msgpack::decode_shared(bytes, MAX_DEPTH).map_err(|_| ParserError)
    }
}

/// Reads a message that is JSON if it begins with `{`, and the parser's otherwise.
pub(crate) fn decode_either(bytes: &Bytes, parser: &dyn Parser) -> Result<Value, WireError> {
    if bytes.len() > MAX_LEN_BYTES {
        return Err(WireError::TooLarge);
    }
    if bytes.first() == Some(&b'{') {
        // As JavaScript reads bytes: what is not UTF-8 is repaired.
        let text = String::from_utf8_lossy(bytes);
        return Value::from_json(&text, MAX_DEPTH).map_err(|_| WireError::Undecodable);
    }
    parser.decode(bytes).map_err(|_| WireError::Undecodable)
}
