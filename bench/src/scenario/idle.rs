//! Clients connect, and say nothing but `3` to a `2`.
//!
//! ```text
//!  RssAnon
//!    │                          ╱ ●   one point per step, after it has settled;
//!    │                   ● ╱           the slope is the memory of one connection
//!    │            ╱ ●
//!    │     ● ╱
//!    └──────┬──────┬──────┬──────┬──▶ connections
//!          2k     4k     6k     8k
//! ```
//!
//! # Invariants
//!
//! - What a server needs without connections does not count: the slope leaves it out.

use std::time::Duration;

use super::{Plan, Target};
use crate::clock::{Clock, nanoseconds, rss_anon};
use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Figures, slope};
use crate::fleet::Fleet;
use crate::meter::Instrument;

/// How many connections there are at each step.
const STEPS: [usize; 4] = [2_000, 4_000, 6_000, 8_000];

/// The default ping interval: a shorter window says nothing about the price of heartbeats.
const PING_INTERVAL: Duration = Duration::from_secs(25);

pub(super) fn run(
    mut fleet: Fleet,
    clock: Clock,
    target: &Target,
    plan: &Plan,
) -> Result<Figures, BenchError> {
    if plan.instrument == Instrument::Syscalls {
        return Err(BenchError::Setup(
            "idle connections have no unit of work to count system calls by".to_owned(),
        ));
    }
    let mut points = Vec::new();
    let mut figures = Figures::new();
    for connections in STEPS {
        fleet.grow_to(connections)?;
        let meter = target.meter(plan)?;
        stay_idle(&mut fleet, clock, plan.settle)?;
        let spent = meter.finish(connections as u64)?;
        let bytes = rss_anon(target.pid).attempt("read the memory of the server")?;
        points.push((connections as f64, bytes as f64));

        figures.insert(
            Figure::MemoryAtFull,
            bytes as f64 / 1_024.0 / connections as f64,
        );
        figures.insert(Figure::GeneratorShare, spent[&Figure::GeneratorShare]);
        if plan.settle >= PING_INTERVAL {
            let per_second = spent[&Figure::CpuPerUnit] / plan.settle.as_secs_f64();
            figures.insert(Figure::IdleCpu, per_second);
        }
    }
    figures.insert(Figure::MemoryPerConnection, slope(&points) / 1_024.0);
    Ok(figures)
}

fn stay_idle(fleet: &mut Fleet, clock: Clock, duration: Duration) -> Result<(), BenchError> {
    let end = clock.now() + nanoseconds(duration);
    loop {
        let now = clock.now();
        if now >= end {
            return Ok(());
        }
        fleet.wait(
            Duration::from_nanos(end - now),
            &mut |index, received, _| {
                Err(BenchError::void(format_args!(
                    "idle client {index} got {received:?}"
                )))
            },
        )?;
    }
}
