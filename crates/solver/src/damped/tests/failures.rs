//! Samples that break down: what they return, and that they leave the others alone.

use super::*;

const INF: f64 = f64::INFINITY;

fn one_block<'a>(
    n: usize,
    rows: usize,
    linear: Values<'a>,
    curvature: RowCurvature<'a>,
    bounds: [Values<'a>; 2],
    equality: &'a [bool],
    batch: usize,
) -> DampedProblem<'a> {
    DampedProblem {
        batch,
        n,
        blocks: vec![Rows {
            rows,
            linear,
            curvature,
        }],
        lower: bounds[0],
        upper: bounds[1],
        equality,
    }
}

const STOPPINGS: [Stopping; 2] = [Stopping::PerSample, Stopping::WholeBatch];

#[test]
fn a_sample_that_is_not_finite_neither_converges_nor_holds_up_the_others() {
    // y₁² − y₂² ≤ 1 and 10²⁰⁰(y₁ + y₂) ≤ 1: ∞ − ∞ in sample 1, nothing to do in sample 0.
    let huge = [1e200, 1e200];
    let cases = [
        (
            Values::Shared(&[0.0, 0.0][..]),
            RowCurvature::Diagonal(Values::Shared(&[1.0, -1.0])),
            1e200,
        ),
        (Values::Shared(&huge), RowCurvature::None, -1e200),
    ];
    for (linear, curvature, last) in cases {
        for stopping in STOPPINGS {
            let bounds = [Values::Shared(&[-INF]), Values::Shared(&[1.0])];
            let problem = one_block(2, 1, linear, curvature, bounds, &[false], 2);
            let settings = DampedSettings {
                stopping,
                ..SETTINGS
            };
            let start = [0.0, 0.0, 1e200, last];
            let damped = repair(&problem, &start, &settings, Record::Steps).unwrap();
            assert_eq!(
                damped.status,
                [DampedStatus::Residual, DampedStatus::NonFinite]
            );
            assert_eq!(damped.iterations, [0, 0], "{stopping:?}");
            assert_eq!(damped.y, start);
            assert!(damped.residual[0] == 0.0 && damped.residual[1].is_nan());
            assert_eq!(damped.vjp(&problem, &[1.0; 4]).start, [1.0; 4]);
        }
    }
}

#[test]
fn a_step_to_where_nothing_is_finite_is_taken_back() {
    // 10¹⁰⁰ y² = 10¹²⁰ from y = 10⁻¹¹⁰: the step is 5·10¹²⁹ long, and 10¹⁰⁰ y² overflows there.
    let bounds = [
        Values::PerSample(&[1e120, 1e98]),
        Values::PerSample(&[1e120, 1e98]),
    ];
    let h = RowCurvature::Diagonal(Values::Shared(&[1e100]));
    let problem = one_block(1, 1, Values::Shared(&[0.0]), h, bounds, &[true], 2);
    for (stopping, max_iterations) in STOPPINGS.iter().flat_map(|s| [(*s, 1), (*s, 50)]) {
        let settings = DampedSettings {
            damping: 0.0,
            max_iterations,
            stopping,
            tolerance: 1e85,
            ..SETTINGS
        };
        let damped = repair(&problem, &[1e-110, 0.1], &settings, Record::Steps).unwrap();
        assert_eq!(
            damped.status,
            [DampedStatus::NonFinite, DampedStatus::Residual]
        );
        // Together, sample 1 waits for the other's first step with one of its own.
        let waited = usize::from(stopping == Stopping::WholeBatch);
        assert_eq!(damped.iterations, [0, waited]);
        assert_eq!((damped.y[0], damped.residual[0]), (1e-110, 1e120));
        assert_eq!(damped.vjp(&problem, &[1.0; 2]).start[0], 1.0);
    }
}

#[test]
fn a_sample_that_becomes_singular_keeps_the_gradient_of_its_steps() {
    // y² = −1 from y = 1: one undamped step to 0, where J vanishes. y₁ = (y₀ + u/y₀)/2.
    let bounds = [Values::Shared(&[-1.0]), Values::Shared(&[-1.0])];
    let h = RowCurvature::Diagonal(Values::Shared(&[1.0]));
    let problem = one_block(1, 1, Values::Shared(&[0.0]), h, bounds, &[true], 1);
    for stopping in STOPPINGS {
        let settings = DampedSettings {
            damping: 0.0,
            stopping,
            ..SETTINGS
        };
        let damped = repair(&problem, &[1.0], &settings, Record::Steps).unwrap();
        assert_eq!(damped.status, [DampedStatus::Singular]);
        assert_eq!(
            (damped.iterations[0], damped.y[0], damped.residual[0]),
            (1, 0.0, 1.0)
        );
        let gradients = damped.vjp(&problem, &[1.0]);
        assert_eq!(gradients.start, [1.0]);
        assert_eq!(gradients.lower[0] + gradients.upper[0], 0.5);
    }
}

#[test]
fn rows_of_different_size_are_not_singular() {
    // diag(2·10⁷, 1): the squares are 4·10¹⁴ apart.
    let rows = [2e7, 0.0, 0.0, 1.0];
    let blocks = [Values::Shared(&rows[..]), Values::PerSample(&rows)];
    for (linear, policy) in blocks
        .into_iter()
        .flat_map(|b| [(b, RowPolicy::All), (b, RowPolicy::Violated)])
    {
        for damping in [1e-2, 0.0] {
            let bounds = [Values::Shared(&[1.0, 1.0]), Values::Shared(&[1.0, 1.0])];
            let problem = one_block(2, 2, linear, RowCurvature::None, bounds, &[true; 2], 1);
            let settings = DampedSettings {
                damping,
                rows: policy,
                ..SETTINGS
            };
            let damped = repair(&problem, &[0.0, 0.0], &settings, Record::Nothing).unwrap();
            assert_eq!(
                damped.status,
                [DampedStatus::Residual],
                "{policy:?}, {damping}"
            );
            assert!((damped.y[0] - 5e-8).abs() < 1e-15 && (damped.y[1] - 1.0).abs() < 1e-8);
        }
    }
}

#[test]
fn a_row_that_depends_on_the_fixed_ones_is_singular() {
    // The same row as an equality to 0 and an inequality ≤ 0.5, at a point where both are violated.
    // What is left of the second in the Schur complement is rounding, of either sign.
    let settings = DampedSettings {
        damping: 0.0,
        rows: RowPolicy::Violated,
        ..SETTINGS
    };
    for k in 0..40 {
        let (a, b) = (1.0 + 0.1 * f64::from(k), 1.0);
        let rows = [a, b, a, b];
        let bounds = [Values::Shared(&[0.0, -INF]), Values::Shared(&[0.0, 0.5])];
        let problem = one_block(
            2,
            2,
            Values::Shared(&rows),
            RowCurvature::None,
            bounds,
            &[true, false],
            1,
        );
        let from = |start: [f64; 2]| {
            let damped = repair(&problem, &start, &settings, Record::Nothing).unwrap();
            (damped.status[0], damped.iterations[0], damped.y)
        };
        let stays = (DampedStatus::Singular, 0, vec![1.0, 1.0]);
        assert_eq!(from([1.0, 1.0]), stays, "{a}");
        // From nearer the inequality stays out, and one step meets the equality.
        let (status, iterations, _) = from([0.05, 0.05]);
        assert_eq!((status, iterations), (DampedStatus::Residual, 1));
    }
}

#[test]
fn satisfied_rows_of_zeros_change_nothing() {
    let rows = [1.0, 1.0, 0.0, 0.0];
    let bounds = [Values::Shared(&[0.0, 0.0]), Values::Shared(&[0.0, 0.0])];
    for linear in [Values::Shared(&rows[..]), Values::PerSample(&rows)] {
        let problem = one_block(2, 2, linear, RowCurvature::None, bounds, &[true; 2], 1);
        for rows in [RowPolicy::All, RowPolicy::Violated] {
            let settings = DampedSettings {
                damping: 0.0,
                rows,
                ..SETTINGS
            };
            let damped = repair(&problem, &[1.0, 1.0], &settings, Record::Nothing).unwrap();
            assert_eq!(
                (damped.status[0], damped.iterations[0]),
                (DampedStatus::Residual, 1)
            );
        }
    }
}

#[test]
fn dependent_rows_without_damping_are_singular_and_spare_their_neighbours() {
    let n = 3;
    // Sample 1 repeats its row.
    let rows = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0];
    let bounds = [1.0, 2.0, 1.0, 2.0];
    let problem = DampedProblem {
        batch: 2,
        n,
        blocks: vec![Rows {
            rows: 2,
            linear: Values::PerSample(&rows),
            curvature: RowCurvature::None,
        }],
        lower: Values::PerSample(&bounds),
        upper: Values::PerSample(&bounds),
        equality: &[true, true],
    };
    let settings = DampedSettings {
        damping: 0.0,
        ..SETTINGS
    };
    let damped = repair(&problem, &[0.0; 6], &settings, Record::Steps).unwrap();
    assert_eq!(
        damped.status,
        [DampedStatus::Residual, DampedStatus::Singular]
    );
    assert_eq!(damped.y, [1.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    // Sample 1 has not moved.
    assert_eq!(
        damped.vjp(&problem, &[1.0; 6]).start,
        [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    );
}
