//! Implicit differentiation of a solution of min ½‖W r(y)‖².

use std::sync::Arc;

use burn::tensor::Tensor;
use faer::linalg::solvers::{Llt, Solve};
use faer::{Col, MatRef, Side};
use feasible_core::host::{self, HostAdjoint, Input};
use feasible_kernels::{Pseudoinverse, max_abs};
use rayon::prelude::*;

use crate::evaluation::{RowWeights, fixed, linearise};
use crate::step::Linear;
use crate::{Error, GradientQuality, Residual, Settings, Status};

/// Eigenvalues of the Hessian, scaled to a diagonal of ones, below this times the largest count as zero. The
/// Hessian holds squares of the Jacobian's singular values: those below 1e-5 of the largest are then not
/// inverted, and what is inverted loses at most ten of sixteen digits.
const RANK_TOLERANCE: f64 = 1e-10;

/// The gradient is off by about as much as y is from where it is stationary: a Newton step below
/// this, relative to y, leaves six digits.
const STATIONARY: f64 = 1e-6;

/// A solution with its gradient, and how good that is.
#[derive(Debug)]
pub(crate) struct ImplicitGradient {
    pub(crate) y: Tensor<2>,
    pub(crate) quality: Vec<GradientQuality>,
}

/// Gives the solution `y`, a constant so far, its gradient; `None` if nothing asks for one.
///
/// At a stationary point F(y, θ) = JᵀW²r = 0, hence dy/dθ = −H⁻¹ ∂F/∂θ with H = ∂F/∂y. F is recorded
/// once at the solution held constant; its adjoint is −H⁻¹ times the cotangent of y.
pub(crate) fn differentiate<R: Residual + ?Sized>(
    residual: &R,
    weights: &RowWeights,
    y: &Tensor<2>,
    status: &[Status],
    settings: &Settings,
) -> Result<Option<ImplicitGradient>, Error> {
    let [batch, n] = y.dims();
    let (values, jacobian) = linearise(residual, y)?;
    // J is needed on the host without the weights of the tape.
    let constant = weights.fixed();
    let linear = Linear {
        rows: residual.rows(),
        variables: n,
        jacobian: host::borrow("jacobian(y)", &constant.apply_rows(jacobian.clone()))?,
        residual: host::borrow("residual(y)", &constant.apply(values.clone()))?,
    };
    let multipliers = constant.apply(constant.apply(fixed(values.clone())));
    let weighted = weights.apply_rows(jacobian);
    let residuals = weights.apply(values).unsqueeze_dim::<3>(1);
    let stationarity = residuals.matmul(weighted).squeeze_dim::<2>(1);
    if !stationarity.is_tracked() {
        return Ok(None);
    }
    let curvature = residual.curvature(y.clone(), multipliers)?;
    let expected = [batch, n, n];
    if curvature.dims() != expected {
        return Err(feasible_core::Error::shape(
            "curvature(y)",
            &curvature.dims(),
            format!("{expected:?}"),
        )
        .into());
    }
    let curvature = host::read("curvature(y)", &curvature)?;
    let inverses: Vec<Inverse> = (0..batch)
        .into_par_iter()
        .map(|b| match status[b].is_failure() {
            true => Inverse::None,
            false => Inverse::of(linear.jacobian_of(b), &curvature[b * n * n..][..n * n], n),
        })
        .collect();
    let values = host::read("y", y)?;
    // Steps are converged to their tolerance at best, and by a factor that is not known.
    let tolerance = STATIONARY.max(10.0 * settings.step_tolerance);
    let quality = (0..batch)
        .map(|b| {
            let y = &values[b * n..][..n];
            let allowed = tolerance * max_abs(y).max(1.0);
            let newton = inverses[b].newton_step(&linear, b);
            inverses[b].quality(status[b], newton <= allowed)
        })
        .collect();
    let adjoint = Arc::new(StationarityAdjoint {
        inverses,
        variables: n,
    });
    let y = host::record(
        values,
        [batch, n],
        &y.device(),
        y.dtype(),
        vec![Input::new(stationarity)],
        adjoint,
    );
    Ok(Some(ImplicitGradient { y, quality }))
}

/// The (pseudo-)inverse of one sample's Hessian H.
#[derive(Debug)]
enum Inverse {
    /// There is none.
    None,
    /// The factor of SHS, and the diagonal of S.
    Cholesky { factor: Llt<f64>, scales: Vec<f64> },
    Pseudoinverse {
        inverse: Pseudoinverse,
        /// Whether H is singular, or y no minimum.
        degenerate: bool,
    },
}

impl Inverse {
    /// H = BᵀB + curvature.
    fn of(weighted_jacobian: &[f64], curvature: &[f64], n: usize) -> Self {
        let m = weighted_jacobian.len() / n;
        let b = MatRef::from_row_major_slice(weighted_jacobian, m, n);
        let mut h = b.transpose() * b;
        // By the sizes of both parts: their sum may cancel.
        let scale = |i: usize| {
            let diagonal = h[(i, i)] + curvature[i * n + i].abs();
            if diagonal == 0.0 {
                1.0
            } else {
                diagonal.sqrt().recip()
            }
        };
        let scales: Vec<f64> = (0..n).map(scale).collect();
        for i in 0..n {
            for j in 0..n {
                let symmetric = 0.5 * (curvature[i * n + j] + curvature[j * n + i]);
                h[(i, j)] = (h[(i, j)] + symmetric) * scales[i] * scales[j];
            }
        }
        if !(0..n).all(|j| h.col(j).iter().all(|v| v.is_finite())) {
            return Self::None;
        }
        if let Ok(factor) = Llt::new(h.as_ref(), Side::Lower) {
            let pivots = (0..n).map(|i| factor.L()[(i, i)].powi(2));
            let (least, most) = pivots.fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), p| {
                (a.min(p), b.max(p))
            });
            // Pivots bound the condition number from below only, but within a factor of order n in
            // practice: far from the tolerance they decide, and near it the spectrum does.
            if least > 1e3 * RANK_TOLERANCE * most {
                return Self::Cholesky { factor, scales };
            }
        }
        // No eigenvalue is larger than the largest row sum, nor smaller than it over n.
        let sum = |i: usize| (0..n).map(|j| h[(i, j)].abs()).sum::<f64>();
        let floor = RANK_TOLERANCE * (0..n).map(sum).fold(0.0, f64::max);
        let rows: Vec<f64> = (0..n * n).map(|at| h[(at / n, at % n)]).collect();
        match Pseudoinverse::new(&rows, &scales, floor) {
            None => Self::None,
            Some(inverse) => Self::Pseudoinverse {
                degenerate: inverse.eigenvalues().iter().any(|value| *value <= floor),
                inverse,
            },
        }
    }

    /// max|H⁻¹F| with F = Bᵀs: how far the sample is from where F vanishes, to first order. On the
    /// spectrum that does not vanish.
    fn newton_step(&self, linear: &Linear, sample: usize) -> f64 {
        let n = linear.variables;
        let (mut gradient, mut step) = (vec![0.0; n], vec![0.0; n]);
        let rows = linear.jacobian_of(sample).chunks_exact(n);
        for (row, s) in rows.zip(linear.residual_of(sample)) {
            gradient.iter_mut().zip(row).for_each(|(g, b)| *g += b * s);
        }
        self.apply(&gradient, &mut step);
        max_abs(&step)
    }

    fn quality(&self, status: Status, is_stationary: bool) -> GradientQuality {
        match self {
            Self::None => GradientQuality::Unavailable,
            _ if !(status.is_converged() && is_stationary) => GradientQuality::Inexact,
            Self::Pseudoinverse {
                degenerate: true, ..
            } => GradientQuality::Degenerate,
            Self::Cholesky { .. } | Self::Pseudoinverse { .. } => GradientQuality::Exact,
        }
    }

    /// Writes −H⁻¹ `cotangent`.
    fn apply(&self, cotangent: &[f64], out: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Cholesky { factor, scales } => {
                let mut x = Col::from_fn(cotangent.len(), |i| -cotangent[i] * scales[i]);
                factor.solve_in_place(x.as_mat_mut());
                for (i, out) in out.iter_mut().enumerate() {
                    *out = x[i] * scales[i];
                }
            }
            Self::Pseudoinverse { inverse, .. } => {
                let pairs = out.iter_mut().zip(cotangent);
                pairs.for_each(|(out, c)| *out = -c);
                inverse.solve(out);
            }
        }
    }
}

#[derive(Debug)]
struct StationarityAdjoint {
    inverses: Vec<Inverse>,
    variables: usize,
}

impl HostAdjoint for StationarityAdjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let mut out = vec![0.0; cotangent.len()];
        let n = self.variables;
        (
            &self.inverses,
            cotangent.par_chunks_exact(n),
            out.par_chunks_exact_mut(n),
        )
            .into_par_iter()
            .for_each(|(inverse, cotangent, out)| inverse.apply(cotangent, out));
        vec![out]
    }
}
