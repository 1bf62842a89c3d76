//! Columns that stand for convex quadratic functions, and how they leave again: into the objective,
//! into quadratic rows, or into second-order cones.

use std::collections::BTreeSet;

use super::affine::{Affine, CONSTANT, Grouped, ONE, Term, joint};
use super::builder::{Builder, ConeRows, Kind, Rows};
use super::offset::Square;
use crate::error::Error;
use crate::linalg::semidefinite_factor;

/// `eᵀP e`, `P` the identity where there is none.
pub(crate) struct Quadratic {
    e: Affine,
    /// Rows are the entries of `P`, `[k, k]`.
    p: Option<Affine>,
    text: String,
    /// The sub-expression that it is.
    pub(super) by: Option<u32>,
}

/// `value · parameter` times the columns `low ≤ high`; off the diagonal it stands for the two
/// mirrored entries of a symmetric matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SquareTerm {
    pub(crate) low: u32,
    pub(crate) high: u32,
    pub(crate) parameter: u32,
    pub(crate) value: f64,
}

/// `xᵀHx + gᵀx + constant`, the last two as terms of one row.
#[derive(Default)]
pub(crate) struct Expanded {
    pub(crate) squares: Vec<SquareTerm>,
    pub(crate) linear: Vec<Term>,
    /// The part of an objective's constant that is quadratic in parameters, which no term is.
    pub(super) offsets: Vec<Square>,
}

/// Where a quadratic goes: what is constant in an objective does not matter to its solution.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Objective,
    Row,
}

impl Quadratic {
    pub(crate) fn squares(e: Affine, text: &str) -> Quadratic {
        Quadratic {
            e,
            p: None,
            text: text.to_owned(),
            by: None,
        }
    }

    pub(crate) fn form(e: Affine, p: Affine, text: &str) -> Quadratic {
        Quadratic {
            e,
            p: Some(p),
            text: text.to_owned(),
            by: None,
        }
    }

    pub(crate) fn terms(&self) -> &[Term] {
        &self.e.terms
    }

    fn columns(&self) -> impl Iterator<Item = u32> + '_ {
        self.e.terms.iter().map(|t| t.column)
    }

    /// Whether the square of `e` would have products of parameters.
    fn needs_columns(&self, weighted: bool, place: Place) -> bool {
        let of = |constant: bool| {
            self.e
                .terms
                .iter()
                .any(|t| t.parameter != ONE && (t.column == CONSTANT) == constant)
        };
        let form = self.p.as_ref();
        let parametric =
            weighted || form.is_some_and(|p| p.terms.iter().any(|t| t.parameter != ONE));
        of(false) || (of(true) && (parametric || place == Place::Row))
    }

    fn expand(&self, weights: &[(u32, f64)]) -> Expanded {
        let mut out = Expanded::default();
        let grouped = self.e.by_row();
        match &self.p {
            None if self.is_dense(&grouped) => self.expand_dense(&grouped, weights, &mut out),
            None => {
                for row in 0..self.e.rows {
                    product(
                        grouped.group(row),
                        grouped.group(row),
                        ONE,
                        1.0,
                        weights,
                        &mut out,
                    );
                }
            }
            Some(p) => {
                for t in &p.terms {
                    let (r, s) = (t.row as usize / self.e.rows, t.row as usize % self.e.rows);
                    let (left, right) = (grouped.group(r), grouped.group(s));
                    product(left, right, t.parameter, t.value, weights, &mut out);
                }
            }
        }
        out
    }

    /// Whether a dense product takes less than the list of all terms' products.
    fn is_dense(&self, grouped: &Grouped) -> bool {
        let products: usize = (0..self.e.rows)
            .map(|r| grouped.group(r).len().pow(2))
            .sum();
        let columns: BTreeSet<u32> = if products > 4096 {
            self.columns().collect()
        } else {
            return false;
        };
        products > 2 * columns.len() * columns.len()
    }

    fn expand_dense(&self, grouped: &Grouped, weights: &[(u32, f64)], out: &mut Expanded) {
        let columns: Vec<u32> = self
            .columns()
            .filter(|c| *c != CONSTANT)
            .collect::<BTreeSet<u32>>()
            .into_iter()
            .collect();
        let n = columns.len();
        let place = |column: u32| columns.binary_search(&column).unwrap_or(0);
        let mut h = vec![0.0; n * n];
        let mut row = vec![0.0; n];
        for r in 0..self.e.rows {
            let (terms, constants): (Vec<Term>, Vec<Term>) =
                grouped.group(r).iter().partition(|t| t.column != CONSTANT);
            row.fill(0.0);
            for t in &terms {
                row[place(t.column)] += t.value;
            }
            for i in 0..n {
                if row[i] != 0.0 {
                    for j in i..n {
                        h[i * n + j] += row[i] * row[j];
                    }
                }
            }
            product(&terms, &constants, ONE, 2.0, weights, out);
            product(&constants, &constants, ONE, 1.0, weights, out);
        }
        for i in 0..n {
            for j in i..n {
                if h[i * n + j] != 0.0 {
                    out.squares
                        .extend(weights.iter().map(|(parameter, w)| SquareTerm {
                            low: columns[i],
                            high: columns[j],
                            parameter: *parameter,
                            value: w * h[i * n + j],
                        }));
                }
            }
        }
    }
}

/// Adds `weight · factor · parameter · (left · right)`.
fn product(
    left: &[Term],
    right: &[Term],
    parameter: u32,
    factor: f64,
    weights: &[(u32, f64)],
    out: &mut Expanded,
) {
    for a in left {
        for b in right {
            for (weight, w) in weights {
                let value = w * factor * a.value * b.value;
                let constant = a.column == CONSTANT && b.column == CONSTANT;
                if constant && a.parameter != ONE && b.parameter != ONE {
                    // A square of parameters that only shifts an objective: in its offset.
                    continue;
                }
                let parameter = joint(joint(*weight, parameter), joint(a.parameter, b.parameter));
                if a.column != CONSTANT && b.column != CONSTANT {
                    let off_diagonal = a.column != b.column;
                    out.squares.push(SquareTerm {
                        low: a.column.min(b.column),
                        high: a.column.max(b.column),
                        parameter,
                        // Each of two mirrored entries gets half of what this order adds.
                        value: if off_diagonal { 0.5 * value } else { value },
                    });
                } else {
                    out.linear.push(Term {
                        row: 0,
                        column: a.column.min(b.column),
                        parameter,
                        value,
                    });
                }
            }
        }
    }
}

impl Builder {
    /// Puts into cones every quadratic that cannot stay one: those inside cones or other
    /// quadratics, and, with `all`, those in rows. With any cone all rows' quadratics follow.
    pub(crate) fn settle(&mut self, all: bool) -> Result<(), Error> {
        loop {
            let rows = all || !self.cones.is_empty();
            let mut lifted = BTreeSet::new();
            let mut mark = |terms: &[Term]| {
                lifted.extend(terms.iter().map(|t| t.column).filter(|c| *c != CONSTANT));
            };
            self.cones.iter().for_each(|c| mark(&c.affine.terms));
            self.quadratics.values().for_each(|q| mark(&q.e.terms));
            if rows {
                self.rows.iter().for_each(|r| mark(&r.terms));
            }
            lifted.retain(|column| self.quadratics.contains_key(column));
            if lifted.is_empty() {
                return Ok(());
            }
            for column in lifted {
                if let Some(quadratic) = self.quadratics.remove(&column) {
                    self.quadratic_cone(column, &quadratic)?;
                }
            }
        }
    }

    /// `t ≥ ‖Le‖²` as `t + 1 ≥ ‖(t − 1, 2Le)‖`, `P = LᵀL`.
    fn quadratic_cone(&mut self, column: u32, quadratic: &Quadratic) -> Result<(), Error> {
        let e = &quadratic.e;
        let root = match &quadratic.p {
            None => e.clone(),
            Some(p) if p.terms.iter().all(|t| t.parameter == ONE) => {
                let k = e.rows;
                let mut dense = vec![0.0; k * k];
                p.terms
                    .iter()
                    .for_each(|t| dense[t.row as usize] += t.value);
                let factor = semidefinite_factor(&dense, k).unwrap_or_default();
                Affine::constant(&factor.concat()).product(e, (factor.len(), k, 1))
            }
            Some(_) => {
                return Err(Error::Unsupported {
                    expression: quadratic.text.clone(),
                    reason: "its matrix is a parameter, which has a place in the objective and, \
                             when the problem needs no cones, in constraints; elsewhere make a \
                             factor F of the matrix the parameter and write sum_squares(F @ x)"
                        .to_owned(),
                });
            }
        };
        let t = Affine::columns(std::iter::once(column));
        let one = Affine::ones(1);
        let affine = Affine::stacked([&t.plus(&one), &t.minus(&one), &root.times(2.0)]);
        self.cones.push(ConeRows {
            kind: Kind::SecondOrder(affine.rows),
            affine,
            source: None,
            by: quadratic.by,
            text: quadratic.text.clone(),
        });
        Ok(())
    }

    /// Replaces the quadratic columns in one row's terms. `weights` of a column are the terms that
    /// it has there.
    pub(crate) fn expanded(&mut self, terms: &[Term], place: Place) -> Expanded {
        let mut out = Expanded::default();
        let mut open: Vec<Term> = Vec::new();
        for t in terms {
            if self.quadratics.contains_key(&t.column) {
                open.push(*t);
            } else {
                out.linear.push(Term { row: 0, ..*t });
            }
        }
        open.sort_by_key(|t| t.column);
        for terms in open.chunk_by(|a, b| a.column == b.column) {
            let weights: Vec<(u32, f64)> = terms.iter().map(|t| (t.parameter, t.value)).collect();
            let more = self.expand_column(terms[0].column, &weights, place);
            out.squares.extend(more.squares);
            out.linear.extend(more.linear);
            out.offsets.extend(more.offsets);
        }
        out
    }

    fn expand_column(&mut self, column: u32, weights: &[(u32, f64)], place: Place) -> Expanded {
        let weighted = weights.iter().any(|(parameter, _)| *parameter != ONE);
        let Some(mut quadratic) = self.quadratics.remove(&column) else {
            return Expanded::default();
        };
        if quadratic.needs_columns(weighted, place) {
            let t = self.lift(quadratic.e.rows);
            self.zero.push(Rows {
                affine: t.minus(&quadratic.e),
                source: None,
                by: quadratic.by,
            });
            quadratic.e = t;
        }
        let mut out = quadratic.expand(weights);
        if place == Place::Objective {
            out.offsets
                .extend(Square::of(&quadratic.e, quadratic.p.as_ref(), weights));
        }
        self.quadratics.insert(column, quadratic);
        out
    }
}
