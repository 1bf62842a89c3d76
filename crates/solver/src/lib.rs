//! Batched convex solvers, dense and conic, and their adjoints, without Burn.
//!
//! [`solve`] finds the minimisers of a batch of convex QPs or QCQPs, [`solve_from`] starting at those
//! of another. [`adjoint`] differentiates them with respect to every parameter, [`tangent`] along a
//! direction in the parameters, and [`jacobian`] gives the whole derivative with respect to one.
//! Parameters are shared by the batch or given per sample ([`Values`]), and sharing costs less.
//! [`damped`] holds the damped least-squares kernel.
//!
//! Samples without a solution say why ([`Solution::conflict`], [`Solution::ray`]) or give way
//! ([`Infeasible`]). Where a solution has a kink, [`Degenerate`] chooses what is differentiated.
//!
//! | problem | method |
//! |---|---|
//! | `P` positive definite on the null space of `A`, no quadratic rows | dual active set, exact after finitely many pivots |
//! | quadratic rows, semidefinite `P`, linear programs | interior point, then Newton on the active set |
//! | cone programs, sparse ([`solve_cones`], [`cone_adjoint`]) | Clarabel, then Newton on the optimality conditions |
//!
//! # Example
//! Projects two points onto the unit disc and differentiates the sum of the projections.
//! ```
//! use feasible_solver::{
//!     AdjointSettings, Cotangent, Problem, Quadratics, Settings, Symmetric, Values, Wanted,
//!     adjoint, solve,
//! };
//!
//! let ones = [1.0, 1.0];
//! let q = [-3.0, -4.0, -0.1, 0.2]; // minus the points
//! let problem = Problem {
//!     batch: 2,
//!     n: 2,
//!     p: Symmetric::Diagonal(Values::Shared(&ones)),
//!     q: Values::PerSample(&q),
//!     equalities: None,
//!     inequalities: None,
//!     quadratics: Some(Quadratics {
//!         rows: 1,
//!         h: Symmetric::Diagonal(Values::Shared(&ones)),
//!         g: Values::Shared(&[0.0, 0.0]),
//!         c: Values::Shared(&[1.0]),
//!     }),
//! };
//! let solution = solve(&problem, &Settings::default())?;
//! assert!(solution.all_solved());
//! assert!((solution.x[0] - 0.6).abs() < 1e-12 && (solution.x[2] - 0.1).abs() < 1e-12);
//!
//! let cotangent = Cotangent {
//!     x: &[1.0; 4],
//!     equality_dual: None,
//!     inequality_dual: None,
//!     quadratic_dual: None,
//! };
//! let wanted = Wanted { q: true, ..Wanted::NONE };
//! let gradients = adjoint(&problem, &solution, &cotangent, &wanted, &AdjointSettings::default())?;
//! let q_gradient = gradients.q.expect("it was wanted");
//! assert!((q_gradient[2] + 1.0).abs() < 1e-12); // inside the disc the projection is the identity
//! # Ok::<(), feasible_solver::Error>(())
//! ```

// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

// Named, so that its symbols are linked.
#[cfg(feature = "lapack")]
use feasible_lapack as _;

mod active_set;
mod adjoint;
mod batch;
mod bounds;
mod cone;
mod conflict;
mod crossed;
mod cut;
pub mod damped;
mod dense;
mod elastic;
mod error;
mod fixed;
mod interior_point;
mod kkt;
mod nullspace;
mod packed;
mod polish;
mod problem;
mod residual;
mod semidefinite;
mod settings;
mod size;
mod soft;
mod solution;
mod solve;
mod status;
mod validate;
mod work;

pub use adjoint::{
    Cotangent, GradientQuality, GradientReport, Gradients, Jacobian, Outputs, Parameter,
    SampleDerivative, SolutionTangent, Tangents, Wanted, adjoint, differentiate, jacobian, tangent,
};
pub use batch::{Symmetric, Values};
pub use bounds::bounds_touch;
pub use cone::{
    Cone, ConeCotangent, ConeDerivative, ConeGradients, ConeJacobian, ConeParameter, ConeProblem,
    ConeSettings, ConeSolution, ConeTangents, ConeVelocity, ConeWanted, Sparse, cone_adjoint,
    cone_conflict, cone_differentiate, cone_jacobian, cone_tangent, solve_cones,
};
pub use conflict::{Conflict, ConflictingRow, Farkas, NamedRow, conflict_in_words};
pub use error::Error;
pub use problem::{Equalities, Inequalities, Problem, Quadratics};
pub use semidefinite::{
    NotSemidefinite, check_semidefinite, check_semidefinite_diagonal, check_symmetric,
};
pub use settings::{AdjointSettings, CrossedBounds, Degenerate, Infeasible, Method, Settings};
pub use solution::{Shift, Solution};
pub use solve::{solve, solve_from};
pub use status::{Residuals, Status};
