//! Hessian-vector products by differences of gradients.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use feasible_core::host;
use feasible_spectrum::{Operator, OperatorError};
use serde::{Deserialize, Serialize};

use crate::error::{EvaluationError, positive};
use crate::hessian::quality::{Quality, probe, relative_change, symmetry_defect};
use crate::vectors::{axpy, moved, norm};
use crate::{Error, Layout, Objective};

/// Which difference quotient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Differences {
    /// `D(h) = (g(θ + h v) − g(θ − h v)) / 2h`: two gradients, error `O(h²)`.
    #[default]
    Central,
    /// Richardson's `(4 D(h/2) − D(h)) / 3`: four gradients, error `O(h⁴)`.
    Richardson,
    /// `(g(θ + h v) − g(θ)) / h`, to search with: one gradient and that of the parameters themselves
    /// once, error `O(h)`. Eigenpairs are accepted by central differences all the same
    /// ([`Operator::residual_product`]); densities and traces are those of the forward ones.
    Forward,
}

/// How products are differenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DifferenceSettings {
    /// Which quotient. Default [`Differences::Central`].
    pub differences: Differences,
    /// `h` along a unit direction, over `1 + ‖θ‖`. `None` (default) takes the cube root of the
    /// parameters' rounding, 6e-6 in f64 and 5e-3 in f32, where truncation and rounding of a central
    /// difference balance, and for forward differences the square root, 1.5e-8 and 3e-4 (Nocedal &
    /// Wright, Numerical Optimization, section 8.1). A step that is given is also that of the central
    /// differences that eigenpairs are accepted by. [`Hessian::choose_step`] finds a better one for the
    /// loss at hand.
    pub step: Option<f64>,
}

impl DifferenceSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] if the step is not above 0 and finite.
    pub fn validate(&self) -> Result<(), Error> {
        self.step.map_or(Ok(()), |step| positive("step", step))
    }

    /// The step of products, and that of the products that pairs are accepted by.
    fn steps(&self, rounding: f64) -> (f64, f64) {
        let of_central = self.step.unwrap_or_else(|| rounding.cbrt());
        let of_products = match self.differences {
            Differences::Forward => self.step.unwrap_or_else(|| rounding.sqrt()),
            Differences::Central | Differences::Richardson => of_central,
        };
        (of_products, of_central)
    }
}

/// The Hessian of a loss at a module's parameters, by differences of gradients.
///
/// # Problem
/// `H v ≈ (g(θ + h v) − g(θ − h v)) / 2h` for unit `v`, scaled back to the length of `v`. It serves
/// every module and layer that has a gradient; exactness is that of the gradients in f64. Parameters
/// in f32 give about two digits fewer than half of f32's: cast the module ([`crate::in_precision`]).
///
/// # Cost
/// Two gradients a product, or four, or one ([`Differences`]); each batch of the [`Objective`] counts as
/// one loss and its backward pass. The module itself is never changed.
///
/// # Reference
/// Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994), section 2,
/// on differences and their rounding.
#[derive(Clone, Debug)]
pub struct Hessian<M, F> {
    module: M,
    layout: Layout,
    objective: Objective<F>,
    parameters: Vec<f64>,
    settings: DifferenceSettings,
    step: f64,
    /// That of the central differences that pairs are accepted by.
    residual_step: f64,
    /// The gradient at the parameters, once it is needed.
    here: Option<Vec<f64>>,
    gradients: usize,
}

/// What [`Hessian::choose_step`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepChoice {
    /// The step chosen, over `1 + ‖θ‖`.
    pub step: f64,
    /// Relative change of products from this step to a quarter of it, the largest of the directions.
    pub change: f64,
    /// Every step tried with its change, the largest step first; without those at which a product
    /// was 0 or not finite.
    pub ladder: Vec<(f64, f64)>,
}

/// The first step that [`Hessian::choose_step`] tries.
const FIRST: f64 = 1.0 / 32.0;

/// Steps tried, each a quarter of the one before. The last is compared with 5e-10, where f64's
/// rounding has long won.
const LADDER: usize = 13;

/// Directions tried at each step.
const DIRECTIONS: u64 = 3;

impl<M, F> Hessian<M, F>
where
    M: Module,
    F: FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>,
{
    /// The Hessian with respect to the layout's parameters, at those of the module.
    ///
    /// # Errors
    /// [`Error::Setting`], or as [`Layout::flatten`].
    pub fn new(
        module: &M,
        layout: &Layout,
        objective: Objective<F>,
        settings: DifferenceSettings,
    ) -> Result<Self, Error> {
        settings.validate()?;
        let parameters = layout.flatten(module)?;
        let (step, residual_step) = settings.steps(rounding(module));
        Ok(Self {
            module: module.clone(),
            layout: layout.clone(),
            objective,
            parameters,
            settings,
            step,
            residual_step,
            here: None,
            gradients: 0,
        })
    }

    /// The step along a unit direction, over `1 + ‖θ‖`.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// Differences otherwise from now on; a step that was chosen is forgotten.
    ///
    /// # Errors
    /// As [`DifferenceSettings::validate`].
    pub fn set_differences(&mut self, settings: DifferenceSettings) -> Result<(), Error> {
        settings.validate()?;
        (self.step, self.residual_step) = settings.steps(rounding(&self.module));
        self.settings = settings;
        Ok(())
    }

    /// Gradients computed so far.
    pub fn gradients(&self) -> usize {
        self.gradients
    }

    /// The loss and its gradient at the parameters.
    ///
    /// # Errors
    /// As [`Objective::gradient`].
    pub fn gradient(&mut self) -> Result<(f64, Vec<f64>), Error> {
        self.gradients += 1;
        self.objective.gradient(&self.module, &self.layout)
    }

    /// `h` along `v`; none along 0.
    fn along(&self, v: &[f64], step: f64) -> Option<f64> {
        let length = norm(v);
        (length != 0.0).then(|| step * (1.0 + norm(&self.parameters)) / length)
    }

    /// `H v` by forward differences with this step.
    fn forward(&mut self, v: &[f64], step: f64) -> Result<Vec<f64>, Error> {
        let Some(h) = self.along(v, step) else {
            return Ok(vec![0.0; v.len()]);
        };
        let mut out = self.gradient_at(&moved(&self.parameters, h, v))?;
        let here = match self.here.take() {
            Some(here) => here,
            None => self.gradient()?.1,
        };
        for (o, g) in out.iter_mut().zip(&here) {
            *o = (*o - g) / h;
        }
        self.here = Some(here);
        Ok(out)
    }

    /// `H v` by central differences with this step.
    fn central(&mut self, v: &[f64], step: f64) -> Result<Vec<f64>, Error> {
        let Some(h) = self.along(v, step) else {
            return Ok(vec![0.0; v.len()]);
        };
        let mut out = self.gradient_at(&moved(&self.parameters, h, v))?;
        let behind = self.gradient_at(&moved(&self.parameters, -h, v))?;
        for (o, b) in out.iter_mut().zip(&behind) {
            *o = (*o - b) / (2.0 * h);
        }
        Ok(out)
    }

    fn gradient_at(&mut self, parameters: &[f64]) -> Result<Vec<f64>, Error> {
        let module = self.layout.assign(self.module.clone(), parameters)?;
        self.gradients += 1;
        Ok(self.objective.gradient(&module, &self.layout)?.1)
    }

    fn product(&mut self, v: &[f64], step: f64) -> Result<Vec<f64>, Error> {
        match self.settings.differences {
            Differences::Central => self.central(v, step),
            Differences::Forward => self.forward(v, step),
            Differences::Richardson => {
                let coarse = self.central(v, step)?;
                let mut fine = self.central(v, step / 2.0)?;
                fine.iter_mut().for_each(|f| *f *= 4.0 / 3.0);
                axpy(-1.0 / 3.0, &coarse, &mut fine);
                Ok(fine)
            }
        }
    }

    /// How good products are, in two random directions: symmetry, and the change from `h` to `h/2`.
    ///
    /// # Cost
    /// Four products.
    ///
    /// # Errors
    /// As the products.
    pub fn quality(&mut self, seed: u64) -> Result<Quality, Error> {
        let symmetry_defect = symmetry_defect(self, seed)?;
        let v = probe(self.layout.n(), seed);
        let step = self.step;
        let coarse = self.product(&v, step)?;
        let fine = self.product(&v, step / 2.0)?;
        Ok(Quality {
            symmetry_defect,
            step_change: relative_change(&coarse, &fine),
            step,
        })
    }

    /// Tries steps from 1/32 down to 2e-9 along three random directions, and keeps the smallest at
    /// which products change by at most `tolerance` when it is quartered; where none does, the one
    /// at which they change least.
    ///
    /// On a smooth loss any such step will do. With ReLU the smallest is best: a kink between
    /// `θ − h v` and `θ + h v` adds an error that does not fall with `h`, and only becomes rarer. A
    /// network of 70,500 parameters on 833 samples meets one in most products at the default step.
    /// [`crate::ExactHessian`] meets none.
    ///
    /// # Cost
    /// 42 products.
    ///
    /// # Errors
    /// As the products; [`Error::Setting`] if the tolerance is not above 0; [`Error::Argument`] if no
    /// two steps can be compared, because products are 0 or not finite at all of them. The step is
    /// then as it was.
    pub fn choose_step(&mut self, tolerance: f64, seed: u64) -> Result<StepChoice, Error> {
        positive("tolerance", tolerance)?;
        let mut changes = vec![Some(0.0f64); LADDER];
        for direction in 0..DIRECTIONS {
            let v = probe(self.layout.n(), seed.wrapping_add(direction));
            let mut step = FIRST;
            let mut coarse = self.product(&v, step)?;
            for worst in &mut changes {
                step /= 4.0;
                let fine = self.product(&v, step)?;
                *worst = worst
                    .zip(relative_change(&coarse, &fine))
                    .map(|(worst, change)| worst.max(change));
                coarse = fine;
            }
        }
        let steps = std::iter::successors(Some(FIRST), |step| Some(step / 4.0));
        let ladder: Vec<(f64, f64)> = steps
            .zip(changes)
            .filter_map(|(step, change)| Some((step, change?)))
            .collect();
        let good = ladder.iter().rfind(|(_, change)| *change <= tolerance);
        let best = good.or_else(|| ladder.iter().min_by(|a, b| a.1.total_cmp(&b.1)));
        let Some(&(step, change)) = best else {
            return Err(Error::argument(
                "loss",
                "has gradients whose differences are 0 or not finite at every step",
            ));
        };
        self.step = step;
        self.residual_step = step;
        Ok(StepChoice {
            step,
            change,
            ladder,
        })
    }
}

impl<M, F> Operator for Hessian<M, F>
where
    M: Module,
    F: FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>,
{
    fn dim(&self) -> usize {
        self.layout.n()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        let product = self.product(x, self.step)?;
        out.copy_from_slice(&product);
        Ok(())
    }

    fn residual_product(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        if self.settings.differences != Differences::Forward {
            return self.apply(x, out);
        }
        let product = self.central(x, self.residual_step)?;
        out.copy_from_slice(&product);
        Ok(())
    }
}

/// The coarsest rounding among the module's parameters.
pub(crate) fn rounding<M: Module>(module: &M) -> f64 {
    struct Coarsest(f64);
    impl ModuleVisitor for Coarsest {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 = self.0.max(host::rounding(param.base().dtype()));
        }
    }
    let mut coarsest = Coarsest(f64::EPSILON);
    module.visit(&mut coarsest);
    coarsest.0
}
