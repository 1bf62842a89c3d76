//! Gradients of components and of single samples, SNR and noise scale against closed forms.

mod support;

use burn::nn::Linear;
use burn::tensor::{Tensor, activation};
use feasible_core::host::read;
use feasible_dynamics::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use support::*;

#[test]
fn components_have_the_cosines_they_were_made_with() {
    for device in devices() {
        let point = Point::new(&[2.0, -1.0], &device);
        let layout = Layout::of(&point).unwrap();
        let directions = [[1.0, 0.0], [3.0, 3.0], [-2.0, 0.0], [0.0, 5.0]];
        let names = ["a", "b", "c", "d", "none"];
        let mut components = LossComponents::new(&names, |point: &Point, k: usize| {
            Ok(match directions.get(k) {
                Some(d) => (point.at.val() * tensor(d, [2], &device)).sum(),
                // A part that does not depend on the parameters.
                None => tensor(&[4.0], [1], &device),
            })
        })
        .unwrap();
        let found = components.gradients(&point, &layout).unwrap();
        assert_eq!(found.values, [2.0, 3.0, -4.0, -5.0, 4.0]);
        assert_eq!(components.values(&point).unwrap(), found.values);
        close(&found.norms(), &[1.0, 18f64.sqrt(), 2.0, 5.0, 0.0], 1e-15);
        let cosines = found.cosines();
        let between = |a, b| cosines.between(a, b);
        close(&[between("a", "b").unwrap()], &[0.5f64.sqrt()], 1e-15);
        assert_eq!(between("a", "c"), Some(-1.0));
        assert_eq!(between("a", "d"), Some(0.0));
        assert_eq!(between("a", "none"), None);
        assert_eq!(between("none", "none"), None);
        assert_eq!(between("a", "nobody"), None);
    }
}

#[test]
fn cosines_of_groups_are_undefined_where_a_part_does_not_reach() {
    let device = device();
    let network = Network::new([2, 3, 1], 3, &device);
    let layout = Layout::of(&network).unwrap();
    let x = tensor(&numbers(8, 1), [4, 2], &device);
    let mut components = LossComponents::new(&["fit", "decay"], |network: &Network, k: usize| {
        Ok(match k {
            0 => network.forward(x.clone()).square().mean(),
            _ => network.first.weight.val().square().sum(),
        })
    })
    .unwrap();
    let found = components.gradients(&network, &layout).unwrap();
    let cosines = found.cosines();
    let group = |name: &str| &cosines.groups.iter().find(|g| g.0 == name).unwrap().1;
    assert_eq!(group("second.weight")[0][1], None);
    assert_eq!(
        group("second.weight")[0][0].map(|c| (c - 1.0).abs() < 1e-15),
        Some(true)
    );
    let range = 0..6;
    let weights = layout.flatten(&network).unwrap()[range.clone()].to_vec();
    let expected = cosine(&found.gradients[0][range], &weights).unwrap();
    // The gradient of ‖W‖² is 2 W.
    close(&[group("first.weight")[0][1].unwrap()], &[expected], 1e-14);
}

#[test]
fn tiny_and_huge_gradients_have_cosines() {
    close(
        &[cosine(&[1e-200, 1e-200], &[1e200, 0.0]).unwrap()],
        &[0.5f64.sqrt()],
        1e-15,
    );
    assert_eq!(cosine(&[f64::NAN, 1.0], &[1.0, 1.0]), None);
    assert_eq!(cosine(&[f64::INFINITY, 1.0], &[1.0, 1.0]), None);
    assert_eq!(cosine(&[1.0], &[1.0, 1.0]), None);
}

#[test]
fn a_projection_lets_through_the_gradient_along_it() {
    for device in devices() {
        // Onto the line of (0.6, 0.8).
        let p = tensor(&[0.36, 0.48, 0.48, 0.64], [2, 2], &device);
        let raw = tensor(&[1.0, 5.0, -2.0, 3.0, 0.0, 0.0], [3, 2], &device);
        let weights = tensor(&[1.0, 0.0, -0.8, 0.6, 0.0, 0.0], [3, 2], &device);
        let found = layer_gradients(
            raw.clone(),
            |raw| Ok(raw.matmul(p)),
            |y| Ok((y * weights.clone()).sum()),
        )
        .unwrap();
        close(&found.after, &[1.0, 1.0, 0.0], 1e-15);
        close(&found.before, &[0.6, 0.0, 0.0], 1e-15);
        let ratios = found.ratios();
        assert!((ratios[0].unwrap() - 0.6).abs() < 1e-15 && ratios[1].unwrap() < 1e-15);
        assert_eq!(ratios[2], None);
        assert!((found.mean_ratio().unwrap() - 0.3).abs() < 1e-15);
        let constant = layer_gradients(
            raw.clone(),
            |raw| Ok(raw.detach().zeros_like()),
            |y| Ok((y * weights.clone()).sum()),
        )
        .unwrap();
        assert_eq!(constant.before, [0.0; 3]);
        let error =
            layer_gradients(raw, Ok, |y| Ok(y.detach().set_require_grad(false).sum())).unwrap_err();
        assert!(
            error.to_string().contains("`loss` does not depend"),
            "{error}"
        );
    }
}

/// Sample i of `½ (w·x_i − y_i)²` has the gradient `(w·x_i − y_i) x_i`.
#[test]
fn the_samples_of_a_linear_model_have_the_gradients_of_the_closed_form() {
    for device in devices() {
        let (samples, inputs) = (9, 4);
        let (x, y) = (numbers(samples * inputs, 4), numbers(samples, 5));
        let w = numbers(inputs, 6);
        let mut expected = Vec::new();
        for (x, y) in x.chunks(inputs).zip(&y) {
            let residual = x.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>() - y;
            expected.extend(x.iter().map(|x| residual * x));
        }
        let (tx, ty) = (
            tensor(&x, [samples, inputs], &device),
            tensor(&y, [samples, 1], &device),
        );
        let model = Linear {
            weight: burn::module::Param::from_tensor(tensor(&w, [inputs, 1], &device)),
            bias: None,
        };
        let layout = Layout::of(&model).unwrap();
        let captured = captured_gradients(&model, &layout, |model, capture| {
            let residual = capture.linear(model, tx.clone()) - ty.clone();
            Ok((residual.square() * 0.5).squeeze_dim::<1>(1))
        })
        .unwrap();
        close(rows_of(&captured).rows(), &expected, 1e-14);
        let one_by_one = per_sample_gradients(&model, &layout, samples, |model, i| {
            let (x, y) = (tx.clone().slice(i..i + 1), ty.clone().slice(i..i + 1));
            Ok(((model.forward(x) - y).square() * 0.5).sum())
        })
        .unwrap();
        close(one_by_one.rows(), &expected, 1e-14);
    }
}

fn rows_of(captured: &CapturedGradients) -> PerSampleGradients {
    let mut rows = PerSampleGradients::default();
    captured.per_sample(&mut rows).unwrap();
    rows
}

fn network_losses(
    network: &Network,
    capture: &mut Capture,
    x: &Tensor<2>,
) -> Result<Tensor<1>, EvaluationError> {
    let hidden = capture.linear(&network.first, x.clone()).tanh();
    let out = activation::softplus(capture.linear(&network.second, hidden), 1.0);
    Ok(out.square().sum_dim(1).squeeze_dim::<1>(1))
}

#[test]
fn captured_gradients_are_those_of_single_backward_passes() {
    for device in devices() {
        let network = Network::new([3, 5, 2], 8, &device);
        let layout = Layout::of(&network).unwrap();
        let samples = 7;
        let x = tensor(&numbers(samples * 3, 9), [samples, 3], &device);
        let one_by_one = per_sample_gradients(&network, &layout, samples, |network, i| {
            let out = activation::softplus(network.forward(x.clone().slice(i..i + 1)), 1.0);
            Ok(out.square().sum())
        })
        .unwrap();
        let captured =
            captured_gradients(&network, &layout, |n, c| network_losses(n, c, &x)).unwrap();
        let rows = rows_of(&captured);
        close(rows.rows(), one_by_one.rows(), 1e-14);
        assert_eq!(rows.sample(7), &[] as &[f64]);
        for old in [vec![7.0; 8 * layout.n()], vec![7.0; layout.n()]] {
            let mut old = PerSampleGradients::new(layout.n(), old).unwrap();
            captured.per_sample(&mut old).unwrap();
            assert_eq!(old, rows);
        }
        // A smaller batch between two whole ones leaves the memory.
        let fewer = x.clone().slice(0..2);
        let fewer = captured_gradients(&network, &layout, |n, c| network_losses(n, c, &fewer));
        let mut kept = rows.clone();
        let memory = kept.rows().as_ptr();
        fewer.unwrap().per_sample(&mut kept).unwrap();
        assert_eq!(kept.samples(), 2);
        captured.per_sample(&mut kept).unwrap();
        assert_eq!(kept, rows);
        assert_eq!(kept.rows().as_ptr(), memory);
        let mapped = captured.map_samples(|i, gradient| (i, gradient.to_vec()));
        let each = (0..samples).map(|i| (i, rows.sample(i).to_vec()));
        assert_eq!(mapped.unwrap(), each.collect::<Vec<_>>());
        // The moments without the rows are those of the rows.
        let (direct, of_rows) = (captured.moments().unwrap(), rows.moments());
        close(&direct.mean(), &of_rows.mean(), 1e-14);
        close(&direct.sample_norms(), &of_rows.sample_norms(), 1e-14);
        close(
            &direct.variances().unwrap(),
            &of_rows.variances().unwrap(),
            1e-13,
        );
        let (direct, of_rows) = (
            direct.noise_scale().unwrap(),
            of_rows.noise_scale().unwrap(),
        );
        close(
            &[
                direct.trace,
                direct.gradient_squared,
                direct.interval.unwrap().lower,
            ],
            &[
                of_rows.trace,
                of_rows.gradient_squared,
                of_rows.interval.unwrap().lower,
            ],
            1e-12,
        );
        // The mean is the gradient of the mean loss.
        let mut loss = whole(|network: &Network| {
            let out = activation::softplus(network.forward(x.clone()), 1.0);
            Ok(out.square().sum() * (1.0 / samples as f64))
        });
        let (value, gradient) = loss.gradient(&network, &layout).unwrap();
        close(&rows.moments().mean(), &gradient, 1e-14);
        let mean = captured.losses().iter().sum::<f64>() / samples as f64;
        close(&[mean], &[value], 1e-14);
        // A part of the parameters.
        let biases = layout.subset(|g| g.name.ends_with("bias")).unwrap();
        let part = captured_gradients(&network, &biases, |n, c| network_losses(n, c, &x)).unwrap();
        let mask = layout.mask(|g| g.name.ends_with("bias"));
        let picked: Vec<f64> = rows
            .rows()
            .iter()
            .zip(mask.iter().cycle())
            .filter(|(_, keep)| **keep)
            .map(|(v, _)| *v)
            .collect();
        close(rows_of(&part).rows(), &picked, 1e-14);
        assert_eq!(part.moments().unwrap().samples(), samples);
    }
}

#[test]
fn a_layer_used_twice_and_a_layer_forgotten() {
    let device = device();
    let network = Network::new([3, 3, 2], 8, &device);
    let first = &network.first;
    let layout = Layout::of(first).unwrap();
    let x = tensor(&numbers(12, 9), [4, 3], &device);
    let twice = captured_gradients(first, &layout, |layer, capture| {
        let hidden = capture.linear(layer, x.clone()).tanh();
        Ok(capture
            .linear(layer, hidden)
            .square()
            .sum_dim(1)
            .squeeze_dim::<1>(1))
    })
    .unwrap();
    let single = per_sample_gradients(first, &layout, 4, |layer, i| {
        let hidden = layer.forward(x.clone().slice(i..i + 1)).tanh();
        Ok(layer.forward(hidden).square().sum())
    })
    .unwrap();
    let mut rows = rows_of(&twice);
    close(rows.rows(), single.rows(), 1e-14);
    twice.per_sample(&mut rows).unwrap();
    close(rows.rows(), single.rows(), 1e-14);
    let mapped = twice.map_samples(|_, gradient| gradient.to_vec()).unwrap();
    assert_eq!(mapped.concat(), rows.rows());
    close(
        &twice.moments().unwrap().sample_norms(),
        &single.moments().sample_norms(),
        1e-14,
    );
    // Two layers with one bias.
    let square = Network::new([3, 3, 3], 8, &device);
    let mut second = square.second.clone();
    second.bias.clone_from(&square.first.bias);
    let network = Network { second, ..square };
    let layout = Layout::of(&network.first).unwrap();
    let losses = |out: Tensor<2>| out.square().sum_dim(1).squeeze_dim::<1>(1);
    let tied = captured_gradients(&network.first, &layout, |_, capture| {
        let hidden = capture.linear(&network.first, x.clone()).tanh();
        Ok(losses(capture.linear(&network.second, hidden)))
    })
    .unwrap();
    let single = per_sample_gradients(&network.first, &layout, 4, |_, i| {
        Ok(losses(network.forward(x.clone().slice(i..i + 1))))
    })
    .unwrap();
    close(rows_of(&tied).rows(), single.rows(), 1e-14);
    close(
        &tied.moments().unwrap().sample_norms(),
        &single.moments().sample_norms(),
        1e-14,
    );
    let network = Network::new([3, 3, 2], 8, &device);
    let layout = Layout::of(&network).unwrap();
    let error = captured_gradients(&network, &layout, |network, capture| {
        let hidden = capture.linear(&network.first, x.clone()).tanh();
        Ok(network
            .second
            .forward(hidden)
            .square()
            .sum_dim(1)
            .squeeze_dim::<1>(1))
    })
    .unwrap_err();
    assert!(
        error.to_string().contains("do not capture `second.weight`"),
        "{error}"
    );
    let error = captured_gradients(&network, &layout, |network, capture| {
        network_losses(network, capture, &x).map(Tensor::sum)
    })
    .unwrap_err();
    assert!(error.to_string().contains("one a sample"), "{error}");
}

#[test]
fn signal_to_noise_ratios_by_hand() {
    // Means 2, 2, 0, 3; variances over N − 1: 2, 0, 0, 8.
    let rows = vec![1.0, 2.0, 0.0, 5.0, 3.0, 2.0, 0.0, 1.0];
    let moments = PerSampleGradients::new(4, rows).unwrap().moments();
    let snr = moments.parameter_snr().unwrap();
    assert_eq!((snr.finite, snr.infinite, snr.undefined), (2, 1, 1));
    assert_eq!(snr.mean, Some((2.0 + 9.0 / 8.0) / 2.0));
    // 9/8, 2, ∞.
    assert_eq!(snr.median, Some(2.0));
    assert_eq!(moments.global_snr(), Some(17.0 / 10.0));
    assert_eq!(moments.trace_covariance(), Some(10.0));
    let one = PerSampleGradients::new(4, vec![1.0; 4]).unwrap().moments();
    assert_eq!(
        (one.parameter_snr(), one.global_snr(), one.noise_scale()),
        (None, None, None)
    );
    let same = PerSampleGradients::new(2, [0.1, 0.7].repeat(50))
        .unwrap()
        .moments();
    assert_eq!(same.global_snr(), None, "no noise to compare with");
    assert_eq!(same.parameter_snr().unwrap().infinite, 2);
}

/// The population is the samples themselves: over all pairs drawn with replacement both parts have
/// their exact means, `|Ḡ|²` and the trace of the covariance over N.
#[test]
fn two_batch_sizes_estimate_the_population_exactly() {
    let (samples, inputs) = (6, 3);
    let (x, y, w) = (numbers(18, 1), numbers(6, 2), numbers(3, 3));
    let gradients: Vec<Vec<f64>> = x
        .chunks(inputs)
        .zip(&y)
        .map(|(x, y)| {
            let residual = x.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>() - y;
            x.iter().map(|x| residual * x).collect()
        })
        .collect();
    let mut tracker = NoiseScaleTracker::new(1, 2, samples * samples).unwrap();
    for a in &gradients {
        for b in &gradients {
            let (small, big) = squared_norms(&[a.clone(), b.clone()]).unwrap();
            tracker.observe(small, big).unwrap();
        }
    }
    let mean: Vec<f64> = (0..inputs)
        .map(|k| gradients.iter().map(|g| g[k]).sum::<f64>() / samples as f64)
        .collect();
    let squared: f64 = mean.iter().map(|m| m * m).sum();
    let second: f64 = gradients.iter().flatten().map(|g| g * g).sum::<f64>() / samples as f64;
    let found = tracker.estimate().unwrap();
    close(
        &[found.gradient_squared, found.trace, found.scale.unwrap()],
        &[squared, second - squared, (second - squared) / squared],
        1e-13,
    );
    // From all samples at once the trace is the covariance over N − 1.
    let rows = PerSampleGradients::new(inputs, gradients.concat()).unwrap();
    let all = rows.moments().noise_scale().unwrap();
    let trace = (second - squared) * samples as f64 / (samples - 1) as f64;
    close(
        &[all.trace, all.gradient_squared],
        &[trace, squared - trace / samples as f64],
        1e-13,
    );
    close(
        &[rows.moments().trace_covariance().unwrap()],
        &[trace],
        1e-13,
    );
}

#[test]
fn a_noise_scale_without_a_gradient_is_undefined() {
    let mut tracker = NoiseScaleTracker::new(1, 2, 10).unwrap();
    assert_eq!(tracker.estimate(), None);
    tracker.observe(1.0, 0.1).unwrap();
    let found = tracker.estimate().unwrap();
    assert!((found.gradient_squared + 0.8).abs() < 1e-15 && (found.trace - 1.8).abs() < 1e-15);
    assert_eq!(
        (
            found.scale,
            found.critical_batch_size(),
            found.step_efficiency(8.0)
        ),
        (None, None, None)
    );
    assert!(tracker.observe(f64::NAN, 1.0).is_err());
    assert_eq!(tracker.estimate().unwrap().observations, 1);
    assert!(NoiseScaleTracker::new(4, 4, 1).is_err() && NoiseScaleTracker::new(0, 4, 1).is_err());
    // The window forgets: only (1, 1), without noise, is left.
    for _ in 0..10 {
        tracker.observe(1.0, 1.0).unwrap();
    }
    assert_eq!(tracker.estimate().unwrap().scale, Some(0.0));
}

/// Normal gradients with |G|² = 1 and tr Σ = 12: the interval has the scale in about 95 of 100
/// cases, from samples and from steps, and no upper end where the gradient is 0.
#[test]
fn intervals_cover_the_scale_as_often_as_they_say() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (n, samples, repeats) = (12, 300, 400);
    let mut draw = |mean: f64, count: usize| -> Vec<f64> {
        (0..count * n)
            .map(|k| {
                let noise: f64 = StandardNormal.sample(&mut rng);
                noise + if k % n == 0 { mean } else { 0.0 }
            })
            .collect()
    };
    let has = |interval: Option<ScaleInterval>| {
        interval.is_some_and(|i| i.lower <= 12.0 && i.upper.is_none_or(|u| u >= 12.0))
    };
    let (mut by_samples, mut by_steps, mut unbounded) = (0, 0, 0);
    for _ in 0..repeats {
        let rows = draw(1.0, samples);
        let moments = PerSampleGradients::new(n, rows.clone()).unwrap().moments();
        by_samples += usize::from(has(moments.noise_scale().unwrap().interval));
        let mut tracker = NoiseScaleTracker::new(1, 4, 75).unwrap();
        for step in rows.chunks(4 * n) {
            let batch: Vec<Vec<f64>> = step.chunks(n).map(<[f64]>::to_vec).collect();
            let (small, big) = squared_norms(&batch).unwrap();
            tracker.observe(small, big).unwrap();
        }
        by_steps += usize::from(has(tracker.estimate().unwrap().interval));
        let nothing = PerSampleGradients::new(n, draw(0.0, samples))
            .unwrap()
            .moments();
        let found = nothing.noise_scale().unwrap();
        unbounded += usize::from(found.interval.is_none_or(|i| i.upper.is_none()));
    }
    // Four standard deviations of a count with probability 0.95, and 1 % for normality.
    let least = (repeats as f64 * 0.94 - 4.0 * (repeats as f64 * 0.95 * 0.05).sqrt()) as usize;
    assert!(
        by_samples >= least && by_samples < repeats,
        "{by_samples} of {repeats}"
    );
    assert!(
        by_steps >= least && by_steps < repeats,
        "{by_steps} of {repeats}"
    );
    assert!(unbounded >= least, "{unbounded} of {repeats}");
}

#[test]
fn progress_of_a_step_at_the_critical_batch_size_is_one_half() {
    let rows = PerSampleGradients::new(1, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let found = rows.moments().noise_scale().unwrap();
    let critical = found.critical_batch_size().unwrap();
    assert!((found.step_efficiency(critical).unwrap() - 0.5).abs() < 1e-15);
    let kept = read("x", &tensor(&[1.0], [1], &device())).unwrap();
    assert_eq!(kept, [1.0]);
}
