//! What the figures of ours are to be, and what they are.
//!
//! # Invariants
//!
//! - The median over blocks decides.
//! - A goal that was not measured is listed as such.

use super::{BUSY_GENERATOR, absolute, align, number, ratio};
use crate::figures::{Figure, Point, Spread};
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
    /// The same, of latency p99 at three quarters of the other's highest rate.
    TimesAtItsLoad(f64, Contestant),
    /// At most so many times another figure of ours.
    TimesOwn(f64, Figure),
    /// At least so many times what the other manages.
    AtLeastTimes(f64, Contestant),
}

struct Goal {
    title: &'static str,
    scenario: Scenario,
    figure: Figure,
    bounds: &'static [Bound],
    /// What tells why it is missed, if it is: a file of `docs/adr`.
    paper: &'static str,
}

const COALESCING: &str = "0052-flushers-go-last-and-linger";
const FLOOR: &str = "0053-goals-below-the-kernel";
const OVER_REDIS: &str = "0054-a-delivery-from-another-node";

const fn goal(
    title: &'static str,
    scenario: Scenario,
    figure: Figure,
    bounds: &'static [Bound],
    paper: &'static str,
) -> Goal {
    Goal {
        title,
        scenario,
        figure,
        bounds,
        paper,
    }
}

/// How much of its highest rate is a load that a server is expected to carry well.
const USUAL_LOAD: f64 = 0.75;

/// How much of a latency may be the generator's own.
const MAX_LATE: f64 = 0.5;

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

const fn peers_at_their_load(socketioxide: f64, socketio: f64, nestjs: f64) -> [Bound; 3] {
    [
        Bound::TimesAtItsLoad(socketioxide, Contestant::Socketioxide),
        Bound::TimesAtItsLoad(socketio, Contestant::SocketIo),
        Bound::TimesAtItsLoad(nestjs, Contestant::NestJs),
    ]
}

/// In the order of the page.
const GOALS: &[Goal] = &[
    goal(
        "broadcast, single shot",
        Scenario::B1,
        Figure::CpuPerUnit,
        &times(1.10, 0.60, 0.45, 0.42),
        FLOOR,
    ),
    goal(
        "broadcast, bursts of 8",
        Scenario::B2,
        Figure::CpuPerUnit,
        &times(0.22, 0.50, 0.13, 0.13),
        FLOOR,
    ),
    goal(
        "broadcast at 400/s",
        Scenario::B1Fast,
        Figure::CpuPerUnit,
        &peers(0.45, 0.13, 0.13),
        COALESCING,
    ),
    goal(
        "broadcast at 400/s",
        Scenario::B1Fast,
        Figure::LatencyP99,
        &peers(1.0, 1.0, 1.0),
        COALESCING,
    ),
    goal(
        "broadcast at 400/s",
        Scenario::B1Fast,
        Figure::LatencyP50,
        &peers(1.0, 1.0, 1.0),
        COALESCING,
    ),
    goal(
        "broadcast, highest rate",
        Scenario::B1Max,
        Figure::HighestRate,
        &[
            Bound::AtLeastTimes(1.5, Contestant::Socketioxide),
            Bound::AtLeastTimes(5.0, Contestant::SocketIo),
            Bound::AtLeastTimes(5.0, Contestant::NestJs),
        ],
        COALESCING,
    ),
    goal(
        "system calls, single shot",
        Scenario::B1,
        Figure::SyscallsPerUnit,
        &[
            Bound::AtMost(1.05),
            Bound::Times(1.0, Contestant::Socketioxide),
        ],
        FLOOR,
    ),
    goal(
        "system calls, bursts of 8",
        Scenario::B2,
        Figure::SyscallsPerUnit,
        &[
            Bound::AtMost(0.2),
            Bound::Times(1.0, Contestant::Socketioxide),
        ],
        FLOOR,
    ),
    goal(
        "event + ack",
        Scenario::E1,
        Figure::CpuPerUnit,
        &times(1.20, 0.70, 0.33, 0.14),
        FLOOR,
    ),
    goal(
        "many small rooms",
        Scenario::B3,
        Figure::LatencyP99,
        &peers_at_their_load(0.6, 0.3, 0.2),
        FLOOR,
    ),
    goal(
        "event + ack, open loop",
        Scenario::E1Open,
        Figure::LatencyP99,
        &peers_at_their_load(0.6, 0.3, 0.2),
        FLOOR,
    ),
    goal(
        "idle memory",
        Scenario::M1,
        Figure::MemoryPerConnection,
        &[
            Bound::AtMost(3.0),
            Bound::Times(0.11, Contestant::Socketioxide),
            Bound::Times(0.20, Contestant::SocketIo),
            Bound::Times(0.11, Contestant::NestJs),
        ],
        FLOOR,
    ),
    goal(
        "idle CPU",
        Scenario::M1,
        Figure::IdleCpu,
        &[
            Bound::AtMost(0.5),
            Bound::Times(0.6, Contestant::Socketioxide),
            Bound::Times(0.3, Contestant::SocketIo),
            Bound::Times(0.3, Contestant::NestJs),
        ],
        FLOOR,
    ),
    goal(
        "connect with HS256",
        Scenario::C1,
        Figure::CpuPerUnit,
        &times(2.5, 0.60, 0.15, 0.08),
        FLOOR,
    ),
    goal(
        "reconnect storm",
        Scenario::C2,
        Figure::TimeToAll,
        &peers(0.8, 0.35, 0.3),
        FLOOR,
    ),
    goal(
        "over Redis, at the receiver",
        Scenario::R1,
        Figure::CpuPerUnit,
        &peers(0.65, 0.40, 0.40),
        OVER_REDIS,
    ),
    goal(
        "over Redis, receiver ÷ publisher",
        Scenario::R1,
        Figure::ReceiverShare,
        &[Bound::AtMost(1.15)],
        OVER_REDIS,
    ),
    goal(
        "over Redis, added latency",
        Scenario::R1,
        Figure::AddedP50,
        &[
            Bound::TimesOwn(1.2, Figure::RedisRoundTrip),
            Bound::Times(0.7, Contestant::Socketioxide),
            Bound::Times(0.5, Contestant::SocketIo),
            Bound::Times(0.5, Contestant::NestJs),
        ],
        OVER_REDIS,
    ),
];

/// Every goal, what was measured, whether that meets it, and where it is told why not, as a
/// Markdown table.
pub(crate) fn goals(outcomes: &[Outcome]) -> String {
    let mut rows = vec![
        ["goal", "figure", "is to be", "is", "verdict", "why"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for goal in GOALS {
        let outcome = outcomes
            .iter()
            .find(|outcome| outcome.scenario == goal.scenario);
        rows.extend(goal.bounds.iter().map(|bound| goal.row(*bound, outcome)));
    }
    align(&rows)
}

impl Goal {
    fn row(&self, bound: Bound, outcome: Option<&Outcome>) -> Vec<String> {
        let measured = outcome.and_then(|outcome| bound.measured(outcome, self.figure));
        let verdict = match measured {
            None if outcome.is_some_and(|outcome| bound.rival_fails(outcome)) => "it fails",
            _ => bound.verdict(measured),
        };
        let why = match verdict {
            MISSED => {
                let number = self.paper.split('-').next().unwrap_or_default();
                format!("[{number}](adr/{}.md)", self.paper)
            }
            _ => String::new(),
        };
        vec![
            self.title.to_owned(),
            self.figure.title(self.scenario),
            bound.text(self.scenario),
            super::cell(measured),
            verdict.to_owned(),
            why,
        ]
    }
}

const MISSED: &str = "**missed**";

/// Latency p99 of ours divided by that of `rival`, at the largest load of the curves that is not
/// above [`USUAL_LOAD`] of the highest that it keeps, and at which latency is not the generator's:
/// because it was busy taking what came, or late with what it was to say.
fn at_its_load(outcome: &Outcome, rival: Contestant) -> Option<Spread> {
    let highest = absolute(outcome, Figure::HighestRate, rival)?.median;
    let curve = |contestant| outcome.curves.get(&contestant);
    let median = |contestant, load: f64, read: fn(&Point) -> Option<f64>| -> Option<f64> {
        let points = curve(contestant)?.iter();
        let at_load = points.filter(|point| point.load.total_cmp(&load).is_eq());
        Some(Spread::of(at_load.filter_map(read))?.median)
    };
    let p99 = |contestant, load| median(contestant, load, |point| Some(point.value));
    let is_busy = |load| {
        let shares = [Contestant::Ours, rival].map(|who| median(who, load, |at| at.generator));
        let mut shares = shares.into_iter().flatten();
        shares.any(|share| share > BUSY_GENERATOR)
    };
    let is_late = |load| {
        let late = median(rival, load, |at| at.late);
        late.zip(p99(rival, load))
            .is_some_and(|(late, p99)| late > MAX_LATE * p99)
    };
    let loads = curve(rival)?.iter().map(|point| point.load);
    let load = loads
        .filter(|load| *load <= USUAL_LOAD * highest && !is_busy(*load) && !is_late(*load))
        .max_by(f64::total_cmp)?;
    curve(Contestant::Ours)?;
    // A load that is not kept has no point.
    let ours = p99(Contestant::Ours, load).unwrap_or(f64::INFINITY);
    Spread::of([ours / p99(rival, load)?])
}

impl Bound {
    fn measured(self, outcome: &Outcome, figure: Figure) -> Option<Spread> {
        match self {
            Self::AtMost(_) => absolute(outcome, figure, Contestant::Ours),
            Self::Times(_, rival) | Self::AtLeastTimes(_, rival) => ratio(outcome, figure, rival),
            Self::TimesAtItsLoad(_, rival) => at_its_load(outcome, rival),
            Self::TimesOwn(_, other) => {
                let blocks = outcome.blocks.iter();
                Spread::of(blocks.filter_map(|block| {
                    let ours = block.get(&Contestant::Ours)?;
                    Some(ours.get(&figure)? / ours.get(&other)?)
                }))
            }
        }
    }

    /// Whether the other server could not do it at all.
    fn rival_fails(self, outcome: &Outcome) -> bool {
        let rival = match self {
            Self::AtMost(_) | Self::TimesOwn(..) => return false,
            Self::Times(_, rival)
            | Self::AtLeastTimes(_, rival)
            | Self::TimesAtItsLoad(_, rival) => rival,
        };
        let failure = format!("{} fails", rival.title());
        outcome.notes.iter().any(|note| note.starts_with(&failure))
    }

    fn text(self, scenario: Scenario) -> String {
        match self {
            Self::TimesAtItsLoad(limit, rival) => format!(
                "≤ {} × {}, at up to 75 % of its highest rate",
                number(limit),
                rival.title()
            ),
            Self::TimesOwn(limit, other) => {
                format!("≤ {} × {}", number(limit), other.title(scenario))
            }
            Self::AtMost(limit) => format!("≤ {}", number(limit)),
            Self::Times(limit, rival) => format!("≤ {} × {}", number(limit), rival.title()),
            Self::AtLeastTimes(limit, rival) => format!("≥ {} × {}", number(limit), rival.title()),
        }
    }

    fn verdict(self, measured: Option<Spread>) -> &'static str {
        let Some(Spread { median, min, max }) = measured else {
            return "not measured";
        };
        if let Self::TimesOwn(limit, _) = self
            && (min..max).contains(&limit)
        {
            // A difference of two latencies, of which the noise is larger than what is asked for.
            return "undecided";
        }
        let is_met = match self {
            Self::AtMost(limit)
            | Self::Times(limit, _)
            | Self::TimesAtItsLoad(limit, _)
            | Self::TimesOwn(limit, _) => median <= limit,
            Self::AtLeastTimes(limit, _) => median >= limit,
        };
        if is_met { "met" } else { MISSED }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::figures::Figures;
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
        assert_eq!(verdict_on(&[(7.0, 5.0)]), MISSED);
        assert_eq!(verdict_on(&[]), "not measured");
    }

    #[test]
    fn noise_on_both_sides_of_a_limit_decides_nothing() {
        let bound = Bound::TimesOwn(1.2, Figure::RedisRoundTrip);
        let verdict = |ratios: &[f64]| bound.verdict(Spread::of(ratios.iter().copied()));
        assert_eq!(verdict(&[-3.0, 0.5, 1.0]), "met");
        assert_eq!(verdict(&[-3.0, 0.5, 9.0]), "undecided");
        assert_eq!(verdict(&[1.5, 9.0]), MISSED);
    }

    #[test]
    fn every_goal_is_listed_whatever_was_measured() {
        let bounds: usize = GOALS.iter().map(|goal| goal.bounds.len()).sum();
        assert_eq!(goals(&[]).lines().count(), bounds + 2);
    }

    #[test]
    fn every_miss_has_a_paper_that_is_there() {
        let papers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/adr");
        for goal in GOALS {
            let paper = papers.join(goal.paper).with_extension("md");
            assert!(paper.is_file(), "{}", goal.title);
        }
        let page = goals(&[outcome(&[(7.0, 5.0)])]);
        assert!(page.contains("[0053](adr/0053-goals-below-the-kernel.md)"));
    }

    #[test]
    fn latency_is_compared_at_three_quarters_of_what_the_rival_keeps() {
        let points = |values: &[f64]| {
            let loads = [100.0, 200.0, 300.0, 400.0];
            let points = loads.into_iter().zip(values.iter().copied());
            points
                .map(|(load, value)| Point::new(load, value))
                .collect()
        };
        let mut outcome = Outcome::new(Scenario::B3);
        let figures = Figures::from([(Figure::HighestRate, 400.0)]);
        outcome.push(BTreeMap::from([(Contestant::Socketioxide, figures)]));
        let curves = &mut outcome.curves;
        curves.insert(Contestant::Ours, points(&[1.0, 2.0, 3.0]));
        curves.insert(Contestant::Socketioxide, points(&[1.0, 4.0, 12.0, 99.0]));
        let ratio = at_its_load(&outcome, Contestant::Socketioxide).unwrap();
        assert!((ratio.median - 0.25).abs() < 1e-9);
        assert!(at_its_load(&outcome, Contestant::NestJs).is_none());

        // With a generator that is late at 300, the latencies at 200 are the ones that count.
        let theirs = outcome.curves.get_mut(&Contestant::Socketioxide).unwrap();
        theirs[2].late = Some(7.0);
        let ratio = |outcome: &Outcome| {
            let ratio = at_its_load(outcome, Contestant::Socketioxide);
            ratio.unwrap().median
        };
        assert!((ratio(&outcome) - 0.5).abs() < 1e-9);

        // And if it is busy with ours at 200, those at 100.
        let ours = outcome.curves.get_mut(&Contestant::Ours).unwrap();
        ours[1].generator = Some(0.9);
        assert!((ratio(&outcome) - 1.0).abs() < 1e-9);

        outcome.curves.insert(Contestant::Ours, points(&[1.0]));
        let bound = Bound::TimesAtItsLoad(1.0, Contestant::Socketioxide);
        let measured = bound.measured(&outcome, Figure::LatencyP99);
        assert_eq!(bound.verdict(measured), MISSED);
    }
}
