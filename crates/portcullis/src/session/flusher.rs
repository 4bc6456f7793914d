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
    let mut dirty = Vec::new();
    let mut load = Load::since(Instant::now());
    loop {
        shard.dirtied().await;
        // Whoever else is ready goes first: what their events say can leave with this pass.
        tokio::task::yield_now().await;
        let (mut turn, mut writes) = (Instant::now(), 0);
        loop {
            shard.take_dirty(&mut dirty);
            if dirty.is_empty() {
                break;
            }
            let mut pass = Pass::begin(Instant::now());
            for connection in dirty.drain(..) {
                let written = connection.flush_for_shard();
                pass.connections += usize::from(written.frames > 0);
                pass.frames += written.frames;
                writes += 1;
                if writes >= YIELD_EVERY || (written.is_large && turn.elapsed() >= TURN) {
                    tokio::task::yield_now().await;
                    (turn, writes) = (Instant::now(), 0);
                }
            }
            if dirty.capacity() > 4096 && pass.connections < dirty.capacity() / 8 {
                dirty = Vec::new();
            }
            pass.took = pass.started.elapsed();
            if load.is_worth_gathering(&pass) && shard.has_dirty() {
                let gathering = pass.took * LINGER_EIGHTHS / 8;
                tokio::time::sleep(gathering.min(LINGER_MAX)).await;
            }
        }
    }
}

/// What one pass did.
struct Pass {
    started: Instant,
    took: Duration,
    /// To which something was written.
    connections: usize,
    frames: usize,
}

impl Pass {
    const fn begin(started: Instant) -> Self {
        Self {
            started,
            took: Duration::ZERO,
            connections: 0,
            frames: 0,
        }
    }
}

/// What came since the last pass over many connections began.
struct Load {
    since: Instant,
    frames: usize,
}

impl Load {
    const fn since(since: Instant) -> Self {
        Self { since, frames: 0 }
    }

    /// Whether the frames that came until `pass` would have taken longer to leave one by one than
    /// they took to come, and there was a second one for many a connection, which left for nothing.
    fn is_worth_gathering(&mut self, pass: &Pass) -> bool {
        self.frames += pass.frames;
        if pass.connections < LINGER_FROM_CONNECTIONS {
            return false;
        }
        let came_in = pass.started - self.since;
        let one_by_one = pass.took.as_nanos() * self.frames as u128 / pass.connections as u128;
        *self = Self::since(pass.started);
        pass.took > LINGER_FROM
            && one_by_one > came_in.as_nanos()
            && 4 * pass.frames > 5 * pass.connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pass(started: Instant, took: Duration, connections: usize, frames: usize) -> Pass {
        Pass {
            started,
            took,
            connections,
            frames,
        }
    }

    /// Whether a flusher lingers that writes to 1,000 connections in 4 ms, every 8 ms, while
    /// broadcasts come `rate` times a second.
    fn lingers(rate: usize) -> bool {
        let start = Instant::now();
        let mut load = Load::since(start);
        load.is_worth_gathering(&pass(start + 8 * MS, 4 * MS, 1_000, 8 * rate))
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
        let start = Instant::now();
        let lingers = |took, connections| {
            let pass = pass(start + MS, took, connections, 100 * connections);
            Load::since(start).is_worth_gathering(&pass)
        };
        assert!(!lingers(MS, 31));
        assert!(!lingers(MS / 2, 32));
        assert!(lingers(MS, 32));
    }

    #[test]
    fn a_broadcast_among_small_rooms_is_measured_by_the_time_since_the_one_before() {
        let start = Instant::now();
        let mut load = Load::since(start);
        let mut now = start;
        for _ in 0..1_000 {
            now += MS;
            assert!(!load.is_worth_gathering(&pass(now, MS / 20, 10, 10)));
        }
        // It came at once, and 10,000 frames to rooms in the second before.
        assert!(!load.is_worth_gathering(&pass(now + MS, 4 * MS, 1_000, 2_000)));
        // The next ones come faster than they can leave.
        assert!(load.is_worth_gathering(&pass(now + 5 * MS, 4 * MS, 1_000, 2_000)));
    }

    #[test]
    fn nothing_is_gathered_where_every_connection_had_one_frame() {
        let start = Instant::now();
        let mut load = Load::since(start);
        assert!(!load.is_worth_gathering(&pass(start + 3 * MS, 4 * MS, 1_000, 1_000)));
    }
}
