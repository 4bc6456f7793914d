//! The ways to a server: over memory, and over TCP.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use portcullis::Server;
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::wire::{BoxIo, tcp};

/// A server, and how it is reached. Its tasks end with the last clone.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Network {
    pub(crate) fn new(server: Server, address: SocketAddr) -> Self {
        Self {
            server,
            address,
            tasks: Arc::default(),
        }
    }

    /// A connection that holds `capacity` bytes in each direction.
    pub(crate) fn memory(&self, capacity: usize) -> BoxIo {
        let (near, far) = tokio::io::duplex(capacity);
        let service = self.server.service();
        let service = service_fn(move |request| {
            let mut service = service.clone();
            async move { Ok::<_, Infallible>(service.call(request).await.unwrap()) }
        });
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades();
        self.spawn(async {
            // A client that goes away in the middle of a request is no failure of the test.
            let _ = connection.await;
        });
        Box::new(near)
    }

    /// A TCP connection.
    pub(crate) async fn tcp(&self) -> BoxIo {
        Box::new(tcp(self.address).await)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("server", &self.server)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
