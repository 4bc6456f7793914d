//! Clients connect, and say nothing but `3` to a `2`.
//!
//! ```text
//!  RssAnon
//!    │                          ╱ ●   one point per step, after it has settled;
//!    │                   ● ╱           the slope is the memory of one connection
//!    │            ╱ ●
//!    │     ● ╱
//!    └──────┬──────┬──────┬──────┬──▶ connections
//!          2k     6k    10k    18k
//! ```
//!
//! # Invariants
//!
//! - What a server needs without connections does not count: the slope leaves it out.

use std::time::Duration;

use super::Stage;
use crate::clock::{Clock, nanoseconds, rss_anon, slab};
use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Figures, Findings, Point, slope};
use crate::fleet::Fleet;

/// How many connections there are at each step.
const STEPS: [usize; 5] = [2_000, 6_000, 10_000, 14_000, 18_000];

/// Steps before the last are settled sooner: memory is, and heartbeats are watched at the end.
const SOONER: u32 = 10;

/// The default ping interval: a shorter window says nothing about the price of heartbeats.
const PING_INTERVAL: Duration = Duration::from_secs(25);

const KIB: f64 = 1_024.0;

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
    let mut anonymous = Vec::new();
    let mut kernel = Vec::new();
    let mut figures = Figures::new();
    for connections in STEPS {
        fleet.grow_to(connections)?;
        let is_last = STEPS.last() == Some(&connections);
        let settle = if is_last {
            plan.settle
        } else {
            plan.settle / SOONER
        };
        let meter = target.meter(plan)?;
        stay_idle(&mut fleet, clock, settle)?;
        let spent = meter.finish(connections as u64)?;
        let bytes = rss_anon(target.node.pid).attempt("read the memory of the server")?;
        anonymous.push((connections as f64, bytes as f64));
        let slabs = slab().attempt("read the memory of the kernel")?;
        kernel.push((connections as f64, slabs as f64));

        figures.insert(
            Figure::MemoryAtFull,
            bytes as f64 / KIB / connections as f64,
        );
        if is_last && settle >= PING_INTERVAL {
            let per_second = spent[&Figure::CpuPerUnit] / settle.as_secs_f64();
            figures.insert(Figure::IdleCpu, per_second);
        }
    }
    figures.insert(Figure::MemoryPerConnection, slope(&anonymous) / KIB);
    figures.insert(Figure::SlabPerConnection, slope(&kernel) / KIB);
    let curve = anonymous
        .iter()
        .map(|(load, bytes)| Point::new(*load, bytes / KIB / KIB));
    Ok(Findings {
        figures,
        curve: curve.collect(),
    })
}

/// Waits; whatever an idle client receives but pings voids the run.
pub(super) fn stay_idle(
    fleet: &mut Fleet,
    clock: Clock,
    duration: Duration,
) -> Result<(), BenchError> {
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
