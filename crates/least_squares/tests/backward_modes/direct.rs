//! By direct loss minimisation.

use super::*;

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
        // Large, so that its error is seen above rounding.
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
        // How far x moves, which is as far as the solution is off in y.
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
