//! Whether the other nodes can be reached.

use std::time::Duration;

/// Whether the other nodes can be reached. This node serves its own sockets in every case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Everything works, as far as is known.
    Up,
    /// Some of what other nodes say, or of what this one says, does not arrive.
    Degraded {
        /// Why, for a person.
        reason: String,
        /// For how long.
        since: Duration,
    },
    /// This node is on its own.
    Down {
        /// Why, for a person.
        reason: String,
        /// For how long.
        since: Duration,
    },
}

impl Health {
    /// Whether everything works.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}
