//! The shortest solution Δ = A⁺r of AΔ = r, sample by sample, and its derivative in A and r.

use std::sync::Arc;

use burn::tensor::Tensor;
use faer::linalg::solvers::{ColPivQr, ShapeCore};
use faer::{Mat, MatRef};
use feasible_core::{Error, host};
use rayon::prelude::*;

use super::reduce;

/// Pseudo-inverses of one matrix for the batch, or of one a sample.
#[derive(Debug)]
pub(crate) struct Inverses {
    /// `[n, m]` each.
    each: Vec<Mat<f64>>,
    /// Whether the matrix has full row rank, one for each inverse.
    full_rank: Vec<bool>,
}

impl Inverses {
    /// Whether a sample's matrix has full row rank.
    pub(crate) fn full_rank(&self, sample: usize) -> bool {
        self.full_rank[sample.min(self.full_rank.len() - 1)]
    }

    pub(crate) fn of(&self, sample: usize) -> MatRef<'_, f64> {
        self.each[sample.min(self.each.len() - 1)].as_ref()
    }
}

/// The pseudo-inverses of the row-major `a`, `[1 or batch, m, n]`.
pub(crate) fn inverses(a: &[f64], m: usize, n: usize) -> Inverses {
    let (each, full_rank) = a
        .par_chunks_exact((m * n).max(1))
        .map(|a| inverse(MatRef::from_row_major_slice(a, m, n)))
        .unzip();
    Inverses { each, full_rank }
}

/// Through AᵀP = QR with column pivots, which keeps the condition number that AAᵀ would square; a
/// matrix without full row rank through its singular values.
fn inverse(a: MatRef<'_, f64>) -> (Mat<f64>, bool) {
    let (m, n) = (a.nrows(), a.ncols());
    if !(0..m).all(|i| (0..n).all(|j| a[(i, j)].is_finite())) {
        return (Mat::zeros(n, m), false);
    }
    let qr = a.transpose().col_piv_qr();
    if rank(&qr) == m {
        let r = qr.thin_R();
        // A⁺ = Q R⁻ᵀ Pᵀ: solve Rᵀ X = Pᵀ.
        let mut x = Mat::<f64>::zeros(m, m);
        let (forward, _) = qr.P().arrays();
        for (i, &column) in forward.iter().enumerate() {
            x[(i, column)] = 1.0;
        }
        r.transpose().solve_lower_triangular_in_place(x.as_mut());
        return (qr.compute_thin_Q() * x, true);
    }
    let Ok(svd) = a.thin_svd() else {
        return (Mat::zeros(n, m), false);
    };
    let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
    let cut = f64::EPSILON * m.max(n) as f64 * s.iter().copied().fold(0.0, f64::max);
    let scaled = Mat::from_fn(n, s.nrows(), |i, k| {
        if s[k] > cut { v[(i, k)] / s[k] } else { 0.0 }
    });
    (&scaled * u.transpose(), false)
}

/// As numerical rank is usually defined: what is above the rounding in the largest column.
pub(crate) fn rank(qr: &ColPivQr<f64>) -> usize {
    let r = qr.thin_R();
    let size = r.nrows().min(r.ncols());
    let largest = if size > 0 { r[(0, 0)].abs() } else { 0.0 };
    let cut = largest * f64::EPSILON * qr.nrows().max(qr.ncols()) as f64;
    // Written so that a NaN is no rank.
    (0..size).take_while(|&i| r[(i, i)].abs() > cut).count()
}

/// The outcome of [`shortest`].
#[derive(Debug)]
pub(crate) struct Shortest {
    /// Δ, `[batch, n]`.
    pub(crate) delta: Tensor<2>,
    /// Whether the sample's matrix has full row rank. Without it Δ is the shortest least-squares
    /// solution, and the matrix gets no gradient.
    pub(crate) full_rank: Vec<bool>,
}

/// Δ = A⁺r for r `[batch, m]` and A `[1 or batch, m, n]`. Gradients reach r, and A where tracked.
pub(crate) fn shortest(
    a: Tensor<3>,
    inverses: Arc<Inverses>,
    r: Tensor<2>,
) -> Result<Shortest, Error> {
    let ([_, m, n], batch) = (a.dims(), r.dims()[0]);
    let numbers = host::read("residual", &r)?;
    let mut delta = vec![0.0; batch * n];
    delta
        .par_chunks_exact_mut(n)
        .zip(numbers.par_chunks_exact(m))
        .enumerate()
        .for_each(|(sample, (delta, r))| times(inverses.of(sample), r, delta));
    let full_rank = (0..batch)
        .map(|sample| inverses.full_rank(sample))
        .collect();
    let (device, dtype) = (r.device(), r.dtype());
    let adjoint = ShortestAdjoint {
        shared: a.dims()[0] == 1,
        matrix_tracked: a.is_tracked(),
        inverses,
        delta: delta.clone(),
        m,
        n,
    };
    let inputs = vec![host::Input::new(a), host::Input::new(r)];
    let delta = host::record(delta, [batch, n], &device, dtype, inputs, Arc::new(adjoint));
    Ok(Shortest { delta, full_rank })
}

/// out = M v.
fn times(matrix: MatRef<'_, f64>, v: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (j, &v) in v.iter().enumerate() {
        if v != 0.0 {
            for (out, entry) in out.iter_mut().zip(matrix.col(j).iter()) {
                *out += entry * v;
            }
        }
    }
}

/// out = Mᵀ v.
fn transposed_times(matrix: MatRef<'_, f64>, v: &[f64]) -> Vec<f64> {
    (0..matrix.ncols())
        .map(|j| matrix.col(j).iter().zip(v).map(|(a, b)| a * b).sum())
        .collect()
}

/// With v = A⁺ᵀΔ̄ and w = A⁺ᵀΔ: r̄ = v, Ā = w(Δ̄ − Aᵀv)ᵀ − vΔᵀ. At full row rank Aᵀv = A⁺AΔ̄ is the
/// projection of Δ̄ on the range of A⁺.
#[derive(Debug)]
struct ShortestAdjoint {
    inverses: Arc<Inverses>,
    delta: Vec<f64>,
    shared: bool,
    matrix_tracked: bool,
    m: usize,
    n: usize,
}

impl host::HostAdjoint for ShortestAdjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let (m, n) = (self.m, self.n);
        let batch = cotangent.len() / n;
        let residual: Vec<f64> = cotangent
            .par_chunks_exact(n)
            .enumerate()
            .flat_map_iter(|(sample, c)| transposed_times(self.inverses.of(sample), c))
            .collect();
        if !self.matrix_tracked {
            let copies = if self.shared { 1 } else { batch };
            return vec![vec![0.0; copies * m * n], residual];
        }
        let mut matrix = vec![0.0; batch * m * n];
        matrix
            .par_chunks_exact_mut(m * n)
            .enumerate()
            .filter(|(sample, _)| self.inverses.full_rank(*sample))
            .for_each(|(sample, out)| {
                let inverse = self.inverses.of(sample);
                let delta = &self.delta[sample * n..][..n];
                let c = &cotangent[sample * n..][..n];
                let v = &residual[sample * m..][..m];
                let w = transposed_times(inverse, delta);
                let off = orthogonal_part(inverse, c);
                for i in 0..m {
                    for j in 0..n {
                        out[i * n + j] = w[i] * off[j] - v[i] * delta[j];
                    }
                }
            });
        vec![reduce(matrix, m * n, self.shared), residual]
    }
}

/// Δ̄ less its projection on the columns of A⁺, the row space of A.
fn orthogonal_part(inverse: MatRef<'_, f64>, c: &[f64]) -> Vec<f64> {
    let q = inverse.qr().compute_thin_Q();
    let along = transposed_times(q.as_ref(), c);
    let mut inside = vec![0.0; c.len()];
    times(q.as_ref(), &along, &mut inside);
    c.iter().zip(&inside).map(|(c, p)| c - p).collect()
}
