//! A sample in units of its own: tolerances have a floor of one, and iterations start there, which is far from
//! a solution of 1e-4 or 1e8.
//!
//! All factors are powers of two, so that nothing is rounded on the way there and back.

use crate::dense::{max_abs, median, power_of_two};
use crate::interior_point::{Answer, Owned};
use crate::problem::{Matrix, Sample};

/// Sizes that need no other units.
const ORDINARY: std::ops::Range<f64> = 0.1..1e3;

/// The length of `x` that a sample's numbers speak of: the median over the distances at which its rows and the
/// minimum of its objective lie, one where there are none. `lengths` is what it computes in.
pub(crate) fn natural_length(sample: &Sample<'_>, lengths: &mut Vec<f64>) -> f64 {
    let n = sample.n;
    lengths.clear();
    lengths.push(max_abs(sample.q) / largest_of_diagonal(sample.p, n));
    for (row, b) in sample.a.chunks_exact(n).zip(sample.b) {
        lengths.push(b.abs() / max_abs(row));
    }
    for (i, row) in sample.g.chunks_exact(n).enumerate() {
        let size = max_abs(row);
        lengths.extend([sample.l[i].abs() / size, sample.u[i].abs() / size]);
    }
    for (i, row) in sample.hg.chunks_exact(n).enumerate() {
        let (square, linear) = (largest_of_diagonal(sample.h.row(i, n), n), max_abs(row));
        let limit = sample.c[i].abs();
        if square > 0.0 {
            lengths.extend([linear / square, (limit / square).sqrt()]);
        } else {
            lengths.push(limit / linear);
        }
    }
    lengths.retain(|v| *v > 0.0 && v.is_finite());
    median(lengths).unwrap_or(1.0)
}

/// The largest entry of a semidefinite matrix.
pub(crate) fn largest_of_diagonal(matrix: Matrix<'_>, n: usize) -> f64 {
    match matrix {
        Matrix::Diagonal(data) => max_abs(data),
        Matrix::Dense(data) => data
            .iter()
            .step_by(n + 1)
            .fold(0.0, |most: f64, v| most.max(v.abs())),
    }
}

/// A sample in units in which its natural length, its objective's gradient and its rows are about one.
pub(crate) struct Natural {
    sample: Owned,
    length: f64,
    cost: f64,
    /// Sizes of equalities, rows of `G` and quadratic rows.
    rows: [Vec<f64>; 3],
}

impl Natural {
    /// `None` where the units are ordinary already.
    pub(crate) fn of(sample: &Sample<'_>) -> Option<Natural> {
        let n = sample.n;
        let length = natural_length(sample, &mut Vec::new());
        let force = max_abs(sample.q).max(largest_of_diagonal(sample.p, n) * length) * length;
        if ORDINARY.contains(&length) && (ORDINARY.contains(&force) || force == 0.0) {
            return None;
        }
        let (length, cost) = (power_of_two(length), power_of_two(force));
        let sizes = |rows: &[f64]| -> Vec<f64> {
            rows.chunks_exact(n)
                .map(|row| power_of_two(max_abs(row) * length))
                .collect()
        };
        let quadratic = |(i, row): (usize, &[f64])| {
            let square = largest_of_diagonal(sample.h.row(i, n), n) * length * length;
            power_of_two(square.max(max_abs(row) * length))
        };
        let rows = [
            sizes(sample.a),
            sizes(sample.g),
            sample
                .hg
                .chunks_exact(n)
                .enumerate()
                .map(quadratic)
                .collect(),
        ];
        let scaled = |data: &[f64], factor: f64, sizes: &[f64]| -> Vec<f64> {
            let width = data.len() / sizes.len().max(1);
            let values = data.iter().enumerate();
            values
                .map(|(i, v)| v * (factor / sizes[i / width]))
                .collect()
        };
        let one = [cost];
        Some(Natural {
            sample: Owned {
                n,
                p: scaled(sample.p.data(), length * length, &one),
                p_dense: matches!(sample.p, Matrix::Dense(_)),
                q: scaled(sample.q, length, &one),
                a: scaled(sample.a, length, &rows[0]),
                b: scaled(sample.b, 1.0, &rows[0]),
                g: scaled(sample.g, length, &rows[1]),
                l: scaled(sample.l, 1.0, &rows[1]),
                u: scaled(sample.u, 1.0, &rows[1]),
                h: scaled(sample.h.data(), length * length, &rows[2]),
                h_dense: matches!(sample.h, Matrix::Dense(_)),
                hg: scaled(sample.hg, length, &rows[2]),
                c: scaled(sample.c, 1.0, &rows[2]),
            },
            length,
            cost,
            rows,
        })
    }

    pub(crate) fn sample(&self) -> Sample<'_> {
        self.sample.sample()
    }

    /// An answer to this sample as one to the caller's.
    pub(crate) fn restore(&self, answer: &mut Answer) {
        answer.x.iter_mut().for_each(|x| *x *= self.length);
        let multipliers = [&mut answer.nu, &mut answer.lambda, &mut answer.mu];
        for (multipliers, sizes) in multipliers.into_iter().zip(&self.rows) {
            for (multiplier, size) in multipliers.iter_mut().zip(sizes) {
                *multiplier *= self.cost / size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interior_point::{Prepared, solve_sample};
    use crate::settings::Settings;

    /// A disc of radius one about the origin, a row and an equality, in units of `length` and `cost`.
    fn owned(length: f64, cost: f64) -> Owned {
        let (inverse, square) = (1.0 / length, 1.0 / (length * length));
        Owned {
            n: 3,
            p: vec![cost * square, 2.0 * cost * square, cost * square],
            p_dense: false,
            q: vec![-3.0 * cost * inverse, -cost * inverse, cost * inverse],
            a: vec![inverse, inverse, 2.0 * inverse],
            b: vec![0.5],
            g: vec![inverse, -inverse, 0.0],
            l: vec![f64::NEG_INFINITY],
            u: vec![0.5],
            h: vec![square; 3],
            h_dense: false,
            hg: vec![0.0; 3],
            c: vec![1.0],
        }
    }

    #[test]
    fn an_answer_in_other_units_is_the_same() {
        let settings = Settings::default();
        let solve = |owned: &Owned| {
            let sample = owned.sample();
            solve_sample(&sample, &Prepared::new(&sample), &settings)
        };
        let expected = solve(&owned(1.0, 1.0));
        assert!(expected.active.identified);
        for (length, cost) in [(1e-7, 1.0), (1e-4, 1e-9), (1e9, 1e9), (1.0, 1e12)] {
            let found = solve(&owned(length, cost));
            assert!(found.active.identified, "{length:e}, {cost:e}");
            let pairs = [
                (&found.x, &expected.x, length),
                (&found.nu, &expected.nu, cost),
                (&found.lambda, &expected.lambda, cost),
                (&found.mu, &expected.mu, cost),
            ];
            for (found, expected, unit) in pairs {
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found / unit - expected).abs() < 1e-12,
                        "{length:e}, {cost:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn lengths_are_those_of_the_numbers() {
        let length = |owned: &Owned| natural_length(&owned.sample(), &mut Vec::new());
        for unit in [1e-6, 1.0, 1e6] {
            let found = length(&owned(unit, 7.0)) / unit;
            assert!((0.2..3.0).contains(&found), "{found}");
        }
        assert!(Natural::of(&owned(1.0, 1.0).sample()).is_none());
        assert!(Natural::of(&owned(1e5, 1.0).sample()).is_some());
        let nothing = Owned {
            n: 2,
            p: vec![1.0, 0.0],
            q: vec![0.0; 2],
            ..Owned::default()
        };
        assert_eq!(length(&nothing), 1.0);
    }
}
