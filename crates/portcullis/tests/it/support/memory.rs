//! A server whose connections are memory: what the tests under a paused clock use, which would run
//! ahead of any real connection, and those of streams that are not TCP.

use std::convert::Infallible;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis::{Server, ServerBuilder};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::http::WEBSOCKET;
use super::{Client, Http};

/// The tasks that serve it end with it.
pub(crate) struct MemoryServer {
    pub(crate) server: Server,
    tasks: JoinSet<()>,
}

impl MemoryServer {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        Self {
            server: builder.build().await.unwrap(),
            tasks: JoinSet::new(),
        }
    }

    /// A new connection that holds `capacity` bytes in each direction.
    pub(crate) fn connect(&mut self, capacity: usize) -> Box<DuplexStream> {
        let (near, far) = tokio::io::duplex(capacity);
        let service = self.server.service();
        let service = service_fn(move |request| {
            let mut service = service.clone();
            async move { Ok::<_, Infallible>(service.call(request).await.unwrap()) }
        });
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades();
        self.tasks.spawn(async {
            connection.await.unwrap();
        });
        Box::new(near)
    }

    /// A client that has joined `/`.
    pub(crate) async fn client(&mut self) -> Client {
        self.client_within(64 * 1024).await
    }

    /// As [`Self::client`], over a connection that holds so many bytes.
    pub(crate) async fn client_within(&mut self, capacity: usize) -> Client {
        let mut client = self.open(capacity).await;
        client.join("/").await;
        client
    }

    /// A client that has opened a session.
    pub(crate) async fn open(&mut self, capacity: usize) -> Client {
        Client::open_over(self.connect(capacity), WEBSOCKET, &[]).await
    }

    /// An HTTP connection.
    pub(crate) fn http(&mut self) -> Http {
        Http::over(self.connect(64 * 1024))
    }
}
