//! The optimality conditions written out, and Clarabel as the independent solver.

use super::{INF, Owned, inner, quadratic_value};
use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT};

/// Largest violation of the optimality conditions at a point, written out term by term so that it
/// shares nothing with the solver: `(primal, dual, complementarity and signs)`.
pub fn kkt_residual(
    owned: &Owned,
    sample: usize,
    x: &[f64],
    nu: &[f64],
    lambda: &[f64],
    mu: &[f64],
) -> f64 {
    let n = owned.n;
    let p = owned.of(0, sample);
    let mut gradient = owned.of(1, sample).to_vec();
    let mut worst = 0.0f64;
    for i in 0..n {
        gradient[i] += if owned.p_diagonal {
            p[i] * x[i]
        } else {
            inner(&p[i * n..(i + 1) * n], x)
        };
    }
    for i in 0..owned.p_rows {
        let row = &owned.of(2, sample)[i * n..(i + 1) * n];
        worst = worst.max((inner(row, x) - owned.of(3, sample)[i]).abs());
        for j in 0..n {
            gradient[j] += nu[i] * row[j];
        }
    }
    for i in 0..owned.m {
        let row = &owned.of(4, sample)[i * n..(i + 1) * n];
        let (l, u, value) = (
            owned.of(5, sample)[i],
            owned.of(6, sample)[i],
            inner(row, x),
        );
        worst = worst.max(l - value).max(value - u);
        if lambda[i] > 0.0 {
            worst = worst.max((lambda[i] * (u - value)).abs());
        } else if lambda[i] < 0.0 {
            worst = worst.max((lambda[i] * (value - l)).abs());
        }
        for j in 0..n {
            gradient[j] += lambda[i] * row[j];
        }
    }
    for i in 0..owned.k {
        let c = owned.of(9, sample)[i];
        let value = quadratic_value(owned, sample, i, x);
        worst = worst.max(value - c).max(-mu[i]);
        if mu[i] != 0.0 {
            worst = worst.max((mu[i] * (value - c)).abs());
        }
        let h = owned.of(7, sample);
        for j in 0..n {
            let hx = if owned.h_diagonal {
                h[i * n + j] * x[j]
            } else {
                inner(&h[(i * n + j) * n..(i * n + j + 1) * n], x)
            };
            gradient[j] += mu[i] * (2.0 * hx + owned.of(8, sample)[i * n + j]);
        }
    }
    gradient.iter().fold(worst, |a, v| a.max(v.abs()))
}

/// What Clarabel found.
pub struct Reference {
    pub x: Vec<f64>,
    /// Largest violation of the optimality conditions by Clarabel's answer.
    pub residual: f64,
    pub objective: f64,
    pub status: SolverStatus,
}

/// Solves one sample with Clarabel, quadratic rows as second-order cones.
pub fn clarabel(owned: &Owned, sample: usize) -> Reference {
    let n = owned.n;
    let p = owned.of(0, sample);
    let entry = |i: usize, j: usize| {
        if owned.p_diagonal {
            if i == j { p[i] } else { 0.0 }
        } else {
            p[i * n + j]
        }
    };
    let rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            (0..n)
                .map(|j| if j >= i { entry(i, j) } else { 0.0 })
                .collect()
        })
        .collect();
    let p_csc = CscMatrix::from(&rows);
    let (mut a, mut b): (Vec<Vec<f64>>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut cones = Vec::new();
    if owned.p_rows > 0 {
        for (row, rhs) in owned.of(2, sample).chunks_exact(n).zip(owned.of(3, sample)) {
            a.push(row.to_vec());
            b.push(*rhs);
        }
        cones.push(SupportedConeT::ZeroConeT(owned.p_rows));
    }
    let mut count = 0;
    if owned.m > 0 {
        let (l, u) = (owned.of(5, sample), owned.of(6, sample));
        for (i, row) in owned.of(4, sample).chunks_exact(n).enumerate() {
            if u[i].is_finite() {
                a.push(row.to_vec());
                b.push(u[i]);
                count += 1;
            }
            if l[i].is_finite() {
                a.push(row.iter().map(|v| -v).collect());
                b.push(-l[i]);
                count += 1;
            }
        }
    }
    if count > 0 {
        cones.push(SupportedConeT::NonnegativeConeT(count));
    }
    for i in 0..owned.k {
        let c = owned.of(9, sample)[i];
        if c == INF {
            continue;
        }
        let linear = &owned.of(8, sample)[i * n..(i + 1) * n];
        let h = owned.of(7, sample);
        let root = if owned.h_diagonal {
            (0..n)
                .map(|j| {
                    (0..n)
                        .map(|l| if l == j { h[i * n + j].sqrt() } else { 0.0 })
                        .collect()
                })
                .collect()
        } else {
            symmetric_root(&h[i * n * n..(i + 1) * n * n], n)
        };
        // ‖R x‖² ≤ t with t = c − gᵀx:  (t+1, 2Rx, t−1) in the second-order cone.
        a.push(linear.to_vec());
        b.push(c + 1.0);
        for row in &root {
            let row: &Vec<f64> = row;
            a.push(row.iter().map(|v| -2.0 * v).collect());
            b.push(0.0);
        }
        a.push(linear.to_vec());
        b.push(c - 1.0);
        cones.push(SupportedConeT::SecondOrderConeT(n + 2));
    }
    let a_csc = if a.is_empty() {
        CscMatrix::zeros((0, n))
    } else {
        CscMatrix::from(&a)
    };
    let settings = DefaultSettings::<f64> {
        verbose: false,
        tol_gap_abs: 1e-10,
        tol_gap_rel: 1e-10,
        tol_feas: 1e-10,
        ..DefaultSettings::default()
    };
    let mut solver =
        DefaultSolver::new(&p_csc, owned.of(1, sample), &a_csc, &b, &cones, settings).unwrap();
    solver.solve();
    // Multipliers in this crate's signs, from Clarabel's in the order the rows were stacked.
    let mut z = solver.solution.z.iter().copied();
    let nu: Vec<f64> = z.by_ref().take(owned.p_rows).collect();
    let mut lambda = vec![0.0; owned.m];
    for (i, lambda) in lambda.iter_mut().enumerate() {
        if owned.of(6, sample)[i].is_finite() {
            *lambda += z.next().unwrap();
        }
        if owned.of(5, sample)[i].is_finite() {
            *lambda -= z.next().unwrap();
        }
    }
    let mu: Vec<f64> = (0..owned.k)
        .map(|i| {
            if owned.of(9, sample)[i] == INF {
                return 0.0;
            }
            let cone: Vec<f64> = z.by_ref().take(n + 2).collect();
            cone[0] + cone[n + 1]
        })
        .collect();
    let x = solver.solution.x.clone();
    Reference {
        residual: kkt_residual(owned, sample, &x, &nu, &lambda, &mu),
        x,
        objective: solver.solution.obj_val,
        status: solver.solution.status,
    }
}

/// Rows of a matrix `R` with `RᵀR = h`.
fn symmetric_root(h: &[f64], n: usize) -> Vec<Vec<f64>> {
    let eigen = faer::MatRef::from_row_major_slice(h, n, n)
        .self_adjoint_eigen(faer::Side::Lower)
        .unwrap();
    (0..n)
        .map(|r| {
            let size = eigen.S().column_vector()[r].max(0.0).sqrt();
            (0..n).map(|i| size * eigen.U()[(i, r)]).collect()
        })
        .collect()
}
