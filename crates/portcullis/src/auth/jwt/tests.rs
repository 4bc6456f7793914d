//! Tokens good and bad, against a fixed clock.

mod accepted;
mod bad_tokens;
mod configuration;
mod refused;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

use super::*;

/// The moment of every test, in seconds since 1970.
const NOW: u64 = 1_700_000_000;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The contents of a file of `tests/keys`.
macro_rules! key_file {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/", $name))
    };
}
use key_file;

fn now() -> SystemTime {
    at(NOW)
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn jwt() -> Jwt<Value> {
    Jwt::hs256(SECRET)
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs two raw JSON texts with any key.
fn sign_with(
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
fn sign_by(secret: &[u8], header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    sign_with(
        Algorithm::HS256,
        &EncodingKey::from_secret(secret),
        header,
        claims,
    )
}

/// Signs two raw JSON texts as [`jwt`] expects it.
fn sign(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    sign_by(SECRET.as_bytes(), header, claims)
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Claims with a good `exp`, and `more` members after it.
fn claims(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"exp":{}{comma}{more}}}"#, NOW + 60)
}

/// A token with a good `exp`, and `more` claims.
fn token(more: &str) -> String {
    sign(HEADER, claims(more))
}

/// A token with these members in its header beside `alg`.
fn token_with_header(more: &str) -> String {
    sign(format!(r#"{{"alg":"HS256",{more}}}"#), claims(""))
}

fn verdict(jwt: &Jwt<Value>, token: &str) -> Result<(), TokenError> {
    jwt.verify(token, now()).map(drop)
}
