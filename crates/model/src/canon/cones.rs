//! The sparse form: cone programs.

use feasible_solver::Cone;

use super::affine::{CONSTANT, Term};
use super::builder::{ConeRows, Kind, Rows};
use super::{Block, Brought, Canonical, Program, Settled, Slot};
use crate::error::Error;
use crate::map::AffineMap;

/// The maps to the numbers of a [`feasible_solver::ConeProblem`].
#[derive(Clone, Debug)]
pub(crate) struct ConeProgram {
    pub(crate) p: Option<SparseMap>,
    pub(crate) q: AffineMap,
    pub(crate) a: SparseMap,
    pub(crate) b: AffineMap,
    pub(crate) cones: Vec<Cone>,
}

/// A pattern by columns and the map to its entries.
#[derive(Clone, Debug)]
pub(crate) struct SparseMap {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) starts: Vec<usize>,
    pub(crate) indices: Vec<usize>,
    pub(crate) map: AffineMap,
}

impl SparseMap {
    /// From (row, column, parameter entry, value); what falls on one place adds up.
    fn new(
        rows: usize,
        columns: usize,
        mut terms: Vec<(u32, u32, u32, f64)>,
        owners: &[u32],
    ) -> SparseMap {
        terms.sort_by_key(|(row, column, _, _)| (u64::from(*column) << 32) | u64::from(*row));
        let mut starts = vec![0; columns + 1];
        let mut indices: Vec<usize> = Vec::new();
        let mut last = None;
        let mut entries = Vec::with_capacity(terms.len());
        for (row, column, parameter, value) in terms {
            if last != Some((row, column)) {
                last = Some((row, column));
                indices.push(row as usize);
                starts[column as usize + 1] += 1;
            }
            entries.push((indices.len() - 1, parameter, value));
        }
        for column in 0..columns {
            starts[column + 1] += starts[column];
        }
        SparseMap {
            rows,
            columns,
            starts,
            map: AffineMap::new(vec![0.0; indices.len()], entries, owners),
            indices,
        }
    }
}

pub(super) fn assemble(mut settled: Settled) -> Result<Canonical, Error> {
    settled.renumber();
    let n = settled.n;
    let mut duals: Vec<Vec<Slot>> = vec![Vec::new(); settled.constraints];
    let (mut matrix, mut right) = (Vec::new(), Vec::new());
    let mut m = 0;
    // `s = b − Ax` is minus the residual of an equality or inequality, and the rows themselves for
    // a cone.
    let mut put = |terms: &[Term], rows: usize, sign: f64| {
        for t in terms {
            let row = m as u32 + t.row;
            if t.column == CONSTANT {
                right.push((row as usize, t.parameter, -sign * t.value));
            } else {
                matrix.push((row, t.column, t.parameter, sign * t.value));
            }
        }
        m += rows;
        m - rows
    };
    let mut cones = Vec::new();
    let mut brought: Vec<Brought> = Vec::new();
    let mut bring = |by: Option<u32>, first: usize, rows: usize| {
        brought.extend(by.map(|by| Brought {
            block: Block::Cone,
            rows: first..first + rows,
            by,
        }));
    };
    let mut whole = |source: Option<usize>, first: usize, rows: usize| {
        if let Some(i) = source {
            let slot = |entry| Slot::new(entry, Block::Cone, first + entry);
            duals[i].extend((0..rows).map(slot));
        }
    };
    let mut zero = 0;
    for Rows { affine, source, by } in &settled.builder.zero {
        let first = put(&affine.terms, affine.rows, 1.0);
        whole(*source, first, affine.rows);
        bring(*by, first, affine.rows);
        zero += affine.rows;
    }
    cones.extend((zero > 0).then_some(Cone::Zero(zero)));
    let mut single = Vec::new();
    for row in &mut settled.builder.rows {
        row.terms.iter_mut().for_each(|t| t.row = 0);
        let at = put(&row.terms, 1, 1.0);
        bring(row.by, at, 1);
        single.extend(row.sources.iter().map(|source| (*source, at)));
    }
    let inequalities = settled.builder.rows.len();
    cones.extend((inequalities > 0).then_some(Cone::Nonnegative(inequalities)));
    for rows in &settled.builder.cones {
        let count = rows.affine.rows / rows.kind.rows();
        match rows.kind {
            Kind::SecondOrder(size) => {
                cones.extend(std::iter::repeat_n(Cone::SecondOrder(size), count));
            }
            Kind::Exponential => cones.push(Cone::Exponential(count)),
            Kind::Power(alpha) => cones.extend(std::iter::repeat_n(Cone::Power(alpha), count)),
            Kind::Semidefinite(order) => {
                cones.extend(std::iter::repeat_n(semidefinite(order, rows)?, count));
            }
        }
        let first = put(&rows.affine.terms, rows.affine.rows, -1.0);
        whole(rows.source, first, rows.affine.rows);
        bring(rows.by, first, rows.affine.rows);
    }
    for ((constraint, entry), at) in single {
        duals[constraint].push(Slot::new(entry, Block::Cone, at));
    }
    // The multipliers of each row's cone.
    let mut of_row: Vec<std::ops::Range<usize>> = Vec::with_capacity(m);
    for cone in &cones {
        let first = of_row.len();
        let (size, rows) = match cone {
            Cone::Zero(rows) | Cone::Nonnegative(rows) => (1, *rows),
            Cone::Exponential(count) => (3, 3 * count),
            other => (other.rows(), other.rows()),
        };
        of_row.extend((0..rows).map(|row| {
            let start = first + row / size * size;
            start..start + size
        }));
    }
    let touched = matrix
        .iter()
        .map(|(row, column, _, _)| (*column, Block::Cone, of_row[*row as usize].clone()));
    let loose = settled.loose(touched);
    let owners = &settled.owners;
    let p: Vec<_> = settled
        .p
        .iter()
        .map(|t| (t.low, t.high, t.parameter, t.value))
        .collect();
    let q = settled
        .q
        .iter()
        .map(|t| (t.column as usize, t.parameter, t.value));
    let program = ConeProgram {
        p: (!p.is_empty()).then(|| SparseMap::new(n, n, p, owners)),
        q: AffineMap::new(vec![0.0; n], q, owners),
        a: SparseMap::new(m, n, matrix, owners),
        b: AffineMap::new(vec![0.0; m], right, owners),
        cones,
    };
    Ok(settled.finish(Program::Cones(Box::new(program)), duals, loose, brought))
}

/// The cone, where the solver was built with it.
fn semidefinite(order: usize, rows: &ConeRows) -> Result<Cone, Error> {
    if cfg!(feature = "semidefinite") {
        return Ok(Cone::Semidefinite(order));
    }
    Err(Error::Unsupported {
        expression: rows.text.clone(),
        reason: format!(
            "it needs the cone of semidefinite matrices of order {order}; build with the feature \
             `lapack`, or with `semidefinite` and a LAPACK of your own"
        ),
    })
}

impl ConeProgram {
    /// The program with more equalities, that hold columns at values.
    pub(crate) fn with_fixed(&self, columns: &[u32], values: &[f64]) -> ConeProgram {
        let a = &self.a;
        let (mut starts, mut indices, mut places) = (vec![0], Vec::new(), Vec::new());
        for column in 0..a.columns {
            for at in a.starts[column]..a.starts[column + 1] {
                places.push(indices.len());
                indices.push(a.indices[at]);
            }
            if let Some(row) = columns.iter().position(|c| *c as usize == column) {
                indices.push(a.rows + row);
            }
            starts.push(indices.len());
        }
        let mut cones = self.cones.clone();
        cones.push(Cone::Zero(columns.len()));
        ConeProgram {
            a: SparseMap {
                rows: a.rows + columns.len(),
                columns: a.columns,
                starts,
                map: a.map.moved(indices.len(), &places),
                indices,
            },
            b: self.b.extended(values),
            cones,
            ..self.clone()
        }
    }
}
