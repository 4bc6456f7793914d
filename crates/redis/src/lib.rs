//! Portcullis on Redis: one `emit` reaches every member of a room, whichever process they are
//! connected to.
//!
//! The wire is that of Node's adapters, byte for byte, so a Rust node can join, or replace one by
//! one, the nodes of a running Socket.IO or NestJS cluster.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use portcullis::{Server, shutdown_signal};
//! use portcullis_redis::Redis;
//!
//! let server = Server::builder()
//!     .namespace("/chat", |r| { r.public(); })
//!     .cluster(Redis::new("redis://localhost:6379"))
//!     .on_bus_gap(|gap| eprintln!("{:?} of messages may be missing", gap.duration()));
//! server.build().await?.serve("127.0.0.1:3000", shutdown_signal()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A process that serves no sockets emits with a [`RedisEmitter`]. Options, promises, faults and
//! metrics are in `docs/manual/redis.md` of the repository.
//!
//! The modules follow a message: from the adapter to the wire, to Redis, and back.

// 1. Say what the cluster is.
mod address;
mod options;

mod start;

// 2. Put the seam of the framework on it.
mod adapter;
mod emitter;

// 3. Decide what a message means in one namespace.
mod protocol;
mod requests;

// 4. Turn messages into bytes, and back.
mod wire;

// 5. Keep the connections to Redis.
mod connection;

// What all of them use.
mod identity;
mod tasks;

// What a user reads first.
#[cfg(any(doc, doctest))]
pub mod manual;

pub use emitter::{RedisEmitError, RedisEmitter, RedisOperator};
pub use options::{AtStart, Mode, Redis};
pub use start::StartError;
pub use wire::parser::{Parser, ParserError};
