//! What an application may decide before a session opens: whether, and under which id.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, Uri};
use portcullis_engineio::SessionId;

/// The head of a request that wants to open a session, or to upgrade one.
#[derive(Clone)]
pub struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) address: Option<SocketAddr>,
}

impl RequestHead {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// All headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The peer's address, if known.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl fmt::Debug for RequestHead {
    /// Without the query and the headers' values, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

/// An answer of the gate that lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRefusal {
    pub(crate) status: StatusCode,
    pub(crate) message: Option<Box<str>>,
}

impl GateRefusal {
    /// Refuses with a status of its own, on both transports.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self {
            status,
            message: None,
        }
    }

    /// Tells the peer why; it is told `Forbidden` otherwise.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into().into_boxed_str());
        self
    }
}

/// No id could be made for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no session id could be made")]
#[non_exhaustive]
pub struct IdError;

impl IdError {
    /// The generator failed.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Default for IdError {
    fn default() -> Self {
        Self::new()
    }
}

/// The application's gate.
pub(crate) type AllowRequest =
    Arc<dyn Fn(Arc<RequestHead>) -> BoxFuture<'static, Result<(), GateRefusal>> + Send + Sync>;

/// The application's generator of session ids.
pub(crate) type GenerateId =
    Arc<dyn Fn(Arc<RequestHead>) -> BoxFuture<'static, Result<SessionId, IdError>> + Send + Sync>;

/// Adds headers to a response.
pub(crate) type HeadersHook = Arc<dyn Fn(&mut HeaderMap, &RequestHead) + Send + Sync>;
