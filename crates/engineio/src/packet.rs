//! One Engine.IO packet (engine.io-protocol, "Packet encoding").
//!
//! A text packet is a digit and its data. Binary data is a message without a digit in a binary
//! WebSocket frame, or `b` and base64 where only text can travel.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// As lenient as Node about padding, and as strict as the RFC about everything else.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What one packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// `0`: only a server sends it.
    Open,
    /// `1`: the session ends.
    Close,
    /// `2`, with data during an upgrade.
    Ping(&'a str),
    /// `3`, with data during an upgrade.
    Pong(&'a str),
    /// `4`: what the layer above sends.
    Message(&'a str),
    /// A binary message.
    Binary(Bytes),
    /// `5`: the probing transport takes over.
    Upgrade,
    /// `6`: releases a waiting poll.
    Noop,
}

/// Bytes that are not an Engine.IO packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A packet needs at least its type.
    #[error("empty packet")]
    Empty,
    /// The type is not one of `0` to `6` or `b`.
    #[error("unknown packet type {found:?}")]
    UnknownType {
        /// The character found in its place.
        found: char,
    },
    /// A `b` that is not followed by base64.
    #[error("invalid base64")]
    Base64,
}

impl<'a> Packet<'a> {
    /// Reads one text packet.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        let mut characters = text.chars();
        let kind = characters.next().ok_or(DecodeError::Empty)?;
        let data = characters.as_str();
        match kind {
            '4' => Ok(Self::Message(data)),
            '0' => Ok(Self::Open),
            '1' => Ok(Self::Close),
            '2' => Ok(Self::Ping(data)),
            '3' => Ok(Self::Pong(data)),
            '5' => Ok(Self::Upgrade),
            '6' => Ok(Self::Noop),
            'b' => match BASE64.decode(data) {
                Ok(bytes) => Ok(Self::Binary(bytes.into())),
                Err(_) => Err(DecodeError::Base64),
            },
            found => Err(DecodeError::UnknownType { found }),
        }
    }
}

#[cfg(test)]
mod tests;
