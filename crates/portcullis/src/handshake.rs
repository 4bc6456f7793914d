//! From an HTTP request to an Engine.IO session, or to a refusal.
//!
//! ```text
//!  request ─▶ origin ─▶ verify ─▶ room? ─▶ gate ─▶ id ─▶ open a session ─▶ 200 or 101
//!               │         │         │        │
//!               └─────────┴─────────┴────────┴──▶ refusal, before anything is upgraded
//! ```
//!
//! # Invariants
//!
//! - No request of a page that may not connect gets past its `Origin`, with a sid or without.
//! - Every request without a sid, and every upgrade, passes the application's gate.
//! - A request's headers are not kept: an allow-list of them is copied, so that an idle connection
//!   does not pin the HTTP server's buffers.
//!
//! # Not here
//!
//! Who the client is (`auth`), what the session does then (`session`).

mod admission;
mod bundle;
mod compress;
mod cookie;
mod cors;
mod facts;
mod gate;
mod headers;
mod options;
mod origins;
mod polling;
mod proxies;
mod respond;
mod service;

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use http::HeaderMap;

pub(crate) use admission::{Admission, AdmissionOptions, Counter, Place};
pub use cookie::{Cookie, SameSite};
pub use cors::{Cors, CorsOrigin};
pub use facts::{Handshake, RemoteAddress, RequestFacts};
pub use gate::{GateRefusal, IdError, RequestHead};
pub use headers::{HeaderPolicy, Headers};
pub(crate) use options::HttpOptions;
pub use origins::Origins;
pub use proxies::TrustedProxies;
pub(crate) use respond::Body;
pub(crate) use service::Door;

use crate::session::{SessionHandle, SessionHandler};

/// Decides what sits on top of a new session.
pub trait Accept: Send + Sync + 'static {
    /// A session has opened; `request` is what opened it.
    fn accept(&self, session: SessionHandle, request: Arc<RequestFacts>)
    -> Box<dyn SessionHandler>;

    /// A poll, a POST or an upgrade has come for a session that is open. `None` lets it pass; a
    /// future that comes to `false` has it refused with 403. Default: it passes.
    fn check_later(
        &self,
        session: &SessionHandle,
        request: &LaterRequest<'_>,
    ) -> Option<BoxFuture<'static, bool>> {
        let _ = (session, request);
        None
    }
}

/// A request for a session that is open already.
#[derive(Clone, Copy)]
pub struct LaterRequest<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: &'a str,
    pub(crate) facts: &'a dyn Fn() -> RequestFacts,
}

impl<'a> LaterRequest<'a> {
    /// Its headers.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Its query, without the question mark.
    #[must_use]
    pub const fn query(&self) -> &'a str {
        self.query
    }

    /// What is kept of a request, made of this one.
    #[must_use]
    pub fn facts(&self) -> RequestFacts {
        (self.facts)()
    }
}

impl fmt::Debug for LaterRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaterRequest(redacted)")
    }
}
