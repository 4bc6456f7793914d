//! Tokens good and bad, against a fixed clock.

mod accepted;
mod bad_tokens;
mod configuration;
mod minting;
mod oracle;
mod refused;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

use self::minting::*;
use super::*;
use crate::auth::strict_json::JsonProblem;

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

fn verdict(jwt: &Jwt<Value>, token: &str) -> Result<(), TokenError> {
    jwt.verify(token, now()).map(drop)
}
