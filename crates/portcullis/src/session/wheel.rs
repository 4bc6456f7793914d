//! When to look at which connection: coarse, and cheap for many.
//!
//! A bucket per tick; an entry says "look at this connection then". A connection has one entry at
//! a time for its heartbeat, and a deadline that has moved to later is found out by looking, which
//! costs nothing when packets arrive. An alarm, which may be sooner, has an entry of its own.
//!
//! # Invariants
//!
//! - An entry comes up in the tick before its time or in it, never after: a ping may be one tick
//!   early, a close is never late. An alarm that comes up before its time is looked at again in the
//!   next tick: it is never early, and at most a tick late.
//!
//! # Not here
//!
//! What to do with a connection when its time comes (`connection`).

use std::time::{Duration, Instant};

const BUCKETS: usize = 256;

/// Room for so many entries stays in a bucket that was emptied. Those who came together are due
/// together, and visit each bucket in time: all would keep room for them.
const KEPT: usize = 128;

/// The longest tick.
const MAX_TICK: Duration = Duration::from_millis(250);

/// One entry: a slot of the shard, and who was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// The number of the alarm that it is for; 0 for the heartbeat.
    pub(crate) alarm: u32,
}

/// The entries of one shard.
#[derive(Debug)]
pub(crate) struct Wheel {
    buckets: Box<[Vec<Visit>]>,
    origin: Instant,
    tick: Duration,
    /// The next tick to come up.
    next: u64,
}

/// A twentieth of the smaller timing, at most a quarter of a second and at least a millisecond.
pub(crate) fn tick_for(ping_interval: Duration, ping_timeout: Duration) -> Duration {
    let tick = ping_interval.min(ping_timeout) / 20;
    tick.clamp(Duration::from_millis(1), MAX_TICK)
}

impl Wheel {
    pub(crate) fn new(tick: Duration, origin: Instant) -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Vec::new()).collect(),
            origin,
            tick,
            next: 0,
        }
    }

    /// Asks for a look at `at`, or sooner if that is too far ahead for the wheel.
    pub(crate) fn insert(&mut self, visit: Visit, at: Instant) {
        let furthest = self.next + BUCKETS as u64 - 1;
        let tick = self.tick_of(at).clamp(self.next, furthest);
        self.bucket(tick).push(visit);
    }

    /// Everything whose tick has begun by `now`.
    pub(crate) fn advance(&mut self, now: Instant) -> Vec<Visit> {
        let mut due = Vec::new();
        let last = self.tick_of(now);
        // After a long stall one round finds everything.
        let first = self.next.max(last.saturating_sub(BUCKETS as u64 - 1));
        for tick in first..=last {
            let bucket = self.bucket(tick);
            due.append(bucket);
            if bucket.capacity() > KEPT {
                *bucket = Vec::new();
            }
        }
        self.next = self.next.max(last + 1);
        due
    }

    fn tick_of(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since / self.tick.as_nanos().max(1)).unwrap_or(u64::MAX)
    }

    fn bucket(&mut self, tick: u64) -> &mut Vec<Visit> {
        let index = usize::try_from(tick % BUCKETS as u64).unwrap_or(0);
        &mut self.buckets[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    fn visit(slot: u32) -> Visit {
        Visit {
            slot,
            generation: 0,
            alarm: 0,
        }
    }

    #[test]
    fn an_entry_comes_up_in_its_tick_and_only_once() {
        let start = Instant::now();
        let mut wheel = Wheel::new(TICK, start);
        wheel.insert(visit(1), start + Duration::from_millis(25));
        assert!(wheel.advance(start + Duration::from_millis(19)).is_empty());
        assert_eq!(wheel.advance(start + Duration::from_millis(20)), [visit(1)]);
        assert!(wheel.advance(start + Duration::from_millis(500)).is_empty());
    }

    #[test]
    fn what_is_overdue_comes_up_at_the_next_tick() {
        let start = Instant::now();
        let mut wheel = Wheel::new(TICK, start);
        wheel.advance(start + Duration::from_millis(100));
        wheel.insert(visit(1), start + Duration::from_millis(50));
        assert_eq!(
            wheel.advance(start + Duration::from_millis(110)),
            [visit(1)]
        );
    }

    #[test]
    fn what_is_too_far_ahead_comes_up_early_rather_than_never() {
        let start = Instant::now();
        let mut wheel = Wheel::new(TICK, start);
        wheel.insert(visit(1), start + Duration::from_secs(3600));
        assert_eq!(wheel.advance(start + Duration::from_secs(3)), [visit(1)]);
    }

    #[test]
    fn a_stall_loses_no_entry() {
        let start = Instant::now();
        let mut wheel = Wheel::new(TICK, start);
        for slot in 0..100 {
            wheel.insert(visit(slot), start + TICK * slot);
        }
        assert_eq!(wheel.advance(start + Duration::from_secs(60)).len(), 100);
    }

    #[test]
    fn a_bucket_that_many_have_visited_gives_its_room_back() {
        let start = Instant::now();
        let mut wheel = Wheel::new(TICK, start);
        for turn in 1..=10 {
            let due = start + TICK * turn;
            (0..1_000).for_each(|slot| wheel.insert(visit(slot), due));
            assert_eq!(wheel.advance(due).len(), 1_000);
        }
        let kept: usize = wheel.buckets.iter().map(Vec::capacity).sum();
        assert_eq!(kept, 0, "entries");
    }

    #[test]
    fn the_tick_follows_the_smaller_timing() {
        let ms = Duration::from_millis;
        assert_eq!(tick_for(ms(300), ms(200)), ms(10));
        assert_eq!(tick_for(ms(25_000), ms(20_000)), ms(250));
        assert_eq!(tick_for(ms(1), ms(1)), ms(1));
    }
}
