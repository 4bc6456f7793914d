//! What becomes of a frame that does not fit into an outbox, or cannot leave at once.
//!
//! | delivery   | the peer reads too slowly             | nothing waits, and the peer takes it |
//! |------------|---------------------------------------|--------------------------------------|
//! | `Protocol` | the connection ends, a little later   | it is queued                         |
//! | `Event`    | as the server or the emitter has said | it is queued                         |
//! | `Volatile` | it is dropped as soon as it must wait | it is queued                         |

/// What to do with an event for a client that does not read what it is sent.
///
/// A client is slow when what waits for it exceeds
/// [`max_outbox`](crate::ServerBuilder::max_outbox), in bytes or in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum IfSlow {
    /// The client is disconnected, with the reason "slow consumer": it comes back, and knows that
    /// it missed something.
    #[default]
    Disconnect,
    /// The event is dropped for this client, and counted; it is not told.
    Drop,
}

/// How much a frame matters to who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The protocol's own words, and answers: without them the peer could not go on.
    Protocol,
    /// An event; `None`: as the server has it.
    Event(Option<IfSlow>),
    /// An event that is worth nothing later.
    Volatile,
}

impl Delivery {
    pub(crate) const fn of_event(volatile: bool, if_slow: Option<IfSlow>) -> Self {
        if volatile {
            Self::Volatile
        } else {
            Self::Event(if_slow)
        }
    }

    /// Whether it is dropped rather than queued behind others.
    pub(crate) const fn is_volatile(self) -> bool {
        matches!(self, Self::Volatile)
    }

    /// What happens where it does not fit.
    pub(super) fn if_slow(self, server: IfSlow) -> IfSlow {
        match self {
            Self::Protocol => IfSlow::Disconnect,
            Self::Event(policy) => policy.unwrap_or(server),
            Self::Volatile => IfSlow::Drop,
        }
    }
}
