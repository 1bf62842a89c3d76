//! LU factorisation with partial pivoting.

use faer::linalg::triangular_solve::{
    solve_unit_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{MatMut, Par};

use crate::real::Real;

/// Overwrites `A` by its factors and `B` by `A⁻¹B`; `pivots` get the row, counted from one, that each
/// row was exchanged with. `Err` is the first pivot, counted from one, that is zero or not finite:
/// the factorisation is then completed without it and `B` left as it was.
///
/// Column by column without blocks: only Clarabel's completion of chordal problems solves like this,
/// with matrices of a few rows.
pub(crate) fn solve<T: Real>(
    mut a: MatMut<'_, T>,
    pivots: &mut [i32],
    mut b: MatMut<'_, T>,
) -> Result<(), usize> {
    let n = a.nrows();
    let mut failed = None;
    for k in 0..n {
        let mut chosen = k;
        for i in k + 1..n {
            if a[(i, k)].size() > a[(chosen, k)].size() {
                chosen = i;
            }
        }
        pivots[k] = chosen as i32 + 1;
        for j in 0..n {
            let (upper, lower) = (a[(k, j)], a[(chosen, j)]);
            (a[(k, j)], a[(chosen, j)]) = (lower, upper);
        }
        let pivot = a[(k, k)];
        if !(pivot.size() > T::ZERO && pivot.finite()) {
            failed.get_or_insert(k + 1);
            continue;
        }
        for i in k + 1..n {
            a[(i, k)] /= pivot;
        }
        for j in k + 1..n {
            let factor = a[(k, j)];
            for i in k + 1..n {
                let product = factor * a[(i, k)];
                a[(i, j)] -= product;
            }
        }
    }
    if let Some(place) = failed {
        return Err(place);
    }
    for k in 0..n {
        let with = pivots[k] as usize - 1;
        for j in 0..b.ncols() {
            let (upper, lower) = (b[(k, j)], b[(with, j)]);
            (b[(k, j)], b[(with, j)]) = (lower, upper);
        }
    }
    solve_unit_lower_triangular_in_place(a.as_ref(), b.as_mut(), Par::Seq);
    solve_upper_triangular_in_place(a.as_ref(), b, Par::Seq);
    Ok(())
}
