//! What the figures of ours are to be, and what they are.
//!
//! # Invariants
//!
//! - The median over blocks decides.
//! - A goal that was not measured is listed as such.

use super::{absolute, align, number, ratio};
use crate::figures::{Figure, Spread};
use crate::lineup::Contestant;
use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// What a figure of ours is compared with.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// At most so much.
    AtMost(f64),
    /// At most so many times what the other takes.
    Times(f64, Contestant),
    /// At least so many times what the other manages.
    AtLeastTimes(f64, Contestant),
}

type Goal = (&'static str, Scenario, Figure, &'static [Bound]);

const fn times(floor: f64, socketioxide: f64, socketio: f64, nestjs: f64) -> [Bound; 4] {
    [
        Bound::Times(floor, Contestant::Floor),
        Bound::Times(socketioxide, Contestant::Socketioxide),
        Bound::Times(socketio, Contestant::SocketIo),
        Bound::Times(nestjs, Contestant::NestJs),
    ]
}

const fn peers(socketioxide: f64, socketio: f64, nestjs: f64) -> [Bound; 3] {
    [
        Bound::Times(socketioxide, Contestant::Socketioxide),
        Bound::Times(socketio, Contestant::SocketIo),
        Bound::Times(nestjs, Contestant::NestJs),
    ]
}

/// In the order of the page.
const GOALS: &[Goal] = &[
    (
        "broadcast, single shot",
        Scenario::B1,
        Figure::CpuPerUnit,
        &times(1.10, 0.60, 0.45, 0.42),
    ),
    (
        "broadcast, bursts of 8",
        Scenario::B2,
        Figure::CpuPerUnit,
        &times(0.22, 0.50, 0.13, 0.13),
    ),
    (
        "broadcast at 400/s",
        Scenario::B1Fast,
        Figure::CpuPerUnit,
        &peers(0.45, 0.13, 0.13),
    ),
    (
        "broadcast at 400/s",
        Scenario::B1Fast,
        Figure::LatencyP99,
        &peers(1.0, 1.0, 1.0),
    ),
    (
        "broadcast, highest rate",
        Scenario::B1Max,
        Figure::HighestRate,
        &[
            Bound::AtLeastTimes(1.5, Contestant::Socketioxide),
            Bound::AtLeastTimes(5.0, Contestant::SocketIo),
            Bound::AtLeastTimes(5.0, Contestant::NestJs),
        ],
    ),
    (
        "system calls, single shot",
        Scenario::B1,
        Figure::SyscallsPerUnit,
        &[
            Bound::AtMost(1.05),
            Bound::Times(1.0, Contestant::Socketioxide),
        ],
    ),
    (
        "system calls, bursts of 8",
        Scenario::B2,
        Figure::SyscallsPerUnit,
        &[
            Bound::AtMost(0.2),
            Bound::Times(1.0, Contestant::Socketioxide),
        ],
    ),
    (
        "event + ack",
        Scenario::E1,
        Figure::CpuPerUnit,
        &times(1.20, 0.70, 0.33, 0.14),
    ),
    (
        "many small rooms",
        Scenario::B3,
        Figure::LatencyP99,
        &peers(0.6, 0.3, 0.2),
    ),
    (
        "idle memory",
        Scenario::M1,
        Figure::MemoryPerConnection,
        &[
            Bound::AtMost(3.0),
            Bound::Times(0.11, Contestant::Socketioxide),
            Bound::Times(0.20, Contestant::SocketIo),
            Bound::Times(0.11, Contestant::NestJs),
        ],
    ),
    (
        "idle CPU",
        Scenario::M1,
        Figure::IdleCpu,
        &[
            Bound::AtMost(0.5),
            Bound::Times(0.6, Contestant::Socketioxide),
            Bound::Times(0.3, Contestant::SocketIo),
            Bound::Times(0.3, Contestant::NestJs),
        ],
    ),
    (
        "connect with HS256",
        Scenario::C1,
        Figure::CpuPerUnit,
        &times(2.5, 0.60, 0.15, 0.08),
    ),
    (
        "reconnect storm",
        Scenario::C2,
        Figure::TimeToAll,
        &peers(0.8, 0.35, 0.3),
    ),
    (
        "over Redis, at the receiver",
        Scenario::R1,
        Figure::CpuPerUnit,
        &peers(0.65, 0.40, 0.40),
    ),
    (
        "over Redis, receiver ÷ publisher",
        Scenario::R1,
        Figure::ReceiverShare,
        &[Bound::AtMost(1.15)],
    ),
    (
        "over Redis, added latency",
        Scenario::R1,
        Figure::AddedP50,
        &peers(0.7, 0.5, 0.5),
    ),
];

/// Every goal, what was measured, and whether that meets it, as a Markdown table.
pub(crate) fn goals(outcomes: &[Outcome]) -> String {
    let mut rows = vec![
        ["goal", "figure", "is to be", "is", "verdict"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (title, scenario, figure, bounds) in GOALS {
        let outcome = outcomes
            .iter()
            .find(|outcome| outcome.scenario == *scenario);
        for bound in *bounds {
            let measured = outcome.and_then(|outcome| bound.measured(outcome, *figure));
            let verdict = match measured {
                None if outcome.is_some_and(|outcome| bound.rival_fails(outcome)) => "it fails",
                _ => bound.verdict(measured),
            };
            rows.push(vec![
                (*title).to_owned(),
                figure.title(*scenario),
                bound.text(),
                super::cell(measured),
                verdict.to_owned(),
            ]);
        }
    }
    align(&rows)
}

impl Bound {
    fn measured(self, outcome: &Outcome, figure: Figure) -> Option<Spread> {
        match self {
            Self::AtMost(_) => absolute(outcome, figure, Contestant::Ours),
            Self::Times(_, rival) | Self::AtLeastTimes(_, rival) => ratio(outcome, figure, rival),
        }
    }

    /// Whether the other server could not do it at all.
    fn rival_fails(self, outcome: &Outcome) -> bool {
        let (Self::Times(_, rival) | Self::AtLeastTimes(_, rival)) = self else {
            return false;
        };
        let failure = format!("{} fails", rival.title());
        outcome.notes.iter().any(|note| note.starts_with(&failure))
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", number(limit)),
            Self::Times(limit, rival) => format!("≤ {} × {}", number(limit), rival.title()),
            Self::AtLeastTimes(limit, rival) => format!("≥ {} × {}", number(limit), rival.title()),
        }
    }

    fn verdict(self, measured: Option<Spread>) -> &'static str {
        let Some(Spread { median, .. }) = measured else {
            return "not measured";
        };
        let is_met = match self {
            Self::AtMost(limit) | Self::Times(limit, _) => median <= limit,
            Self::AtLeastTimes(limit, _) => median >= limit,
        };
        if is_met { "met" } else { "**missed**" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::outcome;

    /// The verdict on single shots against the floor.
    fn verdict_on(blocks: &[(f64, f64)]) -> &'static str {
        let bound = Bound::Times(1.1, Contestant::Floor);
        bound.verdict(bound.measured(&outcome(blocks), Figure::CpuPerUnit))
    }

    #[test]
    fn a_rival_that_cannot_do_it_is_said_to_fail() {
        let mut outcome = outcome(&[(5.0, 5.0)]);
        outcome.notes.push("socket.io fails: too much".to_owned());
        let fails = |rival| Bound::Times(1.0, rival).rival_fails(&outcome);
        assert!(fails(Contestant::SocketIo));
        assert!(!fails(Contestant::NestJs));
        assert!(!Bound::AtMost(1.0).rival_fails(&outcome));
    }

    #[test]
    fn the_median_decides_and_a_miss_is_called_one() {
        assert_eq!(verdict_on(&[(5.4, 5.0), (5.45, 5.0), (9.0, 5.0)]), "met");
        assert_eq!(verdict_on(&[(7.0, 5.0)]), "**missed**");
        assert_eq!(verdict_on(&[]), "not measured");
    }

    #[test]
    fn every_goal_is_listed_whatever_was_measured() {
        let bounds: usize = GOALS.iter().map(|(.., bounds)| bounds.len()).sum();
        assert_eq!(goals(&[]).lines().count(), bounds + 2);
    }
}
