use crate::quadratic::{self, Origin};
use crate::{ConvexSettings, ConvexSolution, Error, QpTensors};

/// A differentiable layer that solves a batch of quadratic programs.
///
/// # Problem
///
/// min ½xᵀPx + qᵀx subject to Ax = b and l ≤ Gx ≤ u, with P symmetric positive semidefinite.
///
/// # Optimality conditions
///
/// Px + q + Aᵀν + Gᵀ(λ_u − λ_l) = 0, Ax = b, l ≤ Gx ≤ u, λ_u ≥ 0, λ_l ≥ 0,
/// λ_uᵀ(Gx − u) = 0, λ_lᵀ(l − Gx) = 0.
///
/// # Adjoint
///
/// Near a strictly complementary solution the rows that hold x stay the same, and (x, ν, λ) solve
/// a linear system with the matrix K = [P Eᵀ; E 0], where E stacks A and those rows. Given the
/// cotangents of x and the multipliers, the backward pass solves K once a sample and reads every
/// parameter's gradient from the result; gradients of P are symmetrised. Where a row is held with
/// multiplier zero the solution has a kink, and where K is singular it or its multipliers are not
/// unique: the least-norm answer is returned and reported as
/// [`Degenerate`](crate::GradientQuality::Degenerate) by
/// [`ConvexSolution::gradient_reports`]. Only parameters on the autodiff graph cost anything.
/// Through an output whose incoming cotangent is not finite a sample adds nothing to any gradient, and is
/// reported as [`Unavailable`](crate::GradientQuality::Unavailable).
/// The layer is differentiable once: gradients of its gradients are zero.
///
/// # Shapes
///
/// See [`QpTensors`]. Outputs are `[batch, n]`, `[batch, p]` and `[batch, m]`, on the device of the
/// first tracked parameter and with the precision of `q`. The arithmetic is f64 whatever the
/// tensors' precision, so an f32 solution carries f32's rounding and no more.
///
/// # Errors
///
/// Shapes that disagree, NaN, infinities outside bounds, l > u, P not symmetric or not positive
/// semidefinite, each with the argument's name and place. One sample with l > u fails the call, unless
/// [`CrossedBounds::Infeasible`](crate::CrossedBounds::Infeasible) or
/// [`Infeasible::Elastic`](crate::Infeasible::Elastic) is set: then it is an infeasible sample like
/// others, the second of which relaxes it. Infeasible and unbounded samples are no
/// errors of the call but a [`Status`](crate::Status); [`ConvexSettings::on_failure`] says what
/// happens then.
///
/// # Cost
///
/// With P, A and G shared, one factorisation, O(n³ + (p + m) n²), serves the batch, and a sample
/// costs products with matrices of those sizes and pivots on its active rows. Matrices given per
/// sample are factored per sample. The backward pass solves with the active rows only.
///
/// # Reference
///
/// Amos & Kolter 2017, *OptNet* (equations 6 to 8: the implicit derivative); Agrawal et al. 2019,
/// *Differentiable Convex Optimization Layers*; Goldfarb & Idnani 1983 (dual active set); Mehrotra
/// 1992 (interior point).
#[derive(Debug, Clone, Copy, Default)]
pub struct QpLayer {
    settings: ConvexSettings,
}

impl QpLayer {
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
    pub fn forward(&self, problem: &QpTensors) -> Result<ConvexSolution, Error> {
        quadratic::forward(&self.settings, problem, None, Origin::default())
    }

    /// Solves the batch starting from the solution of another batch of the same sizes: the last one
    /// of a trajectory, or the last epoch's. Where active rows stay it takes a few steps; the answer,
    /// its accuracy and its gradients are those of [`Self::forward`].
    ///
    /// # Errors
    /// As the type says, and if `previous` has other sizes.
    pub fn forward_from(
        &self,
        problem: &QpTensors,
        previous: &ConvexSolution,
    ) -> Result<ConvexSolution, Error> {
        quadratic::forward(&self.settings, problem, None, previous.into())
    }
}
