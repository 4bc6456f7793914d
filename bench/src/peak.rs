//! The most memory that a server takes while something goes on.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Pid;

use crate::clock::rss_anon;
use crate::error::{Attempt, BenchError};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at a server, from a thread of its own, until it is finished or dropped.
#[derive(Debug)]
pub(crate) struct Peak {
    stop: Sender<()>,
    looking: JoinHandle<std::io::Result<u64>>,
}

impl Peak {
    /// Begins to look at the anonymous memory of `pid`.
    pub(crate) fn watch(pid: Pid) -> Self {
        let (stop, stopped) = mpsc::channel();
        let looking = thread::spawn(move || {
            let mut highest = rss_anon(pid)?;
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                highest = highest.max(rss_anon(pid)?);
            }
            Ok(highest)
        });
        Self { stop, looking }
    }

    /// The most that was seen, in bytes.
    pub(crate) fn finish(self) -> Result<u64, BenchError> {
        drop(self.stop);
        let ended = self.looking.join();
        let highest = ended.unwrap_or_else(|_| Err(std::io::Error::other("the thread panicked")));
        highest.attempt("read the memory of the server")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_still_counts() {
        const LEN: u64 = 64 << 20;
        let own = rustix::process::getpid();
        let before = rss_anon(own).unwrap();
        let peak = Peak::watch(own);
        let filled = vec![1_u8; LEN as usize];
        thread::sleep(20 * LOOK_EVERY);
        drop(std::hint::black_box(filled));
        assert!(peak.finish().unwrap() > before + LEN / 2);
    }
}
