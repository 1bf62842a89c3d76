//! The batched problem: objective, equalities, two-sided linear rows, quadratic rows.

use crate::adjoint::accumulate::{Parameter, numbers};
use crate::batch::{Symmetric, Values};
use crate::dense::{max_abs, vectorised};

/// Linear equalities `A x = b`.
#[derive(Clone, Copy, Debug)]
pub struct Equalities<'a> {
    /// Number of rows, `p`.
    pub rows: usize,
    /// `A`, `[p, n]` row-major.
    pub a: Values<'a>,
    /// `b`, `[p]`.
    pub b: Values<'a>,
}

/// Two-sided linear rows `l ≤ G x ≤ u`.
#[derive(Clone, Copy, Debug)]
pub struct Inequalities<'a> {
    /// Number of rows, `m`.
    pub rows: usize,
    /// `G`, `[m, n]` row-major.
    pub g: Values<'a>,
    /// `l`, `[m]`; `-inf` where the row has no lower bound.
    pub l: Values<'a>,
    /// `u`, `[m]`; `+inf` where the row has no upper bound. `l = u` makes the row an equality.
    pub u: Values<'a>,
}

/// Convex quadratic rows `xᵀH_i x + g_iᵀx ≤ c_i` (no ½).
#[derive(Clone, Copy, Debug)]
pub struct Quadratics<'a> {
    /// Number of rows, `k`.
    pub rows: usize,
    /// `H`, `[k, n, n]` or `[k, n]` for diagonals; each positive semidefinite.
    pub h: Symmetric<'a>,
    /// Linear parts, `[k, n]`.
    pub g: Values<'a>,
    /// Right-hand sides, `[k]`; `+inf` switches a row off.
    pub c: Values<'a>,
}

/// A batch of convex quadratically constrained quadratic programs of one shape:
///
/// ```text
/// min ½ xᵀP x + qᵀx   s.t.   A x = b,   l ≤ G x ≤ u,   xᵀH_i x + g_iᵀx ≤ c_i  (i = 1..k)
/// ```
///
/// `P` and every `H_i` are symmetric positive semidefinite. The Lagrangian, which fixes the signs
/// of all duals, is
/// `½xᵀPx + qᵀx + νᵀ(Ax−b) + λ_uᵀ(Gx−u) − λ_lᵀ(Gx−l) + Σ μ_i(xᵀH_i x + g_iᵀx − c_i)`.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Number of samples.
    pub batch: usize,
    /// Number of variables of one sample.
    pub n: usize,
    /// `P`, `[n, n]` or its diagonal `[n]`.
    pub p: Symmetric<'a>,
    /// `q`, `[n]`.
    pub q: Values<'a>,
    /// Linear equalities.
    pub equalities: Option<Equalities<'a>>,
    /// Two-sided linear rows.
    pub inequalities: Option<Inequalities<'a>>,
    /// Convex quadratic rows.
    pub quadratics: Option<Quadratics<'a>>,
}

impl<'a> Problem<'a> {
    /// Numbers of one copy of a parameter; 0 when the problem lacks it.
    pub fn parameter_len(&self, parameter: Parameter) -> usize {
        numbers(parameter, self).map_or(0, |(_, len)| len)
    }

    /// Number of equality rows, `p`.
    pub fn equality_rows(&self) -> usize {
        self.equalities.map_or(0, |part| part.rows)
    }

    /// Number of two-sided linear rows, `m`.
    pub fn inequality_rows(&self) -> usize {
        self.inequalities.map_or(0, |part| part.rows)
    }

    /// Number of quadratic rows, `k`.
    pub fn quadratic_rows(&self) -> usize {
        self.quadratics.map_or(0, |part| part.rows)
    }

    /// Whether `P`, `A` and `G` are all shared, so that one factorisation serves the batch.
    pub(crate) fn matrices_shared(&self) -> bool {
        self.p.values().is_shared()
            && self.equalities.is_none_or(|part| part.a.is_shared())
            && self.inequalities.is_none_or(|part| part.g.is_shared())
    }

    /// The numbers of one sample.
    pub(crate) fn sample(&self, i: usize) -> Sample<'a> {
        let n = self.n;
        let matrix = |symmetric: Symmetric<'a>, rows: usize| {
            let data = symmetric.values().sample(i, rows * symmetric.entries(n));
            if symmetric.is_diagonal() {
                Matrix::Diagonal(data)
            } else {
                Matrix::Dense(data)
            }
        };
        let (a, b) = self.equalities.map_or((&[][..], &[][..]), |part| {
            (part.a.sample(i, part.rows * n), part.b.sample(i, part.rows))
        });
        let (g, l, u) = self
            .inequalities
            .map_or((&[][..], &[][..], &[][..]), |part| {
                (
                    part.g.sample(i, part.rows * n),
                    part.l.sample(i, part.rows),
                    part.u.sample(i, part.rows),
                )
            });
        let (h, hg, c) =
            self.quadratics
                .map_or((Matrix::Diagonal(&[]), &[][..], &[][..]), |part| {
                    (
                        matrix(part.h, part.rows),
                        part.g.sample(i, part.rows * n),
                        part.c.sample(i, part.rows),
                    )
                });
        Sample {
            n,
            p: matrix(self.p, 1),
            q: self.q.sample(i, n),
            a,
            b,
            g,
            l,
            u,
            h,
            hg,
            c,
        }
    }
}

/// One matrix, or a stack of them, in the form it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Matrix<'a> {
    Dense(&'a [f64]),
    Diagonal(&'a [f64]),
}

impl<'a> Matrix<'a> {
    /// Matrix `i` of the stack.
    pub(crate) fn row(&self, i: usize, n: usize) -> Matrix<'a> {
        match self {
            Matrix::Dense(data) => Matrix::Dense(&data[i * n * n..(i + 1) * n * n]),
            Matrix::Diagonal(data) => Matrix::Diagonal(&data[i * n..(i + 1) * n]),
        }
    }

    /// The numbers it holds.
    pub(crate) fn data(&self) -> &'a [f64] {
        match self {
            Matrix::Dense(data) | Matrix::Diagonal(data) => data,
        }
    }

    /// How many numbers it holds.
    pub(crate) fn len(&self) -> usize {
        self.data().len()
    }

    /// `y += factor · M x`.
    #[inline(always)]
    pub(crate) fn add_product(&self, factor: f64, x: &[f64], y: &mut [f64]) {
        match self {
            Matrix::Diagonal(d) => {
                for ((y, d), x) in y.iter_mut().zip(d.iter()).zip(x) {
                    *y += factor * d * x;
                }
            }
            Matrix::Dense(m) => {
                let n = x.len();
                for (y, row) in y.iter_mut().zip(m.chunks_exact(n)) {
                    *y += factor * crate::dense::dot(row, x);
                }
            }
        }
    }

    /// Largest absolute entry.
    pub(crate) fn max_abs(&self) -> f64 {
        match self {
            Matrix::Dense(data) | Matrix::Diagonal(data) => vectorised(
                #[inline(always)]
                || max_abs(data),
            ),
        }
    }
}

/// The numbers of one sample. Absent parts are empty slices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) n: usize,
    pub(crate) p: Matrix<'a>,
    pub(crate) q: &'a [f64],
    pub(crate) a: &'a [f64],
    pub(crate) b: &'a [f64],
    pub(crate) g: &'a [f64],
    pub(crate) l: &'a [f64],
    pub(crate) u: &'a [f64],
    pub(crate) h: Matrix<'a>,
    pub(crate) hg: &'a [f64],
    pub(crate) c: &'a [f64],
}
