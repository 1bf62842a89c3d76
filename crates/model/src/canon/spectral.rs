//! Epigraphs of functions of eigenvalues and singular values, in semidefinite cones.
//!
//! Forms: Ben-Tal & Nemirovski 2001, section 4.2; MOSEK Modeling Cookbook 3.3, chapter 6.

use std::sync::Arc;

use super::affine::{Affine, Term};
use super::builder::{Builder, Kind};
use super::lower::scaled_triangle;
use crate::expr::{Atom, Expr, Linear};

/// A square matrix put together from blocks.
struct Blocks {
    order: usize,
    affine: Affine,
}

impl Blocks {
    fn new(order: usize) -> Blocks {
        Blocks {
            order,
            affine: Affine {
                rows: order * order,
                terms: Vec::new(),
            },
        }
    }

    /// Adds a block `[.., columns]` with its corner at a place; the mirrored block is implied by
    /// the symmetric part, so one off the diagonal counts twice.
    fn put(&mut self, block: &Affine, columns: usize, (top, left): (usize, usize)) {
        let factor = if top == left { 1.0 } else { 2.0 };
        self.affine.terms.extend(block.terms.iter().map(|t| {
            let (i, j) = (t.row as usize / columns, t.row as usize % columns);
            Term {
                row: ((top + i) * self.order + left + j) as u32,
                value: factor * t.value,
                ..*t
            }
        }));
    }
}

/// A scalar times the identity.
fn multiple(scalar: &Affine, order: usize) -> Affine {
    let places = (0..order).map(|i| (0, i * order + i, 1.0));
    scalar.linear(&Linear::new(1, order * order, places))
}

fn trace(matrix: &Affine, order: usize) -> Affine {
    let places = (0..order).map(|i| (i * order + i, 0, 1.0));
    matrix.linear(&Linear::new(order * order, 1, places))
}

impl Builder {
    fn semidefinite(&mut self, matrix: &Affine, order: usize, text: &str) {
        let triangle = matrix.linear(&scaled_triangle(order));
        self.in_cone(Kind::Semidefinite(order), triangle, text);
    }

    /// A new symmetric matrix.
    fn symmetric(&mut self, order: usize) -> Affine {
        let triangle = self.lift(order * (order + 1) / 2);
        let first = triangle.terms[0].column;
        Affine::columns((0..order * order).map(|at| {
            let (i, j) = (at / order, at % order);
            let (low, high) = (i.min(j), i.max(j));
            first + (high * (high + 1) / 2 + low) as u32
        }))
    }

    pub(crate) fn spectral(
        &mut self,
        atom: &Atom,
        expr: &Expr,
        args: &[Arc<Affine>],
        text: &str,
    ) -> Affine {
        let x = &*args[0];
        let dims = expr.arg(0).shape();
        let (m, n) = match *dims.dims() {
            [m, n] => (m, n),
            _ => (x.rows, 1),
        };
        match atom {
            Atom::LambdaMin => {
                let t = self.lift(1);
                self.semidefinite(&x.minus(&multiple(&t, n)), n, text);
                t
            }
            Atom::LogDet => self.log_det(x, n, text),
            Atom::MatrixFrac => {
                // [P x; xᵀ t] ⪰ 0.
                let t = self.lift(1);
                let mut blocks = Blocks::new(m + 1);
                blocks.put(&args[1], m, (0, 0));
                blocks.put(x, 1, (0, m));
                blocks.put(&t, 1, (m, m));
                self.semidefinite(&blocks.affine, m + 1, text);
                t
            }
            Atom::NuclearNorm => {
                // [U X; Xᵀ V] ⪰ 0, (tr U + tr V)/2.
                let (u, v) = (self.symmetric(m), self.symmetric(n));
                let mut blocks = Blocks::new(m + n);
                blocks.put(&u, m, (0, 0));
                blocks.put(x, n, (0, m));
                blocks.put(&v, n, (m, m));
                self.semidefinite(&blocks.affine, m + n, text);
                trace(&u, m).plus(&trace(&v, n)).times(0.5)
            }
            Atom::OperatorNorm => {
                // [t·1 X; Xᵀ t·1] ⪰ 0.
                let t = self.lift(1);
                let mut blocks = Blocks::new(m + n);
                blocks.put(&multiple(&t, m + n), m + n, (0, 0));
                blocks.put(x, n, (0, m));
                self.semidefinite(&blocks.affine, m + n, text);
                t
            }
            _ => {
                let t = self.lift(1);
                self.semidefinite(&multiple(&t, n).minus(x), n, text);
                t
            }
        }
    }

    /// `[X Z; Zᵀ diag(Z)] ⪰ 0`, `Z` lower triangular, `t_i ≤ log Z_ii`.
    fn log_det(&mut self, x: &Affine, n: usize, text: &str) -> Affine {
        let columns = self.lift(n * (n + 1) / 2);
        let place = |i: usize, j: usize| i * (i + 1) / 2 + j;
        let triangle = columns.linear(&Linear::new(
            n * (n + 1) / 2,
            n * n,
            (0..n).flat_map(|i| (0..=i).map(move |j| (place(i, j), i * n + j, 1.0))),
        ));
        let on_diagonal = |size: usize, step: usize| {
            let places: Vec<_> = (0..n).map(|i| (place(i, i), i * step, 1.0)).collect();
            columns.linear(&Linear::new(n * (n + 1) / 2, size, places.into_iter()))
        };
        let mut blocks = Blocks::new(2 * n);
        blocks.put(x, n, (0, 0));
        blocks.put(&triangle, n, (0, n));
        blocks.put(&on_diagonal(n * n, n + 1), n, (n, n));
        self.semidefinite(&blocks.affine, 2 * n, text);
        let t = self.lift(n);
        self.exponential(&t, &Affine::ones(n), &on_diagonal(n, 1), text);
        t.sum()
    }
}
