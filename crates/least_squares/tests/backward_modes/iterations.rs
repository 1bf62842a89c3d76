//! Through the iterations, all or the last.

use super::*;

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
