//! Products against sums written out, with every transpose, stride, triangle, `α` and `β`.
#![allow(missing_docs)]

mod support;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use support::{Number, Stored, draw, rng};

const FACTORS: [f64; 4] = [0.0, 1.0, -1.0, 0.7];

/// A sum of `terms` products of numbers below 5 is right to so much.
fn close<T: Number>(got: f64, expected: f64, terms: usize, what: &str) {
    let bound = 25.0 * (terms + 4) as f64 * T::EPSILON;
    assert!((got - expected).abs() <= bound, "{what}: {got} {expected}");
}

fn factors<T: Number>(rng: &mut ChaCha8Rng) -> (T, T) {
    let mut one = || T::of(FACTORS[rng.random_range(0..FACTORS.len())]);
    (one(), one())
}

/// With `β = 0` the result may hold anything before.
fn result<T: Number>(rng: &mut ChaCha8Rng, rows: usize, columns: usize, beta: T) -> Stored<T> {
    if beta.to() == 0.0 {
        Stored::canaries(rng, rows, columns)
    } else {
        Stored::normal(rng, rows, columns)
    }
}

fn scaled(beta: f64, before: f64) -> f64 {
    if beta == 0.0 { 0.0 } else { beta * before }
}

fn general<T: Number>() {
    let mut rng = rng(1);
    for _ in 0..400 {
        let [m, n, k] = [(); 3].map(|()| rng.random_range(0..21));
        let of = [(); 2].map(|()| b"NTC"[rng.random_range(0..3)]);
        let (alpha, beta): (T, T) = factors(&mut rng);
        let stored = |rng: &mut ChaCha8Rng, letter: u8, rows: usize, columns: usize| {
            if letter == b'N' {
                Stored::normal(rng, rows, columns)
            } else {
                Stored::normal(rng, columns, rows)
            }
        };
        let a = stored(&mut rng, of[0], m, k);
        let b = stored(&mut rng, of[1], k, n);
        let before = result(&mut rng, m, n, beta);
        let mut c = before.clone();
        T::gemm(of, [m, n, k].map(|v| v as i32), alpha, &a, &b, beta, &mut c);
        c.untouched(&before, |_, _| true);
        for i in 0..m {
            for j in 0..n {
                let sum: f64 = (0..k).map(|l| a.op(of[0], i, l) * b.op(of[1], l, j)).sum();
                let expected = alpha.to() * sum + scaled(beta.to(), before.at(i, j));
                close::<T>(c.at(i, j), expected, k, &format!("gemm {of:?} {m} {n} {k}"));
            }
        }
    }
}

/// A vector with its increment, and where its entries are.
fn strided<T: Number>(rng: &mut ChaCha8Rng, len: usize, canary: bool) -> (Vec<T>, i32, Vec<usize>) {
    let increment = [1, 2, 3, -1, -2][rng.random_range(0..5)];
    let step = i32::unsigned_abs(increment) as usize;
    let mut data = vec![T::of(f64::NAN); step * len.max(1) + 2];
    let places: Vec<usize> = (0..len)
        .map(|i| step * if increment > 0 { i } else { len - 1 - i })
        .collect();
    if !canary {
        for &place in &places {
            data[place] = draw(rng);
        }
    }
    (data, increment, places)
}

fn vectors<T: Number>() {
    let mut rng = rng(2);
    for case in 0..600 {
        let symmetric = case % 2 == 0;
        let m = rng.random_range(1..21);
        let n = if symmetric {
            m
        } else {
            rng.random_range(1..21)
        };
        let (of, uplo) = (
            b"NTC"[rng.random_range(0..3)],
            b"LU"[rng.random_range(0..2)],
        );
        let (alpha, beta): (T, T) = factors(&mut rng);
        let full: Stored<T> = Stored::normal(&mut rng, m, n);
        let (rows, columns) = if symmetric || of == b'N' {
            (m, n)
        } else {
            (n, m)
        };
        let (x, incx, in_x) = strided::<T>(&mut rng, columns, false);
        let (before, incy, in_y) = strided::<T>(&mut rng, rows, beta.to() == 0.0);
        let mut y = before.clone();
        if symmetric {
            let a = full.clone().only(uplo);
            T::symv(uplo, alpha, &a, (&x, incx), beta, (&mut y, incy));
        } else {
            T::gemv(of, alpha, &full, (&x, incx), beta, (&mut y, incy));
        }
        let entry = |i: usize, j: usize| match (symmetric, uplo) {
            (true, b'L') => full.at(i.max(j), i.min(j)),
            (true, _) => full.at(i.min(j), i.max(j)),
            _ => full.op(of, i, j),
        };
        for i in 0..rows {
            let sum: f64 = (0..columns).map(|j| entry(i, j) * x[in_x[j]].to()).sum();
            let expected = alpha.to() * sum + scaled(beta.to(), before[in_y[i]].to());
            close::<T>(y[in_y[i]].to(), expected, columns, "vector");
        }
        for (place, v) in y.iter().enumerate() {
            assert!(in_y.contains(&place) || v.to().is_nan());
        }
    }
}

fn triangles<T: Number>() {
    let mut rng = rng(3);
    for case in 0..600 {
        let pair = case % 2 == 0;
        let (n, k) = (rng.random_range(0..21), rng.random_range(0..21));
        let (of, uplo) = (
            b"NTC"[rng.random_range(0..3)],
            b"LU"[rng.random_range(0..2)],
        );
        let (alpha, beta): (T, T) = factors(&mut rng);
        let mut factor = || {
            if of == b'N' {
                Stored::<T>::normal(&mut rng, n, k)
            } else {
                Stored::normal(&mut rng, k, n)
            }
        };
        let (a, b) = (factor(), factor());
        let before = result(&mut rng, n, n, beta).only(uplo);
        let mut c = before.clone();
        if pair {
            T::syr2k(uplo, of, k as i32, alpha, [&a, &b], beta, &mut c);
        } else {
            T::syrk(uplo, of, k as i32, alpha, &a, beta, &mut c);
        }
        let written = |i: usize, j: usize| if uplo == b'L' { i >= j } else { i <= j };
        c.untouched(&before, written);
        for i in 0..n {
            for j in (0..n).filter(|&j| written(i, j)) {
                let sum: f64 = (0..k)
                    .map(|l| {
                        if pair {
                            a.op(of, i, l) * b.op(of, j, l) + b.op(of, i, l) * a.op(of, j, l)
                        } else {
                            a.op(of, i, l) * a.op(of, j, l)
                        }
                    })
                    .sum();
                let expected = alpha.to() * sum + scaled(beta.to(), before.at(i, j));
                close::<T>(c.at(i, j), expected, 2 * k, "triangle");
            }
        }
    }
}

#[test]
fn matrix_products() {
    general::<f64>();
    general::<f32>();
}

#[test]
fn vector_products() {
    vectors::<f64>();
    vectors::<f32>();
}

#[test]
fn symmetric_products() {
    triangles::<f64>();
    triangles::<f32>();
}

#[test]
fn illegal_arguments_change_nothing() {
    let mut rng = rng(4);
    let a: Stored<f64> = Stored::normal(&mut rng, 3, 3);
    let mut c = a.clone();
    f64::gemm([b'X', b'N'], [3; 3], 1.0, &a, &a, 0.0, &mut c);
    f64::gemm([b'N', b'N'], [3, 3, -1], 1.0, &a, &a, 0.0, &mut c);
    let short = Stored {
        leading: 2,
        ..a.clone()
    };
    f64::gemm([b'N', b'N'], [3; 3], 1.0, &short, &a, 0.0, &mut c);
    f64::syrk(b'X', b'N', 3, 1.0, &a, 0.0, &mut c);
    f64::syr2k(b'L', b'X', 3, 1.0, [&a, &a], 0.0, &mut c);
    c.untouched(&a, |_, _| false);
    let mut y = [1.0; 3];
    f64::gemv(b'N', 1.0, &a, (&[1.0; 3], 0), 0.0, (&mut y, 1));
    f64::symv(b'X', 1.0, &a, (&[1.0; 3], 1), 0.0, (&mut y, 1));
    assert_eq!(y, [1.0; 3]);
}
