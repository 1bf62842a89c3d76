//! Entries picked by their places: indices, slices, rows, columns, diagonals.

use std::ops::Range;

use super::super::{Expr, Label, Linear};
use super::{call, linear, misfit};
use crate::shape::Shape;

impl Expr {
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
        if let Some(excess) = shape.excess() {
            return misfit(self, label, excess);
        }
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
}

/// The diagonal of a square matrix as a vector, or a vector as a diagonal matrix.
pub fn diag(expr: &Expr) -> Expr {
    if expr.0.poisoned {
        return expr.clone();
    }
    match *expr.shape().dims() {
        [n] => {
            if let Some(excess) = Shape::from([n, n]).excess() {
                return misfit(expr, call("diag"), excess);
            }
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
