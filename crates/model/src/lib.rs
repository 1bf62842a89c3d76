//! Disciplined convex models as differentiable solvers, without Burn.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod attributes;
mod canon;
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

pub use attributes::{Curvature, Domain, Sign};
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
    AdjointSettings, ConeSettings, GradientQuality, GradientReport, Residuals, Settings, Status,
    Values,
};
pub use gradients::{Cotangent, Gradients};
pub use model::{Formulation, Model, Route};
pub use problem::{CompiledProblem, Form, Handle, SolveSettings};
pub use shape::Shape;
pub use solution::Solution;
