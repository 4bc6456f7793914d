//! One client in one namespace, as the application holds it.
//!
//! # Invariants
//!
//! - It may outlive its client: emitting is an error then, and joining rooms does nothing.
//! - No method waits for the client but `emit_with_ack`.
//!
//! # Not here
//!
//! What becomes of a socket (`inner`), and what one emit may still say of itself (`emission`).

mod inner;

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_socketio::args::Args;
use portcullis_socketio::ids::{NamespacePath, Room, SocketId};
use portcullis_socketio::payload::{EncodeError, Payload};
use portcullis_socketio::value::{Value, ValueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use inner::{SocketInner, SocketParts};

use super::Params;
use super::emission::{AckError, DEFAULT_ACK_TIMEOUT, Emission, EmitError};
use crate::auth::{Identity, is_reserved_room};
use crate::handshake::Handshake;
use crate::session::IfSlow;

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
        *self.0.id()
    }

    /// The namespace that it is in.
    #[must_use]
    pub fn namespace(&self) -> &NamespacePath {
        self.0.namespace().path()
    }

    /// The parameters of the namespace's pattern.
    #[must_use]
    pub fn params(&self) -> &Params {
        self.0.namespace().params()
    }

    /// The facts of the connection's first request, and the `auth` of this namespace's CONNECT.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        self.0.handshake()
    }

    /// Who it is now; `None` in a public namespace. After `auth:refresh` it is another identity of
    /// the same subject.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.0.identity().map(|identity| identity.get())
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
        self.0.memberships().contains(&room.into())
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
            .field("id", self.0.id())
            .field("namespace", self.0.namespace().path())
            .finish_non_exhaustive()
    }
}
