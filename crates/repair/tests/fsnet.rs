//! FSNet: closed forms, the published iteration written out, and gradients against central
//! differences.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Affine, Bounds, Constraints, Dual, Function, Quadratic, Stacked};
use feasible_repair::{FsNet, FsNetSettings, LineSearch, Repaired, Status};
use support::{check_gradients, normal, numbers, rng, tensor};

const BATCH: usize = 8;
const N: usize = 6;

/// Two quadratic rows, an affine one, and two equalities to `x`.
fn blocks(x: Tensor<2>) -> Stacked {
    let mut rng = rng(1);
    let mut draw = |count| normal(&mut rng, count);
    let h = draw(2 * N).iter().map(|v| 0.1 + 0.2 * v * v).collect();
    let below = |u: Vec<f64>| Bounds::at_most(tensor(u.clone(), [1, u.len()])).unwrap();
    let parts: Vec<Arc<dyn Constraints>> = vec![
        Arc::new(
            Quadratic::diagonal(
                tensor(h, [2, N]),
                tensor(draw(2 * N), [2, N]),
                below(vec![0.5; 2]),
            )
            .unwrap(),
        ),
        Arc::new(Affine::shared(tensor(draw(N), [1, N]), below(vec![0.1])).unwrap()),
        Arc::new(Affine::shared(tensor(draw(2 * N), [2, N]), Bounds::equal(x).unwrap()).unwrap()),
    ];
    Stacked::new(parts).unwrap()
}

/// FSNet's own kinds of rows: G cos(y) + y'Hy below a bound, with x inside, and a sphere.
fn curved(x: Tensor<2>) -> Function<impl Fn(Dual) -> Dual> {
    let bounds = Bounds::shared(
        tensor(vec![f64::NEG_INFINITY, 1.0], [2]),
        tensor(vec![1.0, 1.0], [2]),
    );
    let g = tensor(normal(&mut rng(5), N), [1, N]);
    Function::new(N, bounds.unwrap(), move |y| {
        let waves = y.clone().cos().left_multiply(g.clone()) + y.clone().square().sum() * 0.05;
        let sphere = y.square().sum() - Dual::constant(x.clone()).column(0) * 0.3;
        Dual::cat(vec![waves, sphere])
    })
}

fn inputs() -> [Tensor<2>; 2] {
    let mut rng = rng(2);
    [
        tensor(normal(&mut rng, BATCH * N), [BATCH, N]),
        tensor(normal(&mut rng, BATCH * 2), [BATCH, 2]) * 0.3,
    ]
}

fn repair(settings: FsNetSettings, y0: Tensor<2>, set: &dyn Constraints) -> Repaired {
    FsNet::new(settings)
        .unwrap()
        .forward(y0, set, None)
        .unwrap()
}

#[test]
fn violations_fall_to_the_tolerance() {
    let [y0, x] = inputs();
    for line_search in [LineSearch::PerSample, LineSearch::WholeBatch] {
        let settings = FsNetSettings {
            line_search,
            max_iterations: 100,
            ..FsNetSettings::default()
        };
        let (convex, curved) = (blocks(x.clone()), curved(x.clone()));
        let sets: &[&dyn Constraints] = match line_search {
            LineSearch::PerSample => &[&convex, &curved],
            // One length for all samples: the curved rows are not met in 100 iterations.
            LineSearch::WholeBatch => &[&convex],
        };
        for &set in sets {
            let repaired = repair(settings, y0.clone(), set);
            assert!(
                repaired.status.iter().all(|s| s.is_converged()),
                "{line_search:?} {:?} {:?}",
                repaired.status,
                repaired.residual
            );
            // ‖r‖² below 1e-9, as a mean over the batch where that is what stops.
            let limit = match line_search {
                LineSearch::PerSample => 1e-9f64.sqrt(),
                LineSearch::WholeBatch => (1e-9 * BATCH as f64).sqrt(),
            };
            assert!(
                repaired.residual.iter().all(|r| *r < limit),
                "{:?}",
                repaired.residual
            );
        }
    }
}

/// On ‖y‖² ≤ 1 every gradient points to the centre, so the point reached is ŷ/‖ŷ‖.
#[test]
fn a_disc_is_met_radially() {
    let disc = Quadratic::diagonal(
        tensor(vec![1.0, 1.0], [1, 2]),
        tensor(vec![0.0, 0.0], [1, 2]),
        Bounds::at_most(tensor(vec![1.0], [1, 1])).unwrap(),
    )
    .unwrap();
    let settings = FsNetSettings {
        // Short enough that the first step does not cross the disc.
        first_step: 1e-3,
        test_tolerance: 1e-20,
        gradient_tolerance: 0.0,
        ..FsNetSettings::default()
    };
    let repaired = repair(settings, tensor(vec![3.0, 4.0, 0.3, 0.4], [2, 2]), &disc);
    for (got, expected) in numbers(&repaired.y).iter().zip([0.6, 0.8, 0.3, 0.4]) {
        assert!(
            (got - expected).abs() < 1e-10,
            "{got} instead of {expected}"
        );
    }
    assert_eq!(repaired.iterations[1], 0);
}

/// The published loop on plain vectors: one step length, mean objective times 1000, first direction
/// −0.1 g.
fn published(a: &[f64], x: &[f64], y0: &[f64], m: usize, steps: usize) -> Vec<f64> {
    let batch = y0.len() / N;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let objective = |y: &[f64]| {
        let rows = (0..batch * m).map(|k| dot(&a[k % m * N..][..N], &y[k / m * N..][..N]) - x[k]);
        1000.0 * rows.map(|r| r * r).sum::<f64>() / batch as f64
    };
    let gradient = |y: &[f64]| {
        let mut g = vec![0.0; y.len()];
        for k in 0..batch * m {
            let row = &a[k % m * N..][..N];
            let r = dot(row, &y[k / m * N..][..N]) - x[k];
            for j in 0..N {
                g[k / m * N + j] += 2000.0 * r * row[j] / batch as f64;
            }
        }
        g
    };
    let mut y = y0.to_vec();
    let mut g = gradient(&y);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = vec![];
    for _ in 0..steps {
        let mut d = vec![0.0; y.len()];
        for b in 0..batch {
            let of = |v: &[f64]| v[b * N..][..N].to_vec();
            let mut q = of(&g);
            let mut alphas = vec![];
            for (s, z) in pairs.iter().rev() {
                let (s, z) = (of(s), of(z));
                let alpha = dot(&s, &q) / (dot(&s, &z) + 1e-10);
                q.iter_mut().zip(&z).for_each(|(q, z)| *q -= alpha * z);
                alphas.push(alpha);
            }
            let factor = pairs.last().map_or(0.1, |(s, z)| {
                dot(&of(s), &of(z)) / (dot(&of(z), &of(z)) + 1e-10)
            });
            q.iter_mut().for_each(|q| *q *= factor);
            for ((s, z), alpha) in pairs.iter().zip(alphas.iter().rev()) {
                let (s, z) = (of(s), of(z));
                let beta = dot(&z, &q) / (dot(&s, &z) + 1e-10);
                q.iter_mut()
                    .zip(&s)
                    .for_each(|(q, s)| *q += s * (alpha - beta));
            }
            (0..N).for_each(|j| d[b * N + j] = -q[j]);
        }
        let (before, slope) = (objective(&y), dot(&g, &d));
        let mut length = 1.0;
        for _ in 0..10 {
            let trial: Vec<f64> = y.iter().zip(&d).map(|(y, d)| y + length * d).collect();
            if objective(&trial) <= before + 1e-4 * length * slope {
                break;
            }
            length *= 0.5;
        }
        let next: Vec<f64> = y.iter().zip(&d).map(|(y, d)| y + length * d).collect();
        let new = gradient(&next);
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        pairs.push((difference(&next, &y), difference(&new, &g)));
        (y, g) = (next, new);
    }
    y
}

#[test]
fn the_whole_batch_variant_is_the_published_one() {
    let (m, steps) = (3, 6);
    let (a, [y0, _]) = (normal(&mut rng(9), m * N), inputs());
    let x = normal(&mut rng(10), BATCH * m);
    let bounds = Bounds::equal(tensor(x.clone(), [BATCH, m])).unwrap();
    let set = Affine::shared(tensor(a.clone(), [m, N]), bounds).unwrap();
    let settings = FsNetSettings {
        line_search: LineSearch::WholeBatch,
        max_iterations: steps,
        test_tolerance: 0.0,
        gradient_tolerance: 0.0,
        ..FsNetSettings::default()
    };
    let got = numbers(&repair(settings, y0.clone(), &set).y);
    let expected = published(&a, &x, &numbers(&y0), m, steps);
    for (got, expected) in got.iter().zip(&expected) {
        // Quotients of differences amplify rounding a few thousand times over six steps.
        assert!(
            (got - expected).abs() < 1e-10,
            "{got} instead of {expected}"
        );
    }
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    let settings = FsNetSettings {
        max_iterations: 12,
        train_tolerance: 1e-6,
        test_tolerance: 1e-6,
        ..FsNetSettings::default()
    };
    let check = |name: &str, set: &dyn Fn(Tensor<2>) -> Box<dyn Constraints>| {
        let worst = check_gradients(
            name,
            &inputs(),
            |inputs| repair(settings, inputs[0].clone(), set(inputs[1].clone()).as_ref()).y,
            1e-6,
            1e-6, // rounding over the step, amplified by quotients of small differences
        );
        assert!(worst > 0.0);
    };
    check("FSNet, blocks", &|x| Box::new(blocks(x)));
    check("FSNet, functions", &|x| Box::new(curved(x)));
}

/// Iterations after the recorded ones move the output and leave the gradient that of the recorded
/// ones.
#[test]
fn later_iterations_are_constants() {
    let [y0, x] = inputs();
    let run = |max_iterations: usize| {
        let y0 = y0.clone().detach().require_grad();
        let settings = FsNetSettings {
            max_iterations,
            unrolled: 3,
            train_tolerance: 0.0,
            ..FsNetSettings::default()
        };
        let repaired = repair(settings, y0.clone(), &blocks(x.clone()));
        let gradients = repaired.y.clone().sum().backward();
        (numbers(&repaired.y), numbers(&y0.grad(&gradients).unwrap()))
    };
    let ((short, short_gradient), (long, long_gradient)) = (run(3), run(8));
    assert_eq!(short_gradient, long_gradient);
    assert_ne!(short, long);
}

/// Later epochs are trained to less violation; what needs no gradient has its own tolerance throughout.
#[test]
fn training_tightens_its_tolerance_epoch_by_epoch() {
    let [y0, x] = inputs();
    let layer = FsNet::new(FsNetSettings::default()).unwrap();
    let most = |y0: Tensor<2>, epoch| {
        let layer = layer.clone().at_epoch(epoch);
        let repaired = layer.forward(y0, &curved(x.clone()), None).unwrap();
        assert!(repaired.status.iter().all(|s| s.is_converged()));
        repaired.residual.iter().fold(0.0, |a: f64, r| a.max(*r))
    };
    let tracked = y0.clone().require_grad();
    let (first, last) = (most(tracked.clone(), 0), most(tracked, 250));
    // ‖r‖² below 1e-7 and 1e-9.
    assert!(
        first < 1e-7f64.sqrt() && last < 1e-9f64.sqrt() && last < first,
        "{first} {last}"
    );
    assert_eq!(most(y0.clone(), 0), most(y0, 250));
}

#[test]
fn samples_do_not_depend_on_each_other() {
    let [y0, x] = inputs();
    let settings = FsNetSettings::default();
    let all = repair(settings, y0.clone(), &curved(x.clone()));
    for sample in 0..BATCH {
        let one = |t: &Tensor<2>| t.clone().narrow(0, sample, 1);
        let alone = repair(settings, one(&y0), &curved(one(&x)));
        assert_eq!(numbers(&alone.y), numbers(&one(&all.y)));
        assert_eq!(alone.iterations[0], all.iterations[sample]);
    }
}

#[test]
fn trouble_is_named() {
    // y² = −1 has a stationary point of its violation at zero.
    let bounds = Bounds::equal(tensor(vec![-1.0], [1, 1])).unwrap();
    let unreachable = Function::new(1, bounds, |y: Dual| y.square());
    let settings = FsNetSettings::default();
    let repaired = repair(settings, tensor(vec![0.7, 0.0], [2, 1]), &unreachable);
    assert_eq!(repaired.status[1], Status::ConvergedByStep);
    assert!(repaired.residual.iter().all(|r| (*r - 1.0).abs() < 1e-6));
    // log y is not finite at the second sample.
    let bounds = Bounds::equal(tensor(vec![0.0], [1, 1])).unwrap();
    let logarithm = Function::new(1, bounds, |y: Dual| y.log());
    let repaired = repair(settings, tensor(vec![1.5, -1.0], [2, 1]), &logarithm);
    assert_eq!(
        repaired.status,
        [Status::ConvergedByResidual, Status::NonFinite]
    );
    assert!((numbers(&repaired.y)[0] - 1.0).abs() < 1e-4);
    for (settings, expected) in [
        (
            FsNetSettings {
                shrink: 1.0,
                ..settings
            },
            "`shrink`",
        ),
        (
            FsNetSettings {
                memory: 0,
                ..settings
            },
            "`memory`",
        ),
    ] {
        let message = FsNet::new(settings).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
