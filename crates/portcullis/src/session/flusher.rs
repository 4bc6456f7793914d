//! The task that writes what broadcasts left in the outboxes of one shard.
//!
//! A pass writes every dirty connection once, with all that has gathered for it. It begins behind
//! everybody who was ready when it was asked for, and while it works, later broadcasts append: the
//! busier the shard, the more frames leave per system call.
//!
//! # Invariants
//!
//! - Others may run after [`YIELD_EVERY`] writes of little, and after the first large one with
//!   which [`TURN`] is over, in however many passes.
//! - An idle shard never waits: only a long pass that finds more work lingers before the next.
//!
//! # Not here
//!
//! The write itself (`connection`, `outbox`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shard::Shard;

/// About 0.3 ms of system calls.
const YIELD_EVERY: usize = 64;

/// How long large writes may go on before others may run.
const TURN: Duration = Duration::from_micros(300);

/// A pass over fewer connections, or a shorter one, does not linger.
const LINGER_FROM_CONNECTIONS: usize = 32;
const LINGER_FROM: Duration = Duration::from_micros(500);

/// How long to let frames gather, in eighths of a pass: a flusher that does not wait pays a system
/// call for each frame, and one that waits long is late.
const LINGER_EIGHTHS: u32 = 9;
const LINGER_MAX: Duration = Duration::from_millis(20);

/// Flushes until the task is dropped.
pub(crate) async fn run(shard: Arc<Shard>) {
    let mut pass = Vec::new();
    loop {
        shard.dirtied().await;
        // Whoever else is ready goes first: what their events say can leave with this pass.
        tokio::task::yield_now().await;
        let (mut turn, mut writes) = (Instant::now(), 0);
        loop {
            shard.take_dirty(&mut pass);
            if pass.is_empty() {
                break;
            }
            let (started, connections) = (Instant::now(), pass.len());
            for connection in pass.drain(..) {
                let was_large = connection.flush_for_shard();
                writes += 1;
                if writes >= YIELD_EVERY || (was_large && turn.elapsed() >= TURN) {
                    tokio::task::yield_now().await;
                    (turn, writes) = (Instant::now(), 0);
                }
            }
            if pass.capacity() > 4096 && connections < pass.capacity() / 8 {
                pass = Vec::new();
            }
            let took = started.elapsed();
            if connections >= LINGER_FROM_CONNECTIONS && took > LINGER_FROM && shard.has_dirty() {
                let gathering = took * LINGER_EIGHTHS / 8;
                tokio::time::sleep(gathering.min(LINGER_MAX)).await;
            }
        }
    }
}
