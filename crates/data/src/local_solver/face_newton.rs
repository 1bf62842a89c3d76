//! Newton's method on the face of the feasible set where a solution lies.

use super::kkt::Point;
use crate::recipes::{Error, Instance, Size};
use faer::linalg::solvers::Solve;
use faer::prelude::ReborrowMut;
use faer::{Mat, Side};

/// Newton steps; quadratic convergence from a residual of 1e-2 needs four.
const MOST_STEPS: usize = 8;
/// A Newton step below this, relative to the point, changes nothing that counts.
const SMALL_STEP: f64 = 1e-13;

/// Minimises the objective with the rows that have a positive multiplier at `point` kept equal to their bounds.
///
/// With `Eᵀ = Y R` and `Z` an orthonormal basis of the null space of the rows `E` (equalities and active
/// inequalities), a step solves `ZᵀHZ w = -Zᵀ∇f` and moves by `Zw` (Nocedal & Wright, Numerical Optimization,
/// 2nd ed., section 16.2). Multipliers are `-R⁻¹Yᵀ∇f`. `None` where `ZᵀHZ` is not positive definite (the face
/// has a saddle or a maximum there), where the active rows are dependent or more than `n`, or where the steps
/// do not shrink. The caller judges feasibility and multipliers of what comes back.
///
/// `point` must be on the face already, and the rows linear.
pub(super) fn minimise_on_face(instance: &Instance, point: &Point) -> Result<Option<Point>, Error> {
    let Size { n, eq, ineq: m, .. } = instance.size();
    let active: Vec<usize> = (0..m).filter(|&i| point.ineq_dual[i] > 0.0).collect();
    let rows = eq + active.len();
    if rows > n {
        return Ok(None);
    }
    let parts = instance.parts();
    let transposed = Mat::from_fn(n, rows, |j, r| {
        if r < eq {
            parts.equality[r * n + j]
        } else {
            parts.ineq[active[r - eq] * n + j]
        }
    });
    let qr = transposed.qr();
    let q = qr.compute_Q();
    let (range, null) = q.split_at_col(rows);
    // Dependent rows: 1e-10 leaves six digits of the multipliers.
    let diagonal = |r: usize| qr.thin_R()[(r, r)].abs();
    let largest = (0..rows).map(diagonal).fold(0.0, f64::max);
    if (0..rows).any(|r| diagonal(r) <= 1e-10 * largest) {
        return Ok(None);
    }

    let mut y = point.y.clone();
    let mut last_length = f64::INFINITY;
    for _ in 0..MOST_STEPS {
        if rows == n {
            break; // A vertex: nothing is free.
        }
        let gradient = column(&instance.objective_gradient(&y)?);
        let hessian = instance.objective_hessian_diagonal(&y)?;
        let scaled = Mat::from_fn(n, n - rows, |j, k| hessian[j] * null[(j, k)]);
        let Ok(factor) = (null.transpose() * &scaled).llt(Side::Lower) else {
            return Ok(None);
        };
        let step = null * factor.solve(null.transpose() * &gradient);
        let length = step.norm_l2();
        if length.is_nan() || length > last_length {
            return Ok(None);
        }
        last_length = length;
        for (entry, j) in y.iter_mut().zip(0..) {
            *entry -= step[(j, 0)];
        }
        if length <= SMALL_STEP * (1.0 + column(&y).norm_l2()) {
            break;
        }
    }

    let gradient = column(&instance.objective_gradient(&y)?);
    let mut duals = range.transpose() * &gradient;
    qr.thin_R().solve_upper_triangular_in_place(duals.rb_mut());
    let mut ineq_dual = vec![0.0; m];
    for (k, &i) in active.iter().enumerate() {
        ineq_dual[i] = -duals[(eq + k, 0)];
    }
    Ok(Some(Point {
        x: point.x.clone(),
        y,
        equality_dual: (0..eq).map(|r| -duals[(r, 0)]).collect(),
        ineq_dual,
    }))
}

fn column(values: &[f64]) -> Mat<f64> {
    Mat::from_fn(values.len(), 1, |j, _| values[j])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::{Parts, Recipe};

    /// `Σ ½ q v² + sin v` over three variables with `y₀ = x` and `row · y ≤ 5`.
    fn instance(q: f64, row: [f64; 3]) -> Instance {
        let size = Size {
            n: 3,
            eq: 1,
            ineq: 1,
            samples: 3,
        };
        let parts = Parts {
            q: vec![q; 3],
            p: vec![1.0; 3],
            equality: vec![1.0, 0.0, 0.0],
            x: vec![0.0; 3],
            ineq: row.to_vec(),
            ineq_diagonals: None,
            upper: vec![5.0],
        };
        Instance::new(Recipe::Dc3Nonconvex, size, 0, parts).unwrap()
    }

    fn point(y: [f64; 3], lambda: f64) -> Point {
        Point {
            x: vec![0.0],
            y: y.to_vec(),
            equality_dual: vec![0.0],
            ineq_dual: vec![lambda],
        }
    }

    #[test]
    fn a_minimum_is_reached_to_rounding_with_its_multipliers() {
        let instance = instance(0.5, [0.0, 1.0, 0.0]);
        let found = minimise_on_face(&instance, &point([0.0, -0.9, -1.2], 0.0))
            .unwrap()
            .unwrap();
        assert!(found.kkt_residual(&instance).unwrap() < 1e-14);
        // The active row stays put and gets the multiplier -(½ · 5 + cos 5) < 0: not an optimum, and seen.
        let held = minimise_on_face(&instance, &point([0.0, 5.0, -1.2], 1.0))
            .unwrap()
            .unwrap();
        assert!((held.y[1] - 5.0).abs() < 1e-14);
        assert!((held.ineq_dual[0] + 2.5 + 5.0_f64.cos()).abs() < 1e-13);
        assert!(held.kkt_residual(&instance).unwrap() > 2.0);
    }

    #[test]
    fn maxima_saddles_and_crowded_faces_are_refused() {
        let concave = instance(0.1, [0.0, 1.0, 0.0]);
        // sin v is at its top near v = π/2: negative curvature in one or both directions.
        assert!(
            minimise_on_face(&concave, &point([0.0, 1.5, 1.5], 0.0))
                .unwrap()
                .is_none()
        );
        assert!(
            minimise_on_face(&concave, &point([0.0, -1.4, 1.5], 0.0))
                .unwrap()
                .is_none()
        );
        let twice = instance(0.5, [1.0, 0.0, 0.0]);
        assert!(
            minimise_on_face(&twice, &point([0.0, -1.0, -1.0], 1.0))
                .unwrap()
                .is_none()
        );
    }
}
