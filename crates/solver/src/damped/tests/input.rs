//! What is refused, and what is not.

use super::*;

#[test]
fn bad_input_is_an_error_and_nothing_to_do_is_not() {
    let family = Family::new(1, 7, 5, [3, 0, 0, 0]);
    let mut start = family.start.clone();
    start[9] = f64::NAN;
    let error = repair(&family.problem(), &start, &SETTINGS, Record::Nothing).unwrap_err();
    assert!(
        error.to_string().contains("`start` is NaN at entry 2 of"),
        "{error}"
    );
    assert!(repair(&family.problem(), &start[1..], &SETTINGS, Record::Nothing).is_err());
    assert!(
        repair(
            &family.problem(),
            &family.start,
            &DampedSettings {
                damping: -1.0,
                ..SETTINGS
            },
            Record::Nothing
        )
        .is_err()
    );
    let none = Family::new(1, 7, 5, [0, 0, 0, 0]);
    let damped = repair(&none.problem(), &none.start, &SETTINGS, Record::Steps).unwrap();
    assert_eq!(damped.y, none.start);
    assert_eq!(damped.vjp(&none.problem(), &none.start).start, none.start);
    let empty = Family::new(1, 7, 0, [3, 1, 0, 0]);
    assert!(
        repair(&empty.problem(), &[], &SETTINGS, Record::Nothing)
            .unwrap()
            .y
            .is_empty()
    );
}

/// The error of a family of three affine and one dense row with one thing changed.
fn refused(change: impl FnOnce(&mut Family)) -> String {
    let mut family = Family::new(1, 7, 5, [3, 0, 1, 0]);
    change(&mut family);
    let problem = family.problem();
    let refused = repair(&problem, &family.start, &SETTINGS, Record::Nothing);
    refused.unwrap_err().to_string()
}

#[test]
fn bounds_are_refused_with_their_place() {
    // Row 2 of sample 3.
    let at = 3 * 4 + 2;
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (got, expected) in [
        (
            refused(|f| f.lower[at] = nan),
            "`lower` is NaN at entry 2 of sample 3",
        ),
        (
            refused(|f| f.upper[at] = nan),
            "`upper` is NaN at entry 2 of sample 3",
        ),
        (
            refused(|f| f.lower[at] = inf),
            "`lower` is inf at entry 2 of sample 3",
        ),
        (
            refused(|f| f.upper[at] = -inf),
            "`upper` is -inf at entry 2 of sample 3",
        ),
        (
            refused(|f| (f.lower[at], f.upper[at]) = (2.0, 1.0)),
            "bounds of row 2 of sample 3 are crossed: l = 2 > u = 1",
        ),
    ] {
        assert_eq!(got, expected);
    }
    let family = Family::new(1, 7, 5, [3, 0, 1, 0]);
    let problem = DampedProblem {
        lower: Values::Shared(&[0.0, f64::NAN, 0.0, 0.0]),
        ..family.problem()
    };
    let error = repair(&problem, &family.start, &SETTINGS, Record::Nothing).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`lower` is NaN at entry 1 of the shared data"
    );
}

#[test]
fn matrices_that_are_not_symmetric_are_refused_with_their_place() {
    let error = refused(|f| f.dense.0[2 * 7 + 4] += 0.5);
    assert!(
        error.contains("`curvature` of the shared data is not symmetric: entries (4, 2) and (2, 4) of matrix 0 differ by 5e-1"),
        "{error}"
    );
    let error = refused(|f| f.dense.0[0] = f64::NAN);
    assert_eq!(error, "`curvature` is NaN at entry 0 of the shared data");
    // Rounding is no mistake.
    let mut family = Family::new(1, 7, 5, [3, 0, 1, 0]);
    family.dense.0[2 * 7 + 4] += 1e-14;
    repair(&family.problem(), &family.start, &SETTINGS, Record::Nothing).unwrap();
}

#[test]
fn settings_out_of_range_are_named() {
    let family = Family::new(1, 7, 5, [3, 0, 0, 0]);
    for (settings, expected) in [
        (
            DampedSettings {
                max_iterations: 0,
                ..SETTINGS
            },
            "setting `max_iterations` is 0 but must be at least 1",
        ),
        (
            DampedSettings {
                tolerance: f64::NAN,
                ..SETTINGS
            },
            "setting `tolerance` is NaN but must be finite and at least 0",
        ),
    ] {
        let error = repair(&family.problem(), &family.start, &settings, Record::Nothing);
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
}
