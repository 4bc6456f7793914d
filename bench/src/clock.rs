//! Clocks: the generator's time line, and who used how much of a processor.
//!
//! # Invariants
//!
//! - The CPU time of a server is the sum over its threads, in ns, from the scheduler's own count
//!   (`/proc/PID/task/*/schedstat`); the ticks in `/proc/PID/stat` are 10 ms wide.
//! - A thread that ends inside a window takes its share of that window with it. The servers
//!   measured here keep their threads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};

/// The generator's time line: ns since it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts the time line.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Now, in ns.
    pub(crate) fn now(self) -> u64 {
        nanoseconds(self.origin.elapsed())
    }
}

/// `duration` in whole ns; five centuries fit.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// How long the calling thread has run on a processor.
pub(crate) fn own_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// How long each thread of a process has run on a processor, in ns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadTimes(BTreeMap<String, u64>);

impl ThreadTimes {
    /// Reads the times of all threads of `pid`.
    pub(crate) fn read(pid: Pid) -> io::Result<Self> {
        let mut times = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
            let thread = thread?;
            // A thread may end between the listing and the reading.
            if let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) {
                let name = thread.file_name().to_string_lossy().into_owned();
                times.insert(name, parse_schedstat(&text)?);
            }
        }
        Ok(Self(times))
    }

    /// What has been used since `earlier`, in ns.
    pub(crate) fn since(&self, earlier: &Self) -> u64 {
        let used = |(thread, time): (&String, &u64)| {
            time.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0))
        };
        self.0.iter().map(used).sum()
    }
}

/// The anonymous memory that `pid` has in RAM, in bytes.
pub(crate) fn rss_anon(pid: Pid) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    parse_kibibytes(&status, "RssAnon:")
        .ok_or_else(|| io::Error::other("no RssAnon in /proc/PID/status"))
}

/// What the kernel keeps in slabs, for all processes, in bytes.
pub(crate) fn slab() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse_kibibytes(&text, "Slab:").ok_or_else(|| io::Error::other("no Slab in /proc/meminfo"))
}

fn parse_schedstat(text: &str) -> io::Result<u64> {
    let first = text.split_whitespace().next();
    first
        .and_then(|time| time.parse().ok())
        .ok_or_else(|| io::Error::other("no time in /proc/PID/task/TID/schedstat"))
}

/// The number in the line that begins with `name`, in bytes.
fn parse_kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(threads: &[(&str, u64)]) -> ThreadTimes {
        let own = |(thread, time): &(&str, u64)| ((*thread).to_owned(), *time);
        ThreadTimes(threads.iter().map(own).collect())
    }

    #[test]
    fn a_thread_that_began_in_the_window_counts_whole() {
        let before = times(&[("1", 100), ("2", 50)]);
        let after = times(&[("1", 130), ("2", 50), ("3", 7)]);
        assert_eq!(after.since(&before), 37);
    }

    #[test]
    fn a_thread_that_ended_in_the_window_is_no_debt() {
        let before = times(&[("1", 100), ("2", 50)]);
        let after = times(&[("1", 130)]);
        assert_eq!(after.since(&before), 30);
    }

    #[test]
    fn the_first_number_of_schedstat_is_the_time_on_a_processor() {
        assert_eq!(parse_schedstat("1234567 890 12\n").unwrap(), 1_234_567);
        assert!(parse_schedstat("").is_err());
    }

    #[test]
    fn anonymous_memory_is_read_in_bytes() {
        let status = "VmRSS:\t    9000 kB\nRssAnon:\t    1024 kB\nRssFile:\t 3 kB\n";
        assert_eq!(parse_kibibytes(status, "RssAnon:"), Some(1024 * 1024));
        assert_eq!(parse_kibibytes("VmRSS: 9 kB\n", "RssAnon:"), None);
    }
}
