//! Random matrices against faer's dense decomposition, and the number of products as a snapshot.

mod support;

use feasible_spectrum::{
    DenseMatrix, Operator, Preconditioned, Settings, Shifted, Wanted, WeightedSum, eigenpairs,
};
use proptest::prelude::*;
use support::{assert_honest, dense_eigenvalues, with_spectrum};

/// Spectra made of few distinct values, so that repetitions, zeros and signs come often.
fn spectra() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        Just(0.0),
        Just(1.0),
        Just(-1.0),
        Just(2.0),
        Just(1e-9),
        -3.0..3.0f64
    ];
    prop::collection::vec(value, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn eigenvalues_are_those_of_the_dense_decomposition(
        values in spectra(), seed in 0u64..1000, share in 0.01..1.0f64, kind in 0..4
    ) {
        let n = values.len();
        let mut matrix = with_spectrum(&values, seed);
        let dense = dense_eigenvalues(&matrix);
        let count = ((share * n as f64).ceil() as usize).clamp(1, n);
        let wanted = match kind {
            0 => Wanted::Top(count),
            1 => Wanted::Bottom(count),
            2 => Wanted::Magnitude(count),
            _ => Wanted::BothEnds { top: count / 2, bottom: count - count / 2 },
        };
        let settings = Settings { seed, ..Settings::default() };
        let found = eigenpairs(&mut matrix, wanted, &settings).unwrap();
        prop_assert!(found.all_converged(), "{found:?}");
        let norm = dense[0].abs().max(dense[n - 1].abs());
        let mut expected = dense.clone();
        match wanted {
            Wanted::Bottom(_) => {}
            Wanted::Magnitude(_) => expected.sort_by(|a, b| b.abs().total_cmp(&a.abs())),
            _ => expected.reverse(),
        }
        if let Wanted::BothEnds { top, .. } = wanted {
            expected.truncate(top);
            expected.extend(&dense[..count - top]);
        }
        for (pair, value) in found.pairs.iter().zip(&expected) {
            let (a, b) = match wanted {
                // Equal magnitudes of both signs may come in either order.
                Wanted::Magnitude(_) => (pair.value.abs(), value.abs()),
                _ => (pair.value, *value),
            };
            // The residual's bound, and rounding of the dense decomposition.
            prop_assert!((a - b).abs() <= 2e-8 * norm + 1e-300, "{:?} {expected:?}", found.values());
        }
        assert_honest(&mut matrix, &found);
    }
}

#[test]
fn preconditioned_shifted_and_summed_operators() {
    let n = 30;
    let matrix = with_spectrum(&(0..n).map(|i| i as f64 - 10.0).collect::<Vec<_>>(), 20);
    let diagonal: Vec<f64> = (0..n).map(|i| 0.5 + i as f64).collect();
    let mut scaled = matrix.data().to_vec();
    for i in 0..n {
        for j in 0..n {
            scaled[i * n + j] /= (diagonal[i] * diagonal[j]).sqrt();
        }
    }
    let expected = dense_eigenvalues(&DenseMatrix::new(n, scaled).unwrap());
    let mut operator = Preconditioned::new(matrix.clone(), &diagonal).unwrap();
    let settings = Settings::default();
    let found = eigenpairs(&mut operator, Wanted::Top(1), &settings).unwrap();
    assert!((found.pairs[0].value - expected[n - 1]).abs() < 1e-10);
    // Mapped back it is an eigenvector of D⁻¹H.
    let v = operator.to_parameters(found.vector(0)).unwrap();
    let mut product = vec![0.0; n];
    matrix.clone().apply(&v, &mut product).unwrap();
    for i in 0..n {
        let left = product[i] / diagonal[i];
        assert!((left - found.pairs[0].value * v[i]).abs() < 1e-6, "{i}");
    }
    assert!(Preconditioned::new(matrix.clone(), &[1.0]).is_err());
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut diagonal = diagonal.clone();
        diagonal[3] = bad;
        let message = Preconditioned::new(matrix.clone(), &diagonal)
            .unwrap_err()
            .to_string();
        assert!(message.contains("entry 3"), "{message}");
    }

    let mut shifted = Shifted::new(matrix.clone(), 2.0, -3.0);
    let found = eigenpairs(&mut shifted, Wanted::Top(1), &settings).unwrap();
    assert!((found.pairs[0].value - 36.0).abs() < 1e-9);

    let mut sum = WeightedSum::new(vec![(0.25, matrix.clone()), (0.5, matrix.clone())]).unwrap();
    let found = eigenpairs(&mut sum, Wanted::Top(1), &settings).unwrap();
    assert!((found.pairs[0].value - 0.75 * 19.0).abs() < 1e-9);
    assert!(WeightedSum::<DenseMatrix>::new(vec![]).is_err());
}

/// A slow-down in convergence shows here.
#[test]
fn products_taken() {
    let n = 300;
    let even: Vec<f64> = (0..n).map(|i| i as f64 / n as f64).collect();
    let decaying: Vec<f64> = (0..n).map(|i| 0.9f64.powi(i)).collect();
    let mut clustered = even.clone();
    clustered.extend((0..8).map(|i| 1.1 + 1e-4 * f64::from(i)));
    let mut repeated = even.clone();
    repeated.extend([2.0, 2.0, 2.0, 1.5, 1.5]);
    let mut lines = String::new();
    for (name, values) in [
        ("even", even),
        ("decaying", decaying),
        ("clustered", clustered),
        ("repeated", repeated),
    ] {
        let mut matrix = with_spectrum(&values, 21);
        let settings = Settings {
            tolerance: 1e-6,
            ..Settings::default()
        };
        let found = eigenpairs(&mut matrix, Wanted::Top(5), &settings).unwrap();
        assert!(found.all_converged());
        lines += &format!(
            "{name}: {} products, {} of them searching, {} verifying\n",
            found.products, found.search_products, found.verification_products
        );
    }
    insta::assert_snapshot!(lines);
}
