//! The body of a polling request: several packets in one (engine.io-protocol, "HTTP
//! long-polling").
//!
//! # Invariants
//!
//! - Reading is linear in the size of the body, and stops at the first bad packet.
//! - A body holds at most as many packets as the caller allows; separators are cheap to send.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use crate::packet::{DecodeError, Packet};

/// Stands between two packets of a payload.
pub const SEPARATOR: char = '\x1e';

/// A body that is not a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// One of its packets cannot be read.
    #[error("invalid packet in a payload")]
    Packet(#[from] DecodeError),
    /// It holds more packets than allowed.
    #[error("more than {max} packets in one payload")]
    TooManyPackets {
        /// How many are allowed.
        max: usize,
    },
}

/// Reads the packets of `body`, at most `max_packets` of them.
#[must_use]
pub fn decode_payload(body: &str, max_packets: usize) -> Packets<'_> {
    Packets {
        parts: body.split(SEPARATOR),
        left: max_packets,
        max: max_packets,
        failed: false,
    }
}

/// The packets of one payload; ends after the first error.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    parts: std::str::Split<'a, char>,
    left: usize,
    max: usize,
    failed: bool,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let part = self.parts.next()?;
        let Some(left) = self.left.checked_sub(1) else {
            self.failed = true;
            return Some(Err(PayloadError::TooManyPackets { max: self.max }));
        };
        self.left = left;
        let packet = Packet::decode(part);
        self.failed = packet.is_err();
        Some(packet.map_err(PayloadError::from))
    }
}

#[cfg(test)]
mod tests;
