//! Reading the header of a token (RFC 7515 section 4).
//!
//! | parameter                           | here                                              |
//! |-------------------------------------|---------------------------------------------------|
//! | `alg`                               | must be there; compared with the key's, later     |
//! | `kid`                               | a name to look up, at most 256 bytes              |
//! | `typ`                               | compared later                                    |
//! | `crit`                              | refused, whatever it holds                        |
//! | `b64`, `zip`, `enc`, `p2c`, `p2s`   | refused: they change what was signed              |
//! | `jwk`, `jku`, `x5u`, `x5c`, others  | ignored: a token does not say who may sign it     |
//!
//! # Invariants
//!
//! - The header is unsigned input when it is read. It may choose among the configured keys, and
//!   nothing else.
//!
//! # Not here
//!
//! The choice of the key (`keys`).

use crate::auth::strict_json::Object;
use crate::auth::token_error::TokenError;

use super::MAX_DEPTH;

/// The longest `kid` that is looked up.
pub(super) const MAX_KEY_ID_BYTES: usize = 256;

/// Parameters that ask for a transformation which we do not do: RFC 7797, and JWE's.
const UNSUPPORTED: [&str; 5] = ["b64", "zip", "enc", "p2c", "p2s"];

/// What the header of a token claims.
pub(super) struct Header {
    /// `alg`, as it was written.
    pub(super) algorithm: String,
    /// `kid`.
    pub(super) key_id: Option<String>,
    /// `typ`.
    pub(super) typ: Option<String>,
}

impl Header {
    pub(super) fn parse(json: &[u8]) -> Result<Self, TokenError> {
        let object = Object::parse(json, MAX_DEPTH).map_err(TokenError::HeaderJson)?;
        // RFC 7515 section 4.1.11: an extension that is not understood makes the token invalid. We
        // understand none, and an empty list or a list of standard names is not allowed either.
        if object.get("crit").is_some() {
            return Err(TokenError::HeaderCritical);
        }
        if UNSUPPORTED.iter().any(|name| object.get(name).is_some()) {
            return Err(TokenError::HeaderUnsupported);
        }
        let text = |name| match object.get(name) {
            Some(value) => value.to_text().map(Some).ok_or(TokenError::HeaderType),
            None => Ok(None),
        };
        let algorithm = text("alg")?.ok_or(TokenError::AlgorithmMissing)?;
        let key_id = text("kid")?;
        if key_id
            .as_ref()
            .is_some_and(|key_id| key_id.len() > MAX_KEY_ID_BYTES)
        {
            return Err(TokenError::KeyIdTooLong);
        }
        Ok(Self {
            algorithm,
            key_id,
            typ: text("typ")?,
        })
    }
}
