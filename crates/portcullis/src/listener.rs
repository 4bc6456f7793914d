//! Accepting connections within limits, and letting go of them in good order.
//!
//! ```text
//!  accept ─▶ HTTP/1.1, head within 10 s and 16 KiB ─▶ the engine's path? ─▶ engine
//!                                                               └──────────▶ fallback
//! ```
//!
//! # Invariants
//!
//! - Running out of file descriptors pauses accepting; it ends nothing.
//! - After shutdown has begun no new session opens; the sessions that are there end, and their
//!   `on_disconnect` is awaited.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::handshake::{Body, Door, HeldBack, RemoteAddress};
use crate::tasks::Tasks;

/// The time within which the head of a request must have arrived.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes, and the most headers in it.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// How long a peer may leave unacknowledged what it was sent, be it silent or not reading.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long accepting pauses when the system has no more descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How long everything may take to end after shutdown has begun.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

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

/// Serves until `shutdown` is ready, then ends everything in good order: `close` ends the sessions
/// and what stands behind them.
pub(crate) async fn serve<S, B>(
    door: Arc<Door>,
    close: impl Future<Output = ()>,
    listener: TcpListener,
    fallback: S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (stopping, accepting) = (CancellationToken::new(), CancellationToken::new());
    let connections = Tasks::default();
    let accept = accept(
        listener,
        door,
        fallback,
        connections.clone(),
        stopping.clone(),
    );
    // A task like those of the connections: whoever awaits this may sit on a thread of its own, and
    // each connection would be handed from there to another.
    let accept = accepting.clone().run_until_cancelled_owned(accept);
    connections.spawn(async move {
        accept.await;
    });
    let accepting = accepting.drop_guard();
    shutdown.await;
    drop(accepting);
    tracing::info!("shutting down");
    // Requests in flight are answered, polls by the end of their session; after that a client must
    // connect anew, which leads it elsewhere.
    stopping.cancel();
    let end = async {
        close.await;
        connections.finished().await;
    };
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, end).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
}

/// Accepts connections, and serves each in a task of its own.
async fn accept<S, B>(
    listener: TcpListener,
    door: Arc<Door>,
    fallback: S,
    connections: Tasks,
    stopping: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let (door, fallback) = (Arc::clone(&door), fallback.clone());
                let stopping = stopping.clone();
                connections.spawn(connection(door, fallback, stream, address, stopping));
            }
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

/// Serves one connection until it ends or leaves HTTP.
async fn connection<S, B>(
    door: Arc<Door>,
    fallback: S,
    stream: TcpStream,
    address: SocketAddr,
    stopping: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let _ = stream.set_nodelay(true);
    // HTTP has no deadline for writing, and a peer with a full buffer acknowledges for ever.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_TIMEOUT));
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&has_begun);
    let for_session = Arc::new(AtomicBool::new(false));
    let stream = HeldBack::new(stream, Arc::clone(&for_session));
    let service = service_fn(move |mut request: Request<Incoming>| {
        begun.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(RemoteAddress(address));
        let (door, mut fallback) = (Arc::clone(&door), fallback.clone());
        let is_ours = door.options.owns(request.uri().path());
        for_session.store(is_ours, Ordering::Relaxed);
        async move {
            if is_ours {
                let response = door.handle(request).await;
                return Ok::<_, Infallible>(response.map(any_body));
            }
            std::future::poll_fn(|cx| fallback.poll_ready(cx)).await?;
            Ok(fallback.call(request).await?.map(any_body))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopping.cancelled() => {
            if !has_begun.load(Ordering::Relaxed) {
                // hyper would wait for a first request, which browsers connect ahead of.
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP connection failed");
    }
}

fn any_body<B>(body: B) -> AnyBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// No descriptors or no memory left, for the process or for the system.
fn is_exhausted(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS and ENOMEM; the others concern one connection that is gone already.
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// Ready when the process is asked to stop: SIGTERM, or Ctrl-C.
///
/// # Panics
///
/// If the system does not let the process listen for signals.
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate =
            signal(SignalKind::terminate()).expect("a process may listen for SIGTERM");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
    }
}
