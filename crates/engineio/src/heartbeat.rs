//! Ping and pong deadlines of one session (engine.io-protocol, "Heartbeat").
//!
//! The server pings every `ping_interval`, counted from the last pong; the client must answer
//! within `ping_timeout`. This module decides; it never sleeps.
//!
//! ```text
//!              ping_at reached                 close_at reached
//!   Resting ───────────────────▶ AwaitingPong ──────────────────▶ Beat::Close
//!      ▲          Beat::SendPing   │   │   ▲
//!      └──────────── pong ─────────┘   └───┘ another packet, once a ping: close_at moves
//! ```
//!
//! | state          | input                  | output     | next                          |
//! |----------------|------------------------|------------|-------------------------------|
//! | `Resting`      | `ping_at` reached      | `SendPing` | `AwaitingPong`                |
//! | `Resting`      | pong                   | –          | `Resting`, unchanged          |
//! | `AwaitingPong` | pong                   | –          | `Resting`, a full interval    |
//! | `AwaitingPong` | another packet         | –          | the deadline moves, once      |
//! | `AwaitingPong` | `close_at` reached     | `Close`    | –                             |

use std::time::{Duration, Instant};

/// How often to ping and how long to wait, the same for all sessions of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol fixes these two")]
pub struct Timing {
    /// From a pong to the next ping.
    pub ping_interval: Duration,
    /// From a ping to the end of patience.
    pub ping_timeout: Duration,
}

/// What the session must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol knows no third thing")]
pub enum Beat {
    /// Send a ping.
    SendPing,
    /// Give the session up.
    Close,
}

/// Decides when to ping and when to give up.
#[derive(Debug, Clone)]
pub struct Heartbeat(State);

#[derive(Debug, Clone)]
enum State {
    Resting { ping_at: Instant },
    AwaitingPong { close_at: Instant, extended: bool },
}

impl Heartbeat {
    /// Armed from the handshake on.
    #[must_use]
    pub fn new(timing: &Timing, now: Instant) -> Self {
        Self(State::Resting {
            ping_at: now + timing.ping_interval,
        })
    }

    /// A pong arrived. One that nobody asked for does not postpone the next ping.
    pub fn handle_pong(&mut self, timing: &Timing, now: Instant) {
        if let State::AwaitingPong { .. } = self.0 {
            self.0 = State::Resting {
                ping_at: now + timing.ping_interval,
            };
        }
    }

    /// Any other packet arrived: a busy connection gets one more timeout per ping.
    pub fn handle_packet(&mut self, timing: &Timing, now: Instant) {
        if let State::AwaitingPong { close_at, extended } = &mut self.0
            && !*extended
        {
            // A ping that went out one tick early leaves the deadline a little ahead of this.
            *close_at = (*close_at).max(now + timing.ping_timeout);
            *extended = true;
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, timing: &Timing, now: Instant) -> Option<Beat> {
        match self.0 {
            State::Resting { ping_at } if ping_at <= now => {
                // Counted from when the ping was due, not from a little later; but a process that
                // was stopped for a while does not hold that against its clients, who keep at
                // least nine tenths of their timeout.
                let slack = timing.ping_interval.min(timing.ping_timeout) / 10;
                let recent = now.checked_sub(slack);
                let due = recent.map_or(ping_at, |recent| recent.max(ping_at));
                self.0 = State::AwaitingPong {
                    close_at: due + timing.ping_timeout,
                    extended: false,
                };
                Some(Beat::SendPing)
            }
            State::AwaitingPong { close_at, .. } if close_at <= now => Some(Beat::Close),
            State::Resting { .. } | State::AwaitingPong { .. } => None,
        }
    }

    /// When [`Self::handle_timeout`] has something to say.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        match self.0 {
            State::Resting { ping_at } => ping_at,
            State::AwaitingPong { close_at, .. } => close_at,
        }
    }
}

#[cfg(test)]
mod tests;
