//! Asking for more and more, until it comes late.
//!
//! # Invariants
//!
//! - A rate counts as kept if everything came, in order, and 99 % of it within [`MAX_P99`].
//! - The first rate that is not kept, twice, is the last one tried.

use crate::error::BenchError;
use crate::figures::{Figure, Figures, Findings, Point};

/// How late 1 % may be, in ms.
const MAX_P99: f64 = 100.0;

/// Tries `rates` in order; `run` says the latency p99 at a rate, in ms.
pub(super) fn climb(
    rates: &[u32],
    mut run: impl FnMut(u32) -> Result<f64, BenchError>,
) -> Result<Findings, BenchError> {
    let mut curve = Vec::new();
    let mut highest = 0.0;
    for rate in rates {
        let mut p99 = match run(*rate) {
            Ok(p99) => p99,
            Err(BenchError::Overload(_)) => break,
            Err(error) => return Err(error),
        };
        if p99 > MAX_P99 {
            // The machine may have been busy with something else for a moment.
            match run(*rate) {
                Ok(again) => p99 = p99.min(again),
                Err(BenchError::Overload(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let load = f64::from(*rate);
        curve.push(Point { load, value: p99 });
        if p99 > MAX_P99 {
            break;
        }
        highest = load;
    }
    let figures = Figures::from([(Figure::HighestRate, highest)]);
    Ok(Findings { figures, curve })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rate_that_is_late_is_the_last_one_tried() {
        let findings = climb(&[1, 2, 3, 4], |rate| Ok(f64::from(rate) * 40.0)).unwrap();
        assert!((findings.figures[&Figure::HighestRate] - 2.0).abs() < 1e-9);
        assert_eq!(findings.curve.len(), 3);
    }

    #[test]
    fn too_much_is_an_answer_and_disorder_is_not() {
        let findings = climb(&[1, 2], |rate| match rate {
            1 => Ok(1.0),
            _ => Err(BenchError::overload("full")),
        });
        assert_eq!(findings.unwrap().curve.len(), 1);
        assert!(climb(&[1], |_| Err(BenchError::void("disorder"))).is_err());
    }
}
