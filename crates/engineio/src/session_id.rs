//! The id of a session, which is a bearer secret: who knows it can read and write the session.
//!
//! # Invariants
//!
//! - It never leaves its transport: there is no `Display` and no `Serialize`, and `Debug` hides it.
//! - It has 1 to 64 characters of the base64url alphabet.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const MAX_LEN: usize = 64;
const USUAL_LEN: usize = 20;

/// Names one Engine.IO session; secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    /// What [`SessionId::from_random`] makes.
    Usual([u8; USUAL_LEN]),
    /// What an application's own generator makes.
    Other(Box<str>),
}

/// Text that cannot be a session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 1 to 64 characters of the base64url alphabet")]
pub struct SessionIdError(());

impl SessionId {
    /// Makes an id of 20 characters out of 15 bytes that the caller drew from the system.
    #[must_use]
    pub fn from_random(random: [u8; 15]) -> Self {
        let mut id = [0; USUAL_LEN];
        let written = URL_SAFE_NO_PAD.encode_slice(random, &mut id);
        debug_assert_eq!(written, Ok(USUAL_LEN), "15 bytes are 20 characters");
        Self(Repr::Usual(id))
    }

    /// Reads an id, as it comes in a request or from an application's generator.
    ///
    /// # Errors
    ///
    /// Anything but 1 to 64 characters of `A-Z a-z 0-9 - _`.
    pub fn parse(text: &str) -> Result<Self, SessionIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(allowed) {
            return Err(SessionIdError(()));
        }
        Ok(Self(match <[u8; USUAL_LEN]>::try_from(text.as_bytes()) {
            Ok(usual) => Repr::Usual(usual),
            Err(_) => Repr::Other(text.into()),
        }))
    }

    /// The secret itself, for the transport that it belongs to.
    #[must_use]
    pub fn expose(&self) -> &str {
        match &self.0 {
            Repr::Usual(id) => std::str::from_utf8(id).unwrap_or_default(),
            Repr::Other(id) => id,
        }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(redacted)")
    }
}

#[cfg(test)]
mod tests;
