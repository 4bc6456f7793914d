//! One Engine.IO session: what its packets mean, how its polls are answered, how it moves to a
//! WebSocket, and how it ends.
//!
//! Packets that leave do not pass through here: they wait in the connection's outbox, and pings
//! are sent by whoever drives the [`Heartbeat`](crate::Heartbeat). This machine says when a
//! waiting poll is answered with something else, when the transport changes, and when it is over.
//!
//! ```text
//!              probe opened          2probe                 5
//!   Polling ─────────────────▶ Opened ─────▶ Probed ─────────────────▶ WebSocket
//!      ▲                         │  │ 5         │                          │
//!      │                         │  └───────────┼──────────▶ WebSocket     │
//!      └── anything else, the deadline, or the probe's end ┘               │
//!      │                                                                   │
//!      │ close without a waiting poll                                      │
//!      └─────▶ Closing ──── a poll with nothing queued, 5, 30 s ──▶ Closed ◀┘
//! ```
//!
//! Polling:
//!
//! | state     | input                        | output                              | next      |
//! |-----------|------------------------------|-------------------------------------|-----------|
//! | `Polling` | poll, none waiting           | –                                   | waiting   |
//! | `Polling` | poll, one waiting            | waiting one gets `1`, new one 400   | `Closed`  |
//! | `Polling` | poll given up                | –                                   | `Closed`  |
//! | `Polling` | POST while one is received   | new one 400, old one aborted        | `Closed`  |
//! | `Polling` | POST given up, octet stream  | waiting poll gets `1`               | `Closed`  |
//! | `Polling` | `2`, or not a packet         | waiting poll gets `1`               | `Closed`  |
//! | `Polling` | `1` from the client          | waiting poll gets `6`               | `Closed`  |
//! | `Polling` | close, poll waiting, all sent | it gets `1`                        | `Closed`  |
//! | `Polling` | close, otherwise             | –                                   | `Closing` |
//! | `Closing` | poll, something queued       | –, it gets what is queued           | `Closing` |
//! | `Closing` | poll, nothing queued         | it gets `6`, then `1`               | `Closed`  |
//! | `Closing` | `1` from the client          | –                                   | `Closed`  |
//! | `Closing` | any other packet             | –                                   | `Closing` |
//! | `Closing` | 30 s                         | –                                   | `Closed`  |
//! | any       | discard                      | waiting poll gets `1`               | `Closed`  |
//!
//! Upgrade:
//!
//! | state     | input                        | output                              | next      |
//! |-----------|------------------------------|-------------------------------------|-----------|
//! | `Polling` | probe opened                 | –                                   | `Opened`  |
//! | any other | probe opened                 | refused                             | same      |
//! | `Opened`  | `2probe`                     | `3probe`                            | `Probed`  |
//! | `Probed`  | 100 ms                       | waiting poll gets `6`               | `Probed`  |
//! | `Opened`, `Probed` | `5`                 | waiting poll gets `6`; upgraded     | `WebSocket` |
//! | `Opened`, `Probed` | any other packet    | the probe is closed                 | `Polling` |
//! | `Opened`, `Probed` | deadline            | the probe is closed                 | `Polling` |
//! | `Opened`, `Probed` | probe lost          | –                                   | `Polling` |
//! | `Opened`  | close, no poll waiting       | the probe is closed                 | `Closing` |
//! | `Probed`  | close, no poll waiting       | –                         | `Closing`, probed |
//! | `Closing`, probed | `5`                  | upgraded, then closed               | `Closed`  |
//!
//! A probed client has stopped polling, so its upgrade is the one way left to tell it of the end:
//! that is why `Closing` keeps such a probe.
//!
//! # Invariants
//!
//! - A failed upgrade never costs the session: polling goes on.
//! - Requests of a polling session that end after it became a WebSocket do not touch it.
//! - A poll is answered once. `Closed` comes once, with the first reason that was given; after it
//!   come only refusals of requests that were late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::close_reason::{CloseReason, TransportFault};
use crate::packet::Packet;
use crate::request::TransportName;

/// How often a waiting poll is released while a probed client waits for it to end. The reference
/// server takes as long; its clients count on polls of a quick upgrade not being answered.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);

/// How long a closing session waits for the poll that would tell its client.
const CLOSE_GRACE: Duration = Duration::from_secs(30);

/// What the layer above is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the protocol knows text and binary"
)]
pub enum Message<'a> {
    /// Text, without the packet's type.
    Text(&'a str),
    /// Binary data.
    Binary(Bytes),
}

/// What a packet brought, besides outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must handle every case")]
pub enum Received<'a> {
    /// A message for the layer above.
    Message(Message<'a>),
    /// The client is alive.
    Pong,
    /// Nothing to act on.
    Nothing,
}

/// With what a waiting poll is answered, when it is not with what is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must handle every case")]
pub enum PollAnswer {
    /// `6`
    Noop,
    /// `1`, whatever is queued.
    Close,
    /// `6`, then `1`.
    NoopThenClose,
}

/// What the driver must do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must handle every case")]
pub enum Output {
    /// Answer the waiting poll.
    AnswerPoll(PollAnswer),
    /// Refuse the poll that just came: 400, no body.
    RejectPoll,
    /// Refuse the POST that just came: 400, no body.
    RejectPost,
    /// Cut off the POST that is being received.
    AbortPost,
    /// Send `3probe` on the probing WebSocket.
    AnswerProbe,
    /// Close the probing WebSocket, and only it.
    CloseProbe,
    /// The probing WebSocket is the transport now: what is queued goes there.
    Upgraded,
    /// The session is over. A POST whose packets were being handled is still answered `ok`; one
    /// whose body is still coming is cut off.
    Closed(CloseReason),
}

/// One session.
#[derive(Debug)]
pub struct Session {
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Polling(Box<Polling>),
    WebSocket,
    Closed,
}

#[derive(Debug)]
struct Polling {
    upgrade_timeout: Duration,
    poll: Poll,
    post: Post,
    probe: Probe,
    closing: Option<Closing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poll {
    None,
    Waiting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Post {
    None,
    Receiving,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    None,
    /// A WebSocket came, and has said nothing yet.
    Opened {
        deadline: Instant,
    },
    /// It has been answered: its client is about to stop polling.
    Probed {
        deadline: Instant,
        release_at: Instant,
    },
}

/// An end that the client has yet to hear of.
#[derive(Debug, Clone, Copy)]
struct Closing {
    reason: CloseReason,
    deadline: Instant,
}

impl Session {
    /// A session that begins with polling.
    #[must_use]
    pub fn polling(upgrade_timeout: Duration) -> Self {
        Self {
            state: State::Polling(Box::new(Polling {
                upgrade_timeout,
                poll: Poll::None,
                post: Post::None,
                probe: Probe::None,
                closing: None,
            })),
            outputs: VecDeque::new(),
        }
    }

    /// A session that is a WebSocket from the start.
    #[must_use]
    pub const fn websocket() -> Self {
        Self {
            state: State::WebSocket,
            outputs: VecDeque::new(),
        }
    }

    /// What carries the session; `None` once it is over.
    #[must_use]
    pub const fn transport(&self) -> Option<TransportName> {
        match self.state {
            State::Polling(_) => Some(TransportName::Polling),
            State::WebSocket => Some(TransportName::WebSocket),
            State::Closed => None,
        }
    }

    /// Whether a poll waits to be answered.
    #[must_use]
    pub fn has_waiting_poll(&self) -> bool {
        matches!(&self.state, State::Polling(polling) if polling.poll == Poll::Waiting)
    }

    /// Whether a WebSocket is trying to take the session over.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        matches!(&self.state, State::Polling(polling) if polling.probe != Probe::None)
    }

    /// A packet came on the transport that carries the session.
    pub fn handle_packet<'a>(&mut self, packet: Packet<'a>) -> Received<'a> {
        match packet {
            Packet::Close => {
                self.answer_waiting(PollAnswer::Noop);
                self.close(CloseReason::TransportClose);
            }
            _ if !self.is_open() => {}
            Packet::Message(text) => return Received::Message(Message::Text(text)),
            Packet::Binary(data) => return Received::Message(Message::Binary(data)),
            Packet::Pong(_) => return Received::Pong,
            Packet::Ping(_) => self.fail(TransportFault::InvalidHeartbeat),
            // Only a server opens; the other two mean something on a probe alone.
            Packet::Open | Packet::Upgrade | Packet::Noop => {}
        }
        Received::Nothing
    }

    /// Something came that is not a packet.
    pub fn handle_invalid_packet(&mut self) {
        if self.is_open() {
            self.answer_waiting(PollAnswer::Close);
            self.close(CloseReason::ParseError);
        }
    }

    /// A poll came; `nothing_queued` says whether it would have to wait.
    pub fn handle_poll(&mut self, nothing_queued: bool) {
        let State::Polling(polling) = &mut self.state else {
            self.outputs.push_back(Output::RejectPoll);
            return;
        };
        if polling.poll == Poll::Waiting {
            self.answer_waiting(PollAnswer::Close);
            self.outputs.push_back(Output::RejectPoll);
            self.close(CloseReason::TransportError(TransportFault::PollOverlap));
            return;
        }
        polling.poll = Poll::Waiting;
        if !nothing_queued {
            return;
        }
        if let Some(closing) = polling.closing {
            self.answer_waiting(PollAnswer::NoopThenClose);
            self.close(closing.reason);
        }
    }

    /// The waiting poll was answered with what was queued.
    pub fn handle_poll_answered(&mut self) {
        if let State::Polling(polling) = &mut self.state {
            polling.poll = Poll::None;
        }
    }

    /// The client gave up the waiting poll; one that was answered meanwhile does not count.
    pub fn handle_poll_aborted(&mut self) {
        if self.has_waiting_poll() {
            self.handle_poll_answered();
            self.close(CloseReason::TransportError(TransportFault::PollAborted));
        }
    }

    /// The head of a POST came; its body follows.
    pub fn handle_post(&mut self) {
        let State::Polling(polling) = &mut self.state else {
            self.outputs.push_back(Output::RejectPost);
            return;
        };
        if polling.post == Post::Receiving {
            self.outputs.push_back(Output::RejectPost);
            self.outputs.push_back(Output::AbortPost);
            self.fail(TransportFault::PostOverlap);
            return;
        }
        polling.post = Post::Receiving;
    }

    /// The POST is over: its packets were handled, or it was too large and refused.
    pub fn handle_post_end(&mut self) {
        if let State::Polling(polling) = &mut self.state {
            polling.post = Post::None;
        }
    }

    /// The client gave up the POST.
    pub fn handle_post_aborted(&mut self) {
        if let State::Polling(polling) = &mut self.state
            && polling.post == Post::Receiving
        {
            polling.post = Post::None;
            self.fail(TransportFault::PostAborted);
        }
    }

    /// A POST has a content type that version 4 does not know; the driver refuses it with 400.
    pub fn handle_invalid_content(&mut self) {
        if let State::Polling(polling) = &mut self.state {
            polling.post = Post::None;
            self.fail(TransportFault::InvalidContent);
        }
    }

    /// A WebSocket wants to take the session over; `false` if it must be closed at once.
    #[must_use]
    pub fn handle_probe_opened(&mut self, now: Instant) -> bool {
        let State::Polling(polling) = &mut self.state else {
            return false;
        };
        if polling.probe != Probe::None || polling.closing.is_some() {
            return false;
        }
        polling.probe = Probe::Opened {
            deadline: now + polling.upgrade_timeout,
        };
        true
    }

    /// A packet came on the probing WebSocket; `None` stands for one that cannot be read.
    pub fn handle_probe_packet(&mut self, packet: Option<&Packet<'_>>, now: Instant) {
        let State::Polling(polling) = &mut self.state else {
            return;
        };
        match (packet, polling.probe) {
            (_, Probe::None) => {}
            (Some(Packet::Ping("probe")), Probe::Opened { deadline }) => {
                polling.probe = Probe::Probed {
                    deadline,
                    release_at: now + RELEASE_INTERVAL,
                };
                self.outputs.push_back(Output::AnswerProbe);
            }
            (Some(Packet::Upgrade), Probe::Opened { .. } | Probe::Probed { .. }) => {
                let closing = polling.closing;
                self.answer_waiting(PollAnswer::Noop);
                self.state = State::WebSocket;
                self.outputs.push_back(Output::Upgraded);
                if let Some(closing) = closing {
                    self.close(closing.reason);
                }
            }
            (_, Probe::Opened { .. } | Probe::Probed { .. }) => self.close_probe(),
        }
    }

    /// The probing WebSocket went away.
    pub fn handle_probe_lost(&mut self) {
        if let State::Polling(polling) = &mut self.state {
            polling.probe = Probe::None;
        }
    }

    /// The connection of a WebSocket session ended; `fault` says how if it was not orderly.
    pub fn handle_transport_closed(&mut self, fault: Option<TransportFault>) {
        let reason = fault.map_or(CloseReason::TransportClose, CloseReason::TransportError);
        self.answer_waiting(PollAnswer::Close);
        self.close(reason);
    }

    /// The layer above ends the session. What is queued is still to be delivered, and never shares
    /// a payload with the close packet, behind which stock clients do not look: a polling session
    /// lives on until the poll after that, at most 30 seconds.
    pub fn handle_close(&mut self, reason: CloseReason, nothing_queued: bool, now: Instant) {
        let State::Polling(polling) = &mut self.state else {
            self.close(reason);
            return;
        };
        if polling.closing.is_some() {
            return;
        }
        if polling.poll == Poll::Waiting && nothing_queued {
            self.answer_waiting(PollAnswer::Close);
            self.close(reason);
            return;
        }
        polling.closing = Some(Closing {
            reason,
            deadline: now + CLOSE_GRACE,
        });
        if let Probe::Opened { .. } = polling.probe {
            self.close_probe();
        }
    }

    /// The session ends at once, without delivering what is queued.
    pub fn handle_discard(&mut self, reason: CloseReason) {
        self.answer_waiting(PollAnswer::Close);
        self.close(reason);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let State::Polling(polling) = &mut self.state else {
            return;
        };
        let closing = polling.closing;
        match &mut polling.probe {
            Probe::Opened { deadline } | Probe::Probed { deadline, .. } if *deadline <= now => {
                self.close_probe();
            }
            Probe::Probed { release_at, .. } if *release_at <= now => {
                *release_at = now + RELEASE_INTERVAL;
                self.answer_waiting(PollAnswer::Noop);
            }
            Probe::None | Probe::Opened { .. } | Probe::Probed { .. } => {}
        }
        if let Some(closing) = closing
            && closing.deadline <= now
        {
            self.answer_waiting(PollAnswer::NoopThenClose);
            self.close(closing.reason);
        }
    }

    /// What to do next; drain it after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() && self.outputs.capacity() > 0 {
            // Outputs are rare: an idle session keeps no room for them.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Until when to wait for the next input.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let State::Polling(polling) = &self.state else {
            return None;
        };
        let closing = polling.closing.map(|closing| closing.deadline);
        polling.probe.deadline().into_iter().chain(closing).min()
    }

    fn is_open(&self) -> bool {
        match &self.state {
            State::Polling(polling) => polling.closing.is_none(),
            State::WebSocket => true,
            State::Closed => false,
        }
    }

    fn fail(&mut self, fault: TransportFault) {
        self.answer_waiting(PollAnswer::Close);
        self.close(CloseReason::TransportError(fault));
    }

    fn answer_waiting(&mut self, answer: PollAnswer) {
        if let State::Polling(polling) = &mut self.state
            && polling.poll == Poll::Waiting
        {
            polling.poll = Poll::None;
            self.outputs.push_back(Output::AnswerPoll(answer));
        }
    }

    fn close_probe(&mut self) {
        if let State::Polling(polling) = &mut self.state
            && polling.probe != Probe::None
        {
            polling.probe = Probe::None;
            self.outputs.push_back(Output::CloseProbe);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        let first = match &self.state {
            State::Polling(polling) => polling.closing.map(|closing| closing.reason),
            State::WebSocket => None,
            State::Closed => return,
        };
        self.close_probe();
        self.state = State::Closed;
        self.outputs
            .push_back(Output::Closed(first.unwrap_or(reason)));
    }
}

impl Probe {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Opened { deadline } => Some(deadline),
            Self::Probed {
                deadline,
                release_at,
            } => Some(release_at.min(deadline)),
        }
    }
}

#[cfg(test)]
mod tests;
