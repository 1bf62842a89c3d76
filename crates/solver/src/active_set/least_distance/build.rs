//! Builds the factors.

use feasible_kernels::{CholeskyMemory, cholesky, inverse_norm, inverse_norm_of_rows};

use super::{LARGE, Layout, Root};
use crate::active_set::reduced::{CONDITION, Reduced, SQUARED_SINE, row_norms};
use crate::dense::{
    add_multiply, axpy, axpy_lines, dot, dots_of_rows, multiply, vectorised, view, view_mut,
};
use crate::nullspace::spread;
use crate::problem::{Matrix, Sample};

/// What Gram-Schmidt may take of a row's square before it is done twice.
const ONCE_IS_ENOUGH: f64 = 1e-2;

/// Builds factors of one layout, one sample's after the other's.
#[derive(Debug)]
pub(crate) struct Builder {
    layout: Layout,
    /// `K` of the scaled rows, `[m, m]`.
    k: Vec<f64>,
    /// 2-norms of the rows of `G`.
    norms: Vec<f64>,
    /// Squares of the rows of `Ĝ`, where many are projected at once.
    squares: Vec<f64>,
    diagonal: Vec<f64>,
    cholesky: CholeskyMemory,
    /// What conditions are estimated in.
    work: Vec<f64>,
}

impl Builder {
    pub(crate) fn new(layout: Layout) -> Builder {
        let dense = if layout.diagonal { 0 } else { layout.n };
        Builder {
            layout,
            k: vec![0.0; layout.m * layout.m],
            norms: Vec::with_capacity(layout.m),
            squares: Vec::with_capacity(layout.m),
            diagonal: vec![0.0; dense],
            cholesky: CholeskyMemory::new(dense),
            work: vec![0.0; dense.max(layout.p)],
        }
    }

    /// The factors of the sample that was built last, from where [`build`](Self::build) added them.
    pub(crate) fn reduced<'a>(&'a self, numbers: &'a [f64], condition: f64) -> Reduced<'a> {
        Reduced {
            k: &self.k,
            norms: &self.norms,
            ..self.layout.reduced(numbers, condition)
        }
    }

    /// Adds a sample's factors to `numbers`; returns their condition, or `None` where another construction is
    /// safer, with `numbers` as they were.
    pub(crate) fn build(&mut self, sample: &Sample<'_>, numbers: &mut Vec<f64>) -> Option<f64> {
        let start = numbers.len();
        let condition = self.append(sample, numbers);
        if condition.is_none() {
            numbers.truncate(start);
        }
        condition
    }

    fn append(&mut self, sample: &Sample<'_>, numbers: &mut Vec<f64>) -> Option<f64> {
        let layout = self.layout;
        let (n, p, m, width) = (layout.n, layout.p, layout.m, layout.width());
        self.norms.clear();
        row_norms(sample.g, n, &mut self.norms)?;
        let of_p = self.append_root(sample.p, numbers)?;
        let start = numbers.len();
        for row in sample.a.chunks_exact(n).chain(sample.g.chunks_exact(n)) {
            numbers.extend_from_slice(row);
            numbers.resize(numbers.len() + width - n, 0.0);
        }
        numbers.resize(start + (p + m) * (width + p) + m, 0.0);
        let (root, rest) = numbers.split_at_mut(start);
        let root = Root::of(&root[start - layout.root()..], layout);
        let (lines, rest) = rest.split_at_mut((p + m) * width);
        let (t, rest) = rest.split_at_mut(p * p);
        let (v, scale) = rest.split_at_mut(m * p);
        let least = 1.0 / (n as f64 * sample.p.max_abs());
        let (norms, squares) = (&self.norms, &mut self.squares);
        let work = &mut self.work[..p];
        let of_rows = vectorised(
            #[inline(always)]
            || {
                root.rows(lines, n, width);
                let (q, rows) = lines.split_at_mut(p * width);
                if !orthonormalise(q, t, width, p) {
                    return None;
                }
                let row = |i: usize| &t[i * p..=i * (p + 1)];
                let of_rows = inverse_norm_of_rows(row, work, 1.0 / SQUARED_SINE);
                if !(of_rows * SQUARED_SINE < 1.0) {
                    return None;
                }
                project(rows, q, v, width, squares);
                for i in (0..m).filter(|&i| norms[i] > 0.0) {
                    let line = &mut rows[i * width..(i + 1) * width];
                    let square = dot(line, line);
                    // What is left of the row against what it would be without the equalities; P⁻¹ is
                    // at least its smallest eigenvalue, 1/‖P‖ up to the dimension. NaN is too little.
                    if !(square > SQUARED_SINE * least * norms[i].powi(2))
                        || square == f64::INFINITY
                    {
                        return None;
                    }
                    scale[i] = 1.0 / square.sqrt();
                    line.iter_mut().for_each(|v| *v *= scale[i]);
                    v[i * p..(i + 1) * p]
                        .iter_mut()
                        .for_each(|v| *v *= scale[i]);
                }
                Some(of_rows)
            },
        )?;
        gram(&lines[p * width..], width, m, &mut self.k);
        let spread = spread((0..p).map(|j| t[j * (p + 1)])).powi(2);
        Some(of_p.max(spread).max(of_rows))
    }

    /// Adds `L`; returns the condition of `P`.
    fn append_root(&mut self, p: Matrix<'_>, numbers: &mut Vec<f64>) -> Option<f64> {
        let n = self.layout.n;
        let condition = match p {
            Matrix::Diagonal(d) => {
                if !d.iter().all(|v| *v > 0.0) {
                    return None;
                }
                numbers.extend(d.iter().map(|v| 1.0 / v.sqrt()));
                spread(d.iter().copied())
            }
            Matrix::Dense(data) => {
                let start = numbers.len();
                numbers.extend_from_slice(data);
                let upper = &mut numbers[start..];
                for (i, diagonal) in self.diagonal.iter_mut().enumerate() {
                    *diagonal = data[i * (n + 1)];
                }
                if !cholesky(upper, &self.diagonal, n, &mut self.cholesky) {
                    return None;
                }
                let largest = self.diagonal.iter().copied().fold(0.0, f64::max);
                for (i, diagonal) in self.diagonal.iter_mut().enumerate() {
                    *diagonal = upper[i * (n + 1)];
                }
                numbers.extend(self.diagonal.iter().map(|v| 1.0 / v));
                let (upper, inverses) = numbers[start..].split_at(n * n);
                let work = &mut self.work[..n];
                let inverse = vectorised(
                    #[inline(always)]
                    || inverse_norm(upper, |i| inverses[i], work, CONDITION / largest),
                );
                // NaN is too much.
                if !(largest * inverse < CONDITION) {
                    return None;
                }
                spread(self.diagonal.iter().map(|v| v.powi(2))).max(largest * inverse)
            }
        };
        (condition < CONDITION).then_some(condition)
    }
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
fn project(rows: &mut [f64], q: &[f64], v: &mut [f64], width: usize, squares: &mut Vec<f64>) {
    let (m, p) = (rows.len() / width, q.len() / width);
    if p == 0 {
        return;
    }
    squares.clear();
    if m * p * width > LARGE {
        squares.extend(rows.chunks_exact(width).map(|line| dot(line, line)));
        let q = view(q, p, width);
        multiply(view_mut(v, m, p), 1.0, view(rows, m, width), q.transpose());
        add_multiply(view_mut(rows, m, width), -1.0, view(v, m, p), q);
    }
    let lines = rows.chunks_exact_mut(width).zip(v.chunks_exact_mut(p));
    for (i, (line, coefficients)) in lines.enumerate() {
        let square = match squares.get(i) {
            Some(square) => *square,
            None => {
                let square = dot(line, line);
                subtract(line, q, coefficients, width);
                square
            }
        };
        if dot(line, line) < ONCE_IS_ENOUGH * square {
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
            let mut builder = Builder::new(Layout::of_sample(&sample));
            let mut numbers = Vec::new();
            let condition = builder.build(&sample, &mut numbers).unwrap();
            let reduced = builder.reduced(&numbers, condition);
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
