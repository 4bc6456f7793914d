//! How a server's gateways answer, whichever gateway it is.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::error::EventError;
use super::extract::EventContext;

type MapError = Arc<dyn Fn(EventError, &EventContext<'_>) -> EventError + Send + Sync>;

/// The event that tells of a failure, unless the server names another.
const EXCEPTION: &str = "exception";

/// Where the error of an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ErrorReply {
    /// Into the ack if the client asked for one, else into the exception event.
    #[default]
    AckOrException,
    /// Into the exception event; the ack is not called.
    Exception,
    /// Into the exception event, and into the ack as well if the client asked for one.
    Both,
}

/// What the exception event tells of the event that failed, as `cause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExceptionCause {
    /// Nothing.
    None,
    /// Its name, as `pattern`.
    #[default]
    Pattern,
    /// Its name, and as `data` what the client sent: secrets in it go back over the wire, and into
    /// whatever the client does with errors.
    PatternAndData,
}

/// What the builder says about answers.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) nest_compat: bool,
    pub(crate) exception_event: Box<str>,
    pub(crate) error_reply: ErrorReply,
    /// `None`: as the mode has it.
    pub(crate) cause: Option<ExceptionCause>,
    pub(crate) map_error: Option<MapError>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            nest_compat: false,
            exception_event: EXCEPTION.into(),
            error_reply: ErrorReply::default(),
            cause: None,
            map_error: None,
        }
    }
}

impl Policy {
    pub(super) fn cause(&self) -> ExceptionCause {
        self.cause.unwrap_or(if self.nest_compat {
            ExceptionCause::PatternAndData
        } else {
            ExceptionCause::Pattern
        })
    }

    /// The error as the application wants it told; a panic in its mapper is an internal error.
    pub(super) fn map(&self, error: EventError, context: &EventContext<'_>) -> EventError {
        let Some(map) = &self.map_error else {
            return error;
        };
        catch_unwind(AssertUnwindSafe(|| map(error, context))).unwrap_or_else(|_| {
            metrics::counter!("portcullis_panics_total", "place" => "map_error").increment(1);
            EventError::unexpected("the error mapper panicked")
        })
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("nest_compat", &self.nest_compat)
            .field("error_reply", &self.error_reply)
            .finish_non_exhaustive()
    }
}
