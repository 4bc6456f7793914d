//! Which claims admit a token.
//!
//! ```text
//!  iss ▶ aud ▶ sub ▶ exp there? ▶ exp − iat ▶ iat ▶ nbf ▶ exp
//! ```
//!
//! `exp` comes last of these, so that a peer is told "expired" only if a fresh token would get as
//! far as the application's own rules.
//!
//! # Invariants
//!
//! - Time is an argument. Dates are compared as durations since 1970, and every sum saturates.
//! - What is configured is required: a token without `aud` does not pass a configured audience.
//!
//! # Not here
//!
//! The JSON types of the claims (`claims`); the application's own type and rules (`Jwt::verify`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::auth::token_error::{Claim, TokenError};

use super::claims::Registered;

/// The longest subject: RFC 9068 and OpenID Connect Core section 2 stop at 255 characters.
const MAX_SUBJECT_BYTES: usize = 255;

/// Token types that are taken where none is configured: RFC 7519 section 5.1, RFC 9068 section 2.1.
const USUAL_TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// What a server demands of claims, apart from their types.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) audiences: Vec<String>,
    pub(super) issuers: Vec<String>,
    pub(super) leeway: Duration,
    pub(super) requires_subject: bool,
    pub(super) typ: Option<String>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) allows_missing_expiry: bool,
}

impl Policy {
    /// Judges the `typ` of the header, so that a token made for another purpose does not pass
    /// (RFC 8725 section 3.11).
    pub(super) fn check_type(&self, typ: Option<&str>) -> Result<(), TokenError> {
        let fits = match (&self.typ, typ) {
            (Some(wanted), Some(typ)) => bare_type(wanted) == bare_type(typ),
            (Some(_), None) => false,
            (None, Some(typ)) => USUAL_TYPES.contains(&bare_type(typ).as_str()),
            (None, None) => true,
        };
        if fits {
            Ok(())
        } else {
            Err(TokenError::TypeMismatch)
        }
    }

    /// Judges the registered claims of a token whose signature holds for a key of `key_issuer`.
    pub(super) fn check_claims(
        &self,
        claims: &Registered,
        key_issuer: Option<&str>,
        now: SystemTime,
    ) -> Result<(), TokenError> {
        self.check_issuer(claims.issuer.as_deref(), key_issuer)?;
        self.check_audience(claims.audience.as_deref())?;
        self.check_subject(claims.subject.as_deref())?;
        self.check_dates(claims, now)
    }

    fn check_issuer(
        &self,
        issuer: Option<&str>,
        key_issuer: Option<&str>,
    ) -> Result<(), TokenError> {
        if self.issuers.is_empty() && key_issuer.is_none() {
            return Ok(());
        }
        let issuer = issuer.ok_or(TokenError::ClaimMissing(Claim::Issuer))?;
        let is_configured =
            self.issuers.is_empty() || self.issuers.iter().any(|wanted| wanted == issuer);
        if is_configured && key_issuer.is_none_or(|wanted| wanted == issuer) {
            Ok(())
        } else {
            Err(TokenError::IssuerMismatch)
        }
    }

    fn check_audience(&self, audience: Option<&[String]>) -> Result<(), TokenError> {
        match audience {
            None if self.audiences.is_empty() => Ok(()),
            None => Err(TokenError::ClaimMissing(Claim::Audience)),
            // RFC 7519 section 4.1.3: who does not find itself in the claim must refuse.
            Some(_) if self.audiences.is_empty() => Err(TokenError::AudienceUnexpected),
            Some(names) if names.iter().any(|name| self.audiences.contains(name)) => Ok(()),
            Some(_) => Err(TokenError::AudienceMismatch),
        }
    }

    fn check_subject(&self, subject: Option<&str>) -> Result<(), TokenError> {
        match subject {
            None if self.requires_subject => Err(TokenError::ClaimMissing(Claim::Subject)),
            None => Ok(()),
            Some(subject) => {
                let has_fit_length = (1..=MAX_SUBJECT_BYTES).contains(&subject.len());
                if has_fit_length && !subject.contains(char::is_control) {
                    Ok(())
                } else {
                    Err(TokenError::SubjectInvalid)
                }
            }
        }
    }

    fn check_dates(&self, claims: &Registered, now: SystemTime) -> Result<(), TokenError> {
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_err(|_| TokenError::ClockUnusable)?;
        let expires_at = claims.expires_at.map(Duration::from_secs);
        let issued_at = claims.issued_at.map(Duration::from_secs);
        let not_before = claims.not_before.map(Duration::from_secs);

        if expires_at.is_none() && !self.allows_missing_expiry {
            return Err(TokenError::ClaimMissing(Claim::ExpiresAt));
        }
        if let Some(max_lifetime) = self.max_lifetime {
            let expires_at = expires_at.ok_or(TokenError::ClaimMissing(Claim::ExpiresAt))?;
            let issued_at = issued_at.ok_or(TokenError::ClaimMissing(Claim::IssuedAt))?;
            if expires_at.saturating_sub(issued_at) > max_lifetime {
                return Err(TokenError::LifetimeTooLong);
            }
        }
        let latest = now.saturating_add(self.leeway);
        if issued_at.is_some_and(|issued_at| issued_at > latest) {
            return Err(TokenError::IssuedInFuture);
        }
        if not_before.is_some_and(|not_before| not_before > latest) {
            return Err(TokenError::NotYetValid);
        }
        if expires_at.is_some_and(|expires_at| now >= expires_at.saturating_add(self.leeway)) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

/// A media type as RFC 7515 section 4.1.9 compares it: in one case, `application/` understood.
fn bare_type(typ: &str) -> String {
    let lower = typ.to_ascii_lowercase();
    lower
        .strip_prefix("application/")
        .map(str::to_owned)
        .unwrap_or(lower)
}
