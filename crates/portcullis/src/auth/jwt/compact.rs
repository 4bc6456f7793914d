//! Taking a JWS in compact serialisation apart (RFC 7515 section 7.1).
//!
//! ```text
//!  eyJhbGciOi… . eyJzdWIiOi… . dBjftJeZ4C…
//!  └ header ──┘ └ claims ──┘ └ signature ┘      each base64url, no padding
//!  └ what the signature covers ┘
//! ```
//!
//! # Invariants
//!
//! - The length is checked before anything is decoded.
//! - Two different texts never decode to the same parts: characters outside the alphabet, padding,
//!   and non-zero trailing bits are refused.
//!
//! # Not here
//!
//! What the parts say (`header`, `claims`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::token_error::TokenError;

/// The parts of a token, decoded but not read.
pub(super) struct Compact<'a> {
    /// The JSON text of the header, still to be checked.
    pub(super) header: Vec<u8>,
    /// The JSON text of the claims, still to be checked.
    pub(super) claims: Vec<u8>,
    /// The bytes of the signature.
    pub(super) signature: Vec<u8>,
    /// The bytes that the signature covers.
    pub(super) signed: &'a [u8],
}

impl<'a> Compact<'a> {
    pub(super) fn parse(token: &'a str, max_bytes: usize) -> Result<Self, TokenError> {
        if token.len() > max_bytes {
            return Err(TokenError::TooLarge);
        }
        match token.bytes().filter(|&byte| byte == b'.').count() {
            2 => {}
            4 => return Err(TokenError::Encrypted),
            _ => return Err(TokenError::NotCompact),
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotCompact)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotCompact)?;
        if header.is_empty() || claims.is_empty() {
            return Err(TokenError::NotCompact);
        }
        if signature.is_empty() {
            return Err(TokenError::SignatureEmpty);
        }
        Ok(Self {
            header: decode(header)?,
            claims: decode(claims)?,
            signature: decode(signature)?,
            signed: signed.as_bytes(),
        })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Encoding)
}
