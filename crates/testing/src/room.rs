//! A room, as the cluster sees it.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use portcullis::socketio::ids::{Room, SocketId};

use crate::{TestClient, TestServer};

/// How often a room is looked at while its members are waited for. The public interface has no way
/// to be told of a change; under a paused clock the pause takes no time.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// One room of a namespace. See [`TestServer::room`].
#[derive(Debug, Clone)]
pub struct TestRoom<'a> {
    server: &'a TestServer,
    namespace: String,
    room: Room,
}

impl<'a> TestRoom<'a> {
    pub(crate) const fn new(server: &'a TestServer, namespace: String, room: Room) -> Self {
        Self {
            server,
            namespace,
            room,
        }
    }

    /// Who is in the room now, on every node, in order.
    pub async fn members(&self) -> Vec<SocketId> {
        let emitter = self.server.emitter(&self.namespace);
        let fetched = emitter.to(&self.room).fetch_sockets().await.unwrap();
        let mut ids: Vec<_> = fetched.items.iter().map(|socket| socket.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// Waits until these clients, and no others, are in the room.
    #[track_caller]
    pub fn expect_members(&self, clients: &[&TestClient]) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let mut expected: Vec<_> = clients.iter().map(|client| client.id()).collect();
        expected.sort_unstable();
        async move {
            let mut members = Vec::new();
            let waiting = async {
                loop {
                    members = self.members().await;
                    if members == expected {
                        return;
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            let patience = self.server.how_patient();
            if tokio::time::timeout(patience, waiting).await.is_err() {
                panic!(
                    "{caller}: the members of room {} in {} were not {expected:?} within \
                     {patience:?}, but {members:?}",
                    self.room, self.namespace
                );
            }
        }
    }
}
