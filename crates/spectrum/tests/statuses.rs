//! Searches that end short of what was asked, operators that are none, and arguments that make no sense.

mod support;

use feasible_spectrum::{
    DenseInverse, DenseMatrix, Error, FnOperator, Operator, OperatorError, PairStatus,
    Preconditioned, Settings, Shifted, Status, Wanted, WeightedSum, eigenpairs, eigenpairs_from,
    eigenpairs_near,
};
use support::{assert_honest, spread, with_spectrum};

#[test]
fn a_spent_budget_leaves_true_residuals() {
    let mut matrix = with_spectrum(&spread(200, 0.0, 1.0), 13);
    let settings = Settings {
        products: 25,
        ..Settings::default()
    };
    let found = eigenpairs(&mut matrix, Wanted::Top(4), &settings).unwrap();
    assert_eq!(found.status, Status::Budget);
    assert_eq!(found.products, 25);
    assert_eq!(found.pairs.len(), 4);
    assert!(
        found
            .pairs
            .iter()
            .any(|p| p.status == PairStatus::Unconverged)
    );
    assert!(
        found
            .pairs
            .iter()
            .all(|p| p.residual > 0.0 && p.residual < 1.0)
    );
    assert_honest(&mut matrix, &found);
}

/// Pairs may be good and yet not known to be the largest.
#[test]
fn a_budget_spent_in_the_search_leaves_good_pairs_and_says_that_nobody_knows() {
    let mut values = spread(300, -1.0, 1.0);
    values.extend([3.0, 2.5, 2.0]);
    let mut matrix = with_spectrum(&values, 12);
    let enough = eigenpairs(&mut matrix, Wanted::Top(3), &Settings::default()).unwrap();
    assert!(enough.search_products > 4, "{enough:?}");
    let settings = Settings {
        products: enough.products - 1,
        ..Settings::default()
    };
    let found = eigenpairs(&mut matrix, Wanted::Top(3), &settings).unwrap();
    assert_eq!(found.status, Status::Budget);
    assert_eq!(found.missed, 1.0);
    assert!(found.products <= settings.products);
    assert!(
        found
            .pairs
            .iter()
            .all(|p| p.status == PairStatus::Converged)
    );
    assert_honest(&mut matrix, &found);
}

#[test]
fn a_nan_is_said_and_never_hidden() {
    for bad in [1, 2, 9] {
        let mut calls = 0;
        let mut operator = FnOperator::new(30, |x: &[f64], out: &mut [f64]| {
            calls += 1;
            for (i, (o, v)) in out.iter_mut().zip(x).enumerate() {
                *o = i as f64 * v;
            }
            if calls == bad {
                out[7] = f64::NAN;
            }
            Ok(())
        });
        let found = eigenpairs(&mut operator, Wanted::Top(2), &Settings::default()).unwrap();
        assert_eq!(found.status, Status::NotFinite);
        assert_eq!(found.products, bad);
        assert!(!found.all_converged());
        assert!(
            found
                .pairs
                .iter()
                .all(|p| p.status == PairStatus::Unconverged)
        );
        assert!(
            found
                .pairs
                .iter()
                .all(|p| p.residual.is_nan() && p.value.is_finite())
        );
    }
}

#[test]
fn an_operator_that_fails_stops_the_call_with_its_words() {
    let mut calls = 0;
    let mut operator = FnOperator::new(10, |x: &[f64], out: &mut [f64]| {
        calls += 1;
        out.copy_from_slice(x);
        if calls == 2 {
            Err("the device is gone".into())
        } else {
            Ok(())
        }
    });
    let error = eigenpairs(&mut operator, Wanted::Top(1), &Settings::default()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("product 2") && message.contains("the device is gone"),
        "{message}"
    );
}

#[test]
fn an_operator_that_is_not_symmetric_is_flagged() {
    let n = 50;
    let mut data = support::gaussian(n * n, &mut support::rng(14));
    let mut matrix = DenseMatrix::new(n, data.clone()).unwrap();
    let found = eigenpairs(&mut matrix, Wanted::Top(2), &Settings::default()).unwrap();
    assert_eq!(found.status, Status::Asymmetric);
    assert!(found.symmetry_defect > 0.01);

    // A part in ten thousand is enough to be seen.
    for i in 0..n {
        for j in 0..i {
            let mean = 0.5 * (data[i * n + j] + data[j * n + i]);
            data[i * n + j] = mean * (1.0 + 1e-3);
            data[j * n + i] = mean;
        }
    }
    let mut matrix = DenseMatrix::new(n, data.clone()).unwrap();
    let found = eigenpairs(&mut matrix, Wanted::Top(2), &Settings::default()).unwrap();
    assert_eq!(
        found.status,
        Status::Asymmetric,
        "{:e}",
        found.symmetry_defect
    );
    // Who expects it may allow it, and reads the defect.
    let tolerant = Settings {
        asymmetry: 1e-2,
        tolerance: 1e-2,
        ..Settings::default()
    };
    let found = eigenpairs(&mut matrix, Wanted::Top(2), &tolerant).unwrap();
    assert_ne!(found.status, Status::Asymmetric);
    assert!(found.symmetry_defect > 1e-5);
}

/// Products by differences carry rounding far above that of the type.
#[test]
fn noisy_products_stagnate_unless_their_rounding_is_stated() {
    let values = spread(100, 0.0, 1.0);
    let mut matrix = with_spectrum(&values, 15);
    let noise = support::gaussian(100 * 4000, &mut support::rng(16));
    let mut calls = 0;
    let mut noisy = FnOperator::new(100, |x: &[f64], out: &mut [f64]| {
        matrix.apply(x, out)?;
        for (o, e) in out.iter_mut().zip(&noise[100 * (calls % 4000)..]) {
            *o += 1e-7 * e;
        }
        calls += 1;
        Ok(())
    });
    let found = eigenpairs(&mut noisy, Wanted::Top(2), &Settings::default()).unwrap();
    assert_eq!(found.status, Status::Stagnated, "{found:?}");
    // The residual is that of the noise, ‖e‖ ≈ 1e-7 √100.
    assert!(found.pairs[0].residual > 1e-7 && found.pairs[0].residual < 1e-5);
    let stated = Settings {
        rounding: 1e-5,
        asymmetry: 1e-4,
        ..Settings::default()
    };
    let found = eigenpairs(&mut noisy, Wanted::Top(2), &stated).unwrap();
    assert!(found.all_converged());
    assert!((found.pairs[0].value - 1.0).abs() < 1e-6);
}

/// The residuals of noisy products are no directions once the basis fills the space.
#[test]
fn noise_in_small_spaces_ends_like_noise_in_large_ones() {
    for n in 1..8 {
        let values: Vec<f64> = (0..n).map(|i| 1.0 + f64::from(i)).collect();
        let mut matrix = with_spectrum(&values, 17);
        let noise = support::gaussian(1000, &mut support::rng(18));
        for count in 1..=n as usize {
            let mut calls = 0;
            let mut noisy = FnOperator::new(n as usize, |x: &[f64], out: &mut [f64]| {
                matrix.apply(x, out)?;
                for o in out.iter_mut() {
                    calls += 1;
                    *o += 1e-7 * noise[calls % 1000];
                }
                Ok(())
            });
            let settings = Settings {
                products: 500,
                ..Settings::default()
            };
            let found = eigenpairs(&mut noisy, Wanted::Top(count), &settings).unwrap();
            assert_eq!(found.pairs.len(), count);
            for (pair, value) in found.pairs.iter().zip(values.iter().rev()) {
                // A product's noise is at most about 3e-7 in each of at most 7 entries.
                assert!((pair.value - value).abs() < 2e-6, "{n} {count} {found:?}");
            }
            assert!(found.products < 100, "{n} {count} {found:?}");
        }
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let mut matrix = DenseMatrix::new(3, vec![0.0; 9]).unwrap();
    let default = Settings::default();
    let message = |outcome: Result<_, Error>| outcome.map(|_| ()).unwrap_err().to_string();
    assert!(message(eigenpairs(&mut matrix, Wanted::Top(0), &default)).contains("0 eigenvalues"));
    assert!(message(eigenpairs(&mut matrix, Wanted::Top(4), &default)).contains("1 to 3"));
    let huge = Wanted::BothEnds {
        top: usize::MAX,
        bottom: 2,
    };
    assert!(eigenpairs(&mut matrix, huge, &default).is_err());
    for (settings, name) in [
        (
            Settings {
                tolerance: f64::NAN,
                ..default
            },
            "tolerance",
        ),
        (
            Settings {
                rounding: 0.0,
                ..default
            },
            "rounding",
        ),
        (
            Settings {
                asymmetry: -1.0,
                ..default
            },
            "asymmetry",
        ),
        (
            Settings {
                missed: 1.0,
                ..default
            },
            "missed",
        ),
        (
            Settings {
                basis: 2,
                ..default
            },
            "basis",
        ),
        (
            Settings {
                products: 1,
                ..default
            },
            "products",
        ),
    ] {
        let text = message(eigenpairs(&mut matrix, Wanted::Top(1), &settings));
        assert!(text.contains(name), "{text}");
    }
    let from = |start: &[f64]| {
        let mut matrix = DenseMatrix::new(3, vec![0.0; 9]).unwrap();
        message(eigenpairs_from(
            &mut matrix,
            Wanted::Top(1),
            &default,
            start,
        ))
    };
    assert!(from(&[1.0; 4]).contains("`start` holds 4"));
    assert!(from(&[1.0, f64::NAN, 0.0]).contains("entry 1"));
    assert!(DenseMatrix::new(0, vec![]).is_err());
    assert!(DenseMatrix::new(2, vec![1.0; 3]).is_err());
    assert!(DenseMatrix::new(1, vec![f64::INFINITY]).is_err());
    let mut none = FnOperator::new(0, |_: &[f64], _: &mut [f64]| Ok(()));
    assert!(eigenpairs(&mut none, Wanted::Top(1), &default).is_err());
}

/// Products that are wrong by a share that depends on the vector, and right ones to judge by.
struct Rough {
    diagonal: Vec<f64>,
    judged: usize,
}

impl Operator for Rough {
    fn dim(&self) -> usize {
        self.diagonal.len()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        for ((o, d), x) in out.iter_mut().zip(&self.diagonal).zip(x) {
            *o = d * x + 1e-7 * x * x;
        }
        Ok(())
    }

    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        self.judged += 1;
        for ((o, d), x) in out.iter_mut().zip(&self.diagonal).zip(x) {
            *o = d * x;
        }
        Ok(())
    }
}

#[test]
fn pairs_are_judged_by_the_operators_better_products() {
    let n = 200;
    let diagonal: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + i as f64)).collect();
    let settings = Settings {
        tolerance: 1e-6,
        ..Settings::default()
    };
    let roots = vec![2.0; n];
    for wrapped in [false, true] {
        let mut rough = Rough {
            diagonal: diagonal.clone(),
            judged: 0,
        };
        let found = if wrapped {
            let shifted = Shifted::new(&mut rough, 0.0, 2.0);
            let sum = WeightedSum::new(vec![(1.0, shifted)]).unwrap();
            let mut preconditioned = Preconditioned::new(sum, &roots).unwrap();
            eigenpairs(&mut preconditioned, Wanted::Top(3), &settings).unwrap()
        } else {
            eigenpairs(&mut rough, Wanted::Top(3), &settings).unwrap()
        };
        assert!(found.all_converged(), "{:?}", found.status);
        assert_eq!(rough.judged, found.verification_products);
        for (k, pair) in found.pairs.iter().enumerate() {
            let v = found.vector(k);
            let residual: f64 = (v.iter().zip(&diagonal))
                .map(|(v, d)| ((d - pair.value) * v).powi(2))
                .sum();
            // Of the right products, to their rounding.
            assert!((residual.sqrt() - pair.residual).abs() < 1e-14);
            assert!(pair.residual <= 1e-6 * pair.value);
        }
    }
    // Pairs near a shift are the operator's own as well.
    let mut matrix = vec![0.0; n * n];
    (0..n).for_each(|i| matrix[i * n + i] = diagonal[i]);
    let matrix = DenseMatrix::new(n, matrix).unwrap();
    let mut inverse = DenseInverse::new(&matrix, 0.3).unwrap();
    let mut rough = Rough {
        diagonal,
        judged: 0,
    };
    let found = eigenpairs_near(&mut rough, &mut inverse, 0.3, 2, &settings).unwrap();
    assert!(found.all_converged());
    // One product a pair in each attempt.
    assert!(rough.judged >= 2 && rough.judged.is_multiple_of(2));
    for (pair, expected) in found.pairs.iter().zip([1.0 / 3.0, 1.0 / 4.0]) {
        // The square of the vector's error; the rough products are 5e-8 off.
        assert!((pair.value - expected).abs() < 1e-11, "{}", pair.value);
    }
}
