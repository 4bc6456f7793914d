//! A server that lives as long as its test.
//!
//! ```text
//!  TestServer ─┬─ Server::service() ◀── memory ◀── connect("/chat")
//!              └─ Server::serve_on  ◀── TCP, on a port of its own ◀── connect("/chat").tcp()
//! ```

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use portcullis::socketio::ids::Room;
use portcullis::{Emitter, Server, ServerBuilder, Shutdown};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::network::Network;
use crate::wire::BoxIo;
use crate::{Connecting, TestRoom};

/// A server in this process, on a port of the system's choice. Its tasks end when it is dropped.
#[derive(Debug)]
pub struct TestServer {
    network: Network,
    stopping: CancellationToken,
    serving: JoinSet<()>,
    patience: Duration,
}

impl TestServer {
    /// Builds a server and serves it on `127.0.0.1`. When it is stopped, it closes all transports
    /// at once, whatever its drain; [`Self::serve`] can leave that out.
    ///
    /// # Panics
    ///
    /// If it cannot be built; the text names every problem.
    pub async fn start(builder: ServerBuilder) -> Self {
        let built = builder.build().await;
        let server = built.unwrap_or_else(|error| panic!("{error}"));
        let served = server.clone();
        Self::serve(server, |listener, stopped| {
            let stop = async {
                stopped.await;
                Shutdown::at_once()
            };
            served.serve_on(listener, stop)
        })
        .await
    }

    /// Serves `server` in a way of the test's own, such as within an axum router, until the future
    /// that it is given is ready. Connections over memory go to the server directly.
    pub async fn serve<F>(
        server: Server,
        serve: impl FnOnce(TcpListener, BoxFuture<'static, ()>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, stopping.clone().cancelled_owned().boxed()));
        Self {
            network: Network::new(server, address),
            stopping,
            serving,
            patience: Duration::from_secs(5),
        }
    }

    /// How long clients and rooms of this server wait for what they expect. Default: 5 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) const fn how_patient(&self) -> Duration {
        self.patience
    }

    /// A client that wants to join a namespace, once it is awaited.
    ///
    /// # Panics
    ///
    /// If the name cannot be a namespace.
    #[track_caller]
    pub fn connect(&self, namespace: &str) -> Connecting<'_> {
        Connecting::to_server(&self.network, namespace, self.patience)
    }

    /// A room of a namespace.
    pub fn room(&self, namespace: &str, room: impl Into<Room>) -> TestRoom<'_> {
        TestRoom::new(self, namespace.to_owned(), room.into())
    }

    /// The way to the sockets of a namespace.
    ///
    /// # Panics
    ///
    /// If the name cannot be a namespace.
    #[must_use]
    pub fn emitter(&self, namespace: &str) -> Emitter {
        self.network.server.emitter(namespace).unwrap()
    }

    /// The server itself.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.network.server
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.network.address
    }

    /// A TCP connection to it, for [`wire`](crate::wire).
    pub async fn tcp(&self) -> BoxIo {
        self.network.tcp().await
    }

    /// A connection over memory that holds `capacity` bytes in each direction, for
    /// [`wire`](crate::wire).
    #[must_use]
    pub fn memory(&self, capacity: usize) -> BoxIo {
        self.network.memory(capacity)
    }

    /// Gives the signal to stop, and goes on.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Ready when serving has ended, which takes [`Self::stop`].
    ///
    /// # Panics
    ///
    /// If it has not ended within the patience of the server.
    #[track_caller]
    pub fn stopped(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let ended = tokio::time::timeout(self.patience, self.serving.join_next());
            match ended.await {
                Ok(joined) => joined.expect("the server is waited for once").unwrap(),
                Err(_) => panic!("{caller}: the server did not stop in {:?}", self.patience),
            }
        }
    }
}

impl Drop for TestServer {
    /// Where a [`Witness`](crate::Witness) listens, nothing that its clients keep secret was said.
    fn drop(&mut self) {
        crate::witness::check();
    }
}
