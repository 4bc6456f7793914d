//! The numbers that a run ends with, and the arithmetic between runs.
//!
//! # Invariants
//!
//! - A figure's unit is part of its name; nothing here is printed without it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What one run, or the mean of several, says.
pub(crate) type Figures = BTreeMap<Figure, f64>;

/// One point of a curve: how much was asked for, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The load that was offered, or the number of connections.
    pub(crate) load: f64,
    /// What was measured at it: latency p99 in ms, or memory in MiB.
    pub(crate) value: f64,
    /// Server CPU per unit of work at it, in µs, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu: Option<f64>,
    /// The share of its processor that the load generator used at it, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) generator: Option<f64>,
    /// How late the load generator was at it, p99 in ms, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) late: Option<f64>,
}

impl Point {
    /// A point of which nothing else is known.
    pub(crate) const fn new(load: f64, value: f64) -> Self {
        Self {
            load,
            value,
            cpu: None,
            generator: None,
            late: None,
        }
    }
}

/// What a run says: figures, and points where it looked at more than one load.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Findings {
    /// The numbers.
    pub(crate) figures: Figures,
    /// The curve, in the order of the loads.
    pub(crate) curve: Vec<Point>,
}

impl From<Figures> for Findings {
    fn from(figures: Figures) -> Self {
        Self {
            figures,
            curve: Vec::new(),
        }
    }
}

/// One kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Figure {
    /// Server CPU per unit of work, in µs.
    CpuPerUnit,
    /// Server CPU per unit of work on the node that published, in µs.
    CpuAtSender,
    /// The receiving node's CPU per unit of work, divided by the publishing node's.
    ReceiverShare,
    /// CPU of Redis per unit of work, in µs.
    RedisCpu,
    /// System calls of the server per unit of work.
    SyscallsPerUnit,
    /// The highest offered rate that was kept, in units per second.
    HighestRate,
    /// Latency from the intended time of sending, median, in ms.
    LatencyP50,
    /// The same, 99th percentile.
    LatencyP99,
    /// The same, 99.9th percentile.
    LatencyP999,
    /// The same, of the last who heard an event: the median over events.
    LatencyLast,
    /// How much later the other node's clients hear, median, in ms.
    AddedP50,
    /// The same, 99th percentile.
    AddedP99,
    /// From publishing until hearing it, with nothing but Redis in between, median, in ms.
    RedisRoundTrip,
    /// From the first attempt until everybody is back, in ms.
    TimeToAll,
    /// Slope of RssAnon over the number of connections, in KiB.
    MemoryPerConnection,
    /// Slope of the kernel's slabs over the number of connections, both ends, in KiB.
    SlabPerConnection,
    /// RssAnon divided by the number of connections, at the largest number, in KiB.
    MemoryAtFull,
    /// RssAnon at its highest, in MiB.
    MemoryPeak,
    /// RssAnon after everybody has left, in MiB.
    MemoryAfter,
    /// RssAnon after everybody came back, divided by what it was the first time.
    MemoryAgain,
    /// Server CPU while nothing but heartbeats happens, in µs per second and connection.
    IdleCpu,
    /// The share of its processor that the load generator used, from 0 to 1.
    GeneratorShare,
    /// How much later than intended the generator did what it did, 99th percentile, in ms.
    GeneratorLate,
}

/// Latencies of one run.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// Up to a minute, with two significant digits, in µs.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 2);
        Self(histogram.expect("the bounds and the precision are constants that fit"))
    }

    /// Takes one latency, in ns.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds / 1_000);
    }

    /// Adds the percentiles to `figures`.
    pub(crate) fn summarize(&self, figures: &mut Figures) {
        figures.insert(Figure::LatencyP50, self.quantile(0.50));
        figures.insert(Figure::LatencyP99, self.quantile(0.99));
        figures.insert(Figure::LatencyP999, self.quantile(0.999));
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latency, in ms, that this share of all does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }
}

/// The mean of each figure over runs of the same thing.
pub(crate) fn mean(runs: &[Figures]) -> Figures {
    let mut values: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
    for (figure, value) in runs.iter().flatten() {
        values.entry(*figure).or_default().push(*value);
    }
    values
        .into_iter()
        .map(|(figure, values)| (figure, values.iter().sum::<f64>() / values.len() as f64))
        .collect()
}

/// Median, minimum and maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The middle value, or the mean of the two.
    pub(crate) median: f64,
    /// The smallest value.
    pub(crate) min: f64,
    /// The largest value.
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }
}

/// The slope of the straight line closest to `points`, by least squares.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let covariance: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    covariance / variance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_found_whatever_its_height() {
        let points = [(2_000.0, 9_500.0), (4_000.0, 16_500.0), (8_000.0, 30_500.0)];
        assert!((slope(&points) - 3.5).abs() < 1e-9);
    }

    #[test]
    fn the_median_of_an_even_number_of_values_lies_between_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        let expected = Spread {
            median: 2.5,
            min: 1.0,
            max: 4.0,
        };
        assert_eq!(spread, expected);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_figure_that_one_run_lacks_is_the_mean_of_the_others() {
        let first = Figures::from([(Figure::CpuPerUnit, 4.0), (Figure::LatencyP50, 1.0)]);
        let second = Figures::from([(Figure::CpuPerUnit, 6.0)]);
        let expected = Figures::from([(Figure::CpuPerUnit, 5.0), (Figure::LatencyP50, 1.0)]);
        assert_eq!(mean(&[first, second]), expected);
    }

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut latencies = Latencies::new();
        for milliseconds in 1..=100 {
            latencies.record(milliseconds * 1_000_000);
        }
        let mut figures = Figures::new();
        latencies.summarize(&mut figures);
        assert!((figures[&Figure::LatencyP50] - 50.0).abs() < 1.0);
        assert!((figures[&Figure::LatencyP99] - 99.0).abs() < 1.0);
    }
}
