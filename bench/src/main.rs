//! The benchmark: a load generator, floor servers, and the table that sets every server in
//! relation to the floor and to its peers.
//!
//! ```text
//!               ┌──────────── run: blocks in random order ────────────┐
//!               │                                                     ▼
//!  scenario ─▶ fleet ── WebSocket on 127.0.0.1 ──▶ server: floor, ours, a peer
//!               │                                                     │
//!               └── latencies ──▶ figures ◀── meter: CPU, memory ─────┘
//!                                    └──▶ report ──▶ docs/benchmarks.md
//! ```
//!
//! `bench/README.md` says what is measured and how; `cargo xtask bench` builds all that takes part.
//!
//! # Invariants
//!
//! - A figure comes from a run in which every delivery was seen, once and in order.
//! - Nothing leaves this machine, and only processes that this one started are ended.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool"
)]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rustix::process::Pid;

use crate::error::BenchError;
use crate::figures::Point;
use crate::scenario::{Node, Plan, Scenario, Target};

// 1. Decide who is measured, how often, in which order; keep what came of it.
mod outcome;
mod run;

// 2. Start the servers, on processors of their own.
mod lineup;
mod redis;
mod server;

// 3. Load them.
mod crowd;
mod fleet;
mod payload;
mod peak;
mod scenario;
mod token;
mod wire;

// 4. Know what the kernel alone would cost.
mod floor;

// 5. Measure and tell.
mod clock;
mod error;
mod figures;
mod meter;
mod report;

#[derive(Debug, Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures scenarios against the floor, ours and the peers, and prints the table.
    Run(RunArguments),
    /// Runs one scenario against one server that is already there.
    Drive(DriveArguments),
    /// Serves as a floor.
    Floor {
        /// What kind of floor.
        mode: floor::Mode,
        /// Where to listen on 127.0.0.1.
        #[arg(long)]
        port: u16,
    },
}

/// What a person may choose about a measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// Which scenarios; all, if none is named, or those of the first goals with `--quick`.
    scenarios: Vec<Scenario>,
    /// How many blocks are to be kept of each scenario, instead of three or seven.
    #[arg(long)]
    blocks: Option<usize>,
    /// Short runs, one block; prints, but leaves docs/benchmarks.md alone.
    #[arg(long)]
    quick: bool,
    /// Measures only what bench/results lacks: scenarios, and blocks of a run that was cut.
    #[arg(long)]
    resume: bool,
    /// Draws the page anew from the results that are there, without measuring anything.
    #[arg(long)]
    only_report: bool,
    /// Only these; prints, but leaves docs/benchmarks.md alone.
    #[arg(long, value_delimiter = ',')]
    only: Vec<lineup::Contestant>,
    /// Lets server and generator run on any processor, instead of one each.
    #[arg(long)]
    unpinned: bool,
    /// The `conformance` binary.
    #[arg(long, default_value = "target/release/conformance")]
    conformance: PathBuf,
}

#[derive(Debug, clap::Args)]
struct DriveArguments {
    /// What to do to it.
    scenario: Scenario,
    /// Where it listens on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Its process id.
    #[arg(long)]
    pid: i32,
    /// The secret with which tokens are signed, if it asks for one.
    #[arg(long)]
    jwt_secret: Option<String>,
    /// How long the window is.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

fn main() -> ExitCode {
    let outcome =
        server::raise_descriptor_limit().and_then(|()| match Arguments::parse().command {
            Command::Run(arguments) => run::run(&arguments),
            Command::Drive(arguments) => drive(&arguments),
            Command::Floor { mode, port } => floor::serve(mode, port),
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Runs one scenario, and prints its figures.
fn drive(arguments: &DriveArguments) -> Result<(), BenchError> {
    let pid = Pid::from_raw(arguments.pid)
        .ok_or_else(|| BenchError::Setup("0 is not a process id".to_owned()))?;
    let token = arguments.jwt_secret.as_deref().map(token::mint);
    let target = Target {
        node: Node {
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, arguments.port),
            pid,
        },
        cluster: None,
        token: token.transpose()?,
    };
    let plan = Plan {
        steady: Duration::from_secs(arguments.seconds),
        settle: Duration::from_secs(arguments.seconds),
        ..Plan::FULL
    };
    let findings = arguments.scenario.run(&target, &plan)?;
    for (figure, value) in findings.figures {
        println!("{}: {value:.3}", figure.title(arguments.scenario));
    }
    for point in findings.curve {
        println!("at {:.0}: {:.3}", point.load, point.value);
        if let Point {
            cpu: Some(cpu),
            generator: Some(share),
            late: Some(late),
            ..
        } = point
        {
            println!("  {cpu:.3} µs; generator: {share:.2} of its processor, late by {late:.3}");
        }
    }
    Ok(())
}

/// An error and what it came from, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
