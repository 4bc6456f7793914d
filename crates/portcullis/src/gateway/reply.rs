//! What a handler returns, and what becomes of it.
//!
//! | returned               | the client asked for an ack        | it did not                |
//! |------------------------|------------------------------------|---------------------------|
//! | `()`                   | an ack without arguments           | nothing                   |
//! | [`Reply(value)`](Reply)| an ack with `value`                | nothing                   |
//! | `Err(error)`, a panic  | `{status: "error", code, message}` | the same, as `exception`  |
//! | nothing within 30 s    | the same, with the code `TIMEOUT`  | the same, as `exception`  |
//! | anything, with [`Ack`] | what the handler sent by hand      | nothing                   |
//!
//! [`Ack`]: super::Ack

use std::borrow::Cow;

use portcullis_socketio::args::ArgsError;
use portcullis_socketio::payload::{EncodeError, Payload};
use portcullis_socketio::value::Value;
use serde::Serialize;

use crate::auth::Refusal;

/// A value that answers the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "wraps a handler's result")]
pub struct Reply<T>(pub T);

/// What a handler came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Done; an ack, if one is wanted, has no arguments.
    Done,
    /// An answer.
    Answer(Payload),
    /// It failed.
    Failed(EventError),
}

/// Something that a handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    note = "wrap a value that answers the client in `Reply(…)`"
)]
pub trait IntoReply {
    /// Says what becomes of it.
    fn into_reply(self) -> Outcome;
}

impl IntoReply for () {
    fn into_reply(self) -> Outcome {
        Outcome::Done
    }
}

impl<T: Serialize> IntoReply for Reply<T> {
    fn into_reply(self) -> Outcome {
        match Payload::args(&self.0) {
            Ok(payload) => Outcome::Answer(payload),
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}

impl<T: IntoReply, E: Into<EventError>> IntoReply for Result<T, E> {
    fn into_reply(self) -> Outcome {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}

impl IntoReply for Outcome {
    fn into_reply(self) -> Outcome {
        self
    }
}

/// Why an event was not handled, as the client may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventError {
    status: &'static str,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
}

impl EventError {
    /// An error with a stable code and a message for people.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: "error",
            code: code.into(),
            message: message.into(),
        }
    }

    /// Something went wrong that is nobody's business but the log's.
    #[must_use]
    pub fn internal() -> Self {
        Self::new("INTERNAL", "Internal server error")
    }

    pub(super) fn validation(error: &ArgsError) -> Self {
        Self::new("VALIDATION", format!("Validation failed: {error}"))
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl std::fmt::Display for EventError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EventError {}

impl From<EncodeError> for EventError {
    fn from(error: EncodeError) -> Self {
        tracing::error!(%error, "a reply could not be encoded");
        Self::internal()
    }
}

impl From<EventError> for Refusal {
    fn from(error: EventError) -> Self {
        let code = Value::from(error.code());
        Self::new(error.message).data(Value::Map(vec![("code".to_owned(), code)]))
    }
}
