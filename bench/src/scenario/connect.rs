//! New clients come, as many as the server lets in, and go as soon as they are in.
//!
//! ```text
//!  SYN ─▶ 101 ─▶ 0{…} ─▶ 40{"token":…} ─▶ 40{"sid":…}, then FIN, and the next one comes
//! ```
//!
//! # Invariants
//!
//! - Latency ends with the CONNECT reply. Without a pace it begins with SYN, and [`AT_ONCE`]
//!   clients are under way: a closed loop, so it compares servers and says nothing about an open
//!   one. With a pace it begins when the client was to come.
//! - A run has fewer connections than a kernel has ports towards one server: none is used twice.

use std::time::Duration;

use super::Stage;
use crate::clock::{Clock, nanoseconds};
use crate::error::BenchError;
use crate::figures::{Findings, Latencies};
use crate::fleet::{Fleet, Received};

const AT_ONCE: usize = 32;

/// How fast clients come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As fast as they are let in.
    AtOnce,
    /// So many a second, as long as there are not too many under way.
    PerSecond(u32),
}

/// How many connections a second of the plan stands for. It takes as long as it takes.
const PER_SECOND: u64 = 1_500;

/// How many connections are traced.
const TRACED: u64 = 200;

/// How long all connections of a phase may take.
const PHASE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait for the network before looking at the time.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a server gets to bury the last connections, which is part of the price.
const CLOSING: Duration = Duration::from_millis(100);

pub(super) fn run(stage: Stage<'_>, pace: Pace) -> Result<Findings, BenchError> {
    let Stage {
        fleet,
        clock,
        target,
        plan,
    } = stage;
    let per_second = match pace {
        Pace::AtOnce => PER_SECOND,
        Pace::PerSecond(rate) => rate.into(),
    };
    let mut visitors = Visitors {
        fleet,
        clock,
        interval: match pace {
            Pace::AtOnce => 0,
            Pace::PerSecond(rate) => nanoseconds(Duration::from_secs(1) / rate),
        },
        came: Vec::new(),
        connected: Vec::new(),
        latencies: Latencies::new(),
    };
    visitors.come(connections_in(plan.warm_up, per_second))?;
    visitors.latencies = Latencies::new();

    let count = if plan.is_traced() {
        TRACED
    } else {
        connections_in(plan.steady, per_second)
    };
    let meter = target.meter(plan)?;
    visitors.come(count)?;
    let mut figures = meter.finish(count)?;
    visitors.latencies.summarize(&mut figures);
    Ok(figures.into())
}

fn connections_in(duration: Duration, per_second: u64) -> u64 {
    nanoseconds(duration) / 1_000 * per_second / 1_000_000
}

struct Visitors {
    fleet: Fleet,
    clock: Clock,
    /// How long to wait from one to the next, in ns.
    interval: u64,
    /// When each connection was to begin.
    came: Vec<u64>,
    /// Connections that are in, and may go.
    connected: Vec<usize>,
    latencies: Latencies,
}

impl Visitors {
    /// Lets `count` clients come and go.
    fn come(&mut self, count: u64) -> Result<(), BenchError> {
        let start = self.clock.now();
        let deadline = start + nanoseconds(PHASE_TIMEOUT);
        let mut came = 0;
        while came < count || self.fleet.len() > 0 {
            let mut until_next = 0;
            while came < count && self.fleet.len() < AT_ONCE {
                let due = self.due(start, came);
                until_next = due.saturating_sub(self.clock.now());
                if until_next > 0 {
                    break;
                }
                self.open(due)?;
                came += 1;
            }
            if self.clock.now() > deadline {
                return Err(BenchError::overload(format_args!(
                    "{} of {count} clients were let in within {PHASE_TIMEOUT:?}",
                    came - self.fleet.len() as u64
                )));
            }
            self.serve(match until_next {
                0 => PATIENCE,
                until_next => Duration::from_nanos(until_next),
            })?;
        }
        std::thread::sleep(CLOSING);
        Ok(())
    }

    /// When the client with this number is to come: without a pace, as soon as there is a place.
    fn due(&self, start: u64, number: u64) -> u64 {
        match self.interval {
            0 => self.clock.now(),
            interval => start + number * interval,
        }
    }

    /// Lets one come who meant to at `intended`.
    fn open(&mut self, intended: u64) -> Result<(), BenchError> {
        let index = self.fleet.open()?;
        if index >= self.came.len() {
            self.came.resize(index + 1, 0);
        }
        self.came[index] = intended;
        Ok(())
    }

    /// Serves those who are here, for `timeout` at most.
    fn serve(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let Self {
            fleet,
            came,
            connected,
            latencies,
            ..
        } = self;
        fleet.wait(timeout, &mut |index, received, now| match received {
            Received::Connect => {
                latencies.record(now.saturating_sub(came[index]));
                connected.push(index);
                Ok(())
            }
            _ => Err(BenchError::void(format_args!(
                "client {index} got {received:?}"
            ))),
        })?;
        for index in connected.drain(..) {
            fleet.close(index)?;
        }
        Ok(())
    }
}
