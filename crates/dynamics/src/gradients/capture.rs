//! Gradients of all samples from one backward pass through linear layers.

use std::collections::BTreeSet;
use std::ops::Range;

use burn::module::{Module, ParamId};
use burn::nn::Linear;
use burn::tensor::Tensor;
use feasible_core::host;
use rayon::prelude::*;

use crate::error::EvaluationError;
use crate::gradients::moments::GradientMoments;
use crate::gradients::per_sample::PerSampleGradients;
use crate::{Error, Layout};

/// Stands in for the linear layers of a forward pass and keeps what their gradients are made of.
///
/// Everything else in the pass must treat samples apart: activations, a constraint layer, per-sample
/// losses; not normalisation by the batch's own statistics.
#[derive(Debug, Default)]
pub struct Capture {
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    weight: ParamId,
    bias: Option<ParamId>,
    input: Tensor<2>,
    leaf: Tensor<2>,
}

impl Capture {
    /// The layer's output for `x`, `[batch, inputs]`; in place of `layer.forward(x)`.
    pub fn linear(&mut self, layer: &Linear, x: Tensor<2>) -> Tensor<2> {
        // The gradient in the output is all that is wanted, so the parameters are constants. A leaf
        // that is detached still wants its gradient.
        let weight = layer.weight.val().detach().set_require_grad(false);
        let [batch, _] = x.dims();
        let [_, outputs] = weight.dims();
        let leaf = Tensor::zeros([batch, outputs], (&weight.device(), weight.dtype()))
            .autodiff()
            .require_grad();
        self.records.push(Record {
            weight: layer.weight.id,
            bias: layer.bias.as_ref().map(|bias| bias.id),
            input: x.clone().detach(),
            leaf: leaf.clone(),
        });
        let out = x.matmul(weight) + leaf;
        match &layer.bias {
            Some(bias) => out + bias.val().detach().set_require_grad(false).unsqueeze(),
            None => out,
        }
    }
}

/// A captured layer: `x W + b` at all samples.
#[derive(Clone, Debug)]
struct Layer {
    weight: Option<Range<usize>>,
    bias: Option<Range<usize>>,
    /// `[batch, inputs]`.
    input: Tensor<2>,
    /// `∂ℓ_i/∂(x W + b)`, `[batch, outputs]`.
    cotangent: Tensor<2>,
}

/// A captured layer's factors as numbers.
struct Factors<'a> {
    layer: &'a Layer,
    inputs: Vec<f64>,
    cotangents: Vec<f64>,
}

impl<'a> Factors<'a> {
    fn read(layer: &'a Layer) -> Result<Self, Error> {
        Ok(Self {
            layer,
            inputs: host::read("input", &layer.input)?,
            cotangents: host::read("gradient", &layer.cotangent)?,
        })
    }
}

/// The gradients of all samples in factors: sample i's gradient in a weight is `x_i ⊗ δ_i`.
#[derive(Clone, Debug)]
pub struct CapturedGradients {
    n: usize,
    samples: usize,
    layers: Vec<Layer>,
    /// Whether a weight or bias was used more than once, so that its gradients are sums of products.
    repeated: bool,
    losses: Vec<f64>,
}

/// The gradients of all samples of a batch from one backward pass, for modules whose parameters are
/// those of linear layers.
///
/// `losses` is given the module and a [`Capture`] to call in place of its linear layers' `forward`,
/// and returns the losses of the samples, `[batch]`.
///
/// # Cost
/// One forward pass and one backward pass without the gradients of the weights; then what is asked
/// of the result.
///
/// # Reference
/// Goodfellow, Efficient per-example gradient computations, arXiv 1510.01799 (2015).
///
/// # Errors
/// [`Error::Evaluation`] if the closure fails; [`Error::Argument`] if a parameter of the layout was
/// not captured, or the losses are not one a sample.
pub fn captured_gradients<M: Module>(
    module: &M,
    layout: &Layout,
    losses: impl FnOnce(&M, &mut Capture) -> Result<Tensor<1>, EvaluationError>,
) -> Result<CapturedGradients, Error> {
    let mut capture = Capture::default();
    let losses = losses(module, &mut capture).map_err(Error::evaluation("losses"))?;
    let [samples] = losses.dims();
    check_covered(layout, &capture, samples)?;
    let values = host::read("losses", &losses)?;
    if !losses.is_tracked() {
        return Err(Error::argument("losses", "depend on no captured layer"));
    }
    let mut gradients = losses.sum().backward();
    let mut seen = BTreeSet::new();
    let mut repeated = false;
    let mut layers = Vec::new();
    for record in capture.records {
        for id in [Some(record.weight), record.bias].into_iter().flatten() {
            repeated |= !seen.insert(id.val());
        }
        let cotangent = record
            .leaf
            .grad_remove(&mut gradients)
            .unwrap_or_else(|| record.leaf.inner().zeros_like());
        layers.push(Layer {
            weight: layout.range_of(record.weight),
            bias: record.bias.and_then(|id| layout.range_of(id)),
            input: record.input.without_autodiff(),
            cotangent,
        });
    }
    Ok(CapturedGradients {
        n: layout.n(),
        samples,
        layers,
        repeated,
        losses: values,
    })
}

fn check_covered(layout: &Layout, capture: &Capture, samples: usize) -> Result<(), Error> {
    let covered: Vec<Range<usize>> = capture
        .records
        .iter()
        .flat_map(|r| [Some(r.weight), r.bias])
        .flatten()
        .filter_map(|id| layout.range_of(id))
        .collect();
    if let Some((name, _)) = layout.ranges().find(|(_, range)| !covered.contains(range)) {
        let problem =
            format!("do not capture `{name}`; capture its layer, or leave it out of the layout");
        return Err(Error::argument("losses", problem));
    }
    match capture
        .records
        .iter()
        .find(|r| r.input.dims()[0] != samples)
    {
        Some(record) if samples > 0 => Err(Error::argument(
            "losses",
            format!(
                "are {samples}, of a batch of {}; there must be one a sample",
                record.input.dims()[0]
            ),
        )),
        _ if samples == 0 => Err(Error::argument("losses", "are empty")),
        _ => Ok(()),
    }
}

impl CapturedGradients {
    /// The samples' losses.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// How many samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Every sample's gradient, `[samples, n]`, in place of what `rows` had: one `rows`, empty at first
    /// (`PerSampleGradients::default()`), serves all steps of a training.
    ///
    /// # Cost
    /// `samples · n` multiplications and as much memory. Memory that is written for the first time costs
    /// ten times the multiplications, so keep `rows`; where one gradient at a time is enough,
    /// [`CapturedGradients::map_samples`] needs none, nor does [`CapturedGradients::moments`].
    ///
    /// # Errors
    /// [`Error::Core`] if the device cannot be read; `rows` is then as it was.
    pub fn per_sample(&self, rows: &mut PerSampleGradients) -> Result<(), Error> {
        let factors = self.factors()?;
        let size = self.samples * self.n;
        if rows.rows.capacity() < size {
            // Fresh zeros come from the system, where copying the old ones would not help.
            rows.rows = vec![0.0; size];
        }
        // A smaller batch keeps the memory for the next one.
        rows.rows.resize(size, 0.0);
        rows.n = self.n;
        rows.rows
            .par_chunks_mut(self.n.max(1))
            .enumerate()
            .for_each(|(sample, row)| self.write(&factors, sample, row));
        Ok(())
    }

    /// What `of` makes of each sample's number and gradient, `[n]`, on all threads: products with a
    /// direction, clipped sums, norms of parts.
    ///
    /// # Cost
    /// `samples · n` multiplications, and memory for one gradient a thread.
    ///
    /// # Errors
    /// [`Error::Core`] if the device cannot be read.
    pub fn map_samples<T: Send>(
        &self,
        of: impl Fn(usize, &[f64]) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        let factors = self.factors()?;
        // A stretch of samples for each thread, with a buffer of its own.
        let stretch = self.samples.div_ceil(rayon::current_num_threads()).max(1);
        let samples: Vec<usize> = (0..self.samples).collect();
        let found = samples.par_chunks(stretch).map(|samples| {
            let mut row = vec![0.0; self.n];
            let each = samples.iter().map(|&sample| {
                self.write(&factors, sample, &mut row);
                of(sample, &row)
            });
            each.collect::<Vec<T>>()
        });
        Ok(found.collect::<Vec<_>>().into_iter().flatten().collect())
    }

    fn factors(&self) -> Result<Vec<Factors<'_>>, Error> {
        self.layers.iter().map(Factors::read).collect()
    }

    /// One sample's gradient, `[n]`, over whatever is there.
    fn write(&self, factors: &[Factors<'_>], sample: usize, row: &mut [f64]) {
        if self.repeated {
            row.fill(0.0);
        }
        for Factors {
            layer,
            inputs,
            cotangents,
        } in factors
        {
            let [_, inner] = layer.input.dims();
            let [_, outer] = layer.cotangent.dims();
            let x = &inputs[sample * inner..(sample + 1) * inner];
            let d = &cotangents[sample * outer..(sample + 1) * outer];
            if let Some(range) = &layer.weight {
                for (out, x) in row[range.clone()].chunks_exact_mut(outer).zip(x) {
                    self.place(out, *x, d);
                }
            }
            if let Some(range) = &layer.bias {
                self.place(&mut row[range.clone()], 1.0, d);
            }
        }
    }

    /// `out = x d`, or added to what other uses of the layer left there.
    fn place(&self, out: &mut [f64], x: f64, d: &[f64]) {
        if self.repeated {
            for (out, d) in out.iter_mut().zip(d) {
                *out += x * d;
            }
        } else {
            for (out, d) in out.iter_mut().zip(d) {
                *out = x * d;
            }
        }
    }

    /// What SNR and noise scale need, without the gradients themselves: of `X` and `Δ` the sum is
    /// `XᵀΔ`, the sum of squares `(X∘X)ᵀ(Δ∘Δ)`, and a sample's squared norm `‖x_i‖² ‖δ_i‖²`.
    ///
    /// Where a layer was used more than once the gradients themselves are needed after all.
    ///
    /// # Cost
    /// Three products as large as a linear layer's backward pass in its weight, a layer.
    ///
    /// # Errors
    /// [`Error::Core`] if the device cannot be read.
    pub fn moments(&self) -> Result<GradientMoments, Error> {
        if self.repeated {
            let mut rows = PerSampleGradients::default();
            self.per_sample(&mut rows)?;
            return Ok(rows.moments());
        }
        let mut moments = GradientMoments::zero(self.samples, self.n);
        for layer in &self.layers {
            let (x, d) = (layer.input.clone(), layer.cotangent.clone());
            let (xx, dd) = (x.clone().square(), d.clone().square());
            let d_norms = dd.clone().sum_dim(1);
            if let Some(range) = &layer.weight {
                let sum = x.clone().transpose().matmul(d.clone());
                let squares = xx.clone().transpose().matmul(dd.clone());
                let norms = xx.sum_dim(1) * d_norms.clone();
                let along = (x.matmul(sum.clone()) * d.clone()).sum_dim(1);
                moments.add(range, [&sum, &squares], [&norms, &along])?;
            }
            if let Some(range) = &layer.bias {
                let sum = d.clone().sum_dim(0);
                let squares = dd.sum_dim(0);
                let along = (d * sum.clone()).sum_dim(1);
                moments.add(range, [&sum, &squares], [&d_norms, &along])?;
            }
        }
        Ok(moments)
    }
}
