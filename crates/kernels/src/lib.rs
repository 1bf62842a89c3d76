//! What the numerical crates share beneath their algorithms: sums over vectors, dense Cholesky factors and their
//! condition, and the samples of a batch spread over threads, in `f64` whatever the precision numbers are stored in.
//!
//! Loops are `inline(always)`, so that they are compiled for the instruction set of the function they are
//! called from: within [`vectorised`], the widest that the machine has.

mod cholesky;
mod condition;
pub mod lanes;
mod memory;
mod parallel;
mod pseudoinverse;
mod tanh;

use std::hint::black_box;

use faer::traits::ComplexField;

pub use cholesky::{
    Cholesky, CholeskyMemory, cholesky, gram_of_columns, gram_of_rows, pivot_is_rounding,
    solve_transposed, solve_upper,
};
pub use condition::{InverseNorm, inverse_norm, inverse_norm_of_rows};
pub use memory::keep_freed_memory;
pub use parallel::{longest_even_run, map_runs, run_length, threads};
pub use pseudoinverse::Pseudoinverse;
pub use tanh::tanh;

/// The instruction set faer detected at run time.
type Arch = <f64 as ComplexField>::Arch;

/// Runs `work` compiled for the widest vector instructions this machine has. Everything inside
/// that should profit must be inlined, so the kernels below are `inline(always)`.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::default().dispatch(work)
}

/// Inner product of vectors of one length, in four partial sums so that it vectorises.
#[inline(always)]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let [sum] = dots(a, [b]);
    sum
}

/// Inner products of one vector with `K` of its length, each as [`dot`]: what `a` is stored in is read and
/// converted once.
#[inline(always)]
pub fn dots<T: Copy + Into<f64>, const K: usize>(a: &[T], b: [&[f64]; K]) -> [f64; K] {
    debug_assert!(b.iter().all(|b| a.len() == b.len()));
    // No closures of arrays here: what maps them is compiled for itself, without the wide instructions.
    let (a_fours, a_tail) = a.as_chunks::<4>();
    let mut fours: [&[[f64; 4]]; K] = [&[]; K];
    let mut totals = [0.0; K];
    for k in 0..K {
        let (whole, tail) = b[k][..a.len()].as_chunks::<4>();
        fours[k] = &whole[..a_fours.len()];
        for (a, b) in a_tail.iter().zip(tail) {
            totals[k] += (*a).into() * b;
        }
    }
    if a_fours.is_empty() {
        return totals;
    }
    let mut sums = [Four([0.0; 4]); K];
    for (i, stored) in a_fours.iter().enumerate() {
        let a = Four::of(stored);
        for k in 0..K {
            sums[k] = sums[k].plus_product(a, Four(fours[k][i]));
        }
    }
    // What follows must not be known to the loop: the compiler would shuffle every product for the sake of these
    // few additions, at up to three times the cost.
    let sums = black_box(&sums);
    for k in 0..K {
        let [p, q, r, s] = sums[k].0;
        totals[k] += (p + r) + (q + s);
    }
    totals
}

/// Four numbers as a value, which the compiler holds in one vector register; an array that loops write to stays in
/// memory.
#[derive(Clone, Copy)]
struct Four([f64; 4]);

impl Four {
    #[inline(always)]
    fn of<T: Copy + Into<f64>>(stored: &[T; 4]) -> Four {
        let [p, q, r, s] = *stored;
        Four([p.into(), q.into(), r.into(), s.into()])
    }

    #[inline(always)]
    fn plus_product(self, a: Four, b: Four) -> Four {
        let (Four(sum), Four(a), Four(b)) = (self, a, b);
        Four([
            sum[0] + a[0] * b[0],
            sum[1] + a[1] * b[1],
            sum[2] + a[2] * b[2],
            sum[3] + a[3] * b[3],
        ])
    }
}

/// `y += factor · x`.
#[inline(always)]
pub fn axpy<T: Copy + Into<f64>>(factor: f64, x: &[T], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * (*x).into();
    }
}

/// `y += Σ factors[i] · lines[i]` with `lines[i]` the first entries of every `stride`: four lines a pass,
/// so that `y` is read and written a quarter as often.
#[inline(always)]
pub fn axpy_lines(factors: impl Fn(usize) -> f64, lines: &[f64], stride: usize, y: &mut [f64]) {
    let len = y.len();
    let mut blocks = lines.chunks_exact(4 * stride.max(1));
    let mut at = 0;
    for block in &mut blocks {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| &block[i * stride..][..len]);
        let [fa, fb, fc, fd] = [0, 1, 2, 3].map(|i| factors(at + i));
        for i in 0..len {
            y[i] = (((y[i] + fa * a[i]) + fb * b[i]) + fc * c[i]) + fd * d[i];
        }
        at += 4;
    }
    for line in blocks.remainder().chunks_exact(stride.max(1)) {
        axpy(factors(at), &line[..len], y);
        at += 1;
    }
}

/// `out = A x` for row-major `A` with as many rows as `out` has entries.
///
/// # Panics
/// If it has fewer.
#[inline(always)]
pub fn multiply(a: &[f64], x: &[f64], out: &mut [f64]) {
    if x.is_empty() {
        return out.fill(0.0);
    }
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (whole, last) = a.split_at(4 * fours.len() * x.len());
    for (four, rows) in fours.iter_mut().zip(whole.chunks_exact(4 * x.len())) {
        *four = dots_of_rows(x, rows);
    }
    for (out, row) in rest.iter_mut().zip(last.chunks_exact(x.len())) {
        *out = dot(row, x);
    }
}

/// Inner products of a vector with four rows of its length, one after another.
#[inline(always)]
pub fn dots_of_rows(x: &[f64], rows: &[f64]) -> [f64; 4] {
    let (first, last) = rows.split_at(2 * x.len());
    let (first, last) = (first.split_at(x.len()), last.split_at(x.len()));
    dots(x, [first.0, first.1, last.0, last.1])
}

/// `out += Aᵀ y` for row-major `A` with as many rows as `y` has entries.
#[inline(always)]
pub fn add_transposed(a: &[f64], y: &[f64], out: &mut [f64]) {
    axpy_lines(|i| y[i], a, out.len(), out);
}

/// Largest absolute entry, 0 for none. NaN propagates.
#[inline(always)]
pub fn max_abs(x: &[f64]) -> f64 {
    // A NaN stays: nothing is larger than it.
    let worse = |largest: f64, v: f64| {
        if v > largest || v.is_nan() {
            v
        } else {
            largest
        }
    };
    let (head, tail) = x.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for block in head {
        for lane in 0..8 {
            lanes[lane] = worse(lanes[lane], block[lane].abs());
        }
    }
    let mut largest = 0.0;
    if !head.is_empty() {
        largest = lanes.into_iter().fold(largest, worse);
    }
    tail.iter()
        .fold(largest, |largest, v| worse(largest, v.abs()))
}

/// Whether no entry is infinite or NaN.
#[inline(always)]
pub fn all_finite(x: &[f64]) -> bool {
    // A finite number times 0 is 0, any other NaN, which stays in its sum.
    let (head, tail) = x.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for block in head {
        for lane in 0..8 {
            lanes[lane] += block[lane] * 0.0;
        }
    }
    let sum: f64 = lanes.into_iter().chain(tail.iter().map(|v| v * 0.0)).sum();
    sum == 0.0
}

/// Euclidean norm; the squares must be within the range of the type.
#[inline(always)]
pub fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_that_is_not_finite_is_found_anywhere() {
        for n in 0..40 {
            let mut x = vec![f64::MAX; n];
            assert!(all_finite(&x));
            for at in 0..n {
                for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    x[at] = bad;
                    assert!(!all_finite(&x), "{bad} at {at} of {n}");
                }
                x[at] = -0.0;
            }
        }
    }

    #[test]
    fn dot_sums_every_length() {
        for n in 0..40 {
            let a: Vec<f64> = (0..n).map(|i| i as f64 + 1.0).collect();
            let expected: f64 = a.iter().map(|v| v * v).sum();
            // Integers below 2^53: sums are exact in any order.
            assert_eq!(dot(&a, &a), expected);
            assert_eq!(
                vectorised(
                    #[inline(always)]
                    || dot(&a, &a)
                ),
                expected
            );
        }
    }

    #[test]
    fn dots_are_those_of_each_vector_in_either_precision() {
        for n in 0..40 {
            let vectors: [Vec<f64>; 4] =
                std::array::from_fn(|k| (0..n).map(|i| ((k + 2) * i + 1) as f64).collect());
            let [a, b, c, d] = vectors.each_ref().map(Vec::as_slice);
            let expected = [dot(a, b), dot(a, c), dot(a, d)];
            assert_eq!(dots(a, [b, c, d]), expected);
            let single: Vec<f32> = a.iter().map(|v| *v as f32).collect();
            assert_eq!(dots(&single, [b, c, d]), expected);
            assert_eq!(dots::<f32, 0>(&single, []), []);
        }
    }

    #[test]
    fn rows_are_multiplied_by_fours_and_one_by_one() {
        for (rows, n) in (0..10).flat_map(|rows| (0..10).map(move |n| (rows, n))) {
            let a: Vec<f64> = (0..rows * n).map(|i| (i * i % 11) as f64).collect();
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 2.0).collect();
            let mut out = vec![f64::NAN; rows];
            multiply(&a, &x, &mut out);
            for (i, out) in out.iter().enumerate() {
                assert_eq!(*out, dot(&a[i * n..(i + 1) * n], &x), "{rows} × {n}");
            }
        }
    }

    /// The same additions in the same order, so the same bits.
    #[test]
    fn lines_are_added_one_after_the_other() {
        let stride = 7;
        for count in 0..10 {
            let lines: Vec<f64> = (0..count * stride).map(|i| (i as f64).sin()).collect();
            let factors: Vec<f64> = (0..count).map(|i| (i as f64).cos()).collect();
            for len in 0..=stride {
                let mut y = vec![0.3; len];
                axpy_lines(|i| factors[i], &lines, stride, &mut y);
                let mut expected = vec![0.3; len];
                for (factor, line) in factors.iter().zip(lines.chunks_exact(stride)) {
                    axpy(*factor, &line[..len], &mut expected);
                }
                assert_eq!(y, expected);
            }
        }
    }

    #[test]
    fn max_abs_keeps_nan() {
        assert_eq!(max_abs(&[1.0, -3.0, 2.0]), 3.0);
        for n in 1..30 {
            for at in 0..n {
                let mut x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
                x[at] = -7.0;
                assert_eq!(max_abs(&x), 7.0);
                x[at] = f64::NAN;
                assert!(max_abs(&x).is_nan());
            }
        }
    }

    #[test]
    fn axpy_adds_and_norm_is_pythagorean() {
        let mut y = [1.0, 2.0];
        axpy(-2.0, &[3.0, 4.0], &mut y);
        assert_eq!(y, [-5.0, -6.0]);
        assert_eq!(norm(&[3.0, 4.0]), 5.0);
    }
}
