//! The project's tools: what a person or a CI machine runs to set up, test and measure it.
//!
//! ```text
//!  cargo xtask ──▶ setup ──▶ steps ──▶ tally ──▶ "N passed, N failed"
//!                              │
//!                              ├── command    cargo, node, python: streamed, timed, read
//!                              └── tidy, deny, purity: checks of this tool itself
//! ```
//!
//! # Invariants
//!
//! - Everything runs from the root of the workspace, wherever it was started.
//! - No step is silent: what is not run is said, and why.
//!
//! # Not here
//!
//! The load generator (`bench`) and the servers for outside judges (`conformance`).

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool"
)]

// 1. Where everything is.
mod workspace;

// 2. Run somebody else's program.
mod command;

// 3. Find out what is missing, and install it.
mod setup;

// 4. The steps of the one test command, and how they are counted.
mod steps;
mod tally;

// 5. Checks of our own.
mod deny;
mod micro;
mod purity;
mod tidy;

// 6. Hand over to the benchmark.
mod bench;

use std::env;
use std::process::ExitCode;

use crate::workspace::Workspace;

const HELP: &str = "\
The tools of this project.

  cargo xtask setup               install what the tests need, saying what and why
  cargo xtask test                everything CI runs; ends with a count
      --only STEP[,STEP]          these steps (and what they build on) alone
      --long                      the longer proofs too
  cargo xtask tidy                the house rules that a program can check
  cargo xtask micro [--write]     instructions and allocations of the hot paths, and their budgets
  cargo xtask bench [ARGUMENTS]   build the servers and the peers, then run the benchmark

Steps of the test command, in order:
";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let workspace = match Workspace::find() {
        Ok(workspace) => workspace,
        Err(problem) => return fail(&problem),
    };
    let result = match command.as_deref() {
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}{}", steps::overview());
            return ExitCode::SUCCESS;
        }
        Some("setup") if rest.is_empty() => setup::run(&workspace, setup::ALL).map(|()| true),
        Some("test") => {
            steps::Selection::parse(&rest).and_then(|chosen| steps::run(&workspace, &chosen))
        }
        Some("tidy") if rest.is_empty() => tidy::run(&workspace),
        Some("micro") if rest.is_empty() => micro::check(&workspace),
        Some("micro") if rest == ["--write"] => micro::run(&workspace, true),
        Some("bench") => bench::run(&workspace, &rest),
        Some(name @ ("setup" | "tidy")) => Err(format!("`{name}` takes no arguments")),
        Some("micro") => Err("`micro` takes no arguments but --write".to_owned()),
        Some(other) => Err(format!(
            "no such command: {other}; `cargo xtask` lists them"
        )),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => fail(&problem),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("error: {problem}");
    ExitCode::FAILURE
}
