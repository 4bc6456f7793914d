//! Nodes of a cluster over a real Redis, which each test starts for itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod acks;
mod black_hole;
mod dynamic;
mod emitter;
mod faults;
mod forgetting;
mod losses;
mod masters;
mod operations;
mod parser;
mod poison;
mod revocation;
mod sentinels;
mod sharded;
mod stalls;
mod steady;
mod support;
mod tls;
mod topologies;
