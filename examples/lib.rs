//! Small gateways, each of which shows one thing.
//!
//! | example            | shows                                                              |
//! |--------------------|--------------------------------------------------------------------|
//! | `chat`             | a guarded namespace: tokens, rooms, replies, on a port of its own  |
//! | `cluster`          | all that a server in production is told, its cluster among it      |
//! | `axum`             | the engine in an axum router, and emitting from an HTTP handler    |
//! | `private_messages` | a room for each person: every tab gets a message, and is asked     |
//! | `validation`       | payloads with rules, and errors that clients understand            |
//! | `testing`          | a gateway and its tests                                            |
//! | `async_auth`       | an authenticator that is an async function                         |
//! | `ticker`           | emitting from a background task                                    |
//!
//! `cargo run --package examples --example chat` runs one; the tests beside them run all.
