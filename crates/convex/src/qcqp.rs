use crate::quadratic::{self, Origin};
use crate::{ConvexSettings, ConvexSolution, Error, QcqpTensors};

/// A differentiable layer that solves a batch of quadratically constrained quadratic programs.
///
/// # Problem
///
/// min ½xᵀPx + qᵀx subject to Ax = b, l ≤ Gx ≤ u and xᵀH_i x + g_iᵀx ≤ c_i (no ½), with P and
/// every H_i symmetric positive semidefinite.
///
/// # Optimality conditions
///
/// Px + q + Aᵀν + Gᵀ(λ_u − λ_l) + Σ μ_i (2H_i x + g_i) = 0, the constraints, λ_u ≥ 0, λ_l ≥ 0,
/// μ ≥ 0, and every multiplier zero on a row that does not hold x.
///
/// # Adjoint
///
/// As [`QpLayer`](crate::QpLayer)'s with K = [P + Σ 2μ_i H_i, Eᵀ; E, 0], where E also has the
/// gradients 2H_i x + g_i of the quadratic rows that hold x. Gradients of P and H_i are
/// symmetrised.
///
/// # Shapes
///
/// See [`QpTensors::quadratics`](crate::QpTensors::quadratics). Outputs are `[batch, n]`,
/// `[batch, p]`, `[batch, m]` and `[batch, k]`; device and precision as [`QpLayer`](crate::QpLayer)'s.
///
/// # Errors
///
/// As [`QpLayer`](crate::QpLayer)'s, and an H_i that is not symmetric or not positive
/// semidefinite.
///
/// # Cost
///
/// Some ten to twenty Newton steps a sample, each with one factorisation of the n × n matrix
/// P + Σ 2μ_i H_i + GᵀDG.
///
/// # Reference
///
/// Mehrotra 1992 (predictor and corrector); Agrawal et al. 2019; Amos & Kolter 2017. The quadratic
/// rows stay quadratic: nothing is lifted to second-order cones.
#[derive(Debug, Clone, Copy, Default)]
pub struct QcqpLayer {
    settings: ConvexSettings,
}

impl QcqpLayer {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: ConvexSettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self { settings })
    }

    /// Solves the batch.
    ///
    /// # Errors
    /// As the type says.
    pub fn forward(&self, problem: &QcqpTensors) -> Result<ConvexSolution, Error> {
        quadratic::forward(
            &self.settings,
            &problem.qp,
            Some(&problem.quadratics),
            Origin::default(),
        )
    }

    /// Solves the batch starting from the solution of another batch of the same sizes: the last one
    /// of a trajectory, or the last epoch's. Where active rows stay it takes a few steps; the answer,
    /// its accuracy and its gradients are those of [`Self::forward`].
    ///
    /// # Errors
    /// As the type says, and if `previous` has other sizes.
    pub fn forward_from(
        &self,
        problem: &QcqpTensors,
        previous: &ConvexSolution,
    ) -> Result<ConvexSolution, Error> {
        quadratic::forward(
            &self.settings,
            &problem.qp,
            Some(&problem.quadratics),
            previous.into(),
        )
    }
}
