//! Parameters, Hessian-vector products and sharpness against closed forms.

mod support;

use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use feasible_dynamics::*;
use feasible_spectrum::{
    DensitySettings, Operator, Settings, Status, TraceSettings, Wanted, WeightedSum, eigenpairs,
    hutch_plus_plus, spectral_density,
};
use support::*;

/// L = ½ θᵀ A θ + bᵀ θ.
fn quadratic(
    a: Vec<f64>,
    n: usize,
    device: &Device,
) -> Objective<impl FnMut(&Point, usize) -> Result<Tensor<1>, EvaluationError>> {
    let a = tensor(&a, [n, n], device);
    whole(move |point: &Point| {
        let theta = point.at.val();
        let moved: Tensor<1> = a
            .clone()
            .matmul(theta.clone().unsqueeze_dim::<2>(1))
            .squeeze_dim(1);
        Ok((theta.clone() * moved).sum() * 0.5 + theta.sum())
    })
}

#[test]
fn the_hessian_of_a_quadratic_is_its_matrix() {
    for device in devices() {
        // Eigenvalues 5, 1 and −8: the largest in magnitude is not the sharpness.
        let q = [2.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0];
        let mut a = vec![0.0; 9];
        let h: Vec<f64> = (0..9)
            .map(|k| f64::from(u8::from(k / 3 == k % 3)) - 2.0 * q[k / 3] * q[k % 3])
            .collect();
        for (k, value) in [5.0, 1.0, -8.0].into_iter().enumerate() {
            for i in 0..3 {
                for j in 0..3 {
                    a[3 * i + j] += value * h[3 * i + k] * h[3 * j + k];
                }
            }
        }
        let point = Point::new(&[0.3, -1.0, 2.0], &device);
        let layout = Layout::of(&point).unwrap();
        // Rounding of the gradients, 1e-15, over the steps of 6e-6 and 1.5e-8.
        for (differences, rounding) in [
            (Differences::Central, 1e-9),
            (Differences::Richardson, 1e-9),
            (Differences::Forward, 5e-7),
        ] {
            let settings = DifferenceSettings {
                differences,
                ..Default::default()
            };
            let objective = quadratic(a.clone(), 3, &device);
            let mut hessian = Hessian::new(&point, &layout, objective, settings).unwrap();
            close(&dense(&mut hessian), &a, rounding);
            let quality = hessian.quality(3).unwrap();
            assert!(quality.symmetry_defect.unwrap() < rounding);
            assert!(quality.step_change.unwrap() < rounding);
            let mut tracker = SharpnessTracker::new(1, SharpnessTracker::difference_settings())
                .unwrap()
                .with_smallest();
            let found = tracker.measure(&mut hessian).unwrap();
            assert_eq!(found.status, Status::Converged);
            assert!((found.largest.unwrap() - 5.0).abs() < 1e-8);
            assert!((found.smallest.unwrap() + 8.0).abs() < 1e-8);
            // D = 4: eigenvalues a quarter.
            let mut tracker =
                SharpnessTracker::new(1, SharpnessTracker::difference_settings()).unwrap();
            let found = tracker
                .measure_preconditioned(&mut hessian, &[4.0; 3])
                .unwrap();
            assert!((found.largest.unwrap() - 1.25).abs() < 1e-8);
        }
    }
}

/// A linear model's least squares, `L = ‖XW − Y‖²/N`, has `H = (2/N) XᵀX`, whole and in batches.
#[test]
fn linear_regression_has_the_hessian_of_its_data() {
    for device in devices() {
        let (samples, inputs) = (12, 4);
        let (x, y) = (numbers(samples * inputs, 1), numbers(samples, 2));
        let mut expected = vec![0.0; inputs * inputs];
        for row in x.chunks(inputs) {
            for i in 0..inputs {
                for j in 0..inputs {
                    expected[i * inputs + j] += 2.0 / samples as f64 * row[i] * row[j];
                }
            }
        }
        let model: Linear = LinearConfig::new(inputs, 1).with_bias(false).init(&device);
        let model = in_precision(&model, DType::F64);
        let layout = Layout::of(&model).unwrap();
        let (tx, ty) = (
            tensor(&x, [samples, inputs], &device),
            tensor(&y, [samples, 1], &device),
        );
        let loss = |model: &Linear, from: usize, to: usize| {
            let (x, y) = (tx.clone().slice(from..to), ty.clone().slice(from..to));
            Ok((model.forward(x) - y).square().sum() * (1.0 / (to - from) as f64))
        };
        let mut whole_data = Hessian::new(
            &model,
            &layout,
            whole(|model: &Linear| loss(model, 0, samples)),
            DifferenceSettings::default(),
        )
        .unwrap();
        close(&dense(&mut whole_data), &expected, 1e-9);
        // Batches of 5, 5 and 2, each by its share.
        let ends = [0, 5, 10, 12];
        let weights = ends
            .windows(2)
            .map(|e| (e[1] - e[0]) as f64 / 12.0)
            .collect();
        let batched = Objective::batched(weights, |model: &Linear, batch: usize| {
            loss(model, ends[batch], ends[batch + 1])
        })
        .unwrap();
        let mut in_batches =
            Hessian::new(&model, &layout, batched, DifferenceSettings::default()).unwrap();
        close(&dense(&mut in_batches), &expected, 1e-9);
        // A linear model is all Gauss-Newton.
        let mut gauss_newton = GaussNewton::new(
            &model,
            &layout,
            |model: &Linear| Ok(model.forward(tx.clone())),
            |out: Tensor<2>| Ok((out - ty.clone()).square().sum() * (1.0 / samples as f64)),
            DifferenceSettings::default(),
        )
        .unwrap();
        close(&dense(&mut gauss_newton), &expected, 1e-9);
        let trace: f64 = (0..inputs).map(|k| expected[k * inputs + k]).sum();
        let settings = TraceSettings {
            products: 30,
            ..Default::default()
        };
        // Ten sketching vectors span all four dimensions and leave nothing to chance.
        let found = hutch_plus_plus(&mut whole_data, &settings).unwrap();
        assert!((found.estimate.value - trace).abs() < 1e-7);
        let density = spectral_density(&mut whole_data, &DensitySettings::default()).unwrap();
        let moment = density.trace_of(|l| l);
        assert!((moment.value - trace).abs() <= 5.0 * moment.standard_error + 1e-7);
    }
}

/// Differences, exact products and the sum of Gauss-Newton and the rest, on a network; and the rest
/// is what it must be where the residual is 0.
#[test]
fn three_ways_to_a_networks_hessian_agree() {
    let device = device();
    let network = Network::new([3, 4, 2], 5, &device);
    let layout = Layout::of(&network).unwrap();
    let x = tensor(&numbers(15, 1), [5, 3], &device);
    let y = tensor(&numbers(10, 2), [5, 2], &device);
    let loss =
        whole(|network: &Network| Ok((network.forward(x.clone()) - y.clone()).square().mean()));
    let settings = DifferenceSettings {
        differences: Differences::Richardson,
        step: Some(1e-3),
    };
    let mut differences = Hessian::new(&network, &layout, loss, settings).unwrap();
    let mut exact = ExactHessian::new(
        &network,
        &layout,
        vec![1.0],
        |network: &Network, direction: &Network, _| {
            let hidden = Tangent::constant(x.clone())
                .linear(&network.first, &direction.first)
                .tanh();
            let out = hidden.linear(&network.second, &direction.second);
            let loss = (out - Tangent::constant(y.clone())).square().mean();
            Ok(loss.tangent.expect("parameters are involved"))
        },
    )
    .unwrap();
    let matrix = dense(&mut exact);
    let n = layout.n();
    for i in 0..n {
        for j in 0..n {
            assert!((matrix[i * n + j] - matrix[j * n + i]).abs() < 1e-14);
        }
    }
    // h⁴ = (2e-3)⁴ of a sixth derivative, and rounding 1e-16/1e-3.
    close(&dense(&mut differences), &matrix, 1e-9);
    // The tanh that is differentiable once will do, as the first derivative is written down.
    let mut by_hand = ExactHessian::new(
        &network,
        &layout,
        vec![1.0],
        |network: &Network, direction: &Network, _| {
            let raw = Tangent::constant(x.clone()).linear(&network.first, &direction.first);
            let value = tanh(raw.value)?;
            let slope = 1.0 - value.clone().square();
            let tangent = raw.tangent.map(|tangent| tangent * slope);
            let out = Tangent { value, tangent }.linear(&network.second, &direction.second);
            let loss = (out - Tangent::constant(y.clone())).square().mean();
            Ok(loss.tangent.expect("parameters are involved"))
        },
    )
    .unwrap();
    close(&dense(&mut by_hand), &matrix, 1e-14);
    assert_eq!(
        symmetry_defect(&mut exact, 0).unwrap().map(|d| d < 1e-13),
        Some(true)
    );
    // Forward differences search: a gradient each, and one. Central ones, of two, are judged by.
    let loss =
        whole(|network: &Network| Ok((network.forward(x.clone()) - y.clone()).square().mean()));
    let settings_forward = DifferenceSettings {
        differences: Differences::Forward,
        step: None,
    };
    let mut forward = Hessian::new(&network, &layout, loss, settings_forward).unwrap();
    // h = 1.5e-8 · 3 of a third derivative, and rounding 1e-16/h.
    close(&dense(&mut forward), &matrix, 1e-6);
    assert_eq!(forward.gradients(), n + 1);
    let mut judged = vec![0.0; n];
    for i in 0..n {
        let unit: Vec<f64> = (0..n).map(|j| f64::from(u8::from(i == j))).collect();
        forward.residual_product(&unit, &mut judged).unwrap();
        // h² = (2e-5)² of a fourth derivative, and rounding 1e-16/2e-5.
        close(&judged, &matrix[i * n..(i + 1) * n], 1e-9);
    }
    assert_eq!(forward.gradients(), n + 1 + 2 * n);
    let mut tracker = SharpnessTracker::new(2, SharpnessTracker::difference_settings()).unwrap();
    let found = tracker.eigenpairs(&mut forward).unwrap().1;
    assert!(found.all_converged());
    for (pair, v) in found.pairs.iter().zip(found.vectors.chunks(n)) {
        exact.apply(v, &mut judged).unwrap();
        let residual: f64 = (judged.iter().zip(v))
            .map(|(hv, v)| (hv - pair.value * v).powi(2))
            .sum();
        assert!(residual.sqrt() <= 2e-6 * pair.value, "{residual:e}");
    }

    let mut gauss_newton = GaussNewton::new(
        &network,
        &layout,
        |network: &Network| Ok(network.forward(x.clone())),
        |out: Tensor<2>| Ok((out - y.clone()).square().mean()),
        DifferenceSettings::default(),
    )
    .unwrap();
    let bottom = eigenpairs(
        &mut gauss_newton,
        Wanted::Bottom(1),
        &Settings {
            rounding: 1e-8,
            asymmetry: 1e-4,
            ..Default::default()
        },
    )
    .unwrap();
    assert!(bottom.pairs[0].value > -1e-7, "positive semidefinite");
    let parts: Vec<(f64, &mut dyn Operator)> = vec![(1.0, &mut exact), (-1.0, &mut gauss_newton)];
    let rest = dense(&mut WeightedSum::new(parts).unwrap());
    assert!(
        rest.iter().any(|r| r.abs() > 1e-3),
        "the targets are not met"
    );
    // With targets that are the network's own outputs the rest is 0.
    let met = network.forward(x.clone()).detach();
    let mut gauss_newton = GaussNewton::new(
        &network,
        &layout,
        |network: &Network| Ok(network.forward(x.clone())),
        |out: Tensor<2>| Ok((out - met.clone()).square().mean()),
        DifferenceSettings::default(),
    )
    .unwrap();
    let mut whole_hessian = Hessian::new(
        &network,
        &layout,
        whole(|network: &Network| Ok((network.forward(x.clone()) - met.clone()).square().mean())),
        settings,
    )
    .unwrap();
    close(&dense(&mut gauss_newton), &dense(&mut whole_hessian), 1e-8);
}

#[test]
fn a_warm_start_needs_fewer_products_for_the_same_answer() {
    let device = device();
    let n = 60;
    let a: Vec<f64> = (0..n * n)
        .map(|k| {
            if k / n == k % n {
                (k / n + 1) as f64
            } else {
                0.0
            }
        })
        .collect();
    let point = Point::new(&numbers(n, 1), &device);
    let layout = Layout::of(&point).unwrap();
    let mut hessian = Hessian::new(
        &point,
        &layout,
        quadratic(a, n, &device),
        DifferenceSettings::default(),
    )
    .unwrap();
    let mut tracker = SharpnessTracker::new(2, SharpnessTracker::difference_settings()).unwrap();
    let cold = tracker.measure(&mut hessian).unwrap();
    let warm = tracker.measure(&mut hessian).unwrap();
    assert!(
        warm.products * 3 < cold.products,
        "{} {}",
        warm.products,
        cold.products
    );
    for found in [cold, warm] {
        close(&found.top, &[60.0, 59.0], 1e-7);
    }
}

#[test]
fn sharpness_of_a_loss_that_is_not_finite_is_undefined() {
    let device = device();
    let point = Point::new(&[-1.0, 2.0], &device);
    let layout = Layout::of(&point).unwrap();
    let loss = whole(|point: &Point| Ok(point.at.val().log().sum()));
    let mut hessian = Hessian::new(&point, &layout, loss, DifferenceSettings::default()).unwrap();
    hessian.gradient().unwrap();
    let loss = whole(|point: &Point| Ok((point.at.val() * f64::NAN).sum()));
    let mut broken = Hessian::new(&point, &layout, loss, DifferenceSettings::default()).unwrap();
    let mut tracker = SharpnessTracker::new(1, SharpnessTracker::difference_settings()).unwrap();
    let found = tracker.measure(&mut broken).unwrap();
    assert_eq!((found.status, found.largest), (Status::NotFinite, None));
    assert!(broken.choose_step(1e-6, 0).is_err());
    assert_eq!(symmetry_defect(&mut broken, 0).unwrap(), None);
    // Gradients that are finite on either side of the parameters, and not at them.
    let kink = Point::new(&[0.0, 2.0], &device);
    let layout = Layout::of(&kink).unwrap();
    let loss = whole(|point: &Point| Ok(point.at.val().square().sqrt().sum()));
    let settings = DifferenceSettings {
        differences: Differences::Forward,
        step: None,
    };
    let mut forward = Hessian::new(&kink, &layout, loss, settings).unwrap();
    assert!(forward.gradient().unwrap().1.iter().any(|g| g.is_nan()));
    let found = tracker.measure(&mut forward).unwrap();
    assert_eq!((found.status, found.largest), (Status::NotFinite, None));
    assert_eq!(found.products, 1);
}

#[test]
fn thresholds_are_those_of_the_papers() {
    let (learning_rate, momentum) = (0.1, 0.9);
    let value = |threshold: StabilityThreshold| threshold.value().unwrap();
    let cases = [
        (StabilityThreshold::GradientDescent { learning_rate }, 20.0),
        (
            StabilityThreshold::Polyak {
                learning_rate,
                momentum,
            },
            38.0,
        ),
        (
            StabilityThreshold::Nesterov {
                learning_rate,
                momentum,
            },
            38.0 / 2.8,
        ),
        (
            StabilityThreshold::Adam {
                learning_rate,
                momentum,
            },
            380.0,
        ),
    ];
    for (threshold, expected) in cases {
        assert!((value(threshold) - expected).abs() < 1e-10 * expected);
    }
    let bad = StabilityThreshold::GradientDescent { learning_rate: 0.0 };
    assert!(bad.value().is_err());
    // One step of Adam: v = 0.001 g², corrected to g².
    let p = adam_preconditioner(&[0.001 * 9.0], 0.999, 1e-8, 1).unwrap();
    assert!((p[0] - 3.0).abs() < 1e-7);
}

/// The same numbers and gradients as Burn's, in either precision, and without gradients.
#[test]
fn tanh_is_burns() {
    for device in devices() {
        // More than one thread's share.
        let points: Vec<f64> = numbers(40_000, 11).iter().map(|x| 4.0 * x).collect();
        let weights = numbers(40_000, 12);
        // Rounding of the output, of the other's output, and twice each in 1 − y².
        for (dtype, tolerance) in [(DType::F64, 1e-15), (DType::F32, 5e-7)] {
            let x: Tensor<2> = host::write(points.clone(), [200, 200], &device, dtype);
            let w: Tensor<2> = host::write(weights.clone(), [200, 200], &device, dtype);
            let both = |of: &dyn Fn(Tensor<2>) -> Tensor<2>| {
                let leaf = x.clone().detach().require_grad();
                let y = of(leaf.clone());
                let gradients = (y.clone() * w.clone()).sum().backward();
                let gradient = leaf.grad(&gradients).expect("a leaf");
                let read = |t: &Tensor<2>| host::read("t", t).unwrap();
                (read(&y), read(&gradient))
            };
            let (y, gradient) = both(&|x| tanh(x).unwrap());
            let (expected, expected_gradient) = both(&|x| x.tanh());
            close(&y, &expected, tolerance);
            close(&gradient, &expected_gradient, tolerance);
        }
        let plain = tensor(&points, [200, 200], &device).without_autodiff();
        let y = host::read("y", &tanh(plain).unwrap()).unwrap();
        let expected: Vec<f64> = points.iter().map(|x| x.tanh()).collect();
        close(&y, &expected, 1e-15);
    }
}
