//! Newtypes for what must not be printed: tokens and signing secrets.
//!
//! # Invariants
//!
//! - Neither type has `Display` or `Serialize`, and `Debug` shows only a length. The content leaves
//!   through `expose`, which is easy to grep for.
//!
//! # Not here
//!
//! Public keys, which are no secret (`jwt::keys`).

use std::fmt;

/// A bearer token, as some source presented it or as it was minted. Nothing is verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The text of the token. Whoever holds it is let in: do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes, redacted)", self.0.len())
    }
}

/// The shared secret of an HMAC algorithm.
///
/// Made from text or bytes; text counts as its UTF-8 bytes and is not decoded from base64 or hex.
///
/// It has no equality on purpose: comparing secrets byte by byte tells how long a guess was right.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes of the secret. Whoever holds them can make tokens: do not log them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Secret {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Secret {
    fn from(bytes: &[u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<&String> for Secret {
    fn from(text: &String) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes, redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_token_or_a_secret_shows_only_its_length() {
        assert_eq!(
            format!("{:?}", Token::from("abc".to_owned())),
            "Token(3 bytes, redacted)"
        );
        assert_eq!(
            format!("{:?}", Secret::from("abcd")),
            "Secret(4 bytes, redacted)"
        );
    }
}
