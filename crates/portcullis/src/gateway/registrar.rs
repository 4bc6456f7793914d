//! Collecting what one gateway handles.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use portcullis_socketio::args::Args;
use portcullis_socketio::packet::EventName;
use portcullis_socketio::payload::Payload;
use tower::{BoxError, Layer, Service};

use super::describe::Parameters;
use super::error::EventError;
use super::guard::Guard;
use super::handler::{
    ConnectHandler, DisconnectHandler, ErasedConnect, ErasedDisconnect, ErasedEvent, EventHandler,
    Subscription, erase_connect, erase_disconnect, erase_event,
};
use super::init::{ErasedInit, InitHandler, erase_init};
use super::interceptor::{EventRequest, EventService, Interceptor, layer};
use super::reply::Outcome;
use crate::namespace::Socket;

pub(super) type WatchIncoming = Arc<dyn Fn(&Socket, &EventName, &Args) + Send + Sync>;
pub(super) type WatchOutgoing = Arc<dyn Fn(&Socket, &Payload) + Send + Sync>;
pub(super) type EventMiddleware = Arc<
    dyn Fn(Socket, EventName, Args) -> BoxFuture<'static, Result<(), EventError>> + Send + Sync,
>;
pub(super) type ServerSide = Arc<dyn Fn(Args) -> BoxFuture<'static, Option<Args>> + Send + Sync>;

/// Collects the handlers of one gateway. Several gateways of a namespace have one each, and are
/// put together when the server is built.
#[derive(Default)]
pub struct Registrar {
    pub(super) name: Cow<'static, str>,
    pub(super) is_public: bool,
    pub(super) subscriptions: Vec<Draft>,
    pub(super) guards: Vec<Arc<dyn Guard>>,
    pub(super) interceptors: Vec<Arc<dyn Interceptor>>,
    pub(super) connect_guards: Vec<ErasedConnect>,
    pub(super) on_connect: Vec<ErasedConnect>,
    pub(super) on_disconnect: Vec<ErasedDisconnect>,
    pub(super) on_init: Vec<ErasedInit>,
    pub(super) on_any: Vec<WatchIncoming>,
    pub(super) on_any_outgoing: Vec<WatchOutgoing>,
    pub(super) event_middlewares: Vec<EventMiddleware>,
    pub(super) server_side: Vec<(Box<str>, ServerSide)>,
    /// What the parameters of its hooks need, by the hook's name.
    pub(super) hooks: Vec<(&'static str, Parameters)>,
}

/// A handler of an event, before it is known what else its namespace has.
pub(super) struct Draft {
    pub(super) event: Box<str>,
    pub(super) handler: ErasedEvent,
    pub(super) subscription: Subscription,
}

impl Registrar {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn take_inits(&mut self) -> Vec<ErasedInit> {
        std::mem::take(&mut self.on_init)
    }

    /// Lets sockets in without an identity.
    ///
    /// Every namespace is guarded by the server's authenticator unless all its gateways say this.
    pub fn public(&mut self) -> &mut Self {
        self.is_public = true;
        self
    }

    /// Handles an event. Events of one socket are handled in order, one at a time.
    ///
    /// ```
    /// use portcullis::gateway::{EventHandler as _, RateLimit, Registrar};
    ///
    /// async fn history() {}
    ///
    /// fn register(r: &mut Registrar) {
    ///     r.on("history", history.guard(RateLimit::per_socket(2)).concurrency(4));
    /// }
    /// ```
    pub fn on<M>(&mut self, event: &str, handler: impl EventHandler<M>) -> &mut Self {
        let mut subscription = Subscription::new();
        handler.describe(&mut subscription);
        self.subscriptions.push(Draft {
            event: event.into(),
            handler: erase_event(handler),
            subscription,
        });
        self
    }

    /// Lets an event of this gateway through only if `guard` does. It is asked behind the guards
    /// of the server, in the order of registration. It does not guard connecting.
    pub fn guard(&mut self, guard: impl Guard) -> &mut Self {
        self.guards.push(Arc::new(guard));
        self
    }

    /// Puts an interceptor around the handlers of this gateway, within those of the server. The
    /// first one is the outermost.
    pub fn intercept(&mut self, interceptor: impl Interceptor) -> &mut Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Puts a tower layer around the handlers of this gateway: [`layer`] as an interceptor.
    pub fn layer<L>(&mut self, tower_layer: L) -> &mut Self
    where
        L: Layer<EventService>,
        L::Service: Service<EventRequest, Response = Outcome> + Clone + Send + Sync + 'static,
        <L::Service as Service<EventRequest>>::Error: Into<BoxError>,
        <L::Service as Service<EventRequest>>::Future: Send + 'static,
    {
        self.intercept(layer(tower_layer))
    }

    /// Runs once when the server is built, before the first client connects; an error keeps the
    /// server from being built.
    pub fn on_init<M>(&mut self, handler: impl InitHandler<M>) -> &mut Self {
        let mut parameters = Parameters::default();
        handler.describe(&mut parameters);
        self.hooks.push(("on_init", parameters));
        self.on_init.push(erase_init(handler));
        self
    }

    /// Runs before every `on_connect`, in the order of registration; an error refuses the client
    /// (Socket.IO: `namespace.use`).
    pub fn connect_guard<M>(&mut self, guard: impl ConnectHandler<M>) -> &mut Self {
        let mut parameters = Parameters::default();
        guard.describe(&mut parameters);
        self.hooks.push(("connect_guard", parameters));
        self.connect_guards.push(erase_connect(guard));
        self
    }

    /// Runs before a client hears that it is connected; an error refuses it.
    ///
    /// What it emits to the socket leaves right behind the CONNECT reply.
    pub fn on_connect<M>(&mut self, handler: impl ConnectHandler<M>) -> &mut Self {
        let mut parameters = Parameters::default();
        handler.describe(&mut parameters);
        self.hooks.push(("on_connect", parameters));
        self.on_connect.push(erase_connect(handler));
        self
    }

    /// Runs once for each socket that was accepted, after its handlers in flight.
    pub fn on_disconnect<M>(&mut self, handler: impl DisconnectHandler<M>) -> &mut Self {
        let mut parameters = Parameters::default();
        handler.describe(&mut parameters);
        self.hooks.push(("on_disconnect", parameters));
        self.on_disconnect.push(erase_disconnect(handler));
        self
    }

    /// Sees every incoming event before middlewares and handlers, whether it has a handler or not.
    pub fn on_any(
        &mut self,
        watch: impl Fn(&Socket, &EventName, &Args) + Send + Sync + 'static,
    ) -> &mut Self {
        self.on_any.push(Arc::new(watch));
        self
    }

    /// Sees every event that is emitted to a socket, once for each recipient of a broadcast; acks
    /// it does not see.
    pub fn on_any_outgoing(
        &mut self,
        watch: impl Fn(&Socket, &Payload) + Send + Sync + 'static,
    ) -> &mut Self {
        self.on_any_outgoing.push(Arc::new(watch));
        self
    }

    /// Runs before guards, for the events of the whole namespace; an error takes the handler's
    /// place (Socket.IO: `socket.use`).
    pub fn event_middleware<F, Fut>(&mut self, middleware: F) -> &mut Self
    where
        F: Fn(Socket, EventName, Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), EventError>> + Send + 'static,
    {
        self.event_middlewares
            .push(Arc::new(move |socket, event, args| {
                middleware(socket, event, args).boxed()
            }));
        self
    }

    /// Handles an event that another server of the cluster emitted; what it returns is the ack.
    pub fn on_server_side<F, Fut>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: Fn(Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<Args>> + Send + 'static,
    {
        let handler = move |args| handler(args).boxed();
        self.server_side.push((event.into(), Arc::new(handler)));
        self
    }
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar")
            .field("name", &self.name)
            .field("is_public", &self.is_public)
            .field("events", &self.subscriptions.len())
            .finish_non_exhaustive()
    }
}
