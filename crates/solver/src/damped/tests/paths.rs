//! The fast paths take the steps that the paper writes down.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;

/// Rows and weights in all combinations.
pub(super) fn every_choice() -> impl Iterator<Item = (RowPolicy, RowWeights)> {
    [RowPolicy::All, RowPolicy::Violated]
        .into_iter()
        .flat_map(|rows| [RowWeights::Uniform, RowWeights::InverseNorms].map(|w| (rows, w)))
}

#[test]
fn every_path_takes_the_published_steps() {
    for (at, family) in families().iter().enumerate() {
        let problem = family.problem();
        for (rows, weights) in every_choice() {
            let settings = DampedSettings {
                rows,
                weights,
                ..SETTINGS
            };
            let name = format!("family {at}, {rows:?}, {weights:?}");
            let fast = repair(&problem, &family.start, &settings, Record::Nothing).unwrap();
            for i in 0..family.batch {
                let (y, iterations) =
                    plain(&problem, i, &family.start[i * 7..(i + 1) * 7], &settings);
                assert_eq!(fast.iterations[i], iterations, "{name}, sample {i}");
                for k in 0..7 {
                    // JᵀJ + λI has a condition of about 10³ here, times 12 steps of rounding.
                    assert!(
                        (fast.y[i * 7 + k] - y[k]).abs() < 1e-11,
                        "{name}, sample {i}: {} {}",
                        fast.y[i * 7 + k],
                        y[k]
                    );
                }
            }
        }
    }
}

/// The tests above cover both paths only if some families take the one for constant rows.
#[test]
fn families_take_both_paths() {
    let constant = |family: &Family| rows::constant_jacobian(&family.problem()).is_some();
    let count = families().iter().filter(|family| constant(family)).count();
    assert_eq!(count, 2, "[3, 0, 0, 0] and [9, 0, 0, 0]");
}

#[test]
fn samples_stop_alone_or_together() {
    let family = Family::new(3, 7, 5, [2, 2, 1, 0]);
    let problem = family.problem();
    let alone = repair(
        &problem,
        &family.start,
        &DampedSettings {
            max_iterations: 200,
            ..SETTINGS
        },
        Record::Nothing,
    )
    .unwrap();
    let together = DampedSettings {
        stopping: Stopping::WholeBatch,
        max_iterations: 200,
        ..SETTINGS
    };
    let together = repair(&problem, &family.start, &together, Record::Nothing).unwrap();
    let slowest = *alone.iterations.iter().max().unwrap();
    assert!(
        alone.iterations.iter().any(|&k| k < slowest),
        "the family must have samples of different difficulty"
    );
    assert!(together.iterations.iter().all(|&k| k == slowest));
    // A sample's result does not depend on its neighbours when it stops alone.
    let one = DampedProblem {
        batch: 1,
        lower: Values::PerSample(&family.lower[10..15]),
        upper: Values::PerSample(&family.upper[10..15]),
        ..family.problem()
    };
    let one = repair(
        &one,
        &family.start[14..21],
        &DampedSettings {
            max_iterations: 200,
            ..SETTINGS
        },
        Record::Nothing,
    )
    .unwrap();
    assert_eq!(one.y, alone.y[14..21]);
}

/// Steps enough for every sample to end by a tolerance.
const PATIENT: DampedSettings = DampedSettings {
    max_iterations: 200,
    ..SETTINGS
};

/// More samples than a chunk of the path for constant rows holds.
pub(super) fn large() -> Family {
    let mut family = Family::new(5, 7, 70, [6, 0, 0, 0]);
    // Near and far, so that they stop at different steps.
    for (i, y) in family.start.chunks_exact_mut(7).enumerate() {
        y.iter_mut()
            .for_each(|y| *y *= 10f64.powi(i as i32 % 7 - 3));
    }
    family
}

/// Rows in units that differ by a factor of 10⁶ are, with weights, the same rows in one unit.
#[test]
fn weighted_steps_do_not_depend_on_the_units_of_the_rows() {
    let family = Family::new(4, 7, 5, [3, 2, 1, 2]);
    let scaled = family.in_units(&[1e-3, 1.0, 1e3, 10.0, 1e2, 1e-2, 1.0, 1e3]);
    let run = |family: &Family, rows, weights| {
        // As many steps for both: where they stop does depend on the units.
        let settings = DampedSettings {
            rows,
            weights,
            tolerance: 0.0,
            max_iterations: 6,
            ..SETTINGS
        };
        repair(&family.problem(), &family.start, &settings, Record::Nothing)
            .unwrap()
            .y
    };
    for rows in [RowPolicy::All, RowPolicy::Violated] {
        let far = |weights| {
            let (y, scaled) = (run(&family, rows, weights), run(&scaled, rows, weights));
            y.iter()
                .zip(scaled)
                .fold(0.0, |far: f64, (a, b)| far.max((a - b).abs()))
        };
        // A condition of about 10³, times some steps of rounding.
        let (weighted, plain) = (far(RowWeights::InverseNorms), far(RowWeights::Uniform));
        assert!(
            weighted < 1e-11 && plain > 1e-2,
            "{rows:?}: {weighted} {plain}"
        );
    }
}

#[test]
fn rows_that_vanish_at_the_start_weigh_one() {
    // y² = 1 twice, from where one of the rows is flat and from where both are.
    let problem = DampedProblem {
        batch: 2,
        n: 2,
        blocks: vec![Rows {
            rows: 2,
            linear: Values::Shared(&[0.0; 4]),
            curvature: RowCurvature::Diagonal(Values::Shared(&[1.0, 0.0, 0.0, 1.0])),
        }],
        lower: Values::Shared(&[1.0; 2]),
        upper: Values::Shared(&[1.0; 2]),
        equality: &[true; 2],
    };
    let settings = DampedSettings {
        weights: RowWeights::InverseNorms,
        max_iterations: 50,
        ..SETTINGS
    };
    let start = [2.0, 0.0, 0.0, 0.0];
    let damped = repair(&problem, &start, &settings, Record::Steps).unwrap();
    assert!((damped.y[0] - 1.0).abs() < 1e-8, "{damped:?}");
    // Nothing moves a flat row.
    assert_eq!(damped.y[1..], [0.0; 3]);
    let gradients = damped.vjp(&problem, &[1.0; 4]);
    assert!(
        gradients.start.iter().all(|g| g.is_finite()),
        "{gradients:?}"
    );
}

/// Both paths on the same constant rows.
pub(super) fn both(family: &Family, settings: &DampedSettings) -> [Damped; 2] {
    let problem = family.problem();
    let jacobian = rows::constant_jacobian(&problem).unwrap();
    let start = &family.start;
    [
        constant::repair(&problem, jacobian, start, settings, Record::Steps).unwrap(),
        sample::repair(&problem, start, settings, Record::Steps),
    ]
}

#[test]
fn chunks_of_constant_rows_end_as_their_samples_do_alone() {
    let family = large();
    let weights = [RowWeights::Uniform, RowWeights::InverseNorms];
    let stoppings = [Stopping::PerSample, Stopping::WholeBatch];
    for (stopping, weights) in stoppings.into_iter().flat_map(|s| weights.map(|w| (s, w))) {
        let settings = DampedSettings {
            stopping,
            weights,
            damping: 0.1,
            ..PATIENT
        };
        let [fast, slow] = both(&family, &settings);
        assert_eq!(fast.iterations, slow.iterations);
        assert_eq!(fast.status, slow.status);
        let counts: BTreeSet<_> = fast.iterations.iter().collect();
        match stopping {
            Stopping::PerSample => assert!(
                counts.len() > 5,
                "samples must leave one by one: {counts:?}"
            ),
            Stopping::WholeBatch => assert_eq!(counts.len(), 1, "{counts:?}"),
        }
        for (fast, slow) in fast.y.iter().zip(&slow.y) {
            // A condition of about 10³, times some dozen steps of rounding.
            assert!((fast - slow).abs() < 1e-11, "{fast} {slow}");
        }
    }
}

#[test]
fn rows_of_one_sample_are_factored_once() {
    let family = Family::new(2, 7, 5, [3, 0, 0, 2]);
    let damped = repair(&family.problem(), &family.start, &SETTINGS, Record::Steps).unwrap();
    let Tape::Samples(taped) = &damped.tape else {
        panic!("rows of each sample's own take the path sample by sample");
    };
    for tape in &taped.samples {
        let steps = &tape.steps;
        assert!(steps.len() > 2);
        let first = &steps[0].factored;
        assert!(steps.iter().all(|step| Arc::ptr_eq(&step.factored, first)));
    }
    // Rows that bend are not.
    let family = Family::new(2, 7, 5, [3, 1, 0, 2]);
    let damped = repair(&family.problem(), &family.start, &SETTINGS, Record::Steps).unwrap();
    let Tape::Samples(taped) = &damped.tape else {
        panic!("curved rows take the path sample by sample");
    };
    let steps = &taped.samples[0].steps;
    assert!(!Arc::ptr_eq(&steps[0].factored, &steps[1].factored));
}

#[test]
fn recording_changes_nothing() {
    for family in families() {
        let run = |record| repair(&family.problem(), &family.start, &PATIENT, record).unwrap();
        let (with, without) = (run(Record::Steps), run(Record::Nothing));
        assert_eq!(with.y, without.y);
        assert_eq!(with.iterations, without.iterations);
    }
}

#[test]
fn the_last_step_allowed_may_be_the_one_that_converges() {
    // One undamped step on affine equalities is the projection.
    let once = DampedSettings {
        damping: 0.0,
        max_iterations: 1,
        ..SETTINGS
    };
    for counts in [[2, 0, 0, 0], [2, 0, 0, 2]] {
        let mut family = Family::new(1, 7, 5, counts);
        family.lower.clone_from(&family.upper);
        for stopping in [Stopping::PerSample, Stopping::WholeBatch] {
            let settings = DampedSettings { stopping, ..once };
            let damped = repair(&family.problem(), &family.start, &settings, Record::Nothing);
            assert_eq!(damped.unwrap().status, [DampedStatus::Residual; 5]);
        }
    }
}

#[test]
fn undamped_steps_with_more_rows_than_variables_are_least_squares() {
    // |y_i| ≤ 1 as four rows of which two vanish in JᵀJ = 2I: half of the way in every step.
    let rows = [1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0];
    for linear in [Values::Shared(&rows), Values::PerSample(&rows)] {
        let problem = DampedProblem {
            batch: 1,
            n: 2,
            blocks: vec![Rows {
                rows: 4,
                linear,
                curvature: RowCurvature::None,
            }],
            lower: Values::Shared(&[f64::NEG_INFINITY; 4]),
            upper: Values::Shared(&[1.0; 4]),
            equality: &[false; 4],
        };
        for (max_iterations, expected) in [(1, 2.0), (2, 1.5), (200, 1.0)] {
            let settings = DampedSettings {
                damping: 0.0,
                max_iterations,
                ..SETTINGS
            };
            let damped = repair(&problem, &[3.0, 0.5], &settings, Record::Nothing).unwrap();
            assert!(
                (damped.y[0] - expected).abs() < 1e-8 && damped.y[1] == 0.5,
                "{damped:?}"
            );
            // The step is as long as the residual that it leaves.
            let is_done = damped.status[0] == DampedStatus::Step;
            assert_eq!(is_done, max_iterations == 200, "{damped:?}");
        }
    }
}
