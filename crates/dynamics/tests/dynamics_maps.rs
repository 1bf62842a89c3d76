//! Jacobians, violations, copies and landscapes against known answers.

mod support;

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{DType, Tensor};
use feasible_core::host::read;
use feasible_core::{Affine, Bounds, Violations};
use feasible_dynamics::*;
use feasible_landscape::{
    Axes, Axis, Centre, Filters, Plane, PlaneKind, ScanOptions, WithoutFilters,
};
use feasible_spectrum::Wanted;
use support::*;

#[test]
fn a_projection_has_the_rank_of_its_subspace() {
    for device in devices() {
        // Projection of five dimensions onto two: I − Q Qᵀ has three directions dead.
        let n = 5;
        let basis = [numbers(n, 1), numbers(n, 2)];
        let mut q: Vec<Vec<f64>> = Vec::new();
        for mut v in basis {
            for u in &q {
                let along: f64 = u.iter().zip(&v).map(|(u, v)| u * v).sum();
                v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
            }
            let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            q.push(v.iter().map(|v| v / norm).collect());
        }
        let p: Vec<f64> = (0..n * n)
            .map(|k| q.iter().map(|u| u[k / n] * u[k % n]).sum())
            .collect();
        let x = tensor(&numbers(3 * n, 3), [3, n], &device);
        let matrix = tensor(&p, [n, n], &device);
        for rows in [Rows::OnePass, Rows::AllAtOnce] {
            let found = jacobians(x.clone(), |x| Ok(x.matmul(matrix.clone())), rows).unwrap();
            assert_eq!(found.len(), 3);
            for jacobian in &found {
                close(jacobian.data(), &p, 1e-14);
                let values = jacobian.singular_values().unwrap().unwrap();
                close(&values.values, &[1.0, 1.0, 0.0, 0.0, 0.0], 1e-14);
                let tolerance = values.rounding() * 10.0;
                assert_eq!(values.numerical_rank(tolerance), 2);
                assert_eq!(values.dead_directions(tolerance), 3);
                // Rounding adds p ln p of 1e-16, which is 4e-15, a value.
                assert!((values.effective_rank() - 2.0).abs() < 1e-12);
                assert!((values.stable_rank() - 2.0).abs() < 1e-13);
                assert!((values.participation_ratio() - 2.0).abs() < 1e-13);
            }
            let summary = jacobian_summary(&found, 1e-12).unwrap();
            assert_eq!(
                (summary.numerical_rank, summary.dead_directions),
                (Some(2.0), Some(3.0))
            );
            assert_eq!((summary.samples, summary.undefined), (3, 0));
        }
    }
}

#[test]
fn ranks_differ_as_their_definitions_do() {
    // Not square: three outputs, two inputs, singular values 3 and 1.
    let jacobian = Jacobian::new(3, 2, vec![0.0, 1.0, 3.0, 0.0, 0.0, 0.0]).unwrap();
    let values = jacobian.singular_values().unwrap().unwrap();
    close(&values.values, &[3.0, 1.0], 1e-15);
    let entropy = -(0.75f64 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
    assert!((values.effective_rank() - entropy.exp()).abs() < 1e-14);
    assert!((values.stable_rank() - 10.0 / 9.0).abs() < 1e-14);
    assert!((values.participation_ratio() - 100.0 / 82.0).abs() < 1e-14);
    assert_eq!((values.numerical_rank(0.5), values.above(0.5)), (1, 2));
    assert_eq!(values.dead_directions(1e-12), 0);
    // The same, of numbers whose squares leave the range.
    for scale in [1e-200, 1e200] {
        let data = [0.0, scale, 3.0 * scale, 0.0, 0.0, 0.0].to_vec();
        let other = Jacobian::new(3, 2, data)
            .unwrap()
            .singular_values()
            .unwrap()
            .unwrap();
        assert!((other.effective_rank() - values.effective_rank()).abs() < 1e-12);
        assert!((other.stable_rank() - values.stable_rank()).abs() < 1e-12);
        assert!((other.participation_ratio() - values.participation_ratio()).abs() < 1e-12);
    }
}

#[test]
fn a_jacobian_of_zero_has_rank_zero_and_one_of_nan_has_none() {
    let x = tensor(&[1.0, 2.0, 3.0, 4.0], [2, 2], &device());
    for rows in [Rows::OnePass, Rows::AllAtOnce] {
        let zero = jacobians(x.clone(), |x| Ok(x.detach().zeros_like()), rows).unwrap();
        for jacobian in &zero {
            let values = jacobian.singular_values().unwrap().unwrap();
            let ranks = [
                values.effective_rank(),
                values.stable_rank(),
                values.participation_ratio(),
                values.numerical_rank(1e-12) as f64,
                values.largest(),
            ];
            assert_eq!(ranks, [0.0; 5]);
            assert_eq!(values.dead_directions(1e-12), 2);
        }
        // y = √(x − 1): at x = 1 the derivative is infinite, at 2 it is 1/2.
        let roots = jacobians(x.clone(), |x| Ok((x - 1.0).sqrt()), rows).unwrap();
        assert_eq!(roots[0].singular_values().unwrap(), None);
        let summary = jacobian_summary(&roots, 1e-12).unwrap();
        assert_eq!((summary.samples, summary.undefined), (1, 1));
        assert_eq!(
            jacobian_summary(&roots[..1], 1e-12).unwrap().effective_rank,
            None
        );
    }
    let none = tensor(&[], [0, 2], &device());
    assert!(jacobians(none, Ok, Rows::OnePass).unwrap().is_empty());
    let error = jacobians(x, |x| Ok(x.narrow(0, 0, 1)), Rows::OnePass).unwrap_err();
    assert!(error.to_string().contains("`map`"), "{error}");
}

#[test]
fn the_jacobian_of_a_network_is_that_of_the_chain_rule() {
    for device in devices() {
        let network = Network::new([3, 4, 2], 1, &device);
        let x = numbers(6, 2);
        let input = tensor(&x, [2, 3], &device);
        let layout = Layout::of(&network).unwrap();
        let theta = layout.flatten(&network).unwrap();
        let (w1, b1, w2) = (&theta[..12], &theta[12..16], &theta[16..24]);
        for rows in [Rows::OnePass, Rows::AllAtOnce] {
            let found = jacobians(input.clone(), |x| Ok(network.forward(x)), rows).unwrap();
            for (sample, jacobian) in found.iter().enumerate() {
                assert_eq!(jacobian.shape(), [2, 3]);
                let mut expected = vec![0.0; 6];
                for h in 0..4 {
                    let z: f64 = b1[h]
                        + (0..3)
                            .map(|i| x[3 * sample + i] * w1[4 * i + h])
                            .sum::<f64>();
                    let slope = 1.0 - z.tanh().powi(2);
                    for o in 0..2 {
                        for i in 0..3 {
                            expected[3 * o + i] += w2[2 * h + o] * slope * w1[4 * i + h];
                        }
                    }
                }
                close(jacobian.data(), &expected, 1e-14);
            }
        }
    }
}

#[test]
fn violations_before_and_after() {
    let device = device();
    let bounds =
        Bounds::shared(tensor(&[0.0], [1], &device), tensor(&[1.0], [1], &device)).unwrap();
    let constraints = Affine::shared(tensor(&[1.0, 1.0], [1, 2], &device), bounds).unwrap();
    let raw = tensor(&[2.0, 1.0, 0.5, 0.0], [2, 2], &device);
    let change = ViolationChange::of(&constraints, raw.clone(), raw.clone() * 0.5, 1e-9).unwrap();
    assert_eq!((change.before.max, change.after.max), (2.0, 0.5));
    assert_eq!(change.left(), Some(0.25));
    let met = ViolationChange::of(&constraints, raw.clone() * 0.0, raw * 0.0, 1e-9).unwrap();
    assert_eq!(met.left(), None);
}

/// Layers whose forward pass in training mode is no function of the parameters.
#[derive(Module, Debug)]
struct Noisy {
    linear: Linear,
    norm: BatchNorm,
    dropout: Dropout,
}

impl Noisy {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.dropout
            .forward(self.norm.forward(self.linear.forward(x)))
    }
}

#[test]
fn a_copy_for_evaluation_is_a_function_with_gradients() {
    for device in devices() {
        let module = Noisy {
            linear: LinearConfig::new(2, 3).init(&device),
            norm: BatchNormConfig::new(3).init(&device),
            dropout: DropoutConfig::new(0.5).init(),
        };
        let x = Tensor::<2>::from_data([[1.0, 2.0], [-3.0, 0.5], [0.0, 1.0]], &device);
        module.forward(x.clone());
        let copy = evaluating(&module);
        let before = read("y", &module.valid().forward(x.clone().inner())).unwrap();
        for _ in 0..2 {
            assert_eq!(read("y", &copy.forward(x.clone())).unwrap(), before);
        }
        // Trained parameters have gradients, statistics do not, and nothing is shared.
        let layout = Layout::of(&copy).unwrap();
        assert_eq!(layout, Layout::of(&module).unwrap());
        assert_eq!(layout.n(), 6 + 3 + 3 + 3);
        let mut loss = whole(|m: &Noisy| Ok(m.forward(x.clone()).square().sum()));
        let (_, gradient) = loss.gradient(&copy, &layout).unwrap();
        assert!(gradient[..6].iter().all(|g| *g != 0.0));
        let all = Layout::filtered(&copy, |_, _| true).unwrap();
        assert_eq!(all.n(), layout.n() + 6);
        let _double = in_precision(&module, DType::F64);
        let again = read("y", &module.valid().forward(x.clone().inner())).unwrap();
        assert_eq!(again, before);
        assert_eq!(module.norm.running_mean.value().dtype(), DType::F32);
        // A direction is 0 outside the layout, statistics included.
        let weights = layout.subset(|g| g.name == "linear.weight").unwrap();
        let direction = weights.direction(&module, &[1.0; 6]).unwrap();
        let numbers = all.flatten(&direction).unwrap();
        assert_eq!(numbers[..6], [1.0; 6]);
        assert!(numbers[6..].iter().all(|v| *v == 0.0));
        assert_eq!(
            read("y", &module.valid().forward(x.clone().inner())).unwrap(),
            before
        );
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_landscape_of_a_quadratic_is_the_quadratic() {
    for device in devices() {
        let origin = [0.3, -0.7, 0.1];
        let point = Point::new(&origin, &device);
        let layout = Layout::of(&point).unwrap();
        let plane = Plane::new(
            origin.to_vec(),
            vec![1.0, 0.0, 0.0],
            vec![0.0, 1.0, 1.0],
            PlaneKind::Given,
        )
        .unwrap();
        let axes = Axes::grid(
            Axis::centred(1.0, 4).unwrap(),
            Axis::centred(0.5, 3).unwrap(),
        );
        let bounds =
            Bounds::shared(tensor(&[-1.0], [1], &device), tensor(&[0.5], [1], &device)).unwrap();
        let constraints =
            Affine::shared(tensor(&[1.0, 1.0, 1.0], [1, 3], &device), bounds).unwrap();
        let measure = |point: &Point| -> Result<Vec<f64>, EvaluationError> {
            let theta = point.at.val();
            let loss = read("loss", &theta.clone().square().sum())?[0];
            let violation = Violations::of(&constraints, theta.unsqueeze())
                .summary(0.0)?
                .max;
            Ok(vec![loss, violation])
        };
        let mut surfaces = Vec::new();
        for threads in [Threads::OneRow, Threads::ManyRows] {
            let found = scan_module(
                &point,
                &layout,
                &ScanPlan {
                    plane: &plane,
                    axes: &axes,
                    names: &["loss", "violation"],
                    options: ScanOptions::default(),
                    threads,
                },
                measure,
            )
            .unwrap();
            assert_eq!(found.centre_is_exact(), Some(true));
            let surface = found.scan.surface;
            for (j, b) in surface.b.iter().enumerate() {
                for (i, a) in surface.a.iter().enumerate() {
                    let at = [origin[0] + a, origin[1] + b, origin[2] + b];
                    let k = j * surface.a.len() + i;
                    let loss: f64 = at.iter().map(|x| x * x).sum();
                    assert!((surface.quantities[0].values[k] - loss).abs() < 1e-14);
                    let sum: f64 = at.iter().sum();
                    let violation = (sum - 0.5).max(-1.0 - sum).max(0.0);
                    assert!((surface.quantities[1].values[k] - violation).abs() < 1e-14);
                }
            }
            surfaces.push(surface);
        }
        assert_eq!(surfaces[0], surfaces[1]);
        assert_eq!(bits(&layout.flatten(&point).unwrap()), bits(&origin));
    }
}

#[test]
fn a_networks_scan_is_centred_on_its_loss_and_resumes() {
    let device = device();
    // In f32, where the centre must still be exact.
    let network = in_precision(&Network::new([3, 4, 2], 2, &device), DType::F32);
    let layout = Layout::of(&network).unwrap();
    let snapshot = network.valid();
    let x = Tensor::<2>::from_data(
        [[0.1, -0.7, 2.0], [1.0, 1.5, -0.2]],
        &device.clone().inner(),
    );
    let plane = random_plane(&network, &layout, WithoutFilters::Zero, 4).unwrap();
    let axes = Axes::grid(
        Axis::centred(1.0, 2).unwrap(),
        Axis::centred(1.0, 2).unwrap(),
    );
    let measure = |network: &Network| -> Result<Vec<f64>, EvaluationError> {
        Ok(read("loss", &network.forward(x.clone()).square().mean())?)
    };
    let recorded = measure(&snapshot).unwrap();
    let before = layout.flatten(&network).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scan");
    let stop = |p: feasible_landscape::Progress| {
        if p.done == 2 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    };
    let run = |options: ScanOptions<'_>| {
        let plan = ScanPlan {
            plane: &plane,
            axes: &axes,
            names: &["loss"],
            options,
            threads: Threads::OneRow,
        };
        scan_module(&snapshot, &layout, &plan, measure)
    };
    let stopped = ScanOptions {
        file: Some(&file),
        key: "test",
        progress: Some(&stop),
    };
    assert!(run(stopped).is_err(), "told to stop");
    let options = ScanOptions {
        file: Some(&file),
        key: "test",
        progress: None,
    };
    let found = run(options).unwrap();
    assert_eq!(found.scan.evaluated, 15, "three of five rows were left");
    assert_eq!(found.centre_is_exact(), Some(true));
    assert_eq!(bits(&found.at_module), bits(&recorded));
    assert_eq!(
        found.scan.surface,
        run(ScanOptions::default()).unwrap().scan.surface
    );
    for module in [&network, &snapshot] {
        assert_eq!(bits(&layout.flatten(module).unwrap()), bits(&before));
    }
    // Each neuron's column of the direction is as long as the weights into it; biases stay.
    let direction = plane.directions()[0];
    for (group, (_, range)) in layout.groups().iter().zip(layout.ranges()) {
        let (w, d) = (&before[range.clone()], &direction[range]);
        if group.filters == Filters::None {
            assert!(d.iter().all(|d| *d == 0.0));
            continue;
        }
        let columns = group.shape[1];
        for column in 0..columns {
            let norm = |v: &[f64]| {
                v.iter()
                    .skip(column)
                    .step_by(columns)
                    .map(|v| v * v)
                    .sum::<f64>()
                    .sqrt()
            };
            assert!((norm(w) - norm(d)).abs() < 1e-14 * (1.0 + norm(w)));
        }
    }
}

#[test]
fn planes_of_the_hessian_and_of_a_trajectory() {
    let device = device();
    let point = Point::new(&[1.0, 1.0, 1.0], &device);
    let layout = Layout::of(&point).unwrap();
    let weights = tensor(&[2.0, 5.0, 3.0], [3], &device);
    let loss = whole(|p: &Point| Ok((p.at.val().square() * weights.clone()).sum() * 0.5));
    let mut hessian = Hessian::new(&point, &layout, loss, DifferenceSettings::default()).unwrap();
    let mut tracker = SharpnessTracker::new(2, SharpnessTracker::difference_settings()).unwrap();
    let (sharpness, found) = tracker.eigenpairs(&mut hessian).unwrap();
    close(&sharpness.top, &[5.0, 3.0], 1e-8);
    let plane = hessian_plane(&point, &layout, &found).unwrap();
    let [u, v] = plane.directions();
    // The error of a vector is the residual, 1e-6 relative, over the gap of 2.
    assert!((u[1].abs() - 1.0).abs() < 1e-5 && (v[2].abs() - 1.0).abs() < 1e-5);
    let one = feasible_spectrum::eigenpairs(
        &mut hessian,
        Wanted::Top(1),
        &SharpnessTracker::difference_settings(),
    )
    .unwrap();
    assert!(hessian_plane(&point, &layout, &one).is_err());

    // Points of a plane in space, and gradient descent on the way to the origin.
    let mut module = point;
    let mut objective = whole(|p: &Point| {
        Ok((p.at.val().square() * tensor(&[1.0, 4.0, 4.0], [3], &device)).sum() * 0.5)
    });
    let mut checkpoints = vec![layout.flatten(&module).unwrap()];
    for _ in 0..10 {
        let (_, gradient) = objective.gradient(&module, &layout).unwrap();
        let last = checkpoints.last().unwrap();
        let next: Vec<f64> = last
            .iter()
            .zip(&gradient)
            .map(|(x, g)| x - 0.1 * g)
            .collect();
        module = layout.assign(module, &next).unwrap();
        checkpoints.push(next);
    }
    let found = trajectory_plane(&checkpoints, Centre::Mean, 0).unwrap();
    // Entries two and three stay equal, so the path lies in a plane.
    assert!(found.points.iter().all(|p| p.off_plane < 1e-12));
    assert!((found.pca.explained.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(trajectory_plane(&checkpoints[..1], Centre::Mean, 0).is_err());
}
