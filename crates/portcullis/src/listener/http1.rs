//! HTTP on one connection: heads within limits, the engine's requests to the engine, all others to
//! what stands behind it.
//!
//! # Invariants
//!
//! - A request whose end can be read in two ways (RFC 9112 section 6.3) is answered with 400, and
//!   nothing behind it is read.
//! - A connection that is told to stop answers what it has begun, and no more.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{AnyBody, Fallback, HEADER_TIMEOUT};
use crate::handshake::{Body, Door, RemoteAddress};
use crate::session::{HeldBack, Overheard, Ticket};

/// The largest head of a request, in bytes, and the most headers in it.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// Serves the requests of one connection until it ends or leaves HTTP.
pub(super) async fn serve(
    door: Arc<Door>,
    fallback: impl Fallback,
    stream: TcpStream,
    address: SocketAddr,
    ticket: Ticket,
    stopping: CancellationToken,
) {
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&has_begun);
    let overheard = Arc::new(Overheard::default());
    let stream = HeldBack::new(stream, ticket, Arc::clone(&overheard));
    let heard = Arc::clone(&overheard);
    let service = service_fn(move |mut request: Request<Incoming>| {
        begun.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(RemoteAddress(address));
        let (door, mut fallback) = (Arc::clone(&door), fallback.clone());
        let is_ours = door.options.owns(request.uri().path());
        overheard.for_session.store(is_ours, Ordering::Relaxed);
        let is_ambiguous = is_ambiguous(request.headers(), &overheard);
        async move {
            if is_ambiguous {
                return Ok(bad_request().map(any_body));
            }
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
        if error.is_timeout() && heard.is_idle.load(Ordering::Relaxed) {
            // Kept alive for a request that did not come.
            return;
        }
        let kind = kind(&error);
        metrics::counter!("portcullis_http_errors_total", "kind" => kind).increment(1);
        tracing::debug!(kind, "HTTP connection failed");
    }
}

/// Whether a request ends at two places: it is chunked, and a head that has come claims a length,
/// too, which hyper dropped. The first such request is the last.
fn is_ambiguous(headers: &HeaderMap, overheard: &Overheard) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && overheard.ambiguous_heads.load(Ordering::Relaxed) > 0
}

/// 400, and the end of the connection: where its next request begins is anybody's guess.
fn bad_request() -> Response<Body> {
    metrics::counter!("portcullis_http_errors_total", "kind" => "ambiguous_length").increment(1);
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Why HTTP ended early. The error itself may quote the peer.
fn kind(error: &hyper::Error) -> &'static str {
    if error.is_parse_too_large() {
        "head_too_large"
    } else if error.is_timeout() {
        "head_timeout"
    } else if error.is_parse() {
        "malformed"
    } else {
        "connection"
    }
}

fn any_body<B>(body: B) -> AnyBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}
