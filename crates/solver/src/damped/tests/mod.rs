//! The fast paths against the plain algorithm, and every gradient against central differences.

mod failures;
mod gradients;
mod input;
mod limit;
mod paths;

use faer::Mat;
use faer::linalg::solvers::Solve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A random family with its own numbers; blocks of every kind.
struct Family {
    n: usize,
    batch: usize,
    affine: Vec<f64>,
    diagonal: (Vec<f64>, Vec<f64>),
    dense: (Vec<f64>, Vec<f64>),
    per_sample: Vec<f64>,
    counts: [usize; 4],
    lower: Vec<f64>,
    upper: Vec<f64>,
    equality: Vec<bool>,
    start: Vec<f64>,
}

impl Family {
    /// `counts`: shared affine, shared diagonal, shared dense and per-sample affine rows. The
    /// first half of the affine rows are equalities.
    fn new(seed: u64, n: usize, batch: usize, counts: [usize; 4]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count: usize, scale: f64| -> Vec<f64> {
            (0..count)
                .map(|_| rng.random_range(-scale..scale))
                .collect()
        };
        let [a, d, h, s] = counts;
        let m = a + d + h + s;
        let dense: Vec<f64> = (0..h)
            .flat_map(|_| {
                let root = Mat::from_fn(n, n, {
                    let r = draw(n * n, 0.2);
                    move |i, j| r[i * n + j]
                });
                let h = &root * root.transpose();
                (0..n * n)
                    .map(move |at| h[(at / n, at % n)])
                    .collect::<Vec<_>>()
            })
            .collect();
        let affine = draw(a * n, 1.0);
        let diagonal = (
            draw(d * n, 0.1).into_iter().map(f64::abs).collect(),
            draw(d * n, 1.0),
        );
        let dense = (dense, draw(h * n, 1.0));
        let per_sample = draw(batch * s * n, 1.0);
        let start = draw(batch * n, 1.0);
        let centre = draw(batch * m, 0.3);
        let width = draw(batch * m, 0.4);
        let equality: Vec<bool> = (0..m).map(|row| row < a / 2).collect();
        let (mut lower, mut upper) = (centre.clone(), centre);
        for at in 0..batch * m {
            let row = at % m;
            if !equality[row] {
                upper[at] += width[at].abs();
                // Every third inequality has one side only.
                lower[at] = if row % 3 == 0 {
                    f64::NEG_INFINITY
                } else {
                    lower[at] - width[at].abs()
                };
            }
        }
        Self {
            n,
            batch,
            affine,
            diagonal,
            dense,
            per_sample,
            counts,
            lower,
            upper,
            equality,
            start,
        }
    }

    /// The same rows and bounds, each times its factor.
    fn in_units(&self, factors: &[f64]) -> Self {
        let [a, d, h, s] = self.counts;
        let n = self.n;
        let scaled = |values: &[f64], first: usize, count: usize, len: usize| -> Vec<f64> {
            let factor = |at: usize| factors[first + at / len % count];
            let values = values.iter().enumerate();
            values.map(|(at, v)| v * factor(at)).collect()
        };
        Self {
            n,
            batch: self.batch,
            affine: scaled(&self.affine, 0, a, n),
            diagonal: (
                scaled(&self.diagonal.0, a, d, n),
                scaled(&self.diagonal.1, a, d, n),
            ),
            dense: (
                scaled(&self.dense.0, a + d, h, n * n),
                scaled(&self.dense.1, a + d, h, n),
            ),
            per_sample: scaled(&self.per_sample, a + d + h, s, n),
            counts: self.counts,
            lower: scaled(&self.lower, 0, a + d + h + s, 1),
            upper: scaled(&self.upper, 0, a + d + h + s, 1),
            equality: self.equality.clone(),
            start: self.start.clone(),
        }
    }

    fn problem(&self) -> DampedProblem<'_> {
        use Values::{PerSample, Shared};
        let [a, d, h, s] = self.counts;
        let blocks = vec![
            Rows {
                rows: a,
                linear: Shared(&self.affine),
                curvature: RowCurvature::None,
            },
            Rows {
                rows: d,
                linear: Shared(&self.diagonal.1),
                curvature: RowCurvature::Diagonal(Shared(&self.diagonal.0)),
            },
            Rows {
                rows: h,
                linear: Shared(&self.dense.1),
                curvature: RowCurvature::Dense(Shared(&self.dense.0)),
            },
            Rows {
                rows: s,
                linear: PerSample(&self.per_sample),
                curvature: RowCurvature::None,
            },
        ];
        DampedProblem {
            batch: self.batch,
            n: self.n,
            blocks,
            lower: PerSample(&self.lower),
            upper: PerSample(&self.upper),
            equality: &self.equality,
        }
    }
}

const SETTINGS: DampedSettings = DampedSettings {
    damping: 1e-2,
    tolerance: 1e-9,
    max_iterations: 12,
    rows: RowPolicy::All,
    weights: RowWeights::Uniform,
    stopping: Stopping::PerSample,
};

/// The algorithm as it is written in the paper, with a dense LU of JᵀW²J + λI.
fn plain(
    problem: &DampedProblem<'_>,
    sample: usize,
    start: &[f64],
    settings: &DampedSettings,
) -> (Vec<f64>, usize) {
    let (n, m) = (problem.n, problem.rows());
    let (mut y, mut g, mut scratch) = (start.to_vec(), vec![0.0; m], vec![0.0; n]);
    let weights: Vec<f64> = (0..m)
        .map(|row| {
            rows::jacobian_row(problem, sample, row, start, &mut scratch);
            match settings.weights {
                RowWeights::Uniform => 1.0,
                RowWeights::InverseNorms => scratch.iter().map(|v| v * v).sum::<f64>().powf(-0.5),
            }
        })
        .collect();
    for iteration in 0..settings.max_iterations {
        rows::values(problem, sample, &y, &mut g, &mut scratch);
        let (l, u) = (
            problem.lower.sample(sample, m),
            problem.upper.sample(sample, m),
        );
        let r: Vec<f64> = (0..m).map(|i| g[i] - g[i].clamp(l[i], u[i])).collect();
        if r.iter().all(|v| v.abs() < settings.tolerance) {
            return (y, iteration);
        }
        let mut j = Mat::<f64>::zeros(m, n);
        for row in 0..m {
            if settings.rows == RowPolicy::All || problem.equality[row] || r[row] != 0.0 {
                rows::jacobian_row(problem, sample, row, &y, &mut scratch);
                (0..n).for_each(|k| j[(row, k)] = weights[row] * scratch[k]);
            }
        }
        let right = j.transpose() * Mat::from_fn(m, 1, |i, _| weights[i] * r[i]);
        let matrix =
            j.transpose() * &j + Mat::<f64>::identity(n, n) * faer::Scale(settings.damping);
        let delta = matrix.partial_piv_lu().solve(&right);
        (0..n).for_each(|k| y[k] -= delta[(k, 0)]);
        if (0..n).all(|k| delta[(k, 0)].abs() < settings.tolerance) {
            return (y, iteration + 1);
        }
    }
    (y, settings.max_iterations)
}

/// Shapes with fewer and with more rows than variables, of one kind and of all kinds.
fn families() -> Vec<Family> {
    let counts = [
        [4, 3, 2, 2],
        [3, 0, 0, 0],
        [9, 0, 0, 0],
        [2, 6, 0, 0],
        [0, 2, 2, 0],
        [0, 0, 0, 4],
        [6, 4, 3, 3],
        [0, 1, 0, 0],
    ];
    counts
        .into_iter()
        .enumerate()
        .map(|(seed, counts)| Family::new(seed as u64, 7, 5, counts))
        .collect()
}
