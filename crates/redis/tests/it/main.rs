//! Nodes of a cluster over a real Redis, which each test starts for itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod dynamic;
mod emitter;
mod faults;
mod operations;
mod parser;
mod poison;
mod sharded;
mod support;
mod tls;
mod topologies;
