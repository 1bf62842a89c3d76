//! What cannot be: objectives, inputs and settings that are refused, each error naming what it is about.

mod common;

use common::{Pull, plain};
use feasible_least_squares::{
    AutoCost, Builder, Damping, Difference, Dogleg, Error, Inputs, LevenbergMarquardt, Linear,
    Manifold, Numbers, Robust, Settings, Shape, Step, Stopping, Values, VariableId, Weight,
};

#[test]
fn mistakes_are_named() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let theta = builder.auxiliary("theta", 3).unwrap();
    let pull = || AutoCost::new(Pull(2));
    let text = |error: Error| error.to_string();
    assert_eq!(
        text(builder.variable("x", Manifold::Vector(1)).unwrap_err()),
        "there is a variable `x` already; names must be unique"
    );
    assert!(builder.variable("y", Manifold::Vector(0)).is_err());
    assert!(
        builder
            .variable("y", Manifold::bounded([1.0], [0.0]))
            .is_err()
    );
    assert!(
        builder
            .variable("y", Manifold::bounded([f64::NAN], [0.0]))
            .is_err()
    );
    assert!(
        builder
            .variable("y", Manifold::bounded([0.0], [1.0, 2.0]))
            .is_err()
    );
    assert!(builder.auxiliary("theta", 1).is_err());
    assert!(builder.auxiliary("empty", 0).is_err());
    let mut add = |variables: &[VariableId], weight, robust| {
        builder
            .cost("c", pull(), variables, &[theta], weight, robust)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        add(&[], Weight::Identity, Robust::None),
        "cost `c` has no variables"
    );
    assert_eq!(
        add(&[x, x], Weight::Identity, Robust::None),
        "cost `c` names variable `x` twice"
    );
    assert_eq!(
        add(&[x], Weight::diagonal([1.0]), Robust::None),
        "cost `c` has a weight of 1 numbers but needs 2"
    );
    assert_eq!(
        add(&[x], Weight::scale(f64::NAN), Robust::None),
        "cost `c` has NaN in its weight"
    );
    assert_eq!(
        add(&[x], Weight::diagonal(theta), Robust::None),
        "cost `c` has the weight `theta` of 3 numbers but needs 2"
    );
    assert!(add(&[x], Weight::Identity, Robust::Huber { scale: 0.0 }).contains("robust loss"));
    let mut other = Builder::new();
    let foreign = other.variable("x", Manifold::Vector(2)).unwrap();
    assert!(add(&[foreign], Weight::Identity, Robust::None).contains("not of this objective"));
    let sized = |cost: Difference, builder: &mut Builder| {
        builder
            .cost("c", cost, &[x], &[], Weight::Identity, Robust::None)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        sized(Difference::new(Manifold::Vector(3), [0.0; 3]), &mut builder),
        "cost `c` has a variable of 2 numbers but needs 3"
    );
    assert_eq!(
        sized(
            Difference::new(Manifold::Vector(2), [0.0, f64::NAN]),
            &mut builder
        ),
        "cost `c` has NaN in the target"
    );
    assert_eq!(
        sized(
            Difference::new(Manifold::Vector(2), Numbers::Auxiliary(2)),
            &mut builder
        ),
        "cost `c` has no auxiliary for the target"
    );
    assert!(sized(Difference::new(Manifold::So2, [1.0, 0.0]), &mut builder).contains("not on So2"));
    assert_eq!(Builder::new().build().unwrap_err(), Error::NoVariables);
    assert_eq!(other.build().unwrap_err(), Error::NoCosts);
    builder.variable("lonely", Manifold::So3).unwrap();
    plain(&mut builder, "c", pull(), &[x], &[theta]);
    assert!(
        builder
            .build()
            .unwrap_err()
            .to_string()
            .contains("`lonely` is in no cost")
    );
}

#[test]
fn bad_inputs_are_named() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let q = builder.variable("q", Manifold::So3).unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    plain(&mut builder, "c", AutoCost::new(Pull(2)), &[x], &[theta]);
    plain(
        &mut builder,
        "d",
        Difference::new(Manifold::So3, [1.0, 0.0, 0.0, 0.0]),
        &[q],
        &[],
    );
    let objective = builder.build().unwrap();
    let unit = [1.0, 0.0, 0.0, 0.0];
    let solve = |start: Values<'_>, rotation: &[f64], numbers: Values<'_>| {
        let inputs = Inputs::new(&objective, 2)
            .start(x, start)
            .start(q, Values::Shared(rotation))
            .auxiliary(theta, numbers);
        objective.solve(&inputs, &Settings::default())
    };
    let two = Values::Shared(&[0.0, 0.0]);
    assert!(solve(two, &unit, two).is_ok());
    let text = |result: Result<_, Error>| result.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        text(solve(Values::PerSample(&[0.0; 3]), &unit, two)),
        "`x` holds 3 numbers but must hold 4 ([batch, len])"
    );
    assert_eq!(
        text(solve(
            Values::PerSample(&[0.0, 0.0, 0.0, f64::NAN]),
            &unit,
            two
        )),
        "`x` is NaN at entry 1 of sample 1"
    );
    assert_eq!(
        text(solve(two, &unit, Values::Shared(&[f64::INFINITY, 0.0]))),
        "`theta` is inf at entry 0 of the shared numbers"
    );
    assert!(text(solve(two, &[0.5, 0.0, 0.0, 0.0], two)).contains("length 0.5, which must be 1"));
    let missing = Inputs::new(&objective, 1).start(x, two);
    assert!(text(objective.solve(&missing, &Settings::default())).contains("`q` has no numbers"));
    let inputs = Inputs::new(&objective, 1)
        .start(x, two)
        .start(q, Values::Shared(&unit))
        .auxiliary(theta, two);
    let solution = objective.solve(&inputs, &Settings::default()).unwrap();
    let refused = objective.vjp(&inputs, &solution, &[0.0; 2]).unwrap_err();
    assert!(refused.to_string().contains("cotangent"));
    let backward = feasible_least_squares::Backward::Unrolled;
    assert!(matches!(
        objective.vjp_by(&inputs, &solution, &[0.0; 6], &backward),
        Err(Error::NotRecorded { .. })
    ));
    // As many samples as no memory holds, from shared numbers and not.
    for start in [two, Values::PerSample(&[0.0, 0.0])] {
        let many = Inputs::new(&objective, usize::MAX / 2)
            .start(x, start)
            .start(q, Values::Shared(&unit))
            .auxiliary(theta, two);
        let refused = text(objective.solve(&many, &Settings::default()));
        let sized = matches!(start, Values::PerSample(_));
        assert!(
            refused.contains(if sized { "`x` holds 2" } else { "`batch`" }),
            "{refused}"
        );
    }
    // No samples, no work.
    let none = Inputs::new(&objective, 0)
        .start(x, two)
        .start(q, Values::Shared(&unit))
        .auxiliary(theta, two);
    assert!(
        objective
            .solve(&none, &Settings::default())
            .unwrap()
            .x
            .is_empty()
    );
}

#[test]
fn settings_out_of_range_are_named() {
    let lm = LevenbergMarquardt::default();
    let named = |settings: Settings| match settings.validate() {
        Err(Error::Setting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let base = Settings::default();
    base.validate().unwrap();
    let step = |lm| Settings {
        step: Step::LevenbergMarquardt(lm),
        ..base
    };
    for (settings, setting) in [
        (
            Settings {
                max_iterations: 0,
                ..base
            },
            "max_iterations",
        ),
        (
            Settings {
                stopping: Stopping {
                    gradient: f64::NAN,
                    ..base.stopping
                },
                ..base
            },
            "stopping.gradient",
        ),
        (
            step(LevenbergMarquardt { initial: 0.0, ..lm }),
            "step.initial",
        ),
        (step(LevenbergMarquardt { min: 0.0, ..lm }), "step.min"),
        (
            step(LevenbergMarquardt {
                max: f64::INFINITY,
                ..lm
            }),
            "step.max",
        ),
        (
            step(LevenbergMarquardt {
                shape: Shape::Ellipsoidal { floor: -1.0 },
                ..lm
            }),
            "step.shape.floor",
        ),
        (
            step(LevenbergMarquardt {
                damping: Damping::Factors {
                    down: 1.0,
                    up: 2.0,
                    accept: 0.0,
                },
                ..lm
            }),
            "step.damping.down",
        ),
        (
            Settings {
                step: Step::Dogleg(Dogleg {
                    radius: -1.0,
                    ..Dogleg::default()
                }),
                ..base
            },
            "step.radius",
        ),
        (
            Settings {
                linear: Linear::ConjugateGradient {
                    tolerance: 2.0,
                    max_iterations: 5,
                },
                ..base
            },
            "linear.tolerance",
        ),
        (
            Settings {
                backward: feasible_least_squares::Backward::Truncated { iterations: 0 },
                ..base
            },
            "backward.iterations",
        ),
        (
            Settings {
                backward: feasible_least_squares::Backward::DirectLoss { epsilon: 0.0 },
                ..base
            },
            "backward.epsilon",
        ),
    ] {
        assert_eq!(named(settings), setting);
    }
}

#[test]
fn a_solution_that_was_made_longer_is_refused() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    plain(&mut builder, "c", AutoCost::new(Pull(1)), &[x], &[theta]);
    let objective = builder.build().unwrap();
    let inputs = |batch| {
        Inputs::new(&objective, batch)
            .start(x, Values::Shared(&[0.0]))
            .auxiliary(theta, Values::Shared(&[2.0]))
    };
    let settings = Settings::default();
    let mut solution = objective.solve(&inputs(1), &settings).unwrap();
    solution.x.push(2.0);
    solution.status.push(solution.status[0]);
    let refused = objective.vjp(&inputs(2), &solution, &[1.0; 2]);
    assert_eq!(
        refused.unwrap_err(),
        Error::ForeignSolution {
            what: "samples solved",
            got: 1,
            expected: 2
        }
    );
}
