//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use portcullis::clock::Clock;

/// The wall clock of a test, for [`ServerBuilder::clock`](portcullis::ServerBuilder::clock) and
/// [`TestTokens::clock`](crate::TestTokens::clock). Clones are the same clock.
///
/// It has nothing to do with timers, whose clock is the runtime's.
///
/// ```
/// use std::time::Duration;
/// use portcullis::clock::Clock as _;
/// use portcullis_testing::TestClock;
///
/// let clock = TestClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now(), before + Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<SystemTime>>);

impl TestClock {
    /// A clock that shows noon of 1 January 2030, UTC.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_499_200))
    }

    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, now: SystemTime) {
        *self.0.lock() = now;
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock()
    }
}
