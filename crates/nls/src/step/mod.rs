//! The damped step of a batch, on the host in f64, and its vector-Jacobian product.
//!
//! Δ minimises ½‖s − BΔ‖² + ½λ‖Δ‖² for a weighted Jacobian B, `[m, n]`, and residual s:
//!
//! - by variables, (BᵀB + λI) Δ = Bᵀs, where there are more rows than variables;
//! - by rows, Δ = Bᵀt with (BBᵀ + λI) t = s, elsewhere. The two agree for λ > 0 (push-through
//!   identity); at λ = 0 the first is the least-squares step, the second the shortest solution of
//!   BΔ = s.
//!
//! Rows of zeros with residual zero take no part: they would change nothing but make the matrix singular.
//! Small systems of rows are solved eight at a time.

mod eight;
mod one;

use std::sync::Arc;

use feasible_core::host::{HostAdjoint, Numbers};
use feasible_kernels::{dot, lanes::LANES, map_runs, run_length, threads};

use eight::Eight;
use one::One;

/// Samples that one task solves one after the other.
const RUN: usize = 64;

/// The numbers of one linearisation, all row-major.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) rows: usize,
    pub(crate) variables: usize,
    /// B, `[batch, m, n]`.
    pub(crate) jacobian: Numbers,
    /// s, `[batch, m]`.
    pub(crate) residual: Numbers,
}

/// The steps of a batch.
#[derive(Debug)]
pub(crate) struct Steps {
    /// Δ, `[batch, n]`; zero for samples without a step.
    pub(crate) delta: Vec<f64>,
    /// False where no step was asked for, or its matrix was singular.
    solved: Vec<bool>,
    linear: Arc<Linear>,
    groups: Vec<Group>,
}

/// Samples solved together, with what their adjoint needs.
#[derive(Debug)]
enum Group {
    One(One),
    Eight(Eight),
}

/// What one thread needs.
enum Scratch {
    One(one::Scratch),
    Eight(eight::Scratch),
}

impl Linear {
    pub(crate) fn batch(&self) -> usize {
        self.residual.len().checked_div(self.rows).unwrap_or(0)
    }

    pub(crate) fn jacobian_of(&self, sample: usize) -> &[f64] {
        let size = self.rows * self.variables;
        &self.jacobian[sample * size..][..size]
    }

    pub(crate) fn residual_of(&self, sample: usize) -> &[f64] {
        &self.residual[sample * self.rows..][..self.rows]
    }

    /// Computes the steps of the samples in `live` with damping `damping`, both one a sample.
    pub(crate) fn steps(self: &Arc<Self>, damping: &[f64], live: &[bool]) -> Steps {
        let (batch, n) = (self.batch(), self.variables);
        let live: Vec<usize> = (0..batch).filter(|b| live[*b]).collect();
        let groups: Vec<&[usize]> = live.chunks(self.group()).collect();
        let (threads, run) = self.spread(groups.len());
        let groups = map_runs(
            groups.chunks(run).collect(),
            threads,
            || self.scratch(),
            |scratch, _, groups| {
                let solve = |samples: &&[usize]| scratch.solve(self, samples, damping);
                groups.iter().filter_map(solve).collect::<Vec<_>>()
            },
        );
        let groups: Vec<Group> = groups.into_iter().flatten().collect();
        let (mut delta, mut solved) = (vec![0.0; batch * n], vec![false; batch]);
        for group in &groups {
            group.deltas(|sample, read| {
                solved[sample] = true;
                read(&mut delta[sample * n..][..n]);
            });
        }
        Steps {
            delta,
            solved,
            linear: Arc::clone(self),
            groups,
        }
    }

    /// Samples solved together.
    fn group(&self) -> usize {
        if Eight::takes(self.rows, self.variables) {
            LANES
        } else {
            1
        }
    }

    fn scratch(&self) -> Scratch {
        match self.group() {
            1 => Scratch::One(one::Scratch::new(self.rows, self.variables)),
            _ => Scratch::Eight(eight::Scratch::new(self.rows, self.variables)),
        }
    }

    /// Threads, and groups a run.
    fn spread(&self, groups: usize) -> (usize, usize) {
        let (group, size) = (self.group(), self.rows.min(self.variables));
        let samples = groups * group;
        let of_one = (self.rows * self.variables).saturating_mul(size);
        let threads = threads(of_one.saturating_mul(samples));
        (threads, run_length(samples, threads, RUN).div_ceil(group))
    }

    /// ½ Δᵀ(λΔ + Bᵀs): by how much the damped linearisation says that the cost falls.
    pub(crate) fn predicted_decrease(&self, sample: usize, delta: &[f64], damping: f64) -> f64 {
        let mut total: f64 = delta.iter().map(|d| damping * d * d).sum();
        for (row, s) in self
            .jacobian_of(sample)
            .chunks_exact(self.variables)
            .zip(self.residual_of(sample))
        {
            total += s * dot(row, delta);
        }
        0.5 * total
    }
}

impl Scratch {
    fn solve(&mut self, linear: &Linear, samples: &[usize], damping: &[f64]) -> Option<Group> {
        match self {
            Self::One(scratch) => {
                let sample = samples[0];
                scratch
                    .solve(linear, sample, damping[sample])
                    .map(Group::One)
            }
            Self::Eight(scratch) => Some(Group::Eight(scratch.solve(linear, samples, damping))),
        }
    }
}

impl Group {
    /// Calls `take` with every sample that was solved, and what writes its Δ.
    fn deltas(&self, mut take: impl FnMut(usize, &dyn Fn(&mut [f64]))) {
        match self {
            Self::One(one) => take(one.sample, &|out| out.copy_from_slice(&one.delta)),
            Self::Eight(eight) => {
                for (lane, sample) in eight.solved() {
                    take(sample, &|out| eight.delta(lane, out));
                }
            }
        }
    }

    fn samples(&self) -> &[usize] {
        match self {
            Self::One(one) => std::slice::from_ref(&one.sample),
            Self::Eight(eight) => &eight.samples,
        }
    }
}

impl Steps {
    /// Whether a step was found for a sample.
    pub(crate) fn solved(&self, sample: usize) -> bool {
        self.solved[sample]
    }

    /// Takes a sample's step back: zero, without a gradient.
    pub(crate) fn reject(&mut self, sample: usize) {
        let variables = self.linear.variables;
        self.delta[sample * variables..][..variables].fill(0.0);
        self.solved[sample] = false;
    }

    /// The adjoint with respect to B and s, in that order.
    pub(crate) fn into_adjoint(self) -> Arc<dyn HostAdjoint> {
        Arc::new(StepAdjoint {
            solved: self.solved,
            linear: self.linear,
            groups: self.groups,
        })
    }
}

#[derive(Debug)]
struct StepAdjoint {
    solved: Vec<bool>,
    linear: Arc<Linear>,
    groups: Vec<Group>,
}

/// Where the gradients of one sample go, ∂L/∂B and ∂L/∂s.
type Places<'a> = Option<(&'a mut [f64], &'a mut [f64])>;

impl HostAdjoint for StepAdjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let linear = &*self.linear;
        let (m, n) = (linear.rows, linear.variables);
        let mut jacobian = vec![0.0; linear.jacobian.len()];
        let mut residual = vec![0.0; linear.residual.len()];
        let of_samples = jacobian.chunks_mut(m * n).zip(residual.chunks_mut(m));
        let mut places: Vec<Places<'_>> = of_samples
            .zip(&self.solved)
            .map(|(places, solved)| solved.then_some(places))
            .collect();
        let (threads, run) = linear.spread(self.groups.len());
        let mut work: Vec<(&Group, Vec<Places<'_>>)> = vec![];
        for group in &self.groups {
            let take = |sample: &usize| places[*sample].take();
            work.push((group, group.samples().iter().map(take).collect()));
        }
        let mut runs = vec![];
        while !work.is_empty() {
            let rest = work.split_off(run.min(work.len()));
            runs.push(std::mem::replace(&mut work, rest));
        }
        map_runs(
            runs,
            threads,
            || linear.scratch(),
            |scratch, _, groups| {
                for (group, places) in groups {
                    match (&mut *scratch, group) {
                        (Scratch::One(scratch), Group::One(one)) => {
                            for place in places.into_iter().flatten() {
                                scratch.vjp(linear, one, cotangent, place);
                            }
                        }
                        (Scratch::Eight(scratch), Group::Eight(eight)) => {
                            scratch.vjp(linear, eight, cotangent, places);
                        }
                        _ => unreachable!("one form for all groups of a linearisation"),
                    }
                }
            },
        );
        vec![jacobian, residual]
    }
}

#[cfg(test)]
mod tests;
