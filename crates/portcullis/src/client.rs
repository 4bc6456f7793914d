//! One peer in many namespaces: from messages to sockets, and back.
//!
//! ```text
//!  message ─▶ decoder ─▶ client machine ─▶ CONNECT ─▶ gate ─▶ Socket ─┐
//!                                     └──▶ EVENT ──▶ lane ─▶ handler  ├─ per namespace: a seat
//!                                     └──▶ ACK ────▶ whoever waits    │
//!                                     └──▶ DISCONNECT ─▶ on_disconnect┘
//! ```
//!
//! # Invariants
//!
//! - The CONNECT reply is the first thing that a client hears of its socket.
//! - `on_disconnect` runs once for each socket that was accepted, behind the handlers in flight.
//! - What breaks the rules ends the whole connection, and nobody else's.
//!
//! # Not here
//!
//! The rules themselves (`portcullis_socketio::client`), who may connect (`gate`), what each
//! packet sets going (`packets`).

mod bond;
mod gate;
mod lane;
mod later;
mod pace;
mod packets;
mod renewal;
mod seat;
mod user_limit;

use std::future::Future as _;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use portcullis_engineio::CloseReason;
use portcullis_socketio::client::Client;
use portcullis_socketio::codec::{Codec, DecodeError, Decoder};
use portcullis_socketio::ids::NamespacePath;
use portcullis_socketio::packet::Packet;
use smallvec::SmallVec;
use tokio::time::Sleep;

use bond::Bond;
pub(crate) use gate::{Gate, GateOptions};
use renewal::Refreshing;
use seat::{Seat, Step};
pub(crate) use user_limit::UserLimit;

use crate::auth::Refusal;
use crate::auth::source::Credentials;
use crate::clock;
use crate::handshake::{Accept, LaterRequest, RequestFacts};
use crate::namespace::{DisconnectReason, frames};
use crate::pace::{Bucket, Rate};
use crate::session::{Connection, Delivery, SessionHandle, SessionHandler};

/// How long the attachments of a packet may take to arrive.
const ATTACHMENTS_TIMEOUT: Duration = Duration::from_secs(10);

/// So many refusals a connection may collect before it is closed with the next.
const MAX_REFUSALS: u8 = 3;

/// How many CONNECTs a connection may send: each costs a verification, even of who leaves at once.
/// Later requests that show other credentials have the same pace, and as many refusals.
const CONNECTS: Rate = Rate::per_second(10).burst(100);

/// Puts a client on top of every session.
#[derive(Debug)]
pub(crate) struct Clients(pub(crate) Arc<Gate>);

impl Accept for Clients {
    fn accept(
        &self,
        session: SessionHandle,
        request: Arc<RequestFacts>,
    ) -> Box<dyn SessionHandler> {
        let connection = Arc::clone(session.connection());
        if let Some(bond) = self.0.bond(&request) {
            connection.keep_above(bond);
        }
        Box::new(ClientTask {
            gate: Arc::clone(&self.0),
            connection,
            refreshing: None,
            request,
            decoder: Decoder::new(self.0.codec()),
            machine: Client::new(),
            seats: SmallVec::new(),
            refusals: 0,
            connects: Bucket::default(),
            state: State::Open,
            attachments_timer: None,
        })
    }

    fn check_later(
        &self,
        session: &SessionHandle,
        request: &LaterRequest<'_>,
    ) -> Option<BoxFuture<'static, bool>> {
        let connection = session.connection();
        // A WebSocket has no later requests.
        connection.mailbox()?;
        let bond = bond_of(connection)?;
        let shown = Credentials {
            auth: None,
            headers: request.headers(),
            query: request.query(),
        };
        let facts = || request.facts();
        self.0.check_later(connection, &bond, &shown, facts)
    }
}

/// Whom a connection belongs to; `None` where nobody is asked.
fn bond_of(connection: &Connection) -> Option<Arc<Bond>> {
    connection.above()?.downcast().ok()
}

/// What is kept of a client.
#[cfg(test)]
pub(crate) const fn size_of_client() -> usize {
    size_of::<ClientTask>()
}

/// Whom a connection belongs to.
#[cfg(test)]
pub(crate) const fn size_of_bond() -> usize {
    size_of::<Bond>()
}

/// One client, on its session's task.
struct ClientTask {
    gate: Arc<Gate>,
    connection: Arc<Connection>,
    refreshing: Option<Box<Refreshing>>,
    request: Arc<RequestFacts>,
    decoder: Decoder,
    machine: Client,
    seats: SmallVec<[Seat; 1]>,
    refusals: u8,
    /// What is left of the CONNECTs that it may send.
    connects: Bucket,
    state: State,
    attachments_timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The rules were broken, or the server wants an end: nothing more is read.
    Closing,
    Closed,
}

impl SessionHandler for ClientTask {
    fn handle_text(&mut self, text: &str, cx: &mut Context<'_>) -> ControlFlow<()> {
        let packet = self.decoder.handle_text(text, self.gate.codec_limits());
        self.handle_decoded(packet, cx)
    }

    fn handle_binary(&mut self, data: Bytes, cx: &mut Context<'_>) -> ControlFlow<()> {
        let packet = self.decoder.handle_binary(data, self.gate.codec_limits());
        self.handle_decoded(packet, cx)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_attachments(cx);
        self.poll_refresh(cx);
        if self.connection.take_rung() {
            self.check_expiry();
        }
        let mut index = 0;
        while let Some(seat) = self.seats.get_mut(index) {
            let step = seat.poll(cx);
            if self.step(index, step, cx) {
                index += 1;
            }
        }
        if self.state == State::Closed && self.seats.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn is_idle(&self) -> bool {
        !self.seats.iter().any(Seat::is_busy)
    }

    fn handle_close_requested(&mut self) {
        self.state = State::Closing;
        for seat in &self.seats {
            if let Seat::Connected { admitted, .. } = seat {
                admitted.socket().disconnect(false);
            }
        }
        self.seats
            .retain(|seat| !matches!(seat, Seat::Connecting { .. }));
    }

    fn handle_closed(&mut self, reason: CloseReason) {
        self.end_all(match reason {
            CloseReason::TransportClose => DisconnectReason::TransportClose,
            CloseReason::ParseError => DisconnectReason::ParseError,
            CloseReason::PingTimeout => DisconnectReason::PingTimeout,
            CloseReason::ServerShuttingDown => DisconnectReason::ServerShuttingDown,
            CloseReason::SlowConsumer => DisconnectReason::SlowConsumer,
            CloseReason::ForcedClose => DisconnectReason::ForcedClose,
            _ => DisconnectReason::TransportError,
        });
        self.state = State::Closed;
        self.attachments_timer = None;
        self.refreshing = None;
        self.decoder = Decoder::new(Codec::Json);
    }
}

impl ClientTask {
    fn handle_decoded(
        &mut self,
        packet: Result<Option<Packet>, DecodeError>,
        cx: &mut Context<'_>,
    ) -> ControlFlow<()> {
        // A socket that has ended makes room before the packet is judged, which may well be for
        // the next socket in its namespace.
        self.see_off(cx);
        if self.state != State::Open {
            return ControlFlow::Break(());
        }
        self.time_attachments();
        match packet {
            Ok(Some(packet)) => {
                let limits = self.gate.client_limits();
                self.machine.handle_packet(packet, limits, clock::instant());
                self.drain(cx);
            }
            Ok(None) if self.decoder.has_pending() => {}
            Ok(None) => metrics::counter!("portcullis_packets_ignored_total").increment(1),
            Err(error) => {
                tracing::debug!(%error, "invalid packet");
                self.violate("invalid_packet");
            }
        }
        if self.state == State::Open {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    /// Begins the farewells of sockets that have ended since the last look.
    fn see_off(&mut self, cx: &mut Context<'_>) {
        while let Some(index) = self.seats.iter().position(Seat::has_ended) {
            if let Some(seat) = self.seats.get_mut(index) {
                let step = seat.poll(cx);
                self.step(index, step, cx);
            }
        }
    }

    /// The time for attachments begins with the packet that announces them, and ends with the last
    /// one, whatever becomes of the packet.
    fn time_attachments(&mut self) {
        if !self.decoder.has_pending() {
            self.attachments_timer = None;
        } else if self.attachments_timer.is_none() {
            let timer = tokio::time::sleep(ATTACHMENTS_TIMEOUT);
            self.attachments_timer = Some(Box::pin(timer));
        }
    }

    fn poll_attachments(&mut self, cx: &mut Context<'_>) {
        if let Some(timer) = &mut self.attachments_timer
            && timer.as_mut().poll(cx).is_ready()
        {
            self.attachments_timer = None;
            self.violate("attachments_timeout");
        }
    }

    /// Acts on what became of a seat; says whether the seat is still there.
    fn step(&mut self, index: usize, step: Step, cx: &mut Context<'_>) -> bool {
        match step {
            Step::Stay => true,
            Step::Done => {
                self.seats.remove(index);
                false
            }
            Step::Left(namespace, next) => {
                self.machine.handle_left(&namespace, clock::instant());
                self.step(index, *next, cx)
            }
            Step::Refused(namespace, refusal) => {
                self.seats.remove(index);
                self.refuse(namespace.as_str(), &refusal.refusal);
                self.machine.refuse(&namespace);
                if refusal.is_unauthorized || !self.has_joined() {
                    self.count_refusal();
                }
                false
            }
            Step::Admitted(namespace) => {
                self.connection.joined();
                self.machine.accept(&namespace, clock::instant());
                self.check_expiry();
                // What was sent ahead of the verdict is handled now.
                self.drain(cx);
                true
            }
        }
    }

    fn refuse(&self, namespace: &str, refusal: &Refusal) {
        let codec = self.gate.codec();
        let packet = frames::control(codec, |buffer| {
            let (message, data) = (refusal.message(), refusal.as_data());
            codec.encode_connect_error(buffer, namespace, message, data);
        });
        self.connection.send(&packet, Delivery::Protocol);
        metrics::counter!("portcullis_connects_refused_total").increment(1);
    }

    fn count_refusal(&mut self) {
        self.refusals += 1;
        if self.refusals > MAX_REFUSALS {
            self.violate("too_many_refusals");
        }
    }

    fn has_joined(&self) -> bool {
        self.seats
            .iter()
            .any(|seat| matches!(seat, Seat::Connected { .. }))
    }

    /// The peer broke the rules: everything it has here ends, and so does its connection.
    fn violate(&mut self, rule: &'static str) {
        let at_once = self
            .connection
            .with_outbox(|outbox| outbox.can_close_at_once());
        self.end_all(if at_once {
            DisconnectReason::ForcedClose
        } else {
            DisconnectReason::ForcedServerClose
        });
        self.state = State::Closing;
        self.connection.expel(rule);
    }

    fn end_all(&mut self, reason: DisconnectReason) {
        self.seats
            .retain(|seat| !matches!(seat, Seat::Connecting { .. }));
        for seat in &self.seats {
            if let Seat::Connected { admitted, .. } = seat {
                admitted.socket().end(reason);
            }
        }
    }

    /// The live seat of a namespace; one that is being left does not count.
    fn seat(&mut self, namespace: &NamespacePath) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| match seat {
            Seat::Connecting {
                namespace: name, ..
            } => name == namespace,
            Seat::Connected { admitted, .. } => admitted.socket().namespace().path() == namespace,
            Seat::Leaving { .. } => false,
        })
    }
}

impl Drop for ClientTask {
    /// A task that is dropped with its runtime must not leave sockets behind in rooms.
    fn drop(&mut self) {
        self.end_all(DisconnectReason::ServerShuttingDown);
    }
}
