//! Operators made of operators.

use crate::error::{Error, OperatorError};
use crate::operator::Operator;

/// `D^{-1/2} H D^{-1/2}` for a positive diagonal `D`.
///
/// It has the eigenvalues of the preconditioned `D⁻¹ H` and is symmetric. With Adam's
/// `D = √v̂ + ε` (or RMSProp's) its largest eigenvalue is the preconditioned sharpness of Cohen et
/// al. 2022, whose threshold is `(2 + 2β₁)/((1 − β₁) η)`. Eigenvectors are `D^{1/2}` times those of
/// `D⁻¹ H`; [`Preconditioned::to_parameters`] maps them back.
#[derive(Clone, Debug)]
pub struct Preconditioned<O> {
    operator: O,
    inverse_roots: Vec<f64>,
    scaled: Vec<f64>,
}

impl<O: Operator> Preconditioned<O> {
    /// The preconditioned operator.
    ///
    /// # Errors
    /// [`Error::Shape`] if `diagonal` is not `[n]`, [`Error::Entry`] if an entry is not above 0 and
    /// finite.
    pub fn new(operator: O, diagonal: &[f64]) -> Result<Self, Error> {
        let n = operator.dim();
        if diagonal.len() != n {
            return Err(Error::Shape {
                argument: "diagonal",
                got: diagonal.len(),
                expected: n,
                layout: "[n]",
            });
        }
        let inverse_roots: Vec<f64> = diagonal.iter().map(|d| 1.0 / d.sqrt()).collect();
        let unusable = |r: &f64| !(*r > 0.0 && r.is_finite());
        if let Some(entry) = inverse_roots.iter().position(unusable) {
            return Err(Error::Entry {
                argument: "diagonal",
                entry,
                value: diagonal[entry],
                must: "above 0 and finite",
            });
        }
        Ok(Self {
            operator,
            inverse_roots,
            scaled: vec![0.0; n],
        })
    }

    /// `D^{-1/2} v`: the direction in the operator's own variables, an eigenvector of `D⁻¹ H` when
    /// `v` is one of this operator. Not normalised.
    ///
    /// # Errors
    /// [`Error::Shape`] if `v` is not `[n]`.
    pub fn to_parameters(&self, v: &[f64]) -> Result<Vec<f64>, Error> {
        if v.len() != self.inverse_roots.len() {
            return Err(Error::Shape {
                argument: "v",
                got: v.len(),
                expected: self.inverse_roots.len(),
                layout: "[n]",
            });
        }
        Ok(v.iter()
            .zip(&self.inverse_roots)
            .map(|(v, r)| v * r)
            .collect())
    }
}

impl<O> Preconditioned<O> {
    fn scale(&mut self, x: &[f64]) {
        for ((s, x), r) in self.scaled.iter_mut().zip(x).zip(&self.inverse_roots) {
            *s = x * r;
        }
    }

    fn scale_back(&self, out: &mut [f64]) {
        for (o, r) in out.iter_mut().zip(&self.inverse_roots) {
            *o *= r;
        }
    }
}

impl<O: Operator> Operator for Preconditioned<O> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        self.scale(x);
        self.operator.apply(&self.scaled, out)?;
        self.scale_back(out);
        Ok(())
    }

    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        self.scale(x);
        self.operator.residual_product(&self.scaled, out)?;
        self.scale_back(out);
        Ok(())
    }
}

/// `factor · (H − shift · I)`.
#[derive(Clone, Copy, Debug)]
pub struct Shifted<O> {
    operator: O,
    shift: f64,
    factor: f64,
}

impl<O: Operator> Shifted<O> {
    /// The shifted and scaled operator: eigenvalues `factor · (λ − shift)`, the same eigenvectors.
    pub fn new(operator: O, shift: f64, factor: f64) -> Self {
        Self {
            operator,
            shift,
            factor,
        }
    }
}

impl<O> Shifted<O> {
    fn shift(&self, x: &[f64], out: &mut [f64]) {
        for (o, x) in out.iter_mut().zip(x) {
            *o = self.factor * (*o - self.shift * x);
        }
    }
}

impl<O: Operator> Operator for Shifted<O> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        self.operator.apply(x, out)?;
        self.shift(x, out);
        Ok(())
    }

    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        self.operator.residual_product(x, out)?;
        self.shift(x, out);
        Ok(())
    }
}

/// The mean of operators, `Σ wᵢ Hᵢ`: a whole-data Hessian from its batches, say.
pub struct WeightedSum<O> {
    parts: Vec<(f64, O)>,
    n: usize,
    product: Vec<f64>,
}

impl<O: Operator> WeightedSum<O> {
    /// The weighted sum of operators of one dimension.
    ///
    /// # Errors
    /// [`Error::NoDimension`] without operators, [`Error::Shape`] if their dimensions differ.
    pub fn new(parts: Vec<(f64, O)>) -> Result<Self, Error> {
        let n = parts.first().ok_or(Error::NoDimension)?.1.dim();
        for (_, part) in &parts {
            if part.dim() != n {
                return Err(Error::Shape {
                    argument: "parts",
                    got: part.dim(),
                    expected: n,
                    layout: "operators of one dimension",
                });
            }
        }
        Ok(Self {
            parts,
            n,
            product: vec![0.0; n],
        })
    }
}

impl<O: Operator> Operator for WeightedSum<O> {
    fn dim(&self) -> usize {
        self.n
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        out.fill(0.0);
        for (weight, part) in &mut self.parts {
            part.apply(x, &mut self.product)?;
            crate::vectors::axpy(*weight, &self.product, out);
        }
        Ok(())
    }

    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        out.fill(0.0);
        for (weight, part) in &mut self.parts {
            part.residual_product(x, &mut self.product)?;
            crate::vectors::axpy(*weight, &self.product, out);
        }
        Ok(())
    }
}
