//! The least-distance form of [`Reduced`], for matrices that one sample has for itself.
//!
//! With `P = LLᵀ` and `u = Lᵀx` the objective is a distance, the rows are `Â = AL⁻ᵀ`, `Ĝ = GL⁻ᵀ`
//! (Goldfarb & Idnani 1983, §3), and with `Â = TQ`, `Q` orthonormal, what the equalities leave of
//! the inequality rows is `N = Ĝ − ĜQᵀQ`, `K = NNᵀ`. A quarter of the work of forming the inverse
//! and its products with the rows, which pays when many samples use them, and a third of the
//! memory.

mod build;

pub(crate) use build::Builder;

use faer::MatRef;
use feasible_kernels::{solve_transposed, solve_upper};

use crate::active_set::reduced::{Form, Reduced};
use crate::cut::Cut;
use crate::dense::{axpy, dot, vectorised, view_mut};
use crate::problem::Problem;
#[cfg(test)]
use crate::problem::{Matrix, Sample};

/// Lines are padded with zeros to a multiple of this, so that products have no tails.
const LANES: usize = 8;

/// Products of more multiplications than this go to faer.
const LARGE: usize = 1 << 15;

/// Sizes of a sample's factors. Their numbers lie one after the other in one slice, because samples by the
/// hundred have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    n: usize,
    p: usize,
    m: usize,
    /// Whether `P` is.
    diagonal: bool,
}

impl Layout {
    /// That of every sample of a problem.
    pub(crate) fn of(problem: &Problem<'_>) -> Layout {
        Layout {
            n: problem.n,
            p: problem.equality_rows(),
            m: problem.inequality_rows(),
            diagonal: problem.p.is_diagonal(),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_sample(sample: &Sample<'_>) -> Layout {
        let n = sample.n;
        Layout {
            n,
            p: sample.a.len() / n,
            m: sample.g.len() / n,
            diagonal: matches!(sample.p, Matrix::Diagonal(_)),
        }
    }

    /// How many numbers `P` has.
    pub(crate) fn p_len(self) -> usize {
        if self.diagonal {
            self.n
        } else {
            self.n * self.n
        }
    }

    /// How many numbers a sample's factors have.
    pub(crate) fn len(self) -> usize {
        let (p, m) = (self.p, self.m);
        self.root() + (p + m) * (self.width() + p) + m
    }

    /// Those of `L`.
    fn root(self) -> usize {
        if self.diagonal {
            self.n
        } else {
            self.n * (self.n + 1)
        }
    }

    /// Line length: `n` and padding.
    fn width(self) -> usize {
        self.n.next_multiple_of(LANES)
    }

    fn cut(self, numbers: &[f64]) -> LeastDistance<'_> {
        let (p, m, width) = (self.p, self.m, self.width());
        let (root, rest) = numbers.split_at(self.root());
        let (q, rest) = rest.split_at(p * width);
        let (rows, rest) = rest.split_at(m * width);
        let (t, rest) = rest.split_at(p * p);
        let (v, scale) = rest.split_at(m * p);
        LeastDistance {
            width,
            root: Root::of(root, self),
            q,
            rows,
            t,
            v,
            scale,
        }
    }

    fn reduced<'a>(self, numbers: &'a [f64], condition: f64) -> Reduced<'a> {
        let factors = self.cut(numbers);
        Reduced {
            n: self.n,
            p: self.p,
            m: self.m,
            form: Form::LeastDistance(factors),
            k: &[],
            scale: factors.scale,
            norms: &[],
            split: None,
            condition,
        }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeastDistance<'a> {
    width: usize,
    root: Root<'a>,
    /// `Q`, `[p, width]`.
    q: &'a [f64],
    /// `N` with scaled rows, `[m, width]`.
    rows: &'a [f64],
    /// The lower triangle `T`, `[p, p]`.
    t: &'a [f64],
    /// `ĜQᵀ` with scaled rows, `[m, p]`.
    v: &'a [f64],
    /// The rows' scales, `[m]`.
    scale: &'a [f64],
}

/// `L`.
#[derive(Clone, Copy, Debug)]
enum Root<'a> {
    /// `1 / L`.
    Diagonal(&'a [f64]),
    /// `Lᵀ` by rows; below its diagonal what `P` has there.
    Dense {
        upper: &'a [f64],
        /// `1 / L_ii`.
        inverses: &'a [f64],
    },
}

/// Factors that outlive the pivots.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Those of a [`Layout`].
    pub(crate) numbers: Cut<f64>,
    pub(crate) condition: f64,
}

impl Kept {
    /// The factors, without what only pivots use.
    pub(crate) fn reduced(&self, layout: Layout) -> Reduced<'_> {
        layout.reduced(&self.numbers, self.condition)
    }
}

impl<'a> Root<'a> {
    fn of(numbers: &'a [f64], layout: Layout) -> Root<'a> {
        if layout.diagonal {
            return Root::Diagonal(numbers);
        }
        let (upper, inverses) = numbers.split_at(layout.n * layout.n);
        Root::Dense { upper, inverses }
    }

    /// `lines · L⁻ᵀ`, padded lines in place.
    #[inline(always)]
    fn rows(&self, lines: &mut [f64], n: usize, width: usize) {
        if let Root::Dense { upper, .. } = self
            && lines.len() * n > LARGE
        {
            let lower = MatRef::from_column_major_slice(upper, n, n);
            let block = view_mut(lines, lines.len() / width, width).subcols_mut(0, n);
            lower.solve_lower_triangular_in_place(block.transpose_mut());
            return;
        }
        for line in lines.chunks_exact_mut(width) {
            self.solve(&mut line[..n]);
        }
    }

    /// `line ← L⁻¹ line`.
    #[inline(always)]
    fn solve(&self, line: &mut [f64]) {
        match self {
            Root::Diagonal(inverse) => {
                line.iter_mut().zip(*inverse).for_each(|(v, d)| *v *= d);
            }
            Root::Dense { upper, inverses } => solve_transposed(upper, |i| inverses[i], line),
        }
    }

    /// `line ← L⁻ᵀ line`.
    #[inline(always)]
    fn solve_transpose(&self, line: &mut [f64]) {
        match self {
            Root::Diagonal(_) => self.solve(line),
            Root::Dense { upper, inverses } => solve_upper(upper, |i| inverses[i], line),
        }
    }
}

impl LeastDistance<'_> {
    /// `(x, ν)` of `[P Aᵀ; A 0] (x, ν) = rhs`.
    pub(crate) fn point(&self, rhs: &[f64], n: usize, out: &mut [f64], work: &mut Vec<f64>) {
        let (width, p) = (self.width, rhs.len() - n);
        let (q, t) = (self.q, self.t);
        work.clear();
        work.resize(width, 0.0);
        let u = &mut work[..];
        u[..n].copy_from_slice(&rhs[..n]);
        let (x, nu) = out.split_at_mut(n);
        vectorised(
            #[inline(always)]
            || {
                self.root.solve(&mut u[..n]);
                // Q u is c = T⁻¹ b at the solution, so u loses Qᵀ(Q u − c), and Tᵀν = Q u − c.
                nu.copy_from_slice(&rhs[n..]);
                for i in 0..p {
                    let line = &t[i * p..i * p + i + 1];
                    nu[i] = (nu[i] - dot(&line[..i], &nu[..i])) / line[i];
                }
                for (nu, q) in nu.iter_mut().zip(q.chunks_exact(width)) {
                    *nu = dot(q, u) - *nu;
                }
                for (nu, q) in nu.iter().zip(q.chunks_exact(width)) {
                    axpy(-nu, q, u);
                }
                back_substitute(t, nu);
                self.root.solve_transpose(&mut u[..n]);
            },
        );
        x.copy_from_slice(&u[..n]);
    }

    /// Takes the response to scaled multipliers off `(x, ν)`.
    pub(crate) fn respond(
        &self,
        multipliers: &[f64],
        n: usize,
        point: &mut [f64],
        work: &mut Vec<f64>,
    ) {
        let (width, p) = (self.width, point.len() - n);
        let (rows, t, v) = (self.rows, self.t, self.v);
        work.clear();
        work.resize(width + p, 0.0);
        let (u, nu) = work.split_at_mut(width);
        vectorised(
            #[inline(always)]
            || {
                let lines = rows.chunks_exact(width).enumerate();
                for ((i, line), lambda) in lines.zip(multipliers) {
                    if *lambda != 0.0 {
                        axpy(*lambda, line, u);
                        axpy(*lambda, &v[i * p..(i + 1) * p], nu);
                    }
                }
                back_substitute(t, nu);
                self.root.solve_transpose(&mut u[..n]);
                axpy(-1.0, &u[..n], &mut point[..n]);
                axpy(-1.0, nu, &mut point[n..]);
            },
        );
    }
}

/// `nu ← T⁻ᵀ nu`.
#[inline(always)]
fn back_substitute(t: &[f64], nu: &mut [f64]) {
    let p = nu.len();
    for i in (0..p).rev() {
        let line = &t[i * p..i * p + i + 1];
        let v = nu[i] / line[i];
        nu[i] = v;
        axpy(-v, &line[..i], &mut nu[..i]);
    }
}
