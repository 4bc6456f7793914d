//! One HTTP request, from its head to its response.
//!
//! ```text
//!  request ─▶ CORS ─▶ origin ─▶ Engine.IO's rules ─┬─ handshake, upgrade ─▶ open
//!                                                  └─ poll, post ─────────▶ polling
//! ```
//!
//! # Invariants
//!
//! - What the engine answers, be it a refusal, has the headers of CORS and went by the `headers`
//!   hook. Preflights and the files of the client are answered ahead of it.
//! - Nothing is done for a page of another origin.
//!
//! # Not here
//!
//! What else is asked (`checks`), what is done for handshakes and upgrades (`open`), and the
//! requests of a session that polls (`polling`).

mod checks;
mod open;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONNECTION, ORIGIN, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use portcullis_engineio as engineio;
use portcullis_engineio::{Known, Query, Rejection, RejectionCode, TransportName, Wanted};

use super::admission::{Admission, Full};
use super::compress::Coding;
use super::facts::{RemoteAddress, RequestFacts};
use super::gate::RequestHead;
use super::options::HttpOptions;
use super::respond::{self, Body};
use super::{Accept, Headers, bundle};
use crate::session::{self, Core};

/// The way into an engine: it turns requests into sessions.
pub(crate) struct Door {
    pub(crate) core: Arc<Core>,
    pub(crate) options: HttpOptions,
    pub(crate) admission: Admission,
    pub(crate) accept: Box<dyn Accept>,
}

/// What one request is about.
pub(super) struct Exchange {
    query: Query,
    is_upgrade: bool,
    address: Option<SocketAddr>,
    head: Option<Arc<RequestHead>>,
    pub(super) coding: Option<Coding>,
}

/// How a request failed to get what it wants.
pub(super) enum Failure {
    Rejected(Rejection),
    Status(StatusCode),
    /// There is no room, or the server is about to go.
    Full(Full),
    /// The session ended in the middle of the request: its connection ends too.
    Cut,
}

impl From<RejectionCode> for Failure {
    fn from(code: RejectionCode) -> Self {
        Self::Rejected(code.into())
    }
}

impl Door {
    /// Answers one request.
    pub(crate) async fn handle<B>(self: Arc<Self>, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let (mut parts, body) = request.into_parts();
        if let Some(directory) = &self.options.serve_client
            && let Some(name) = bundle::file_name(parts.uri.path())
        {
            return bundle::serve(directory.clone(), name, &parts.headers).await;
        }
        let mut cors_headers = HeaderMap::new();
        if let Some(cors) = &self.options.cors {
            cors.decorate(&parts.headers, &mut cors_headers);
            if parts.method == http::Method::OPTIONS {
                let mut response = respond::empty(StatusCode::NO_CONTENT);
                *response.status_mut() = cors.preflight(&parts.headers, &mut cors_headers);
                merge(response.headers_mut(), cors_headers);
                return response;
            }
        }
        let exchange = self.exchange(&parts);
        let result = if self.allows_page(&parts) {
            self.answer(&exchange, &mut parts, body).await
        } else {
            let forbidden = StatusCode::FORBIDDEN.as_u16();
            Err(Failure::Rejected(Rejection::forbidden(forbidden, None)))
        };
        let mut response = result.unwrap_or_else(|failure| failed(failure, exchange.is_upgrade));
        merge(response.headers_mut(), cors_headers);
        if let (Some(hook), Some(head)) = (&self.options.headers, &exchange.head) {
            hook(response.headers_mut(), head);
        }
        response
    }

    fn exchange(&self, parts: &Parts) -> Exchange {
        let address = self.address(parts);
        Exchange {
            query: Query::parse(parts.uri.query().unwrap_or("")),
            is_upgrade: session::is_upgrade(&parts.headers),
            address,
            head: self.options.wants_head().then(|| {
                Arc::new(RequestHead {
                    method: parts.method.clone(),
                    uri: parts.uri.clone(),
                    headers: parts.headers.clone(),
                    address,
                })
            }),
            coding: self
                .options
                .compression_threshold
                .and_then(|_| Coding::accepted(&parts.headers)),
        }
    }

    async fn answer<B>(
        self: &Arc<Self>,
        exchange: &Exchange,
        parts: &mut Parts,
        body: B,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let connection = exchange.query.sid().and_then(|sid| self.core.find(sid));
        let mailbox = connection
            .as_ref()
            .and_then(|connection| connection.mailbox());
        let known = match (&connection, &mailbox) {
            (None, _) => Known::Nothing,
            (Some(_), Some(_)) => Known::Session(TransportName::Polling),
            (Some(_), None) => Known::Session(TransportName::WebSocket),
        };
        let request = engineio::Request {
            method: match parts.method {
                http::Method::GET => engineio::Method::Get,
                http::Method::POST => engineio::Method::Post,
                _ => engineio::Method::Other,
            },
            is_upgrade: exchange.is_upgrade,
            query: &exchange.query,
            origin_is_valid: origin_is_valid(&parts.headers),
            transports: self.options.transports,
            known,
        };
        let gone = RejectionCode::SessionUnknown;
        let wanted = request.verify()?;
        if let Some(connection) = &connection {
            self.check_later(connection, exchange, parts).await?;
        }
        match wanted {
            Wanted::Open(transport) => self.open(transport, exchange, parts).await,
            Wanted::Upgrade => self.upgrade(mailbox, exchange, parts).await,
            Wanted::Poll => self.poll(mailbox.ok_or(gone)?, exchange).await,
            Wanted::Post => self.post(mailbox.ok_or(gone)?, parts, body).await,
            // As Node does.
            Wanted::UnsupportedMethod => Err(Failure::Status(StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }

    /// Where the client is, past the proxies that are trusted.
    fn address(&self, parts: &Parts) -> Option<SocketAddr> {
        let peer = parts.extensions.get::<RemoteAddress>()?.0;
        Some(self.options.proxies.client(peer, &parts.headers))
    }

    fn facts(&self, exchange: &Exchange, parts: &Parts) -> RequestFacts {
        // A target in absolute form (RFC 9112 section 3.2.2) names a scheme and a host, which in
        // HTTP/1 are nothing but what the client says.
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let is_https = parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        RequestFacts {
            url: target.into(),
            headers: Headers::keep(&parts.headers, &self.options.header_policy),
            address: exchange.address,
            secure: is_https && parts.version >= http::Version::HTTP_2,
            issued: self.options.clock.now(),
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}

/// Node's check: visible characters, spaces and tabs, and what lies beyond ASCII.
fn origin_is_valid(headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        origin
            .as_bytes()
            .iter()
            .all(|byte| *byte == b'\t' || *byte >= b' ')
    })
}

/// Answers a request that does not get what it wants, and counts it.
fn failed(failure: Failure, is_upgrade: bool) -> Response<Body> {
    match failure {
        Failure::Cut => {
            let mut response = respond::empty(StatusCode::BAD_REQUEST);
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
        Failure::Status(status) => {
            let label = status.as_u16().to_string();
            metrics::counter!("portcullis_requests_failed_total", "status" => label).increment(1);
            if status == StatusCode::UPGRADE_REQUIRED {
                respond::upgrade_required()
            } else {
                respond::empty(status)
            }
        }
        Failure::Full(full) => no_room(&full, is_upgrade),
        Failure::Rejected(rejection) => {
            let code = rejection.code();
            tracing::debug!(code = code.number(), "request rejected");
            metrics::counter!("portcullis_requests_rejected_total", "code" => code.message())
                .increment(1);
            respond::rejection(&rejection, is_upgrade)
        }
    }
}

/// 503, in the form that the transport expects, and when to try again.
fn no_room(full: &Full, is_upgrade: bool) -> Response<Body> {
    let status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
    let rejection = Rejection::forbidden(status, Some(full.message));
    let mut response = respond::rejection(&rejection, is_upgrade);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(full.retry_after));
    response
}

fn merge(response: &mut HeaderMap, extra: HeaderMap) {
    let mut last = None;
    for (name, value) in extra {
        last = name.or(last);
        if let Some(name) = &last {
            response.append(name.clone(), value);
        }
    }
}
