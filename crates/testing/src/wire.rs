//! Clients with their packets in plain sight, for tests that are about the wire itself.
//!
//! ```text
//!  Client   Socket.IO packets as text      40/chat,{…}   42["say","hello"]
//!    └▶ WebSocket   frames                 opcode, payload
//!         └▶ Http   one request after the other, on any stream
//! ```
//!
//! # Invariants
//!
//! - Nothing here knows the framework from within: a client sees bytes, and nothing else.
//! - What can wait is bounded by [`PATIENCE`], except where it says otherwise.
//!
//! # Not here
//!
//! Clients that answer pings in the background and speak of events:
//! [`TestClient`](crate::TestClient).

mod client;
mod http;
mod websocket;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub use client::Client;
pub use http::{Http, Response, request, upgrade_request};
pub use websocket::WebSocket;

/// The target of a handshake by polling, on the default path.
pub const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// The target of a handshake by WebSocket, on the default path.
pub const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// How long anything may take. Nothing takes as long unless it is broken; where the clock is
/// paused, it lies beyond every timer that a server has by default.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// A stream of bytes in both directions: TCP, memory, anything.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of any kind.
pub type BoxIo = Box<dyn Io>;

/// Opens a TCP connection that sends what it is given at once.
///
/// # Panics
///
/// If nobody listens there.
pub async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Waits, but not for ever.
///
/// # Panics
///
/// If `future` is not ready within [`PATIENCE`].
pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("nothing happened in {PATIENCE:?}"))
}
