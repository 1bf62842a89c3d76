//! Sparse Cholesky of M + D, assembled by precomputed places and factored with a symbolic factor that
//! is made once.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::linalg::cholesky::SymbolicCholeskyRaw;
use faer::sparse::linalg::solvers::Lu;
use faer::sparse::{SparseColMat, SparseColMatRef, Triplet};
use faer::{Par, Side};

use super::Damp;
use super::panels::{Columns, Panel, WIDEST};
use super::pattern::Pattern;
use super::{simplicial, supernodal};
use crate::objective::Objective;
use crate::term::Linearisation;
use feasible_kernels::pivot_is_rounding;

/// Right-hand sides that are solved for together.
pub(crate) const MOST_COLUMNS: usize = 3;

pub(crate) struct Sparse<'a> {
    pattern: &'a Pattern,
    /// M, 1 on the diagonal where a coordinate is held.
    pub(crate) matrix: Vec<f64>,
    damped: Vec<f64>,
    /// Empty before there is one.
    factor: Vec<f64>,
    local: Vec<f64>,
    /// Right-hand sides in the order of the factor.
    ordered: Vec<f64>,
    memory: MemBuffer,
}

impl std::fmt::Debug for Sparse<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sparse")
            .field("entries", &self.matrix.len())
            .field("factor", &self.factor.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Sparse<'a> {
    pub(crate) fn new(objective: &'a Objective) -> Self {
        let pattern = objective.pattern();
        let symbolic = &pattern.symbolic;
        Self {
            pattern,
            matrix: Vec::new(),
            damped: Vec::new(),
            factor: Vec::new(),
            local: Vec::new(),
            ordered: Vec::new(),
            memory: MemBuffer::new(
                symbolic.factorize_numeric_llt_scratch::<f64>(Par::Seq, Default::default()),
            ),
        }
    }

    pub(crate) fn load(&mut self, objective: &Objective, at: &Linearisation, held: &[bool]) {
        self.matrix.clear();
        self.matrix.resize(self.pattern.matrix.compute_nnz(), 0.0);
        let mut targets = &self.pattern.targets[..];
        for term in &objective.terms {
            let local = &mut self.local;
            local.clear();
            local.resize(term.width * (term.width + 1) / 2, 0.0);
            crate::dense::vectorised(
                #[inline(always)]
                || {
                    for row in at.block(term).chunks_exact(term.width) {
                        let mut rest = &mut local[..];
                        for (p, value) in row.iter().enumerate() {
                            let (out, after) = rest.split_at_mut(p + 1);
                            crate::dense::axpy(*value, &row[..=p], out);
                            rest = after;
                        }
                    }
                },
            );
            let (here, rest) = targets.split_at(local.len());
            targets = rest;
            for (value, target) in self.local.iter().zip(here) {
                self.matrix[*target as usize] += value;
            }
        }
        self.hold(held);
    }

    /// Adds to `values`, entries as those of the matrix, a symmetric matrix that `part` gives term by term,
    /// `[width, width]` each, but for the rows and columns of coordinates that are held. `part` is given
    /// zeros.
    pub(crate) fn add_parts(
        &self,
        objective: &Objective,
        held: &[bool],
        values: &mut [f64],
        mut part: impl FnMut(usize, &mut [f64]),
    ) {
        let any_held = objective.bounded && held.contains(&true);
        let mut targets = &self.pattern.targets[..];
        let mut block = Vec::new();
        for (index, term) in objective.terms.iter().enumerate() {
            let width = term.width;
            block.clear();
            block.resize(width * width, 0.0);
            part(index, &mut block);
            let (here, rest) = targets.split_at(width * (width + 1) / 2);
            targets = rest;
            if any_held {
                for (local, column) in term.columns.iter().enumerate() {
                    if held[*column] {
                        for other in 0..width {
                            block[local * width + other] = 0.0;
                            block[other * width + local] = 0.0;
                        }
                    }
                }
            }
            let mut here = here.iter();
            for (p, row) in block.chunks_exact(width).enumerate() {
                for (value, target) in row[..=p].iter().zip(here.by_ref()) {
                    values[*target as usize] += value;
                }
            }
        }
    }

    /// `out` = the symmetric matrix of the entries `values`, times `x`.
    pub(crate) fn multiply(&self, values: &[f64], x: &[f64], out: &mut [f64]) {
        self.multiply_together(values, [x], [out]);
    }

    /// The same for `K` vectors, the matrix being read once.
    pub(crate) fn multiply_together<const K: usize>(
        &self,
        values: &[f64],
        x: [&[f64]; K],
        mut out: [&mut [f64]; K],
    ) {
        let pattern = &self.pattern.matrix;
        let columns = Columns {
            pointers: pattern.col_ptr(),
            rows: pattern.row_idx(),
            entries: values,
        };
        out.iter_mut().for_each(|out| out.fill(0.0));
        for (begin, width) in self.pattern.matrix_panels.iter() {
            match width {
                1 => add_symmetric_product(&columns.panel::<1>(begin), x, &mut out),
                2 => add_symmetric_product(&columns.panel::<2>(begin), x, &mut out),
                _ => add_symmetric_product(&columns.panel::<WIDEST>(begin), x, &mut out),
            }
        }
    }

    fn hold(&mut self, held: &[bool]) {
        for (column, held) in held.iter().enumerate() {
            if *held {
                self.matrix[self.pattern.matrix.col_ptr()[column]] = 1.0;
            }
        }
    }

    /// Entries of the lower triangle as (row, column, value).
    fn entries(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let pattern = &self.pattern.matrix;
        (0..pattern.ncols()).flat_map(move |column| {
            let range = pattern.col_ptr()[column]..pattern.col_ptr()[column + 1];
            range.map(move |place| (pattern.row_idx()[place], column, self.matrix[place]))
        })
    }

    /// The square roots of the diagonal, which scale it to 1; 1 where it is not positive.
    pub(crate) fn diagonal_roots(&self) -> Vec<f64> {
        let pattern = &self.pattern.matrix;
        let diagonal = pattern.col_ptr()[..pattern.ncols()].iter();
        diagonal
            .map(|place| self.matrix[*place])
            .map(|entry| if entry > 0.0 { entry.sqrt() } else { 1.0 })
            .collect()
    }

    /// The 1-norm of the matrix of the entries `values`, its rows and columns multiplied by `scales`.
    pub(crate) fn scaled_norm(&self, values: &[f64], scales: &[f64]) -> f64 {
        let pattern = &self.pattern.matrix;
        let (pointers, rows) = (pattern.col_ptr(), pattern.row_idx());
        let mut sums = vec![0.0; scales.len()];
        for (column, pointers) in pointers.windows(2).enumerate() {
            let range = pointers[0] + 1..pointers[1];
            let scale = scales[column];
            let mut sum = values[pointers[0]].abs() * scale;
            for (row, value) in rows[range.clone()].iter().zip(&values[range]) {
                let size = value.abs();
                sums[*row] += size * scale;
                sum += size * scales[*row];
            }
            sums[column] += sum;
        }
        let sums = sums.iter().zip(scales);
        sums.fold(0.0, |largest, (sum, scale)| f64::max(largest, sum * scale))
    }

    /// The 1-norm of the matrix.
    pub(crate) fn norm(&self) -> f64 {
        self.scaled_norm(&self.matrix, &vec![1.0; self.pattern.matrix.ncols()])
    }

    /// The factor of the matrix by LU with pivoting, whatever its signs; `None` for a singular one.
    pub(crate) fn indefinite(&self) -> Option<Lu<usize, f64>> {
        let mut triplets = Vec::with_capacity(2 * self.matrix.len());
        for (row, column, value) in self.entries() {
            triplets.push(Triplet::new(row, column, value));
            if row != column {
                triplets.push(Triplet::new(column, row, value));
            }
        }
        let n = self.pattern.matrix.ncols();
        let whole = SparseColMat::try_new_from_triplets(n, n, &triplets).ok()?;
        whole.sp_lu().ok()
    }

    pub(crate) fn factor(&mut self, damp: Damp) -> bool {
        self.factor.resize(self.pattern.symbolic.len_val(), 0.0);
        self.damped.clone_from(&self.matrix);
        let n = self.pattern.matrix.ncols();
        for place in &self.pattern.matrix.col_ptr()[..n] {
            self.damped[*place] += damp.of(self.matrix[*place]);
        }
        let matrix = SparseColMatRef::new(self.pattern.matrix.as_ref(), &self.damped);
        let factored = self.pattern.symbolic.factorize_numeric_llt(
            &mut self.factor,
            matrix,
            Side::Lower,
            Default::default(),
            Par::Seq,
            MemStack::new(&mut self.memory),
            Default::default(),
        );
        let sound = factored.is_ok() && self.pivots_are_sound();
        if !sound {
            self.factor.clear();
        }
        sound
    }

    /// Whether every pivot is above the rounding of its diagonal entry.
    fn pivots_are_sound(&self) -> bool {
        let pointers = self.pattern.matrix.col_ptr();
        let (forward, _) = self.pattern.order();
        (self.pattern.pivots.iter().zip(forward)).all(|(place, column)| {
            let pivot = self.factor[*place];
            !pivot_is_rounding(pivot * pivot, self.damped[pointers[*column]], 0)
        })
    }

    pub(crate) fn solve(&mut self, x: &mut [f64]) {
        let factor = std::mem::take(&mut self.factor);
        self.solve_by(&factor, &mut [x]);
        self.factor = factor;
    }

    /// Solves with a factor that was [taken](Self::take_factor), in either precision, for up to
    /// [`MOST_COLUMNS`] right-hand sides, each replaced by its solution: for all but the first much of the time
    /// is saved.
    pub(crate) fn solve_by<T: Copy + Into<f64>>(&mut self, factor: &[T], sides: &mut [&mut [f64]]) {
        match sides {
            [] => {}
            [a] => self.solve_together(factor, [a]),
            [a, b] => self.solve_together(factor, [a, b]),
            [a, b, c] => self.solve_together(factor, [a, b, c]),
            more => unreachable!("{} right-hand sides", more.len()),
        }
    }

    fn solve_together<T: Copy + Into<f64>, const K: usize>(
        &mut self,
        factor: &[T],
        x: [&mut [f64]; K],
    ) {
        let pattern = self.pattern;
        let n = pattern.matrix.ncols();
        let (forward, _) = pattern.order();
        let ordered = &mut self.ordered;
        ordered.clear();
        match pattern.symbolic.raw() {
            SymbolicCholeskyRaw::Simplicial(raw) => {
                for from in forward {
                    ordered.extend(x.iter().map(|x| x[*from]));
                }
                let (side_by_side, _) = ordered.as_chunks_mut::<K>();
                simplicial::solve(raw, &pattern.factor_panels, factor, side_by_side);
                for (values, from) in side_by_side.iter().zip(forward) {
                    (0..K).for_each(|k| x[k][*from] = values[k]);
                }
            }
            SymbolicCholeskyRaw::Supernodal(raw) => {
                for x in &x {
                    ordered.extend(forward.iter().map(|from| x[*from]));
                }
                let mut parts = ordered.chunks_exact_mut(n);
                let parts: [&mut [f64]; K] =
                    std::array::from_fn(|_| parts.next().expect("K right-hand sides"));
                supernodal::solve(raw, factor, parts, &mut self.local);
                for (x, ordered) in x.into_iter().zip(ordered.chunks_exact(n)) {
                    for (value, from) in ordered.iter().zip(forward) {
                        x[*from] = *value;
                    }
                }
            }
        }
    }

    /// PᵀLx for a factor L that was [taken](Self::take_factor) of a matrix with its rows and columns
    /// permuted by P: PᵀL times its own transpose is that matrix.
    pub(crate) fn multiply_by_factor<T: Copy + Into<f64>>(
        &mut self,
        factor: &[T],
        x: &[f64],
    ) -> Vec<f64> {
        let ordered = &mut self.ordered;
        ordered.clear();
        ordered.resize(x.len(), 0.0);
        match self.pattern.symbolic.raw() {
            SymbolicCholeskyRaw::Simplicial(raw) => {
                simplicial::add_product(raw, factor, x, ordered);
            }
            SymbolicCholeskyRaw::Supernodal(raw) => {
                supernodal::add_product(raw, factor, x, ordered, &mut self.local);
            }
        }
        let (_, place) = self.pattern.order();
        place.iter().map(|place| ordered[*place]).collect()
    }

    /// The matrix out of here, as it was loaded, and the factor that [`factor`](Self::factor) made, rounded to
    /// single precision, if that can hold it; `None` where there is none.
    pub(crate) fn take(&mut self) -> Option<(Vec<f64>, Option<Vec<f32>>)> {
        if self.factor.is_empty() {
            return None;
        }
        let rounded: Vec<f32> = self.factor.iter().map(|v| *v as f32).collect();
        let mut pivots = self.pattern.pivots.iter().map(|place| rounded[*place]);
        let holds = rounded.iter().all(|v| v.is_finite()) && pivots.all(f32::is_normal);
        Some((std::mem::take(&mut self.matrix), holds.then_some(rounded)))
    }

    /// The factor alone; empty where there is none.
    pub(crate) fn take_factor(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.factor)
    }
}

/// `out` += what the columns of a panel and their mirror images have of a symmetric matrix, times `x`.
#[inline(always)]
fn add_symmetric_product<const W: usize, const K: usize>(
    panel: &Panel<'_, f64, W>,
    x: [&[f64]; K],
    out: &mut [&mut [f64]; K],
) {
    let mut along = [[0.0; W]; K];
    let mut sums = [[0.0; W]; K];
    for k in 0..K {
        along[k].copy_from_slice(&x[k][panel.begin..panel.begin + W]);
        for c in 0..W {
            sums[k][c] += panel.triangle[c][c] * along[k][c];
            for r in c + 1..W {
                sums[k][c] += panel.triangle[r][c] * along[k][r];
                sums[k][r] += panel.triangle[r][c] * along[k][c];
            }
        }
    }
    for (row, entries) in panel.below() {
        for k in 0..K {
            let value = x[k][row];
            let mut known = 0.0;
            for c in 0..W {
                known += entries[c] * along[k][c];
                sums[k][c] += entries[c] * value;
            }
            out[k][row] += known;
        }
    }
    for k in 0..K {
        for c in 0..W {
            out[k][panel.begin + c] += sums[k][c];
        }
    }
}
