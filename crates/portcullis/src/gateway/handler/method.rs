//! Methods as handlers: what `#[gateway]` writes for each of them.
//!
//! ```text
//!  an event ─▶ call: each parameter is taken, by its own line ─▶ a future of the method ─▶ …
//!  build()  ─▶ describe: each parameter says what it needs
//! ```
//!
//! A closure whose parameters are extractors says the same in fewer words. Written out, each
//! parameter is a line of its own, so that the compiler's complaint about one is about that one.

use std::fmt;
use std::future::{Future, ready};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

use super::{ConnectHandler, DisconnectHandler, EventHandler, Marker, Subscription};
use crate::auth::Refusal;
use crate::gateway::describe::Parameters;
use crate::gateway::error::EventError;
use crate::gateway::extract::EventContext;
use crate::gateway::init::{InitContext, InitError, InitHandler};
use crate::gateway::reply::Outcome;
use crate::namespace::{DisconnectReason, Socket};

/// A handler that is written out: how its parameters describe themselves, and how they are taken
/// for a call.
///
/// `#[gateway]` writes one for each method. By hand a closure is shorter:
///
/// ```
/// use portcullis::Socket;
/// use portcullis::gateway::{EventContext, FromEvent, IntoReply, Method, Parameters, Registrar};
///
/// fn register(r: &mut Registrar) {
///     r.on("leave", async |socket: Socket| socket.leave("lobby"));
///
///     // The same, written out.
///     r.on("leave", Method::event(
///         |parameters: &mut Parameters| <Socket as FromEvent>::describe(parameters),
///         |context: &EventContext<'_>| {
///             let socket = <Socket as FromEvent>::from_event(context)?;
///             Ok(async move { socket.leave("lobby").into_reply() })
///         },
///     ));
/// }
/// ```
pub struct Method<D, C> {
    describe: D,
    call: C,
}

impl<D: Fn(&mut Parameters) + Send + Sync + 'static, C: Send + Sync + 'static> Method<D, C> {
    /// A handler of an event.
    pub const fn event<Fut>(describe: D, call: C) -> Self
    where
        C: Fn(&EventContext<'_>) -> Result<Fut, EventError>,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self { describe, call }
    }

    /// A handler of a socket that wants to connect.
    pub const fn connect<Fut>(describe: D, call: C) -> Self
    where
        C: Fn(&Socket) -> Result<Fut, EventError>,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        Self { describe, call }
    }

    /// A handler of the end of a socket. It is not run if `call` fails.
    pub const fn disconnect<Fut>(describe: D, call: C) -> Self
    where
        C: Fn(&Socket, DisconnectReason) -> Result<Fut, EventError>,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self { describe, call }
    }

    /// What is done once, before the first client connects.
    pub const fn init<Fut>(describe: D, call: C) -> Self
    where
        C: Fn(&InitContext<'_>) -> Result<Fut, InitError>,
        Fut: Future<Output = Result<(), InitError>> + Send + 'static,
    {
        Self { describe, call }
    }
}

impl<D, C, Fut> EventHandler<Marker<Fut>> for Method<D, C>
where
    D: Fn(&mut Parameters) + Send + Sync + 'static,
    C: Fn(&EventContext<'_>) -> Result<Fut, EventError> + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    fn call(&self, context: &EventContext<'_>) -> Result<BoxFuture<'static, Outcome>, EventError> {
        (self.call)(context).map(|running| running.boxed())
    }

    fn describe(&self, subscription: &mut Subscription) {
        (self.describe)(subscription.parameters());
    }
}

impl<D, C, Fut> ConnectHandler<Marker<Fut>> for Method<D, C>
where
    D: Fn(&mut Parameters) + Send + Sync + 'static,
    C: Fn(&Socket) -> Result<Fut, EventError> + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
{
    fn call(&self, socket: &Socket) -> BoxFuture<'static, Result<(), Refusal>> {
        match (self.call)(socket) {
            Ok(running) => running.boxed(),
            Err(error) => ready(Err(error.into())).boxed(),
        }
    }

    fn describe(&self, parameters: &mut Parameters) {
        (self.describe)(parameters);
    }
}

impl<D, C, Fut> DisconnectHandler<Marker<Fut>> for Method<D, C>
where
    D: Fn(&mut Parameters) + Send + Sync + 'static,
    C: Fn(&Socket, DisconnectReason) -> Result<Fut, EventError> + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn call(&self, socket: &Socket, reason: DisconnectReason) -> BoxFuture<'static, ()> {
        match (self.call)(socket, reason) {
            Ok(running) => running.boxed(),
            Err(error) => super::not_run(&error),
        }
    }

    fn describe(&self, parameters: &mut Parameters) {
        (self.describe)(parameters);
    }
}

impl<D, C, Fut> InitHandler<Marker<Fut>> for Method<D, C>
where
    D: Fn(&mut Parameters) + Send + Sync + 'static,
    C: Fn(&InitContext<'_>) -> Result<Fut, InitError> + Send + Sync + 'static,
    Fut: Future<Output = Result<(), InitError>> + Send + 'static,
{
    fn call(&self, context: &InitContext<'_>) -> BoxFuture<'static, Result<(), InitError>> {
        match (self.call)(context) {
            Ok(running) => running.boxed(),
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    fn describe(&self, parameters: &mut Parameters) {
        (self.describe)(parameters);
    }
}

impl<D, C> fmt::Debug for Method<D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Method")
    }
}
