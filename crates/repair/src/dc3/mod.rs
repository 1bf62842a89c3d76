//! DC3: completion of equalities, correction of inequalities.

mod affine;
mod newton;
mod partition;
mod settings;

pub use settings::{Completion, Dc3Settings};

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use feasible_core::{Block, Bounds, Constraints, Curvature, HostBlock, host};
use feasible_nls::Status;

use crate::isolate::isolating;
use crate::linear::Remembered;
use crate::start::{constant, largest, measure, residual, start, values};
use crate::{Error, Repaired};
use affine::{AffineCompletion, OnDevice};
use newton::{NewtonCompletion, targets};
use partition::{Partition, pick};

/// DC3: some variables are computed from the others so that every equality holds, then gradient
/// steps on the equalities' surface lessen the violation of the other rows.
///
/// # Problem
///
/// l ≤ g(y) ≤ u for any g; the equality rows must determine as many variables as there are rows. Rows
/// are equalities where l = u in every sample.
///
/// # Method
///
/// Completion: y = (z, φ(z)) with z the kept entries of the input and φ(z) from h(z, φ(z)) = t, in
/// closed form for affine rows and by Newton's method for others. The other entries of the input
/// only start Newton's method. Correction: v ← γ∇_z‖r(y)‖² + μv, z ← z − v with r the signed distance
/// of the other rows to their box, and completion again. For affine equalities that is the published
/// iteration; for others the published code moves φ along its tangent instead, and leaves the
/// surface. Without completion, the correction works on all rows and variables.
///
/// No number of steps guarantees that the inequalities hold: see [`Repaired::residual`].
///
/// # Adjoint
///
/// Correction steps are unrolled; a completion has the derivative −(∂h/∂φ)⁻¹∂h/∂z of its condition.
/// Gradients reach the input, the bounds, and tensors inside g where tracked.
///
/// # Shapes
///
/// Input and output `[batch, n]`, ε `[m]`; ε widens the inequality rows only, the completion aims at
/// the middle of an equality's box.
///
/// # Errors
///
/// Wrong shapes, numbers that are not finite, as many equality rows as variables, `partial` variables
/// that do not fit. A sample whose block of computed variables is singular is [`Status::Singular`],
/// one that misses the tolerance after its steps [`Status::MaxIterations`].
///
/// # Cost
///
/// Shared affine equalities: one LU of e × e numbers for as long as the block is the same, then two
/// products with `[n, n]` a step. Others: an e × e LU a sample and Newton step, and for each
/// correction step as well.
///
/// # Reference
///
/// Donti, Rolnick and Kolter, DC3, ICLR 2021, arXiv 2104.12225, section 3 and algorithm 1.
#[derive(Debug, Clone)]
pub struct Dc3 {
    settings: Dc3Settings,
    affine: Remembered<AffineCompletion>,
}

/// How the equality rows are met.
enum Completer<'a> {
    None,
    Affine(Box<OnTheSurface>),
    Newton(Box<NewtonCompletion<'a>>),
}

/// The maps of affine rows and where the rows shall be.
struct OnTheSurface {
    maps: OnDevice,
    target: Tensor<2>,
}

/// What became of each sample.
struct Outcome {
    iterations: Vec<usize>,
    singular: Vec<bool>,
}

impl Dc3 {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: Dc3Settings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self {
            settings,
            affine: Remembered::default(),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Dc3Settings {
        &self.settings
    }

    /// Repairs `y0`, `[batch, n]`, towards the box of `constraints`, whose inequality rows `epsilon`,
    /// `[m]`, widens.
    ///
    /// # Errors
    /// As the layer's documentation says.
    pub fn forward(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let bounds = start(&y0, constraints, epsilon)?;
        let ([batch, n], m) = (y0.dims(), constraints.rows());
        if batch == 0 || m == 0 {
            return Ok(Repaired::untouched(y0));
        }
        let equalities: Vec<usize> = match self.settings.completion {
            Completion::None => vec![],
            Completion::Equalities => (0..m).filter(|&i| bounds.equalities()[i]).collect(),
        };
        values(constraints, &constant(&y0))?;
        if equalities.len() >= n {
            let expected = format!(
                "at most {} equality rows, so that a variable is left",
                n - 1
            );
            let got = [equalities.len(), n];
            return Err(feasible_core::Error::shape("constraints", &got, expected).into());
        }
        let shared = shared_rows(constraints, &equalities)?;
        let partition = self.partition(&y0, constraints, &equalities, shared.as_ref())?;
        isolating(y0, constraints, &bounds, |y0| {
            let shared = shared.as_ref();
            self.repair(y0, constraints, &bounds, &equalities, shared, &partition)
        })
    }

    /// Completes and corrects; the input has been checked.
    fn repair(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        bounds: &Bounds,
        equalities: &[usize],
        shared: Option<&SharedRows>,
        partition: &Partition,
    ) -> Result<Repaired, Error> {
        let batch = y0.dims()[0];
        let mut outcome = Outcome {
            iterations: vec![0; batch],
            singular: vec![false; batch],
        };
        let newton = NewtonCompletion {
            constraints,
            rows: equalities,
            target: targets(bounds, equalities),
            partition,
            settings: &self.settings,
        };
        let completer = self.completer(&y0, newton, shared, &mut outcome)?;
        let y = self.correct(
            y0,
            constraints,
            bounds,
            equalities,
            &completer,
            &mut outcome,
        )?;
        let residual = measure(constraints, bounds, &y)?;
        let status = |sample: usize| match residual[sample] {
            r if r.is_nan() => Status::NonFinite,
            _ if outcome.singular[sample] => Status::Singular,
            r if r <= self.settings.tolerance => Status::ConvergedByResidual,
            _ => Status::MaxIterations,
        };
        Ok(Repaired {
            gradient: None,
            status: (0..batch).map(status).collect(),
            iterations: outcome.iterations,
            residual,
            y,
        })
    }

    /// One choice for the batch, by the Jacobians of all samples where none is given.
    fn partition(
        &self,
        y0: &Tensor<2>,
        constraints: &dyn Constraints,
        equalities: &[usize],
        shared: Option<&SharedRows>,
    ) -> Result<Partition, Error> {
        let (n, e) = (y0.dims()[1], equalities.len());
        if let (Some(partial), Completion::Equalities) =
            (&self.settings.partial, self.settings.completion)
        {
            return Ok(Partition::given(partial, e, n)?);
        }
        if e == 0 {
            return Ok(Partition {
                partial: (0..n).collect(),
                other: vec![],
            });
        }
        if let Some((_, rows)) = shared {
            return Ok(Partition::chosen(rows, e, n));
        }
        let jacobian = constant(&constraints.jacobian(constant(y0)));
        let mut rows = host::read("jacobian(y)", &pick(jacobian, 1, equalities))?;
        // A sample without a Jacobian is found singular later, and chooses for no other.
        for sample in rows.chunks_exact_mut(e * n) {
            if !host::all_finite(sample) {
                sample.fill(0.0);
            }
        }
        Ok(Partition::chosen(&rows, e, n))
    }

    fn completer<'a>(
        &self,
        y0: &Tensor<2>,
        newton: NewtonCompletion<'a>,
        shared: Option<&SharedRows>,
        outcome: &mut Outcome,
    ) -> Result<Completer<'a>, Error> {
        if newton.rows.is_empty() {
            return Ok(Completer::None);
        }
        let Some((blocks, rows)) = shared else {
            return Ok(Completer::Newton(Box::new(newton)));
        };
        let (n, partition) = (y0.dims()[1], newton.partition);
        let make = || AffineCompletion::new(rows.clone(), n, partition);
        let mut maps = self.affine.get(blocks, || Ok::<_, Error>(make()))?;
        // The same blocks may have had other bounds, and so other equality rows.
        if !maps.is_of(rows, partition) {
            maps = Arc::new(make());
        }
        outcome.singular.fill(!maps.regular);
        Ok(Completer::Affine(Box::new(OnTheSurface {
            maps: maps.on(&y0.device(), y0.dtype()),
            target: newton.target,
        })))
    }

    fn correct(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        bounds: &Bounds,
        equalities: &[usize],
        completer: &Completer<'_>,
        outcome: &mut Outcome,
    ) -> Result<Tensor<2>, Error> {
        let batch = y0.dims()[0];
        let mut y = completer.complete(y0, outcome)?;
        let training = y.is_tracked();
        let steps = match training {
            true => self.settings.train_steps,
            false => self.settings.test_steps,
        };
        let corrected = inequality_mask(constraints.rows(), equalities, &y);
        let mut velocity: Option<Tensor<2>> = None;
        let mut live = vec![true; batch];
        for _ in 0..steps {
            let r = residual(bounds, values(constraints, &y)?) * corrected.clone();
            if !training {
                for (live, worst) in live.iter_mut().zip(largest(&r)?) {
                    *live &= worst > self.settings.tolerance;
                }
                if !live.contains(&true) {
                    break;
                }
            }
            let gradient = constraints.vjp(y.clone(), r) * 2.0;
            let step = completer.tangent(&y, gradient)? * self.settings.learning_rate;
            let mut step = match velocity.take() {
                None => step,
                Some(velocity) => step + velocity * self.settings.momentum,
            };
            if live.contains(&false) {
                let mask = live.iter().map(|&l| f64::from(u8::from(l))).collect();
                step = step.clone() * host::write(mask, [batch, 1], &step.device(), step.dtype());
            }
            for (count, live) in outcome.iterations.iter_mut().zip(&live) {
                *count += usize::from(*live);
            }
            y = completer.follow(y - step.clone(), outcome)?;
            velocity = Some(step);
        }
        Ok(y)
    }
}

impl Completer<'_> {
    fn complete(&self, y: Tensor<2>, outcome: &mut Outcome) -> Result<Tensor<2>, Error> {
        match self {
            Self::None => Ok(y),
            Self::Affine(rows) => Ok(rows.maps.complete(y, rows.target.clone())),
            Self::Newton(newton) => {
                let completed = newton.complete(y)?;
                for sample in 0..completed.singular.len() {
                    outcome.singular[sample] |= completed.singular[sample];
                    outcome.iterations[sample] += completed.iterations[sample];
                }
                Ok(completed.y)
            }
        }
    }

    /// Back to the surface after a step: a tangent step has not left that of affine rows.
    fn follow(&self, y: Tensor<2>, outcome: &mut Outcome) -> Result<Tensor<2>, Error> {
        match self {
            Self::Newton(_) => self.complete(y, outcome),
            Self::None | Self::Affine(_) => Ok(y),
        }
    }

    fn tangent(&self, y: &Tensor<2>, gradient: Tensor<2>) -> Result<Tensor<2>, Error> {
        match self {
            Self::None => Ok(gradient),
            Self::Affine(rows) => Ok(rows.maps.tangent(gradient)),
            Self::Newton(newton) => newton.tangent(y, gradient),
        }
    }
}

/// One for the rows that are corrected, zero for those that are completed, `[1, m]`.
fn inequality_mask(m: usize, equalities: &[usize], like: &Tensor<2>) -> Tensor<2> {
    let mut mask = vec![1.0; m];
    for &row in equalities {
        mask[row] = 0.0;
    }
    let data = TensorData::new(mask, [1, m]).convert_dtype(like.dtype());
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

type SharedRows = (Vec<Arc<HostBlock>>, Vec<f64>);

/// The equality rows as numbers, row-major, with the blocks they are from, if all of them are affine,
/// shared by the batch, and constant.
fn shared_rows(
    constraints: &dyn Constraints,
    equalities: &[usize],
) -> Result<Option<SharedRows>, Error> {
    let Some(blocks) = constraints.blocks() else {
        return Ok(None);
    };
    let (mut first, mut from, mut rows) = (0, vec![], vec![]);
    for block in &blocks {
        let range = first..first + block.rows();
        first = range.end;
        let inside: Vec<usize> = equalities
            .iter()
            .filter(|row| range.contains(row))
            .map(|row| row - range.start)
            .collect();
        if inside.is_empty() {
            continue;
        }
        let plain = matches!(block.curvature(), Curvature::None);
        if !plain || Block::is_tracked(block) || block.linear().dims()[0] != 1 {
            return Ok(None);
        }
        let host = block.on_host()?;
        for row in inside {
            rows.extend_from_slice(&host.linear[row * host.variables..][..host.variables]);
        }
        from.push(host);
    }
    Ok(Some((from, rows)))
}
