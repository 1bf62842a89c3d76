use burn::tensor::Tensor;
use feasible_convex::{ConvexSettings, OnFailure, Projected, Projection};
use feasible_core::{Block, Bounds, Constraints, Curvature, HostCurvature, host};
use feasible_nls::Status;

use crate::linear::{Inverses, Remembered, inverses, shortest};
use crate::start::{measure, start};
use crate::{Error, Repaired, RowPolicy, SnareNetSettings};

/// HardNet-Aff: the closed form that puts an output inside affine rows.
///
/// # Problem
///
/// l ≤ Ay ≤ u with A of full row rank (so at most as many rows as variables), for every input. A may
/// be one for the batch or one a sample.
///
/// # Method
///
/// y = ŷ + A⁺[ReLU(l − Aŷ) − ReLU(Aŷ − u)], A⁺ = Aᵀ(AAᵀ)⁻¹. Then Ay = clip(Aŷ, l, u): rows that were
/// violated hold with equality, the others keep their value, and a feasible ŷ is untouched. It is
/// the nearest feasible point only where the violated rows are orthogonal to the others. The same
/// step as SnareNet's with λ = 0 and all rows, once.
///
/// # Adjoint
///
/// That of the formula; gradients reach ŷ, the bounds, and A where tracked. Along violated rows it
/// is zero: begin with epochs without the layer where that stalls training.
///
/// # Shapes
///
/// Input and output `[batch, n]`, ε `[m]`.
///
/// # Errors
///
/// Rows that are not affine, more rows than variables, wrong shapes, numbers that are not finite. A
/// sample whose A has not full row rank is [`Status::Singular`]: it gets the least-squares
/// correction, which meets rows that repeat each other consistently and misses others.
///
/// # Cost
///
/// A shared A is factored once for as long as the block is the same: then a product with A and one
/// with A⁺. One a sample costs a QR decomposition each, m²n.
///
/// # Reference
///
/// Min and Azizan, Hard-Constrained Neural Networks with Universal Approximation Guarantees, arXiv
/// 2410.10807, HardNet-Aff: the formula under Method, in the published code `hardnet_aff.py`, in the
/// two-sided form of its version 2.0.
#[derive(Debug, Clone, Default)]
pub struct HardNetAff {
    inverses: Remembered<Inverses>,
}

impl HardNetAff {
    /// The layer; it has no settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Repairs `y0`, `[batch, n]`, into the box of `constraints`, widened by `epsilon`, `[m]`.
    ///
    /// # Errors
    /// As the layer's documentation says.
    pub fn forward(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let bounds = start(&y0, constraints, epsilon.clone())?;
        let ([batch, n], m) = (y0.dims(), constraints.rows());
        if batch == 0 || m == 0 {
            return Ok(Repaired::untouched(y0));
        }
        let blocks = affine_blocks("HardNetAff", constraints)?;
        if m > n {
            let expected = format!("at most {n} rows: more cannot have full row rank");
            return Err(feasible_core::Error::shape("constraints", &[m, n], expected).into());
        }
        let a = stack_linear(&blocks);
        let on_host: Vec<_> = blocks
            .iter()
            .map(Block::on_host)
            .collect::<Result<_, _>>()?;
        let inverses = self.inverses.get(&on_host, || -> Result<_, Error> {
            Ok(inverses(&host::read_finite("a", &a)?, m, n))
        })?;
        let values = host::expand(constraints.values(y0.clone()), [batch, m]);
        let distance = bounds.residual(values.clone());
        let distance = equations(&bounds, epsilon.as_ref(), values, distance)?;
        let violated = host::read("residual", &distance)?;
        let step = shortest(a, inverses, distance)?;
        let y = y0 - step.delta;
        let residual = measure(constraints, &bounds, &y)?;
        let iterations: Vec<usize> = violated
            .chunks_exact(m)
            .map(|sample| usize::from(sample.iter().any(|r| *r != 0.0)))
            .collect();
        let status = |sample: usize| match (iterations[sample], step.full_rank[sample]) {
            _ if residual[sample].is_nan() => Status::NonFinite,
            (0, _) | (_, true) => Status::ConvergedByResidual,
            (_, false) => Status::Singular,
        };
        Ok(Repaired {
            gradient: None,
            status: (0..batch).map(status).collect(),
            iterations,
            residual,
            y,
        })
    }
}

/// The distance with the derivative of the equation in rows of equal bounds that are not widened, where they are met
/// too: ReLUs have none there.
fn equations(
    bounds: &Bounds,
    epsilon: Option<&Tensor<1>>,
    values: Tensor<2>,
    distance: Tensor<2>,
) -> Result<Tensor<2>, Error> {
    let mut equal = bounds.equalities().to_vec();
    if let Some(epsilon) = epsilon {
        for (equal, epsilon) in equal.iter_mut().zip(host::read("epsilon", epsilon)?) {
            *equal &= epsilon == 0.0;
        }
    }
    if !equal.contains(&true) {
        return Ok(distance);
    }
    let equal = equal.into_iter().map(|e| f64::from(u8::from(e))).collect();
    let shape = [1, bounds.rows()];
    let equal = host::write::<2>(equal, shape, &distance.device(), distance.dtype());
    let equal = equal.equal_elem(1.0).expand(distance.dims());
    Ok(distance.mask_where(equal, values - bounds.lower()))
}

/// HardNet-Cvx: the nearest point of a convex set, as [`Projection`] computes it.
///
/// # Problem, adjoint, shapes, errors, cost
///
/// Those of [`Projection`]: input and output `[batch, n]`, ε `[m]`, rows that are affine or convex quadratic,
/// derivatives of the optimality conditions. A sample without a solution is [`Status::Singular`] and keeps the
/// solver's last point.
///
/// # Reference
///
/// Min and Azizan, arXiv 2410.10807, HardNet-Cvx, argmin ‖z − ŷ‖² over the set, which the published code
/// (`hardnet_cvx.py`) solves by cvxpylayers at a tolerance of 1e-5. For quadratic programs the layer is also
/// Amos and Kolter, OptNet, ICML 2017, arXiv 1703.00443: the differential of the optimality conditions.
#[derive(Debug, Clone, Copy)]
pub struct HardNetCvx {
    projection: Projection,
}

/// An OptNet layer as a repair: the quadratic program whose objective is the distance to the network's output,
/// differentiated by its optimality conditions. The same map as HardNet-Cvx. For the objective of a problem itself
/// take [`QpLayer`](feasible_convex::QpLayer).
///
/// # Reference
///
/// Amos and Kolter, OptNet, ICML 2017, arXiv 1703.00443, section 3.1.
pub type OptNet = HardNetCvx;

impl Default for HardNetCvx {
    fn default() -> Self {
        let settings = ConvexSettings {
            on_failure: OnFailure::Keep,
            ..ConvexSettings::default()
        };
        Self {
            projection: Projection::new(settings).expect("default settings are valid"),
        }
    }
}

impl HardNetCvx {
    /// A layer with the default convex solver.
    pub fn new() -> Self {
        Self::default()
    }

    /// Projects `y0`, `[batch, n]`, on the box of `constraints`, widened by `epsilon`, `[m]`.
    ///
    /// # Errors
    /// As [`Projection::forward`].
    pub fn forward(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let bounds = start(&y0, constraints, epsilon.clone())?;
        let Projected {
            y,
            status,
            iterations,
            ..
        } = match epsilon {
            None => self.projection.forward(y0, constraints)?,
            Some(epsilon) => self.projection.forward_relaxed(y0, constraints, epsilon)?,
        };
        let residual = measure(constraints, &bounds, &y)?;
        let status = status.iter().map(|found| match found {
            feasible_convex::Status::Solved => Status::ConvergedByResidual,
            feasible_convex::Status::MaxIterations => Status::MaxIterations,
            _ => Status::Singular,
        });
        Ok(Repaired {
            gradient: None,
            status: status.collect(),
            iterations,
            residual,
            y,
        })
    }
}

impl SnareNetSettings {
    /// HardNet++ (Goertzen, Alim and Azizan, arXiv 2604.19669, its damped local linearisation; in the published
    /// code `Model::HN_pp` of `model.py`): y ← y − Jᵀ(JJᵀ + λI)⁻¹r. By the
    /// push-through identity that is SnareNet's step with every row, so it is one implementation.
    /// The published runs take λ = 0.3 and 500 iterations without a stopping test; here a sample
    /// whose residual is below 1e-8 stops, where the remaining steps would be as small.
    pub fn hardnet_plus_plus() -> Self {
        Self {
            max_iterations: 500,
            damping: 0.3,
            rows: RowPolicy::All,
            ..Self::default()
        }
    }
}

/// The rows as blocks, all of them affine.
pub(crate) fn affine_blocks(
    method: &'static str,
    constraints: &dyn Constraints,
) -> Result<Vec<Block>, Error> {
    let refuse = |row, found| Error::Rows {
        method,
        needs: "affine rows",
        row,
        found,
    };
    let blocks = constraints
        .blocks()
        .ok_or_else(|| refuse(0, "a general function"))?;
    let mut start = 0;
    for block in &blocks {
        let curved = match block.curvature() {
            Curvature::None => None,
            Curvature::Diagonal(h) if h.is_tracked() => Some(0),
            Curvature::Dense(h) if h.is_tracked() => Some(0),
            _ => first_curved(block)?,
        };
        if let Some(row) = curved {
            return Err(refuse(start + row, "quadratic"));
        }
        start += block.rows();
    }
    Ok(blocks)
}

/// The first row of a block whose H_i is not zero.
fn first_curved(block: &Block) -> Result<Option<usize>, feasible_core::Error> {
    let host = block.on_host()?;
    let (values, size) = match &host.curvature {
        HostCurvature::None => return Ok(None),
        HostCurvature::Diagonal(h, _) => (h, host.variables),
        HostCurvature::Dense(h, _) => (h, host.variables * host.variables),
    };
    let at = values.iter().position(|v| *v != 0.0);
    Ok(at.map(|at| (at / size) % host.rows))
}

/// The rows a_i of all blocks, `[1 or batch, m, n]`.
pub(crate) fn stack_linear(blocks: &[Block]) -> Tensor<3> {
    let batch = |block: &Block| block.linear().dims()[0];
    let widest = blocks.iter().map(batch).max().unwrap_or(1);
    let parts = blocks.iter().map(|block| {
        let [_, m, n] = block.linear().dims();
        host::expand(block.linear().clone(), [widest, m, n])
    });
    host::cat(parts.collect(), 1)
}
