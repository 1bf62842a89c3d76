//! Evaluating a residual: shapes, weights, and the numbers on the host.

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Error, host};
use feasible_kernels::{all_finite, max_abs};

use crate::step::Linear;
use crate::{Residual, Weights};

/// The same numbers as a constant. Not `detach`: that leaves a leaf which requires gradients tracked.
pub(crate) fn fixed<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.set_require_grad(false)
}

/// A residual linearised at a point.
#[derive(Debug)]
pub(crate) struct Evaluation {
    /// W J, `[batch, m, n]`.
    pub(crate) jacobian: Tensor<3>,
    /// W r, `[batch, m]`.
    pub(crate) residual: Tensor<2>,
    /// Both on the host.
    pub(crate) linear: Arc<Linear>,
    /// max|r| per sample, without weights.
    pub(crate) norms: Vec<f64>,
    /// Whether r and J are finite, per sample.
    pub(crate) finite: Vec<bool>,
}

/// The row weights of a solve, known once the Jacobian at the start is.
#[derive(Debug, Clone)]
pub(crate) struct RowWeights(pub(crate) Option<Tensor<2>>);

impl RowWeights {
    /// `jacobian` is the step's at the start; it is asked for where the weights depend on it.
    pub(crate) fn new<R: Residual + ?Sized>(
        weights: &Weights,
        residual: &R,
        start: &Tensor<2>,
        jacobian: impl FnOnce() -> Result<Tensor<3>, Error>,
    ) -> Result<Self, Error> {
        let (batch, m) = (start.dims()[0], residual.rows());
        let scaling = || match residual.unmasked_jacobian(start.clone()) {
            None => jacobian(),
            Some(unmasked) => {
                let [_, _, n] = unmasked.dims();
                check(
                    "jacobian(y)",
                    &unmasked.dims(),
                    &[batch, m, start.dims()[1]],
                )?;
                Ok(unmasked.expand([batch, m, n]))
            }
        };
        weights.resolve([batch, m], scaling).map(Self)
    }

    /// As the iterations use them: constants where those are not recorded.
    pub(crate) fn of_run(&self, recorded: bool) -> Self {
        if recorded { self.clone() } else { self.fixed() }
    }

    pub(crate) fn fixed(&self) -> Self {
        Self(self.0.clone().map(fixed))
    }

    pub(crate) fn apply(&self, residual: Tensor<2>) -> Tensor<2> {
        match &self.0 {
            None => residual,
            Some(w) => residual * w.clone(),
        }
    }

    pub(crate) fn apply_rows(&self, jacobian: Tensor<3>) -> Tensor<3> {
        match &self.0 {
            None => jacobian,
            Some(w) => jacobian * w.clone().unsqueeze_dim::<3>(2),
        }
    }
}

/// r(y) and J(y) with their shapes checked.
pub(crate) fn linearise<R: Residual + ?Sized>(
    residual: &R,
    y: &Tensor<2>,
) -> Result<(Tensor<2>, Tensor<3>), Error> {
    let ([batch, n], m) = (y.dims(), residual.rows());
    let (values, jacobian) = residual.linearise(y.clone());
    check("residual(y)", &values.dims(), &[batch, m])?;
    check("jacobian(y)", &jacobian.dims(), &[batch, m, n])?;
    // A residual that ignores y comes back once for the batch.
    Ok((values.expand([batch, m]), jacobian.expand([batch, m, n])))
}

fn check(argument: &'static str, got: &[usize], expected: &[usize]) -> Result<(), Error> {
    if (got[0] == expected[0] || got[0] == 1) && got[1..] == expected[1..] {
        Ok(())
    } else {
        Err(Error::shape(argument, got, format!("{expected:?}")))
    }
}

impl Evaluation {
    /// Linearises at `y`; constants where `y` is one because the solve is not recorded.
    pub(crate) fn new<R: Residual + ?Sized>(
        residual: &R,
        y: &Tensor<2>,
        weights: &RowWeights,
        recorded: bool,
    ) -> Result<Self, Error> {
        let (values, jacobian) = linearise(residual, y)?;
        Self::of(values, jacobian, weights, recorded)
    }

    /// From r and J, each `[batch, ..]`.
    pub(crate) fn of(
        mut values: Tensor<2>,
        mut jacobian: Tensor<3>,
        weights: &RowWeights,
        recorded: bool,
    ) -> Result<Self, Error> {
        let [batch, m, n] = jacobian.dims();
        if !recorded {
            (values, jacobian) = (fixed(values), fixed(jacobian));
        }
        let plain = host::borrow("residual(y)", &values)?;
        let norms = max_abs_rows(&plain, m, batch);
        let weighted = weights.apply(values);
        let jacobian = weights.apply_rows(jacobian);
        let linear = Linear {
            rows: m,
            variables: n,
            jacobian: host::borrow("jacobian(y)", &jacobian)?,
            residual: match weights.0 {
                None => plain,
                Some(_) => host::borrow("residual(y)", &weighted)?,
            },
        };
        let is_finite = |b: usize| {
            let (residual, jacobian) = (linear.residual_of(b), linear.jacobian_of(b));
            norms[b].is_finite() && all_finite(residual) && all_finite(jacobian)
        };
        let finite = (0..batch).map(is_finite).collect();
        Ok(Self {
            jacobian,
            residual: weighted,
            linear: Arc::new(linear),
            norms,
            finite,
        })
    }

    /// ½‖W r‖² per sample.
    pub(crate) fn costs(&self) -> Vec<f64> {
        costs(&self.linear.residual, self.linear.rows)
    }
}

/// r(y) as numbers, without and with weights.
pub(crate) fn values<R: Residual + ?Sized>(
    residual: &R,
    y: &Tensor<2>,
    weights: &RowWeights,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (batch, m) = (y.dims()[0], residual.rows());
    let values = fixed(residual.values(fixed(y.clone())));
    check("residual(y)", &values.dims(), &[batch, m])?;
    let values = values.expand([batch, m]);
    let plain = host::read("residual(y)", &values)?;
    let weighted = match weights.0 {
        None => plain.clone(),
        Some(_) => host::read("residual(y)", &weights.apply(values))?,
    };
    Ok((plain, weighted))
}

/// Half the squared norm of every row of `[batch, m]`.
pub(crate) fn costs(residual: &[f64], m: usize) -> Vec<f64> {
    residual
        .chunks_exact(m)
        .map(|r| 0.5 * r.iter().map(|v| v * v).sum::<f64>())
        .collect()
}

/// The largest absolute value of every row of `[batch, m]`; NaN if one is.
pub(crate) fn max_abs_rows(values: &[f64], m: usize, batch: usize) -> Vec<f64> {
    (0..batch).map(|b| max_abs(&values[b * m..][..m])).collect()
}
