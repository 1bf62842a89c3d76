//! What every method does first and last: check its input, widen the box, measure what is left.

use burn::tensor::Tensor;
use feasible_core::{Bounds, Constraints, host};
use feasible_nls::{check_batch_of_rows, check_leading};

use crate::Error;

/// Refuses an input that does not fit the constraints, and returns the box, widened by `epsilon`.
pub(crate) fn start(
    y0: &Tensor<2>,
    constraints: &dyn Constraints,
    epsilon: Option<Tensor<1>>,
) -> Result<Bounds, Error> {
    let ([batch, n], variables) = (y0.dims(), constraints.variables());
    if n != variables || n == 0 {
        let expected = match variables {
            0 => "[batch, n] with n at least 1".to_owned(),
            _ => format!("[batch, {variables}]"),
        };
        return Err(feasible_core::Error::shape("y0", &[batch, n], expected).into());
    }
    check_leading("lower", &constraints.bounds().lower().dims(), batch)?;
    check_leading("upper", &constraints.bounds().upper().dims(), batch)?;
    check_batch_of_rows(constraints, batch)?;
    host::read_finite("y0", y0)?;
    relaxed(constraints, epsilon)
}

/// The box of `constraints`, widened by `epsilon`, `[m]`.
pub(crate) fn relaxed(
    constraints: &dyn Constraints,
    epsilon: Option<Tensor<1>>,
) -> Result<Bounds, Error> {
    match epsilon {
        None => Ok(constraints.bounds().clone()),
        Some(epsilon) => {
            check_epsilon(&epsilon, constraints.rows())?;
            // Not `detach`: that leaves a leaf which requires gradients tracked.
            Ok(constraints
                .bounds()
                .relaxed(epsilon.set_require_grad(false)))
        }
    }
}

fn check_epsilon(epsilon: &Tensor<1>, rows: usize) -> Result<(), Error> {
    if epsilon.dims() != [rows] {
        return Err(feasible_core::Error::shape(
            "epsilon",
            &epsilon.dims(),
            format!("[{rows}], one entry a row"),
        )
        .into());
    }
    let values = host::read_finite("epsilon", epsilon)?;
    match values.iter().find(|e| **e < 0.0) {
        None => Ok(()),
        Some(negative) => {
            let got = negative.to_string();
            Err(feasible_core::Error::Setting {
                setting: "epsilon",
                got,
                expected: "at least 0",
            }
            .into())
        }
    }
}

/// g(y) with its shape checked: functions may return anything.
pub(crate) fn values(constraints: &dyn Constraints, y: &Tensor<2>) -> Result<Tensor<2>, Error> {
    let (batch, m) = (y.dims()[0], constraints.rows());
    let values = constraints.values(y.clone());
    let [leading, rows] = values.dims();
    if rows != m || (leading != batch && leading != 1) {
        let expected = format!("[{batch}, {m}], one column a bound");
        return Err(feasible_core::Error::shape("g(y)", &[leading, rows], expected).into());
    }
    Ok(host::expand(values, [batch, m]))
}

/// The signed distance to the box. A NaN stays one: the ReLUs of some backends make it zero, and a
/// row without a value would pass for a satisfied one.
pub(crate) fn residual(bounds: &Bounds, values: Tensor<2>) -> Tensor<2> {
    let undefined = values.clone().is_nan();
    bounds.residual(values).mask_fill(undefined, f64::NAN)
}

/// The largest distance of a row to the box at `y`, per sample; NaN where one is not finite.
pub(crate) fn measure(
    constraints: &dyn Constraints,
    bounds: &Bounds,
    y: &Tensor<2>,
) -> Result<Vec<f64>, Error> {
    let batch = y.dims()[0];
    if constraints.rows() == 0 || batch == 0 {
        return Ok(vec![0.0; batch]);
    }
    let distance = residual(bounds, values(constraints, &constant(y))?);
    largest(&distance)
}

/// The largest absolute entry of every row; NaN where one is not finite.
pub(crate) fn largest(tensor: &Tensor<2>) -> Result<Vec<f64>, Error> {
    let [batch, m] = tensor.dims();
    if m == 0 {
        return Ok(vec![0.0; batch]);
    }
    let numbers = host::read("residual", tensor)?;
    let worst = |row: &[f64]| match row.iter().all(|v| v.is_finite()) {
        true => row.iter().fold(0.0, |a: f64, v| a.max(v.abs())),
        false => f64::NAN,
    };
    Ok(numbers.chunks_exact(m).map(worst).collect())
}

/// The same numbers without a graph.
pub(crate) fn constant<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    tensor.clone().detach().set_require_grad(false)
}
