//! One Engine.IO session, kept alive by one task, whatever carries it.
//!
//! ```text
//!                       ┌───────────────── session's task ─────────────────┐
//!   frames, requests ──▶│ transport ─▶ engineio machine ─▶ handler         │
//!                       │     ▲               │               │            │
//!                       └─────┼───────────────┼───────────────┼────────────┘
//!                             │ flush         │ outputs       │ send
//!   peer ◀────────────────────┴───────────────┴──── outbox ◀──┴──── anybody
//! ```
//!
//! A turn of the task is: hear whether to end, take input, let the machine decide, let the handler
//! go on, write. The task waits for whatever it polled last and for its waker in the outbox.
//!
//! # Invariants
//!
//! - The session belongs to its task; the one thing shared is its `Connection`.
//! - The handler hears of the end once, and may take as long as it likes to finish.
//!
//! # Not here
//!
//! HTTP (`handshake`), namespaces (`client`).

mod connection;
mod delivery;
mod engine;
mod flusher;
mod frame;
mod heads;
mod held_back;
#[cfg(any(feature = "micro", test))]
pub(crate) mod micro;
mod outbox;
mod polling;
mod receive;
mod registry;
mod shard;
mod stream;
mod switching;
#[cfg(test)]
mod tests;
mod turn;
mod websocket;
pub(crate) mod websocket_only;
mod websocket_transport;
mod wheel;

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_engineio::{CloseReason, Message, Output, PollAnswer, TransportFault};
use tokio::time::Sleep;

pub(crate) use connection::{Connection, Ending};
pub(crate) use delivery::Delivery;
pub use delivery::IfSlow;
pub(crate) use engine::{Core, CoreOptions, Places};
pub use frame::Frame;
pub(crate) use frame::FrameBuilder;
pub(crate) use held_back::{HeldBack, Overheard};
pub(crate) use outbox::{OutboxLimits, Pushed, Waiting};
pub(crate) use polling::{Body, PollReply, Post, Request, Verdict};
pub(crate) use stream::{Opened, Stream, Ticket};
pub(crate) use switching::{NoKey, is_upgrade, key, switching};
pub(crate) use turn::turn;

use engine::Registration;
use polling::PollingTransport;
use websocket_transport::{Closing, WebSocketTransport};

use crate::clock;
use crate::pace::Bucket;

/// How long a draining session may take for its handlers, and then to tell a client that polls.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// The status code of a WebSocket that is to come back at once (IANA's registry of RFC 6455).
const SERVICE_RESTART: u16 = 1012;

/// What sits on top of a session: it gets the messages and decides what they mean.
///
/// All methods run on the session's task and must not block.
pub trait SessionHandler: Send + 'static {
    /// A text message arrived. Breaking stops the reading of what follows; it is for handlers
    /// that have asked the session to close.
    fn handle_text(&mut self, text: &str, cx: &mut Context<'_>) -> ControlFlow<()>;

    /// A binary message arrived; see [`Self::handle_text`].
    fn handle_binary(&mut self, data: Bytes, cx: &mut Context<'_>) -> ControlFlow<()>;

    /// Goes on with whatever the handler has pending. After [`Self::handle_closed`], ready means
    /// that the handler is done and may be dropped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether nothing is being handled, so that a session that is to end may do so now.
    fn is_idle(&self) -> bool {
        true
    }

    /// Somebody asked for the end of the session: the last chance to send something.
    fn handle_close_requested(&mut self) {}

    /// The session has ended: nothing more arrives, and nothing can be sent.
    fn handle_closed(&mut self, reason: CloseReason);
}

/// The way to one session for those who do not own it: send to it, or end it.
#[derive(Clone)]
pub struct SessionHandle(Arc<Connection>);

impl SessionHandle {
    pub(crate) const fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }

    /// Queues a message; `false` if the session has ended or cannot keep up.
    pub fn send(&self, message: &Message<'_>) -> bool {
        let frame = match message {
            Message::Text(text) => Frame::build(text.len() + 1, |buffer| {
                buffer.push(b'4');
                buffer.extend_from_slice(text.as_bytes());
            })
            .finish(),
            Message::Binary(data) => Frame::binary(data),
        };
        matches!(
            self.0.send(&frame, Delivery::Protocol),
            Pushed::Queued | Pushed::MustFlush
        )
    }

    /// Ends the session once what is queued has left: by the polls that fetch it, or as fast as a
    /// WebSocket takes it, within 30 s.
    pub fn close(&self) {
        self.0.end(Ending::Requested);
    }

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHandle")
    }
}

/// The task of one session.
pub(crate) struct Session {
    core: Arc<Core>,
    connection: Arc<Connection>,
    /// Present until the session ends.
    registration: Option<Registration>,
    machine: portcullis_engineio::Session,
    handler: Box<dyn SessionHandler>,
    /// Its farewells are over.
    is_handler_done: bool,
    transport: Transport,
    timer: Option<Pin<Box<Sleep>>>,
    /// The ending that the machine has been told of.
    ending: Option<Ending>,
    /// Until when a draining session may finish what it is at.
    grace: Option<Pin<Box<Sleep>>>,
    /// What is left of the packets and frames that carry nothing.
    idle: Bucket,
}

enum Transport {
    Polling(Box<PollingTransport>),
    WebSocket(WebSocketTransport),
    /// The session is over; the connection, if there is one, still has to go.
    Ended(Option<Box<Closing>>),
}

impl Future for Session {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let connection = Arc::clone(&self.connection);
        let done = turn::session_turn(&connection, || self.turn(cx));
        connection.flush_inline();
        done
    }
}

impl Session {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock::instant();
        let ending = self.connection.begin_turn(cx.waker());
        if !matches!(self.transport, Transport::Ended(_)) {
            if ending.is_some() && self.ending != ending {
                self.ending = ending;
                self.end(now);
                self.drain(cx);
            }
            // A closing session still answers the poll that tells its client, and that may be what
            // woke the task.
            self.receive(now, cx);
            self.machine_timeout(now, cx);
            self.drain(cx);
        }
        self.poll_handler(cx);
        if self.leave(now, cx) {
            self.poll_handler(cx);
        }
        if self.write(cx) {
            // Nothing else wakes a task whose stream is gone: its farewells begin here.
            self.poll_handler(cx);
        }
        let Transport::Ended(closing) = &mut self.transport else {
            return Poll::Pending;
        };
        if let Some(going) = closing
            && going.poll(&self.connection, cx).is_ready()
        {
            *closing = None;
        }
        if closing.is_none() {
            self.connection.close();
            if self.is_handler_done {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Lets the handler go on. One whose farewells are over is left alone: it may be a future that
    /// has ended.
    fn poll_handler(&mut self, cx: &mut Context<'_>) {
        if !self.is_handler_done {
            let is_idle = self.handler.poll(cx).is_ready();
            self.is_handler_done = is_idle && matches!(self.transport, Transport::Ended(_));
        }
    }

    /// Somebody outside asked for the end.
    fn end(&mut self, now: Instant) {
        let Some(ending) = self.ending else {
            return;
        };
        let machine = &mut self.machine;
        match ending {
            Ending::PingTimeout => machine.handle_discard(CloseReason::PingTimeout),
            Ending::SlowConsumer => machine.handle_discard(CloseReason::SlowConsumer),
            Ending::Drain => {
                self.grace = Some(Box::pin(tokio::time::sleep(DRAIN_GRACE)));
            }
            Ending::Shutdown => machine.handle_discard(CloseReason::ServerShuttingDown),
            Ending::WriteFailed => {
                machine.handle_discard(CloseReason::TransportError(TransportFault::Io));
            }
            // Nothing is owed to who has not joined anything: no poll is waited for.
            Ending::Unjoined => {
                metrics::counter!("portcullis_limited_total", "limit" => "unjoined").increment(1);
                machine.handle_discard(CloseReason::ForcedClose);
            }
            Ending::Requested | Ending::Expelled => {
                self.handler.handle_close_requested();
                let nothing_queued = self.connection.with_outbox(|outbox| outbox.is_empty());
                machine.handle_close(CloseReason::ForcedClose, nothing_queued, now);
            }
        }
    }

    /// Goes, if it is to go and nothing holds it: its handlers have ended, or have had their time.
    /// Says whether it has.
    fn leave(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(grace) = &mut self.grace else {
            return false;
        };
        let is_over = grace.as_mut().poll(cx).is_ready();
        if is_over {
            self.grace = None;
            self.machine.handle_discard(CloseReason::ServerShuttingDown);
        } else if self.handler.is_idle() {
            // A polling session that has something to say, or nobody to say it to, waits for the
            // next poll, and for no more than the grace.
            let nothing_queued = self.connection.with_outbox(|outbox| outbox.is_empty());
            let reason = CloseReason::ServerShuttingDown;
            self.machine.handle_close(reason, nothing_queued, now);
        }
        self.drain(cx);
        matches!(self.transport, Transport::Ended(_))
    }

    /// Asks the machine what the time has brought, and sets the timer for the next time.
    fn machine_timeout(&mut self, now: Instant, cx: &mut Context<'_>) {
        if self
            .machine
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.machine.handle_timeout(now);
        }
        let Some(deadline) = self.machine.deadline() else {
            self.timer = None;
            return;
        };
        let deadline = deadline.into();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Does what the machine wants, in the order it wants it.
    fn drain(&mut self, cx: &mut Context<'_>) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Upgraded => self.upgrade(),
                Output::Closed(reason) => self.close(reason),
                other => {
                    if let Transport::Polling(polling) = &mut self.transport {
                        obey(&self.core, polling, other, cx);
                    }
                }
            }
        }
        if let Transport::Polling(polling) = &mut self.transport {
            polling.settle();
            let waits = polling.has_waiting();
            self.connection
                .with_outbox(|outbox| outbox.set_writable(waits));
        }
    }

    /// The probe becomes the transport; what is queued goes there.
    fn upgrade(&mut self) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        let Some(probe) = polling.probe.take() else {
            return;
        };
        polling.end_post(Verdict::Rejected);
        self.connection.set_mailbox(None);
        self.connection
            .with_outbox(|outbox| outbox.set_sink(probe.sink()));
        self.transport = Transport::WebSocket(probe.carry());
        metrics::counter!("portcullis_upgrades_total").increment(1);
        // Frames that came behind the upgrade are still to be read.
        self.connection.wake();
    }

    /// The session is over: free what it held, and see its connection off.
    fn close(&mut self, reason: CloseReason) {
        tracing::debug!(reason = reason.as_str(), "session closed");
        metrics::counter!("portcullis_sessions_closed_total", "reason" => reason.as_str())
            .increment(1);
        if let CloseReason::TransportError(fault) = reason {
            metrics::counter!("portcullis_transport_faults_total", "fault" => fault.as_str())
                .increment(1);
        }
        self.timer = None;
        self.grace = None;
        self.registration = None;
        let transport = std::mem::replace(&mut self.transport, Transport::Ended(None));
        if let Transport::WebSocket(mut websocket) = transport {
            // Who has closed the connection hears nothing any more.
            let is_broken = matches!(reason, CloseReason::TransportError(TransportFault::Io));
            if !is_broken && !websocket.is_over() {
                let is_restart = matches!(reason, CloseReason::ServerShuttingDown);
                let code = is_restart.then_some(SERVICE_RESTART);
                websocket.say_goodbye(&self.connection, code);
                // Only who was asked to end in peace has been promised what is queued.
                let is_promised = self.ending == Some(Ending::Requested);
                let hurry = is_promised.then(|| self.core.hurry());
                self.transport = Transport::Ended(Some(Box::new(websocket.into_closing(hurry))));
            }
        } else if let Transport::Polling(mut polling) = transport {
            // A POST whose packets were handled has been answered: this one is still coming.
            polling.end_post(Verdict::Cut);
        }
        self.handler.handle_closed(reason);
    }

    /// Lets what is queued leave, where the task is the one to write. Says whether the transport
    /// has ended by it.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.transport {
            Transport::Polling(polling) => {
                if polling.has_waiting() && !self.connection.with_outbox(|outbox| outbox.is_empty())
                {
                    polling.answer(&self.connection.take_frames(), &[]);
                    self.machine.handle_poll_answered();
                    self.connection
                        .with_outbox(|outbox| outbox.set_writable(false));
                }
                false
            }
            Transport::WebSocket(websocket) => {
                let Poll::Ready(Err(_)) = websocket.poll_write(&self.connection, cx) else {
                    return false;
                };
                self.machine
                    .handle_transport_closed(Some(TransportFault::Io));
                self.drain(cx);
                true
            }
            Transport::Ended(_) => false,
        }
    }
}

impl Drop for Session {
    /// A runtime that stops drops its tasks: whoever holds the connection must learn of it.
    fn drop(&mut self) {
        self.connection.close();
    }
}

/// Does one thing that concerns polling.
fn obey(core: &Core, polling: &mut PollingTransport, output: Output, cx: &mut Context<'_>) {
    match output {
        Output::AnswerPoll(PollAnswer::Noop) => polling.answer(&[Frame::noop()], &[]),
        Output::AnswerPoll(PollAnswer::Close) => polling.answer(&[], &["1"]),
        Output::AnswerPoll(PollAnswer::NoopThenClose) => polling.answer(&[], &["6", "1"]),
        Output::RejectPoll => polling.reject_poll(),
        Output::RejectPost => polling.reject_post(),
        Output::AbortPost => polling.end_post(Verdict::Cut),
        Output::AnswerProbe => {
            if let Some(probe) = &mut polling.probe {
                // A probe that cannot be written to ends with its next read.
                let _ = probe.send_direct(&Frame::text("3probe"), cx);
            }
        }
        Output::CloseProbe => {
            metrics::counter!("portcullis_upgrades_failed_total").increment(1);
            if let Some(probe) = polling.probe.take() {
                core.spawn(probe.go_away(None));
            }
        }
        Output::Upgraded | Output::Closed(_) => {}
    }
}

/// Closes a WebSocket that came for a session which has one already, or is no more.
pub(crate) async fn close_stray(stream: Stream, read_ahead: Bytes) {
    WebSocketTransport::new(stream, read_ahead, 0, false)
        .go_away(None)
        .await;
}
