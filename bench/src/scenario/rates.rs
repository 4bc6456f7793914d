//! Asking for more and more, until it comes late.
//!
//! # Invariants
//!
//! - A rate counts as kept if everything came, in order, and 99 % of it within [`MAX_P99`].
//! - The first rate that is not kept, twice, is the last one tried.
//! - What is spent is measured at every rate, the generator's share of its processor included.

use crate::error::BenchError;
use crate::figures::{Figure, Figures, Findings, Point};

/// How late 1 % may be, in ms.
const MAX_P99: f64 = 100.0;

/// What tells whether a load was too much for the generator.
const OF_THE_GENERATOR: [Figure; 2] = [Figure::GeneratorShare, Figure::GeneratorLate];

/// What came of one rate.
#[derive(Debug, Clone)]
pub(super) struct Rung {
    /// Latency p99, in ms.
    pub(super) p99: f64,
    /// What the server spent on a unit of work, the generator in all, and whatever else is to be
    /// told of the first rate.
    pub(super) figures: Figures,
}

impl Rung {
    fn point(&self, load: f64) -> Point {
        let figure = |figure| self.figures.get(&figure).copied();
        Point {
            load,
            value: self.p99,
            cpu: figure(Figure::CpuPerUnit),
            generator: figure(Figure::GeneratorShare),
            late: figure(Figure::GeneratorLate),
        }
    }
}

/// Tries `rates` in order. Says the highest that was kept, how the generator did at that, and all
/// figures of the first, which everybody keeps.
pub(super) fn climb(
    rates: &[u32],
    mut run: impl FnMut(u32) -> Result<Rung, BenchError>,
) -> Result<Findings, BenchError> {
    let mut curve = Vec::new();
    let mut figures = Figures::new();
    let (mut highest, mut generator) = (0.0, Figures::new());
    for rate in rates {
        let rung = match patiently(|| run(*rate)) {
            Ok(rung) => rung,
            Err(BenchError::Overload(_)) => break,
            Err(error) => return Err(error),
        };
        let load = f64::from(*rate);
        curve.push(rung.point(load));
        if figures.is_empty() {
            figures.clone_from(&rung.figures);
        }
        if rung.p99 > MAX_P99 {
            break;
        }
        highest = load;
        generator = rung.figures;
        generator.retain(|figure, _| OF_THE_GENERATOR.contains(figure));
    }
    figures.insert(Figure::HighestRate, highest);
    figures.extend(generator);
    Ok(Findings { figures, curve })
}

/// Tries a rate once more if it was late: the machine may have been busy with something else for a
/// moment.
fn patiently(mut run: impl FnMut() -> Result<Rung, BenchError>) -> Result<Rung, BenchError> {
    let first = run()?;
    if first.p99 <= MAX_P99 {
        return Ok(first);
    }
    match run() {
        Ok(again) if again.p99 < first.p99 => Ok(again),
        Ok(_) | Err(BenchError::Overload(_)) => Ok(first),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(p99: f64) -> Rung {
        let figures = Figures::from([
            (Figure::CpuPerUnit, p99),
            (Figure::GeneratorShare, p99),
            (Figure::GeneratorLate, p99 / 10.0),
        ]);
        Rung { p99, figures }
    }

    #[test]
    fn the_first_rate_that_is_late_is_the_last_one_tried() {
        let findings = climb(&[1, 2, 3, 4], |rate| Ok(late(f64::from(rate) * 40.0))).unwrap();
        assert!((findings.figures[&Figure::HighestRate] - 2.0).abs() < 1e-9);
        assert!((findings.figures[&Figure::GeneratorShare] - 80.0).abs() < 1e-9);
        assert!((findings.figures[&Figure::GeneratorLate] - 8.0).abs() < 1e-9);
        assert!((findings.figures[&Figure::CpuPerUnit] - 40.0).abs() < 1e-9);
        assert_eq!(findings.curve[1].cpu, Some(80.0));
        assert_eq!(findings.curve[1].generator, Some(80.0));
        assert_eq!(findings.curve[1].late, Some(8.0));
        assert_eq!(findings.curve.len(), 3);
    }

    #[test]
    fn too_much_is_an_answer_and_disorder_is_not() {
        let findings = climb(&[1, 2], |rate| match rate {
            1 => Ok(late(1.0)),
            _ => Err(BenchError::overload("full")),
        });
        assert_eq!(findings.unwrap().curve.len(), 1);
        assert!(climb(&[1], |_| Err(BenchError::void("disorder"))).is_err());
    }
}
