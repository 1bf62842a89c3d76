//! Euclidean projection on a set of constraints.

mod gather;
mod projected;
mod rows;

use burn::tensor::Tensor;
use feasible_core::{Bounds, Constraints, host};

use crate::quadratic::Origin;
use crate::{ConvexSettings, Error, Hessian, QpTensors, quadratic};

use gather::Gather;
pub use projected::{Projected, ProjectedJacobian, ProjectedTangent};
use rows::{Kind, Rows};

/// A differentiable layer that moves each output of a network to the closest point that meets
/// convex constraints.
///
/// # Problem
///
/// min ½‖y − ŷ‖² subject to l ≤ g(y) ≤ u, where every row of g is affine or convex quadratic,
/// yᵀH_i y + a_iᵀy ≤ u_i. Rows with l = u in every sample are solved as equalities.
///
/// # Optimality conditions
///
/// y − ŷ + J(y)ᵀλ = 0 with λ_i > 0 only where g_i(y) = u_i and λ_i < 0 only where g_i(y) = l_i.
///
/// # Adjoint
///
/// With E the Jacobian of the rows that hold y and S = I + Σ 2λ_i H_i, the derivative of y in ŷ is
/// S⁻¹ − S⁻¹Eᵀ(ES⁻¹Eᵀ)⁻¹ES⁻¹; for affine rows that is the orthogonal projection on the null space
/// of E. Gradients reach ŷ, the bounds, the blocks' own numbers and the relaxation, each where
/// tracked. The value of an equality is ½(l + u), so its gradient is split evenly between l and u.
/// Reports and degenerate samples are as [`QpLayer`](crate::QpLayer)'s.
///
/// # Shapes
///
/// ŷ is `[batch, n]`; the result is `[batch, n]`. Either ŷ or the constraints may have a batch of
/// 1, which the other's batch then shares.
///
/// # Errors
///
/// Constraints that are not made of blocks, a finite lower bound on a quadratic row, shapes that
/// disagree, NaN; and whatever [`QpLayer`](crate::QpLayer) refuses. A row of a quadratic block
/// whose H_i is zero in every sample and not tracked is affine and may have both bounds.
///
/// # Cost
///
/// As [`QpLayer`](crate::QpLayer) with P = I, or [`QcqpLayer`](crate::QcqpLayer) where there are
/// quadratic rows, with a diagonal P and, if the blocks are diagonal, diagonal H_i.
///
/// # Reference
///
/// Goldfarb & Idnani 1983; Mehrotra 1992; for the derivative Amos & Kolter 2017, *OptNet*, and
/// Agrawal et al. 2019.
#[derive(Debug, Clone, Copy, Default)]
pub struct Projection {
    settings: ConvexSettings,
}

impl Projection {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: ConvexSettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self { settings })
    }

    /// The closest points to `y_hat`, `[batch, n]`, that meet `constraints`.
    ///
    /// # Errors
    /// As the type says.
    pub fn forward(
        &self,
        y_hat: Tensor<2>,
        constraints: &dyn Constraints,
    ) -> Result<Projected, Error> {
        let bounds = constraints.bounds();
        self.project(y_hat, constraints, bounds, bounds.equalities(), None)
    }

    /// As [`Self::forward`], starting from the projections of another batch of the same sizes: the last
    /// of a trajectory, or the last epoch's. Where active rows stay it takes a few steps; the answer, its
    /// accuracy and its gradients are those of [`Self::forward`].
    ///
    /// # Errors
    /// As the type says, and if `previous` has other sizes.
    pub fn forward_from(
        &self,
        y_hat: Tensor<2>,
        constraints: &dyn Constraints,
        previous: &Projected,
    ) -> Result<Projected, Error> {
        let bounds = constraints.bounds();
        self.project(
            y_hat,
            constraints,
            bounds,
            bounds.equalities(),
            Some(previous),
        )
    }

    /// The closest points to `y_hat`, `[batch, n]`, that meet `constraints` with the box widened
    /// by `relaxation`, `[m]`, on both sides: l − ε ≤ g(y) ≤ u + ε. An equality with ε > 0 becomes
    /// a row with two bounds.
    ///
    /// # Errors
    /// As the type says, and if an entry of `relaxation` is negative or not finite.
    pub fn forward_relaxed(
        &self,
        y_hat: Tensor<2>,
        constraints: &dyn Constraints,
        relaxation: Tensor<1>,
    ) -> Result<Projected, Error> {
        let rows = constraints.bounds().rows();
        if relaxation.dims() != [rows] {
            let got = relaxation.dims();
            let expected = format!("[{rows}], one entry a row of the constraints");
            return Err(feasible_core::Error::shape("relaxation", &got, expected).into());
        }
        let epsilon = host::read("relaxation", &relaxation)?;
        if let Some(row) = epsilon.iter().position(|e| !(e.is_finite() && *e >= 0.0)) {
            return Err(Error::Relaxation {
                row,
                value: epsilon[row],
            });
        }
        let equalities = constraints.bounds().equalities().iter().zip(&epsilon);
        let equalities: Vec<bool> = equalities.map(|(&equal, &e)| equal && e == 0.0).collect();
        let bounds = constraints.bounds().relaxed(relaxation);
        self.project(y_hat, constraints, &bounds, &equalities, None)
    }

    fn project(
        &self,
        y_hat: Tensor<2>,
        constraints: &dyn Constraints,
        bounds: &Bounds,
        equalities: &[bool],
        previous: Option<&Projected>,
    ) -> Result<Projected, Error> {
        let n = constraints.variables();
        if y_hat.dims()[1] != n {
            let expected = format!("[batch, {n}], one column a variable of the constraints");
            return Err(feasible_core::Error::shape("y_hat", &y_hat.dims(), expected).into());
        }
        let samples = [y_hat.dims()[0], bounds.batch()];
        if samples.contains(&0) {
            return if samples.iter().all(|count| *count <= 1) {
                Ok(Projected::of_nothing(&y_hat, bounds.rows()))
            } else {
                let expected = format!("[{}, {n}], a row a sample of the constraints", samples[1]);
                Err(feasible_core::Error::shape("y_hat", &y_hat.dims(), expected).into())
            };
        }
        host::read_finite("y_hat", &y_hat)?;
        let blocks = constraints.blocks().ok_or(Error::NotBlocks)?;
        let rows = Rows::sort(&blocks, bounds, equalities)?;

        let identity = host::write(vec![1.0; n], [1, n], &y_hat.device(), y_hat.dtype());
        let mut qp = QpTensors::new(Hessian::diagonal(identity), -y_hat);
        let equal = rows.of(Kind::Equality);
        if !equal.is_empty() {
            let (lower, upper) = (bounds.lower(), bounds.upper());
            // Half of each first: the sum of two large bounds may overflow.
            let target = lower.gather_axis(1, equal) * 0.5 + upper.gather_axis(1, equal) * 0.5;
            qp = qp.equalities(rows.linear(&blocks, Kind::Equality), target);
        }
        let affine = rows.of(Kind::Affine);
        if !affine.is_empty() {
            let (lower, upper) = (bounds.lower(), bounds.upper());
            let matrix = rows.linear(&blocks, Kind::Affine);
            qp = qp.inequalities(
                matrix,
                lower.gather_axis(1, affine),
                upper.gather_axis(1, affine),
            );
        }
        let quadratic = rows.of(Kind::Quadratic);
        let problem = (!quadratic.is_empty()).then(|| {
            let upper = bounds.upper().gather_axis(1, quadratic);
            let matrix = rows.linear(&blocks, Kind::Quadratic);
            qp.clone().quadratics(rows.hessians(&blocks), matrix, upper)
        });
        let quadratics = problem.as_ref().map(|problem| &problem.quadratics);
        let origin = Origin {
            previous: previous.and_then(Projected::solved),
            rows: Some(rows.sorted()),
        };
        let solution = quadratic::forward(&self.settings, &qp, quadratics, origin)?;
        Ok(Projected::new(solution, rows.original_order()))
    }
}
