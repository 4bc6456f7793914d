//! What can be done to many sockets besides sending an event: ask them, move them, end them.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use portcullis_socketio::args::Args;
use portcullis_socketio::ids::{Room, SocketId};
use portcullis_socketio::payload::Payload;
use portcullis_socketio::value::{Value, ValueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BroadcastOperator, Emitter};
use crate::adapter::{Answers, Envelope, SocketDescription, Target};
use crate::auth::is_reserved_room;
use crate::namespace::{AckError, EmitError, Namespace, Socket, frames};
use crate::session::{Delivery, turn};

/// The sockets of the cluster, and how many nodes did not say which they have.
pub type Fetched = Answers<RemoteSocket>;

/// What the other servers answered.
pub type ServerSideAnswers = Answers<Args>;

impl BroadcastOperator {
    /// Sends an event and collects one answer from each socket, as many as come in time.
    ///
    /// # Errors
    ///
    /// [`AckError::Timeout`] with the answers that came, if some did not; at once if they cannot be
    /// heard, as those of other nodes in a namespace that this one does not serve.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the answers; the event has been sent.
    pub async fn emit_with_ack<T: Serialize + ?Sized + Sync>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<Vec<Args>, AckError> {
        let cluster = self.cluster()?;
        let payload = Arc::new(Payload::event(event, args).map_err(EmitError::from)?);
        let remote = async {
            if self.local {
                return Answers::default();
            }
            let (payload, target) = (Arc::clone(&payload), self.target.clone());
            cluster
                .adapter
                .broadcast_with_ack(&self.namespace, payload, target, self.timeout)
                .await
        };
        let here = async {
            match cluster.namespaces.get(&self.namespace) {
                Some(namespace) => self.collect_here(&namespace, &payload).await,
                None => (Vec::new(), true),
            }
        };
        let ((mut responses, is_complete), remote) = tokio::join!(here, remote);
        responses.extend(remote.items.iter().cloned());
        if is_complete && remote.is_complete() {
            Ok(responses)
        } else {
            Err(AckError::Timeout { responses })
        }
    }

    async fn collect_here(&self, namespace: &Namespace, payload: &Payload) -> (Vec<Args>, bool) {
        let id = namespace.next_ack();
        let frame = frames::event(namespace, payload, Some(id)).compress(self.flags.compress);
        let sockets = namespace.collect(&self.target);
        super::show_outgoing(namespace, payload, || &sockets);
        let mut collected = namespace
            .acks()
            .expect_many(id, sockets.iter().map(Socket::id));
        let frame = frame.finish();
        turn(|| {
            for socket in &sockets {
                // Who has left meanwhile will not answer, which the timeout finds out.
                let _ = socket.inner().send(&frame, self.delivery());
            }
        });
        let in_time = tokio::time::timeout(self.timeout, &mut collected).await;
        (collected.take(), in_time.is_ok())
    }

    /// The sockets that are addressed, wherever they live.
    ///
    /// # Errors
    ///
    /// If the server is not running. Nodes that do not answer are counted in the result.
    pub async fn fetch_sockets(&self) -> Result<Fetched, EmitError> {
        let cluster = self.cluster()?;
        let mut items = Vec::new();
        if let Some(namespace) = cluster.namespaces.get(&self.namespace) {
            for socket in namespace.collect(&self.target) {
                items.push(describe(&socket));
            }
        }
        let mut answers = Answers::default();
        if !self.local {
            let target = self.target.clone();
            answers = cluster
                .adapter
                .fetch_sockets(&self.namespace, target, self.timeout)
                .await;
            items.append(&mut answers.items);
        }
        let emitter = Emitter::new(Arc::clone(&self.slot), self.namespace.clone());
        let remote = |description| RemoteSocket {
            description,
            emitter: emitter.clone(),
        };
        Ok(Answers::partial(
            items.into_iter().map(remote).collect(),
            answers.missing_nodes,
            answers.missing,
        ))
    }

    /// Puts the sockets into rooms.
    ///
    /// # Errors
    ///
    /// If the server is not running.
    pub fn sockets_join<R: Into<Room>>(
        &self,
        rooms: impl IntoIterator<Item = R>,
    ) -> Result<(), EmitError> {
        let rooms: Vec<Room> = rooms.into_iter().map(Into::into).collect();
        let target = self.target.clone();
        self.apply(Envelope::Join { target, rooms })
    }

    /// Takes the sockets out of rooms.
    ///
    /// # Errors
    ///
    /// If the server is not running.
    pub fn sockets_leave<R: Into<Room>>(
        &self,
        rooms: impl IntoIterator<Item = R>,
    ) -> Result<(), EmitError> {
        let rooms: Vec<Room> = rooms.into_iter().map(Into::into).collect();
        let target = self.target.clone();
        self.apply(Envelope::Leave { target, rooms })
    }

    /// Makes the sockets leave the namespace; with `close`, ends their connections.
    ///
    /// # Errors
    ///
    /// If the server is not running.
    pub fn disconnect_sockets(&self, close: bool) -> Result<(), EmitError> {
        let target = self.target.clone();
        self.apply(Envelope::Disconnect { target, close })
    }

    /// Does something here, and has the other nodes do it too.
    fn apply(&self, envelope: Envelope) -> Result<(), EmitError> {
        let cluster = self.cluster()?;
        if let Some(namespace) = cluster.namespaces.get(&self.namespace) {
            apply_here(&namespace, &envelope);
        }
        if !self.local {
            cluster.adapter.publish(&self.namespace, envelope);
        }
        Ok(())
    }
}

impl Emitter {
    /// All rooms of the namespace, on every node; without those that only the framework fills.
    ///
    /// # Errors
    ///
    /// If the server is not running.
    pub async fn all_rooms(&self) -> Result<Answers<Room>, EmitError> {
        let operator = self.all();
        let cluster = operator.cluster()?;
        let mut rooms = BTreeSet::new();
        if let Some(namespace) = cluster.namespaces.get(&self.namespace) {
            rooms.extend(rooms_here(&namespace));
        }
        let remote = cluster
            .adapter
            .all_rooms(&self.namespace, operator.timeout)
            .await;
        rooms.extend(remote.items);
        rooms.retain(|room| !is_reserved_room(room));
        let rooms = rooms.into_iter().collect();
        Ok(Answers::partial(
            rooms,
            remote.missing_nodes,
            remote.missing,
        ))
    }

    /// How many nodes serve the namespace.
    ///
    /// # Errors
    ///
    /// If the server is not running or the cluster cannot be asked.
    pub async fn server_count(&self) -> Result<usize, EmitError> {
        let operator = self.all();
        let count = operator
            .cluster()?
            .adapter
            .server_count(&self.namespace)
            .await;
        count.map_err(|_| EmitError::NotServing)
    }

    /// Ready when what was emitted and done through any emitter of this server has been handed to
    /// the cluster, and the other nodes reach every room that was joined here. Operations do not
    /// wait for that by themselves. While the cluster is out of reach, this waits for it.
    ///
    /// # Errors
    ///
    /// If the server is not running.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future.
    pub async fn flush(&self) -> Result<(), EmitError> {
        let cluster = self.all().cluster()?;
        cluster.adapter.flush().await;
        Ok(())
    }

    /// Tells the other servers something; clients do not see it.
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded, or the server is not running.
    pub fn server_side_emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<(), EmitError> {
        let payload = Arc::new(server_side_payload(event, args)?);
        let operator = self.all();
        let envelope = Envelope::ServerSideEmit { payload };
        operator
            .cluster()?
            .adapter
            .publish(&self.namespace, envelope);
        Ok(())
    }

    /// Asks the other servers something.
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded, or the server is not running. Servers that do not answer
    /// are counted in the result.
    pub async fn server_side_emit_with_ack<T: Serialize + ?Sized + Sync>(
        &self,
        event: &str,
        args: &T,
        timeout: std::time::Duration,
    ) -> Result<ServerSideAnswers, EmitError> {
        let payload = Arc::new(server_side_payload(event, args)?);
        let operator = self.all();
        let cluster = operator.cluster()?;
        Ok(cluster
            .adapter
            .server_side_emit_with_ack(&self.namespace, payload, timeout)
            .await)
    }
}

/// Names that Node's servers keep for themselves are refused, as Node refuses them.
fn server_side_payload<T: Serialize + ?Sized>(event: &str, args: &T) -> Result<Payload, EmitError> {
    use portcullis_socketio::payload::EncodeError;
    if matches!(event, "connection" | "new_namespace") {
        let event = event.to_owned();
        return Err(EncodeError::Reserved { event }.into());
    }
    Ok(Payload::event(event, args)?)
}

/// A socket anywhere in the cluster.
#[derive(Debug, Clone)]
pub struct RemoteSocket {
    description: SocketDescription,
    emitter: Emitter,
}

impl RemoteSocket {
    /// Its public id.
    #[must_use]
    pub const fn id(&self) -> SocketId {
        self.description.id
    }

    /// Its rooms when it was asked, its own id among them.
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        &self.description.rooms
    }

    /// Its handshake as a map, without what is secret.
    #[must_use]
    pub const fn handshake(&self) -> &Value {
        &self.description.handshake
    }

    /// Its replicable data.
    ///
    /// # Errors
    ///
    /// If the data is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        self.description.data.to()
    }

    /// Addresses this socket: emit to it, ask it, move it, end it.
    pub fn address(&self) -> BroadcastOperator {
        self.emitter.to(self.id())
    }
}

pub(super) fn describe(socket: &Socket) -> SocketDescription {
    let handshake = socket.handshake();
    let request = handshake.request();
    let text = |text: &str| Value::String(text.to_owned());
    let cluster = socket.inner().namespace().cluster();
    let cluster = cluster.get().and_then(Weak::upgrade);
    // Without the server nobody knows what its authenticator reads.
    let secrets = cluster.as_ref().map(|cluster| &cluster.secrets);
    let is_secret = |name: &str| secrets.is_none_or(|own| is_secret(name, own));
    let headers = request
        .headers()
        .iter()
        .filter(|(name, _)| !is_secret(name));
    let headers = headers
        .map(|(name, value)| (name.to_owned(), text(value)))
        .collect();
    let query = handshake
        .query_pairs()
        .filter(|(name, _)| !is_secret(name) && name != "sid");
    let query: Vec<_> = query
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    let address = handshake.address().map(|address| address.ip().to_string());
    let fields = [
        ("headers", Value::Map(headers)),
        ("address", text(&address.unwrap_or_default())),
        ("xdomain", Value::Bool(handshake.is_cross_domain())),
        ("secure", Value::Bool(request.is_secure())),
        ("issued", Value::from(request.issued_ms())),
        // The query of the URL may hold a token, so only the path leaves the process.
        (
            "url",
            text(request.url().split('?').next().unwrap_or_default()),
        ),
        ("query", Value::Map(query)),
    ];
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let inner = socket.inner();
    SocketDescription::new(socket.id(), Value::Map(fields), inner.rooms(), inner.data())
}

/// What never leaves the process, by the name of its header or parameter: what the authenticator
/// reads, and what sounds like a secret. Rather too much than too little: who needs a value on
/// another node puts it into the socket's data.
fn is_secret(name: &str, own: &[String]) -> bool {
    const WORDS: [&str; 15] = [
        "auth", "cookie", "cred", "csrf", "hash", "jwt", "key", "otp", "pass", "referer", "secret",
        "sess", "sig", "ticket", "token",
    ];
    let name = name.to_ascii_lowercase();
    own.contains(&name) || WORDS.iter().any(|word| name.contains(word))
}

pub(super) fn rooms_here(namespace: &Namespace) -> Vec<Room> {
    let mut rooms = namespace.rooms().names();
    rooms.extend(
        namespace
            .collect(&Target::default())
            .iter()
            .map(|socket| socket.id().into()),
    );
    rooms
}

/// Does what an envelope says to the sockets of this node.
pub(super) fn apply_here(namespace: &Namespace, envelope: &Envelope) {
    match envelope {
        Envelope::Broadcast {
            payload,
            target,
            flags,
        } => {
            let delivery = Delivery::of_event(flags.volatile, None);
            super::deliver(namespace, payload, target, *flags, delivery);
        }
        Envelope::Join { target, rooms } => {
            for socket in namespace.collect(target) {
                rooms.iter().for_each(|room| socket.join(room.clone()));
            }
        }
        Envelope::Leave { target, rooms } => {
            for socket in namespace.collect(target) {
                rooms.iter().for_each(|room| socket.leave(room.clone()));
            }
        }
        Envelope::Disconnect { target, close } => turn(|| {
            for socket in namespace.collect(target) {
                socket.disconnect(*close);
            }
        }),
        Envelope::ServerSideEmit { .. } => {}
    }
}
