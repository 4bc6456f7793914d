//! What a peer is told when it may not connect.
//!
//! ```text
//!  TokenError::DuplicateKey ─┐
//!  TokenError::BadSignature ─┼─▶ RefusalCode::TokenInvalid ─▶ {message: "Unauthorized",
//!  TokenError::UnknownKey   ─┘                                 data: {code: "TOKEN_INVALID"}}
//! ```
//!
//! # Invariants
//!
//! - Two refusals with the same code are the same bytes on the wire. What separates them (which
//!   claim, which check) is a `TokenError`, for logs and metrics, and never leaves the process.
//!
//! # Not here
//!
//! The fine reasons (`token_error`), and the packet that carries the refusal.

use std::borrow::Cow;

use portcullis_socketio::value::Value;

/// Why a peer was refused, as coarsely as the peer may know it.
///
/// The code goes into `data.code` of the `connect_error`; its message is always
/// [`RefusalCode::MESSAGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// No source held a token.
    TokenMissing,
    /// Something was presented that is not a token of ours.
    TokenInvalid,
    /// A token of ours, past its `exp`. A fresh one would be accepted.
    TokenExpired,
    /// A token of ours whose claims do not admit it here.
    TokenClaims,
    /// A token of ours that was taken back.
    TokenRevoked,
    /// The server could not decide. Trying again later may help.
    AuthUnavailable,
}

impl RefusalCode {
    /// The message of every refusal, whatever its code.
    pub const MESSAGE: &'static str = "Unauthorized";

    /// The code as the peer sees it, and the `code` label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenMissing => "TOKEN_MISSING",
            Self::TokenInvalid => "TOKEN_INVALID",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenClaims => "TOKEN_CLAIMS",
            Self::TokenRevoked => "TOKEN_REVOKED",
            Self::AuthUnavailable => "AUTH_UNAVAILABLE",
        }
    }
}

/// What a peer gets instead of a connection: the `message` and `data` of its `connect_error`.
///
/// An authenticator's refusal always reads `Unauthorized`; a middleware or `on_connect` may say
/// what it likes.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    message: Cow<'static, str>,
    data: Option<Value>,
}

impl Refusal {
    /// A refusal with a message of the application's own.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// Adds `data.code`, so that a client need not compare messages.
    #[must_use]
    pub fn code(self, code: &str) -> Self {
        self.data(Value::Map(vec![("code".to_owned(), Value::from(code))]))
    }

    /// Replaces `data`.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// What the peer's `connect_error` says.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What comes with it.
    #[must_use]
    pub const fn as_data(&self) -> Option<&Value> {
        self.data.as_ref()
    }
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self::new(RefusalCode::MESSAGE).code(code.as_str())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
