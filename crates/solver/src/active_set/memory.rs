//! Working memory of a run of samples, and the matrix products over the run that fill it.

use crate::active_set::pivot::Pivots;
use crate::active_set::reduced::Reduced;
use crate::active_set::shared::WorkingRows;
use crate::dense::{add_multiply, multiply, view, view_mut};
use crate::problem::{Matrix, Problem, Sample};

/// Working memory of a run, reused by runs of the same sizes.
pub(crate) struct Memory {
    /// `(x, ν)`, `[count, n+p]`.
    pub(crate) point: Vec<f64>,
    /// Right-hand sides for them, `[count, n+p]`.
    pub(crate) rhs: Vec<f64>,
    /// Row values, `[count, m]`.
    pub(super) rows: Vec<f64>,
    /// Scaled multipliers, `[count, m]`.
    pub(crate) multipliers: Vec<f64>,
    pub(crate) products: Products,
    pub(super) pivots: Pivots,
    pub(super) start: Vec<f64>,
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
    /// What the active rows of each sample have to be, `[count, m]`.
    pub(crate) targets: Vec<f64>,
    /// `(x, ν)` and scaled multipliers before a refinement, `[count, n+p]` and `[count, m]`.
    pub(super) before: (Vec<f64>, Vec<f64>),
    /// The working rows of the samples so far.
    pub(super) working: WorkingRows,
    /// The rows that a sample starts from, see [`Pivots::run`].
    pub(super) guess: Vec<(usize, f64)>,
    /// For the factors, as long as they ask for.
    pub(super) work: Vec<f64>,
}

impl Memory {
    /// Memory for `count` samples of a problem.
    pub(crate) fn new(problem: &Problem<'_>, count: usize) -> Memory {
        let (n, p, m) = (
            problem.n,
            problem.equality_rows(),
            problem.inequality_rows(),
        );
        let zeros = |len: usize| vec![0.0; len];
        Memory {
            point: zeros(count * (n + p)),
            rhs: zeros(count * (n + p)),
            rows: zeros(count * m),
            multipliers: zeros(count * m),
            products: Products {
                gradient: zeros(count * n),
                px: zeros(count * n),
                ax: zeros(count * p),
                gx: zeros(count * m),
                lambda: zeros(count * m),
            },
            pivots: Pivots::new(m, n),
            start: zeros(m),
            lower: zeros(m),
            upper: zeros(m),
            targets: zeros(count * m),
            before: (zeros(count * (n + p)), zeros(count * m)),
            working: WorkingRows::default(),
            guess: Vec::new(),
            work: Vec::new(),
        }
    }
}

/// Products of the optimality system with a run of points.
pub(crate) struct Products {
    /// `P x + Aᵀν + Gᵀλ`, `[count, n]`.
    pub(crate) gradient: Vec<f64>,
    /// `P x`, `[count, n]`.
    pub(crate) px: Vec<f64>,
    /// `A x`, `[count, p]`.
    pub(crate) ax: Vec<f64>,
    /// `G x`, `[count, m]`.
    pub(crate) gx: Vec<f64>,
    /// Multipliers of the unscaled rows, `[count, m]`.
    pub(crate) lambda: Vec<f64>,
}

impl Products {
    /// Evaluates at `point` (`(x, ν)` lines) and scaled multipliers.
    pub(crate) fn apply(
        &mut self,
        sample: &Sample<'_>,
        reduced: &Reduced<'_>,
        point: &[f64],
        multipliers: &[f64],
    ) {
        let (n, p, m) = (reduced.n, reduced.p, reduced.m);
        let size = n + p;
        let count = point.len() / size;
        let points = view(point, count, size);
        for (lambda, scaled) in self
            .lambda
            .chunks_exact_mut(m.max(1))
            .zip(multipliers.chunks_exact(m.max(1)))
        {
            for ((lambda, scaled), scale) in lambda.iter_mut().zip(scaled).zip(reduced.scale) {
                *lambda = scale * scaled;
            }
        }
        match sample.p {
            Matrix::Dense(data) => multiply(
                view_mut(&mut self.px, count, n),
                1.0,
                points.subcols(0, n),
                view(data, n, n),
            ),
            Matrix::Diagonal(d) => {
                for (px, line) in self.px.chunks_exact_mut(n).zip(point.chunks_exact(size)) {
                    for ((px, d), x) in px.iter_mut().zip(d).zip(line) {
                        *px = d * x;
                    }
                }
            }
        }
        self.gradient.copy_from_slice(&self.px);
        if p > 0 {
            let a = view(sample.a, p, n);
            add_multiply(
                view_mut(&mut self.gradient, count, n),
                1.0,
                points.subcols(n, p),
                a,
            );
            row_values(point, size, a, count, &mut self.ax);
        }
        if m > 0 {
            let g = view(sample.g, m, n);
            let lambda = view(&self.lambda, count, m);
            add_multiply(view_mut(&mut self.gradient, count, n), 1.0, lambda, g);
            row_values(point, size, g, count, &mut self.gx);
        }
    }
}

/// `rows = x · Gᵀ` for points stored as `(x, ν)`.
pub(crate) fn row_values(
    point: &[f64],
    size: usize,
    g: faer::MatRef<'_, f64>,
    count: usize,
    rows: &mut [f64],
) {
    let (m, n) = (g.nrows(), g.ncols());
    multiply(
        view_mut(rows, count, m),
        1.0,
        view(point, count, size).subcols(0, n),
        g.transpose(),
    );
}
