//! Running the binary.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// The secret of these tests, of the least length that is accepted.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The binary, with an environment that says nothing to it.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(args)
        .env_remove("PORTCULLIS_JWT_SECRET")
        .env_remove("RUST_LOG");
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    program(args).output().expect("the binary starts")
}

/// Asserts that it refused, in one line on stderr; gives that line.
pub(crate) fn refusal(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("stderr is text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("error: "), "{said}");
    said
}

/// A server that is accepting connections; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Until nobody listens any more.
    stdout: Option<BufReader<ChildStdout>>,
    /// Where it listens, as its first line says.
    pub(crate) address: String,
}

impl Running {
    /// Starts `portcullis dev` on a port of the system's choice.
    pub(crate) fn start() -> Self {
        Self::spawn(program(&["dev", "--port", "0"]).stderr(Stdio::piped()))
    }

    /// The same, with everything that it could log.
    pub(crate) fn start_logging_to(stderr: Stdio) -> Self {
        let mut command = program(&["dev", "--port", "0"]);
        Self::spawn(command.env("RUST_LOG", "trace").stderr(stderr))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .env("PORTCULLIS_JWT_SECRET", SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("stdout is text");
        let address = first
            .trim_end()
            .strip_prefix("listening on ")
            .expect("the first line says where it listens")
            .to_owned();
        Self {
            child,
            stdout: Some(stdout),
            address,
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes the ends at which somebody could read what it says.
    pub(crate) fn turn_away(&mut self) {
        drop(self.child.stderr.take());
        self.stdout = None;
    }

    /// Sends a signal, and goes on.
    pub(crate) fn signal(&self, signal: &str) {
        let killed = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status()
            .expect("there is a kill command");
        assert!(killed.success());
    }

    /// Sends a signal, waits for the end; gives the exit code and the rest of stdout.
    pub(crate) fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let mut rest = String::new();
        if let Some(stdout) = &mut self.stdout {
            stdout.read_to_string(&mut rest).expect("stdout is text");
        }
        (self.child.wait().expect("it is our child").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail for a child that has ended, which is as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
