//! The repair for any constraints: Levenberg-Marquardt on the distance to the box, its gradient by
//! unrolling or as [`crate::limit`] has it.

use std::sync::Mutex;

use burn::tensor::{Bool, Tensor, TensorData};
use feasible_core::{Bounds, Constraints, host};
use feasible_nls::{LevenbergMarquardt, Residual, Weights, check_batch_of_rows, check_leading};

use crate::limit::{self, Contacts};
use crate::start::constant;
use crate::{Error, Gradient, Repaired, RowPolicy, RowWeights, SnareNetSettings};

/// Repairs `start`, `[batch, n]`, towards `bounds` (already relaxed).
pub(crate) fn repair(
    settings: &SnareNetSettings,
    start: Tensor<2>,
    constraints: &dyn Constraints,
    bounds: &Bounds,
) -> Result<Repaired, Error> {
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
    let is_implicit = settings.gradient == Gradient::Implicit;
    let contacts = Mutex::new(Contacts::new(batch, bounds.rows()));
    let residual = BoxResidual {
        constraints,
        bounds,
        rows: settings.rows,
        contacts: is_implicit.then_some(&contacts),
    };
    let weights = match settings.weights {
        RowWeights::Uniform => Weights::None,
        RowWeights::InverseNorms => Weights::RowScales,
    };
    let solver = LevenbergMarquardt::new(settings.least_squares())?.with_weights(weights);
    if !is_implicit {
        let solution = solver.solve(&residual, start).map_err(in_own_words)?;
        return Ok(solution.into());
    }
    let solution = solver.solve(&residual, constant(&start));
    let repaired: Repaired = solution.map_err(in_own_words)?.into();
    let contacts = contacts.into_inner().expect("no solve has panicked");
    let contacts = contacts.at_rest(&host::read("y", &repaired.y)?);
    limit::differentiate(settings, start, constraints, bounds, repaired, &contacts)
}

/// What the least-squares layer calls a residual is the value of the constraints here.
fn in_own_words(error: feasible_nls::Error) -> Error {
    match Error::from(error) {
        Error::Core(feasible_core::Error::Shape {
            argument: "residual(y)",
            got,
            expected,
        }) => Error::Core(feasible_core::Error::Shape {
            argument: "g(y)",
            got,
            expected: format!("{expected}, one column a bound"),
        }),
        other => other,
    }
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
    /// For implicit gradients: when rows were outside their box. Nothing is recorded then.
    contacts: Option<&'a Mutex<Contacts>>,
}

impl BoxResidual<'_> {
    /// The signed distance to the box. A NaN stays one: the ReLUs of some backends make it zero, and
    /// a row without a value would pass for a satisfied one.
    fn distance(&self, values: Tensor<2>) -> Tensor<2> {
        let undefined = values.clone().is_nan();
        self.bounds.residual(values).mask_fill(undefined, f64::NAN)
    }

    /// Without a graph where none is wanted.
    fn recorded<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        match self.contacts {
            None => tensor,
            Some(_) => constant(&tensor),
        }
    }

    fn look(&self, y: &Tensor<2>, residual: &Tensor<2>) {
        let Some(contacts) = self.contacts else {
            return;
        };
        // Numbers that cannot be read end the solve with the device's error.
        if let (Ok(y), Ok(r)) = (host::read("y", y), host::read("residual(y)", residual)) {
            let mut contacts = contacts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            contacts.look(y, r);
        }
    }
}

impl Residual for BoxResidual<'_> {
    fn variables(&self) -> usize {
        self.constraints.variables()
    }

    fn rows(&self) -> usize {
        self.bounds.rows()
    }

    fn check_batch(&self, batch: usize) -> Result<(), feasible_nls::Error> {
        check_leading("lower", &self.bounds.lower().dims(), batch)?;
        check_leading("upper", &self.bounds.upper().dims(), batch)?;
        check_batch_of_rows(self.constraints, batch)
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        let [batch, n] = y.dims();
        let m = self.rows();
        let (values, jacobian) = self.constraints.linearise(y.clone());
        let is_one_of_batch = |leading: usize| leading == 1 || leading == batch;
        let ([a, rows], [b, jacobian_rows, columns]) = (values.dims(), jacobian.dims());
        let fits = is_one_of_batch(a) && is_one_of_batch(b);
        if !fits || (rows, jacobian_rows, columns) != (m, m, n) {
            // For the solve to refuse: operations with the box would panic.
            return (values, jacobian);
        }
        let (values, jacobian) = (values.expand([batch, m]), jacobian.expand([batch, m, n]));
        let (residual, jacobian) = (
            self.recorded(self.distance(values)),
            self.recorded(jacobian),
        );
        self.look(&y, &residual);
        match self.rows {
            RowPolicy::All => (residual, jacobian),
            RowPolicy::Violated => {
                let violated = residual.clone().not_equal_elem(0.0);
                let equality = TensorData::new(self.bounds.equalities().to_vec(), [1, m]);
                let equality =
                    Tensor::<2, Bool>::from_data(equality, &residual.device()).expand([batch, m]);
                let absent = violated.bool_or(equality).bool_not();
                // A row of zeros with residual zero changes nothing in JᵀJ and Jᵀr. Filled rather
                // than multiplied by zero, so that an entry that overflowed does not become NaN.
                let absent = absent.unsqueeze_dim::<3>(2).expand([batch, m, n]);
                (residual, jacobian.mask_fill(absent, 0.0))
            }
        }
    }

    /// Row scales are those of the rows, whether they are violated at the start or not.
    fn unmasked_jacobian(&self, y: Tensor<2>) -> Option<Tensor<3>> {
        match self.rows {
            RowPolicy::All => None,
            RowPolicy::Violated => Some(self.recorded(self.constraints.jacobian(y))),
        }
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        let batch = y.dims()[0];
        let values = self.constraints.values(y);
        let [leading, rows] = values.dims();
        if (leading == 1 || leading == batch) && rows == self.rows() {
            self.recorded(self.distance(values))
        } else {
            values
        }
    }
}
