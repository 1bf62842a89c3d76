//! The working rows of a dual active set, as a basis that is orthonormal in the metric of `K`.
//!
//! For working rows `W` the basis is a square `B` with `B K_WW Bᵀ = I`, so `K_WW⁻¹ = BᵀB`, kept
//! beside its products with the rows of `K`. Taking a row up is one Gram-Schmidt step, which yields
//! at once how every row's value and every multiplier move with it; taking one out is a sweep of
//! rotations (Golub & Van Loan, *Matrix Computations*, §5.2, §6.5). Neither needs a triangular
//! solve, whose chain of dependent operations is slow for the handful of rows at stake.

use crate::dense::{axpy, axpy_lines, dot};

/// Working rows and their basis; memory is reused from sample to sample.
#[derive(Debug)]
pub(crate) struct Basis {
    /// All rows of `K`.
    m: usize,
    /// At most so many working rows.
    most: usize,
    /// `[most + 1, m + most]`: the basis' products with `K`, `BK`, then `B` by position. The line
    /// after the last belongs to the candidate.
    lines: Vec<f64>,
    /// The working rows, by position.
    pub(crate) working: Vec<usize>,
    products: Vec<f64>,
}

impl Basis {
    /// Memory for `m` rows of which at most `most` are taken up.
    pub(crate) fn new(m: usize, most: usize) -> Basis {
        let most = m.min(most);
        Basis {
            m,
            most,
            lines: vec![0.0; (most + 1) * (m + most)],
            working: Vec::with_capacity(most),
            products: vec![0.0; most + 1],
        }
    }

    /// Drops every row.
    pub(crate) fn clear(&mut self) {
        self.working.clear();
    }

    /// Whether no further row can be independent of the working ones.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.working.len() == self.most
    }

    /// Makes `row` the candidate: its direction orthogonal to the working rows. Returns its squared
    /// length, for a unit diagonal of `K` the squared sine of the row with the working ones.
    #[inline(always)]
    pub(crate) fn orthogonalise(&mut self, k: &[f64], row: usize) -> f64 {
        let (m, count, width) = (self.m, self.working.len(), self.m + self.most);
        let (done, rest) = self.lines.split_at_mut(count * width);
        let candidate = &mut rest[..m + self.most];
        candidate[..m].copy_from_slice(&k[row * m..(row + 1) * m]);
        candidate[m..].fill(0.0);
        let factor = |line: usize| -done[line * width + row];
        axpy_lines(factor, done, width, &mut candidate[..m + count]);
        if count < self.most {
            candidate[m + count] = 1.0;
        }
        candidate[row]
    }

    /// How every row's value falls with the candidate's multiplier, `[m]`, and by how much each
    /// working multiplier changes with it.
    #[inline(always)]
    pub(crate) fn candidate(&self) -> (&[f64], &[f64]) {
        let (m, count, width) = (self.m, self.working.len(), self.m + self.most);
        let line = &self.lines[count * width..(count + 1) * width];
        (&line[..m], &line[m..m + count])
    }

    /// Takes the candidate, which was made of `row`, up.
    #[inline(always)]
    pub(crate) fn accept(&mut self, row: usize) {
        let (count, width) = (self.working.len(), self.m + self.most);
        let line = &mut self.lines[count * width..(count + 1) * width];
        let scale = 1.0 / line[row].sqrt();
        line.iter_mut().for_each(|v| *v *= scale);
        self.working.push(row);
    }

    /// Takes the row at `position` out and returns it.
    #[inline(always)]
    pub(crate) fn remove(&mut self, position: usize) -> usize {
        let (m, width) = (self.m, self.m + self.most);
        let (count, column) = (self.working.len(), m + position);
        // The row's weight is rotated into the last line, which then goes.
        for i in 1..count {
            let (before, after) = self.lines.split_at_mut(i * width);
            let upper = &mut before[(i - 1) * width..][..m + count];
            let lower = &mut after[..m + count];
            let (a, b) = (upper[column], lower[column]);
            if a == 0.0 {
                continue;
            }
            let h = a.hypot(b);
            let (sin, cos) = (a / h, b / h);
            for (u, l) in upper.iter_mut().zip(lower.iter_mut()) {
                (*u, *l) = (cos * *u - sin * *l, sin * *u + cos * *l);
            }
        }
        for line in self.lines.chunks_exact_mut(width).take(count - 1) {
            line.copy_within(column + 1..m + count, column);
            line[m + count - 1] = 0.0;
        }
        self.working.remove(position)
    }

    /// `rhs ← K_WW⁻¹ rhs`, by position.
    #[inline(always)]
    pub(crate) fn solve(&mut self, rhs: &mut [f64]) {
        let (m, count, width) = (self.m, self.working.len(), self.m + self.most);
        let lines = self.lines.chunks_exact(width.max(1)).take(count);
        for (product, line) in self.products.iter_mut().zip(lines.clone()) {
            *product = dot(&line[m..m + count], rhs);
        }
        rhs.fill(0.0);
        for (product, line) in self.products.iter().zip(lines) {
            axpy(*product, &line[m..m + count], rhs);
        }
    }

    /// Appends `B`, row-major.
    pub(crate) fn append_root(&self, root: &mut Vec<f64>) {
        let (m, count, width) = (self.m, self.working.len(), self.m + self.most);
        for line in self.lines.chunks_exact(width.max(1)).take(count) {
            root.extend_from_slice(&line[m..m + count]);
        }
    }
}

/// `rhs ← BᵀB rhs` for a square `B` of [`Basis::append_root`]; `work` is as long as `rhs`.
#[inline(always)]
pub(crate) fn solve_root(root: &[f64], rhs: &mut [f64], work: &mut [f64]) {
    let count = rhs.len();
    for (product, line) in work.iter_mut().zip(root.chunks_exact(count.max(1))) {
        *product = dot(line, rhs);
    }
    rhs.fill(0.0);
    for (product, line) in work.iter().zip(root.chunks_exact(count.max(1))) {
        axpy(*product, line, rhs);
    }
}

/// Lower bound of the condition number of `K_WW`, from `B`: its inverse's largest diagonal entry,
/// within a factor of the number of rows of the inverse's norm where `K` has a unit diagonal.
#[inline(always)]
pub(crate) fn condition(root: &[f64], count: usize) -> f64 {
    let diagonal = |i: usize| root.iter().skip(i).step_by(count).map(|b| b * b).sum();
    (0..count).map(diagonal).fold(1.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_of(basis: &Basis) -> Vec<f64> {
        let mut root = Vec::new();
        basis.append_root(&mut root);
        root
    }

    /// A Gram matrix of unit vectors of length `rank`.
    fn gram(m: usize, rank: usize) -> Vec<f64> {
        let vector = |i: usize| -> Vec<f64> {
            let v: Vec<f64> = (0..rank)
                .map(|j| ((i * rank + j).pow(2) as f64 * 0.37).sin())
                .collect();
            let norm = dot(&v, &v).sqrt();
            v.iter().map(|v| v / norm).collect()
        };
        (0..m * m)
            .map(|at| dot(&vector(at / m), &vector(at % m)))
            .collect()
    }

    /// `K_WW · K_WW⁻¹ = I`, and `B` agrees with its products.
    fn check(basis: &mut Basis, k: &[f64]) {
        let (m, count) = (basis.m, basis.working.len());
        let root = root_of(basis);
        for i in 0..count {
            let mut column = vec![0.0; count];
            column[i] = 1.0;
            let mut again = column.clone();
            basis.solve(&mut column);
            solve_root(&root, &mut again, &mut vec![0.0; count]);
            assert_eq!(column, again);
            for j in 0..count {
                let line = |l: usize| k[basis.working[j] * m + basis.working[l]];
                let product: f64 = (0..count).map(|l| line(l) * column[l]).sum();
                let expected = f64::from(u8::from(i == j));
                assert!((product - expected).abs() < 1e-12, "{product}");
            }
            for row in 0..m {
                let line = &basis.lines[i * (m + basis.most)..];
                let product: f64 = (0..count)
                    .map(|l| line[m + l] * k[basis.working[l] * m + row])
                    .sum();
                assert!((product - line[row]).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn rows_come_and_go() {
        let (m, k) = (6, gram(6, 8));
        for position in 0..m {
            let mut basis = Basis::new(m, 8);
            for row in [3, 0, 5, 1, 4, 2] {
                assert!(basis.orthogonalise(&k, row) > 1e-3);
                basis.accept(row);
                check(&mut basis, &k);
            }
            assert!(basis.is_full());
            let row = basis.remove(position);
            check(&mut basis, &k);
            assert!(basis.orthogonalise(&k, row) > 1e-3);
            basis.accept(row);
            check(&mut basis, &k);
        }
    }

    #[test]
    fn a_dependent_row_has_no_length() {
        let k = gram(5, 3);
        let mut basis = Basis::new(5, 3);
        for row in 0..3 {
            basis.orthogonalise(&k, row);
            basis.accept(row);
        }
        for row in 3..5 {
            assert!(basis.orthogonalise(&k, row).abs() < 1e-14);
            // The multipliers' part says how: K_row = −Σ change · K_w.
            let (_, change) = basis.candidate();
            for other in 0..5 {
                let sum: f64 = (0..3).map(|i| change[i] * k[i * 5 + other]).sum();
                assert!((k[row * 5 + other] + sum).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn the_condition_is_that_of_two_rows() {
        let c = 1.0 - 1e-8;
        let k = [1.0, c, c, 1.0];
        let mut basis = Basis::new(2, 2);
        for row in 0..2 {
            basis.orthogonalise(&k, row);
            basis.accept(row);
        }
        let exact = 1.0 / (1.0 - c * c);
        assert!((condition(&root_of(&basis), 2) / exact - 1.0).abs() < 1e-6);
        assert_eq!(condition(&[], 0), 1.0);
    }
}
