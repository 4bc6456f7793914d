//! The names of things: sockets, acks, namespaces and rooms, one type for each.
//!
//! | type              | on the wire                     | who chooses it              |
//! |-------------------|---------------------------------|-----------------------------|
//! | [`SocketId`]      | 20 characters of base64url      | the server, from randomness |
//! | [`AckId`]         | decimal digits before the array | whoever wants the answer    |
//! | [`NamespacePath`] | `/chat,` after the type         | the client, checked by us   |
//! | [`Room`]          | never, only between nodes       | the application             |
//!
//! # Invariants
//!
//! - A value of one of these types is valid: parsing happens at the border, once.
//! - [`SocketId`] is public. The Engine.IO session id is a secret and has no type here, and no
//!   conversion from it exists.
//!
//! # Not here
//!
//! Who is in which room, and which namespaces exist: the framework.

mod namespace;
mod room;

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

pub use self::namespace::{NamespaceError, NamespacePath};
pub use self::room::Room;

/// The base64url alphabet of RFC 4648, section 5.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The public name of one client in one namespace.
///
/// Always 20 characters of the base64url alphabet, because the other nodes of a cluster tell a
/// private room from a public one by that length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId([u8; Self::LEN]);

impl SocketId {
    /// The length of every socket id, in bytes and in characters.
    pub const LEN: usize = 20;

    /// Makes an id out of 15 random bytes.
    ///
    /// The caller brings the randomness: all 120 bits are expected to come from the operating
    /// system, so that one id tells nothing about the next.
    #[must_use]
    pub fn from_random(random: [u8; 15]) -> Self {
        let mut characters = [0; Self::LEN];
        for (group, quartet) in random.chunks_exact(3).zip(characters.chunks_exact_mut(4)) {
            let bits = group
                .iter()
                .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
            for (place, character) in quartet.iter_mut().enumerate() {
                let sextet = (bits >> (18 - 6 * place)) & 0x3f;
                *character = ALPHABET[sextet as usize];
            }
        }
        Self(characters)
    }

    /// Reads an id, as it comes from another node or from an application.
    ///
    /// # Errors
    ///
    /// Anything but 20 characters of `A-Z a-z 0-9 - _`.
    pub fn parse(text: &str) -> Result<Self, SocketIdError> {
        let characters: [u8; Self::LEN] =
            text.as_bytes().try_into().map_err(|_| SocketIdError(()))?;
        if characters.iter().all(|byte| ALPHABET.contains(byte)) {
            Ok(Self(characters))
        } else {
            Err(SocketIdError(()))
        }
    }

    /// The 20 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only characters of `ALPHABET` are ever stored, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({})", self.as_str())
    }
}

impl Serialize for SocketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SocketId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = SocketId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a socket id of 20 characters")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketId, E> {
                SocketId::parse(text)
                    .map_err(|_| E::invalid_value(de::Unexpected::Other("another string"), &self))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// Text that is not a socket id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a socket id is 20 characters of the base64url alphabet")]
pub struct SocketIdError(());

/// The number that ties an answer to its event.
///
/// JavaScript peers count in doubles, so ids from the wire are at most [`AckId::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckId(u64);

impl AckId {
    /// The largest number that a JavaScript peer can hold exactly: 2^53 − 1.
    pub const MAX: u64 = (1 << 53) - 1;
}

impl From<u64> for AckId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<AckId> for u64 {
    fn from(id: AckId) -> Self {
        id.0
    }
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
