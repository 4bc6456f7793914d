//! Who takes part, and how each is started.
//!
//! | contestant | process | authentication |
//! |---|---|---|
//! | floor | `bench floor MODE` | none |
//! | ours | `conformance bench` | HS256 |
//! | socketioxide | `bench/peers/socketioxide`, two allocators | none, to its advantage |
//! | socket.io | `node bench/peers/socketio/server.mjs` | HS256 |
//!
//! # Invariants
//!
//! - A peer runs as it runs best: socketioxide is cheaper with mimalloc and smaller without, so
//!   idle connections are measured without.
//! - Nothing is built or installed here. Who is not there is named, with the command that helps,
//!   and left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt, BenchError};
use crate::floor::Mode;
use crate::scenario::{Scenario, Target};
use crate::server::{Placement, Server};
use crate::token;

/// Guards nothing but the loopback interface of one benchmark.
const SECRET: &str = "a benchmark's secret, as long as HS256 asks for";

/// One column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Contestant {
    /// What the kernel alone asks for.
    Floor,
    /// The same, with coalescing.
    CoalescingFloor,
    /// This project.
    Ours,
    /// The peer in Rust.
    Socketioxide,
    /// The reference.
    #[value(name = "socketio")]
    SocketIo,
}

impl Contestant {
    /// The head of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::CoalescingFloor => "coalescing floor",
            Self::Ours => "ours",
            Self::Socketioxide => "socketioxide",
            Self::SocketIo => "socket.io",
        }
    }

    fn asks_for_token(self) -> bool {
        matches!(self, Self::Ours | Self::SocketIo)
    }
}

/// Where everybody's program is.
#[derive(Debug)]
pub(crate) struct Lineup {
    this_program: PathBuf,
    conformance: PathBuf,
    socketioxide: PathBuf,
    socketio: PathBuf,
    token: String,
    placement: Placement,
}

impl Lineup {
    /// Looks for the programs below `root`.
    pub(crate) fn new(
        root: &Path,
        conformance: &Path,
        placement: Placement,
    ) -> Result<Self, BenchError> {
        let peers = root.join("bench/peers");
        Ok(Self {
            this_program: std::env::current_exe().attempt("find this program")?,
            conformance: root.join(conformance),
            socketioxide: peers.join("socketioxide/target/release"),
            socketio: peers.join("socketio"),
            token: token::mint(SECRET)?,
            placement,
        })
    }

    /// What to do before `contestant` can take part; `None` if it can.
    pub(crate) fn lacks(&self, contestant: Contestant) -> Option<String> {
        let (needed, remedy) = match contestant {
            Contestant::Floor | Contestant::CoalescingFloor => return None,
            Contestant::Ours => (
                self.conformance.clone(),
                "cargo build --release -p conformance",
            ),
            Contestant::Socketioxide => (
                self.socketioxide.join("bench-peer-socketioxide"),
                "cargo build --release, in bench/peers/socketioxide",
            ),
            Contestant::SocketIo => (
                self.socketio.join("node_modules/socket.io"),
                "npm ci, in bench/peers/socketio",
            ),
        };
        let title = contestant.title();
        (!needed.exists()).then(|| {
            format!(
                "{title} takes no part: {} is missing: {remedy}",
                needed.display()
            )
        })
    }

    /// Starts `contestant` as `scenario` needs it.
    pub(crate) fn start(
        &self,
        contestant: Contestant,
        scenario: Scenario,
    ) -> Result<(Server, Target), BenchError> {
        let server = Server::start(self.command(contestant, scenario)?, self.placement)?;
        let target = Target {
            address: server.address(),
            pid: server.pid(),
            token: contestant.asks_for_token().then(|| self.token.clone()),
        };
        Ok((server, target))
    }

    fn command(&self, contestant: Contestant, scenario: Scenario) -> Result<Command, BenchError> {
        let mut command = match contestant {
            Contestant::Floor => {
                let mode = scenario.floor().ok_or_else(|| {
                    BenchError::Setup(format!("there is no floor under {}", scenario.name()))
                })?;
                self.floor(mode)
            }
            Contestant::CoalescingFloor => self.floor(Mode::CoalescedBroadcast),
            Contestant::Ours => {
                let mut command = Command::new(&self.conformance);
                command.arg("bench");
                command
            }
            Contestant::Socketioxide if scenario == Scenario::M1 => Command::new(
                self.socketioxide
                    .join("bench-peer-socketioxide-default-allocator"),
            ),
            Contestant::Socketioxide => {
                Command::new(self.socketioxide.join("bench-peer-socketioxide"))
            }
            Contestant::SocketIo => {
                let mut command = Command::new("node");
                command.arg(self.socketio.join("server.mjs"));
                command
            }
        };
        if contestant.asks_for_token() {
            command.args(["--jwt-secret", SECRET]);
        }
        Ok(command)
    }

    fn floor(&self, mode: Mode) -> Command {
        let mut command = Command::new(&self.this_program);
        command.args(["floor", mode.name()]);
        command
    }
}
