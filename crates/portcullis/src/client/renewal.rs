//! The life of an identity on its connection: warned, refreshed, ended.
//!
//! ```text
//!  wheel ─▶ alarm ─▶ what is due? ─▶ auth:expiring ─▶ client ─▶ auth:refresh(token)
//!                        │                                            │ verified, same subject
//!                        ▼                                            ▼
//!                 auth:expired, the end                    the place is filled anew, ack
//! ```
//!
//! | ack of `auth:refresh`              | when                                               |
//! |------------------------------------|----------------------------------------------------|
//! | `{status: "ok", exp}`              | the new identity holds for all that shared the old |
//! | `{status: "error", code, message}` | the old one holds on; see the refusal codes        |
//!
//! # Invariants
//!
//! - One refresh at a time on a connection; one more meanwhile is refused with `AUTH_UNAVAILABLE`.
//! - A refresh that fails counts as a refused CONNECT does: guessing has the same limit.
//! - While one is being verified nothing expires; verification is bounded in time.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use portcullis_socketio::ids::AckId;
use portcullis_socketio::payload::Payload;
use portcullis_socketio::value::Value;
use smallvec::SmallVec;

use super::seat::Seat;
use super::{ClientTask, State};
use crate::auth::{
    CurrentIdentity, Due, ExpiryEnding, Identity, REFRESH_EVENT, RefusalCode, Token,
};
use crate::clock;
use crate::namespace::{DisconnectReason, Incoming, Socket, SocketInner, frames};
use crate::session::{Delivery, Ending};

/// The events that clients hear.
const EXPIRING: &str = "auth:expiring";
const EXPIRED: &str = "auth:expired";

/// A refresh that is being verified.
pub(super) struct Refreshing {
    socket: Arc<SocketInner>,
    place: Arc<CurrentIdentity>,
    ack: Option<AckId>,
    verdict: BoxFuture<'static, Result<Identity, RefusalCode>>,
}

impl ClientTask {
    /// Takes an event for itself if it is a refresh; otherwise gives it back.
    pub(super) fn take_refresh(
        &mut self,
        socket: &Arc<SocketInner>,
        incoming: Incoming,
        cx: &mut Context<'_>,
    ) -> Option<Incoming> {
        let Some(place) = socket.identity().cloned() else {
            return Some(incoming);
        };
        if incoming.event.as_str() != REFRESH_EVENT {
            return Some(incoming);
        }
        let Some(token) = token_of(&incoming) else {
            self.refresh_refused(socket, incoming.ack, RefusalCode::TokenMissing);
            return None;
        };
        if self.refreshing.is_some() {
            answer_error(socket, incoming.ack, RefusalCode::AuthUnavailable);
            return None;
        }
        let verdict = Arc::clone(&self.gate).refresh(
            Arc::clone(&self.request),
            socket.namespace().path().clone(),
            place.get(),
            token,
        );
        self.refreshing = Some(Box::new(Refreshing {
            socket: Arc::clone(socket),
            place,
            ack: incoming.ack,
            verdict,
        }));
        self.poll_refresh(cx);
        None
    }

    /// Goes on with a refresh that is being verified.
    pub(super) fn poll_refresh(&mut self, cx: &mut Context<'_>) {
        let Some(refreshing) = &mut self.refreshing else {
            return;
        };
        let Poll::Ready(verdict) = refreshing.verdict.as_mut().poll(cx) else {
            return;
        };
        let Some(refreshing) = self.refreshing.take() else {
            return;
        };
        let Refreshing {
            socket, place, ack, ..
        } = *refreshing;
        let outcome = verdict.as_ref().map_or_else(|code| code.as_str(), |_| "ok");
        metrics::counter!("portcullis_refreshes_total", "outcome" => outcome).increment(1);
        match verdict {
            Ok(identity) => {
                let expires_at = identity.expires_at();
                let (plan, wall) = (self.gate.expiry_plan(), self.gate.wall());
                place.swap(identity, plan, wall, clock::instant());
                self.end_if_revoked(&place);
                let exp = expires_at.map_or(Value::Null, Value::from);
                answer(&socket, ack, vec![("status", "ok".into()), ("exp", exp)]);
            }
            Err(code) => self.refresh_refused(&socket, ack, code),
        }
        self.check_expiry();
    }

    /// Who looks through the sockets may have seen the old identity here: the new one is asked
    /// about once more.
    fn end_if_revoked(&self, place: &Arc<CurrentIdentity>) {
        if self.gate.is_revoked(&place.get()) {
            for socket in self.sockets_at(place) {
                Socket::from(socket).end_revoked();
            }
        }
    }

    fn refresh_refused(
        &mut self,
        socket: &Arc<SocketInner>,
        ack: Option<AckId>,
        code: RefusalCode,
    ) {
        answer_error(socket, ack, code);
        // That the server cannot decide is not the client's fault.
        if code != RefusalCode::AuthUnavailable {
            self.count_refusal();
        }
    }

    /// Warns and ends whatever has fallen due, and sets the alarm for what comes next.
    pub(super) fn check_expiry(&mut self) {
        if self.state != State::Open || self.refreshing.is_some() {
            return;
        }
        let (plan, wall, now) = (*self.gate.expiry_plan(), self.gate.wall(), clock::instant());
        for place in self.places() {
            let event = match place.due(&plan, wall, now) {
                Due::Nothing => continue,
                Due::Warning => EXPIRING,
                Due::End => EXPIRED,
            };
            let exp = place.get().expires_at().map_or(Value::Null, Value::from);
            let data = Value::Map(vec![("exp".to_owned(), exp)]);
            for socket in self.sockets_at(&place) {
                // Who has left meanwhile need not hear it.
                let _ = Socket::from(socket).emit(event, &data);
            }
            if event == EXPIRED {
                self.expire(&place, plan.ending);
                return;
            }
        }
        let next = self.places().iter().filter_map(|place| place.next()).min();
        self.connection.set_alarm(next);
    }

    /// Ends the connection whose token has expired.
    fn expire(&mut self, place: &Arc<CurrentIdentity>, ending: ExpiryEnding) {
        let how = match ending {
            ExpiryEnding::CloseTransport => "close",
            ExpiryEnding::Disconnect => "disconnect",
        };
        metrics::counter!("portcullis_tokens_expired_total", "ending" => how).increment(1);
        match ending {
            ExpiryEnding::CloseTransport => {
                self.end_all(DisconnectReason::TokenExpired);
                self.state = State::Closing;
                self.connection.end(Ending::Expelled);
            }
            ExpiryEnding::Disconnect => {
                for socket in self.sockets_at(place) {
                    socket.disconnect_for(DisconnectReason::TokenExpired, false);
                }
                self.connection.end(Ending::Expelled);
            }
        }
    }

    /// Every identity that sockets of this client have, once.
    fn places(&self) -> SmallVec<[Arc<CurrentIdentity>; 1]> {
        let mut places: SmallVec<[Arc<CurrentIdentity>; 1]> = SmallVec::new();
        for place in self.connected().filter_map(|socket| socket.identity()) {
            if !places.iter().any(|known| Arc::ptr_eq(known, place)) {
                places.push(Arc::clone(place));
            }
        }
        places
    }

    fn sockets_at(&self, place: &Arc<CurrentIdentity>) -> SmallVec<[Arc<SocketInner>; 1]> {
        let is_there = |socket: &&Arc<SocketInner>| {
            socket
                .identity()
                .is_some_and(|identity| Arc::ptr_eq(identity, place))
        };
        self.connected().filter(is_there).cloned().collect()
    }

    fn connected(&self) -> impl Iterator<Item = &Arc<SocketInner>> {
        self.seats.iter().filter_map(|seat| match seat {
            Seat::Connected { admitted, .. } => Some(admitted.socket()),
            Seat::Connecting { .. } | Seat::Leaving { .. } => None,
        })
    }
}

/// The token of a refresh: its first argument, or the `token` of that.
fn token_of(incoming: &Incoming) -> Option<Token> {
    let token = match incoming.args.get::<Value>(0).ok()? {
        Value::String(token) => token,
        Value::Map(fields) => match fields.into_iter().find(|(name, _)| name == "token")?.1 {
            Value::String(token) => token,
            _ => return None,
        },
        _ => return None,
    };
    (!token.is_empty()).then(|| Token::from(token))
}

fn answer_error(socket: &Arc<SocketInner>, ack: Option<AckId>, code: RefusalCode) {
    let fields = vec![
        ("status", "error".into()),
        ("code", code.as_str().into()),
        ("message", RefusalCode::MESSAGE.into()),
    ];
    answer(socket, ack, fields);
}

fn answer(socket: &Arc<SocketInner>, ack: Option<AckId>, fields: Vec<(&str, Value)>) {
    let Some(id) = ack else { return };
    let fields = fields.into_iter();
    let fields = fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    if let Ok(payload) = Payload::args(&Value::Map(fields)) {
        let frame = frames::ack(socket.namespace(), id, &payload).finish();
        // Who has left meanwhile needs no answer.
        let _ = socket.send(&frame, Delivery::Protocol);
    }
}
