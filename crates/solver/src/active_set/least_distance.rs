//! The least-distance form of [`Reduced`], for matrices that one sample has for itself.
//!
//! With `P = LLᵀ` and `u = Lᵀx` the objective is a distance, the rows are `Â = AL⁻ᵀ`, `Ĝ = GL⁻ᵀ`
//! (Goldfarb & Idnani 1983, §3), and with `Â = TQ`, `Q` orthonormal, what the equalities leave of
//! the inequality rows is `N = Ĝ − ĜQᵀQ`, `K = NNᵀ`. A quarter of the work of forming the inverse
//! and its products with the rows, which pays when many samples use them, and a third of the
//! memory.

use faer::{Mat, Side};

use crate::active_set::reduced::{Form, Reduced, row_norms};
use crate::dense::{
    add_multiply, axpy, axpy_lines, dot, dots_of_rows, multiply, vectorised, view, view_mut,
};
use crate::nullspace::spread;
use crate::problem::{Matrix, Sample};

/// Largest spread of `P`'s pivots, as for the range-space construction.
const PIVOT_SPREAD: f64 = 1e6;

/// Squared sine below which a row is too close to the span of those it is compared with.
const SQUARED_SINE: f64 = 1e-8;

/// What Gram-Schmidt may take of a row's square before it is done twice.
const ONCE_IS_ENOUGH: f64 = 1e-2;

/// Lines are padded with zeros to a multiple of this, so that products have no tails.
const LANES: usize = 8;

/// Products of more multiplications than this go to faer.
const LARGE: usize = 1 << 15;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct LeastDistance {
    /// Line length: `n` and padding.
    width: usize,
    root: Root,
    /// Equalities and inequality rows.
    sizes: (usize, usize),
    /// `Q`, `[p, width]`; `N` with scaled rows, `[m, width]`; the lower triangle `T`, `[p, p]`; `ĜQᵀ`
    /// with scaled rows, `[m, p]`. In one piece, because samples by the hundred allocate it.
    numbers: Vec<f64>,
}

/// The parts of [`LeastDistance::numbers`]: `Q`, `N`, `T`, `ĜQᵀ`.
fn parts(numbers: &[f64], width: usize, (p, m): (usize, usize)) -> [&[f64]; 4] {
    let (q, rest) = numbers.split_at(p * width);
    let (rows, rest) = rest.split_at(m * width);
    let (t, v) = rest.split_at(p * p);
    [q, rows, t, v]
}

/// `L`.
#[derive(Clone, Debug)]
enum Root {
    /// `1 / L`.
    Diagonal(Vec<f64>),
    Dense(Mat<f64>),
}

/// Builds the factors, or `None` where another construction is safer.
pub(crate) fn build(sample: &Sample<'_>) -> Option<Reduced> {
    let n = sample.n;
    let (p, m) = (sample.a.len() / n, sample.g.len() / n);
    let width = n.next_multiple_of(LANES);
    let (root, pivots) = Root::of(sample.p, n)?;
    let mut numbers = vec![0.0; (p + m) * width + (p + m) * p];
    let (q, rest) = numbers.split_at_mut(p * width);
    let (rows, rest) = rest.split_at_mut(m * width);
    let (t, v) = rest.split_at_mut(p * p);
    root.rows(sample.a, n, width, q);
    root.rows(sample.g, n, width, rows);
    let norms = row_norms(sample.g, n)?;
    let least = 1.0 / (n as f64 * sample.p.max_abs());
    let scale = vectorised(
        #[inline(always)]
        || {
            if !orthonormalise(q, t, width, p) {
                return None;
            }
            project(rows, q, v, width, p, m);
            let mut scale = vec![0.0; m];
            for i in (0..m).filter(|&i| norms[i] > 0.0) {
                let line = &mut rows[i * width..(i + 1) * width];
                let square = dot(line, line);
                // What is left of the row against what it would be without the equalities; P⁻¹ is
                // at least its smallest eigenvalue, 1/‖P‖ up to the dimension. NaN is too little.
                if !(square > SQUARED_SINE * least * norms[i].powi(2)) || square == f64::INFINITY {
                    return None;
                }
                scale[i] = 1.0 / square.sqrt();
                line.iter_mut().for_each(|v| *v *= scale[i]);
                v[i * p..(i + 1) * p]
                    .iter_mut()
                    .for_each(|v| *v *= scale[i]);
            }
            Some(scale)
        },
    )?;
    let mut k = vec![0.0; m * m];
    gram(rows, width, m, &mut k);
    let condition = pivots.max(spread((0..p).map(|j| t[j * (p + 1)])).powi(2));
    Some(Reduced {
        n,
        p,
        m,
        form: Form::LeastDistance(LeastDistance {
            width,
            root,
            sizes: (p, m),
            numbers,
        }),
        k,
        scale,
        norms,
        split: None,
        condition,
    })
}

/// `Â = TQ` by Gram-Schmidt in place. False when a row is nearly in the span of those before it.
#[inline(always)]
fn orthonormalise(q: &mut [f64], t: &mut [f64], width: usize, p: usize) -> bool {
    for i in 0..p {
        let (done, rest) = q.split_at_mut(i * width);
        let line = &mut rest[..width];
        let coefficients = &mut t[i * p..(i + 1) * p];
        let whole = dot(line, line);
        subtract(line, done, coefficients, width);
        let mut left = dot(line, line);
        if left < ONCE_IS_ENOUGH * whole {
            subtract(line, done, coefficients, width);
            left = dot(line, line);
        }
        if !(left > SQUARED_SINE * whole) {
            return false;
        }
        let length = left.sqrt();
        coefficients[i] = length;
        line.iter_mut().for_each(|v| *v /= length);
    }
    true
}

/// Takes the components along orthonormal `lines` out of `line` and adds them to `coefficients`.
#[inline(always)]
fn subtract(line: &mut [f64], lines: &[f64], coefficients: &mut [f64], width: usize) {
    // Four at a time, so that the line is read and written once for them; the last few one by one.
    let mut fours = lines.chunks_exact(4 * width);
    let (whole, last) = coefficients[..lines.len() / width].as_chunks_mut::<4>();
    for (four, coefficients) in (&mut fours).zip(whole) {
        let found = dots_of_rows(line, four);
        axpy_lines(|i| -found[i], four, width, line);
        for (coefficient, found) in coefficients.iter_mut().zip(found) {
            *coefficient += found;
        }
    }
    for (q, coefficient) in fours.remainder().chunks_exact(width).zip(last) {
        let found = dot(q, line);
        axpy(-found, q, line);
        *coefficient += found;
    }
}

/// `V = ĜQᵀ` and `N = Ĝ − VQ` in place.
#[inline(always)]
fn project(rows: &mut [f64], q: &[f64], v: &mut [f64], width: usize, p: usize, m: usize) {
    if p == 0 {
        return;
    }
    let large = m * p * width > LARGE;
    let whole: Vec<f64> = match large {
        true => rows
            .chunks_exact(width)
            .map(|line| dot(line, line))
            .collect(),
        false => Vec::new(),
    };
    if large {
        let q = view(q, p, width);
        multiply(view_mut(v, m, p), 1.0, view(rows, m, width), q.transpose());
        add_multiply(view_mut(rows, m, width), -1.0, view(v, m, p), q);
    }
    let lines = rows.chunks_exact_mut(width).zip(v.chunks_exact_mut(p));
    for (i, (line, coefficients)) in lines.enumerate() {
        let whole = match whole.get(i) {
            Some(whole) => *whole,
            None => {
                let whole = dot(line, line);
                subtract(line, q, coefficients, width);
                whole
            }
        };
        if dot(line, line) < ONCE_IS_ENOUGH * whole {
            subtract(line, q, coefficients, width);
        }
    }
}

/// `K = NNᵀ`.
fn gram(rows: &[f64], width: usize, m: usize, k: &mut [f64]) {
    if m * m * width > LARGE {
        let rows = view(rows, m, width);
        multiply(view_mut(k, m, m), 1.0, rows, rows.transpose());
        return;
    }
    vectorised(
        #[inline(always)]
        || {
            for i in 0..m {
                let line = &rows[i * width..(i + 1) * width];
                let out = &mut k[i * m..i * m + i + 1];
                feasible_kernels::multiply(&rows[..(i + 1) * width], line, out);
                for j in 0..i {
                    k[j * m + i] = k[i * m + j];
                }
            }
        },
    );
}

impl Root {
    /// `L` and the spread of `P`'s pivots.
    fn of(p: Matrix<'_>, n: usize) -> Option<(Root, f64)> {
        let (root, pivots) = match p {
            Matrix::Diagonal(d) => {
                if !d.iter().all(|v| *v > 0.0) {
                    return None;
                }
                let inverse = d.iter().map(|v| 1.0 / v.sqrt()).collect();
                (Root::Diagonal(inverse), spread(d.iter().copied()))
            }
            Matrix::Dense(data) => {
                let factor = view(data, n, n).llt(Side::Lower).ok()?;
                let lower = factor.L().to_owned();
                let pivots = spread((0..n).map(|j| lower[(j, j)].powi(2)));
                (Root::Dense(lower), pivots)
            }
        };
        (pivots < PIVOT_SPREAD).then_some((root, pivots))
    }

    /// `rows · L⁻ᵀ` in padded lines.
    fn rows(&self, rows: &[f64], n: usize, width: usize, out: &mut [f64]) {
        for (line, row) in out.chunks_exact_mut(width).zip(rows.chunks_exact(n)) {
            match self {
                Root::Diagonal(inverse) => {
                    for ((out, v), d) in line.iter_mut().zip(row).zip(inverse) {
                        *out = v * d;
                    }
                }
                Root::Dense(_) => line[..n].copy_from_slice(row),
            }
        }
        if let Root::Dense(lower) = self {
            let count = rows.len() / n;
            let block = view_mut(out, count, width).subcols_mut(0, n);
            lower.solve_lower_triangular_in_place(block.transpose_mut());
        }
    }

    /// `line ← L⁻¹ line`.
    fn solve(&self, line: &mut [f64]) {
        match self {
            Root::Diagonal(inverse) => {
                line.iter_mut().zip(inverse).for_each(|(v, d)| *v *= d);
            }
            Root::Dense(lower) => {
                let n = lower.nrows();
                lower.solve_lower_triangular_in_place(view_mut(line, n, 1));
            }
        }
    }

    /// `line ← L⁻ᵀ line`.
    fn solve_transpose(&self, line: &mut [f64]) {
        match self {
            Root::Diagonal(_) => self.solve(line),
            Root::Dense(lower) => {
                let n = lower.nrows();
                let upper = lower.transpose();
                upper.solve_upper_triangular_in_place(view_mut(line, n, 1));
            }
        }
    }
}

impl LeastDistance {
    /// How many numbers these factors have.
    pub(crate) fn numbers(&self) -> usize {
        let root = match &self.root {
            Root::Diagonal(inverse) => inverse.len(),
            Root::Dense(lower) => lower.nrows() * lower.ncols(),
        };
        self.numbers.len() + root
    }

    /// `(x, ν)` of `[P Aᵀ; A 0] (x, ν) = rhs`.
    pub(crate) fn point(&self, rhs: &[f64], n: usize, out: &mut [f64], work: &mut Vec<f64>) {
        let (width, p) = (self.width, rhs.len() - n);
        let [q, _, t, _] = parts(&self.numbers, width, self.sizes);
        work.clear();
        work.resize(width, 0.0);
        let u = &mut work[..];
        u[..n].copy_from_slice(&rhs[..n]);
        self.root.solve(&mut u[..n]);
        let (x, nu) = out.split_at_mut(n);
        vectorised(
            #[inline(always)]
            || {
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
            },
        );
        self.root.solve_transpose(&mut u[..n]);
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
        let [_, rows, t, v] = parts(&self.numbers, width, self.sizes);
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
            },
        );
        self.root.solve_transpose(&mut u[..n]);
        axpy(-1.0, &u[..n], &mut point[..n]);
        axpy(-1.0, nu, &mut point[n..]);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the multipliers move stays on the equalities, also for a row close to their span.
    #[test]
    fn responses_leave_the_equalities_alone() {
        let n = 12;
        let line = |seed: usize| -> Vec<f64> {
            (0..n)
                .map(|j| ((seed * n + j).pow(2) as f64 * 0.37).sin())
                .collect()
        };
        // Fours of equalities and what is left of them.
        for (count, delta) in [3, 4, 7]
            .into_iter()
            .flat_map(|count| [1.0, 1e-2, 1e-3].map(|delta| (count, delta)))
        {
            let a: Vec<f64> = (0..count).flat_map(line).collect();
            let p: Vec<f64> = (0..n).map(|j| 0.5 + 0.1 * j as f64).collect();
            let mut g = line(0);
            for (g, (b, c)) in g.iter_mut().zip(line(1).iter().zip(&line(9))) {
                *g += b + delta * c;
            }
            let sample = Sample {
                n,
                p: Matrix::Diagonal(&p),
                q: &[0.0; 12],
                a: &a,
                b: &[0.0; 7][..count],
                g: &g,
                l: &[],
                u: &[],
                h: Matrix::Diagonal(&[]),
                hg: &[],
                c: &[],
            };
            let reduced = build(&sample).unwrap();
            let mut point = vec![0.0; n + count];
            reduced.respond(&[1.0], &mut point, &mut vec![]);
            let size = crate::dense::max_abs(&point[..n]);
            let mut worst = 0.0f64;
            for row in a.chunks_exact(n) {
                worst = worst.max(dot(row, &point[..n]).abs() / size);
            }
            // Some units of rounding; without the second pass it is 1e-13 and more.
            assert!(worst < 1e-14, "{count}, {delta:e}: {worst:e}");
        }
    }
}
