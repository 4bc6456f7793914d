//! What is done to a server, and counted.
//!
//! | name | clients | load | unit of work |
//! |---|---|---|---|
//! | `b1` | 1,000 in one room | 50 broadcasts/s, triggered by one extra client | delivery |
//! | `b1burst` | the same | 10 times a second 8 broadcasts back to back | delivery |
//! | `e1` | 64 | event with ack, closed loop | round trip |
//! | `c1` | 32 at a time | connect up to `40{"sid":…}`, then close; 12,000 times | connection |
//! | `m1` | 2,000 to 8,000 | none but heartbeats | connection |
//!
//! ```text
//!  open clients ─▶ warm up ─▶ Meter::start ─▶ steady ─▶ last answer is there ─▶ Meter::finish
//! ```
//!
//! # Invariants
//!
//! - Every load is bounded in time and in number, also when the server answers nothing.
//! - Work begun in a window ends in it, or the difference is below the precision.
//!
//! # Not here
//!
//! Which servers take part and how runs become figures (`run`).

use std::net::SocketAddrV4;
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::BenchError;
use crate::figures::{Figure, Figures};
use crate::fleet::Fleet;
use crate::floor::Mode;
use crate::meter::{Instrument, Meter};

mod broadcast;
mod connect;
mod echo;
mod idle;

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub(crate) enum Scenario {
    /// Broadcasts to 1,000 clients, one at a time.
    B1,
    /// Broadcasts to 1,000 clients, eight at a time.
    B1Burst,
    /// Events with an ack.
    E1,
    /// New connections.
    C1,
    /// Idle connections.
    M1,
}

/// The server that a scenario is run against.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddrV4,
    /// Its process.
    pub(crate) pid: Pid,
    /// What its clients show, if it asks.
    pub(crate) token: Option<String>,
}

/// How long, how fast, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Load before the window.
    pub(crate) warm_up: Duration,
    /// Load inside the window.
    pub(crate) steady: Duration,
    /// How long idle connections are watched at each step.
    pub(crate) settle: Duration,
    /// What the window measures.
    pub(crate) instrument: Instrument,
}

impl Plan {
    /// For figures that are to be shown.
    pub(crate) const FULL: Self = Self {
        warm_up: Duration::from_secs(2),
        steady: Duration::from_secs(8),
        // More than one ping interval, so that each connection has seen a heartbeat.
        settle: Duration::from_secs(30),
        instrument: Instrument::Cpu,
    };

    /// For a first look.
    pub(crate) const QUICK: Self = Self {
        warm_up: Duration::from_secs(1),
        steady: Duration::from_secs(3),
        settle: Duration::from_secs(3),
        ..Self::FULL
    };

    /// For counting system calls.
    pub(crate) const TRACED: Self = Self {
        warm_up: Duration::from_secs(1),
        steady: Duration::from_secs(2),
        settle: Duration::from_secs(1),
        instrument: Instrument::Syscalls,
    };
}

impl Scenario {
    /// Runs the load, and says what it cost.
    pub(crate) fn run(self, target: &Target, plan: &Plan) -> Result<Figures, BenchError> {
        let clock = Clock::start();
        let fleet = Fleet::new(target.address, target.token.as_deref(), clock)?;
        let mut figures = match self {
            Self::B1 => broadcast::run(fleet, clock, target, plan, broadcast::SINGLE),
            Self::B1Burst => broadcast::run(fleet, clock, target, plan, broadcast::BURSTS),
            Self::E1 => echo::run(fleet, clock, target, plan),
            Self::C1 => connect::run(fleet, clock, target, plan),
            Self::M1 => idle::run(fleet, clock, target, plan),
        }?;
        if plan.instrument == Instrument::Syscalls {
            // Under strace a latency is strace's.
            figures.retain(|figure, _| *figure == Figure::SyscallsPerUnit);
        }
        Ok(figures)
    }

    /// The floor under this scenario, if there is one.
    pub(crate) fn floor(self) -> Option<Mode> {
        match self {
            Self::B1 | Self::B1Burst => Some(Mode::Broadcast),
            Self::E1 => Some(Mode::Echo),
            Self::C1 => Some(Mode::Accept),
            Self::M1 => None,
        }
    }

    /// The name a person types.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::B1 => "b1",
            Self::B1Burst => "b1burst",
            Self::E1 => "e1",
            Self::C1 => "c1",
            Self::M1 => "m1",
        }
    }

    /// What it is, in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::B1 => "broadcast to 1,000, 50/s",
            Self::B1Burst => "broadcast to 1,000, bursts of 8, 10/s",
            Self::E1 => "event + ack, 64 clients, closed loop",
            Self::C1 => "connect, 32 at a time",
            Self::M1 => "idle, 2,000 to 8,000 connections",
        }
    }

    /// What a figure "per unit" is per.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::B1 | Self::B1Burst => "delivery",
            Self::E1 => "round trip",
            Self::C1 | Self::M1 => "connection",
        }
    }
}

impl Target {
    fn meter(&self, plan: &Plan) -> Result<Meter, BenchError> {
        Meter::start(self.pid, plan.instrument)
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpid;

    use super::*;
    use crate::floor;
    use crate::server::raise_descriptor_limit;

    /// Runs a moment of `scenario` against a floor in this process.
    fn run_against(scenario: Scenario, mode: Mode) -> Result<Figures, BenchError> {
        raise_descriptor_limit().unwrap();
        let plan = Plan {
            warm_up: Duration::from_millis(40),
            steady: Duration::from_millis(200),
            ..Plan::FULL
        };
        let target = Target {
            address: floor::serve_in_thread(mode),
            pid: getpid(),
            token: Some("a.b.c".to_owned()),
        };
        scenario.run(&target, &plan)
    }

    #[test]
    fn every_floor_carries_its_scenario_exactly() {
        let floors = [
            (Scenario::B1, Mode::Broadcast),
            (Scenario::B1Burst, Mode::Broadcast),
            (Scenario::B1Burst, Mode::CoalescedBroadcast),
            (Scenario::E1, Mode::Echo),
            (Scenario::C1, Mode::Accept),
        ];
        for (scenario, mode) in floors {
            let figures = run_against(scenario, mode).unwrap();
            assert!(figures[&Figure::CpuPerUnit] > 0.0, "{scenario:?}");
            assert!(figures[&Figure::LatencyP50] > 0.0, "{scenario:?}");
        }
    }
}
