//! What a scenario came to, kept in [`FOLDER`] so that scenarios, and blocks of one, can be
//! measured at different times, and the page drawn anew in any checkout.
//!
//! # Invariants
//!
//! - Every block was measured in one of the sittings, and each sitting names its commit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Figures, Point};
use crate::lineup::Contestant;
use crate::scenario::Scenario;
use crate::server::Placement;

/// Where outcomes are, below the root of the project.
const FOLDER: &str = "bench/results";

/// What a measurement writes itself, which is no change to what is measured.
const OWN_OUTPUT: [&str; 3] = [
    ":!bench/results",
    ":!docs/benchmarks",
    ":!docs/benchmarks.md",
];

/// What one scenario came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// What was run.
    pub(crate) scenario: Scenario,
    /// The blocks that count: a mean over the runs of each contestant.
    pub(crate) blocks: Vec<BTreeMap<Contestant, Figures>>,
    /// All points of the curves that were drawn in blocks that count.
    pub(crate) curves: BTreeMap<Contestant, Vec<Point>>,
    /// How many blocks were begun.
    pub(crate) attempts: usize,
    /// System calls per unit, from the traced runs.
    pub(crate) syscalls: BTreeMap<Contestant, f64>,
    /// What a reader should know beside the numbers.
    pub(crate) notes: Vec<String>,
    /// When and how: more than one if it was taken up again.
    pub(crate) sittings: Vec<Circumstances>,
}

/// What has to be told with every number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    /// The beginning of the measurement, UTC.
    pub(crate) date: String,
    /// The commit that was measured.
    pub(crate) commit: String,
    /// What was typed.
    pub(crate) command: String,
    /// Who ran where.
    pub(crate) placement: String,
    /// How many blocks were kept, where that was noted.
    #[serde(default)]
    pub(crate) blocks: Option<usize>,
}

impl Outcome {
    /// Nothing yet.
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            blocks: Vec::new(),
            curves: BTreeMap::new(),
            attempts: 0,
            syscalls: BTreeMap::new(),
            notes: Vec::new(),
            sittings: Vec::new(),
        }
    }

    /// What was kept of `scenario`, if anything was.
    pub(crate) fn load(root: &Path, scenario: Scenario) -> Result<Option<Self>, BenchError> {
        let path = file(root, scenario);
        if !path.exists() {
            return Ok(None);
        }
        let what = format!("read {}", path.display());
        let json = fs::read(&path).attempt(&what)?;
        let outcome = serde_json::from_slice(&json).map_err(std::io::Error::from);
        outcome.attempt(&what).map(Some)
    }

    /// All there is, in the order of the table.
    pub(crate) fn load_all(root: &Path) -> Result<Vec<Self>, BenchError> {
        let scenarios = Scenario::value_variants().iter();
        scenarios
            .filter_map(|scenario| Self::load(root, *scenario).transpose())
            .collect()
    }

    /// Takes the place of what was kept before.
    pub(crate) fn save(&self, root: &Path) -> Result<(), BenchError> {
        let path = file(root, self.scenario);
        let json = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        let json = json.attempt("encode the results")?;
        fs::create_dir_all(root.join(FOLDER)).attempt("make the folder of the results")?;
        fs::write(&path, json).attempt(&format!("write {}", path.display()))
    }

    /// One more block that counts. System calls are those of the code of the latest ones.
    pub(crate) fn push(&mut self, block: BTreeMap<Contestant, Figures>) {
        self.blocks.push(block);
        self.syscalls.clear();
        if let Some(sitting) = self.sittings.last_mut() {
            *sitting.blocks.get_or_insert(0) += 1;
        }
    }

    /// Who has, in some block, a `figure` above `bound`.
    pub(crate) fn contestants_over(&self, figure: Figure, bound: f64) -> Vec<Contestant> {
        let runs = self.blocks.iter().flatten();
        let mut over: Vec<Contestant> = runs
            .filter(|(_, figures)| figures.get(&figure).is_some_and(|value| *value > bound))
            .map(|(contestant, _)| *contestant)
            .collect();
        over.sort_unstable();
        over.dedup();
        over
    }
}

impl Circumstances {
    /// Those of this process.
    pub(crate) fn now(root: &Path, placement: Placement) -> Result<Self, BenchError> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Ok(Self {
            date: output(root, "date", &["-u", "+%Y-%m-%d %H:%M UTC"])?,
            commit: commit(root)?,
            command: format!("bench {}", from_root(root, &arguments.join(" "))),
            placement: placement.title().to_owned(),
            blocks: Some(0),
        })
    }
}

/// The commit that is measured, and whether anything was changed since.
fn commit(root: &Path) -> Result<String, BenchError> {
    let commit = output(root, "git", &["describe", "--always"])?;
    if commit.is_empty() {
        return Ok("none".to_owned());
    }
    let status = ["status", "--porcelain", "--untracked-files=no", "--", "."];
    let changes = output(root, "git", &[&status[..], &OWN_OUTPUT].concat())?;
    let mark = if changes.is_empty() { "" } else { "-dirty" };
    Ok(commit + mark)
}

/// What was typed, with paths as they are from the root: where that lies is nobody's business.
fn from_root(root: &Path, typed: &str) -> String {
    typed.replace(&format!("{}/", root.display()), "")
}

/// What a command prints, without the end of the line.
pub(crate) fn output(root: &Path, program: &str, args: &[&str]) -> Result<String, BenchError> {
    let output = Command::new(program)
        .args(args)
        .current_dir(root)
        .output()
        .attempt(&format!("run {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn file(root: &Path, scenario: Scenario) -> PathBuf {
    root.join(FOLDER)
        .join(format!("{}.json", scenario.spec().name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_does_not_tell_where_the_checkout_lies() {
        let root = Path::new("/somewhere/checkout");
        let typed = "run --conformance /somewhere/checkout/target/release/conformance m1";
        let told = from_root(root, typed);
        assert_eq!(told, "run --conformance target/release/conformance m1");
    }

    #[test]
    fn what_is_kept_is_read_again_and_nothing_else_is_found() {
        let root = std::env::temp_dir().join(format!("bench-outcome-{}", std::process::id()));
        let mut outcome = Outcome::new(Scenario::B1);
        let figures = Figures::from([(Figure::CpuPerUnit, 5.0)]);
        outcome
            .blocks
            .push(BTreeMap::from([(Contestant::Ours, figures)]));
        outcome.save(&root).unwrap();

        let all = Outcome::load_all(&root).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].blocks, outcome.blocks);
        assert!(Outcome::load(&root, Scenario::B2).unwrap().is_none());
        fs::remove_dir_all(root).unwrap();
    }
}
