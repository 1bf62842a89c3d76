//! How far the boundary is along a direction: the gauge γ(d) = inf {γ > 0 : z₀ + d/γ ∈ S}.

use burn::tensor::activation::relu;
use burn::tensor::{Int, Tensor, TensorData};
use feasible_core::{Block, Bounds, Curvature};

use crate::Error;

/// γ of the inequality rows of all blocks, row by row, `[batch, rows]`; `None` without any.
///
/// An affine row has γ = ReLU(aᵀd)/(u − aᵀz₀), and likewise for its lower bound; a quadratic one the
/// larger root of sγ² − bγ − c = 0 with s = u − g(z₀), b = (2Hz₀ + a)ᵀd, c = dᵀHd.
pub(super) fn gauges(
    blocks: &[Block],
    bounds: &Bounds,
    z0: &Tensor<2>,
    d: &Tensor<2>,
) -> Result<Option<Tensor<2>>, Error> {
    let mut parts = vec![];
    let mut first = 0;
    for block in blocks {
        let rows: Vec<usize> = (0..block.rows())
            .filter(|row| !bounds.equalities()[first + row])
            .collect();
        let places: Vec<usize> = rows.iter().map(|row| first + row).collect();
        first += block.rows();
        if rows.is_empty() {
            continue;
        }
        let of = |values: Tensor<2>| pick(values, &rows);
        let (lower, upper) = (pick(bounds.lower(), &places), pick(bounds.upper(), &places));
        let at = of(block.values(z0.clone()));
        // A sample without an interior is reported; its numbers must stay finite all the same, as
        // those of the others are summed with them.
        let slack = |slack: Tensor<2>| {
            let none = slack.clone().lower_equal_elem(0.0);
            slack.mask_fill(none, 1.0)
        };
        match block.curvature() {
            Curvature::None => {
                let along = of(block.values(d.clone()));
                parts.push(relu(along.clone()) / slack(upper - at.clone()));
                parts.push(relu(-along) / slack(at - lower));
            }
            Curvature::Diagonal(_) | Curvature::Dense(_) => {
                let linear = Block::new(block.linear().clone(), Curvature::None)?;
                let c = of(block.values(d.clone()) - linear.values(d.clone()));
                let b = of(slope(block, z0, d));
                parts.push(larger_root(slack(upper - at), b, c));
            }
        }
    }
    Ok((!parts.is_empty()).then(|| {
        let batch = parts.iter().map(|part| part.dims()[0]).max().unwrap_or(1);
        let parts = parts.into_iter().map(|part| {
            let rows = part.dims()[1];
            part.expand([batch, rows])
        });
        Tensor::cat(parts.collect(), 1)
    }))
}

/// (2Hz₀ + a)ᵀd for every row.
fn slope(block: &Block, z0: &Tensor<2>, d: &Tensor<2>) -> Tensor<2> {
    let jacobian = block.jacobian(z0.clone());
    match jacobian.dims() {
        [1, m, n] => d.clone().matmul(jacobian.reshape([m, n]).transpose()),
        _ => jacobian
            .matmul(d.clone().unsqueeze_dim::<3>(2))
            .squeeze_dim::<2>(2),
    }
}

/// The larger root of sγ² − bγ − c = 0, or 0 if it is negative; an open row, s = ∞, has none.
pub(super) fn larger_root(s: Tensor<2>, b: Tensor<2>, c: Tensor<2>) -> Tensor<2> {
    let open = s.clone().is_inf();
    let s = s.mask_fill(open.clone(), 1.0);
    let radicand = b.clone().square() + s.clone() * c.clone() * 4.0;
    // It is not negative but by rounding: along flat directions, and at the tip of a cone. The derivative of a
    // root of zero is infinite; here it belongs to the direction zero.
    let none = radicand.clone().lower_equal_elem(0.0);
    let root = radicand
        .mask_fill(none.clone(), 1.0)
        .sqrt()
        .mask_fill(none, 0.0);
    // Whichever of the two forms does not cancel.
    let falls = b.clone().lower_elem(0.0);
    let sum = root.clone() + b.clone();
    let difference = (root - b).mask_fill(falls.clone().bool_not(), 1.0);
    let larger = (sum / (s * 2.0)).mask_where(falls, c * 2.0 / difference);
    relu(larger).mask_fill(open, 0.0)
}

/// Columns of a matrix in the given order.
fn pick(tensor: Tensor<2>, columns: &[usize]) -> Tensor<2> {
    let indices: Vec<i64> = columns.iter().map(|&i| i as i64).collect();
    let data = TensorData::new(indices, [columns.len()]);
    let device = tensor.device();
    tensor.select(1, Tensor::<1, Int>::from_data(data, &device))
}
