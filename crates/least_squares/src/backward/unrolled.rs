//! Through the iterations as they were run.
//!
//! A step solves (M + D)δ = −g. For ℓ = vᵀδ and z = (M + D)⁻¹v,
//!
//! ```text
//! dℓ = −zᵀ(dg + dM δ + dD δ) = −[(r + Jδ)ᵀ dJ z + (Jz)ᵀ dJ δ + (Jz)ᵀ dr + zᵀ dD δ]
//! ```
//!
//! by the product rule on g = Jᵀr and M = JᵀJ. Ellipsoidal damping has dD = λ d diag M. λ, the radius, the
//! acceptance of steps and the set of held coordinates are taken as given: with damping by factors they are
//! piecewise constant.

use super::propagate::{Cotangent, Place, Scratch, propagate};
use super::{Adjoint, Job};
use crate::dense::{axpy, dot};
use crate::linear::StepAdjoint;
use crate::objective::Objective;
use crate::optimise::Recorded;
use crate::settings::{Damping, LevenbergMarquardt, Linear, Settings, Shape, Step};
use crate::solution::Trace;
use crate::status::GradientQuality;
use crate::step::{Leg, Taken, advance};
use crate::term::Sample;
use crate::workspace::Workspace;

pub(super) struct Unrolled<'a> {
    objective: &'a Objective,
    space: Workspace<'a>,
    quality: GradientQuality,
    adjoint: StepAdjoint,
    cotangent: Cotangent,
    scratch: Scratch,
    /// A step as its variables took it, and where it ended.
    moved: Vec<f64>,
    next: Vec<f64>,
    /// The cotangent by the point before a step, and by the step.
    by_start: Vec<f64>,
    by_delta: Vec<f64>,
}

impl<'a> Unrolled<'a> {
    pub(super) fn new(objective: &'a Objective, settings: &Settings) -> Self {
        let smooth_damping = matches!(
            settings.step,
            Step::LevenbergMarquardt(LevenbergMarquardt {
                damping: Damping::Nielsen,
                ..
            })
        );
        let iterative = matches!(settings.linear, Linear::ConjugateGradient { .. });
        let space = Workspace::new(objective, settings, false);
        let rough = iterative && space.system.accuracy() > 1e-12;
        Self {
            objective,
            space,
            quality: if smooth_damping || rough {
                GradientQuality::Inexact
            } else {
                GradientQuality::Exact
            },
            adjoint: StepAdjoint::default(),
            cotangent: Cotangent::default(),
            scratch: Scratch::default(),
            moved: vec![0.0; objective.tangent],
            next: vec![0.0; objective.storage],
            by_start: vec![0.0; objective.tangent],
            by_delta: vec![0.0; objective.tangent],
        }
    }

    pub(super) fn reverse(&mut self, job: &Job<'_>, trace: &Trace, steps: usize) -> Adjoint {
        let mut result = Adjoint::zero(self.objective, self.quality);
        let mut v = job.v.clone();
        // What was kept is of the inputs of the solve, whatever has become of them since.
        let known = job.auxiliaries.iter().copied().flatten();
        let same = known.eq(&trace.auxiliaries);
        for recorded in trace.steps.iter().rev().take(steps) {
            let by_auxiliary = &mut result.auxiliaries;
            if !self.step(job.auxiliaries, recorded, same, &mut v, by_auxiliary) {
                return Adjoint::zero(self.objective, GradientQuality::Unavailable);
            }
        }
        if trace.complete && trace.steps.len() <= steps {
            result.start = v;
        } else {
            result.worsen(GradientQuality::Inexact);
        }
        result
    }

    /// Replaces v, the cotangent after a step, by that before it. False where the step cannot be
    /// computed again. `same` is whether what it has kept can be used.
    fn step(
        &mut self,
        auxiliaries: &[&[f64]],
        recorded: Recorded<'_>,
        same: bool,
        v: &mut Vec<f64>,
        by_auxiliary: &mut [f64],
    ) -> bool {
        let objective = self.objective;
        let space = &mut self.space;
        let sample = Sample {
            x: recorded.x,
            auxiliaries,
        };
        let mut taken = recorded.taken;
        let leg = if same && !recorded.kept.is_empty() {
            space.restore(recorded.kept);
            Leg::GaussNewton
        } else {
            if !space.linearise(recorded.x, auxiliaries, None) {
                return false;
            }
            space.restrict(recorded.x, true);
            let Some(leg) = space.proposal.compute(
                objective,
                &mut space.system,
                &space.at,
                &space.gradient,
                false,
                &mut taken,
            ) else {
                return false;
            };
            leg
        };
        let Self {
            moved,
            next,
            by_start,
            by_delta,
            ..
        } = self;
        moved.copy_from_slice(&space.proposal.delta);
        advance(objective, recorded.x, moved, next);
        by_start.fill(0.0);
        by_delta.fill(0.0);
        for variable in &objective.variables {
            let place = variable.place..variable.place + variable.manifold.storage();
            let column = variable.column..variable.column + variable.manifold.tangent();
            if variable.manifold.is_flat() {
                for i in column {
                    // A clipped coordinate is at its bound, whatever the step.
                    let free = moved[i] == space.proposal.delta[i];
                    by_start[i] = if free { v[i] } else { 0.0 };
                    by_delta[i] = if free && !space.held[i] { v[i] } else { 0.0 };
                }
                continue;
            }
            variable.manifold.reverse_retract(
                &recorded.x[place.clone()],
                &moved[column.clone()],
                &next[place],
                &v[column.clone()],
                &mut by_start[column.clone()],
                &mut by_delta[column],
            );
        }
        let cotangent = &mut self.cotangent;
        reverse_step(
            objective,
            space,
            leg,
            &taken,
            by_delta,
            &mut self.adjoint,
            cotangent,
        );
        propagate(
            &Place {
                objective,
                sample: &sample,
                at: &space.at,
            },
            cotangent,
            None,
            Some(by_start),
            by_auxiliary,
            &mut self.scratch,
        );
        std::mem::swap(v, by_start);
        true
    }
}

/// Makes `cotangent` that of the rows and their Jacobian for that of the step, `v`.
fn reverse_step(
    objective: &Objective,
    space: &mut Workspace<'_>,
    leg: Leg,
    taken: &Taken,
    v: &mut [f64],
    scratch: &mut StepAdjoint,
    cotangent: &mut Cotangent,
) {
    let g = &space.gradient;
    match leg {
        Leg::GaussNewton => {
            let mut delta = std::mem::take(&mut space.proposal.delta);
            if taken.shrink != 1.0 {
                v.iter_mut().for_each(|v| *v *= taken.shrink);
                if taken.radius.is_none() {
                    delta.iter_mut().for_each(|d| *d /= taken.shrink);
                }
            }
            cotangent.clear(objective);
            add_system(objective, space, taken, &delta, v, scratch, cotangent);
            space.proposal.delta = delta;
        }
        Leg::Steepest => {
            // δ = −radius g/‖g‖.
            let radius = taken.radius.expect("only dogleg has legs");
            let length = dot(g, g).sqrt();
            let along = dot(g, v) / (length * length);
            let z: Vec<f64> = g
                .iter()
                .zip(v)
                .map(|(g, v)| -radius / length * (*v - along * g))
                .collect();
            cotangent.set_gradient(objective, &space.at, &z);
        }
        Leg::Between(blend) => {
            // δ = c + β(n − c) with ‖δ‖ constant gives dδ = dw − (n − c) δᵀdw/δᵀ(n − c), where
            // dw = (1 − β)dc + β dn; c = −(A/B) g with A = gᵀg and B = gᵀMg.
            let proposal = &space.proposal;
            let way: Vec<f64> = proposal
                .gauss_newton
                .iter()
                .zip(&proposal.cauchy)
                .map(|(n, c)| n - c)
                .collect();
            let factor = dot(v, &way) / dot(&proposal.delta, &way);
            let u: Vec<f64> = v
                .iter()
                .zip(&proposal.delta)
                .map(|(v, delta)| v - factor * delta)
                .collect();
            let by_newton: Vec<f64> = u.iter().map(|u| blend * u).collect();
            let (a, b) = (dot(g, g), dot(&proposal.along, &proposal.along));
            let gamma = -(1.0 - blend) * dot(&u, g);
            let mut mg = vec![0.0; g.len()];
            space
                .at
                .add_transposed(objective, &proposal.along, &mut mg, &mut Vec::new());
            let z: Vec<f64> = (0..g.len())
                .map(|i| {
                    -(a / b) * (1.0 - blend) * u[i]
                        + gamma * (2.0 * g[i] / b - 2.0 * a / (b * b) * mg[i])
                })
                .collect();
            cotangent.set_gradient(objective, &space.at, &z);
            // −γ A/B² on dB's part gᵀ dM g.
            let weight = -gamma * a / (b * b);
            let along = &proposal.along;
            cotangent.add_pair(along.iter().map(|q| 2.0 * weight * q), g);
            cotangent.add_kappa(objective, weight, along, along);
            let newton = proposal.gauss_newton.clone();
            add_system(
                objective, space, taken, &newton, &by_newton, scratch, cotangent,
            );
        }
    }
}

/// Adds the cotangent for that of the system's solution `delta`, `v`.
fn add_system(
    objective: &Objective,
    space: &mut Workspace<'_>,
    taken: &Taken,
    delta: &[f64],
    v: &[f64],
    scratch: &mut StepAdjoint,
    cotangent: &mut Cotangent,
) {
    space
        .system
        .reverse(objective, &space.at, delta, v, scratch);
    let StepAdjoint { z, q1, q2 } = scratch;
    // q₁ᵀJz, of which J M⁻¹v is q₂.
    let scale = space.system.adjoint_scale(taken.damp);
    cotangent.add_kappa(objective, -scale, q1, q2);
    axpy(-1.0, q2, &mut cotangent.t);
    cotangent.add_pair(q1.iter().map(|q| -q), z);
    cotangent.add_pair(q2.iter().map(|q| -q), delta);
    if let Shape::Ellipsoidal { .. } = taken.damp.shape {
        // zᵀ dD δ = λ Σ_i z_i δ_i d‖J_i‖², column by column.
        let mut unit = vec![0.0; delta.len()];
        let mut column = vec![0.0; objective.rows];
        for i in 0..delta.len() {
            let weight = -taken.damp.lambda * z[i] * delta[i];
            if weight == 0.0 || space.held[i] {
                continue;
            }
            unit[i] = 1.0;
            space.at.multiply(objective, &unit, &mut column);
            cotangent.add_kappa(objective, weight, &column, &column);
            cotangent.add_pair(column.iter().map(|c| 2.0 * weight * c), &unit);
            unit[i] = 0.0;
        }
    }
}
