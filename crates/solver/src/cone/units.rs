//! Units in which a cone program's numbers are about one: tolerances have a floor of one, and Clarabel's verdicts
//! and the conditions of the systems depend on them.

use std::ops::Range;

use crate::cone::newton::{ConePoint, measure};
use crate::cone::problem::ConeSample;
use crate::dense::{max_abs, median, power_of_two};

/// Sizes that need no other units.
const ORDINARY: Range<f64> = 1e-2..1e3;

/// Within this factor of what a sample's numbers speak of, either way, a solution's size is credible.
const CREDIBLE: f64 = 1e6;

/// Of the variables and of the objective; powers of two, so that nothing is rounded by them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Units {
    pub(super) length: f64,
    pub(super) cost: f64,
}

impl Units {
    /// Those that a problem is given in.
    pub(super) const GIVEN: Units = Units {
        length: 1.0,
        cost: 1.0,
    };

    /// Those of a sample's solution, or, without a credible one, of its numbers; `None` where these are ordinary.
    pub(super) fn of(
        sample: &ConeSample<'_>,
        solution: Option<&ConePoint>,
        confirmed: bool,
    ) -> Option<Units> {
        let (natural, square) = natural(sample);
        let credible = |at: &&ConePoint| {
            let size = max_abs(&at.x) / natural;
            size > 1.0 / CREDIBLE && (confirmed || size < CREDIBLE)
        };
        let (length, force) = match solution.filter(credible) {
            // The scale is one more than the largest term, which is what matters.
            Some(at) => (max_abs(&at.x), measure(sample, at).2.scale.dual - 1.0),
            None => (natural, max_abs(sample.q).max(square * natural)),
        };
        let cost = if force > 0.0 { force * length } else { 1.0 };
        let ordinary = ORDINARY.contains(&length) && ORDINARY.contains(&cost);
        (!ordinary && (length * cost).is_finite()).then(|| Units {
            length: power_of_two(length),
            cost: power_of_two(cost),
        })
    }

    /// Whether floors of one hide what matters.
    pub(super) fn are_small(self) -> bool {
        self.length < ORDINARY.start || self.cost < ORDINARY.start
    }
}

/// The length of `x` that the numbers speak of, the median over rows and the minimum of the objective, one where
/// there are none; and the largest entry of `P`.
fn natural(sample: &ConeSample<'_>) -> (f64, f64) {
    let mut rows = vec![0.0f64; sample.m];
    for (row, _, v) in sample.a.iter() {
        rows[row] = rows[row].max(v.abs());
    }
    let square = sample.p.map_or(0.0, |p| max_abs(p.entries));
    let of_rows = sample.b.iter().zip(&rows).map(|(b, a)| b.abs() / a);
    let mut lengths: Vec<f64> = of_rows
        .chain([max_abs(sample.q) / square])
        .filter(|v| *v > 0.0 && v.is_finite())
        .collect();
    let length = median(&mut lengths).unwrap_or(1.0);
    (length, square)
}
