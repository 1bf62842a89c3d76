//! What is known of a sample by means that are not the crate's, and how far a gradient is from it.

use super::*;
use crate::common::{SHRINK, extrapolated};

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| f64::max(m, v.abs()))
}

/// The largest difference of two gradients relative to the largest entry of the second.
pub(super) fn error(got: &[f64], expected: &[f64]) -> f64 {
    let differences: Vec<f64> = got.iter().zip(expected).map(|(g, e)| g - e).collect();
    assert!(got.iter().all(|g| g.is_finite()));
    let size = largest(expected);
    assert!(size > 1e-3, "a gradient that shows nothing: {size:e}");
    largest(&differences) / size
}

/// Derivatives of several functions of one number at zero: those whose steps balance truncation and rounding,
/// function by function (Ridders' extrapolation).
pub(super) fn differences(h: f64, f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    const LEVELS: i32 = 9;
    let central: Vec<Vec<f64>> = (0..LEVELS)
        .map(|k| {
            let h = h / SHRINK.powi(k);
            let (high, low) = (f(h), f(-h));
            let pairs = high.iter().zip(&low);
            pairs.map(|(high, low)| (high - low) / (2.0 * h)).collect()
        })
        .collect();
    let each = 0..central[0].len();
    each.map(|i| extrapolated(central.iter().map(|slopes| slopes[i])))
        .collect()
}

/// The worst error under each rule, and where it was.
#[derive(Default)]
pub(super) struct Worst {
    pub(super) entries: Vec<(String, f64, String)>,
    pub(super) checks: usize,
    pub(super) broken: Vec<String>,
}

impl Worst {
    pub(super) fn see(&mut self, rule: &str, error: f64, limit: f64, place: &dyn Fn() -> String) {
        self.checks += 1;
        // A NaN is no success.
        self.require(error <= limit, || {
            format!("{rule}, {}: {error:.1e}", place())
        });
        match self.entries.iter_mut().find(|(name, ..)| name == rule) {
            Some(entry) if entry.1 >= error => {}
            Some(entry) => (entry.1, entry.2) = (error, place()),
            None => self.entries.push((rule.to_owned(), error, place())),
        }
    }

    pub(super) fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }

    /// Prints all, and panics where a rule was broken.
    pub(super) fn finish(self, mode: &str) {
        println!("{mode}: {} checks", self.checks);
        for (rule, error, place) in &self.entries {
            println!("  {rule}: {error:.1e} ({place})");
        }
        let broken = &self.broken;
        let first = &broken[..broken.len().min(20)];
        assert!(
            broken.is_empty(),
            "{mode}, {} broken:\n{}",
            broken.len(),
            first.join("\n")
        );
    }
}

/// The eigenvectors of the symmetric part of a matrix, with their eigenvalues.
pub(super) fn eigen(matrix: &[f64], n: usize) -> Vec<(f64, Vec<f64>)> {
    let symmetric = Mat::from_fn(n, n, |i, j| 0.5 * (matrix[i * n + j] + matrix[j * n + i]));
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).unwrap();
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    (0..n)
        .map(|k| (values[k], (0..n).map(|i| vectors[(i, k)]).collect()))
        .collect()
}

/// Σ f(λ) u uᵀv over the eigenvectors that are no null space.
pub(super) fn by_eigen(eigen: &[(f64, Vec<f64>)], v: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    let top = eigen
        .iter()
        .map(|(value, _)| value.abs())
        .fold(0.0, f64::max);
    let mut out = vec![0.0; v.len()];
    // Eigenvalues of these problems are above 1e-4 of the largest, or zero to the error of differences.
    for (value, vector) in eigen.iter().filter(|(value, _)| value.abs() > 1e-6 * top) {
        let along = f(*value) * dot(vector, v);
        out.iter_mut()
            .zip(vector)
            .for_each(|(o, u)| *o += along * u);
    }
    out
}

/// What is known of one sample at its minimiser, by means that are not the crate's.
pub(super) struct Truth {
    /// The minimiser, and the auxiliaries.
    pub(super) at: Sample,
    /// What each step moves, `[n, storage]`.
    pub(super) directions: Vec<Vec<f64>>,
    /// Of the Gauss-Newton matrix, over the coordinates that are free.
    pub(super) gauss_newton: Vec<(f64, Vec<f64>)>,
    /// The exact Hessian, and its eigenvectors.
    pub(super) matrix: Vec<f64>,
    pub(super) hessian: Vec<(f64, Vec<f64>)>,
    /// The cotangent by steps that derivatives are taken along: in the range of the Hessian.
    pub(super) v: Vec<f64>,
    pub(super) free: Vec<bool>,
}

impl Truth {
    pub(super) fn new(problem: &Problem, theta: &[f64], x: &[f64], seed: f64) -> Self {
        let n = problem.objective.tangent();
        let free: Vec<bool> = problem.at_bounds(x).iter().map(|held| !held).collect();
        let restrict = |matrix: &mut Vec<f64>| {
            for (k, entry) in matrix.iter_mut().enumerate() {
                if !(free[k / n] && free[k % n]) {
                    *entry = 0.0;
                }
            }
        };
        let mut gauss_newton = problem.normal_equations(x, theta).1;
        restrict(&mut gauss_newton);
        let mut matrix = Vec::new();
        for i in 0..n {
            let gradient = |h: f64| {
                let mut delta = vec![0.0; n];
                delta[i] = h;
                problem.normal_equations(&problem.moved(x, &delta), theta).0
            };
            matrix.extend(differences(WIDE, gradient));
        }
        restrict(&mut matrix);
        let hessian = eigen(&matrix, n);
        let v = by_eigen(&hessian, &numbers(n, seed), |_| 1.0);
        Self {
            at: Sample {
                start: x.to_vec(),
                theta: theta.to_vec(),
            },
            directions: problem.directions(x),
            gauss_newton: eigen(&gauss_newton, n),
            matrix,
            hessian,
            v,
            free,
        }
    }

    /// The cotangent by stored numbers of one by steps: the columns of the directions are orthogonal.
    pub(super) fn stored(&self, v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.at.start.len()];
        for (v, direction) in v.iter().zip(&self.directions) {
            let along = v / dot(direction, direction);
            out.iter_mut()
                .zip(direction)
                .for_each(|(o, d)| *o += along * d);
        }
        out
    }

    /// HM⁺v: the cotangent for which the exact gradient is the Gauss-Newton one for v.
    pub(super) fn as_gauss_newton_sees(&self, v: &[f64]) -> Vec<f64> {
        let w = by_eigen(&self.gauss_newton, v, |value| 1.0 / value);
        self.matrix
            .chunks_exact(w.len())
            .map(|row| dot(row, &w))
            .collect()
    }
}

/// The largest step of differences of minimisers, which are as good as their gradients are small.
pub(super) const WIDE: f64 = 1e-2;

/// That of a fixed number of iterations, which have kinks where another leg or bound takes over.
pub(super) const NARROW: f64 = 1e-3;

/// Differences of vᵀx by all auxiliaries for several cotangents at once.
pub(super) fn by_theta<const N: usize>(
    problem: &Problem,
    sample: &Sample,
    settings: &Settings,
    h: f64,
    cotangents: [&[f64]; N],
) -> [Vec<f64>; N] {
    let mut out: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for i in 0..sample.theta.len() {
        let slopes = differences(h, |h| {
            let mut moved = sample.clone();
            moved.theta[i] += h;
            let x = problem.solved(&moved, settings);
            cotangents.iter().map(|v| dot(v, &x)).collect()
        });
        let pairs = out.iter_mut().zip(slopes);
        pairs.for_each(|(out, slope)| out.push(slope));
    }
    out
}

/// Differences of vᵀx by steps from the start.
pub(super) fn by_start(
    problem: &Problem,
    sample: &Sample,
    settings: &Settings,
    v: &[f64],
) -> Vec<f64> {
    (0..problem.objective.tangent())
        .map(|i| {
            let slopes = differences(NARROW, |h| {
                let mut delta = vec![0.0; problem.objective.tangent()];
                delta[i] = h;
                let moved = Sample {
                    start: problem.moved(&sample.start, &delta),
                    theta: sample.theta.clone(),
                };
                vec![dot(v, &problem.solved(&moved, settings))]
            });
            slopes[0]
        })
        .collect()
}

/// Settings for differences of minimisers: with damping that keeps rounding from moving them along a null
/// space, which they would drift along by 1e-4.
pub(super) fn to_the_end(linear: Linear) -> Settings {
    Settings {
        step: Step::LevenbergMarquardt(LevenbergMarquardt {
            min: 1e-4,
            ..LevenbergMarquardt::default()
        }),
        ..tight(linear)
    }
}

/// A problem with what is known of its samples.
pub(super) struct Case {
    pub(super) problem: Problem,
    pub(super) truths: Vec<Truth>,
    /// With the minimisers as starts.
    pub(super) samples: Vec<Sample>,
}

pub(super) fn cases() -> Vec<Case> {
    let cases: Vec<Case> = problems().into_iter().map(Case::new).collect();
    assert!(cases.len() >= 48);
    cases
}

impl Case {
    pub(super) fn new(problem: Problem) -> Self {
        let solution = problem.with_inputs(&problem.samples, |inputs| {
            let solution = problem
                .objective
                .solve(inputs, &to_the_end(Linear::Auto))
                .unwrap();
            assert!(
                solution.all_converged(),
                "{}: {:?}",
                problem.name,
                solution.status
            );
            solution
        });
        let truths: Vec<Truth> = problem
            .samples
            .iter()
            .enumerate()
            .map(|(s, sample)| {
                let truth = Truth::new(&problem, &sample.theta, solution.sample(s), 0.5 + s as f64);
                let singular = truth.hessian.len()
                    - truth.free.iter().filter(|free| !**free).count()
                    - truth
                        .hessian
                        .iter()
                        .filter(|(value, _)| *value > 1e-4 * truth.hessian.last().unwrap().0)
                        .count();
                let cost = solution.cost[s];
                match problem.kind {
                    Kind::ZeroResidual => assert!(cost < 1e-20 && singular == 0),
                    Kind::Residual => assert!(cost > 1e-4 && singular == 0, "{}", problem.name),
                    Kind::RankDeficient => assert!(singular > 0, "{}", problem.name),
                }
                truth
            })
            .collect();
        Self {
            samples: truths.iter().map(|truth| truth.at.clone()).collect(),
            problem,
            truths,
        }
    }

    /// At its starts.
    pub(super) fn unsolved(problem: Problem) -> Self {
        Self {
            samples: problem.samples.clone(),
            problem,
            truths: Vec::new(),
        }
    }

    pub(super) fn solve(&self, samples: &[Sample], settings: &Settings) -> Solution {
        self.problem.with_inputs(samples, |inputs| {
            self.problem.objective.solve(inputs, settings).unwrap()
        })
    }

    pub(super) fn gradients(
        &self,
        samples: &[Sample],
        solution: &Solution,
        cotangent: &[f64],
        backward: &Backward,
    ) -> Gradients {
        let objective = &self.problem.objective;
        self.problem.with_inputs(samples, |inputs| {
            objective
                .vjp_by(inputs, solution, cotangent, backward)
                .unwrap()
        })
    }

    /// Every sample's cotangent by stored numbers.
    pub(super) fn cotangent(&self, v: impl Fn(&Truth) -> Vec<f64>) -> Vec<f64> {
        self.truths
            .iter()
            .flat_map(|truth| truth.stored(&v(truth)))
            .collect()
    }

    pub(super) fn auxiliaries<'g>(&self, gradients: &'g Gradients, sample: usize) -> &'g [f64] {
        let len = self.problem.objective.auxiliary_len();
        &gradients.auxiliaries[sample * len..(sample + 1) * len]
    }

    pub(super) fn rule(&self) -> &'static str {
        match self.problem.kind {
            Kind::ZeroResidual => "zero residual",
            Kind::Residual => "residual",
            Kind::RankDeficient => "rank-deficient",
        }
    }

    pub(super) fn place<'p>(
        &'p self,
        sample: usize,
        by: &'p dyn std::fmt::Debug,
    ) -> impl Fn() -> String + 'p {
        move || format!("{}, sample {sample}, {by:?}", self.problem.name)
    }
}
