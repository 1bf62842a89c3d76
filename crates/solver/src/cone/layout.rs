//! What the linear systems of a batch have in common: `A` by rows and an order of elimination.

use clarabel::algebra::CscMatrix;
use clarabel::qdldl::{QDLDLFactorisation, QDLDLSettings};

use crate::cone::geometry::LONG;
use crate::cone::problem::{Cone, ConeProblem, Sparse};

/// Systems up to this size are factored as dense ones: the bookkeeping of a sparse factor costs
/// more than the arithmetic it saves.
const SMALL: usize = 48;

/// As is a pattern that fills more than this part of the matrix.
const DENSE: f64 = 0.25;

/// Computed once a batch.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    n: usize,
    /// The patterns it was made for.
    patterns: [(Vec<usize>, Vec<usize>); 2],
    /// Where each row's entries start in `row_entries`.
    row_starts: Vec<usize>,
    /// Column and place among the pattern's entries.
    row_entries: Vec<(usize, usize)>,
    /// First row of every long second-order cone.
    long: Vec<usize>,
    /// Place in the order of elimination of the variables, the long cones and the rows; `None` where
    /// the systems are dense.
    order: Option<Vec<usize>>,
}

impl Layout {
    pub(crate) fn new(problem: &ConeProblem<'_>) -> Layout {
        let (n, m) = (problem.n, problem.rows());
        let mut row_starts = vec![0; m + 1];
        for &row in problem.a.indices {
            row_starts[row + 1] += 1;
        }
        for row in 0..m {
            row_starts[row + 1] += row_starts[row];
        }
        let mut row_entries = vec![(0, 0); problem.a.entries()];
        let mut next = row_starts.clone();
        for (at, (row, column)) in problem.a.places().enumerate() {
            row_entries[next[row]] = (column, at);
            next[row] += 1;
        }
        let mut layout = Layout {
            n,
            patterns: [
                problem.p.map_or_else(Default::default, owned),
                owned(problem.a),
            ],
            row_starts,
            row_entries,
            long: Vec::new(),
            order: None,
        };
        let mut first = 0;
        for &cone in problem.cones {
            if matches!(cone, Cone::SecondOrder(rows) if rows >= LONG) {
                layout.long.push(first);
            }
            first += cone.rows();
        }
        if n + m > SMALL {
            layout.order = layout.elimination(problem);
        }
        layout
    }

    /// Whether it was made for this problem.
    pub(crate) fn belongs_to(&self, problem: &ConeProblem<'_>) -> bool {
        let same = |pattern: &(Vec<usize>, Vec<usize>), sparse: Option<Sparse<'_>>| match sparse {
            Some(sparse) => pattern.0 == sparse.starts && pattern.1 == sparse.indices,
            None => pattern.0.is_empty(),
        };
        self.n == problem.n
            && same(&self.patterns[0], problem.p)
            && same(&self.patterns[1], Some(problem.a))
    }

    /// Column and place among the pattern's entries of a row of `A`.
    pub(crate) fn row(&self, row: usize) -> &[(usize, usize)] {
        &self.row_entries[self.row_starts[row]..self.row_starts[row + 1]]
    }

    /// Whether systems are sparse.
    pub(crate) fn is_sparse(&self) -> bool {
        self.order.is_some()
    }

    /// When a variable is eliminated.
    pub(crate) fn of_variable(&self, variable: usize) -> usize {
        self.order.as_ref().map_or(0, |order| order[variable])
    }

    /// When the multiplier of a long cone's axis is eliminated, by the cone's second row.
    pub(crate) fn of_sphere(&self, first: usize) -> usize {
        let at = self.long.partition_point(|cone| cone + 1 < first);
        self.order.as_ref().map_or(0, |order| order[self.n + at])
    }

    /// When a row is eliminated.
    pub(crate) fn of_row(&self, row: usize) -> usize {
        let start = self.n + self.long.len();
        self.order.as_ref().map_or(0, |order| order[start + row])
    }

    /// The approximate minimum degree order (Amestoy, Davis & Duff 1996) of the system in which
    /// every row is active.
    fn elimination(&self, problem: &ConeProblem<'_>) -> Option<Vec<usize>> {
        let (n, m, long) = (self.n, problem.rows(), self.long.len());
        let size = n + long + m;
        // Columns of the upper triangle.
        let mut columns: Vec<Vec<usize>> = (0..size).map(|at| vec![at]).collect();
        if let Some(p) = problem.p {
            for (row, column) in p.places().filter(|(row, column)| row != column) {
                columns[column].push(row);
            }
        }
        let (mut first, mut mixed) = (0, Vec::new());
        for &cone in problem.cones {
            let rows = first..first + cone.rows();
            let alone = matches!(cone, Cone::Zero(_) | Cone::Nonnegative(_));
            for row in rows.clone() {
                let of = &mut columns[n + long + row];
                if alone || rows.len() >= LONG && matches!(cone, Cone::SecondOrder(_)) {
                    of.extend(self.row(row).iter().map(|(column, _)| *column));
                    continue;
                }
                // Directions mix the rows of their block.
                let block = match cone {
                    Cone::Exponential(_) => {
                        let start = row - (row - rows.start) % 3;
                        start..start + 3
                    }
                    _ => rows.clone(),
                };
                if row == block.start {
                    mixed.clear();
                    mixed.extend(
                        block.flat_map(|row| self.row(row).iter().map(|(column, _)| *column)),
                    );
                    mixed.sort_unstable();
                    mixed.dedup();
                }
                of.extend_from_slice(&mixed);
            }
            if let Ok(at) = self.long.binary_search(&first) {
                // The ray covers all rows of the cone; the axis all but the first.
                let ray: Vec<usize> = rows
                    .clone()
                    .flat_map(|row| self.row(row).iter().map(|(column, _)| *column))
                    .collect();
                columns[n + long + first].extend(ray);
                for row in first + 1..rows.end {
                    columns[n + long + row].push(n + at);
                }
            }
            first = rows.end;
        }
        let (mut starts, mut indices) = (vec![0], Vec::new());
        for column in &mut columns {
            column.sort_unstable();
            column.dedup();
            indices.extend_from_slice(column);
            starts.push(indices.len());
        }
        if indices.len() as f64 > DENSE * 0.5 * (size * size) as f64 {
            return None;
        }
        let entries = vec![1.0; indices.len()];
        let pattern = CscMatrix::new(size, size, starts, indices, entries);
        let symbolic = QDLDLSettings {
            logical: true,
            ..QDLDLSettings::default()
        };
        let factor = QDLDLFactorisation::<f64>::new(&pattern, Some(symbolic)).ok()?;
        let mut order = vec![0; size];
        for (place, &unknown) in factor.perm.iter().enumerate() {
            order[unknown] = place;
        }
        Some(order)
    }
}

fn owned(sparse: Sparse<'_>) -> (Vec<usize>, Vec<usize>) {
    (sparse.starts.to_vec(), sparse.indices.to_vec())
}
