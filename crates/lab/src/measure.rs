//! Training dynamics recorded by name: gradients, sharpness, what the layer lets through.

use std::time::Instant;

use burn::tensor::Tensor;
use feasible_core::host;
use feasible_dynamics::{
    EvaluationError, Hessian, Layout, LossComponents, NoiseScaleTracker, Rows, SharpnessTracker,
    StabilityThreshold, adam_preconditioner, captured_gradients, evaluating, jacobian_summary,
    jacobians, layer_gradients, squared_norms, whole,
};
use feasible_nn::Mlp;

use crate::config::{Measure, OptimizerKind, RunConfig};
use crate::hessian::{for_a_figure, loss_hessian, sharpness};
use crate::loss::{Loss, PARTS};
use crate::{Error, Optimizer, Task, flow};

/// Micro-batches that the samples are divided into for the noise scale.
const MICRO_BATCHES: usize = 8;
/// Measurements that the noise scale is averaged over.
const NOISE_WINDOW: usize = 20;
/// Samples whose Jacobians are taken: each costs a backward pass an output.
const JACOBIAN_SAMPLES: usize = 8;
/// Singular values below this share of the largest count as 0: ten times the tolerance to which the
/// layers solve, relative to derivatives of order one.
const RANK_TOLERANCE: f64 = 1e-5;

/// Value and name of what was measured; what is undefined is left out.
pub(crate) type Values = Vec<(&'static str, f64)>;

/// The state of a run that is measured.
pub(crate) struct Subject<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) task: &'a Task,
    pub(crate) network: &'a Mlp,
    pub(crate) optimizer: &'a Optimizer,
    /// With automatic differentiation.
    pub(crate) loss: &'a Loss<'a>,
}

/// What measurements keep from one time to the next: eigenvectors to start from, and the last noise
/// scales. A resumed run starts without them, which changes its figures within their tolerance.
#[derive(Debug, Default)]
pub(crate) struct Instruments {
    sharpness: Option<SharpnessTracker>,
    preconditioned: Option<SharpnessTracker>,
    noise: Option<NoiseScaleTracker>,
}

impl Instruments {
    /// Everything that the settings name, at the run's state, with the seconds that it took.
    pub(crate) fn measure(&mut self, subject: &Subject<'_>) -> Result<Values, Error> {
        let start = Instant::now();
        let training = &subject.config.training;
        let samples = training.measure_samples.min(subject.task.train_samples());
        let batch = Batch {
            subject,
            network: evaluating(subject.network),
            x: subject
                .task
                .training_inputs(&(0..samples).collect::<Vec<_>>()),
            samples,
        };
        let layout = Layout::of(&batch.network)?;
        let mut values = Values::new();
        let raw = host::read("prediction", &batch.network.forward(batch.x.clone()))?;
        if raw.iter().any(|v| !v.is_finite()) {
            // A network that has diverged in evaluation mode has no dynamics; layers refuse it.
            return Ok(values);
        }
        for measure in &training.measure {
            match measure {
                Measure::Cosine => batch.cosines(&layout, &mut values)?,
                Measure::LayerGradients => batch.layer_gradients(&mut values)?,
                Measure::Jacobian => batch.jacobians(&mut values)?,
                Measure::NoiseScale => self.noise_scale(&batch, &layout, &mut values)?,
                Measure::Sharpness => self.sharpness(&batch, &layout, &mut values)?,
                Measure::Snr => batch.signal_to_noise(&layout, &mut values)?,
                // Of start, middle and end.
                Measure::Spectrum | Measure::Density | Measure::Landscape => {}
            }
        }
        values.push(("seconds", start.elapsed().as_secs_f64()));
        Ok(values)
    }

    fn noise_scale(
        &mut self,
        batch: &Batch<'_>,
        layout: &Layout,
        values: &mut Values,
    ) -> Result<(), Error> {
        let size = batch.samples / MICRO_BATCHES;
        if size == 0 {
            return Ok(());
        }
        let mut gradients = Vec::new();
        for k in 0..MICRO_BATCHES {
            let x = batch.x.clone().narrow(0, k * size, size);
            let mut loss = whole(|network: &Mlp| Ok(batch.loss(network, &x)?));
            gradients.push(loss.gradient(&batch.network, layout)?.1);
        }
        let (small, big) = squared_norms(&gradients)?;
        if !small.is_finite() || !big.is_finite() {
            return Ok(());
        }
        let tracker = match &mut self.noise {
            Some(tracker) => tracker,
            none => none.insert(NoiseScaleTracker::new(
                size,
                size * MICRO_BATCHES,
                NOISE_WINDOW,
            )?),
        };
        tracker.observe(small, big)?;
        if let Some(found) = tracker.estimate() {
            values.push(("gradient_squared", found.gradient_squared));
            values.push(("gradient_variance", found.trace));
            values.extend(found.scale.map(|scale| ("noise_scale", scale)));
            if let Some(interval) = found.interval {
                values.push(("noise_scale_low", interval.lower));
                values.extend(interval.upper.map(|upper| ("noise_scale_high", upper)));
            }
        }
        Ok(())
    }

    /// Of the mean loss of a sample. A step follows the SUM over its batch, so the threshold for the
    /// mean has the learning rate times the batch.
    fn sharpness(
        &mut self,
        batch: &Batch<'_>,
        layout: &Layout,
        values: &mut Values,
    ) -> Result<(), Error> {
        let training = &batch.subject.config.training;
        let mut hessian = batch.hessian(layout)?;
        let found = sharpness(tracker(&mut self.sharpness)?, &mut hessian, None)?;
        values.extend(found.largest.map(|largest| ("sharpness", largest)));
        values.extend(found.residual.map(|r| ("sharpness_residual", r)));
        values.push(("sharpness_products", found.products as f64));
        values.push(("sharpness_symmetry_defect", found.symmetry_defect));
        let batch_size = training.batch.min(batch.subject.task.train_samples());
        let rate = batch.subject.config.optimizer().learning_rate * batch_size as f64;
        match batch.subject.config.optimizer().kind {
            OptimizerKind::Sgd { momentum } => {
                let threshold = StabilityThreshold::Polyak {
                    learning_rate: rate,
                    momentum,
                };
                values.push(("sharpness_threshold", threshold.value()?));
            }
            OptimizerKind::GradientDescent => {
                let threshold = StabilityThreshold::GradientDescent {
                    learning_rate: rate,
                };
                values.push(("sharpness_threshold", threshold.value()?));
            }
            // The flow itself has no threshold: this is what its Runge-Kutta steps bear.
            OptimizerKind::GradientFlow { substeps } => {
                let limit = flow::STABILITY * substeps as f64 / rate;
                values.push(("sharpness_limit", limit));
            }
            OptimizerKind::Adam(adam) | OptimizerKind::AdamW { moments: adam, .. } => {
                let Some((layout, moments, step)) =
                    second_moments(batch.subject.optimizer, layout)?
                else {
                    return Ok(());
                };
                let mut hessian = batch.hessian(&layout)?;
                let diagonal = adam_preconditioner(&moments, adam.beta2, adam.epsilon, step)?;
                let tracker = tracker(&mut self.preconditioned)?;
                let found = sharpness(tracker, &mut hessian, Some(&diagonal))?;
                values.extend(found.largest.map(|l| ("preconditioned_sharpness", l)));
                let threshold = StabilityThreshold::Adam {
                    learning_rate: rate,
                    momentum: adam.beta1,
                };
                values.push(("preconditioned_threshold", threshold.value()?));
            }
        }
        Ok(())
    }
}

/// The tracker, made where there is none.
fn tracker(slot: &mut Option<SharpnessTracker>) -> Result<&mut SharpnessTracker, Error> {
    match slot {
        Some(tracker) => Ok(tracker),
        none => Ok(none.insert(SharpnessTracker::new(1, for_a_figure(1e-4, 200))?)),
    }
}

/// A parameter whose second moments are all below this share of the largest is not trained: a bias
/// before batch normalisation has a gradient of rounding alone, which is this small, squared, and an
/// Adam that divides by it. In evaluation mode the loss does depend on it.
const UNTRAINED: f64 = 1e-20;

/// The parameters that are trained, Adam's second moments of them, and its steps; `None` before its
/// first.
fn second_moments(
    optimizer: &Optimizer,
    layout: &Layout,
) -> Result<Option<(Layout, Vec<f64>, u32)>, Error> {
    let states = optimizer.save();
    let mut all = Vec::new();
    let mut steps = 0;
    for (name, _) in layout.ranges() {
        let Some(state) = states.get(name) else {
            return Ok(None);
        };
        let Some(second) = state.moments.get(1) else {
            return Ok(None);
        };
        let Ok(second) = second.clone().convert::<f64>().try_into_vec::<f64>() else {
            return Ok(None);
        };
        all.push((name.to_owned(), second));
        steps = steps.max(state.steps);
    }
    let largest = |moments: &[f64]| moments.iter().fold(0.0f64, |m, v| m.max(*v));
    let limit = UNTRAINED * all.iter().map(|(_, m)| largest(m)).fold(0.0, f64::max);
    all.retain(|(_, moments)| largest(moments) > limit);
    let Ok(trained) = layout.subset(|group| all.iter().any(|(name, _)| *name == group.name)) else {
        return Ok(None);
    };
    let moments = all.into_iter().flat_map(|(_, moments)| moments).collect();
    Ok(u32::try_from(steps)
        .ok()
        .map(|step| (trained, moments, step)))
}

/// The samples that are measured, and the network in evaluation mode.
struct Batch<'a> {
    subject: &'a Subject<'a>,
    network: Mlp,
    x: Tensor<2>,
    samples: usize,
}

impl Batch<'_> {
    /// Of the mean loss, in the layout's parameters.
    #[allow(clippy::type_complexity, reason = "a closure has no name of its own")]
    fn hessian(
        &self,
        layout: &Layout,
    ) -> Result<Hessian<Mlp, impl FnMut(&Mlp, usize) -> Result<Tensor<1>, EvaluationError>>, Error>
    {
        loss_hessian(&self.network, layout, self.subject.loss, &self.x)
    }

    fn loss(&self, network: &Mlp, x: &Tensor<2>) -> Result<Tensor<1>, Error> {
        self.subject.loss.total(x, network.forward(x.clone()))
    }

    fn cosines(&self, layout: &Layout, values: &mut Values) -> Result<(), Error> {
        let mut components = LossComponents::new(&PARTS, |network: &Mlp, part: usize| {
            let loss = self.subject.loss;
            let y = loss.repaired(&self.x, network.forward(self.x.clone()))?;
            Ok::<_, EvaluationError>(loss.part(&self.x, y, part)?)
        })?;
        let found = components.gradients(&self.network, layout)?;
        let norms = found.norms();
        let cosines = found.cosines().whole;
        values.extend([
            ("gradient_objective", norms[0]),
            ("gradient_upper", norms[1]),
            ("gradient_lower", norms[2]),
        ]);
        for (name, cosine) in [
            ("cosine_objective_upper", cosines[0][1]),
            ("cosine_objective_lower", cosines[0][2]),
            ("cosine_upper_lower", cosines[1][2]),
        ] {
            values.extend(cosine.map(|cosine| (name, cosine)));
        }
        Ok(())
    }

    /// Of the linear layers' weights and biases, over the samples: one backward pass for all.
    fn signal_to_noise(&self, layout: &Layout, values: &mut Values) -> Result<(), Error> {
        let linear = layout.subset(|group| group.name.starts_with("linear"))?;
        let found = captured_gradients(&self.network, &linear, |network, capture| {
            let raw = network.forward_with(self.x.clone(), |layer, x| capture.linear(layer, x));
            Ok(self.subject.loss.samples(&self.x, raw)?)
        })?;
        let moments = found.moments()?;
        if let Some(snr) = moments.parameter_snr() {
            values.extend(snr.mean.map(|mean| ("snr_mean", mean)));
            values.extend(snr.median.map(|median| ("snr_median", median)));
        }
        values.extend(moments.global_snr().map(|snr| ("snr_global", snr)));
        Ok(())
    }

    fn layer_gradients(&self, values: &mut Values) -> Result<(), Error> {
        let raw = self.network.forward(self.x.clone());
        let found = layer_gradients(
            raw,
            |raw| Ok(self.subject.loss.repaired(&self.x, raw)?),
            |y| Ok(self.subject.loss.after_layer(&self.x, y)?.mean()),
        )?;
        let mean = |norms: &[f64]| norms.iter().sum::<f64>() / norms.len() as f64;
        values.push(("layer_gradient_before", mean(&found.before)));
        values.push(("layer_gradient_after", mean(&found.after)));
        values.extend(
            found
                .mean_ratio()
                .map(|ratio| ("layer_gradient_ratio", ratio)),
        );
        Ok(())
    }

    /// Of the layer alone, at the raw predictions of the first samples.
    fn jacobians(&self, values: &mut Values) -> Result<(), Error> {
        let x = self
            .x
            .clone()
            .narrow(0, 0, JACOBIAN_SAMPLES.min(self.samples));
        let raw = self.network.forward(x.clone());
        // As numbers: the network's own graph has no part in it.
        let raw = host::write(
            host::read("prediction", &raw)?,
            raw.dims(),
            &raw.device(),
            raw.dtype(),
        );
        let layer = |raw: Tensor<2>| Ok(self.subject.loss.repaired(&x, raw)?);
        let found = jacobian_summary(&jacobians(raw, layer, Rows::OnePass)?, RANK_TOLERANCE)?;
        for (name, value) in [
            ("jacobian_largest", found.largest),
            ("jacobian_effective_rank", found.effective_rank),
            ("jacobian_stable_rank", found.stable_rank),
            ("jacobian_rank", found.numerical_rank),
            ("jacobian_dead_directions", found.dead_directions),
        ] {
            values.extend(value.map(|value| (name, value)));
        }
        Ok(())
    }
}
