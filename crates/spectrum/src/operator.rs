//! Symmetric linear operators known by their products.

use crate::error::{Error, OperatorError};

/// A symmetric linear operator `H: ℝⁿ → ℝⁿ`, known by its products with vectors.
///
/// Nothing else is asked of it: no matrix, no transpose. The algorithms count products, look for
/// NaN in them, and measure how far from symmetric the operator is as they go.
pub trait Operator {
    /// The dimension `n`; the same on every call.
    fn dim(&self) -> usize;

    /// Writes `H x` to `out`; both hold `n` numbers. Must write every entry.
    ///
    /// # Errors
    /// Whatever keeps the operator from computing the product; it ends the algorithm as
    /// [`Error::Operator`]. A product that is NaN is no error here: the algorithms see it and say so.
    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError>;

    /// The product that eigenpairs are accepted by: their eigenvalues and residuals are its own. An
    /// operator with quick products of few digits to search with and dear ones of more digits to
    /// judge by has the latter here; to others both are the same. Densities, traces and MINRES accept
    /// nothing and have [`Operator::apply`] alone.
    ///
    /// # Errors
    /// As [`Operator::apply`].
    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        self.apply(x, out)
    }
}

impl<O: Operator + ?Sized> Operator for &mut O {
    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        (**self).apply(x, out)
    }

    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        (**self).residual_product(x, out)
    }
}

impl<O: Operator + ?Sized> Operator for Box<O> {
    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        (**self).apply(x, out)
    }

    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        (**self).residual_product(x, out)
    }
}

/// An operator made of a closure `(x, out)`.
///
/// ```
/// use feasible_spectrum::{FnOperator, Settings, Wanted, eigenpairs};
///
/// // The second difference on 100 points has eigenvalues 2 − 2 cos(jπ/101).
/// let mut operator = FnOperator::new(100, |x: &[f64], out: &mut [f64]| {
///     for i in 0..x.len() {
///         let left = if i > 0 { x[i - 1] } else { 0.0 };
///         let right = x.get(i + 1).copied().unwrap_or(0.0);
///         out[i] = 2.0 * x[i] - left - right;
///     }
///     Ok(())
/// });
/// let found = eigenpairs(&mut operator, Wanted::Top(1), &Settings::default())?;
/// let largest = 2.0 + 2.0 * (std::f64::consts::PI / 101.0).cos();
/// assert!(found.all_converged());
/// assert!((found.pairs[0].value - largest).abs() < 1e-8);
/// # Ok::<(), feasible_spectrum::Error>(())
/// ```
#[derive(Debug)]
pub struct FnOperator<F> {
    n: usize,
    product: F,
}

impl<F: FnMut(&[f64], &mut [f64]) -> Result<(), OperatorError>> FnOperator<F> {
    /// An operator of dimension `n` whose product is the closure.
    pub fn new(n: usize, product: F) -> Self {
        Self { n, product }
    }
}

impl<F: FnMut(&[f64], &mut [f64]) -> Result<(), OperatorError>> Operator for FnOperator<F> {
    fn dim(&self) -> usize {
        self.n
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        (self.product)(x, out)
    }
}

/// Why there are no more products.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The budget is spent.
    Budget,
    /// A product has a NaN or an infinity.
    NotFinite,
    /// The call cannot go on.
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Error(error)
    }
}

/// An operator whose products are counted and checked.
pub(crate) struct Counted<'a> {
    operator: &'a mut dyn Operator,
    products: usize,
    budget: usize,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(operator: &'a mut dyn Operator, budget: usize) -> Result<Self, Error> {
        if operator.dim() == 0 {
            return Err(Error::NoDimension);
        }
        Ok(Self {
            operator,
            products: 0,
            budget,
        })
    }

    pub(crate) fn dim(&self) -> usize {
        self.operator.dim()
    }

    pub(crate) fn products(&self) -> usize {
        self.products
    }

    pub(crate) fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
    }

    pub(crate) fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), Halt> {
        self.counted(out, |operator, out| operator.apply(x, out))
    }

    pub(crate) fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), Halt> {
        self.counted(out, |operator, out| operator.residual_product(x, out))
    }

    fn counted(
        &mut self,
        out: &mut [f64],
        product: impl FnOnce(&mut dyn Operator, &mut [f64]) -> Result<(), OperatorError>,
    ) -> Result<(), Halt> {
        if self.products >= self.budget {
            return Err(Halt::Budget);
        }
        self.products += 1;
        product(self.operator, out).map_err(|source| {
            Halt::Error(Error::Operator {
                product: self.products,
                source,
            })
        })?;
        if out.iter().all(|v| v.is_finite()) {
            Ok(())
        } else {
            Err(Halt::NotFinite)
        }
    }
}
