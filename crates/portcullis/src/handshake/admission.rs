//! Whether there is room for one more: sessions of the node and of an address, those that nobody
//! knows yet, and how often new ones may be asked for.
//!
//! ```text
//!  request ─▶ how often: this address? all? ─▶ how many: all? this address? pending? ─▶ Places
//!                         └─────────────────────────┴──▶ 503, Retry-After
//! ```
//!
//! # Invariants
//!
//! - A place is taken before the session opens and given back when it ends, or when it never
//!   opens: however many ask at the same time, no limit is exceeded.
//! - What is remembered of addresses is bounded: those whose buckets are full again are forgotten,
//!   and where that does not help, strangers share one bucket.
//! - Addresses of IPv6 count by their first 64 bits, of which every customer has that many.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;

use crate::clock;
use crate::pace::{Bucket, Rate};
use crate::session::Places;

/// So many addresses are remembered for their rate.
const MAX_BUCKETS: usize = 65_536;

/// After how long those who find no room may try again, in seconds.
const RETRY_AFTER: u64 = 5;

/// What the admission is told at start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AdmissionOptions {
    pub(crate) max_sessions: Option<usize>,
    pub(crate) max_sessions_per_address: Option<usize>,
    /// How many sessions may not have joined a namespace yet.
    pub(crate) max_pending: Option<usize>,
    pub(crate) rate: Option<Rate>,
    pub(crate) rate_per_address: Option<Rate>,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    /// The limit, as the metric names it.
    pub(crate) limit: &'static str,
    /// What the peer is told.
    pub(crate) message: &'static str,
    /// When to try again, in seconds.
    pub(crate) retry_after: u64,
}

/// Counts sessions, and lets new ones in.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    options: AdmissionOptions,
    sessions: Counter,
    pending: Counter,
    rate: Mutex<Bucket>,
    rates: Mutex<HashMap<Key, Bucket, RandomState>>,
}

/// The first bits of an address: all of IPv4, 64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(u64);

impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // Below the addresses that IPv6 gives to anybody.
            IpAddr::V4(address) => Self(u64::from(u32::from(address))),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

impl Admission {
    pub(crate) fn new(options: AdmissionOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Takes the places of a new session.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> Result<Places, Full> {
        self.pace(address)?;
        let AdmissionOptions {
            max_sessions,
            max_sessions_per_address,
            max_pending,
            ..
        } = self.options;
        let full = |limit| Full {
            limit,
            message: "Too many connections",
            retry_after: RETRY_AFTER,
        };
        let taken = self
            .sessions
            .take(address, max_sessions, max_sessions_per_address);
        let session = taken.map_err(|taken| match taken {
            Taken::All => full("sessions"),
            Taken::OfAddress => full("sessions_per_address"),
        })?;
        let pending = self.pending.take(None, max_pending, None);
        let pending = pending.map_err(|_| full("pending_handshakes"))?;
        Ok(Places {
            session: Box::new(session),
            pending: Box::new(pending),
        })
    }

    /// An address that asks too often takes nothing from the others.
    fn pace(&self, address: Option<IpAddr>) -> Result<(), Full> {
        let now = clock::instant();
        let too_often = |limit| {
            move |wait: Duration| Full {
                limit,
                message: "Too many handshakes",
                retry_after: wait.as_secs().saturating_add(1),
            }
        };
        if let (Some(rate), Some(address)) = (self.options.rate_per_address, address) {
            let taken = self.take_of_address(Key::from(address), rate, now);
            taken.map_err(too_often("handshakes_per_address"))?;
        }
        if let Some(rate) = self.options.rate {
            let taken = self.rate.lock().take(rate, now);
            taken.map_err(too_often("handshakes"))?;
        }
        Ok(())
    }

    fn take_of_address(&self, key: Key, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut rates = self.rates.lock();
        if rates.len() >= MAX_BUCKETS && !rates.contains_key(&key) {
            rates.retain(|_, bucket| !bucket.is_full(now));
        }
        let key = if rates.len() >= MAX_BUCKETS && !rates.contains_key(&key) {
            Key(u64::MAX)
        } else {
            key
        };
        rates.entry(key).or_default().take(rate, now)
    }
}

/// Counts what is there, in all and for each address. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: AtomicUsize,
    of_addresses: Mutex<HashMap<Key, usize, RandomState>>,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    All,
    OfAddress,
}

/// One of those that are counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Counts>,
    key: Option<Key>,
}

impl Counter {
    /// Takes a place within both limits.
    pub(crate) fn take(
        &self,
        address: Option<IpAddr>,
        max: Option<usize>,
        max_of_address: Option<usize>,
    ) -> Result<Place, Taken> {
        let counts = Arc::clone(&self.0);
        let before = counts.all.fetch_add(1, Ordering::Relaxed);
        // Given back by its drop, if it cannot be had.
        let mut place = Place { counts, key: None };
        if max.is_some_and(|max| before >= max) {
            return Err(Taken::All);
        }
        if let (Some(max), Some(address)) = (max_of_address, address) {
            let key = Key::from(address);
            let mut counted = place.counts.of_addresses.lock();
            let count = counted.entry(key).or_default();
            if *count >= max {
                return Err(Taken::OfAddress);
            }
            *count += 1;
            drop(counted);
            place.key = Some(key);
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
        let Some(key) = self.key else {
            return;
        };
        let mut counted = self.counts.of_addresses.lock();
        if let Entry::Occupied(mut entry) = counted.entry(key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        if counted.capacity() > counted.len() * 4 + 64 {
            counted.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([203, 0, 113, last]))
    }

    #[test]
    fn places_are_given_back_and_nothing_is_remembered() {
        let counter = Counter::default();
        let take = |last| counter.take(address(last), Some(3), Some(2));
        let (one, two, other) = (take(1).unwrap(), take(1).unwrap(), take(2).unwrap());
        assert_eq!(take(2).unwrap_err(), Taken::All);
        drop(other);
        assert_eq!(take(1).unwrap_err(), Taken::OfAddress);
        drop((one, two));
        take(1).unwrap();
        assert_eq!(counter.0.all.load(Ordering::Relaxed), 0);
        assert!(counter.0.of_addresses.lock().is_empty());
    }

    #[test]
    fn addresses_of_ipv6_count_by_their_network() {
        let key = |text: &str| Key::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_ne!(key("203.0.113.7"), key("203.0.113.8"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_asks_too_often_waits_and_no_other_does() {
        let admission = Admission::new(AdmissionOptions {
            rate_per_address: Some(Rate::per_second(1).burst(2)),
            ..AdmissionOptions::default()
        });
        for _ in 0..2 {
            admission.admit(address(1)).unwrap();
        }
        let full = admission.admit(address(1)).unwrap_err();
        assert_eq!(
            (full.limit, full.retry_after),
            ("handshakes_per_address", 2)
        );
        admission.admit(address(2)).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        admission.admit(address(1)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_of_addresses_is_bounded() {
        let admission = Admission::new(AdmissionOptions {
            rate_per_address: Some(Rate::per_second(1)),
            ..AdmissionOptions::default()
        });
        let count = u32::try_from(MAX_BUCKETS).unwrap();
        for number in 0..count {
            admission
                .admit(Some(IpAddr::from(number.to_be_bytes())))
                .unwrap();
        }
        let stranger = |number: u32| Some(IpAddr::from((count + number).to_be_bytes()));
        admission.admit(stranger(1)).unwrap();
        admission.admit(stranger(2)).unwrap_err();
        assert!(admission.rates.lock().len() <= MAX_BUCKETS + 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        admission.admit(stranger(3)).unwrap();
        assert!(admission.rates.lock().len() < 4);
    }
}
