//! Async functions as handlers: up to eight parameters, each of which says what it needs.

mod method;
mod subscription;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

pub use method::Method;
pub use subscription::{Marker, Subscribed, Subscription};

use super::describe::Parameters;
use super::error::EventError;
use super::extract::{EventContext, FromEvent, FromSocket};
use super::guard::Guard;
use super::interceptor::Interceptor;
use super::reply::{IntoReply, Outcome};
use crate::auth::Refusal;
use crate::namespace::{DisconnectReason, Socket};

/// Handles an event. Implemented for async functions of up to eight [`FromEvent`] parameters that
/// return something that is [`IntoReply`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event handler",
    label = "not an event handler",
    note = "a handler is an async function of up to eight parameters that implement `FromEvent`, \
            whose result implements `IntoReply`"
)]
pub trait EventHandler<M>: Send + Sync + Sized + 'static {
    /// Takes what it needs from the event and starts.
    ///
    /// # Errors
    ///
    /// If a parameter cannot be taken.
    fn call(&self, context: &EventContext<'_>) -> Result<BoxFuture<'static, Outcome>, EventError>;

    /// What is to be known of it besides its code.
    fn describe(&self, subscription: &mut Subscription);

    /// Lets events of one socket that are for this handler run side by side, up to `limit` in
    /// flight. Default: 1, in order.
    fn concurrency(self, limit: usize) -> Subscribed<Self, M> {
        Subscribed::new(self).concurrency(limit)
    }

    /// Lets an event through only if `guard` does.
    fn guard(self, guard: impl Guard) -> Subscribed<Self, M> {
        Subscribed::new(self).guard(guard)
    }

    /// Puts `interceptor` around the handler, within those that are there already.
    fn intercept(self, interceptor: impl Interceptor) -> Subscribed<Self, M> {
        Subscribed::new(self).intercept(interceptor)
    }

    /// What the handler is called in descriptions and problems.
    fn named(self, name: &'static str) -> Subscribed<Self, M> {
        Subscribed::new(self).named(name)
    }
}

/// Handles a socket that wants to connect; an error refuses it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connect handler",
    label = "not a connect handler",
    note = "a connect handler is an async function whose parameters implement `FromSocket` and \
            which returns `()` or a `Result` whose error is `Into<Refusal>`"
)]
pub trait ConnectHandler<M>: Send + Sync + 'static {
    /// Takes what it needs from the socket and starts.
    fn call(&self, socket: &Socket) -> BoxFuture<'static, Result<(), Refusal>>;

    /// Says what its parameters need.
    fn describe(&self, parameters: &mut Parameters);
}

/// Handles the end of a socket.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a disconnect handler",
    label = "not a disconnect handler",
    note = "a disconnect handler is an async function whose parameters implement `FromDisconnect`"
)]
pub trait DisconnectHandler<M>: Send + Sync + 'static {
    /// Takes what it needs and starts.
    fn call(&self, socket: &Socket, reason: DisconnectReason) -> BoxFuture<'static, ()>;

    /// Says what its parameters need.
    fn describe(&self, parameters: &mut Parameters);
}

/// Something that `on_disconnect` can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that `on_disconnect` can ask for",
    label = "not known when a socket disconnects",
    note = "there is the socket and what can be taken from it, and the `DisconnectReason`"
)]
pub trait FromDisconnect: Sized {
    /// Takes it from the socket that left.
    ///
    /// # Errors
    ///
    /// If the socket does not have it; the handler is not run then.
    fn from_disconnect(socket: &Socket, reason: DisconnectReason) -> Result<Self, EventError>;

    /// Says what it needs, so that `build()` can tell what is missing. Default: nothing.
    fn describe(parameters: &mut Parameters) {
        let _ = parameters;
    }
}

impl<T: FromSocket> FromDisconnect for T {
    fn from_disconnect(socket: &Socket, _reason: DisconnectReason) -> Result<Self, EventError> {
        Self::from_socket(socket)
    }

    fn describe(parameters: &mut Parameters) {
        <Self as FromSocket>::describe(parameters);
    }
}

impl FromDisconnect for DisconnectReason {
    fn from_disconnect(_socket: &Socket, reason: DisconnectReason) -> Result<Self, EventError> {
        Ok(reason)
    }
}

/// A farewell that cannot take its parameters: there is nobody to answer, so the log is told.
fn not_run(error: &EventError) -> BoxFuture<'static, ()> {
    error.log("disconnect");
    tracing::warn!(
        code = error.code(),
        "on_disconnect is not run: it lacks a parameter"
    );
    std::future::ready(()).boxed()
}

/// What a connect handler may return.
pub trait IntoVerdict {
    /// Whether the socket may come in.
    ///
    /// # Errors
    ///
    /// If it may not.
    fn into_verdict(self) -> Result<(), Refusal>;
}

impl IntoVerdict for () {
    fn into_verdict(self) -> Result<(), Refusal> {
        Ok(())
    }
}

impl<E: Into<Refusal>> IntoVerdict for Result<(), E> {
    fn into_verdict(self) -> Result<(), Refusal> {
        self.map_err(Into::into)
    }
}

macro_rules! impl_handlers {
    ($($T:ident)*) => {
        #[allow(
            non_snake_case,
            unused_variables,
            reason = "parameters are named as their types; one expansion has none"
        )]
        const _: () = {
            impl<F, Fut, R, $($T,)*> EventHandler<($($T,)*)> for F
            where
                F: Fn($($T),*) -> Fut + Send + Sync + 'static,
                Fut: Future<Output = R> + Send + 'static,
                R: IntoReply,
                $($T: FromEvent,)*
            {
                fn call(
                    &self,
                    context: &EventContext<'_>,
                ) -> Result<BoxFuture<'static, Outcome>, EventError> {
                    $(let $T = $T::from_event(context)?;)*
                    let running = self($($T),*);
                    Ok(async move { running.await.into_reply() }.boxed())
                }

                fn describe(&self, subscription: &mut Subscription) {
                    let parameters = subscription.parameters();
                    $($T::describe(parameters);)*
                }
            }

            impl<F, Fut, R, $($T,)*> ConnectHandler<($($T,)*)> for F
            where
                F: Fn($($T),*) -> Fut + Send + Sync + 'static,
                Fut: Future<Output = R> + Send + 'static,
                R: IntoVerdict,
                $($T: FromSocket,)*
            {
                fn call(&self, socket: &Socket) -> BoxFuture<'static, Result<(), Refusal>> {
                    $(let $T = match $T::from_socket(socket) {
                        Ok(value) => value,
                        Err(error) => return std::future::ready(Err(error.into())).boxed(),
                    };)*
                    let running = self($($T),*);
                    async move { running.await.into_verdict() }.boxed()
                }

                fn describe(&self, parameters: &mut Parameters) {
                    $($T::describe(parameters);)*
                }
            }

            impl<F, Fut, $($T,)*> DisconnectHandler<($($T,)*)> for F
            where
                F: Fn($($T),*) -> Fut + Send + Sync + 'static,
                Fut: Future<Output = ()> + Send + 'static,
                $($T: FromDisconnect,)*
            {
                fn call(
                    &self,
                    socket: &Socket,
                    reason: DisconnectReason,
                ) -> BoxFuture<'static, ()> {
                    $(let $T = match $T::from_disconnect(socket, reason) {
                        Ok(value) => value,
                        Err(error) => return not_run(&error),
                    };)*
                    self($($T),*).boxed()
                }

                fn describe(&self, parameters: &mut Parameters) {
                    $($T::describe(parameters);)*
                }
            }
        };
    };
}

impl_handlers!();
impl_handlers!(T1);
impl_handlers!(T1 T2);
impl_handlers!(T1 T2 T3);
impl_handlers!(T1 T2 T3 T4);
impl_handlers!(T1 T2 T3 T4 T5);
impl_handlers!(T1 T2 T3 T4 T5 T6);
impl_handlers!(T1 T2 T3 T4 T5 T6 T7);
impl_handlers!(T1 T2 T3 T4 T5 T6 T7 T8);

/// An event handler whose parameters are forgotten.
pub(super) type ErasedEvent =
    Arc<dyn Fn(&EventContext<'_>) -> Result<BoxFuture<'static, Outcome>, EventError> + Send + Sync>;

/// A connect handler whose parameters are forgotten.
pub(crate) type ErasedConnect =
    Arc<dyn Fn(&Socket) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// A disconnect handler whose parameters are forgotten.
pub(super) type ErasedDisconnect =
    Arc<dyn Fn(&Socket, DisconnectReason) -> BoxFuture<'static, ()> + Send + Sync>;

pub(super) fn erase_event<M>(handler: impl EventHandler<M>) -> ErasedEvent {
    Arc::new(move |context| handler.call(context))
}

pub(crate) fn erase_connect<M>(handler: impl ConnectHandler<M>) -> ErasedConnect {
    Arc::new(move |socket| handler.call(socket))
}

pub(super) fn erase_disconnect<M>(handler: impl DisconnectHandler<M>) -> ErasedDisconnect {
    Arc::new(move |socket, reason| handler.call(socket, reason))
}

/// Runs user code; a panic becomes `None`, and is logged and counted.
pub(super) async fn contain<T>(place: &'static str, code: impl Future<Output = T>) -> Option<T> {
    let mut code = pin!(code);
    poll_fn(|cx| poll_contained(place, code.as_mut(), cx)).await
}

/// Polls user code once; a panic becomes `None`, and is logged and counted.
pub(super) fn poll_contained<T>(
    place: &'static str,
    code: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    cx: &mut Context<'_>,
) -> Poll<Option<T>> {
    if let Ok(polled) = catch_unwind(AssertUnwindSafe(|| code.poll(cx))) {
        return polled.map(Some);
    }
    tracing::error!(place, "a handler panicked");
    metrics::counter!("portcullis_panics_total", "place" => place).increment(1);
    Poll::Ready(None)
}

/// Runs a watcher; a panic in it is logged and counted, and keeps nothing from going on.
pub(super) fn contain_watch(place: &'static str, watch: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(watch)).is_err() {
        tracing::error!(place, "a watcher panicked");
        metrics::counter!("portcullis_panics_total", "place" => place).increment(1);
    }
}

/// What is told of a panic, which the log knows already.
pub(super) fn panicked() -> EventError {
    EventError::unexpected("it panicked")
}
