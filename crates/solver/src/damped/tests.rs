//! The fast paths against the plain algorithm, and every gradient against central differences.

use faer::Mat;
use faer::linalg::solvers::Solve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A random family with its own numbers; blocks of every kind.
struct Family {
    n: usize,
    batch: usize,
    affine: Vec<f64>,
    diagonal: (Vec<f64>, Vec<f64>),
    dense: (Vec<f64>, Vec<f64>),
    per_sample: Vec<f64>,
    counts: [usize; 4],
    lower: Vec<f64>,
    upper: Vec<f64>,
    equality: Vec<bool>,
    start: Vec<f64>,
}

impl Family {
    /// `counts`: shared affine, shared diagonal, shared dense and per-sample affine rows. The
    /// first half of the affine rows are equalities.
    fn new(seed: u64, n: usize, batch: usize, counts: [usize; 4]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count: usize, scale: f64| -> Vec<f64> {
            (0..count)
                .map(|_| rng.random_range(-scale..scale))
                .collect()
        };
        let [a, d, h, s] = counts;
        let m = a + d + h + s;
        let dense: Vec<f64> = (0..h)
            .flat_map(|_| {
                let root = Mat::from_fn(n, n, {
                    let r = draw(n * n, 0.2);
                    move |i, j| r[i * n + j]
                });
                let h = &root * root.transpose();
                (0..n * n)
                    .map(move |at| h[(at / n, at % n)])
                    .collect::<Vec<_>>()
            })
            .collect();
        let affine = draw(a * n, 1.0);
        let diagonal = (
            draw(d * n, 0.1).into_iter().map(f64::abs).collect(),
            draw(d * n, 1.0),
        );
        let dense = (dense, draw(h * n, 1.0));
        let per_sample = draw(batch * s * n, 1.0);
        let start = draw(batch * n, 1.0);
        let centre = draw(batch * m, 0.3);
        let width = draw(batch * m, 0.4);
        let equality: Vec<bool> = (0..m).map(|row| row < a / 2).collect();
        let (mut lower, mut upper) = (centre.clone(), centre);
        for at in 0..batch * m {
            let row = at % m;
            if !equality[row] {
                upper[at] += width[at].abs();
                // Every third inequality has one side only.
                lower[at] = if row % 3 == 0 {
                    f64::NEG_INFINITY
                } else {
                    lower[at] - width[at].abs()
                };
            }
        }
        Self {
            n,
            batch,
            affine,
            diagonal,
            dense,
            per_sample,
            counts,
            lower,
            upper,
            equality,
            start,
        }
    }

    fn problem(&self) -> DampedProblem<'_> {
        use Values::{PerSample, Shared};
        let [a, d, h, s] = self.counts;
        let blocks = vec![
            Rows {
                rows: a,
                linear: Shared(&self.affine),
                curvature: RowCurvature::None,
            },
            Rows {
                rows: d,
                linear: Shared(&self.diagonal.1),
                curvature: RowCurvature::Diagonal(Shared(&self.diagonal.0)),
            },
            Rows {
                rows: h,
                linear: Shared(&self.dense.1),
                curvature: RowCurvature::Dense(Shared(&self.dense.0)),
            },
            Rows {
                rows: s,
                linear: PerSample(&self.per_sample),
                curvature: RowCurvature::None,
            },
        ];
        DampedProblem {
            batch: self.batch,
            n: self.n,
            blocks,
            lower: PerSample(&self.lower),
            upper: PerSample(&self.upper),
            equality: &self.equality,
        }
    }
}

const SETTINGS: DampedSettings = DampedSettings {
    damping: 1e-2,
    tolerance: 1e-9,
    max_iterations: 12,
    rows: RowPolicy::All,
    stopping: Stopping::PerSample,
};

/// The algorithm as it is written in the paper, with a dense LU of JᵀJ + λI.
fn plain(
    problem: &DampedProblem<'_>,
    sample: usize,
    start: &[f64],
    settings: &DampedSettings,
) -> (Vec<f64>, usize) {
    let (n, m) = (problem.n, problem.rows());
    let (mut y, mut g, mut scratch) = (start.to_vec(), vec![0.0; m], vec![0.0; n]);
    for iteration in 0..settings.max_iterations {
        rows::values(problem, sample, &y, &mut g, &mut scratch);
        let (l, u) = (
            problem.lower.sample(sample, m),
            problem.upper.sample(sample, m),
        );
        let r: Vec<f64> = (0..m).map(|i| g[i] - g[i].clamp(l[i], u[i])).collect();
        if r.iter().all(|v| v.abs() < settings.tolerance) {
            return (y, iteration);
        }
        let mut j = Mat::<f64>::zeros(m, n);
        for row in 0..m {
            if settings.rows == RowPolicy::All || problem.equality[row] || r[row] != 0.0 {
                rows::jacobian_row(problem, sample, row, &y, &mut scratch);
                (0..n).for_each(|k| j[(row, k)] = scratch[k]);
            }
        }
        let right = j.transpose() * Mat::from_fn(m, 1, |i, _| r[i]);
        let matrix =
            j.transpose() * &j + Mat::<f64>::identity(n, n) * faer::Scale(settings.damping);
        let delta = matrix.partial_piv_lu().solve(&right);
        (0..n).for_each(|k| y[k] -= delta[(k, 0)]);
        if (0..n).all(|k| delta[(k, 0)].abs() < settings.tolerance) {
            return (y, iteration + 1);
        }
    }
    (y, settings.max_iterations)
}

/// Shapes with fewer and with more rows than variables, of one kind and of all kinds.
fn families() -> Vec<Family> {
    let counts = [
        [4, 3, 2, 2],
        [3, 0, 0, 0],
        [9, 0, 0, 0],
        [2, 6, 0, 0],
        [0, 2, 2, 0],
        [0, 0, 0, 4],
        [6, 4, 3, 3],
        [0, 1, 0, 0],
    ];
    counts
        .into_iter()
        .enumerate()
        .map(|(seed, counts)| Family::new(seed as u64, 7, 5, counts))
        .collect()
}

#[test]
fn every_path_takes_the_published_steps() {
    for (at, family) in families().iter().enumerate() {
        let problem = family.problem();
        for rows in [RowPolicy::All, RowPolicy::Violated] {
            let settings = DampedSettings { rows, ..SETTINGS };
            let fast = repair(&problem, &family.start, &settings, Record::Nothing).unwrap();
            for i in 0..family.batch {
                let (y, iterations) =
                    plain(&problem, i, &family.start[i * 7..(i + 1) * 7], &settings);
                assert_eq!(
                    fast.iterations[i], iterations,
                    "family {at}, {rows:?}, sample {i}"
                );
                for k in 0..7 {
                    // JᵀJ + λI has a condition of about 10³ here, times 12 steps of rounding.
                    assert!(
                        (fast.y[i * 7 + k] - y[k]).abs() < 1e-11,
                        "family {at}, {rows:?}, sample {i}: {} {}",
                        fast.y[i * 7 + k],
                        y[k]
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    let mut checked = 0;
    for (at, family) in families().iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(100 + at as u64);
        let (n, m, batch) = (family.n, family.counts.iter().sum::<usize>(), family.batch);
        let weights: Vec<f64> = (0..batch * n)
            .map(|_| rng.random_range(-1.0..1.0))
            .collect();
        for rows in [RowPolicy::All, RowPolicy::Violated] {
            // A fixed number of steps: where a sample stops is not differentiable.
            let settings = DampedSettings {
                rows,
                tolerance: 0.0,
                max_iterations: 4,
                ..SETTINGS
            };
            let problem = family.problem();
            let damped = repair(&problem, &family.start, &settings, Record::Steps).unwrap();
            let gradients = damped.vjp(&problem, &weights);
            let loss = |start: &[f64], lower: &[f64], upper: &[f64]| -> Vec<f64> {
                let problem = DampedProblem {
                    lower: Values::PerSample(lower),
                    upper: Values::PerSample(upper),
                    ..family.problem()
                };
                let y = repair(&problem, start, &settings, Record::Nothing)
                    .unwrap()
                    .y;
                (0..batch)
                    .map(|i| (0..n).map(|k| y[i * n + k] * weights[i * n + k]).sum())
                    .collect()
            };
            let mut compare =
                |name: &str,
                 exact: &[f64],
                 len: usize,
                 shifted: &dyn Fn(usize, f64) -> Vec<f64>| {
                    for k in 0..len {
                        let (plus, minus) = (shifted(k, 1e-6), shifted(k, -1e-6));
                        for i in 0..batch {
                            let difference = (plus[i] - minus[i]) / 2e-6;
                            let exact = exact[i * len + k];
                            // Truncation is about 1e-11 and rounding 1e-10 at this step.
                            assert!(
                                (difference - exact).abs() < 2e-8 * exact.abs().max(1.0),
                                "family {at}, {rows:?}, {name}, sample {i}, entry {k}: {exact} against {difference}"
                            );
                            checked += 1;
                        }
                    }
                };
            let moved = |values: &[f64], len: usize, k: usize, by: f64| -> Vec<f64> {
                values
                    .iter()
                    .enumerate()
                    .map(|(i, v)| if i % len == k { v + by } else { *v })
                    .collect()
            };
            compare("y0", &gradients.start, n, &|k, by| {
                loss(
                    &moved(&family.start, n, k, by),
                    &family.lower,
                    &family.upper,
                )
            });
            let equality = &family.equality;
            compare(
                "l + u",
                &gradients
                    .lower
                    .iter()
                    .zip(&gradients.upper)
                    .map(|(l, u)| l + u)
                    .collect::<Vec<_>>(),
                m,
                &|k, by| {
                    loss(
                        &family.start,
                        &moved(&family.lower, m, k, by),
                        &moved(&family.upper, m, k, by),
                    )
                },
            );
            // One side alone must leave equalities as they are.
            let free = |g: &[f64]| -> Vec<f64> {
                g.iter()
                    .enumerate()
                    .map(|(i, g)| if equality[i % m] { 0.0 } else { *g })
                    .collect()
            };
            compare("u", &free(&gradients.upper), m, &|k, by| {
                let by = if equality[k] { 0.0 } else { by };
                loss(
                    &family.start,
                    &family.lower,
                    &moved(&family.upper, m, k, by),
                )
            });
        }
    }
    assert!(checked > 1000, "{checked}");
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

#[test]
fn together_on_constant_rows_equals_alone_for_the_slowest() {
    let family = Family::new(5, 7, 5, [4, 0, 0, 0]);
    let settings = DampedSettings {
        stopping: Stopping::WholeBatch,
        max_iterations: 200,
        ..SETTINGS
    };
    let damped = repair(&family.problem(), &family.start, &settings, Record::Steps).unwrap();
    assert!(damped.iterations.iter().all(|k| *k == damped.iterations[0]));
    assert!(damped.residual.iter().all(|r| *r < 1e-9));
    assert_eq!(damped.vjp(&family.problem(), &family.start).start.len(), 35);
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
    assert_eq!(
        damped.vjp(&problem, &[1.0; 6]).start,
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    );
}

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
