//! The canonical form under construction: columns, rows, cones, squares.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::affine::Affine;
use super::quadratic::Quadratic;
use super::rows::Row;
use crate::expr::{Leaf, Node};

/// A cone that rows lie in, possibly several of it one after another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Rows of one cone.
    SecondOrder(usize),
    Exponential,
    Power(f64),
    /// Order of the matrix.
    Semidefinite(usize),
}

impl Kind {
    /// Rows of one cone.
    pub(crate) fn rows(self) -> usize {
        match self {
            Kind::SecondOrder(rows) => rows,
            Kind::Exponential | Kind::Power(_) => 3,
            Kind::Semidefinite(order) => order * (order + 1) / 2,
        }
    }
}

/// Rows that are zero, or at most zero.
pub(crate) struct Rows {
    pub(crate) affine: Affine,
    /// The user's constraint.
    pub(crate) source: Option<usize>,
    /// The sub-expression that needs them.
    pub(crate) by: Option<u32>,
}

/// Rows that lie in cones.
pub(crate) struct ConeRows {
    pub(crate) kind: Kind,
    pub(crate) affine: Affine,
    pub(crate) source: Option<usize>,
    pub(crate) by: Option<u32>,
    /// What needs the cone, for messages.
    pub(crate) text: String,
}

#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) columns: usize,
    /// The sub-expression that is being lowered, by its place among all.
    pub(crate) by: Option<u32>,
    pub(crate) zero: Vec<Rows>,
    pub(crate) nonpositive: Vec<Rows>,
    /// What `nonpositive` is split into.
    pub(crate) rows: Vec<Row>,
    /// Columns that were eliminated.
    pub(crate) gone: BTreeSet<u32>,
    /// Whether a symmetric variable has the same columns in mirrored entries.
    pub(crate) mirrored: bool,
    /// Columns of which an interval may be optimal, whatever the user's variables are.
    pub(crate) flat: Vec<u32>,
    pub(crate) cones: Vec<ConeRows>,
    /// Columns that stand for a convex quadratic function of others.
    pub(crate) quadratics: BTreeMap<u32, Quadratic>,
    pub(crate) variables: Vec<(Arc<Leaf>, Vec<u32>)>,
    /// Leaf and its first entry among all parameters.
    pub(crate) parameters: Vec<(Arc<Leaf>, u32)>,
    pub(crate) parameter_entries: usize,
    pub(crate) lowered: HashMap<*const Node, Arc<Affine>>,
}

impl Builder {
    /// New columns, one a row.
    pub(crate) fn lift(&mut self, rows: usize) -> Affine {
        let first = self.columns as u32;
        self.columns += rows;
        Affine::columns(first..first + rows as u32)
    }

    pub(crate) fn at_most_zero(&mut self, affine: Affine) {
        self.nonpositive.push(Rows {
            affine,
            source: None,
            by: self.by,
        });
    }

    /// `small ≤ large`.
    pub(crate) fn ordered(&mut self, small: &Affine, large: &Affine) {
        self.at_most_zero(small.minus(large));
    }

    pub(crate) fn in_cone(&mut self, kind: Kind, affine: Affine, text: &str) {
        debug_assert_eq!(affine.rows % kind.rows(), 0);
        self.cones.push(ConeRows {
            kind,
            affine,
            source: None,
            by: self.by,
            text: text.to_owned(),
        });
    }

    /// A column for each quadratic.
    pub(crate) fn quadratic_columns(&mut self, each: Vec<Quadratic>) -> Affine {
        let first = self.columns as u32;
        for mut quadratic in each {
            quadratic.by = self.by;
            self.quadratics.insert(self.columns as u32, quadratic);
            self.columns += 1;
        }
        Affine::columns(first..self.columns as u32)
    }
}
