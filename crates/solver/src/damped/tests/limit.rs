//! The implicit gradient: exact where it says so, and of first order in the way elsewhere.

use super::paths::{every_choice, large};
use super::*;
use crate::dense::{dot, max_abs};

/// To rounding.
const LIMIT: DampedSettings = DampedSettings {
    tolerance: 1e-12,
    max_iterations: 5000,
    ..SETTINGS
};

fn cotangent(family: &Family) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(100);
    (0..family.start.len())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect()
}

/// The gradients with respect to y₀, l and u of one sample.
fn of(gradients: &DampedGradients, sample: usize, n: usize, m: usize) -> [Vec<f64>; 3] {
    [
        gradients.start[sample * n..][..n].to_vec(),
        gradients.lower[sample * m..][..m].to_vec(),
        gradients.upper[sample * m..][..m].to_vec(),
    ]
}

fn distance(a: &[Vec<f64>; 3], b: &[Vec<f64>; 3]) -> f64 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn affine_rows_have_the_exact_gradient_on_every_sample() {
    let mut exact = 0;
    for (seed, counts) in [
        (1, [3, 0, 0, 0]),
        (2, [6, 0, 0, 0]),
        (3, [9, 0, 0, 0]),
        (4, [0, 0, 0, 4]),
        (5, [3, 0, 0, 3]),
        (6, [4, 0, 0, 6]),
    ] {
        let family = Family::new(seed, 7, 5, counts);
        let (problem, m) = (family.problem(), counts.iter().sum());
        let v = cotangent(&family);
        for ((rows, weights), damping) in
            every_choice().flat_map(|choice| [1e-2, 1.0, 0.0].map(|damping| (choice, damping)))
        {
            let settings = DampedSettings {
                rows,
                weights,
                damping,
                ..LIMIT
            };
            let name = format!("{counts:?}, {rows:?}, {weights:?}, {damping}");
            let run = |record| repair(&problem, &family.start, &settings, record).unwrap();
            let (steps, limit) = (run(Record::Steps), run(Record::Limit));
            assert_eq!(
                (&steps.y, &steps.status),
                (&limit.y, &limit.status),
                "{name}"
            );
            let (unrolled, implicit) = (steps.vjp(&problem, &v), limit.vjp(&problem, &v));
            for i in 0..family.batch {
                // Undamped, rows that are not independent end a sample.
                let broke = limit.status[i] == DampedStatus::Singular;
                let LimitQuality {
                    deviation, settled, ..
                } = limit.limit[i];
                assert_eq!(deviation.is_nan(), broke, "{name}, {i}: {limit:?}");
                if limit.status[i] != DampedStatus::Residual || !settled {
                    continue;
                }
                assert!(deviation < 1e-9, "{name}, {i}: {deviation}");
                exact += 1;
                let mut unrolled = of(&unrolled, i, 7, m);
                let mut implicit = of(&implicit, i, 7, m);
                // An equality's two bounds move together.
                for sides in [&mut unrolled, &mut implicit] {
                    for row in (0..m).filter(|row| family.equality[*row]) {
                        sides[2][row] += std::mem::take(&mut sides[1][row]);
                    }
                }
                let far = distance(&unrolled, &implicit);
                // What the steps that were not taken would still change.
                assert!(
                    far < 1e-8,
                    "{name}, sample {i}: {far}\n{unrolled:?}\n{implicit:?}"
                );
            }
        }
    }
    assert!(exact > 80, "{exact}");
}

/// Of curved rows too: a cotangent along the gradient of a held row reaches its bound alone.
#[test]
fn what_held_rows_say_of_the_output_is_exact() {
    let mut checked = 0;
    for (at, family) in families().iter().enumerate() {
        let (problem, n, m) = (family.problem(), family.n, family.counts.iter().sum());
        for (rows, weights) in every_choice() {
            let settings = DampedSettings {
                rows,
                weights,
                ..LIMIT
            };
            let limit = repair(&problem, &family.start, &settings, Record::Limit).unwrap();
            for row in 0..m {
                let mut v = vec![0.0; family.start.len()];
                for i in 0..family.batch {
                    let y = &limit.y[i * n..][..n];
                    rows::jacobian_row(&problem, i, row, y, &mut v[i * n..][..n]);
                }
                let gradients = limit.vjp(&problem, &v);
                for i in 0..family.batch {
                    let [start, lower, upper] = of(&gradients, i, n, m);
                    let mut bounds: Vec<f64> =
                        lower.iter().zip(&upper).map(|(l, u)| l + u).collect();
                    let own = bounds[row];
                    let name = format!("family {at}, {rows:?}, {weights:?}, row {row}, sample {i}");
                    let equal = family.equality[row] && limit.iterations[i] > 0;
                    if limit.status[i] != DampedStatus::Residual || (own == 0.0 && !equal) {
                        continue;
                    }
                    checked += 1;
                    bounds[row] -= 1.0;
                    let far = max_abs(&start).max(max_abs(&bounds));
                    // K's condition is below 10⁵ here.
                    assert!(far < 1e-9, "{name}: {far}, {start:?} {bounds:?}");
                }
            }
        }
    }
    assert!(checked > 200, "{checked}");
}

/// Near the set the error is that of the way, and the deviation tells it.
#[test]
fn curved_rows_have_an_error_of_the_order_of_the_deviation() {
    let family = Family::new(3, 7, 5, [2, 2, 1, 0]);
    let problem = family.problem();
    let v = cotangent(&family);
    let (mut near, mut far) = (0, 0);
    for (rows, weights) in every_choice() {
        let settings = DampedSettings {
            rows,
            weights,
            ..LIMIT
        };
        let run = |start: &[f64], record| repair(&problem, start, &settings, record).unwrap();
        let end = run(&family.start, Record::Nothing).y;
        let errors = |share: f64| -> Vec<(f64, LimitQuality)> {
            let points = family.start.iter().zip(&end);
            let start: Vec<f64> = points.map(|(a, b)| b + share * (a - b)).collect();
            let (steps, limit) = (run(&start, Record::Steps), run(&start, Record::Limit));
            let (unrolled, implicit) = (steps.vjp(&problem, &v), limit.vjp(&problem, &v));
            (0..family.batch)
                .map(|i| {
                    let (a, b) = (&unrolled.start[i * 7..][..7], &implicit.start[i * 7..][..7]);
                    let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                    ((apart / dot(a, a)).sqrt(), limit.limit[i])
                })
                .collect()
        };
        for (error, quality) in errors(1e-2) {
            let LimitQuality {
                deviation, settled, ..
            } = quality;
            if settled {
                let order = error / deviation;
                assert!(
                    deviation < 2e-3 && (0.3..3.0).contains(&order),
                    "{error} {deviation}"
                );
                near += 1;
            }
        }
        // Far away it is no small number for a gradient that is wrong by its own size.
        for (error, quality) in errors(1.0) {
            assert!(
                error < 0.05 || quality.deviation > 0.1,
                "{error} {quality:?}"
            );
            far += usize::from(error > 0.3);
        }
    }
    assert!(near > 8 && far > 10, "{near} {far}");
}

#[test]
fn chunks_of_constant_rows_have_the_limits_of_their_samples() {
    let family = large();
    let v = cotangent(&family);
    let problem = family.problem();
    for (stopping, weights) in [Stopping::PerSample, Stopping::WholeBatch]
        .into_iter()
        .flat_map(|s| [RowWeights::Uniform, RowWeights::InverseNorms].map(|w| (s, w)))
    {
        let settings = DampedSettings {
            stopping,
            weights,
            damping: 0.1,
            max_iterations: 200,
            ..SETTINGS
        };
        let jacobian = rows::constant_jacobian(&problem).unwrap();
        let fast = constant::repair(&problem, jacobian, &family.start, &settings, Record::Limit);
        let fast = fast.unwrap();
        let slow = sample::repair(&problem, &family.start, &settings, Record::Limit);
        for (fast, slow) in fast.limit.iter().zip(&slow.limit) {
            assert_eq!(fast.settled, slow.settled);
            assert!(
                (fast.deviation - slow.deviation).abs() < 1e-9,
                "{fast:?} {slow:?}"
            );
        }
        let (fast, slow) = (fast.vjp(&problem, &v), slow.vjp(&problem, &v));
        for (name, fast, slow) in [
            ("y0", &fast.start, &slow.start),
            ("l", &fast.lower, &slow.lower),
            ("u", &fast.upper, &slow.upper),
        ] {
            assert!(fast.iter().any(|v| v.abs() > 0.1), "{name}");
            for (fast, slow) in fast.iter().zip(slow) {
                // K's condition is about 10³.
                assert!(
                    (fast - slow).abs() < 1e-10,
                    "{stopping:?}, {name}: {fast} {slow}"
                );
            }
        }
    }
}

/// y² ≤ 1 from inside, from outside, and from where it is not finite; y² = −1 from 1, undamped, is
/// singular at 0.
#[test]
fn samples_without_steps_pass_gradients_on_and_those_that_broke_down_have_none() {
    let square = |lower: &'static [f64], upper: &'static [f64], batch| DampedProblem {
        batch,
        n: 1,
        blocks: vec![Rows {
            rows: 1,
            linear: Values::Shared(&[0.0]),
            curvature: RowCurvature::Diagonal(Values::Shared(&[1.0])),
        }],
        lower: Values::Shared(lower),
        upper: Values::Shared(upper),
        equality: &[false],
    };
    let problem = square(&[f64::NEG_INFINITY], &[1.0], 3);
    let limit = repair(&problem, &[0.5, 2.0, 1e200], &LIMIT, Record::Limit).unwrap();
    let gradients = limit.vjp(&problem, &[1.0; 3]);
    assert_eq!((gradients.start[0], gradients.start[2]), (1.0, 0.0));
    assert!(gradients.start[1].abs() < 1e-12);
    assert!((gradients.upper[1] - 0.5).abs() < 1e-12 && gradients.upper[2] == 0.0);
    assert!(limit.limit[0].deviation == 0.0 && limit.limit[2].deviation.is_nan());
    // From 2 the linearisation at 1 leads to −1/2: off by half of the way and a little more.
    assert!((limit.limit[1].deviation - 0.5).abs() < 1e-9, "{limit:?}");
    let undamped = DampedSettings {
        damping: 0.0,
        ..LIMIT
    };
    let problem = square(&[-1.0], &[-1.0], 1);
    let limit = repair(&problem, &[1.0], &undamped, Record::Limit).unwrap();
    assert_eq!(limit.status, [DampedStatus::Singular]);
    assert_eq!(limit.vjp(&problem, &[1.0]).start, [0.0]);
}

#[test]
fn rows_computed_elsewhere_have_the_same_limit() {
    let family = Family::new(7, 7, 5, [4, 2, 1, 2]);
    let (problem, n, m) = (family.problem(), 7, 9);
    let v = cotangent(&family);
    let limit = repair(&problem, &family.start, &LIMIT, Record::Limit).unwrap();
    let gradients = limit.vjp(&problem, &v);
    let mut moved = 0;
    for i in (0..family.batch).filter(|i| limit.iterations[*i] > 0) {
        let y = &limit.y[i * n..][..n];
        let mut jacobian = vec![0.0; m * n];
        for row in 0..m {
            rows::jacobian_row(&problem, i, row, y, &mut jacobian[row * n..][..n]);
        }
        let values = |y: &[f64]| {
            let (mut g, mut scratch) = (vec![0.0; m], vec![0.0; n]);
            rows::values(&problem, i, y, &mut g, &mut scratch);
            g
        };
        let from = &family.start[i * n..][..n];
        let way: Vec<f64> = from.iter().zip(y).map(|(a, b)| a - b).collect();
        let expected = of(&gradients, i, n, m);
        // A row with a gradient was met on that side.
        let contact = |row: usize| Contact {
            residual: f64::from(expected[2][row] != 0.0) - f64::from(expected[1][row] != 0.0),
            is_last: true,
        };
        let contacts: Vec<Contact> = (0..m).map(contact).collect();
        let output = Output {
            jacobian: &jacobian,
            values: &values(y),
            start_values: &values(from),
            way: &way,
            lower: problem.lower.sample(i, m),
            upper: problem.upper.sample(i, m),
            equality: &family.equality,
            contacts: &contacts,
            curved: &vec![true; m],
            weights: &vec![1.0; m],
        };
        let (rows, quality) = HeldRows::new(&output, &LIMIT);
        let mut got = [v[i * n..][..n].to_vec(), vec![0.0; m], vec![0.0; m]];
        let [start, lower, upper] = &mut got;
        rows.unwrap().pull_back(start, lower, upper);
        let far = distance(&got, &expected);
        let apart = (quality.deviation - limit.limit[i].deviation).abs();
        assert!(far < 1e-10 && apart < 1e-10, "sample {i}: {far} {apart}");
        moved += 1;
    }
    assert!(moved > 2);
}

#[test]
fn rows_without_a_factor_have_no_gradient() {
    let undamped = DampedSettings {
        damping: 0.0,
        ..LIMIT
    };
    for jacobian in [[f64::NAN, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]] {
        let output = Output {
            jacobian: &jacobian,
            values: &[1.0; 2],
            start_values: &[2.0; 2],
            way: &[1.0; 2],
            lower: &[1.0; 2],
            upper: &[1.0; 2],
            equality: &[true; 2],
            contacts: &[Contact::default(); 2],
            curved: &[false; 2],
            weights: &[1.0; 2],
        };
        let (rows, quality) = HeldRows::new(&output, &undamped);
        assert!(rows.is_none() && quality.deviation.is_nan());
    }
}

/// x + z ≤ −10 throws x down in the first step, in which x + w ≤ 0 moves w to 7/3 for good: x + w is then
/// far inside, and comes back with x, which x ≥ k raises. That it ends within the tolerance of its bound is
/// by the choice of k alone.
#[test]
fn rows_that_end_on_their_bound_by_chance_are_reported() {
    let rows = [1.0, 1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    let settings = DampedSettings {
        damping: 0.5,
        tolerance: 1e-6,
        rows: RowPolicy::Violated,
        ..LIMIT
    };
    // x stops within the tolerance below k.
    let upper = [-10.0, 7.0 / 3.0 + 1e-7, 0.0];
    let problem = DampedProblem {
        batch: 1,
        n: 3,
        blocks: vec![Rows {
            rows: 3,
            linear: Values::Shared(&rows),
            curvature: RowCurvature::None,
        }],
        lower: Values::Shared(&[f64::NEG_INFINITY; 3]),
        upper: Values::Shared(&upper),
        equality: &[false; 3],
    };
    let run = |record| {
        let damped = repair(&problem, &[1.0; 3], &settings, record).unwrap();
        let gradient = damped.vjp(&problem, &[0.0, 0.0, 1.0]).start;
        (damped, gradient)
    };
    let ((_, unrolled), (damped, implicit)) = (run(Record::Steps), run(Record::Limit));
    assert_eq!(damped.status, [DampedStatus::Step]);
    assert!((damped.y[2] - 7.0 / 3.0).abs() < 1e-12, "{:?}", damped.y);
    let quality = damped.limit[0];
    // Three rows in three variables lead anywhere.
    assert!(quality.deviation < 1e-9 && quality.affine, "{quality:?}");
    assert!(!quality.settled, "{quality:?}");
    // The first step alone moves w: by 2.5/5.25 of its change. Three rows leave nothing of it.
    assert!((unrolled[2] - (1.0 - 2.5 / 5.25)).abs() < 1e-12 && implicit[2].abs() < 1e-9);
}

/// From (2, 0) to y₁ + y₂² ≤ 0 the row is (1, 0) all the way, and turns beside it.
#[test]
fn rows_that_bend_beside_the_way_are_reported() {
    let problem = DampedProblem {
        batch: 1,
        n: 2,
        blocks: vec![Rows {
            rows: 1,
            linear: Values::Shared(&[1.0, 0.0]),
            curvature: RowCurvature::Diagonal(Values::Shared(&[0.0, 1.0])),
        }],
        lower: Values::Shared(&[f64::NEG_INFINITY]),
        upper: Values::Shared(&[0.0]),
        equality: &[false],
    };
    for rows in [RowPolicy::All, RowPolicy::Violated] {
        let settings = DampedSettings {
            rows,
            damping: 0.0,
            ..LIMIT
        };
        let run = |record| {
            let damped = repair(&problem, &[2.0, 0.0], &settings, record).unwrap();
            let gradient = damped.vjp(&problem, &[0.0, 1.0]).start;
            (damped, gradient)
        };
        let ((_, unrolled), (damped, implicit)) = (run(Record::Steps), run(Record::Limit));
        let quality = damped.limit[0];
        assert!(quality.deviation < 1e-9 && quality.settled && !quality.affine);
        // One step: the row turns by 2 for each unit of y₂, over a way of 2.
        assert!((implicit[1] - 1.0).abs() < 1e-12 && (unrolled[1] + 3.0).abs() < 1e-12);
    }
}

/// 0 ≤ y − 10⁻⁸ y² ≤ 1: one step leads from 2 to 10⁻⁸ inside, which is its last also where the sample from
/// −10⁴ still takes another.
#[test]
fn samples_that_wait_for_others_take_no_steps() {
    let problem = DampedProblem {
        batch: 2,
        n: 1,
        blocks: vec![Rows {
            rows: 1,
            linear: Values::Shared(&[1.0]),
            curvature: RowCurvature::Diagonal(Values::Shared(&[-1e-8])),
        }],
        lower: Values::Shared(&[0.0]),
        upper: Values::Shared(&[1.0]),
        equality: &[false],
    };
    for stopping in [Stopping::PerSample, Stopping::WholeBatch] {
        let settings = DampedSettings {
            damping: 0.0,
            tolerance: 1e-6,
            stopping,
            ..LIMIT
        };
        let damped = repair(&problem, &[2.0, -1e4], &settings, Record::Limit).unwrap();
        assert!(damped.iterations[1] > 1, "{damped:?}");
        assert!(damped.limit[0].settled, "{damped:?}");
    }
}

/// Where rows ended, by when they were outside and how far inside they are, with a tolerance of 1e-6: of
/// several steps from outside the last may end within the tolerance, and undamped ones on the bound itself.
#[test]
fn rows_are_settled_where_steps_led_them_to_their_bound() {
    for (residual, is_last, slack, settled) in [
        (0.0, false, 5.0, true),
        (3.0, true, 1e-7, true),
        (3.0, true, 1e-5, false),
        (3.0, false, 1e-7, false),
        (3.0, false, 1e-14, true),
        (1e-7, false, 1e-7, true),
    ] {
        let contact = Contact { residual, is_last };
        assert_eq!(contact.is_settled(1.0 - slack, [-1.0, 1.0], 1e-6), settled);
        let below = Contact {
            residual: -residual,
            is_last,
        };
        assert_eq!(below.is_settled(slack - 1.0, [-1.0, 1.0], 1e-6), settled);
        // The same of rows that are computed elsewhere.
        let output = Output {
            jacobian: &[1.0],
            values: &[1.0 - slack],
            start_values: &[1.0 + residual],
            way: &[residual + slack],
            lower: &[-1.0],
            upper: &[1.0],
            equality: &[false],
            contacts: &[contact],
            curved: &[false],
            weights: &[1.0],
        };
        let (_, quality) = HeldRows::new(
            &output,
            &DampedSettings {
                tolerance: 1e-6,
                ..LIMIT
            },
        );
        assert_eq!((quality.settled, quality.affine), (settled, true));
    }
}
