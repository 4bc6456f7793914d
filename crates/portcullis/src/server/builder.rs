//! What a server is told before it runs.

mod build;
mod check;
mod declared;
mod gateways;
mod identity;
mod outside;
mod pressure;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::HeaderMap;
use portcullis_engineio::{SessionId, Transports};
use portcullis_socketio::client::ClientLimits;
use portcullis_socketio::codec::{Codec, Limits};
use portcullis_socketio::ids::{NamespaceError, NamespacePath};

use self::declared::Declared;
use super::Drain;
use crate::adapter::{Adapter, AdapterError, InMemory};
use crate::auth::{
    Attempt, Authenticator, ExpiryPlan, FromFn, Identity, PrepareError, RefusalCode,
};
use crate::broadcast::{Emitter, GapHook};
use crate::client::GateOptions;
use crate::clock::{Clock, SystemClock};
use crate::gateway::{Everywhere, InitError};
use crate::handshake::{
    AdmissionOptions, Cookie, Cors, GateRefusal, HeaderPolicy, HttpOptions, IdError, RequestHead,
};
use crate::listener::ListenerOptions;
use crate::namespace::{ClusterSlot, NamespaceLimits};
use crate::revocation::{Revocations, WhileUnread};
use crate::session::{CoreOptions, IfSlow};

/// What keeps a server from being built: every problem, one line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// What was said to the builder does not make a server.
    #[error("the server cannot be built: {}", problems.join("; "))]
    Invalid {
        /// All problems.
        problems: Vec<String>,
    },
    /// A name that was asked for an emitter cannot be a namespace; this lets `?` pass it on.
    #[error("there cannot be such a namespace")]
    Namespace(#[from] NamespaceError),
    /// The adapter could not join the cluster.
    #[error("the cluster cannot be joined")]
    Adapter(#[from] AdapterError),
    /// The authenticator has to be ready at start, and is not.
    #[error("nobody could be authenticated")]
    Authenticator(#[from] PrepareError),
    /// The management listener's address cannot be listened on.
    #[error("cannot listen on {address} for management")]
    Management {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A gateway's `on_init` failed.
    #[error("{gateway} could not start")]
    Init {
        /// The gateway.
        gateway: String,
        /// What it said.
        source: InitError,
    },
}

/// Describes a server. Every method may be called in any order; problems are reported together
/// by [`Self::build`].
pub struct ServerBuilder {
    http: HttpOptions,
    trailing_slash: bool,
    core: CoreOptions,
    gate: GateOptions,
    namespace_limits: NamespaceLimits,
    cleanup_children: bool,
    authenticator: Option<Arc<dyn Authenticator>>,
    revocations: Revocations,
    while_unread: WhileUnread,
    longest_token_life: Option<Duration>,
    admission: AdmissionOptions,
    listener: ListenerOptions,
    drain: Drain,
    adapter: Arc<dyn Adapter>,
    management: Option<SocketAddr>,
    on_gap: Option<GapHook>,
    declared: Vec<Declared>,
    everywhere: Everywhere,
    /// The options that were set, as they were set: one that is set twice has to agree with itself.
    said: Vec<(&'static str, String)>,
    slot: ClusterSlot,
    shards: usize,
    problems: Vec<String>,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        let core = CoreOptions::usual();
        Self {
            http: HttpOptions::default(),
            trailing_slash: true,
            gate: GateOptions {
                codec: Codec::Json,
                codec_limits: Limits::new().max_attachment_bytes(core.max_payload),
                client_limits: ClientLimits::new(),
                verify_timeout: Duration::from_secs(5),
                max_verifications: 4096,
                handler_timeout: Duration::from_secs(30),
                event_rate: None,
                clock: Arc::new(SystemClock),
                expiry: ExpiryPlan::default(),
                allows_several_subjects: false,
                has_user_rooms: true,
                user_limit: None,
            },
            core,
            namespace_limits: NamespaceLimits {
                rooms_per_socket: 1000,
                acks_per_socket: 1000,
                handler_timeout: Duration::from_secs(30),
            },
            cleanup_children: true,
            authenticator: None,
            revocations: Revocations::new(),
            while_unread: WhileUnread::default(),
            longest_token_life: None,
            admission: AdmissionOptions::default(),
            listener: ListenerOptions::default(),
            drain: Drain::default(),
            adapter: Arc::new(InMemory),
            management: None,
            on_gap: None,
            declared: Vec::new(),
            everywhere: Everywhere::default(),
            said: Vec::new(),
            slot: Arc::new(OnceLock::new()),
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            problems: Vec::new(),
        }
    }

    /// Guards every namespace, static or made on demand, that does not say that it is public.
    #[must_use]
    pub fn authenticate(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// As [`Self::authenticate`], with an async function.
    #[must_use]
    pub fn authenticate_with<F, Fut>(self, authenticate: F) -> Self
    where
        F: Fn(Arc<Attempt>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Identity, RefusalCode>> + Send + 'static,
    {
        self.authenticate(FromFn(authenticate))
    }

    /// The way to the sockets of a namespace, for whatever is made before the server runs.
    ///
    /// # Errors
    ///
    /// If the name cannot be a namespace.
    pub fn emitter(&self, namespace: &str) -> Result<Emitter, NamespaceError> {
        let namespace = NamespacePath::parse(namespace)?;
        Ok(Emitter::new(Arc::clone(&self.slot), namespace))
    }

    /// The path of the engine. Default: `/socket.io`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.say("path", &path);
        path.clone_into(&mut self.http.path);
        self
    }

    /// Whether the path ends in a slash, as stock clients expect. Default: true.
    #[must_use]
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.say("add_trailing_slash", &add);
        self.trailing_slash = add;
        self
    }

    /// How often the server pings. Default: 25 s. At least 1 ms.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.say("ping_interval", &interval);
        self.core.timing.ping_interval = interval;
        self
    }

    /// How long the answer to a ping may take. Default: 20 s. At least 1 ms.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.say("ping_timeout", &timeout);
        self.core.timing.ping_timeout = timeout;
        self
    }

    /// How long an upgrade to WebSocket may take. Default: 10 s.
    #[must_use]
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.say("upgrade_timeout", &timeout);
        self.core.upgrade_timeout = timeout;
        self
    }

    /// How long a connection may stay without having joined a namespace (Node: `connectTimeout`).
    /// Default: 10 s.
    #[must_use]
    pub fn auth_timeout(mut self, timeout: Duration) -> Self {
        self.say("auth_timeout", &timeout);
        self.core.join_timeout = Some(timeout);
        self
    }

    /// How long one run of the authenticator may take, with the wait for its turn. Default: 5 s.
    #[must_use]
    pub fn verify_timeout(mut self, timeout: Duration) -> Self {
        self.say("verify_timeout", &timeout);
        self.gate.verify_timeout = timeout;
        self
    }

    /// How long a connect guard, `on_connect`, a handler or `on_disconnect` may run before it is
    /// dropped and its client told so. Default: 30 s.
    #[must_use]
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.say("handler_timeout", &timeout);
        self.gate.handler_timeout = timeout;
        self.namespace_limits.handler_timeout = timeout;
        self
    }

    /// The largest message and the largest polling body, in bytes (Node: `maxHttpBufferSize`).
    /// Default: 1,000,000.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.say("max_payload", &bytes);
        self.core.max_payload = bytes;
        self.gate.codec_limits = self.gate.codec_limits.max_attachment_bytes(bytes);
        self
    }

    /// The most attachments of one packet. Default: 10, which is also what stock clients accept.
    #[must_use]
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.say("max_attachments", &count);
        self.gate.codec_limits = self.gate.codec_limits.max_attachments(count);
        self
    }

    /// The most namespaces that one connection may be in. Default: 16.
    #[must_use]
    pub fn max_namespaces(mut self, count: usize) -> Self {
        self.say("max_namespaces", &count);
        self.gate.client_limits = self.gate.client_limits.max_namespaces(count);
        self
    }

    /// The most rooms that one socket may be in. Default: 1,000.
    #[must_use]
    pub fn max_rooms(mut self, count: usize) -> Self {
        self.say("max_rooms", &count);
        self.namespace_limits.rooms_per_socket = count;
        self
    }

    /// How much may wait to be sent to one connection before it is closed as too slow: bytes and
    /// frames. One frame that is larger than `bytes` by itself may wait besides, and so may 64 KiB
    /// and 64 frames of what the protocol itself says, acks included. Default: 1 MiB and 4,096.
    #[must_use]
    pub fn max_outbox(mut self, bytes: usize, frames: usize) -> Self {
        self.say("max_outbox", &(bytes, frames));
        self.core.outbox.max_bytes = bytes;
        self.core.outbox.max_frames = frames;
        self
    }

    /// What becomes of an event for a client for which too much waits already. What the protocol
    /// itself says is never dropped. Default: the client is disconnected.
    #[must_use]
    pub fn if_slow(mut self, policy: IfSlow) -> Self {
        self.say("if_slow", &policy);
        self.core.outbox.if_slow = policy;
        self
    }

    /// The transports that the server offers. Default: both.
    #[must_use]
    pub fn transports(mut self, transports: Transports) -> Self {
        self.say("transports", &transports);
        self.http.transports = transports;
        self
    }

    /// Whether a polling session may become a WebSocket. Default: true.
    #[must_use]
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.say("allow_upgrades", &allow);
        self.http.allow_upgrades = allow;
        self
    }

    /// A message that follows the open packet of every session (Node: `initialPacket`). It is an
    /// Engine.IO message, which stock clients take for a Socket.IO packet. Default: none.
    #[must_use]
    pub fn initial_packet(mut self, message: impl Into<String>) -> Self {
        self.http.initial_packet = Some(message.into());
        self
    }

    /// From which size on polling responses are compressed; `None` switches that off (Node:
    /// `httpCompression`). Default: 1,024 bytes.
    #[must_use]
    pub fn http_compression(mut self, threshold: Option<usize>) -> Self {
        self.say("http_compression", &threshold);
        self.http.compression_threshold = threshold;
        self
    }

    /// Sets a cookie with the session id on the first polling response. Default: none.
    #[must_use]
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.http.cookie = Some(cookie);
        self
    }

    /// Which pages of other origins may read polling responses. Default: none.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.say("cors", &cors);
        self.http.cors = Some(cors);
        self
    }

    /// Which headers of a connection's first request are kept. Default: [`HeaderPolicy::Usual`].
    #[must_use]
    pub fn keep_headers(mut self, policy: HeaderPolicy) -> Self {
        self.http.header_policy = policy;
        self
    }

    /// Serves the client bundle from a directory, below the engine's path. Default: off.
    #[must_use]
    pub fn serve_client(mut self, directory: impl Into<PathBuf>) -> Self {
        self.http.serve_client = Some(directory.into());
        self
    }

    /// The packet codec, which clients must be told too (Node: `parser`). Default: JSON.
    #[must_use]
    pub fn parser(mut self, codec: Codec) -> Self {
        self.say("parser", &codec);
        self.gate.codec = codec;
        self
    }

    /// Whether a namespace that was made on demand goes when its last socket does. Default: true.
    #[must_use]
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.say("cleanup_empty_child_namespaces", &cleanup);
        self.cleanup_children = cleanup;
        self
    }

    /// Tells the server what time it is, which decides whether a token has expired. Timers do not
    /// follow it. Default: the clock of the system.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        self.http.clock = Arc::clone(&clock);
        self.gate.clock = clock;
        self
    }

    /// Decides about every request without a session and about every upgrade, before anything
    /// else is done for it. The refusal's status is the answer on both transports.
    #[must_use]
    pub fn allow_request<F, Fut>(mut self, gate: F) -> Self
    where
        F: Fn(Arc<RequestHead>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), GateRefusal>> + Send + 'static,
    {
        self.http.allow_request = Some(Arc::new(move |head| gate(head).boxed()));
        self
    }

    /// Makes the ids of sessions. They are secrets: draw them from the system's randomness.
    /// Default: 120 random bits.
    #[must_use]
    pub fn generate_id<F, Fut>(mut self, generate: F) -> Self
    where
        F: Fn(Arc<RequestHead>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<SessionId, IdError>> + Send + 'static,
    {
        self.http.generate_id = Some(Arc::new(move |head| generate(head).boxed()));
        self
    }

    /// Adds headers to the first response of every session.
    #[must_use]
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &RequestHead) + Send + Sync + 'static,
    ) -> Self {
        self.http.initial_headers = Some(Arc::new(hook));
        self
    }

    /// Adds headers to every response.
    #[must_use]
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &RequestHead) + Send + Sync + 'static,
    ) -> Self {
        self.http.headers = Some(Arc::new(hook));
        self
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("namespaces", &self.declared.len())
            .finish_non_exhaustive()
    }
}
