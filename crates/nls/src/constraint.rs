use burn::tensor::Tensor;
use feasible_core::{Block, Constraints, Curvature};

use crate::evaluation::fixed;
use crate::{Error, Residual, curvature};

/// r(y) = g(y) − target, with g and its Jacobian from [`Constraints`].
///
/// The bounds of the constraints play no part. With the target set to g(y) clipped to them, and set
/// again by the callback of every iteration, Levenberg-Marquardt is the repair of SnareNet (Chu,
/// Boukas and Udell, arXiv 2602.09317).
#[derive(Debug, Clone)]
pub struct ConstraintResidual<'a> {
    constraints: &'a dyn Constraints,
    target: Tensor<2>,
}

impl<'a> ConstraintResidual<'a> {
    /// `target` is `[batch, m]`, or `[1, m]` where the batch shares it.
    ///
    /// # Errors
    /// If `target` has another number of columns than the constraints have rows.
    pub fn new(constraints: &'a dyn Constraints, target: Tensor<2>) -> Result<Self, Error> {
        check_target(constraints, &target)?;
        Ok(Self {
            constraints,
            target,
        })
    }

    /// The target, `[batch or 1, m]`.
    pub fn target(&self) -> &Tensor<2> {
        &self.target
    }

    /// Replaces the target.
    ///
    /// # Errors
    /// As [`ConstraintResidual::new`]; the old target is kept.
    pub fn set_target(&mut self, target: Tensor<2>) -> Result<(), Error> {
        check_target(self.constraints, &target)?;
        self.target = target;
        Ok(())
    }

    /// Values of another shape than the targets come back as they are, for the solve to refuse: the
    /// difference would panic.
    fn minus_target(&self, values: Tensor<2>) -> Tensor<2> {
        let ([a, rows], [b, targets]) = (values.dims(), self.target.dims());
        if rows == targets && (a == b || a == 1 || b == 1) {
            values - self.target.clone()
        } else {
            values
        }
    }
}

/// Refuses affine and quadratic blocks of `constraints` that are neither shared nor for `batch`
/// samples. Other constraints have nothing to look at, and bounds are not looked at.
///
/// # Errors
/// Naming the block's part, `a` or `h`.
pub fn check_batch_of_rows(constraints: &dyn Constraints, batch: usize) -> Result<(), Error> {
    for block in constraints.blocks().into_iter().flatten() {
        check_leading("a", &block.linear().dims(), batch)?;
        match block.curvature() {
            Curvature::None => {}
            Curvature::Diagonal(h) => check_leading("h", &h.dims(), batch)?,
            Curvature::Dense(h) => check_leading("h", &h.dims(), batch)?,
        }
    }
    Ok(())
}

/// Refuses a tensor whose first axis is neither 1 nor `batch` long.
///
/// # Errors
/// Naming the tensor.
pub fn check_leading(argument: &'static str, got: &[usize], batch: usize) -> Result<(), Error> {
    if got[0] == 1 || got[0] == batch {
        return Ok(());
    }
    let expected = format!("[1 or {batch}] followed by {:?}", &got[1..]);
    Err(feasible_core::Error::shape(argument, got, expected).into())
}

/// The batch size that the blocks of constraints fix; `None` where they fit any, or where there are
/// no blocks to tell.
fn batch_of_rows(constraints: &dyn Constraints) -> Option<usize> {
    let leading = |block: &Block| {
        let curvature = match block.curvature() {
            Curvature::None => 1,
            Curvature::Diagonal(h) => h.dims()[0],
            Curvature::Dense(h) => h.dims()[0],
        };
        [block.linear().dims()[0], curvature]
    };
    let blocks = constraints.blocks()?;
    blocks.iter().flat_map(leading).find(|&batch| batch != 1)
}

fn check_target(constraints: &dyn Constraints, target: &Tensor<2>) -> Result<(), Error> {
    let m = constraints.rows();
    if target.dims()[1] == m {
        Ok(())
    } else {
        Err(feasible_core::Error::shape(
            "target",
            &target.dims(),
            format!("[batch or 1, {m}], one column a row"),
        )
        .into())
    }
}

impl Residual for ConstraintResidual<'_> {
    fn variables(&self) -> usize {
        self.constraints.variables()
    }

    fn rows(&self) -> usize {
        self.constraints.rows()
    }

    fn batch(&self) -> Option<usize> {
        match self.target.dims()[0] {
            1 => batch_of_rows(self.constraints),
            batch => Some(batch),
        }
    }

    fn check_batch(&self, batch: usize) -> Result<(), Error> {
        check_leading("target", &self.target.dims(), batch)?;
        check_batch_of_rows(self.constraints, batch)
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        let (values, jacobian) = self.constraints.linearise(y);
        (self.minus_target(values), jacobian)
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        self.minus_target(self.constraints.values(y))
    }

    /// In closed form for affine and quadratic rows, by backward passes for others.
    fn curvature(&self, y: Tensor<2>, multipliers: Tensor<2>) -> Result<Tensor<3>, Error> {
        match self.constraints.blocks() {
            Some(blocks) => Ok(of_blocks(&blocks, &y, &fixed(multipliers))),
            None => curvature::by_autodiff(|y| self.constraints.jacobian(y), y, multipliers),
        }
    }
}

/// Σᵢ vᵢ 2Hᵢ over the rows of all blocks.
fn of_blocks(blocks: &[Block], y: &Tensor<2>, multipliers: &Tensor<2>) -> Tensor<3> {
    let [batch, n] = y.dims();
    let mut total = Tensor::<3>::zeros([batch, n, n], (&multipliers.device(), y.dtype()));
    let mut first = 0;
    for block in blocks {
        let m = block.rows();
        // [batch, 1, m]: the matrix products below sum over the rows.
        let v = multipliers
            .clone()
            .slice_dim(1, first..first + m)
            .unsqueeze_dim::<3>(1)
            * 2.0;
        first += m;
        if m == 0 {
            continue;
        }
        match block.curvature() {
            Curvature::None => {}
            Curvature::Diagonal(h) => {
                let diagonal = v.matmul(fixed(h.clone())).swap_dims(1, 2);
                let identity = Tensor::<2>::eye(n, &y.device()).cast(y.dtype());
                total = total + diagonal * identity.unsqueeze_dim::<3>(0);
            }
            Curvature::Dense(h) => {
                let flat = fixed(h.clone()).reshape([h.dims()[0], m, n * n]);
                total = total + v.matmul(flat).reshape([batch, n, n]);
            }
        }
    }
    total
}
