//! What the metrics count.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

static COUNTERS: OnceLock<Counters> = OnceLock::new();

/// The counters of this process by name, their labels taken together; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>);

impl Counters {
    pub(crate) fn installed() -> Self {
        COUNTERS
            .get_or_init(|| {
                let counters = Self::default();
                metrics::set_global_recorder(counters.clone()).unwrap();
                counters
            })
            .clone()
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        let counters = self.0.lock();
        counters
            .get(name)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.0.lock();
        let counter = counters.entry(key.name().to_owned()).or_default();
        Counter::from_arc(Arc::clone(counter))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
