//! Engine messages into packets, packets into engine messages.
//!
//! ```text
//!          text ─▶ ┌──────────┐
//!                  │ Decoder  │ ─▶ Packet, or nothing yet
//!        binary ─▶ └──────────┘
//!                    JSON: text, then its attachments, one binary message each
//!                    msgpack: one binary message per packet
//!
//!  Payload, ids ─▶ Codec::encode_* ─▶ appended to the caller's buffer
//! ```
//!
//! # Invariants
//!
//! - Between a text that announces attachments and the last of them, nothing else is accepted
//!   (socket.io-protocol, "Packet encoding").
//! - An error ends the connection: what the decoder then holds is dropped with it.
//! - Encoding cannot fail: what could was settled when the payload was made
//!   ([`crate::payload`]).
//!
//! # Not here
//!
//! Whether the packet is allowed now (`client`); framing and base64 (Engine.IO).

mod binary;
mod decoder;
mod encode;
mod text;

pub use self::decoder::Decoder;

use crate::msgpack::MsgpackError;

/// How packets are written. One for a whole server, as all its clients must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an embedder matches to choose the type of an engine message"
)]
pub enum Codec {
    /// Text with placeholders, and attachments behind it: what clients speak by default.
    #[default]
    Json,
    /// One msgpack map: what `socket.io-msgpack-parser` speaks.
    Msgpack,
}

impl Codec {
    /// Whether an encoded packet is a binary engine message, with its attachments inside.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Msgpack)
    }
}

/// What one packet may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    max_attachments: usize,
    max_attachment_bytes: usize,
    max_auth_bytes: usize,
    max_auth_depth: usize,
}

impl Limits {
    /// The limits that JavaScript servers have, and bounds where they have none.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_attachments: 10,
            max_attachment_bytes: 1_000_000,
            max_auth_bytes: 16 * 1024,
            max_auth_depth: 32,
        }
    }

    /// How many attachments a packet may announce.
    ///
    /// Default: 10, which is also what clients accept. At least 1.
    #[must_use]
    pub const fn max_attachments(mut self, count: usize) -> Self {
        self.max_attachments = if count == 0 { 1 } else { count };
        self
    }

    /// How many bytes a packet's text and attachments may have together.
    ///
    /// Default: 1,000,000. Should equal the largest engine message.
    #[must_use]
    pub const fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.max_attachment_bytes = bytes;
        self
    }

    /// How long the payload of a CONNECT may be; a longer one is [`Auth::TooLarge`].
    ///
    /// Default: 16 KiB.
    ///
    /// [`Auth::TooLarge`]: crate::packet::Auth::TooLarge
    #[must_use]
    pub const fn max_auth_bytes(mut self, bytes: usize) -> Self {
        self.max_auth_bytes = bytes;
        self
    }

    /// How deep the payload of a CONNECT may nest; a deeper one is [`Auth::TooDeep`].
    ///
    /// Default: 32. At most [`MAX_DEPTH`](crate::MAX_DEPTH).
    ///
    /// [`Auth::TooDeep`]: crate::packet::Auth::TooDeep
    #[must_use]
    pub const fn max_auth_depth(mut self, depth: usize) -> Self {
        self.max_auth_depth = if depth > crate::MAX_DEPTH {
            crate::MAX_DEPTH
        } else {
            depth
        };
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that are not a Socket.IO packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A packet needs at least its type.
    #[error("empty packet")]
    Empty,
    /// The type is not one of `0` to `6`, or of 0 to 4 in msgpack.
    #[error("unknown packet type")]
    UnknownType,
    /// A binary packet does not say how many attachments it has, or says none.
    #[error("illegal number of attachments")]
    Attachments,
    /// A binary packet announces more attachments than allowed.
    #[error("more than {max} attachments")]
    TooManyAttachments {
        /// What is allowed.
        max: usize,
    },
    /// Text and attachments are more than allowed.
    #[error("a packet of more than {max_bytes} bytes")]
    TooLarge {
        /// What is allowed.
        max_bytes: usize,
    },
    /// Something other than CONNECT is for a namespace that cannot exist.
    #[error("invalid namespace")]
    Namespace,
    /// An ack id is no whole number that JavaScript can hold.
    #[error("invalid ack id")]
    AckId,
    /// The payload is not JSON.
    #[error("invalid JSON")]
    Json,
    /// The packet is not msgpack.
    #[error("invalid msgpack")]
    Msgpack(#[from] MsgpackError),
    /// The payload is missing, or not what this type of packet carries.
    #[error("invalid payload for this type of packet")]
    Payload,
    /// The payload nests deeper than allowed.
    #[error("the payload nests deeper than {max} containers")]
    TooDeep {
        /// What is allowed.
        max: usize,
    },
    /// The first item of an event is neither text nor a finite number.
    #[error("invalid event name")]
    EventName,
    /// The event has a name that clients keep for themselves.
    #[error("reserved event name")]
    ReservedEventName,
    /// A placeholder has no attachment, or not one of its own.
    #[error("illegal placeholder")]
    Placeholder,
    /// Text where an attachment or a msgpack packet was due.
    #[error("text where binary was expected")]
    UnexpectedText,
    /// Binary data that no packet has announced.
    #[error("binary where text was expected")]
    UnexpectedBinary,
}
