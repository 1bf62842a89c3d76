//! The Douglas-Rachford iteration, several samples at a time.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;

use super::PiNetSettings;
use super::lift::Lift;

/// Samples whose products with a shared matrix are one product of matrices.
const TOGETHER: usize = 16;

/// One sample's numbers.
#[derive(Debug)]
pub(super) struct Sample {
    /// The input.
    pub(super) y: Vec<f64>,
    pub(super) offset: Vec<f64>,
    pub(super) low: Vec<f64>,
    pub(super) high: Vec<f64>,
}

/// Where a sample ended.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The governing sequence's last element, `[size]`.
    pub(super) s: Vec<f64>,
    /// Its projection on the equalities, of which x is the output.
    pub(super) z: Vec<f64>,
    pub(super) iterations: usize,
    pub(super) converged: bool,
}

/// The second step: the box, with the pull of the input on x = dx̃. Takes r = 2z − s.
pub(super) fn pulled(lift: &Lift, sample: &Sample, r: &[f64], sigma: f64, out: &mut [f64]) {
    let n = sample.y.len();
    for (at, out) in out.iter_mut().enumerate() {
        let inner = match at < n {
            true => {
                let d = lift.columns[at];
                (2.0 * sigma * d * sample.y[at] + r[at]) / (1.0 + 2.0 * sigma * d * d)
            }
            false => r[at],
        };
        *out = inner.max(sample.low[at]).min(sample.high[at]);
    }
}

/// Iterates every sample to its fixed point.
pub(super) fn iterate(lift: &Lift, samples: &[Sample], settings: &PiNetSettings) -> Vec<Fixed> {
    let together = if lift.is_shared() { TOGETHER } else { 1 };
    samples
        .par_chunks(together)
        .enumerate()
        .flat_map_iter(|(chunk, samples)| iterate_chunk(lift, chunk * together, samples, settings))
        .collect()
}

fn iterate_chunk(
    lift: &Lift,
    first: usize,
    samples: &[Sample],
    settings: &PiNetSettings,
) -> Vec<Fixed> {
    let (size, count) = (lift.size, samples.len());
    let projection = lift.projection(first);
    let scales = lift.scales();
    // One column a sample.
    let mut s = Mat::<f64>::zeros(size, count);
    let mut z = Mat::<f64>::zeros(size, count);
    let mut live = vec![true; count];
    let mut iterations = vec![0; count];
    let mut converged = vec![false; count];
    let (mut r, mut t) = (vec![0.0; size], vec![0.0; size]);
    for step in 0..=settings.max_iterations {
        matmul(
            z.as_mut(),
            Accum::Replace,
            projection,
            s.as_ref(),
            1.0,
            Par::Seq,
        );
        for (column, sample) in samples.iter().enumerate() {
            for (z, offset) in z.col_mut(column).iter_mut().zip(&sample.offset) {
                *z += offset;
            }
            if !live[column] {
                continue;
            }
            let (z, mut s) = (z.col(column), s.col_mut(column));
            for at in 0..size {
                r[at] = 2.0 * z[at] - s[at];
            }
            pulled(lift, sample, &r, settings.sigma, &mut t);
            let apart = (0..size).fold(0.0, |a: f64, at| a.max((t[at] - z[at]).abs() * scales[at]));
            if apart <= settings.tolerance {
                (live[column], converged[column]) = (false, true);
            } else if step == settings.max_iterations || !apart.is_finite() {
                live[column] = false;
            } else {
                iterations[column] += 1;
                for at in 0..size {
                    s[at] += settings.omega * (t[at] - z[at]);
                }
            }
        }
        if !live.contains(&true) {
            break;
        }
    }
    let column = |matrix: &Mat<f64>, column: usize| matrix.col(column).iter().copied().collect();
    (0..count)
        .map(|at| Fixed {
            s: column(&s, at),
            z: column(&z, at),
            iterations: iterations[at],
            converged: converged[at],
        })
        .collect()
}
