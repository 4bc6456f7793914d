//! Who is asking, decided once per CONNECT and before anything else can see the socket.
//!
//! ```text
//!  CONNECT ─▶ token source ─▶ strict verification ─▶ claims type ─▶ revoked? ─▶ Identity
//!                 │                  │                    │             │
//!                 └──────────────────┴────────────────────┴─────────────┴──▶ Refusal
//! ```
//!
//! # Invariants
//!
//! - It fails closed: an authenticator that panics, hangs or cannot reach what it needs refuses.
//! - A peer learns a stable code and nothing else; finer reasons go to logs and metrics.
//! - A token from the `auth` payload is not kept: it is taken out of the handshake once it has been
//!   verified. Headers and the query stay, for the namespaces that are joined later.
//!
//! # Not here
//!
//! What was taken back (`revocation`). The order of checks around this one, and the end of an
//! identity, are in `client`.

mod expiry;
mod identity;
pub mod jwt;
mod print;
mod readiness;
mod refusal;
mod secret;
pub mod source;
mod strict_json;
mod token_error;
mod user;

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use http::HeaderName;
use portcullis_socketio::MAX_DEPTH;
use portcullis_socketio::ids::NamespacePath;
use portcullis_socketio::packet::Auth;
use portcullis_socketio::value::Value;

pub(crate) use expiry::{Due, ExpiryPlan};
pub use expiry::{Expiry, ExpiryEnding};
pub(crate) use identity::CurrentIdentity;
pub use identity::Identity;
pub(crate) use print::Print;
pub(crate) use readiness::AuthState;
pub use readiness::{PrepareError, Readiness};
pub use refusal::{Refusal, RefusalCode};
pub use secret::{Secret, Token};
pub use strict_json::JsonProblem;
pub use token_error::{Claim, TokenError};
pub use user::{UserId, WhenFull};
pub(crate) use user::{connection_of_room, is_reserved_room, room_of_connection};

use crate::clock::Clock;
use crate::handshake::{Handshake, Headers, RequestFacts};
use source::{Credentials, HeaderLookup};

/// Decides who a client is.
///
/// It runs once for every CONNECT to a guarded namespace, on every transport, bounded by
/// `verify_timeout`; a panic in it is a refusal.
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Says who the client is, or why it may not come in.
    fn authenticate<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>>;

    /// What is wrong with its configuration, one line each; asked once, at build.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    /// Request headers that it reads, so that they are kept. They never leave this node.
    fn headers(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Parameters of the query that hold secrets. They never leave this node.
    fn secret_parameters(&self) -> Vec<String> {
        Vec::new()
    }

    /// Fields of the `auth` payload that hold secrets; they are dropped once verified.
    fn secret_fields(&self) -> Vec<String> {
        vec!["token".to_owned()]
    }

    /// The type of the claims that it makes, so that `build()` can refuse a handler that asks for
    /// another. Default: not said.
    fn claims_type(&self) -> Option<TypeId> {
        None
    }

    /// Says who a connected client is now, by a token that it sends to stay (`auth:refresh`).
    ///
    /// The framework sees to it that it is the same subject of the same issuer. Default:
    /// [`Self::authenticate`], with the token in the first secret field of the `auth` payload.
    fn refresh<'a>(
        &'a self,
        attempt: &'a Attempt,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>> {
        let field = self.secret_fields().into_iter().next();
        let attempt = attempt.with_token(&field.unwrap_or_else(|| "token".to_owned()), token);
        async move { self.authenticate(&attempt).await }.boxed()
    }

    /// Shows what a request carries by itself to say who sends it, so that a later request of a
    /// session can be compared with the first: one that shows something else is authenticated, and
    /// refused if it speaks of another subject. Default: the values of `authorization`.
    fn each_credential(&self, request: &Credentials<'_>, visit: &mut dyn FnMut(&[u8])) {
        request
            .headers
            .each_value("authorization", &mut |value| visit(value));
    }

    /// Gets ready, such as by fetching keys; awaited by `build()`. Default: nothing to do.
    fn prepare(&self) -> BoxFuture<'_, Result<(), PrepareError>> {
        std::future::ready(Ok(())).boxed()
    }

    /// What it does in the background for as long as the server runs. Default: nothing.
    fn run(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }

    /// Whether it can do its work now. Default: yes.
    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }

    /// How long the longest of its tokens is good, which is how long a revocation is kept.
    /// Default: not said.
    fn longest_token_life(&self) -> Option<Duration> {
        None
    }

    /// Whether it takes tokens of several issuers, so that a subject alone does not name a user
    /// where the identity has an issuer. Default: no.
    fn has_several_issuers(&self) -> bool {
        false
    }

    /// Whether it takes a token from a cookie, which any page could make a browser send.
    fn reads_cookies(&self) -> bool {
        false
    }

    /// Whether it takes a token from the query, which proxies and browsers write to their logs.
    fn reads_query(&self) -> bool {
        false
    }
}

/// One CONNECT that waits for a decision.
#[derive(Debug)]
pub struct Attempt {
    request: Arc<RequestFacts>,
    namespace: NamespacePath,
    auth: Auth,
    clock: Arc<dyn Clock>,
}

impl Attempt {
    pub(crate) fn new(
        request: Arc<RequestFacts>,
        namespace: NamespacePath,
        auth: Auth,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            request,
            namespace,
            auth,
            clock,
        }
    }

    /// What time it is now, by the clock of the server.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// The first request of the connection.
    #[must_use]
    pub fn request(&self) -> &RequestFacts {
        &self.request
    }

    /// The namespace that the client wants to join.
    #[must_use]
    pub const fn namespace(&self) -> &NamespacePath {
        &self.namespace
    }

    /// The `auth` payload as raw JSON, if there is one.
    #[must_use]
    pub fn auth_json(&self) -> Option<&str> {
        self.auth.as_json()
    }

    pub(crate) const fn raw_auth(&self) -> &Auth {
        &self.auth
    }

    /// The `auth` payload as a value; null if there is none.
    #[must_use]
    pub fn auth(&self) -> Value {
        self.auth.value().unwrap_or_default()
    }

    /// Where a token can be.
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials {
            auth: self.auth_json(),
            headers: self.request.headers(),
            query: self.request.query(),
        }
    }

    /// The same client, with nothing but a token in its `auth` payload.
    fn with_token(&self, field: &str, token: &Token) -> Self {
        let payload = Value::Map(vec![(field.to_owned(), Value::from(token.expose()))]);
        let text = serde_json::to_string(&payload).unwrap_or_default();
        Self {
            request: Arc::clone(&self.request),
            namespace: self.namespace.clone(),
            auth: Auth::Object(text.into_boxed_str()),
            clock: Arc::clone(&self.clock),
        }
    }

    /// The facts as a handler would see them, everything included.
    pub(crate) fn handshake(&self) -> Handshake {
        Handshake::new(Arc::clone(&self.request), self.auth_json().map(Box::from))
    }

    /// The handshake that the socket will have, without the fields that held secrets.
    pub(crate) fn into_handshake(self, secret_fields: &[String]) -> Handshake {
        let auth = match self.auth {
            Auth::Object(text) => without_fields(text, secret_fields),
            _ => None,
        };
        Handshake::new(self.request, auth)
    }
}

/// The event with which a client shows a new token. No handler of a guarded namespace sees it.
pub(crate) const REFRESH_EVENT: &str = "auth:refresh";

fn without_fields(text: Box<str>, fields: &[String]) -> Option<Box<str>> {
    if fields.is_empty() {
        return Some(text);
    }
    let parsed = Value::from_json(&text, MAX_DEPTH).ok();
    let Some(Value::Map(mut entries)) = parsed else {
        return None;
    };
    let before = entries.len();
    entries.retain(|(name, _)| !fields.contains(name));
    if entries.is_empty() {
        return None;
    }
    if entries.len() == before {
        return Some(text);
    }
    serde_json::to_string(&Value::Map(entries))
        .ok()
        .map(String::into_boxed_str)
}

impl HeaderLookup for Headers {
    fn each_value<'h>(&'h self, name: &str, visit: &mut dyn FnMut(&'h [u8])) {
        for (key, value) in self.raw() {
            if key.eq_ignore_ascii_case(name.as_bytes()) {
                visit(value);
            }
        }
    }
}

/// An authenticator that is an async function.
pub(crate) struct FromFn<F>(pub(crate) F);

impl<F, Fut> Authenticator for FromFn<F>
where
    F: Fn(Arc<Attempt>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Identity, RefusalCode>> + Send + 'static,
{
    fn authenticate<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>> {
        let attempt = Attempt::new(
            Arc::clone(&attempt.request),
            attempt.namespace.clone(),
            attempt.auth.clone(),
            Arc::clone(&attempt.clock),
        );
        (self.0)(Arc::new(attempt)).boxed()
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

/// Runs an authenticator, bounded in time, with its panics contained.
pub(crate) async fn authenticate(
    authenticator: &dyn Authenticator,
    attempt: &Attempt,
    timeout: Duration,
) -> Result<Identity, RefusalCode> {
    contained(async { authenticator.authenticate(attempt).await }, timeout).await
}

/// The same for a token that a connected client sends to stay.
pub(crate) async fn refresh(
    authenticator: &dyn Authenticator,
    attempt: &Attempt,
    token: &Token,
    timeout: Duration,
) -> Result<Identity, RefusalCode> {
    contained(
        async { authenticator.refresh(attempt, token).await },
        timeout,
    )
    .await
}

async fn contained(
    // The call itself may panic as well as the future that it returns.
    verification: impl Future<Output = Result<Identity, RefusalCode>>,
    timeout: Duration,
) -> Result<Identity, RefusalCode> {
    let verification = AssertUnwindSafe(verification);
    match tokio::time::timeout(timeout, verification.catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => {
            tracing::error!("the authenticator panicked");
            metrics::counter!("portcullis_panics_total", "place" => "authenticator").increment(1);
            Err(RefusalCode::AuthUnavailable)
        }
        Err(_) => {
            tracing::warn!("the authenticator did not answer in time");
            metrics::counter!("portcullis_verify_timeouts_total").increment(1);
            Err(RefusalCode::AuthUnavailable)
        }
    }
}
