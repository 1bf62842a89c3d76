//! The gradient noise scale.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::vectors::{axpy, dot};

/// The simple noise scale `B = tr Σ / |G|²`, with `Σ` the covariance of single samples' gradients and
/// `G` the true gradient.
///
/// McCandlish, Kaplan, Amodei et al., An empirical model of large-batch training, arXiv 1812.06162
/// (2018), section 2.2 and appendix A.1. Both parts are averaged on their own and divided at the
/// end: each is unbiased, their ratio on a single step is not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseScale {
    /// The estimate of `|G|²`, which noise may make negative.
    pub gradient_squared: f64,
    /// The estimate of `tr Σ`.
    pub trace: f64,
    /// Their ratio; undefined if `|G|²̂ ≤ 0` or a part is not finite.
    pub scale: Option<f64>,
    /// Where the ratio lies, at 95 %; undefined with fewer than three observations, or if the
    /// observations exclude nothing.
    pub interval: Option<ScaleInterval>,
    /// Samples or steps that it comes from.
    pub observations: usize,
}

/// An interval for a noise scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaleInterval {
    /// Lower end, at least 0.
    pub lower: f64,
    /// Upper end; `None` if there is none, because a gradient of 0 is not excluded.
    pub upper: Option<f64>,
}

/// The two-sided 95 % point of the normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;

/// Sums over observations of a pair of parts.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    trace: f64,
    both: f64,
    gradient: f64,
}

impl NoiseScale {
    fn new(trace: f64, gradient_squared: f64, spread: Option<Spread>, observations: usize) -> Self {
        let ratio = trace / gradient_squared;
        Self {
            gradient_squared,
            trace,
            scale: (gradient_squared > 0.0 && ratio.is_finite()).then_some(ratio),
            interval: spread.and_then(|spread| fieller(trace, gradient_squared, spread)),
            observations,
        }
    }

    /// The critical batch size, below which a larger batch saves steps almost in proportion and above
    /// which it saves almost none; the noise scale estimates it (section 2.3 there).
    pub fn critical_batch_size(&self) -> Option<f64> {
        self.scale.map(|scale| scale.max(0.0))
    }

    /// Share of the largest possible progress of a step that a batch of this size makes,
    /// `1/(1 + B/batch)` (equation 2.6 there).
    pub fn step_efficiency(&self, batch: f64) -> Option<f64> {
        self.critical_batch_size()
            .map(|scale| 1.0 / (1.0 + scale / batch))
            .filter(|share| share.is_finite())
    }
}

/// The set of ratios r with `(a − r b)² ≤ z² Var(a − r b)` (Fieller, J. R. Stat. Soc. B 16, 1954),
/// cut off at 0.
fn fieller(a: f64, b: f64, spread: Spread) -> Option<ScaleInterval> {
    let z = NORMAL * NORMAL;
    let leading = b * b - z * spread.gradient;
    let middle = a * b - z * spread.both;
    let last = a * a - z * spread.trace;
    let discriminant = middle * middle - leading * last;
    if !discriminant.is_finite() || (leading < 0.0 && discriminant <= 0.0) {
        return None;
    }
    let root = discriminant.max(0.0).sqrt();
    if leading > 0.0 {
        // Both ratios and both parts are at least 0, so a negative gradient part excludes all.
        let (lower, upper) = ((middle - root) / leading, (middle + root) / leading);
        return (b > 0.0 && upper >= 0.0).then_some(ScaleInterval {
            lower: lower.max(0.0),
            upper: Some(upper),
        });
    }
    // Outside two roots; of the two branches the positive ratios have the upper one.
    let ends = [(middle - root) / leading, (middle + root) / leading];
    let upper_branch = ends[0].max(ends[1]);
    let lower_branch = ends[0].min(ends[1]);
    // A lower branch that reaches beyond 0 leaves a gap and no end to state.
    (upper_branch.is_finite() && lower_branch < 0.0 && upper_branch > 0.0).then_some(
        ScaleInterval {
            lower: upper_branch,
            upper: None,
        },
    )
}

/// From the squared norm of the sum, the samples' squared norms, and their products with the sum.
pub(crate) fn of_moments(
    samples: usize,
    total: f64,
    norms: &[f64],
    along: &[f64],
) -> Option<NoiseScale> {
    if samples < 2 {
        return None;
    }
    let parts = |count: f64, total: f64, squares: f64| {
        let gradient = (total - squares) / (count * (count - 1.0));
        let trace = (squares - total / count) / (count - 1.0);
        (trace, gradient)
    };
    let count = samples as f64;
    let squares: f64 = norms.iter().sum();
    let (trace, gradient) = parts(count, total, squares);
    let spread = (samples >= 3).then(|| {
        let without: Vec<(f64, f64)> = norms
            .iter()
            .zip(along)
            .map(|(norm, along)| parts(count - 1.0, total - 2.0 * along + norm, squares - norm))
            .collect();
        // Jackknife: (N − 1)/N times the sum of squares about the mean.
        spread_of(&without, (count - 1.0) / count)
    });
    Some(NoiseScale::new(trace, gradient, spread, samples))
}

fn spread_of(pairs: &[(f64, f64)], factor: f64) -> Spread {
    let count = pairs.len() as f64;
    let means = (
        pairs.iter().map(|p| p.0).sum::<f64>() / count,
        pairs.iter().map(|p| p.1).sum::<f64>() / count,
    );
    let mut spread = Spread::default();
    for (trace, gradient) in pairs {
        let (t, g) = (trace - means.0, gradient - means.1);
        spread.trace += factor * t * t;
        spread.both += factor * t * g;
        spread.gradient += factor * g * g;
    }
    spread
}

/// The noise scale from gradients of two batch sizes, averaged over training steps.
///
/// A step gives `|G|²̂ = (B_b‖G_b‖² − B_s‖G_s‖²)/(B_b − B_s)` and
/// `tr Σ̂ = (‖G_s‖² − ‖G_b‖²)/(1/B_s − 1/B_b)`; they are averaged over the last steps, each on its own,
/// and then divided. The interval takes steps as independent; correlated ones make it too narrow.
#[derive(Clone, Debug)]
pub struct NoiseScaleTracker {
    small: f64,
    big: f64,
    window: usize,
    /// tr Σ̂ and |G|²̂ of the steps, oldest first.
    steps: VecDeque<(f64, f64)>,
}

impl NoiseScaleTracker {
    /// A tracker for batches of `small` and `big` samples, over the last `window` steps.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `1 ≤ small < big` and `window ≥ 1`.
    pub fn new(small: usize, big: usize, window: usize) -> Result<Self, Error> {
        if small == 0 || small >= big {
            let problem = format!("are {small} and {big} but must be at least 1 and ascending");
            return Err(Error::argument("batch sizes", problem));
        }
        if window == 0 {
            return Err(Error::argument("window", "is 0 but must be at least 1"));
        }
        Ok(Self {
            small: small as f64,
            big: big as f64,
            window,
            steps: VecDeque::new(),
        })
    }

    /// Adds a step: `‖G_s‖²`, its mean over the small batches if there are several, and `‖G_b‖²`.
    ///
    /// # Errors
    /// [`Error::Argument`] if one is not finite; the step is left out.
    pub fn observe(&mut self, small_squared: f64, big_squared: f64) -> Result<(), Error> {
        if !small_squared.is_finite() || !big_squared.is_finite() {
            let problem = format!("are {small_squared} and {big_squared} but must be finite");
            return Err(Error::argument("squared norms", problem));
        }
        let gradient =
            (self.big * big_squared - self.small * small_squared) / (self.big - self.small);
        let trace = (small_squared - big_squared) / (1.0 / self.small - 1.0 / self.big);
        if self.steps.len() == self.window {
            self.steps.pop_front();
        }
        self.steps.push_back((trace, gradient));
        Ok(())
    }

    /// The noise scale over the steps held; undefined without any.
    pub fn estimate(&self) -> Option<NoiseScale> {
        let pairs: Vec<(f64, f64)> = self.steps.iter().copied().collect();
        if pairs.is_empty() {
            return None;
        }
        let count = pairs.len() as f64;
        let trace = pairs.iter().map(|p| p.0).sum::<f64>() / count;
        let gradient = pairs.iter().map(|p| p.1).sum::<f64>() / count;
        let spread = (pairs.len() >= 3).then(|| spread_of(&pairs, 1.0 / (count * (count - 1.0))));
        Some(NoiseScale::new(trace, gradient, spread, pairs.len()))
    }
}

/// The mean of the squared norms of micro-batches' mean gradients, and the squared norm of their
/// mean: what [`NoiseScaleTracker::observe`] takes, from equal micro-batches.
///
/// # Errors
/// [`Error::Argument`] without gradients, or if their lengths differ.
pub fn squared_norms(micro_batches: &[Vec<f64>]) -> Result<(f64, f64), Error> {
    let Some(first) = micro_batches.first() else {
        return Err(Error::argument("micro_batches", "is empty"));
    };
    if micro_batches.iter().any(|g| g.len() != first.len()) {
        return Err(Error::argument(
            "micro_batches",
            "have gradients of different lengths",
        ));
    }
    let count = micro_batches.len() as f64;
    let mut mean = vec![0.0; first.len()];
    let mut small = 0.0;
    for gradient in micro_batches {
        axpy(1.0 / count, gradient, &mut mean);
        small += dot(gradient, gradient) / count;
    }
    Ok((small, dot(&mean, &mean)))
}
