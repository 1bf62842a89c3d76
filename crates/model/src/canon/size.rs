//! Columns, rows and entries of parameters are numbered in 32 bits: what has more of them is refused before it is
//! written down.

use std::collections::HashSet;

use super::builder::Builder;
use crate::error::Error;
use crate::expr::{Atom, Expr, Op};
use crate::model::Formulation;
use crate::shape::MOST;

/// New columns, and rows of cones, that an atom has for an entry of its arguments, at most.
const AN_ENTRY: usize = 4;

impl Builder {
    /// # Errors
    /// [`Error::Shape`] where what a node brings with it would have no numbers.
    pub(super) fn has_room_for(&self, expr: &Expr) -> Result<(), Error> {
        let node = &expr.0;
        if node.folded.is_some() {
            return Ok(());
        }
        let fail = |reason: String| {
            Err(Error::Shape {
                expression: expr.to_string(),
                reason,
            })
        };
        if let Some(order) = semidefinite_order(expr)
            && order.saturating_mul(order) > MOST
        {
            return fail(format!(
                "its semidefinite matrix has {order} rows and more than {MOST} entries"
            ));
        }
        let entries = node.args.iter().map(Expr::size);
        let more = entries
            .fold(0, usize::saturating_add)
            .saturating_mul(AN_ENTRY);
        if matches!(node.op, Op::Atom(_)) && self.columns.saturating_add(more) > MOST {
            return fail(format!(
                "with those of its form the problem has more than {MOST} variables"
            ));
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Shape`] where the rows together would have no numbers.
    pub(super) fn has_room_for_rows(&self, formulation: &Formulation) -> Result<(), Error> {
        let linear = self.zero.iter().chain(&self.nonpositive);
        let rows = linear
            .map(|rows| rows.affine.rows)
            .chain(self.cones.iter().map(|cone| cone.affine.rows))
            .fold(0, usize::saturating_add);
        if rows <= MOST {
            return Ok(());
        }
        Err(Error::Shape {
            expression: formulation.objective.to_string(),
            reason: format!(
                "the problem has {rows} rows, those of its form included, but may have {MOST}"
            ),
        })
    }
}

/// # Errors
/// [`Error::Shape`] where the variables or the parameters together have too many entries.
pub(super) fn check_leaves(order: &[&Expr]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let (mut variables, mut parameters) = (0usize, 0usize);
    for expr in order {
        let (leaf, total, what) = match &expr.0.op {
            Op::Variable(leaf) => (leaf, &mut variables, "variables"),
            Op::Parameter(leaf) => (leaf, &mut parameters, "parameters"),
            _ => continue,
        };
        if seen.insert(leaf.id) {
            *total = total.saturating_add(leaf.shape.size());
        }
        if *total > MOST {
            return Err(Error::Shape {
                expression: leaf.name.clone(),
                reason: format!(
                    "with its shape {} the {what} have more than {MOST} entries",
                    leaf.shape
                ),
            });
        }
    }
    Ok(())
}

/// The order of the matrix that an atom of eigenvalues or singular values needs.
fn semidefinite_order(expr: &Expr) -> Option<usize> {
    let Op::Atom(atom) = &expr.0.op else {
        return None;
    };
    let size = |axis: usize| expr.arg(0).shape().dims().get(axis).copied().unwrap_or(1);
    match atom {
        Atom::LogDet => Some(size(0).saturating_mul(2)),
        Atom::MatrixFrac => Some(size(0).saturating_add(1)),
        Atom::NuclearNorm | Atom::OperatorNorm => Some(size(0).saturating_add(size(1))),
        _ => None,
    }
}
