//! How many threads a batch is worth.

use crate::problem::{Problem, Sample};

/// Numbers in the largest matrix of a sample whose memory a thread keeps for the next, a few MiB in all, and in what it
/// keeps of a run's memory.
pub(crate) const KEPT_BY_THREAD: usize = 1 << 17;

/// Whether a thread keeps what it solved this sample in.
pub(crate) fn keeps_memory(sample: &Sample<'_>) -> bool {
    let rows = sample.b.len() + sample.l.len() + sample.c.len();
    let largest = (sample.n + rows).saturating_mul(sample.n.max(rows));
    largest <= KEPT_BY_THREAD
}

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
