//! Cholesky and LU: factors multiplied out, solves, and what `info` says of matrices without them.
#![allow(missing_docs)]

mod support;

use rand::RngExt;
use support::{Number, Stored, rng};

/// `GGᵀ/n + I`, symmetric to the last bit.
fn positive<T: Number>(rng: &mut rand_chacha::ChaCha8Rng, n: usize) -> Stored<T> {
    let g: Stored<T> = Stored::normal(rng, n, n);
    Stored::new(rng, n, n, |i, j| {
        let (i, j) = (i.min(j), i.max(j));
        let sum: f64 = (0..n).map(|k| g.at(i, k) * g.at(j, k)).sum();
        T::of(sum / n as f64 + if i == j { 1.0 } else { 0.0 })
    })
}

fn cholesky<T: Number>() {
    let mut rng = rng(1);
    for case in 0..200 {
        // Past the size at which the factorisation goes by halves.
        let n = if case < 160 {
            rng.random_range(0..21)
        } else {
            rng.random_range(30..80)
        };
        let uplo = b"LU"[case % 2];
        let full = positive::<T>(&mut rng, n);
        let given = full.clone().only(uplo);
        let mut factor = given.clone();
        assert_eq!(T::potrf(uplo, &mut factor), 0);
        factor.untouched(&given, |i, j| if uplo == b'L' { i >= j } else { i <= j });
        let lower = |i: usize, k: usize| {
            if uplo == b'L' {
                factor.at(i, k)
            } else {
                factor.at(k, i)
            }
        };
        let bound = 10.0 * (n + 4) as f64 * T::EPSILON;
        for i in 0..n {
            for j in 0..=i {
                let sum: f64 = (0..=j).map(|k| lower(i, k) * lower(j, k)).sum();
                assert!((sum - full.at(i, j)).abs() < bound, "{n} ({i}, {j})");
            }
        }
        let nrhs = rng.random_range(0..5);
        let x: Stored<T> = Stored::normal(&mut rng, n, nrhs);
        let before = Stored::new(&mut rng, n, nrhs, |i, j| {
            T::of((0..n).map(|k| full.at(i, k) * x.at(k, j)).sum())
        });
        let mut b = before.clone();
        assert_eq!(T::potrs(uplo, &factor, &mut b), 0);
        b.untouched(&before, |_, _| true);
        for i in 0..n {
            for j in 0..nrhs {
                assert!((b.at(i, j) - x.at(i, j)).abs() < 100.0 * bound);
            }
        }
        if n == 0 {
            continue;
        }
        // The first minor that is not positive, wherever it is.
        let bad = rng.random_range(0..n);
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut spoiled = given.clone();
            spoiled.data[bad * spoiled.leading as usize + bad] = T::of(value);
            assert_eq!(T::potrf(uplo, &mut spoiled), bad as i32 + 1, "{n} {value}");
        }
        if bad > 0 {
            for value in [f64::NAN, f64::INFINITY] {
                let mut spoiled = given.clone();
                let (i, j) = if uplo == b'L' { (bad, 0) } else { (0, bad) };
                spoiled.data[j * spoiled.leading as usize + i] = T::of(value);
                assert_eq!(T::potrf(uplo, &mut spoiled), bad as i32 + 1);
            }
        }
    }
}

fn lu<T: Number>() {
    let mut rng = rng(2);
    for _ in 0..200 {
        let (n, nrhs) = (rng.random_range(0..21), rng.random_range(0..5));
        let full: Stored<T> = Stored::normal(&mut rng, n, n);
        let mut a = full.clone();
        let before: Stored<T> = Stored::normal(&mut rng, n, nrhs);
        let mut x = before.clone();
        let mut pivots = vec![0; n];
        assert_eq!(T::gesv(&mut a, &mut pivots, &mut x), 0);
        a.untouched(&full, |_, _| true);
        x.untouched(&before, |_, _| true);
        for j in 0..nrhs {
            let size = (0..n).map(|k| x.at(k, j).abs()).fold(1.0, f64::max);
            for i in 0..n {
                let sum: f64 = (0..n).map(|k| full.at(i, k) * x.at(k, j)).sum();
                let error = (sum - before.at(i, j)).abs();
                assert!(error < 200.0 * n as f64 * T::EPSILON * size, "{n}: {error}");
            }
        }
        // P A = L U, with unit L and rows exchanged in turn.
        let mut rows: Vec<usize> = (0..n).collect();
        for (k, pivot) in pivots.iter().enumerate() {
            rows.swap(k, *pivot as usize - 1);
        }
        for i in 0..n {
            for j in 0..n {
                let sum: f64 = (0..=i.min(j))
                    .map(|k| if k == i { 1.0 } else { a.at(i, k) } * a.at(k, j))
                    .sum();
                let error = (sum - full.at(rows[i], j)).abs();
                assert!(error < 100.0 * n as f64 * T::EPSILON);
                assert!(i <= j || a.at(i, j).abs() <= 1.0);
            }
        }
    }
}

#[test]
fn cholesky_factors_and_solves() {
    cholesky::<f64>();
    cholesky::<f32>();
}

#[test]
fn lu_factors_and_solves() {
    lu::<f64>();
    lu::<f32>();
}

#[test]
fn singular_and_undefined_systems_are_told() {
    let mut rng = rng(3);
    // The second column twice the first.
    let singular = Stored::new(&mut rng, 3, 3, |i, j| {
        [[1.0, 2.0, 0.0], [2.0, 4.0, 1.0], [4.0, 8.0, 3.0]][i][j]
    });
    let b: Stored<f64> = Stored::normal(&mut rng, 3, 1);
    let (mut a, mut x, mut pivots) = (singular.clone(), b.clone(), [0; 3]);
    assert_eq!(f64::gesv(&mut a, &mut pivots, &mut x), 2);
    assert_eq!(x.data[..3], b.data[..3]);
    for value in [f64::NAN, f64::INFINITY] {
        let mut a = singular.clone();
        a.data[0] = value;
        assert!(f64::gesv(&mut a, &mut pivots, &mut x) > 0);
    }
}

#[test]
fn illegal_arguments_are_told_by_their_place() {
    let mut rng = rng(4);
    let mut a: Stored<f64> = positive(&mut rng, 3);
    let short = || Stored {
        leading: 2,
        ..positive::<f64>(&mut support::rng(5), 3)
    };
    assert_eq!(f64::potrf(b'X', &mut a), -1);
    assert_eq!(f64::potrf(b'L', &mut short()), -4);
    assert_eq!(f64::potrs(b'L', &short(), &mut a.clone()), -5);
    assert_eq!(f64::potrs(b'U', &a, &mut short()), -7);
    assert_eq!(f64::gesv(&mut short(), &mut [0; 3], &mut a), -4);
    assert_eq!(f64::gesv(&mut a, &mut [0; 3], &mut short()), -7);
}
