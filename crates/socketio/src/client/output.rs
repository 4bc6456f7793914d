//! What the framework is told, to obey without thinking.

use crate::args::Args;
use crate::ids::{AckId, NamespacePath};
use crate::packet::{Auth, EventName};

/// What comes of a packet or a verdict.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the framework must act on each, so a new one has to break its match"
)]
pub enum Output {
    /// Decide whether the client may join, then `accept` or `refuse`.
    Connect {
        /// Where it wants to be.
        namespace: NamespacePath,
        /// What it shows at the gate.
        auth: Auth,
    },
    /// Refuse: the client is in as many namespaces as it may be. No verdict is due.
    TooManyNamespaces {
        /// Where it wants to be.
        namespace: NamespacePath,
    },
    /// Refuse with `Invalid namespace`: there can be no such namespace. No verdict is due.
    InvalidNamespace {
        /// The name to which the answer goes.
        raw: Box<str>,
    },
    /// Handle an event.
    Event {
        /// Where.
        namespace: NamespacePath,
        /// The number to answer with, if an answer is wanted.
        ack: Option<AckId>,
        /// The name.
        event: EventName,
        /// The arguments.
        args: Args,
    },
    /// Hand an answer to whoever asked under this number, if anybody did.
    Ack {
        /// Where.
        namespace: NamespacePath,
        /// The number of the event.
        id: AckId,
        /// The answer.
        args: Args,
    },
    /// The client has left: close its socket, or stop deciding about it.
    Disconnect {
        /// What it left.
        namespace: NamespacePath,
    },
    /// A packet was ignored. Count it.
    Dropped(DropReason),
    /// Close the connection.
    Violation(Violation),
}

/// Why a packet was ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A second CONNECT while the first is being decided.
    DuplicateConnect,
    /// An answer in a namespace that the client is not in yet, so to a socket that was before.
    AckWhileConnecting,
    /// For a namespace that the client was refused.
    Refused,
    /// For a namespace that the server has just made the client leave.
    Left,
}

impl DropReason {
    /// The label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DuplicateConnect => "duplicate_connect",
            Self::AckWhileConnecting => "ack_while_connecting",
            Self::Refused => "refused",
            Self::Left => "left",
        }
    }
}

/// What no honest client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A CONNECT for a namespace that the client is in.
    #[error("connect to a namespace that the client is in")]
    AlreadyConnected,
    /// A packet for a namespace that the client is not in.
    #[error("packet for a namespace that the client is not in")]
    NotConnected,
    /// A refusal, which only servers send.
    #[error("refusal sent by a client")]
    ConnectError,
    /// More events than may wait for a verdict.
    #[error("too many events before the verdict on their namespace")]
    Flood,
}

impl Violation {
    /// The label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyConnected => "already_connected",
            Self::NotConnected => "not_connected",
            Self::ConnectError => "connect_error",
            Self::Flood => "flood",
        }
    }
}
