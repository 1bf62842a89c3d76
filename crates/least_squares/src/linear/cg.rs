//! Conjugate gradients on M + D without forming it, preconditioned by the blocks of the variables.

use super::Damp;
use crate::dense::{axpy, dot};
use crate::objective::Objective;
use crate::term::Linearisation;
use feasible_kernels::Cholesky;

#[derive(Debug)]
pub(crate) struct Cg {
    tolerance: f64,
    max_iterations: usize,
    /// Each variable's block of M, `[tangent, tangent]`, one after another.
    blocks: Vec<f64>,
    /// Where each variable's block and step begin, and its size.
    places: Vec<(usize, usize, usize)>,
    factors: Vec<Cholesky>,
    held: Vec<bool>,
    /// The diagonal of D, with 1 where a coordinate is held.
    damping: Vec<f64>,
    rows: Vec<f64>,
    scratch: Vec<f64>,
    work: [Vec<f64>; 4],
}

impl Cg {
    pub(crate) fn new(objective: &Objective, tolerance: f64, max_iterations: usize) -> Self {
        let n = objective.tangent;
        let mut total = 0;
        let places: Vec<_> = objective
            .variables
            .iter()
            .map(|v| {
                let size = v.manifold.tangent();
                total += size * size;
                (total - size * size, v.column, size)
            })
            .collect();
        Self {
            tolerance,
            max_iterations,
            blocks: vec![0.0; total],
            factors: places.iter().map(|p| Cholesky::new(p.2)).collect(),
            places,
            held: vec![false; n],
            damping: vec![0.0; n],
            rows: vec![0.0; objective.rows],
            scratch: Vec::new(),
            work: std::array::from_fn(|_| vec![0.0; n]),
        }
    }

    pub(crate) fn tolerance(&self) -> f64 {
        self.tolerance.max(f64::EPSILON)
    }

    pub(crate) fn load(&mut self, objective: &Objective, at: &Linearisation, held: &[bool]) {
        self.held.copy_from_slice(held);
        self.blocks.fill(0.0);
        for term in &objective.terms {
            let mut local = 0;
            for index in &term.variables {
                let (place, _, size) = self.places[*index];
                for row in at.block(term).chunks_exact(term.width) {
                    let row = &row[local..local + size];
                    for (a, value) in row.iter().enumerate() {
                        let out = &mut self.blocks[place + a * size..place + (a + 1) * size];
                        axpy(*value, row, out);
                    }
                }
                local += size;
            }
        }
    }

    pub(crate) fn factor(&mut self, damp: Damp) -> bool {
        for ((place, column, size), factor) in self.places.iter().zip(&mut self.factors) {
            let block = &self.blocks[*place..place + size * size];
            let mut largest = 0.0_f64;
            for i in 0..*size {
                let entry = block[i * size + i];
                if !entry.is_finite() {
                    return false;
                }
                largest = largest.max(entry);
                self.damping[column + i] = if self.held[column + i] {
                    1.0
                } else {
                    damp.of(entry)
                };
            }
            let damping = &self.damping[*column..column + size];
            if !factor.factor(block, |i, _| damping[i]) {
                // Any positive preconditioner will do.
                let shift = if largest > 0.0 { 1e-8 * largest } else { 1.0 };
                if !factor.factor(block, |i, _| damping[i] + shift)
                    && !factor.factor(block, |_, entry| {
                        largest.max(1.0) * 2.0 * *size as f64 - entry
                    })
                {
                    return false;
                }
            }
        }
        true
    }

    /// x ← (M + D)⁻¹ x, to the tolerance or as far as the iterations lead; not finite where the matrix
    /// turns out to be singular along the way.
    pub(crate) fn solve(&mut self, objective: &Objective, at: &Linearisation, x: &mut [f64]) {
        let [r, z, p, q] = &mut self.work;
        r.copy_from_slice(x);
        x.fill(0.0);
        let target = self.tolerance * dot(r, r).sqrt();
        let precondition = |r: &[f64], z: &mut [f64]| {
            z.copy_from_slice(r);
            for ((_, column, size), factor) in self.places.iter().zip(&self.factors) {
                factor.solve(&mut z[*column..column + size]);
            }
        };
        precondition(r, z);
        p.copy_from_slice(z);
        let mut rz = dot(r, z);
        for _ in 0..self.max_iterations {
            if dot(r, r).sqrt() <= target {
                return;
            }
            at.multiply(objective, p, &mut self.rows);
            for ((q, p), d) in q.iter_mut().zip(p.iter()).zip(&self.damping) {
                *q = p * d;
            }
            at.add_transposed(objective, &self.rows, q, &mut self.scratch);
            let curvature = dot(p, q);
            if !(curvature > 0.0) {
                // Nothing is left along p but rounding, or the matrix is singular there.
                if dot(x, x) == 0.0 {
                    x.fill(f64::NAN);
                }
                return;
            }
            let alpha = rz / curvature;
            axpy(alpha, p, x);
            axpy(-alpha, q, r);
            precondition(r, z);
            let next = dot(r, z);
            let beta = next / rz;
            rz = next;
            for (p, z) in p.iter_mut().zip(z.iter()) {
                *p = z + beta * *p;
            }
        }
    }
}
