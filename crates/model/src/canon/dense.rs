//! The dense form: QPs and QCQPs.

use std::collections::HashMap;

use super::affine::{CONSTANT, Term};
use super::builder::Rows;
use super::quadratic::{Expanded, Place, SquareTerm};
use super::rows::Key;
use super::{Block, Brought, Canonical, Program, Settled, Slot};
use crate::map::AffineMap;

/// The maps to the numbers of a [`feasible_solver::Problem`].
#[derive(Clone, Debug, Default)]
pub(crate) struct DenseProgram {
    pub(crate) p: AffineMap,
    pub(crate) p_diagonal: bool,
    pub(crate) q: AffineMap,
    pub(crate) equality_rows: usize,
    pub(crate) a: AffineMap,
    pub(crate) b: AffineMap,
    pub(crate) inequality_rows: usize,
    pub(crate) g: AffineMap,
    pub(crate) l: AffineMap,
    pub(crate) u: AffineMap,
    pub(crate) quadratic_rows: usize,
    pub(crate) h: AffineMap,
    pub(crate) h_diagonal: bool,
    pub(crate) hg: AffineMap,
    pub(crate) hc: AffineMap,
}

/// One two-sided row.
#[derive(Default)]
struct Sides {
    matrix: Vec<Term>,
    lower: Option<Vec<Term>>,
    upper: Option<Vec<Term>>,
}

pub(super) fn assemble(mut settled: Settled) -> Canonical {
    let mut duals: Vec<Vec<Slot>> = vec![Vec::new(); settled.constraints];
    // Quadratic rows may add columns and equalities, so they come before the equalities' turn and
    // before the columns get their numbers.
    let rows = std::mem::take(&mut settled.builder.rows);
    let mut sides: Vec<Sides> = Vec::new();
    let mut known: HashMap<Key, usize> = HashMap::new();
    let mut quadratics: Vec<Expanded> = Vec::new();
    let mut brought: Vec<Brought> = Vec::new();
    for row in rows {
        let expanded = settled.builder.expanded(&row.terms, Place::Row);
        let (block, index) = if expanded.squares.is_empty() {
            two_sided(expanded.linear, &mut sides, &mut known)
        } else {
            quadratics.push(expanded);
            (Block::Quadratic, quadratics.len() - 1)
        };
        if let Some(by) = row.by {
            let rows = index..index + 1;
            brought.push(Brought { block, rows, by });
        }
        for (constraint, entry) in row.sources {
            duals[constraint].push(Slot::new(entry, block, index));
        }
    }
    let (n, numbers) = settled.builder.renumbered();
    settled.renumber();
    let owners = &settled.owners;
    let place = |row: usize, column: u32| row * n + numbers[column as usize] as usize;

    let mut program = DenseProgram::default();
    (program.p_diagonal, program.p) = symmetric(&[&settled.p], n, owners, |c| c as usize);
    let q = settled
        .q
        .iter()
        .map(|t| (t.column as usize, t.parameter, t.value));
    program.q = AffineMap::new(vec![0.0; n], q, owners);

    let (mut matrix, mut right) = (Vec::new(), Vec::new());
    for Rows { affine, source, by } in &settled.builder.zero {
        let first = program.equality_rows;
        for t in &affine.terms {
            let row = first + t.row as usize;
            if t.column == CONSTANT {
                right.push((row, t.parameter, -t.value));
            } else {
                matrix.push((row * n + t.column as usize, t.parameter, t.value));
            }
        }
        let rows = first..first + affine.rows;
        brought.extend(by.map(|by| Brought {
            block: Block::Equality,
            rows: rows.clone(),
            by,
        }));
        if let Some(i) = source {
            duals[*i].extend(rows.map(|row| Slot::new(row - first, Block::Equality, row)));
        }
        program.equality_rows += affine.rows;
    }
    program.a = AffineMap::new(vec![0.0; program.equality_rows * n], matrix, owners);
    program.b = AffineMap::new(vec![0.0; program.equality_rows], right, owners);

    let m = sides.len();
    program.inequality_rows = m;
    let matrix = sides.iter().enumerate().flat_map(|(row, side)| {
        let entry = move |t: &Term| (place(row, t.column), t.parameter, t.value);
        side.matrix.iter().map(entry)
    });
    program.g = AffineMap::new(vec![0.0; m * n], matrix, owners);
    let bound = |of: fn(&Sides) -> Option<&Vec<Term>>, none: f64| {
        let start = |side: &Sides| if of(side).is_some() { 0.0 } else { none };
        let terms = sides.iter().enumerate().flat_map(|(row, side)| {
            let terms = of(side).into_iter().flatten();
            terms.map(move |t| (row, t.parameter, t.value))
        });
        AffineMap::new(sides.iter().map(start).collect(), terms, owners)
    };
    program.l = bound(|side| side.lower.as_ref(), f64::NEG_INFINITY);
    program.u = bound(|side| side.upper.as_ref(), f64::INFINITY);

    program.quadratic_rows = quadratics.len();
    let squares: Vec<&Vec<SquareTerm>> = quadratics.iter().map(|row| &row.squares).collect();
    (program.h_diagonal, program.h) =
        symmetric(&squares, n, owners, |c| numbers[c as usize] as usize);
    let (mut linear, mut right) = (Vec::new(), Vec::new());
    for (row, quadratic) in quadratics.iter().enumerate() {
        for t in &quadratic.linear {
            if t.column == CONSTANT {
                right.push((row, t.parameter, -t.value));
            } else {
                linear.push((place(row, t.column), t.parameter, t.value));
            }
        }
    }
    program.hg = AffineMap::new(vec![0.0; quadratics.len() * n], linear, owners);
    program.hc = AffineMap::new(vec![0.0; quadratics.len()], right, owners);
    let mut touched = Vec::new();
    for (row, side) in sides.iter().enumerate() {
        let columns = side.matrix.iter().map(|t| t.column);
        touched.extend(columns.map(|c| (c, Block::Upper, row..row + 1)));
    }
    for (row, quadratic) in quadratics.iter().enumerate() {
        let linear = quadratic.linear.iter().map(|t| t.column);
        let linear = linear.filter(|c| *c != CONSTANT);
        let columns = linear.chain(quadratic.squares.iter().flat_map(|t| [t.low, t.high]));
        touched.extend(columns.map(|c| (c, Block::Quadratic, row..row + 1)));
    }
    let touched = touched
        .into_iter()
        .map(|(c, block, rows)| (numbers[c as usize], block, rows));
    let loose = settled.loose(touched);
    settled.finish(Program::Dense(Box::new(program)), duals, loose, brought)
}

/// A stack of symmetric matrices, diagonals where all of them are.
fn symmetric(
    stack: &[&Vec<SquareTerm>],
    n: usize,
    owners: &[u32],
    number: impl Fn(u32) -> usize,
) -> (bool, AffineMap) {
    let diagonal = stack
        .iter()
        .all(|terms| terms.iter().all(|t| t.low == t.high));
    if diagonal {
        let terms = stack.iter().enumerate().flat_map(|(i, terms)| {
            let number = &number;
            let entry = move |t: &SquareTerm| (i * n + number(t.low), t.parameter, t.value);
            terms.iter().map(entry)
        });
        let map = AffineMap::new(vec![0.0; stack.len() * n], terms, owners);
        return (true, map);
    }
    let mut all = Vec::new();
    for (i, terms) in stack.iter().enumerate() {
        for t in terms.iter() {
            let (low, high) = (number(t.low), number(t.high));
            all.push((i * n * n + low * n + high, t.parameter, t.value));
            if low != high {
                all.push((i * n * n + high * n + low, t.parameter, t.value));
            }
        }
    }
    (
        false,
        AffineMap::new(vec![0.0; stack.len() * n * n], all, owners),
    )
}

/// Adds `terms ≤ 0` as one side of a row, where possible of one that has the other side already.
fn two_sided(
    terms: Vec<Term>,
    sides: &mut Vec<Sides>,
    known: &mut HashMap<Key, usize>,
) -> (Block, usize) {
    let (constants, mut matrix): (Vec<Term>, Vec<Term>) =
        terms.into_iter().partition(|t| t.column == CONSTANT);
    matrix.sort_by_key(|t| (t.column, t.parameter));
    let mut merged: Vec<Term> = Vec::with_capacity(matrix.len());
    for t in matrix {
        match merged.last_mut() {
            Some(last) if (last.column, last.parameter) == (t.column, t.parameter) => {
                last.value += t.value;
            }
            _ => merged.push(t),
        }
    }
    // A row and its negative are one row; the sign of its first coefficient decides which.
    let flipped = merged.first().is_some_and(|t| t.value < 0.0);
    let sign = if flipped { -1.0 } else { 1.0 };
    merged.iter_mut().for_each(|t| t.value *= sign);
    let bound: Vec<Term> = constants
        .into_iter()
        .map(|t| Term {
            value: -sign * t.value,
            ..t
        })
        .collect();
    let key: Key = merged
        .iter()
        .map(|t| (t.column, t.parameter, t.value.to_bits()))
        .collect();
    let free = |side: &Sides| {
        if flipped {
            side.lower.is_none()
        } else {
            side.upper.is_none()
        }
    };
    let row = match known.get(&key) {
        Some(row) if free(&sides[*row]) => *row,
        _ => {
            sides.push(Sides {
                matrix: merged,
                ..Sides::default()
            });
            known.insert(key, sides.len() - 1);
            sides.len() - 1
        }
    };
    if flipped {
        sides[row].lower = Some(bound);
        (Block::Lower, row)
    } else {
        sides[row].upper = Some(bound);
        (Block::Upper, row)
    }
}

impl DenseProgram {
    /// The program with more equalities, that hold columns at values.
    pub(crate) fn with_fixed(&self, n: usize, columns: &[u32], values: &[f64]) -> DenseProgram {
        let mut rows = vec![0.0; columns.len() * n];
        for (row, column) in columns.iter().enumerate() {
            rows[row * n + *column as usize] = 1.0;
        }
        DenseProgram {
            equality_rows: self.equality_rows + columns.len(),
            a: self.a.extended(&rows),
            b: self.b.extended(values),
            ..self.clone()
        }
    }
}
