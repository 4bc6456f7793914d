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
//! - What passes without a pause can carry is not kept waiting: only a long pass that finds more
//!   work, of which more comes than such passes would carry, lingers before the next.
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
    let mut before = Instant::now();
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
            let started = Instant::now();
            let mut load = Load {
                since: started - before,
                connections: pass.len(),
                frames: 0,
            };
            before = started;
            for connection in pass.drain(..) {
                let written = connection.flush_for_shard();
                load.frames += written.frames;
                writes += 1;
                if writes >= YIELD_EVERY || (written.is_large && turn.elapsed() >= TURN) {
                    tokio::task::yield_now().await;
                    (turn, writes) = (Instant::now(), 0);
                }
            }
            if pass.capacity() > 4096 && load.connections < pass.capacity() / 8 {
                pass = Vec::new();
            }
            let took = started.elapsed();
            if load.is_worth_gathering(took) && shard.has_dirty() {
                let gathering = took * LINGER_EIGHTHS / 8;
                tokio::time::sleep(gathering.min(LINGER_MAX)).await;
            }
        }
    }
}

/// What one pass carried.
struct Load {
    /// In which time it came: since the pass before began.
    since: Duration,
    connections: usize,
    frames: usize,
}

impl Load {
    /// Whether passes that take as long, with a frame for each connection, would fall behind.
    fn is_worth_gathering(&self, took: Duration) -> bool {
        self.connections >= LINGER_FROM_CONNECTIONS
            && took > LINGER_FROM
            && self.frames as u128 * took.as_nanos()
                > self.connections as u128 * self.since.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Whether a flusher lingers that writes to 1,000 connections in 4 ms, `rate` times a second.
    fn lingers(rate: u32) -> bool {
        let (since, took) = (8 * MS, 4 * MS);
        let frames = 1_000 * 8 * rate as usize / 1_000;
        Load {
            since,
            connections: 1_000,
            frames,
        }
        .is_worth_gathering(took)
    }

    #[test]
    fn frames_gather_only_where_they_come_faster_than_they_could_leave_alone() {
        assert!(!lingers(50));
        assert!(!lingers(240));
        assert!(lingers(260));
        assert!(lingers(400));
    }

    #[test]
    fn few_connections_and_short_passes_never_wait() {
        let load = |connections| Load {
            since: MS,
            connections,
            frames: 100 * connections,
        };
        assert!(!load(31).is_worth_gathering(MS));
        assert!(!load(32).is_worth_gathering(MS / 2));
        assert!(load(32).is_worth_gathering(MS));
    }
}
