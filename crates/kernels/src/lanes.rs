//! Eight small symmetric systems side by side: entry by entry a number of each, so that every operation is one of
//! whole vectors, without the sums across a vector and the odd ends of rows that small systems one by one spend
//! most of their time on.

use crate::cholesky::pivot_is_rounding;

/// How many.
pub const LANES: usize = 8;

/// The largest size that [`factor`] takes: from there on blocked routines win, one by one.
pub const LARGEST: usize = 32;

/// One number of each system.
pub type Lanes = [f64; LANES];

/// Puts vectors of one length side by side: `out[k][lane] = vectors[lane][k]`; zero where there are fewer vectors.
///
/// # Panics
/// If there are more than eight.
#[inline(always)]
pub fn side_by_side<'a>(vectors: impl Iterator<Item = &'a [f64]>, out: &mut [Lanes]) {
    let mut count = 0;
    for (lane, vector) in vectors.enumerate() {
        for (out, v) in out.iter_mut().zip(vector) {
            out[lane] = *v;
        }
        count = lane + 1;
    }
    for lane in count..LANES {
        out.iter_mut().for_each(|out| out[lane] = 0.0);
    }
}

/// Takes one vector out again, of `out`'s length.
#[inline(always)]
pub fn one_of(side_by_side: &[Lanes], lane: usize, out: &mut [f64]) {
    for (out, v) in out.iter_mut().zip(side_by_side) {
        *out = v[lane];
    }
}

/// `sum += a · b`.
#[inline(always)]
fn add_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for lane in 0..LANES {
        sum[lane] += a[lane] * b[lane];
    }
}

/// `sum -= a · b`.
#[inline(always)]
fn subtract_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for lane in 0..LANES {
        sum[lane] -= a[lane] * b[lane];
    }
}

/// `out = A x` for row-major matrices with as many rows as `out` has entries.
#[inline(always)]
pub fn multiply(a: &[Lanes], x: &[Lanes], out: &mut [Lanes]) {
    debug_assert_eq!(a.len(), x.len() * out.len());
    for (out, row) in out.iter_mut().zip(a.chunks_exact(x.len().max(1))) {
        let mut sum = [0.0; LANES];
        for (a, x) in row.iter().zip(x) {
            add_product(&mut sum, a, x);
        }
        *out = sum;
    }
}

/// `out += Aᵀ y` for row-major matrices with as many rows as `y` has entries.
#[inline(always)]
pub fn add_transposed(a: &[Lanes], y: &[Lanes], out: &mut [Lanes]) {
    let n = out.len().max(1);
    let mut pairs = a.chunks_exact(2 * n);
    let mut at = 0;
    for pair in &mut pairs {
        let (first, second) = pair.split_at(n);
        for ((out, a), b) in out.iter_mut().zip(first).zip(second) {
            add_product(out, a, &y[at]);
            add_product(out, b, &y[at + 1]);
        }
        at += 2;
    }
    for (out, a) in out.iter_mut().zip(pairs.remainder()) {
        add_product(out, a, &y[at]);
    }
}

/// The upper triangles, row-major, of AAᵀ for row-major `m × n` matrices. The lower ones hold anything.
#[inline(always)]
pub fn gram_of_rows(a: &[Lanes], m: usize, n: usize, out: &mut [Lanes]) {
    // Two rows by two, so that each number read is multiplied twice.
    let mut i = 0;
    while i < m {
        let second = (i + 1).min(m - 1);
        let (first_row, second_row) = (&a[i * n..][..n], &a[second * n..][..n]);
        let mut j = i;
        while j < m {
            let after = (j + 1).min(m - 1);
            let (left, right) = (&a[j * n..][..n], &a[after * n..][..n]);
            let mut sums = [[0.0; LANES]; 4];
            for k in 0..n {
                let (f, s, l, r) = (&first_row[k], &second_row[k], &left[k], &right[k]);
                add_product(&mut sums[0], f, l);
                add_product(&mut sums[1], f, r);
                add_product(&mut sums[2], s, l);
                add_product(&mut sums[3], s, r);
            }
            out[i * m + j] = sums[0];
            out[i * m + after] = sums[1];
            out[second * m + j] = sums[2];
            out[second * m + after] = sums[3];
            j += 2;
        }
        i += 2;
    }
}

/// Factors matrices of which the upper triangles are read, row-major, in place: K = UᵀU, with the inverses of U's
/// diagonal in its place. Says for which of them no pivot was [down to rounding](pivot_is_rounding), as
/// one is that is infinite; the factors of the others mean nothing.
///
/// # Panics
/// If the size is above [`LARGEST`].
#[inline(always)]
pub fn factor(matrices: &mut [Lanes], size: usize) -> [bool; LANES] {
    let n = size;
    let mut good = [true; LANES];
    // What pivots are compared with, while the matrices are overwritten.
    let mut diagonals = [[0.0; LANES]; LARGEST];
    for i in 0..n {
        diagonals[i] = matrices[i * n + i];
    }
    for k in 0..n {
        let (head, tail) = matrices.split_at_mut((k + 1) * n);
        let row = &mut head[k * n..];
        let mut inverse = [0.0; LANES];
        for lane in 0..LANES {
            let pivot = row[k][lane];
            if pivot_is_rounding(pivot, diagonals[k][lane], n) {
                good[lane] = false;
            }
            inverse[lane] = 1.0 / pivot.sqrt();
        }
        row[k] = inverse;
        for entry in &mut row[k + 1..] {
            for lane in 0..LANES {
                entry[lane] *= inverse[lane];
            }
        }
        for i in k + 1..n {
            let target = &mut tail[(i - k - 1) * n..][..n];
            for (target, entry) in target[i..].iter_mut().zip(&row[i..]) {
                subtract_product(target, &row[i], entry);
            }
        }
    }
    good
}

/// x ← K⁻¹x with what [`factor`] made of K.
#[inline(always)]
pub fn solve(factors: &[Lanes], x: &mut [Lanes]) {
    let n = x.len();
    for i in 0..n {
        let (head, tail) = x.split_at_mut(i + 1);
        let row = &factors[i * n..][..n];
        let x = &mut head[i];
        for lane in 0..LANES {
            x[lane] *= row[i][lane];
        }
        for (tail, u) in tail.iter_mut().zip(&row[i + 1..]) {
            subtract_product(tail, u, x);
        }
    }
    for i in (0..n).rev() {
        let (head, tail) = x.split_at_mut(i + 1);
        let row = &factors[i * n..][..n];
        let mut sum = head[i];
        for (tail, u) in tail.iter().zip(&row[i + 1..]) {
            subtract_product(&mut sum, u, tail);
        }
        for lane in 0..LANES {
            head[i][lane] = sum[lane] * row[i][lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cholesky, dot, gram_of_rows as gram_of_one, vectorised};

    /// Matrices that differ from lane to lane, two of them with rows that depend on each other.
    fn matrices(m: usize, n: usize) -> Vec<Vec<f64>> {
        let entry = |lane: usize, k: usize| ((1 + lane) as f64 * 1.7 + k as f64 * 0.61).sin();
        let mut all: Vec<Vec<f64>> = (0..LANES)
            .map(|lane| (0..m * n).map(|k| entry(lane, k * k + 3 * k)).collect())
            .collect();
        if m > 1 {
            for lane in [2, 5] {
                let first: Vec<f64> = all[lane][..n].iter().map(|v| 3.0 * v).collect();
                all[lane][(m - 1) * n..].copy_from_slice(&first);
            }
        }
        all
    }

    #[test]
    fn every_lane_is_solved_as_it_is_alone() {
        for (m, n) in [(1, 1), (1, 4), (2, 3), (5, 9), (10, 20), (LARGEST, 40)] {
            let all = matrices(m, n);
            let mut a = vec![[0.0; LANES]; m * n];
            let mut k = vec![[f64::NAN; LANES]; m * m];
            let mut x = vec![[0.0; LANES]; m];
            let right: Vec<f64> = (0..m).map(|i| 1.0 - 0.3 * i as f64).collect();
            let mut out = vec![[0.0; LANES]; n];
            let mut back = vec![[0.0; LANES]; m];
            let good = vectorised(
                #[inline(always)]
                || {
                    side_by_side(all.iter().map(|one| &one[..]), &mut a);
                    side_by_side((0..LANES).map(|_| &right[..]), &mut x);
                    gram_of_rows(&a, m, n, &mut k);
                    let good = factor(&mut k, m);
                    solve(&k, &mut x);
                    add_transposed(&a, &x, &mut out);
                    multiply(&a, &out, &mut back);
                    good
                },
            );
            for (lane, one) in all.iter().enumerate() {
                let mut gram = vec![0.0; m * m];
                gram_of_one(one, m, n, &mut gram);
                let mut alone = Cholesky::new(m);
                assert_eq!(
                    good[lane],
                    alone.factor(&gram, |_, _| 0.0),
                    "{m}x{n}, {lane}"
                );
                if !good[lane] {
                    continue;
                }
                let mut got = vec![0.0; m];
                one_of(&back, lane, &mut got);
                // A Aᵀ x = right, of condition below 1e6.
                for (got, right) in got.iter().zip(&right) {
                    assert!((got - right).abs() < 1e-8, "{m}x{n}, {lane}: {got} {right}");
                }
                let (mut solved, mut product) = (vec![0.0; m], vec![0.0; n]);
                one_of(&x, lane, &mut solved);
                one_of(&out, lane, &mut product);
                for (j, got) in product.iter().enumerate() {
                    let column: Vec<f64> = (0..m).map(|i| one[i * n + j]).collect();
                    let scale = column.iter().zip(&solved).map(|(a, x)| (a * x).abs());
                    let off = (got - dot(&column, &solved)).abs();
                    assert!(off <= 1e-14 * scale.sum::<f64>(), "{m}x{n}, {lane}, {j}");
                }
            }
            let dependent = if m > 1 { 2 } else { 0 };
            assert_eq!(good.iter().filter(|good| !**good).count(), dependent);
        }
    }

    #[test]
    fn lanes_without_a_vector_are_zero_and_numbers_that_are_not_finite_stay_in_theirs() {
        let mut out = vec![[7.0; LANES]; 2];
        side_by_side([&[1.0, 2.0][..], &[3.0, 4.0]].into_iter(), &mut out);
        let expected = |a: f64, b: f64| [a, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(out, [expected(1.0, 3.0), expected(2.0, 4.0)]);
        let mut k = vec![[2.0; LANES], [1.0; LANES], [0.0; LANES], [3.0; LANES]];
        (k[0][1], k[1][3], k[3][4]) = (f64::NAN, f64::INFINITY, -1.0);
        let good = factor(&mut k, 2);
        assert_eq!(
            good,
            [0, 1, 2, 3, 4, 5, 6, 7].map(|lane| ![1, 3, 4].contains(&lane))
        );
        let mut x = vec![[1.0; LANES], [2.0; LANES]];
        solve(&k, &mut x);
        // [2 1; 1 3]⁻¹ [1 2] = [0.2 0.6].
        for lane in [0, 2, 5, 6, 7] {
            assert!((x[0][lane] - 0.2).abs() < 1e-15 && (x[1][lane] - 0.6).abs() < 1e-15);
        }
    }
}
