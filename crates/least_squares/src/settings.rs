//! How problems are solved and differentiated.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How a batch is solved: step × linear solver × stopping × backward mode.
///
/// The defaults suit f64 and derivatives by the exact implicit mode, which wants a gradient near zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Iterations before [`crate::Status::MaxIterations`], rejected steps included. Default 100.
    pub max_iterations: usize,
    /// How steps are chosen. Default Levenberg-Marquardt.
    pub step: Step,
    /// How the linear systems are solved. Default [`Linear::Auto`].
    pub linear: Linear,
    /// When a sample has converged.
    pub stopping: Stopping,
    /// How minimisers are differentiated. Default implicit with the exact Hessian.
    pub backward: Backward,
}

/// When a sample has converged. A tolerance of 0 never stops by its test, but for a gradient of exactly 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stopping {
    /// On max|∇| over the coordinates that are free to move, in the units of the objective per unit of
    /// step. Default 1e-10.
    pub gradient: f64,
    /// On the change of the cost by a step that was taken and the change that the linearised rows predicted,
    /// relative to the cost, as in MINPACK. Default 0: a cost that hardly changes does not mean a gradient near
    /// zero.
    pub cost: f64,
    /// On ‖δ‖ of a step that was taken, relative to ‖x‖ (plus this tolerance). Default 1e-12.
    pub step: f64,
}

/// How a step δ is chosen at a point with gradient g = Jᵀr and Gauss-Newton matrix M = JᵀJ (weights and
/// losses included).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Mδ = −g, every finite step taken; the shortest such δ where there are fewer rows than variables.
    /// A step to numbers that are not finite is halved until they are.
    GaussNewton,
    /// (M + D)δ = −g with the damping D.
    LevenbergMarquardt(LevenbergMarquardt),
    /// Powell's dogleg: the Gauss-Newton step where it is within the region's radius, else the best point
    /// of the path by way of the steepest descent step (Nocedal & Wright, *Numerical optimization*,
    /// section 4.1).
    Dogleg(Dogleg),
}

/// Levenberg-Marquardt's damping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LevenbergMarquardt {
    /// What is damped. Default spherical.
    pub shape: Shape,
    /// How λ changes. Default by factors.
    pub damping: Damping,
    /// λ of the first iteration. Default 1e-3.
    pub initial: f64,
    /// Lower end of λ. Default 1e-12.
    pub min: f64,
    /// Upper end of λ; a step rejected there is [`crate::Status::Stalled`]. Default 1e16.
    pub max: f64,
}

/// The matrix D of the damping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// λI. With fewer rows than variables the systems are then of the size of the rows.
    #[default]
    Spherical,
    /// λ(diag M + floor): indifferent to the units of the variables, up to the floor.
    Ellipsoidal {
        /// What keeps columns of zeros damped.
        floor: f64,
    },
}

/// How λ changes with the gain ratio ρ, the decrease of the cost over that of its model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damping {
    /// λ stays, and every finite step is taken; a step to numbers that are not finite is halved until
    /// they are.
    Fixed,
    /// A step with ρ above `accept` is taken and λ divided by `down`; another is rejected and λ
    /// multiplied by `up` (Gavin, *The Levenberg-Marquardt algorithm for nonlinear least squares
    /// curve-fitting problems*, method 1, with the constants of Theseus as defaults).
    Factors {
        /// Divisor after an acceptance, above 1.
        down: f64,
        /// Factor after a rejection, above 1.
        up: f64,
        /// Smallest gain ratio that is accepted, in [0, 1).
        accept: f64,
    },
    /// A step with ρ > 0 is taken and λ multiplied by max(1/3, 1 − (2ρ − 1)³); another is rejected and λ
    /// multiplied by 2, 4, 8 … (Nielsen, *Damping parameter in Marquardt's method*, 1999). λ depends on
    /// ρ smoothly here, which unrolled derivatives leave out: they are
    /// [`crate::GradientQuality::Inexact`].
    Nielsen,
}

/// The region of Powell's dogleg.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dogleg {
    /// Radius of the first iteration. Default 1.
    pub radius: f64,
    /// Upper end of the radius. Default 1e8.
    pub max: f64,
    /// Smallest gain ratio ρ that is accepted, in [0, ¼). Below ¼ the radius is quartered; above ¾, at
    /// the region's edge, it is doubled. Default 1e-4.
    pub accept: f64,
}

/// How the linear systems are solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linear {
    /// Sparse Cholesky where there are many variables and few of their pairs share a cost, else dense
    /// Cholesky.
    #[default]
    Auto,
    /// Cholesky of M + D; of JJᵀ + λI where there are fewer rows than variables and D = λI.
    DenseCholesky,
    /// QR of J over √D, with column pivoting: no squared condition number. Steps are the shortest ones
    /// where J has no full rank.
    DenseQr,
    /// Cholesky of M + D by its blocks, in an ordering of approximate minimum degree; the symbolic factor
    /// is made once for the objective.
    SparseCholesky,
    /// Conjugate gradients on M + D, which is not formed, preconditioned by the blocks of the variables.
    ConjugateGradient {
        /// On the residual relative to the right-hand side.
        tolerance: f64,
        /// Iterations of one system.
        max_iterations: usize,
    },
}

/// How minimisers are differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backward {
    /// By the stationarity ∇E(x; θ) = 0. The start gets no gradient.
    Implicit {
        /// The matrix of the linear system.
        hessian: Hessian,
    },
    /// Through all iterations as they were run, with the damping, the acceptance of steps and active
    /// bounds as given. Also to the start.
    Unrolled,
    /// Through the last so many iterations that took a step. The start gets a gradient only if these are
    /// all.
    Truncated {
        /// How many, at least 1.
        iterations: usize,
    },
    /// From the gradients by θ of E at the minimisers of E(x; θ) ± ε vᵀx, divided by 2ε (McAllester,
    /// Hazan & Keshet, *Direct loss minimization for structured prediction*, 2010; there one-sided):
    /// two more solves and no second derivatives. The error is of the order of ε² at isolated minimisers;
    /// others have no gradient of this kind.
    DirectLoss {
        /// ε, for a cotangent v of largest entry 1. About 1e-4 balances ε² and rounding over ε.
        epsilon: f64,
    },
}

/// The Hessian of implicit differentiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hessian {
    /// That of the objective: exact at a minimiser.
    #[default]
    Exact,
    /// Its Gauss-Newton part, as in Theseus: right only where residuals are zero or costs affine.
    GaussNewton,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_iterations: 100,
            step: Step::default(),
            linear: Linear::default(),
            stopping: Stopping::default(),
            backward: Backward::default(),
        }
    }
}

impl Default for Stopping {
    fn default() -> Self {
        Self {
            gradient: 1e-10,
            cost: 0.0,
            step: 1e-12,
        }
    }
}

impl Default for Step {
    fn default() -> Self {
        Self::LevenbergMarquardt(LevenbergMarquardt::default())
    }
}

impl Default for LevenbergMarquardt {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            damping: Damping::default(),
            initial: 1e-3,
            min: 1e-12,
            max: 1e16,
        }
    }
}

impl Shape {
    /// Ellipsoidal with the floor 1e-8.
    pub const ELLIPSOIDAL: Self = Self::Ellipsoidal { floor: 1e-8 };
}

impl Default for Damping {
    fn default() -> Self {
        Self::Factors {
            down: 9.0,
            up: 11.0,
            accept: 0.1,
        }
    }
}

impl Default for Dogleg {
    fn default() -> Self {
        Self {
            radius: 1.0,
            max: 1e8,
            accept: 1e-4,
        }
    }
}

impl Default for Backward {
    fn default() -> Self {
        Self::Implicit {
            hessian: Hessian::Exact,
        }
    }
}

impl Settings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        at_least_one("max_iterations", self.max_iterations)?;
        let Stopping {
            gradient,
            cost,
            step,
        } = self.stopping;
        for (setting, value) in [
            ("stopping.gradient", gradient),
            ("stopping.cost", cost),
            ("stopping.step", step),
        ] {
            check(setting, value, 0.0..f64::INFINITY, "finite and at least 0")?;
        }
        self.step.validate()?;
        if let Linear::ConjugateGradient {
            tolerance,
            max_iterations,
        } = self.linear
        {
            check(
                "linear.tolerance",
                tolerance,
                0.0..1.0,
                "at least 0 and below 1",
            )?;
            at_least_one("linear.max_iterations", max_iterations)?;
        }
        self.backward.validate()
    }
}

impl Backward {
    pub(crate) fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Truncated { iterations } => at_least_one("backward.iterations", iterations),
            Self::DirectLoss { epsilon } => positive("backward.epsilon", epsilon),
            _ => Ok(()),
        }
    }

    /// How many of the last iterations are recorded; `None` for all of them.
    pub(crate) fn recorded(&self) -> Option<usize> {
        match self {
            Self::Unrolled => None,
            Self::Truncated { iterations } => Some(*iterations),
            _ => Some(0),
        }
    }
}

impl Step {
    fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::GaussNewton => Ok(()),
            Self::LevenbergMarquardt(LevenbergMarquardt {
                shape,
                damping,
                initial,
                min,
                max,
            }) => {
                positive("step.min", min)?;
                check(
                    "step.max",
                    max,
                    min..f64::INFINITY,
                    "finite and at least `step.min`",
                )?;
                if !(min..=max).contains(&initial) {
                    return Err(out_of_range(
                        "step.initial",
                        initial,
                        "between `step.min` and `step.max`",
                    ));
                }
                if let Shape::Ellipsoidal { floor } = shape {
                    positive("step.shape.floor", floor)?;
                }
                if let Damping::Factors { down, up, accept } = damping {
                    for (setting, value) in [("step.damping.down", down), ("step.damping.up", up)] {
                        if !(value > 1.0 && value.is_finite()) {
                            return Err(out_of_range(setting, value, "finite and above 1"));
                        }
                    }
                    check(
                        "step.damping.accept",
                        accept,
                        0.0..1.0,
                        "at least 0 and below 1",
                    )?;
                }
                Ok(())
            }
            Self::Dogleg(Dogleg {
                radius,
                max,
                accept,
            }) => {
                positive("step.radius", radius)?;
                check(
                    "step.max",
                    max,
                    radius..f64::INFINITY,
                    "finite and at least `step.radius`",
                )?;
                check(
                    "step.accept",
                    accept,
                    0.0..0.25,
                    "at least 0 and below 0.25",
                )
            }
        }
    }
}

fn at_least_one(setting: &'static str, value: usize) -> Result<(), Error> {
    if value > 0 {
        Ok(())
    } else {
        Err(Error::Setting {
            setting,
            value: value.to_string(),
            must: "at least 1",
        })
    }
}

fn positive(setting: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(out_of_range(setting, value, "finite and above 0"))
    }
}

fn check(
    setting: &'static str,
    value: f64,
    range: std::ops::Range<f64>,
    must: &'static str,
) -> Result<(), Error> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(out_of_range(setting, value, must))
    }
}

fn out_of_range(setting: &'static str, value: f64, must: &'static str) -> Error {
    Error::Setting {
        setting,
        value: value.to_string(),
        must,
    }
}
