//! The one way into a namespace, behind every transport.
//!
//! ```text
//!  namespace exists? ─▶ authenticated? ─▶ middlewares ─▶ on_connect ─▶ admitted
//!        │                   │                 │             │
//!  Invalid namespace    Unauthorized           └─ refused ───┘
//! ```
//!
//! # Invariants
//!
//! - No step runs before the one ahead of it has said yes; the authenticator runs once.
//! - A socket that is refused, or whose client goes away meanwhile, leaves nothing behind.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use portcullis_socketio::client::ClientLimits;
use portcullis_socketio::codec::{Codec, Limits};
use portcullis_socketio::ids::{NamespacePath, SocketId};
use portcullis_socketio::packet::Auth;

use crate::auth::{self, Attempt, Authenticator, Identity, Refusal, RefusalCode};
use crate::clock::Clock;
use crate::handshake::RequestFacts;
use crate::namespace::{DisconnectReason, Found, Namespaces, Opened, SocketInner, SocketParts};
use crate::pace::Rate;
use crate::session::Connection;

/// What the gate is told at start.
#[derive(Debug, Clone)]
pub(crate) struct GateOptions {
    pub(crate) codec: Codec,
    pub(crate) codec_limits: Limits,
    pub(crate) client_limits: ClientLimits,
    pub(crate) verify_timeout: Duration,
    pub(crate) handler_timeout: Duration,
    /// How many events a socket may send.
    pub(crate) event_rate: Option<Rate>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Decides who may join which namespace.
pub(crate) struct Gate {
    options: GateOptions,
    namespaces: Arc<Namespaces>,
    authenticator: Option<Arc<dyn Authenticator>>,
    secret_fields: Vec<String>,
}

/// Why a client may not join, and whether its credentials were the reason.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) is_unauthorized: bool,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            is_unauthorized: false,
        }
    }
}

impl From<RefusalCode> for Refused {
    fn from(code: RefusalCode) -> Self {
        Self {
            refusal: code.into(),
            is_unauthorized: true,
        }
    }
}

fn timed_out() -> Refusal {
    Refusal::new("Connection timed out")
}

pub(super) fn invalid_namespace() -> Refusal {
    Refusal::new("Invalid namespace")
}

impl Gate {
    pub(crate) fn new(
        options: GateOptions,
        namespaces: Arc<Namespaces>,
        authenticator: Option<Arc<dyn Authenticator>>,
    ) -> Self {
        let secret_fields = authenticator
            .as_ref()
            .map_or_else(Vec::new, |auth| auth.secret_fields());
        Self {
            options,
            namespaces,
            authenticator,
            secret_fields,
        }
    }

    pub(super) const fn codec(&self) -> Codec {
        self.options.codec
    }

    pub(super) const fn event_rate(&self) -> Option<Rate> {
        self.options.event_rate
    }

    pub(super) const fn codec_limits(&self) -> &Limits {
        &self.options.codec_limits
    }

    pub(super) const fn client_limits(&self) -> &ClientLimits {
        &self.options.client_limits
    }

    /// Takes one CONNECT from its packet to a socket that is ready to enter.
    pub(super) fn admit(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Arc<RequestFacts>,
        namespace: NamespacePath,
        auth: Auth,
    ) -> BoxFuture<'static, Result<Admitted, Refused>> {
        async move {
            let attempt = Attempt::new(request, namespace, auth, Arc::clone(&self.options.clock));
            let handshake = attempt.handshake();
            let finding = self.namespaces.find(attempt.namespace(), &handshake);
            let found = tokio::time::timeout(self.options.handler_timeout, finding)
                .await
                .map_err(|_| timed_out())?
                .ok_or_else(invalid_namespace)?;
            let identity = self.identify(&found, &attempt).await?;
            let opened = found.open();
            let kept_secrets: &[String] = &self.secret_fields;
            let drop_fields = if identity.is_some() {
                kept_secrets
            } else {
                &[]
            };
            let mut random = [0; 15];
            getrandom::fill(&mut random).map_err(|_| RefusalCode::AuthUnavailable)?;
            let socket = Arc::new(SocketInner::new(SocketParts {
                id: SocketId::from_random(random),
                namespace: Arc::clone(opened.namespace()),
                connection,
                handshake: attempt.into_handshake(drop_fields),
                identity,
            }));
            // Ends the socket on every way out but the last.
            let admitted = Admitted(Arc::new(Seated { socket, opened }));
            let dispatch = admitted.socket().namespace().dispatch();
            let connecting = dispatch.connect(Arc::clone(admitted.socket()).into());
            match tokio::time::timeout(self.options.handler_timeout, connecting).await {
                Ok(result) => result?,
                Err(_) => return Err(timed_out().into()),
            }
            Ok(admitted)
        }
        .boxed()
    }

    async fn identify(
        &self,
        found: &Found,
        attempt: &Attempt,
    ) -> Result<Option<Identity>, RefusalCode> {
        if found.dispatch().is_public() {
            return Ok(None);
        }
        if matches!(attempt.raw_auth(), Auth::TooLarge | Auth::TooDeep) {
            // Refused without a look: the authenticator is not for hire.
            return Err(RefusalCode::TokenInvalid);
        }
        // The builder does not build a server with a guarded namespace and no authenticator.
        let authenticator = self
            .authenticator
            .as_ref()
            .ok_or(RefusalCode::AuthUnavailable)?;
        let timeout = self.options.verify_timeout;
        let identity = auth::authenticate(&**authenticator, attempt, timeout).await;
        let outcome = identity
            .as_ref()
            .map_or_else(|code| code.as_str(), |_| "ok");
        metrics::counter!("portcullis_authentications_total", "outcome" => outcome).increment(1);
        identity.map(Some)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}

/// A socket that may enter, or has; the last one to let go of it ends it.
#[derive(Debug, Clone)]
pub(super) struct Admitted(Arc<Seated>);

#[derive(Debug)]
struct Seated {
    socket: Arc<SocketInner>,
    /// Keeps a namespace that was made on demand.
    #[expect(dead_code, reason = "held for its drop")]
    opened: Opened,
}

impl Admitted {
    pub(super) fn socket(&self) -> &Arc<SocketInner> {
        &self.0.socket
    }

    /// Lets the socket in: from here on broadcasts reach it, behind the CONNECT reply.
    pub(super) fn enter(&self) {
        let socket = self.socket();
        socket.namespace().insert(socket);
        socket.accept();
        metrics::counter!("portcullis_sockets_connected_total").increment(1);
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.socket.end(DisconnectReason::TransportClose);
    }
}
