//! Who is asking, decided once per CONNECT and before anything else can see the socket.
//!
//! ```text
//!  CONNECT ─▶ token source ─▶ strict verification ─▶ claims type ─▶ Identity
//!                 │                  │                    │
//!                 └──────────────────┴────────────────────┴──▶ Refusal: `Unauthorized`, a code
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
//! When an identity ends, and revocation: they are not built yet. The order of checks around this
//! one is in `client`.

pub mod jwt;
mod refusal;
mod secret;
pub mod source;
mod strict_json;
mod token_error;

use std::any::{Any, TypeId};
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use http::HeaderName;
use portcullis_socketio::ids::NamespacePath;
use portcullis_socketio::packet::Auth;
use portcullis_socketio::value::Value;
use serde::de::DeserializeOwned;

pub use refusal::{Refusal, RefusalCode};
pub use secret::{Secret, Token};
pub use strict_json::JsonProblem;
pub use token_error::{Claim, TokenError};

use crate::clock::Clock;
use crate::handshake::{Handshake, Headers, RequestFacts};
use jwt::{Jwt, JwtProblem};
use source::{Credentials, HeaderLookup, TokenSource};

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

fn without_fields(text: Box<str>, fields: &[String]) -> Option<Box<str>> {
    if fields.is_empty() {
        return Some(text);
    }
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
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

/// Who a client is, as its authenticator said.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    claims: Box<dyn Any + Send + Sync>,
    subject: Option<Box<str>>,
    expires_at: Option<u64>,
}

impl Identity {
    /// An identity with claims of any type, which handlers get back as that type.
    #[must_use]
    pub fn new<C: Send + Sync + 'static>(claims: C) -> Self {
        Self::with(claims, None, None)
    }

    fn with<C: Send + Sync + 'static>(
        claims: C,
        subject: Option<String>,
        expires_at: Option<u64>,
    ) -> Self {
        Self(Arc::new(Inner {
            claims: Box::new(claims),
            subject: subject.map(String::into_boxed_str),
            expires_at,
        }))
    }

    /// The claims, if they are of type `C`.
    #[must_use]
    pub fn claims<C: Send + Sync + 'static>(&self) -> Option<&C> {
        self.0.claims.downcast_ref()
    }

    /// The `sub` of the token.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// When the token ends, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.0.expires_at
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> Authenticator for Jwt<C> {
    fn authenticate<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>> {
        // Verified in place: handing an HMAC to another thread costs more than the HMAC.
        let verified = Self::authenticate(self, &attempt.credentials(), attempt.now());
        let result = match verified {
            Ok(verified) => Ok(Identity::with(
                verified.claims,
                verified.subject,
                verified.expires_at,
            )),
            Err(error) => {
                tracing::debug!(reason = error.as_str(), "token refused");
                metrics::counter!("portcullis_tokens_refused_total", "reason" => error.as_str())
                    .increment(1);
                Err(error.code())
            }
        };
        std::future::ready(result).boxed()
    }

    fn problems(&self) -> Vec<String> {
        self.check()
            .err()
            .unwrap_or_default()
            .iter()
            .map(one_line)
            .collect()
    }

    fn headers(&self) -> Vec<HeaderName> {
        let names = self
            .token_sources()
            .iter()
            .filter_map(TokenSource::header_name);
        names
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .collect()
    }

    fn secret_fields(&self) -> Vec<String> {
        let fields = self
            .token_sources()
            .iter()
            .filter_map(|source| match source {
                TokenSource::AuthPayload(name) | TokenSource::AuthPayloadWithScheme(name) => {
                    Some(name.to_string())
                }
                _ => None,
            });
        fields.collect()
    }

    fn claims_type(&self) -> Option<TypeId> {
        Some(TypeId::of::<C>())
    }

    fn secret_parameters(&self) -> Vec<String> {
        let sources = self.token_sources().iter();
        let parameters = sources.filter(|source| matches!(source, TokenSource::Query(_)));
        parameters
            .filter_map(|source| source.name().map(str::to_owned))
            .collect()
    }

    fn reads_cookies(&self) -> bool {
        self.token_sources()
            .iter()
            .any(|source| matches!(source, TokenSource::Cookie(_)))
    }

    fn reads_query(&self) -> bool {
        self.token_sources()
            .iter()
            .any(|source| matches!(source, TokenSource::Query(_)))
    }
}

/// A problem with its cause, which says what to change.
fn one_line(problem: &JwtProblem) -> String {
    match std::error::Error::source(problem) {
        Some(cause) => format!("{problem}: {cause}"),
        None => problem.to_string(),
    }
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
    // The call itself may panic as well as the future that it returns.
    let verification = AssertUnwindSafe(async { authenticator.authenticate(attempt).await });
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
