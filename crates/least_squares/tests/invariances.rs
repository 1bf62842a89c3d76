//! What must not change the minimiser or its gradient: the order of costs, scales moved between rows and
//! weights, rows said twice, and the size of the batch.

use feasible_least_squares::{
    Builder, Inputs, Linear, LinearCost, Manifold, Numbers, Quadratic, Robust, Settings, Stopping,
    Values, Weight,
};
use proptest::prelude::*;

const N: usize = 3;
const ROWS: usize = 4;

#[derive(Clone, Debug)]
struct Problem {
    a: Vec<f64>,
    h: Vec<f64>,
    b: Vec<f64>,
    start: Vec<f64>,
}

fn problems() -> impl Strategy<Value = Problem> {
    let numbers = |count| prop::collection::vec(-1.0..1.0, count);
    (
        numbers(ROWS * N),
        numbers(ROWS * N * N),
        numbers(ROWS),
        numbers(N),
    )
        .prop_map(|(a, h, b, start)| Problem {
            a,
            // Weak curvature, so that the minimum near zero is the only one in reach.
            h: h.iter().map(|h| 0.1 * h).collect(),
            b,
            start,
        })
}

/// How the same objective is written down.
#[derive(Clone, Copy, Default)]
struct Form {
    reversed: bool,
    /// Rows are multiplied by this, and their weight divided.
    scale: Option<f64>,
    /// Every cost is given twice, at the weight √½.
    twice: bool,
    linear: Linear,
    batch: Option<usize>,
}

/// The minimiser and the gradient of Σ (i + 1)xᵢ by b.
fn solve(problem: &Problem, form: Form) -> (Vec<f64>, Vec<f64>) {
    let scale = form.scale.unwrap_or(1.0);
    let scaled = |values: &[f64]| values.iter().map(|v| scale * v).collect::<Vec<f64>>();
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(N)).unwrap();
    let b = builder.auxiliary("b", ROWS).unwrap();
    let (copies, share) = if form.twice {
        (2, 0.5f64.sqrt())
    } else {
        (1, 1.0)
    };
    let mut order = [0, 1];
    if form.reversed {
        order.reverse();
    }
    for (index, which) in order.repeat(copies).into_iter().enumerate() {
        let name = format!("cost {index}");
        let weight = Weight::scale(share / scale);
        if which == 0 {
            let rows = Quadratic::new(
                ROWS,
                N,
                scaled(&problem.h),
                scaled(&problem.a),
                Numbers::Auxiliary(ROWS),
            );
            builder
                .cost(&name, rows, &[x], &[b], weight, Robust::None)
                .unwrap();
        } else {
            let identity: Vec<f64> = (0..N * N)
                .map(|i| if i % (N + 1) == 0 { scale } else { 0.0 })
                .collect();
            let rows = LinearCost::new(N, N, identity, vec![0.0; N]);
            builder
                .cost(&name, rows, &[x], &[], weight, Robust::None)
                .unwrap();
        }
    }
    let objective = builder.build().unwrap();
    let target = scaled(&problem.b);
    let batch = form.batch.unwrap_or(1);
    let inputs = Inputs::new(&objective, batch)
        .start(x, Values::Shared(&problem.start))
        .auxiliary(b, Values::Shared(&target));
    let settings = Settings {
        linear: form.linear,
        stopping: Stopping {
            gradient: 1e-13,
            cost: 0.0,
            step: 1e-15,
        },
        ..Settings::default()
    };
    let solution = objective.solve(&inputs, &settings).unwrap();
    assert!(solution.all_converged(), "{:?}", solution.status);
    let cotangent: Vec<f64> = (0..batch * N).map(|i| (i % N + 1) as f64).collect();
    let gradients = objective.vjp(&inputs, &solution, &cotangent).unwrap();
    let last = batch - 1;
    let gradient = gradients.auxiliary(&objective, b, last);
    (
        solution.sample(last).to_vec(),
        gradient.iter().map(|g| g * scale).collect(),
    )
}

fn close(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) -> Result<(), TestCaseError> {
    for (a, b) in a.0.iter().chain(&a.1).zip(b.0.iter().chain(&b.1)) {
        // Gradients of 1e-13 over curvatures of at least about 0.1, and what differs in rounding.
        prop_assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{} {}", a, b);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_costs_does_not_matter(problem in problems()) {
        let plain = solve(&problem, Form::default());
        close(&solve(&problem, Form { reversed: true, ..Form::default() }), &plain)?;
    }

    #[test]
    fn scales_move_between_rows_and_weights(problem in problems(), scale in 0.01f64..100.0) {
        let plain = solve(&problem, Form::default());
        close(&solve(&problem, Form { scale: Some(scale), ..Form::default() }), &plain)?;
    }

    #[test]
    fn costs_given_twice_at_half_the_weight_are_the_same(problem in problems()) {
        let plain = solve(&problem, Form::default());
        close(&solve(&problem, Form { twice: true, ..Form::default() }), &plain)?;
    }

    #[test]
    fn linear_solvers_agree(problem in problems()) {
        let plain = solve(&problem, Form::default());
        for linear in [
            Linear::DenseQr,
            Linear::SparseCholesky,
            Linear::ConjugateGradient { tolerance: 1e-15, max_iterations: 50 },
        ] {
            close(&solve(&problem, Form { linear, ..Form::default() }), &plain)?;
        }
    }

    #[test]
    fn the_batch_does_not_matter(problem in problems()) {
        let plain = solve(&problem, Form::default());
        let batched = solve(&problem, Form { batch: Some(5), ..Form::default() });
        prop_assert_eq!(plain, batched);
    }
}
