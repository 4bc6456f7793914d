//! Measuring what a server spends while a scenario's window is open.
//!
//! ```text
//!  Meter::start ── the window: a counted number of units of work ── Meter::finish ──▶ Figures
//!    read clocks                                                      read clocks
//!    or attach strace                                                 or detach it
//! ```
//!
//! # Invariants
//!
//! - A run measures CPU time or counts system calls, never both: tracing changes everything.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::{ThreadTimes, nanoseconds, own_cpu};
use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Figures};

/// How long strace may take to attach.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// What a meter reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instrument {
    /// The scheduler's count of CPU time.
    Cpu,
    /// The number of system calls, with strace.
    Syscalls,
}

/// An open window.
#[derive(Debug)]
pub(crate) struct Meter {
    server: Pid,
    reading: Reading,
    started: Instant,
    own_cpu: Duration,
}

#[derive(Debug)]
enum Reading {
    Cpu(ThreadTimes),
    Syscalls(Tracer),
}

impl Meter {
    /// Opens a window over the process `server`.
    pub(crate) fn start(server: Pid, instrument: Instrument) -> Result<Self, BenchError> {
        let reading = match instrument {
            Instrument::Cpu => Reading::Cpu(read_times(server)?),
            Instrument::Syscalls => Reading::Syscalls(Tracer::attach(server)?),
        };
        Ok(Self {
            server,
            reading,
            started: Instant::now(),
            own_cpu: own_cpu(),
        })
    }

    /// Closes the window, in which the server did `units` of work.
    pub(crate) fn finish(self, units: u64) -> Result<Figures, BenchError> {
        if units == 0 {
            return Err(BenchError::void("the server did nothing"));
        }
        let units = units as f64;
        let mut figures = Figures::new();
        match self.reading {
            Reading::Cpu(before) => {
                let used = read_times(self.server)?.since(&before);
                figures.insert(Figure::CpuPerUnit, used as f64 / 1e3 / units);
                let own = nanoseconds(own_cpu() - self.own_cpu) as f64;
                let wall = nanoseconds(self.started.elapsed()) as f64;
                figures.insert(Figure::GeneratorShare, own / wall);
            }
            Reading::Syscalls(tracer) => {
                let calls = tracer.detach()?;
                figures.insert(Figure::SyscallsPerUnit, calls as f64 / units);
            }
        }
        Ok(figures)
    }
}

fn read_times(server: Pid) -> Result<ThreadTimes, BenchError> {
    ThreadTimes::read(server).attempt("read the CPU time of the server")
}

/// Is strace installed?
pub(crate) fn can_trace() -> bool {
    let version = Command::new("strace").arg("-V").output();
    version.is_ok_and(|output| output.status.success())
}

/// A running strace that counts the system calls of all threads of a server.
#[derive(Debug)]
struct Tracer {
    strace: Child,
    summary: PathBuf,
}

impl Tracer {
    fn attach(server: Pid) -> Result<Self, BenchError> {
        let server = server.as_raw_nonzero().to_string();
        let summary = std::env::temp_dir().join(format!("bench-strace-{server}.txt"));
        let mut strace = Command::new("strace")
            .args(["-f", "-c", "-p", &server, "-o"])
            .arg(&summary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .attempt("start strace")?;
        let stderr = strace.stderr.take();
        let tracer = Self { strace, summary };
        match stderr.map(wait_for_attach) {
            Some(Ok(true)) => Ok(tracer),
            Some(Err(error)) => Err(error).attempt("read what strace says"),
            Some(Ok(false)) | None => Err(BenchError::Setup(
                "strace could not attach to the server".to_owned(),
            )),
        }
    }

    /// Ends the tracing, and says how many calls there were.
    fn detach(mut self) -> Result<u64, BenchError> {
        kill_process(Pid::from_child(&self.strace), Signal::INT).attempt("stop strace")?;
        self.strace.wait().attempt("wait for strace")?;
        let summary = fs::read_to_string(&self.summary).attempt("read strace's summary")?;
        total_calls(&summary).ok_or_else(|| BenchError::Setup("strace printed no total".to_owned()))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // After `detach` there is neither process nor, then, file; a failure here harms nobody.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
        let _ = fs::remove_file(&self.summary);
    }
}

/// Reads strace's messages until it says that it is attached; false if it does not.
fn wait_for_attach(mut stderr: ChildStderr) -> io::Result<bool> {
    let deadline = Instant::now() + ATTACH_TIMEOUT;
    let mut said = Vec::new();
    let mut chunk = [0; 1_024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        let mut ready = [PollFd::new(&stderr, PollFlags::IN)];
        if poll(&mut ready, Some(&left))? == 0 {
            return Ok(false);
        }
        let len = stderr.read(&mut chunk)?;
        if len == 0 {
            return Ok(false);
        }
        said.extend_from_slice(&chunk[..len]);
        if String::from_utf8_lossy(&said).contains(" attached") {
            return Ok(true);
        }
    }
}

/// The number of calls in the last line of `strace -c`.
fn total_calls(summary: &str) -> Option<u64> {
    let total = summary
        .lines()
        .rev()
        .find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_with_and_without_errors() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 98.71    0.032512           8      4004           sendto
  1.29    0.000424           5        80         3 epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.032936           8      4084         3 total
";
        assert_eq!(total_calls(summary), Some(4_084));
        let without = summary.replace("         3 total", "           total");
        assert_eq!(total_calls(&without), Some(4_084));
        assert_eq!(total_calls(""), None);
    }
}
