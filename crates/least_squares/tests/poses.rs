//! Pose graphs: gradients through groups, sparse systems, and graphs that nothing ties down.

mod common;

use common::{difference, tight};
use feasible_least_squares::{
    AuxiliaryId, Backward, Between, Builder, Difference, GradientQuality, Inputs, Linear, Manifold,
    Numbers, Objective, Robust, Settings, Solution, Step, Stopping, Values, VariableId, Weight,
};

fn numbers(count: usize, seed: f64) -> Vec<f64> {
    (0..count)
        .map(|i| (12.9898 * (i as f64 + seed)).sin())
        .collect()
}

/// A point of the space that a step of the given size leads to from the neutral one.
fn pose(manifold: &Manifold, step: f64, seed: f64) -> Vec<f64> {
    let mut zero = vec![0.0; manifold.storage()];
    zero[0] = 1.0;
    let delta: Vec<f64> = numbers(manifold.tangent(), seed)
        .iter()
        .map(|v| step * v)
        .collect();
    let mut out = zero.clone();
    manifold.retract(&zero, &delta, &mut out);
    out
}

struct Graph {
    objective: Objective,
    poses: Vec<(VariableId, Vec<f64>)>,
    measured: AuxiliaryId,
    numbers: Vec<f64>,
    manifold: Manifold,
}

/// Four poses in a loop with measurements that contradict each other, one of them an auxiliary, and a prior
/// on the first.
fn graph(manifold: Manifold, robust: Robust, tied: bool) -> Graph {
    let mut builder = Builder::new();
    let poses: Vec<_> = (0..4)
        .map(|i| {
            let id = builder
                .variable(&format!("pose {i}"), manifold.clone())
                .unwrap();
            (id, pose(&manifold, 0.8, 1.3 + i as f64))
        })
        .collect();
    let measured = builder.auxiliary("measured", manifold.storage()).unwrap();
    if tied {
        builder
            .cost(
                "prior",
                Difference::new(manifold.clone(), pose(&manifold, 0.5, 9.0)),
                &[poses[0].0],
                &[],
                Weight::Identity,
                Robust::None,
            )
            .unwrap();
    }
    let root: Vec<f64> = {
        let d = manifold.tangent();
        let mut root = numbers(d * d, 3.3)
            .iter()
            .map(|v| 0.2 * v)
            .collect::<Vec<f64>>();
        (0..d).for_each(|i| root[i * d + i] += 1.2);
        root
    };
    for (i, j) in [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)] {
        let own = (i, j) == (1, 2);
        let z: Numbers = if own {
            Numbers::Auxiliary(manifold.storage())
        } else {
            pose(&manifold, 0.7, 20.0 + i as f64 + 3.0 * j as f64).into()
        };
        builder
            .cost(
                &format!("between {i} {j}"),
                Between::new(manifold.clone(), z),
                &[poses[i].0, poses[j].0],
                if own {
                    std::slice::from_ref(&measured)
                } else {
                    &[]
                },
                Weight::square_root(root.clone()),
                robust,
            )
            .unwrap();
    }
    Graph {
        objective: builder.build().unwrap(),
        poses,
        measured,
        numbers: pose(&manifold, 0.6, 5.0),
        manifold,
    }
}

impl Graph {
    fn inputs(&self) -> Inputs<'_> {
        let mut inputs =
            Inputs::new(&self.objective, 1).auxiliary(self.measured, Values::Shared(&self.numbers));
        for (id, start) in &self.poses {
            inputs = inputs.start(*id, Values::Shared(start));
        }
        inputs
    }

    fn loss(&self, settings: &Settings) -> f64 {
        let solution = self.objective.solve(&self.inputs(), settings).unwrap();
        let v = numbers(self.objective.storage(), 0.5);
        solution.x.iter().zip(&v).map(|(x, v)| x * v).sum()
    }

    /// The worst error of the gradient along steps of the measurement, and of the start where asked.
    fn error(&mut self, settings: &Settings, start_too: bool) -> (f64, GradientQuality) {
        let v = numbers(self.objective.storage(), 0.5);
        let solution = self.objective.solve(&self.inputs(), settings).unwrap();
        let gradients = self.objective.vjp(&self.inputs(), &solution, &v).unwrap();
        let manifold = self.manifold.clone();
        let zero = vec![0.0; manifold.tangent()];
        let along = |gradient: &[f64], x: &[f64], i: usize| {
            // The stored numbers' change along a step.
            let change = |h: f64| {
                let mut delta = zero.clone();
                delta[i] = h;
                let mut out = x.to_vec();
                manifold.retract(x, &delta, &mut out);
                out
            };
            let h = 1e-5;
            let (high, low) = (change(h), change(-h));
            let changes = high.iter().zip(&low).map(|(a, b)| (a - b) / (2.0 * h));
            gradient
                .iter()
                .zip(changes)
                .map(|(g, c)| g * c)
                .sum::<f64>()
        };
        let mut worst = 0.0_f64;
        let base = self.numbers.clone();
        for i in 0..zero.len() {
            let d = difference(&zero, i, 3e-2, |delta| {
                manifold.retract(&base, delta, &mut self.numbers);
                self.loss(settings)
            });
            worst = worst.max((along(&gradients.auxiliaries, &base, i) - d).abs());
        }
        self.numbers = base;
        for p in 0..if start_too { self.poses.len() } else { 0 } {
            let (id, base) = self.poses[p].clone();
            let gradient = gradients.start(&self.objective, id, 0).to_vec();
            for i in 0..zero.len() {
                let d = difference(&zero, i, 3e-2, |delta| {
                    manifold.retract(&base, delta, &mut self.poses[p].1);
                    self.loss(settings)
                });
                worst = worst.max((along(&gradient, &base, i) - d).abs());
            }
            self.poses[p].1 = base;
        }
        (worst, gradients.quality[0])
    }
}

fn groups() -> [Manifold; 4] {
    [Manifold::So2, Manifold::Se2, Manifold::So3, Manifold::Se3]
}

#[test]
fn implicit_gradients_through_groups_are_exact() {
    for manifold in groups() {
        for linear in [Linear::DenseCholesky, Linear::SparseCholesky] {
            for robust in [Robust::None, Robust::Cauchy { scale: 1.0 }] {
                let mut graph = graph(manifold.clone(), robust, true);
                let (error, quality) = graph.error(&tight(linear), false);
                // Numbers of order one, differences good to about 1e-9.
                assert!(
                    error < 1e-7,
                    "{manifold:?} {linear:?} {robust:?}: {error:e}"
                );
                assert_eq!(quality, GradientQuality::Exact, "{manifold:?} {linear:?}");
            }
        }
    }
}

#[test]
fn unrolled_gradients_through_groups_are_those_of_the_iterations() {
    for manifold in groups() {
        for step in [
            Step::default(),
            Step::Dogleg(feasible_least_squares::Dogleg::default()),
        ] {
            let mut graph = graph(manifold.clone(), Robust::Cauchy { scale: 1.0 }, true);
            let settings = Settings {
                step,
                max_iterations: 3,
                backward: Backward::Unrolled,
                stopping: Stopping {
                    gradient: 0.0,
                    cost: 0.0,
                    step: 0.0,
                },
                ..Settings::default()
            };
            let (error, quality) = graph.error(&settings, true);
            assert!(error < 1e-7, "{manifold:?} {step:?}: {error:e}");
            assert_eq!(quality, GradientQuality::Exact);
        }
    }
}

#[test]
fn direct_loss_works_on_groups() {
    for manifold in groups() {
        let mut graph = graph(manifold.clone(), Robust::None, true);
        let settings = Settings {
            backward: Backward::DirectLoss { epsilon: 1e-4 },
            ..tight(Linear::Auto)
        };
        let (error, _) = graph.error(&settings, false);
        // ε², and rounding over ε.
        assert!(error < 1e-6, "{manifold:?}: {error:e}");
    }
}

#[test]
fn graphs_that_nothing_ties_down_get_the_least_norm_gradient() {
    for manifold in groups() {
        let mut graph = graph(manifold.clone(), Robust::None, false);
        let v = numbers(graph.objective.storage(), 0.5);
        // Where along the null space a solve ends is a matter of rounding, and gradients differ from place to
        // place: both are taken at the end of one solve, from which the others do not move.
        let settings = tight(Linear::DenseCholesky);
        let end = graph.objective.solve(&graph.inputs(), &settings).unwrap();
        assert!(end.all_converged(), "{manifold:?}");
        for (id, start) in &mut graph.poses {
            *start = end.variable(&graph.objective, *id, 0).to_vec();
        }
        let gradient = |linear| {
            let mut settings = tight(linear);
            settings.stopping.gradient = 1e-8;
            let solution = graph.objective.solve(&graph.inputs(), &settings).unwrap();
            assert!(solution.all_converged() && solution.history[0].is_empty());
            graph.objective.vjp(&graph.inputs(), &solution, &v).unwrap()
        };
        let dense = gradient(Linear::DenseCholesky);
        let sparse = gradient(Linear::SparseCholesky);
        assert_eq!(dense.quality, [GradientQuality::Degenerate], "{manifold:?}");
        assert_eq!(
            sparse.quality,
            [GradientQuality::Degenerate],
            "{manifold:?}"
        );
        for (a, b) in dense.auxiliaries.iter().zip(&sparse.auxiliaries) {
            // Of the sparse solve, regularised with 1e-9 of the matrix, a rounding of 1e-16 is left 1e-7.
            assert!((a - b).abs() < 1e-7, "{manifold:?}: {a} {b}");
        }
    }
}

#[test]
fn what_a_sparse_solve_leaves_changes_no_gradient() {
    for manifold in groups() {
        let mut graph = graph(manifold.clone(), Robust::Cauchy { scale: 1.0 }, true);
        let v = numbers(graph.objective.storage(), 0.5);
        let kept = tight(Linear::SparseCholesky);
        // A solve for unrolling leaves no factor.
        let bare = Settings {
            backward: Backward::Truncated { iterations: 1 },
            ..kept
        };
        let solve = |settings| graph.objective.solve(&graph.inputs(), &settings).unwrap();
        let [mut with, mut without] = [kept, bare].map(solve);
        assert_eq!(with.x, without.x, "{manifold:?}");
        let gradients = |graph: &Graph, solution: &Solution, backward: &Backward| {
            let inputs = graph.inputs();
            graph
                .objective
                .vjp_by(&inputs, solution, &v, backward)
                .unwrap()
        };
        let gauss_newton = Backward::Implicit {
            hessian: feasible_least_squares::Hessian::GaussNewton,
        };
        for backward in [Backward::default(), gauss_newton] {
            let a = gradients(&graph, &with, &backward);
            let b = gradients(&graph, &without, &backward);
            assert_eq!(a.quality, b.quality, "{manifold:?} {backward:?}");
            for (a, b) in a.auxiliaries.iter().zip(&b.auxiliaries) {
                // Of numbers of order one; iterations end at 1e-9 of the energy, and correct once more.
                assert!(
                    (a - b).abs() < 1e-10,
                    "{manifold:?} {backward:?}: {a:e} {b:e}"
                );
            }
            let (a, b) = (a.condition[0], b.condition[0]);
            assert!(
                a < 3.0 * b && b < 3.0 * a,
                "{manifold:?} {backward:?}: {a:e} {b:e}"
            );
        }
        // A point and inputs that were changed since are those that count.
        graph.numbers = pose(&graph.manifold, 0.6, 5.1);
        for solution in [&mut with, &mut without] {
            let start = &graph.poses[2].1;
            let place = graph.objective.stored(graph.poses[2].0);
            solution.x[place].copy_from_slice(start);
        }
        let [a, b] =
            [&with, &without].map(|s| gradients(&graph, s, &Backward::default()).auxiliaries);
        for (a, b) in a.iter().zip(&b) {
            assert!(
                (a - b).abs() < 1e-8 * (1.0 + b.abs()),
                "{manifold:?}: {a:e} {b:e}"
            );
        }
    }
}
