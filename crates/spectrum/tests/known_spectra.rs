//! Eigenpairs of matrices whose spectra are known.

mod support;

use feasible_spectrum::{
    Copies, DenseMatrix, FnOperator, Operator, Settings, Wanted, eigenpairs, eigenpairs_from,
};
use support::{assert_honest, dense_eigenvalues, spread, with_spectrum};

/// A symmetric matrix has an eigenvalue within the residual, and for a separated one the error is
/// of the residual's square: so `1e-8` relative residuals leave far less than this.
const CLOSE: f64 = 1e-9;

fn assert_finds(matrix: &mut DenseMatrix, wanted: Wanted, expected: &[f64]) {
    let found = eigenpairs(matrix, wanted, &Settings::default()).unwrap();
    assert!(found.all_converged(), "{found:?}");
    assert_eq!(found.pairs.len(), expected.len());
    let norm = dense_eigenvalues(matrix)
        .iter()
        .fold(0.0f64, |m, v| m.max(v.abs()));
    for (pair, value) in found.pairs.iter().zip(expected) {
        assert!(
            (pair.value - value).abs() <= CLOSE * norm,
            "{:?} but {expected:?}",
            found.values()
        );
    }
    assert!(found.missed <= 1e-4, "{}", found.missed);
    assert!(found.symmetry_defect < 1e-12, "{:e}", found.symmetry_defect);
    assert_honest(matrix, &found);
}

#[test]
fn every_kind_of_wish_is_met() {
    let values = spread(120, -3.0, 2.0);
    let mut matrix = with_spectrum(&values, 1);
    assert_finds(
        &mut matrix,
        Wanted::Top(3),
        &[values[119], values[118], values[117]],
    );
    assert_finds(&mut matrix, Wanted::Bottom(3), &values[..3]);
    assert_finds(&mut matrix, Wanted::Magnitude(3), &values[..3]);
    let both = Wanted::BothEnds { top: 2, bottom: 2 };
    assert_finds(
        &mut matrix,
        both,
        &[values[119], values[118], values[0], values[1]],
    );
    let only_bottom = Wanted::BothEnds { top: 0, bottom: 2 };
    assert_finds(&mut matrix, only_bottom, &values[..2]);
}

#[test]
fn the_largest_is_the_algebraically_largest() {
    let mut values = spread(60, -100.0, -1.0);
    values.push(0.25);
    let mut matrix = with_spectrum(&values, 2);
    assert_finds(&mut matrix, Wanted::Top(2), &[0.25, -1.0]);
    assert_finds(&mut matrix, Wanted::Magnitude(1), &[-100.0]);
}

#[test]
fn repeated_eigenvalues_are_found_as_often_as_they_repeat() {
    let mut values = spread(90, 0.0, 1.0);
    values.extend([2.0, 2.0, 2.0, 1.5, 1.5, 1.2, -3.0, -3.0]);
    for seed in 0..5 {
        let mut matrix = with_spectrum(&values, seed);
        assert_finds(&mut matrix, Wanted::Top(6), &[2.0, 2.0, 2.0, 1.5, 1.5, 1.2]);
        assert_finds(&mut matrix, Wanted::Top(2), &[2.0, 2.0]);
        assert_finds(&mut matrix, Wanted::Bottom(3), &[-3.0, -3.0, 0.0]);
        let both = Wanted::BothEnds { top: 4, bottom: 2 };
        assert_finds(&mut matrix, both, &[2.0, 2.0, 2.0, 1.5, -3.0, -3.0]);
        assert_finds(&mut matrix, Wanted::Magnitude(4), &[-3.0, -3.0, 2.0, 2.0]);
    }
}

/// The search is what finds them: without it one Krylov space of exact arithmetic has one of each.
#[test]
fn trusting_one_krylov_space_misses_copies() {
    // So well separated that it is done before rounding brings the copies in.
    let mut values: Vec<f64> = (0..90).map(|i| 0.3f64.powi(i)).collect();
    values.extend([2.0, 2.0, 2.0]);
    let mut matrix = with_spectrum(&values, 3);
    let settings = Settings {
        copies: Copies::Trust,
        ..Settings::default()
    };
    let found = eigenpairs(&mut matrix, Wanted::Top(2), &settings).unwrap();
    assert!(found.all_converged());
    assert_eq!(found.missed, 1.0);
    assert!(
        (found.pairs[1].value - 1.0).abs() < 1e-8,
        "{:?}",
        found.values()
    );
}

/// The odds of a miss are what they are said to be: no more than `missed`, and not far less.
#[test]
fn copies_are_missed_no_more_often_than_stated() {
    let mut values: Vec<f64> = (0..60).map(|i| 0.7f64.powi(i)).collect();
    values.push(1.0);
    let mut matrix = with_spectrum(&values, 19);
    let runs = 400;
    for missed in [0.1, 0.3, 0.9] {
        let mut misses = 0;
        for seed in 0..runs {
            let settings = Settings {
                tolerance: 1e-4,
                missed,
                seed,
                ..Settings::default()
            };
            let found = eigenpairs(&mut matrix, Wanted::Top(2), &settings).unwrap();
            assert!(found.missed == missed || found.missed == 0.0);
            misses += usize::from(found.pairs[1].value < 0.9);
        }
        // Three standard deviations of as many draws; the seeds are fixed.
        let runs = runs as f64;
        let allowed = missed * runs + 3.0 * (missed * (1.0 - missed) * runs).sqrt();
        assert!((misses as f64) < allowed, "{missed}: {misses}");
        // A bound that is never near would cost products for nothing.
        assert!(misses > 0, "{missed}");
    }
}

#[test]
fn few_distinct_eigenvalues_close_the_krylov_space() {
    let values = [vec![5.0; 40], vec![1.0; 3], vec![-2.0; 17]].concat();
    let mut matrix = with_spectrum(&values, 4);
    assert_finds(&mut matrix, Wanted::Top(3), &[5.0; 3]);
    assert_finds(
        &mut matrix,
        Wanted::Bottom(18),
        &[vec![-2.0; 17], vec![1.0]].concat(),
    );
    let mut identity = with_spectrum(&[1.0; 30], 5);
    assert_finds(&mut identity, Wanted::Top(4), &[1.0; 4]);
}

#[test]
fn clusters_are_resolved() {
    let mut values = spread(100, 0.0, 0.9);
    values.extend((0..6).map(|i| 1.0 + 1e-6 * f64::from(i)));
    let mut matrix = with_spectrum(&values, 6);
    let found = eigenpairs(&mut matrix, Wanted::Top(6), &Settings::default()).unwrap();
    assert!(found.all_converged());
    for (i, pair) in found.pairs.iter().enumerate() {
        let value = 1.0 + 1e-6 * (5 - i) as f64;
        assert!((pair.value - value).abs() < 1e-9, "{:?}", found.values());
    }
    assert_honest(&mut matrix, &found);
}

#[test]
fn tiny_eigenvalues_are_known_to_the_rounding_of_the_largest() {
    // A Hessian near an interpolating minimum: a few large, the others tiny of both signs.
    let mut values = vec![10.0, 3.0, 1.0];
    values.extend(spread(80, -1e-9, 1e-9));
    let mut matrix = with_spectrum(&values, 7);
    assert_finds(&mut matrix, Wanted::Top(3), &[10.0, 3.0, 1.0]);
    // All 83: what remains below rounding · norm counts as found, and says so by its residual.
    let found = eigenpairs(&mut matrix, Wanted::Top(83), &Settings::default()).unwrap();
    assert!(found.all_converged());
    for (pair, value) in found
        .pairs
        .iter()
        .zip(dense_eigenvalues(&matrix).iter().rev())
    {
        assert!((pair.value - value).abs() < 1e-13, "{} {value}", pair.value);
    }
}

#[test]
fn the_smallest_cases() {
    let mut one = DenseMatrix::new(1, vec![-3.5]).unwrap();
    for wanted in [Wanted::Top(1), Wanted::Bottom(1), Wanted::Magnitude(1)] {
        assert_finds(&mut one, wanted, &[-3.5]);
    }
    let mut zero = DenseMatrix::new(7, vec![0.0; 49]).unwrap();
    assert_finds(&mut zero, Wanted::Top(3), &[0.0; 3]);
    assert_finds(&mut zero, Wanted::BothEnds { top: 3, bottom: 4 }, &[0.0; 7]);
    let mut two = DenseMatrix::new(2, vec![0.0, 1.0, 1.0, 0.0]).unwrap();
    assert_finds(&mut two, Wanted::Top(2), &[1.0, -1.0]);
    let both = Wanted::BothEnds { top: 1, bottom: 1 };
    assert_finds(&mut two, both, &[1.0, -1.0]);
}

#[test]
fn numbers_of_any_size_are_fine() {
    let values = spread(50, -2.0, 1.0);
    for unit in [1e-200, 1e-30, 1e30, 1e150] {
        let scaled: Vec<f64> = values.iter().map(|v| v * unit).collect();
        let mut matrix = with_spectrum(&scaled, 8);
        let found = eigenpairs(&mut matrix, Wanted::Top(2), &Settings::default()).unwrap();
        assert!(found.all_converged(), "{unit:e}");
        assert!((found.pairs[0].value / unit - 1.0).abs() < CLOSE);
    }
}

#[test]
fn a_quadratic_by_its_closure_and_a_regression() {
    // f(w) = ‖Xw − y‖²/N has the Hessian (2/N) XᵀX.
    let (rows, n) = (40, 12);
    let x = support::gaussian(rows * n, &mut support::rng(9));
    let mut hessian = FnOperator::new(n, |v: &[f64], out: &mut [f64]| {
        out.fill(0.0);
        for row in x.chunks_exact(n) {
            let inner: f64 = row.iter().zip(v).map(|(a, b)| a * b).sum();
            for (o, a) in out.iter_mut().zip(row) {
                *o += 2.0 / rows as f64 * inner * a;
            }
        }
        Ok(())
    });
    let mut dense = vec![0.0; n * n];
    for (j, column) in dense.chunks_exact_mut(n).enumerate() {
        let mut e = vec![0.0; n];
        e[j] = 1.0;
        hessian.apply(&e, column).unwrap();
    }
    let expected = dense_eigenvalues(&DenseMatrix::new(n, dense).unwrap());
    let found = eigenpairs(&mut hessian, Wanted::Top(n), &Settings::default()).unwrap();
    assert!(found.all_converged());
    for (pair, value) in found.pairs.iter().zip(expected.iter().rev()) {
        assert!((pair.value - value).abs() < 1e-12 * expected[n - 1]);
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let mut matrix = with_spectrum(&spread(400, -1.0, 1.0), 10);
    let settings = Settings {
        seed: 11,
        ..Settings::default()
    };
    let first = eigenpairs(&mut matrix, Wanted::Top(4), &settings).unwrap();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let alone = pool.install(|| eigenpairs(&mut matrix, Wanted::Top(4), &settings).unwrap());
    assert_eq!(first.vectors, alone.vectors);
    assert_eq!(first.products, alone.products);
}

#[test]
fn a_warm_start_saves_products_and_a_bad_one_costs_no_answer() {
    let mut values = spread(300, -1.0, 1.0);
    values.extend([3.0, 2.5, 2.0]);
    let mut matrix = with_spectrum(&values, 12);
    let settings = Settings::default();
    let cold = eigenpairs(&mut matrix, Wanted::Top(3), &settings).unwrap();
    let warm = eigenpairs_from(&mut matrix, Wanted::Top(3), &settings, &cold.vectors).unwrap();
    assert!(warm.all_converged());
    let found_by = |e: &feasible_spectrum::Eigenpairs| {
        e.products - e.search_products - e.verification_products
    };
    // Three exact vectors span an invariant space, a product each; these have residuals of 1e-8,
    // and a few more products take out what they lack.
    assert!(found_by(&warm) <= 6, "{warm:?}");
    assert!(found_by(&cold) > 15, "{}", found_by(&cold));

    // The start spans an invariant space without the largest: the search must find it.
    let all = eigenpairs(&mut matrix, Wanted::Top(5), &settings).unwrap();
    let n = matrix.n();
    let misled =
        eigenpairs_from(&mut matrix, Wanted::Top(2), &settings, &all.vectors[n..]).unwrap();
    assert!(misled.all_converged());
    assert!(
        (misled.pairs[0].value - 3.0).abs() < CLOSE,
        "{:?}",
        misled.values()
    );
    assert!((misled.pairs[1].value - 2.5).abs() < CLOSE);

    let zeros = vec![0.0; n];
    let from_zero = eigenpairs_from(&mut matrix, Wanted::Top(1), &settings, &zeros).unwrap();
    assert!((from_zero.pairs[0].value - 3.0).abs() < CLOSE);
}
