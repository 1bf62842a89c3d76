//! Sparse Cholesky of M + D, assembled by precomputed places and factored with a symbolic factor that
//! is made once.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::sparse::linalg::cholesky::{LltRef, SymbolicCholeskyRaw};
use faer::sparse::linalg::solvers::Lu;
use faer::sparse::{SparseColMat, SparseColMatRef, Triplet};
use faer::{Conj, MatMut, Par, Side};

use super::Damp;
use super::cholesky::is_rounding;
use super::pattern::Pattern;
use crate::objective::Objective;
use crate::term::Linearisation;

pub(crate) struct Sparse<'a> {
    pattern: &'a Pattern,
    /// M, 1 on the diagonal where a coordinate is held.
    pub(crate) matrix: Vec<f64>,
    damped: Vec<f64>,
    factor: Vec<f64>,
    local: Vec<f64>,
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
        let entries = pattern.matrix.compute_nnz();
        let symbolic = &pattern.symbolic;
        let widest = objective.terms.iter().map(|t| t.width).max().unwrap_or(0);
        Self {
            pattern,
            matrix: vec![0.0; entries],
            damped: vec![0.0; entries],
            factor: vec![0.0; symbolic.len_val()],
            local: vec![0.0; widest * (widest + 1) / 2],
            memory: MemBuffer::new(StackReq::any_of(&[
                symbolic.factorize_numeric_llt_scratch::<f64>(Par::Seq, Default::default()),
                symbolic.solve_in_place_scratch::<f64>(1, Par::Seq),
            ])),
        }
    }

    pub(crate) fn load(&mut self, objective: &Objective, at: &Linearisation, held: &[bool]) {
        self.matrix.fill(0.0);
        let mut targets = &self.pattern.targets[..];
        for term in &objective.terms {
            let local = &mut self.local[..term.width * (term.width + 1) / 2];
            local.fill(0.0);
            for row in at.block(term).chunks_exact(term.width) {
                let mut place = 0;
                for (p, value) in row.iter().enumerate() {
                    let end = place + p + 1;
                    crate::dense::axpy(*value, &row[..=p], &mut local[place..end]);
                    place = end;
                }
            }
            let (here, rest) = targets.split_at(local.len());
            targets = rest;
            for (value, target) in local.iter().zip(here) {
                self.matrix[*target as usize] += value;
            }
        }
        self.hold(held);
    }

    /// Takes a symmetric matrix given by its part for every term, `[width, width]` each.
    pub(crate) fn load_blocks(
        &mut self,
        objective: &Objective,
        blocks: &[Vec<f64>],
        held: &[bool],
    ) {
        self.matrix.fill(0.0);
        let mut targets = self.pattern.targets.iter();
        for (term, block) in objective.terms.iter().zip(blocks) {
            for (p, row) in block.chunks_exact(term.width).enumerate() {
                for (value, target) in row[..=p].iter().zip(targets.by_ref()) {
                    self.matrix[*target as usize] += value;
                }
            }
        }
        self.hold(held);
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

    /// The square roots of the diagonal; 1 where it is not positive.
    pub(crate) fn diagonal_roots(&self) -> Vec<f64> {
        let pattern = &self.pattern.matrix;
        let diagonal = pattern.col_ptr()[..pattern.ncols()].iter();
        diagonal
            .map(|place| self.matrix[*place])
            .map(|entry| if entry > 0.0 { entry.sqrt() } else { 1.0 })
            .collect()
    }

    /// The 1-norm of the matrix with rows and columns divided by `roots`.
    pub(crate) fn scaled_norm(&self, roots: &[f64]) -> f64 {
        let mut sums = vec![0.0; roots.len()];
        for (row, column, value) in self.entries() {
            let value = (value / (roots[row] * roots[column])).abs();
            sums[column] += value;
            if row != column {
                sums[row] += value;
            }
        }
        sums.into_iter().fold(0.0, f64::max)
    }

    /// The 1-norm of the matrix.
    pub(crate) fn norm(&self) -> f64 {
        let mut sums = vec![0.0; self.pattern.matrix.ncols()];
        for (row, column, value) in self.entries() {
            sums[column] += value.abs();
            if row != column {
                sums[row] += value.abs();
            }
        }
        sums.into_iter().fold(0.0, f64::max)
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
        self.damped.copy_from_slice(&self.matrix);
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
        factored.is_ok() && self.pivots_are_sound()
    }

    /// Whether every pivot is above the rounding of its diagonal entry.
    fn pivots_are_sound(&self) -> bool {
        let n = self.pattern.matrix.ncols();
        let pointers = self.pattern.matrix.col_ptr();
        let permutation = self.pattern.symbolic.perm().expect("it is given one");
        let (forward, _) = permutation.arrays();
        let sound = |column: usize, pivot: f64| {
            let entry = self.damped[pointers[forward[column]]];
            !is_rounding(pivot * pivot, entry, 0)
        };
        match self.pattern.symbolic.raw() {
            SymbolicCholeskyRaw::Simplicial(symbolic) => {
                let pointers = symbolic.col_ptr();
                (0..n).all(|j| sound(j, self.factor[pointers[j]]))
            }
            SymbolicCholeskyRaw::Supernodal(symbolic) => (0..symbolic.n_supernodes()).all(|s| {
                let begin = symbolic.supernode_begin()[s];
                let size = symbolic.supernode_end()[s] - begin;
                let place = symbolic.col_ptr_for_val()[s];
                let height = (symbolic.col_ptr_for_val()[s + 1] - place) / size.max(1);
                (0..size).all(|i| sound(begin + i, self.factor[place + i * height + i]))
            }),
        }
    }

    pub(crate) fn solve(&mut self, x: &mut [f64]) {
        let n = x.len();
        LltRef::new(&self.pattern.symbolic, &self.factor).solve_in_place_with_conj(
            Conj::No,
            MatMut::from_column_major_slice_mut(x, n, 1),
            Par::Seq,
            MemStack::new(&mut self.memory),
        );
    }
}
