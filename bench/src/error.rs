//! What can go wrong with a run, and what that means for the figures.

use std::fmt;
use std::io;

use crate::wire::WireFault;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The run happened, but not exactly as it should have: it does not count, whoever is at
    /// fault. A slow run is not void.
    #[error("void: {0}")]
    Void(String),
    /// The server was asked for more than it can do. Where that is not the question, the run is
    /// void.
    #[error("void: {0}")]
    Overload(String),
    /// The machine refused something that every run needs.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something has to be built, installed or typed differently first.
    #[error("{0}")]
    Setup(String),
}

impl BenchError {
    /// A void run, and why.
    pub(crate) fn void(reason: impl fmt::Display) -> Self {
        Self::Void(reason.to_string())
    }

    /// More than the server can do, and how that showed.
    pub(crate) fn overload(reason: impl fmt::Display) -> Self {
        Self::Overload(reason.to_string())
    }
}

impl From<WireFault> for BenchError {
    fn from(fault: WireFault) -> Self {
        Self::void(fault)
    }
}

/// Names the attempt that an operating system error ended.
pub(crate) trait Attempt<T> {
    /// `what` completes the sentence "cannot …".
    fn attempt(self, what: &str) -> Result<T, BenchError>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn attempt(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::Io {
            what: what.to_owned(),
            source: error.into(),
        })
    }
}
