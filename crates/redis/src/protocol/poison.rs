//! Messages that are none: counted, and told now and then.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::wire::WireError;

/// How often they are told.
const INTERVAL: Duration = Duration::from_secs(10);

/// Messages that are none.
#[derive(Debug, Default)]
pub(crate) struct Poison(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: Option<Instant>,
    untold: u64,
}

impl Poison {
    /// Counts a message that is none; the log hears of it at a bounded rate.
    pub(crate) fn found(&self, kind: &'static str, error: WireError) {
        metrics::counter!("portcullis_bus_poison_total", "kind" => kind).increment(1);
        let mut state = self.0.lock();
        let now = Instant::now();
        if state.told.is_some_and(|told| now - told < INTERVAL) {
            state.untold += 1;
            return;
        }
        state.told = Some(now);
        let untold = std::mem::take(&mut state.untold);
        tracing::warn!(kind, %error, untold, "a message on the bus makes no sense");
    }
}
