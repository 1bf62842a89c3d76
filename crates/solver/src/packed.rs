//! Small symmetric matrices, the rows of their lower triangles one after the other.

use crate::dense::{axpy, dot};

/// Cholesky factorisation of a packed lower triangle, in place. False when a pivot is not
/// positive.
#[inline(always)]
pub(crate) fn packed_cholesky(packed: &mut [f64], size: usize) -> bool {
    for i in 0..size {
        let start_i = i * (i + 1) / 2;
        let (done, line) = packed.split_at_mut(start_i);
        let line = &mut line[..=i];
        for j in 0..i {
            let start_j = j * (j + 1) / 2;
            let other = &done[start_j..=start_j + j];
            line[j] = (line[j] - dot(&line[..j], &other[..j])) / other[j];
        }
        let pivot = line[i] - dot(&line[..i], &line[..i]);
        // A NaN pivot fails as well.
        if !(pivot > 0.0) {
            return false;
        }
        line[i] = pivot.sqrt();
    }
    true
}

/// Solves with a packed lower Cholesky factor, in place.
#[inline(always)]
pub(crate) fn solve_packed(factor: &[f64], rhs: &mut [f64]) {
    let size = rhs.len();
    let mut start = 0;
    for i in 0..size {
        let line = &factor[start..start + i + 1];
        rhs[i] = (rhs[i] - dot(&line[..i], &rhs[..i])) / line[i];
        start += i + 1;
    }
    for i in (0..size).rev() {
        start -= i + 1;
        let line = &factor[start..start + i + 1];
        let v = rhs[i] / line[i];
        rhs[i] = v;
        axpy(-v, &line[..i], &mut rhs[..i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_solve_inverts() {
        let factor = [2.0, 1.0, 3.0, 0.5, -1.0, 1.5];
        let x = [1.0, -2.0, 0.25];
        // L Lᵀ x by hand.
        let lt = [
            2.0 * x[0] + x[1] + 0.5 * x[2],
            3.0 * x[1] - x[2],
            1.5 * x[2],
        ];
        let mut rhs = [
            2.0 * lt[0],
            lt[0] + 3.0 * lt[1],
            0.5 * lt[0] - lt[1] + 1.5 * lt[2],
        ];
        solve_packed(&factor, &mut rhs);
        for i in 0..3 {
            assert!((rhs[i] - x[i]).abs() < 1e-14);
        }
    }
}
