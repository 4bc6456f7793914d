//! New clients come, as many as the server lets in, and go as soon as they are in.
//!
//! ```text
//!  SYN ─▶ 101 ─▶ 0{…} ─▶ 40{"token":…} ─▶ 40{"sid":…}, then FIN, and the next one comes
//! ```
//!
//! # Invariants
//!
//! - Latency is from SYN to CONNECT reply with [`AT_ONCE`] clients under way: a closed loop, so it
//!   compares servers and says nothing about an open one.
//! - A run has fewer connections than a kernel has ports towards one server: none is used twice.

use std::time::Duration;

use super::{Plan, Target};
use crate::clock::{Clock, nanoseconds};
use crate::error::BenchError;
use crate::figures::{Figures, Latencies};
use crate::fleet::{Fleet, Received};
use crate::meter::Instrument;

const AT_ONCE: usize = 32;

/// How many connections a second of the plan stands for. It takes as long as it takes.
const PER_SECOND: u64 = 1_500;

/// How many connections are traced.
const TRACED: u64 = 200;

/// How long all connections of a phase may take.
const PHASE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server gets to bury the last connections, which is part of the price.
const CLOSING: Duration = Duration::from_millis(100);

pub(super) fn run(
    fleet: Fleet,
    clock: Clock,
    target: &Target,
    plan: &Plan,
) -> Result<Figures, BenchError> {
    let mut visitors = Visitors {
        fleet,
        clock,
        came: Vec::new(),
        connected: Vec::new(),
        latencies: Latencies::new(),
    };
    visitors.come(connections_in(plan.warm_up))?;
    visitors.latencies = Latencies::new();

    let count = match plan.instrument {
        Instrument::Cpu => connections_in(plan.steady),
        Instrument::Syscalls => TRACED,
    };
    let meter = target.meter(plan)?;
    visitors.come(count)?;
    let mut figures = meter.finish(count)?;
    visitors.latencies.summarize(&mut figures);
    Ok(figures)
}

fn connections_in(duration: Duration) -> u64 {
    nanoseconds(duration) / 1_000 * PER_SECOND / 1_000_000
}

struct Visitors {
    fleet: Fleet,
    clock: Clock,
    /// When each connection began.
    came: Vec<u64>,
    /// Connections that are in, and may go.
    connected: Vec<usize>,
    latencies: Latencies,
}

impl Visitors {
    /// Lets `count` clients come and go.
    fn come(&mut self, count: u64) -> Result<(), BenchError> {
        let deadline = self.clock.now() + nanoseconds(PHASE_TIMEOUT);
        let mut left = count;
        while left > 0 || self.fleet.len() > 0 {
            while left > 0 && self.fleet.len() < AT_ONCE {
                self.open()?;
                left -= 1;
            }
            if self.clock.now() > deadline {
                return Err(BenchError::void(format_args!(
                    "{} of {count} clients were let in within {PHASE_TIMEOUT:?}",
                    count - left - self.fleet.len() as u64
                )));
            }
            self.serve()?;
        }
        std::thread::sleep(CLOSING);
        Ok(())
    }

    fn open(&mut self) -> Result<(), BenchError> {
        let now = self.clock.now();
        let index = self.fleet.open()?;
        if index >= self.came.len() {
            self.came.resize(index + 1, 0);
        }
        self.came[index] = now;
        Ok(())
    }

    fn serve(&mut self) -> Result<(), BenchError> {
        let Self {
            fleet,
            came,
            connected,
            latencies,
            ..
        } = self;
        let timeout = Duration::from_millis(100);
        fleet.wait(timeout, &mut |index, received, now| match received {
            Received::Connect => {
                latencies.record(now.saturating_sub(came[index]));
                connected.push(index);
                Ok(())
            }
            Received::Event(_) | Received::Ack(_) => Err(BenchError::void(format_args!(
                "client {index} got {received:?}"
            ))),
        })?;
        for index in connected.drain(..) {
            fleet.close(index)?;
        }
        Ok(())
    }
}
