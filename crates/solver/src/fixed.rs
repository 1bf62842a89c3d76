//! Rows of `G` that the equalities leave nothing to move along: their value follows from `b`, and the bounds have it or
//! nothing can be done.

use crate::active_set::certificate::bridges;
use crate::dense::{axpy, dot, norm};
use crate::problem::Sample;
use crate::settings::Settings;

/// What is to be said of such a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The bounds have its value, as far as that can be known.
    Holds,
    /// They do not, and `sign · (row − Aᵀν)` proves it.
    Contradicts {
        /// `+1` where the value is above the upper bound, `−1` where it is below the lower one.
        sign: f64,
        /// `[p]`
        nu: Vec<f64>,
    },
    /// It is no number, or is outside the bounds without a proof.
    Unclear,
}

/// Judges row `index` at a point that satisfies the equalities. `combination` has the `ν` with `Aᵀν = row`; only where the
/// point says no is it asked for.
///
/// The value is a sum whose terms may cancel, and so is what the point was computed from: their rounding, and that of the
/// data, is the terms'.
pub(crate) fn judge(
    sample: &Sample<'_>,
    index: usize,
    x: &[f64],
    settings: &Settings,
    combination: impl FnOnce(&[f64]) -> Vec<f64>,
) -> Verdict {
    let n = sample.n;
    let row = &sample.g[index * n..(index + 1) * n];
    let (l, u) = (sample.l[index], sample.u[index]);
    let length = norm(row);
    if length == 0.0 {
        // Its value is 0 at every point: what a solution may miss is all that is excused.
        let miss = l.max(-u);
        return match miss <= settings.reachable_tolerance() {
            true => Verdict::Holds,
            false => Verdict::Contradicts {
                sign: if l > 0.0 { -1.0 } else { 1.0 },
                nu: vec![0.0; sample.b.len()],
            },
        };
    }
    let value = dot(row, x);
    let mut terms = terms(row, x);
    let slack = settings.contradiction() * (length + terms);
    if value >= l - slack && value <= u + slack {
        return Verdict::Holds;
    }
    if value.is_nan() {
        return Verdict::Unclear;
    }
    let (sign, bound) = if value > u { (1.0, u) } else { (-1.0, l) };
    let nu = combination(row);
    let mut left = row.to_vec();
    let mut value = 0.0;
    for ((nu, b), line) in nu.iter().zip(sample.b).zip(sample.a.chunks_exact(n)) {
        value += nu * b;
        terms += nu.abs() * self::terms(line, x);
        axpy(-nu, line, &mut left);
    }
    let miss = sign * (value - bound);
    if miss <= settings.contradiction() * (length + terms) {
        return Verdict::Holds;
    }
    match bridges(&left, miss, length, settings.infeasibility_tolerance) {
        true => Verdict::Contradicts { sign, nu },
        false => Verdict::Unclear,
    }
}

/// `Σ |row_j x_j|`.
fn terms(row: &[f64], x: &[f64]) -> f64 {
    row.iter().zip(x).map(|(a, x)| (a * x).abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nullspace::Nullspace;
    use crate::problem::Matrix;

    /// The row `g` at `Ax = b`, with both bounds at `bound`.
    fn verdict(a: &[f64], b: &[f64], g: &[f64], bound: f64, rounding: f64) -> Verdict {
        let n = g.len();
        let sample = Sample {
            n,
            p: Matrix::Diagonal(&[]),
            q: &[],
            a,
            b,
            g,
            l: &[bound],
            u: &[bound],
            h: Matrix::Diagonal(&[]),
            hg: &[],
            c: &[],
        };
        let split = Nullspace::new(a, b.len(), n);
        let particular = split.particular();
        let mut x = vec![0.0; n];
        for (j, &row) in split.kept.iter().enumerate() {
            for (x, v) in x.iter_mut().zip(particular.col(j).iter()) {
                *x += b[row] * v;
            }
        }
        let settings = Settings {
            rounding,
            ..Settings::default()
        };
        judge(&sample, 0, &x, &settings, |row| split.combination_of(row))
    }

    #[test]
    fn proofs_say_which_side() {
        let (a, b) = ([1.0, 2.0, 3.0, 5.0], [3.0, 8.0]);
        assert_eq!(verdict(&a, &b, &[1.0, -1.0], 0.0, 1e-16), Verdict::Holds);
        for side in [1.0, -1.0] {
            match verdict(&a, &b, &[1.0, -1.0], -1e-3 * side, 1e-16) {
                Verdict::Contradicts { sign, nu } => {
                    assert_eq!(sign, side);
                    assert!((nu[0] + 8.0).abs() < 1e-12 && (nu[1] - 3.0).abs() < 1e-12);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The point is `(1000, 0)`, and 1000 units of rounding of `b` to its side: what is judged has no large term, what it
    /// comes from has.
    #[test]
    fn nearly_parallel_equalities_multiply_the_rounding() {
        let single = f64::from(f32::EPSILON);
        let (a, b) = ([1.0, 0.0, 1.0, 1e-3], [1000.0, 1000.0]);
        assert_eq!(verdict(&a, &b, &[0.0, 1.0], 0.1, single), Verdict::Holds);
        let contradicted = |verdict| matches!(verdict, Verdict::Contradicts { .. });
        assert!(contradicted(verdict(&a, &b, &[0.0, 1.0], 10.0, single)));
        assert!(contradicted(verdict(&a, &b, &[0.0, 1.0], 0.1, 1e-16)));
    }

    #[test]
    fn what_is_no_number_is_no_verdict() {
        let verdict = verdict(&[1.0, 0.0], &[f64::INFINITY], &[1.0, 0.0], 0.0, 1e-16);
        assert_eq!(verdict, Verdict::Unclear);
    }
}
