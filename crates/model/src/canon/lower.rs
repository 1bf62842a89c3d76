//! Nodes to affine rows, new columns for what is not affine.

use std::sync::Arc;

use super::affine::Affine;
use super::builder::{Builder, Kind};
use crate::attributes::Domain;
use crate::expr::{Expr, Leaf, Linear, Op, product_sizes};

impl Builder {
    /// The canonical form of a node whose arguments have theirs.
    pub(crate) fn lower(&mut self, expr: &Expr) {
        let node = &expr.0;
        let affine = if let Some(data) = &node.folded {
            Affine::constant(data)
        } else {
            let args: Vec<Arc<Affine>> = node
                .args
                .iter()
                .map(|arg| self.lowered[&arg.key()].clone())
                .collect();
            match &node.op {
                Op::Variable(leaf) => self.variable(leaf),
                Op::Parameter(leaf) => self.parameter(leaf),
                Op::Constant(data) => Affine::constant(data),
                Op::Add => args[0].plus(&args[1]),
                Op::Negate => args[0].times(-1.0),
                Op::Multiply => args[0].elementwise(&args[1]),
                Op::Divide => {
                    let divisor = node.args[1].0.folded.as_deref().unwrap_or(&[]);
                    let inverse: Vec<f64> = divisor.iter().map(|v| 1.0 / v).collect();
                    args[0].elementwise(&Affine::constant(&inverse))
                }
                Op::MatMul => args[0].product(&args[1], product_sizes(&node.args)),
                Op::Linear(map, _) => args[0].linear(map),
                Op::Concat(_) => Affine::stacked(args.iter().map(|arg| &**arg)),
                Op::Atom(atom) => match self.atom_of_distinct(atom, expr, &args) {
                    Some(affine) => affine,
                    None => self.atom(atom, expr, &args),
                },
            }
        };
        self.lowered.insert(expr.key(), Arc::new(affine));
    }

    /// Two handles of one leaf share its columns.
    fn variable(&mut self, leaf: &Arc<Leaf>) -> Affine {
        if let Some((_, columns)) = self.variables.iter().find(|(known, _)| known.id == leaf.id) {
            return Affine::columns(columns.iter().copied());
        }
        let first = self.columns as u32;
        let columns: Vec<u32> = match leaf.shape.square() {
            Some(n) if leaf.domain.is_symmetric() => (0..n * n)
                .map(|i| {
                    let (low, high) = ((i / n).min(i % n), (i / n).max(i % n));
                    first + (high * (high + 1) / 2 + low) as u32
                })
                .collect(),
            _ => (first..first + leaf.shape.size() as u32).collect(),
        };
        let rows = Affine::columns(columns.iter().copied());
        self.columns = columns
            .iter()
            .max()
            .map_or(self.columns, |c| *c as usize + 1);
        self.mirrored |= leaf.domain.is_symmetric();
        self.variables.push((leaf.clone(), columns));
        match leaf.domain {
            Domain::Nonnegative => self.at_most_zero(rows.times(-1.0)),
            Domain::Nonpositive => self.at_most_zero(rows.clone()),
            Domain::Semidefinite => {
                let order = leaf.shape.dims()[0];
                let triangle = rows.linear(&scaled_triangle(order));
                self.in_cone(Kind::Semidefinite(order), triangle, &leaf.name);
            }
            Domain::Free | Domain::Symmetric => {}
        }
        rows
    }

    fn parameter(&mut self, leaf: &Arc<Leaf>) -> Affine {
        let size = leaf.shape.size();
        if let Some((_, first)) = self
            .parameters
            .iter()
            .find(|(known, _)| known.id == leaf.id)
        {
            return Affine::parameters(*first, size);
        }
        let first = self.parameter_entries as u32;
        self.parameter_entries += size;
        self.parameters.push((leaf.clone(), first));
        Affine::parameters(first, size)
    }
}

/// A matrix's symmetric part as the upper triangle by columns, off the diagonal times √2: the
/// coordinates in which the inner product of matrices is that of vectors.
pub(crate) fn scaled_triangle(order: usize) -> Linear {
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let triples = (0..order * order).map(move |at| {
        let (i, j) = (at / order, at % order);
        let (low, high) = (i.min(j), i.max(j));
        (
            at,
            high * (high + 1) / 2 + low,
            if i == j { 1.0 } else { half },
        )
    });
    Linear::new(order * order, order * (order + 1) / 2, triples)
}

/// Which parameter each entry of all parameters belongs to.
pub(crate) fn owners(parameters: &[(Arc<Leaf>, u32)]) -> Vec<u32> {
    let entries = |(i, (leaf, _)): (usize, &(Arc<Leaf>, u32))| {
        std::iter::repeat_n(i as u32, leaf.shape.size())
    };
    parameters.iter().enumerate().flat_map(entries).collect()
}
