//! What is done to a server, and counted.
//!
//! The table of all scenarios is [`Scenario::spec`]; each kind of load has a module.
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
use crate::figures::{Figure, Findings};
use crate::fleet::Fleet;
use crate::floor::Mode;
use crate::meter::{Instrument, Meter};

mod broadcast;
mod cluster;
mod connect;
mod echo;
mod idle;
mod mix;
mod open_loop;
mod rates;
mod rooms;
mod storm;
mod table;
mod upgrade;

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub(crate) enum Scenario {
    /// Broadcasts to 1,000 clients, one at a time.
    B1,
    /// The same with 1 KiB.
    B1Large,
    /// Broadcasts to 10,000 clients.
    B1Many,
    /// Broadcasts to 1,000 clients, 400 a second.
    B1Fast,
    /// Broadcasts to 1,000 clients, faster and faster.
    B1Max,
    /// Broadcasts to 1,000 clients, eight at a time.
    B2,
    /// Many small rooms.
    B3,
    /// Broadcasts with an attachment.
    B4,
    /// Broadcasts like those that some never read, which all read.
    B5None,
    /// Broadcasts, and 1 % of the clients never read.
    B5,
    /// Broadcasts, and 20 % of the clients never read.
    B5Many,
    /// Events with an ack, 64 clients in a closed loop.
    E1,
    /// Events with an ack, 1,000 clients in a closed loop.
    E1Many,
    /// Events with an ack, faster and faster.
    E1Open,
    /// Sixteen events at a time.
    E2,
    /// New connections, as fast as they are let in.
    C1,
    /// New connections, 500 a second.
    C1Paced,
    /// New connections whose tokens are signed with RS256.
    C1Rsa,
    /// Everybody is cut off, and comes back within a second.
    C2,
    /// Sessions that begin with polling.
    C3,
    /// Idle connections.
    M1,
    /// 18,000 connections come, go, and come again.
    M2,
    /// Everything at once.
    L1,
    /// Broadcasts to clients of two nodes.
    R1,
    /// Small broadcasts over Redis, faster and faster.
    R2,
}

/// One process that serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) address: SocketAddrV4,
    /// Its process.
    pub(crate) pid: Pid,
}

/// The server that a scenario is run against.
#[derive(Debug)]
pub(crate) struct Target {
    /// The server, or the first of two.
    pub(crate) node: Node,
    /// The other node of its cluster, and their Redis.
    pub(crate) cluster: Option<(Node, Node)>,
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
    /// How long idle connections are watched at the last step; at the others, a tenth of it.
    pub(crate) settle: Duration,
    /// How long the mixed load takes.
    pub(crate) mixed: Duration,
    /// What the window measures.
    pub(crate) instrument: Instrument,
}

impl Plan {
    /// For figures that are to be shown.
    pub(crate) const FULL: Self = Self {
        warm_up: Duration::from_secs(2),
        steady: Duration::from_secs(8),
        // Two ping intervals, so that each connection has seen two heartbeats.
        settle: Duration::from_secs(50),
        mixed: Duration::from_secs(60),
        instrument: Instrument::Cpu,
    };

    /// For a first look.
    pub(crate) const QUICK: Self = Self {
        warm_up: Duration::from_secs(1),
        steady: Duration::from_secs(3),
        settle: Duration::from_secs(3),
        mixed: Duration::from_secs(10),
        ..Self::FULL
    };

    /// For counting system calls.
    pub(crate) const TRACED: Self = Self {
        warm_up: Duration::from_secs(1),
        steady: Duration::from_secs(2),
        settle: Duration::from_secs(1),
        mixed: Duration::from_secs(2),
        instrument: Instrument::Syscalls,
    };
}

impl Scenario {
    /// Runs the load, and says what it cost.
    pub(crate) fn run(self, target: &Target, plan: &Plan) -> Result<Findings, BenchError> {
        let clock = Clock::start();
        let fleet = Fleet::new(target.node.address, target.token.as_deref(), clock)?;
        let stage = Stage {
            fleet,
            clock,
            target,
            plan,
        };
        let mut findings = self.spec().load.run(stage)?;
        if plan.instrument == Instrument::Syscalls {
            // Under strace a latency is strace's.
            let is_count = |figure: &Figure| *figure == Figure::SyscallsPerUnit;
            findings.figures.retain(|figure, _| is_count(figure));
            findings.curve.clear();
        }
        Ok(findings)
    }

    /// Whether it needs two nodes and a Redis.
    pub(crate) fn is_clustered(self) -> bool {
        matches!(self, Self::R1 | Self::R2)
    }

    /// The floor under this scenario, if there is one.
    pub(crate) fn floor(self) -> Option<Mode> {
        self.spec().floor
    }
}

/// What every load begins with.
struct Stage<'a> {
    /// No client is connected yet.
    fleet: Fleet,
    clock: Clock,
    target: &'a Target,
    plan: &'a Plan,
}

impl Target {
    fn meter(&self, plan: &Plan) -> Result<Meter, BenchError> {
        Meter::start(self.node.pid, plan.instrument)
    }
}

impl Plan {
    fn is_traced(&self) -> bool {
        self.instrument == Instrument::Syscalls
    }
}

/// What cannot be traced, because there is no unit of work to count system calls by.
fn untraceable() -> BenchError {
    BenchError::Setup("there is no unit of work to count system calls by".to_owned())
}

#[cfg(test)]
mod tests {
    use rustix::process::getpid;

    use super::*;
    use crate::floor;
    use crate::server::raise_descriptor_limit;

    /// Runs a moment of `scenario` against a floor in this process.
    fn run_against(scenario: Scenario, mode: Mode) -> Result<Findings, BenchError> {
        raise_descriptor_limit().unwrap();
        let plan = Plan {
            warm_up: Duration::from_millis(40),
            steady: Duration::from_millis(200),
            ..Plan::FULL
        };
        let node = Node {
            address: floor::serve_in_thread(mode),
            pid: getpid(),
        };
        let target = Target {
            node,
            cluster: None,
            token: Some("a.b.c".to_owned()),
        };
        scenario.run(&target, &plan)
    }

    #[test]
    fn every_floor_carries_its_scenario_exactly() {
        let floors = [
            (Scenario::B1, Mode::Broadcast),
            (Scenario::B1Large, Mode::Broadcast),
            (Scenario::B2, Mode::Broadcast),
            (Scenario::B2, Mode::CoalescedBroadcast),
            (Scenario::B4, Mode::Broadcast),
            (Scenario::E1, Mode::Echo),
            (Scenario::E2, Mode::Echo),
            (Scenario::C1, Mode::Accept),
            (Scenario::C1Paced, Mode::Accept),
        ];
        for (scenario, mode) in floors {
            let figures = run_against(scenario, mode).unwrap().figures;
            assert!(figures[&Figure::CpuPerUnit] > 0.0, "{scenario:?}");
            assert!(figures[&Figure::LatencyP50] > 0.0, "{scenario:?}");
        }
    }

    #[test]
    fn an_open_loop_over_the_floor_is_a_curve() {
        let findings = run_against(Scenario::E1Open, Mode::Echo).unwrap();
        assert!(findings.curve.len() > 1);
        assert!(findings.figures[&Figure::HighestRate] > 0.0);
    }

    #[test]
    fn a_name_that_is_typed_is_the_name_of_its_results() {
        for scenario in Scenario::value_variants() {
            let typed = scenario.to_possible_value().unwrap();
            assert_eq!(typed.get_name(), scenario.spec().name);
        }
    }
}
