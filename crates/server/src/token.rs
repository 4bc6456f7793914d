//! The tokens of this program: what is in them, and making them.
//!
//! ```text
//!  portcullis token ──┐
//!  POST /dev/token ───┼─▶ {sub, iat, exp, …} ─▶ signed with HS256 ─▶ Token
//!  start of dev ──────┘
//! ```
//!
//! # Not here
//!
//! Verifying them, which is the framework's (`portcullis::auth`), and the secret (`secret`).

use std::time::{Duration, SystemTime};

use portcullis::auth::jwt::{MintError, mint_hs256};
use portcullis::auth::{Secret, Token};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The longest `sub` that a verifier accepts.
const MAX_NAME_BYTES: usize = 255;

/// What this server reads in a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Who it is.
    pub(crate) sub: String,
    /// What others call them, if it is not `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

impl Claims {
    /// What others call them.
    pub(crate) fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.sub)
    }

    /// Whether they can be shown to others. Who may sign may still sign a name of kilobytes.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        check_name(self.display_name())
    }
}

/// Whether a person can be called so.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err("a name has 1 to 64 characters");
    }
    if name.len() > MAX_NAME_BYTES {
        return Err("a name has at most 255 bytes");
    }
    if name.chars().any(char::is_control) {
        return Err("a name has no control characters");
    }
    Ok(())
}

/// A token for `sub`, good from `now` for `ttl`, with further claims beside the three.
///
/// # Errors
///
/// If the claims are too large for a token.
pub(crate) fn mint(
    secret: &Secret,
    sub: &str,
    ttl: Duration,
    further: impl IntoIterator<Item = (String, Value)>,
    now: SystemTime,
) -> Result<Token, MintError> {
    let issued_at = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let mut claims: Map<String, Value> = further.into_iter().collect();
    claims.insert("sub".to_owned(), sub.into());
    claims.insert("iat".to_owned(), issued_at.into());
    claims.insert(
        "exp".to_owned(),
        issued_at.saturating_add(ttl.as_secs()).into(),
    );
    mint_hs256(secret, &claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::auth::TokenError;
    use portcullis::auth::jwt::Jwt;

    const SECRET: &str = "a secret for tests, of 32 bytes or more";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_good_for_its_time_and_no_longer() {
        let ttl = Duration::from_secs(60);
        let token = mint(&SECRET.into(), "alice", ttl, [], at(1_000_000)).unwrap();
        let jwt = Jwt::<Claims>::hs256(SECRET).leeway(Duration::ZERO);

        let verified = jwt.verify(token.expose(), at(1_000_059)).unwrap();
        assert_eq!(
            verified.claims,
            Claims {
                sub: "alice".to_owned(),
                name: None
            }
        );
        assert_eq!(verified.claims.display_name(), "alice");
        assert!(matches!(
            jwt.verify(token.expose(), at(1_000_060)),
            Err(TokenError::Expired)
        ));
    }

    #[test]
    fn further_claims_are_beside_the_three_and_not_in_their_place() {
        let further = [("name", "Alice"), ("sub", "mallory"), ("exp", "never")]
            .map(|(key, value)| (key.to_owned(), Value::from(value)));
        let ttl = Duration::from_secs(60);
        let token = mint(&SECRET.into(), "alice", ttl, further, at(1_000_000)).unwrap();

        let verified = Jwt::<Claims>::hs256(SECRET)
            .verify(token.expose(), at(1_000_000))
            .unwrap();
        assert_eq!(verified.claims.sub, "alice");
        assert_eq!(verified.claims.display_name(), "Alice");
        assert_eq!(verified.expires_at, Some(1_000_060));
    }
}
