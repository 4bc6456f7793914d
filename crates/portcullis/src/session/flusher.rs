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
//! - What could leave one by one is not kept waiting: a long pass that finds more work lingers
//!   before the next only while frames come faster than that.
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

/// How often it is judged whether frames come faster than they could leave one by one, and by how
/// many quarters of that they must be.
const JUDGE_EVERY: Duration = Duration::from_millis(50);
const BEYOND_QUARTERS: u32 = 5;

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
            let visited = dirty.len();
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
            if dirty.capacity() > 4096 && visited < dirty.capacity() / 8 {
                dirty = Vec::new();
            }
            pass.took = pass.started.elapsed();
            load.add(&pass);
            if load.is_beyond && pass.is_long() && shard.has_dirty() {
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

    /// How long it would have taken with one frame a connection, again and again until all of them
    /// had left.
    fn one_by_one(&self) -> Duration {
        let connections = u32::try_from(self.connections).unwrap_or(u32::MAX).max(1);
        let frames = u32::try_from(self.frames).unwrap_or(u32::MAX);
        self.took.saturating_mul(frames) / connections
    }

    const fn is_long(&self) -> bool {
        self.connections >= LINGER_FROM_CONNECTIONS && self.took.as_nanos() > LINGER_FROM.as_nanos()
    }
}

/// Whether frames come faster than they could leave one by one, judged now and then: what a moment
/// says is mostly in which order things happened.
struct Load {
    since: Instant,
    one_by_one: Duration,
    is_beyond: bool,
}

impl Load {
    const fn since(since: Instant) -> Self {
        Self {
            since,
            one_by_one: Duration::ZERO,
            is_beyond: false,
        }
    }

    fn add(&mut self, pass: &Pass) {
        let now = pass.started + pass.took;
        self.one_by_one += pass.one_by_one();
        let elapsed = now - self.since;
        if elapsed >= JUDGE_EVERY {
            *self = Self {
                is_beyond: self.one_by_one > elapsed * BEYOND_QUARTERS / 4,
                ..Self::since(now)
            };
        }
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
        let mut now = Instant::now();
        let mut load = Load::since(now);
        for _ in 0..20 {
            load.add(&pass(now, 4 * MS, 1_000, 8 * rate));
            now += 8 * MS;
        }
        load.is_beyond
    }

    #[test]
    fn frames_gather_only_where_they_come_faster_than_they_could_leave_alone() {
        assert!(!lingers(50));
        assert!(!lingers(250));
        assert!(lingers(350));
        assert!(lingers(1_600));
    }

    #[test]
    fn a_broadcast_among_small_rooms_changes_nothing() {
        let mut now = Instant::now();
        let mut load = Load::since(now);
        for round in 0..1_000 {
            load.add(&pass(now, MS / 20, 10, 10));
            now += MS;
            if round % 100 == 0 {
                load.add(&pass(now, 4 * MS, 1_000, 2_000));
                now += 5 * MS;
            }
            assert!(!load.is_beyond, "after {round} rounds");
        }
    }

    #[test]
    fn a_load_that_has_gone_is_forgotten() {
        let mut now = Instant::now();
        let mut load = Load::since(now);
        for _ in 0..20 {
            load.add(&pass(now, 4 * MS, 1_000, 4_000));
            now += 8 * MS;
        }
        assert!(load.is_beyond);
        load.add(&pass(now + 1_000 * MS, 4 * MS, 1_000, 1_000));
        assert!(!load.is_beyond);
    }

    #[test]
    fn few_connections_and_short_passes_never_wait() {
        let is_long = |took, connections| pass(Instant::now(), took, connections, 9_000).is_long();
        assert!(!is_long(MS, 31));
        assert!(!is_long(MS / 2, 32));
        assert!(is_long(MS, 32));
    }
}
