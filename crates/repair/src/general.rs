//! The repair for any constraints: Levenberg-Marquardt on the distance to the box, its gradient by
//! unrolling.

use burn::tensor::{Bool, Tensor, TensorData};
use feasible_core::{Bounds, Constraints, host};
use feasible_nls::{LevenbergMarquardt, Residual, Solution, Weights, batch_of_rows};

use crate::{Error, RowPolicy, RowWeights, SnareNetSettings};

/// Repairs `start`, `[batch, n]`, towards `bounds` (already relaxed).
pub(crate) fn repair(
    settings: &SnareNetSettings,
    start: Tensor<2>,
    constraints: &dyn Constraints,
    bounds: &Bounds,
) -> Result<Solution, Error> {
    let ([batch, n], variables) = (start.dims(), constraints.variables());
    if n != variables {
        return Err(feasible_core::Error::shape(
            "y0",
            &[batch, n],
            format!("[batch, {variables}]"),
        )
        .into());
    }
    host::read_finite("y0", &start)?;
    let residual = BoxResidual {
        constraints,
        bounds,
        rows: settings.rows,
    };
    let weights = match settings.weights {
        RowWeights::Uniform => Weights::None,
        RowWeights::InverseNorms => Weights::RowScales,
    };
    let solver = LevenbergMarquardt::new(settings.least_squares())?.with_weights(weights);
    Ok(solver.solve(&residual, start)?)
}

/// r(y) = g(y) − clip(g(y), l, u) with the Jacobian of g.
///
/// The target clip(g(y)) moves along with y but is not differentiated in the step: this is
/// g(y) − target with the target set anew at every iterate, in one evaluation of g.
#[derive(Debug)]
struct BoxResidual<'a> {
    constraints: &'a dyn Constraints,
    bounds: &'a Bounds,
    rows: RowPolicy,
}

impl Residual for BoxResidual<'_> {
    fn variables(&self) -> usize {
        self.constraints.variables()
    }

    fn rows(&self) -> usize {
        self.bounds.rows()
    }

    fn batch(&self) -> Option<usize> {
        match self.bounds.batch() {
            1 => batch_of_rows(self.constraints),
            batch => Some(batch),
        }
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        let (values, jacobian) = self.constraints.linearise(y);
        let residual = self.bounds.residual(values);
        match self.rows {
            RowPolicy::All => (residual, jacobian),
            RowPolicy::Violated => {
                let [batch, m] = residual.dims();
                let violated = residual.clone().not_equal_elem(0.0);
                let equality = TensorData::new(self.bounds.equalities().to_vec(), [1, m]);
                let equality =
                    Tensor::<2, Bool>::from_data(equality, &residual.device()).expand([batch, m]);
                let absent = violated.bool_or(equality).bool_not();
                let [_, _, n] = jacobian.dims();
                // A row of zeros with residual zero changes nothing in JᵀJ and Jᵀr. Filled rather
                // than multiplied by zero, so that an entry that overflowed does not become NaN.
                let absent = absent.unsqueeze_dim::<3>(2).expand([batch, m, n]);
                (residual, jacobian.mask_fill(absent, 0.0))
            }
        }
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        self.bounds.residual(self.constraints.values(y))
    }
}
