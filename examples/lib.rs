//! Small gateways, each of which shows one thing.
//!
//! | example      | shows                                                             |
//! |--------------|-------------------------------------------------------------------|
//! | `chat`       | a guarded namespace: tokens, rooms, replies, on a port of its own  |
//! | `axum`       | the engine in an axum router, and emitting from an HTTP handler    |
//! | `async_auth` | an authenticator that is an async function                         |
//! | `ticker`     | emitting from a background task                                    |
//!
//! `cargo run --package examples --example chat` runs one; the tests beside them run all.
