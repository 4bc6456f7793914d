//! One HTTP request, from its head to its response.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Once};

use http::header::{CONNECTION, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_KEY};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use portcullis_engineio as engineio;
use portcullis_engineio::{
    Known, Open, Query, Rejection, RejectionCode, SessionId, TransportName, Verdict as Wants,
};
use tokio::sync::mpsc;

use super::admission::{Admission, Full};
use super::compress::Coding;
use super::facts::{RemoteAddress, RequestFacts};
use super::gate::RequestHead;
use super::options::HttpOptions;
use super::respond::{self, Body};
use super::{Accept, Headers, LaterRequest, bundle};
use crate::random;
use crate::session::{
    self, Connection, Core, Places, Request as SessionRequest, SessionHandle, SessionHandler,
    Stream, Ticket,
};

/// What a server says that is about to go: another one takes newcomers at once.
const LEAVING: Full = Full {
    limit: "draining",
    message: "Server is shutting down",
    retry_after: 1,
};

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
        let mut response = match result {
            Ok(response) => response,
            Err(Failure::Cut) => {
                let mut response = respond::empty(StatusCode::BAD_REQUEST);
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
            Err(Failure::Status(status)) => {
                let label = status.as_u16().to_string();
                metrics::counter!("portcullis_requests_failed_total", "status" => label)
                    .increment(1);
                if status == StatusCode::UPGRADE_REQUIRED {
                    respond::upgrade_required()
                } else {
                    respond::empty(status)
                }
            }
            Err(Failure::Full(full)) => no_room(&full, exchange.is_upgrade),
            Err(Failure::Rejected(rejection)) => {
                let code = rejection.code();
                tracing::debug!(code = code.number(), "request rejected");
                metrics::counter!(
                    "portcullis_requests_rejected_total", "code" => code.message()
                )
                .increment(1);
                respond::rejection(&rejection, exchange.is_upgrade)
            }
        };
        merge(response.headers_mut(), cors_headers);
        if let (Some(hook), Some(head)) = (&self.options.headers, &exchange.head) {
            hook(response.headers_mut(), head);
        }
        response
    }

    /// Whether the page that asks, if it is one, may connect.
    fn allows_page(&self, parts: &Parts) -> bool {
        static TOLD: Once = Once::new();
        let (origins, cors) = (&self.options.origins, self.options.cors.as_ref());
        let allows = origins.allow(&parts.headers, &parts.uri, cors);
        if !allows {
            metrics::counter!("portcullis_origins_refused_total").increment(1);
            if origins.is_own() {
                TOLD.call_once(|| {
                    tracing::warn!(
                        "a page of another origin was refused: `origins` says which may connect, \
                         and a proxy must pass `Host` on"
                    );
                });
            }
        }
        allows
    }

    fn exchange(&self, parts: &Parts) -> Exchange {
        let address = self.address(parts);
        Exchange {
            query: Query::parse(parts.uri.query().unwrap_or("")),
            is_upgrade: is_upgrade(&parts.headers),
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
            Wants::Open(transport) => self.open(transport, exchange, parts).await,
            Wants::Upgrade => self.upgrade(mailbox, exchange, parts).await,
            Wants::Poll => self.poll(mailbox.ok_or(gone)?, exchange).await,
            Wants::Post => self.post(mailbox.ok_or(gone)?, parts, body).await,
            Wants::UnsupportedMethod => Err(Failure::Status(StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }

    /// Opens a session, if the gate lets it.
    async fn open(
        self: &Arc<Self>,
        transport: TransportName,
        exchange: &Exchange,
        parts: &mut Parts,
    ) -> Result<Response<Body>, Failure> {
        self.pass_end()?;
        let places = self.take_places(exchange)?;
        self.pass_gate(exchange).await?;
        let id = self.generate_id(exchange).await?;
        let facts = Arc::new(self.facts(exchange, parts));
        let mut response = match transport {
            TransportName::WebSocket => {
                let (on_upgrade, response) = prepare_upgrade(parts)?;
                let newcomer = Newcomer {
                    id,
                    facts,
                    places,
                    base64: exchange.query.base64(),
                    ticket: parts.extensions.remove::<Ticket>(),
                };
                let door = Arc::clone(self);
                self.core.spawn(async move {
                    door.open_websocket(on_upgrade, newcomer).await;
                });
                response
            }
            _ => {
                let open = self.open_packet(&id, transport);
                let cookie = self
                    .options
                    .cookie
                    .as_ref()
                    .and_then(|cookie| cookie.header(&id));
                let opened = self
                    .core
                    .open_polling(id, places, |session| self.accept_session(session, facts));
                opened.ok_or(RejectionCode::BadRequest)?;
                let mut response = respond::payload(open.into());
                if let Some(cookie) = cookie {
                    response
                        .headers_mut()
                        .insert(http::header::SET_COOKIE, cookie);
                }
                response
            }
        };
        if let (Some(hook), Some(head)) = (&self.options.initial_headers, &exchange.head) {
            hook(response.headers_mut(), head);
        }
        Ok(response)
    }

    async fn open_websocket(&self, on_upgrade: OnUpgrade, newcomer: Newcomer) {
        let Newcomer {
            id,
            facts,
            places,
            base64,
            ticket,
        } = newcomer;
        let Ok(upgraded) = on_upgrade.await else {
            return;
        };
        let open = self.open_packet(&id, TransportName::WebSocket);
        let upgraded = if base64 {
            // Only the session's task can write what must be translated first.
            Stream::from_upgraded_unshared(upgraded, ticket)
        } else {
            Stream::from_upgraded(upgraded, ticket)
        };
        let opened = self
            .core
            .open_websocket(id, places, upgraded, base64, &open, |session| {
                self.accept_session(session, facts)
            });
        if opened.is_none() {
            // Only an application's own generator makes an id twice.
            tracing::warn!("a session id was generated that is taken already");
        }
    }

    /// Puts a handler on top of a session that has just opened.
    fn accept_session(
        &self,
        session: SessionHandle,
        facts: Arc<RequestFacts>,
    ) -> Box<dyn SessionHandler> {
        if let Some(packet) = &self.options.initial_packet {
            session.send(&engineio::Message::Text(packet));
        }
        self.accept.accept(session, facts)
    }

    /// Hands a WebSocket to the session that it is for.
    async fn upgrade(
        &self,
        mailbox: Option<mpsc::Sender<SessionRequest>>,
        exchange: &Exchange,
        parts: &mut Parts,
    ) -> Result<Response<Body>, Failure> {
        self.pass_end()?;
        self.pass_gate(exchange).await?;
        let (on_upgrade, response) = prepare_upgrade(parts)?;
        let ticket = parts.extensions.remove::<Ticket>();
        self.core.spawn(async move {
            let Ok(upgraded) = on_upgrade.await else {
                return;
            };
            let (stream, read_ahead) = Stream::from_upgraded(upgraded, ticket).release();
            let refused = match mailbox {
                Some(mailbox) => {
                    let request = SessionRequest::Upgrade(stream, read_ahead);
                    mailbox.send(request).await.err().map(|error| error.0)
                }
                None => Some(SessionRequest::Upgrade(stream, read_ahead)),
            };
            if let Some(SessionRequest::Upgrade(stream, read_ahead)) = refused {
                session::close_stray(stream, read_ahead).await;
            }
        });
        Ok(response)
    }

    /// Whether a request for an open session comes from whom the session belongs to.
    async fn check_later(
        &self,
        connection: &Arc<Connection>,
        exchange: &Exchange,
        parts: &Parts,
    ) -> Result<(), Failure> {
        let judging = {
            let request = LaterRequest {
                headers: &parts.headers,
                query: parts.uri.query().unwrap_or(""),
                facts: &|| self.facts(exchange, parts),
            };
            let session = SessionHandle::new(Arc::clone(connection));
            self.accept.check_later(&session, &request)
        };
        let Some(judging) = judging else {
            return Ok(());
        };
        if judging.await {
            return Ok(());
        }
        let status = StatusCode::FORBIDDEN.as_u16();
        Err(Failure::Rejected(Rejection::forbidden(status, None)))
    }

    /// A server that is about to go sends newcomers elsewhere.
    fn pass_end(&self) -> Result<(), Failure> {
        if self.core.is_stopping() {
            return Err(Failure::Full(LEAVING));
        }
        Ok(())
    }

    /// Takes the place of one more session; an upgrade needs none.
    fn take_places(&self, exchange: &Exchange) -> Result<Places, Failure> {
        let address = exchange.address.map(|address| address.ip());
        let places = self.admission.admit(address);
        places.map_err(|full| {
            metrics::counter!("portcullis_limited_total", "limit" => full.limit).increment(1);
            Failure::Full(full)
        })
    }

    async fn pass_gate(&self, exchange: &Exchange) -> Result<(), Failure> {
        if let (Some(gate), Some(head)) = (&self.options.allow_request, &exchange.head) {
            gate(Arc::clone(head)).await.map_err(|refusal| {
                let status = refusal.status.as_u16();
                Failure::Rejected(Rejection::forbidden(status, refusal.message.as_deref()))
            })?;
        }
        Ok(())
    }

    async fn generate_id(&self, exchange: &Exchange) -> Result<SessionId, Failure> {
        if let (Some(generate), Some(head)) = (&self.options.generate_id, &exchange.head) {
            let id = generate(Arc::clone(head)).await;
            return id.map_err(|_| RejectionCode::BadRequest.into());
        }
        let random = random::id().map_err(|_| RejectionCode::BadRequest)?;
        Ok(SessionId::from_random(random))
    }

    /// Where the client is, past the proxies that are trusted.
    fn address(&self, parts: &Parts) -> Option<SocketAddr> {
        let peer = parts.extensions.get::<RemoteAddress>()?.0;
        Some(self.options.proxies.client(peer, &parts.headers))
    }

    fn open_packet(&self, id: &SessionId, transport: TransportName) -> String {
        let can_upgrade = self.options.allow_upgrades
            && self.options.transports.websocket
            && transport == TransportName::Polling;
        let options = self.core.options();
        let open = Open {
            sid: id,
            upgrades: if can_upgrade {
                &[TransportName::WebSocket]
            } else {
                &[]
            },
            ping_interval: options.timing.ping_interval,
            ping_timeout: options.timing.ping_timeout,
            max_payload: options.max_payload,
        };
        open.encode()
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

/// A session on its way in: what waits for its WebSocket.
struct Newcomer {
    id: SessionId,
    facts: Arc<RequestFacts>,
    places: Places,
    base64: bool,
    ticket: Option<Ticket>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}

/// Checks the request for a WebSocket (RFC 6455 section 4.2.1) and makes its response.
fn prepare_upgrade(parts: &mut Parts) -> Result<(OnUpgrade, Response<Body>), Failure> {
    let version = parts.headers.get(SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        return Err(Failure::Status(StatusCode::UPGRADE_REQUIRED));
    }
    let key = parts
        .headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24);
    let key = key.ok_or(RejectionCode::BadRequest)?;
    let response = session::switching(key.as_bytes());
    let on_upgrade = parts.extensions.remove::<OnUpgrade>();
    // Without it the server in front cannot switch protocols.
    let on_upgrade = on_upgrade.ok_or(Failure::Status(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok((on_upgrade, response))
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let has_token = |name, token: &str| {
        headers.get_all(name).iter().any(|value| {
            value.to_str().is_ok_and(|text| {
                text.split(',')
                    .any(|part| part.trim().eq_ignore_ascii_case(token))
            })
        })
    };
    has_token(CONNECTION, "upgrade") && has_token(UPGRADE, "websocket")
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
