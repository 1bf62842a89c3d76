//! `+`, `-`, `*`, `/` on expressions and numbers.

use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::affine::broadcast;
use super::{Expr, Op};
use crate::shape::Shape;

/// Brings a scalar to the other's shape.
fn matched(op: Op, a: Expr, b: Expr) -> Result<(Op, Expr, Expr, Shape), Expr> {
    if a.0.poisoned || b.0.poisoned {
        return Err(Expr::node(op, vec![a, b], Shape::SCALAR));
    }
    let (left, right) = (a.shape(), b.shape());
    if left == right {
        Ok((op, a, b, left))
    } else if left.is_scalar() {
        Ok((op, broadcast(&a, right), b, right))
    } else if right.is_scalar() {
        Ok((op, a, broadcast(&b, left), left))
    } else {
        let reason = format!(
            "the sides have the shapes {left} and {right} but must have one shape, or one side \
             must be a scalar"
        );
        Err(Expr::misshapen(op, vec![a, b], reason))
    }
}

fn binary(op: Op, a: Expr, b: Expr) -> Expr {
    match matched(op, a, b) {
        Ok((op, a, b, shape)) => Expr::node(op, vec![a, b], shape),
        Err(broken) => broken,
    }
}

pub(super) fn add(a: Expr, b: Expr) -> Expr {
    binary(Op::Add, a, b)
}

fn subtract(a: Expr, b: Expr) -> Expr {
    add(a, negate(b))
}

pub(super) fn multiply(a: Expr, b: Expr) -> Expr {
    binary(Op::Multiply, a, b)
}

fn divide(a: Expr, b: Expr) -> Expr {
    binary(Op::Divide, a, b)
}

pub(super) fn negate(a: Expr) -> Expr {
    let shape = a.shape();
    Expr::node(Op::Negate, vec![a], shape)
}

macro_rules! operator {
    ($trait:ident, $method:ident, $function:ident) => {
        operator!(@ Expr, Expr, $trait, $method, $function);
        operator!(@ &Expr, Expr, $trait, $method, $function);
        operator!(@ Expr, &Expr, $trait, $method, $function);
        operator!(@ &Expr, &Expr, $trait, $method, $function);
        operator!(@ Expr, f64, $trait, $method, $function);
        operator!(@ &Expr, f64, $trait, $method, $function);
        operator!(@ f64, Expr, $trait, $method, $function);
        operator!(@ f64, &Expr, $trait, $method, $function);
    };
    (@ $left:ty, $right:ty, $trait:ident, $method:ident, $function:ident) => {
        impl $trait<$right> for $left {
            type Output = Expr;

            fn $method(self, right: $right) -> Expr {
                $function(Expr::from(self), Expr::from(right))
            }
        }
    };
}

operator!(Add, add, add);
operator!(Sub, sub, subtract);
operator!(Mul, mul, multiply);
operator!(Div, div, divide);

impl Neg for Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        negate(self)
    }
}

impl Neg for &Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        negate(self.clone())
    }
}

/// The sum of no expressions is the scalar 0.
impl Sum for Expr {
    fn sum<I: Iterator<Item = Expr>>(iter: I) -> Expr {
        iter.reduce(add).unwrap_or_else(|| Expr::from(0.0))
    }
}
