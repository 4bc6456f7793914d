//! Running somebody else's program: shown as it goes, kept for reading, and never for ever.
//!
//! ```text
//!  child ── stdout ──▶ reader ─┐
//!        ── stderr ──▶ reader ─┴─▶ one loop: print, keep, watch the clock
//! ```
//!
//! # Invariants
//!
//! - A child gets no standard input: nothing here asks a person.
//! - Every run ends, at the latest, at its limit.
//! - What `cargo run` puts into the environment for this tool is not handed on, since build
//!   scripts of others may read it and build anew.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How often the clock and the child are looked at while nothing is printed.
const TICK: Duration = Duration::from_secs(1);

/// How long output may stay open after the program itself has ended.
const GRACE: Duration = Duration::from_secs(10);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Everything it printed, both streams.
    pub(crate) output: String,
    /// Why it counts as failed, if it does.
    pub(crate) failure: Option<String>,
}

/// A program to be run in `dir`, clean of what Cargo set for this tool.
pub(crate) fn program(name: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(dir).stdin(Stdio::null());
    for (key, _) in env::vars_os() {
        let Some(text) = key.to_str() else { continue };
        let ours = matches!(
            text,
            "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "CARGO_BIN_NAME" | "CARGO_CRATE_NAME"
        );
        if ours || text == "CARGO_PRIMARY_PACKAGE" || text.starts_with("CARGO_PKG_") {
            command.env_remove(&key);
        }
    }
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// The Cargo that runs this tool.
pub(crate) fn cargo(dir: &Path) -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), dir)
}

/// Where `name` is on the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Runs `command`, printing what it prints, for `limit` at most.
pub(crate) fn stream(command: &mut Command, limit: Duration) -> Finished {
    let started = Instant::now();
    let spawned = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let name = command.get_program().to_string_lossy();
            return Finished {
                output: String::new(),
                failure: Some(format!("{name} could not be started: {error}")),
            };
        }
    };
    let (sender, lines) = mpsc::sync_channel(256);
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);

    let mut output = String::new();
    let mut ended: Option<Instant> = None;
    let failure = loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => show(&line, &mut output),
            Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) => {
                if ended.is_none() && has_ended(&mut child) {
                    ended = Some(Instant::now());
                }
                if ended.is_some_and(|since| since.elapsed() > GRACE) {
                    break Some("ended, but left a process behind that still runs".to_owned());
                }
            }
        }
        if started.elapsed() > limit {
            let minutes = limit.as_secs() / 60;
            break Some(format!("stopped: not done within {minutes} minutes"));
        }
    };
    let failure = failure.or_else(|| outcome(&mut child));
    if failure.is_some() {
        // Already ended, most likely; then there is nothing to end and no error to report.
        let _: io::Result<()> = child.kill();
        let _: io::Result<_> = child.wait();
    }
    Finished { output, failure }
}

/// Waits for a child whose output has closed, and says what is wrong with its end.
fn outcome(child: &mut Child) -> Option<String> {
    match child.wait() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("failed ({status})")),
        Err(error) => Some(format!("could not be waited for: {error}")),
    }
}

fn has_ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)))
}

/// Sends each line of `stream`, with its line end, until the stream closes or nobody listens.
fn forward(stream: Option<impl Read + Send + 'static>, sender: SyncSender<Vec<u8>>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            }
        }
    });
}

fn show(line: &[u8], output: &mut String) {
    let mut stdout = io::stdout().lock();
    // Nobody may be reading any more; the result of the run is still wanted.
    let _: io::Result<()> = stdout.write_all(line).and_then(|()| stdout.flush());
    output.push_str(&String::from_utf8_lossy(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = program("sh", Path::new("."));
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_kept_for_reading() {
        let finished = stream(
            &mut shell("echo out; echo err >&2"),
            Duration::from_secs(60),
        );
        assert!(finished.output.contains("out\n"));
        assert!(finished.output.contains("err\n"));
        assert_eq!(finished.failure, None);
    }

    #[test]
    fn an_exit_code_other_than_zero_is_a_failure() {
        let finished = stream(&mut shell("exit 3"), Duration::from_secs(60));
        assert_eq!(finished.failure.as_deref(), Some("failed (exit status: 3)"));
    }

    #[test]
    fn a_program_that_does_not_exist_is_a_failure_and_no_panic() {
        let mut command = program("no-such-program-anywhere", Path::new("."));
        let finished = stream(&mut command, Duration::from_secs(60));
        assert!(
            finished
                .failure
                .is_some_and(|failure| failure.contains("could not be started"))
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_stopped_at_its_limit() {
        let finished = stream(&mut shell("exec cat /dev/zero >/dev/null"), Duration::ZERO);
        assert!(
            finished
                .failure
                .is_some_and(|failure| failure.starts_with("stopped"))
        );
    }
}
