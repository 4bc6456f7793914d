//! A door for those who run the server: is it alive, may it be sent clients?
//!
//! | request       | answer                                                                    |
//! |---------------|---------------------------------------------------------------------------|
//! | `GET /livez`  | 200 `{"status":"alive"}`, for as long as the process can answer           |
//! | `GET /readyz` | 200 `{"status":"ready"}`                                                  |
//! |               | 503 `{"because":["draining","redis"],"status":"unready"}`                 |
//! | `HEAD` of them| the same without a body                                                   |
//! | other methods | 405                                                                       |
//! | other paths   | 404                                                                       |
//!
//! # Invariants
//!
//! - It has a listener of its own, on loopback unless the application says otherwise: nothing here
//!   can be reached through the port of the clients.
//! - Liveness depends on nothing but the process. A cluster that is away makes a node unready, and
//!   restarting it would only take its clients away too.
//! - A node that has not reached its cluster yet is unready; one that has lost it is, after 5 s.
//! - A node is unready from the moment at which its shutdown begins, and is asked until its end.
//! - What a peer can take is bounded: connections, the head of a request, the time for both.
//!
//! # Not here
//!
//! When shutdown begins (`server`), and how the cluster is (`adapter`).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::adapter::{Adapter, Health};
use crate::tasks::Tasks;

/// Probes come one at a time; more connections than this are somebody else's.
const MAX_CONNECTIONS: usize = 64;

/// How long one connection may take, from its first byte to its last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes: hyper's least.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// How long the cluster may be away before a node that was in it is unready. All nodes lose it at
/// the same time: were they unready at once, a short loss would leave clients with nobody.
const CLUSTER_GRACE: Duration = Duration::from_secs(5);

/// How long accepting pauses when the system refuses it.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Whether this node should be sent clients.
#[derive(Debug)]
pub(crate) struct Readiness {
    is_draining: AtomicBool,
    /// Whether the cluster has been seen at all.
    was_up: AtomicBool,
    adapter: Arc<dyn Adapter>,
}

impl Readiness {
    pub(crate) const fn new(adapter: Arc<dyn Adapter>) -> Self {
        Self {
            is_draining: AtomicBool::new(false),
            was_up: AtomicBool::new(false),
            adapter,
        }
    }

    /// Shutdown has begun: this node is not ready any more, and will not be again.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// What stands between this node and new clients; nothing if it is ready.
    pub(crate) fn obstacles(&self) -> Vec<&'static str> {
        let draining = self.is_draining.load(Ordering::Acquire);
        let mut obstacles: Vec<_> = draining.then_some("draining").into_iter().collect();
        if self.misses_cluster() {
            obstacles.push(self.adapter.name());
        }
        obstacles
    }

    fn misses_cluster(&self) -> bool {
        match self.adapter.health() {
            Health::Up => {
                self.was_up.store(true, Ordering::Relaxed);
                false
            }
            // Half of a cluster is none: what others say, or what is said here, does not arrive.
            Health::Degraded { since, .. } | Health::Down { since, .. } => {
                since >= CLUSTER_GRACE || !self.was_up.load(Ordering::Relaxed)
            }
        }
    }
}

/// Answers on `listener` until the services of `tasks` are stopped.
pub(crate) fn start(listener: TcpListener, readiness: Arc<Readiness>, tasks: &Tasks) {
    let connections = tasks.clone();
    tasks.spawn_service(async move {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // Waiting for a place before accepting leaves the rest to the system's backlog.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let readiness = Arc::clone(&readiness);
                    connections.spawn_service(async move {
                        connection(stream, readiness).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the management listener cannot accept for now");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    });
}

/// Answers one request.
async fn connection(stream: TcpStream, readiness: Arc<Readiness>) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let response = answer(request.method(), request.uri().path(), &readiness);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // A probe that hangs up or dawdles has lost its answer, which is its own affair.
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, serving).await;
}

fn answer(method: &Method, path: &str, readiness: &Readiness) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/livez" => (StatusCode::OK, r#"{"status":"alive"}"#.to_owned()),
        "/readyz" => ready(&readiness.obstacles()),
        _ => return plain(StatusCode::NOT_FOUND),
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    let mut response = plain(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // hyper leaves the body of a HEAD away, and keeps its length.
    *response.body_mut() = Full::from(body);
    response
}

fn ready(obstacles: &[&'static str]) -> (StatusCode, String) {
    if obstacles.is_empty() {
        return (StatusCode::OK, r#"{"status":"ready"}"#.to_owned());
    }
    let because = serde_json::json!({ "status": "unready", "because": obstacles });
    (StatusCode::SERVICE_UNAVAILABLE, because.to_string())
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
