//! The adjoint system by the factor that the last step of the solve was made with.
//!
//! That factor is of M, the Gauss-Newton matrix a step before the end, damped perhaps. Conjugate gradients
//! with it as preconditioner see a matrix near the identity, as what M lacks of the exact Hessian H is small
//! where residuals are: a few iterations, each a pair of triangular solves, against a factorisation.
//!
//! It is kept in single precision, which halves what a solve reads. Nothing is less accurate for it: M is then
//! the matrix that the rounded factor is of, and all that is computed with it is in double precision. On pose
//! graphs the iterations are as many.
//!
//! They see no more of H than the Krylov space of the cotangent, which may be regular in a matrix that is
//! not. So a second system goes along in the same passes, of a [`probe`] with a part in every eigenvector.
//! The residual of conjugate gradients is a polynomial p of M⁻¹H times its start, p(μ) = Π (1 − μ/θⱼ) with
//! the Ritz values θⱼ for roots (Saad, *Iterative methods for sparse linear systems*, section 6.7.3).
//! Positive θⱼ leave p ≥ 1 for μ ≤ 0 and p ≥ 1 − μ Σ 1/θⱼ for 0 < μ < min θⱼ. Where the residual has become
//! smaller than half of the probe's part in every eigenvector, no eigenvalue is below ½ / Σ 1/θⱼ.

use super::super::{ACCURATE, SINGULAR};
use super::SparseAdjoint;
use crate::dense::{axpy, dot, norm};
use crate::linear::sparse::MOST_COLUMNS;

/// What iterations reach: the error relative to the solution in the norm of H, ‖r‖ by M⁻¹. One more
/// correction by the factor, of a rate of at most a digit, follows.
const ENERGY: f64 = 1e-9;

/// The part of the probe in an eigenvector of unit length by M is this or more but with a probability of
/// 1.5e-4 ([`probe`]).
const PART: f64 = 1e-4;

/// Where to give up. Pose graphs of 1661 to 3500 poses take four or five iterations; a factor that needs
/// twice as many is of a matrix far away.
const FEW: usize = 10;

/// A solution of Hw = v.
pub(super) struct ByFactor {
    pub(super) w: Vec<f64>,
    pub(super) condition: f64,
    /// ‖Hw − v‖/‖v‖.
    pub(super) residual: f64,
    /// ‖M⁻¹∇‖ for the gradient, over the least eigenvalue of M⁻¹H that was seen: what the length of the Newton step
    /// is at most, about. M may be damped by far more than H is large.
    pub(super) newton: f64,
}

/// One right-hand side's iterations.
struct Iterates {
    r: Vec<f64>,
    /// M⁻¹r.
    z: Vec<f64>,
    p: Vec<f64>,
    rz: f64,
    /// Where rᵀM⁻¹r is small enough.
    target: f64,
    /// Where it has to be after the next iteration.
    digits: f64,
    alpha: f64,
    /// The least pivot of the Lanczos matrix of M⁻¹H, which is not below the least eigenvalue.
    pivot: f64,
    /// Σ 1/θⱼ = −p'(0), and the value at 0 of the polynomial of the direction p.
    inverses: f64,
    direction: f64,
}

impl Iterates {
    /// For the right-hand side r and z = M⁻¹r, up to rᵀz = `target(rᵀz)`.
    fn new(r: Vec<f64>, z: Vec<f64>, target: impl Fn(f64) -> f64) -> Self {
        let rz = dot(&r, &z);
        Self {
            r,
            p: z.clone(),
            z,
            rz,
            target: target(rz),
            // At least a digit in two iterations, of the square one in one.
            digits: 0.1 * rz,
            alpha: 0.0,
            pivot: f64::INFINITY,
            inverses: 0.0,
            direction: 1.0,
        }
    }

    fn is_done(&self) -> bool {
        self.rz <= self.target
    }

    /// The first half of an iteration, with q = Hp; z is left to be multiplied by M⁻¹. False for a direction
    /// that H is not positive along.
    fn descend(&mut self, q: &[f64]) -> bool {
        let curvature = dot(&self.p, q);
        self.alpha = self.rz / curvature;
        self.pivot = self.pivot.min(self.alpha.recip());
        self.inverses += self.alpha * self.direction;
        axpy(-self.alpha, q, &mut self.r);
        self.z.copy_from_slice(&self.r);
        curvature > 0.0
    }

    /// The second, with z = M⁻¹r. False where it has not come near enough.
    fn turn(&mut self) -> bool {
        let next = dot(&self.r, &self.z);
        let beta = next / self.rz;
        self.rz = next;
        self.direction = 1.0 + beta * self.direction;
        for (p, z) in self.p.iter_mut().zip(&self.z) {
            *p = z + beta * *p;
        }
        let near = self.rz <= self.digits;
        self.digits *= 0.1;
        near
    }
}

impl SparseAdjoint<'_> {
    /// The solution by the factor of another matrix at a point of this gradient. `None` where the iterations are
    /// slow, or H is not shown to be positive definite, or what they lead to is no solution.
    pub(super) fn solve_by(
        &mut self,
        factor: &[f32],
        v: &[f64],
        gradient: &[f64],
    ) -> Option<ByFactor> {
        let n = v.len();
        let mut estimate = self.estimate(n);
        let u = self.sparse.multiply_by_factor(factor, &probe(n));
        let (mut z, mut y, mut step) = (v.to_vec(), u.clone(), gradient.to_vec());
        self.sparse
            .solve_by(factor, &mut [&mut z, &mut y, &mut step]);
        let mut system = Iterates::new(v.to_vec(), z, |rz| ENERGY * ENERGY * rz);
        let mut probed = Iterates::new(u, y, |_| 0.25 * PART * PART);
        let mut w = vec![0.0; n];
        let mut products = vec![0.0; 2 * n];
        for _ in 0..FEW {
            let (q, other) = products.split_at_mut(n);
            let matrix = &self.sparse.matrix;
            match (system.is_done(), probed.is_done()) {
                (false, false) => {
                    let directions = [&system.p[..], &probed.p];
                    let out = [&mut *q, &mut *other];
                    self.sparse.multiply_together(matrix, directions, out);
                }
                (false, true) => self.sparse.multiply(matrix, &system.p, q),
                (true, false) => self.sparse.multiply(matrix, &probed.p, other),
                (true, true) => break,
            }
            let mut sides: Vec<&mut [f64]> = Vec::with_capacity(MOST_COLUMNS);
            if !system.is_done() {
                if !system.descend(q) {
                    return None;
                }
                axpy(system.alpha, &system.p, &mut w);
                sides.push(&mut system.z);
            }
            if !probed.is_done() {
                if !probed.descend(other) {
                    return None;
                }
                sides.push(&mut probed.z);
            }
            self.solve_with(factor, sides, &mut estimate);
            for iterates in [&mut system, &mut probed] {
                if !iterates.is_done() && !iterates.turn() {
                    return None;
                }
            }
        }
        if !(system.is_done() && probed.is_done()) {
            return None;
        }
        self.finish(factor, &mut estimate);
        let condition = self.condition(&estimate);
        if !(condition * 2.0 * probed.inverses < SINGULAR) {
            return None;
        }
        // What iterates of the residual say is not what it is, nor in the norm that it is judged by: it is
        // computed, and once more where the first correction does not do.
        let q = &mut products[..n];
        let mut correction = system.z;
        for _ in 0..2 {
            axpy(1.0, &correction, &mut w);
            self.sparse.multiply(&self.sparse.matrix, &w, q);
            for ((c, v), q) in correction.iter_mut().zip(v).zip(&*q) {
                *c = v - q;
            }
            let (missed, size) = (norm(&correction), norm(v));
            if missed <= ACCURATE * size {
                let smallest = system.pivot.min(probed.pivot).min(1.0);
                return Some(ByFactor {
                    w,
                    condition: condition / smallest,
                    residual: if size > 0.0 { missed / size } else { 0.0 },
                    newton: norm(&step) / smallest,
                });
            }
            self.sparse.solve_by(factor, &mut [&mut correction]);
        }
        None
    }
}

/// Numbers g of sizes ½ to 1½ and irregular signs, the same for every call. Times PᵀL, M = PᵀLLᵀP, their
/// part in an eigenvector s of M⁻¹H with sᵀMs = 1 is (LᵀPs)ᵀg, a combination of them of unit length. Were
/// they drawn anew, independent and of densities of at most ½, its density would be at most √2 times that
/// (Rogozin and Ball; Rudelson & Vershynin, *Small ball probabilities for linear images of high-dimensional
/// distributions*, 2015), and it below ε with a probability of at most √2 ε, whatever the size and condition.
/// Fixed, they are generic to every matrix that was not made with them in view.
fn probe(n: usize) -> Vec<f64> {
    (0..n as u64)
        .map(|i| {
            // The output function of SplitMix64 (Steele, Lea & Flood, 2014) of a counter.
            let mut bits = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^= bits >> 31;
            let size = 0.5 + (bits >> 11) as f64 / (1_u64 << 53) as f64;
            if bits & 1 == 0 { size } else { -size }
        })
        .collect()
}
