//! The life of a socket: what is held until it is accepted, its rooms, its end.
//!
//! ```text
//!               accepted                      disconnected (once, with a reason)
//!   Connecting ───────────▶ Connected ─────────────────────────────▶ Disconnected
//!       │  emits are held                                                  ▲
//!       └───────────────── refused: nothing was sent ──────────────────────┘
//! ```
//!
//! # Invariants
//!
//! - What a socket is sent while it connects leaves right behind its CONNECT reply, in order.
//! - Its rooms are left before anybody hears that it disconnected.
//!
//! # Not here
//!
//! What the application may do with it (`socket`), and who lets it in (`client/gate.rs`).

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use portcullis_socketio::ids::{AckId, Room, SocketId};
use portcullis_socketio::value::Value;

use crate::auth::{CurrentIdentity, is_reserved_room};
use crate::handshake::Handshake;
use crate::namespace::emission::EmitError;
use crate::namespace::reason::DisconnectReason;
use crate::namespace::rooms::{self, Change, Memberships};
use crate::namespace::{MAX_ROOM_BYTES, Namespace, frames};
use crate::session::{Connection, Delivery, Ending, Frame, IfSlow, OutboxLimits, Pushed, Waiting};

const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;

pub(crate) struct SocketInner {
    id: SocketId,
    namespace: Arc<Namespace>,
    connection: Arc<Connection>,
    handshake: Handshake,
    identity: Option<Arc<CurrentIdentity>>,
    memberships: Memberships,
    life: Mutex<Life>,
    /// The same without the lock, for every delivery to read. It is written under it.
    state: AtomicU8,
    pub(super) extras: OnceLock<Box<Extras>>,
}

/// Where a socket stands, and what that place needs. It orders what is sent around the moment of
/// acceptance.
#[derive(Debug)]
enum Life {
    Connecting(Held),
    Connected,
    Disconnected(DisconnectReason),
}

/// What was said to a socket that is not accepted yet.
#[derive(Debug, Default)]
struct Held {
    /// What was emitted so far, within the bounds of an outbox.
    frames: Vec<(Frame, Delivery)>,
    /// What [`Waiting`] says of them.
    bytes: u32,
    has_giant: bool,
    /// It was made to leave already; and whether its connection was to go with it.
    kicked: Option<bool>,
}

impl Held {
    fn push(&mut self, frame: &Frame, delivery: Delivery, limits: &OutboxLimits) -> Pushed {
        let len = frame.wire().len();
        let mut waiting = Waiting {
            // The CONNECT reply goes in front of them, and leaves at once where anybody may write.
            frames: self.frames.len() + 1,
            bytes: self.bytes as usize,
            has_giant: self.has_giant,
        };
        if !self.frames.is_empty() && !limits.admit(waiting, len) {
            return limits.refuse(delivery);
        }
        waiting.add(len, limits);
        self.bytes = u32::try_from(waiting.bytes).unwrap_or(u32::MAX);
        self.has_giant = waiting.has_giant;
        // What is volatile could leave at once, for nothing but the reply is in its way.
        let delivery = match delivery {
            Delivery::Volatile => Delivery::Event(Some(IfSlow::Drop)),
            other => other,
        };
        self.frames.push((frame.clone(), delivery));
        Pushed::Queued
    }
}

/// What only some sockets have.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) data: Mutex<Option<Value>>,
    pub(super) extensions: Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
    /// The acks that its client owes.
    acks: Mutex<Vec<AckId>>,
}

/// What a socket is made of.
pub(crate) struct SocketParts {
    pub(crate) id: SocketId,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) handshake: Handshake,
    pub(crate) identity: Option<Arc<CurrentIdentity>>,
}

impl SocketInner {
    pub(crate) fn new(parts: SocketParts) -> Self {
        Self {
            id: parts.id,
            namespace: parts.namespace,
            connection: parts.connection,
            handshake: parts.handshake,
            identity: parts.identity,
            memberships: Memberships::default(),
            life: Mutex::new(Life::Connecting(Held::default())),
            state: AtomicU8::new(CONNECTING),
            extras: OnceLock::new(),
        }
    }

    pub(crate) const fn id(&self) -> &SocketId {
        &self.id
    }

    pub(crate) const fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(crate) const fn identity(&self) -> Option<&Arc<CurrentIdentity>> {
        self.identity.as_ref()
    }

    pub(super) const fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    pub(crate) const fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.load(Ordering::Acquire) == CONNECTED
    }

    pub(crate) fn is_disconnected(&self) -> bool {
        self.state.load(Ordering::Acquire) == DISCONNECTED
    }

    pub(crate) fn rooms(&self) -> Vec<Room> {
        let mut rooms = vec![Room::from(self.id)];
        rooms.extend(self.memberships.rooms());
        rooms
    }

    pub(crate) fn data(&self) -> Value {
        let data = self
            .extras
            .get()
            .and_then(|extras| extras.data.lock().clone());
        data.unwrap_or_else(|| Value::Map(Vec::new()))
    }

    pub(super) fn extras(&self) -> &Extras {
        self.extras.get_or_init(Box::default)
    }

    /// Sends the answer to an event of the client, which is never lost.
    pub(crate) fn answer(&self, frame: &Frame) -> Result<(), EmitError> {
        self.send(frame, Delivery::Protocol)
    }

    /// Sends a finished frame: at once, or behind the CONNECT reply.
    pub(crate) fn send(&self, frame: &Frame, delivery: Delivery) -> Result<(), EmitError> {
        if self.is_connected() {
            self.connection.send(frame, delivery);
            return Ok(());
        }
        match &mut *self.life.lock() {
            Life::Connecting(held) => {
                let pushed = held.push(frame, delivery, self.connection.outbox_limits());
                if pushed != Pushed::Queued {
                    pushed.count();
                }
                if pushed == Pushed::Overflow {
                    self.connection.end(Ending::SlowConsumer);
                    return Err(EmitError::Disconnected);
                }
                return Ok(());
            }
            Life::Connected => {}
            Life::Disconnected(_) => return Err(EmitError::Disconnected),
        }
        // It was let in just now. Sent without the lock, because sending may write.
        self.connection.send(frame, delivery);
        Ok(())
    }

    /// Lets the socket in: the CONNECT reply leaves, then whatever was emitted meanwhile. One that
    /// was made to leave meanwhile is told both, so that its client knows why.
    pub(crate) fn accept(self: &Arc<Self>) {
        let kicked = {
            let mut life = self.life.lock();
            let Life::Connecting(held) = &mut *life else {
                return;
            };
            let Held { frames, kicked, .. } = std::mem::take(held);
            let codec = self.namespace.codec();
            let reply = frames::control(codec, |buffer| {
                codec.encode_connect(buffer, self.namespace.path(), &self.id);
            });
            self.connection.send(&reply, Delivery::Protocol);
            for (frame, delivery) in frames {
                self.connection.send(&frame, delivery);
            }
            *life = Life::Connected;
            self.state.store(CONNECTED, Ordering::Release);
            kicked
        };
        if let Some(close) = kicked {
            self.disconnect(close);
        }
    }

    /// Ends the socket for `reason`; `false` if it had ended already.
    pub(crate) fn end(self: &Arc<Self>, reason: DisconnectReason) -> bool {
        {
            let mut life = self.life.lock();
            if matches!(*life, Life::Disconnected(_)) {
                return false;
            }
            *life = Life::Disconnected(reason);
            self.state.store(DISCONNECTED, Ordering::Release);
        }
        self.leave_all();
        self.namespace.remove(self);
        if let Some(extras) = self.extras.get() {
            let owed = std::mem::take(&mut *extras.acks.lock());
            self.namespace.acks().forget_all(&owed);
        }
        true
    }

    /// Why it ended, once it has.
    pub(crate) fn end_reason(&self) -> Option<DisconnectReason> {
        match *self.life.lock() {
            Life::Disconnected(reason) => Some(reason),
            Life::Connecting(_) | Life::Connected => None,
        }
    }

    pub(crate) fn disconnect(self: &Arc<Self>, close: bool) {
        self.disconnect_for(DisconnectReason::ServerNamespaceDisconnect, close);
    }

    /// Tells the client of its end, and ends; the application hears this reason. Nothing happens to
    /// one that has ended already.
    pub(crate) fn disconnect_for(self: &Arc<Self>, reason: DisconnectReason, close: bool) {
        if let Life::Connecting(held) = &mut *self.life.lock() {
            held.kicked = Some(close || held.kicked == Some(true));
            return;
        }
        // Of one that has ended, the connection may belong to others by now.
        if !self.end(reason) {
            return;
        }
        let codec = self.namespace.codec();
        let packet = frames::control(codec, |buffer| {
            codec.encode_disconnect(buffer, self.namespace.path());
        });
        self.connection.send(&packet, Delivery::Protocol);
        if close {
            self.connection.end(Ending::Requested);
        } else {
            self.connection.wake();
        }
    }

    pub(crate) fn join(self: &Arc<Self>, room: &Room) {
        let limit = self.namespace.limits().rooms_per_socket;
        if room.len_bytes() > MAX_ROOM_BYTES
            || is_reserved_room(room)
            || self.memberships.is_at(limit)
        {
            metrics::counter!("portcullis_joins_refused_total").increment(1);
            return;
        }
        self.enter_room(room);
    }

    /// Enters a room without asking whether it may.
    pub(crate) fn enter_room(self: &Arc<Self>, room: &Room) {
        if self.is_disconnected() || rooms::id_of(room) == Some(self.id) {
            return;
        }
        if self.namespace.rooms().join(self, room) == Change::Room {
            self.namespace
                .watcher()
                .room_opened(self.namespace.path(), room);
        }
        if self.is_disconnected() {
            // It left in between, and must not be found in a room afterwards.
            self.leave_all();
        }
    }

    pub(crate) fn leave(self: &Arc<Self>, room: &Room) {
        if is_reserved_room(room) {
            return;
        }
        if self.namespace.rooms().leave(self, room) == Change::Room {
            self.namespace
                .watcher()
                .room_closed(self.namespace.path(), room);
        }
    }

    fn leave_all(self: &Arc<Self>) {
        self.namespace.rooms().leave_all(self, |room| {
            self.namespace
                .watcher()
                .room_closed(self.namespace.path(), room);
        });
    }

    /// Notes one more outstanding ack; `None` at the limit.
    pub(in crate::namespace) fn reserve_ack(&self) -> Option<AckId> {
        let mut acks = self.extras().acks.lock();
        if acks.len() >= self.namespace.limits().acks_per_socket {
            return None;
        }
        let id = self.namespace.next_ack();
        acks.push(id);
        Some(id)
    }

    /// An ack of this socket is no longer outstanding.
    pub(crate) fn release_ack(&self, id: AckId) {
        let mut acks = self.extras().acks.lock();
        if let Some(index) = acks.iter().position(|outstanding| *outstanding == id) {
            acks.swap_remove(index);
        }
        if acks.is_empty() {
            *acks = Vec::new();
        }
    }
}

impl fmt::Debug for SocketInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketInner({})", self.id)
    }
}
