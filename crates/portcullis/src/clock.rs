//! What time it is.
//!
//! | clock             | tells                            | who may replace it                  |
//! |-------------------|----------------------------------|-------------------------------------|
//! | [`Clock`]         | whether a token has expired      | the application, mostly in tests    |
//! | the runtime's own | when to ping, when to give up    | a test that pauses the runtime      |
//!
//! # Invariants
//!
//! - No other module reads the system's clock to decide anything.

use std::fmt;
use std::time::{Instant, SystemTime};

/// Tells the date and the time of day.
///
/// It is asked for every connection and must not block. It may be set back and forth: how long an
/// accepted token still lasts is found out once, and again every 24 hours for as long as its end is
/// farther away than that.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// What time it is now.
    fn now(&self) -> SystemTime;
}

/// The clock of the system.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is one, and it has no state"
)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The point in time that the protocol machines are told: the runtime's, so that whoever pauses
/// its clock pauses heartbeats too.
pub(crate) fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}
