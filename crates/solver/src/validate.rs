//! Checks a problem before anything is computed with it.

use feasible_kernels::{map_runs, run_length, threads};

use crate::active_set::batch::checks_convexity;
use crate::batch::{Symmetric, Values};
use crate::bounds::{bounds_touch, copies};
use crate::dense::{all_finite, vectorised};
use crate::error::Error;
use crate::problem::Problem;
use crate::semidefinite::{NotSemidefinite, Semidefinite, check_semidefinite_diagonal};
use crate::settings::Settings;
use crate::size;

/// Matrices one thread checks at a time.
const RUN: usize = 64;

/// What infinities a parameter may hold.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Infinities {
    None,
    Lower,
    Upper,
}

/// Checks shapes, finiteness, bounds, symmetry and convexity, these two not where [`checks_convexity`].
///
/// # Errors
/// See [`crate::solve`].
pub(crate) fn validate(problem: &Problem<'_>, settings: &Settings) -> Result<(), Error> {
    let (batch, n) = (problem.batch, problem.n);
    let rounding = settings.rounding;
    if n == 0 {
        return Err(Error::NoVariables);
    }
    let symmetric_layout = |diagonal: bool, stack: bool| match (diagonal, stack) {
        (true, false) => "[n] diagonals, per sample or shared",
        (false, false) => "[n, n], per sample or shared",
        (true, true) => "[k, n] diagonals, per sample or shared",
        (false, true) => "[k, n, n], per sample or shared",
    };
    check(
        "p",
        problem.p.values(),
        batch,
        problem.p.entries(n),
        symmetric_layout(problem.p.is_diagonal(), false),
        Infinities::None,
    )?;
    check(
        "q",
        problem.q,
        batch,
        n,
        "[n], per sample or shared",
        Infinities::None,
    )?;
    if !checks_convexity(problem, settings) {
        convex("p", problem.p, batch, 1, n, rounding)?;
    }
    if let Some(part) = problem.equalities {
        let rows = part.rows;
        check(
            "equalities.a",
            part.a,
            batch,
            rows.saturating_mul(n),
            "[p, n], per sample or shared",
            Infinities::None,
        )?;
        check(
            "equalities.b",
            part.b,
            batch,
            rows,
            "[p], per sample or shared",
            Infinities::None,
        )?;
    }
    if let Some(part) = problem.inequalities {
        let rows = part.rows;
        check(
            "inequalities.g",
            part.g,
            batch,
            rows.saturating_mul(n),
            "[m, n], per sample or shared",
            Infinities::None,
        )?;
        check(
            "inequalities.l",
            part.l,
            batch,
            rows,
            "[m], per sample or shared",
            Infinities::Lower,
        )?;
        check(
            "inequalities.u",
            part.u,
            batch,
            rows,
            "[m], per sample or shared",
            Infinities::Upper,
        )?;
        let samples = if settings.takes_crossed_bounds() {
            0
        } else {
            copies(problem)
        };
        for sample in 0..samples {
            let (l, u) = (part.l.sample(sample, rows), part.u.sample(sample, rows));
            for row in 0..rows {
                if l[row] > u[row] && !bounds_touch(l[row], u[row], rounding) {
                    return Err(Error::CrossedBounds {
                        sample,
                        row,
                        lower: l[row],
                        upper: u[row],
                    });
                }
            }
        }
    }
    if let Some(part) = problem.quadratics {
        let rows = part.rows;
        check(
            "quadratics.h",
            part.h.values(),
            batch,
            rows.saturating_mul(part.h.entries(n)),
            symmetric_layout(part.h.is_diagonal(), true),
            Infinities::None,
        )?;
        check(
            "quadratics.g",
            part.g,
            batch,
            rows.saturating_mul(n),
            "[k, n], per sample or shared",
            Infinities::None,
        )?;
        check(
            "quadratics.c",
            part.c,
            batch,
            rows,
            "[k], per sample or shared",
            Infinities::Upper,
        )?;
        convex("quadratics.h", part.h, batch, rows, n, rounding)?;
    }
    size::check(problem)
}

/// Length and finiteness of one parameter.
pub(crate) fn check(
    argument: &'static str,
    values: Values<'_>,
    batch: usize,
    len: usize,
    layout: &'static str,
    infinities: Infinities,
) -> Result<(), Error> {
    let data = values.data();
    let expected = values.expected(batch, len);
    if data.len() != expected {
        return Err(Error::Shape {
            argument,
            got: data.len(),
            expected,
            layout,
        });
    }
    // One pass without a branch clears the common case; a NaN is on no side of anything.
    let clear = match infinities {
        Infinities::None => vectorised(
            #[inline(always)]
            || all_finite(data),
        ),
        Infinities::Lower => data.iter().fold(true, |all, v| all & (*v < f64::INFINITY)),
        Infinities::Upper => data
            .iter()
            .fold(true, |all, v| all & (*v > f64::NEG_INFINITY)),
    };
    if clear {
        return Ok(());
    }
    let allowed = match infinities {
        Infinities::None => f64::NAN,
        Infinities::Lower => f64::NEG_INFINITY,
        Infinities::Upper => f64::INFINITY,
    };
    match data.iter().position(|v| !v.is_finite() && *v != allowed) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite {
            argument,
            sample: (!values.is_shared()).then(|| at / len),
            entry: at % len,
            value: data[at],
        }),
    }
}

/// Symmetry and positive semidefiniteness of a stack of matrices; of several that fail, the first
/// is named.
fn convex(
    argument: &'static str,
    symmetric: Symmetric<'_>,
    batch: usize,
    rows: usize,
    n: usize,
    rounding: f64,
) -> Result<(), Error> {
    let values = symmetric.values();
    let copies = if values.is_shared() {
        batch.min(1)
    } else {
        batch
    };
    let entries = symmetric.entries(n);
    let data = |at: usize| &values.data()[at * entries..(at + 1) * entries];
    let error = |at: usize, found: NotSemidefinite| {
        let sample = (!values.is_shared()).then_some(at / rows);
        not_convex(argument, sample, at % rows, found)
    };
    let count = copies * rows;
    if symmetric.is_diagonal() {
        return (0..count).try_for_each(|at| {
            check_semidefinite_diagonal(data(at), rounding).map_err(|found| error(at, found))
        });
    }
    // A dense matrix costs a factorisation.
    let threads = threads(count.saturating_mul(n * entries / 6));
    let run = run_length(count, threads, RUN);
    let starts: Vec<usize> = (0..count).step_by(run).collect();
    let check = |memory: &mut Semidefinite, _: usize, start: usize| {
        (start..count.min(start + run)).try_for_each(|at| {
            memory
                .check(data(at), rounding)
                .map_err(|found| error(at, found))
        })
    };
    map_runs(starts, threads, || Semidefinite::new(n), check)
        .into_iter()
        .collect()
}

/// What a matrix is not, as an error; `index` is its place in its stack.
pub(crate) fn not_convex(
    argument: &'static str,
    sample: Option<usize>,
    index: usize,
    found: NotSemidefinite,
) -> Error {
    match found {
        NotSemidefinite::Asymmetric {
            row,
            column,
            difference,
        } => Error::Asymmetric {
            argument,
            sample,
            index,
            row,
            column,
            difference,
        },
        NotSemidefinite::Negative { eigenvalue } => Error::NotConvex {
            argument,
            sample,
            index,
            eigenvalue,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Equalities, Inequalities, Quadratics};

    fn problem<'a>(p: Symmetric<'a>, q: Values<'a>) -> Problem<'a> {
        Problem {
            batch: 2,
            n: 2,
            p,
            q,
            equalities: None,
            inequalities: None,
            quadratics: None,
        }
    }

    fn checked(problem: &Problem<'_>) -> Result<(), Error> {
        validate(problem, &Settings::default())
    }

    const EYE: Symmetric<'static> = Symmetric::Diagonal(Values::Shared(&[1.0, 1.0]));
    const ZERO: Values<'static> = Values::Shared(&[0.0, 0.0]);

    #[test]
    fn lengths_are_checked_for_shared_and_per_sample() {
        assert!(checked(&problem(EYE, ZERO)).is_ok());
        let error = checked(&problem(EYE, Values::PerSample(&[0.0; 3]))).unwrap_err();
        assert!(matches!(
            error,
            Error::Shape {
                argument: "q",
                got: 3,
                expected: 4,
                ..
            }
        ));
    }

    #[test]
    fn nan_names_sample_and_entry() {
        let q = [0.0, 0.0, 0.0, f64::NAN];
        let error = checked(&problem(EYE, Values::PerSample(&q))).unwrap_err();
        assert!(matches!(
            error,
            Error::NotFinite {
                argument: "q",
                sample: Some(1),
                entry: 1,
                ..
            }
        ));
        let error = checked(&problem(EYE, Values::Shared(&[f64::INFINITY, 0.0]))).unwrap_err();
        assert!(matches!(
            error,
            Error::NotFinite {
                argument: "q",
                sample: None,
                entry: 0,
                ..
            }
        ));
    }

    #[test]
    fn bounds_may_be_infinite_on_their_own_side_only() {
        let with = |l: &'static [f64], u: &'static [f64]| {
            let mut problem = problem(EYE, ZERO);
            problem.inequalities = Some(Inequalities {
                rows: 1,
                g: Values::Shared(&[1.0, 0.0]),
                l: Values::Shared(l),
                u: Values::Shared(u),
            });
            checked(&problem)
        };
        const INF: f64 = f64::INFINITY;
        assert!(with(&[-INF], &[INF]).is_ok());
        assert!(with(&[1.0], &[1.0]).is_ok());
        assert!(matches!(
            with(&[INF], &[INF]),
            Err(Error::NotFinite {
                argument: "inequalities.l",
                ..
            })
        ));
        assert!(matches!(
            with(&[-INF], &[-INF]),
            Err(Error::NotFinite {
                argument: "inequalities.u",
                ..
            })
        ));
        assert!(matches!(
            with(&[2.0], &[1.0]),
            Err(Error::CrossedBounds {
                sample: 0,
                row: 0,
                ..
            })
        ));
    }

    #[test]
    fn quadratic_right_hand_side_may_be_plus_infinity_only() {
        let with = |c: &'static [f64]| {
            let mut problem = problem(EYE, ZERO);
            problem.quadratics = Some(Quadratics {
                rows: 1,
                h: EYE,
                g: ZERO,
                c: Values::Shared(c),
            });
            checked(&problem)
        };
        assert!(with(&[f64::INFINITY]).is_ok());
        assert!(with(&[f64::NEG_INFINITY]).is_err());
    }

    #[test]
    fn convexity_and_symmetry() {
        let dense =
            |data: &'static [f64]| checked(&problem(Symmetric::Dense(Values::Shared(data)), ZERO));
        assert!(dense(&[1.0, 1.0, 1.0, 1.0]).is_ok());
        assert!(dense(&[0.0; 4]).is_ok());
        let error = dense(&[1.0, 2.0, 2.0, 1.0]).unwrap_err();
        assert!(
            matches!(error, Error::NotConvex { argument: "p", eigenvalue, .. } if (eigenvalue + 1.0).abs() < 1e-12)
        );
        assert!(matches!(
            dense(&[1.0, 0.5, 0.0, 1.0]),
            Err(Error::Asymmetric {
                row: 1,
                column: 0,
                ..
            })
        ));
        let diagonal = Symmetric::Diagonal(Values::Shared(&[1.0, -1e-3]));
        assert!(matches!(
            checked(&problem(diagonal, ZERO)),
            Err(Error::NotConvex { .. })
        ));
        let asymmetric = Symmetric::Dense(Values::Shared(&[1.0, 0.5, 0.5 + 1e-7, 1.0]));
        assert!(checked(&problem(asymmetric, ZERO)).is_err());
        let single = Settings {
            rounding: f64::from(f32::EPSILON),
            ..Settings::default()
        };
        assert!(validate(&problem(asymmetric, ZERO), &single).is_ok());
        // Rounding-sized negativity is not a modelling mistake.
        let diagonal = Symmetric::Diagonal(Values::Shared(&[1.0, -1e-12]));
        assert!(checked(&problem(diagonal, ZERO)).is_ok());
    }

    #[test]
    fn sizes_beyond_counting_are_refused() {
        let mut with = problem(EYE, ZERO);
        with.inequalities = Some(Inequalities {
            rows: usize::MAX,
            g: Values::Shared(&[]),
            l: Values::PerSample(&[]),
            u: Values::Shared(&[]),
        });
        assert!(matches!(checked(&with), Err(Error::Shape { .. })));
        let mut with = problem(Symmetric::Dense(Values::PerSample(&[])), ZERO);
        with.n = usize::MAX;
        assert!(matches!(checked(&with), Err(Error::Shape { .. })));
    }

    #[test]
    fn empty_parts_and_no_variables() {
        let mut with = problem(EYE, ZERO);
        with.equalities = Some(Equalities {
            rows: 0,
            a: Values::Shared(&[]),
            b: Values::PerSample(&[]),
        });
        assert!(checked(&with).is_ok());
        with.n = 0;
        assert_eq!(checked(&with), Err(Error::NoVariables));
    }
}
