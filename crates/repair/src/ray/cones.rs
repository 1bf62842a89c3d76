//! Second-order cones and linear matrix inequalities, which rows l ≤ g(y) ≤ u do not express.

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use faer::{Mat, MatRef, Side};
use feasible_core::{Error, host};
use feasible_kernels::dot;
use feasible_solver::{NotSemidefinite, check_symmetric};
use rayon::prelude::*;

use super::gauge::larger_root;

/// A convex set of [`crate::Rayen`] beside the rows of the constraints. Numbers are row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum RayCone {
    /// ‖Gy + h‖ ≤ cᵀy + e.
    SecondOrder {
        /// G, `[k, n]`.
        matrix: Vec<f64>,
        /// h, `[k]`.
        offset: Vec<f64>,
        /// c, `[n]`.
        direction: Vec<f64>,
        /// e.
        level: f64,
    },
    /// F₀ + Σ yᵢFᵢ positive semidefinite.
    MatrixInequality {
        /// F₀, `[k, k]`, symmetric.
        constant: Vec<f64>,
        /// F₁ to F_n, `[n, k, k]`, symmetric.
        matrices: Vec<f64>,
    },
}

impl RayCone {
    pub(super) fn check(&self, n: usize) -> Result<(), Error> {
        let fits = match self {
            Self::SecondOrder {
                matrix,
                offset,
                direction,
                ..
            } => matrix.len() == offset.len() * n && direction.len() == n,
            Self::MatrixInequality { constant, matrices } => {
                let k = order(constant);
                k * k == constant.len() && k > 0 && matrices.len() == n * k * k
            }
        };
        if fits {
            return self.check_numbers();
        }
        let expected = format!("made for {n} variables, with matrices of one size");
        let got = match self {
            Self::SecondOrder { matrix, offset, .. } => [offset.len(), matrix.len()],
            Self::MatrixInequality { constant, matrices } => [constant.len(), matrices.len()],
        };
        Err(Error::shape("cone", &got, expected))
    }

    fn check_numbers(&self) -> Result<(), Error> {
        let finite =
            |argument, numbers: &[f64]| host::check_finite(argument, numbers, &[numbers.len()]);
        match self {
            Self::SecondOrder {
                matrix,
                offset,
                direction,
                level,
            } => {
                finite("cone.matrix", matrix)?;
                finite("cone.offset", offset)?;
                finite("cone.direction", direction)?;
                finite("cone.level", &[*level])
            }
            Self::MatrixInequality { constant, matrices } => {
                finite("cone.constant", constant)?;
                finite("cone.matrices", matrices)?;
                let k = order(constant);
                let mut all = constant
                    .chunks_exact(k * k)
                    .chain(matrices.chunks_exact(k * k));
                let asymmetric = all.find_map(|m| check_symmetric(m, k, f64::EPSILON).err());
                match asymmetric {
                    Some(NotSemidefinite::Asymmetric { row, column, .. }) => Err(Error::Setting {
                        setting: "cone",
                        got: format!(
                            "a matrix whose entries ({row}, {column}) and ({column}, {row}) differ"
                        ),
                        expected: "symmetric matrices",
                    }),
                    _ => Ok(()),
                }
            }
        }
    }

    /// How far inside `z` is: of a second-order cone cᵀz + e − ‖Gz + h‖, of a matrix inequality its
    /// least eigenvalue.
    pub(super) fn margin(&self, z: &[f64]) -> f64 {
        let n = z.len();
        match self {
            Self::SecondOrder {
                matrix,
                offset,
                direction,
                level,
            } => {
                let norm = matrix
                    .chunks_exact(n)
                    .zip(offset)
                    .map(|(row, h)| (dot(row, z) + h).powi(2))
                    .sum::<f64>();
                dot(direction, z) + level - norm.sqrt()
            }
            Self::MatrixInequality { constant, matrices } => {
                let at = combined(constant, matrices, z);
                at.self_adjoint_eigenvalues(Side::Lower)
                    .map_or(f64::NEG_INFINITY, |values| values[0])
            }
        }
    }

    /// γ(d) at the interior point `z0`, `[batch, 1]`.
    pub(super) fn gauge(&self, z0: &[f64], d: &Tensor<2>) -> Result<Tensor<2>, Error> {
        match self {
            Self::SecondOrder {
                matrix,
                offset,
                direction,
                level,
            } => Ok(second_order(matrix, offset, direction, *level, z0, d)),
            Self::MatrixInequality { constant, matrices } => {
                matrix_inequality(constant, matrices, z0, d)
            }
        }
    }
}

/// The larger root of (r² − ‖p‖²)γ² + 2(rs − pᵀq)γ + s² − ‖q‖² = 0 with p = Gz₀ + h, q = Gd,
/// r = cᵀz₀ + e, s = cᵀd: the boundary is where ‖γp + q‖ = γr + s.
fn second_order(
    matrix: &[f64],
    offset: &[f64],
    direction: &[f64],
    level: f64,
    z0: &[f64],
    d: &Tensor<2>,
) -> Tensor<2> {
    let (n, k) = (z0.len(), offset.len());
    let (device, dtype) = (d.device(), d.dtype());
    let p: Vec<f64> = matrix
        .chunks_exact(n)
        .zip(offset)
        .map(|(row, h)| dot(row, z0) + h)
        .collect();
    let r = dot(direction, z0) + level;
    let write = |values: &[f64], shape: [usize; 2]| {
        host::write::<2>(values.to_vec(), shape, &device, dtype)
    };
    let s = d.clone().matmul(write(direction, [1, n]).transpose());
    let (across, length) = match k {
        0 => (s.zeros_like(), s.zeros_like()),
        _ => {
            let q = d.clone().matmul(write(matrix, [k, n]).transpose());
            (
                (q.clone() * write(&p, [1, k])).sum_dim(1),
                q.square().sum_dim(1),
            )
        }
    };
    let inside = s.full_like(r * r - dot(&p, &p));
    let half = across - s.clone() * r;
    // γ = (b + √(b² + 4·inside·c))/(2·inside) with b = 2·half and c = ‖q‖² − s².
    larger_root(inside, half * 2.0, length - s.square())
}

/// The largest eigenvalue of −L⁻¹(Σ dᵢFᵢ)L⁻ᵀ, LLᵀ = F(z₀), or 0.
fn matrix_inequality(
    constant: &[f64],
    matrices: &[f64],
    z0: &[f64],
    d: &Tensor<2>,
) -> Result<Tensor<2>, Error> {
    let (k, n) = (order(constant), z0.len());
    let directions = host::read("direction", d)?;
    // Found positive definite when the margin was checked.
    let Ok(factor) = combined(constant, matrices, z0).llt(Side::Lower) else {
        let batch = d.dims()[0];
        let none = vec![f64::NAN; batch];
        return Ok(host::write(none, [batch, 1], &d.device(), d.dtype()));
    };
    // −L⁻¹FᵢL⁻ᵀ once for every variable.
    let scaled: Vec<Mat<f64>> = matrices
        .chunks_exact(k * k)
        .map(|matrix| {
            let mut left = Mat::from_fn(k, k, |i, j| -matrix[i * k + j]);
            factor.L().solve_lower_triangular_in_place(left.as_mut());
            let mut right = left.transpose().to_owned();
            factor.L().solve_lower_triangular_in_place(right.as_mut());
            right
        })
        .collect();
    let (values, gradients): (Vec<f64>, Vec<Vec<f64>>) = directions
        .par_chunks_exact(n)
        .map(|d| largest_eigenvalue(&scaled, d, k))
        .unzip();
    let batch = values.len();
    let adjoint = Arc::new(EigenvalueAdjoint { gradients });
    let (device, dtype) = (d.device(), d.dtype());
    let inputs = vec![host::Input::new(d.clone())];
    Ok(relu(host::record(
        values,
        [batch, 1],
        &device,
        dtype,
        inputs,
        adjoint,
    )))
}

/// λ of Σ dᵢMᵢ and its gradient wᵀMᵢw, w the unit eigenvector.
fn largest_eigenvalue(matrices: &[Mat<f64>], d: &[f64], k: usize) -> (f64, Vec<f64>) {
    let mut sum = Mat::<f64>::zeros(k, k);
    for (matrix, &d) in matrices.iter().zip(d) {
        for j in 0..k {
            for i in 0..k {
                sum[(i, j)] += d * matrix[(i, j)];
            }
        }
    }
    let Ok(eigen) = sum.self_adjoint_eigen(Side::Lower) else {
        return (f64::NAN, vec![0.0; d.len()]);
    };
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    let w: Vec<f64> = vectors.col(k - 1).iter().copied().collect();
    let along = |matrix: &Mat<f64>| {
        let column = |j: usize| (0..k).map(|i| w[i] * matrix[(i, j)]).sum::<f64>();
        (0..k).map(|j| w[j] * column(j)).sum()
    };
    (values[k - 1], matrices.iter().map(along).collect())
}

#[derive(Debug)]
struct EigenvalueAdjoint {
    gradients: Vec<Vec<f64>>,
}

impl host::HostAdjoint for EigenvalueAdjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let scaled = self.gradients.iter().zip(cotangent);
        vec![
            scaled
                .flat_map(|(gradient, c)| gradient.iter().map(move |g| g * c))
                .collect(),
        ]
    }
}

fn combined(constant: &[f64], matrices: &[f64], z: &[f64]) -> Mat<f64> {
    let k = order(constant);
    let mut sum = MatRef::from_row_major_slice(constant, k, k).to_owned();
    for (matrix, z) in matrices.chunks_exact(k * k).zip(z) {
        for i in 0..k {
            for j in 0..k {
                sum[(i, j)] += z * matrix[i * k + j];
            }
        }
    }
    sum
}

fn order(matrix: &[f64]) -> usize {
    (matrix.len() as f64).sqrt().round() as usize
}
