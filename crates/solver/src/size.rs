//! Sizes of the dense matrices that solving needs, against those of the problem as it was given.

use crate::active_set::range::inverse_of;
use crate::error::Error;
use crate::problem::{Matrix, Problem, Sample};

/// Numbers that a matrix may hold however few the problem has: a gigabyte, and the factors of 11,585 variables.
const LARGEST: usize = 1 << 27;

/// A matrix may also hold as many times the numbers that there are: a machine that has room for the problem
/// has room for its factors.
const TIMES: usize = 4;

/// How many numbers a matrix may hold for a problem of so many.
pub(crate) fn most(given: usize) -> usize {
    given.saturating_mul(TIMES).max(LARGEST)
}

/// Numbers in the matrices of one sample.
pub(crate) fn given(problem: &Problem<'_>) -> usize {
    let n = problem.n;
    let (p, m, k) = (
        problem.equality_rows(),
        problem.inequality_rows(),
        problem.quadratic_rows(),
    );
    let h = problem.quadratics.map_or(0, |part| part.h.entries(n));
    let rows = p.saturating_add(m).saturating_add(k).saturating_mul(n);
    let quadratic = k.saturating_mul(h);
    (problem.p.entries(n))
        .saturating_add(rows)
        .saturating_add(quadratic)
}

/// Whether an `n × n` matrix is of a size for a problem.
pub(crate) fn has_square(n: usize, given: usize) -> bool {
    n.saturating_mul(n) <= most(given)
}

/// Whether the explicit factors of the active-set method, inverse, responses and `K`, are of a size for it.
pub(crate) fn has_factors([n, p, m]: [usize; 3], given: usize) -> bool {
    let size = n.saturating_add(p);
    let inverse = size.saturating_mul(size);
    let of_rows = m.saturating_mul(size.saturating_add(m));
    inverse.saturating_add(of_rows) <= most(given)
}

/// Whether a sample is a positive diagonal without rows: nothing of it is as large as `n × n`.
pub(crate) fn is_separable(sample: &Sample<'_>) -> bool {
    let rows = sample.a.len() + sample.g.len() + sample.hg.len();
    match sample.p {
        Matrix::Diagonal(p) => rows == 0 && inverse_of(p).is_some(),
        Matrix::Dense(_) => false,
    }
}

/// Refuses problems whose `n × n` matrices are out of all proportion to what was given.
///
/// # Errors
/// [`Error::TooLarge`].
pub(crate) fn check(problem: &Problem<'_>) -> Result<(), Error> {
    let n = problem.n;
    let given = given(problem);
    if has_square(n, given) || (0..problem.batch).all(|i| is_separable(&problem.sample(i))) {
        return Ok(());
    }
    Err(Error::TooLarge {
        n,
        most: most(given),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_judged_against_what_was_given() {
        // Of as many rows as variables the factors are twice as large as the rows.
        assert!(has_factors([20_000, 0, 20_000], 400_000_000));
        assert!(has_factors([11_000, 0, 0], 11_000));
        assert!(!has_factors([12_000, 0, 0], 12_000));
        assert!(!has_factors([1, 0, 100_000], 100_001));
        assert!(!has_factors([1, usize::MAX, usize::MAX], 1));
    }
}
