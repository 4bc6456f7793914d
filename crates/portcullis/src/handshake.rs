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

use std::sync::Arc;

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

pub(crate) use crate::session::{HeldBack, Ticket};
use crate::session::{SessionHandle, SessionHandler};

/// Decides what sits on top of a new session.
pub trait Accept: Send + Sync + 'static {
    /// A session has opened; `request` is what opened it.
    fn accept(&self, session: SessionHandle, request: Arc<RequestFacts>)
    -> Box<dyn SessionHandler>;
}
