//! How long to wait before the next attempt.

use std::time::Duration;

use crate::identity::fraction;

/// The first wait.
const FIRST: Duration = Duration::from_millis(50);

/// The longest wait: delivery is to be back within a second after Redis is.
const LONGEST: Duration = Duration::from_millis(800);

/// Waits that double, up to a bound, each shortened at random by up to a half, so that the nodes
/// of a cluster do not come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait. The very first attempt after a success does not wait.
    pub(crate) fn next(&mut self) -> Duration {
        let attempts = self.attempts;
        self.attempts = attempts.saturating_add(1);
        let Some(doublings) = attempts.checked_sub(1) else {
            return Duration::ZERO;
        };
        let full = FIRST.saturating_mul(1 << doublings.min(10)).min(LONGEST);
        full.mul_f64(1.0 - fraction() / 2.0)
    }

    /// The last attempt succeeded.
    pub(crate) const fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(), Duration::ZERO);
        let mut bound = FIRST;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(wait <= bound && wait * 2 >= bound, "{wait:?} for {bound:?}");
            bound = (bound * 2).min(LONGEST);
        }
        backoff.reset();
        assert_eq!(backoff.next(), Duration::ZERO);
    }
}
