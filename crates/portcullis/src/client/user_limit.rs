//! How many connections a user may have in a namespace, on all nodes together.
//!
//! ```text
//!  RejectNew:   authenticated ─▶ ask the cluster ─▶ full? ─▶ refused
//!                                                    └──▶ in ─▶ ask once more: two at a time?
//!  CloseOldest: authenticated ─▶ in ─▶ ask the cluster ─▶ too many? ─▶ the oldest go
//! ```
//!
//! The sockets of a user are in a room of theirs, so counting is what `fetch_sockets` does, and
//! works with nodes of any kind.
//!
//! # Invariants
//!
//! - Every node orders the sockets of a user alike: by the time of their handshake, then by id. Of
//!   two that come at the same moment on two nodes, both agree which one is too many.
//! - Nodes that do not answer are counted as having none: a node that is away locks nobody out.

use std::sync::Arc;
use std::time::Duration;

use portcullis_socketio::ids::{Room, SocketId};
use portcullis_socketio::value::Value;

use crate::adapter::Target;
use crate::auth::{Refusal, WhenFull};
use crate::broadcast::RemoteSocket;
use crate::namespace::{DisconnectReason, Socket, SocketInner};

/// How long the other nodes may take to say whom they have.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the peer is told, and what ends another connection of the user.
const CODE: &str = "TOO_MANY_CONNECTIONS";

/// The event that the client of a connection hears that has to go.
const REPLACED: &str = "auth:replaced";

/// How many connections a user may have in a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserLimit {
    pub(crate) max: usize,
    pub(crate) when_full: WhenFull,
}

/// When a socket came, in the order that all nodes agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seniority {
    issued_ms: i64,
    id: SocketId,
}

impl UserLimit {
    /// Whether a socket that is in its user's room already, but not admitted yet, may come in.
    pub(super) async fn check(self, socket: &Arc<SocketInner>, room: &Room) -> Result<(), Refusal> {
        if self.when_full != WhenFull::RejectNew {
            return Ok(());
        }
        let own = seniority_of(socket);
        let connected = everyone(socket, room).await;
        // Those on their way in here count as well, if they were first.
        let mut waiting = 0;
        let target = Target::new([room.clone()], []);
        socket.namespace().for_each(&target, |other| {
            if !other.is_connected() && seniority_of(other) < own {
                waiting += 1;
            }
        });
        if connected.len() + waiting >= self.max {
            metrics::counter!("portcullis_user_limit_total", "what" => "refused").increment(1);
            return Err(Refusal::new("Too many connections").code(CODE));
        }
        Ok(())
    }

    /// Looks again when the socket is in, and ends whoever is too many.
    pub(super) async fn enforce(self, socket: Arc<SocketInner>, room: Room) {
        let mut all = everyone(&socket, &room).await;
        if all.len() <= self.max {
            return;
        }
        all.sort_by_key(|(seniority, _)| *seniority);
        match self.when_full {
            WhenFull::RejectNew => {
                let own = seniority_of(&socket);
                let rank = all.iter().position(|(seniority, _)| *seniority == own);
                if rank.is_some_and(|rank| rank >= self.max) {
                    let _ = Socket::from(Arc::clone(&socket)).emit(REPLACED, &notice());
                    socket.disconnect_for(DisconnectReason::TooManyConnections, true);
                    metrics::counter!("portcullis_user_limit_total", "what" => "closed_new")
                        .increment(1);
                }
            }
            WhenFull::CloseOldest => {
                let surplus = all.len() - self.max;
                for (_, oldest) in all.iter().take(surplus) {
                    let address = oldest.address();
                    // The server may be closing; then everybody goes anyway.
                    let _ = address.emit(REPLACED, &notice());
                    let _ = address.disconnect_sockets(true);
                    metrics::counter!("portcullis_user_limit_total", "what" => "closed_oldest")
                        .increment(1);
                }
            }
        }
    }
}

/// The admitted sockets of a user, on all nodes that answer.
async fn everyone(socket: &Arc<SocketInner>, room: &Room) -> Vec<(Seniority, RemoteSocket)> {
    let operator = Socket::from(Arc::clone(socket))
        .server()
        .to(room.clone())
        .timeout(ASK_TIMEOUT);
    let Ok(answers) = operator.fetch_sockets().await else {
        return Vec::new();
    };
    if !answers.is_complete() {
        let missing = answers.missing_nodes as u64;
        metrics::counter!("portcullis_user_limit_unheard_total").increment(missing);
    }
    let with_seniority = answers.items.into_iter().map(|remote| {
        let issued = remote.handshake().get("issued");
        let issued = issued.and_then(|issued| issued.to::<i64>().ok());
        let seniority = Seniority {
            issued_ms: issued.unwrap_or(i64::MAX),
            id: remote.id(),
        };
        (seniority, remote)
    });
    with_seniority.collect()
}

fn seniority_of(socket: &Arc<SocketInner>) -> Seniority {
    let socket = Socket::from(Arc::clone(socket));
    let issued = socket.handshake().request().issued_at();
    let issued = issued
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Seniority {
        issued_ms: i64::try_from(issued.as_millis()).unwrap_or(i64::MAX),
        id: socket.id(),
    }
}

fn notice() -> Value {
    Value::Map(vec![("code".to_owned(), Value::from(CODE))])
}
