//! Published constrained-learning problems, instance for instance.
//!
//! A [`Recipe`] draws the numbers of a published problem with numpy's legacy generator
//! ([`LegacyRandom`]), bit for bit, at any [`Size`]; [`generate`] gives an [`Instance`] of plain
//! arrays. [`optima`] solves its samples to a Karush-Kuhn-Tucker residual of 1e-8, and
//! [`optima_cached`] keeps the answers on disk. [`npz`] writes and reads the arrays under their
//! published names. For training, [`PublishedProblem`] puts an instance on a device as a
//! [`Problem`], the trait that every data set implements.
//!
//! ```
//! use feasible_data::{Recipe, Size, generate, optima};
//!
//! # fn main() -> Result<(), feasible_data::Error> {
//! let size = Size { n: 8, eq: 3, ineq: 4, samples: 10 };
//! let instance = generate(Recipe::SnareQcqp, &size, Recipe::SnareQcqp.published_seed())?;
//! let best = optima(&instance, 0..1, &mut |_| {})?;
//! let x = instance.input(0).unwrap();
//! assert!(best[0].objective <= instance.objective(&instance.start(x)?)?);
//! # Ok(()) }
//! ```

mod atomic_file;
mod fsnet;
mod local_solver;
pub mod npz;
mod numpy_random;
mod optimum_cache;
mod piecewise;
mod problem;
mod recipes;
mod split;

pub use fsnet::{FsNetFamily, FsNetProblem};
pub use local_solver::{Optimum, OptimumStatus, optima};
pub use numpy_random::LegacyRandom;
pub use optimum_cache::{CachedOptima, Origin, optima_cached};
pub use piecewise::{Piecewise, PiecewiseProblem};
pub use problem::{Part, Problem, PublishedProblem};
pub use recipes::{Error, Instance, Parts, Recipe, Size, generate};
pub use split::Split;
