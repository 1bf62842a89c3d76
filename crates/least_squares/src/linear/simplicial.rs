//! Triangular solves and products with a simplicial factor, its numbers in either precision.

use faer::sparse::linalg::cholesky::simplicial::SymbolicSimplicialCholesky;

use super::panels::{Columns, Panel, Panels, WIDEST};

/// `x` ← L⁻ᵀL⁻¹ `x`, in the order of the factor; `K` right-hand sides side by side, so that a row's number is
/// read once for all.
pub(super) fn solve<T: Copy + Into<f64>, const K: usize>(
    symbolic: &SymbolicSimplicialCholesky<usize>,
    panels: &Panels,
    factor: &[T],
    x: &mut [[f64; K]],
) {
    let columns = Columns {
        pointers: symbolic.col_ptr(),
        rows: symbolic.row_idx(),
        entries: factor,
    };
    for (begin, width) in panels.iter() {
        match width {
            1 => forward(&columns.panel::<1>(begin), x),
            2 => forward(&columns.panel::<2>(begin), x),
            _ => forward(&columns.panel::<WIDEST>(begin), x),
        }
    }
    for (begin, width) in panels.iter().rev() {
        match width {
            1 => backward(&columns.panel::<1>(begin), x),
            2 => backward(&columns.panel::<2>(begin), x),
            _ => backward(&columns.panel::<WIDEST>(begin), x),
        }
    }
}

/// The part of `x` ← L⁻¹ `x`.
#[inline(always)]
fn forward<T: Copy + Into<f64>, const W: usize, const K: usize>(
    panel: &Panel<'_, T, W>,
    x: &mut [[f64; K]],
) {
    let mut values = [[0.0; K]; W];
    for r in 0..W {
        let mut value = x[panel.begin + r];
        for c in 0..r {
            (0..K).for_each(|k| value[k] -= panel.triangle[r][c] * values[c][k]);
        }
        let inverse = 1.0 / panel.triangle[r][r];
        values[r] = value.map(|v| v * inverse);
        x[panel.begin + r] = values[r];
    }
    for (row, entries) in panel.below() {
        let x = &mut x[row];
        for k in 0..K {
            let mut known = entries[0] * values[0][k];
            for c in 1..W {
                known += entries[c] * values[c][k];
            }
            x[k] -= known;
        }
    }
}

/// The part of `x` ← L⁻ᵀ `x`.
#[inline(always)]
fn backward<T: Copy + Into<f64>, const W: usize, const K: usize>(
    panel: &Panel<'_, T, W>,
    x: &mut [[f64; K]],
) {
    let mut sums = [[0.0; K]; W];
    for (row, entries) in panel.below() {
        let x = &x[row];
        for c in 0..W {
            (0..K).for_each(|k| sums[c][k] += entries[c] * x[k]);
        }
    }
    for r in (0..W).rev() {
        let mut value = x[panel.begin + r];
        (0..K).for_each(|k| value[k] -= sums[r][k]);
        for below in r + 1..W {
            let known = x[panel.begin + below];
            (0..K).for_each(|k| value[k] -= panel.triangle[below][r] * known[k]);
        }
        let inverse = 1.0 / panel.triangle[r][r];
        x[panel.begin + r] = value.map(|v| v * inverse);
    }
}

/// `out` += L `x`, in the order of the factor.
pub(super) fn add_product<T: Copy + Into<f64>>(
    symbolic: &SymbolicSimplicialCholesky<usize>,
    factor: &[T],
    x: &[f64],
    out: &mut [f64],
) {
    for (pointers, value) in symbolic.col_ptr().windows(2).zip(x) {
        let range = pointers[0]..pointers[1];
        for (row, entry) in symbolic.row_idx()[range.clone()].iter().zip(&factor[range]) {
            out[*row] += (*entry).into() * value;
        }
    }
}
