//! Samples with cones whose rows are far from 1 in size: solved and differentiated with those brought
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
use crate::dense::max_abs;

/// Cones whose largest coefficient is within this factor of 1 stay as they are: slacks and multipliers are
/// then apart by its square at most for the scale alone, which costs derivatives two or three digits.
const EVEN: f64 = 16.0;

/// A sample with its rows multiplied.
pub(super) struct Scaled<'a> {
    base: ConeSample<'a>,
    a: Vec<f64>,
    b: Vec<f64>,
    /// By row.
    factors: Vec<f64>,
}

impl<'a> Scaled<'a> {
    /// `None` where there is no such cone, or one beyond all factors.
    pub(super) fn of(sample: &ConeSample<'a>) -> Option<Scaled<'a>> {
        let mut largest = vec![0.0f64; sample.m];
        for (row, _, v) in sample.a.iter() {
            largest[row] = largest[row].max(v.abs());
        }
        let mut factors = vec![1.0; sample.m];
        let mut even = true;
        for rows in blocks(sample.cones) {
            let most = max_abs(&largest[rows.clone()]);
            if most != 0.0 && !(1.0 / EVEN..=EVEN).contains(&most) {
                factors[rows].fill((-most.log2().round()).exp2());
                even = false;
            }
        }
        if even {
            return None;
        }
        // A factor that is none, of numbers near the ends of the range, is left to the solver.
        if !factors.iter().all(|f| f.is_finite() && *f > 0.0) {
            return None;
        }
        let rows = sample.a.indices.iter();
        let a = rows.zip(sample.a.entries).map(|(row, v)| factors[*row] * v);
        let b = sample.b.iter().zip(&factors).map(|(b, f)| f * b);
        Some(Scaled {
            base: *sample,
            a: a.collect(),
            b: b.collect(),
            factors,
        })
    }

    pub(super) fn sample(&self) -> ConeSample<'_> {
        ConeSample {
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
        self.scale_rows(&mut at.s);
        let each = at.z.iter_mut().zip(&self.factors);
        each.for_each(|(z, f)| *z /= f);
        at
    }

    /// The scaled sample's answer, as one of the sample; its cones stay those of the scaled one.
    pub(super) fn restore(&self, answer: &mut Answer) {
        let ConePoint { s, z, .. } = &mut answer.point;
        for (s, f) in s.iter_mut().zip(&self.factors) {
            *s /= f;
        }
        self.restore_multipliers(z);
        if answer.is_measured() {
            answer.residuals = measure(&self.base, &answer.point).2.absolute;
        }
    }

    /// Slacks or right sides of the sample to those of the scaled one.
    pub(super) fn scale_rows(&self, s: &mut [f64]) {
        s.iter_mut().zip(&self.factors).for_each(|(s, f)| *s *= f);
    }

    /// Multipliers of the scaled sample to those of the sample.
    pub(super) fn restore_multipliers(&self, z: &mut [f64]) {
        z.iter_mut().zip(&self.factors).for_each(|(z, f)| *z *= f);
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
