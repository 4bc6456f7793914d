//! The peer with mimalloc.

use bench_peer_socketioxide::{Failure, run};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<(), Failure> {
    run()
}
