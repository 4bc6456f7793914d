//! The kit with which Portcullis gateways are tested.
//!
//! A test starts the server that `main` would start, and connects clients that speak the words of
//! production: `connect`, `emit`, `emit_with_ack`, `expect`, `disconnect`.
//!
//! ```
//! use portcullis::gateway::{Data, Reply, User};
//! use portcullis::{Server, Socket};
//! use portcullis_testing::{TestServer, TestTokens};
//!
//! #[derive(serde::Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let tokens = TestTokens::new();
//! let builder = Server::builder()
//!     .authenticate(tokens.jwt::<Claims>())
//!     .namespace("/chat", |r| {
//!         r.on_connect(async |socket: Socket| socket.join("lobby"));
//!         r.on("say", async |socket: Socket, user: User<Claims>, Data(text): Data<String>| {
//!             Reply(socket.to("lobby").emit("said", &(&user.sub, text)).is_ok())
//!         });
//!     });
//! let chat = TestServer::start(builder).await;
//!
//! let alice = chat.connect("/chat").token(&tokens.mint("alice")).await;
//! let bob = chat.connect("/chat").token(&tokens.mint("bob")).await;
//! chat.room("/chat", "lobby").expect_members(&[&alice, &bob]).await;
//!
//! assert_eq!(alice.emit_with_ack("say", &"hello").await, true);
//! assert_eq!(bob.expect("said").await, ("alice", "hello"));
//!
//! let refused = chat.connect("/chat").refused().await;
//! assert_eq!(refused.code(), Some("TOKEN_MISSING"));
//! # }
//! ```
//!
//! | to control                    | take                                                       |
//! |-------------------------------|------------------------------------------------------------|
//! | who is asking                 | [`TestTokens`]                                             |
//! | whether a token has expired   | [`TestClock`]                                              |
//! | pings, timeouts, deadlines    | `#[tokio::test(start_paused = true)]`                      |
//! | the other nodes of a cluster  | [`TestCluster`], or [`MemoryBus`] for a server of your own |
//! | what handlers did             | [`Journal`]                                                |
//! | what is logged and counted    | [`Witness`]                                                |
//! | bytes                         | [`wire`]                                                   |
//!
//! # Time
//!
//! Clients are connected over memory unless they are asked to use TCP, so that a test whose clock
//! is paused does not run ahead of its connections: while everybody waits, the clock jumps to the
//! next deadline. Every expectation is bounded by the patience of the server,
//! [`TestServer::patience`]. Under a paused clock that is a span of the paused clock too, and must
//! be longer than the timer that the test is about. A [`Journal`] waits for 50 s at most.
//!
//! # Failures
//!
//! Everything here fails as assertions do, by a panic whose text begins with the line of the test
//! that expected something, and says what came instead. What is not expected to work is a value:
//! a refusal ([`Refused`]), the end of a socket ([`Disconnect`]).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

// 1. Start what is tested.
mod cluster;
mod network;
mod room;
mod server;

// 2. Be its peer.
mod client;
mod connecting;
mod received;
mod refused;

// 3. Control what it believes, and see what it did.
mod clock;
mod journal;
mod tokens;
mod witness;

// 4. Look at the bytes.
pub mod wire;

pub use client::{Disconnect, Event, TestClient};
pub use clock::TestClock;
pub use cluster::{BusNode, MemoryAdapter, MemoryBus, TestCluster};
pub use connecting::Connecting;
pub use journal::Journal;
pub use received::Received;
pub use refused::Refused;
pub use room::TestRoom;
pub use server::TestServer;
pub use tokens::TestTokens;
pub use witness::Witness;
