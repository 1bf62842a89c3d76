//! The parts of a loss and how their gradients agree.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::EvaluationError;
use crate::objective::{gradient_of, scalar};
use crate::vectors::{dot, norm};
use crate::{Error, Layout};

/// A loss in named parts, each differentiable on its own: objective, upper and lower penalty,
/// regularisation.
///
/// The closure is given the module and the number of the part, and returns one number, `[1]`. Burn's
/// backward pass uses its graph up, so each part has a forward pass of its own.
#[derive(Clone, Debug)]
pub struct LossComponents<F> {
    names: Vec<String>,
    component: F,
}

/// Value and gradient of every part.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentGradients {
    /// The parts' names.
    pub names: Vec<String>,
    /// Their values.
    pub values: Vec<f64>,
    /// Their flat gradients, each `[n]`; 0 for a part that depends on no parameter.
    pub gradients: Vec<Vec<f64>>,
    layout: Layout,
}

/// Cosines between the parts' gradients, as matrices in the order of the names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cosines {
    /// The parts' names.
    pub names: Vec<String>,
    /// Over all parameters.
    pub whole: Vec<Vec<Option<f64>>>,
    /// Over each parameter, by its path.
    pub groups: Vec<(String, Vec<Vec<Option<f64>>>)>,
}

impl<F> LossComponents<F> {
    /// A loss of these parts.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are none.
    pub fn new(names: &[&str], component: F) -> Result<Self, Error> {
        if names.is_empty() {
            return Err(Error::argument(
                "names",
                "is empty; there must be one a part",
            ));
        }
        Ok(Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            component,
        })
    }

    /// The parts' values at the module's parameters.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if the closure fails, [`Error::Shape`] if a part is not one number.
    pub fn values<M>(&mut self, module: &M) -> Result<Vec<f64>, Error>
    where
        F: FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>,
    {
        (0..self.names.len())
            .map(|k| {
                let part = (self.component)(module, k).map_err(Error::evaluation("component"))?;
                scalar(&part)
            })
            .collect()
    }

    /// The parts' values and gradients at the module's parameters.
    ///
    /// # Cost
    /// One forward and one backward pass a part.
    ///
    /// # Errors
    /// As [`LossComponents::values`].
    pub fn gradients<M: Module>(
        &mut self,
        module: &M,
        layout: &Layout,
    ) -> Result<ComponentGradients, Error>
    where
        F: FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>,
    {
        let mut values = Vec::new();
        let mut gradients = Vec::new();
        for k in 0..self.names.len() {
            let part = (self.component)(module, k).map_err(Error::evaluation("component"))?;
            let (value, gradient) = if part.is_tracked() {
                gradient_of(&part, module, layout)?
            } else {
                (scalar(&part)?, vec![0.0; layout.n()])
            };
            values.push(value);
            gradients.push(gradient);
        }
        Ok(ComponentGradients {
            names: self.names.clone(),
            values,
            gradients,
            layout: layout.clone(),
        })
    }
}

impl ComponentGradients {
    /// ‖∇L_k‖ of every part.
    pub fn norms(&self) -> Vec<f64> {
        self.gradients.iter().map(|g| norm(g)).collect()
    }

    /// Cosines over all parameters and over each.
    pub fn cosines(&self) -> Cosines {
        Cosines {
            names: self.names.clone(),
            whole: self.matrix(0..self.layout.n()),
            groups: self
                .layout
                .ranges()
                .map(|(name, range)| (name.to_owned(), self.matrix(range)))
                .collect(),
        }
    }

    fn matrix(&self, range: std::ops::Range<usize>) -> Vec<Vec<Option<f64>>> {
        let parts: Vec<&[f64]> = self.gradients.iter().map(|g| &g[range.clone()]).collect();
        parts
            .iter()
            .map(|a| parts.iter().map(|b| cosine(a, b)).collect())
            .collect()
    }
}

impl Cosines {
    /// The cosine between two parts, by name, over all parameters; undefined as well if there is no
    /// such part.
    pub fn between(&self, first: &str, second: &str) -> Option<f64> {
        let index = |name: &str| self.names.iter().position(|n| n == name);
        self.whole[index(first)?][index(second)?]
    }
}

/// `aᵀb / (‖a‖ ‖b‖)`, in `[−1, 1]`. Undefined if a norm is 0, a number is not finite, or the lengths
/// differ.
pub fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    // Gradients of 1e-200 have squares of 0: lengths are taken of vectors with largest entry 1.
    let scaled = |v: &[f64]| {
        let largest = v.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        v.iter().map(|x| x / largest).collect::<Vec<f64>>()
    };
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (scaled(a), scaled(b));
    let cosine = dot(&a, &b) / (norm(&a) * norm(&b));
    cosine.is_finite().then(|| cosine.clamp(-1.0, 1.0))
}
