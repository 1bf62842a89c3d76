//! Affine operations: sums, products with constants and parameters, indices, stacking.

mod indices;
mod products;
mod shapes;

use std::sync::Arc;

use super::{Expr, Label, Linear, Op};
use crate::shape::Shape;

pub use indices::diag;
pub use products::kron;
pub use shapes::{hstack, vstack};

/// A constant of a shape, its numbers row-major.
pub fn constant(shape: impl Into<Shape>, data: Vec<f64>) -> Expr {
    let shape = shape.into();
    let reason = match shape.size() {
        0 => format!("its shape {shape} has no entries"),
        size if data.len() != size => format!(
            "a constant of shape {shape} must hold {size} numbers but was given {}",
            data.len()
        ),
        _ => match shape.excess() {
            Some(excess) => excess,
            None => return Expr::numbers(shape, data),
        },
    };
    Expr::misshapen(Op::Constant(data.into()), Vec::new(), reason)
}

/// The identity matrix `[n, n]`.
pub fn identity(n: usize) -> Expr {
    let shape = Shape::from([n, n]);
    if let Some(excess) = shape.excess() {
        return Expr::misshapen(Op::Constant([].into()), Vec::new(), excess);
    }
    let mut data = vec![0.0; n * n];
    (0..n).for_each(|i| data[i * n + i] = 1.0);
    constant(shape, data)
}

/// A scalar in every entry.
pub(super) fn broadcast(scalar: &Expr, shape: Shape) -> Expr {
    let source = vec![0; shape.size()];
    linear(scalar, Linear::gather(1, &source), shape, Label::Hidden)
}

fn linear(expr: &Expr, map: Linear, shape: Shape, label: Label) -> Expr {
    debug_assert_eq!(map.outputs(), shape.size());
    Expr::node(Op::Linear(Arc::new(map), label), vec![expr.clone()], shape)
}

fn misfit(expr: &Expr, label: Label, reason: String) -> Expr {
    let nothing = Linear::gather(0, &[]);
    let op = Op::Linear(Arc::new(nothing), label);
    Expr::misshapen(op, vec![expr.clone()], reason)
}

fn call(name: &'static str) -> Label {
    Label::Call(name, String::new())
}
