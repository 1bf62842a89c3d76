//! The implicit gradient ([`super::limit`]) of constant rows: K is T, whatever the sample.

use rayon::prelude::*;

use super::constant::Constants;
use super::held::{Contact, Held, LimitQuality};
use super::limit::{relative_distance, solve};
use super::rows::affine_values;
use super::{DampedGradients, DampedProblem};
use crate::dense::{axpy, dot};

/// What the implicit gradient needs.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) constants: Constants,
    /// What each row of each sample is held by, `[batch, m]`.
    pub(super) held: Vec<Held>,
    /// Whether each sample broke down.
    pub(super) lost: Vec<bool>,
}

/// Where the rows end.
pub(super) struct Ends {
    /// What each row of each sample is held by, `[batch, m]`.
    pub(super) held: Vec<Held>,
    /// Whether all of each sample's rows that were outside their box end on it.
    pub(super) settled: Vec<bool>,
}

/// Where the rows are at `y`. A sample that took no step has no row that was outside, and keeps its
/// gradient.
pub(super) fn ends(
    problem: &DampedProblem<'_>,
    jacobian: &[f64],
    y: &[f64],
    contacts: &[Contact],
    tolerance: f64,
) -> Ends {
    let (n, m) = (problem.n, problem.rows());
    let mut ends = vec![0.0; contacts.len()];
    affine_values(jacobian, m, n, y, &mut ends);
    let (mut held, mut settled) = (Vec::with_capacity(contacts.len()), vec![]);
    let samples = ends.chunks_exact(m).zip(contacts.chunks_exact(m));
    for (sample, (ends, contacts)) in samples.enumerate() {
        let (l, u) = (
            problem.lower.sample(sample, m),
            problem.upper.sample(sample, m),
        );
        let bounds = |row: usize| [l[row], u[row]];
        let moved = contacts.iter().any(|contact| contact.residual != 0.0);
        held.extend((0..m).map(|row| match moved {
            true => Held::of(contacts[row], ends[row], bounds(row), tolerance),
            false => Held::Not,
        }));
        let is_settled = |row: usize| contacts[row].is_settled(ends[row], bounds(row), tolerance);
        settled.push((0..m).all(is_settled));
    }
    Ends { held, settled }
}

impl Limits {
    /// K_AA x = c for one sample's held rows, where c is zero but for these.
    fn solve(&self, held: &[Held], c: &[f64]) -> (Vec<f64>, bool) {
        let Constants {
            response, weights, ..
        } = &self.constants;
        let m = held.len();
        // T = W K W⁻¹.
        let apply = |x: &[f64], out: &mut [f64]| {
            let x: Vec<f64> = x.iter().zip(weights).map(|(x, w)| x * w).collect();
            for (row, out) in out.iter_mut().enumerate() {
                *out = match held[row] {
                    Held::Not => 0.0,
                    _ => dot(&response[row * m..][..m], &x) / weights[row],
                };
            }
        };
        solve(apply, c)
    }

    /// Of every sample; `settled` is as [`Ends`] has it.
    pub(super) fn quality(&self, start: &[f64], y: &[f64], settled: &[bool]) -> Vec<LimitQuality> {
        let Constants {
            jacobian,
            step,
            weights,
            ..
        } = &self.constants;
        let (m, n) = (weights.len(), jacobian.len() / weights.len());
        let quality = |sample: usize| {
            if self.lost[sample] {
                return LimitQuality::LOST;
            }
            let held = &self.held[sample * m..][..m];
            let at = sample * n..(sample + 1) * n;
            let points = start[at.clone()].iter().zip(&y[at]);
            let way: Vec<f64> = points.map(|(a, b)| a - b).collect();
            let change = |row: usize| match held[row] {
                Held::Not => 0.0,
                _ => weights[row] * dot(&jacobian[row * n..][..n], &way),
            };
            let change: Vec<f64> = (0..m).map(change).collect();
            let (x, solved) = self.solve(held, &change);
            let mut predicted = vec![0.0; n];
            for row in (0..m).filter(|row| x[*row] != 0.0) {
                axpy(x[row] / weights[row], &step[row * n..][..n], &mut predicted);
            }
            LimitQuality {
                deviation: match solved {
                    true => relative_distance(&way, &predicted),
                    false => f64::NAN,
                },
                settled: settled[sample],
                affine: true,
            }
        };
        (0..self.lost.len()).into_par_iter().map(quality).collect()
    }

    pub(super) fn vjp(&self, problem: &DampedProblem<'_>, cotangent: &[f64]) -> DampedGradients {
        let (n, m) = (problem.n, problem.rows());
        let Constants {
            jacobian,
            step,
            weights,
            ..
        } = &self.constants;
        let mut gradients = DampedGradients::of_the_start(problem, cotangent);
        let samples = gradients.samples(problem, 1).enumerate();
        samples.for_each(|(sample, (v, lower, upper))| {
            if self.lost[sample] {
                return v.fill(0.0);
            }
            let held = &self.held[sample * m..][..m];
            let response = |row: usize| match held[row] {
                Held::Not => 0.0,
                _ => dot(&step[row * n..][..n], v) / weights[row],
            };
            let response: Vec<f64> = (0..m).map(response).collect();
            let (x, _) = self.solve(held, &response);
            for row in (0..m).filter(|row| held[*row] != Held::Not) {
                let of_bound = weights[row] * x[row];
                axpy(-of_bound, &jacobian[row * n..][..n], v);
                held[row].add(of_bound, &mut lower[row], &mut upper[row]);
            }
        });
        gradients
    }
}
