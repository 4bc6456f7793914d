//! The gate on instructions and allocations of the hot paths.
//!
//! ```text
//!  benches/micro.rs ── valgrind, N and 2 N rounds ──▶ cost of one round ──▶ budgets.txt
//! ```
//!
//! Instructions are counted by callgrind and allocations by dhat: neither depends on how busy the
//! machine is. What a piece needs before its first round falls out of the difference.
//!
//! # Invariants
//!
//! - A budget that is exceeded is reported with both numbers and by how much.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::workspace::{Workspace, answer};

const BUDGETS: &str = "crates/portcullis/benches/budgets.txt";

/// How far instructions may be above their budget: compilers differ.
const TOLERANCE: f64 = 1.10;

/// What one round costs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

/// One line of the budgets.
#[derive(Debug, Clone, PartialEq)]
struct Budget {
    piece: String,
    rounds: u64,
    cost: Cost,
}

/// Measures every piece; true if all are within their budgets.
pub(crate) fn check(workspace: &Workspace) -> Result<bool, String> {
    run(workspace, false)
}

/// The same; with `write`, what is measured becomes the budget.
pub(crate) fn run(workspace: &Workspace, write: bool) -> Result<bool, String> {
    let path = workspace.root().join(BUDGETS);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let program = build(workspace)?;
    let mut is_within = true;
    let mut lines = Vec::new();
    for line in text.lines() {
        let Some(budget) = Budget::parse(line)? else {
            lines.push(line.to_owned());
            continue;
        };
        let cost = measure(&program, &budget)?;
        println!("micro: {}", budget.report(cost));
        is_within &= budget.allows(cost);
        lines.push(Budget { cost, ..budget }.line());
    }
    if write {
        lines.push(String::new());
        fs::write(&path, lines.join("\n"))
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        return Ok(true);
    }
    Ok(is_within)
}

/// Builds the program that runs the pieces, and says where it is.
fn build(workspace: &Workspace) -> Result<PathBuf, String> {
    println!("micro: building the pieces of the hot paths");
    let mut cargo = command::cargo(workspace.root());
    cargo.args(["build", "--profile", "micro", "-p", "portcullis"]);
    cargo.args(["--bench", "micro", "--features", "micro"]);
    cargo.args(["--message-format", "json"]);
    let messages = answer(&mut cargo)?;
    let executable = messages
        .lines()
        .rev()
        .find_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    executable
        .map(PathBuf::from)
        .ok_or_else(|| "cargo does not say what it has built".to_owned())
}

fn measure(program: &Path, budget: &Budget) -> Result<Cost, String> {
    let per_round = |tool: &str, marker: &str| -> Result<f64, String> {
        let count = |rounds| count(program, tool, marker, &budget.piece, rounds);
        let (once, twice) = (count(budget.rounds)?, count(2 * budget.rounds)?);
        Ok((twice - once) / budget.rounds as f64)
    };
    Ok(Cost {
        instructions: per_round("callgrind", "Collected :")?,
        allocations: per_round("dhat", "blocks")?,
    })
}

/// Runs a piece under a tool of valgrind, and reads the number in the line with `marker`.
fn count(
    program: &Path,
    tool: &str,
    marker: &str,
    piece: &str,
    rounds: u64,
) -> Result<f64, String> {
    let output = Command::new("valgrind")
        .arg(format!("--tool={tool}"))
        .arg(format!("--{tool}-out-file=/dev/null"))
        .arg(program)
        .args([piece, &rounds.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{piece} under {tool} failed:\n{said}"));
    }
    read_count(&said, marker).ok_or_else(|| format!("{tool} said no number for {piece}:\n{said}"))
}

/// `… Collected : 1234`, or `… Total: 1,234 bytes in 56 blocks`.
fn read_count(said: &str, marker: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains(marker))?;
    let digits: String = if marker == "blocks" {
        line.split(" in ").nth(1)?
    } else {
        line.split(marker).nth(1)?
    }
    .chars()
    .filter(char::is_ascii_digit)
    .collect();
    digits.parse().ok()
}

impl Budget {
    /// Reads a line; a comment is none.
    fn parse(line: &str) -> Result<Option<Self>, String> {
        if line.starts_with('#') || line.trim().is_empty() {
            return Ok(None);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || format!("{BUDGETS}: no budget: {line}");
        let [piece, rounds, instructions, allocations] = words.as_slice() else {
            return Err(wrong());
        };
        Ok(Some(Self {
            piece: (*piece).to_owned(),
            rounds: rounds.parse().map_err(|_| wrong())?,
            cost: Cost {
                instructions: instructions.parse().map_err(|_| wrong())?,
                allocations: allocations.parse().map_err(|_| wrong())?,
            },
        }))
    }

    fn line(&self) -> String {
        let Cost {
            instructions,
            allocations,
        } = self.cost;
        format!(
            "{:<16} {:>8} {:>13.0} {:>12.1}",
            self.piece, self.rounds, instructions, allocations
        )
    }

    fn allows(&self, cost: Cost) -> bool {
        cost.instructions <= self.cost.instructions * TOLERANCE
            && cost.allocations <= self.cost.allocations + 0.1
    }

    fn report(&self, cost: Cost) -> String {
        let more = 100.0 * (cost.instructions / self.cost.instructions.max(1.0) - 1.0);
        format!(
            "{:<16} {:>10.0} instructions ({more:+.1} % of {:.0}), {:.1} allocations (of {:.1}){}",
            self.piece,
            cost.instructions,
            self.cost.instructions,
            cost.allocations,
            self.cost.allocations,
            if self.allows(cost) {
                ""
            } else {
                ": over its budget"
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_read() {
        let callgrind = "==7== Events    : Ir\n==7== Collected : 1234567\n";
        assert_eq!(read_count(callgrind, "Collected :"), Some(1_234_567.0));
        let dhat =
            "==7== Total:     1,024 bytes in 1,056 blocks\n==7== At t-gmax: 2 bytes in 1 blocks";
        assert_eq!(read_count(dhat, "blocks"), Some(1_056.0));
        assert_eq!(read_count("nothing", "blocks"), None);
    }

    #[test]
    fn a_budget_survives_being_written() {
        let line = "event-with-ack        500          4000          9.0";
        let budget = Budget::parse(line).unwrap().unwrap();
        assert_eq!(Budget::parse(&budget.line()).unwrap().unwrap(), budget);
        assert_eq!(Budget::parse("# a comment").unwrap(), None);
        assert!(Budget::parse("too few").is_err());
    }

    #[test]
    fn instructions_have_a_tolerance_and_allocations_none() {
        let budget = Budget::parse("x 1 1000 4").unwrap().unwrap();
        let cost = |instructions, allocations| Cost {
            instructions,
            allocations,
        };
        assert!(budget.allows(cost(1_090.0, 4.0)));
        assert!(!budget.allows(cost(1_110.0, 4.0)));
        assert!(!budget.allows(cost(900.0, 5.0)));
        assert!(budget.report(cost(1_110.0, 4.0)).contains("+11.0 %"));
    }
}
