//! Why a token was refused, as finely as logs and metrics want to know it.
//!
//! | step                           | reasons                                                 |
//! |--------------------------------|---------------------------------------------------------|
//! | find it (`source`)             | missing, malformed, ambiguous, wrong scheme, too large  |
//! | take it apart (`jwt::compact`) | not compact, encrypted, bad encoding, empty signature   |
//! | read the header                | JSON, wrong type, critical or unsupported parameters    |
//! | choose the key                 | `kid`, `alg`, `typ`                                     |
//! | verify the signature           | bad signature                                           |
//! | read and judge the claims      | JSON, missing, wrong type, refused value, expired       |
//!
//! # Invariants
//!
//! - No variant carries text from the token, so any of them may be logged.
//! - Only reasons found after the signature held map to another code than `TOKEN_INVALID`, apart
//!   from a token that is missing and a server that cannot decide: who cannot sign learns nothing.
//!
//! # Not here
//!
//! What the peer is told (`refusal`).

use std::borrow::Cow;
use std::fmt;

use crate::auth::refusal::RefusalCode;
use crate::auth::strict_json::JsonProblem;

/// A claim that the verifier itself reads (RFC 7519 section 4.1; `sid` is OpenID Connect's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// `iss`, who made the token.
    Issuer,
    /// `sub`, whom it speaks of.
    Subject,
    /// `aud`, for whom it was made.
    Audience,
    /// `exp`, from when on it is worthless.
    ExpiresAt,
    /// `nbf`, before when it is worthless.
    NotBefore,
    /// `iat`, when it was made.
    IssuedAt,
    /// `jti`, its own id.
    TokenId,
    /// `sid`, the login session that it belongs to.
    SessionId,
}

impl Claim {
    /// The name of the claim inside a token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "iss",
            Self::Subject => "sub",
            Self::Audience => "aud",
            Self::ExpiresAt => "exp",
            Self::NotBefore => "nbf",
            Self::IssuedAt => "iat",
            Self::TokenId => "jti",
            Self::SessionId => "sid",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a token was refused.
///
/// For logs ([`Display`](fmt::Display)) and metrics ([`TokenError::as_str`]). The peer sees only
/// [`TokenError::code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No source held a token.
    #[error("no token was presented")]
    Missing,
    /// A source held something, but not exactly one token.
    #[error("what was presented is not one token")]
    SourceMalformed,
    /// A source that may speak once spoke twice.
    #[error("the token was presented twice by one source")]
    SourceAmbiguous,
    /// The `Authorization` header uses another scheme than `Bearer`.
    #[error("the authorization scheme is not bearer")]
    SchemeUnsupported,
    /// The token, or the payload that should hold it, is longer than we read.
    #[error("the token or its carrier is too large")]
    TooLarge,

    /// Not three parts divided by dots: no JWS in compact serialisation.
    #[error("the token does not have three parts")]
    NotCompact,
    /// Five parts: a JWE, which we do not read.
    #[error("the token is encrypted")]
    Encrypted,
    /// A part is not base64url without padding, in its one canonical form.
    #[error("a part of the token is not canonical base64url")]
    Encoding,
    /// The third part is empty: an unsecured token.
    #[error("the token has no signature")]
    SignatureEmpty,

    /// The header is no JSON object that we read.
    #[error("the header of the token cannot be read")]
    HeaderJson(#[source] JsonProblem),
    /// A parameter of the header has the wrong JSON type.
    #[error("a header parameter has the wrong type")]
    HeaderType,
    /// The header has `crit`; we understand no extension (RFC 7515 section 4.1.11).
    #[error("the header declares critical extensions")]
    HeaderCritical,
    /// The header asks for unencoded, compressed or encrypted content.
    #[error("the header asks for an unsupported transformation")]
    HeaderUnsupported,
    /// The header has no `alg`.
    #[error("the header names no algorithm")]
    AlgorithmMissing,
    /// The header says `none`, in some spelling.
    #[error("the header names the algorithm none")]
    AlgorithmNone,
    /// The header names another algorithm than the one its key is bound to.
    #[error("the algorithm is not the one of the key")]
    AlgorithmMismatch,
    /// The header names no key, and the server has no key without a name.
    #[error("the header names no key")]
    KeyIdMissing,
    /// The name of the key is longer than 256 bytes.
    #[error("the name of the key is too long")]
    KeyIdTooLong,
    /// No key of that name is configured.
    #[error("the named key is not known")]
    KeyUnknown,
    /// The `typ` of the header is not the expected one.
    #[error("the token is of another type")]
    TypeMismatch,

    /// The signature does not hold for the key.
    #[error("the signature does not match")]
    SignatureInvalid,

    /// The claims are no JSON object that we read.
    #[error("the claims of the token cannot be read")]
    ClaimsJson(#[source] JsonProblem),
    /// A claim that must be there is not.
    #[error("claim {0} is missing")]
    ClaimMissing(Claim),
    /// A claim has the wrong JSON type.
    #[error("claim {0} has the wrong type")]
    ClaimType(Claim),
    /// A date is negative, or later than the year 9999 (as milliseconds would be).
    #[error("claim {0} is not a date in seconds")]
    DateOutOfRange(Claim),
    /// The subject is empty, longer than 255 bytes, or has control characters.
    #[error("the subject is not usable")]
    SubjectInvalid,
    /// None of the configured issuers made the token.
    #[error("the token was made by another issuer")]
    IssuerMismatch,
    /// None of the configured audiences is meant.
    #[error("the token was made for another audience")]
    AudienceMismatch,
    /// The token names an audience, and the server has none (RFC 7519 section 4.1.3).
    #[error("the token names an audience and none is configured")]
    AudienceUnexpected,
    /// `exp` is further from `iat` than the configured lifetime.
    #[error("the token lives longer than allowed")]
    LifetimeTooLong,
    /// `iat` is in the future.
    #[error("the token was made in the future")]
    IssuedInFuture,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// The claims do not fit the application's type.
    #[error("the claims do not fit the application's type{}", suffix(.missing_field.as_deref()))]
    ClaimsMismatch {
        /// The field that the type needs and the token lacks, where that is the reason.
        missing_field: Option<String>,
    },
    /// The application's own validation refused the claims.
    #[error("the application refused the claims: {reason}")]
    ClaimsRefused {
        /// What the application said, for the log.
        reason: Cow<'static, str>,
    },

    /// The clock of this machine stands before 1970, so no date can be judged.
    #[error("the clock of this machine is not set")]
    ClockUnusable,
    /// The keys could not be fetched, so it is not known whether there is one for this token.
    #[error("the keys could not be fetched")]
    KeysUnavailable,
    /// The key for this token cannot be used; the configuration was not checked.
    #[error("the key for this token is not usable")]
    KeyUnusable,
}

fn suffix(missing_field: Option<&str>) -> String {
    missing_field
        .map(|name| format!(": field {name} is missing"))
        .unwrap_or_default()
}

impl TokenError {
    /// The `reason` label of the metric.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::SourceMalformed => "source_malformed",
            Self::SourceAmbiguous => "source_ambiguous",
            Self::SchemeUnsupported => "scheme_unsupported",
            Self::TooLarge => "too_large",
            Self::NotCompact => "not_compact",
            Self::Encrypted => "encrypted",
            Self::Encoding => "encoding",
            Self::SignatureEmpty => "signature_empty",
            Self::HeaderJson(JsonProblem::Malformed) => "header_malformed",
            Self::HeaderJson(JsonProblem::TooDeep) => "header_too_deep",
            Self::HeaderJson(JsonProblem::DuplicateKey) => "header_duplicate_key",
            Self::HeaderType => "header_type",
            Self::HeaderCritical => "header_critical",
            Self::HeaderUnsupported => "header_unsupported",
            Self::AlgorithmMissing => "algorithm_missing",
            Self::AlgorithmNone => "algorithm_none",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::KeyIdMissing => "key_id_missing",
            Self::KeyIdTooLong => "key_id_too_long",
            Self::KeyUnknown => "key_unknown",
            Self::TypeMismatch => "type_mismatch",
            Self::SignatureInvalid => "signature_invalid",
            Self::ClaimsJson(JsonProblem::Malformed) => "claims_malformed",
            Self::ClaimsJson(JsonProblem::TooDeep) => "claims_too_deep",
            Self::ClaimsJson(JsonProblem::DuplicateKey) => "claims_duplicate_key",
            Self::ClaimMissing(_) => "claim_missing",
            Self::ClaimType(_) => "claim_type",
            Self::DateOutOfRange(_) => "date_out_of_range",
            Self::SubjectInvalid => "subject_invalid",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::AudienceMismatch => "audience_mismatch",
            Self::AudienceUnexpected => "audience_unexpected",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::IssuedInFuture => "issued_in_future",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::ClaimsMismatch { .. } => "claims_mismatch",
            Self::ClaimsRefused { .. } => "claims_refused",
            Self::ClockUnusable => "clock_unusable",
            Self::KeysUnavailable => "keys_unavailable",
            Self::KeyUnusable => "key_unusable",
        }
    }

    /// What the peer is told.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::Missing => RefusalCode::TokenMissing,
            Self::Expired => RefusalCode::TokenExpired,
            Self::ClaimMissing(_)
            | Self::ClaimType(_)
            | Self::DateOutOfRange(_)
            | Self::SubjectInvalid
            | Self::IssuerMismatch
            | Self::AudienceMismatch
            | Self::AudienceUnexpected
            | Self::LifetimeTooLong
            | Self::IssuedInFuture
            | Self::NotYetValid
            | Self::ClaimsMismatch { .. }
            | Self::ClaimsRefused { .. } => RefusalCode::TokenClaims,
            Self::ClockUnusable | Self::KeysUnavailable | Self::KeyUnusable => {
                RefusalCode::AuthUnavailable
            }
            Self::SourceMalformed
            | Self::SourceAmbiguous
            | Self::SchemeUnsupported
            | Self::TooLarge
            | Self::NotCompact
            | Self::Encrypted
            | Self::Encoding
            | Self::SignatureEmpty
            | Self::HeaderJson(_)
            | Self::HeaderType
            | Self::HeaderCritical
            | Self::HeaderUnsupported
            | Self::AlgorithmMissing
            | Self::AlgorithmNone
            | Self::AlgorithmMismatch
            | Self::KeyIdMissing
            | Self::KeyIdTooLong
            | Self::KeyUnknown
            | Self::TypeMismatch
            | Self::SignatureInvalid
            | Self::ClaimsJson(_) => RefusalCode::TokenInvalid,
        }
    }
}
