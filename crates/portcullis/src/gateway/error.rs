//! Why an event was not handled: what the client is told, and what only the log is.
//!
//! | made by                    | the client sees                           | the log has   |
//! |----------------------------|-------------------------------------------|---------------|
//! | [`EventError::new`]        | `code`, `message`                         | nothing       |
//! | [`EventError::validation`] | `VALIDATION`, `Validation failed`, `details` | nothing       |
//! | [`EventError::forbidden`]  | `FORBIDDEN`, `Forbidden resource`         | nothing       |
//! | [`EventError::unexpected`] | `INTERNAL`, `Internal server error`, id | the error, id |
//! | [`EventError::object`]     | the object, as it is                      | nothing       |
//! | `#[derive(EventError)]`    | what the variant says                     | internal ones |
//!
//! # Invariants
//!
//! - The text of an unexpected error never leaves the process.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use portcullis_socketio::args::ArgsError;
use portcullis_socketio::payload::EncodeError;
use portcullis_socketio::value::Value;
use serde::Serialize;

use crate::auth::Refusal;
use crate::namespace::{AckError, EmitError};

/// Why an event was not handled.
///
/// It reaches the client as `{status: "error", code, message}`, with `details` and
/// `correlationId` if it has them: in the ack if the client asked for one, else as the event
/// `exception`. The server's [`ErrorReply`](crate::gateway::ErrorReply) and
/// [`nest_compat`](crate::ServerBuilder::nest_compat) change that.
#[derive(Clone)]
pub struct EventError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    details: Option<Value>,
    /// What ties the client's report to the log.
    correlation: Option<Box<str>>,
    /// The whole payload, in place of all that.
    object: Option<Value>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl EventError {
    /// An error with a stable code and a message for people.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code: code.into(),
            message: message.into(),
            details: None,
            correlation: None,
            object: None,
            cause: None,
        }))
    }

    /// An error whose payload is this object and nothing else, such as a `WsException` of NestJS
    /// that was made from an object.
    #[must_use]
    pub fn object<T: Serialize + ?Sized>(object: &T) -> Self {
        match Value::from_serialize(object) {
            Ok(value) => {
                let text = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
                let (code, message) = (text("code"), text("message"));
                let mut error = Self::new(code.unwrap_or_default(), message.unwrap_or_default());
                error.0.object = Some(value);
                error
            }
            Err(error) => error.into(),
        }
    }

    /// Something went wrong that is nobody's business but the log's.
    #[must_use]
    pub fn internal() -> Self {
        let mut error = Self::new("INTERNAL", "Internal server error");
        error.0.correlation = correlation_id();
        error
    }

    /// As [`Self::internal`]; the log gets the error and its causes, with the id that the client
    /// sees as `correlationId`.
    #[must_use]
    pub fn unexpected(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::internal().with_cause(cause)
    }

    /// The handler took longer than it may.
    pub(super) fn timeout() -> Self {
        Self::new("TIMEOUT", "The handler did not end in time")
    }

    /// More events came than may.
    pub(super) fn too_many() -> Self {
        Self::new("RATE_LIMITED", "Too many events")
    }

    /// The client may not do that.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new("FORBIDDEN", "Forbidden resource")
    }

    /// The payload is not what it has to be; each of `complaints` says where and why, as
    /// `{path, message}` if it is to look like those of [`Valid`](crate::gateway::Valid).
    #[must_use]
    pub fn validation(complaints: Vec<Value>) -> Self {
        let error = Self::new("VALIDATION", "Validation failed");
        if complaints.is_empty() {
            return error;
        }
        error.with_details(Value::Array(complaints))
    }

    /// As from an [`ArgsError`], where one argument is wanted and its number says nothing.
    pub(super) fn from_argument(error: &ArgsError) -> Self {
        Self::validation(vec![Value::Map(complaint(error))])
    }

    /// Adds what a program on the other side can read.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Value>) -> Self {
        self.0.details = Some(details.into());
        self
    }

    /// Adds one entry to the details, which are an object then. A value that cannot be serialised
    /// makes an internal error of this one.
    #[must_use]
    pub fn with_detail<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        let value = match Value::from_serialize(value) {
            Ok(value) => value,
            Err(error) => return error.into(),
        };
        let entry = (name.to_owned(), value);
        match &mut self.0.details {
            Some(Value::Map(entries)) => entries.push(entry),
            details => *details = Some(Value::Map(vec![entry])),
        }
        self
    }

    /// Keeps the error behind this one, for `map_error` and for the log if it is internal. The
    /// client never sees it.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into().into());
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What comes with it.
    #[must_use]
    pub const fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// The id under which the log has it, if it is internal.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation.as_deref()
    }

    /// Whether it is something for the log.
    #[must_use]
    pub const fn is_internal(&self) -> bool {
        self.0.correlation.is_some()
    }

    /// The error behind this one, if it is an `E`.
    #[must_use]
    pub fn cause<E: Error + 'static>(&self) -> Option<&E> {
        self.0.cause.as_deref()?.downcast_ref()
    }

    /// The object that is the whole payload, if it is one.
    pub(super) const fn as_object(&self) -> Option<&Value> {
        self.0.object.as_ref()
    }

    /// Tells the log, if the client is told nothing of what happened.
    pub(super) fn log(&self, event: &str) {
        let Some(correlation_id) = self.correlation_id() else {
            return;
        };
        metrics::counter!("portcullis_internal_errors_total").increment(1);
        let causes = Causes(self.0.cause.as_deref());
        tracing::error!(event = ?event, correlation_id, error = %causes, "a handler failed");
    }
}

/// Where in an argument, and why there.
fn complaint(error: &ArgsError) -> Vec<(String, Value)> {
    vec![
        ("path".to_owned(), Value::from(error.path())),
        ("message".to_owned(), Value::from(error.message())),
    ]
}

/// A short random name; the same for all if the system has no randomness left.
fn correlation_id() -> Option<Box<str>> {
    let mut random = [0; 6];
    // An internal error without a name must not become another error.
    let _ = getrandom::fill(&mut random);
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(text.into_boxed_str())
}

/// An error and what caused it, in one line.
struct Causes<'a>(Option<&'a (dyn Error + Send + Sync)>);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = self.0 else {
            return f.write_str("not told");
        };
        write!(f, "{error}")?;
        let mut next = error.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventError")
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .finish_non_exhaustive()
    }
}

/// Equal if a client could not tell them apart, but for the id of an internal error.
impl PartialEq for EventError {
    fn eq(&self, other: &Self) -> bool {
        let seen = |error: &Self| {
            let inner = &error.0;
            (
                inner.code.clone(),
                inner.message.clone(),
                inner.details.clone(),
                inner.object.clone(),
            )
        };
        seen(self) == seen(other)
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for EventError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<EncodeError> for EventError {
    fn from(error: EncodeError) -> Self {
        Self::unexpected(error)
    }
}

impl From<EmitError> for EventError {
    /// An internal error.
    fn from(error: EmitError) -> Self {
        Self::unexpected(error)
    }
}

impl From<AckError> for EventError {
    /// An internal error.
    fn from(error: AckError) -> Self {
        Self::unexpected(error)
    }
}

impl From<ArgsError> for EventError {
    /// As [`EventError::validation`], with the number of the argument as `argument`.
    fn from(error: ArgsError) -> Self {
        let mut complaint = complaint(&error);
        if let Some(index) = error.argument() {
            let index = i64::try_from(index).unwrap_or(i64::MAX);
            complaint.insert(0, ("argument".to_owned(), Value::from(index)));
        }
        Self::validation(vec![Value::Map(complaint)])
    }
}

impl From<EventError> for Refusal {
    /// A refusal with the same message, and with the code as `data.code`. The log is told of an
    /// internal error here: a refusal has nothing left of what happened.
    fn from(error: EventError) -> Self {
        error.log("connect");
        let mut data = vec![("code".to_owned(), Value::from(error.code()))];
        if let Some(details) = error.details() {
            data.push(("details".to_owned(), details.clone()));
        }
        if let Some(id) = error.correlation_id() {
            data.push(("correlationId".to_owned(), Value::from(id)));
        }
        Self::new(error.0.message).data(Value::Map(data))
    }
}
