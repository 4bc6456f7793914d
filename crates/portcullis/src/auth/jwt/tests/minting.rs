//! Tokens for tests, signed by the library with a secret of their own, good or bad as they say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};

/// The moment of every test, in seconds since 1970.
pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs two raw JSON texts with any key.
pub(crate) fn sign_with(
    algorithm: Algorithm,
    key: &EncodingKey,
    header: impl AsRef<[u8]>,
    claims: impl AsRef<[u8]>,
) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

/// Signs two raw JSON texts with HMAC, SHA-256 and any secret.
pub(crate) fn sign_by(secret: &[u8], header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    sign_with(
        Algorithm::HS256,
        &EncodingKey::from_secret(secret),
        header,
        claims,
    )
}

/// Signs two raw JSON texts as a verifier with [`SECRET`] expects it.
pub(crate) fn sign(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    sign_by(SECRET.as_bytes(), header, claims)
}

pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Claims with a good `exp`, and `more` members after it.
pub(crate) fn claims(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"exp":{}{comma}{more}}}"#, NOW + 60)
}

/// A token with a good `exp`, and `more` claims.
pub(crate) fn token(more: &str) -> String {
    sign(HEADER, claims(more))
}

/// A token with these members in its header beside `alg`.
pub(crate) fn token_with_header(more: &str) -> String {
    sign(format!(r#"{{"alg":"HS256",{more}}}"#), claims(""))
}
