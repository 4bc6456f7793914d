//! Opens a session, or hands a WebSocket to the session that is open.
//!
//! ```text
//!              a place, allow_request, an id
//!  handshake ──┬─ polling ───▶ session ─▶ response with the open packet
//!              └─ WebSocket ─▶ 101 ─▶ a task: upgraded ─▶ open packet ─▶ session
//!
//!              allow_request
//!  upgrade ────▶ 101 ─▶ a task: upgraded ─▶ mailbox of the session
//!                                             └─ gone meanwhile: the WebSocket is closed
//! ```
//!
//! # Invariants
//!
//! - A place is held from before the gate is asked until the session ends, or is not opened.
//! - Nothing is upgraded before every check has passed.
//!
//! # Not here
//!
//! The checks themselves (`checks`), and how a session tries a WebSocket out (`session`).

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use portcullis_engineio::{Message, Open, RejectionCode, SessionId, TransportName};
use tokio::sync::mpsc;

use super::{Door, Exchange, Failure};
use crate::handshake::facts::RequestFacts;
use crate::handshake::respond::{self, Body};
use crate::random;
use crate::session::{
    self, NoKey, Opened, Places, Request as SessionRequest, SessionHandle, SessionHandler, Stream,
};

/// A session on its way in: what waits for its WebSocket.
struct Newcomer {
    id: SessionId,
    facts: Arc<RequestFacts>,
    places: Places,
    base64: bool,
}

impl Door {
    /// Opens a session, if the gate lets it.
    pub(super) async fn open(
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
                    response.headers_mut().insert(SET_COOKIE, cookie);
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
        } = newcomer;
        let Ok(upgraded) = on_upgrade.await else {
            return;
        };
        let open = self.open_packet(&id, TransportName::WebSocket);
        let opened = self.core.open_websocket(
            id,
            places,
            opened(upgraded, base64),
            base64,
            &open,
            |session| self.accept_session(session, facts),
        );
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
            session.send(&Message::Text(packet));
        }
        self.accept.accept(session, facts)
    }

    /// Hands a WebSocket to the session that it is for.
    pub(super) async fn upgrade(
        &self,
        mailbox: Option<mpsc::Sender<SessionRequest>>,
        exchange: &Exchange,
        parts: &mut Parts,
    ) -> Result<Response<Body>, Failure> {
        self.pass_end()?;
        self.pass_gate(exchange).await?;
        let (on_upgrade, response) = prepare_upgrade(parts)?;
        let base64 = exchange.query.base64();
        self.core.spawn(async move {
            let Ok(upgraded) = on_upgrade.await else {
                return;
            };
            let (stream, read_ahead) = opened(upgraded, base64).release();
            let request = SessionRequest::Upgrade(stream, read_ahead, base64);
            let refused = match mailbox {
                Some(mailbox) => mailbox.send(request).await.err().map(|error| error.0),
                None => Some(request),
            };
            if let Some(SessionRequest::Upgrade(stream, read_ahead, _)) = refused {
                session::close_stray(stream, read_ahead).await;
            }
        });
        Ok(response)
    }

    async fn generate_id(&self, exchange: &Exchange) -> Result<SessionId, Failure> {
        if let (Some(generate), Some(head)) = (&self.options.generate_id, &exchange.head) {
            let id = generate(Arc::clone(head)).await;
            return id.map_err(|_| RejectionCode::BadRequest.into());
        }
        let random = random::id().map_err(|_| RejectionCode::BadRequest)?;
        Ok(SessionId::from_random(random))
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
}

/// The stream of a connection that has left HTTP. Only the session's task can write what must be
/// translated first.
fn opened(upgraded: Upgraded, base64: bool) -> Opened {
    if base64 {
        Stream::from_upgraded_unshared(upgraded)
    } else {
        Stream::from_upgraded(upgraded)
    }
}

/// Checks the request for a WebSocket (RFC 6455 section 4.2.1) and makes its response.
fn prepare_upgrade(parts: &mut Parts) -> Result<(OnUpgrade, Response<Body>), Failure> {
    let key = session::key(&parts.headers).map_err(|no_key| match no_key {
        NoKey::Version => Failure::Status(StatusCode::UPGRADE_REQUIRED),
        NoKey::Key => RejectionCode::BadRequest.into(),
    })?;
    let response = session::switching(key.as_bytes());
    let on_upgrade = parts.extensions.remove::<OnUpgrade>();
    // Without it the server in front cannot switch protocols.
    let on_upgrade = on_upgrade.ok_or(Failure::Status(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok((on_upgrade, response))
}
