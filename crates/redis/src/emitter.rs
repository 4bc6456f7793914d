//! Emitting from a process that serves no sockets.
//!
//! On the classic wire these are the messages of `@socket.io/redis-emitter`, byte for byte. Node
//! has no emitter for its sharded adapter; here it is the same with another [`Mode`](crate::Mode).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use portcullis::adapter::{BusGap, Envelope, Flags, Health, Target};
use portcullis::socketio::ids::{NamespaceError, NamespacePath, Room};
use portcullis::socketio::payload::{EncodeError, Payload};
use serde::Serialize;

use crate::connection::error::LinkError;
use crate::connection::queue::Outgoing;
use crate::connection::{Bus, Receive};
use crate::identity::EMITTER;
use crate::options::{Options, Redis};
use crate::protocol::sharded::channel_of;
use crate::start::{self, StartError};
use crate::wire::channel::ClassicChannels;
use crate::wire::classic;
use crate::wire::sharded::Speaker;

/// Reaches the sockets of a cluster from a process that serves none. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use portcullis_redis::{Redis, RedisEmitter};
///
/// let emitter = RedisEmitter::connect(Redis::new("redis://localhost:6379")).await?;
/// emitter.of("/chat")?.to("lobby").emit("news", &("deploy", 7)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Its options must be those of the nodes: prefix, mode, parser. It has one connection, over a
/// Redis Cluster some more, and makes it again when it is lost. Whoever emits meanwhile waits for
/// it, for one and a half times [`Redis::keep_alive`] or a little longer, and is told of an error
/// then.
#[derive(Clone)]
pub struct RedisEmitter {
    shared: Arc<Shared>,
    namespace: NamespacePath,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    bus: Bus,
}

/// What was not emitted, or perhaps not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisEmitError {
    /// It cannot be encoded; nothing was published.
    #[error("the event cannot be encoded")]
    Encode(#[from] EncodeError),
    /// Redis did not say that it has taken it.
    #[error("redis did not take the message")]
    Publish(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Hears nothing: an emitter subscribes to nothing.
#[derive(Debug)]
struct Deaf;

impl Receive for Deaf {
    fn message(&self, _channel: &str, _payload: Bytes) {}

    fn gap(&self, _gap: BusGap) {}
}

impl RedisEmitter {
    /// Connects, as [`Redis::at_start`] says. The emitter addresses the namespace `/`.
    ///
    /// # Errors
    ///
    /// Options that cannot work, or a Redis that is not there in time.
    pub async fn connect(redis: Redis) -> Result<Self, StartError> {
        let options = redis.options;
        let bus = start::bus(&options, Arc::new(Deaf), true)?;
        start::join(&bus, options.at_start).await?;
        Ok(Self {
            shared: Arc::new(Shared { options, bus }),
            namespace: NamespacePath::root(),
        })
    }

    /// An emitter for another namespace, over the same connection.
    ///
    /// # Errors
    ///
    /// If the name cannot be a namespace.
    pub fn of(&self, namespace: &str) -> Result<Self, NamespaceError> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
            namespace: NamespacePath::parse(namespace)?,
        })
    }

    /// Addresses the whole namespace.
    pub fn all(&self) -> RedisOperator {
        RedisOperator {
            emitter: self.clone(),
            rooms: Vec::new(),
            except: Vec::new(),
            flags: Flags::new(),
        }
    }

    /// Addresses the members of a room; a socket's id is a room too.
    pub fn to(&self, room: impl Into<Room>) -> RedisOperator {
        self.all().to(room)
    }

    /// Addresses everyone but the members of a room.
    pub fn except(&self, room: impl Into<Room>) -> RedisOperator {
        self.all().except(room)
    }

    /// Sends an event to the whole namespace.
    ///
    /// # Errors
    ///
    /// As [`RedisOperator::emit`].
    pub async fn emit<T: Serialize + ?Sized + Sync>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), RedisEmitError> {
        self.all().emit(event, args).await
    }

    /// Tells the servers something; clients do not see it, and nobody can answer.
    ///
    /// # Errors
    ///
    /// As [`RedisOperator::emit`]; also names that servers keep for themselves.
    pub async fn server_side_emit<T: Serialize + ?Sized + Sync>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), RedisEmitError> {
        if matches!(event, "connection" | "new_namespace") {
            let event = event.to_owned();
            return Err(EncodeError::Reserved { event }.into());
        }
        let payload = Arc::new(Payload::event(event, args)?);
        self.publish(&Envelope::ServerSideEmit { payload }).await
    }

    /// Whether Redis can be reached.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.bus.health()
    }

    /// Ends the connection, for all clones. Dropping the last clone does so too, without a goodbye.
    pub async fn close(&self) {
        self.shared.bus.close().await;
    }

    async fn publish(&self, envelope: &Envelope) -> Result<(), RedisEmitError> {
        let message = self.message(envelope);
        let published = self.shared.bus.publish_now(message).await;
        published.map_err(|error: LinkError| RedisEmitError::Publish(error.into()))
    }

    fn message(&self, envelope: &Envelope) -> Outgoing {
        let options = &self.shared.options;
        if options.mode.is_sharded() {
            let speaker = Speaker {
                uid: EMITTER,
                namespace: &self.namespace,
            };
            let channel = format!("{}#{}#", options.prefix, self.namespace);
            return Outgoing {
                channel: channel_of(options.mode, &channel, envelope),
                payload: speaker.envelope(envelope).unwrap_or_default(),
                is_sharded: true,
            };
        }
        let channels = ClassicChannels::new(&options.prefix, &self.namespace, EMITTER);
        let (channel, payload) = match envelope {
            Envelope::Broadcast {
                payload,
                target,
                flags,
            } => {
                let parser = &*options.parser;
                let bytes = classic::encode_emitter_broadcast(
                    parser,
                    EMITTER,
                    &self.namespace,
                    payload,
                    target,
                    *flags,
                );
                (channels.of_rooms(target.rooms()), bytes)
            }
            other => {
                // Node's emitter gives its name in this one kind of request only.
                let is_named = matches!(other, Envelope::ServerSideEmit { .. });
                let request = classic::encode_envelope(is_named.then_some(EMITTER), other);
                (channels.request, request.unwrap_or_default().into_bytes())
            }
        };
        Outgoing {
            channel,
            payload,
            is_sharded: false,
        }
    }
}

impl fmt::Debug for RedisEmitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEmitter")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Some of the sockets of a cluster, and how to reach them.
#[derive(Debug, Clone)]
#[must_use = "an operator does nothing until an operation is called"]
pub struct RedisOperator {
    emitter: RedisEmitter,
    rooms: Vec<Room>,
    except: Vec<Room>,
    flags: Flags,
}

impl RedisOperator {
    /// Adds the members of a room. A socket in several rooms is reached once.
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        let room = room.into();
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
        }
        self
    }

    /// Leaves out the members of a room, whatever other rooms they are in.
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        let room = room.into();
        if !self.except.contains(&room) {
            self.except.push(room);
        }
        self
    }

    /// The event is dropped for those who cannot take it at once.
    pub const fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether a polling response that carries the event may be compressed.
    pub const fn compress(mut self, allowed: bool) -> Self {
        self.flags.compress = allowed;
        self
    }

    /// Sends an event: a tuple is several arguments, `()` none, anything else one.
    ///
    /// Ready when Redis has taken it. Whether anybody listens is not known.
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded, or Redis does not take it.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have published the event, or not.
    pub async fn emit<T: Serialize + ?Sized + Sync>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), RedisEmitError> {
        let payload = Arc::new(Payload::event(event, args)?);
        let envelope = Envelope::Broadcast {
            payload,
            target: self.target(),
            flags: self.flags,
        };
        self.emitter.publish(&envelope).await
    }

    /// Puts the sockets into rooms.
    ///
    /// # Errors
    ///
    /// If Redis does not take it.
    pub async fn sockets_join<R: Into<Room>>(
        &self,
        rooms: impl IntoIterator<Item = R>,
    ) -> Result<(), RedisEmitError> {
        let rooms = rooms.into_iter().map(Into::into).collect();
        let target = self.target();
        self.emitter
            .publish(&Envelope::Join { target, rooms })
            .await
    }

    /// Takes the sockets out of rooms.
    ///
    /// # Errors
    ///
    /// If Redis does not take it.
    pub async fn sockets_leave<R: Into<Room>>(
        &self,
        rooms: impl IntoIterator<Item = R>,
    ) -> Result<(), RedisEmitError> {
        let rooms = rooms.into_iter().map(Into::into).collect();
        let target = self.target();
        self.emitter
            .publish(&Envelope::Leave { target, rooms })
            .await
    }

    /// Makes the sockets leave the namespace; with `close`, ends their connections.
    ///
    /// # Errors
    ///
    /// If Redis does not take it.
    pub async fn disconnect_sockets(&self, close: bool) -> Result<(), RedisEmitError> {
        let target = self.target();
        self.emitter
            .publish(&Envelope::Disconnect { target, close })
            .await
    }

    fn target(&self) -> Target {
        Target::new(self.rooms.clone(), self.except.clone())
    }
}
