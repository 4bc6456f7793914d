//! Nodes of a cluster over a real Redis, which each test starts for itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod emitter;
mod faults;
mod operations;
mod poison;
mod sharded;
mod support;
mod topologies;
