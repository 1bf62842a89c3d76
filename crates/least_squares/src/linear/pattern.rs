//! The pattern of M = JᵀJ, where each cost's block goes in it, and its symbolic Cholesky factor.

use faer::Side;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::perm::PermRef;
use faer::sparse::linalg::amd;
use faer::sparse::linalg::cholesky::{
    SymbolicCholesky, SymbolicCholeskyRaw, SymmetricOrdering, factorize_symbolic_cholesky,
};
use faer::sparse::{SymbolicSparseColMat, SymbolicSparseColMatRef};

use super::panels::Panels;
use crate::objective::Objective;

/// Computed once for an objective.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// The lower triangle of M, by columns.
    pub(crate) matrix: SymbolicSparseColMat<usize>,
    /// Where the entries of the terms' lower triangles go, row-major, term after term.
    pub(crate) targets: Vec<u32>,
    /// Ordered by approximate minimum degree on the variables.
    pub(crate) symbolic: SymbolicCholesky<usize>,
    /// Where the diagonal entries of the factor's columns are.
    pub(crate) pivots: Vec<usize>,
    /// Of the matrix.
    pub(crate) matrix_panels: Panels,
    /// Of the factor, where that is simplicial.
    pub(crate) factor_panels: Panels,
}

/// Variables b ≤ a that share a cost, and where the rows of a begin in the columns of b.
struct Pairs {
    /// For each b, where its pairs begin.
    begin: Vec<usize>,
    /// (a, its first row among those of b's columns).
    with: Vec<(usize, usize)>,
}

impl Pairs {
    fn new(objective: &Objective) -> Self {
        let mut all: Vec<(u32, u32)> = Vec::new();
        for term in &objective.terms {
            for a in &term.variables {
                for b in term.variables.iter().filter(|b| *b <= a) {
                    all.push((*b as u32, *a as u32));
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        let mut pairs = Self {
            begin: vec![0],
            with: Vec::with_capacity(all.len()),
        };
        let mut rows = 0;
        for (b, a) in all {
            while pairs.begin.len() <= b as usize {
                pairs.begin.push(pairs.with.len());
                rows = 0;
            }
            pairs.with.push((a as usize, rows));
            rows += objective.variables[a as usize].manifold.tangent();
        }
        pairs.begin.push(pairs.with.len());
        pairs
    }

    fn of(&self, b: usize) -> &[(usize, usize)] {
        &self.with[self.begin[b]..self.begin[b + 1]]
    }
}

impl Pattern {
    /// The columns of M in the order of the factor, and each column's place in it.
    pub(crate) fn order(&self) -> (&[usize], &[usize]) {
        self.symbolic.perm().expect("it is given one").arrays()
    }

    pub(crate) fn new(objective: &Objective) -> Self {
        let pairs = Pairs::new(objective);
        let n = objective.tangent;
        let size = |v: usize| objective.variables[v].manifold.tangent();
        let (mut pointers, mut rows) = (vec![0], Vec::new());
        for (b, variable) in objective.variables.iter().enumerate() {
            for c in 0..size(b) {
                rows.extend(variable.column + c..variable.column + size(b));
                for (a, _) in &pairs.of(b)[1..] {
                    let column = objective.variables[*a].column;
                    rows.extend(column..column + size(*a));
                }
                pointers.push(rows.len());
            }
        }
        let targets = targets(objective, &pairs, &pointers);
        let matrix = SymbolicSparseColMat::new_checked(n, n, pointers, None, rows);
        let (forward, inverse) = ordering(objective, &pairs);
        let symbolic = factorize_symbolic_cholesky(
            matrix.as_ref(),
            Side::Lower,
            SymmetricOrdering::Custom(PermRef::new_checked(&forward, &inverse, n)),
            Default::default(),
        )
        .expect("memory for a symbolic factor");
        let pivots = pivots(&symbolic);
        let matrix_panels = Panels::new(matrix.col_ptr(), matrix.row_idx());
        let factor_panels = match symbolic.raw() {
            SymbolicCholeskyRaw::Simplicial(raw) => Panels::new(raw.col_ptr(), raw.row_idx()),
            SymbolicCholeskyRaw::Supernodal(_) => Panels::new(&[0], &[]),
        };
        Self {
            matrix,
            targets,
            symbolic,
            pivots,
            matrix_panels,
            factor_panels,
        }
    }
}

fn pivots(symbolic: &SymbolicCholesky<usize>) -> Vec<usize> {
    match symbolic.raw() {
        SymbolicCholeskyRaw::Simplicial(raw) => raw.col_ptr()[..raw.ncols()].to_vec(),
        SymbolicCholeskyRaw::Supernodal(raw) => (0..raw.n_supernodes())
            .flat_map(|s| {
                let size = raw.supernode_end()[s] - raw.supernode_begin()[s];
                let [begin, end] = [0, 1].map(|next| raw.col_ptr_for_val()[s + next]);
                let height = (end - begin) / size.max(1);
                (0..size).map(move |i| begin + i * height + i)
            })
            .collect(),
    }
}

fn targets(objective: &Objective, pairs: &Pairs, pointers: &[usize]) -> Vec<u32> {
    let mut targets = Vec::new();
    for term in &objective.terms {
        // Each local column's variable and its place in that variable's step.
        let owners: Vec<(usize, usize)> = term
            .variables
            .iter()
            .flat_map(|v| (0..objective.variables[*v].manifold.tangent()).map(move |i| (*v, i)))
            .collect();
        for p in &owners {
            for q in &owners {
                // The later variable gives the row; inside a variable the later coordinate.
                let (row, column) = (p.max(q), p.min(q));
                let of = pairs.of(column.0);
                let at = of.partition_point(|(a, _)| *a < row.0);
                let place = pointers[objective.variables[column.0].column + column.1];
                // A column begins at its diagonal, so it lacks the rows of its variable above that.
                targets.push((place + of[at].1 + row.1 - column.1) as u32);
                if p == q {
                    break;
                }
            }
        }
    }
    targets
}

/// Approximate minimum degree on the graph of the variables, spread to their coordinates.
fn ordering(objective: &Objective, pairs: &Pairs) -> (Vec<usize>, Vec<usize>) {
    let count = objective.variables.len();
    let rows: Vec<usize> = pairs.with.iter().map(|(a, _)| *a).collect();
    let graph = SymbolicSparseColMatRef::new_checked(count, count, &pairs.begin, None, &rows);
    let (mut forward, mut inverse) = (vec![0; count], vec![0; count]);
    let mut memory = MemBuffer::new(amd::order_scratch::<usize>(count, rows.len()));
    amd::order(
        &mut forward,
        &mut inverse,
        graph,
        Default::default(),
        MemStack::new(&mut memory),
    )
    .expect("memory for an ordering");
    let spread: Vec<usize> = forward
        .iter()
        .flat_map(|v| {
            let variable = &objective.variables[*v];
            variable.column..variable.column + variable.manifold.tangent()
        })
        .collect();
    let mut back = vec![0; spread.len()];
    for (to, from) in spread.iter().enumerate() {
        back[*from] = to;
    }
    (spread, back)
}
