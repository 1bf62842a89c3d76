//! Affine operations: sums, products with constants and parameters, indices, stacking.

use std::ops::Range;
use std::sync::Arc;

use super::{Expr, Label, Linear, Op};
use crate::shape::Shape;

/// A constant of a shape, its numbers row-major.
pub fn constant(shape: impl Into<Shape>, data: Vec<f64>) -> Expr {
    let shape = shape.into();
    if data.len() == shape.size() && !data.is_empty() {
        return Expr::numbers(shape, data);
    }
    let reason = format!(
        "a constant of shape {shape} must hold {} numbers, at least one, but was given {}",
        shape.size(),
        data.len()
    );
    Expr::misshapen(Op::Constant(data.into()), Vec::new(), reason)
}

/// The identity matrix `[n, n]`.
pub fn identity(n: usize) -> Expr {
    let mut data = vec![0.0; n * n];
    (0..n).for_each(|i| data[i * n + i] = 1.0);
    constant([n, n], data)
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

    /// Transpose of a matrix; a vector is returned as it is.
    pub fn transpose(&self) -> Expr {
        let &[m, n] = self.shape().dims() else {
            return self.clone();
        };
        let source: Vec<usize> = (0..m * n).map(|i| (i % m) * n + i / m).collect();
        linear(
            self,
            Linear::gather(m * n, &source),
            [n, m].into(),
            call("transpose"),
        )
    }

    /// The same entries, row-major, in another shape.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Expr {
        let shape = shape.into();
        if self.0.poisoned {
            return self.clone();
        }
        let label = Label::Call("reshape", shape.to_string());
        if shape.size() != self.size() {
            let reason = format!("{} has not as many entries as {shape}", self.shape());
            return misfit(self, label, reason);
        }
        let source: Vec<usize> = (0..self.size()).collect();
        linear(self, Linear::gather(source.len(), &source), shape, label)
    }

    /// All entries as one vector.
    pub fn flatten(&self) -> Expr {
        self.reshape([self.size()])
    }

    /// One entry, `[]`: `x.at([i])` of a vector, `x.at([i, j])` of a matrix.
    pub fn at<const R: usize>(&self, index: [usize; R]) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let text: Vec<String> = index.iter().map(usize::to_string).collect();
        let label = Label::Index(text.join(", "));
        let dims = self.shape();
        let inside =
            index.len() == dims.rank() && index.iter().zip(dims.dims()).all(|(i, d)| i < d);
        if !inside {
            return misfit(self, label, format!("the index is outside of {dims}"));
        }
        let place = index
            .iter()
            .zip(dims.dims())
            .fold(0, |at, (i, d)| at * d + i);
        linear(
            self,
            Linear::gather(self.size(), &[place]),
            Shape::SCALAR,
            label,
        )
    }

    /// Entries of a vector, or rows of a matrix.
    pub fn slice(&self, range: Range<usize>) -> Expr {
        let columns = self.shape().dims().get(1).copied();
        self.block(range.clone(), 0..columns.unwrap_or(1), {
            Label::Index(format!("{}..{}", range.start, range.end))
        })
    }

    /// A block of a matrix.
    pub fn slice2(&self, rows: Range<usize>, columns: Range<usize>) -> Expr {
        let label = Label::Index(format!(
            "{}..{}, {}..{}",
            rows.start, rows.end, columns.start, columns.end
        ));
        if !self.0.poisoned && self.shape().rank() != 2 {
            let reason = format!("a block of a matrix, but its shape is {}", self.shape());
            return misfit(self, label, reason);
        }
        self.block(rows, columns, label)
    }

    fn block(&self, rows: Range<usize>, columns: Range<usize>, label: Label) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let dims = self.shape();
        let (m, n) = match *dims.dims() {
            [m] => (m, 1),
            [m, n] => (m, n),
            _ => return misfit(self, label, "a scalar has no slices".to_owned()),
        };
        if rows.end > m || columns.end > n || rows.is_empty() || columns.is_empty() {
            return misfit(
                self,
                label,
                format!("the range is empty or outside of {dims}"),
            );
        }
        let shape: Shape = if dims.rank() == 1 {
            [rows.len()].into()
        } else {
            [rows.len(), columns.len()].into()
        };
        let source: Vec<usize> = rows
            .flat_map(|i| columns.clone().map(move |j| i * n + j))
            .collect();
        linear(self, Linear::gather(m * n, &source), shape, label)
    }

    /// The given entries of a vector, or rows of a matrix, in this order.
    pub fn select(&self, indices: &[usize]) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let text: Vec<String> = indices.iter().map(usize::to_string).collect();
        let label = Label::Index(format!("[{}]", text.join(", ")));
        let dims = self.shape();
        let (m, n) = match *dims.dims() {
            [m] => (m, 1),
            [m, n] => (m, n),
            _ => return misfit(self, label, "a scalar has no entries to select".to_owned()),
        };
        if indices.is_empty() || indices.iter().any(|i| *i >= m) {
            let reason = format!("no index, or one outside of {dims}");
            return misfit(self, label, reason);
        }
        let shape: Shape = if dims.rank() == 1 {
            [indices.len()].into()
        } else {
            [indices.len(), n].into()
        };
        let source: Vec<usize> = indices
            .iter()
            .flat_map(|i| (0..n).map(move |j| i * n + j))
            .collect();
        linear(self, Linear::gather(m * n, &source), shape, label)
    }

    /// Row `i` of a matrix, `[n]`.
    pub fn row(&self, i: usize) -> Expr {
        self.line(i, 0)
    }

    /// Column `j` of a matrix, `[m]`.
    pub fn column(&self, j: usize) -> Expr {
        self.line(j, 1)
    }

    fn line(&self, index: usize, axis: usize) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
        let label = Label::Index(if axis == 0 {
            format!("{index}, ..")
        } else {
            format!(".., {index}")
        });
        match *self.shape().dims() {
            [m, n] if index < [m, n][axis] => {
                let source: Vec<usize> = if axis == 0 {
                    (0..n).map(|j| index * n + j).collect()
                } else {
                    (0..m).map(|i| i * n + index).collect()
                };
                let shape = [source.len()].into();
                linear(self, Linear::gather(m * n, &source), shape, label)
            }
            _ => misfit(
                self,
                label,
                format!("the index is outside of {}", self.shape()),
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

    /// A scalar in every entry of a shape.
    pub fn broadcast(&self, shape: impl Into<Shape>) -> Expr {
        let shape = shape.into();
        if self.0.poisoned {
            return self.clone();
        }
        let label = Label::Call("broadcast", shape.to_string());
        if !self.shape().is_scalar() || shape.size() == 0 {
            let reason = format!("a scalar can be spread over {shape}, not {}", self.shape());
            return misfit(self, label, reason);
        }
        let source = vec![0; shape.size()];
        linear(self, Linear::gather(1, &source), shape, label)
    }
}

/// The diagonal of a square matrix as a vector, or a vector as a diagonal matrix.
pub fn diag(expr: &Expr) -> Expr {
    if expr.0.poisoned {
        return expr.clone();
    }
    match *expr.shape().dims() {
        [n] => {
            let triples = (0..n).map(|i| (i, i * n + i, 1.0));
            let map = Linear::new(n, n * n, triples);
            linear(expr, map, [n, n].into(), call("diag"))
        }
        [m, n] if m == n => {
            let source: Vec<usize> = (0..n).map(|i| i * n + i).collect();
            linear(
                expr,
                Linear::gather(n * n, &source),
                [n].into(),
                call("diag"),
            )
        }
        _ => misfit(
            expr,
            call("diag"),
            format!(
                "its argument has the shape {}, not [n] or [n, n]",
                expr.shape()
            ),
        ),
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
    let triples = (0..m * n).flat_map(|a| {
        let v = data[a];
        (0..k * l)
            .filter(move |_| v != 0.0)
            .map(move |b| (b, ((a / n) * k + b / l) * (n * l) + (a % n) * l + b % l, v))
    });
    let map = Linear::new(k * l, m * n * k * l, triples);
    let label = Label::Call("kron", left.to_string());
    linear(right, map, [m * k, n * l].into(), label)
}

/// Stacks along the first axis: scalars and vectors to a vector, matrices (and vectors, as rows) of
/// one width to a matrix.
///
/// All vectors, or vectors and scalars, give one longer vector.
pub fn vstack(parts: &[Expr]) -> Expr {
    if let Some(broken) = unstackable(parts, "vstack") {
        return broken;
    }
    let matrices = parts.iter().any(|part| part.shape().rank() == 2);
    if !matrices {
        return joined(parts, "vstack");
    }
    let width = |part: &Expr| part.shape().dims().last().copied().unwrap_or(1);
    if let Some(part) = parts.iter().find(|part| width(part) != width(&parts[0])) {
        let reason = format!(
            "the parts have {} and {} columns",
            width(&parts[0]),
            width(part)
        );
        return Expr::misshapen(Op::Concat("vstack"), parts.to_vec(), reason);
    }
    let n = width(&parts[0]);
    let size: usize = parts.iter().map(Expr::size).sum();
    Expr::node(Op::Concat("vstack"), parts.to_vec(), [size / n, n].into())
}

/// Stacks along the last axis: scalars and vectors to a vector, matrices of one height to a matrix.
pub fn hstack(parts: &[Expr]) -> Expr {
    if let Some(broken) = unstackable(parts, "hstack") {
        return broken;
    }
    if parts.iter().all(|part| part.shape().rank() < 2) {
        return joined(parts, "hstack");
    }
    let height = |part: &Expr| match *part.shape().dims() {
        [m] | [m, _] => m,
        _ => 1,
    };
    let m = height(&parts[0]);
    if let Some(part) = parts.iter().find(|part| height(part) != m) {
        let reason = format!("the parts have {m} and {} rows", height(part));
        return Expr::misshapen(Op::Concat("hstack"), parts.to_vec(), reason);
    }
    let size: usize = parts.iter().map(Expr::size).sum();
    let n = size / m;
    let mut source = vec![0; size];
    let (mut first, mut left) = (0, 0);
    for part in parts {
        let w = part.size() / m;
        for i in 0..m {
            for j in 0..w {
                source[i * n + left + j] = first + i * w + j;
            }
        }
        first += part.size();
        left += w;
    }
    linear(
        &joined(parts, "hstack"),
        Linear::gather(size, &source),
        [m, n].into(),
        Label::Hidden,
    )
}

/// One vector of all entries.
fn joined(parts: &[Expr], name: &'static str) -> Expr {
    let size: usize = parts.iter().map(Expr::size).sum();
    Expr::node(Op::Concat(name), parts.to_vec(), [size].into())
}

fn unstackable(parts: &[Expr], name: &'static str) -> Option<Expr> {
    if parts.is_empty() {
        let reason = "it has no parts".to_owned();
        return Some(Expr::misshapen(Op::Concat(name), Vec::new(), reason));
    }
    parts
        .iter()
        .any(|part| part.0.poisoned)
        .then(|| Expr::node(Op::Concat(name), parts.to_vec(), Shape::SCALAR))
}
