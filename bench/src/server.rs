//! Servers as child processes, each on a free port, and on a processor of its own.
//!
//! ```text
//!  start ─▶ "listening on 127.0.0.1:N" ─▶ a run ─▶ SIGTERM ─ 3 s ─▶ SIGKILL
//! ```
//!
//! # Invariants
//!
//! - Only the children started here are ended, by their handle.
//! - A child is ended whatever becomes of its run.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Attempt, BenchError};

const START_TIMEOUT: Duration = Duration::from_secs(15);
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Lets this process, and its children, open as many descriptors as the machine allows.
pub(crate) fn raise_descriptor_limit() -> Result<(), BenchError> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).attempt("raise the limit of descriptors")
}

/// Which processors a server and the generator run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Any.
    Free,
    /// One each: fair to servers with one thread, and with less noise.
    Apart {
        /// The server's processor.
        server: usize,
        /// The generator's.
        generator: usize,
    },
}

impl Placement {
    /// Two processors that this process may use, if there are two and they are wanted.
    pub(crate) fn choose(unpinned: bool) -> Result<Self, BenchError> {
        let allowed = sched_getaffinity(None).attempt("read which processors are allowed")?;
        let mut processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
        match (unpinned, processors.next(), processors.next()) {
            (false, Some(server), Some(generator)) => Ok(Self::Apart { server, generator }),
            _ => Ok(Self::Free),
        }
    }

    /// How it reads in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Free => "unpinned",
            Self::Apart { .. } => "server and generator on one processor each",
        }
    }

    /// Starts `command` on the generator's processor.
    pub(crate) fn spawn_beside_generator(self, command: &mut Command) -> Result<Child, BenchError> {
        if let Self::Apart { generator, .. } = self {
            pin(generator)?;
        }
        let what = format!("start {}", command.get_program().to_string_lossy());
        command.spawn().attempt(&what)
    }

    /// Starts `command` on the server's processor; this thread ends up on the generator's.
    fn spawn(self, command: &mut Command) -> Result<Child, BenchError> {
        let what = format!("start {}", command.get_program().to_string_lossy());
        let Self::Apart { server, generator } = self else {
            return command.spawn().attempt(&what);
        };
        // A child inherits the processors of the thread that starts it.
        pin(server)?;
        let child = command.spawn().attempt(&what);
        pin(generator)?;
        child
    }
}

fn pin(processor: usize) -> Result<(), BenchError> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).attempt("choose a processor")
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddrV4,
    /// Kept open: a server that prints another line is not to fail for it.
    stdout: ChildStdout,
}

impl Server {
    /// Starts `command` with `--port`, and waits until it accepts connections.
    pub(crate) fn start(mut command: Command, placement: Placement) -> Result<Self, BenchError> {
        let address = free_address().attempt("find a free port")?;
        command
            .args(["--port", &address.port().to_string()])
            .env("NODE_ENV", "production")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = placement.spawn(&mut command)?;
        let Some(stdout) = child.stdout.take() else {
            stop(&mut child);
            return Err(BenchError::Setup("a child without output".to_owned()));
        };
        let mut server = Self {
            child,
            address,
            stdout,
        };
        // From here on, dropping ends the child.
        let expected = format!("listening on {address}\n");
        match server.first_line() {
            Ok(line) if line == expected => Ok(server),
            Ok(line) => Err(BenchError::Setup(format!(
                "{command:?} did not say {expected:?} within {START_TIMEOUT:?}, but {line:?}"
            ))),
            Err(error) => Err(error),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it prints first, as far as it comes in time.
    fn first_line(&mut self) -> Result<String, BenchError> {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or_default();
            let mut ready = [PollFd::new(&self.stdout, PollFlags::IN)];
            if poll(&mut ready, Some(&left)).attempt("wait for a server")? == 0 {
                break;
            }
            if self
                .stdout
                .read(&mut byte)
                .attempt("read what a server says")?
                == 0
            {
                break;
            }
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Asks a child to end, and ends it if it does not.
pub(crate) fn stop(child: &mut Child) {
    // It may have ended by itself: then there is nobody to tell.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let deadline = Instant::now() + STOP_TIMEOUT;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> std::io::Result<SocketAddrV4> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}
