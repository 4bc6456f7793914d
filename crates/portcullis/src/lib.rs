//! Authenticated Socket.IO gateways.
//!
//! *A portcullis is the gate that decides, once, who may come in.* Every connection is
//! authenticated at its handshake, on every namespace and transport, before any of your code sees
//! it; the clients are the existing Socket.IO clients.
//!
//! ```no_run
//! use portcullis::auth::jwt::Jwt;
//! use portcullis::gateway::{Data, User};
//! use portcullis::{Server, Socket, gateway, shutdown_signal};
//!
//! #[derive(serde::Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! struct Chat;
//!
//! #[gateway(namespace = "/chat")]
//! impl Chat {
//!     #[on_connect]
//!     async fn join(&self, socket: Socket) {
//!         socket.join("lobby");
//!     }
//!
//!     #[subscribe("say")]
//!     async fn say(&self, socket: Socket, user: User<Claims>, Data(text): Data<String>) -> bool {
//!         socket.to("lobby").emit("said", &(&user.sub, text)).is_ok()
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let secret = std::env::var("PORTCULLIS_JWT_SECRET")?; // at least 32 bytes
//!     let server = Server::builder()
//!         .authenticate(Jwt::<Claims>::hs256(secret))
//!         .gateway(Chat);
//!     server.build().await?.serve("127.0.0.1:3000", shutdown_signal()).await?;
//!     Ok(())
//! }
//! ```
//!
//! [`#[gateway]`](macro@gateway) writes what a person could write: an implementation of
//! [`Gateway`](gateway::Gateway), whose handlers can be closures as well.
//!
//! The modules follow a packet from the network to your code and back.

// 0. Put it all together, and run it.
mod listener;
mod management;
mod runtime;
mod server;
mod tasks;

// What time it is, and how often things may happen, for all that follows.
pub mod clock;
mod pace;
mod random;

// 1. Turn an HTTP request into an Engine.IO session, or refuse it.
pub mod handshake;

// 2. Keep a session alive, whatever carries it.
pub mod session;

// 3. Multiplex namespaces over that session.
mod client;

// 4. Know who is in which namespace and room.
pub mod namespace;

// 5. Find out who is asking.
pub mod auth;

// 6. Take back what was given: tokens, sessions, users.
pub mod revocation;

// 7. Call the user's code.
pub mod gateway;

// 8. Address many sockets at once.
pub mod broadcast;

// 9. Reach the other nodes.
pub mod adapter;

// 10. Engine.IO without Socket.IO, and WebSocket without either.
pub mod engine;

/// For counting instructions; not for anybody else.
#[cfg(any(feature = "micro", test))]
#[doc(hidden)]
pub mod micro;

// What a user reads first.
#[cfg(any(doc, doctest))]
pub mod manual;

/// What the macros write calls; not for anybody else.
#[doc(hidden)]
pub mod __private {
    pub use futures_util::StreamExt;

    pub use crate::gateway::method::{
        MethodEnding, MethodReply, MethodVerdict, Probe, endings, tiers, verdicts,
    };
    pub use crate::{__ended as ended, __reply as reply, __verdict as verdict};
}

pub use portcullis_macros::gateway;

pub use broadcast::{BroadcastOperator, Emitter};
pub use listener::{Fallback, ServeError, Shutdown, shutdown_signal};
pub use namespace::{AckError, DisconnectReason, EmitError, NamespaceError, Socket};
pub use pace::Rate;
pub use runtime::runtime;
pub use server::{BuildError, Drain, Server, ServerBuilder, SocketService};
pub use session::IfSlow;

pub use portcullis_engineio as engineio;
pub use portcullis_socketio as socketio;
