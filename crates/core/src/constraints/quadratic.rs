use burn::tensor::Tensor;

use super::{Block, Bounds, Constraints, Curvature};
use crate::{Error, host};

/// Affine rows: l ≤ A y ≤ u.
#[derive(Debug, Clone)]
pub struct Affine(Rows);

/// Quadratic rows: l_i ≤ yᵀH_i y + a_iᵀy ≤ u_i (no ½).
///
/// The set is convex when every H_i is positive semidefinite and every l_i is -∞; other rows are
/// allowed here and refused by layers that need convexity.
#[derive(Debug, Clone)]
pub struct Quadratic(Rows);

#[derive(Debug, Clone)]
struct Rows {
    block: Block,
    bounds: Bounds,
}

impl Rows {
    fn new(block: Block, bounds: Bounds) -> Result<Self, Error> {
        if bounds.rows() != block.rows() {
            return Err(Error::shape(
                "bounds",
                &[bounds.batch(), bounds.rows()],
                format!("[batch or 1, {}], one bound a row", block.rows()),
            ));
        }
        Ok(Self { block, bounds })
    }
}

impl Affine {
    /// One matrix for the batch: `a` is `[m, n]`.
    ///
    /// # Errors
    /// If `a` and `bounds` have different numbers of rows.
    pub fn shared(a: Tensor<2>, bounds: Bounds) -> Result<Self, Error> {
        Self::per_sample(host::shared(a), bounds)
    }

    /// One matrix per sample: `a` is `[batch, m, n]`.
    ///
    /// # Errors
    /// If `a` and `bounds` have different numbers of rows.
    pub fn per_sample(a: Tensor<3>, bounds: Bounds) -> Result<Self, Error> {
        Self::from_block(Block::new(a, Curvature::None)?, bounds)
    }

    /// Rows whose block is kept between batches, so that its numbers are read and factored once.
    ///
    /// # Errors
    /// If the block is not affine, or has another number of rows than `bounds`.
    pub fn from_block(block: Block, bounds: Bounds) -> Result<Self, Error> {
        if !matches!(block.curvature(), Curvature::None) {
            return Err(Error::shape(
                "h",
                &[block.rows(), block.variables()],
                "absent: an affine block has no curvature",
            ));
        }
        Rows::new(block, bounds).map(Self)
    }
}

impl Quadratic {
    /// Diagonal matrices shared by the batch: `h` and `a` are `[m, n]`.
    ///
    /// # Errors
    /// If shapes disagree.
    pub fn diagonal(h: Tensor<2>, a: Tensor<2>, bounds: Bounds) -> Result<Self, Error> {
        Self::from_block(
            Block::new(host::shared(a), Curvature::Diagonal(host::shared(h)))?,
            bounds,
        )
    }

    /// Dense symmetric matrices shared by the batch: `h` is `[m, n, n]`, `a` is `[m, n]`.
    ///
    /// # Errors
    /// If shapes disagree.
    pub fn dense(h: Tensor<3>, a: Tensor<2>, bounds: Bounds) -> Result<Self, Error> {
        Self::from_block(
            Block::new(host::shared(a), Curvature::Dense(host::shared(h)))?,
            bounds,
        )
    }

    /// Rows from a block, which may be shared or per sample in each part.
    ///
    /// # Errors
    /// If the block has another number of rows than `bounds`.
    pub fn from_block(block: Block, bounds: Bounds) -> Result<Self, Error> {
        Rows::new(block, bounds).map(Self)
    }
}

macro_rules! delegate {
    ($type:ty) => {
        impl Constraints for $type {
            fn variables(&self) -> usize {
                self.0.block.variables()
            }
            fn bounds(&self) -> &Bounds {
                &self.0.bounds
            }
            fn values(&self, y: Tensor<2>) -> Tensor<2> {
                self.0.block.values(y)
            }
            fn jacobian(&self, y: Tensor<2>) -> Tensor<3> {
                self.0.block.jacobian(y)
            }
            fn vjp(&self, y: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
                self.0.block.vjp(y, w)
            }
            fn blocks(&self) -> Option<Vec<Block>> {
                Some(vec![self.0.block.clone()])
            }
        }
    };
}
delegate!(Affine);
delegate!(Quadratic);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::read;
    use crate::{SoftPenalty, Violations};
    use burn::tensor::Device;

    // H₀ = [[2, 1], [1, 3]], H₁ = diag(1, 4); y = (1, 2).
    #[test]
    fn values_and_jacobian_match_the_closed_form_in_every_layout() {
        let device = Device::flex();
        let y = Tensor::<2>::from_data([[1.0, 2.0], [0.0, -1.0]], &device);
        let a = Tensor::<2>::from_data([[1.0, 0.0], [0.5, -1.0]], &device);
        let bounds = || Bounds::at_most(Tensor::from_data([[1.0, 1.0]], &device)).unwrap();
        let h = Tensor::<3>::from_data(
            [[[2.0, 1.0], [1.0, 3.0]], [[1.0, 0.0], [0.0, 4.0]]],
            &device,
        );
        let values = vec![2.0 + 4.0 + 12.0 + 1.0, 1.0 + 16.0 - 1.5, 3.0, 4.0 + 1.0];
        let jacobian = vec![9.0, 14.0, 2.5, 15.0, -1.0, -6.0, 0.5, -9.0];

        let shared = Quadratic::dense(h.clone(), a.clone(), bounds()).unwrap();
        let linear = a.clone().unsqueeze_dim::<3>(0).repeat_dim(0, 2);
        let block = Block::new(
            linear,
            Curvature::Dense(h.unsqueeze_dim::<4>(0).repeat_dim(0, 2)),
        )
        .unwrap();
        let per_sample = Quadratic::from_block(block, bounds()).unwrap();
        for constraints in [shared, per_sample] {
            assert_eq!(read("g", &constraints.values(y.clone())).unwrap(), values);
            assert_eq!(
                read("J", &constraints.jacobian(y.clone())).unwrap(),
                jacobian
            );
            // Jᵀw for w = (2, −1), (0, 3).
            let w = Tensor::<2>::from_data([[2.0, -1.0], [0.0, 3.0]], &device);
            assert_eq!(
                read("Jw", &constraints.vjp(y.clone(), w)).unwrap(),
                [2.0 * 9.0 - 2.5, 2.0 * 14.0 - 15.0, 3.0 * 0.5, 3.0 * -9.0]
            );
        }
    }

    #[test]
    fn diagonal_and_dense_agree() {
        let device = Device::flex();
        let y = Tensor::<2>::from_data([[1.0, 2.0], [0.0, -1.0]], &device);
        let a = Tensor::<2>::from_data([[1.0, 0.0], [0.5, -1.0]], &device);
        let bounds = || Bounds::at_most(Tensor::from_data([[1.0, 1.0]], &device)).unwrap();
        let diagonal = Tensor::<2>::from_data([[2.0, 3.0], [1.0, 4.0]], &device);
        let dense = Tensor::<3>::from_data(
            [[[2.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [0.0, 4.0]]],
            &device,
        );
        let diagonal = Quadratic::diagonal(diagonal, a.clone(), bounds()).unwrap();
        let dense = Quadratic::dense(dense, a, bounds()).unwrap();
        assert_eq!(
            read("g", &diagonal.values(y.clone())),
            read("g", &dense.values(y.clone()))
        );
        assert_eq!(
            read("J", &diagonal.jacobian(y.clone())),
            read("J", &dense.jacobian(y.clone()))
        );
        let w = Tensor::<2>::from_data([[2.0, -1.0], [0.5, 3.0]], &device);
        assert_eq!(
            read("Jw", &diagonal.vjp(y.clone(), w.clone())),
            read("Jw", &dense.vjp(y, w))
        );
    }

    #[test]
    fn shapes_that_disagree_are_named() {
        let device = Device::flex();
        let bounds = Bounds::at_most(Tensor::from_data([[1.0, 1.0, 1.0]], &device)).unwrap();
        let error = Affine::shared(
            Tensor::from_data([[1.0, 0.0], [0.5, -1.0]], &device),
            bounds,
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("`bounds` has shape [1, 3]"),
            "{error}"
        );
    }

    #[test]
    fn no_rows_and_no_samples_are_no_trouble() {
        let device = Device::flex();
        let none =
            || Bounds::shared(Tensor::zeros([0], &device), Tensor::zeros([0], &device)).unwrap();
        let a = Tensor::<2>::zeros([0, 3], &device);
        let affine = Affine::shared(a.clone(), none()).unwrap();
        let quadratic = Quadratic::diagonal(a.clone(), a, none()).unwrap();
        let one = Bounds::shared(Tensor::ones([1], &device), Tensor::ones([1], &device)).unwrap();
        let row = Affine::shared(Tensor::ones([1, 3], &device), one).unwrap();
        for constraints in [&affine as &dyn Constraints, &quadratic] {
            assert_eq!((constraints.rows(), constraints.variables()), (0, 3));
            assert_eq!(
                constraints.values(Tensor::ones([2, 3], &device)).dims(),
                [2, 0]
            );
            assert_eq!(
                constraints.jacobian(Tensor::ones([2, 3], &device)).dims(),
                [2, 0, 3]
            );
            let violations = Violations::of(constraints, Tensor::ones([2, 3], &device));
            assert_eq!(violations.summary(0.0).unwrap().infeasible_samples, 0);
            let penalty =
                SoftPenalty::default().components(constraints, Tensor::ones([2, 3], &device));
            assert_eq!(read("p", &penalty.total()).unwrap(), [0.0, 0.0]);
        }
        let empty = Tensor::<2>::zeros([0, 3], &device);
        assert_eq!(row.values(empty.clone()).dims(), [0, 1]);
        assert_eq!(Violations::of(&row, empty).summary(0.0).unwrap().samples, 0);
    }
}
