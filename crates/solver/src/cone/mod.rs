//! Convex cone programs through Clarabel, polished, with their adjoint.
//!
//! Clarabel (Goulart & Chen 2024) finds the solution to its tolerance; Newton's method on the
//! optimality conditions, with the projections on the cones in them, then takes it to rounding
//! (Ali, Wong & Kolter 2017), and the same system, transposed, gives the adjoint (Agrawal,
//! Barratt, Boyd, Busseti & Moursi 2019, in a symmetric form of our own: see [`solve_cones`]).

mod adjoint;
mod attempts;
mod barrier;
mod central;
mod clarabel;
mod conflict;
mod convexity;
mod geometry;
mod jacobian;
mod layout;
mod linear;
mod linearised;
mod nearest;
mod newton;
mod problem;
mod sample;
mod scaled;
mod semidefinite;
mod solve;
mod system;
mod tangent;
mod three;
mod three_rows;
mod units;

pub use adjoint::{ConeCotangent, ConeGradients, ConeWanted, cone_adjoint};
pub use conflict::cone_conflict;
pub use jacobian::{ConeJacobian, cone_jacobian};
pub use problem::{Cone, ConeProblem, Sparse};
pub use sample::{ConeDerivative, cone_differentiate};
pub use solve::{ConeSettings, ConeSolution, solve_cones};
pub(crate) use solve::{Second, solve_asking};
pub use tangent::{ConeParameter, ConeTangents, ConeVelocity, cone_tangent};
