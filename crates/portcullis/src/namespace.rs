//! Who is here: the sockets of a namespace, the rooms they are in, and the answers they owe.
//!
//! ```text
//!   Namespaces ──▶ Namespace "/chat" ──▶ sockets by id
//!        │              │
//!        │              ├──────────────▶ rooms ──▶ members, densely
//!        │              └──────────────▶ acks outstanding
//!        └── patterns ──▶ children, made on demand
//! ```
//!
//! # Invariants
//!
//! - A socket is in the table and in rooms only between its acceptance and its disconnection;
//!   rooms that it joined while it was being accepted deliver nothing to it until then.
//! - A socket disconnects once, with one reason.
//! - Locks are taken in this order: table of rooms, members of a room, rooms of a socket,
//!   a socket's gate, its connection. No lock is held while user code runs.
//!
//! # Not here
//!
//! Addressing many sockets (`broadcast`), what handlers do (`gateway`), the wire (`client`).

mod acks;
mod cluster;
mod emission;
pub(crate) mod frames;
mod pattern;
mod reason;
mod rooms;
mod socket;
mod table;

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_core::future::BoxFuture;
use hashbrown::HashMap;
use parking_lot::RwLock;
use portcullis_socketio::args::Args;
use portcullis_socketio::codec::Codec;
pub use portcullis_socketio::ids::NamespaceError;
use portcullis_socketio::ids::{AckId, NamespacePath, Room, SocketId};
use portcullis_socketio::packet::EventName;
use portcullis_socketio::payload::Payload;

pub(crate) use acks::AckTable;
pub(crate) use cluster::{Cluster, ClusterSlot};
pub(crate) use emission::DEFAULT_ACK_TIMEOUT;
pub use emission::{AckError, Emission, EmitError};
pub use pattern::{Params, Pattern, PatternError};
pub use reason::DisconnectReason;
pub(crate) use rooms::Rooms;
pub use socket::Socket;
pub(crate) use socket::{SocketInner, SocketParts};
pub(crate) use table::{Found, Kind, Namespaces, Opened};

use crate::adapter::Target;
use crate::auth::Refusal;
use crate::session::{Delivery, Frame, Pushed};

/// What a namespace calls when something happens to its sockets. The gateway implements it.
pub(crate) trait Dispatch: fmt::Debug + Send + Sync + 'static {
    /// Whether sockets may connect without an identity.
    fn is_public(&self) -> bool;

    /// How many events of one socket may be handled at the same time.
    fn concurrency(&self, event: &EventName) -> usize;

    /// Runs the middlewares and `on_connect`; an error refuses the socket.
    fn connect(&self, socket: Socket) -> BoxFuture<'static, Result<(), Refusal>>;

    /// The state that the server's builder was given for this type.
    fn state(&self, key: TypeId) -> Option<&Arc<dyn Any + Send + Sync>>;

    /// Handles one event, its reply included, as far as it goes without waiting.
    fn event(&self, socket: &Socket, event: Incoming, cx: &mut Context<'_>) -> Started;

    /// A handler took too long and was dropped: tells whoever waits for its answer.
    fn timed_out(&self, socket: &Socket, event: Incoming);

    /// A socket sends more events than it may: tells whoever waits for an answer to this one.
    fn limited(&self, socket: &Socket, event: Incoming);

    /// Runs `on_disconnect`; `None` if nobody wants to know.
    fn disconnect(
        &self,
        socket: &Socket,
        reason: DisconnectReason,
    ) -> Option<BoxFuture<'static, ()>>;

    /// Tells the catch-all for outgoing events; called only if [`Self::watches_outgoing`].
    fn outgoing(&self, socket: &Socket, payload: &Payload);

    /// Whether [`Self::outgoing`] wants to be called.
    fn watches_outgoing(&self) -> bool;

    /// Handles an event from another node; the answer is the ack's arguments.
    fn server_side_event(&self, event: EventName, args: Args) -> BoxFuture<'static, Option<Args>>;
}

/// An event that is being handled. A stream that goes on answering when the handler has ended is
/// what comes of it.
pub(crate) type Handling = BoxFuture<'static, Option<BoxFuture<'static, ()>>>;

/// How far the handling of an event got.
pub(crate) enum Started {
    /// To its end.
    Done,
    /// Its handler waits for something.
    Waiting(Incoming, Handling),
    /// Its handler has ended, and what goes on answering waits for something.
    Streaming(Incoming, BoxFuture<'static, ()>),
}

/// One event as it came from a client.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) event: EventName,
    pub(crate) args: Args,
    pub(crate) ack: Option<AckId>,
}

impl Incoming {
    /// How much memory it keeps while it waits.
    pub(crate) fn size_bytes(&self) -> usize {
        self.event.len() + self.args.size_bytes()
    }
}

/// One namespace on this node.
pub(crate) struct Namespace {
    path: NamespacePath,
    codec: Codec,
    dispatch: Arc<dyn Dispatch>,
    params: Params,
    sockets: RwLock<HashMap<SocketId, Arc<SocketInner>, RandomState>>,
    rooms: Rooms,
    acks: AckTable,
    next_ack: AtomicU64,
    limits: NamespaceLimits,
    watcher: Arc<dyn Watcher>,
    cluster: ClusterSlot,
    /// Clients in it or asking for it, if it was made on demand.
    users: AtomicUsize,
}

/// The bounds within a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamespaceLimits {
    /// Default: 1,000.
    pub(crate) rooms_per_socket: usize,
    /// Default: 1,000.
    pub(crate) acks_per_socket: usize,
    /// How long a handler, or `on_disconnect`, may run. Default: 30 s.
    pub(crate) handler_timeout: Duration,
}

/// The longest name of a room, in bytes.
pub(crate) const MAX_ROOM_BYTES: usize = 256;

/// Is told when namespaces and rooms come and go on this node.
pub(crate) trait Watcher: fmt::Debug + Send + Sync + 'static {
    fn namespace_opened(&self, namespace: &NamespacePath);
    fn namespace_closed(&self, namespace: &NamespacePath);
    fn room_opened(&self, namespace: &NamespacePath, room: &Room);
    fn room_closed(&self, namespace: &NamespacePath, room: &Room);
    fn socket_opened(&self, namespace: &NamespacePath, id: &SocketId);
    fn socket_closed(&self, namespace: &NamespacePath, id: &SocketId);
}

impl Namespace {
    pub(crate) fn new(
        path: NamespacePath,
        codec: Codec,
        dispatch: Arc<dyn Dispatch>,
        params: Params,
        limits: NamespaceLimits,
        watcher: Arc<dyn Watcher>,
        cluster: ClusterSlot,
    ) -> Self {
        Self {
            path,
            codec,
            dispatch,
            params,
            sockets: RwLock::default(),
            rooms: Rooms::new(),
            acks: AckTable::default(),
            next_ack: AtomicU64::new(0),
            limits,
            watcher,
            cluster,
            users: AtomicUsize::new(0),
        }
    }

    pub(crate) const fn path(&self) -> &NamespacePath {
        &self.path
    }

    pub(crate) const fn codec(&self) -> Codec {
        self.codec
    }

    pub(crate) fn dispatch(&self) -> &dyn Dispatch {
        &*self.dispatch
    }

    pub(crate) const fn params(&self) -> &Params {
        &self.params
    }

    pub(crate) const fn acks(&self) -> &AckTable {
        &self.acks
    }

    pub(crate) const fn limits(&self) -> &NamespaceLimits {
        &self.limits
    }

    pub(crate) const fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    pub(crate) fn watcher(&self) -> &dyn Watcher {
        &*self.watcher
    }

    /// The server that the namespace belongs to; empty once the server is gone.
    pub(crate) fn cluster(&self) -> ClusterSlot {
        Arc::clone(&self.cluster)
    }

    pub(crate) fn has_room(&self, room: &Room) -> bool {
        let is_socket = |id| self.sockets.read().contains_key(&id);
        self.rooms.contains(room) || rooms::id_of(room).is_some_and(is_socket)
    }

    pub(super) const fn users(&self) -> &AtomicUsize {
        &self.users
    }

    /// The next ack id: one counter for single and broadcast acks, as on Node.
    pub(crate) fn next_ack(&self) -> AckId {
        AckId::from(self.next_ack.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn socket(&self, id: &SocketId) -> Option<Arc<SocketInner>> {
        self.sockets.read().get(id).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.read().len()
    }

    pub(crate) fn insert(&self, socket: &Arc<SocketInner>) {
        self.sockets
            .write()
            .insert(*socket.id(), Arc::clone(socket));
        let _ = self.rooms.everyone().add(socket);
        self.watcher.socket_opened(&self.path, socket.id());
    }

    pub(crate) fn remove(&self, socket: &Arc<SocketInner>) {
        let removed = {
            let mut sockets = self.sockets.write();
            let removed = sockets.remove(socket.id());
            if sockets.capacity() > sockets.len() * 4 + 64 {
                sockets.shrink_to_fit();
            }
            removed
        };
        if removed.is_some() {
            self.watcher.socket_closed(&self.path, socket.id());
        }
    }

    /// Delivers a finished frame to every socket of `target` on this node; says to how many.
    pub(crate) fn deliver(&self, frame: &Frame, target: &Target, delivery: Delivery) -> usize {
        let mut delivered = 0;
        let mut full = Vec::new();
        let mut count = |pushed| delivered += usize::from(pushed != Pushed::Gone);
        crate::session::turn(|| {
            self.for_each(target, |socket| {
                if socket.is_connected() {
                    match socket.connection().try_send(frame, delivery) {
                        Pushed::Full => full.push(Arc::clone(socket)),
                        pushed => count(pushed),
                    }
                }
            });
            // This writes, and nobody who joins or leaves a room is to wait for that. Who has gone
            // meanwhile was told so, and may be somebody else by now.
            for socket in full {
                if socket.is_connected() {
                    count(socket.connection().send(frame, delivery));
                }
            }
        });
        delivered
    }

    /// Calls `each` once for every socket of `target` on this node.
    ///
    /// Locks are held meanwhile: `each` must not join, leave or run user code.
    pub(crate) fn for_each(&self, target: &Target, each: impl FnMut(&Arc<SocketInner>)) {
        self.rooms.for_each(target, |id| self.socket(id), each);
    }

    /// The sockets of `target`, so that user code can run for each.
    pub(crate) fn collect(&self, target: &Target) -> Vec<Socket> {
        let mut sockets = Vec::new();
        self.for_each(target, |socket| {
            if socket.is_connected() {
                sockets.push(Socket::from(Arc::clone(socket)));
            }
        });
        sockets
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("path", &self.path)
            .field("sockets", &self.len())
            .finish_non_exhaustive()
    }
}
