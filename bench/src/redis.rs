//! A Redis of our own, for as long as a run with two nodes takes.
//!
//! # Invariants
//!
//! - It keeps nothing on disk, listens on 127.0.0.1 only, and ends with the run.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::error::{Attempt, BenchError};
use crate::figures::Latencies;
use crate::scenario::Node;
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

    /// Its process and where it listens.
    pub(crate) fn node(&self) -> Node {
        Node {
            address: self.address,
            pid: Pid::from_child(&self.child),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        server::stop(&mut self.child);
    }
}

/// How many messages tell how long one takes.
const ROUND_TRIPS: u32 = 1_000;

/// From publishing a message to hearing it, with nothing but Redis in between: the median, in ms.
pub(crate) fn round_trip(redis: Node) -> Result<f64, BenchError> {
    let connect = || -> std::io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(redis.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(START_TIMEOUT))?;
        Ok(BufReader::new(stream))
    };
    let measure = || -> std::io::Result<f64> {
        let (mut subscriber, mut publisher) = (connect()?, connect()?);
        subscriber.get_mut().write_all(b"SUBSCRIBE bench\r\n")?;
        read_to(&mut subscriber, ":1")?;
        let mut latencies = Latencies::new();
        for _ in 0..ROUND_TRIPS {
            let start = Instant::now();
            publisher.get_mut().write_all(b"PUBLISH bench hello\r\n")?;
            read_to(&mut subscriber, "hello")?;
            latencies.record(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            read_to(&mut publisher, ":1")?;
        }
        Ok(latencies.quantile(0.5))
    };
    measure().attempt("publish to Redis")
}

/// Reads lines until one is `last`.
fn read_to(reader: &mut impl BufRead, last: &str) -> std::io::Result<()> {
    let mut line = String::new();
    while line.trim_end() != last {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Is it installed?
pub(crate) fn is_installed() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}
