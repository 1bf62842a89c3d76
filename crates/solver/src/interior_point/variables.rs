//! Scaling of the variables: `x = S x̂` with a diagonal `S` that brings every column of the rows
//! and matrices to a largest entry near 1 (Ruiz 2001, with the rows' own scales taken out).

use crate::dense::max_abs;
use crate::problem::{Matrix, Sample};

/// Columns whose size is within this factor of 1 are left alone; scaling them gains nothing and
/// costs copies of all matrices.
const HARMLESS: f64 = 20.0;

/// Scales stay within this factor of 1.
const LIMIT: f64 = 1e6;

/// Passes; row and column sizes depend on each other, and the second pass changes little.
const PASSES: usize = 2;

/// Scaled copies of everything that depends on the matrices.
pub(crate) struct Variables {
    /// The diagonal of `S`.
    pub(crate) scale: Vec<f64>,
    p: Vec<f64>,
    a: Vec<f64>,
    g: Vec<f64>,
    h: Vec<f64>,
    hg: Vec<f64>,
}

impl Variables {
    /// `None` when the variables are scaled well enough as they are.
    pub(crate) fn of(sample: &Sample<'_>) -> Option<Variables> {
        let n = sample.n;
        let mut scale = vec![1.0; n];
        for pass in 0..PASSES {
            let size = column_sizes(sample, &scale);
            if pass == 0 && size.iter().all(|v| *v > 1.0 / HARMLESS) {
                return None;
            }
            for (scale, size) in scale.iter_mut().zip(&size) {
                if *size > 0.0 {
                    *scale = (*scale / size).clamp(1.0 / LIMIT, LIMIT);
                }
            }
        }
        let columns = |data: &[f64]| -> Vec<f64> {
            data.iter()
                .enumerate()
                .map(|(i, v)| v * scale[i % n])
                .collect()
        };
        let matrix = |matrix: Matrix<'_>| -> Vec<f64> {
            match matrix {
                Matrix::Diagonal(data) => data
                    .iter()
                    .enumerate()
                    .map(|(i, v)| v * scale[i % n] * scale[i % n])
                    .collect(),
                Matrix::Dense(data) => data
                    .iter()
                    .enumerate()
                    .map(|(i, v)| v * scale[i % n] * scale[i / n % n])
                    .collect(),
            }
        };
        Some(Variables {
            p: matrix(sample.p),
            a: columns(sample.a),
            g: columns(sample.g),
            h: matrix(sample.h),
            hg: columns(sample.hg),
            scale,
        })
    }

    /// The scaled sample; `q` is its own scaled linear term.
    pub(crate) fn sample<'a>(&'a self, sample: &Sample<'a>, q: &'a [f64]) -> Sample<'a> {
        let like = |matrix: Matrix<'_>, data: &'a [f64]| match matrix {
            Matrix::Dense(_) => Matrix::Dense(data),
            Matrix::Diagonal(_) => Matrix::Diagonal(data),
        };
        Sample {
            p: like(sample.p, &self.p),
            q,
            a: &self.a,
            g: &self.g,
            h: like(sample.h, &self.h),
            hg: &self.hg,
            ..*sample
        }
    }
}

/// Size of every column after scaling, each row and matrix taken relative to its largest entry.
fn column_sizes(sample: &Sample<'_>, scale: &[f64]) -> Vec<f64> {
    let n = sample.n;
    let mut size = vec![0.0f64; n];
    let mut line = vec![0.0; n];
    for row in [sample.a, sample.g]
        .iter()
        .flat_map(|part| part.chunks_exact(n))
    {
        for ((line, v), scale) in line.iter_mut().zip(row).zip(scale) {
            *line = (v * scale).abs();
        }
        include(&mut size, &line, max_abs(&line));
    }
    let diagonal = |matrix: Matrix<'_>, line: &mut [f64]| {
        for (i, line) in line.iter_mut().enumerate() {
            let v = match matrix {
                Matrix::Diagonal(data) => data[i],
                Matrix::Dense(data) => data[i * n + i],
            };
            *line = v.abs().sqrt() * scale[i];
        }
    };
    diagonal(sample.p, &mut line);
    include(&mut size, &line, max_abs(&line));
    for (i, row) in sample.hg.chunks_exact(n).enumerate() {
        diagonal(sample.h.row(i, n), &mut line);
        let linear: Vec<f64> = row
            .iter()
            .zip(scale)
            .map(|(v, scale)| (v * scale).abs())
            .collect();
        // A quadratic row's two parts share its one scale.
        let top = max_abs(&line).powi(2).max(max_abs(&linear));
        include(&mut size, &line, top.sqrt());
        include(&mut size, &linear, top);
    }
    size
}

fn include(size: &mut [f64], line: &[f64], top: f64) {
    if top > 0.0 {
        for (size, v) in size.iter_mut().zip(line) {
            *size = size.max(v / top);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_scaled_variables_are_left_alone_and_others_are_not() {
        let base = Sample {
            n: 2,
            p: Matrix::Diagonal(&[1.0, 1.0]),
            q: &[0.0, 0.0],
            a: &[],
            b: &[],
            g: &[1.0, 1.0],
            l: &[0.0],
            u: &[1.0],
            h: Matrix::Diagonal(&[]),
            hg: &[],
            c: &[],
        };
        assert!(Variables::of(&base).is_none());
        let odd = Sample {
            p: Matrix::Diagonal(&[1.0, 1e-8]),
            g: &[1.0, 1e-4],
            ..base
        };
        let variables = Variables::of(&odd).unwrap();
        assert!((variables.scale[1] / variables.scale[0] - 1e4).abs() < 1.0);
        let q = [0.0, 0.0];
        let scaled = variables.sample(&odd, &q);
        assert!(
            column_sizes(&scaled, &[1.0, 1.0])
                .iter()
                .all(|v| (0.5..2.0).contains(v))
        );
    }
}
