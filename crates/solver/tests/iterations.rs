//! Iteration counts on fixed problems: a change in convergence shows here.
#![allow(missing_docs)]

mod support;

use feasible_solver::{Method, Settings, solve};
use support::{Shape, random};

/// One line per size: the iterations of four samples.
fn counts(quadratics: usize, method: Method) -> String {
    [5, 20, 60]
        .into_iter()
        .map(|n| {
            let shape = Shape {
                batch: 4,
                n,
                p_rows: n / 4,
                m: n / 2,
                k: quadratics,
                p_diagonal: true,
                h_diagonal: true,
                per_sample: 0b10_0110_1010,
                p_rank: n,
                h_shift: 0.1,
                equal_rows: 0.0,
            };
            let owned = random(shape, 42 + n as u64);
            let settings = Settings {
                method,
                ..Settings::default()
            };
            format!(
                "n = {n}: {:?}",
                solve(&owned.problem(), &settings).unwrap().iterations
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn active_set_pivots() {
    insta::assert_snapshot!(counts(0, Method::Auto), @r"
    n = 5: [2, 1, 1, 1]
    n = 20: [9, 8, 9, 8]
    n = 60: [23, 19, 22, 21]
    ");
}

#[test]
fn interior_point_steps_on_quadratic_programs() {
    insta::assert_snapshot!(counts(0, Method::InteriorPoint), @r"
    n = 5: [5, 5, 6, 5]
    n = 20: [6, 7, 6, 7]
    n = 60: [8, 7, 6, 7]
    ");
}

#[test]
fn interior_point_steps_with_quadratic_rows() {
    insta::assert_snapshot!(counts(3, Method::Auto), @r"
    n = 5: [7, 7, 6, 6]
    n = 20: [8, 10, 7, 8]
    n = 60: [8, 8, 8, 8]
    ");
}
