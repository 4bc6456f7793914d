//! Everybody is cut off at once, and comes back at once.
//!
//! ```text
//!  c2:  10,000 ── RST ──▶ 0 ── all dial within 1 s ──▶ 10,000      how long, what it cost
//!  m2:  18,000 ── RST ──▶ 0 ── a pause ──▶ 18,000                  what memory comes back
//! ```
//!
//! # Invariants
//!
//! - A client that is refused or reset on its way in voids the run: a storm may take its time, but
//!   nobody is to fail.

use std::time::Duration;

use super::Stage;
use super::idle::stay_idle;
use crate::clock::{Clock, nanoseconds, rss_anon};
use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Figures, Findings};
use crate::fleet::{Fleet, Received};

const RETURNING: usize = 10_000;
const COMING: usize = 18_000;

/// Within which time all dial.
const WITHIN: Duration = Duration::from_secs(1);

/// How long everybody may take to be back.
const BACK_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the memory of the server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a server may take to notice that everybody has gone, and to give back what it can.
const GIVING_BACK: Duration = Duration::from_secs(15);

const MIB: f64 = 1_048_576.0;

/// All return within a second.
pub(super) fn run(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    if plan.is_traced() {
        return Err(super::untraceable());
    }
    fleet.grow_to(RETURNING)?;
    stay_idle(&mut fleet, clock, plan.warm_up)?;
    fleet.reset_all()?;
    let meter = target.meter(plan)?;
    let mut storm = Storm {
        fleet,
        clock,
        peak: 0,
    };
    let took = storm.return_all(|| rss_anon(target.node.pid))?;
    let mut figures = meter.finish(RETURNING as u64)?;
    figures.insert(Figure::TimeToAll, took as f64 / 1e6);
    figures.insert(Figure::MemoryPeak, storm.peak as f64 / MIB);
    stay_idle(&mut storm.fleet, clock, plan.steady)?;
    let after = rss_anon(target.node.pid).attempt("read the memory of the server")?;
    figures.insert(Figure::MemoryAfter, after as f64 / MIB);
    Ok(figures.into())
}

/// Everybody comes, goes, and comes again.
pub(super) fn come_and_go(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    if plan.is_traced() {
        return Err(super::untraceable());
    }
    let memory = || rss_anon(target.node.pid).attempt("read the memory of the server");
    let settle = |fleet: &mut Fleet, count: usize| -> Result<f64, BenchError> {
        if count == 0 {
            fleet.reset_all()?;
            stay_idle(fleet, clock, GIVING_BACK)?;
        } else {
            fleet.grow_to(count)?;
            stay_idle(fleet, clock, plan.warm_up)?;
        }
        Ok(memory()? as f64 / MIB)
    };
    let first = settle(&mut fleet, COMING)?;
    let after = settle(&mut fleet, 0)?;
    let again = settle(&mut fleet, COMING)?;
    let figures = Figures::from([
        (Figure::MemoryPeak, first.max(again)),
        (Figure::MemoryAfter, after),
        (Figure::MemoryAgain, again / first),
    ]);
    Ok(figures.into())
}

struct Storm {
    fleet: Fleet,
    clock: Clock,
    peak: u64,
}

impl Storm {
    /// Lets everybody dial within [`WITHIN`]; how long it took until all were in, in ns.
    fn return_all(&mut self, memory: impl Fn() -> std::io::Result<u64>) -> Result<u64, BenchError> {
        let start = self.clock.now();
        let mut dialled = 0;
        let mut next_look = start;
        while self.fleet.ready() < RETURNING {
            let since = self.clock.now() - start;
            if since > nanoseconds(BACK_TIMEOUT) {
                return Err(BenchError::overload(format_args!(
                    "{} of {RETURNING} were back within {BACK_TIMEOUT:?}",
                    self.fleet.ready()
                )));
            }
            let due = (since as usize).saturating_mul(RETURNING) / nanoseconds(WITHIN) as usize;
            while dialled < due.min(RETURNING) {
                self.fleet.open()?;
                dialled += 1;
            }
            if self.clock.now() >= next_look {
                let bytes = memory().attempt("read the memory of the server")?;
                self.peak = self.peak.max(bytes);
                next_look = self.clock.now() + nanoseconds(LOOK_EVERY);
            }
            self.fleet.wait(
                Duration::from_millis(1),
                &mut |index, received, _| match received {
                    Received::Connect => Ok(()),
                    _ => Err(BenchError::void(format_args!(
                        "client {index} got {received:?}"
                    ))),
                },
            )?;
        }
        Ok(self.clock.now() - start)
    }
}
