//! What these tests share besides the kit: most of them are about the wire, and so are their
//! clients.

use std::future::{Future, ready};

use futures_util::future::join_all;
use portcullis::gateway::Registrar;
use portcullis::{DisconnectReason, Server, ServerBuilder};
use portcullis_testing::wire::{Client, Http, Response, WEBSOCKET, upgrade_request};
use portcullis_testing::{Journal, TestServer, Witness};

pub(crate) use portcullis_testing::wire::{BoxIo, patiently};

/// Hears everything that this process logs and counts; a server that ends says whether a session's
/// id, a token or a payload was among it.
pub(crate) fn witness() -> &'static Witness {
    Witness::of_process()
}

/// Describes a server, before a witness.
pub(crate) fn builder() -> ServerBuilder {
    witness();
    Server::builder()
}

/// A server with the public namespace `/`, and `sync` for [`Client::sync`] in it.
pub(crate) fn public(register: impl FnOnce(&mut Registrar)) -> ServerBuilder {
    builder().namespace("/", |r| {
        r.public().on("sync", async || {});
        register(r);
    })
}

/// Notes every farewell, with its reason.
pub(crate) fn farewells(r: &mut Registrar, journal: &Journal) {
    let journal = journal.clone();
    r.on_disconnect(move |reason: DisconnectReason| {
        journal.note(format!("left: {reason}"));
        ready(())
    });
}

/// Clients whose packets are in plain sight. Those in memory are for paused clocks, which run ahead
/// of any real connection, and for streams that are not TCP.
pub(crate) trait Wire {
    /// A client that has joined `/`, over TCP.
    fn client(&self) -> impl Future<Output = Client>;

    /// An HTTP connection, over TCP.
    fn http(&self) -> impl Future<Output = Http>;

    /// A client that has joined `/`, over memory.
    fn client_in_memory(&self) -> impl Future<Output = Client>;

    /// As [`Self::client_in_memory`], over a connection that holds so many bytes.
    fn client_within(&self, capacity: usize) -> impl Future<Output = Client>;

    /// A client that has opened a session, over memory.
    fn open_within(&self, capacity: usize) -> impl Future<Output = Client>;

    /// An HTTP connection over memory.
    fn http_in_memory(&self) -> Http;

    /// Closes the server, while its clients end their connections as they are told.
    fn close(&self, clients: impl IntoIterator<Item = Client>) -> impl Future<Output = ()>;
}

impl Wire for TestServer {
    async fn client(&self) -> Client {
        Client::connect(self.address(), "/").await
    }

    async fn http(&self) -> Http {
        Http::over(self.tcp().await)
    }

    async fn client_in_memory(&self) -> Client {
        self.client_within(64 * 1024).await
    }

    async fn client_within(&self, capacity: usize) -> Client {
        let mut client = self.open_within(capacity).await;
        client.join("/").await;
        client
    }

    async fn open_within(&self, capacity: usize) -> Client {
        Client::open_over(self.memory(capacity), WEBSOCKET, &[]).await
    }

    fn http_in_memory(&self) -> Http {
        Http::over(self.memory(64 * 1024))
    }

    async fn close(&self, clients: impl IntoIterator<Item = Client>) {
        let clients = clients.into_iter().map(Client::gone);
        let ((), _) = tokio::join!(patiently(self.server().close()), join_all(clients));
    }
}

/// The answer to a handshake by WebSocket.
pub(crate) async fn upgrade_head(io: BoxIo, target: &str) -> Response {
    Http::over(io).exchange(&upgrade_request(target, &[])).await
}
