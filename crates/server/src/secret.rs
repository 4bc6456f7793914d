//! The secret that tokens are signed with: from an argument, the environment, or made up.
//!
//! # Invariants
//!
//! - A secret of this program is as long as the hash that it keys (RFC 7518 section 3.2).
//! - It is not in any `Debug` output, log or error.
//!
//! # Not here
//!
//! What is signed (`token`).

use std::ffi::OsString;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::auth::Secret;

/// The environment variable that holds the secret.
pub(crate) const VARIABLE: &str = "PORTCULLIS_JWT_SECRET";

/// What a key for HS256 needs: the length of its hash.
const MIN_BYTES: usize = 32;

/// Why there is no secret to work with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// It could be guessed.
    #[error("the secret in {place} has {len_bytes} bytes, and needs at least {MIN_BYTES}")]
    TooShort {
        /// Where it came from.
        place: &'static str,
        /// What it has.
        len_bytes: usize,
    },
    /// None was given.
    #[error("no secret: give one with --secret or in {VARIABLE}")]
    Missing,
    /// The system has no random bytes to make one from.
    #[error("cannot make a secret")]
    NoRandomness(#[source] getrandom::Error),
}

impl SecretError {
    /// Whether another argument, or another environment, would help.
    pub(crate) const fn is_about_arguments(&self) -> bool {
        match self {
            Self::TooShort { .. } | Self::Missing => true,
            Self::NoRandomness(_) => false,
        }
    }
}

/// Where a secret came from, which decides for how long its tokens are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody chose it, and it outlives this process.
    Given,
    /// It was made up at start, and ends with this process.
    Generated,
}

/// The secret of `portcullis dev`: the environment's, or a new one.
pub(crate) fn given_or_generated(
    environment: Option<OsString>,
) -> Result<(Secret, Origin), SecretError> {
    match environment {
        Some(text) => Ok((long_enough(text, VARIABLE)?, Origin::Given)),
        None => Ok((generate()?, Origin::Generated)),
    }
}

/// The secret of `portcullis token`: the argument's before the environment's.
pub(crate) fn given(
    argument: Option<String>,
    environment: Option<OsString>,
) -> Result<Secret, SecretError> {
    match (argument, environment) {
        (Some(text), _) => long_enough(text.into(), "--secret"),
        (None, Some(text)) => long_enough(text, VARIABLE),
        (None, None) => Err(SecretError::Missing),
    }
}

fn long_enough(text: OsString, place: &'static str) -> Result<Secret, SecretError> {
    let bytes = text.into_encoded_bytes();
    if bytes.len() < MIN_BYTES {
        return Err(SecretError::TooShort {
            place,
            len_bytes: bytes.len(),
        });
    }
    Ok(Secret::from(bytes))
}

/// 32 random bytes, as text, so that they could be handed on in a variable.
fn generate() -> Result<Secret, SecretError> {
    let mut bytes = [0_u8; MIN_BYTES];
    getrandom::fill(&mut bytes).map_err(SecretError::NoRandomness)?;
    Ok(Secret::from(URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(len_bytes: usize) -> OsString {
        "x".repeat(len_bytes).into()
    }

    #[test]
    fn a_secret_shorter_than_its_hash_is_refused_and_not_repeated() {
        let error = given_or_generated(Some(text(31))).unwrap_err();
        let said = error.to_string();
        assert_eq!(
            said,
            "the secret in PORTCULLIS_JWT_SECRET has 31 bytes, and needs at least 32",
        );
        assert!(given_or_generated(Some(text(32))).is_ok());
    }

    #[test]
    fn an_empty_variable_is_a_short_secret_and_not_a_missing_one() {
        assert!(matches!(
            given_or_generated(Some(OsString::new())),
            Err(SecretError::TooShort { len_bytes: 0, .. }),
        ));
    }

    #[test]
    fn the_argument_comes_before_the_environment() {
        let secret = given(Some("a".repeat(32)), Some(text(32))).unwrap();
        assert_eq!(secret.expose(), "a".repeat(32).as_bytes());
        assert!(matches!(
            given(Some("short".to_owned()), Some(text(32))),
            Err(SecretError::TooShort {
                place: "--secret",
                ..
            }),
        ));
    }

    #[test]
    fn a_token_is_not_signed_with_a_secret_that_nobody_knows() {
        assert!(matches!(given(None, None), Err(SecretError::Missing)));
    }

    #[test]
    fn two_generated_secrets_differ_and_are_long_enough() {
        let (one, origin) = given_or_generated(None).unwrap();
        let (other, _) = given_or_generated(None).unwrap();
        assert_eq!(origin, Origin::Generated);
        assert!(one.expose().len() >= MIN_BYTES);
        assert_ne!(one.expose(), other.expose());
    }
}
