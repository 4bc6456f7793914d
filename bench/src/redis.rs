//! A Redis of our own, for as long as a run with two nodes takes.
//!
//! # Invariants
//!
//! - It keeps nothing on disk, listens on 127.0.0.1 only, and ends with the run.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::error::{Attempt, BenchError};
use crate::server::{self, Placement};

const START_TIMEOUT: Duration = Duration::from_secs(5);

/// A running Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    address: SocketAddrV4,
}

impl Redis {
    /// Starts one on a free port, beside the generator: the servers' processor stays theirs.
    pub(crate) fn start(placement: Placement) -> Result<Self, BenchError> {
        let address = server::free_address().attempt("find a free port")?;
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &address.port().to_string()])
            .args(["--bind", &Ipv4Addr::LOCALHOST.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let redis = Self {
            child: placement.spawn_beside_generator(&mut command)?,
            address,
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err(BenchError::Setup("redis-server does not start".to_owned()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    /// Where it listens, as clients write it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        server::stop(&mut self.child);
    }
}

/// Is it installed?
pub(crate) fn is_installed() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}
