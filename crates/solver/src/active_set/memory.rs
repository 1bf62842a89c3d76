//! Working memory of a run of samples, and the matrix products over the run that fill it.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::active_set::pivot::Pivots;
use crate::active_set::reduced::Reduced;
use crate::active_set::shared::WorkingRows;
use crate::dense::{add_multiply, multiply, view, view_mut};
use crate::problem::{Matrix, Problem, Sample};
use crate::work::KEPT_BY_THREAD;

thread_local! {
    static KEPT: RefCell<Option<Memory>> = const { RefCell::new(None) };
}

/// The memory of the thread that asks for it, which gets it back: to fill a small batch's with zeros anew takes a
/// twentieth of the time of what is then done in it.
pub(crate) struct Lent(Memory);

/// Working memory of a run. Before it is written, what it holds is of whatever run was before.
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
    /// The rows and variables that the pivots are for.
    pivots_for: [usize; 2],
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

impl Lent {
    /// Memory for `count` samples of a problem.
    pub(crate) fn new(problem: &Problem<'_>, count: usize) -> Lent {
        let mut memory = KEPT.take().unwrap_or_else(Memory::new);
        memory.resize(problem, count);
        Lent(memory)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut memory = std::mem::replace(&mut self.0, Memory::new());
        if memory.len() <= KEPT_BY_THREAD {
            // A thread that ends has no more runs.
            let _ = KEPT.try_with(|kept| kept.replace(Some(memory)));
        }
    }
}

impl Deref for Lent {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.0
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Memory {
        &mut self.0
    }
}

impl Memory {
    fn new() -> Memory {
        Memory {
            point: Vec::new(),
            rhs: Vec::new(),
            rows: Vec::new(),
            multipliers: Vec::new(),
            products: Products::default(),
            pivots: Pivots::new(0, 0),
            pivots_for: [0, 0],
            start: Vec::new(),
            lower: Vec::new(),
            upper: Vec::new(),
            targets: Vec::new(),
            before: (Vec::new(), Vec::new()),
            working: WorkingRows::default(),
            guess: Vec::new(),
            work: Vec::new(),
        }
    }

    /// Makes it that of `count` samples of a problem.
    pub(crate) fn resize(&mut self, problem: &Problem<'_>, count: usize) {
        let [n, p, m] = [
            problem.n,
            problem.equality_rows(),
            problem.inequality_rows(),
        ];
        if self.pivots_for != [m, n] {
            self.pivots = Pivots::new(m, n);
            self.pivots_for = [m, n];
        }
        for (numbers, len) in self.numbers([n, p, m], count) {
            numbers.resize(len, 0.0);
        }
    }

    /// Its numbers, and how many of them a run has.
    fn numbers(&mut self, [n, p, m]: [usize; 3], count: usize) -> [(&mut Vec<f64>, usize); 15] {
        let products = &mut self.products;
        [
            (&mut self.point, count * (n + p)),
            (&mut self.rhs, count * (n + p)),
            (&mut self.before.0, count * (n + p)),
            (&mut products.gradient, count * n),
            (&mut products.px, count * n),
            (&mut products.ax, count * p),
            (&mut products.gx, count * m),
            (&mut products.lambda, count * m),
            (&mut self.rows, count * m),
            (&mut self.multipliers, count * m),
            (&mut self.targets, count * m),
            (&mut self.before.1, count * m),
            (&mut self.start, m),
            (&mut self.lower, m),
            (&mut self.upper, m),
        ]
    }

    /// How many numbers there is memory for.
    fn len(&mut self) -> usize {
        let [m, n] = self.pivots_for;
        let of_pivots = m.saturating_mul(2 * m.min(n));
        let numbers = self.numbers([0; 3], 0);
        numbers.iter().fold(of_pivots, |sum, (numbers, _)| {
            sum.saturating_add(numbers.capacity())
        })
    }
}

/// Products of the optimality system with a run of points.
#[derive(Default)]
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
