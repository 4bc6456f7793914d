//! What each packet of a client sets going, once the machine has let it pass.
//!
//! | packet     | seat       | what it does                                                      |
//! |------------|------------|-------------------------------------------------------------------|
//! | CONNECT    | none       | a seat is taken, and the gate is asked                            |
//! | EVENT      | connected  | paced; `auth:refresh` to `renewal`, the others into the lane      |
//! | ACK        | connected  | whoever waits for it is answered                                  |
//! | DISCONNECT | connected  | the socket ends                                                   |
//! | DISCONNECT | connecting | the verdict is no longer waited for, which may count as a refusal |
//!
//! # Invariants
//!
//! - A CONNECT takes from the pace of CONNECTs, whatever is answered to it.
//! - A connection that has broken a rule sets nothing more going.
//!
//! # Not here
//!
//! Which packets are legal (`portcullis_socketio::client`), what becomes of a seat (`client`).

use std::sync::Arc;
use std::task::Context;

use portcullis_socketio::args::Args;
use portcullis_socketio::client::Output;
use portcullis_socketio::ids::{AckId, NamespacePath};
use portcullis_socketio::packet::Auth;

use super::lane::{Flood, Lane};
use super::pace::Paced;
use super::seat::Seat;
use super::{CONNECTS, ClientTask, State, bond_of, gate};
use crate::auth::Refusal;
use crate::clock;
use crate::namespace::{DisconnectReason, Incoming};

/// So many sockets of a connection may have ended while their handlers have not. Who joins and
/// leaves in a loop would otherwise start handlers without a bound.
const MAX_LEAVING: usize = 16;

impl ClientTask {
    /// Obeys the machine.
    pub(super) fn drain(&mut self, cx: &mut Context<'_>) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect { namespace, auth } => self.connect(namespace, auth, cx),
                Output::Event {
                    namespace,
                    ack,
                    event,
                    args,
                } => self.event(&namespace, Incoming { event, args, ack }, cx),
                Output::Ack {
                    namespace,
                    id,
                    args,
                } => self.ack(&namespace, id, args),
                Output::Disconnect { namespace } => self.leave(&namespace),
                Output::TooManyNamespaces { namespace } if self.may_connect() => {
                    metrics::counter!("portcullis_limited_total", "limit" => "namespaces")
                        .increment(1);
                    self.refuse(namespace.as_str(), &Refusal::new("Too many namespaces"));
                }
                Output::InvalidNamespace { raw } if self.may_connect() => {
                    self.refuse(&raw, &gate::invalid_namespace());
                    self.count_refusal();
                }
                Output::TooManyNamespaces { .. } | Output::InvalidNamespace { .. } => {}
                Output::Dropped(reason) => {
                    let reason = reason.as_str();
                    metrics::counter!("portcullis_packets_dropped_total", "reason" => reason)
                        .increment(1);
                }
                Output::Violation(violation) => self.violate(violation.as_str()),
            }
            if self.state != State::Open {
                return;
            }
        }
    }

    /// Counts a CONNECT, whatever becomes of it; the connection ends with one too many.
    fn may_connect(&mut self) -> bool {
        let is_paced = self.connects.take(CONNECTS, clock::instant()).is_ok();
        if !is_paced {
            self.violate("connect_rate");
        }
        is_paced
    }

    fn connect(&mut self, namespace: NamespacePath, auth: Auth, cx: &mut Context<'_>) {
        let is_leaving = |seat: &&Seat| matches!(seat, Seat::Leaving { .. });
        if self.seats.iter().filter(is_leaving).count() >= MAX_LEAVING {
            self.violate("too_many_leaving");
            return;
        }
        if !self.may_connect() {
            return;
        }
        let verdict = Arc::clone(&self.gate).admit(
            Arc::clone(&self.connection),
            bond_of(&self.connection),
            Arc::clone(&self.request),
            namespace.clone(),
            auth,
        );
        let index = self.seats.len();
        self.seats.push(Seat::Connecting { namespace, verdict });
        // Most verdicts need no waiting: the reply can leave with this very turn.
        if let Some(seat) = self.seats.get_mut(index) {
            let step = seat.poll(cx);
            self.step(index, step, cx);
        }
    }

    fn event(&mut self, namespace: &NamespacePath, incoming: Incoming, cx: &mut Context<'_>) {
        let rate = self.gate.event_rate();
        let Some(Seat::Connected { admitted, pace, .. }) = self.seat(namespace) else {
            return;
        };
        if admitted.socket().is_disconnected() {
            return;
        }
        match rate.map_or(Paced::Handle, |rate| pace.judge(rate, clock::instant())) {
            Paced::Handle => {}
            Paced::Refuse => {
                metrics::counter!("portcullis_limited_total", "limit" => "events").increment(1);
                let socket = Arc::clone(admitted.socket());
                let namespace = Arc::clone(socket.namespace());
                namespace.dispatch().limited(&socket.into(), incoming);
                return;
            }
            Paced::Close => return self.violate("event_rate"),
        }
        let socket = Arc::clone(admitted.socket());
        let Some(incoming) = self.take_refresh(&socket, incoming, cx) else {
            return;
        };
        let Some(Seat::Connected { admitted, lane, .. }) = self.seat(namespace) else {
            return;
        };
        if let Err(Flood) = Lane::push(lane, admitted.socket(), incoming, cx) {
            self.violate("flood");
        }
    }

    fn ack(&mut self, namespace: &NamespacePath, id: AckId, args: Args) {
        if let Some(Seat::Connected { admitted, .. }) = self.seat(namespace) {
            let socket = admitted.socket();
            socket.namespace().acks().resolve(id, socket.id(), args);
        }
    }

    /// The client left a namespace, or gave up waiting for one.
    fn leave(&mut self, namespace: &NamespacePath) {
        match self.seat(namespace) {
            Some(Seat::Connected { admitted, .. }) => {
                admitted
                    .socket()
                    .end(DisconnectReason::ClientNamespaceDisconnect);
                // The farewell begins before the next packet, or later in this same turn.
            }
            Some(Seat::Connecting { .. }) => {
                self.seats.retain(|seat| !seat.waits_for(namespace));
                // It cost a verification as a refusal does: giving up must not be a way around
                // the limit.
                if !self.has_joined() {
                    self.count_refusal();
                }
            }
            Some(Seat::Leaving { .. }) | None => {}
        }
    }
}
