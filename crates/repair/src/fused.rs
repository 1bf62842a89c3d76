//! The repair of affine and quadratic rows on the host, in f64, with the gradient of the steps
//! taken or of their limit: `feasible_solver::damped` between tensors.

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Bounds, Error as CoreError, HostBlock, HostCurvature, host};
use feasible_solver::Values;
use feasible_solver::damped::{
    self, Damped, DampedGradients, DampedProblem, Record, RowCurvature, Rows,
};

use crate::{Error, Gradient, SnareNetSettings};

/// The numbers of one batch of problems, owned so that the backward pass can come back to them.
#[derive(Debug)]
struct Numbers {
    batch: usize,
    n: usize,
    blocks: Vec<Arc<HostBlock>>,
    lower: Side,
    upper: Side,
    equality: Vec<bool>,
}

/// One side of the box and whether the batch shares it.
#[derive(Debug)]
struct Side {
    values: Vec<f64>,
    shared: bool,
}

impl Side {
    fn read(argument: &'static str, tensor: &Tensor<2>, batch: usize) -> Result<Self, CoreError> {
        let [rows, m] = tensor.dims();
        if rows != 1 && rows != batch {
            return Err(CoreError::shape(
                argument,
                &[rows, m],
                format!("[{batch}, {m}] or [1, {m}]"),
            ));
        }
        Ok(Self {
            values: host::read(argument, tensor)?,
            shared: rows == 1 && batch != 1,
        })
    }

    fn view(&self) -> Values<'_> {
        values(&self.values, self.shared)
    }

    /// A gradient per sample, summed over the batch where the side is shared.
    fn reduce(&self, gradient: Vec<f64>) -> Vec<f64> {
        // A repair with nothing to do returns no gradient for the box.
        if gradient.is_empty() || !self.shared {
            return if gradient.is_empty() {
                vec![0.0; self.values.len()]
            } else {
                gradient
            };
        }
        let m = self.values.len();
        let mut sum = vec![0.0; m];
        for sample in gradient.chunks_exact(m) {
            sum.iter_mut().zip(sample).for_each(|(sum, g)| *sum += g);
        }
        sum
    }
}

fn values(data: &[f64], shared: bool) -> Values<'_> {
    if shared {
        Values::Shared(data)
    } else {
        Values::PerSample(data)
    }
}

impl Numbers {
    fn problem(&self) -> DampedProblem<'_> {
        let blocks = self.blocks.iter().map(|block| Rows {
            rows: block.rows,
            linear: values(&block.linear, block.linear_shared),
            curvature: match &block.curvature {
                HostCurvature::None => RowCurvature::None,
                HostCurvature::Diagonal(h, shared) => RowCurvature::Diagonal(values(h, *shared)),
                HostCurvature::Dense(h, shared) => RowCurvature::Dense(values(h, *shared)),
            },
        });
        DampedProblem {
            batch: self.batch,
            n: self.n,
            blocks: blocks.collect(),
            lower: self.lower.view(),
            upper: self.upper.view(),
            equality: &self.equality,
        }
    }
}

/// The recorded steps as an operation of the autodiff graph.
#[derive(Debug)]
struct Steps {
    numbers: Numbers,
    damped: Arc<Damped>,
}

impl host::HostAdjoint for Steps {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let DampedGradients {
            start,
            lower,
            upper,
        } = self.damped.vjp(&self.numbers.problem(), cotangent);
        vec![
            start,
            self.numbers.lower.reduce(lower),
            self.numbers.upper.reduce(upper),
        ]
    }
}

/// Repairs `y0`, `[batch, n]`, into `bounds` for rows given as blocks. Gradients reach `y0` and
/// both bounds, not the blocks. Returns the repaired tensor and what happened to every sample.
pub(crate) fn repair(
    y0: Tensor<2>,
    blocks: Vec<Arc<HostBlock>>,
    bounds: &Bounds,
    settings: &SnareNetSettings,
) -> Result<(Tensor<2>, Arc<Damped>), Error> {
    let [batch, n] = y0.dims();
    let start = host::read_finite("y0", &y0)?;
    let (lower, upper) = (bounds.lower(), bounds.upper());
    let numbers = Numbers {
        batch,
        n,
        blocks,
        lower: Side::read("lower", &lower, batch)?,
        upper: Side::read("upper", &upper, batch)?,
        equality: bounds.equalities().to_vec(),
    };
    let (device, dtype) = (y0.device(), y0.dtype());
    let inputs = vec![
        host::Input::new(y0),
        host::Input::new(lower),
        host::Input::new(upper),
    ];
    let record = match settings.gradient {
        _ if !inputs.iter().any(host::Input::is_tracked) => Record::Nothing,
        Gradient::Unrolled => Record::Steps,
        Gradient::Implicit => Record::Limit,
    };
    let damped = Arc::new(damped::repair(
        &numbers.problem(),
        &start,
        &settings.damped(),
        record,
    )?);
    let output = damped.y.clone();
    let steps = Arc::new(Steps {
        numbers,
        damped: damped.clone(),
    });
    Ok((
        host::record(output, [batch, n], &device, dtype, inputs, steps),
        damped,
    ))
}
