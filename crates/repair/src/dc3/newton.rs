//! Completion of equality rows of any kind: Newton's method on the host's clock, its derivative from
//! the condition that the completed point meets.

use burn::tensor::Tensor;
use feasible_core::{Bounds, Constraints, host};

use super::Dc3Settings;
use super::partition::{Partition, pick};
use crate::Error;
use crate::linear::{Side, solve};
use crate::start::{constant, largest};

/// The equality rows of some constraints, with what completes them.
#[derive(Debug)]
pub(super) struct NewtonCompletion<'a> {
    pub(super) constraints: &'a dyn Constraints,
    pub(super) rows: &'a [usize],
    /// Where the rows shall be, `[1 or batch, equalities]`.
    pub(super) target: Tensor<2>,
    pub(super) partition: &'a Partition,
    pub(super) settings: &'a Dc3Settings,
}

/// A completed point.
#[derive(Debug)]
pub(super) struct Completed {
    /// `[batch, n]`.
    pub(super) y: Tensor<2>,
    /// Newton steps, one entry a sample.
    pub(super) iterations: Vec<usize>,
    /// Whether a block of the computed variables was singular, one entry a sample.
    pub(super) singular: Vec<bool>,
}

impl NewtonCompletion<'_> {
    /// h(y) − t and its Jacobian, `[batch, e]` and `[batch, e, n]`.
    fn linearise(&self, y: &Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        let [batch, n] = y.dims();
        let m = self.constraints.rows();
        let (values, jacobian) = self.constraints.linearise(y.clone());
        let values = host::expand(values, [batch, m]);
        let jacobian = host::expand(jacobian, [batch, m, n]);
        let h = pick(values, 1, self.rows) - self.target.clone();
        (h, pick(jacobian, 1, self.rows))
    }

    /// The computed variables' block.
    fn block(&self, jacobian: Tensor<3>) -> Tensor<3> {
        pick(jacobian, 2, &self.partition.other)
    }

    /// Completes the kept variables of `y`; its other variables are where Newton's method starts.
    ///
    /// The steps are not recorded. One more is, from the point they lead to and with a constant
    /// block: its value is a Newton step, and its derivative that of the implicit function theorem,
    /// −(∂h/∂y_other)⁻¹ ∂h/∂z.
    pub(super) fn complete(&self, y: Tensor<2>) -> Result<Completed, Error> {
        let batch = y.dims()[0];
        let Partition { partial, other } = self.partition;
        let kept = pick(y.clone(), 1, partial);
        let fixed = constant(&kept);
        let mut computed = constant(&pick(y, 1, other));
        let mut iterations = vec![0; batch];
        let mut live = vec![true; batch];
        let mut singular = vec![false; batch];
        // What rounding of the tensors leaves is not to be iterated on.
        let rounding = 16.0 * host::rounding(computed.dtype());
        let tolerance = self.settings.newton_tolerance.max(rounding);
        for _ in 0..self.settings.newton_iterations {
            let at = self.partition.join(fixed.clone(), computed.clone());
            let (h, jacobian) = self.linearise(&at);
            let (h, jacobian) = (constant(&h), constant(&jacobian));
            for (live, worst) in live.iter_mut().zip(largest(&h)?) {
                // A NaN goes on, to be found singular.
                *live &= worst > tolerance || worst.is_nan();
            }
            if !live.contains(&true) {
                break;
            }
            let (step, solved) = solve(self.block(jacobian), h, Side::Plain)?;
            for sample in 0..batch {
                singular[sample] |= live[sample] && !solved[sample];
                live[sample] &= solved[sample];
                iterations[sample] += usize::from(live[sample]);
            }
            let mask = live.iter().map(|&l| f64::from(u8::from(l))).collect();
            let mask = host::write(mask, [batch, 1], &step.device(), step.dtype());
            computed = computed - step * mask;
        }
        let at = self.partition.join(kept.clone(), computed.clone());
        let (h, jacobian) = self.linearise(&at);
        let (step, solved) = solve(constant(&self.block(jacobian)), h, Side::Plain)?;
        for sample in 0..batch {
            singular[sample] |= !solved[sample];
        }
        Ok(Completed {
            y: self.partition.join(kept, computed - step),
            iterations,
            singular,
        })
    }

    /// The gradient in the kept variables, as a step of these: g_p − J_pᵀ J_o⁻ᵀ g_o. The computed
    /// variables follow at the next completion.
    pub(super) fn tangent(&self, y: &Tensor<2>, gradient: Tensor<2>) -> Result<Tensor<2>, Error> {
        let Partition { partial, other } = self.partition;
        let (_, jacobian) = self.linearise(y);
        let of_kept = pick(gradient.clone(), 1, partial);
        let of_computed = pick(gradient, 1, other);
        let block = self.block(jacobian.clone());
        let (multiplier, _) = solve(block, of_computed, Side::Transposed)?;
        let kept = pick(jacobian, 2, partial);
        let through = (kept * multiplier.unsqueeze_dim::<3>(2)).sum_dim(1);
        let reduced = of_kept - through.squeeze_dim::<2>(1);
        let [batch, _] = reduced.dims();
        let zeros = Tensor::zeros([batch, other.len()], (&reduced.device(), reduced.dtype()));
        Ok(self.partition.join(reduced, zeros))
    }
}

/// The middle of the box of some rows, `[1 or batch, rows]`.
pub(super) fn targets(bounds: &Bounds, rows: &[usize]) -> Tensor<2> {
    // Half of each first: the sum of two large bounds may overflow.
    if rows.is_empty() {
        return bounds.lower();
    }
    pick(bounds.lower(), 1, rows) * 0.5 + pick(bounds.upper(), 1, rows) * 0.5
}
