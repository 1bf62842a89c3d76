//! Derivatives of minimisers in reverse: from a cotangent on the variables to auxiliaries and starts.

mod direct;
mod hessian;
mod implicit;
mod propagate;
mod unrolled;

use rayon::prelude::*;

use crate::error::Error;
use crate::inputs::Inputs;
use crate::objective::{AuxiliaryId, Objective, VariableId};
use crate::settings::{Backward, Settings};
use crate::solution::{Kept, Solution};
use crate::status::GradientQuality;

/// ∂ℓ/∂(inputs) for a cotangent ∂ℓ/∂x, and how far it can be trusted.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// By the stored numbers of the start, `[batch, storage]`: on a curved space the shortest vector whose
    /// products with the directions in the space are right. Zero in the implicit and direct-loss modes, as
    /// minimisers do not depend on their start, where a truncated mode left iterations out, and for numbers
    /// outside of their bounds.
    pub start: Vec<f64>,
    /// By the auxiliaries, `[batch, auxiliary_len]`, also where the batch shares them: the gradient by
    /// shared numbers is the sum over the samples, [`shared`](Self::shared).
    pub auxiliaries: Vec<f64>,
    /// `[batch]`.
    pub quality: Vec<GradientQuality>,
    /// ‖Hw − v‖/‖v‖ of the adjoint system with the exact Hessian, `[batch]`; NaN for modes without one.
    /// A Gauss-Newton Hessian has the curvature it leaves out here.
    pub residual: Vec<f64>,
    /// An estimate of the condition of the matrix that was solved with, from below, in the 1-norm,
    /// `[batch]`; that of the matrix scaled to a unit diagonal where it is sparse; NaN for modes without one.
    pub condition: Vec<f64>,
}

impl Gradients {
    /// ∂ℓ/∂(an auxiliary that the batch shares).
    ///
    /// # Panics
    /// When the handle is another objective's.
    pub fn shared(&self, objective: &Objective, id: AuxiliaryId) -> Vec<f64> {
        let range = objective.auxiliary_range(id);
        let mut sum = vec![0.0; range.len()];
        for sample in self.auxiliaries.chunks_exact(objective.auxiliary_len()) {
            crate::dense::axpy(1.0, &sample[range.clone()], &mut sum);
        }
        sum
    }

    /// ∂ℓ/∂(an auxiliary) of one sample.
    ///
    /// # Panics
    /// When there is no such sample, or the handle is another objective's.
    pub fn auxiliary(&self, objective: &Objective, id: AuxiliaryId, sample: usize) -> &[f64] {
        let all = objective.auxiliary_len();
        &self.auxiliaries[sample * all..(sample + 1) * all][objective.auxiliary_range(id)]
    }

    /// ∂ℓ/∂(a variable's start) of one sample.
    ///
    /// # Panics
    /// When there is no such sample, or the handle is another objective's.
    pub fn start(&self, objective: &Objective, id: VariableId, sample: usize) -> &[f64] {
        let all = objective.storage();
        &self.start[sample * all..(sample + 1) * all][objective.stored(id)]
    }
}

/// One sample's part of [`Gradients`].
#[derive(Debug)]
struct Adjoint {
    /// By steps from the start, `[n]`.
    start: Vec<f64>,
    auxiliaries: Vec<f64>,
    quality: GradientQuality,
    residual: f64,
    condition: f64,
    /// About the length of the Newton step to where the gradient vanishes; NaN where a gradient is degenerate
    /// already, and for modes that do not solve with the Hessian.
    newton: f64,
}

impl Adjoint {
    fn zero(objective: &Objective, quality: GradientQuality) -> Self {
        Self {
            start: vec![0.0; objective.tangent],
            auxiliaries: vec![0.0; objective.auxiliary],
            quality,
            residual: f64::NAN,
            condition: f64::NAN,
            newton: f64::NAN,
        }
    }

    fn worsen(&mut self, quality: GradientQuality) {
        self.quality = self.quality.max(quality);
    }
}

impl Objective {
    /// The derivative of a solution in reverse, by the backward mode of the settings it was solved with.
    ///
    /// `cotangent` is ∂ℓ/∂x by the stored numbers, `[batch, storage]`; on a curved space only its part along
    /// the space counts.
    ///
    /// # Errors
    /// A solution of another objective or batch; a cotangent of the wrong size or not finite. That the inputs
    /// are those the solution was made with is not checked.
    pub fn vjp(
        &self,
        inputs: &Inputs<'_>,
        solution: &Solution,
        cotangent: &[f64],
    ) -> Result<Gradients, Error> {
        self.vjp_by(inputs, solution, cotangent, &solution.settings.backward)
    }

    /// As [`vjp`](Self::vjp), by another backward mode. Iterations can only be differentiated if the
    /// solution was made with a mode that records as many.
    ///
    /// # Errors
    /// As there; [`Error::NotRecorded`], and a setting of `backward` out of its range.
    pub fn vjp_by(
        &self,
        inputs: &Inputs<'_>,
        solution: &Solution,
        cotangent: &[f64],
        backward: &Backward,
    ) -> Result<Gradients, Error> {
        backward.validate()?;
        let (batch, storage) = (inputs.batch(), self.storage);
        for (what, got, expected) in [
            ("batch", solution.batch(), batch),
            ("storage", solution.storage, storage),
            ("x", solution.x.len(), batch * storage),
            // Its public fields may have been made longer than what only the solve fills.
            ("samples solved", solution.auxiliaries.len(), batch),
            ("cost", solution.cost.len(), batch),
        ] {
            if got != expected || solution.owner != self.owner {
                return Err(Error::ForeignSolution {
                    what,
                    got,
                    expected,
                });
            }
        }
        if cotangent.len() != batch * storage {
            return Err(Error::Shape {
                argument: "cotangent".to_owned(),
                got: cotangent.len(),
                expected: batch * storage,
                layout: "[batch, storage]",
            });
        }
        if let Some(at) = cotangent.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite {
                argument: "cotangent".to_owned(),
                sample: Some(at / storage),
                entry: at % storage,
                value: cotangent[at],
            });
        }
        let steps = match backward.recorded() {
            Some(0) => 0,
            wanted => {
                let recorded = solution.settings.backward.recorded();
                if recorded.is_some() && (wanted.is_none() || recorded < wanted) {
                    return Err(Error::NotRecorded {
                        mode: match backward {
                            Backward::Unrolled => "unrolled",
                            _ => "truncated to at least as many iterations",
                        },
                    });
                }
                wanted.unwrap_or(usize::MAX)
            }
        };
        let checked = inputs.validated(self)?;
        let settings = Settings {
            backward: *backward,
            ..solution.settings
        };
        let reverse = |space: &mut Space<'_>, sample: usize| {
            let shared = checked.auxiliaries(sample);
            let changed: Vec<&[f64]>;
            let auxiliaries = match &solution.auxiliaries[sample] {
                None => &shared,
                Some(own) => {
                    changed = own.iter().map(Vec::as_slice).collect();
                    &changed
                }
            };
            let x = solution.sample(sample);
            let mut v = vec![0.0; self.tangent];
            for variable in &self.variables {
                let place = variable.place..variable.place + variable.manifold.storage();
                let stored = &cotangent[sample * storage..(sample + 1) * storage][place.clone()];
                variable.manifold.add_pulled_back(
                    &x[place],
                    stored,
                    &mut v[variable.column..variable.column + variable.manifold.tangent()],
                );
            }
            let job = Job {
                x,
                auxiliaries,
                v,
                converged: solution.status[sample].is_converged(),
                kept: solution.kept[sample].as_deref(),
            };
            let mut adjoint = match space {
                Space::Implicit(space) => space.reverse(&job),
                // A start whose cost is no number: no iteration was run, which is no derivative.
                Space::Unrolled(_) if solution.cost[sample].is_nan() => {
                    Adjoint::zero(self, GradientQuality::Unavailable)
                }
                Space::Unrolled(space) if solution.auxiliaries[sample].is_none() => {
                    space.reverse(&job, &solution.traces[sample], steps)
                }
                Space::Unrolled(_) => Adjoint::zero(self, GradientQuality::Unavailable),
                Space::Direct(space) => space.reverse(&job),
            };
            if !(adjoint.auxiliaries.iter().chain(&adjoint.start)).all(|v| v.is_finite()) {
                adjoint = Adjoint::zero(self, GradientQuality::Unavailable);
            } else if adjoint.quality == GradientQuality::Exact
                && !self.terms.iter().all(|t| t.cost.is_exact())
            {
                adjoint.quality = GradientQuality::Inexact;
            }
            let mut start = vec![0.0; storage];
            if adjoint.start.iter().any(|v| *v != 0.0) {
                for variable in &self.variables {
                    let place = variable.place..variable.place + variable.manifold.storage();
                    let column = variable.column..variable.column + variable.manifold.tangent();
                    variable.manifold.raise(
                        &checked.x[sample * storage..(sample + 1) * storage][place.clone()],
                        &adjoint.start[column],
                        &mut start[place],
                    );
                }
            }
            (start, adjoint)
        };
        let fresh = || Space::new(self, &settings);
        let adjoints: Vec<(Vec<f64>, Adjoint)> = if batch == 1 {
            vec![reverse(&mut fresh(), 0)]
        } else {
            (0..batch)
                .into_par_iter()
                .map_init(fresh, reverse)
                .collect()
        };
        let mut gradients = Gradients {
            start: Vec::with_capacity(batch * storage),
            auxiliaries: Vec::with_capacity(batch * self.auxiliary),
            quality: Vec::with_capacity(batch),
            residual: Vec::with_capacity(batch),
            condition: Vec::with_capacity(batch),
        };
        for (start, adjoint) in adjoints {
            gradients.start.extend(start);
            gradients.auxiliaries.extend(adjoint.auxiliaries);
            gradients.quality.push(adjoint.quality);
            gradients.residual.push(adjoint.residual);
            gradients.condition.push(adjoint.condition);
        }
        // Such a start was moved to its bound, wherever it was.
        for place in checked.outside {
            gradients.start[place] = 0.0;
        }
        Ok(gradients)
    }
}

/// What one thread needs, by mode.
enum Space<'a> {
    Implicit(Box<implicit::Implicit<'a>>),
    Unrolled(Box<unrolled::Unrolled<'a>>),
    Direct(Box<direct::Direct<'a>>),
}

impl<'a> Space<'a> {
    fn new(objective: &'a Objective, settings: &Settings) -> Self {
        match settings.backward {
            Backward::Implicit { hessian } => Self::Implicit(Box::new(implicit::Implicit::new(
                objective, settings, hessian,
            ))),
            Backward::Unrolled | Backward::Truncated { .. } => {
                Self::Unrolled(Box::new(unrolled::Unrolled::new(objective, settings)))
            }
            Backward::DirectLoss { epsilon } => {
                Self::Direct(Box::new(direct::Direct::new(objective, settings, epsilon)))
            }
        }
    }
}

/// One sample to differentiate.
struct Job<'j> {
    x: &'j [f64],
    auxiliaries: &'j [&'j [f64]],
    /// The cotangent by steps from `x`, `[n]`.
    v: Vec<f64>,
    converged: bool,
    kept: Option<&'j Kept>,
}
