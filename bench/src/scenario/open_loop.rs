//! What is done at its time, whether the server keeps up or not.
//!
//! ```text
//!  due:    |     |     |     |     |       start + number ÷ rate, each by itself
//!  done:   |     |        ||       |       late if the generator is, and at once then
//! ```
//!
//! # Invariants
//!
//! - Each thing is due at a time of its own: what is due in one moment would wait for one another,
//!   and that waiting would be the generator's.
//! - A generator that is late listens nevertheless, so that what arrives is not the later for it.

use std::time::Duration;

use crate::clock::{Clock, nanoseconds};
use crate::error::BenchError;
use crate::figures::{Figure, Figures, Latencies};

/// How many things are done at most before what has arrived is taken.
const MAX_UNHEARD: usize = 32;

/// How long the last answers may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The time line of an open loop, and how well the generator kept to it.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) clock: Clock,
    late: Latencies,
}

impl Pace {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            late: Latencies::new(),
        }
    }

    /// Begins a window.
    pub(super) fn forget(&mut self) {
        self.late = Latencies::new();
    }

    /// Says how late things were done in this window, which is in every latency.
    pub(super) fn summarize(&self, figures: &mut Figures) {
        figures.insert(Figure::GeneratorLate, self.late.quantile(0.99));
    }
}

/// A load that goes on by itself.
pub(super) trait OpenLoop {
    fn pace(&mut self) -> &mut Pace;

    /// Does the next thing, which was to be done at `intended`.
    fn act(&mut self, intended: u64) -> Result<(), BenchError>;

    /// Takes what has arrived, or waits for it for `timeout`.
    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError>;

    /// How much is still to come of what was asked for.
    fn missing(&self) -> u64;

    /// Acts `per_second` times a second for `duration`, but at least once; then waits until
    /// everything has come.
    fn run_for(&mut self, duration: Duration, per_second: u32) -> Result<(), BenchError> {
        let count = nanoseconds(duration) * u64::from(per_second) / 1_000_000_000;
        let clock = self.pace().clock;
        let start = clock.now();
        let mut unheard = 0;
        for number in 1..=count.max(1) {
            let intended = start + number * 1_000_000_000 / u64::from(per_second);
            loop {
                let now = clock.now();
                if now >= intended && unheard < MAX_UNHEARD {
                    self.pace().late.record(now - intended);
                    break;
                }
                let left = intended.saturating_sub(now);
                self.listen(Duration::from_nanos(left))?;
                unheard = 0;
            }
            self.act(intended)?;
            unheard += 1;
        }
        self.drain()
    }

    /// Waits until everything has come.
    fn drain(&mut self) -> Result<(), BenchError> {
        let clock = self.pace().clock;
        let deadline = clock.now() + nanoseconds(DRAIN_TIMEOUT);
        while self.missing() > 0 {
            if clock.now() > deadline {
                let missing = self.missing();
                return Err(BenchError::overload(format_args!(
                    "{missing} missing after {DRAIN_TIMEOUT:?}"
                )));
            }
            self.listen(Duration::from_millis(100))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers come only while nothing is done.
    struct Recorder {
        pace: Pace,
        intended: Vec<u64>,
        unheard: usize,
        most_unheard: usize,
        heard: usize,
    }

    impl OpenLoop for Recorder {
        fn pace(&mut self) -> &mut Pace {
            &mut self.pace
        }

        fn act(&mut self, intended: u64) -> Result<(), BenchError> {
            assert!(self.pace.clock.now() >= intended);
            self.intended.push(intended);
            self.unheard += 1;
            self.most_unheard = self.most_unheard.max(self.unheard);
            Ok(())
        }

        fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
            std::thread::sleep(timeout);
            self.heard = self.intended.len();
            self.unheard = 0;
            Ok(())
        }

        fn missing(&self) -> u64 {
            (self.intended.len() - self.heard) as u64
        }
    }

    fn record(duration: Duration, per_second: u32) -> Recorder {
        let mut recorder = Recorder {
            pace: Pace::new(Clock::start()),
            intended: Vec::new(),
            unheard: 0,
            most_unheard: 0,
            heard: 0,
        };
        recorder.run_for(duration, per_second).unwrap();
        assert_eq!(recorder.missing(), 0);
        recorder
    }

    #[test]
    fn each_thing_has_a_time_of_its_own() {
        let recorder = record(Duration::from_millis(10), 3_000);
        assert_eq!(recorder.intended.len(), 30);
        let gaps = recorder.intended.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.into_iter().all(|gap| gap.abs_diff(333_333) <= 1));
        assert_eq!(record(Duration::ZERO, 10).intended.len(), 1);
    }

    #[test]
    fn a_late_generator_listens_nevertheless() {
        // More than any clock could keep apart: it is late all the time.
        let recorder = record(Duration::from_micros(10), 1_000_000_000);
        assert_eq!(recorder.intended.len(), 10_000);
        assert!(recorder.most_unheard <= MAX_UNHEARD);
        let mut figures = Figures::new();
        recorder.pace.summarize(&mut figures);
        assert!(figures[&Figure::GeneratorLate] > 0.0);
    }
}
