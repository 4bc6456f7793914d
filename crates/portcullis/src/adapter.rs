//! The seam to the other nodes of a cluster.
//!
//! ```text
//!  broadcast ─▶ this node's sockets (at once)
//!          └──▶ Adapter ─▶ … ─▶ Adapter of another node ─▶ LocalNode ─▶ its sockets
//! ```
//!
//! # Invariants
//!
//! - Delivery on this node is not the adapter's business: it has happened before the adapter is
//!   told, and never waits for it.
//! - What comes from another node is applied through [`LocalNode`] and published no further.
//!
//! # Not here
//!
//! Which sockets a [`Target`] means (`namespace`), the operations as users see them (`broadcast`).

mod gap;
mod health;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use portcullis_socketio::args::Args;
use portcullis_socketio::ids::{NamespacePath, Room, SocketId};
use portcullis_socketio::payload::Payload;
use portcullis_socketio::value::Value;
use smallvec::SmallVec;

use crate::revocation::RevocationStore;

pub use self::gap::{BusGap, GapCause};
pub use self::health::Health;

/// To whom something goes: the union of rooms, or everyone if there are none, without some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    pub(crate) rooms: SmallVec<[Room; 1]>,
    pub(crate) except: SmallVec<[Room; 1]>,
}

impl Target {
    /// A target as another node wrote it.
    #[must_use]
    pub fn new(
        rooms: impl IntoIterator<Item = Room>,
        except: impl IntoIterator<Item = Room>,
    ) -> Self {
        Self {
            rooms: rooms.into_iter().collect(),
            except: except.into_iter().collect(),
        }
    }

    /// The rooms; none means everyone. A socket's id is a room of its own.
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// The rooms whose members are left out.
    #[must_use]
    pub fn except(&self) -> &[Room] {
        &self.except
    }
}

/// The modifiers of a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flags {
    /// Dropped for peers that cannot take it at once.
    pub volatile: bool,
    /// Whether a polling response that carries it may be compressed.
    pub compress: bool,
}

impl Flags {
    /// Not volatile, compressible.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            volatile: false,
            compress: true,
        }
    }
}

impl Default for Flags {
    fn default() -> Self {
        Self::new()
    }
}

/// Something that every node of the cluster does, in one namespace.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Envelope {
    /// Sends an event to sockets.
    Broadcast {
        /// The event, serialised.
        payload: Arc<Payload>,
        /// To whom.
        target: Target,
        /// How.
        flags: Flags,
    },
    /// Puts sockets into rooms.
    Join {
        /// Which sockets.
        target: Target,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Takes sockets out of rooms.
    Leave {
        /// Which sockets.
        target: Target,
        /// Which rooms.
        rooms: Vec<Room>,
    },
    /// Makes sockets leave the namespace.
    Disconnect {
        /// Which sockets.
        target: Target,
        /// Whether their connections end too.
        close: bool,
    },
    /// Tells the other servers something; clients do not see it.
    ServerSideEmit {
        /// The event, serialised.
        payload: Arc<Payload>,
    },
}

/// What is known of a socket that lives on some node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SocketDescription {
    /// Its public id.
    pub id: SocketId,
    /// Its handshake as a map, without `auth`, cookies and authorization.
    pub handshake: Value,
    /// Its rooms, its own id among them.
    pub rooms: Vec<Room>,
    /// Its replicable data.
    pub data: Value,
}

impl SocketDescription {
    /// A description as another node wrote it.
    #[must_use]
    pub const fn new(id: SocketId, handshake: Value, rooms: Vec<Room>, data: Value) -> Self {
        Self {
            id,
            handshake,
            rooms,
            data,
        }
    }
}

/// What other nodes answered, and whether all of them did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answers<T> {
    /// What came.
    pub items: Vec<T>,
    /// How many nodes did not answer in time.
    pub missing_nodes: usize,
    /// Which ones, where the wire says so.
    pub missing: Vec<String>,
}

impl<T> Answers<T> {
    /// Everybody answered, with these.
    #[must_use]
    pub const fn complete(items: Vec<T>) -> Self {
        Self {
            items,
            missing_nodes: 0,
            missing: Vec::new(),
        }
    }

    /// Some nodes did not answer in time.
    #[must_use]
    pub const fn partial(items: Vec<T>, missing_nodes: usize, missing: Vec<String>) -> Self {
        Self {
            items,
            missing_nodes,
            missing,
        }
    }

    /// Whether everybody answered.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.missing_nodes == 0
    }
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self::complete(Vec::new())
    }
}

/// The cluster could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("the adapter failed")]
pub struct AdapterError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl AdapterError {
    /// Wraps whatever went wrong.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Carries envelopes to the other nodes, and asks them questions.
///
/// One adapter serves all namespaces of a server. Guarantee asked of it: at most once, in order
/// per node and namespace, nothing across namespaces. Methods without a future must not block.
///
/// A namespace need not be one that this node serves: what is to be done there is handed over all
/// the same, and of nodes that serve it and whose answers cannot be heard it is said that they are
/// missing.
///
/// For every opening of a room or a namespace there is one closing. Where they follow each other
/// closely, on several threads, they may be heard in another order than they happened in: count
/// them, or ask [`LocalNode::has_room`].
pub trait Adapter: fmt::Debug + Send + Sync + 'static {
    /// Joins the cluster with the namespaces that exist already. What comes from other nodes is
    /// applied to `node` from now on; once this is ready, the other nodes reach all of them.
    fn start(
        &self,
        node: Arc<dyn LocalNode>,
        namespaces: Vec<NamespacePath>,
    ) -> BoxFuture<'_, Result<(), AdapterError>>;

    /// Leaves the cluster, after what was published has left.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Whether the other nodes can be reached now. Default: always.
    fn health(&self) -> Health {
        Health::Up
    }

    /// What probes and logs call the way to the other nodes, in a word. Default: `cluster`.
    fn name(&self) -> &'static str {
        "cluster"
    }

    /// Ready when what was published before has been handed over or is lost, and the other nodes
    /// reach every room that was opened before. Default: at once.
    fn flush(&self) -> BoxFuture<'_, ()> {
        ready(())
    }

    /// Where the cluster keeps what it has revoked; `None` if every node keeps its own. Asked once,
    /// after [`Self::start`]. Default: none.
    fn revocations(&self) -> Option<Arc<dyn RevocationStore>> {
        None
    }

    /// A namespace exists on this node from now on.
    fn namespace_opened(&self, namespace: &NamespacePath);

    /// A namespace is gone from this node.
    fn namespace_closed(&self, namespace: &NamespacePath);

    /// A room has its first member on this node.
    fn room_opened(&self, namespace: &NamespacePath, room: &Room);

    /// A room has lost its last member on this node.
    fn room_closed(&self, namespace: &NamespacePath, room: &Room);

    /// A socket is here, which can be reached through its id. Default: nothing.
    fn socket_opened(&self, namespace: &NamespacePath, id: &SocketId) {
        let _ = (namespace, id);
    }

    /// A socket is here no longer. Default: nothing.
    fn socket_closed(&self, namespace: &NamespacePath, id: &SocketId) {
        let _ = (namespace, id);
    }

    /// Hands `envelope` to every other node.
    fn publish(&self, namespace: &NamespacePath, envelope: Envelope);

    /// How many nodes serve the namespace, this one included if it does.
    fn server_count(&self, namespace: &NamespacePath)
    -> BoxFuture<'_, Result<usize, AdapterError>>;

    /// Sends an event to sockets on other nodes and collects their acks.
    fn broadcast_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        target: Target,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>>;

    /// Describes the sockets on other nodes.
    fn fetch_sockets(
        &self,
        namespace: &NamespacePath,
        target: Target,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<SocketDescription>>;

    /// The rooms on other nodes; one may come several times.
    fn all_rooms(
        &self,
        namespace: &NamespacePath,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Room>>;

    /// Asks the other servers something.
    fn server_side_emit_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>>;
}

/// This node as the cluster sees it.
pub trait LocalNode: fmt::Debug + Send + Sync + 'static {
    /// Does what another node asks for, here and nowhere else.
    fn apply(&self, namespace: &NamespacePath, envelope: Envelope);

    /// Sends an event to sockets here. Says to how many, and hands each ack that comes within
    /// `timeout` to `answer`.
    fn broadcast_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: &Payload,
        target: &Target,
        timeout: Duration,
        answer: Box<dyn FnMut(Args) + Send>,
    ) -> usize;

    /// Describes the sockets here.
    fn fetch_sockets(&self, namespace: &NamespacePath, target: &Target) -> Vec<SocketDescription>;

    /// The rooms here.
    fn rooms(&self, namespace: &NamespacePath) -> Vec<Room>;

    /// Whether a room has members here; a socket's id is a room.
    fn has_room(&self, namespace: &NamespacePath, room: &Room) -> bool;

    /// Hands an event of another server to this server's listener; `None` if there is none, or if
    /// 1,024 events of the namespace are being answered already. It waits behind no other.
    fn server_side_event(
        &self,
        namespace: &NamespacePath,
        args: Args,
    ) -> BoxFuture<'static, Option<Args>>;

    /// Tells this node that messages of the cluster may have been lost. Must be called once for
    /// each gap, when it is over.
    fn report_gap(&self, gap: BusGap);
}

/// A cluster of one: there are no other nodes.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct InMemory;

impl Adapter for InMemory {
    fn start(
        &self,
        _node: Arc<dyn LocalNode>,
        _namespaces: Vec<NamespacePath>,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        ready(Ok(()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(())
    }

    fn namespace_opened(&self, _namespace: &NamespacePath) {}

    fn namespace_closed(&self, _namespace: &NamespacePath) {}

    fn room_opened(&self, _namespace: &NamespacePath, _room: &Room) {}

    fn room_closed(&self, _namespace: &NamespacePath, _room: &Room) {}

    fn publish(&self, _namespace: &NamespacePath, _envelope: Envelope) {}

    fn server_count(
        &self,
        _namespace: &NamespacePath,
    ) -> BoxFuture<'_, Result<usize, AdapterError>> {
        ready(Ok(1))
    }

    fn broadcast_with_ack(
        &self,
        _namespace: &NamespacePath,
        _payload: Arc<Payload>,
        _target: Target,
        _timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        ready(Answers::default())
    }

    fn fetch_sockets(
        &self,
        _namespace: &NamespacePath,
        _target: Target,
        _timeout: Duration,
    ) -> BoxFuture<'_, Answers<SocketDescription>> {
        ready(Answers::default())
    }

    fn all_rooms(
        &self,
        _namespace: &NamespacePath,
        _timeout: Duration,
    ) -> BoxFuture<'_, Answers<Room>> {
        ready(Answers::default())
    }

    fn server_side_emit_with_ack(
        &self,
        _namespace: &NamespacePath,
        _payload: Arc<Payload>,
        _timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        ready(Answers::default())
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}
