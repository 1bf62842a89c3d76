//! Small dense matrices: factors of semidefinite ones, eigenvalues.

/// What counts as rounding in a matrix that should be semidefinite, relative to its largest entry:
/// the solver's own measure.
const ROUNDING: f64 = 1e-10;

/// Rows `l` with `M = Σ l lᵀ`, by Cholesky's method with diagonal pivots, for a symmetric positive
/// semidefinite `M`, `[n, n]`; `None` for any other matrix.
///
/// Higham 2002, section 10.3. `O(n²·rank)`.
pub(crate) fn semidefinite_factor(matrix: &[f64], n: usize) -> Option<Vec<Vec<f64>>> {
    let size = matrix.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let allowed = ROUNDING * size;
    if (0..n).any(|i| (0..i).any(|j| (matrix[i * n + j] - matrix[j * n + i]).abs() > allowed)) {
        return None;
    }
    let mut rest = matrix.to_vec();
    let mut rows = Vec::new();
    loop {
        let pivot = (0..n).max_by(|&i, &j| rest[i * n + i].total_cmp(&rest[j * n + j]))?;
        let largest = rest[pivot * n + pivot];
        if largest <= allowed {
            // Rounding may leave n times as much as one step.
            let left = rest.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            return (left <= allowed * n as f64).then_some(rows);
        }
        let root = largest.sqrt();
        let row: Vec<f64> = (0..n).map(|j| rest[pivot * n + j] / root).collect();
        for i in 0..n {
            if row[i] != 0.0 {
                for j in 0..n {
                    rest[i * n + j] -= row[i] * row[j];
                }
            }
        }
        for j in 0..n {
            rest[pivot * n + j] = 0.0;
            rest[j * n + pivot] = 0.0;
        }
        rows.push(row);
    }
}

/// Eigenvalues of a symmetric matrix, ascending, by Jacobi's rotations (Golub & Van Loan 2013,
/// section 8.5).
pub(crate) fn eigenvalues(matrix: &[f64], n: usize) -> Vec<f64> {
    let mut a = matrix.to_vec();
    for i in 0..n {
        for j in 0..i {
            let mean = 0.5 * (a[i * n + j] + a[j * n + i]);
            a[i * n + j] = mean;
            a[j * n + i] = mean;
        }
    }
    // Convergence is quadratic; six to ten sweeps are usual.
    for _ in 0..60 {
        let mut off = 0.0;
        let mut all = 0.0;
        for i in 0..n {
            for j in 0..n {
                let square = a[i * n + j] * a[i * n + j];
                all += square;
                off += if i == j { 0.0 } else { square };
            }
        }
        if !(off > 1e-32 * all) {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, n, p, q);
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn rotate(a: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (kp, kq) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * kp - s * kq;
        a[k * n + q] = s * kp + c * kq;
    }
    for k in 0..n {
        let (pk, qk) = (a[p * n + k], a[q * n + k]);
        a[p * n + k] = c * pk - s * qk;
        a[q * n + k] = s * pk + c * qk;
    }
}

/// Singular values of `[m, n]`, ascending, as eigenvalues of `[0 M; Mᵀ 0]`, which keeps the small
/// ones to rounding of the largest.
pub(crate) fn singular_values(matrix: &[f64], m: usize, n: usize) -> Vec<f64> {
    let size = m + n;
    let mut wide = vec![0.0; size * size];
    for i in 0..m {
        for j in 0..n {
            wide[i * size + m + j] = matrix[i * n + j];
            wide[(m + j) * size + i] = matrix[i * n + j];
        }
    }
    let values = eigenvalues(&wide, size);
    values[size - m.min(n)..].to_vec()
}

/// Solves `M x = b` for a symmetric positive definite `M`; `None` for any other.
pub(crate) fn solve_definite(matrix: &[f64], n: usize, rhs: &[f64]) -> Option<Vec<f64>> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let inner: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = matrix[i * n + j] - inner;
            if i == j {
                if !(rest > 0.0) {
                    return None;
                }
                l[i * n + i] = rest.sqrt();
            } else {
                l[i * n + j] = rest / l[j * n + j];
            }
        }
    }
    let mut x = rhs.to_vec();
    for i in 0..n {
        for k in 0..i {
            x[i] -= l[i * n + k] * x[k];
        }
        x[i] /= l[i * n + i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            x[i] -= l[k * n + i] * x[k];
        }
        x[i] /= l[i * n + i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_of_a_singular_matrix() {
        let m = [4.0, 2.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 9.0];
        let rows = semidefinite_factor(&m, 3).unwrap();
        assert_eq!(rows.len(), 2);
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = rows.iter().map(|r| r[i] * r[j]).sum();
                assert!((product - m[i * 3 + j]).abs() < 1e-14);
            }
        }
        assert!(semidefinite_factor(&[0.0, 1.0, 1.0, 0.0], 2).is_none());
        assert!(semidefinite_factor(&[1.0, 1.0, 0.0, 1.0], 2).is_none());
        assert!(semidefinite_factor(&[-1.0], 1).is_none());
        assert_eq!(semidefinite_factor(&[0.0; 4], 2).unwrap().len(), 0);
    }

    #[test]
    fn eigenvalues_of_known_matrices() {
        let values = eigenvalues(&[2.0, 1.0, 1.0, 2.0], 2);
        assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
        let values = singular_values(&[3.0, 0.0, 0.0, 0.0, 4.0, 0.0], 2, 3);
        assert!((values[0] - 3.0).abs() < 1e-14 && (values[1] - 4.0).abs() < 1e-14);
        let x = solve_definite(&[2.0, 1.0, 1.0, 2.0], 2, &[3.0, 3.0]).unwrap();
        assert!((x[0] - 1.0).abs() < 1e-15 && (x[1] - 1.0).abs() < 1e-15);
    }
}
