//! The linear systems of a step, (JᵀJ + D)δ = −Jᵀr, behind one interface.

mod cg;
mod dense;
mod panels;
pub(crate) mod pattern;
mod qr;
pub(crate) mod rows;
mod simplicial;
pub(crate) mod sparse;
mod supernodal;

use crate::objective::Objective;
use crate::settings::{Linear, Settings, Shape, Step};
use crate::term::Linearisation;

/// The damping D: λ, or λ(diag M + floor).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Damp {
    pub(crate) lambda: f64,
    pub(crate) shape: Shape,
}

impl Damp {
    pub(crate) const NONE: Self = Self {
        lambda: 0.0,
        shape: Shape::Spherical,
    };

    /// D's entry for one of M's diagonal.
    #[inline(always)]
    pub(crate) fn of(&self, diagonal: f64) -> f64 {
        match self.shape {
            Shape::Spherical => self.lambda,
            Shape::Ellipsoidal { floor } => self.lambda * (diagonal + floor),
        }
    }
}

/// What one thread needs to solve the systems of one objective.
#[derive(Debug)]
pub(crate) enum System<'a> {
    Dense(dense::Dense),
    Rows(rows::Rows),
    Qr(qr::Qr),
    Sparse(sparse::Sparse<'a>),
    Cg(cg::Cg),
}

/// The derivative of a step in reverse: dℓ = −q₁ᵀ dJ z − q₂ᵀ dJ δ − q₂ᵀ dr (− zᵀ dD δ), of the scaled rows
/// and Jacobian, for ℓ = vᵀδ.
#[derive(Debug, Default)]
pub(crate) struct StepAdjoint {
    /// Proportional to M⁻¹v.
    pub(crate) z: Vec<f64>,
    /// r + Jδ, by the inverse factor.
    pub(crate) q1: Vec<f64>,
    /// J M⁻¹v.
    pub(crate) q2: Vec<f64>,
}

impl<'a> System<'a> {
    /// `tilted` is whether steps are wanted for gradients other than Jᵀr.
    pub(crate) fn new(objective: &'a Objective, settings: &Settings, tilted: bool) -> Self {
        let spherical = match settings.step {
            Step::LevenbergMarquardt(lm) => lm.shape == Shape::Spherical,
            Step::GaussNewton | Step::Dogleg(_) => true,
        };
        let dense = || {
            if spherical && !tilted && objective.rows < objective.tangent {
                Self::Rows(rows::Rows::new(objective))
            } else {
                Self::Dense(dense::Dense::new(objective))
            }
        };
        match settings.linear {
            Linear::Auto if is_sparse(objective) => Self::Sparse(sparse::Sparse::new(objective)),
            Linear::Auto | Linear::DenseCholesky => dense(),
            Linear::DenseQr => Self::Qr(qr::Qr::new(objective)),
            Linear::SparseCholesky => Self::Sparse(sparse::Sparse::new(objective)),
            Linear::ConjugateGradient {
                tolerance,
                max_iterations,
            } => Self::Cg(cg::Cg::new(objective, tolerance, max_iterations)),
        }
    }

    /// Takes a new linearisation; `held` coordinates, whose columns of J are zero, do not move.
    pub(crate) fn load(&mut self, objective: &Objective, at: &Linearisation, held: &[bool]) {
        match self {
            Self::Dense(system) => system.load(objective, at, held),
            Self::Rows(system) => system.load(objective, at),
            Self::Qr(system) => system.load(objective, at, held),
            Self::Sparse(system) => system.load(objective, at, held),
            Self::Cg(system) => system.load(objective, at, held),
        }
    }

    /// Factors M + D. False for a singular matrix, or one that is not finite.
    pub(crate) fn factor(&mut self, damp: Damp) -> bool {
        match self {
            Self::Dense(system) => system.factor(damp),
            Self::Rows(system) => system.factor(damp.lambda),
            Self::Qr(system) => system.factor(damp),
            Self::Sparse(system) => system.factor(damp),
            Self::Cg(system) => system.factor(damp),
        }
    }

    /// `out` = δ. `gradient` is Jᵀr of the loaded linearisation, zero where a coordinate is held.
    pub(crate) fn step(
        &mut self,
        objective: &Objective,
        at: &Linearisation,
        gradient: &[f64],
        tilted: bool,
        out: &mut [f64],
    ) {
        match self {
            Self::Rows(system) => return system.step(objective, at, out),
            Self::Qr(system) if !tilted => return system.step(&at.rows, out),
            _ => {}
        }
        for (out, g) in out.iter_mut().zip(gradient) {
            *out = -g;
        }
        self.solve(objective, at, out);
    }

    /// x ← (M + D)⁻¹ x. Not for systems of the rows.
    fn solve(&mut self, objective: &Objective, at: &Linearisation, x: &mut [f64]) {
        match self {
            Self::Dense(system) => system.solve(x),
            Self::Rows(_) => unreachable!("systems of the rows have no inverse of M + D"),
            Self::Qr(system) => system.solve(x),
            Self::Sparse(system) => system.solve(x),
            Self::Cg(system) => system.solve(objective, at, x),
        }
    }

    /// The derivative of the step δ in reverse, for the cotangent `v`.
    pub(crate) fn reverse(
        &mut self,
        objective: &Objective,
        at: &Linearisation,
        delta: &[f64],
        v: &[f64],
        out: &mut StepAdjoint,
    ) {
        out.z.clear();
        out.z.extend_from_slice(v);
        out.q1.resize(objective.rows, 0.0);
        out.q2.resize(objective.rows, 0.0);
        if let Self::Rows(system) = self {
            return system.reverse(objective, at, out);
        }
        self.solve(objective, at, &mut out.z);
        at.multiply(objective, &out.z, &mut out.q2);
        at.multiply(objective, delta, &mut out.q1);
        for (q1, r) in out.q1.iter_mut().zip(&at.rows) {
            *q1 += r;
        }
    }

    /// What [`reverse`](Self::reverse)'s z is times M⁻¹v, and one over what its q₁ is times r + Jδ.
    pub(crate) fn adjoint_scale(&self, damp: Damp) -> f64 {
        match self {
            Self::Rows(_) => damp.lambda,
            Self::Dense(_) | Self::Qr(_) | Self::Sparse(_) | Self::Cg(_) => 1.0,
        }
    }

    /// The factor, where [`restore`](Self::restore) can take it: a dense Cholesky factor.
    pub(crate) fn kept(&self) -> Option<&[f64]> {
        match self {
            Self::Dense(system) => Some(system.factor.kept()),
            Self::Rows(system) => Some(system.factor.kept()),
            Self::Qr(_) | Self::Sparse(_) | Self::Cg(_) => None,
        }
    }

    /// Makes ready for [`reverse`](Self::reverse) at a linearisation, from the factor kept there.
    pub(crate) fn restore(&mut self, objective: &Objective, at: &Linearisation, kept: &[f64]) {
        match self {
            Self::Dense(system) => system.factor.restore(kept),
            Self::Rows(system) => {
                system.gather(objective, at);
                system.factor.restore(kept);
            }
            Self::Qr(_) | Self::Sparse(_) | Self::Cg(_) => {
                unreachable!("only dense Cholesky factors are kept")
            }
        }
    }

    /// The sparse system, if it is one.
    pub(crate) fn sparse(&mut self) -> Option<&mut sparse::Sparse<'a>> {
        match self {
            Self::Sparse(system) => Some(system),
            _ => None,
        }
    }

    /// The relative accuracy that its solutions may be expected to have.
    pub(crate) fn accuracy(&self) -> f64 {
        match self {
            Self::Cg(system) => system.tolerance(),
            _ => f64::EPSILON,
        }
    }
}

/// Below this a dense factor is as fast as a sparse one.
const SMALL: usize = 64;

/// Whether few pairs of variables share a cost.
pub(crate) fn is_sparse(objective: &Objective) -> bool {
    let n = objective.tangent;
    let pairs: f64 = objective
        .terms
        .iter()
        .map(|t| (t.width as f64).powi(2))
        .sum();
    n > SMALL && pairs < 0.25 * (n as f64).powi(2)
}
