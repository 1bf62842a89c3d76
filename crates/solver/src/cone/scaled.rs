//! Samples in other units, and with the rows of each cone brought to a size near 1: solved and differentiated
//! there.
//!
//! A cone is the same set after all its rows are multiplied by one positive number, `s` with them and `z`
//! divided. Clarabel scales rows too, but not by more than 1e4, and the polish and the derivatives, which
//! work on `z − s`, lose what one of the two is smaller. Factors are powers of two, so that nothing is
//! rounded.

use std::ops::Range;

use crate::cone::attempts::Answer;
use crate::cone::newton::{ConePoint, measure};
use crate::cone::problem::{Cone, ConeSample, Matrix};
use crate::cone::units::Units;
use crate::dense::max_abs;

/// Cones whose largest coefficient is within this factor of 1 stay as they are: slacks and multipliers are
/// then apart by its square at most for the scale alone, which costs derivatives two or three digits.
const EVEN: f64 = 16.0;

/// A sample with its rows multiplied, in units of its variables and objective: `x = length·x̂`, `s = ŝ/factors`,
/// `z = cost·factors·ẑ`.
pub(super) struct Scaled<'a> {
    base: ConeSample<'a>,
    p: Vec<f64>,
    q: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    /// By row.
    factors: Vec<f64>,
    units: Units,
}

impl<'a> Scaled<'a> {
    /// `None` where the units are those given and there is no such cone, or where one is beyond all factors.
    pub(super) fn of(sample: &ConeSample<'a>, units: Units) -> Option<Scaled<'a>> {
        let mut largest = vec![0.0f64; sample.m];
        for (row, _, v) in sample.a.iter() {
            largest[row] = largest[row].max(v.abs());
        }
        let mut factors = vec![1.0; sample.m];
        let mut even = true;
        for rows in blocks(sample.cones) {
            let most = max_abs(&largest[rows.clone()]) * units.length;
            if most != 0.0 && !(1.0 / EVEN..=EVEN).contains(&most) {
                factors[rows].fill((-most.log2().round()).exp2());
                even = false;
            }
        }
        if even && units == Units::GIVEN {
            return None;
        }
        // A factor that is none, of numbers near the ends of the range, is left to the solver.
        if !factors.iter().all(|f| f.is_finite() && *f > 0.0) {
            return None;
        }
        let rows = sample.a.indices.iter();
        let a = rows.zip(sample.a.entries);
        let a = a.map(|(row, v)| factors[*row] * units.length * v);
        let b = sample.b.iter().zip(&factors).map(|(b, f)| f * b);
        let of_gradient = units.length / units.cost;
        let p = sample.p.map_or(&[][..], |p| p.entries);
        Some(Scaled {
            base: *sample,
            p: p.iter().map(|v| of_gradient * units.length * v).collect(),
            q: sample.q.iter().map(|v| of_gradient * v).collect(),
            a: a.collect(),
            b: b.collect(),
            factors,
            units,
        })
    }

    pub(super) fn sample(&self) -> ConeSample<'_> {
        ConeSample {
            p: self.base.p.map(|p| Matrix {
                entries: &self.p,
                ..p
            }),
            q: &self.q,
            a: Matrix {
                entries: &self.a,
                ..self.base.a
            },
            b: &self.b,
            ..self.base
        }
    }

    /// A point of the sample, as one of the scaled sample.
    pub(super) fn point(&self, mut at: ConePoint) -> ConePoint {
        at.x.iter_mut().for_each(|x| *x /= self.units.length);
        self.scale_rows(&mut at.s);
        let each = at.z.iter_mut().zip(&self.factors);
        each.for_each(|(z, f)| *z /= self.units.cost * f);
        at
    }

    /// A parameter of the central path.
    pub(super) fn mu(&self, mu: f64) -> f64 {
        mu / self.units.cost
    }

    /// Right sides of the linearised conditions, of stationarity and of the rows.
    pub(super) fn right(&self, (of_x, of_s): (&[f64], &[f64])) -> (Vec<f64>, Vec<f64>) {
        let of_gradient = self.units.length / self.units.cost;
        let of_x = of_x.iter().map(|v| of_gradient * v).collect();
        let mut of_s = of_s.to_vec();
        self.scale_rows(&mut of_s);
        (of_x, of_s)
    }

    /// Variables and multipliers of the scaled sample, to those of the sample.
    pub(super) fn unscale(&self, x: &mut [f64], z: &mut [f64]) {
        x.iter_mut().for_each(|x| *x *= self.units.length);
        let each = z.iter_mut().zip(&self.factors);
        each.for_each(|(z, f)| *z *= self.units.cost * f);
    }

    /// The scaled sample's answer, as one of the sample; its cones stay those of the scaled one.
    pub(super) fn restore(&self, answer: &mut Answer) {
        let ConePoint { x, s, z } = &mut answer.point;
        for (s, f) in s.iter_mut().zip(&self.factors) {
            *s /= f;
        }
        self.unscale(x, z);
        answer.units = self.units;
        if answer.is_measured() {
            answer.remeasure(measure(&self.base, &answer.point).2);
        }
    }

    fn scale_rows(&self, s: &mut [f64]) {
        s.iter_mut().zip(&self.factors).for_each(|(s, f)| *s *= f);
    }
}

/// The rows that must have one factor.
fn blocks(cones: &[Cone]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut first = 0;
    for cone in cones {
        let end = first + cone.rows();
        match cone {
            Cone::Zero(_) | Cone::Nonnegative(_) => {
                blocks.extend((first..end).map(|at| at..at + 1))
            }
            Cone::Exponential(_) => blocks.extend((first..end).step_by(3).map(|at| at..at + 3)),
            Cone::SecondOrder(_) | Cone::Power(_) | Cone::Semidefinite(_) => {
                blocks.push(first..end);
            }
        }
        first = end;
    }
    blocks
}
