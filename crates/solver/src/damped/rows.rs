//! Values and Jacobian rows of blocks of affine and quadratic functions.

use super::DampedProblem;
use crate::batch::Values;
use crate::dense::{dot, max_abs, view, view_mut};

/// A block of rows g_i(y) = yᵀH_i y + a_iᵀy.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Number of rows in the block.
    pub rows: usize,
    /// a, `[rows, n]`.
    pub linear: Values<'a>,
    /// H.
    pub curvature: RowCurvature<'a>,
}

/// The second-order part of a block.
#[derive(Clone, Copy, Debug)]
pub enum RowCurvature<'a> {
    /// Affine rows.
    None,
    /// Diagonals of H, `[rows, n]`.
    Diagonal(Values<'a>),
    /// Symmetric matrices H, `[rows, n, n]`.
    Dense(Values<'a>),
}

impl Rows<'_> {
    /// Whether a sample's Jacobian is the same wherever its variables are.
    pub(super) fn is_affine(&self) -> bool {
        matches!(self.curvature, RowCurvature::None)
    }

    /// Whether every sample has the same constant Jacobian.
    pub(super) fn is_constant(&self) -> bool {
        self.rows == 0 || (self.is_affine() && self.linear.is_shared())
    }

    /// `out = H_row y` of one row; returns false where H is zero.
    fn curvature_product(
        &self,
        sample: usize,
        n: usize,
        row: usize,
        y: &[f64],
        out: &mut [f64],
    ) -> bool {
        match &self.curvature {
            RowCurvature::None => false,
            RowCurvature::Diagonal(h) => {
                let h = &h.sample(sample, self.rows * n)[row * n..(row + 1) * n];
                for j in 0..n {
                    out[j] = h[j] * y[j];
                }
                true
            }
            RowCurvature::Dense(h) => {
                let h = &h.sample(sample, self.rows * n * n)[row * n * n..(row + 1) * n * n];
                for j in 0..n {
                    out[j] = dot(&h[j * n..(j + 1) * n], y);
                }
                true
            }
        }
    }

    fn linear_row(&self, sample: usize, n: usize, row: usize) -> &[f64] {
        &self.linear.sample(sample, self.rows * n)[row * n..(row + 1) * n]
    }
}

/// r = g − clip(g, l, u), written so that infinite bounds give no NaN.
pub(super) fn residual(g: f64, l: f64, u: f64) -> f64 {
    if g > u {
        g - u
    } else if g < l {
        g - l
    } else if g.is_nan() {
        g
    } else {
        0.0
    }
}

/// The block and the row in it of a row of the problem.
pub(super) fn locate(problem: &DampedProblem<'_>, row: usize) -> (usize, usize) {
    let mut row = row;
    for (index, block) in problem.blocks.iter().enumerate() {
        if row < block.rows {
            return (index, row);
        }
        row -= block.rows;
    }
    unreachable!("a row number is below the number of rows")
}

/// g(y) of one sample, `[m]`; `scratch` is `[n]`.
pub(super) fn values(
    problem: &DampedProblem<'_>,
    sample: usize,
    y: &[f64],
    g: &mut [f64],
    scratch: &mut [f64],
) {
    let n = problem.n;
    let mut at = 0;
    for block in &problem.blocks {
        for row in 0..block.rows {
            let a = block.linear_row(sample, n, row);
            g[at] = dot(a, y);
            if block.curvature_product(sample, n, row, y, scratch) {
                g[at] += dot(scratch, y);
            }
            at += 1;
        }
    }
}

/// r(y) of one sample, `[m]`; returns its largest magnitude, NaN if one is. `scratch` is `[n]`.
pub(super) fn residuals(
    problem: &DampedProblem<'_>,
    sample: usize,
    y: &[f64],
    r: &mut [f64],
    scratch: &mut [f64],
) -> f64 {
    let m = r.len();
    values(problem, sample, y, r, scratch);
    let (l, u) = (
        problem.lower.sample(sample, m),
        problem.upper.sample(sample, m),
    );
    for row in 0..m {
        r[row] = residual(r[row], l[row], u[row]);
    }
    max_abs(r)
}

/// Row `row` of the Jacobian at y, `[n]`.
pub(super) fn jacobian_row(
    problem: &DampedProblem<'_>,
    sample: usize,
    row: usize,
    y: &[f64],
    out: &mut [f64],
) {
    let n = problem.n;
    let (block, row) = locate(problem, row);
    let block = &problem.blocks[block];
    let a = block.linear_row(sample, n, row);
    if block.curvature_product(sample, n, row, y, out) {
        for j in 0..n {
            out[j] = 2.0 * out[j] + a[j];
        }
    } else {
        out.copy_from_slice(a);
    }
}

/// `out += factor · H_row v`: what a Jacobian row's cotangent sends back to y, halved.
pub(super) fn add_curvature(
    problem: &DampedProblem<'_>,
    sample: usize,
    row: usize,
    factor: f64,
    v: &[f64],
    out: &mut [f64],
) {
    let n = problem.n;
    let (block, row) = locate(problem, row);
    let block = &problem.blocks[block];
    match &block.curvature {
        RowCurvature::None => {}
        RowCurvature::Diagonal(h) => {
            let h = &h.sample(sample, block.rows * n)[row * n..(row + 1) * n];
            for j in 0..n {
                out[j] += factor * h[j] * v[j];
            }
        }
        RowCurvature::Dense(h) => {
            let h = &h.sample(sample, block.rows * n * n)[row * n * n..(row + 1) * n * n];
            for j in 0..n {
                out[j] += factor * dot(&h[j * n..(j + 1) * n], v);
            }
        }
    }
}

/// The Jacobian `[m, n]` where it is the same constant for every sample.
pub(super) fn constant_jacobian(problem: &DampedProblem<'_>) -> Option<Vec<f64>> {
    if !problem.blocks.iter().all(Rows::is_constant) {
        return None;
    }
    Some(
        problem
            .blocks
            .iter()
            .flat_map(|block| block.linear.data().iter().copied())
            .collect(),
    )
}

/// g = y Jᵀ for many points at once: `y` is `[count, n]`, `g` is `[count, m]`.
pub(super) fn affine_values(jacobian: &[f64], m: usize, n: usize, y: &[f64], g: &mut [f64]) {
    let count = g.len() / m.max(1);
    crate::dense::multiply(
        view_mut(g, count, m),
        1.0,
        view(y, count, n),
        view(jacobian, m, n).transpose(),
    );
}
