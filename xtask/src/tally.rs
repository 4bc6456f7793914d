//! Reading, from what a test runner printed, how many tests passed.
//!
//! | runner    | closing line                                              |
//! |-----------|-----------------------------------------------------------|
//! | cargo     | `test result: ok. 3 passed; 0 failed; 0 ignored; …`        |
//! | nextest   | `Summary [ 0.1s] 5 tests run: 4 passed, 1 failed, 0 skipped` |
//! | node      | `ℹ pass 3`, `ℹ fail 0`, `ℹ cancelled 0`, `ℹ skipped 0`     |
//! | unittest  | `Ran 3 tests in 0.1s`, then `OK` or `FAILED (failures=1)`  |
//!
//! # Invariants
//!
//! - What a runner calls timed out, cancelled or an error is a failed test here.
//! - Several closing lines of one run are added up.

use std::ops::AddAssign;

/// Whose output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `cargo test`, doc tests too.
    Cargo,
    /// `cargo nextest run`.
    Nextest,
    /// `node --test --test-reporter=spec`.
    Node,
    /// `python -m unittest`.
    Unittest,
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Ran and passed.
    pub(crate) passed: u64,
    /// Ran and did not pass.
    pub(crate) failed: u64,
    /// Were there, and did not run.
    pub(crate) skipped: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Tally {
    /// Adds up the closing lines of `runner` in `output`.
    pub(crate) fn read(runner: Runner, output: &str) -> Self {
        let plain = without_colours(output);
        let mut tally = Self::default();
        let mut lines = plain.lines().map(str::trim).peekable();
        while let Some(line) = lines.next() {
            tally += match runner {
                Runner::Cargo => cargo(line),
                Runner::Nextest => nextest(line),
                Runner::Node => node(line),
                Runner::Unittest => {
                    let Some(ran) = ran_by_unittest(line) else {
                        continue;
                    };
                    let verdict =
                        lines.find(|line| line.starts_with("OK") || line.starts_with("FAILED"));
                    unittest(ran, verdict.unwrap_or_default())
                }
            };
        }
        tally
    }
}

fn cargo(line: &str) -> Tally {
    let Some(rest) = line.strip_prefix("test result: ") else {
        return Tally::default();
    };
    Tally {
        passed: number_before(rest, "passed"),
        failed: number_before(rest, "failed"),
        skipped: number_before(rest, "ignored"),
    }
}

fn nextest(line: &str) -> Tally {
    let Some((head, rest)) = line.split_once(" run: ") else {
        return Tally::default();
    };
    if !head.starts_with("Summary [") {
        return Tally::default();
    }
    Tally {
        passed: number_before(rest, "passed"),
        failed: ["failed", "timed out", "exec failed", "setup scripts failed"]
            .into_iter()
            .map(|word| number_before(rest, word))
            .sum(),
        skipped: number_before(rest, "skipped"),
    }
}

fn node(line: &str) -> Tally {
    let mut words = line.split_whitespace();
    let (Some("ℹ" | "#"), Some(word), Some(number), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Tally::default();
    };
    let number = number.parse().unwrap_or_default();
    let mut tally = Tally::default();
    match word {
        "pass" => tally.passed = number,
        "fail" | "cancelled" => tally.failed = number,
        "skipped" | "todo" => tally.skipped = number,
        _ => {}
    }
    tally
}

fn ran_by_unittest(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("Ran ")?;
    let (number, rest) = rest.split_once(' ')?;
    if !rest.starts_with("test") {
        return None;
    }
    number.parse().ok()
}

fn unittest(ran: u64, verdict: &str) -> Tally {
    let count = |name: &str| {
        let inner = verdict.split_once('(').map_or("", |(_, inner)| inner);
        inner
            .trim_end_matches(')')
            .split(", ")
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.parse::<u64>().ok())
            .unwrap_or_default()
    };
    let failed = count("failures") + count("errors") + count("unexpected successes");
    let skipped = count("skipped") + count("expected failures");
    Tally {
        passed: ran.saturating_sub(failed + skipped),
        failed,
        skipped,
    }
}

/// The number in `… 12 word …`, where commas and semicolons part the claims; 0 without it.
fn number_before(text: &str, word: &str) -> u64 {
    text.split([',', ';', '.'])
        .filter_map(|claim| claim.trim().split_once(' '))
        .find(|(_, rest)| *rest == word || rest.starts_with(&format!("{word} (")))
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or_default()
}

/// `text` without the escape sequences with which terminals are coloured.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest
            .strip_prefix(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn the_results_of_several_test_binaries_are_added() {
        let output = "\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
            noise: 9 passed\n\
            test result: FAILED. 2 passed; 4 failed; 0 ignored; finished in 0.00s\n";
        assert_eq!(Tally::read(Runner::Cargo, output), tally(5, 4, 1));
    }

    #[test]
    fn a_coloured_nextest_summary_is_read() {
        let output = "\u{1b}[31;1m     Summary\u{1b}[0m [   0.012s] \u{1b}[1m8\u{1b}[0m tests run: \
            \u{1b}[1m5\u{1b}[0m passed (1 slow), 1 failed, 2 timed out, 3 skipped\n";
        assert_eq!(Tally::read(Runner::Nextest, output), tally(5, 3, 3));
    }

    #[test]
    fn a_single_nextest_test_is_counted() {
        let output = "     Summary [   0.001s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(Tally::read(Runner::Nextest, output), tally(1, 0, 0));
    }

    #[test]
    fn a_cancelled_node_test_has_failed() {
        let output =
            "ℹ tests 4\nℹ suites 0\nℹ pass 1\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 0";
        assert_eq!(Tally::read(Runner::Node, output), tally(1, 2, 1));
    }

    #[test]
    fn what_a_node_test_logs_is_not_counted() {
        assert_eq!(
            Tally::read(Runner::Node, "ℹ pass 3 of them\npass 7\n"),
            tally(0, 0, 0)
        );
    }

    #[test]
    fn errors_of_unittest_are_failed_tests() {
        let output = "Ran 7 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n";
        assert_eq!(Tally::read(Runner::Unittest, output), tally(3, 3, 1));
        assert_eq!(
            Tally::read(Runner::Unittest, "Ran 1 test in 0.1s\n\nOK\n"),
            tally(1, 0, 0)
        );
    }

    #[test]
    fn output_without_a_closing_line_counts_nothing() {
        for runner in [
            Runner::Cargo,
            Runner::Nextest,
            Runner::Node,
            Runner::Unittest,
        ] {
            assert_eq!(
                Tally::read(runner, "error: no tests to run\n"),
                tally(0, 0, 0)
            );
        }
    }
}
