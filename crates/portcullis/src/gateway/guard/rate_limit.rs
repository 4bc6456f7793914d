//! How many events a socket may send.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{Checked, Guard};
use crate::gateway::error::EventError;
use crate::gateway::extract::EventContext;
use crate::namespace::Socket;

/// Lets so many events of each socket through, on average and at once; those beyond are answered
/// with the code `RATE_LIMITED`, and `details` say after how many milliseconds to try again.
///
/// It is a guard: on the server it counts all events of a socket, on a gateway those of that
/// gateway, on a handler those for it.
///
/// ```
/// use portcullis::gateway::RateLimit;
///
/// // 50 a second, and up to 100 at once after a pause.
/// let limit = RateLimit::per_socket(50).burst(100);
/// # let _ = limit;
/// ```
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// Tells the buckets of several limits on one socket apart.
    id: u64,
    per_second: u32,
    burst: u32,
}

/// The buckets of one socket, one for each limit that has seen it.
#[derive(Debug, Default)]
struct Buckets(Mutex<SmallVec<[Bucket; 1]>>);

#[derive(Debug)]
struct Bucket {
    limit: u64,
    /// When the bucket will be full again: an event moves it by its share of a second.
    full_at: Instant,
}

impl RateLimit {
    /// So many events a second for each socket, at least one; as many may come at once.
    #[must_use]
    pub fn per_socket(events_per_second: u32) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let per_second = events_per_second.max(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            per_second,
            burst: per_second,
        }
    }

    /// How many may come at once, at least one. Default: as many as in a second.
    #[must_use]
    pub const fn burst(mut self, events: u32) -> Self {
        self.burst = if events == 0 { 1 } else { events };
        self
    }

    /// Takes one event from the bucket of `socket`, or says how long to wait for one.
    fn take(&self, socket: &Socket) -> Result<(), Duration> {
        let buckets = socket.get::<Buckets>().unwrap_or_else(|| {
            // Two events of a socket may get here at once; the loser's bucket is not missed.
            socket.insert(Buckets::default());
            socket.get().unwrap_or_else(|| Arc::new(Buckets::default()))
        });
        let mut buckets = buckets.0.lock();
        let now = Instant::now();
        let index = buckets.iter().position(|bucket| bucket.limit == self.id);
        let index = index.unwrap_or_else(|| {
            buckets.push(Bucket {
                limit: self.id,
                full_at: now,
            });
            buckets.len() - 1
        });
        let bucket = &mut buckets[index];
        let share = Duration::from_secs(1) / self.per_second;
        let full_at = bucket.full_at.max(now) + share;
        match (full_at - now).checked_sub(share * self.burst) {
            Some(missing) if !missing.is_zero() => Err(missing),
            _ => {
                bucket.full_at = full_at;
                Ok(())
            }
        }
    }
}

impl Guard for RateLimit {
    fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a> {
        let verdict = self.take(context.socket()).map_err(|wait| {
            metrics::counter!("portcullis_events_rate_limited_total").increment(1);
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1);
            let details = [("retryAfterMs", wait)];
            EventError::new("RATE_LIMITED", "Too many events")
                .with_details(portcullis_socketio::value::Value::from_iter(details))
        });
        Checked::Now(verdict)
    }

    fn name(&self) -> Cow<'static, str> {
        format!("RateLimit({} per second)", self.per_second).into()
    }
}
