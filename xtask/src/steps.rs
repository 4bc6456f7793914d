//! The one test command: steps in order, each named, timed and counted.
//!
//! ```text
//!  setup ──▶ fmt ──▶ tidy ──▶ clippy ──▶ build ──▶ test ──▶ … ──▶ summary
//!                                          │ failed           ▲
//!                                          └──▶ what builds on it is "not run"
//! ```
//!
//! # Invariants
//!
//! - A failed step hides no later one, unless that one builds on it.
//! - A step that is there to run tests fails when it ran none.
//! - The last line is `N passed, N failed`: tests that passed; tests that failed, and one more for
//!   each step that failed in another way. So it never says `0 failed` after a failure.
//!
//! # Not here
//!
//! What the steps are (`steps::table`).

mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use self::table::{STEPS, Step, Task, What, When};
use crate::tally::Tally;
use crate::workspace::{Workspace, answer};
use crate::{command, setup};

/// Cases of each property test under `--long`; the default is 256.
const LONG_CASES: &str = "20000";

/// How much longer each command may take under `--long`.
const LONG_FACTOR: u64 = 6;

/// Which steps are wanted, and how thoroughly.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    only: Vec<String>,
    long: bool,
}

impl Selection {
    /// Reads the arguments of `cargo xtask test`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut selection = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--long" => selection.long = true,
                "--only" => {
                    let names = arguments.next().ok_or("--only needs the name of a step")?;
                    for name in names.split(',') {
                        if !STEPS.iter().any(|step| step.name == name) {
                            return Err(format!("no such step: {name}; there are {}", names_of()));
                        }
                        selection.only.push(name.to_owned());
                    }
                }
                other => return Err(format!("no such option: {other}")),
            }
        }
        Ok(selection)
    }

    fn wants(&self, step: &Step) -> bool {
        let builds_on = |name: &String| {
            let chosen = STEPS.iter().find(|candidate| candidate.name == name);
            chosen.is_some_and(|chosen| chosen.after.contains(&step.name))
        };
        self.only.is_empty()
            || self.only.iter().any(|name| name == step.name)
            || self.only.iter().any(builds_on)
    }
}

/// The steps, a line each, for the help text.
pub(crate) fn overview() -> String {
    let line = |step: &Step| format!("  {:<10}  {}\n", step.name, step.about);
    STEPS.iter().map(line).collect()
}

fn names_of() -> String {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    names.join(", ")
}

/// How one step ended.
struct Row {
    name: &'static str,
    took: Duration,
    tally: Tally,
    failure: Option<String>,
}

/// Sets up, runs the selected steps, and says how it went; true when nothing failed.
pub(crate) fn run(workspace: &Workspace, selection: &Selection) -> Result<bool, String> {
    let steps: Vec<&Step> = STEPS.iter().filter(|step| selection.wants(step)).collect();
    let mut needs = Vec::new();
    for need in steps.iter().flat_map(|step| step.needs) {
        if !needs.contains(need) {
            needs.push(*need);
        }
    }
    let started = Instant::now();
    println!("== setup");
    let mut rows = vec![Row {
        name: "setup",
        took: Duration::ZERO,
        tally: Tally::default(),
        failure: setup::run(workspace, &needs).err(),
    }];
    rows[0].took = started.elapsed();
    if let Some(problem) = &rows[0].failure {
        println!("error: {problem}");
        println!("`--only` runs steps that need less; `cargo xtask` lists them");
        return Ok(summary(&rows, started.elapsed()));
    }
    for step in steps {
        println!("\n== {}: {}", step.name, step.about);
        let row = run_step(workspace, selection, step, &rows);
        match &row.failure {
            None => println!("== {} done in {}", row.name, seconds(row.took)),
            Some(failure) => println!("== {} FAILED: {failure}", row.name),
        }
        rows.push(row);
    }
    Ok(summary(&rows, started.elapsed()))
}

fn run_step(workspace: &Workspace, selection: &Selection, step: &Step, done: &[Row]) -> Row {
    let started = Instant::now();
    let mut row = Row {
        name: step.name,
        took: Duration::ZERO,
        tally: Tally::default(),
        failure: None,
    };
    let broken = done
        .iter()
        .find(|row| row.failure.is_some() && step.after.contains(&row.name));
    if let Some(broken) = broken {
        row.failure = Some(format!("not run, because {} failed", broken.name));
        return row;
    }
    for task in step.tasks {
        if !applies(task.when, selection) {
            if !task.otherwise.is_empty() {
                println!("note: {}", task.otherwise);
            }
            continue;
        }
        let failure = perform(workspace, selection, step, task, &mut row.tally);
        row.failure = row.failure.or(failure);
    }
    let counts = step.tasks.iter().any(|task| task.counts.is_some());
    if row.failure.is_none() && counts && row.tally.passed + row.tally.failed == 0 {
        row.failure = Some("ran no test at all".to_owned());
    }
    if row.failure.is_none() && row.tally.failed > 0 {
        row.failure = Some("reported failed tests, yet ended well".to_owned());
    }
    row.took = started.elapsed();
    row
}

fn perform(
    workspace: &Workspace,
    selection: &Selection,
    step: &Step,
    task: &Task,
    tally: &mut Tally,
) -> Option<String> {
    let finished = match task.what {
        What::Check(check) => {
            return match check(workspace) {
                Ok(true) => None,
                Ok(false) => Some("found something, above".to_owned()),
                Err(problem) => Some(problem),
            };
        }
        What::Command { line, dir } => {
            let mut command = match assemble(workspace, line, dir) {
                Ok(command) => command,
                Err(problem) => return Some(problem),
            };
            command.envs(task.env.iter().copied());
            if selection.long {
                command.env("PROPTEST_CASES", LONG_CASES);
                command.env("NEXTEST_PROFILE", "long");
                command.env("INTEROP_LONG", "1");
            }
            println!("$ {line}{}", place(dir));
            let minutes = step.minutes * if selection.long { LONG_FACTOR } else { 1 };
            command::stream(&mut command, Duration::from_secs(60 * minutes))
        }
    };
    if let Some(runner) = task.counts {
        *tally += Tally::read(runner, &finished.output);
    }
    finished.failure
}

fn place(dir: &str) -> String {
    if dir.is_empty() {
        return String::new();
    }
    format!("   (in {dir})")
}

/// Makes a command of a line of the table.
fn assemble(workspace: &Workspace, line: &str, dir: &str) -> Result<Command, String> {
    let folder = workspace.root().join(dir);
    if !folder.is_dir() {
        return Err(format!("{dir} is missing"));
    }
    let mut words = line.split_whitespace();
    let mut command = match words.next() {
        Some("cargo") => command::cargo(&folder),
        Some("{venv}") => command::program(workspace.venv_python(), &folder),
        Some(name) => command::program(name, &folder),
        None => return Err("an empty command".to_owned()),
    };
    for word in words {
        if let Some(suffix) = word.strip_prefix('*') {
            let files = ending_with(&folder, suffix)?;
            if files.is_empty() {
                return Err(format!("no file {word} in {dir}"));
            }
            command.args(files);
        } else {
            let target = workspace.target().to_string_lossy();
            command.arg(word.replace("{target}", &target));
        }
    }
    command
        .env("PORTCULLIS_BIN", workspace.binary("debug", "portcullis"))
        .env("CONFORMANCE_BIN", workspace.binary("debug", "conformance"))
        .env("RELEASE_BIN", workspace.binary("release", "conformance"));
    if let Some(browser) = setup::browser() {
        command.env("CHROMIUM_BIN", browser);
    }
    Ok(command)
}

/// The names of the files in `folder` that end so, sorted.
fn ending_with(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut names: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| name.to_string_lossy().ends_with(suffix))
        .collect();
    names.sort();
    Ok(names)
}

fn applies(when: When, selection: &Selection) -> bool {
    match when {
        When::Always => true,
        When::Long => selection.long,
        When::Installed(name) => command::find(name).is_some(),
        When::Missing(name) => command::find(name).is_none(),
        When::Target(name) => answer(Command::new("rustc").args(["--print", "sysroot"]))
            .map(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib").join(name))
            .is_ok_and(|folder| folder.join("lib").is_dir()),
    }
}

/// Prints a line per step and the total; true when nothing failed.
fn summary(rows: &[Row], took: Duration) -> bool {
    println!("\n== summary");
    for row in rows {
        println!("{}", row.line());
    }
    println!("took {}", seconds(took));
    let total = total(rows);
    println!("{} passed, {} failed", total.passed, total.failed);
    rows.iter().all(|row| row.failure.is_none())
}

fn total(rows: &[Row]) -> Tally {
    let mut total = Tally::default();
    for row in rows {
        total += row.tally;
        if row.failure.is_some() && row.tally.failed == 0 {
            total.failed += 1;
        }
    }
    total
}

impl Row {
    fn line(&self) -> String {
        let mut line = format!("  {:<10}  {:>8}  ", self.name, seconds(self.took));
        line.push_str(if self.failure.is_none() {
            "ok"
        } else {
            "FAILED"
        });
        let Tally {
            passed,
            failed,
            skipped,
        } = self.tally;
        if passed + failed > 0 {
            line.push_str(&format!(", {passed} tests passed, {failed} failed"));
        }
        if skipped > 0 {
            line.push_str(&format!(", {skipped} skipped"));
        }
        if let Some(failure) = &self.failure {
            let first = failure.lines().next().unwrap_or_default();
            line.push_str(&format!(": {first}"));
        }
        line
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Selection, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Selection::parse(&arguments)
    }

    fn row(name: &'static str, passed: u64, failed: u64, failure: Option<&str>) -> Row {
        Row {
            name,
            took: Duration::ZERO,
            tally: Tally {
                passed,
                failed,
                skipped: 0,
            },
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn without_only_every_step_is_wanted() {
        let selection = parse(&["--long"]).unwrap();
        assert!(selection.long);
        assert!(STEPS.iter().all(|step| selection.wants(step)));
    }

    #[test]
    fn only_brings_along_what_the_step_builds_on() {
        let selection = parse(&["--only", "python"]).unwrap();
        let wanted: Vec<&str> = STEPS
            .iter()
            .filter(|step| selection.wants(step))
            .map(|step| step.name)
            .collect();
        assert_eq!(wanted, ["build", "python"]);
    }

    #[test]
    fn a_step_that_does_not_exist_is_refused_with_those_that_do() {
        let problem = parse(&["--only", "tidy,polish"]).unwrap_err();
        assert!(problem.contains("no such step: polish"));
        assert!(problem.contains("clippy"));
    }

    #[test]
    fn every_step_names_earlier_steps_as_what_it_builds_on() {
        for (position, step) in STEPS.iter().enumerate() {
            for name in step.after {
                assert!(
                    STEPS[..position]
                        .iter()
                        .any(|earlier| earlier.name == *name)
                );
            }
        }
    }

    #[test]
    fn a_failed_step_without_a_failed_test_counts_as_one_failure() {
        let rows = [
            row("fmt", 0, 0, Some("failed (exit status: 1)")),
            row("test", 7, 2, Some("failed (exit status: 100)")),
            row("node", 3, 0, None),
        ];
        let total = total(&rows);
        assert_eq!((total.passed, total.failed), (10, 3));
    }
}
