//! Eigenvalues and singular values: orthogonality, reconstruction, repeated and vanishing values,
//! every letter, extreme scales, numbers that are not finite.
#![allow(missing_docs)]

mod support;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use support::{Number, Stored, draw, rng};

/// An orthogonal matrix as rows, by Gram and Schmidt twice.
fn orthogonal(rng: &mut ChaCha8Rng, n: usize) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < n {
        let mut row: Vec<f64> = (0..n).map(|_| draw(rng)).collect();
        for _ in 0..2 {
            for done in &rows {
                let along: f64 = done.iter().zip(&row).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(done).for_each(|(v, d)| *v -= along * d);
            }
        }
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        rows.push(row.iter().map(|v| v / norm).collect());
    }
    rows
}

/// Values of which some repeat and some vanish, with a scale.
fn spectrum(rng: &mut ChaCha8Rng, n: usize, signs: bool, scale: f64) -> Vec<f64> {
    let mut values: Vec<f64> = Vec::new();
    for _ in 0..n {
        let value = match rng.random_range(0..4) {
            0 if !values.is_empty() => values[rng.random_range(0..values.len())] / scale,
            1 => 0.0,
            _ => {
                rng.random_range(0.1..3.0)
                    * if signs && rng.random_bool(0.5) {
                        -1.0
                    } else {
                        1.0
                    }
            }
        };
        values.push(scale * value);
    }
    values
}

fn eigenvalues<T: Number>(scale: f64) {
    let mut rng = rng(1);
    for case in 0..300 {
        let n = rng.random_range(0..21);
        let mut values = spectrum(&mut rng, n, true, scale);
        let q = orthogonal(&mut rng, n);
        let full = Stored::new(&mut rng, n, n, |i, j| {
            let (i, j) = (i.min(j), i.max(j));
            T::of((0..n).map(|k| values[k] * q[k][i] * q[k][j]).sum())
        });
        values.sort_by(f64::total_cmp);
        let uplo = b"LU"[case % 2];
        let range = b"AVI"[case % 3];
        // Away from the values, so that rounding does not decide.
        let between = [-0.05, 1.05].map(|v| T::of(scale * v));
        let places = [1 + n as i32 / 3, n as i32];
        let expected: Vec<f64> = values
            .iter()
            .enumerate()
            .filter(|(i, v)| match range {
                b'V' => **v > between[0].to() && **v <= between[1].to(),
                b'I' => *i as i32 + 1 >= places[0],
                _ => true,
            })
            .map(|(_, v)| *v)
            .collect();
        if values
            .iter()
            .any(|v| (v - between[1].to()).abs() < 1e-3 * scale)
        {
            continue;
        }
        let size = scale.max(3.0 * scale);
        let bound = 20.0 * (n + 2) as f64 * T::EPSILON * size;
        for jobz in [b'N', b'V'] {
            let mut a = full.clone().only(uplo);
            let mut w = vec![T::of(f64::NAN); n];
            let before = Stored::canaries(&mut rng, n, n);
            let (mut z, mut support) = (before.clone(), vec![0; 2 * n]);
            let letters = [jobz, range, uplo];
            let (info, found) = T::syevr(
                letters,
                &mut a,
                between,
                places,
                &mut w,
                &mut z,
                &mut support,
            );
            assert_eq!((info, found), (0, expected.len()), "{n} {values:?}");
            for (w, expected) in w.iter().zip(&expected) {
                assert!((w.to() - expected).abs() < bound, "{n} {w:?} {expected}");
            }
            z.untouched(&before, |_, j| jobz == b'V' && j < found);
            if jobz == b'N' {
                continue;
            }
            for c in 0..found {
                assert_eq!(support[2 * c..2 * c + 2], [1, n as i32]);
                for d in 0..=c {
                    let inner: f64 = (0..n).map(|i| z.at(i, c) * z.at(i, d)).sum();
                    let expected = if c == d { 1.0 } else { 0.0 };
                    assert!((inner - expected).abs() < bound / size, "{c} {d} {inner}");
                }
                for i in 0..n {
                    let product: f64 = (0..n).map(|j| full.at(i, j) * z.at(j, c)).sum();
                    assert!((product - w[c].to() * z.at(i, c)).abs() < bound);
                }
            }
        }
    }
}

/// `what` says which vectors are where: how many, and their entry `(i, k)`.
fn check_side(
    what: &str,
    len: usize,
    count: usize,
    entry: impl Fn(usize, usize) -> f64,
    bound: f64,
) {
    for c in 0..count {
        for d in 0..=c {
            let inner: f64 = (0..len).map(|i| entry(i, c) * entry(i, d)).sum();
            let expected = if c == d { 1.0 } else { 0.0 };
            assert!((inner - expected).abs() < bound, "{what}: {c} {d} {inner}");
        }
    }
}

fn singular_values<T: Number>(scale: f64) {
    let mut rng = rng(2);
    for case in 0..400 {
        let (m, n) = (rng.random_range(0..21), rng.random_range(0..21));
        let least = usize::min(m, n);
        let mut values = spectrum(&mut rng, least, false, scale);
        values.sort_by(|a, b| b.total_cmp(a));
        let (left, right) = (orthogonal(&mut rng, m), orthogonal(&mut rng, n));
        let full = Stored::new(&mut rng, m, n, |i, j| {
            T::of(
                (0..least)
                    .map(|k| values[k] * left[k][i] * right[k][j])
                    .sum(),
            )
        });
        let size = 3.0 * scale;
        let bound = 20.0 * (m + n + 2) as f64 * T::EPSILON * size;
        let divide = case % 2 == 0;
        let (jobu, jobvt) = loop {
            let letters = [(); 2].map(|()| b"ASON"[rng.random_range(0..4)]);
            let both = if divide { [letters[0]; 2] } else { letters };
            if divide || both != [b'O', b'O'] {
                break (both[0], both[1]);
            }
        };
        // One letter for both sides: the matrix is replaced by the vectors of the longer one.
        let (of_u, of_vt) = match (divide, jobu) {
            (true, b'O') if m >= n => (b'O', b'A'),
            (true, b'O') => (b'A', b'O'),
            _ => (jobu, jobvt),
        };
        let count = |letter: u8, all: usize| match letter {
            b'A' => all,
            b'N' => 0,
            _ => least,
        };
        let stored = |letter: u8, count: usize| if letter == b'O' { 0 } else { count };
        let (count_u, count_vt) = (count(of_u, m), count(of_vt, n));
        let mut a = full.clone();
        let mut s = vec![T::of(f64::NAN); least];
        let before_u = Stored::canaries(&mut rng, m, stored(of_u, count_u));
        let before_vt = Stored::canaries(&mut rng, stored(of_vt, count_vt), n);
        let (mut u, mut vt) = (before_u.clone(), before_vt.clone());
        let info = if divide {
            T::gesdd(jobu, &mut a, &mut s, &mut u, &mut vt)
        } else {
            T::gesvd([jobu, jobvt], &mut a, &mut s, &mut u, &mut vt)
        };
        let letters = [jobu as char, jobvt as char];
        assert_eq!(info, 0, "{letters:?} {m} {n}");
        a.untouched(&full, |_, _| true);
        u.untouched(&before_u, |_, _| true);
        vt.untouched(&before_vt, |_, _| true);
        if least == 0 {
            continue;
        }
        for (s, value) in s.iter().zip(&values) {
            assert!(
                (s.to() - value).abs() < bound,
                "{letters:?} {m} {n} {s:?} {value}"
            );
        }
        let left = |i: usize, k: usize| if of_u == b'O' { a.at(i, k) } else { u.at(i, k) };
        let right = |j: usize, k: usize| {
            if of_vt == b'O' {
                a.at(k, j)
            } else {
                vt.at(k, j)
            }
        };
        check_side("left", m, count_u, left, bound / size);
        check_side("right", n, count_vt, right, bound / size);
        for i in 0..m {
            for j in 0..n {
                if count_u > 0 && count_vt > 0 {
                    let sum: f64 = (0..least)
                        .map(|k| left(i, k) * s[k].to() * right(j, k))
                        .sum();
                    assert!((sum - full.at(i, j)).abs() < bound, "{letters:?} {m} {n}");
                }
            }
        }
        // One side alone: A Aᵀ or AᵀA has it.
        if count_vt == 0 {
            for k in 0..count_u {
                let value = s.get(k).map_or(0.0, |s| s.to());
                let along: f64 = (0..n)
                    .map(|j| {
                        (0..m)
                            .map(|i| full.at(i, j) * left(i, k))
                            .sum::<f64>()
                            .powi(2)
                    })
                    .sum();
                assert!((along.sqrt() - value).abs() < bound);
            }
        }
        if count_u == 0 {
            for k in 0..count_vt {
                let value = s.get(k).map_or(0.0, |s| s.to());
                let along: f64 = (0..m)
                    .map(|i| {
                        (0..n)
                            .map(|j| full.at(i, j) * right(j, k))
                            .sum::<f64>()
                            .powi(2)
                    })
                    .sum();
                assert!((along.sqrt() - value).abs() < bound);
            }
        }
    }
}

#[test]
fn eigenvalues_and_vectors() {
    eigenvalues::<f64>(1.0);
    eigenvalues::<f32>(1.0);
}

#[test]
fn singular_values_and_vectors() {
    singular_values::<f64>(1.0);
    singular_values::<f32>(1.0);
}

/// Squares of these sizes are not numbers any more.
#[test]
fn extreme_scales() {
    for scale in [1e-300, 1e-200, 1e200, 1e300] {
        eigenvalues::<f64>(scale);
    }
    for scale in [1e-30, 1e30] {
        eigenvalues::<f32>(scale);
    }
    // The checks of one side alone square the sizes themselves.
    for scale in [1e-140, 1e140] {
        singular_values::<f64>(scale);
    }
    for scale in [1e-30, 1e30] {
        singular_values::<f32>(scale);
    }
}

#[test]
fn numbers_that_are_not_finite_are_told() {
    let mut rng = rng(3);
    for case in 0..100 {
        let n = rng.random_range(1..12);
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][case % 3];
        let mut a: Stored<f64> = Stored::normal(&mut rng, n, n);
        let (i, j) = (rng.random_range(0..n), rng.random_range(0..n));
        a.data[j * a.leading as usize + i] = bad;
        let (mut w, mut z) = (vec![0.0; n], Stored::canaries(&mut rng, n, n));
        let (mut vt, mut support) = (z.clone(), vec![0; 2 * n]);
        let uplo = if i >= j { b'L' } else { b'U' };
        let (info, _) = f64::syevr(
            [b'V', b'A', uplo],
            &mut a.clone(),
            [0.0; 2],
            [0; 2],
            &mut w,
            &mut z,
            &mut support,
        );
        assert!(info > 0);
        assert!(f64::gesdd(b'S', &mut a.clone(), &mut w, &mut z, &mut vt) > 0);
        assert!(f64::gesvd([b'S', b'A'], &mut a.clone(), &mut w, &mut z, &mut vt) > 0);
        // The other triangle is not looked at.
        if i != j {
            let other = if i >= j { b'U' } else { b'L' };
            let (info, found) = f64::syevr(
                [b'N', b'A', other],
                &mut a,
                [0.0; 2],
                [0; 2],
                &mut w,
                &mut z,
                &mut support,
            );
            assert_eq!((info, found), (0, n));
        }
    }
}

#[test]
fn illegal_arguments_are_told_by_their_place() {
    let mut rng = rng(4);
    let a: Stored<f64> = Stored::normal(&mut rng, 4, 3);
    let (mut s, mut u, mut vt) = ([0.0; 4], a.clone(), a.clone());
    let mut short = Stored {
        leading: 2,
        ..a.clone()
    };
    assert_eq!(
        f64::gesdd(b'X', &mut a.clone(), &mut s, &mut u, &mut vt),
        -1
    );
    assert_eq!(f64::gesdd(b'S', &mut short, &mut s, &mut u, &mut vt), -5);
    assert_eq!(
        f64::gesdd(b'S', &mut a.clone(), &mut s, &mut short, &mut vt),
        -8
    );
    assert_eq!(
        f64::gesdd(b'S', &mut a.clone(), &mut s, &mut u, &mut short),
        -10
    );
    assert_eq!(
        f64::gesvd([b'X', b'N'], &mut a.clone(), &mut s, &mut u, &mut vt),
        -1
    );
    assert_eq!(
        f64::gesvd([b'O', b'O'], &mut a.clone(), &mut s, &mut u, &mut vt),
        -2
    );
    assert_eq!(
        f64::gesvd([b'S', b'N'], &mut short, &mut s, &mut u, &mut vt),
        -6
    );
    assert_eq!(
        f64::gesvd([b'A', b'N'], &mut a.clone(), &mut s, &mut short, &mut vt),
        -9
    );
    assert_eq!(
        f64::gesvd([b'N', b'A'], &mut a.clone(), &mut s, &mut u, &mut short),
        -11
    );
    let square: Stored<f64> = Stored::normal(&mut rng, 3, 3);
    let mut short = Stored {
        leading: 2,
        ..square.clone()
    };
    let mut support = [0; 6];
    for (letters, between, places, place) in [
        ([b'X', b'A', b'L'], [0.0, 1.0], [1, 3], -1),
        ([b'V', b'X', b'L'], [0.0, 1.0], [1, 3], -2),
        ([b'V', b'A', b'X'], [0.0, 1.0], [1, 3], -3),
        ([b'V', b'V', b'L'], [1.0, 1.0], [1, 3], -8),
        ([b'V', b'I', b'L'], [0.0, 1.0], [0, 3], -9),
        ([b'V', b'I', b'L'], [0.0, 1.0], [1, 4], -10),
        ([b'V', b'I', b'L'], [0.0, 1.0], [3, 2], -10),
    ] {
        let mut z = square.clone();
        let (info, _) = f64::syevr(
            letters,
            &mut square.clone(),
            between,
            places,
            &mut s,
            &mut z,
            &mut support,
        );
        assert_eq!(info, place);
    }
    let letters = [b'V', b'A', b'L'];
    let (none, mut z) = ([0.0; 2], square.clone());
    let call = f64::syevr(
        letters,
        &mut short,
        none,
        [0; 2],
        &mut s,
        &mut z,
        &mut support,
    );
    assert_eq!(call.0, -6);
    let mut given = square.clone();
    let call = f64::syevr(
        letters,
        &mut given,
        none,
        [0; 2],
        &mut s,
        &mut short,
        &mut support,
    );
    assert_eq!(call.0, -15);
}
