//! What nodes say to each other, as bytes and as types. Pure: nothing here does IO.
//!
//! | module    | job                                                          |
//! |-----------|--------------------------------------------------------------|
//! | `channel` | names of channels, made and taken apart                      |
//! | `classic` | the messages of `@socket.io/redis-adapter` over Pub/Sub      |
//! | `sharded` | the messages of its sharded adapter                          |
//! | `fields`  | the pieces that both are made of                             |
//! | `json`    | values as `JSON.stringify` writes them                       |
//! | `parser`  | the seam for a codec of the application's own                |
//!
//! # Invariants
//!
//! - Decoding is total: any bytes give a message or an error, within a bound of depth and size.
//! - A room or a socket that cannot be one here is left out of its list. Nothing else is done by
//!   half, and no target grows by it.
//! - What is encoded has the shape that Node's adapters rely on without looking: they would end
//!   their process over anything else.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

pub(crate) mod channel;
pub(crate) mod classic;
pub(crate) mod fields;
#[cfg(test)]
mod golden;
pub(crate) mod json;
pub(crate) mod parser;
pub(crate) mod revocation;
pub(crate) mod sharded;

use portcullis::adapter::SocketDescription;
use portcullis::socketio::ids::Room;
use portcullis::socketio::value::Value;

/// How deep a message may nest: a packet of 64 within what goes around it.
pub(crate) const MAX_DEPTH: usize = 72;

/// The largest message that is looked at, in bytes.
pub(crate) const MAX_LEN_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that are no message. Says why, and quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// Neither JSON nor msgpack, or too deep.
    #[error("not decodable")]
    Undecodable,
    /// Larger than [`MAX_LEN_BYTES`].
    #[error("too large")]
    TooLarge,
    /// Something is missing, or of another type.
    #[error("the field {0} is missing or malformed")]
    Field(&'static str),
    /// A kind of message that is not known here.
    #[error("unknown type")]
    UnknownType,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Response {
    /// Which question.
    pub(crate) request_id: String,
    /// Who answers, where the wire says so.
    pub(crate) sender: Option<String>,
    /// What.
    pub(crate) answer: Answer,
}

/// The content of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The sockets of the node.
    Sockets(Vec<SocketDescription>),
    /// The ids of its sockets: the answer to a question of older peers.
    SocketIds(Vec<String>),
    /// Its rooms.
    Rooms(Vec<Room>),
    /// What its listener said, if it said anything.
    ServerSide(Option<Value>),
    /// How many of its sockets were asked.
    ClientCount(u64),
    /// What one socket said.
    Ack(Option<Value>),
    /// Done.
    Done,
}
