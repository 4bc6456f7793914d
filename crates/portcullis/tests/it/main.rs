//! What this crate promises, tested through its public face and over real connections.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod acks;
mod admission;
mod advisories;
mod boundaries;
mod building;
mod cluster;
mod drain;
mod dynamic;
mod emitters;
mod events;
mod failing_handlers;
mod gateways;
mod hooks;
mod identity;
mod lifecycle;
mod limits;
mod macros;
mod management;
mod misuse;
mod mounting;
mod origins;
mod panics;
mod promises;
mod secrets;
mod shutdown;
mod slow;
mod support;
mod tables;
mod text_only;
