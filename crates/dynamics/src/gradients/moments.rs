//! First and second moments of per-sample gradients, and the signal-to-noise ratios they give.

use std::ops::Range;

use burn::tensor::Tensor;
use feasible_core::host;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::gradients::noise::{NoiseScale, of_moments};
use crate::gradients::per_sample::PerSampleGradients;
use crate::vectors::{axpy, dot};

/// Sums over the gradients `g_i` of `N` samples.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientMoments {
    samples: usize,
    /// `S = Σ g_i`, `[n]`.
    sum: Vec<f64>,
    /// `Σ g_i²` entry by entry, `[n]`.
    squares: Vec<f64>,
    /// `‖g_i‖²`, `[samples]`.
    norms: Vec<f64>,
    /// `Sᵀ g_i`, `[samples]`.
    along: Vec<f64>,
}

/// The signal-to-noise ratio of every parameter, `r_j = (E g_j)² / Var g_j`, over samples.
///
/// Liu, Jiang, Bai, Chen & Wang, Understanding why neural networks generalize well through GSNR of
/// parameters, ICLR 2020, definition 1; the variance is over `N − 1`. A variance below the rounding
/// of its sums is 0: such a ratio is infinite, or undefined if the mean is 0 too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterSnr {
    /// Mean of the finite ratios; undefined without any.
    pub mean: Option<f64>,
    /// Median of the finite and infinite ratios; undefined without any, or if it is infinite.
    pub median: Option<f64>,
    /// Parameters with a finite ratio.
    pub finite: usize,
    /// Parameters whose gradient is the same for all samples, and not 0.
    pub infinite: usize,
    /// Parameters whose gradient is 0 for all samples, or not finite.
    pub undefined: usize,
}

impl GradientMoments {
    pub(crate) fn zero(samples: usize, n: usize) -> Self {
        Self {
            samples,
            sum: vec![0.0; n],
            squares: vec![0.0; n],
            norms: vec![0.0; samples],
            along: vec![0.0; samples],
        }
    }

    pub(crate) fn of_rows(gradients: &PerSampleGradients) -> Self {
        let mut moments = Self::zero(gradients.samples(), gradients.n());
        // Without samples there may be no length either.
        let rows = || gradients.rows.chunks_exact(gradients.n.max(1));
        for (row, norm) in rows().zip(&mut moments.norms) {
            axpy(1.0, row, &mut moments.sum);
            for (s, g) in moments.squares.iter_mut().zip(row) {
                *s += g * g;
            }
            *norm = dot(row, row);
        }
        for (row, along) in rows().zip(&mut moments.along) {
            *along = dot(row, &moments.sum);
        }
        moments
    }

    /// Adds one parameter's sum and squares, and its part of the samples' norms and products.
    pub(crate) fn add(
        &mut self,
        range: &Range<usize>,
        parameters: [&Tensor<2>; 2],
        samples: [&Tensor<2>; 2],
    ) -> Result<(), Error> {
        for (to, from) in [&mut self.sum, &mut self.squares]
            .into_iter()
            .zip(parameters)
        {
            to[range.clone()].copy_from_slice(&host::read("moments", from)?);
        }
        for (to, from) in [&mut self.norms, &mut self.along].into_iter().zip(samples) {
            axpy(1.0, &host::read("moments", from)?, to);
        }
        Ok(())
    }

    /// `N`.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// `ḡ = S/N`, the gradient of the mean loss.
    pub fn mean(&self) -> Vec<f64> {
        self.sum.iter().map(|s| s / self.samples as f64).collect()
    }

    /// `‖g_i‖` of every sample.
    pub fn sample_norms(&self) -> Vec<f64> {
        self.norms.iter().map(|n| n.sqrt()).collect()
    }

    /// Unbiased variance of every entry, over `N − 1`; 0 where it is below the rounding of its sums.
    /// Undefined with fewer than two samples.
    pub fn variances(&self) -> Option<Vec<f64>> {
        if self.samples < 2 {
            return None;
        }
        let count = self.samples as f64;
        Some(
            self.sum
                .iter()
                .zip(&self.squares)
                .map(|(sum, squares)| {
                    let excess = squares - sum * sum / count;
                    // N additions, each with a rounding of ε times the sum.
                    if excess <= count * f64::EPSILON * squares {
                        0.0
                    } else {
                        excess / (count - 1.0)
                    }
                })
                .collect(),
        )
    }

    /// `tr Σ̂`: the sum of the variances. Undefined with fewer than two samples.
    pub fn trace_covariance(&self) -> Option<f64> {
        Some(self.variances()?.iter().sum())
    }

    /// The ratio of every parameter, summed up. Undefined with fewer than two samples.
    pub fn parameter_snr(&self) -> Option<ParameterSnr> {
        let variances = self.variances()?;
        let count = self.samples as f64;
        let mut ratios = Vec::with_capacity(variances.len());
        let (mut infinite, mut undefined) = (0, 0);
        for (sum, variance) in self.sum.iter().zip(&variances) {
            let ratio = (sum / count).powi(2) / variance;
            if ratio.is_finite() {
                ratios.push(ratio);
            } else if ratio == f64::INFINITY && sum.is_finite() {
                infinite += 1;
            } else {
                undefined += 1;
            }
        }
        let finite = ratios.len();
        ratios.sort_unstable_by(f64::total_cmp);
        let mean = (finite > 0).then(|| ratios.iter().sum::<f64>() / finite as f64);
        // The infinite ones come last in the order.
        let of = finite + infinite;
        let at = |k: usize| ratios.get(k).copied();
        let median = match of {
            0 => None,
            odd if odd % 2 == 1 => at(odd / 2),
            even => at(even / 2 - 1)
                .zip(at(even / 2))
                .map(|(a, b)| a / 2.0 + b / 2.0),
        };
        Some(ParameterSnr {
            mean,
            median,
            finite,
            infinite,
            undefined,
        })
    }

    /// The global ratio `‖ḡ‖² / tr Σ̂`, of one sample; times `B` it is that of a batch. `‖ḡ‖²` is the
    /// mean's own and not corrected for its noise ([`NoiseScale::gradient_squared`] is). Undefined
    /// with fewer than two samples or if the covariance is 0.
    pub fn global_snr(&self) -> Option<f64> {
        let count = self.samples as f64;
        let ratio = dot(&self.sum, &self.sum) / (count * count) / self.trace_covariance()?;
        ratio.is_finite().then_some(ratio)
    }

    /// The gradient noise scale from single samples: batch sizes 1 and `N`. Undefined with fewer than
    /// two samples.
    ///
    /// `|G|²̂ = (‖S‖² − Σ‖g_i‖²) / (N (N − 1))` and `tr Σ̂ = (Σ‖g_i‖² − ‖S‖²/N) / (N − 1)` are both
    /// unbiased. The interval is Fieller's, with covariances by the jackknife over samples.
    pub fn noise_scale(&self) -> Option<NoiseScale> {
        let total: f64 = dot(&self.sum, &self.sum);
        of_moments(self.samples, total, &self.norms, &self.along)
    }
}
