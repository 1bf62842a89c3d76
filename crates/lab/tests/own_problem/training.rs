//! What training reaches, and each of its steps.

use burn::tensor::{DType, Tensor};
use feasible_core::host;
use feasible_data::Part;
use feasible_lab::{MethodConfig, MethodKind, OptimizerConfig, OptimizerKind, Trainer};

use crate::{config, task, train};

/// A linear network with a projection after it can represent the solution: raw = (x, −x) does. The
/// gap can close, and only to zero.
#[test]
fn a_projection_reaches_the_closed_form_optimum() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    for kind in [
        MethodKind::Projection,
        MethodKind::SnareNet(feasible_lab::SnareNetSettings::default()),
    ] {
        let found = train(
            &config(MethodConfig::new(kind.clone()), 150),
            &task,
            &references,
        );
        // 600 steps of Adam at 0.02 settle to about a hundredth of the optimum, squared.
        let gap = found.of("gap_max");
        assert!((-1e-7..1e-3).contains(&gap), "{kind:?}: {gap}");
        let violation = found.of("violation_max");
        assert!(violation < 1e-6, "{kind:?}: {violation}");
    }
}

/// With r = y₁ + y₂ − 1 and the inequality inactive, min ½‖y − (x, −x)‖² + 10 r² has r = −1/41 and
/// objective 400/41² where the constrained optimum has ¼: the squared penalty is never exact.
#[test]
fn a_soft_penalty_leaves_a_violation_and_beats_the_constrained_optimum() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let found = train(
        &config(MethodConfig::new(MethodKind::Soft), 600),
        &task,
        &references,
    );
    // A linear network cannot bend where the inequality begins to act, so the closed form holds
    // for most samples only; the largest violation is at least its.
    assert!(found.of("violation_max") > 1.0 / 41.0);
    assert!(found.of("gap_mean") < 0.0);
    assert_eq!(found.of("feasible_1e-4"), 0.0);
}

/// Central differences of the summed loss against the step that plain gradient descent takes:
/// θ' − θ = −rate · gradient.
#[test]
fn a_step_follows_the_gradient_of_the_summed_loss() {
    use burn::module::{Module, ModuleVisitor, Param};
    use feasible_core::{PenaltyForm, SoftPenalty};
    use feasible_nn::Mlp;

    #[derive(Default)]
    struct Numbers(Vec<f64>);
    impl ModuleVisitor for Numbers {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0
                .extend(host::read("parameter", &param.val()).unwrap());
        }
    }
    let numbers = |network: &Mlp| {
        let mut numbers = Numbers::default();
        network.visit(&mut numbers);
        numbers.0
    };

    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let rate = 1e-3;
    for kind in [
        MethodKind::Soft,
        MethodKind::Projection,
        MethodKind::SnareNet(feasible_lab::SnareNetSettings {
            tolerance: 1e-12,
            ..Default::default()
        }),
    ] {
        let mut config = config(MethodConfig::new(kind.clone()), 1);
        config.training.optimizer = OptimizerConfig {
            kind: OptimizerKind::Sgd { momentum: 0.0 },
            learning_rate: rate,
        };
        let mut trainer = Trainer::new(&config, &task, &references).unwrap();
        let before = numbers(trainer.network());
        let samples: Vec<usize> = (0..16).map(|i| 4 * i).collect();
        trainer.step(&samples).unwrap().unwrap();
        let after = numbers(trainer.network());

        // Order of the parameters: weight [1, 2], then bias [2].
        let method = feasible_lab::Method::new(&config.method).unwrap();
        let loss = |theta: &[f64]| {
            let problem = task.evaluation();
            let all = task.inputs(Part::Train);
            let rows = host::read("x", &all).unwrap();
            let x: Vec<f64> = samples.iter().map(|&i| rows[i]).collect();
            let raw = x
                .iter()
                .flat_map(|x| [theta[0] * x + theta[2], theta[1] * x + theta[3]])
                .collect();
            let x = host::write(x, [16, 1], task.device(), DType::F64);
            let raw = host::write(raw, [16, 2], task.device(), DType::F64);
            let constraints = problem.constraints(x.clone()).unwrap();
            let y = method.apply(raw, constraints.as_ref(), None).unwrap().y;
            let penalty = SoftPenalty {
                upper_weight: 10.0,
                lower_weight: 10.0,
                form: PenaltyForm::Squared,
            };
            let total = problem.objective(x, y.clone())
                + penalty.components(constraints.as_ref(), y).total();
            host::read("loss", &total).unwrap().iter().sum::<f64>()
        };
        for index in 0..4 {
            let h = 1e-5;
            let at = |shift: f64| {
                let mut theta = before.clone();
                theta[index] += shift;
                loss(&theta)
            };
            let slope = (at(h) - at(-h)) / (2.0 * h);
            let step = (before[index] - after[index]) / rate;
            // Differences lose about 1e-16 · |loss| / h = 1e-9 to rounding; kinks are not crossed.
            assert!(
                (slope - step).abs() < 1e-6 * (1.0 + slope.abs()),
                "{kind:?} {index}: {slope} {step}"
            );
        }
    }
}
