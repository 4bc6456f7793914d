//! What a client can say: one variant per kind of packet, whatever codec carried it.
//!
//! "Binary" is no kind: whether arguments have attachments is decided when encoding.
//!
//! # Invariants
//!
//! - The event of a [`Packet::Event`] is not one of the names that clients keep for themselves.
//!
//! # Not here
//!
//! What a packet means at this moment (`client`), what the server says ([`crate::codec`]).

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::args::Args;
use crate::ids::{AckId, NamespacePath};
use crate::json;
use crate::value::Value;

/// Names with a meaning of their own to the clients' event emitters.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether an event may not have this name.
pub(crate) fn is_reserved(event: &str) -> bool {
    RESERVED.contains(&event)
}

/// One received packet.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_enums,
    reason = "another kind is another version of the protocol, which every match must look at"
)]
pub enum Packet {
    /// The client wants to join a namespace.
    Connect {
        /// Which one.
        namespace: NamespacePath,
        /// What it shows at the gate.
        auth: Auth,
    },
    /// The client wants to join a namespace that cannot exist.
    InvalidConnect {
        /// The name as the client wrote it, without control characters and cut at 1 KiB.
        raw: Box<str>,
    },
    /// The client leaves a namespace.
    Disconnect {
        /// Which one.
        namespace: NamespacePath,
    },
    /// The client emits an event.
    Event {
        /// In which namespace.
        namespace: NamespacePath,
        /// The number to answer with, if it wants an answer.
        ack: Option<AckId>,
        /// The name.
        event: EventName,
        /// The arguments.
        args: Args,
    },
    /// The client answers an event.
    Ack {
        /// In which namespace.
        namespace: NamespacePath,
        /// The number that the event had.
        id: AckId,
        /// The answer.
        args: Args,
    },
    /// A refusal, which only servers send.
    ConnectError {
        /// For which namespace.
        namespace: NamespacePath,
    },
}

/// What a client shows when it wants to join a namespace.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever authenticates must decide about each case"
)]
pub enum Auth {
    /// Nothing.
    #[default]
    Absent,
    /// The text of a JSON object.
    Object(Box<str>),
    /// More than the limit: to be refused without a further look.
    TooLarge,
    /// Nests deeper than the limit: to be refused without a further look.
    TooDeep,
}

impl Auth {
    /// The text of the JSON object.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        match self {
            Self::Object(text) => Some(text),
            Self::Absent | Self::TooLarge | Self::TooDeep => None,
        }
    }

    /// The object as a value.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        json::parse(self.as_json()?).ok()
    }
}

/// Lengths only: tokens are in here.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Object(text) => write!(f, "Object({} bytes, redacted)", text.len()),
            Self::TooLarge => f.write_str("TooLarge"),
            Self::TooDeep => f.write_str("TooDeep"),
        }
    }
}

/// The name of an event. Cheap to clone.
///
/// JavaScript allows a number; it is kept as the digits that the client wrote.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(Arc<str>);

impl EventName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EventName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for EventName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl Deref for EventName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for EventName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for EventName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for EventName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
