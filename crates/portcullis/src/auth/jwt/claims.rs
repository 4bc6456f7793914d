//! Reading the registered claims of a token (RFC 7519 section 4.1).
//!
//! A registered claim with the wrong JSON type makes the token worthless, even where nobody
//! requires the claim: a verifier that skips what it cannot read does not check it either.
//!
//! | claim                      | type                                                          |
//! |----------------------------|---------------------------------------------------------------|
//! | `exp`, `nbf`, `iat`        | a number of seconds from 0 to the end of the year 9999; a     |
//! |                            | fraction of a second is dropped                               |
//! | `aud`                      | a string or an array of strings                               |
//! | `iss`, `sub`, `jti`, `sid` | a string                                                      |
//!
//! # Invariants
//!
//! - Every date that leaves this module can be added to any bounded duration without overflow.
//!
//! # Not here
//!
//! Whether the values admit the token (`policy`).

use crate::auth::strict_json::{Object, Value};
use crate::auth::token_error::{Claim, TokenError};

use super::MAX_DEPTH;

/// 9999-12-31T23:59:59Z. Dates in milliseconds, the usual mistake, lie far beyond it.
const LAST_DATE: f64 = 253_402_300_799.0;

/// The registered claims, each of its right type.
pub(super) struct Registered {
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    /// `None` if there is no `aud`; an empty list names nobody.
    pub(super) audience: Option<Vec<String>>,
    pub(super) expires_at: Option<u64>,
    pub(super) not_before: Option<u64>,
    pub(super) issued_at: Option<u64>,
    pub(super) token_id: Option<String>,
    pub(super) session_id: Option<String>,
}

impl Registered {
    pub(super) fn parse(json: &[u8]) -> Result<Self, TokenError> {
        let object = Object::parse(json, MAX_DEPTH).map_err(TokenError::ClaimsJson)?;
        Ok(Self {
            issuer: read(&object, Claim::Issuer, text)?,
            subject: read(&object, Claim::Subject, text)?,
            audience: read(&object, Claim::Audience, audience)?,
            expires_at: read(&object, Claim::ExpiresAt, date)?,
            not_before: read(&object, Claim::NotBefore, date)?,
            issued_at: read(&object, Claim::IssuedAt, date)?,
            token_id: read(&object, Claim::TokenId, text)?,
            session_id: read(&object, Claim::SessionId, text)?,
        })
    }
}

fn read<T>(
    object: &Object<'_>,
    claim: Claim,
    as_type: fn(Claim, Value<'_>) -> Result<T, TokenError>,
) -> Result<Option<T>, TokenError> {
    object
        .get(claim.as_str())
        .map(|value| as_type(claim, value))
        .transpose()
}

fn text(claim: Claim, value: Value<'_>) -> Result<String, TokenError> {
    value.to_text().ok_or(TokenError::ClaimType(claim))
}

fn audience(claim: Claim, value: Value<'_>) -> Result<Vec<String>, TokenError> {
    let one = value.to_text().map(|name| vec![name]);
    one.or_else(|| value.to_texts())
        .ok_or(TokenError::ClaimType(claim))
}

fn date(claim: Claim, value: Value<'_>) -> Result<u64, TokenError> {
    let seconds = value.to_number().ok_or(TokenError::ClaimType(claim))?;
    // f64 holds every whole second of this range exactly. The sign is asked for by itself because
    // -0 is not below 0.
    if seconds.is_sign_negative() || seconds > LAST_DATE {
        return Err(TokenError::DateOutOfRange(claim));
    }
    Ok(seconds as u64)
}
