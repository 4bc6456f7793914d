//! What a handler returns, and what becomes of it.
//!
//! | returned                     | the client asked for an ack        | it did not               |
//! |------------------------------|------------------------------------|--------------------------|
//! | `()`                         | an ack without arguments           | nothing                  |
//! | `None`                       | an ack with null                   | nothing                  |
//! | [`Reply(value)`](Reply)      | an ack with `value`                | nothing                  |
//! | [`Emit(event, data)`](Emit)  | the event, then an empty ack       | the event                |
//! | [`Replies(stream)`](Replies) | the first answer, or an empty ack  | the events               |
//! | `Err(error)`, a panic        | `{status: "error", code, message}` | the same, as `exception` |
//! | nothing in time              | the same, with the code `TIMEOUT`  | the same, as `exception` |
//! | anything, with [`Ack`]       | what the handler sent by hand      | nothing                  |
//! | there is no handler          | the same, with `UNKNOWN_EVENT`     | nothing                  |
//!
//! Methods of a `#[gateway]` return a value itself, a stream itself, and a `Result` with any error.
//! With [`nest_compat`](crate::ServerBuilder::nest_compat) what NestJS does takes the place of this
//! table.
//!
//! # Not here
//!
//! How an outcome gets onto the wire (`conclude`).
//!
//! [`Ack`]: super::Ack

mod stream;

use std::fmt;

use portcullis_socketio::payload::Payload;
use serde::Serialize;

pub(super) use stream::StartStream;
pub use stream::{Replies, Responder};

use super::error::EventError;

/// A value that answers the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "wraps a handler's result")]
pub struct Reply<T>(pub T);

/// An event for the client that sent this one, as an answer of its own name.
///
/// ```
/// use portcullis::gateway::Emit;
///
/// async fn ping() -> Emit<u32> {
///     Emit("pong", 1)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "wraps a handler's result")]
pub struct Emit<T, E = &'static str>(pub E, pub T);

impl<T> Emit<T> {
    /// Makes an event of each value, for a stream's `map`.
    pub fn to(event: &'static str) -> impl Fn(T) -> Self + Clone + Send + Sync {
        move |data| Self(event, data)
    }
}

/// What a handler came to.
#[must_use]
pub struct Outcome(pub(super) Kind);

pub(super) enum Kind {
    Done,
    Answer(Payload),
    Emit(Payload),
    Stream(StartStream),
    Failed(EventError),
}

impl Outcome {
    /// Done; an ack, if one is wanted, has no arguments.
    pub const fn done() -> Self {
        Self::new(Kind::Done)
    }

    /// An answer: a tuple is several arguments, `()` none, anything else one.
    pub fn answer<T: Serialize + ?Sized>(value: &T) -> Self {
        match Payload::args(value) {
            Ok(payload) => Self::new(Kind::Answer(payload)),
            Err(error) => Self::failed(error.into()),
        }
    }

    /// An event for the client.
    pub fn emit<T: Serialize + ?Sized>(event: &str, data: &T) -> Self {
        match Payload::event(event, data) {
            Ok(payload) => Self::new(Kind::Emit(payload)),
            Err(error) => Self::failed(error.into()),
        }
    }

    /// It failed.
    pub const fn failed(error: EventError) -> Self {
        Self::new(Kind::Failed(error))
    }

    const fn new(kind: Kind) -> Self {
        Self(kind)
    }

    pub(super) const fn is_stream(&self) -> bool {
        matches!(self.0, Kind::Stream(_))
    }

    /// The error, if it failed.
    #[must_use]
    pub const fn error(&self) -> Option<&EventError> {
        match &self.0 {
            Kind::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The name and data of the event for the client, if it is one.
    #[must_use]
    pub const fn event(&self) -> Option<&Payload> {
        match &self.0 {
            Kind::Emit(payload) => Some(payload),
            _ => None,
        }
    }

    /// The answer, if it is one.
    #[must_use]
    pub const fn payload(&self) -> Option<&Payload> {
        match &self.0 {
            Kind::Answer(payload) => Some(payload),
            _ => None,
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Done => "Outcome(done)",
            Kind::Answer(_) => "Outcome(answer)",
            Kind::Emit(_) => "Outcome(event)",
            Kind::Stream(_) => "Outcome(stream)",
            Kind::Failed(_) => "Outcome(failed)",
        })
    }
}

/// Something that a handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    label = "not a reply",
    note = "wrap a value that answers the client in `Reply(…)`, and a stream in `Replies(…)`; the \
            error of a `Result` must be `Into<EventError>`"
)]
pub trait IntoReply {
    /// Says what becomes of it.
    fn into_reply(self) -> Outcome;
}

impl IntoReply for () {
    fn into_reply(self) -> Outcome {
        Outcome::done()
    }
}

impl<T: Serialize> IntoReply for Reply<T> {
    fn into_reply(self) -> Outcome {
        Outcome::answer(&self.0)
    }
}

impl<T: Serialize, E: AsRef<str>> IntoReply for Emit<T, E> {
    fn into_reply(self) -> Outcome {
        Outcome::emit(self.0.as_ref(), &self.1)
    }
}

impl<T: IntoReply> IntoReply for Option<T> {
    fn into_reply(self) -> Outcome {
        self.map_or_else(|| Outcome::answer(&None::<()>), T::into_reply)
    }
}

impl<T: IntoReply, E: Into<EventError>> IntoReply for Result<T, E> {
    fn into_reply(self) -> Outcome {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => Outcome::failed(error.into()),
        }
    }
}

impl IntoReply for Outcome {
    fn into_reply(self) -> Outcome {
        self
    }
}
