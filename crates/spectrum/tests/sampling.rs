//! Densities and traces against spectra that are known.

mod support;

use feasible_spectrum::{
    DenseMatrix, DensitySettings, FnOperator, Probe, SamplingStatus, TraceSettings,
    hutch_plus_plus, hutchinson, spectral_density,
};
use support::with_spectrum;

fn diagonal(values: &[f64]) -> DenseMatrix {
    let n = values.len();
    let mut data = vec![0.0; n * n];
    for (i, v) in values.iter().enumerate() {
        data[i * n + i] = *v;
    }
    DenseMatrix::new(n, data).unwrap()
}

#[test]
fn moments_agree_with_the_spectrum_within_their_errors() {
    let values: Vec<f64> = (0..150).map(|i| (0.97f64).powi(i) - 0.2).collect();
    let mut matrix = with_spectrum(&values, 40);
    let settings = DensitySettings {
        probes: 30,
        steps: 40,
        ..DensitySettings::default()
    };
    let density = spectral_density(&mut matrix, &settings).unwrap();
    assert_eq!(density.status, SamplingStatus::Complete);
    assert_eq!(density.products, 30 * 40);
    assert!(density.symmetry_defect < 1e-13);
    for power in 0..6 {
        let truth = values.iter().map(|v| v.powi(power)).sum::<f64>() / 150.0;
        let moment = density.moment(power);
        // Four standard errors; the draws are fixed by the seed, so this passes or fails for good.
        let allowed = 4.0 * moment.standard_error + 1e-12;
        assert!(
            (moment.value - truth).abs() <= allowed,
            "{power}: {moment:?} {truth}"
        );
    }
    for q in &density.quadratures {
        assert!((q.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(q.weights.iter().all(|w| *w >= 0.0));
        assert!(q.nodes.windows(2).all(|w| w[0] <= w[1]));
    }
    let (low, high) = density.range().unwrap();
    assert!(low >= values[149] - 1e-9 && high <= values[0] + 1e-9);
}

/// A direction's own moments are exact up to twice the steps less one.
#[test]
fn quadrature_is_exact_for_low_moments_of_its_direction() {
    let n = 40;
    let values: Vec<f64> = (0..n)
        .map(|i| -1.0 + 2.0 * i as f64 / (n - 1) as f64)
        .collect();
    // On a diagonal matrix a direction of signs weighs every eigenvalue by 1/n.
    let mut matrix = diagonal(&values);
    let settings = DensitySettings {
        probes: 2,
        steps: 6,
        ..DensitySettings::default()
    };
    let density = spectral_density(&mut matrix, &settings).unwrap();
    for power in 0..12 {
        let truth = values.iter().map(|v| v.powi(power)).sum::<f64>() / n as f64;
        let moment = density.moment(power);
        assert!(
            (moment.value - truth).abs() < 1e-13,
            "{power}: {moment:?} {truth}"
        );
    }
    let beyond = values.iter().map(|v| v.powi(12)).sum::<f64>() / n as f64;
    assert!((density.moment(12).value - beyond).abs() > 1e-7);
    let trace = density.trace_of(|v| v.exp());
    let truth: f64 = values.iter().map(|v| v.exp()).sum();
    assert!((trace.value - truth).abs() < 1e-10 * truth);
}

#[test]
fn the_curve_has_the_mass_and_the_place_of_the_eigenvalues() {
    let values = [vec![0.0; 60], vec![2.0; 30], vec![-1.0; 10]].concat();
    let mut matrix = with_spectrum(&values, 41);
    let settings = DensitySettings {
        probes: 40,
        ..DensitySettings::default()
    };
    let density = spectral_density(&mut matrix, &settings).unwrap();
    // Three distinct eigenvalues close the space in three steps.
    assert_eq!(density.products, 40 * 3);
    let curve = density.curve(2001, 0.05).unwrap();
    let step = curve.grid[1] - curve.grid[0];
    let mass = |from: f64, to: f64| {
        let inside = curve
            .grid
            .iter()
            .zip(&curve.density)
            .filter(|(x, _)| **x >= from && **x < to);
        inside.map(|(_, d)| d * step).sum::<f64>()
    };
    // Three widths hold 99.73 % of a Gaussian, and the grid ends there.
    assert!((mass(f64::NEG_INFINITY, f64::INFINITY) - 1.0).abs() < 3e-3);
    for (value, share) in [(0.0, 0.6), (2.0, 0.3), (-1.0, 0.1)] {
        let found = mass(value - 0.4, value + 0.4);
        // The share's own standard error is about √(share (1 − share) 2/(n probes)) ≈ 0.01.
        assert!((found - share).abs() < 0.04, "{value}: {found}");
    }
    assert!(curve.standard_error.iter().all(|e| e.is_finite()));
    assert!(density.curve(1, 0.1).is_err());
    assert!(density.on_grid(&[0.0], 0.0).is_err());
    assert!(density.on_grid(&[0.0], f64::NAN).is_err());
}

#[test]
fn undefined_errors_stay_undefined() {
    let mut matrix = diagonal(&[1.0, 2.0]);
    let settings = DensitySettings {
        probes: 1,
        ..DensitySettings::default()
    };
    let density = spectral_density(&mut matrix, &settings).unwrap();
    assert!(density.moment(1).standard_error.is_nan());
    assert!((density.moment(1).value - 1.5).abs() < 1e-14);
    let mut zero = diagonal(&[0.0; 4]);
    let density = spectral_density(&mut zero, &DensitySettings::default()).unwrap();
    assert_eq!(density.range(), Some((0.0, 0.0)));
    assert!(
        density
            .curve(11, density.width())
            .unwrap()
            .density
            .iter()
            .all(|d| d.is_finite())
    );

    let mut calls = 0;
    let mut operator = FnOperator::new(3, |x: &[f64], out: &mut [f64]| {
        calls += 1;
        out.copy_from_slice(x);
        if calls > 2 {
            out[0] = f64::INFINITY;
        }
        Ok(())
    });
    let density = spectral_density(&mut operator, &DensitySettings::default()).unwrap();
    assert_eq!(density.status, SamplingStatus::NotFinite);
    assert_eq!(density.quadratures.len(), 2);
    let trace = hutchinson(&mut operator, &TraceSettings::default()).unwrap();
    assert_eq!(trace.status, SamplingStatus::NotFinite);
    assert!(trace.estimate.value.is_nan());
    let trace = hutch_plus_plus(&mut operator, &TraceSettings::default()).unwrap();
    assert_eq!(trace.status, SamplingStatus::NotFinite);
    assert!(trace.estimate.value.is_nan());
}

#[test]
fn traces_agree_with_the_spectrum_within_their_errors() {
    let values: Vec<f64> = (0..200).map(|i| 0.9f64.powi(i)).collect();
    let truth: f64 = values.iter().sum();
    let mut matrix = with_spectrum(&values, 42);
    for probe in [Probe::Rademacher, Probe::Gaussian] {
        let (mut plain_error, mut plus_error) = (0.0f64, 0.0f64);
        for seed in 0..10 {
            let settings = TraceSettings {
                probe,
                seed,
                ..TraceSettings::default()
            };
            let plain = hutchinson(&mut matrix, &settings).unwrap();
            let plus = hutch_plus_plus(&mut matrix, &settings).unwrap();
            assert_eq!((plain.products, plus.products), (90, 90));
            for (name, found) in [("plain", plain), ("plus", plus)] {
                let off = (found.estimate.value - truth).abs();
                // Thirty or ninety samples: beyond five standard errors once in a hundred thousand.
                let allowed = 5.0 * found.estimate.standard_error;
                assert!(off <= allowed, "{name} {seed}: {found:?} {truth}");
            }
            plain_error += plain.estimate.standard_error.powi(2);
            plus_error += plus.estimate.standard_error.powi(2);
        }
        // Squared, the part outside the 30 dominant directions is 0.9⁶⁰ = 0.2 % of the whole. A third of
        // the samples makes it 0.6 %, and a random sketch spans not quite the dominant directions.
        assert!(
            plus_error < 0.05 * plain_error,
            "{plus_error} {plain_error}"
        );
    }
}

#[test]
fn hutch_plus_plus_is_exact_where_its_basis_holds_everything() {
    let mut low_rank = with_spectrum(&[vec![5.0, -3.0, 2.0], vec![0.0; 60]].concat(), 43);
    let settings = TraceSettings {
        products: 15,
        ..TraceSettings::default()
    };
    let trace = hutch_plus_plus(&mut low_rank, &settings).unwrap();
    assert!((trace.estimate.value - 4.0).abs() < 1e-11, "{trace:?}");
    assert!(trace.estimate.standard_error < 1e-11);
    let mut small = with_spectrum(&[1.0, 2.0, -0.5], 44);
    let trace = hutch_plus_plus(&mut small, &TraceSettings::default()).unwrap();
    assert!((trace.estimate.value - 2.5).abs() < 1e-13);
    assert_eq!(trace.estimate.standard_error, 0.0);
    // Three directions of signs, or a few more where some depend on each other, and three for the basis.
    assert!((6..=10).contains(&trace.products), "{trace:?}");
    let mut zero = diagonal(&[0.0; 5]);
    let trace = hutch_plus_plus(&mut zero, &TraceSettings::default()).unwrap();
    assert_eq!(trace.estimate.value, 0.0);
    let too_few = TraceSettings {
        products: 2,
        ..TraceSettings::default()
    };
    assert!(hutch_plus_plus(&mut zero, &too_few).is_err());
    assert!(
        hutchinson(
            &mut zero,
            &TraceSettings {
                products: 0,
                ..too_few
            }
        )
        .is_err()
    );
}

#[test]
fn a_direction_does_not_depend_on_how_many_there_are() {
    let values: Vec<f64> = (0..30).map(f64::from).collect();
    let mut matrix = with_spectrum(&values, 45);
    let few = DensitySettings {
        probes: 2,
        steps: 10,
        ..DensitySettings::default()
    };
    let many = DensitySettings { probes: 5, ..few };
    let few = spectral_density(&mut matrix, &few).unwrap();
    let many = spectral_density(&mut matrix, &many).unwrap();
    assert_eq!(few.quadratures[..], many.quadratures[..2]);
    assert_ne!(many.quadratures[0], many.quadratures[2]);
}
