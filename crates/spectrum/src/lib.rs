//! Eigenvalues, spectral densities and traces of symmetric operators that are known only by their
//! products, without Burn.
//!
//! | wanted | function |
//! |---|---|
//! | largest, smallest, largest in magnitude, both ends, with vectors and true residuals | [`eigenpairs`], warm from [`eigenpairs_from`] |
//! | eigenvalues near a shift | [`eigenpairs_near`] with [`DenseInverse`] or [`MinresInverse`] |
//! | the whole spectrum's density, its moments, `tr f(H)` | [`spectral_density`] |
//! | the trace | [`hutchinson`], [`hutch_plus_plus`] |
//!
//! An [`Operator`] is anything with a product: a [`DenseMatrix`], a closure ([`FnOperator`]), a
//! network's Hessian, or one of these shifted ([`Shifted`]), preconditioned ([`Preconditioned`]) or
//! averaged over batches ([`WeightedSum`]). Products are counted, checked for NaN, and compared with
//! their mirror images; an operator that is not symmetric is reported as such.
//!
//! # Example
//! ```
//! use feasible_spectrum::{DenseMatrix, Settings, Wanted, eigenpairs};
//!
//! let mut matrix = DenseMatrix::new(2, vec![2.0, 1.0, 1.0, 2.0])?;
//! let found = eigenpairs(&mut matrix, Wanted::Top(1), &Settings::default())?;
//! assert!(found.all_converged());
//! assert!((found.pairs[0].value - 3.0).abs() < 1e-12);
//! assert!(found.pairs[0].residual < 1e-12);
//! # Ok::<(), feasible_spectrum::Error>(())
//! ```

// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod adapters;
mod dense;
mod eigenpairs;
mod error;
mod estimate;
mod interior;
mod lanczos;
mod minres;
mod npy;
mod operator;
mod projected;
mod quadrature;
mod random;
mod report;
mod settings;
mod trace;
mod vectors;

pub use adapters::{Preconditioned, Shifted, WeightedSum};
pub use dense::DenseMatrix;
pub use eigenpairs::{Eigenpairs, Pair, PairStatus, Status};
pub use error::{Error, OperatorError};
pub use estimate::{Estimate, SamplingStatus};
pub use interior::{DenseInverse, MinresInverse, eigenpairs_near};
pub use lanczos::{eigenpairs, eigenpairs_from};
pub use minres::{Minres, MinresSettings, MinresStatus, minres};
pub use npy::read_npy;
pub use operator::{FnOperator, Operator};
pub use quadrature::{
    DensityCurve, DensitySettings, Probe, Quadrature, SpectralDensity, spectral_density,
};
pub use report::{Report, Selection, report};
pub use settings::{Copies, Settings, Wanted};
pub use trace::{Trace, TraceSettings, hutch_plus_plus, hutchinson};
