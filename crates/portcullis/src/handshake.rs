//! From an HTTP request to an Engine.IO session, or to a refusal.
//!
//! ```text
//!  request ─▶ cors ─▶ verify ─▶ gate ─▶ id ─▶ open a session ─▶ 200 or 101
//!               │        │        │
//!               └────────┴────────┴──▶ refusal, before anything is upgraded
//! ```
//!
//! # Invariants
//!
//! - Every request without a sid, and every upgrade, passes the application's gate.
//! - A request's headers are not kept: an allow-list of them is copied, so that an idle connection
//!   does not pin the HTTP server's buffers.
//!
//! # Not here
//!
//! Who the client is (`auth`), what the session does then (`session`).

mod bundle;
mod compress;
mod cookie;
mod cors;
mod facts;
mod gate;
mod headers;
mod options;
mod polling;
mod respond;
mod service;

use std::sync::Arc;

pub use cookie::{Cookie, SameSite};
pub use cors::{Cors, CorsOrigin};
pub use facts::{Handshake, RemoteAddress, RequestFacts};
pub use gate::{GateRefusal, IdError, RequestHead};
pub use headers::{HeaderPolicy, Headers};
pub(crate) use options::HttpOptions;
pub(crate) use respond::Body;
pub(crate) use service::Door;

pub(crate) use crate::session::HeldBack;

use crate::session::{SessionHandle, SessionHandler};

/// Decides what sits on top of a new session.
pub trait Accept: Send + Sync + 'static {
    /// A session has opened; `request` is what opened it.
    fn accept(&self, session: SessionHandle, request: Arc<RequestFacts>)
    -> Box<dyn SessionHandler>;
}
