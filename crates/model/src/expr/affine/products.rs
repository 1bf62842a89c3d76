//! Sums and products.

use super::super::{Expr, Label, Linear, Op};
use super::{call, linear, misfit};
use crate::shape::{MOST, Shape};

impl Expr {
    /// Sum of all entries, `[]`.
    pub fn sum(&self) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let target = vec![Some(0); self.size()];
        linear(
            self,
            Linear::collect(1, &target),
            Shape::SCALAR,
            call("sum"),
        )
    }

    /// Mean of all entries, `[]`.
    pub fn mean(&self) -> Expr {
        self.sum() / self.size().max(1) as f64
    }

    /// Sum along an axis: 0 adds the rows of `[m, n]` up to `[n]`, 1 the columns to `[m]`.
    pub fn sum_axis(&self, axis: usize) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let label = Label::Call("sum_axis", axis.to_string());
        let (dims, size) = (self.shape(), self.size());
        match (dims.dims(), axis) {
            ([_], 0) => linear(
                self,
                Linear::collect(1, &vec![Some(0); size]),
                Shape::SCALAR,
                label,
            ),
            (&[m, n], 0 | 1) => {
                let out = if axis == 0 { n } else { m };
                let target: Vec<_> = (0..size)
                    .map(|i| Some(if axis == 0 { i % n } else { i / n }))
                    .collect();
                linear(self, Linear::collect(out, &target), [out].into(), label)
            }
            _ => misfit(
                self,
                label,
                format!("axis {axis} of an argument of shape {dims}"),
            ),
        }
    }

    /// Sum of the diagonal of a square matrix, `[]`.
    pub fn trace(&self) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let Some(n) = self.shape().square() else {
            let reason = format!("its argument has the shape {}, not [n, n]", self.shape());
            return misfit(self, call("trace"), reason);
        };
        let target: Vec<_> = (0..n * n).map(|i| (i / n == i % n).then_some(0)).collect();
        linear(
            self,
            Linear::collect(1, &target),
            Shape::SCALAR,
            call("trace"),
        )
    }

    /// Running sums of a vector, or down the rows of a matrix (axis 0).
    pub fn cumsum(&self) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let (m, n) = match *self.shape().dims() {
            [m] => (m, 1),
            [m, n] => (m, n),
            _ => return self.clone(),
        };
        // Every entry is added to all below it.
        let terms = Shape::from([m.saturating_mul(m + 1) / 2, n]);
        if terms.size() > MOST {
            let reason = format!(
                "the sums of its shape {} have more than {MOST} terms",
                self.shape()
            );
            return misfit(self, call("cumsum"), reason);
        }
        let triples = (0..m * n).flat_map(|input| {
            let (i, j) = (input / n, input % n);
            (i..m).map(move |k| (input, k * n + j, 1.0))
        });
        linear(
            self,
            Linear::new(m * n, m * n, triples),
            self.shape(),
            call("cumsum"),
        )
    }

    /// Differences of neighbours of a vector, `[n - 1]`, or of the rows of a matrix.
    pub fn diff(&self) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let (m, n) = match *self.shape().dims() {
            [m] => (m, 1),
            [m, n] => (m, n),
            _ => (0, 0),
        };
        if m < 2 {
            let reason = format!("a shape {} has no neighbours", self.shape());
            return misfit(self, call("diff"), reason);
        }
        let triples = (0..(m - 1) * n).flat_map(|k| [(k, k, -1.0), (k + n, k, 1.0)]);
        let shape: Shape = if self.shape().rank() == 1 {
            [m - 1].into()
        } else {
            [m - 1, n].into()
        };
        linear(
            self,
            Linear::new(m * n, (m - 1) * n, triples),
            shape,
            call("diff"),
        )
    }

    /// Product of matrices and vectors: `[m, k]·[k, n]`, `[m, k]·[k]`, `[k]·[k, n]`, `[k]·[k]`.
    ///
    /// One factor must not depend on variables.
    pub fn matmul(&self, right: impl Into<Expr>) -> Expr {
        let right = right.into();
        let (a, b) = (self.shape(), right.shape());
        let args = vec![self.clone(), right];
        if args.iter().any(|arg| arg.0.poisoned) {
            return Expr::node(Op::MatMul, args, Shape::SCALAR);
        }
        let shape: Shape = match (a.dims(), b.dims()) {
            (&[m, k], &[l, n]) if k == l => [m, n].into(),
            (&[m, k], &[l]) if k == l => [m].into(),
            (&[k], &[l, n]) if k == l => [n].into(),
            (&[k], &[l]) if k == l => Shape::SCALAR,
            _ => {
                let reason = format!(
                    "the factors have the shapes {a} and {b}; the last axis of the first must be \
                     as long as the first axis of the second"
                );
                return Expr::misshapen(Op::MatMul, args, reason);
            }
        };
        Expr::node(Op::MatMul, args, shape)
    }

    /// Inner product of all entries, `[]`.
    pub fn dot(&self, right: impl Into<Expr>) -> Expr {
        (self * right.into()).sum()
    }
}

/// Kronecker product of a constant matrix `[m, n]` with a matrix `[k, l]`, `[m·k, n·l]`.
pub fn kron(left: &Expr, right: &Expr) -> Expr {
    let args = || vec![left.clone(), right.clone()];
    if left.0.poisoned || right.0.poisoned {
        return Expr::node(Op::Concat("kron"), args(), Shape::SCALAR);
    }
    let (Some(data), &[m, n], &[k, l]) =
        (&left.0.folded, left.shape().dims(), right.shape().dims())
    else {
        let reason = format!(
            "the factors have the shapes {} and {}; both must be matrices and the first a constant",
            left.shape(),
            right.shape()
        );
        return Expr::misshapen(Op::Concat("kron"), args(), reason);
    };
    let shape = Shape::from([m.saturating_mul(k), n.saturating_mul(l)]);
    if let Some(excess) = shape.excess() {
        return Expr::misshapen(Op::Concat("kron"), args(), excess);
    }
    let triples = (0..m * n).flat_map(|a| {
        let v = data[a];
        (0..k * l)
            .filter(move |_| v != 0.0)
            .map(move |b| (b, ((a / n) * k + b / l) * (n * l) + (a % n) * l + b % l, v))
    });
    let map = Linear::new(k * l, m * n * k * l, triples);
    let label = Label::Call("kron", left.to_string());
    linear(right, map, shape, label)
}
