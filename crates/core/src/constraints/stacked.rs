use std::sync::Arc;

use burn::tensor::Tensor;

use super::{Block, Bounds, Constraints};
use crate::Error;

/// Several sets of rows on the same variables, one after the other.
#[derive(Debug, Clone)]
pub struct Stacked {
    parts: Vec<Arc<dyn Constraints>>,
    bounds: Bounds,
}

impl Stacked {
    /// Stacks `parts` in order.
    ///
    /// # Errors
    /// If there are none, or they disagree on the number of variables or the batch size.
    pub fn new(parts: Vec<Arc<dyn Constraints>>) -> Result<Self, Error> {
        let Some(first) = parts.first() else {
            return Err(Error::shape("parts", &[0], "at least one set of rows"));
        };
        let n = first.variables();
        if let Some(other) = parts.iter().find(|p| p.variables() != n) {
            return Err(Error::shape(
                "parts",
                &[other.rows(), other.variables()],
                format!("rows on {n} variables, as the first part"),
            ));
        }
        let bounds = Bounds::stack(&parts.iter().map(|p| p.bounds()).collect::<Vec<_>>())?;
        Ok(Self { parts, bounds })
    }
}

impl Constraints for Stacked {
    fn variables(&self) -> usize {
        self.parts[0].variables()
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        Tensor::cat(self.parts.iter().map(|p| p.values(y.clone())).collect(), 1)
    }

    fn jacobian(&self, y: Tensor<2>) -> Tensor<3> {
        Tensor::cat(
            self.parts.iter().map(|p| p.jacobian(y.clone())).collect(),
            1,
        )
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        let (values, jacobians) = self.parts.iter().map(|p| p.linearise(y.clone())).unzip();
        (Tensor::cat(values, 1), Tensor::cat(jacobians, 1))
    }

    fn blocks(&self) -> Option<Vec<Block>> {
        let blocks: Option<Vec<_>> = self.parts.iter().map(|p| p.blocks()).collect();
        Some(blocks?.into_iter().flatten().collect())
    }
}
