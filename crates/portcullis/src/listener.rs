//! Accepting connections within limits.
//!
//! ```text
//!  accept ─▶ a place? ─▶ PROXY header, if required ─▶ HTTP/1.1, head within 10 s and 16 KiB
//!               │ no                                      │ the engine's path ─▶ engine
//!               └▶ 503                                    └ any other ─────────▶ fallback
//! ```
//!
//! # Invariants
//!
//! - Running out of file descriptors pauses accepting; it ends nothing.
//! - A connection has its place from the moment at which it is accepted until it is closed, be it
//!   as HTTP or as a WebSocket.
//!
//! # Not here
//!
//! When accepting ends, and what is waited for then (`server`).

mod http1;
mod proxy_protocol;
mod signal;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

pub use signal::{Shutdown, shutdown_signal};

use crate::handshake::{Body, Counter, Door, Place};
use crate::session::Ticket;
use crate::tasks::Tasks;

/// The time within which the head of a request, or a PROXY header, must have arrived.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may leave unacknowledged what it was sent, be it silent or not reading.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long accepting pauses when the system has no more descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// So many connections at a time are told that there is no room; more are closed without a word.
const MAX_REFUSALS: usize = 64;

/// How long telling it may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What a connection is told for which there is no room.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Retry-After: 5\r\n\
    Connection: close\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 44\r\n\r\n\
    {\"code\":4,\"message\":\"Too many connections\"}\n";

/// How many connections the kernel keeps until they are accepted: enough for everybody who comes
/// back in the second after a restart.
const BACKLOG: u32 = 4_096;

/// Any body, of the engine or of the fallback.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Why a server could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Listens on the first of the addresses that can be listened on.
pub(crate) async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(address).await? {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// What stands behind the engine: answers requests for other paths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NotFound;

impl Service<Request<Incoming>> for NotFound {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Incoming>) -> Self::Future {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        std::future::ready(Ok(response))
    }
}

/// What stands behind the engine: a service that answers requests for other paths, such as an axum
/// router. There is nothing to implement: every service of this form is one.
pub trait Fallback:
    Service<
        Request<Incoming>,
        Response = Response<<Self as Fallback>::Body>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;
}

impl<S, B> Fallback for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    type Body = B;
}

/// What a listener is told at start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ListenerOptions {
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_connections_per_address: Option<usize>,
    pub(crate) requires_proxy_header: bool,
}

/// The way from a port to the engine. Clones count their connections together.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    door: Arc<Door>,
    options: ListenerOptions,
    all: Counter,
    of_addresses: Counter,
    refusals: Counter,
}

/// The connections of a port that does not accept any more.
#[derive(Debug)]
pub(crate) struct Stragglers {
    stopping: CancellationToken,
    connections: Tasks,
}

impl Stragglers {
    /// Ready when all have ended. Requests in flight are answered, polls by the end of their
    /// session; after that a client must connect anew, which leads it elsewhere.
    pub(crate) async fn gone(&self) {
        self.stopping.cancel();
        self.connections.finished().await;
    }
}

impl Entrance {
    pub(crate) fn new(door: Arc<Door>, options: ListenerOptions) -> Self {
        Self {
            door,
            options,
            all: Counter::default(),
            of_addresses: Counter::default(),
            refusals: Counter::default(),
        }
    }

    /// Accepts until `leaving` is ready; what it says comes with the connections that are left.
    pub(crate) async fn accept_until<T>(
        &self,
        listener: TcpListener,
        fallback: impl Fallback,
        leaving: impl Future<Output = T>,
    ) -> (T, Stragglers) {
        let stragglers = Stragglers {
            stopping: CancellationToken::new(),
            connections: Tasks::default(),
        };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        set_options(&listener);
        // A task like those of the connections: whoever awaits this may sit on a thread of its own,
        // and each connection would be handed from there to another.
        let accepting = CancellationToken::new();
        let (entrance, connections) = (self.clone(), stragglers.connections.clone());
        let accept = entrance.accept(listener, fallback, connections, stragglers.stopping.clone());
        let accept = accepting.clone().run_until_cancelled_owned(accept);
        stragglers.connections.spawn(async move {
            accept.await;
        });
        let _accepting = accepting.drop_guard();
        (leaving.await, stragglers)
    }

    /// Accepts connections, and serves each in a task of its own.
    async fn accept(
        self,
        listener: TcpListener,
        fallback: impl Fallback,
        connections: Tasks,
        stopping: CancellationToken,
    ) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match self.all.take(None, self.options.max_connections, None)
                {
                    Ok(place) => {
                        let accepted = Accepted {
                            entrance: self.clone(),
                            stream,
                            peer,
                            place,
                            stopping: stopping.clone(),
                        };
                        connections.spawn(accepted.serve(fallback.clone()));
                    }
                    Err(_) => self.refuse("connections", stream, &connections),
                },
                Err(error) => {
                    metrics::counter!("portcullis_accept_errors_total").increment(1);
                    if is_exhausted(&error) {
                        tracing::warn!(%error, "cannot accept for now");
                        tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Tells a peer that there is no room for it.
    fn refuse(&self, limit: &'static str, stream: TcpStream, connections: &Tasks) {
        metrics::counter!("portcullis_limited_total", "limit" => limit).increment(1);
        if let Ok(place) = self.refusals.take(None, Some(MAX_REFUSALS), None) {
            connections.spawn(async move {
                let _ = tokio::time::timeout(REFUSAL_TIMEOUT, say_no(stream)).await;
                drop(place);
            });
        }
    }
}

/// Here connections inherit the options of their listener, which saves each of them two system
/// calls.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_options(listener: &TcpListener) {
    let listener = socket2::SockRef::from(listener);
    let _ = listener.set_tcp_nodelay(true);
    // HTTP has no deadline for writing, and a peer with a full buffer acknowledges for ever.
    let _ = listener.set_tcp_user_timeout(Some(UNREAD_TIMEOUT));
}

/// Answers whatever the peer asks, and waits until it has gone: a connection that is closed with
/// something unread is reset, and takes the answer with it.
async fn say_no(mut stream: TcpStream) {
    if stream.write_all(REFUSAL).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
    }
}

/// One connection.
struct Accepted {
    entrance: Entrance,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    stopping: CancellationToken,
}

impl Accepted {
    /// Serves it until it ends or leaves HTTP.
    async fn serve(mut self, fallback: impl Fallback) {
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = self.stream.set_nodelay(true);
        let Some(address) = self.address().await else {
            return;
        };
        let Ok(of_address) = self.take_of_address(address) else {
            metrics::counter!("portcullis_limited_total", "limit" => "connections_per_address")
                .increment(1);
            let _ = tokio::time::timeout(REFUSAL_TIMEOUT, say_no(self.stream)).await;
            return;
        };
        let ticket = Ticket::new((self.place, of_address));
        let (door, stopping) = (self.entrance.door, self.stopping);
        http1::serve(door, fallback, self.stream, address, ticket, stopping).await;
    }

    /// Who is at the other end; `None` if that had to be said, and was not, or the server stops.
    async fn address(&mut self) -> Option<SocketAddr> {
        if !self.entrance.options.requires_proxy_header {
            return Some(self.peer);
        }
        let reading = proxy_protocol::read(&mut self.stream);
        let read = tokio::select! {
            read = tokio::time::timeout(HEADER_TIMEOUT, reading) => read,
            () = self.stopping.cancelled() => return None,
        };
        match read {
            Ok(Ok(source)) => Some(source.unwrap_or(self.peer)),
            Ok(Err(_)) | Err(_) => {
                metrics::counter!("portcullis_proxy_headers_refused_total").increment(1);
                None
            }
        }
    }

    /// Proxies bring the connections of many: they are not counted by their own address.
    fn take_of_address(&self, address: SocketAddr) -> Result<Option<Place>, ()> {
        let max = self.entrance.options.max_connections_per_address;
        if max.is_none() || self.entrance.door.options.proxies.trusts(address.ip()) {
            return Ok(None);
        }
        let taken = self
            .entrance
            .of_addresses
            .take(Some(address.ip()), None, max);
        taken.map(Some).map_err(drop)
    }
}

/// No descriptors or no memory left, for the process or for the system.
fn is_exhausted(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS and ENOMEM; the others concern one connection that is gone already.
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn connections_inherit_the_options_of_their_listener() {
        let listener = bind(("127.0.0.1", 0)).await.unwrap();
        set_options(&listener);
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, _peer) = tokio::join!(listener.accept(), connecting);
        let (stream, _) = accepted.unwrap();
        assert!(stream.nodelay().unwrap());
        let timeout = SockRef::from(&stream).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(UNREAD_TIMEOUT));
    }
}
