//! The table, and the page around it.
//!
//! # Invariants
//!
//! - Ratios are taken inside a block, and only then summarised over blocks.
//! - A miss is printed like a hit.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Spread};
use crate::lineup::Contestant;
use crate::outcome::Outcome;
use crate::scenario::Scenario;

mod goals;
mod plot;
mod versions;

pub(crate) use goals::goals;

/// Above this share of its processor, the generator is what is measured.
const BUSY_GENERATOR: f64 = 0.80;

/// The page; `{{…}}` is filled in.
const TEMPLATE: &str = include_str!("report/template.md");

/// The rows of each scenario, as far as there are figures.
const ROWS: [Figure; 23] = [
    Figure::CpuPerUnit,
    Figure::CpuAtSender,
    Figure::ReceiverShare,
    Figure::RedisCpu,
    Figure::SyscallsPerUnit,
    Figure::HighestRate,
    Figure::LatencyP50,
    Figure::LatencyP99,
    Figure::LatencyP999,
    Figure::LatencyLast,
    Figure::AddedP50,
    Figure::AddedP99,
    Figure::RedisRoundTrip,
    Figure::TimeToAll,
    Figure::MemoryPerConnection,
    Figure::SlabPerConnection,
    Figure::MemoryAtFull,
    Figure::MemoryPeak,
    Figure::MemoryAfter,
    Figure::MemoryAgain,
    Figure::IdleCpu,
    Figure::GeneratorShare,
    Figure::GeneratorLate,
];

/// The columns.
const CONTESTANTS: [Contestant; 6] = [
    Contestant::Floor,
    Contestant::CoalescingFloor,
    Contestant::Ours,
    Contestant::Socketioxide,
    Contestant::SocketIo,
    Contestant::NestJs,
];

/// Whom ours is divided by.
const RIVALS: [Contestant; 4] = [
    Contestant::Floor,
    Contestant::Socketioxide,
    Contestant::SocketIo,
    Contestant::NestJs,
];

impl Figure {
    /// Its name with its unit.
    pub(crate) fn title(self, scenario: Scenario) -> String {
        let unit = scenario.spec().unit;
        match self {
            Self::CpuPerUnit => format!("server CPU, µs per {unit}"),
            Self::CpuAtSender => format!("CPU of the publishing node, µs per {unit} there"),
            Self::ReceiverShare => "CPU of the receiving node ÷ the publishing one's".to_owned(),
            Self::RedisCpu => "CPU of Redis, µs per publish".to_owned(),
            Self::SyscallsPerUnit => format!("system calls per {unit}"),
            Self::HighestRate => "highest rate with p99 ≤ 100 ms, per second".to_owned(),
            Self::LatencyP50 => "latency p50, ms".to_owned(),
            Self::LatencyP99 => "latency p99, ms".to_owned(),
            Self::LatencyP999 => "latency p99.9, ms".to_owned(),
            Self::LatencyLast => "latency of the last who hears, p50, ms".to_owned(),
            Self::AddedP50 => "added by the way over Redis, p50, ms".to_owned(),
            Self::AddedP99 => "added by the way over Redis, p99, ms".to_owned(),
            Self::RedisRoundTrip => "from PUBLISH to its message, p50, ms".to_owned(),
            Self::TimeToAll => "until everybody is back, ms".to_owned(),
            Self::MemoryPerConnection => "RssAnon, KiB per connection (slope)".to_owned(),
            Self::SlabPerConnection => "kernel slabs, KiB per connection, both ends".to_owned(),
            Self::MemoryAtFull => "RssAnon at 18,000, KiB per connection".to_owned(),
            Self::MemoryPeak => "RssAnon at its highest, MiB".to_owned(),
            Self::MemoryAfter => "RssAnon afterwards, MiB".to_owned(),
            Self::MemoryAgain => "RssAnon the second time ÷ the first".to_owned(),
            Self::IdleCpu => "server CPU, µs per second and connection".to_owned(),
            Self::GeneratorShare => "generator's share of its processor".to_owned(),
            Self::GeneratorLate => "generator late by, p99, ms".to_owned(),
        }
    }
}

/// All outcomes as one Markdown table, aligned for a terminal.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let columns: Vec<Contestant> = CONTESTANTS
        .into_iter()
        .filter(|contestant| {
            let mut blocks = outcomes.iter().flat_map(|outcome| &outcome.blocks);
            blocks.any(|block| block.contains_key(contestant))
        })
        .collect();
    let mut rows = vec![head(&columns)];
    for outcome in outcomes {
        for figure in ROWS {
            rows.extend(row(outcome, figure, &columns));
        }
    }
    align(&rows)
}

fn head(columns: &[Contestant]) -> Vec<String> {
    let mut head = vec!["scenario".to_owned(), "figure".to_owned()];
    head.extend(columns.iter().map(|column| column.title().to_owned()));
    head.extend(rivals(columns).map(|rival| format!("ours ÷ {}", rival.title())));
    head
}

/// Whom ours can be compared with.
fn rivals(columns: &[Contestant]) -> impl Iterator<Item = Contestant> {
    let is_complete = columns.contains(&Contestant::Ours);
    RIVALS
        .into_iter()
        .filter(move |rival| is_complete && columns.contains(rival))
}

/// One row, if anybody has this figure.
fn row(outcome: &Outcome, figure: Figure, columns: &[Contestant]) -> Option<Vec<String>> {
    let cells: Vec<Option<Spread>> = columns
        .iter()
        .map(|column| absolute(outcome, figure, *column))
        .collect();
    if cells.iter().all(Option::is_none) {
        return None;
    }
    let scenario = outcome.scenario;
    let name = format!("`{}` {}", scenario.spec().name, scenario.spec().title);
    let mut row = vec![name, figure.title(scenario)];
    row.extend(cells.into_iter().map(cell));
    row.extend(rivals(columns).map(|rival| cell(ratio(outcome, figure, rival))));
    Some(row)
}

fn absolute(outcome: &Outcome, figure: Figure, contestant: Contestant) -> Option<Spread> {
    if figure == Figure::SyscallsPerUnit {
        return Spread::of(outcome.syscalls.get(&contestant).copied());
    }
    let blocks = outcome.blocks.iter();
    Spread::of(blocks.filter_map(|block| block.get(&contestant)?.get(&figure).copied()))
}

/// Ours divided by `rival`, block by block. A difference, as of two latencies, can be below zero
/// where the noise is larger than it: what is divided by such a one says nothing.
fn ratio(outcome: &Outcome, figure: Figure, rival: Contestant) -> Option<Spread> {
    if figure == Figure::SyscallsPerUnit {
        let ours = outcome.syscalls.get(&Contestant::Ours)?;
        return Spread::of(outcome.syscalls.get(&rival).map(|rival| ours / rival));
    }
    let blocks = outcome.blocks.iter();
    Spread::of(blocks.filter_map(|block| {
        let of = |contestant| block.get(&contestant)?.get(&figure);
        let theirs = of(rival).filter(|theirs| **theirs > 0.0)?;
        Some(of(Contestant::Ours)? / theirs)
    }))
}

fn cell(spread: Option<Spread>) -> String {
    let Some(Spread { median, min, max }) = spread else {
        return "–".to_owned();
    };
    if min.to_bits() == max.to_bits() {
        return number(median);
    }
    format!("{} ({}–{})", number(median), number(min), number(max))
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        write_row(&mut text, row, &widths);
        if number == 0 {
            write_row(&mut text, &rule, &widths);
        }
    }
    text
}

fn write_row(text: &mut String, cells: &[String], widths: &[usize]) {
    for (cell, width) in cells.iter().zip(widths) {
        let padding = " ".repeat(width - cell.chars().count());
        text.push_str("| ");
        text.push_str(cell);
        text.push_str(&padding);
        text.push(' ');
    }
    text.push_str("|\n");
}

/// What each row comes from, and what a reader should know, as a Markdown list.
pub(crate) fn remarks(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let name = outcome.scenario.spec().name;
        let kept = outcome.blocks.len();
        let attempts = outcome.attempts;
        push_line(
            &mut text,
            &format!("- `{name}`: {kept} of {attempts} blocks kept"),
        );
        for about in &outcome.sittings {
            let blocks = about
                .blocks
                .map_or_else(String::new, |blocks| format!("{blocks} of them; "));
            let line = format!(
                "  - {blocks}{}; commit {}; {}; `{}`",
                about.date, about.commit, about.placement, about.command
            );
            push_line(&mut text, &line);
        }
        for note in &outcome.notes {
            push_line(&mut text, &format!("  - {note}"));
        }
        let busy = outcome.contestants_over(Figure::GeneratorShare, BUSY_GENERATOR);
        if !busy.is_empty() {
            let titles: Vec<&str> = busy.iter().map(|who| who.title()).collect();
            let line = format!(
                "  - the generator used more than 80 % of its processor against {}: in a closed \
                 loop latency is also the generator's, in an open one the table says by how much",
                titles.join(", ")
            );
            push_line(&mut text, &line);
        }
    }
    text
}

/// Writes `docs/benchmarks.md`.
pub(crate) fn write(root: &Path, outcomes: &[Outcome]) -> Result<(), BenchError> {
    let mut versions = String::new();
    for (what, version) in versions::collect(root)? {
        push_line(&mut versions, &format!("| {what} | {version} |"));
    }
    let page = TEMPLATE
        .replace("{{method}}", "[bench/README.md](../bench/README.md)")
        .replace("{{goals}}", goals(outcomes).trim_end())
        .replace("{{table}}", table(outcomes).trim_end())
        .replace("{{plots}}", plot::write_all(root, outcomes)?.trim_end())
        .replace("{{remarks}}", remarks(outcomes).trim_end())
        .replace("{{versions}}", versions.trim_end());
    let path = root.join("docs/benchmarks.md");
    fs::write(&path, page).attempt(&format!("write {}", path.display()))
}

fn push_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String does not fail");
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::figures::Figures;
    use crate::outcome::Circumstances;

    /// Blocks of what ours and the floor took.
    pub(super) fn outcome(blocks: &[(f64, f64)]) -> Outcome {
        let figures = |cpu| Figures::from([(Figure::CpuPerUnit, cpu)]);
        let block = |(ours, floor): &(f64, f64)| {
            BTreeMap::from([
                (Contestant::Ours, figures(*ours)),
                (Contestant::Floor, figures(*floor)),
            ])
        };
        let mut outcome = Outcome::new(Scenario::B1);
        outcome.blocks = blocks.iter().map(block).collect();
        outcome.attempts = blocks.len();
        outcome.sittings.push(Circumstances {
            date: "today".to_owned(),
            commit: "abc".to_owned(),
            command: "bench".to_owned(),
            placement: "unpinned".to_owned(),
            blocks: Some(blocks.len()),
        });
        outcome
    }

    #[test]
    fn ratios_are_taken_within_blocks() {
        let outcome = outcome(&[(6.0, 5.0), (12.0, 10.0), (2.4, 2.0)]);
        let ratio = ratio(&outcome, Figure::CpuPerUnit, Contestant::Floor).unwrap();
        assert!((ratio.min - 1.2).abs() < 1e-9 && (ratio.max - 1.2).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_divided_by_less_than_nothing() {
        let of = |blocks| ratio(&outcome(blocks), Figure::CpuPerUnit, Contestant::Floor);
        assert!(of(&[(1.0, -0.5), (1.0, 0.0)]).is_none());
        let only = of(&[(1.0, -0.5), (1.0, 2.0)]).unwrap();
        assert!((only.min - 0.5).abs() < 1e-9 && (only.max - 0.5).abs() < 1e-9);
    }

    #[test]
    fn nobody_has_a_column_who_did_not_take_part() {
        let table = table(&[outcome(&[(6.0, 5.0), (6.2, 5.1), (7.0, 5.0)])]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("| floor "));
        assert!(!lines[0].contains("| socket.io "));
        assert!(lines[2].contains("6.20 (6.00–7.00)"));
    }
}
