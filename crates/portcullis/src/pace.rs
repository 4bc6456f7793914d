//! So many a second on average, and so many at once.
//!
//! A [`Bucket`] remembers one moment: when it will be full again. Taking from it moves that moment
//! by the share of a second that was taken, and is refused where it would move too far.
//!
//! # Invariants
//!
//! - A bucket costs no timer and no task: time passes by being looked at.
//!
//! # Not here
//!
//! Whose bucket it is, and what happens when it is empty (`handshake`, `session`, `client`,
//! `gateway`).

use std::time::{Duration, Instant};

/// How often something may happen.
///
/// ```
/// use portcullis::Rate;
///
/// // 100 a second, and up to 200 at once after a pause.
/// let rate = Rate::per_second(100).burst(200);
/// # let _ = rate;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// So many a second, at least one; as many may come at once.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        let count = if count == 0 { 1 } else { count };
        Self {
            per_second: count,
            burst: count,
        }
    }

    /// How many may come at once, at least one. Default: as many as in a second.
    #[must_use]
    pub const fn burst(mut self, count: u32) -> Self {
        self.burst = if count == 0 { 1 } else { count };
        self
    }

    pub(crate) const fn each_second(self) -> u32 {
        self.per_second
    }

    fn share(self, count: u32) -> Duration {
        (Duration::from_secs(1) / self.per_second) * count
    }
}

/// What is left of a rate. Starts full.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one, or says how long to wait for it.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_many(1, rate, now)
    }

    /// Takes `count`, or none of them.
    pub(crate) fn take_many(
        &mut self,
        count: u32,
        rate: Rate,
        now: Instant,
    ) -> Result<(), Duration> {
        let from = self.full_at.map_or(now, |full_at| full_at.max(now));
        let full_at = from + rate.share(count);
        match (full_at - now).checked_sub(rate.share(rate.burst)) {
            Some(missing) if !missing.is_zero() => Err(missing),
            _ => {
                self.full_at = Some(full_at);
                Ok(())
            }
        }
    }

    /// Whether nothing is missing from it, so that a new one would be the same.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_second(10).burst(3);

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for _ in 0..3 {
            bucket.take(RATE, start).unwrap();
        }
        assert_eq!(bucket.take(RATE, start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        bucket.take(RATE, later).unwrap();
        assert!(bucket.take(RATE, later).is_err());
    }

    #[test]
    fn a_pause_fills_a_bucket_and_does_not_overfill_it() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        bucket.take_many(3, RATE, start).unwrap();
        assert!(!bucket.is_full(start));
        let later = start + Duration::from_secs(3600);
        assert!(bucket.is_full(later));
        assert!(bucket.take_many(4, RATE, later).is_err());
        bucket.take_many(3, RATE, later).unwrap();
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert!(bucket.take_many(u32::MAX, RATE, start).is_err());
        assert!(bucket.is_full(start));
    }

    #[test]
    fn a_rate_of_nothing_is_one() {
        let rate = Rate::per_second(0).burst(0);
        assert_eq!(rate, Rate::per_second(1));
        Bucket::default().take(rate, Instant::now()).unwrap();
    }
}
