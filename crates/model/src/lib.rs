//! Disciplined convex models as differentiable solvers, without Burn.
//!
//! A [`Model`] has variables and parameters; expressions of them make an objective and constraints.
//! Compiling checks the rules of disciplined convex programming once and finds the sparse affine map
//! from the parameters to the numbers of a solver's problem; solving and differentiating a batch
//! then evaluate that map and its transpose around [`feasible_solver`].
//!
//! # Example
//! Lasso with the data as parameters: solved for two samples and differentiated.
//! ```
//! use feasible_model::{
//!     AdjointSettings, Cotangent, Domain, Model, SolveSettings, Values, norm1, sum_squares,
//! };
//!
//! let mut model = Model::new();
//! let x = model.variable("x", [2]);
//! let a = model.parameter("a", [3, 2]);
//! let b = model.parameter("b", [3]);
//! let weight = model.parameter_in("weight", [], Domain::Nonnegative);
//! let problem = model
//!     .minimize(sum_squares(a.matmul(&x) - &b) + weight * norm1(&x))
//!     .subject_to(x.sum().le(1.0).named("budget"))
//!     .compile()?;
//!
//! let solution = problem.solve(
//!     &[
//!         ("a", Values::Shared(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])),
//!         ("b", Values::PerSample(&[1.0, 2.0, 3.0, 0.2, 0.3, -0.1])),
//!         ("weight", Values::Shared(&[0.1])),
//!     ],
//!     2,
//!     &SolveSettings::default(),
//! )?;
//! assert!(solution.all_solved());
//! let x = solution.variable("x")?; // [batch, 2]
//! assert!((x[0] - 0.0).abs() < 1e-9 && (x[1] - 1.0).abs() < 1e-9);
//! assert!(solution.dual("budget")?[0] > 0.0);
//!
//! let gradients = problem.adjoint(
//!     &solution,
//!     &Cotangent { variables: &[("x", &[1.0, 1.0, 1.0, 1.0])], duals: &[] },
//!     &["b", "weight"],
//!     &AdjointSettings::default(),
//! )?;
//! // The first sample is held by its budget: nothing moves its sum.
//! assert!(gradients.parameter("b")?[..3].iter().all(|v| v.abs() < 1e-9));
//! # Ok::<(), feasible_model::Error>(())
//! ```
//!
//! # Rules
//! Every expression has a [`Curvature`] and a [`Sign`] from those of its parts: a convex function
//! may take a convex argument where it rises, a concave one where it falls, an affine one anywhere
//! (Grant, Boyd & Ye 2006). Parameters count as affine too, and may multiply only what has none
//! left (Agrawal, Amos, Barratt, Boyd, Diamond & Kolter 2019). A function of variables moves its
//! parameters into rows of its own, so `weight * norm1(a @ x - b)` is within the rules, though
//! `weight * (a @ x)` is not. An [`Error`] shows the sub-expression that breaks a rule, the rule,
//! and what to do.
//!
//! # Forms
//! | model | form |
//! |---|---|
//! | squares and linear functions in the objective, linear rows | QP: squares with constant coefficients directly in `P`, bounds of one expression as one two-sided row |
//! | squares also at most affine | QCQP |
//! | anything else, or too large for dense matrices | cones, squares of the objective still in `P` |
//!
//! Parts of the form that only shared parameters touch are shared by the batch. Added columns that
//! one row bounds are eliminated, and those that do not bind at a solution are held in the adjoint,
//! so that they do not put the derivative of the user's variables in doubt.

// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod attributes;
mod canon;
mod conflict;
mod constraint;
mod engine;
mod error;
mod expr;
mod gradients;
mod linalg;
mod map;
mod model;
mod numbers;
mod problem;
mod shape;
mod solution;
mod tangents;

pub use attributes::{Curvature, Domain, Sign};
pub use conflict::{Conflict, ConflictSource, Conflicting};
pub use constraint::Constraint;
pub use error::Error;
pub use expr::{
    Expr, abs, constant, diag, entropy, exp, geo_mean, hstack, huber, identity, inv_pos, kl_div,
    kron, lambda_max, lambda_min, log, log_det, log_sum_exp, logistic, matrix_frac, max, maximum,
    min, minimum, neg_part, norm_inf, norm1, norm2, nuclear_norm, operator_norm, pos, power,
    quad_form, quad_over_lin, rel_entr, sqrt, square, sum_largest, sum_smallest, sum_squares,
    vstack, weighted_geo_mean,
};
pub use feasible_solver::{
    AdjointSettings, ConeSettings, CrossedBounds, Degenerate, GradientQuality, GradientReport,
    Infeasible, Residuals, Settings, Status, Values,
};
pub use gradients::{Cotangent, Gradients};
pub use model::{Formulation, Model, Route};
pub use problem::{CompiledProblem, Form, Handle, SolveSettings};
pub use shape::Shape;
pub use solution::Solution;
pub use tangents::{Jacobian, Tangent};
