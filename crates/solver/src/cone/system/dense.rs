//! The system as a dense matrix.

use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, Side};

use super::Rank;
use crate::cone::geometry::{Direction, Local};
use crate::cone::problem::ConeSample;
use crate::dense::{axpy, max_abs};

/// Refinement steps at most.
const REFINEMENTS: usize = 3;

/// Pivots that spread further than this go to the eigenvalue decomposition, which tells a singular
/// system from a badly scaled one.
const PIVOT_SPREAD: f64 = 1e12;

/// Curvature above which a cone is next to flat.
const FLAT: f64 = 1e12;

/// A factored dense system.
pub(crate) struct Dense {
    n: usize,
    directions: Vec<Direction>,
    matrix: Mat<f64>,
    form: Form,
    pub(crate) rank: Rank,
}

enum Form {
    Lu(PartialPivLu<f64>),
    /// Eigenvectors and pseudo-inverted eigenvalues: the least-norm solution.
    Eigen(Mat<f64>, Vec<f64>),
}

impl Dense {
    /// Assembles and factors; `None` only for numbers that are not finite.
    pub(crate) fn new(
        sample: &ConeSample<'_>,
        local: &Local,
        rank_tolerance: f64,
    ) -> Option<Dense> {
        let directions: Vec<Direction> = local.explicit().into_iter().map(in_proportion).collect();
        let matrix = assemble(sample, &directions);
        if !matrix.norm_max().is_finite() {
            return None;
        }
        let lu = matrix.partial_piv_lu();
        let pivots = lu.U();
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for i in 0..matrix.nrows() {
            let pivot = pivots[(i, i)].abs();
            (low, high) = (low.min(pivot), high.max(pivot));
        }
        let condition = high / low;
        let (form, rank) = if condition <= PIVOT_SPREAD {
            let rank = Rank {
                deficient: false,
                condition,
            };
            (Form::Lu(lu), rank)
        } else {
            pseudo_inverse(&matrix, rank_tolerance)?
        };
        Some(Dense {
            n: sample.n,
            directions,
            matrix,
            form,
            rank,
        })
    }

    /// Solves for `dx` and `dz`, both overwritten; returns the relative residual.
    pub(crate) fn solve(&self, right: (&[f64], &[f64]), dx: &mut [f64], dz: &mut [f64]) -> f64 {
        let mut wanted = right.0.to_vec();
        wanted.extend(self.directions.iter().map(|t| t.dot(right.1)));
        dx.fill(0.0);
        dz.fill(0.0);
        let size = max_abs(&wanted);
        if size == 0.0 {
            return 0.0;
        }
        let mut x = self.apply(&wanted);
        let mut rest = self.residual(&wanted, &x);
        let mut error = max_abs(&rest);
        for _ in 0..REFINEMENTS {
            if !(error > 1e-15 * size) {
                break;
            }
            let step = self.apply(&rest);
            let next: Vec<f64> = x.iter().zip(&step).map(|(a, b)| a + b).collect();
            let next_rest = self.residual(&wanted, &next);
            let next_error = max_abs(&next_rest);
            // A NaN stops as well.
            if !(next_error < error) {
                break;
            }
            (x, rest, error) = (next, next_rest, next_error);
        }
        let (of_x, of_directions) = x.split_at(self.n);
        dx.copy_from_slice(of_x);
        for (t, u) in self.directions.iter().zip(of_directions) {
            t.add_to(*u, dz);
        }
        error / size
    }

    fn residual(&self, wanted: &[f64], x: &[f64]) -> Vec<f64> {
        let mut rest = wanted.to_vec();
        for (j, x) in x.iter().enumerate() {
            for (rest, v) in rest.iter_mut().zip(self.matrix.col(j).iter()) {
                *rest -= v * x;
            }
        }
        rest
    }

    fn apply(&self, rhs: &[f64]) -> Vec<f64> {
        let size = rhs.len();
        match &self.form {
            Form::Lu(lu) => {
                let mut column = Mat::from_fn(size, 1, |i, _| rhs[i]);
                lu.solve_in_place(column.as_mut());
                column.col(0).iter().copied().collect()
            }
            Form::Eigen(vectors, inverses) => {
                let mut out = vec![0.0; size];
                for (j, inverse) in inverses.iter().enumerate() {
                    if *inverse == 0.0 {
                        continue;
                    }
                    let along: f64 = vectors.col(j).iter().zip(rhs).map(|(a, b)| a * b).sum();
                    for (out, v) in out.iter_mut().zip(vectors.col(j).iter()) {
                        *out += inverse * along * v;
                    }
                }
                out
            }
        }
    }
}

/// The direction as it is or, where its curvature γ would make every other number of the system count for zero, by
/// `1/√(1 + γ)` with a curvature of `γ/(1 + γ)`: the same system. Cones that are next to flat, as the exponential one is far
/// out, have curvatures of 1e20. Others are left alone: near a kink the least-norm step is in the directions' own lengths.
fn in_proportion(direction: Direction) -> Direction {
    let curvature = direction.curvature;
    if curvature < FLAT {
        return direction;
    }
    let factor = (1.0 + curvature).sqrt().recip();
    let Direction { first, entries, .. } = direction;
    Direction {
        first,
        entries: entries.into_iter().map(|v| factor * v).collect(),
        // An infinite one is 1.
        curvature: (1.0 + curvature.recip()).recip(),
    }
}

fn assemble(sample: &ConeSample<'_>, directions: &[Direction]) -> Mat<f64> {
    let (n, count) = (sample.n, directions.len());
    let mut matrix = Mat::zeros(n + count, n + count);
    if let Some(p) = sample.p {
        for (row, column, v) in p.iter() {
            matrix[(row, column)] += v;
            if row != column {
                matrix[(column, row)] += v;
            }
        }
    }
    // What each row has of the directions, which are those of one cone and mostly consecutive: the
    // first of them, and the entries from there on. An entry of A adds a multiple of them.
    let mut of_row: Vec<(usize, Vec<f64>)> = vec![(0, Vec::new()); sample.m];
    for (at, direction) in directions.iter().enumerate() {
        for (offset, entry) in direction.entries.iter().enumerate() {
            if *entry != 0.0 {
                let (first, entries) = &mut of_row[direction.first + offset];
                if entries.is_empty() {
                    *first = at;
                }
                entries.resize(at - *first, 0.0);
                entries.push(*entry);
            }
        }
        matrix[(n + at, n + at)] = -direction.curvature;
    }
    for (row, column, v) in sample.a.iter() {
        let (first, entries) = &of_row[row];
        let into = &mut matrix.col_as_slice_mut(column)[n + first..][..entries.len()];
        axpy(v, entries, into);
    }
    for column in 0..n {
        for at in n..n + count {
            matrix[(column, at)] = matrix[(at, column)];
        }
    }
    matrix
}

fn pseudo_inverse(matrix: &Mat<f64>, rank_tolerance: f64) -> Option<(Form, Rank)> {
    let eigen = matrix.self_adjoint_eigen(Side::Lower).ok()?;
    let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
    let largest = max_abs(&values);
    let kept = |v: f64| v.abs() > rank_tolerance * largest;
    let inverses: Vec<f64> = values
        .iter()
        .map(|v| if kept(*v) { 1.0 / v } else { 0.0 })
        .collect();
    let deficient = inverses.contains(&0.0);
    let smallest = values
        .iter()
        .map(|v| v.abs())
        .filter(|v| kept(*v))
        .fold(largest, f64::min);
    let rank = Rank {
        deficient,
        condition: if deficient {
            f64::INFINITY
        } else {
            largest / smallest
        },
    };
    Some((Form::Eigen(eigen.U().to_owned(), inverses), rank))
}
