//! What a client is told that may not connect.

use std::fmt;

use portcullis::socketio::value::Value;

use crate::wire::Response;

/// Why a client could not connect: its `connect_error`, or the answer to its first request.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    message: String,
    data: Value,
    status: Option<u16>,
}

impl Refused {
    pub(crate) const fn new(message: String, data: Value) -> Self {
        Self {
            message,
            data,
            status: None,
        }
    }

    pub(crate) fn by_http(response: &Response) -> Self {
        Self {
            message: String::from_utf8_lossy(&response.body).into_owned(),
            data: Value::Null,
            status: Some(response.status),
        }
    }

    /// The message, such as `Unauthorized`; of an HTTP answer the body.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// `data.code`, such as `TOKEN_MISSING`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.data.get("code").and_then(Value::as_str)
    }

    /// What came with the message; null if nothing did.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.data
    }

    /// The HTTP status, if no session was opened at all.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, "HTTP {status}: ")?;
        }
        f.write_str(&self.message)?;
        match self.code() {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}
