//! Eigenvalues in the middle of a spectrum, and the solver that finds them without a matrix.

mod support;

use feasible_spectrum::{
    DenseInverse, DenseMatrix, Error, FnOperator, MinresInverse, MinresSettings, MinresStatus,
    Operator, Settings, Status, eigenpairs_near, minres,
};
use support::{assert_honest, gaussian, norm, rng, with_spectrum};

fn residual(matrix: &mut DenseMatrix, x: &[f64], b: &[f64]) -> f64 {
    let mut product = vec![0.0; b.len()];
    matrix.apply(x, &mut product).unwrap();
    norm(
        &b.iter()
            .zip(&product)
            .map(|(b, p)| b - p)
            .collect::<Vec<_>>(),
    )
}

#[test]
fn minres_solves_indefinite_systems() {
    let values: Vec<f64> = (0..60)
        .map(|i| if i % 3 == 0 { -1.0 } else { 1.0 } * (1.0 + i as f64))
        .collect();
    let mut matrix = with_spectrum(&values, 30);
    let b = gaussian(60, &mut rng(31));
    let solved = minres(&mut matrix, &b, &MinresSettings::default()).unwrap();
    assert_eq!(solved.status, MinresStatus::Converged);
    let truth = residual(&mut matrix, &solved.x, &b);
    assert!(truth <= 1e-12 * norm(&b), "{truth:e}");
    assert!((truth - solved.residual).abs() <= 1e-13 * norm(&b));
    // One step a distinct eigenvalue at most, in exact arithmetic; rounding needs some more.
    assert!(solved.products < 150, "{}", solved.products);
}

#[test]
fn a_step_of_minres_has_the_smallest_residual_of_its_space() {
    // After two steps from 0 the residual is that of the least-squares fit by {b, Hb}.
    let mut matrix = with_spectrum(&[3.0, -2.0, 1.0, 0.5, 4.0], 32);
    let b = gaussian(5, &mut rng(33));
    let mut hb = vec![0.0; 5];
    matrix.apply(&b, &mut hb).unwrap();
    let mut hhb = vec![0.0; 5];
    matrix.apply(&hb, &mut hhb).unwrap();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let (a11, a12, a22) = (dot(&hb, &hb), dot(&hb, &hhb), dot(&hhb, &hhb));
    let (r1, r2) = (dot(&hb, &b), dot(&hhb, &b));
    let det = a11 * a22 - a12 * a12;
    let (c1, c2) = ((a22 * r1 - a12 * r2) / det, (a11 * r2 - a12 * r1) / det);
    let best = norm(
        &(0..5)
            .map(|i| b[i] - c1 * hb[i] - c2 * hhb[i])
            .collect::<Vec<_>>(),
    );
    // Two products for the steps, one for the residual.
    let settings = MinresSettings {
        products: 3,
        ..MinresSettings::default()
    };
    let after_two = minres(&mut matrix, &b, &settings).unwrap();
    assert_eq!(after_two.status, MinresStatus::Budget);
    assert_eq!(after_two.products, 3);
    assert!(
        (after_two.residual - best).abs() < 1e-12 * best,
        "{} {best}",
        after_two.residual
    );
}

#[test]
fn systems_that_have_no_solution_say_so() {
    let mut singular = DenseMatrix::new(2, vec![1.0, 0.0, 0.0, 0.0]).unwrap();
    let solved = minres(&mut singular, &[1.0, 1.0], &MinresSettings::default()).unwrap();
    assert_eq!(solved.status, MinresStatus::Stagnated);
    assert!((solved.residual - 1.0).abs() < 1e-12);
    let fine = minres(&mut singular, &[1.0, 0.0], &MinresSettings::default()).unwrap();
    assert_eq!(fine.status, MinresStatus::Converged);
    let none = minres(&mut singular, &[0.0, 0.0], &MinresSettings::default()).unwrap();
    assert_eq!((none.status, none.products), (MinresStatus::Converged, 0));
    let mut nan = FnOperator::new(2, |_: &[f64], out: &mut [f64]| {
        out.fill(f64::NAN);
        Ok(())
    });
    let solved = minres(&mut nan, &[1.0, 0.0], &MinresSettings::default()).unwrap();
    assert_eq!(solved.status, MinresStatus::NotFinite);
    assert!(solved.residual.is_nan());
    assert!(minres(&mut singular, &[1.0], &MinresSettings::default()).is_err());
    assert!(minres(&mut singular, &[f64::NAN, 1.0], &MinresSettings::default()).is_err());
}

#[test]
fn the_nearest_eigenvalues_are_found_by_either_inverse() {
    let values: Vec<f64> = (0..80).map(|i| -4.0 + 0.1 * f64::from(i)).collect();
    let mut matrix = with_spectrum(&values, 34);
    let shift = 0.23;
    let expected = [0.2, 0.3, 0.1, 0.4];
    let settings = Settings::default();
    let mut dense = DenseInverse::new(&matrix, shift).unwrap();
    let found = eigenpairs_near(&mut matrix, &mut dense, shift, 4, &settings).unwrap();
    let mut iterative =
        MinresInverse::new(matrix.clone(), shift, MinresSettings::default()).unwrap();
    let matrix_free = eigenpairs_near(&mut matrix, &mut iterative, shift, 4, &settings).unwrap();
    assert!(iterative.products() > matrix_free.products);
    for found in [found, matrix_free] {
        assert!(found.all_converged(), "{found:?}");
        for (pair, value) in found.pairs.iter().zip(expected) {
            assert!((pair.value - value).abs() < 1e-9, "{:?}", found.values());
            assert!(pair.residual <= 1e-8 * pair.value.abs().max(1e-5));
        }
        assert_honest(&mut matrix, &found);
    }
}

#[test]
fn repeated_interior_eigenvalues_are_found() {
    let mut values: Vec<f64> = (0..50).map(|i| f64::from(i) - 20.5).collect();
    values.extend([0.25, 0.25, 0.25]);
    let mut matrix = with_spectrum(&values, 35);
    let mut inverse = DenseInverse::new(&matrix, 0.2).unwrap();
    let found = eigenpairs_near(&mut matrix, &mut inverse, 0.2, 3, &Settings::default()).unwrap();
    assert!(
        found.values().iter().all(|v| (v - 0.25).abs() < 1e-9),
        "{:?}",
        found.values()
    );
}

#[test]
fn a_shift_on_an_eigenvalue_is_refused_and_a_nan_is_said() {
    let mut matrix = DenseMatrix::new(2, vec![2.0, 0.0, 0.0, 5.0]).unwrap();
    let message = DenseInverse::new(&matrix, 2.0).unwrap_err().to_string();
    assert!(
        message.contains("shift") && message.contains("singular"),
        "{message}"
    );
    assert!(DenseInverse::new(&matrix, f64::NAN).is_err());
    // Near is not on it.
    let mut inverse = DenseInverse::new(&matrix, 2.0 + 1e-6).unwrap();
    let found = eigenpairs_near(
        &mut matrix,
        &mut inverse,
        2.0 + 1e-6,
        1,
        &Settings::default(),
    )
    .unwrap();
    assert!((found.pairs[0].value - 2.0).abs() < 1e-12);

    let mut nan = FnOperator::new(2, |_: &[f64], out: &mut [f64]| {
        out.fill(f64::NAN);
        Ok(())
    });
    let found = eigenpairs_near(&mut nan, &mut inverse, 0.0, 1, &Settings::default()).unwrap();
    assert_eq!(found.status, Status::NotFinite);
    let mut wrong = DenseMatrix::new(1, vec![1.0]).unwrap();
    let outcome = eigenpairs_near(&mut wrong, &mut inverse, 0.0, 1, &Settings::default());
    assert!(matches!(outcome, Err(Error::Shape { .. })));
}
