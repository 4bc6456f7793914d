//! A server: built from what was said to its builder, then run on a port or mounted into another
//! application.

mod builder;
mod drain;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use portcullis_socketio::ids::{NamespaceError, NamespacePath};
use tokio::net::{TcpListener, ToSocketAddrs};
use tower_service::Service;

pub use builder::{BuildError, ServerBuilder};
pub use drain::Drain;

use crate::adapter::{Adapter, Health};
use crate::auth::{self, UserId};
use crate::broadcast::{Emitter, UserOperator};
use crate::gateway::GatewayDescription;
use crate::handshake::Door;
use crate::listener::{Entrance, Fallback, NotFound, ServeError, Shutdown};
use crate::management::Readiness;
use crate::namespace::{Cluster, ClusterSlot};
use crate::revocation::{Revocation, Revocations, RevokeError};
use crate::tasks::Tasks;

/// A Socket.IO server. Cheap to clone; clones are the same server.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    door: Arc<Door>,
    entrance: Entrance,
    drain: Drain,
    slot: ClusterSlot,
    gateways: Vec<GatewayDescription>,
    /// Lent to emitters until the server has closed.
    cluster: Mutex<Option<Arc<Cluster>>>,
    adapter: Arc<dyn Adapter>,
    readiness: Arc<Readiness>,
    management: Option<SocketAddr>,
    tasks: Tasks,
}

impl Server {
    /// Starts to describe a server.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// Serves on `address` until `shutdown` is ready, and then drains as the builder was told: the
    /// node is unready at once, goes on accepting for a while, closes transports at a pace, and
    /// waits for handlers and `on_disconnect`. See [`Drain`].
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn serve(
        self,
        address: impl ToSocketAddrs + fmt::Debug,
        shutdown: impl Future<Output = impl Into<Shutdown>>,
    ) -> Result<(), ServeError> {
        let listener = Self::bind(address).await?;
        self.serve_on(listener, shutdown).await;
        Ok(())
    }

    /// Listens on an address, for [`Self::serve_on`]; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn bind(address: impl ToSocketAddrs + fmt::Debug) -> Result<TcpListener, ServeError> {
        let text = format!("{address:?}");
        let bound = crate::listener::bind(address).await;
        bound.map_err(|source| ServeError::Bind {
            address: text,
            source,
        })
    }

    /// As [`Self::serve`], on a listener that exists already. On Linux its TCP options are set, for
    /// connections to inherit: no delay, and how long a peer may leave data unacknowledged.
    pub async fn serve_on(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = impl Into<Shutdown>>,
    ) {
        self.serve_with(NotFound, listener, shutdown).await;
    }

    /// As [`Self::serve_on`]; requests for other paths go to `fallback`, such as an axum router.
    pub async fn serve_with(
        self,
        fallback: impl Fallback,
        listener: TcpListener,
        shutdown: impl Future<Output = impl Into<Shutdown>>,
    ) {
        let leaving = async { self.depart(shutdown.await.into()).await };
        let accepting = self.0.entrance.accept_until(listener, fallback, leaving);
        let (departure, stragglers) = accepting.await;
        let end = async {
            tokio::join!(self.close(), stragglers.gone());
        };
        self.finish(departure, end).await;
    }

    /// The server as a tower service, to be mounted at its path into an application's own router.
    ///
    /// The deadlines for request heads are the application's then; bodies and packets stay within
    /// this server's limits. [`Self::close`] must be called when the application stops. The peer's
    /// address is known if the application inserts
    /// [`RemoteAddress`](crate::handshake::RemoteAddress) into its requests.
    #[must_use]
    pub fn service(&self) -> SocketService {
        SocketService {
            door: Arc::clone(&self.0.door),
            server: Some(self.clone()),
        }
    }

    /// The way to the sockets of a namespace.
    ///
    /// # Errors
    ///
    /// If the name cannot be a namespace.
    pub fn emitter(&self, namespace: &str) -> Result<Emitter, NamespaceError> {
        let namespace = NamespacePath::parse(namespace)?;
        Ok(Emitter::new(Arc::clone(&self.0.slot), namespace))
    }

    /// The sockets of a user in all namespaces, wherever they are connected.
    pub fn to_user(&self, user: impl Into<UserId>) -> UserOperator {
        UserOperator::new(Arc::clone(&self.0.slot), user.into())
    }

    /// Takes something back, on every node; see [`Revocations::revoke`].
    ///
    /// # Errors
    ///
    /// See [`RevokeError`].
    ///
    /// # Cancel safety
    ///
    /// See [`Revocations::revoke`].
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), RevokeError> {
        self.revocations().revoke(revocation).await
    }

    /// The way to revoke, for tasks and handlers.
    #[must_use]
    pub fn revocations(&self) -> Revocations {
        self.0.readiness.auth().revocations.clone()
    }

    /// Whether connections can be authenticated: whether keys are there, and whether it is known
    /// what is revoked.
    #[must_use]
    pub fn auth_readiness(&self) -> auth::Readiness {
        self.0.readiness.auth().readiness()
    }

    /// What the server is made of: its gateways, their events, payloads and guards.
    ///
    /// Each prints as the lines that a NestJS developer expects at start.
    #[must_use]
    pub fn gateways(&self) -> &[GatewayDescription] {
        &self.0.gateways
    }

    /// How many sessions are open on this node.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.door.core.len()
    }

    /// How many namespaces there are on this node: those that were declared, and those that were
    /// made on demand and have sockets.
    #[must_use]
    pub fn namespaces(&self) -> usize {
        let cluster = self.0.cluster.lock();
        cluster
            .as_ref()
            .map_or(0, |cluster| cluster.namespaces.len())
    }

    /// Whether the other nodes of the cluster can be reached.
    #[must_use]
    pub fn cluster_health(&self) -> Health {
        self.0.adapter.health()
    }

    /// The path that the server answers on.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.door.options.path
    }

    /// Where the management listener is, if the builder was told of one.
    #[must_use]
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.0.management
    }

    /// What keeps this node from being ready for clients, a word each: `draining`,
    /// `authentication`, and what the adapter misses, such as `redis`. For applications that answer
    /// probes themselves; see [`ServerBuilder::management`].
    #[must_use]
    pub fn obstacles(&self) -> Vec<&'static str> {
        self.0.readiness.obstacles()
    }

    /// Ends every session at once, waits for handlers and `on_disconnect`, and leaves the cluster.
    /// [`Self::drain`] does so at a pace.
    ///
    /// Clients see their transport close, and come back by themselves to wherever they are led.
    pub async fn close(&self) {
        self.0.readiness.drain();
        self.0.door.core.shut_down();
        self.0.tasks.finished().await;
        self.leave_cluster().await;
    }

    async fn leave_cluster(&self) {
        drop(self.0.cluster.lock().take());
        self.0.adapter.close().await;
        self.0.tasks.stop_services();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.tasks.stop_services();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

/// A server as a tower service. See [`Server::service`].
#[derive(Debug, Clone)]
pub struct SocketService {
    door: Arc<Door>,
    /// Whose tasks flush and ping: they must run for as long as this is mounted.
    #[expect(dead_code, reason = "held for its drop")]
    server: Option<Server>,
}

impl SocketService {
    pub(crate) const fn new(door: Arc<Door>) -> Self {
        Self { door, server: None }
    }
}

impl<B> Service<Request<B>> for SocketService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let door = Arc::clone(&self.door);
        Box::pin(async move { Ok(door.handle(request).await) })
    }
}
