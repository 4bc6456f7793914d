//! Engine.IO v4 as plain data: packets, payloads, the session machine, heartbeat, upgrade.
//!
//! Nothing in here opens a socket, reads a clock, or draws a random number. A session is driven
//! like this, and every mutation is followed by a complete drain:
//!
//! ```text
//!       ┌────────────────────────────────────────────────────────────┐
//!       │  handle_*(input, now)   exactly one input                  │
//!       │        ↓                                                   │
//!       │  poll_output()          until None, in order               │
//!       │        ↓                                                   │
//!       │  deadline()             wait for the next input until then │
//!       └────────────────────────────────────────────────────────────┘
//! ```
//!
//! ```
//! use std::time::{Duration, Instant};
//! use portcullis_engineio::{CloseReason, Output, Packet, PollAnswer, Session};
//!
//! let now = Instant::now();
//! let mut session = Session::polling(Duration::from_secs(10));
//! session.handle_poll(true); // a GET waits
//! assert_eq!(session.poll_output(), None);
//!
//! let goodbye = Packet::decode("1").expect("a close packet");
//! session.handle_packet(goodbye);
//! assert_eq!(session.poll_output(), Some(Output::AnswerPoll(PollAnswer::Noop)));
//! assert_eq!(session.poll_output(), Some(Output::Closed(CloseReason::TransportClose)));
//! ```
//!
//! Source: the Engine.IO protocol, version 4 (`engine.io-protocol`), and the behaviour of the
//! reference server where the text leaves something open.

// 1. The first request: which session, which transport, or why not.
mod request;
mod session_id;

// 2. The answer to it.
mod open;

// 3. What travels then.
mod packet;
mod payload;

// 4. How long a session lives, and what its packets mean.
mod close_reason;
mod heartbeat;
mod session;

#[cfg(test)]
mod clock;

pub use close_reason::{CloseReason, TransportFault};
pub use heartbeat::{Beat, Heartbeat, Timing};
pub use open::Open;
pub use packet::{DecodeError, Packet};
pub use payload::{Packets, PayloadError, SEPARATOR, decode_payload};
pub use request::{
    Known, Method, Query, Rejection, RejectionCode, Request, TransportName, Transports, Wanted,
    percent_decoded,
};
pub use session::{Message, Output, PollAnswer, Received, Session};
pub use session_id::{SessionId, SessionIdError};
