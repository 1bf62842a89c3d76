//! The range-space construction of [`Explicit`]: inverts `P` and the Schur complement `A P⁻¹Aᵀ`.
//!
//! A third of the work of the null-space construction, but only as accurate as `P`, the Schur
//! complement and the rows of `G` are well conditioned (Nocedal & Wright, *Numerical
//! Optimization*, §16.2), so each of them is checked and any doubt returns `None`.

use faer::{Mat, Side};

use crate::active_set::explicit::Explicit;
use crate::active_set::reduced::{CONDITION, SQUARED_SINE, row_norms};
use crate::dense::{multiply, view, view_mut};
use crate::nullspace::spread;
use crate::problem::{Matrix, Sample};

/// Builds the factors, or `None` where the null-space construction is safer.
pub(crate) fn build(sample: &Sample<'_>) -> Option<Explicit> {
    let n = sample.n;
    let (p, m) = (sample.a.len() / n, sample.g.len() / n);
    let size = n + p;
    if let (Matrix::Diagonal(d), 0, 0) = (sample.p, p, m) {
        let (inverse, condition) = inverse_of(d)?;
        return Some(Explicit::diagonal(inverse, condition));
    }
    let (a, g) = (view(sample.a, p, n), view(sample.g, m, n));
    let mut inverse = vec![0.0; size * size];
    let mut condition = invert(sample.p, n, size, &mut inverse)?;
    if p > 0 {
        // W = L⁻¹ A P⁻¹ with A P⁻¹Aᵀ = LLᵀ: the blocks of the inverse are P⁻¹ − WᵀW, L⁻ᵀW, −L⁻ᵀL⁻¹.
        let mut w = Mat::zeros(p, n);
        multiply(
            w.as_mut(),
            1.0,
            a,
            view(&inverse, size, size).submatrix(0, 0, n, n),
        );
        let mut schur = Mat::zeros(p, p);
        multiply(schur.as_mut(), 1.0, w.as_ref(), a.transpose());
        let factor = schur.llt(Side::Lower).ok()?;
        let lower = factor.L();
        for j in 0..p {
            if !(lower[(j, j)].powi(2) > SQUARED_SINE * schur[(j, j)]) {
                return None;
            }
        }
        condition = f64::max(condition, spread((0..p).map(|j| lower[(j, j)])).powi(2));
        lower.solve_lower_triangular_in_place(w.as_mut());
        let mut root = Mat::identity(p, p);
        lower.solve_lower_triangular_in_place(root.as_mut());
        let mut hat = Mat::zeros(p, n);
        multiply(hat.as_mut(), 1.0, root.transpose(), w.as_ref());
        let mut block = view_mut(&mut inverse, size, size);
        faer::linalg::matmul::matmul(
            block.as_mut().submatrix_mut(0, 0, n, n),
            faer::Accum::Add,
            w.transpose(),
            w.as_ref(),
            -1.0,
            faer::Par::Seq,
        );
        multiply(
            block.as_mut().submatrix_mut(n, n, p, p),
            -1.0,
            root.transpose(),
            root.as_ref(),
        );
        let of_rows = {
            let inverse = block.as_ref().submatrix(n, n, p, p);
            let length = |i: usize| schur[(i, i)].sqrt();
            largest_row_sum(p, |i, j| length(i) * inverse[(i, j)] * length(j))
        };
        if !(of_rows * SQUARED_SINE < 1.0) {
            return None;
        }
        condition = condition.max(of_rows);
        block
            .as_mut()
            .submatrix_mut(n, 0, p, n)
            .copy_from(hat.as_ref());
        block
            .as_mut()
            .submatrix_mut(0, n, n, p)
            .copy_from(hat.transpose());
    }
    let mut response = vec![0.0; m * size];
    multiply(
        view_mut(&mut response, m, size),
        1.0,
        g,
        view(&inverse, size, size).subrows(0, n),
    );
    let mut k = vec![0.0; m * m];
    multiply(
        view_mut(&mut k, m, m),
        1.0,
        view(&response, m, size).subcols(0, n),
        g.transpose(),
    );
    let mut norms = Vec::with_capacity(m);
    row_norms(sample.g, n, &mut norms)?;
    let mut scale = vec![0.0; m];
    for i in (0..m).filter(|&i| norms[i] > 0.0) {
        // What is left of the row against what it would be without the equalities; P⁻¹ is at
        // least its smallest eigenvalue, 1/‖P‖ up to the dimension.
        let free = norms[i].powi(2) / (n as f64 * sample.p.max_abs());
        if !(k[i * m + i] > SQUARED_SINE * free) || k[i * m + i] == f64::INFINITY {
            return None;
        }
        scale[i] = 1.0 / k[i * m + i].sqrt();
    }
    for i in 0..m {
        for j in 0..m {
            k[i * m + j] *= scale[i] * scale[j];
        }
        response[i * size..(i + 1) * size]
            .iter_mut()
            .for_each(|v| *v *= scale[i]);
    }
    Some(Explicit {
        n,
        p,
        m,
        inverse,
        response,
        k,
        scale,
        norms,
        split: None,
        condition,
    })
}

/// The inverse of a diagonal and its condition, `None` where an entry is not positive or that is too large.
pub(crate) fn inverse_of(diagonal: &[f64]) -> Option<(Vec<f64>, f64)> {
    let condition = spread(diagonal.iter().copied());
    let is_safe = diagonal.iter().all(|v| *v > 0.0) && condition < CONDITION;
    is_safe.then(|| (diagonal.iter().map(|v| 1.0 / v).collect(), condition))
}

/// Writes `P⁻¹` into the upper left block; returns the condition.
fn invert(p: Matrix<'_>, n: usize, size: usize, inverse: &mut [f64]) -> Option<f64> {
    let condition = match p {
        Matrix::Diagonal(d) => {
            let (diagonal, condition) = inverse_of(d)?;
            for (i, v) in diagonal.into_iter().enumerate() {
                inverse[i * size + i] = v;
            }
            condition
        }
        Matrix::Dense(data) => {
            let factor = view(data, n, n).llt(Side::Lower).ok()?;
            let lower = factor.L();
            let mut root = Mat::identity(n, n);
            lower.solve_lower_triangular_in_place(root.as_mut());
            let mut block = view_mut(inverse, size, size);
            multiply(
                block.as_mut().submatrix_mut(0, 0, n, n),
                1.0,
                root.transpose(),
                root.as_ref(),
            );
            let inverse = block.as_ref().submatrix(0, 0, n, n);
            let largest = (0..n).map(|i| data[i * (n + 1)]).fold(0.0, f64::max);
            let condition = largest * largest_row_sum(n, |i, j| inverse[(i, j)]);
            // NaN is too much.
            if !(condition < CONDITION) {
                return None;
            }
            spread((0..n).map(|j| lower[(j, j)].powi(2))).max(condition)
        }
    };
    (condition < CONDITION).then_some(condition)
}

/// `‖M‖_∞`; NaN where an entry is.
fn largest_row_sum(n: usize, entry: impl Fn(usize, usize) -> f64) -> f64 {
    let sums = (0..n).map(|i| (0..n).map(|j| entry(i, j).abs()).sum());
    sums.fold(0.0, |largest: f64, sum: f64| match sum <= largest {
        true => largest,
        false => sum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active_set::least_distance::{Builder, Layout};
    use crate::active_set::reduced::Reduced;

    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} and {b}");
        }
    }

    #[test]
    fn the_constructions_agree() {
        let dense = [
            4.0, 1.0, 0.0, 0.5, 1.0, 3.0, 0.5, 0.0, 0.0, 0.5, 2.0, 0.1, 0.5, 0.0, 0.1, 1.0,
        ];
        let a = [1.0, 2.0, -1.0, 0.5, 0.0, 3.0, 1.0, -2.0];
        let g = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        for p in [
            Matrix::Dense(&dense),
            Matrix::Diagonal(&[4.0, 3.0, 2.0, 1.0]),
        ] {
            for rows in [0, 4, 8] {
                let sample = Sample {
                    n: 4,
                    p,
                    q: &[0.0; 4],
                    a: &a[..rows],
                    b: &[],
                    g: &g,
                    l: &[],
                    u: &[],
                    h: Matrix::Diagonal(&[]),
                    hg: &[],
                    c: &[],
                };
                let size = 4 + rows / 4;
                let rhs: Vec<f64> = (0..2 * size).map(|i| (i as f64 * 1.3).sin()).collect();
                let multipliers: Vec<f64> = (0..6).map(|i| (i as f64 * 0.7).cos()).collect();
                let answer = |one: &Reduced<'_>| {
                    let mut point = vec![0.0; 2 * size];
                    one.point(&rhs, size, &mut point, &mut vec![]);
                    one.respond(&multipliers, &mut point, &mut vec![]);
                    (
                        point,
                        one.k.to_vec(),
                        one.scale.to_vec(),
                        one.norms.to_vec(),
                    )
                };
                let mut builder = Builder::new(Layout::of_sample(&sample));
                // What other samples left does not matter.
                let mut numbers = vec![f64::NAN; 3];
                let condition = builder.build(&sample, &mut numbers).unwrap();
                let answers = [
                    answer(&build(&sample).unwrap().reduced()),
                    answer(&Explicit::null_space(&sample).unwrap().reduced()),
                    answer(&builder.reduced(&numbers[3..], condition)),
                ];
                for other in &answers[1..] {
                    close(&answers[0].0, &other.0);
                    close(&answers[0].1, &other.1);
                    close(&answers[0].2, &other.2);
                    close(&answers[0].3, &other.3);
                }
            }
        }
    }

    #[test]
    fn doubtful_data_is_declined() {
        let least_distance_declines = |sample: &Sample<'_>| {
            let mut numbers = vec![1.0];
            let mut builder = Builder::new(Layout::of_sample(sample));
            builder.build(sample, &mut numbers).is_none() && numbers == [1.0]
        };
        let base = Sample {
            n: 2,
            p: Matrix::Diagonal(&[1.0, 1.0]),
            q: &[0.0; 2],
            a: &[1.0, 1.0, 1.0, 1.0 + 1e-6],
            b: &[],
            g: &[],
            l: &[],
            u: &[],
            h: Matrix::Diagonal(&[]),
            hg: &[],
            c: &[],
        };
        assert!(build(&base).is_none() && least_distance_declines(&base));
        assert!(
            build(&Sample {
                a: &[],
                p: Matrix::Diagonal(&[1.0, 1e-7]),
                ..base
            })
            .is_none()
        );
        // A row of G whose response to P overflows.
        let steep = Sample {
            a: &[],
            p: Matrix::Diagonal(&[1e-300, 1e-300]),
            g: &[1e8, 0.0],
            ..base
        };
        assert!(build(&steep).is_none() && least_distance_declines(&steep));
        let steeper = Sample {
            p: Matrix::Diagonal(&[1e-320, 1e-320]),
            g: &[1e150, 0.0],
            ..steep
        };
        assert!(Explicit::null_space(&steeper).is_none());
        // A row of G that the equality fixes.
        assert!(
            build(&Sample {
                a: &[1.0, 1.0],
                g: &[2.0, 2.0],
                ..base
            })
            .is_none()
        );
        assert!(
            build(&Sample {
                a: &[1.0, 1.0],
                g: &[2.0, 1.0],
                ..base
            })
            .is_some()
        );
    }
}
