//! The solution of Mx = b, sample by sample, and its derivative in M and b.

use std::sync::Arc;

use burn::tensor::Tensor;
use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, MatRef};
use feasible_core::{Error, host};
use rayon::prelude::*;

/// Which system is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Mx = b.
    Plain,
    /// Mᵀx = b.
    Transposed,
}

/// Solves for M `[batch, k, k]` and b `[batch, k]`. A sample whose matrix is singular to working
/// precision, or whose solution is not finite, gets zero, without a gradient, and `false`.
pub(crate) fn solve(
    matrix: Tensor<3>,
    b: Tensor<2>,
    side: Side,
) -> Result<(Tensor<2>, Vec<bool>), Error> {
    let [batch, k] = b.dims();
    let matrices = host::read("jacobian", &matrix)?;
    let right = host::read("residual", &b)?;
    let samples: Vec<Option<Sample>> = matrices
        .par_chunks_exact(k * k)
        .zip(right.par_chunks_exact(k))
        .map(|(matrix, b)| Sample::new(matrix, b, k, side))
        .collect();
    let solved = samples.iter().map(Option::is_some).collect();
    let mut x = vec![0.0; batch * k];
    for (x, sample) in x.chunks_exact_mut(k).zip(&samples) {
        if let Some(sample) = sample {
            x.copy_from_slice(&sample.solution);
        }
    }
    let (device, dtype) = (b.device(), b.dtype());
    let inputs = vec![host::Input::new(matrix), host::Input::new(b)];
    let adjoint = Arc::new(SolveAdjoint { samples, side, k });
    Ok((
        host::record(x, [batch, k], &device, dtype, inputs, adjoint),
        solved,
    ))
}

#[derive(Debug)]
struct Sample {
    factor: PartialPivLu<f64>,
    solution: Vec<f64>,
}

impl Sample {
    fn new(matrix: &[f64], b: &[f64], k: usize, side: Side) -> Option<Self> {
        if !matrix.iter().chain(b).all(|v| v.is_finite()) {
            return None;
        }
        let factor = MatRef::from_row_major_slice(matrix, k, k).partial_piv_lu();
        let pivots = || (0..k).map(|i| factor.U()[(i, i)].abs());
        let largest = pivots().fold(0.0, f64::max);
        // A pivot that is rounding of the largest one.
        let rounding = largest * f64::EPSILON * k as f64;
        // A largest pivot of zero or NaN leaves none above it.
        if !pivots().all(|pivot| pivot > rounding) {
            return None;
        }
        let solution = solve_one(&factor, b, side);
        solution
            .iter()
            .all(|v| v.is_finite())
            .then_some(Self { factor, solution })
    }
}

fn solve_one(factor: &PartialPivLu<f64>, b: &[f64], side: Side) -> Vec<f64> {
    let mut x = Mat::from_fn(b.len(), 1, |i, _| b[i]);
    match side {
        Side::Plain => factor.solve_in_place(x.as_mut()),
        Side::Transposed => factor.solve_transpose_in_place(x.as_mut()),
    }
    x.col(0).iter().copied().collect()
}

/// With M*v = x̄ (the other system): b̄ = v, M̄ = −vxᵀ, or −xvᵀ where Mᵀx = b was solved.
#[derive(Debug)]
struct SolveAdjoint {
    samples: Vec<Option<Sample>>,
    side: Side,
    k: usize,
}

impl host::HostAdjoint for SolveAdjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let k = self.k;
        let mut matrix = vec![0.0; self.samples.len() * k * k];
        let mut right = vec![0.0; self.samples.len() * k];
        let other = match self.side {
            Side::Plain => Side::Transposed,
            Side::Transposed => Side::Plain,
        };
        (
            &self.samples,
            cotangent.par_chunks_exact(k),
            matrix.par_chunks_exact_mut(k * k),
            right.par_chunks_exact_mut(k),
        )
            .into_par_iter()
            .for_each(|(sample, cotangent, matrix, right)| {
                let Some(sample) = sample else { return };
                let v = solve_one(&sample.factor, cotangent, other);
                right.copy_from_slice(&v);
                let (rows, columns) = match self.side {
                    Side::Plain => (&v, &sample.solution),
                    Side::Transposed => (&sample.solution, &v),
                };
                for i in 0..k {
                    for j in 0..k {
                        matrix[i * k + j] = -rows[i] * columns[j];
                    }
                }
            });
        vec![matrix, right]
    }
}
