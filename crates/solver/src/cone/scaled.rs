//! Samples with cones whose rows are far from 1 in size: solved with those brought there.
//!
//! A cone is the same set after all its rows are multiplied by one positive number, `s` with them and `z`
//! divided. Clarabel scales rows too, but not by more than 1e4, and the polish, which works on `z − s`,
//! loses what one of the two is smaller. Factors are powers of two, so that nothing is rounded.

use std::ops::Range;

use crate::cone::geometry::localise;
use crate::cone::newton::{ConePoint, measure};
use crate::cone::problem::{Cone, ConeSample, Matrix};
use crate::cone::solve::Answer;
use crate::dense::max_abs;

/// Cones whose largest coefficient is within this factor of 1 stay as they are.
const EVEN: f64 = 1024.0;

/// Derivatives need slacks and multipliers to this, relative.
const LOST: f64 = 1e-8;

/// A sample with its rows multiplied.
pub(super) struct Scaled<'a> {
    base: ConeSample<'a>,
    a: Vec<f64>,
    b: Vec<f64>,
    /// By row.
    factors: Vec<f64>,
}

impl<'a> Scaled<'a> {
    /// `None` where there is no such cone, and for linear rows alone, of which the dense solver is asked
    /// when all else fails.
    pub(super) fn of(sample: &ConeSample<'a>) -> Option<Scaled<'a>> {
        let linear = |cone: &Cone| matches!(cone, Cone::Zero(_) | Cone::Nonnegative(_));
        if sample.cones.iter().all(linear) {
            return None;
        }
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

    /// The scaled sample's answer, as one of the sample.
    pub(super) fn restore(&self, answer: &mut Answer) {
        let ConePoint { s, z, .. } = &mut answer.point;
        for ((s, z), f) in s.iter_mut().zip(z.iter_mut()).zip(&self.factors) {
            *s /= f;
            *z *= f;
        }
        if !answer.status.is_solved() {
            return;
        }
        answer.residuals = measure(&self.base, &answer.point).2.absolute;
        let ConePoint { s, z, .. } = &answer.point;
        let w: Vec<f64> = z.iter().zip(s).map(|(z, s)| z - s).collect();
        // Where `z − s` loses digits the point keeps its own, but the cones around it have lost them.
        let (mut near_s, mut near_z) = (s.clone(), z.clone());
        answer.local = localise(self.base.cones, &w, &mut near_s, &mut near_z);
        for rows in blocks(self.base.cones) {
            for (own, near) in [(s, &near_s), (z, &near_z)] {
                let (own, near) = (&own[rows.clone()], &near[rows.clone()]);
                let lost = own.iter().zip(near).map(|(a, b)| (a - b).abs());
                answer.confirmed &= lost.fold(0.0, f64::max) <= LOST * max_abs(own);
            }
        }
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
