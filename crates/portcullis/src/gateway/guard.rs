//! Whether an event may reach its handler.
//!
//! ```text
//!  event ─▶ guards of the server ─▶ of the gateway ─▶ of the handler ─▶ interceptors ─▶ …
//!               └───────────────────────┴──────────────────┴─ no ─▶ Forbidden resource
//! ```
//!
//! A guard sees events and nothing else. Who may connect is decided by the authenticator, and
//! after it by *connect guards*: [`Registrar::connect_guard`](super::Registrar::connect_guard).

mod rate_limit;

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

pub use rate_limit::RateLimit;

use super::describe::short_type_name;
use super::error::EventError;
use super::extract::{EventContext, FromSocket, User};
use crate::namespace::Socket;

/// Decides whether an event may go on.
///
/// Implemented for functions of the context that return a `Result<(), EventError>` and need not
/// wait; [`claims`] makes one that looks at the identity, [`from_fn`] one that waits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a guard",
    label = "not a guard",
    note = "a guard implements `Guard`, or is a function \
            `fn(&EventContext<'_>) -> Result<(), EventError>`; see also `guard::claims` and \
            `guard::from_fn`"
)]
pub trait Guard: Send + Sync + 'static {
    /// Looks at the event.
    fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a>;

    /// What the guard is called in the server's description. Default: the name of its type.
    fn name(&self) -> Cow<'static, str> {
        short_type_name(type_name::<Self>()).into()
    }
}

/// What a guard says, now or later.
#[expect(clippy::exhaustive_enums, reason = "now and later is all there is")]
pub enum Checked<'a> {
    /// The verdict: an error is what the client is told.
    Now(Result<(), EventError>),
    /// The verdict is still to come.
    Later(BoxFuture<'a, Result<(), EventError>>),
}

impl<'a> Checked<'a> {
    /// A verdict that has to wait for something.
    pub fn later(verdict: impl Future<Output = Result<(), EventError>> + Send + 'a) -> Self {
        Self::Later(verdict.boxed())
    }
}

impl fmt::Debug for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(verdict) => f.debug_tuple("Now").field(verdict).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

impl From<Result<(), EventError>> for Checked<'_> {
    fn from(verdict: Result<(), EventError>) -> Self {
        Self::Now(verdict)
    }
}

impl<F> Guard for F
where
    F: Fn(&EventContext<'_>) -> Result<(), EventError> + Send + Sync + 'static,
{
    fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a> {
        Checked::Now(self(context))
    }
}

/// A guard that lets through whose claims `allow` accepts, and nobody without claims of type `C`.
///
/// ```
/// use portcullis::gateway::guard;
///
/// struct Claims {
///     role: String,
/// }
///
/// let admins = guard::claims(|claims: &Claims| claims.role == "admin");
/// # let _: Box<dyn guard::Guard> = Box::new(admins);
/// ```
pub fn claims<C, F>(allow: F) -> Claims<C, F>
where
    C: Send + Sync + 'static,
    F: Fn(&C) -> bool + Send + Sync + 'static,
{
    Claims {
        allow,
        claims: PhantomData,
    }
}

/// See [`claims`].
pub struct Claims<C, F> {
    allow: F,
    claims: PhantomData<fn(&C)>,
}

impl<C, F> Guard for Claims<C, F>
where
    C: Send + Sync + 'static,
    F: Fn(&C) -> bool + Send + Sync + 'static,
{
    fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a> {
        let user = User::<C>::from_socket(context.socket());
        let verdict = match user {
            Ok(user) if (self.allow)(&user) => Ok(()),
            _ => Err(EventError::forbidden()),
        };
        Checked::Now(verdict)
    }

    fn name(&self) -> Cow<'static, str> {
        format!("claims of {}", short_type_name(type_name::<C>())).into()
    }
}

impl<C, F> fmt::Debug for Claims<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")
    }
}

/// A guard that asks something that takes time, such as a database, about the socket.
pub fn from_fn<F, Fut>(check: F) -> FromFn<F>
where
    F: Fn(Socket) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), EventError>> + Send + 'static,
{
    FromFn(check)
}

/// See [`from_fn`].
pub struct FromFn<F>(F);

impl<F, Fut> Guard for FromFn<F>
where
    F: Fn(Socket) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), EventError>> + Send + 'static,
{
    fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a> {
        Checked::later((self.0)(context.socket().clone()))
    }

    fn name(&self) -> Cow<'static, str> {
        short_type_name(type_name::<F>()).into()
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}
