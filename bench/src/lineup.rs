//! Who takes part, and how each is started.
//!
//! | contestant | process | authentication |
//! |---|---|---|
//! | floor | `bench floor MODE` | none |
//! | ours | `conformance bench` | HS256, or RS256 |
//! | socketioxide | `bench/peers/socketioxide`, two allocators | none, to its advantage |
//! | socket.io | `node bench/peers/socketio/server.mjs` | HS256, or RS256 |
//! | NestJS | `node bench/peers/nestjs/server.mjs` | HS256, or RS256 |
//!
//! # Invariants
//!
//! - A peer runs as it runs best: socketioxide is cheaper with mimalloc and smaller without, so
//!   memory is measured without.
//! - Nothing is built or installed here. Who is not there is named, with the command that helps,
//!   and left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt, BenchError};
use crate::floor::Mode;
use crate::redis::{self, Redis};
use crate::scenario::{Node, Scenario, Target};
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
    /// What many build on the reference.
    #[value(name = "nestjs")]
    NestJs,
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
            Self::NestJs => "NestJS",
        }
    }

    fn asks_for_token(self) -> bool {
        matches!(self, Self::Ours | Self::SocketIo | Self::NestJs)
    }
}

/// Where everybody's program is.
#[derive(Debug)]
pub(crate) struct Lineup {
    this_program: PathBuf,
    conformance: PathBuf,
    socketioxide: PathBuf,
    peers: PathBuf,
    keys: PathBuf,
    token: String,
    rsa_token: String,
    placement: Placement,
}

/// The processes of one run; dropping them ends them.
#[derive(Debug)]
pub(crate) struct Processes {
    #[expect(
        dead_code,
        reason = "held for their drop, which comes before that of their Redis"
    )]
    servers: Vec<Server>,
    #[expect(dead_code, reason = "held for its drop")]
    redis: Option<Redis>,
}

impl Lineup {
    /// Looks for the programs below `root`.
    pub(crate) fn new(
        root: &Path,
        conformance: &Path,
        placement: Placement,
    ) -> Result<Self, BenchError> {
        let peers = root.join("bench/peers");
        let keys = root.join("crates/portcullis/tests/keys");
        let private = std::fs::read(keys.join("rsa_private.pem")).attempt("read the RSA key")?;
        Ok(Self {
            this_program: std::env::current_exe().attempt("find this program")?,
            conformance: root.join(conformance),
            socketioxide: peers.join("socketioxide/target/release"),
            peers,
            keys,
            token: token::mint(SECRET)?,
            rsa_token: token::mint_rsa(&private)?,
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
                self.peers.join("socketio/node_modules/socket.io"),
                "npm ci --ignore-scripts, in bench/peers/socketio",
            ),
            Contestant::NestJs => (
                self.peers.join("nestjs/node_modules/@nestjs/core"),
                "npm ci --ignore-scripts, in bench/peers/nestjs",
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

    /// What `scenario` needs beside the contestants; `None` if it is there.
    pub(crate) fn lacks_for(scenario: Scenario) -> Option<String> {
        let is_missing = scenario.is_clustered() && !redis::is_installed();
        is_missing.then(|| "redis-server is not installed".to_owned())
    }

    /// Starts `contestant` as `scenario` needs it.
    pub(crate) fn start(
        &self,
        contestant: Contestant,
        scenario: Scenario,
    ) -> Result<(Processes, Target), BenchError> {
        let redis = scenario
            .is_clustered()
            .then(|| Redis::start(self.placement))
            .transpose()?;
        let mut servers = Vec::new();
        for _ in 0..if redis.is_some() { 2 } else { 1 } {
            let mut command = self.command(contestant, scenario)?;
            if let Some(redis) = &redis {
                command.args(["--redis", &redis.url()]);
            }
            servers.push(Server::start(command, self.placement)?);
        }
        let node = |server: &Server| Node {
            address: server.address(),
            pid: server.pid(),
        };
        let token = if scenario == Scenario::C1Rsa {
            &self.rsa_token
        } else {
            &self.token
        };
        let target = Target {
            node: node(&servers[0]),
            cluster: servers
                .get(1)
                .map(node)
                .zip(redis.as_ref().map(Redis::node)),
            token: contestant.asks_for_token().then(|| token.clone()),
        };
        Ok((Processes { servers, redis }, target))
    }

    fn command(&self, contestant: Contestant, scenario: Scenario) -> Result<Command, BenchError> {
        let node = |folder: &str| {
            let mut command = Command::new("node");
            command.arg(self.peers.join(folder).join("server.mjs"));
            command
        };
        let counts_memory = matches!(scenario, Scenario::M1 | Scenario::M2);
        let mut command = match contestant {
            Contestant::Floor => {
                let mode = scenario.floor().ok_or_else(|| {
                    let name = scenario.spec().name;
                    BenchError::Setup(format!("there is no floor under {name}"))
                })?;
                self.floor(mode)
            }
            Contestant::CoalescingFloor => self.floor(Mode::CoalescedBroadcast),
            Contestant::Ours => {
                let mut command = Command::new(&self.conformance);
                command.arg("bench");
                command
            }
            Contestant::Socketioxide if counts_memory => Command::new(
                self.socketioxide
                    .join("bench-peer-socketioxide-default-allocator"),
            ),
            Contestant::Socketioxide => {
                Command::new(self.socketioxide.join("bench-peer-socketioxide"))
            }
            Contestant::SocketIo => node("socketio"),
            Contestant::NestJs => node("nestjs"),
        };
        if contestant == Contestant::Socketioxide && scenario == Scenario::B4 {
            command.arg("--binary");
        }
        if !contestant.asks_for_token() {
            return Ok(command);
        }
        if scenario == Scenario::C1Rsa {
            command.arg("--jwt-public-key");
            command.arg(self.keys.join("rsa_public.pem"));
        } else {
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
