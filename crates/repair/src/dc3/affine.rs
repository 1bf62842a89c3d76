//! Completion of affine equality rows that the batch shares: two constant matrices.

use burn::tensor::{DType, Device, Tensor};
use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};
use feasible_core::host;

use super::partition::Partition;

/// With y = Nz + Ct for the kept variables z and the rows' right-hand sides t.
#[derive(Debug)]
pub(super) struct AffineCompletion {
    n: usize,
    equalities: usize,
    /// What it was made from.
    rows: Vec<f64>,
    partition: Partition,
    /// The matrix that takes ŷ to Nz, transposed, `[n, n]`: rows of variables that are not kept are zero.
    keep: Vec<f64>,
    /// Cᵀ, `[equalities, n]`.
    target: Vec<f64>,
    /// NNᵀ, `[n, n]`: a gradient in y to the step that its gradient in z makes.
    tangent: Vec<f64>,
    /// Whether the block of the computed variables is invertible.
    pub(super) regular: bool,
}

impl AffineCompletion {
    /// For `rows`, row-major `[equalities, n]`.
    pub(super) fn new(rows: Vec<f64>, n: usize, partition: &Partition) -> Self {
        let equalities = partition.other.len();
        let Partition { partial, other } = partition;
        let a = MatRef::from_row_major_slice(&rows, equalities, n);
        let columns = |of: &[usize]| Mat::from_fn(equalities, of.len(), |i, j| a[(i, of[j])]);
        let lu = columns(other).partial_piv_lu();
        let pivots: Vec<f64> = (0..equalities).map(|i| lu.U()[(i, i)].abs()).collect();
        let largest = pivots.iter().copied().fold(0.0, f64::max);
        let least = pivots.iter().copied().fold(f64::INFINITY, f64::min);
        let regular = least > largest * f64::EPSILON * equalities as f64;
        let inverse = match regular {
            true => lu.solve(Mat::<f64>::identity(equalities, equalities)),
            false => Mat::zeros(equalities, equalities),
        };
        // Rows of the null-space basis N: the identity, and −A_o⁻¹A_p.
        let moved = &inverse * columns(partial);
        let mut basis = Mat::<f64>::zeros(n, partial.len());
        for (k, &variable) in partial.iter().enumerate() {
            basis[(variable, k)] = 1.0;
        }
        for (i, &variable) in other.iter().enumerate() {
            for k in 0..partial.len() {
                basis[(variable, k)] = -moved[(i, k)];
            }
        }
        let mut keep = vec![0.0; n * n];
        for (k, &variable) in partial.iter().enumerate() {
            for row in 0..n {
                keep[variable * n + row] = basis[(row, k)];
            }
        }
        let mut target = vec![0.0; equalities * n];
        for (i, &variable) in other.iter().enumerate() {
            for e in 0..equalities {
                target[e * n + variable] = inverse[(i, e)];
            }
        }
        let product = &basis * basis.transpose();
        let tangent = (0..n * n).map(|at| product[(at / n, at % n)]).collect();
        Self {
            n,
            equalities,
            rows,
            partition: partition.clone(),
            keep,
            target,
            tangent,
            regular,
        }
    }

    /// Whether it was made from these.
    pub(super) fn is_of(&self, rows: &[f64], partition: &Partition) -> bool {
        self.rows == rows && self.partition == *partition
    }

    pub(super) fn on(&self, device: &Device, dtype: DType) -> OnDevice {
        let n = self.n;
        OnDevice {
            keep: host::write(self.keep.clone(), [n, n], device, dtype),
            target: host::write(self.target.clone(), [self.equalities, n], device, dtype),
            tangent: host::write(self.tangent.clone(), [n, n], device, dtype),
        }
    }
}

/// The same matrices as tensors.
#[derive(Debug)]
pub(super) struct OnDevice {
    keep: Tensor<2>,
    target: Tensor<2>,
    tangent: Tensor<2>,
}

impl OnDevice {
    /// The completed point of ŷ for right-hand sides `t`, `[batch or 1, equalities]`.
    pub(super) fn complete(&self, y: Tensor<2>, t: Tensor<2>) -> Tensor<2> {
        y.matmul(self.keep.clone()) + t.matmul(self.target.clone())
    }

    /// The step in y that the gradient in z makes.
    pub(super) fn tangent(&self, gradient: Tensor<2>) -> Tensor<2> {
        gradient.matmul(self.tangent.clone())
    }
}
