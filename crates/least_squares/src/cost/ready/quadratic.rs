//! Quadratic rows.

use crate::cost::{Cost, Gradient, Point, Probe, Shapes};
use crate::dense::{add_transposed, axpy, dot};

use super::affine::vector;
use super::{Numbers, check_sizes, resolve};

/// Rows ½ xᵀHᵢx + gᵢᵀx − cᵢ of one vector variable. H is `[rows, n, n]`, symmetric or not (only its
/// symmetric part counts), g is `[rows, n]`, c is `[rows]`; each constant or an auxiliary, in this order.
#[derive(Clone, Debug)]
pub struct Quadratic {
    rows: usize,
    n: usize,
    h: Numbers,
    g: Numbers,
    c: Numbers,
}

impl Quadratic {
    /// The rows ½ xᵀHᵢx + gᵢᵀx − cᵢ of `n` variables.
    pub fn new(
        rows: usize,
        n: usize,
        h: impl Into<Numbers>,
        g: impl Into<Numbers>,
        c: impl Into<Numbers>,
    ) -> Self {
        Self {
            rows,
            n,
            h: h.into(),
            g: g.into(),
            c: c.into(),
        }
    }

    fn numbers<'a>(&'a self, at: &Point<'a>) -> [&'a [f64]; 3] {
        let mut auxiliaries = at.auxiliaries.iter().copied();
        let h = resolve(&self.h, &mut auxiliaries);
        let g = resolve(&self.g, &mut auxiliaries);
        [h, g, resolve(&self.c, &mut auxiliaries)]
    }

    /// `out` = ½(H + Hᵀ) x.
    fn product(&self, h: &[f64], x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        add_transposed(h, x, out);
        for (out, row) in out.iter_mut().zip(h.chunks_exact(self.n)) {
            *out = 0.5 * (*out + dot(row, x));
        }
    }
}

impl Cost for Quadratic {
    fn rows(&self) -> usize {
        self.rows
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        let (rows, n) = (self.rows, self.n);
        let numbers = [
            ("H", &self.h, rows * n * n),
            ("g", &self.g, rows * n),
            ("c", &self.c, rows),
        ];
        check_sizes(shapes, n, 1, &numbers)?;
        vector(shapes)
    }

    fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
        let ([h, g, c], x, n) = (self.numbers(at), at.variables[0], self.n);
        for (i, out) in out.iter_mut().enumerate() {
            let h = &h[i * n * n..(i + 1) * n * n];
            let rows = h.chunks_exact(n).zip(x);
            let square: f64 = rows.map(|(row, value)| value * dot(row, x)).sum();
            *out = 0.5 * square + dot(&g[i * n..(i + 1) * n], x) - c[i];
        }
    }

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        let ([h, g, c], x, n) = (self.numbers(at), at.variables[0], self.n);
        for (i, row) in jacobian.chunks_exact_mut(n).enumerate() {
            self.product(&h[i * n * n..(i + 1) * n * n], x, row);
            let g = &g[i * n..(i + 1) * n];
            residual[i] = 0.5 * dot(row, x) + dot(g, x) - c[i];
            axpy(1.0, g, row);
        }
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        // ψ = Σ sᵢ(Hᵢx + gᵢ)ᵀd + tᵢ(½ xᵀHᵢx + gᵢᵀx − cᵢ), H symmetrised.
        let ([h, g, _], x, n) = (self.numbers(at), at.variables[0], self.n);
        let mut product = vec![0.0; n];
        for i in 0..self.rows {
            let h = &h[i * n * n..(i + 1) * n * n];
            if probe.s[i] != 0.0 {
                self.product(h, probe.d, &mut product);
                axpy(probe.s[i], &product, gradient.variables);
            }
            if probe.t[i] != 0.0 {
                self.product(h, x, &mut product);
                axpy(1.0, &g[i * n..(i + 1) * n], &mut product);
                axpy(probe.t[i], &product, gradient.variables);
            }
        }
        let mut rest = &mut gradient.auxiliaries[..];
        if let Numbers::Auxiliary(len) = self.h {
            let (out, next) = rest.split_at_mut(len);
            rest = next;
            for (i, out) in out.chunks_exact_mut(n * n).enumerate() {
                let (s, t) = (0.5 * probe.s[i], 0.5 * probe.t[i]);
                for (j, row) in out.chunks_exact_mut(n).enumerate() {
                    axpy(s * x[j], probe.d, row);
                    axpy(s * probe.d[j] + t * x[j], x, row);
                }
            }
        }
        if let Numbers::Auxiliary(len) = self.g {
            let (out, next) = rest.split_at_mut(len);
            rest = next;
            for (i, out) in out.chunks_exact_mut(n).enumerate() {
                axpy(probe.s[i], probe.d, out);
                axpy(probe.t[i], x, out);
            }
        }
        if let Numbers::Auxiliary(_) = self.c {
            axpy(-1.0, probe.t, rest);
        }
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        let ([h, ..], n) = (self.numbers(at), self.n);
        for (h, s) in h.chunks_exact(n * n).zip(s) {
            for j in 0..n {
                for k in 0..n {
                    out[j * n + k] += 0.5 * s * (h[j * n + k] + h[k * n + j]);
                }
            }
        }
    }
}
