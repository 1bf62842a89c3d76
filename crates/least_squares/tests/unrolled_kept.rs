//! What recorded steps keep of themselves changes no derivative, and is left alone where it does not belong.

use feasible_least_squares::{
    AutoCost, Backward, Builder, Control, Damping, GradientQuality, Inputs, LevenbergMarquardt,
    Linear, Manifold, Objective, Real, Residual, Robust, Settings, Shape, Solution, Step, Values,
    Weight,
};

/// Rows tanh(Σⱼ cᵢⱼ xⱼ) + 0.3 xᵢ² − θᵢ.
struct Bent {
    rows: usize,
    shift: usize,
}

impl Residual for Bent {
    fn rows(&self) -> usize {
        self.rows
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, theta) = (variables[0], auxiliaries[0]);
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = T::constant(0.1);
            for (j, x) in x.iter().enumerate() {
                sum += *x * (((i * 5 + j * 3 + self.shift) % 7) as f64 / 7.0 - 0.4);
            }
            let x = x[i % x.len()];
            *out = sum.tanh() + x * x * 0.3 - theta[i];
        }
    }
}

const BATCH: usize = 3;

/// One cost over all variables, or two with one of them each, so that the Jacobian is gathered.
struct Problem {
    objective: Objective,
    start: Vec<f64>,
    theta: Vec<f64>,
    m: usize,
}

impl Problem {
    fn new(n: usize, m: usize, parts: usize) -> Self {
        let mut builder = Builder::new();
        for part in 0..parts {
            let x = builder
                .variable(&format!("x{part}"), Manifold::Vector(n))
                .unwrap();
            let theta = builder.auxiliary(&format!("t{part}"), m).unwrap();
            let bent = AutoCost::new(Bent {
                rows: m,
                shift: part,
            });
            let (weight, robust) = (Weight::scale(1.3), Robust::Cauchy { scale: 2.0 });
            let name = format!("c{part}");
            builder
                .cost(&name, bent, &[x], &[theta], weight, robust)
                .unwrap();
        }
        let (n, m) = (n * parts, m * parts);
        let wave = |scale: f64, i: usize| scale * (1.0 + 2.3 * i as f64).sin();
        Self {
            objective: builder.build().unwrap(),
            start: (0..BATCH * n).map(|i| wave(0.8, i)).collect(),
            theta: (0..BATCH * m).map(|i| wave(0.5, i + 1)).collect(),
            m,
        }
    }

    /// Each number's values in every sample, variable after variable and auxiliary after auxiliary.
    fn inputs<'p>(&'p self, start: &'p [Vec<f64>], theta: &'p [Vec<f64>]) -> Inputs<'p> {
        let mut inputs = Inputs::new(&self.objective, BATCH);
        for (part, values) in start.iter().enumerate() {
            let id = self.objective.variable(&format!("x{part}")).unwrap();
            inputs = inputs.start(id, Values::PerSample(values));
        }
        for (part, values) in theta.iter().enumerate() {
            let id = self.objective.auxiliary(&format!("t{part}")).unwrap();
            inputs = inputs.auxiliary(id, Values::PerSample(values));
        }
        inputs
    }

    /// Values `[batch, all]` as one list for every part.
    fn split(values: &[f64], parts: usize) -> Vec<Vec<f64>> {
        let all = values.len() / BATCH;
        let part = all / parts;
        (0..parts)
            .map(|p| {
                let samples = values.chunks_exact(all);
                samples
                    .flat_map(|s| s[p * part..(p + 1) * part].to_vec())
                    .collect()
            })
            .collect()
    }
}

fn settings(linear: Linear, backward: Backward, shape: Shape, iterations: usize) -> Settings {
    let step = LevenbergMarquardt {
        damping: Damping::Fixed,
        // Enough for steps that are smooth over the differences below.
        initial: 1.0,
        shape,
        ..LevenbergMarquardt::default()
    };
    Settings {
        max_iterations: iterations,
        step: Step::LevenbergMarquardt(step),
        linear,
        backward,
        ..Settings::default()
    }
}

fn loss(solution: &Solution) -> f64 {
    let weighted = solution.x.iter().enumerate();
    weighted.map(|(i, x)| (1.0 + 0.1 * i as f64) * x * x).sum()
}

fn cotangent(solution: &Solution) -> Vec<f64> {
    let weighted = solution.x.iter().enumerate();
    weighted
        .map(|(i, x)| 2.0 * (1.0 + 0.1 * i as f64) * x)
        .collect()
}

#[test]
fn gradients_by_what_was_kept_are_those_of_the_iterations() {
    // Fewer rows than variables and more, one cost and two: every system that keeps a factor.
    for (n, m, parts) in [(6, 4, 1), (4, 6, 1), (4, 3, 2), (3, 5, 2)] {
        let problem = Problem::new(n, m, parts);
        for shape in [Shape::Spherical, Shape::Ellipsoidal { floor: 1e-3 }] {
            let kept = settings(Linear::DenseCholesky, Backward::Unrolled, shape, 4);
            let solve = |start: &[f64], theta: &[f64], settings: &Settings| {
                let start = Problem::split(start, parts);
                let theta = Problem::split(theta, parts);
                let inputs = problem.inputs(&start, &theta);
                let solution = problem.objective.solve(&inputs, settings).unwrap();
                let gradients = problem
                    .objective
                    .vjp(&inputs, &solution, &cotangent(&solution))
                    .unwrap();
                (loss(&solution), gradients)
            };
            let (_, gradients) = solve(&problem.start, &problem.theta, &kept);
            // QR keeps nothing.
            let again = settings(Linear::DenseQr, Backward::Unrolled, shape, 4);
            let (_, computed) = solve(&problem.start, &problem.theta, &again);
            assert_eq!(gradients.quality, [GradientQuality::Exact; BATCH]);
            for (which, numbers, got, other) in [
                (0, &problem.start, &gradients.start, &computed.start),
                (
                    1,
                    &problem.theta,
                    &gradients.auxiliaries,
                    &computed.auxiliaries,
                ),
            ] {
                for i in 0..numbers.len() {
                    let value = |by: f64| {
                        let mut both = [problem.start.clone(), problem.theta.clone()];
                        both[which][i] += by;
                        solve(&both[0], &both[1], &kept).0
                    };
                    let h = 1e-3;
                    let slope = (8.0 * (value(h) - value(-h)) - (value(2.0 * h) - value(-2.0 * h)))
                        / (12.0 * h);
                    let place = format!("{n} {m} {parts} {shape:?}, input {which}, number {i}");
                    // Systems of condition 1e3 at most, solved in two ways.
                    assert!((got[i] - other[i]).abs() < 1e-10, "{place}: {}", other[i]);
                    // Differences of fourth order with steps of 1e-3 of what four steps make smooth.
                    assert!((got[i] - slope).abs() < 1e-7, "{place}: {} {slope}", got[i]);
                }
            }
        }
    }
}

#[test]
fn more_steps_than_can_be_kept_are_computed_again() {
    // 40 × 30 numbers and more a step, of which six fit in 64 KiB.
    let problem = Problem::new(40, 30, 1);
    let (start, theta) = (vec![problem.start.clone()], vec![problem.theta.clone()]);
    let inputs = problem.inputs(&start, &theta);
    let derivative = |linear: Linear, backward: Backward| {
        let settings = settings(linear, backward, Shape::Spherical, 12);
        let solution = problem.objective.solve(&inputs, &settings).unwrap();
        assert!(solution.history.iter().all(|h| h.len() == 12));
        let cotangent = cotangent(&solution);
        let gradients = problem.objective.vjp(&inputs, &solution, &cotangent);
        gradients.unwrap()
    };
    for backward in [Backward::Unrolled, Backward::Truncated { iterations: 3 }] {
        let mixed = derivative(Linear::DenseCholesky, backward);
        let computed = derivative(Linear::DenseQr, backward);
        let largest = computed
            .auxiliaries
            .iter()
            .fold(0.0_f64, |l, v| l.max(v.abs()));
        assert!(largest > 1e-3);
        for (got, expected) in mixed.auxiliaries.iter().zip(&computed.auxiliaries) {
            assert!((got - expected).abs() < 1e-9 * largest);
        }
        for (got, expected) in mixed.start.iter().zip(&computed.start) {
            assert!((got - expected).abs() < 1e-9 * largest);
        }
    }
}

#[test]
fn what_was_kept_is_not_used_for_other_auxiliaries() {
    let problem = Problem::new(6, 4, 1);
    let (start, theta) = (vec![problem.start.clone()], vec![problem.theta.clone()]);
    let inputs = problem.inputs(&start, &theta);
    // Only the second sample's are others.
    let mut changed = theta.clone();
    changed[0][problem.m + 1] += 0.4;
    let others = problem.inputs(&start, &changed);
    let derivative = |linear: Linear, at: &Inputs<'_>| {
        let settings = settings(linear, Backward::Unrolled, Shape::Spherical, 4);
        let solution = problem.objective.solve(&inputs, &settings).unwrap();
        let cotangent = cotangent(&solution);
        let gradients = problem.objective.vjp(at, &solution, &cotangent);
        gradients.unwrap().auxiliaries
    };
    let same = derivative(Linear::DenseCholesky, &inputs);
    let other = derivative(Linear::DenseCholesky, &others);
    let expected = derivative(Linear::DenseQr, &others);
    for (i, (got, expected)) in other.iter().zip(&expected).enumerate() {
        assert!((got - expected).abs() < 1e-10, "number {i}");
    }
    let second = problem.m..2 * problem.m;
    assert!((0..BATCH * problem.m).all(|i| second.contains(&i) || same[i] == other[i]));
    assert!(second.clone().any(|i| (same[i] - other[i]).abs() > 1e-3));
}

/// Rows x − θ, and NaN where θ is large.
struct Fragile;

impl Residual for Fragile {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, theta) = (variables[0], auxiliaries[0]);
        for (i, out) in out.iter_mut().enumerate() {
            // The root of a negative number where θ is above 10.
            *out = x[i] * x[2] - theta[i] + (T::constant(10.0) - theta[i]).sqrt() * 0.1;
        }
    }
}

#[test]
fn a_sample_that_is_not_a_number_spoils_no_other() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(3)).unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    let fragile = AutoCost::new(Fragile);
    builder
        .cost("c", fragile, &[x], &[theta], Weight::Identity, Robust::None)
        .unwrap();
    let objective = builder.build().unwrap();
    let settings = settings(Linear::Auto, Backward::Unrolled, Shape::Spherical, 4);
    let derivative = |thetas: &[f64]| {
        let inputs = Inputs::new(&objective, thetas.len() / 2)
            .start(x, Values::Shared(&[0.5, 0.4, 1.1]))
            .auxiliary(theta, Values::PerSample(thetas));
        let solution = objective.solve(&inputs, &settings).unwrap();
        let cotangent = vec![1.0; solution.x.len()];
        objective.vjp(&inputs, &solution, &cotangent).unwrap()
    };
    let whole = derivative(&[1.0, 2.0, 11.0, 0.3, 0.7, -1.0]);
    assert_eq!(whole.auxiliaries[2..4], [0.0, 0.0]);
    // Not even the start, which it is returned as, has a gradient: nothing was run.
    assert_eq!(whole.start[3..6], [0.0; 3]);
    assert_eq!(whole.quality[1], GradientQuality::Unavailable);
    for (sample, thetas) in [(0, [1.0, 2.0]), (2, [0.7, -1.0])] {
        let alone = derivative(&thetas);
        assert_eq!(whole.quality[sample], GradientQuality::Exact);
        assert_eq!(alone.auxiliaries, whole.auxiliaries[sample * 2..][..2]);
        assert_eq!(alone.start, whole.start[sample * 3..][..3]);
    }
}

/// One row, ln x − θ.
struct Logarithm;

impl Residual for Logarithm {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        out[0] = variables[0][0].ln() - auxiliaries[0][0];
    }
}

/// From ln x₀ = 2.4 Gauss-Newton's step −x₀(ln x₀ − θ) leaves the logarithm's domain, and so does half of it: a quarter
/// is taken, x₁ = x₀ − ¼x₀(ln x₀ − θ).
#[test]
fn a_step_that_was_shortened_has_the_derivative_of_what_was_taken() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    builder
        .cost(
            "row",
            AutoCost::new(Logarithm),
            &[x],
            &[theta],
            Weight::Identity,
            Robust::None,
        )
        .unwrap();
    let objective = builder.build().unwrap();
    let start = 2.4f64.exp();
    let inputs = Inputs::new(&objective, 1)
        .start(x, Values::Shared(std::slice::from_ref(&start)))
        .auxiliary(theta, Values::Shared(&[0.0]));
    let settings = Settings {
        step: Step::GaussNewton,
        max_iterations: 1,
        backward: Backward::Unrolled,
        ..Settings::default()
    };
    // With a callback nothing is kept, and the step is computed again.
    let solutions = [
        objective.solve(&inputs, &settings).unwrap(),
        objective
            .solve_with(&inputs, &settings, &|_| Control::Continue)
            .unwrap(),
    ];
    for solution in solutions {
        assert!((solution.x[0] / (0.4 * start) - 1.0).abs() < 1e-14);
        let gradients = objective.vjp(&inputs, &solution, &[1.0]).unwrap();
        assert_eq!(gradients.quality, [GradientQuality::Exact]);
        // 1 − ¼(ln x₀ − θ) − ¼, and ¼x₀.
        assert!((gradients.start[0] - 0.15).abs() < 1e-14);
        assert!((gradients.auxiliaries[0] / (0.25 * start) - 1.0).abs() < 1e-14);
    }
}
