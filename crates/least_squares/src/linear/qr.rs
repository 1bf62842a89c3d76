//! QR with column pivoting of J over √D: steps that do not square the condition number, and the
//! shortest ones where J has no full rank.

use faer::linalg::solvers::{ColPivQr, SolveLstsqCore, Svd};
use faer::{Conj, Mat};

use super::Damp;
use super::rows::whole_jacobian;
use crate::objective::Objective;
use crate::term::Linearisation;

#[derive(Debug)]
pub(crate) struct Qr {
    m: usize,
    n: usize,
    jacobian: Vec<f64>,
    held: Vec<bool>,
    factor: Factor,
}

#[derive(Debug)]
enum Factor {
    None,
    /// Of [J; √D], of full column rank.
    Qr(ColPivQr<f64>),
    /// Of the same where its rank is less, with that rank.
    Svd(Svd<f64>, usize),
}

impl Qr {
    pub(crate) fn new(objective: &Objective) -> Self {
        let (m, n) = (objective.rows, objective.tangent);
        Self {
            m,
            n,
            jacobian: vec![0.0; m * n],
            held: vec![false; n],
            factor: Factor::None,
        }
    }

    pub(crate) fn load(&mut self, objective: &Objective, at: &Linearisation, held: &[bool]) {
        whole_jacobian(objective, at, &mut self.jacobian);
        self.held.copy_from_slice(held);
    }

    pub(crate) fn factor(&mut self, damp: Damp) -> bool {
        let (m, n) = (self.m, self.n);
        self.factor = Factor::None;
        let mut diagonal = vec![0.0; n];
        for row in self.jacobian.chunks_exact(n) {
            for (d, v) in diagonal.iter_mut().zip(row) {
                *d += v * v;
            }
        }
        if !diagonal.iter().all(|d| d.is_finite()) {
            return false;
        }
        let stacked = Mat::from_fn(m + n, n, |i, j| {
            if i < m {
                self.jacobian[i * n + j]
            } else if i - m != j {
                0.0
            } else if self.held[j] {
                1.0
            } else {
                damp.of(diagonal[j]).sqrt()
            }
        });
        let rounding = (m + n) as f64 * f64::EPSILON;
        let qr = stacked.col_piv_qr();
        let r = qr.R();
        let full = (0..n).all(|i| r[(i, i)].abs() > rounding * r[(0, 0)].abs());
        if full {
            self.factor = Factor::Qr(qr);
            return true;
        }
        let Ok(svd) = stacked.thin_svd() else {
            return false;
        };
        let s = svd.S().column_vector();
        let rank = (0..n).filter(|i| s[*i] > rounding * s[0]).count();
        self.factor = Factor::Svd(svd, rank);
        true
    }

    pub(crate) fn step(&mut self, r: &[f64], out: &mut [f64]) {
        let (m, n) = (self.m, self.n);
        match &self.factor {
            Factor::None => out.fill(f64::NAN),
            Factor::Qr(qr) => {
                let mut rhs = Mat::from_fn(m + n, 1, |i, _| if i < m { -r[i] } else { 0.0 });
                qr.solve_lstsq_in_place_with_conj(Conj::No, rhs.as_mut());
                (0..n).for_each(|i| out[i] = rhs[(i, 0)]);
            }
            Factor::Svd(svd, rank) => {
                let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
                out.fill(0.0);
                for k in 0..*rank {
                    let along: f64 = (0..m).map(|i| -u[(i, k)] * r[i]).sum::<f64>() / s[k];
                    (0..n).for_each(|i| out[i] += v[(i, k)] * along);
                }
            }
        }
    }

    /// x ← (RᵀR)⁻¹ x, or by the pseudoinverse.
    pub(crate) fn solve(&self, x: &mut [f64]) {
        let n = self.n;
        match &self.factor {
            Factor::None => x.fill(f64::NAN),
            Factor::Qr(qr) => {
                let (r, (forward, _)) = (qr.R(), qr.P().arrays());
                let mut y: Vec<f64> = forward.iter().map(|p| x[*p]).collect();
                for i in 0..n {
                    let sum: f64 = (0..i).map(|k| r[(k, i)] * y[k]).sum();
                    y[i] = (y[i] - sum) / r[(i, i)];
                }
                for i in (0..n).rev() {
                    let sum: f64 = (i + 1..n).map(|k| r[(i, k)] * y[k]).sum();
                    y[i] = (y[i] - sum) / r[(i, i)];
                }
                for (y, p) in y.iter().zip(forward) {
                    x[*p] = *y;
                }
            }
            Factor::Svd(svd, rank) => {
                let (s, v) = (svd.S().column_vector(), svd.V());
                let along: Vec<f64> = (0..*rank)
                    .map(|k| (0..n).map(|i| v[(i, k)] * x[i]).sum::<f64>() / (s[k] * s[k]))
                    .collect();
                for (i, x) in x.iter_mut().enumerate() {
                    *x = (0..*rank).map(|k| v[(i, k)] * along[k]).sum();
                }
            }
        }
    }
}
