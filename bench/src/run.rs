//! Blocks of runs: everything is compared with what ran next to it, and with nothing else.
//!
//! ```text
//!  block:  ours  FLOOR  socketioxide  ours  socket.io  FLOOR      in random order
//!             └── the two floors within 10 % of each other? ──▶ kept, else discarded
//!  blocks until enough are kept ─▶ one traced run each ─▶ Outcome ─▶ report
//! ```
//!
//! # Invariants
//!
//! - A block is kept whole or not at all: a void run, or a machine that was busy with other
//!   things, discards it.
//! - There are at most twice as many attempts as blocks wanted.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::RunArguments;
use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Figures, Findings, Point, mean};
use crate::lineup::{Contestant, Lineup};
use crate::meter::{Instrument, can_trace};
use crate::report;
use crate::scenario::{Plan, Scenario};
use crate::server::Placement;

/// How far the two floors of a block may be apart.
const FLOORS_APART: f64 = 1.10;

/// What `--quick` looks at unless told otherwise: the first goals.
const QUICK: [Scenario; 3] = [Scenario::B1, Scenario::B2, Scenario::E1];

/// Above this share of its processor, the generator is what is measured.
const BUSY_GENERATOR: f64 = 0.80;

/// What one scenario came to. Kept on disk, so that scenarios can be run one at a time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// What was run.
    pub(crate) scenario: Scenario,
    /// The blocks that count: a mean over the runs of each contestant.
    pub(crate) blocks: Vec<BTreeMap<Contestant, Figures>>,
    /// All points of the curves that were drawn in blocks that count.
    #[serde(default)]
    pub(crate) curves: BTreeMap<Contestant, Vec<Point>>,
    /// How many blocks were begun.
    pub(crate) attempts: usize,
    /// System calls per unit, from the traced runs.
    pub(crate) syscalls: BTreeMap<Contestant, f64>,
    /// What a reader should know beside the numbers.
    pub(crate) notes: Vec<String>,
    /// When, where in the history, and how.
    pub(crate) circumstances: Circumstances,
}

/// What has to be told with every number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    /// The end of the measurement, UTC.
    pub(crate) date: String,
    /// The commit that was measured.
    pub(crate) commit: String,
    /// What was typed.
    pub(crate) command: String,
    /// Who ran where.
    pub(crate) placement: String,
}

/// Measures what was asked for, prints the table, and writes `docs/benchmarks.md`.
pub(crate) fn run(arguments: &RunArguments) -> Result<(), BenchError> {
    let root = find_root()?;
    let placement = Placement::choose(arguments.unpinned)?;
    let lineup = Lineup::new(&root, &arguments.conformance, placement)?;
    let contestants: Vec<Contestant> = Contestant::value_variants()
        .iter()
        .copied()
        .filter(|contestant| arguments.only.is_empty() || arguments.only.contains(contestant))
        .filter(|contestant| match lineup.lacks(*contestant) {
            Some(lack) => {
                eprintln!("{lack}");
                false
            }
            None => true,
        })
        .collect();
    let scenarios = match &arguments.scenarios[..] {
        [] if arguments.quick => &QUICK[..],
        [] => Scenario::value_variants(),
        named => named,
    };

    if arguments.only_report {
        let outcomes = load(&root)?;
        println!("{}", report::table(&outcomes));
        println!("{}", report::goals(&outcomes));
        return report::write(&root, &outcomes);
    }
    let is_sketch = arguments.quick || !arguments.only.is_empty();
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        if let Some(lack) = Lineup::lacks_for(*scenario) {
            eprintln!("{}: left out: {lack}", scenario.spec().name);
            continue;
        }
        if arguments.resume && results(&root, *scenario).exists() {
            eprintln!("{}: measured before", scenario.spec().name);
            continue;
        }
        let mut series = Series::new(*scenario, arguments, &lineup, &contestants);
        series.measure()?;
        let outcome = series.finish(&root, placement)?;
        if !is_sketch {
            save(&root, &outcome)?;
        }
        outcomes.push(outcome);
    }
    if !is_sketch {
        outcomes = load(&root)?;
    }
    println!("{}", report::table(&outcomes));
    println!("{}", report::goals(&outcomes));
    println!("{}", report::remarks(&outcomes));
    if !is_sketch {
        report::write(&root, &outcomes)?;
    }
    match outcomes.iter().find(|outcome| outcome.blocks.is_empty()) {
        Some(outcome) => Err(BenchError::Setup(format!(
            "{} has no block that counts",
            outcome.scenario.spec().name
        ))),
        None => Ok(()),
    }
}

/// The blocks of one scenario.
struct Series<'a> {
    scenario: Scenario,
    plan: Plan,
    wanted: usize,
    lineup: &'a Lineup,
    /// Who runs in a block, as often as named.
    block: Vec<Contestant>,
    blocks: Vec<BTreeMap<Contestant, Figures>>,
    curves: BTreeMap<Contestant, Vec<Point>>,
    attempts: usize,
    syscalls: BTreeMap<Contestant, f64>,
    notes: Vec<String>,
}

impl<'a> Series<'a> {
    fn new(
        scenario: Scenario,
        arguments: &RunArguments,
        lineup: &'a Lineup,
        contestants: &[Contestant],
    ) -> Self {
        let usual = if arguments.quick {
            1
        } else {
            scenario.spec().blocks
        };
        let mut block = members(scenario);
        block.retain(|contestant| contestants.contains(contestant));
        Self {
            scenario,
            plan: if arguments.quick {
                Plan::QUICK
            } else {
                Plan::FULL
            },
            wanted: arguments.blocks.unwrap_or(usual),
            lineup,
            block,
            blocks: Vec::new(),
            curves: BTreeMap::new(),
            attempts: 0,
            syscalls: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    fn measure(&mut self) -> Result<(), BenchError> {
        while self.blocks.len() < self.wanted && self.attempts < 2 * self.wanted {
            self.attempts += 1;
            match self.run_block() {
                Ok(block) => self.blocks.push(block),
                Err(BenchError::Void(reason)) => self.note(&format!("block discarded: {reason}")),
                Err(error) => return Err(error),
            }
        }
        if !self.scenario.spec().is_traced {
            Ok(())
        } else if can_trace() {
            self.trace()
        } else {
            self.note("system calls were not counted: strace is not installed");
            Ok(())
        }
    }

    fn run_block(&mut self) -> Result<BTreeMap<Contestant, Figures>, BenchError> {
        let mut order = self.block.clone();
        shuffle(&mut order);
        let mut runs: BTreeMap<Contestant, Vec<Figures>> = BTreeMap::new();
        let mut curves = Vec::new();
        for contestant in order {
            match self.run_one(contestant, &self.plan) {
                Ok(Findings { figures, curve }) => {
                    runs.entry(contestant).or_default().push(figures);
                    curves.push((contestant, curve));
                }
                // A peer that cannot do it at all has no figure; the others keep theirs.
                Err(BenchError::Overload(reason) | BenchError::Setup(reason))
                    if is_peer(contestant) =>
                {
                    self.note(&format!("{} fails: {reason}", contestant.title()));
                }
                Err(BenchError::Overload(reason)) => return Err(BenchError::Void(reason)),
                Err(error) => return Err(error),
            }
        }
        if let Some([first, second]) = runs.get(&Contestant::Floor).map(Vec::as_slice) {
            compare_floors(first, second)?;
        }
        for (contestant, curve) in curves {
            self.curves.entry(contestant).or_default().extend(curve);
        }
        let means = runs.into_iter();
        Ok(means
            .map(|(contestant, runs)| (contestant, mean(&runs)))
            .collect())
    }

    fn run_one(&self, contestant: Contestant, plan: &Plan) -> Result<Findings, BenchError> {
        let name = format!("{} {}", self.scenario.spec().name, contestant.title());
        let (processes, target) = self.lineup.start(contestant, self.scenario)?;
        let outcome = self.scenario.run(&target, plan);
        drop(processes);
        match outcome {
            Ok(findings) => {
                let step = match plan.instrument {
                    Instrument::Cpu => format!("block {}", self.attempts),
                    Instrument::Syscalls => "traced".to_owned(),
                };
                eprintln!("{step}: {name}: {}", self.summary(&findings.figures));
                Ok(findings)
            }
            Err(BenchError::Void(reason)) => Err(BenchError::Void(format!("{name}: {reason}"))),
            Err(BenchError::Overload(reason)) => {
                Err(BenchError::Overload(format!("{name}: {reason}")))
            }
            Err(error) => Err(error),
        }
    }

    fn summary(&self, figures: &Figures) -> String {
        let parts: Vec<String> = figures
            .iter()
            .map(|(figure, value)| format!("{}: {value:.3}", figure.title(self.scenario)))
            .collect();
        parts.join("; ")
    }

    /// One run each under strace, where there is a unit of work.
    fn trace(&mut self) -> Result<(), BenchError> {
        let mut contestants = self.block.clone();
        contestants.sort_unstable();
        contestants.dedup();
        for contestant in contestants {
            match self.run_one(contestant, &Plan::TRACED) {
                Ok(findings) => {
                    if let Some(calls) = findings.figures.get(&Figure::SyscallsPerUnit) {
                        self.syscalls.insert(contestant, *calls);
                    }
                }
                Err(BenchError::Void(reason) | BenchError::Overload(reason)) => {
                    self.note(&format!("not traced: {reason}"));
                }
                Err(BenchError::Setup(reason)) => {
                    self.note(&format!("system calls were not counted: {reason}"));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn note(&mut self, note: &str) {
        eprintln!("{}: {note}", self.scenario.spec().name);
        self.notes.push(note.to_owned());
    }

    fn finish(mut self, root: &Path, placement: Placement) -> Result<Outcome, BenchError> {
        let busy = self.blocks.iter().flatten().filter(|(_, figures)| {
            figures
                .get(&Figure::GeneratorShare)
                .is_some_and(|share| *share > BUSY_GENERATOR)
        });
        let mut busy: Vec<&str> = busy.map(|(contestant, _)| contestant.title()).collect();
        busy.sort_unstable();
        busy.dedup();
        if !busy.is_empty() {
            let note = format!(
                "the generator used more than 80 % of its processor against {}: \
                 there, latency is also the generator's",
                busy.join(", ")
            );
            self.note(&note);
        }
        Ok(Outcome {
            scenario: self.scenario,
            blocks: self.blocks,
            curves: self.curves,
            attempts: self.attempts,
            syscalls: self.syscalls,
            notes: self.notes,
            circumstances: Circumstances::now(root, placement)?,
        })
    }
}

/// Whether it is somebody else's server.
fn is_peer(contestant: Contestant) -> bool {
    matches!(
        contestant,
        Contestant::Socketioxide | Contestant::SocketIo | Contestant::NestJs
    )
}

/// Who runs in one block of `scenario`.
fn members(scenario: Scenario) -> Vec<Contestant> {
    let peers = [
        Contestant::Ours,
        Contestant::Socketioxide,
        Contestant::SocketIo,
        Contestant::NestJs,
    ];
    let mut members = peers.to_vec();
    if scenario.floor().is_some() {
        members.extend([Contestant::Ours, Contestant::Floor, Contestant::Floor]);
    }
    if scenario == Scenario::B2 {
        members.push(Contestant::CoalescingFloor);
    }
    members
}

/// Discards a block during which the machine changed.
fn compare_floors(first: &Figures, second: &Figures) -> Result<(), BenchError> {
    let (first, second) = (first[&Figure::CpuPerUnit], second[&Figure::CpuPerUnit]);
    let apart = first.max(second) / first.min(second);
    if apart > FLOORS_APART {
        return Err(BenchError::void(format_args!(
            "the floors were at {first:.2} and {second:.2} µs"
        )));
    }
    Ok(())
}

/// Orders `items` at random.
fn shuffle<T>(items: &mut [T]) {
    // Each `RandomState` has keys of its own: an empty hash is a random number.
    for end in (1..items.len()).rev() {
        let random = RandomState::new().build_hasher().finish();
        let other = random % (end as u64 + 1);
        items.swap(end, usize::try_from(other).unwrap_or(end));
    }
}

impl Circumstances {
    fn now(root: &Path, placement: Placement) -> Result<Self, BenchError> {
        let mut commit = output(root, "git", &["describe", "--always", "--dirty"])?;
        if commit.is_empty() {
            "none".clone_into(&mut commit);
        }
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Ok(Self {
            date: output(root, "date", &["-u", "+%Y-%m-%d %H:%M UTC"])?,
            commit,
            command: format!("cargo run --release -p bench -- {}", arguments.join(" ")),
            placement: placement.title().to_owned(),
        })
    }
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

/// The folder of the project, from any folder inside it.
fn find_root() -> Result<PathBuf, BenchError> {
    let here = std::env::current_dir().attempt("find the current folder")?;
    here.ancestors()
        .find(|folder| folder.join("bench/peers").is_dir())
        .map(Path::to_owned)
        .ok_or_else(|| BenchError::Setup("run this inside the project's checkout".to_owned()))
}

fn results(root: &Path, scenario: Scenario) -> PathBuf {
    root.join("target/bench")
        .join(format!("{}.json", scenario.spec().name))
}

fn save(root: &Path, outcome: &Outcome) -> Result<(), BenchError> {
    let path = results(root, outcome.scenario);
    let json = serde_json::to_vec_pretty(outcome).map_err(std::io::Error::from);
    let json = json.attempt("encode the results")?;
    fs::create_dir_all(root.join("target/bench")).attempt("make target/bench")?;
    fs::write(&path, json).attempt(&format!("write {}", path.display()))
}

/// All results there are, in the order of the table.
fn load(root: &Path) -> Result<Vec<Outcome>, BenchError> {
    let mut outcomes = Vec::new();
    for scenario in Scenario::value_variants() {
        let path = results(root, *scenario);
        if !path.exists() {
            continue;
        }
        let what = format!("read {}", path.display());
        let json = fs::read(&path).attempt(&what)?;
        let outcome = serde_json::from_slice(&json).map_err(std::io::Error::from);
        outcomes.push(outcome.attempt(&what)?);
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(cpu: f64) -> Figures {
        Figures::from([(Figure::CpuPerUnit, cpu)])
    }

    #[test]
    fn floors_more_than_ten_percent_apart_discard_their_block() {
        assert!(compare_floors(&floor(5.0), &floor(5.4)).is_ok());
        assert!(compare_floors(&floor(5.0), &floor(5.6)).is_err());
        assert!(compare_floors(&floor(5.6), &floor(5.0)).is_err());
    }

    #[test]
    fn a_block_has_two_floors_and_two_of_ours_where_there_is_a_floor() {
        for scenario in Scenario::value_variants() {
            let members = members(*scenario);
            let count = |who| members.iter().filter(|member| **member == who).count();
            let expected = match scenario.floor() {
                None => (0, 1),
                Some(_) => (2, 2),
            };
            assert_eq!(
                (count(Contestant::Floor), count(Contestant::Ours)),
                expected
            );
        }
    }

    #[test]
    fn shuffling_loses_nobody() {
        let mut items: Vec<u32> = (0..100).collect();
        shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
