//! The gradient of every sample.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::error::EvaluationError;
use crate::objective::gradient_of;
use crate::{Error, GradientMoments, Layout};

/// The gradients of single samples' losses, as rows; by default none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerSampleGradients {
    pub(crate) n: usize,
    pub(crate) rows: Vec<f64>,
}

impl PerSampleGradients {
    /// Gradients given as rows `[samples, n]`, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not whole rows, or none.
    pub fn new(n: usize, rows: Vec<f64>) -> Result<Self, Error> {
        if n == 0 || rows.is_empty() || !rows.len().is_multiple_of(n) {
            return Err(Error::Shape {
                argument: "rows",
                got: format!("{} numbers", rows.len()),
                expected: format!("one or more rows of {n}"),
            });
        }
        Ok(Self { n, rows })
    }

    /// How many samples.
    pub fn samples(&self) -> usize {
        self.rows.len() / self.n.max(1)
    }

    /// Numbers a sample.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The gradients, `[samples, n]`.
    pub fn rows(&self) -> &[f64] {
        &self.rows
    }

    /// The gradient of one sample; empty beyond the last.
    pub fn sample(&self, index: usize) -> &[f64] {
        if index < self.samples() {
            &self.rows[index * self.n..(index + 1) * self.n]
        } else {
            &[]
        }
    }

    /// What SNR and noise scale need of them.
    pub fn moments(&self) -> GradientMoments {
        GradientMoments::of_rows(self)
    }
}

/// The gradient of every sample's loss, for any module and layer; `loss` is given the module and the
/// sample's number and returns one number.
///
/// # Cost
/// One forward and one backward pass a sample. Where a module is a chain of linear layers,
/// [`crate::captured_gradients`] needs one for all.
///
/// # Errors
/// [`Error::Evaluation`] if the closure fails, [`Error::Argument`] without samples or if a loss
/// depends on no parameter.
pub fn per_sample_gradients<M: Module>(
    module: &M,
    layout: &Layout,
    samples: usize,
    mut loss: impl FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>,
) -> Result<PerSampleGradients, Error> {
    if samples == 0 {
        return Err(Error::argument("samples", "is 0 but must be at least 1"));
    }
    let mut rows = Vec::with_capacity(samples * layout.n());
    for sample in 0..samples {
        let loss = loss(module, sample).map_err(Error::evaluation("loss"))?;
        rows.extend(gradient_of(&loss, module, layout)?.1);
    }
    Ok(PerSampleGradients {
        n: layout.n(),
        rows,
    })
}
