//! The factors of [`Reduced`] as explicit matrices, for products with many right-hand sides.

use faer::Mat;

use crate::active_set::range;
use crate::active_set::reduced::{Form, Reduced, row_norms};
use crate::dense::{add_multiply, multiply, view, view_mut};
use crate::nullspace::{Nullspace, inverse_norm_of, spread};
use crate::problem::{Matrix, Sample};

/// Largest condition of the reduced Hessian. Beyond it the multipliers' matrix
/// `K` would carry relative errors near `1e-16 · 1e9` and the interior point is the safer method.
const CONDITION: f64 = 1e9;

/// The numbers of a [`Reduced`] with [`Form::Explicit`]; what they are is said there.
#[derive(Clone, Debug)]
pub(crate) struct Explicit {
    pub(crate) n: usize,
    pub(crate) p: usize,
    pub(crate) m: usize,
    pub(crate) inverse: Vec<f64>,
    pub(crate) response: Vec<f64>,
    pub(crate) k: Vec<f64>,
    pub(crate) scale: Vec<f64>,
    pub(crate) norms: Vec<f64>,
    pub(crate) split: Option<Nullspace>,
    pub(crate) condition: f64,
}

impl Explicit {
    /// Builds the factors, or `None` when `P` is not safely positive definite on the null space of
    /// `A`.
    pub(crate) fn new(sample: &Sample<'_>) -> Option<Explicit> {
        range::build(sample).or_else(|| Explicit::null_space(sample))
    }

    /// The factors of a diagonal without rows, whose inverse is kept as one.
    pub(crate) fn diagonal(inverse: Vec<f64>, condition: f64) -> Explicit {
        Explicit {
            n: inverse.len(),
            p: 0,
            m: 0,
            inverse,
            response: Vec::new(),
            k: Vec::new(),
            scale: Vec::new(),
            norms: Vec::new(),
            split: None,
            condition,
        }
    }

    /// The factors to compute with.
    pub(crate) fn reduced(&self) -> Reduced<'_> {
        let size = self.n + self.p;
        let form = if self.inverse.len() < size * size {
            Form::Diagonal(&self.inverse)
        } else {
            Form::Explicit {
                inverse: &self.inverse,
                response: &self.response,
            }
        };
        Reduced {
            n: self.n,
            p: self.p,
            m: self.m,
            form,
            k: &self.k,
            scale: &self.scale,
            norms: &self.norms,
            split: self.split.as_ref(),
            condition: self.condition,
        }
    }

    /// Without what only pivots use; the equalities' rows are independent.
    pub(crate) fn without_pivots(self) -> Explicit {
        Explicit {
            k: Vec::new(),
            norms: Vec::new(),
            split: None,
            ..self
        }
    }

    /// How many numbers [`without_pivots`](Self::without_pivots) has.
    pub(crate) fn kept_len(&self) -> usize {
        self.inverse.len() + self.response.len() + self.scale.len()
    }

    /// The construction through an orthonormal basis of the null space of `A`: needs `P` positive
    /// definite only there, and copes with redundant equalities.
    pub(crate) fn null_space(sample: &Sample<'_>) -> Option<Explicit> {
        let n = sample.n;
        let (p, m) = (sample.a.len() / n, sample.g.len() / n);
        let split = Nullspace::new(sample.a, p, n);
        let (rank, free) = (split.rank(), n - split.rank());

        // Reduced Hessian ZᵀPZ and its Cholesky factor.
        let mut pz = Mat::zeros(n, free);
        apply(sample.p, &split.null, &mut pz);
        let mut reduced = Mat::zeros(free, free);
        multiply(reduced.as_mut(), 1.0, split.null.transpose(), pz.as_ref());
        let mut of_hessian = 1.0;
        // Z·L⁻ᵀ, transposed: rows of length n.
        let mut root = split.null.transpose().to_owned();
        if free > 0 {
            let lower = reduced.llt(faer::Side::Lower).ok()?;
            let lower = lower.L();
            let largest = (0..free).map(|j| reduced[(j, j)]).fold(0.0, f64::max);
            let inverse = inverse_norm_of(lower.transpose());
            let pivots = spread((0..free).map(|j| lower[(j, j)] * lower[(j, j)]));
            of_hessian = pivots.max(largest * inverse);
            // NaN must not pass either.
            if !(pivots <= CONDITION && largest * inverse <= CONDITION) {
                return None;
            }
            lower.solve_lower_triangular_in_place(root.as_mut());
        }

        let size = n + p;
        let mut inverse = vec![0.0; size * size];
        {
            let mut block = view_mut(&mut inverse, size, size);
            multiply(
                block.as_mut().submatrix_mut(0, 0, n, n),
                1.0,
                root.transpose(),
                root.as_ref(),
            );
        }
        if rank > 0 {
            // Hat = (I − R·P)·Y with Y a right inverse of A; S = Hatᵀ·P·Hat.
            let y = split.particular();
            let mut py = Mat::zeros(n, rank);
            apply(sample.p, &y, &mut py);
            let mut hat = y;
            let projected = {
                let mut t = Mat::zeros(free, rank);
                multiply(t.as_mut(), 1.0, root.as_ref(), py.as_ref());
                t
            };
            add_multiply(hat.as_mut(), -1.0, root.transpose(), projected.as_ref());
            let mut ph = Mat::zeros(n, rank);
            apply(sample.p, &hat, &mut ph);
            let mut schur = Mat::zeros(rank, rank);
            multiply(schur.as_mut(), -1.0, hat.transpose(), ph.as_ref());
            for (j, &row) in split.kept.iter().enumerate() {
                for i in 0..n {
                    inverse[i * size + n + row] = hat[(i, j)];
                    inverse[(n + row) * size + i] = hat[(i, j)];
                }
                for (l, &other) in split.kept.iter().enumerate() {
                    inverse[(n + row) * size + n + other] = 0.5 * (schur[(j, l)] + schur[(l, j)]);
                }
            }
        }

        // K from the half factor, so that it is a Gram matrix and its diagonal is accurate.
        let rows = view(sample.g, m, n);
        let mut half = Mat::zeros(free, m);
        multiply(half.as_mut(), 1.0, root.as_ref(), rows.transpose());
        let mut norms = Vec::with_capacity(m);
        row_norms(sample.g, n, &mut norms)?;
        let widest = (0..n)
            .map(|i| inverse[i * size + i])
            .fold(0.0f64, f64::max)
            .sqrt();
        let lengths: Vec<f64> = (0..m).map(|i| half.col(i).norm_l2()).collect();
        if !lengths.iter().all(|length| length.is_finite()) {
            return None;
        }
        let scale: Vec<f64> = (0..m)
            .map(|i| {
                let length = lengths[i];
                // What rounding leaves of a row inside the row space of A is about 1e-15 of it.
                if length > 1e-11 * norms[i] * widest {
                    1.0 / length
                } else {
                    0.0
                }
            })
            .collect();
        for i in 0..m {
            half.col_mut(i).iter_mut().for_each(|v| *v *= scale[i]);
        }
        let mut k = vec![0.0; m * m];
        multiply(view_mut(&mut k, m, m), 1.0, half.transpose(), half.as_ref());
        let mut response = vec![0.0; m * size];
        {
            let mut target = view_mut(&mut response, m, size);
            multiply(
                target.as_mut().subcols_mut(0, n),
                1.0,
                half.transpose(),
                root.as_ref(),
            );
            if p > 0 {
                multiply(
                    target.as_mut().subcols_mut(n, p),
                    1.0,
                    rows,
                    view(&inverse, size, size).submatrix(0, n, n, p),
                );
                for i in 0..m {
                    response[i * size + n..(i + 1) * size]
                        .iter_mut()
                        .for_each(|v| *v *= scale[i]);
                }
            }
        }
        let condition = of_hessian * split.condition();
        Some(Explicit {
            n,
            p,
            m,
            inverse,
            response,
            k,
            scale,
            norms,
            split: Some(split),
            condition,
        })
    }
}

/// `out = P · columns`.
fn apply(p: Matrix<'_>, columns: &Mat<f64>, out: &mut Mat<f64>) {
    let n = columns.nrows();
    match p {
        Matrix::Dense(data) => multiply(out.as_mut(), 1.0, view(data, n, n), columns.as_ref()),
        Matrix::Diagonal(d) => {
            for j in 0..columns.ncols() {
                for i in 0..n {
                    out[(i, j)] = d[i] * columns[(i, j)];
                }
            }
        }
    }
}
