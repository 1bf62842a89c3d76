//! How many threads a batch is worth.

use crate::problem::Problem;

/// Threads for a batch with factors in common, or of its own for every sample.
pub(crate) fn threads(problem: &Problem<'_>, in_common: bool) -> usize {
    let size = problem.n + problem.equality_rows();
    let rows = size + problem.inequality_rows() + problem.quadratic_rows();
    let each = if in_common {
        rows
    } else {
        rows.saturating_mul(size)
    };
    feasible_kernels::threads(problem.batch.saturating_mul(size).saturating_mul(each))
}
