//! Your code, bound to a namespace.
//!
//! A gateway is a struct whose methods handle events. `#[gateway]` writes its [`Gateway`]
//! implementation; what it writes can be written by hand, through a [`Registrar`] whose handlers
//! are async functions or closures. Their parameters say what they need:
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
//!  event ─▶ on_any ─▶ event middlewares ─▶ guards ─▶ interceptors ─▶ extract ─▶ handler
//!    ack, event or `exception` ◀── conclude ◀── reply ◀─────┘  ◀───────────────────┘
//! ```
//!
//! | room          | what is in it                                                    |
//! |---------------|------------------------------------------------------------------|
//! | `registrar`   | what a gateway says of itself                                    |
//! | `assemble`    | the gateways of a namespace put together, with their problems    |
//! | `router`      | the way of one event                                             |
//! | `guard`       | may it run                                                       |
//! | `interceptor` | what is around it, tower layers among others                     |
//! | `extract`     | the parameters of handlers                                       |
//! | `handler`     | functions as handlers                                            |
//! | `reply`       | what they return                                                 |
//! | `conclude`    | what the client is told of it                                    |
//!
//! # Invariants
//!
//! - A handler that panics loses its own event and nothing else.
//! - No outcome is silent: an error reaches the ack, or else the `exception` event.

mod assemble;
mod conclude;
mod describe;
mod error;
mod extract;
pub mod guard;
mod handler;
mod init;
pub mod interceptor;
#[doc(hidden)]
pub mod method;
mod policy;
mod registrar;
mod reply;
mod router;

use std::any::type_name;
use std::borrow::Cow;
use std::sync::Arc;

pub(crate) use assemble::{Everywhere, Place, assemble, problems};
pub use describe::{EventDescription, GatewayDescription, Parameters};
pub use error::EventError;
pub(crate) use extract::States;
#[cfg(feature = "garde")]
pub use extract::Valid;
pub use extract::{
    Ack, Args, Data, EventContext, Extension, FromEvent, FromSocket, Params, State, User,
};
pub use guard::{Guard, RateLimit};
pub(crate) use handler::erase_connect;
pub use handler::{
    ConnectHandler, DisconnectHandler, EventHandler, FromDisconnect, IntoVerdict, Marker, Method,
    Subscribed, Subscription,
};
pub(crate) use init::ErasedInit;
pub use init::{FromInit, InitContext, InitError, InitHandler, IntoInit};
pub use interceptor::Interceptor;
pub use policy::{ErrorReply, ExceptionCause};
pub use portcullis_macros::{
    EventError, connect_guard, guard, intercept, layer, on_connect, on_disconnect, on_init,
    subscribe,
};
pub use portcullis_socketio::args::Args as RawArgs;
pub use portcullis_socketio::packet::EventName;
pub use registrar::Registrar;
pub use reply::{Emit, IntoReply, Outcome, Replies, Reply, Responder};

/// User code for one namespace. `#[gateway]` implements it.
pub trait Gateway: Send + Sync + 'static {
    /// What it is called at start and in problems. Default: the name of its type.
    fn name(&self) -> Cow<'static, str> {
        describe::short_type_name(type_name::<Self>()).into()
    }

    /// The namespace that it is for: a name such as `/chat`, or a pattern such as `/tenant-{id}`.
    /// [`gateway_at`](crate::ServerBuilder::gateway_at) puts it somewhere else.
    fn namespace(&self) -> Cow<'static, str>;

    /// Registers its handlers.
    fn register(self: Arc<Self>, registrar: &mut Registrar);
}
