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
//! - What was measured is kept after each block, so that a run which is cut is taken up again.
//!
//! # Not here
//!
//! What is kept, and where (`outcome`).

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::RunArguments;
use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Figures, Findings, mean};
use crate::lineup::{Contestant, Lineup};
use crate::meter::{Instrument, can_trace};
use crate::outcome::{Circumstances, Outcome};
use crate::report;
use crate::scenario::{Plan, Scenario};
use crate::server::Placement;

/// How far the two floors of a block may be apart.
const FLOORS_APART: f64 = 1.10;

/// What `--quick` looks at unless told otherwise: the first goals.
const QUICK: [Scenario; 3] = [Scenario::B1, Scenario::B2, Scenario::E1];

/// Measures what was asked for, prints the table, and writes `docs/benchmarks.md`.
pub(crate) fn run(arguments: &RunArguments) -> Result<(), BenchError> {
    let root = find_root()?;
    if arguments.only_report {
        let outcomes = Outcome::load_all(&root)?;
        println!("{}", report::table(&outcomes));
        println!("{}", report::goals(&outcomes));
        return report::write(&root, &outcomes);
    }
    let outcomes = measure(arguments, &root)?;
    println!("{}", report::table(&outcomes));
    println!("{}", report::goals(&outcomes));
    println!("{}", report::remarks(&outcomes));
    match outcomes.iter().find(|outcome| outcome.blocks.is_empty()) {
        Some(outcome) => Err(BenchError::Setup(format!(
            "{} has no block that counts",
            outcome.scenario.spec().name
        ))),
        None => Ok(()),
    }
}

/// Measures one scenario after the other; says what there is now, which is more than that, unless
/// it is a sketch of which nothing is kept.
fn measure(arguments: &RunArguments, root: &Path) -> Result<Vec<Outcome>, BenchError> {
    let placement = Placement::choose(arguments.unpinned)?;
    let lineup = Lineup::new(root, &arguments.conformance, placement)?;
    let contestants = present(&lineup, arguments);
    let is_sketch = arguments.quick || !arguments.only.is_empty();
    let mut outcomes = Vec::new();
    for scenario in asked_for(arguments) {
        if let Some(lack) = Lineup::lacks_for(*scenario) {
            eprintln!("{}: left out: {lack}", scenario.spec().name);
            continue;
        }
        let before = match arguments.resume {
            true => Outcome::load(root, *scenario)?,
            false => None,
        };
        let mut series = Series::new(*scenario, arguments, &lineup, &contestants);
        series.begin(before, Circumstances::now(root, placement)?);
        series.measure((!is_sketch).then_some(root))?;
        outcomes.push(series.outcome);
        if !is_sketch {
            // A run that is cut leaves a page, too.
            report::write(root, &Outcome::load_all(root)?)?;
        }
    }
    if is_sketch {
        Ok(outcomes)
    } else {
        Outcome::load_all(root)
    }
}

/// Who was asked for and is there.
fn present(lineup: &Lineup, arguments: &RunArguments) -> Vec<Contestant> {
    let all = Contestant::value_variants().iter().copied();
    all.filter(|contestant| arguments.only.is_empty() || arguments.only.contains(contestant))
        .filter(|contestant| match lineup.lacks(*contestant) {
            Some(lack) => {
                eprintln!("{lack}");
                false
            }
            None => true,
        })
        .collect()
}

fn asked_for(arguments: &RunArguments) -> &[Scenario] {
    match &arguments.scenarios[..] {
        [] if arguments.quick => &QUICK,
        [] => Scenario::value_variants(),
        named => named,
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
    outcome: Outcome,
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
            outcome: Outcome::new(scenario),
        }
    }

    /// Goes on from what was measured `before`, if anything was.
    fn begin(&mut self, before: Option<Outcome>, circumstances: Circumstances) {
        if let Some(before) = before {
            self.outcome = before;
        }
        if self.lacks_blocks() {
            self.outcome.sittings.push(circumstances);
        } else {
            eprintln!("{}: measured before", self.scenario.spec().name);
        }
    }

    fn lacks_blocks(&self) -> bool {
        self.outcome.blocks.len() < self.wanted
    }

    /// Measures what is lacking, and puts it into the `archive` block by block.
    fn measure(&mut self, archive: Option<&Path>) -> Result<(), BenchError> {
        let mut tries = 2 * self.wanted.saturating_sub(self.outcome.blocks.len());
        while self.lacks_blocks() && tries > 0 {
            tries -= 1;
            self.outcome.attempts += 1;
            match self.run_block() {
                Ok(block) => self.outcome.push(block),
                Err(BenchError::Void(reason)) => self.note(&format!("block discarded: {reason}")),
                Err(error) => return Err(error),
            }
            self.keep(archive)?;
        }
        if self.scenario.spec().is_traced && self.outcome.syscalls.is_empty() {
            self.count_syscalls()?;
            self.keep(archive)?;
        }
        Ok(())
    }

    fn keep(&self, archive: Option<&Path>) -> Result<(), BenchError> {
        archive.map_or(Ok(()), |root| self.outcome.save(root))
    }

    fn count_syscalls(&mut self) -> Result<(), BenchError> {
        if can_trace() {
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
                Err(BenchError::Overload(reason)) if is_peer(contestant) => {
                    self.note(&format!("{} fails: {reason}", contestant.title()));
                }
                Err(BenchError::Setup(reason)) if is_peer(contestant) => {
                    self.note(&format!("{} was left out: {reason}", contestant.title()));
                }
                Err(BenchError::Overload(reason)) => return Err(BenchError::Void(reason)),
                Err(error) => return Err(error),
            }
        }
        if let Some([first, second]) = runs.get(&Contestant::Floor).map(Vec::as_slice) {
            compare_floors(first, second)?;
        }
        for (contestant, curve) in curves {
            self.outcome
                .curves
                .entry(contestant)
                .or_default()
                .extend(curve);
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
                    Instrument::Cpu => format!("block {}", self.outcome.attempts),
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
                        self.outcome.syscalls.insert(contestant, *calls);
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
        if !self.outcome.notes.iter().any(|known| known == note) {
            self.outcome.notes.push(note.to_owned());
        }
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

/// The folder of the project, from any folder inside it.
fn find_root() -> Result<PathBuf, BenchError> {
    let here = std::env::current_dir().attempt("find the current folder")?;
    here.ancestors()
        .find(|folder| folder.join("bench/peers").is_dir())
        .map(Path::to_owned)
        .ok_or_else(|| BenchError::Setup("run this inside the project's checkout".to_owned()))
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
