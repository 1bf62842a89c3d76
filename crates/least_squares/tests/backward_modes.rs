//! Every backward mode on every problem of a list, sample by sample, against differences of what the mode
//! differentiates. `--nocapture` prints the worst errors.

// The errors, where they are asked for.
#![allow(clippy::print_stdout)]

mod common;
#[path = "support/backward_problems.rs"]
mod problems;

use common::{solvers, tight};
use faer::{Mat, Side};
use feasible_least_squares::{
    Backward, Damping, Dogleg, GradientQuality, Gradients, Hessian, LevenbergMarquardt, Linear,
    Settings, Shape, Solution, Step, Stopping,
};
use problems::{BY_DIFFERENCES, Kind, Problem, Sample, numbers, problems};

/// What a derivative may be off, relative to the largest of its sample.
const LIMIT: f64 = 1e-6;

/// That of minimisers by the implicit modes, whose differences are good to 1e-9.
const IMPLICIT: f64 = 1e-7;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| f64::max(m, v.abs()))
}

/// The largest difference of two gradients relative to the largest entry of the second.
fn error(got: &[f64], expected: &[f64]) -> f64 {
    let differences: Vec<f64> = got.iter().zip(expected).map(|(g, e)| g - e).collect();
    assert!(got.iter().all(|g| g.is_finite()));
    let size = largest(expected);
    assert!(size > 1e-3, "a gradient that shows nothing: {size:e}");
    largest(&differences) / size
}

/// Derivatives of several functions of one number at zero: those whose steps balance truncation and rounding,
/// function by function (Ridders' extrapolation).
fn differences(h: f64, f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    const SHRINK: f64 = 1.6;
    const LEVELS: i32 = 9;
    let central: Vec<Vec<f64>> = (0..LEVELS)
        .map(|k| {
            let h = h / SHRINK.powi(k);
            let (high, low) = (f(h), f(-h));
            let pairs = high.iter().zip(&low);
            pairs.map(|(high, low)| (high - low) / (2.0 * h)).collect()
        })
        .collect();
    let extrapolated = |i: usize| {
        let mut last = vec![central[0][i]];
        let (mut best, mut error) = (last[0], f64::INFINITY);
        for slopes in &central[1..] {
            let mut row = vec![slopes[i]];
            for j in 0..last.len() {
                let factor = SHRINK.powi(2 * (j as i32 + 1));
                let next = (factor * row[j] - last[j]) / (factor - 1.0);
                let change = (next - row[j]).abs().max((next - last[j]).abs());
                if change <= error {
                    (best, error) = (next, change);
                }
                row.push(next);
            }
            last = row;
        }
        best
    };
    (0..central[0].len()).map(extrapolated).collect()
}

/// The worst error under each rule, and where it was.
#[derive(Default)]
struct Worst {
    entries: Vec<(String, f64, String)>,
    checks: usize,
    broken: Vec<String>,
}

impl Worst {
    fn see(&mut self, rule: &str, error: f64, limit: f64, place: &dyn Fn() -> String) {
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

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }

    /// Prints all, and panics where a rule was broken.
    fn finish(self, mode: &str) {
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
fn eigen(matrix: &[f64], n: usize) -> Vec<(f64, Vec<f64>)> {
    let symmetric = Mat::from_fn(n, n, |i, j| 0.5 * (matrix[i * n + j] + matrix[j * n + i]));
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).unwrap();
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    (0..n)
        .map(|k| (values[k], (0..n).map(|i| vectors[(i, k)]).collect()))
        .collect()
}

/// Σ f(λ) u uᵀv over the eigenvectors that are no null space.
fn by_eigen(eigen: &[(f64, Vec<f64>)], v: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
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
struct Truth {
    /// The minimiser, and the auxiliaries.
    at: Sample,
    /// What each step moves, `[n, storage]`.
    directions: Vec<Vec<f64>>,
    /// Of the Gauss-Newton matrix, over the coordinates that are free.
    gauss_newton: Vec<(f64, Vec<f64>)>,
    /// The exact Hessian, and its eigenvectors.
    matrix: Vec<f64>,
    hessian: Vec<(f64, Vec<f64>)>,
    /// The cotangent by steps that derivatives are taken along: in the range of the Hessian.
    v: Vec<f64>,
    free: Vec<bool>,
}

impl Truth {
    fn new(problem: &Problem, theta: &[f64], x: &[f64], seed: f64) -> Self {
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
    fn stored(&self, v: &[f64]) -> Vec<f64> {
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
    fn as_gauss_newton_sees(&self, v: &[f64]) -> Vec<f64> {
        let w = by_eigen(&self.gauss_newton, v, |value| 1.0 / value);
        self.matrix
            .chunks_exact(w.len())
            .map(|row| dot(row, &w))
            .collect()
    }
}

/// The largest step of differences of minimisers, which are as good as their gradients are small.
const WIDE: f64 = 1e-2;

/// That of a fixed number of iterations, which have kinks where another leg or bound takes over.
const NARROW: f64 = 1e-3;

/// Differences of vᵀx by all auxiliaries for several cotangents at once.
fn by_theta<const N: usize>(
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
fn by_start(problem: &Problem, sample: &Sample, settings: &Settings, v: &[f64]) -> Vec<f64> {
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
fn to_the_end(linear: Linear) -> Settings {
    Settings {
        step: Step::LevenbergMarquardt(LevenbergMarquardt {
            min: 1e-4,
            ..LevenbergMarquardt::default()
        }),
        ..tight(linear)
    }
}

/// A problem with what is known of its samples.
struct Case {
    problem: Problem,
    truths: Vec<Truth>,
    /// With the minimisers as starts.
    samples: Vec<Sample>,
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = problems().into_iter().map(Case::new).collect();
    assert!(cases.len() >= 48);
    cases
}

impl Case {
    fn new(problem: Problem) -> Self {
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
    fn unsolved(problem: Problem) -> Self {
        Self {
            samples: problem.samples.clone(),
            problem,
            truths: Vec::new(),
        }
    }

    fn solve(&self, samples: &[Sample], settings: &Settings) -> Solution {
        self.problem.with_inputs(samples, |inputs| {
            self.problem.objective.solve(inputs, settings).unwrap()
        })
    }

    fn gradients(
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
    fn cotangent(&self, v: impl Fn(&Truth) -> Vec<f64>) -> Vec<f64> {
        self.truths
            .iter()
            .flat_map(|truth| truth.stored(&v(truth)))
            .collect()
    }

    fn auxiliaries<'g>(&self, gradients: &'g Gradients, sample: usize) -> &'g [f64] {
        let len = self.problem.objective.auxiliary_len();
        &gradients.auxiliaries[sample * len..(sample + 1) * len]
    }

    fn rule(&self) -> &'static str {
        match self.problem.kind {
            Kind::ZeroResidual => "zero residual",
            Kind::Residual => "residual",
            Kind::RankDeficient => "rank-deficient",
        }
    }

    fn place<'p>(&'p self, sample: usize, by: &'p dyn std::fmt::Debug) -> impl Fn() -> String + 'p {
        move || format!("{}, sample {sample}, {by:?}", self.problem.name)
    }
}

/// The qualities that a gradient of the implicit modes may have.
fn expected(case: &Case, linear: Linear) -> &'static [GradientQuality] {
    let iterative = matches!(linear, Linear::ConjugateGradient { .. });
    match case.problem.kind {
        // Conjugate gradients see no null space that the cotangent has no part in.
        Kind::RankDeficient if iterative => &[GradientQuality::Exact, GradientQuality::Degenerate],
        Kind::RankDeficient => &[GradientQuality::Degenerate],
        _ if case.problem.name.starts_with(BY_DIFFERENCES) => &[GradientQuality::Inexact],
        _ => &[GradientQuality::Exact],
    }
}

#[test]
fn implicit_modes_on_every_problem() {
    let (mut exact, mut rough) = (Worst::default(), Worst::default());
    let (mut wrong, mut cases_seen) = (0, 0);
    for case in cases() {
        cases_seen += 1;
        let settings = to_the_end(Linear::Auto);
        let pairs: Vec<[Vec<f64>; 2]> = case
            .truths
            .iter()
            .map(|truth| {
                let v = truth.stored(&truth.v);
                let seen = truth.stored(&truth.as_gauss_newton_sees(&truth.v));
                by_theta(&case.problem, &truth.at, &settings, WIDE, [&v, &seen])
            })
            .collect();
        for linear in solvers() {
            let solution = case.solve(&case.samples, &to_the_end(linear));
            let v = case.cotangent(|truth| truth.v.clone());
            let by = |hessian| {
                let backward = Backward::Implicit { hessian };
                case.gradients(&case.samples, &solution, &v, &backward)
            };
            let (by_hessian, by_rows) = (by(Hessian::Exact), by(Hessian::GaussNewton));
            for (s, [all, without_curvature]) in pairs.iter().enumerate() {
                let place = case.place(s, &linear);
                let got = case.auxiliaries(&by_hessian, s);
                exact.see(case.rule(), error(got, all), IMPLICIT, &place);
                let quality = by_hessian.quality[s];
                exact.require(expected(&case, linear).contains(&quality), || {
                    format!("{}: {quality:?}", place())
                });
                // The error of the Gauss-Newton gradient in closed form: it is the exact one for HM⁺v.
                let got = case.auxiliaries(&by_rows, s);
                let truth = &case.truths[s];
                let seen = truth.as_gauss_newton_sees(&truth.v);
                rough.see(case.rule(), error(got, without_curvature), IMPLICIT, &place);
                let off: Vec<f64> = seen.iter().zip(&truth.v).map(|(a, b)| a - b).collect();
                let off = dot(&off, &off).sqrt() / dot(&truth.v, &truth.v).sqrt();
                let known = (by_rows.residual[s] - off).abs();
                rough.see("curvature left out, as reported", known, IMPLICIT, &place);
                if case.problem.kind == Kind::ZeroResidual {
                    rough.see("zero residual, as exact", error(got, all), IMPLICIT, &place);
                }
                if error(got, all) > LIMIT {
                    wrong += 1;
                    let quality = by_rows.quality[s];
                    rough.require(quality != GradientQuality::Exact, || {
                        format!("wrong, but {quality:?}: {}", place())
                    });
                }
            }
        }
    }
    println!("{cases_seen} problems");
    exact.finish("implicit, exact Hessian");
    rough.finish("implicit, Gauss-Newton");
    println!("  {wrong} gradients were wrong, and said so");
    // Most problems with a residual, by every solver.
    assert!(wrong > 200, "{wrong}");
}

#[test]
fn cotangents_outside_the_range_get_the_least_norm_gradient_and_say_so() {
    let mut worst = Worst::default();
    let rank_deficient = |case: &Case| case.problem.kind == Kind::RankDeficient;
    for case in cases().into_iter().filter(rank_deficient) {
        let any = case.cotangent(|truth| numbers(truth.v.len(), 0.5));
        let inside =
            case.cotangent(|truth| by_eigen(&truth.hessian, &numbers(truth.v.len(), 0.5), |_| 1.0));
        for linear in solvers() {
            let solution = case.solve(&case.samples, &to_the_end(linear));
            let by = |v: &[f64], backward| case.gradients(&case.samples, &solution, v, &backward);
            let got = by(&any, Backward::default());
            let expected = by(&inside, Backward::default());
            let tilted = by(&any, Backward::DirectLoss { epsilon: 1e-4 });
            for s in 0..case.samples.len() {
                let place = case.place(s, &linear);
                let quality = got.quality[s];
                let (got, expected) = (case.auxiliaries(&got, s), case.auxiliaries(&expected, s));
                // Iterations end where the null space begins, in the norm of their preconditioner.
                if !matches!(linear, Linear::ConjugateGradient { .. }) {
                    worst.see("least norm", error(got, expected), LIMIT, &place);
                }
                worst.require(quality == GradientQuality::Degenerate, || {
                    format!("{quality:?}: {}", place())
                });
                // Nothing bounds the tilted objective near, unless steps are by the rows.
                let given = case.auxiliaries(&tilted, s);
                match tilted.quality[s] {
                    GradientQuality::Unavailable => worst.require(largest(given) == 0.0, &place),
                    _ => worst.see("direct loss", error(given, expected), LIMIT, &place),
                }
            }
        }
    }
    worst.finish("outside the range");
}

/// What may be left of direct loss minimisation's error, and of its order.
#[test]
fn direct_loss_on_every_problem() {
    let (mut worst, mut measured, mut refused) = (Worst::default(), 0, 0);
    for case in cases() {
        let settings = to_the_end(Linear::Auto);
        let solution = case.solve(&case.samples, &settings);
        // One length of tilted steps for all problems: |εH⁻¹v| = 1e-2, for a v of largest entry 1.
        let unit = |truth: &Truth| -> Vec<f64> {
            let size = largest(&truth.v);
            truth.v.iter().map(|v| v / size).collect()
        };
        let longest =
            |truth: &Truth| largest(&by_eigen(&truth.hessian, &unit(truth), |value| 1.0 / value));
        let length = case.truths.iter().map(longest).fold(0.0, f64::max);
        let v = case.cotangent(unit);
        let by = |epsilon: f64| {
            let backward = Backward::DirectLoss { epsilon };
            case.gradients(&case.samples, &solution, &v, &backward)
        };
        let epsilon = 1e-2 / length;
        let (full, half) = (by(epsilon), by(0.5 * epsilon));
        for (s, truth) in case.truths.iter().enumerate() {
            let place = case.place(s, &epsilon);
            let cotangent = truth.stored(&unit(truth));
            let [expected] = by_theta(&case.problem, &truth.at, &settings, WIDE, [&cotangent]);
            let (a, b) = (case.auxiliaries(&full, s), case.auxiliaries(&half, s));
            let extrapolated: Vec<f64> =
                a.iter().zip(b).map(|(a, b)| (4.0 * b - a) / 3.0).collect();
            let qualities = [full.quality[s], half.quality[s]];
            if case.problem.kind == Kind::RankDeficient
                && qualities.contains(&GradientQuality::Unavailable)
            {
                // The tilt may lead along what nothing else decides, however it is chosen; affine rows have
                // no curvature to bring that about.
                refused += 1;
                let is_affine = case.problem.name.contains("rows");
                worst.require(!is_affine, || format!("refused: {}", place()));
                continue;
            }
            worst.require(qualities == [GradientQuality::Inexact; 2], || {
                format!("{qualities:?}: {}", place())
            });
            worst.see(case.rule(), error(&extrapolated, &expected), LIMIT, &place);
            let (a, b) = (error(a, &expected), error(b, &expected));
            // Below this an error is not that of ε alone any more.
            if b > 1e-6 {
                measured += 1;
                worst.see("order, off 2", ((a / b).log2() - 2.0).abs(), 0.05, &place);
            }
        }
    }
    worst.finish("direct loss");
    println!("  the order was measured on {measured} samples, {refused} were refused");
    assert!(measured > 100, "{measured}");
}

fn steps(kind: Kind) -> Vec<(&'static str, Step)> {
    let lm = LevenbergMarquardt::default();
    let damped = |damping, shape, initial| {
        Step::LevenbergMarquardt(LevenbergMarquardt {
            damping,
            shape,
            initial,
            ..lm
        })
    };
    let dogleg = |radius| {
        Step::Dogleg(Dogleg {
            radius,
            ..Dogleg::default()
        })
    };
    let factors = Damping::default();
    let mut steps = vec![
        ("spherical", damped(factors, Shape::Spherical, 0.1)),
        ("fixed", damped(Damping::Fixed, Shape::Spherical, 0.3)),
        ("ellipsoidal", damped(factors, Shape::ELLIPSOIDAL, 0.2)),
    ];
    // The others need a regular matrix.
    if kind != Kind::RankDeficient {
        steps.push(("gauss-newton", Step::GaussNewton));
        steps.extend([("wide dogleg", dogleg(100.0)), ("dogleg", dogleg(0.1))]);
    }
    steps
}

/// A fixed number of iterations, whatever they come to.
fn few(step: Step, iterations: usize, backward: Backward) -> Settings {
    Settings {
        step,
        max_iterations: iterations,
        stopping: Stopping {
            gradient: 0.0,
            cost: 0.0,
            step: 0.0,
        },
        backward,
        ..Settings::default()
    }
}

/// The step as it goes on with this damping or radius.
fn going_on(step: Step, size: f64) -> Step {
    match step {
        Step::LevenbergMarquardt(lm) => Step::LevenbergMarquardt(LevenbergMarquardt {
            initial: size,
            ..lm
        }),
        Step::Dogleg(dogleg) => Step::Dogleg(Dogleg {
            radius: size,
            ..dogleg
        }),
        other => other,
    }
}

/// The derivative's quality where nothing is left out.
fn whole(case: &Case) -> GradientQuality {
    if case.problem.name.starts_with(BY_DIFFERENCES) {
        GradientQuality::Inexact
    } else {
        GradientQuality::Exact
    }
}

#[test]
fn unrolled_iterations_of_every_problem() {
    let mut worst = Worst::default();
    for case in problems().into_iter().map(Case::unsolved) {
        let samples = &case.samples;
        let v: Vec<f64> = (0..samples.len())
            .flat_map(|s| numbers(case.problem.objective.storage(), 0.5 + s as f64))
            .collect();
        for (name, step) in steps(case.problem.kind) {
            let settings = few(step, 3, Backward::Unrolled);
            let solution = case.solve(samples, &settings);
            let gradients = case.gradients(samples, &solution, &v, &Backward::Unrolled);
            let storage = case.problem.objective.storage();
            for (s, sample) in samples.iter().enumerate() {
                let place = case.place(s, &name);
                let v = &v[s * storage..(s + 1) * storage];
                // As many as were run: a gradient of exactly zero ends them.
                let settings = few(step, solution.history[s].len(), Backward::Unrolled);
                let [mut expected] = by_theta(&case.problem, sample, &settings, NARROW, [v]);
                expected.extend(by_start(&case.problem, sample, &settings, v));
                let mut got = case.auxiliaries(&gradients, s).to_vec();
                let start = &gradients.start[s * storage..(s + 1) * storage];
                let directions = case.problem.directions(&sample.start);
                got.extend(directions.iter().map(|direction| dot(start, direction)));
                worst.see(case.rule(), error(&got, &expected), LIMIT, &place);
                let quality = gradients.quality[s];
                worst.require(quality == whole(&case), || {
                    format!("{quality:?}: {}", place())
                });
            }
        }
    }
    worst.finish("unrolled");
}

#[test]
fn truncated_iterations_of_every_problem() {
    const ITERATIONS: usize = 4;
    let mut worst = Worst::default();
    for case in problems().into_iter().map(Case::unsolved) {
        let samples = &case.samples;
        let storage = case.problem.objective.storage();
        let v: Vec<f64> = (0..samples.len())
            .flat_map(|s| numbers(storage, 0.5 + s as f64))
            .collect();
        for (name, step) in steps(case.problem.kind) {
            // Of one solve that recorded as many as are asked for, or more.
            let settings = few(step, ITERATIONS, Backward::Truncated { iterations: 3 });
            let solution = case.solve(samples, &settings);
            let counts = if name == "spherical" { 1..=3 } else { 2..=2 };
            for iterations in counts {
                let backward = Backward::Truncated { iterations };
                let gradients = case.gradients(samples, &solution, &v, &backward);
                for (s, sample) in samples.iter().enumerate() {
                    let by = (name, iterations);
                    let place = case.place(s, &by);
                    let history = &solution.history[s];
                    let taken: Vec<usize> = (0..history.len())
                        .filter(|i| history[*i].accepted)
                        .collect();
                    let iterates = case.problem.iterates(sample, &settings);
                    // Without a region the best iterate may be an earlier one.
                    if taken.len() <= iterations || iterates.last().unwrap() != solution.sample(s) {
                        continue;
                    }
                    // The last steps are a map of θ, from the iterate before them as it is.
                    let first = taken[taken.len() - iterations];
                    let from = Sample {
                        start: iterates[first - 1].clone(),
                        theta: sample.theta.clone(),
                    };
                    // Without rejections at the end, which elsewhere may be further steps.
                    let rest = few(
                        going_on(step, history[first].damping),
                        taken[taken.len() - 1] + 1 - first,
                        backward,
                    );
                    let end = case.problem.solved(&from, &rest);
                    let moved: Vec<f64> = end
                        .iter()
                        .zip(solution.sample(s))
                        .map(|(a, b)| a - b)
                        .collect();
                    // Rounding over the least damping, 1e-5, along null spaces.
                    worst.see("the same iterations", largest(&moved), 1e-10, &place);
                    let v = &v[s * storage..(s + 1) * storage];
                    let [expected] = by_theta(&case.problem, &from, &rest, NARROW, [v]);
                    let got = case.auxiliaries(&gradients, s);
                    worst.see(case.rule(), error(got, &expected), LIMIT, &place);
                    let start = &gradients.start[s * storage..(s + 1) * storage];
                    let quality = gradients.quality[s];
                    let says = quality == GradientQuality::Inexact && largest(start) == 0.0;
                    worst.require(says, || format!("{quality:?} {start:?}: {}", place()));
                }
            }
        }
    }
    let checks = worst.checks;
    worst.finish("truncated");
    assert!(checks > 2400, "{checks}");
}

/// ½(x − θ)² + ½c(y − 1)², solved to the usual tolerances: y's direction hardly counts, so that the solution
/// is off in it by more than ε moves x. Direct loss differentiates x in θ all the same.
#[test]
fn direct_loss_at_a_solution_that_is_off_where_it_hardly_counts() {
    use feasible_least_squares::{
        Builder, Difference, Inputs, Manifold, Numbers, Robust, Values, Weight,
    };
    for stiffness in [1e-2, 1e-3] {
        let mut builder = Builder::new();
        let x = builder.variable("x", Manifold::Vector(1)).unwrap();
        let y = builder.variable("y", Manifold::Vector(1)).unwrap();
        let theta = builder.auxiliary("theta", 1).unwrap();
        let difference = || Difference::new(Manifold::Vector(1), Numbers::Auxiliary(1));
        builder
            .cost(
                "x",
                difference(),
                &[x],
                &[theta],
                Weight::scale(1.0),
                Robust::None,
            )
            .unwrap();
        let fixed = Difference::new(Manifold::Vector(1), vec![1.0]);
        builder
            .cost(
                "y",
                fixed,
                &[y],
                &[],
                Weight::scale(stiffness),
                Robust::None,
            )
            .unwrap();
        let objective = builder.build().unwrap();
        // Off by 1e-2 in y, where the gradient is c · 1e-2.
        let start = [0.3, 1.01];
        let inputs = Inputs::new(&objective, 1)
            .start(x, Values::Shared(&start[..1]))
            .start(y, Values::Shared(&start[1..]))
            .auxiliary(theta, Values::Shared(&[0.3]));
        let epsilon = 1e-2;
        let settings = Settings {
            backward: Backward::DirectLoss { epsilon },
            stopping: Stopping {
                gradient: 1e-3,
                ..Stopping::default()
            },
            ..Settings::default()
        };
        let solution = objective.solve(&inputs, &settings).unwrap();
        assert_eq!(solution.x, start, "it stops at once");
        let gradients = objective.vjp(&inputs, &solution, &[1.0, 0.0]).unwrap();
        assert_eq!(gradients.quality, [GradientQuality::Inexact]);
        assert!(
            (gradients.auxiliaries[0] - 1.0).abs() < 1e-6,
            "{gradients:?}"
        );
    }
}
