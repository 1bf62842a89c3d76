use std::sync::Arc;

use burn::tensor::Tensor;

use super::{Block, Bounds, Constraints};
use crate::{Error, host};

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
        host::cat(self.parts.iter().map(|p| p.values(y.clone())).collect(), 1)
    }

    fn jacobian(&self, y: Tensor<2>) -> Tensor<3> {
        host::cat(
            self.parts.iter().map(|p| p.jacobian(y.clone())).collect(),
            1,
        )
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        let (values, jacobians) = self.parts.iter().map(|p| p.linearise(y.clone())).unzip();
        (host::cat(values, 1), host::cat(jacobians, 1))
    }

    fn vjp(&self, y: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
        let mut start = 0;
        let mut total = None;
        for part in self.parts.iter().filter(|part| part.rows() > 0) {
            let rows = part.rows();
            let product = part.vjp(y.clone(), w.clone().narrow(1, start, rows));
            total = Some(match total {
                None => product,
                Some(sum) => sum + product,
            });
            start += rows;
        }
        total.unwrap_or_else(|| y.zeros_like())
    }

    fn blocks(&self) -> Option<Vec<Block>> {
        let blocks: Option<Vec<_>> = self.parts.iter().map(|p| p.blocks()).collect();
        Some(blocks?.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Affine, Bounds, Dual, Function};
    use burn::tensor::Device;

    /// An affine part of `rows` rows and a function of one, with a box a sample.
    fn stacked(rows: usize, batch: usize) -> Stacked {
        let device = Device::flex();
        let bounds = |rows: usize| Bounds::equal(Tensor::zeros([batch, rows], &device)).unwrap();
        let a = host::write(
            vec![1.0; 2 * rows],
            [rows, 2],
            &device,
            burn::tensor::DType::F32,
        );
        let affine = Affine::shared(a, bounds(rows)).unwrap();
        let circle = Function::new(2, bounds(1), |y| {
            Dual::cat(vec![y.clone().square().sum() - 1.0])
        });
        Stacked::new(vec![Arc::new(affine), Arc::new(circle)]).unwrap()
    }

    #[test]
    fn parts_without_rows_and_batches_without_samples() {
        let device = Device::flex();
        for rows in [0, 2] {
            for batch in [0, 3] {
                let set = stacked(rows, batch);
                let y = host::write(
                    vec![0.5; 2 * batch],
                    [batch, 2],
                    &device,
                    burn::tensor::DType::F32,
                );
                let m = rows + 1;
                assert_eq!(set.rows(), m);
                assert_eq!(set.bounds().equalities(), vec![true; m]);
                assert_eq!(set.bounds().lower().dims(), [batch, m]);
                assert_eq!(set.values(y.clone()).dims(), [batch, m]);
                assert_eq!(set.jacobian(y.clone()).dims(), [batch, m, 2]);
                let (values, jacobian) = set.linearise(y);
                assert_eq!(
                    (values.dims(), jacobian.dims()),
                    ([batch, m], [batch, m, 2])
                );
            }
        }
    }
}
