//! The same entries in another shape, and shapes put together.

use super::super::{Expr, Label, Linear, Op};
use super::{call, linear, misfit};
use crate::shape::Shape;

impl Expr {
    /// Transpose of a matrix; a vector is returned as it is.
    pub fn transpose(&self) -> Expr {
        if self.0.poisoned {
            return self.clone();
        }
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
        if let Some(excess) = shape.excess() {
            return misfit(self, label, excess);
        }
        let source = vec![0; shape.size()];
        linear(self, Linear::gather(1, &source), shape, label)
    }
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
    let joined = joined(parts, "hstack");
    if joined.0.poisoned {
        return joined;
    }
    let size = joined.size();
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
        &joined,
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
