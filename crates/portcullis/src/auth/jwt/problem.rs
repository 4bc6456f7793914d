//! What can be wrong with the configuration of a `Jwt`, found before the first token.
//!
//! # Invariants
//!
//! - Problems are collected, so that one start shows all of them.
//! - No problem shows key material.
//!
//! # Not here
//!
//! What can be wrong with a token (`token_error`).

use std::time::Duration;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// There is no secret at all.
    #[error("the secret is empty")]
    SecretEmpty,
    /// Such a secret can be guessed offline from a single token.
    #[error("the secret has {len_bytes} bytes and must have at least {min_bytes}")]
    SecretTooShort {
        /// How long it is.
        len_bytes: usize,
        /// How long the output of the hash is.
        min_bytes: usize,
    },
    /// A PEM file stands where a shared secret belongs.
    #[error("the secret is a PEM file; use the constructor for its public-key algorithm")]
    SecretIsPem,
    /// Not one PEM block of a public key.
    #[error("the key is not one readable PEM block labelled PUBLIC KEY")]
    PemUnreadable,
    /// A verifier has no business with private keys.
    #[error("the key is a private key; give the public one")]
    PrivateKey,
    /// The key is for another algorithm, or on another curve.
    #[error("the key is of another type than its algorithm")]
    WrongKeyType,
    /// The RSA key is too small to be safe, or too large to be used.
    #[error("the RSA key has {bits} bits and must have 2048 to 8192")]
    RsaSize {
        /// The length of its modulus.
        bits: usize,
    },
}

/// Why a [`Jwt`](super::Jwt) cannot be used as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JwtProblem {
    /// A key cannot be used.
    #[error("the {algorithm} key{} is not usable", name_suffix(.key_id.as_deref()))]
    Key {
        /// The `kid` that it was given under, if any.
        key_id: Option<String>,
        /// Its algorithm.
        algorithm: &'static str,
        /// What is wrong with it.
        #[source]
        problem: KeyProblem,
    },
    /// No key was given, so no token could be accepted.
    #[error("there is no key")]
    NoKey,
    /// Two keys were given under one `kid`.
    #[error("the key id {key_id:?} is given twice")]
    DuplicateKeyId {
        /// The name.
        key_id: String,
    },
    /// The `kid` of a key is empty or longer than the 256 bytes that a token may name.
    #[error("a key id of {len_bytes} bytes cannot be used; it must have 1 to 256")]
    KeyIdLength {
        /// How long it is.
        len_bytes: usize,
    },
    /// A set of keys cannot be used.
    #[error("the keys at {place} cannot be used: {problem}")]
    Jwks {
        /// Its URL or path.
        place: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Keys for tokens of whoever were given beside issuers, who have keys of their own.
    #[error("keys are given beside issuers; give each to the issuer that it belongs to")]
    KeysBesideIssuers,
    /// Two issuers have the same name.
    #[error("the issuer {name:?} is given twice")]
    DuplicateIssuer {
        /// The name.
        name: String,
    },
    /// The name of an issuer is empty or has white space, which would make its users' names
    /// ambiguous.
    #[error("the name {name:?} of an issuer is empty or has white space")]
    IssuerName {
        /// The name.
        name: String,
    },
    /// The longest token is none, or longer than the 16 KiB in which one is looked for.
    #[error("the longest token must have 1 to 16384 bytes, not {len_bytes}")]
    TokenLength {
        /// What was asked for.
        len_bytes: usize,
    },
    /// The list of token sources is empty, so no token could be found.
    #[error("there is no source of tokens")]
    NoSource,
    /// A token source has no usable name.
    #[error("the name {name:?} of a token source cannot be used")]
    SourceName {
        /// The name.
        name: String,
    },
    /// The leeway is longer than [`Jwt::MAX_LEEWAY`](super::Jwt::MAX_LEEWAY).
    #[error("a leeway of {leeway:?} would keep expired tokens alive; at most {max:?} is allowed")]
    LeewayTooLong {
        /// What was asked for.
        leeway: Duration,
        /// What is allowed.
        max: Duration,
    },
}

fn name_suffix(key_id: Option<&str>) -> String {
    key_id
        .map(|key_id| format!(" {key_id:?}"))
        .unwrap_or_default()
}
