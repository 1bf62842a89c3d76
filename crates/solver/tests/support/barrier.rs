//! The central path of cone programs by a barrier method that shares nothing with the solver: it
//! walks inside the cones and forms the barrier's Hessian as it is written.

use super::cones::Owned;
use super::inner;
use faer::Mat;
use faer::prelude::Solve;
use feasible_solver::Cone;

/// Gradient and Hessian of a cone's barrier, added at the block's place; `None` outside.
fn barrier(cone: Cone, s: &[f64], gradient: &mut [f64], hessian: &mut [Vec<f64>]) -> Option<()> {
    // −weight·ln f, of f's gradient and Hessian.
    let mut add =
        |first: usize, weight: f64, f: f64, g: &[f64], h: &dyn Fn(usize, usize) -> f64| {
            if f <= 0.0 {
                return None;
            }
            for i in 0..g.len() {
                gradient[first + i] -= weight * g[i] / f;
                for j in 0..g.len() {
                    hessian[first + i][first + j] += weight * (g[i] * g[j] / f - h(i, j)) / f;
                }
            }
            Some(())
        };
    let flat = |_: usize, _: usize| 0.0;
    match cone {
        Cone::Zero(_) => {}
        Cone::Nonnegative(rows) => {
            for row in 0..rows {
                add(row, 1.0, s[row], &[1.0], &flat)?;
            }
        }
        Cone::SecondOrder(rows) => {
            let sign = |i: usize| if i == 0 { 1.0 } else { -1.0 };
            let f: f64 = (0..rows).map(|i| sign(i) * s[i] * s[i]).sum();
            let g: Vec<f64> = (0..rows).map(|i| 2.0 * sign(i) * s[i]).collect();
            let h = |i: usize, j: usize| if i == j { 2.0 * sign(i) } else { 0.0 };
            add(0, 0.5, if s[0] > 0.0 { f } else { 0.0 }, &g, &h)?;
        }
        Cone::Semidefinite(2) => {
            // [[a, b/√2], [b/√2, c]].
            let (a, b, c) = (s[0], s[1], s[2]);
            let h = |i: usize, j: usize| match (i, j) {
                (0, 2) | (2, 0) => 1.0,
                (1, 1) => -1.0,
                _ => 0.0,
            };
            let f = if a > 0.0 { a * c - 0.5 * b * b } else { 0.0 };
            add(0, 1.0, f, &[c, -b, a], &h)?;
        }
        Cone::Exponential(count) => {
            for k in 0..count {
                let [x, y, v] = [s[3 * k], s[3 * k + 1], s[3 * k + 2]];
                if !(y > 0.0 && v > 0.0) {
                    return None;
                }
                let ratio = (v / y).ln();
                let h = |i: usize, j: usize| match (i, j) {
                    (1, 1) => -1.0 / y,
                    (1, 2) | (2, 1) => 1.0 / v,
                    (2, 2) => -y / (v * v),
                    _ => 0.0,
                };
                add(3 * k, 1.0, y * ratio - x, &[-1.0, ratio - 1.0, y / v], &h)?;
                add(3 * k + 1, 1.0, y, &[1.0], &flat)?;
                add(3 * k + 2, 1.0, v, &[1.0], &flat)?;
            }
        }
        Cone::Power(alpha) => {
            let [x, y, v] = [s[0], s[1], s[2]];
            if !(x > 0.0 && y > 0.0) {
                return None;
            }
            let beta = 1.0 - alpha;
            let squared = x.powf(2.0 * alpha) * y.powf(2.0 * beta);
            let g = [
                2.0 * alpha * squared / x,
                2.0 * beta * squared / y,
                -2.0 * v,
            ];
            let h = |i: usize, j: usize| match (i, j) {
                (0, 0) => 2.0 * alpha * (2.0 * alpha - 1.0) * squared / (x * x),
                (1, 1) => 2.0 * beta * (2.0 * beta - 1.0) * squared / (y * y),
                (0, 1) | (1, 0) => 4.0 * alpha * beta * squared / (x * y),
                (2, 2) => -2.0,
                _ => 0.0,
            };
            add(0, 1.0, squared - v * v, &g, &h)?;
            add(0, beta, x, &[1.0], &flat)?;
            add(1, alpha, y, &[1.0], &flat)?;
        }
        Cone::Semidefinite(_) => panic!("the tests draw matrices of size 2"),
    }
    Some(())
}

/// A point of a cone's interior.
fn inside(cone: Cone) -> Vec<f64> {
    match cone {
        Cone::Zero(rows) => vec![0.0; rows],
        Cone::Nonnegative(rows) => vec![1.0; rows],
        Cone::SecondOrder(rows) => (0..rows).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect(),
        Cone::Semidefinite(size) => (1..=size)
            .flat_map(|column| (1..=column).map(move |row| if row == column { 1.0 } else { 0.0 }))
            .collect(),
        Cone::Exponential(count) => [-1.0, 1.0, 1.0].repeat(count),
        Cone::Power(_) => vec![1.0, 1.0, 0.0],
    }
}

/// `min ½xᵀPx + qᵀx + μ·barrier(b − Ax)` of the only sample: x, s and z, one after the other. Every
/// row must be reachable, as where `A` has full row rank.
pub fn central(owned: &Owned, mu: f64) -> Vec<f64> {
    let (n, m) = (owned.n, owned.a.rows);
    let mut p = Mat::<f64>::zeros(n, n);
    for (&(row, column), v) in owned.p.places().iter().zip(owned.of(0, 0)) {
        (p[(row, column)], p[(column, row)]) = (*v, *v);
    }
    let mut a = Mat::<f64>::zeros(m, n);
    for (&(row, column), v) in owned.a.places().iter().zip(owned.of(2, 0)) {
        a[(row, column)] = *v;
    }
    let (q, b) = (owned.of(1, 0), owned.of(3, 0));
    let start: Vec<f64> = owned.cones.iter().flat_map(|cone| inside(*cone)).collect();
    let wanted = Mat::from_fn(m, 1, |row, _| b[row] - start[row]);
    let gram = &a * a.transpose();
    let mut x = a.transpose() * gram.full_piv_lu().solve(&wanted);
    let slacks = |x: &Mat<f64>| -> Vec<f64> {
        let ax = &a * x;
        (0..m).map(|row| b[row] - ax[(row, 0)]).collect()
    };
    let of_cones = |s: &[f64]| {
        let (mut gradient, mut hessian) = (vec![0.0; m], vec![vec![0.0; m]; m]);
        let mut first = 0;
        for &cone in &owned.cones {
            let rows = first..first + cone.rows();
            let mut block = vec![vec![0.0; rows.len()]; rows.len()];
            barrier(
                cone,
                &s[rows.clone()],
                &mut gradient[rows.clone()],
                &mut block,
            )?;
            for (row, block) in rows.clone().zip(&block) {
                hessian[row][rows.clone()].copy_from_slice(block);
            }
            first = rows.end;
        }
        Some((gradient, hessian))
    };
    let mut first = 0;
    let mut fixed = Vec::new();
    for &cone in &owned.cones {
        if let Cone::Zero(rows) = cone {
            fixed.extend(first..first + rows);
        }
        first += cone.rows();
    }
    let size = n + fixed.len();
    let mut nu = vec![0.0; fixed.len()];
    // The most that the tests' programs take is 680, almost all of them damped.
    for step in 0..2000 {
        assert!(step < 1999, "no central point at {mu}");
        let s = slacks(&x);
        let (gradient, hessian) = of_cones(&s).unwrap();
        let curvature = Mat::from_fn(m, m, |i, j| mu * hessian[i][j]);
        let top = &p + a.transpose() * &curvature * &a;
        let mut matrix = Mat::<f64>::zeros(size, size);
        let mut force = Mat::<f64>::zeros(size, 1);
        let of_p = &p * &x;
        for i in 0..n {
            force[(i, 0)] = -of_p[(i, 0)] - q[i];
            force[(i, 0)] += (0..m)
                .map(|row| mu * gradient[row] * a[(row, i)])
                .sum::<f64>();
            for j in 0..n {
                matrix[(i, j)] = top[(i, j)];
            }
        }
        for (k, &row) in fixed.iter().enumerate() {
            force[(n + k, 0)] = s[row];
            for j in 0..n {
                matrix[(n + k, j)] = a[(row, j)];
                matrix[(j, n + k)] = a[(row, j)];
            }
        }
        let found = matrix.full_piv_lu().solve(&force);
        let step: Vec<f64> = (0..n).map(|i| found[(i, 0)]).collect();
        nu = (0..fixed.len()).map(|k| found[(n + k, 0)]).collect();
        // Newton's decrement, in the barrier's own units: below ¼ a full step stays inside and squares it
        // (self-concordance; Nesterov & Nemirovskii 1994).
        let along = Mat::from_fn(n, 1, |i, _| step[i]);
        let decrement = ((along.transpose() * &top * &along)[(0, 0)] / mu).sqrt();
        let mut length = if decrement > 0.25 {
            1.0 / (1.0 + decrement)
        } else {
            1.0
        };
        let moved = |length: f64| Mat::from_fn(n, 1, |i, _| x[(i, 0)] + length * step[i]);
        while of_cones(&slacks(&moved(length))).is_none() {
            length *= 0.5;
            // A damped step stays inside but for rounding; none of the tests' is below 1e-6.
            assert!(length > 1e-6);
        }
        x = moved(length);
        // After a full step the decrement is its square: 1e-22 from 1e-11. Where rounding keeps it above,
        // the step itself is at the rounding of x.
        let size = 1.0 + (0..n).map(|i| x[(i, 0)].abs()).fold(0.0, f64::max);
        if length == 1.0 && inner(&step, &step).sqrt() < 1e-14 * size {
            break;
        }
        if length == 1.0 && decrement < 1e-11 {
            break;
        }
    }
    let s = slacks(&x);
    let (gradient, _) = of_cones(&s).unwrap();
    let mut z: Vec<f64> = gradient.iter().map(|g| -mu * g).collect();
    for (row, nu) in fixed.iter().zip(&nu) {
        z[*row] = *nu;
    }
    let mut out: Vec<f64> = (0..n).map(|i| x[(i, 0)]).collect();
    out.extend(s);
    out.extend(z);
    out
}
