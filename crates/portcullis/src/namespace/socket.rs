//! One client in one namespace.
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

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_socketio::args::Args;
use portcullis_socketio::ids::{AckId, NamespacePath, Room, SocketId};
use portcullis_socketio::payload::{EncodeError, Payload};
use portcullis_socketio::value::{Value, ValueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::emission::{AckError, DEFAULT_ACK_TIMEOUT, Emission, EmitError};
use super::reason::DisconnectReason;
use super::rooms::{self, Change, Memberships};
use super::{MAX_ROOM_BYTES, Namespace, Params, frames};
use crate::auth::{CurrentIdentity, Identity, is_reserved_room};
use crate::handshake::Handshake;
use crate::session::{Connection, Delivery, Ending, Frame, IfSlow};

/// So many frames may wait for a socket to be accepted.
const MAX_HELD_FRAMES: usize = 4096;

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
    gate: Mutex<Gate>,
    state: AtomicU8,
    extras: OnceLock<Box<Extras>>,
}

/// Orders what is sent around the moment of acceptance, and keeps the reason of the end.
#[derive(Debug)]
enum Gate {
    /// Not accepted yet: what was emitted so far, and whether it was made to leave already.
    Held {
        frames: Vec<Frame>,
        kicked: Option<bool>,
    },
    Open,
    Shut(DisconnectReason),
}

/// What only some sockets have.
#[derive(Debug, Default)]
struct Extras {
    data: Mutex<Option<Value>>,
    extensions: Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
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

/// One client in one namespace: emit to it, put it into rooms, end it.
///
/// Cheap to clone, usable from any task, and still there after the client has gone: emitting to
/// it is an error then, and joining rooms does nothing.
#[derive(Clone)]
pub struct Socket(Arc<SocketInner>);

impl Socket {
    /// The public name of the socket, which is also a room that only it is in.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The namespace that it is in.
    #[must_use]
    pub fn namespace(&self) -> &NamespacePath {
        self.0.namespace.path()
    }

    /// The parameters of the namespace's pattern.
    #[must_use]
    pub fn params(&self) -> &Params {
        self.0.namespace.params()
    }

    /// The facts of the connection's first request, and the `auth` of this namespace's CONNECT.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// Who it is now; `None` in a public namespace. After `auth:refresh` it is another identity of
    /// the same subject.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.0.identity.as_ref().map(|identity| identity.get())
    }

    /// Whether it was accepted and has not left.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Sends `event` with `args`: a tuple is several arguments, `()` none, anything else one.
    ///
    /// Returns as soon as the packet is queued.
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded or the socket has left.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.emission().emit(event, args)
    }

    /// Sends `event` and waits for the client's answer, at most ten seconds.
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the ack; the event has been sent.
    pub async fn emit_with_ack<T: Serialize + ?Sized + Sync>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<Args, AckError> {
        self.emission().emit_with_ack(event, args).await
    }

    /// The next emit is dropped if it cannot leave at once.
    pub fn volatile(&self) -> Emission<'_> {
        Emission {
            volatile: true,
            ..self.emission()
        }
    }

    /// What becomes of the next emit if the client reads too slowly, instead of what the
    /// [server](crate::ServerBuilder::if_slow) has said.
    pub fn if_slow(&self, policy: IfSlow) -> Emission<'_> {
        Emission {
            if_slow: Some(policy),
            ..self.emission()
        }
    }

    /// Whether a polling response that carries the next emit may be compressed.
    pub fn compress(&self, allowed: bool) -> Emission<'_> {
        Emission {
            compress: allowed,
            ..self.emission()
        }
    }

    /// How long the next `emit_with_ack` waits.
    pub fn timeout(&self, timeout: Duration) -> Emission<'_> {
        Emission {
            timeout,
            ..self.emission()
        }
    }

    fn emission(&self) -> Emission<'_> {
        Emission {
            socket: self,
            volatile: false,
            compress: true,
            if_slow: None,
            timeout: DEFAULT_ACK_TIMEOUT,
        }
    }

    /// Enters a room. Does nothing once the socket has left its namespace, if it is in as many
    /// rooms as allowed, if the room's name is longer than 256 bytes, or if it begins with
    /// `portcullis:`, which is for the rooms of users; the last three are counted.
    pub fn join(&self, room: impl Into<Room>) {
        self.0.join(&room.into());
    }

    /// Leaves a room.
    pub fn leave(&self, room: impl Into<Room>) {
        self.0.leave(&room.into());
    }

    /// The rooms it is in, its own id first; without those that only the framework fills.
    #[must_use]
    pub fn rooms(&self) -> Vec<Room> {
        let mut rooms = self.0.rooms();
        rooms.retain(|room| !is_reserved_room(room));
        rooms
    }

    /// Whether it is in `room`.
    #[must_use]
    pub fn is_in(&self, room: impl Into<Room>) -> bool {
        self.0.memberships.contains(&room.into())
    }

    /// Leaves the namespace; with `close`, the client leaves every namespace and the connection
    /// ends. Stock clients do not come back by themselves after this.
    pub fn disconnect(&self, close: bool) {
        self.0.disconnect(close);
    }

    /// The replicable data of the socket, which other nodes see through `fetch_sockets`.
    ///
    /// # Errors
    ///
    /// If the data is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        T::deserialize(self.0.data())
    }

    /// Replaces the replicable data.
    ///
    /// # Errors
    ///
    /// If `data` cannot be represented as a [`Value`].
    pub fn set_data<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), EncodeError> {
        let value = Value::from_serialize(data)?;
        *self.0.extras().data.lock() = Some(value);
        Ok(())
    }

    /// Attaches state of type `T` to this socket, on this node; returns what was there before.
    pub fn insert<T: Send + Sync + 'static>(&self, state: T) -> Option<Arc<T>> {
        let mut extensions = self.0.extras().extensions.lock();
        let state: Arc<dyn Any + Send + Sync> = Arc::new(state);
        let key = TypeId::of::<T>();
        let old = match extensions.iter_mut().find(|(id, _)| *id == key) {
            Some((_, slot)) => Some(std::mem::replace(slot, state)),
            None => {
                extensions.push((key, state));
                None
            }
        };
        old.and_then(|old| old.downcast().ok())
    }

    /// The attached state of type `T`.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let extensions = self.0.extras.get()?.extensions.lock();
        let (_, state) = extensions.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        Arc::clone(state).downcast().ok()
    }

    /// Sends an event that is serialised already.
    pub(crate) fn send_event(&self, payload: &Payload) -> Result<(), EmitError> {
        self.emission().send(payload, None)
    }

    pub(crate) fn inner(&self) -> &Arc<SocketInner> {
        &self.0
    }
}

impl From<Arc<SocketInner>> for Socket {
    fn from(inner: Arc<SocketInner>) -> Self {
        Self(inner)
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.id)
            .field("namespace", self.0.namespace.path())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SocketInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketInner({})", self.id)
    }
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
            gate: Mutex::new(Gate::Held {
                frames: Vec::new(),
                kicked: None,
            }),
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

    fn extras(&self) -> &Extras {
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
        match &mut *self.gate.lock() {
            Gate::Held { frames, .. } if frames.len() < MAX_HELD_FRAMES => {
                frames.push(frame.clone());
                return Ok(());
            }
            Gate::Held { .. } => {
                metrics::counter!("portcullis_slow_consumers_total").increment(1);
                self.connection.end(Ending::SlowConsumer);
                return Err(EmitError::Disconnected);
            }
            Gate::Open => {}
            Gate::Shut(_) => return Err(EmitError::Disconnected),
        }
        // It was let in just now. Sent without the lock, because sending may write.
        self.connection.send(frame, delivery);
        Ok(())
    }

    /// Lets the socket in: the CONNECT reply leaves, then whatever was emitted meanwhile. One that
    /// was made to leave meanwhile is told both, so that its client knows why.
    pub(crate) fn accept(self: &Arc<Self>) {
        let kicked = {
            let mut gate = self.gate.lock();
            let Gate::Held { frames, kicked } = &mut *gate else {
                return;
            };
            let (held, kicked) = (std::mem::take(frames), *kicked);
            let codec = self.namespace.codec();
            let reply = frames::control(codec, |buffer| {
                codec.encode_connect(buffer, self.namespace.path(), &self.id);
            });
            self.connection.send(&reply, Delivery::Protocol);
            for frame in &held {
                self.connection.send(frame, Delivery::Protocol);
            }
            *gate = Gate::Open;
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
            let mut gate = self.gate.lock();
            if matches!(*gate, Gate::Shut(_)) {
                return false;
            }
            *gate = Gate::Shut(reason);
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
        match *self.gate.lock() {
            Gate::Shut(reason) => Some(reason),
            Gate::Held { .. } | Gate::Open => None,
        }
    }

    pub(crate) fn disconnect(self: &Arc<Self>, close: bool) {
        self.disconnect_for(DisconnectReason::ServerNamespaceDisconnect, close);
    }

    /// Tells the client of its end, and ends; the application hears this reason.
    pub(crate) fn disconnect_for(self: &Arc<Self>, reason: DisconnectReason, close: bool) {
        if let Gate::Held { kicked, .. } = &mut *self.gate.lock() {
            *kicked = Some(close || *kicked == Some(true));
            return;
        }
        if self.end(reason) {
            let codec = self.namespace.codec();
            let packet = frames::control(codec, |buffer| {
                codec.encode_disconnect(buffer, self.namespace.path());
            });
            self.connection.send(&packet, Delivery::Protocol);
        }
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
    pub(super) fn reserve_ack(&self) -> Option<AckId> {
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
