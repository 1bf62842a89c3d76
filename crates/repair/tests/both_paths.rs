//! Constant rows take the host's path, rows that need gradients the general one. What a sample does
//! there, also where it breaks down, is the same.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use burn::tensor::Tensor;
use feasible_core::{Block, Bounds, Curvature, Quadratic};
use feasible_repair::{
    Gradient, GradientQuality, Repaired, RowPolicy, RowWeights, SnareNet, SnareNetSettings, Status,
    Stopping,
};
use support::{normal, numbers, rng, tensor};

const INF: f64 = f64::INFINITY;

/// Rows diag(h)-quadratic in `n` variables, shared by the batch, and one box for it.
struct Case {
    n: usize,
    h: Option<Vec<f64>>,
    a: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    y0: Vec<f64>,
}

/// Its repair with the gradients of Σ y with respect to y₀, l and u.
struct Outcome {
    repaired: Repaired,
    y: Vec<f64>,
    gradients: [Vec<f64>; 3],
}

impl Case {
    fn repair(&self, settings: SnareNetSettings, tracked_rows: bool) -> Outcome {
        let (n, m) = (self.n, self.upper.len());
        let rows = |values: &[f64]| tensor::<3>(values.to_vec(), [1, m, n]);
        let linear = rows(&self.a);
        let linear = if tracked_rows {
            linear.require_grad()
        } else {
            linear
        };
        let curvature = match &self.h {
            None => Curvature::None,
            Some(h) => Curvature::Diagonal(rows(h)),
        };
        let side = |values: &[f64]| tensor::<2>(values.to_vec(), [1, m]).require_grad();
        let leaves: [Tensor<2>; 3] = [
            tensor(self.y0.clone(), [self.y0.len() / n, n]).require_grad(),
            side(&self.lower),
            side(&self.upper),
        ];
        let bounds = Bounds::per_sample(leaves[1].clone(), leaves[2].clone()).unwrap();
        let g = Quadratic::from_block(Block::new(linear, curvature).unwrap(), bounds).unwrap();
        let repaired = SnareNet::new(settings)
            .unwrap()
            .forward(leaves[0].clone(), &g, None)
            .unwrap();
        let gradients = repaired.y.clone().sum().backward();
        let gradient = |leaf: Tensor<2>| {
            let none = vec![0.0; leaf.shape().num_elements()];
            leaf.grad(&gradients).map_or(none, |g| numbers(&g))
        };
        Outcome {
            y: numbers(&repaired.y),
            gradients: leaves.map(gradient),
            repaired,
        }
    }

    /// The host's outcome, after comparing it with the general path's.
    fn on_both(&self, name: &str, settings: SnareNetSettings) -> Outcome {
        let [host, general] = [false, true].map(|tracked| self.repair(settings, tracked));
        let name = format!(
            "{name}, {:?}, {:?}, {:?}",
            settings.rows, settings.stopping, settings.weights
        );
        assert_eq!(host.repaired.status, general.repaired.status, "{name}");
        assert_eq!(
            host.repaired.iterations, general.repaired.iterations,
            "{name}"
        );
        let close = |what: &str, a: &[f64], b: &[f64]| {
            assert_eq!(a.len(), b.len(), "{name}, {what}");
            for (a, b) in a.iter().zip(b) {
                // Well conditioned rows and few steps; gradients of a few units.
                let same = a == b
                    || (a.is_nan() && b.is_nan())
                    || (a - b).abs() <= 1e-12 * b.abs().max(1.0);
                assert!(same, "{name}, {what}: {a} on the host, {b} in general");
            }
        };
        close("y", &host.y, &general.y);
        close(
            "residual",
            &host.repaired.residual,
            &general.repaired.residual,
        );
        for (what, (host, general)) in ["y0", "l", "u"]
            .iter()
            .zip(host.gradients.iter().zip(&general.gradients))
        {
            close(&format!("gradient of {what}"), host, general);
        }
        host
    }
}

fn every(damping: f64) -> impl Iterator<Item = SnareNetSettings> {
    let policies = [RowPolicy::All, RowPolicy::Violated];
    let weighted = move |rows, stopping| {
        [RowWeights::Uniform, RowWeights::InverseNorms].map(|weights| SnareNetSettings {
            damping,
            rows,
            stopping,
            weights,
            ..SnareNetSettings::default()
        })
    };
    policies.into_iter().flat_map(move |rows| {
        [Stopping::PerSample, Stopping::WholeBatch]
            .into_iter()
            .flat_map(move |stopping| weighted(rows, stopping))
    })
}

/// Three rows of which all samples can be repaired, and whether they are curved.
fn affine_and_curved() -> [(bool, Case); 2] {
    let mut rng = rng(3);
    let mut draw = |count: usize, scale: f64| -> Vec<f64> {
        normal(&mut rng, count).iter().map(|v| scale * v).collect()
    };
    [false, true].map(|curved| {
        let case = Case {
            n: 5,
            h: curved.then(|| draw(3 * 5, 0.1).iter().map(|v| v.abs()).collect()),
            a: draw(3 * 5, 1.0),
            lower: vec![-INF, -0.1, 0.2],
            upper: vec![0.3, 0.4, 0.2],
            y0: draw(6 * 5, 1.0),
        };
        (curved, case)
    })
}

/// The implicit gradient's report too; and against the step-by-step path, with a trust region that no
/// step reaches.
#[test]
fn implicit_gradients() {
    for (curved, case) in affine_and_curved() {
        for damping in [1e-2, 0.0] {
            for settings in every(damping) {
                let implicit = SnareNetSettings {
                    gradient: Gradient::Implicit,
                    ..settings
                };
                let name = format!("curved {curved}, damping {damping}");
                let outcome = case.on_both(&name, implicit);
                let wide = SnareNetSettings {
                    trust_region: Some(1e6),
                    ..implicit
                };
                let general = case.repair(implicit, true);
                let stepwise = case.repair(wide, true);
                let unrolled = case.repair(settings, false);
                assert_eq!(outcome.y, unrolled.y, "{name}: the gradient alone differs");
                let reports = |outcome: &Outcome| outcome.repaired.gradient.clone().unwrap();
                assert!(unrolled.repaired.gradient.is_none());
                // Undamped, the step-by-step path has rows that take no part as zeros: singular.
                let others = match damping > 0.0 {
                    true => vec![&general, &stepwise],
                    false => vec![&general],
                };
                for (host, other) in others
                    .iter()
                    .flat_map(|other| reports(&outcome).into_iter().zip(reports(other)))
                {
                    assert_eq!(host.quality, other.quality, "{name}");
                    assert!((host.deviation - other.deviation).abs() < 1e-10, "{name}");
                }
                let last = others[others.len() - 1];
                for (a, b) in outcome.gradients.iter().zip(&last.gradients) {
                    for (a, b) in a.iter().zip(b) {
                        // LU against Cholesky, and conjugate gradients to 1e-13.
                        assert!((a - b).abs() < 1e-10, "{name}: {a} {b}");
                    }
                }
                let exact =
                    |q: &feasible_repair::GradientReport| q.quality == GradientQuality::Exact;
                let moved = outcome.repaired.iterations.iter().any(|k| *k > 0);
                assert!(moved);
                // Whatever the deviation, and the samples that were feasible.
                let of_moved = reports(&outcome)
                    .into_iter()
                    .zip(&outcome.repaired.iterations);
                let exact = of_moved.filter(|(q, k)| **k > 0 && exact(q)).count();
                assert_eq!(exact > 0, !curved, "{name}");
            }
        }
    }
}

#[test]
fn samples_that_converge() {
    for (curved, case) in affine_and_curved() {
        for damping in [1e-2, 0.0] {
            for settings in every(damping) {
                let outcome =
                    case.on_both(&format!("curved {curved}, damping {damping}"), settings);
                assert!(outcome.repaired.status.iter().all(|s| s.is_converged()));
            }
        }
    }
}

#[test]
fn undamped_steps_with_more_rows_than_variables() {
    // |y_i| ≤ 1 in rows ±y_i: with all rows in J half of the way in every step, with the violated
    // one alone all of it.
    let case = Case {
        n: 2,
        h: None,
        a: vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0],
        lower: vec![-INF; 4],
        upper: vec![1.0; 4],
        y0: vec![3.0, 0.5],
    };
    for settings in every(0.0) {
        let outcome = case.on_both("least squares", settings);
        // Half of the way: step and residual are 2·2⁻²⁸ after 28 steps, the first below 1e-8.
        let expected = match settings.rows {
            RowPolicy::All => (Status::ConvergedByStep, 28),
            RowPolicy::Violated => (Status::ConvergedByResidual, 1),
        };
        let Repaired {
            status, iterations, ..
        } = outcome.repaired;
        assert_eq!((status[0], iterations[0]), expected);
    }
}

#[test]
fn the_last_step_allowed_may_be_the_one_that_converges() {
    let case = Case {
        n: 2,
        h: None,
        a: vec![1.0, 1.0],
        lower: vec![1.0],
        upper: vec![1.0],
        y0: vec![3.0, 0.5, 0.0, 0.0],
    };
    for settings in every(0.0) {
        let settings = SnareNetSettings {
            max_iterations: 1,
            ..settings
        };
        let outcome = case.on_both("one step", settings);
        assert_eq!(outcome.repaired.status, [Status::ConvergedByResidual; 2]);
    }
}

#[test]
fn a_sample_that_becomes_singular_keeps_the_gradient_of_its_steps() {
    // y² = −1 from y = 1: one undamped step to 0, where J vanishes. y₁ = (y₀ + u/y₀)/2.
    let case = Case {
        n: 1,
        h: Some(vec![1.0]),
        a: vec![0.0],
        lower: vec![-1.0],
        upper: vec![-1.0],
        y0: vec![1.0],
    };
    for settings in every(0.0) {
        let outcome = case.on_both("singular", settings);
        assert_eq!(outcome.repaired.status, [Status::Singular]);
        assert_eq!((outcome.repaired.iterations[0], outcome.y[0]), (1, 0.0));
        let [y0, lower, upper] = &outcome.gradients;
        assert_eq!((y0[0], lower[0] + upper[0]), (1.0, 0.5));
    }
}

#[test]
fn a_row_that_depends_on_another() {
    // y₁ + y₂ = 0 and y₁ + y₂ ≤ 0.5, undamped, from where both are violated; and damped.
    let case = Case {
        n: 2,
        h: None,
        a: vec![1.0; 4],
        lower: vec![0.0, -INF],
        upper: vec![0.0, 0.5],
        y0: vec![1.0, 1.0],
    };
    for damping in [0.0, 1e-2] {
        for settings in every(damping) {
            let outcome = case.on_both("dependent", settings);
            let status = outcome.repaired.status[0];
            let expected = damping > 0.0;
            assert!(status.is_converged() == expected && (status == Status::Singular) != expected);
        }
    }
}

#[test]
fn a_step_to_where_nothing_is_finite_is_taken_back() {
    // 10¹⁰⁰ y² = 10¹²⁰ from y = 10⁻¹¹⁰: the step is 5·10¹²⁹ long, and 10¹⁰⁰ y² overflows there.
    let case = Case {
        n: 1,
        h: Some(vec![1e100]),
        a: vec![0.0],
        lower: vec![1e120],
        upper: vec![1e120],
        y0: vec![1e-110],
    };
    for max_iterations in [1, 50] {
        for settings in every(0.0) {
            let settings = SnareNetSettings {
                max_iterations,
                ..settings
            };
            let outcome = case.on_both("overflow", settings);
            assert_eq!(outcome.repaired.status, [Status::NonFinite]);
            assert_eq!(outcome.repaired.iterations, [0]);
            assert_eq!((outcome.y[0], outcome.gradients[0][0]), (1e-110, 1.0));
        }
    }
}

#[test]
fn a_sample_that_is_not_finite_at_its_start() {
    // y₁² − y₂² ≤ 1 is ∞ − ∞ in the last sample; the first is feasible, the second is not.
    let case = Case {
        n: 2,
        h: Some(vec![1.0, -1.0]),
        a: vec![0.0, 0.0],
        lower: vec![-INF],
        upper: vec![1.0],
        y0: vec![0.0, 0.0, 2.0, 0.5, 1e200, 1e200],
    };
    for settings in every(1e-2) {
        let outcome = case.on_both("not finite", settings);
        let status = &outcome.repaired.status;
        assert!(
            status[0].is_converged() && status[1].is_converged(),
            "{status:?}"
        );
        assert_eq!(status[2], Status::NonFinite);
        assert_eq!(outcome.repaired.iterations[2], 0);
        assert!(outcome.repaired.residual[2].is_nan());
        assert_eq!(outcome.y[4..], [1e200, 1e200]);
    }
}

#[test]
fn rows_of_different_size() {
    let case = Case {
        n: 2,
        h: None,
        a: vec![2e7, 0.0, 0.0, 1.0],
        lower: vec![1.0, 1.0],
        upper: vec![1.0, 1.0],
        y0: vec![0.0, 0.0],
    };
    for damping in [1e-2, 0.0] {
        for settings in every(damping) {
            let outcome = case.on_both("scales", settings);
            assert_eq!(outcome.repaired.status, [Status::ConvergedByResidual]);
        }
    }
}
