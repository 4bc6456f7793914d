//! How many events a socket may send, and what happens to those beyond.
//!
//! ```text
//!   event ─▶ within the rate? ─▶ handled
//!                 │ no
//!                 └─▶ within the rate of refusals? ─▶ refused: `RATE_LIMITED` if it wants an ack
//!                            │ no
//!                            └─▶ the connection is closed
//! ```
//!
//! # Not here
//!
//! The limits of gateways and handlers, which are guards (`gateway`).

use std::time::Instant;

use crate::pace::{Bucket, Rate};

/// The pace of one socket.
#[derive(Debug, Default)]
pub(super) struct Pace {
    events: Bucket,
    /// Refusing costs something too.
    refusals: Bucket,
}

/// What is to be done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paced {
    Handle,
    Refuse,
    Close,
}

impl Pace {
    pub(super) fn judge(&mut self, rate: Rate, now: Instant) -> Paced {
        if self.events.take(rate, now).is_ok() {
            Paced::Handle
        } else if self.refusals.take(rate, now).is_ok() {
            Paced::Refuse
        } else {
            Paced::Close
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_too_fast_is_refused_first_and_closed_then() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let rate = Rate::per_second(1).burst(2);
        let judged: Vec<_> = (0..5).map(|_| pace.judge(rate, now)).collect();
        use Paced::{Close, Handle, Refuse};
        assert_eq!(judged, [Handle, Handle, Refuse, Refuse, Close]);
    }
}
