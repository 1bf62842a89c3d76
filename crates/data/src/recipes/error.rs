//! What stops the making, reading and solving of instances.

use std::path::PathBuf;

/// What stopped us. What a solver found about one sample is a status, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dimension that no instance can have.
    #[error("size: {what} is {got}, must be {need}")]
    Size {
        /// The dimension.
        what: &'static str,
        /// Its value.
        got: usize,
        /// What it must be.
        need: String,
    },
    /// An argument with the wrong number of entries.
    #[error("{argument} has {got} entries, must have {need}")]
    Shape {
        /// The argument or array.
        argument: &'static str,
        /// Entries it has.
        got: usize,
        /// Entries it must have.
        need: usize,
    },
    /// An array of the wrong kind or with a value it cannot have.
    #[error("{argument}: {problem}")]
    Value {
        /// The argument or array.
        argument: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Samples that the instance does not have.
    #[error("samples {start}..{end} are not within 0..{samples}")]
    Samples {
        /// First sample asked for.
        start: usize,
        /// One past the last sample asked for.
        end: usize,
        /// Samples there are.
        samples: usize,
    },
    /// Dependent equality rows, for which some inputs have no feasible point.
    #[error("the equality matrix has rank {rank}, must have full row rank {rows}")]
    RankDeficient {
        /// Numerical rank.
        rank: usize,
        /// Rows.
        rows: usize,
    },
    /// A decomposition that did not converge, which finite matrices do not cause.
    #[error("the singular value decomposition of {matrix} did not converge")]
    Decomposition {
        /// The matrix.
        matrix: &'static str,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The convex solver refused a problem.
    #[error("solver: {0}")]
    Solver(#[from] feasible_solver::Error),
}
