//! An interval in which messages between nodes may have been lost.

use std::fmt;
use std::time::{Duration, SystemTime};

/// An interval in which messages between this node and others may have been lost.
///
/// Delivery between nodes is at most once. What an adapter promises is that no interval in which
/// something could be lost passes unseen: each one is counted (`portcullis_bus_gaps_total`) and
/// told to the hook of the builder, once, when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusGap {
    /// Why.
    pub cause: GapCause,
    /// The last moment at which all was known to be well.
    pub since: SystemTime,
    /// The first moment at which all is known to be well again.
    pub until: SystemTime,
    /// How many messages of this node were lost, where that is known.
    pub lost: Option<u64>,
}

impl BusGap {
    /// A gap as an adapter saw it.
    #[must_use]
    pub const fn new(
        cause: GapCause,
        since: SystemTime,
        until: SystemTime,
        lost: Option<u64>,
    ) -> Self {
        Self {
            cause,
            since,
            until,
            lost,
        }
    }

    /// How long it was.
    #[must_use]
    pub fn duration(&self) -> Duration {
        // A clock that was set back meanwhile makes it nothing.
        self.until.duration_since(self.since).unwrap_or_default()
    }
}

/// Why messages may have been lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapCause {
    /// The server ran before it had joined the cluster.
    Start,
    /// The connection that carries what other nodes publish was closed.
    Disconnected,
    /// That connection said nothing for too long.
    Silent,
    /// What it subscribes to has moved to another server.
    Moved,
    /// What this node published could not be handed over, or was handed to a server that others
    /// had left already.
    PublishFailed,
    /// More was published than the queue holds; the oldest was dropped.
    QueueFull,
}

impl GapCause {
    /// The `cause` label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::Moved => "moved",
            Self::PublishFailed => "publish_failed",
            Self::QueueFull => "queue_full",
        }
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
