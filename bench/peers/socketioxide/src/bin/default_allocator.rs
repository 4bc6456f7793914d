//! The peer with the allocator that Rust brings.

use bench_peer_socketioxide::{Failure, run};

fn main() -> Result<(), Failure> {
    run()
}
