//! How many connections a user may have, over all namespaces and on all nodes together.
//!
//! ```text
//!  RejectNew:   authenticated ─▶ ask the cluster ─▶ full? ─▶ refused
//!                                                    └──▶ in ─▶ ask once more: two at a time?
//!  CloseOldest: authenticated ─▶ in ─▶ ask the cluster ─▶ too many? ─▶ the oldest go
//! ```
//!
//! The sockets of a user are in a room of theirs, so counting is what `fetch_sockets` does. Those
//! of one connection are in another room together, by whose name they are known to be one.
//!
//! # Invariants
//!
//! - A connection counts once, however many namespaces it is in; who has one may join the next.
//! - Every node orders the connections of a user alike: by the time of their handshake, then by
//!   name. Of two that come at the same moment on two nodes, both agree which one is too many.
//! - Nodes that do not answer are counted as having none: a node that is away locks nobody out. The
//!   sockets of this node are always counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use portcullis_socketio::ids::{Room, SocketId};
use portcullis_socketio::value::Value;

use crate::adapter::Target;
use crate::auth::{Refusal, WhenFull, connection_of_room};
use crate::broadcast::{BroadcastOperator, Emitter, RemoteSocket};
use crate::namespace::{DisconnectReason, Namespace, Namespaces, Socket, SocketInner};
use crate::session::Ending;

/// How long the other nodes may take to say whom they have.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// In so many namespaces they are asked at a time: of those made on demand there may be thousands.
const ASKED_AT_ONCE: usize = 16;

/// What the peer is told, and what ends another connection of the user.
const CODE: &str = "TOO_MANY_CONNECTIONS";

/// The event that the client of a connection hears that has to go.
const REPLACED: &str = "auth:replaced";

/// How many connections a user may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserLimit {
    pub(crate) max: usize,
    pub(crate) when_full: WhenFull,
}

/// When a connection came, in the order that all nodes agree on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seniority {
    issued_ms: i64,
    name: String,
}

/// What one connection of a user is counted by.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) limit: UserLimit,
    /// The room of the user.
    pub(super) user: Room,
    /// The room of the connection.
    pub(super) connection: Room,
    pub(super) namespaces: Arc<Namespaces>,
}

impl Counted {
    /// Whether a socket that is in both rooms already, but not admitted yet, may come in.
    pub(super) async fn check(&self, socket: &Arc<SocketInner>) -> Result<(), Refusal> {
        if self.limit.when_full != WhenFull::RejectNew || self.has_joined() {
            return Ok(());
        }
        let own = seniority_of(socket);
        let connected = self.everyone().await;
        if connected.contains_key(&own) {
            // Another of its sockets was faster.
            return Ok(());
        }
        // Those on their way in here count as well, if they were first.
        let mut waiting = BTreeSet::new();
        self.each_here(&self.user, |other| {
            let seniority = seniority_of(other);
            if !other.is_connected() && seniority < own && !connected.contains_key(&seniority) {
                waiting.insert(seniority);
            }
        });
        if connected.len() + waiting.len() >= self.limit.max {
            metrics::counter!("portcullis_user_limit_total", "what" => "refused").increment(1);
            return Err(Refusal::new("Too many connections").code(CODE));
        }
        Ok(())
    }

    /// Whether the connection has a socket of this user that is in already.
    pub(super) fn has_joined(&self) -> bool {
        let mut has_joined = false;
        self.each_here(&self.connection, |socket| {
            has_joined |= socket.is_connected() && socket.memberships().contains(&self.user);
        });
        has_joined
    }

    fn each_here(&self, room: &Room, mut each: impl FnMut(&Arc<SocketInner>)) {
        let target = Target::new([room.clone()], []);
        for namespace in self.namespaces.all() {
            namespace.for_each(&target, &mut each);
        }
    }

    /// Looks again when the socket is in, and ends whoever is too many.
    pub(super) async fn enforce(self, socket: Arc<SocketInner>) {
        let all = self.everyone().await;
        if all.len() <= self.limit.max {
            return;
        }
        match self.limit.when_full {
            WhenFull::RejectNew => {
                let own = seniority_of(&socket);
                let rank = all.keys().position(|seniority| *seniority == own);
                if rank.is_some_and(|rank| rank >= self.limit.max) {
                    // It is the connection that is too many, also if this socket has left, unless
                    // it has become somebody else's.
                    let is_theirs = self.has_joined();
                    let _ = Socket::from(Arc::clone(&socket)).emit(REPLACED, &notice());
                    socket.disconnect_for(DisconnectReason::TooManyConnections, false);
                    if is_theirs {
                        socket.connection().end(Ending::Requested);
                    }
                    metrics::counter!("portcullis_user_limit_total", "what" => "closed_new")
                        .increment(1);
                }
            }
            WhenFull::CloseOldest => {
                let surplus = all.len() - self.limit.max;
                for sockets in all.values().take(surplus) {
                    // The server may be closing; then everybody goes anyway.
                    for socket in sockets {
                        let _ = socket.address().emit(REPLACED, &notice());
                    }
                    for socket in sockets {
                        let _ = socket.address().disconnect_sockets(true);
                    }
                    metrics::counter!("portcullis_user_limit_total", "what" => "closed_oldest")
                        .increment(1);
                }
            }
        }
    }

    /// The user's connections, the oldest first, with their admitted sockets, here and on all nodes
    /// that answer.
    async fn everyone(&self) -> BTreeMap<Seniority, Vec<RemoteSocket>> {
        let namespaces = self.namespaces.all();
        let mut found = Found::default();
        for namespace in &namespaces {
            if let Ok(answers) = self.user_in(namespace).local().fetch_sockets().await {
                found.add(answers.items);
            }
        }
        let mut unheard = namespaces.len() as u64;
        let asking = namespaces.into_iter().map(|namespace| {
            let operator = self.user_in(&namespace).timeout(ASK_TIMEOUT);
            async move { operator.fetch_sockets().await }
        });
        let mut asking = stream::iter(asking).buffer_unordered(ASKED_AT_ONCE);
        let deadline = tokio::time::Instant::now() + 2 * ASK_TIMEOUT;
        while let Ok(Some(answers)) = tokio::time::timeout_at(deadline, asking.next()).await {
            unheard -= 1;
            let Ok(answers) = answers else { continue };
            unheard += answers.missing_nodes as u64;
            found.add(answers.items);
        }
        metrics::counter!("portcullis_user_limit_unheard_total").increment(unheard);
        found.connections
    }

    /// The user's sockets in one namespace.
    fn user_in(&self, namespace: &Arc<Namespace>) -> BroadcastOperator {
        let emitter = Emitter::new(namespace.cluster(), namespace.path().clone());
        emitter.to(self.user.clone())
    }
}

/// Connections as they are found, each of their sockets once.
#[derive(Default)]
struct Found {
    sockets: HashSet<SocketId>,
    connections: BTreeMap<Seniority, Vec<RemoteSocket>>,
}

impl Found {
    fn add(&mut self, sockets: Vec<RemoteSocket>) {
        for socket in sockets {
            if !self.sockets.insert(socket.id()) {
                continue;
            }
            let issued = socket.handshake().get("issued");
            let issued = issued.and_then(|issued| issued.to::<i64>().ok());
            let seniority = Seniority {
                issued_ms: issued.unwrap_or(i64::MAX),
                name: name_of(socket.rooms(), &socket.id()),
            };
            self.connections.entry(seniority).or_default().push(socket);
        }
    }
}

fn seniority_of(socket: &Arc<SocketInner>) -> Seniority {
    let name = name_of(&socket.memberships().rooms(), socket.id());
    let socket = Socket::from(Arc::clone(socket));
    Seniority {
        issued_ms: socket.handshake().request().issued_ms(),
        name,
    }
}

/// What a connection is called; a socket of a node that does not say is one of its own.
fn name_of(rooms: &[Room], id: &SocketId) -> String {
    let name = rooms.iter().find_map(connection_of_room);
    name.unwrap_or_else(|| id.as_str()).to_owned()
}

fn notice() -> Value {
    Value::Map(vec![("code".to_owned(), Value::from(CODE))])
}
