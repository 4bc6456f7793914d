//! What the chat asks of a payload, and how it answers.
//!
//! ```text
//!  payload ─▶ Request<T> ─▶ what was asked for ─▶ ack: the result
//!                 └──────────────┴─────────────▶ ack: {error, code}
//! ```
//!
//! The framework has a form for errors of its own; this gateway defines another one, and the two
//! types here are all that it takes.

use portcullis::auth::Refusal;
use portcullis::gateway::{EventContext, EventError, FromEvent, Reply};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why something was not done, as the client is told.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    error: &'static str,
    code: &'static str,
}

impl Fault {
    /// A stable code, and a text for people.
    pub(super) const fn new(code: &'static str, error: &'static str) -> Self {
        Self { error, code }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        EventError::new(fault.code, fault.error).into()
    }
}

/// The first argument of an event as a `T`, or what is wrong with it.
#[derive(Debug)]
pub(super) struct Request<T>(pub(super) Result<T, Fault>);

impl<T: DeserializeOwned> FromEvent for Request<T> {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        let wrong = Fault::new(
            "BAD_REQUEST",
            "the event's argument is not what it should be",
        );
        Ok(Self(context.args().get(0).map_err(|_| wrong)))
    }
}

/// Either of the two, as it stands in the ack.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer<T> {
    Done(T),
    Failed(Fault),
}

/// The ack for a result.
pub(super) fn answer<T>(result: Result<T, Fault>) -> Reply<Answer<T>> {
    Reply(result.map_or_else(Answer::Failed, Answer::Done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_result_itself_or_an_error_with_its_code() {
        let text = |reply: Reply<Answer<[u8; 2]>>| serde_json::to_string(&reply.0).unwrap();
        assert_eq!(text(answer(Ok([1, 2]))), "[1,2]");
        assert_eq!(
            text(answer(Err(Fault::new("BAD_ROOM", "no such name")))),
            r#"{"error":"no such name","code":"BAD_ROOM"}"#,
        );
    }
}
