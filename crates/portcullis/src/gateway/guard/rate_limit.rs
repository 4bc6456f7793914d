//! How many events a socket may send.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{Checked, Guard};
use crate::clock;
use crate::gateway::error::EventError;
use crate::gateway::extract::EventContext;
use crate::namespace::Socket;
use crate::pace::{Bucket, Rate};

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
    rate: Rate,
}

/// The buckets of one socket, one for each limit that has seen it, by the id of that.
#[derive(Debug, Default)]
struct Buckets(Mutex<SmallVec<[(u64, Bucket); 1]>>);

impl RateLimit {
    /// So many events a second for each socket, at least one; as many may come at once.
    #[must_use]
    pub fn per_socket(events_per_second: u32) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            rate: Rate::per_second(events_per_second),
        }
    }

    /// How many may come at once, at least one. Default: as many as in a second.
    #[must_use]
    pub const fn burst(mut self, events: u32) -> Self {
        self.rate = self.rate.burst(events);
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
        let index = buckets.iter().position(|(limit, _)| *limit == self.id);
        let index = index.unwrap_or_else(|| {
            buckets.push((self.id, Bucket::default()));
            buckets.len() - 1
        });
        let (_, bucket) = &mut buckets[index];
        bucket.take(self.rate, clock::instant())
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
        format!("RateLimit({} per second)", self.rate.each_second()).into()
    }
}
