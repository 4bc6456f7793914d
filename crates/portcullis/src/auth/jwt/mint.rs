//! Making tokens, for tests and for the command line.
//!
//! # Invariants
//!
//! - What is minted here is a token that [`Jwt::hs256`](super::Jwt::hs256) with the same secret can
//!   read; whether it admits the claims is its own decision.
//!
//! # Not here
//!
//! An issuer for production: who signs tokens with a private key has a service for that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::Serialize;

use crate::auth::secret::{Secret, Token};
use crate::auth::source::MAX_TOKEN_BYTES;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The claims have no form in JSON.
    #[error("the claims cannot be written as JSON")]
    Claims(#[source] serde_json::Error),
    /// The claims are JSON, but not an object.
    #[error("the claims are not an object")]
    NotAnObject,
    /// The token would be longer than a server reads.
    #[error("the token of {len_bytes} bytes exceeds the limit of {max_bytes}")]
    TooLarge {
        /// How long it would be.
        len_bytes: usize,
        /// What is allowed.
        max_bytes: usize,
    },
    /// The cryptographic library refused to sign.
    #[error("the token cannot be signed")]
    Signing,
}

/// Signs `claims` with HMAC and SHA-256.
///
/// The claims are written as they are: nothing, not even `exp`, is added.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use portcullis::auth::jwt::{Jwt, mint_hs256};
/// use serde_json::{Value, json};
///
/// let secret = "correct horse battery staple, twice over";
/// let token = mint_hs256(&secret.into(), &json!({ "sub": "alice", "exp": 2_000_000_000 }))?;
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
/// let verified = Jwt::<Value>::hs256(secret).verify(token.expose(), now)?;
/// assert_eq!(verified.subject.as_deref(), Some("alice"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If the claims are not a JSON object, or too large for a token.
pub fn mint_hs256<T: Serialize + ?Sized>(secret: &Secret, claims: &T) -> Result<Token, MintError> {
    let claims = serde_json::to_string(claims).map_err(MintError::Claims)?;
    if !claims.starts_with('{') {
        return Err(MintError::NotAnObject);
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(secret.expose());
    let signature = (aws_lc::DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key)
        .map_err(|_| MintError::Signing)?
        .try_sign(signed.as_bytes())
        .map_err(|_| MintError::Signing)?;
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    if token.len() > MAX_TOKEN_BYTES {
        return Err(MintError::TooLarge {
            len_bytes: token.len(),
            max_bytes: MAX_TOKEN_BYTES,
        });
    }
    Ok(Token::from(token))
}
