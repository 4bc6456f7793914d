//! Addressing many sockets at once, on this node and on the others.
//!
//! ```text
//!  server.to("a").except("b").emit("x", …) ─▶ encode once ─▶ sockets of this node
//!                                                       └──▶ adapter ─▶ every other node
//! ```
//!
//! # Invariants
//!
//! - An operator is a value: each modifier returns another one, and none changes the original.
//! - Delivery on this node comes first and waits for nothing.
//! - An event is encoded and framed once for all recipients of this node.
//!
//! # Not here
//!
//! Who is in which room (`namespace`), how it gets to other nodes (`adapter`).

mod line;
mod local_node;
mod operations;
mod revoked;
mod user;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use portcullis_socketio::ids::{NamespacePath, Room};
use portcullis_socketio::payload::Payload;
use serde::Serialize;

pub(crate) use line::ServerSideLine;
pub(crate) use local_node::{AdapterWatcher, GapHook, NodeState};
pub use operations::{Fetched, RemoteSocket, ServerSideAnswers};
pub(crate) use revoked::end_what_is_revoked;
pub use user::UserOperator;

use crate::adapter::{Envelope, Flags, Target};
use crate::auth::UserId;
use crate::namespace::{Cluster, ClusterSlot, DEFAULT_ACK_TIMEOUT, EmitError, Namespace, Socket};
use crate::session::{Delivery, IfSlow};

/// The way to the sockets of one namespace, from anywhere: a gateway's field, an HTTP handler, a
/// background task. Cheap to clone, and there before the server runs; until then it reaches
/// nobody, and says so.
#[derive(Clone)]
pub struct Emitter {
    slot: ClusterSlot,
    namespace: NamespacePath,
}

impl Emitter {
    pub(crate) const fn new(slot: ClusterSlot, namespace: NamespacePath) -> Self {
        Self { slot, namespace }
    }

    /// The namespace.
    #[must_use]
    pub const fn namespace(&self) -> &NamespacePath {
        &self.namespace
    }

    /// Addresses the whole namespace.
    pub fn all(&self) -> BroadcastOperator {
        BroadcastOperator {
            slot: Arc::clone(&self.slot),
            namespace: self.namespace.clone(),
            target: Target::default(),
            flags: Flags::new(),
            if_slow: None,
            local: false,
            timeout: DEFAULT_ACK_TIMEOUT,
        }
    }

    /// Addresses the members of a room; a socket's id is a room too.
    pub fn to(&self, room: impl Into<Room>) -> BroadcastOperator {
        self.all().to(room)
    }

    /// The same as [`Self::to`].
    pub fn within(&self, room: impl Into<Room>) -> BroadcastOperator {
        self.to(room)
    }

    /// Addresses the sockets of a user in this namespace, wherever they are connected.
    pub fn to_user(&self, user: impl Into<UserId>) -> BroadcastOperator {
        self.all().to_user(user)
    }

    /// Addresses everyone but the members of a room.
    pub fn except(&self, room: impl Into<Room>) -> BroadcastOperator {
        self.all().except(room)
    }

    /// Sends an event to the whole namespace.
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded, or the server is not running.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.all().emit(event, args)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Some of the sockets of a namespace, and how to reach them.
#[derive(Clone)]
#[must_use = "an operator does nothing until an operation is called"]
pub struct BroadcastOperator {
    slot: ClusterSlot,
    namespace: NamespacePath,
    target: Target,
    flags: Flags,
    if_slow: Option<IfSlow>,
    local: bool,
    timeout: Duration,
}

impl BroadcastOperator {
    /// Adds the members of a room. A socket in several rooms is reached once.
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        let room = room.into();
        if !self.target.rooms.contains(&room) {
            self.target.rooms.push(room);
        }
        self
    }

    /// The same as [`Self::to`].
    pub fn within(self, room: impl Into<Room>) -> Self {
        self.to(room)
    }

    /// Adds the sockets of a user, wherever they are connected.
    pub fn to_user(self, user: impl Into<UserId>) -> Self {
        self.to(user.into().room())
    }

    /// Leaves out the members of a room, whatever other rooms they are in.
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        let room = room.into();
        if !self.target.except.contains(&room) {
            self.target.except.push(room);
        }
        self
    }

    /// The event is dropped for those who cannot take it at once.
    pub const fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// What becomes of the event for those who read too slowly, instead of what the
    /// [server](crate::ServerBuilder::if_slow) has said. It holds on this node: the others go by
    /// what they were built with.
    pub const fn if_slow(mut self, policy: IfSlow) -> Self {
        self.if_slow = Some(policy);
        self
    }

    /// Whether a polling response that carries the event may be compressed.
    pub const fn compress(mut self, allowed: bool) -> Self {
        self.flags.compress = allowed;
        self
    }

    /// Reaches this node only.
    pub const fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// How long acks and other nodes are waited for. Default: 10 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends an event: a tuple is several arguments, `()` none, anything else one.
    ///
    /// Returns when the event is queued for every socket of this node and handed to the adapter.
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded, or the server is not running.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        let cluster = self.cluster()?;
        let payload = Payload::event(event, args)?;
        if let Some(namespace) = cluster.namespaces.get(&self.namespace) {
            let delivery = self.delivery();
            deliver(&namespace, &payload, &self.target, self.flags, delivery);
        }
        if !self.local {
            cluster.adapter.publish(
                &self.namespace,
                Envelope::Broadcast {
                    payload: Arc::new(payload),
                    target: self.target.clone(),
                    flags: self.flags,
                },
            );
        }
        Ok(())
    }

    const fn delivery(&self) -> Delivery {
        Delivery::of_event(self.flags.volatile, self.if_slow)
    }

    fn cluster(&self) -> Result<Arc<Cluster>, EmitError> {
        self.slot
            .get()
            .and_then(Weak::upgrade)
            .ok_or(EmitError::NotServing)
    }
}

impl fmt::Debug for BroadcastOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastOperator")
            .field("namespace", &self.namespace)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Sends an event to sockets of this node.
fn deliver(
    namespace: &Namespace,
    payload: &Payload,
    target: &Target,
    flags: Flags,
    delivery: Delivery,
) {
    show_outgoing(namespace, payload, || namespace.collect(target));
    let frame = crate::namespace::frames::event(namespace, payload, None);
    namespace.deliver(&frame.compress(flags.compress).finish(), target, delivery);
}

/// Shows an event to the catch-all for outgoing events, once for each of its recipients; they are
/// collected only if there is one.
fn show_outgoing<R: AsRef<[Socket]>>(
    namespace: &Namespace,
    payload: &Payload,
    recipients: impl FnOnce() -> R,
) {
    let dispatch = namespace.dispatch();
    if dispatch.watches_outgoing() {
        let recipients = recipients();
        for socket in recipients.as_ref() {
            dispatch.outgoing(socket, payload);
        }
    }
}

impl Socket {
    /// The emitter of the socket's namespace.
    #[must_use]
    pub fn server(&self) -> Emitter {
        let namespace = self.inner().namespace();
        Emitter::new(namespace.cluster(), namespace.path().clone())
    }

    /// Addresses the members of a room, this socket excluded.
    pub fn to(&self, room: impl Into<Room>) -> BroadcastOperator {
        self.broadcast().to(room)
    }

    /// Addresses the members of a room, this socket included.
    pub fn within(&self, room: impl Into<Room>) -> BroadcastOperator {
        self.server().to(room)
    }

    /// Addresses everyone but the members of a room and this socket.
    pub fn except(&self, room: impl Into<Room>) -> BroadcastOperator {
        self.broadcast().except(room)
    }

    /// Addresses everyone but this socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        self.server().except(self.id())
    }

    /// Addresses everyone on this node but this socket.
    pub fn local(&self) -> BroadcastOperator {
        self.broadcast().local()
    }
}
