//! Expressions to a solver's form, once for all values of the parameters.

mod affine;
mod atoms;
mod builder;
mod cones;
mod dense;
mod lower;
mod offset;
mod quadratic;
mod rows;
mod size;
mod spectral;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use affine::{ONE, Term};
pub(crate) use cones::{ConeProgram, SparseMap};
pub(crate) use dense::DenseProgram;
pub(crate) use offset::Offset;

use affine::{Affine, CONSTANT};
use builder::{Builder, Kind, Rows};
use lower::{owners, scaled_triangle};
use quadratic::{Expanded, Place, SquareTerm};

use crate::constraint::Relation;
use crate::engine::pinned::Loose;
use crate::error::Error;
use crate::expr::{Leaf, postorder};
use crate::model::{Direction, Formulation, Route};

/// Numbers that the dense solver's matrices may hold in all. 4·10⁶ are 32 MB a sample.
const DENSEST: usize = 4_000_000;

/// A problem in a solver's form.
#[derive(Debug)]
pub(crate) struct Canonical {
    pub(crate) n: usize,
    /// Each variable's column, entry by entry.
    pub(crate) variables: Vec<(Arc<Leaf>, Vec<u32>)>,
    /// Each parameter's first entry among all.
    pub(crate) parameters: Vec<(Arc<Leaf>, u32)>,
    pub(crate) parameter_entries: usize,
    pub(crate) program: Program,
    /// What the minimised objective adds to the program's.
    pub(crate) offset: Offset,
    /// Where each constraint's dual values are.
    pub(crate) duals: Vec<Vec<Slot>>,
    /// Rows that are not the user's constraints.
    pub(crate) brought: Vec<Brought>,
    /// Columns of which an interval may be optimal.
    pub(crate) flat: Vec<u32>,
    /// Columns that the adjoint may have to hold.
    pub(crate) loose: Vec<Loose>,
}

#[derive(Debug)]
pub(crate) enum Program {
    Dense(Box<DenseProgram>),
    Cones(Box<ConeProgram>),
}

/// Which of a solver's multipliers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Block {
    Equality,
    /// The positive part of a two-sided row's.
    Upper,
    /// The negative part of a two-sided row's.
    Lower,
    Quadratic,
    Cone,
}

/// A part of one entry of a constraint's dual: `factor` times a multiplier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) entry: usize,
    pub(crate) block: Block,
    pub(crate) index: usize,
    pub(crate) factor: f64,
}

impl Slot {
    fn new(entry: usize, block: Block, index: usize) -> Slot {
        Slot {
            entry,
            block,
            index,
            factor: 1.0,
        }
    }

    /// How the part moves with its multiplier. Of a two-sided row the part of the side that does not
    /// hold is zero and stays zero.
    pub(crate) fn slope(&self, multiplier: f64) -> f64 {
        self.factor
            * match self.block {
                Block::Upper if multiplier < 0.0 => 0.0,
                Block::Lower if multiplier > 0.0 => 0.0,
                Block::Lower => -1.0,
                _ => 1.0,
            }
    }
}

/// Rows that a sub-expression brings with it: its epigraph, or a variable's domain.
#[derive(Clone, Debug)]
pub(crate) struct Brought {
    pub(crate) block: Block,
    pub(crate) rows: Range<usize>,
    /// Its place among all sub-expressions.
    pub(crate) by: u32,
}

/// The builder's result with quadratic columns gone and the others numbered anew.
struct Settled {
    n: usize,
    /// `P` of `½xᵀPx`, upper triangle.
    p: Vec<SquareTerm>,
    q: Vec<Term>,
    offset: Offset,
    builder: Builder,
    owners: Vec<u32>,
    constraints: usize,
}

pub(crate) fn canonicalise(formulation: &Formulation) -> Result<Canonical, Error> {
    let mut builder = Builder::default();
    let order = postorder(formulation.roots());
    size::check_leaves(&order)?;
    for (at, expr) in order.into_iter().enumerate() {
        builder.by = Some(at as u32);
        builder.has_room_for(expr)?;
        builder.lower(expr);
        let lowered = &builder.lowered[&expr.key()];
        if let Some(term) = lowered.terms.iter().find(|term| !term.value.is_finite()) {
            return Err(Error::Argument {
                expression: expr.to_string(),
                reason: format!("its numbers overflow: a coefficient is {}", term.value),
            });
        }
    }
    builder.by = None;
    let objective = builder.lowered[&formulation.objective.key()].clone();
    let objective = match formulation.direction {
        Direction::Minimize => (*objective).clone(),
        Direction::Maximize => objective.times(-1.0),
    };
    for (i, constraint) in formulation.constraints.iter().enumerate() {
        let residual = (*builder.lowered[&constraint.0.residual.key()]).clone();
        let rows = |affine| Rows {
            affine,
            source: Some(i),
            by: None,
        };
        match constraint.0.relation {
            Relation::Equal => builder.zero.push(rows(residual)),
            Relation::AtMost | Relation::AtLeast => builder.nonpositive.push(rows(residual)),
            Relation::Semidefinite => {
                let order = constraint.0.residual.shape().dims()[0];
                let triangle = residual.linear(&scaled_triangle(order));
                let text = constraint.to_string();
                builder.in_cone(Kind::Semidefinite(order), triangle, &text);
                if let Some(last) = builder.cones.last_mut() {
                    last.source = Some(i);
                }
            }
        }
    }
    builder.lowered.clear();
    builder.has_room_for_rows(formulation)?;
    builder.split();
    builder.eliminate(&objective.terms);
    builder.merge_equal();
    builder.settle(formulation.route == Route::Cones)?;
    let dense = formulation.route == Route::Auto && builder.cones.is_empty() && builder.is_small();
    if !dense {
        builder.settle(true)?;
    }
    let Expanded {
        squares,
        linear,
        offsets,
    } = builder.expanded(&objective.terms, Place::Objective);
    let offset = Offset::new(&linear, offsets);
    let p = squares
        .into_iter()
        .map(|t| SquareTerm {
            value: 2.0 * t.value,
            ..t
        })
        .collect();
    let q = linear
        .into_iter()
        .filter(|t| t.column != CONSTANT)
        .collect();
    let settled = Settled {
        n: 0,
        p,
        q,
        offset,
        owners: owners(&builder.parameters),
        constraints: formulation.constraints.len(),
        builder,
    };
    let mut canonical = if dense {
        dense::assemble(settled)
    } else {
        cones::assemble(settled)?
    };
    for (slots, relation) in canonical.duals.iter_mut().zip(&formulation.constraints) {
        if relation.0.relation == Relation::Semidefinite {
            *slots = matrix_slots(slots, relation.0.residual.shape().dims()[0]);
        }
    }
    Ok(canonical)
}

/// A symmetric matrix of dual values from those of the scaled triangle.
fn matrix_slots(triangle: &[Slot], order: usize) -> Vec<Slot> {
    (0..order * order)
        .map(|entry| {
            let (i, j) = (entry / order, entry % order);
            let (low, high) = (i.min(j), i.max(j));
            let slot = triangle[high * (high + 1) / 2 + low];
            let factor = if i == j {
                1.0
            } else {
                std::f64::consts::FRAC_1_SQRT_2
            };
            Slot {
                entry,
                factor,
                ..slot
            }
        })
        .collect()
}

impl Builder {
    /// Whether the dense form's matrices are of a size for it.
    fn is_small(&self) -> bool {
        let n = self.columns - self.quadratics.len();
        let equalities: usize = self.zero.iter().map(|rows| rows.affine.rows).sum();
        let is_quadratic = |t: &Term| self.quadratics.contains_key(&t.column);
        let quadratic = self
            .rows
            .iter()
            .filter(|row| row.terms.iter().any(is_quadratic))
            .count();
        n * (n + equalities + self.rows.len()) + quadratic * n * n <= DENSEST
    }

    /// New numbers for the columns that stay; what is gone has none.
    fn renumbered(&self) -> (usize, Vec<u32>) {
        let mut next = 0;
        let numbers = (0..self.columns as u32)
            .map(|column| {
                if self.quadratics.contains_key(&column) || self.gone.contains(&column) {
                    CONSTANT
                } else {
                    next += 1;
                    next - 1
                }
            })
            .collect();
        (next as usize, numbers)
    }
}

impl Settled {
    /// Drops the quadratic columns, which nothing names any more.
    fn renumber(&mut self) {
        let (n, numbers) = self.builder.renumbered();
        let new = |column: &mut u32| {
            if *column != CONSTANT {
                *column = numbers[*column as usize];
            }
        };
        let all = |affine: &mut Affine| affine.terms.iter_mut().for_each(|t| new(&mut t.column));
        self.n = n;
        for t in &mut self.p {
            new(&mut t.low);
            new(&mut t.high);
        }
        self.q.iter_mut().for_each(|t| new(&mut t.column));
        let builder = &mut self.builder;
        builder
            .zero
            .iter_mut()
            .for_each(|rows| all(&mut rows.affine));
        let rows = builder.rows.iter_mut().flat_map(|row| &mut row.terms);
        rows.for_each(|t| new(&mut t.column));
        builder
            .cones
            .iter_mut()
            .for_each(|cone| all(&mut cone.affine));
        for (_, columns) in &mut builder.variables {
            columns.iter_mut().for_each(new);
        }
        builder.flat.iter_mut().for_each(new);
        builder.flat.retain(|column| *column != CONSTANT);
    }

    /// Added columns that are only in inequalities and cones, with the multipliers of those.
    fn loose(&self, touched: impl Iterator<Item = (u32, Block, Range<usize>)>) -> Vec<Loose> {
        let mut stays = vec![false; self.n];
        let users = self
            .builder
            .variables
            .iter()
            .flat_map(|(_, columns)| columns.iter().copied());
        let zero = self.builder.zero.iter().flat_map(|rows| &rows.affine.terms);
        let columns = users
            .chain(self.p.iter().flat_map(|t| [t.low, t.high]))
            .chain(self.q.iter().map(|t| t.column))
            .chain(zero.map(|t| t.column).filter(|c| *c != CONSTANT));
        columns.for_each(|column| stays[column as usize] = true);
        let mut parts: BTreeMap<u32, Vec<(Block, Range<usize>)>> = BTreeMap::new();
        for (column, block, rows) in touched.filter(|(column, ..)| !stays[*column as usize]) {
            parts.entry(column).or_default().push((block, rows));
        }
        let loose = |(column, parts)| Loose { column, parts };
        parts.into_iter().map(loose).collect()
    }

    fn finish(
        self,
        program: Program,
        duals: Vec<Vec<Slot>>,
        loose: Vec<Loose>,
        brought: Vec<Brought>,
    ) -> Canonical {
        Canonical {
            n: self.n,
            variables: self.builder.variables,
            parameters: self.builder.parameters,
            parameter_entries: self.builder.parameter_entries,
            program,
            offset: self.offset,
            duals,
            brought,
            flat: self.builder.flat,
            loose,
        }
    }
}
