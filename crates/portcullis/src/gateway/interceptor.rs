//! Code around handlers: it sees an event before its handler does, and the outcome after it.
//!
//! ```text
//!  guards ─▶ interceptor of the server ─▶ … of the gateway ─▶ … of the handler ─▶ extract, handler
//!   outcome ◀────────────┴──────────────────────┴─────────────────────┴─────────────────┘
//! ```
//!
//! Three ways to write one: implement [`Interceptor`], hand an async function to [`from_fn`], or
//! hand a [tower](https://docs.rs/tower) layer to [`layer()`].
//!
//! # Invariants
//!
//! - A panic of a handler reaches its interceptors as an error, not as a panic.

mod layer;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use portcullis_socketio::args::Args as RawArgs;
use portcullis_socketio::packet::EventName;

pub use layer::{EventService, Layered, layer};

use super::extract::ByHand;
use super::handler::ErasedEvent;
use super::reply::{IntoReply, Outcome};
use super::router::invoke;
use crate::namespace::{Incoming, Socket};

/// One event on its way through the interceptors.
#[derive(Debug, Clone)]
pub struct EventRequest {
    socket: Socket,
    incoming: Incoming,
    /// What is behind the tower layer that the request is in.
    next: Option<Next>,
}

impl EventRequest {
    pub(super) const fn new(socket: Socket, incoming: Incoming) -> Self {
        Self {
            socket,
            incoming,
            next: None,
        }
    }

    /// The socket that sent it.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Its name (in NestJS: the pattern).
    #[must_use]
    pub const fn event(&self) -> &EventName {
        &self.incoming.event
    }

    /// Its arguments.
    #[must_use]
    pub const fn args(&self) -> &RawArgs {
        &self.incoming.args
    }

    /// Whether the client asked for an ack.
    #[must_use]
    pub const fn wants_ack(&self) -> bool {
        self.incoming.ack.is_some()
    }

    /// The same event with other arguments, for what comes behind.
    #[must_use]
    pub fn with_args(mut self, args: RawArgs) -> Self {
        self.incoming.args = args;
        self
    }
}

/// What is behind an interceptor: the other interceptors, and the handler at their end.
#[derive(Clone)]
pub struct Next {
    chain: Arc<[Arc<dyn Interceptor>]>,
    position: usize,
    handler: ErasedEvent,
    by_hand: Arc<ByHand>,
}

impl Next {
    pub(super) const fn new(
        chain: Arc<[Arc<dyn Interceptor>]>,
        handler: ErasedEvent,
        by_hand: Arc<ByHand>,
    ) -> Self {
        Self {
            chain,
            position: 0,
            handler,
            by_hand,
        }
    }

    /// Goes on with the event.
    #[must_use]
    pub fn run(mut self, request: EventRequest) -> BoxFuture<'static, Outcome> {
        let Some(interceptor) = self.chain.get(self.position).map(Arc::clone) else {
            let Self {
                handler, by_hand, ..
            } = self;
            return invoke(handler, request.socket, request.incoming, by_hand).boxed();
        };
        self.position += 1;
        interceptor.intercept(request, self)
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

/// Code around handlers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an interceptor",
    label = "not an interceptor",
    note = "an async function becomes one with `interceptor::from_fn(…)`, a tower layer with \
            `interceptor::layer(…)`"
)]
pub trait Interceptor: Send + Sync + 'static {
    /// Handles the event, usually through `next`.
    fn intercept(&self, request: EventRequest, next: Next) -> BoxFuture<'static, Outcome>;
}

/// An interceptor that is an async function.
///
/// ```
/// use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
///
/// let timed = interceptor::from_fn(async |request: EventRequest, next: Next| {
///     let (event, start) = (request.event().clone(), std::time::Instant::now());
///     let outcome = next.run(request).await;
///     println!("{event} took {:?}", start.elapsed());
///     outcome
/// });
/// # let _: Box<dyn Interceptor> = Box::new(timed);
/// ```
///
/// One that captures clones what it needs for each event, since its future outlives the call:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
///
/// fn counting(failures: Arc<AtomicU64>) -> impl Interceptor {
///     interceptor::from_fn(move |request: EventRequest, next: Next| {
///         let failures = Arc::clone(&failures);
///         async move {
///             let outcome = next.run(request).await;
///             if outcome.error().is_some() {
///                 failures.fetch_add(1, Ordering::Relaxed);
///             }
///             outcome
///         }
///     })
/// }
/// # let _ = counting(Arc::default());
/// ```
pub fn from_fn<F, Fut>(intercept: F) -> FromFn<F>
where
    F: Fn(EventRequest, Next) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoReply,
{
    FromFn(intercept)
}

/// See [`from_fn`].
pub struct FromFn<F>(F);

impl<F, Fut> Interceptor for FromFn<F>
where
    F: Fn(EventRequest, Next) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: IntoReply,
{
    fn intercept(&self, request: EventRequest, next: Next) -> BoxFuture<'static, Outcome> {
        let running = (self.0)(request, next);
        async move { running.await.into_reply() }.boxed()
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}
