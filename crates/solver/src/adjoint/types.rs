//! What goes into the adjoint and what comes out.

use serde::{Deserialize, Serialize};

/// Derivatives of a scalar loss with respect to the solution.
#[derive(Clone, Copy, Debug)]
pub struct Cotangent<'a> {
    /// With respect to `x`, `[batch, n]`.
    pub x: &'a [f64],
    /// With respect to `ν`, `[batch, p]`; `None` is zero.
    pub equality_dual: Option<&'a [f64]>,
    /// With respect to `λ_u − λ_l`, `[batch, m]`; `None` is zero.
    pub inequality_dual: Option<&'a [f64]>,
    /// With respect to `μ`, `[batch, k]`; `None` is zero.
    pub quadratic_dual: Option<&'a [f64]>,
}

impl<'a> Cotangent<'a> {
    /// Of a function of the minimisers alone.
    pub fn of_x(x: &'a [f64]) -> Self {
        Self {
            x,
            equality_dual: None,
            inequality_dual: None,
            quadratic_dual: None,
        }
    }
}

/// Which parameter gradients to compute. Parameters the problem lacks are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// `P`.
    pub p: bool,
    /// `q`.
    pub q: bool,
    /// `A`.
    pub a: bool,
    /// `b`.
    pub b: bool,
    /// `G`.
    pub g: bool,
    /// `l`.
    pub l: bool,
    /// `u`.
    pub u: bool,
    /// `H`.
    pub quadratic_h: bool,
    /// Linear parts of the quadratic rows.
    pub quadratic_g: bool,
    /// `c`.
    pub quadratic_c: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Wanted = Wanted {
        p: true,
        q: true,
        a: true,
        b: true,
        g: true,
        l: true,
        u: true,
        quadratic_h: true,
        quadratic_g: true,
        quadratic_c: true,
    };

    /// Nothing; switch fields on with struct update syntax.
    pub const NONE: Wanted = Wanted {
        p: false,
        q: false,
        a: false,
        b: false,
        g: false,
        l: false,
        u: false,
        quadratic_h: false,
        quadratic_g: false,
        quadratic_c: false,
    };
}

/// Derivatives of the loss with respect to the parameters.
///
/// Each has the layout of its parameter: a shared parameter gets the sum over the batch, a
/// diagonal stays a diagonal, dense `P` and `H` get symmetric gradients. `None` where not wanted
/// or where the problem has no such part.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// `P`.
    pub p: Option<Vec<f64>>,
    /// `q`.
    pub q: Option<Vec<f64>>,
    /// `A`.
    pub a: Option<Vec<f64>>,
    /// `b`.
    pub b: Option<Vec<f64>>,
    /// `G`.
    pub g: Option<Vec<f64>>,
    /// `l`.
    pub l: Option<Vec<f64>>,
    /// `u`.
    pub u: Option<Vec<f64>>,
    /// `H`.
    pub quadratic_h: Option<Vec<f64>>,
    /// Linear parts of the quadratic rows.
    pub quadratic_g: Option<Vec<f64>>,
    /// `c`.
    pub quadratic_c: Option<Vec<f64>>,
    /// How far each sample's gradient can be trusted.
    pub reports: Vec<GradientReport>,
}

/// How far one sample's gradient can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradientReport {
    /// The verdict.
    pub quality: GradientQuality,
    /// Relative residual of the adjoint linear system.
    pub residual: f64,
    /// Strict-complementarity margin: the smallest over finite two-sided-row bounds and quadratic
    /// rows of `max(multiplier, slack)`. The slack is a distance in `x` (divided by the row's
    /// norm) relative to `1 + ‖x‖∞`; the multiplier is multiplied by the row's norm and taken
    /// relative to `1 + ‖q‖∞`. `+inf` when there is no such row. Rows with `l = u` do not count:
    /// they are equalities.
    pub margin: f64,
    /// Estimated condition of the matrices that the adjoint system was factored in, the worst of them: the Hessian, and
    /// the rows' Gram matrix. The larger of the squared ratio of the outermost diagonal entries of a triangular factor
    /// and of a lower bound of the condition in the norm of row sums, which is seldom below a tenth of it, and up to the
    /// number of variables times as large as the one in the 2-norm.
    pub condition: f64,
}

impl GradientReport {
    /// Of a sample that has no derivative and adds nothing to any gradient.
    pub const UNAVAILABLE: Self = Self {
        quality: GradientQuality::Unavailable,
        residual: f64::INFINITY,
        margin: 0.0,
        condition: f64::INFINITY,
    };
}

/// The verdict on one sample's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GradientQuality {
    /// The solution map is differentiable here and this is its derivative.
    Exact,
    /// The solution map has a kink, or the solution or its multipliers are not unique, or the
    /// active rows could not be confirmed, or the system is too ill-conditioned. One of several
    /// answers is returned: which one, [`crate::AdjointSettings::degenerate`] says.
    Degenerate,
    /// The solution map is differentiable here, but what is returned is the derivative of the
    /// central-path point that [`crate::Degenerate::Smoothed`] asked for.
    Smoothed,
    /// The sample was not solved; its contribution is zero.
    Unavailable,
}
