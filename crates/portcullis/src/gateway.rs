//! Your code, bound to a namespace.
//!
//! A gateway registers handlers with a [`Registrar`]. Handlers are async functions or closures
//! whose parameters say what they need:
//!
//! ```
//! use portcullis::gateway::{Data, Registrar, Reply};
//! use portcullis::Socket;
//!
//! fn chat(r: &mut Registrar) {
//!     r.on_connect(async |socket: Socket| socket.join("lobby"));
//!     r.on("say", async |socket: Socket, Data(text): Data<String>| {
//!         let heard = socket.to("lobby").emit("said", &text).is_ok();
//!         Reply(heard)
//!     });
//! }
//! ```
//!
//! ```text
//!  event ─▶ on_any ─▶ event middlewares ─▶ extract ─▶ handler ─▶ reply ─▶ ack, or `exception`
//! ```
//!
//! # Invariants
//!
//! - A handler that panics loses its own event and nothing else.
//! - No outcome is silent: an error reaches the ack, or else the `exception` event.

mod extract;
mod handler;
mod reply;
mod router;

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt as _;
use portcullis_socketio::args::Args;
use portcullis_socketio::ids::NamespacePath;
use portcullis_socketio::packet::EventName;
use portcullis_socketio::payload::Payload;

pub use extract::{Ack, Data, EventContext, FromEvent, FromSocket, User};
pub use handler::{ConnectHandler, DisconnectHandler, EventHandler, FromDisconnect, IntoVerdict};
pub use reply::{EventError, IntoReply, Outcome, Reply};
pub(crate) use router::Router;

use crate::namespace::Socket;

/// User code for one namespace.
pub trait Gateway: Send + Sync + 'static {
    /// The namespace that it is for.
    fn namespace(&self) -> NamespacePath;

    /// Registers its handlers.
    fn register(self: Arc<Self>, registrar: &mut Registrar);
}

/// Collects the handlers of one namespace, or of one pattern of namespaces.
#[derive(Debug, Default)]
pub struct Registrar {
    pub(crate) router: Router,
    pub(crate) problems: Vec<String>,
}

impl Registrar {
    /// Lets sockets in without an identity.
    ///
    /// Every namespace is guarded by the server's authenticator unless it says this.
    pub fn public(&mut self) -> &mut Self {
        self.router.is_public = true;
        self
    }

    /// Handles an event. Events of one socket are handled in order, one at a time.
    pub fn on<M>(&mut self, event: &str, handler: impl EventHandler<M>) -> &mut Self {
        self.on_concurrent(event, 1, handler)
    }

    /// Handles an event, with up to `limit` events of one socket in flight at the same time.
    pub fn on_concurrent<M>(
        &mut self,
        event: &str,
        limit: usize,
        handler: impl EventHandler<M>,
    ) -> &mut Self {
        if !self.router.add(event, limit, handler) {
            self.problems
                .push(format!("two handlers for the event {event:?}"));
        }
        self
    }

    /// Runs before a client hears that it is connected; an error refuses it.
    ///
    /// What it emits to the socket leaves right behind the CONNECT reply.
    pub fn on_connect<M>(&mut self, handler: impl ConnectHandler<M>) -> &mut Self {
        self.router.on_connect.push(handler::erase_connect(handler));
        self
    }

    /// Runs before every `on_connect`, in the order of registration; an error refuses the client.
    pub fn middleware<M>(&mut self, middleware: impl ConnectHandler<M>) -> &mut Self {
        self.router
            .middlewares
            .push(handler::erase_connect(middleware));
        self
    }

    /// Runs once for each socket that was accepted, after its handlers in flight.
    pub fn on_disconnect<M>(&mut self, handler: impl DisconnectHandler<M>) -> &mut Self {
        self.router
            .on_disconnect
            .push(handler::erase_disconnect(handler));
        self
    }

    /// Sees every incoming event before middlewares and handlers, whether it has a handler or not.
    pub fn on_any(
        &mut self,
        watch: impl Fn(&Socket, &EventName, &Args) + Send + Sync + 'static,
    ) -> &mut Self {
        self.router.on_any.push(Arc::new(watch));
        self
    }

    /// Sees every event that is emitted to a socket, once for each recipient of a broadcast; acks
    /// it does not see.
    pub fn on_any_outgoing(
        &mut self,
        watch: impl Fn(&Socket, &Payload) + Send + Sync + 'static,
    ) -> &mut Self {
        self.router.on_any_outgoing.push(Arc::new(watch));
        self
    }

    /// Runs before the handler of every event; an error takes the handler's place.
    pub fn event_middleware<F, Fut>(&mut self, middleware: F) -> &mut Self
    where
        F: Fn(Socket, EventName, Args) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), EventError>> + Send + 'static,
    {
        self.router
            .event_middlewares
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
        self.router
            .server_side
            .insert(event.into(), Arc::new(handler));
        self
    }
}
