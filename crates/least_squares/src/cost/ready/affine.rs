//! Linear rows.

use crate::cost::{Cost, Gradient, Point, Probe, Shapes};
use crate::dense::{add_transposed, axpy, dot};

use super::{Numbers, check_sizes, resolve};

/// A x − b, of one vector variable. A is `[rows, n]` row-major, b is `[rows]`; each constant or an
/// auxiliary, A's first.
#[derive(Clone, Debug)]
pub struct Linear {
    rows: usize,
    n: usize,
    a: Numbers,
    b: Numbers,
}

impl Linear {
    /// The rows A x − b of `n` variables.
    pub fn new(rows: usize, n: usize, a: impl Into<Numbers>, b: impl Into<Numbers>) -> Self {
        Self {
            rows,
            n,
            a: a.into(),
            b: b.into(),
        }
    }

    fn numbers<'a>(&'a self, at: &Point<'a>) -> (&'a [f64], &'a [f64]) {
        let mut auxiliaries = at.auxiliaries.iter().copied();
        let a = resolve(&self.a, &mut auxiliaries);
        (a, resolve(&self.b, &mut auxiliaries))
    }
}

impl Cost for Linear {
    fn rows(&self) -> usize {
        self.rows
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        let (rows, n) = (self.rows, self.n);
        let numbers = [("A", &self.a, rows * n), ("b", &self.b, rows)];
        check_sizes(shapes, n, 1, &numbers)?;
        vector(shapes)
    }

    fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
        let (a, b) = self.numbers(at);
        for ((out, row), b) in out.iter_mut().zip(a.chunks_exact(self.n)).zip(b) {
            *out = dot(row, at.variables[0]) - b;
        }
    }

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        self.residual(at, residual);
        jacobian.copy_from_slice(self.numbers(at).0);
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        // ψ = sᵀA d + tᵀ(A x − b).
        add_transposed(self.numbers(at).0, probe.t, gradient.variables);
        let mut rest = &mut gradient.auxiliaries[..];
        if let Numbers::Auxiliary(len) = self.a {
            let (a, b) = rest.split_at_mut(len);
            for (i, row) in a.chunks_exact_mut(self.n).enumerate() {
                axpy(probe.s[i], probe.d, row);
                axpy(probe.t[i], at.variables[0], row);
            }
            rest = b;
        }
        if let Numbers::Auxiliary(_) = self.b {
            axpy(-1.0, probe.t, rest);
        }
    }

    fn is_affine(&self) -> bool {
        true
    }
}

pub(super) fn vector(shapes: &Shapes<'_>) -> Result<(), String> {
    if shapes.manifolds.iter().all(|m| m.is_flat()) {
        Ok(())
    } else {
        Err("has a variable on a group but needs a vector".to_owned())
    }
}
