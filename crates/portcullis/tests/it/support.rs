//! What the tests share: servers on ports of the system's choice, and clients that speak the wire.
//!
//! # Invariants
//!
//! - Nothing here knows the framework from within: a client sees bytes, and nothing else.
//! - Waiting is bounded, so that a test that fails says where.

pub(crate) mod bus;
pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod memory;
pub(crate) mod websocket;

use std::future::Future;
use std::net::SocketAddr;

use futures_util::future::join_all;
use portcullis::gateway::Registrar;
use portcullis::{Server, ServerBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use client::Client;
pub(crate) use http::Http;
pub(crate) use journal::Journal;
pub(crate) use memory::MemoryServer;

/// A connection of any kind.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type BoxIo = Box<dyn Io>;

/// A server with the public namespace `/`, and `sync` for [`Client::sync`] in it.
pub(crate) fn public(register: impl FnOnce(&mut Registrar)) -> ServerBuilder {
    Server::builder().namespace("/", |r| {
        r.public().on("sync", async || {});
        register(r);
    })
}

/// A server on a port of its own; it ends with the test.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    stopping: CancellationToken,
    serving: JoinSet<()>,
}

impl TestServer {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        let server = builder.build().await.unwrap();
        let served = server.clone();
        Self::run(server, |listener, stopped| {
            served.serve_on(listener, stopped)
        })
        .await
    }

    /// Serves `server` in a way of the test's own.
    pub(crate) async fn run<F>(
        server: Server,
        serve: impl FnOnce(TcpListener, tokio_util::sync::WaitForCancellationFutureOwned) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, stopping.clone().cancelled_owned()));
        Self {
            server,
            address,
            stopping,
            serving,
        }
    }

    /// A client that has joined `/`.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address, "/").await
    }

    /// An HTTP connection.
    pub(crate) async fn http(&self) -> Http {
        Http::open(self.address).await
    }

    /// Closes the server, while its clients end their connections as they are told.
    pub(crate) async fn close(&self, clients: impl IntoIterator<Item = Client>) {
        let clients = clients.into_iter().map(Client::gone);
        let ((), _) = tokio::join!(patiently(self.server.close()), join_all(clients));
    }

    /// Gives the signal to stop, and goes on.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Ready when serving has ended.
    pub(crate) async fn stopped(&mut self) {
        patiently(self.serving.join_next()).await.unwrap().unwrap();
    }
}

/// A TCP connection that sends what it is given at once.
pub(crate) async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Waits, but not for ever.
pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(client::PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("nothing happened in {:?}", client::PATIENCE))
}
