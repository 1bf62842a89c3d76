//! Spectral densities by stochastic Lanczos quadrature.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::estimate::{Estimate, SamplingStatus};
use crate::operator::{Counted, Halt, Operator};
use crate::projected::Projected;
use crate::random::{gaussian, generator, rademacher};
use crate::vectors::{norm, recurrence_row, scale};

/// Distribution of the random directions; all have `E zzᵀ = I`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Probe {
    /// Signs with equal odds: the least variance, and none for diagonal matrices.
    #[default]
    Rademacher,
    /// Standard normal: the same in every orthonormal basis.
    Gaussian,
}

impl Probe {
    pub(crate) fn draw(self, n: usize, seed: u64, index: usize) -> Vec<f64> {
        let mut rng = generator(seed, index as u64);
        match self {
            Probe::Rademacher => rademacher(n, &mut rng),
            Probe::Gaussian => gaussian(n, &mut rng),
        }
    }
}

/// How to sample a spectral density.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DensitySettings {
    /// Random directions. The standard errors shrink with their square root; 1 gives none. Default 10.
    pub probes: usize,
    /// Lanczos steps for each, which is the number of nodes. Moments up to `2 steps − 1` are exact for
    /// the direction. Default 80.
    pub steps: usize,
    /// Distribution of the directions. Default [`Probe::Rademacher`].
    pub probe: Probe,
    /// Rounding that products carry, relative to the norm: a residual below it closes the Krylov
    /// space. Default `1e-13`.
    pub rounding: f64,
    /// Seed of the directions. Direction `i` is the same whatever `probes` is. Default 0.
    pub seed: u64,
}

impl Default for DensitySettings {
    fn default() -> Self {
        Self {
            probes: 10,
            steps: 80,
            probe: Probe::default(),
            rounding: 1e-13,
            seed: 0,
        }
    }
}

impl DensitySettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        for (setting, value) in [("probes", self.probes), ("steps", self.steps)] {
            if value == 0 {
                return Err(Error::Setting {
                    setting,
                    value: 0.0,
                    must: "at least 1",
                });
            }
        }
        if !(self.rounding > 0.0 && self.rounding < 1.0) {
            return Err(Error::Setting {
                setting: "rounding",
                value: self.rounding,
                must: "between 0 and 1",
            });
        }
        Ok(())
    }
}

/// Gauss quadrature of one direction's spectral measure: `Σ wᵢ f(θᵢ) ≈ vᵀ f(H) v` for the unit `v`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quadrature {
    /// θ, ascending.
    pub nodes: Vec<f64>,
    /// w, not negative, summing to 1.
    pub weights: Vec<f64>,
}

impl Quadrature {
    fn integrate(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes
            .iter()
            .zip(&self.weights)
            .map(|(&t, w)| w * f(t))
            .sum()
    }
}

/// A sampled spectral density: the quadratures themselves, and what follows from them.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralDensity {
    /// One for each direction; fewer than asked for only after [`SamplingStatus::NotFinite`].
    pub quadratures: Vec<Quadrature>,
    /// Dimension of the operator.
    pub n: usize,
    /// Products with it.
    pub products: usize,
    /// How it ended.
    pub status: SamplingStatus,
    /// Largest `|uᵀHv − vᵀHu|` over the norm, over pairs of basis vectors.
    pub symmetry_defect: f64,
}

/// A density on a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityCurve {
    /// λ, ascending, `[points]`.
    pub grid: Vec<f64>,
    /// Density of eigenvalues at λ, integrating to 1, in units of 1/λ; NaN without directions.
    pub density: Vec<f64>,
    /// Its standard error over the directions; NaN with fewer than two.
    pub standard_error: Vec<f64>,
    /// Standard deviation of the Gaussian kernel.
    pub width: f64,
}

/// Samples the spectral density `φ(λ) = (1/n) Σ δ(λ − λᵢ)` (Ubaru, Chen & Saad, SIAM J. Matrix Anal.
/// Appl. 38, 2017; for Hessians Ghorbani, Krishnan & Xiao 2019).
///
/// Each random direction's Lanczos matrix, with full reorthogonalisation and hence without ghosts,
/// gives nodes and weights. A closed Krylov space ends a direction early, and is exact.
///
/// # Cost
/// `probes · steps` products; memory for `steps` vectors.
///
/// # Errors
/// [`Error::Setting`], [`Error::NoDimension`], [`Error::Operator`].
pub fn spectral_density(
    operator: &mut dyn Operator,
    settings: &DensitySettings,
) -> Result<SpectralDensity, Error> {
    settings.validate()?;
    let mut op = Counted::new(operator, usize::MAX)?;
    let n = op.dim();
    let mut out = SpectralDensity {
        quadratures: Vec::with_capacity(settings.probes),
        n,
        products: 0,
        status: SamplingStatus::Complete,
        symmetry_defect: 0.0,
    };
    for index in 0..settings.probes {
        let direction = settings.probe.draw(n, settings.seed, index);
        match quadrature(&mut op, direction, settings, &mut out.symmetry_defect) {
            Ok(quadrature) => out.quadratures.push(quadrature),
            Err(Halt::Error(error)) => return Err(error),
            Err(_) => {
                out.status = SamplingStatus::NotFinite;
                break;
            }
        }
    }
    out.products = op.products();
    Ok(out)
}

fn quadrature(
    op: &mut Counted<'_>,
    mut v: Vec<f64>,
    settings: &DensitySettings,
    defect: &mut f64,
) -> Result<Quadrature, Halt> {
    let n = op.dim();
    let length = norm(&v);
    scale(&mut v, 1.0 / length);
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut projected = Projected::default();
    let (mut beta, mut largest) = (0.0, 0.0f64);
    let mut w = vec![0.0; n];
    for _ in 0..settings.steps.min(n) {
        op.apply(&v, &mut w)?;
        largest = largest.max(norm(&w));
        basis.push(v);
        let mut coupling = vec![0.0; basis.len() - 1];
        if let Some(before) = coupling.last_mut() {
            *before = beta;
        }
        let (row, apart) = recurrence_row(&mut w, &basis, &coupling);
        if largest > 0.0 {
            *defect = defect.max(apart / largest);
        }
        projected.push(row);
        beta = norm(&w);
        if beta <= settings.rounding * largest {
            break;
        }
        v = w.clone();
        scale(&mut v, 1.0 / beta);
    }
    let ritz = projected.eigen()?;
    let weights = ritz.vectors.iter().map(|y| y[0] * y[0]).collect();
    Ok(Quadrature {
        nodes: ritz.values,
        weights,
    })
}

impl SpectralDensity {
    /// `(1/n) tr f(H)`, with its standard error over the directions.
    pub fn mean_of(&self, f: impl Fn(f64) -> f64) -> Estimate {
        let samples: Vec<f64> = self.quadratures.iter().map(|q| q.integrate(&f)).collect();
        Estimate::of(&samples)
    }

    /// `tr f(H)`, with its standard error.
    pub fn trace_of(&self, f: impl Fn(f64) -> f64) -> Estimate {
        self.mean_of(f).times(self.n as f64)
    }

    /// `(1/n) tr Hᵖ`, with its standard error.
    pub fn moment(&self, power: i32) -> Estimate {
        self.mean_of(|t| t.powi(power))
    }

    /// The smallest and largest node; `None` without directions.
    pub fn range(&self) -> Option<(f64, f64)> {
        let nodes = || self.quadratures.iter().flat_map(|q| &q.nodes).copied();
        let low = nodes().fold(f64::INFINITY, f64::min);
        let high = nodes().fold(f64::NEG_INFINITY, f64::max);
        (low <= high).then_some((low, high))
    }

    /// A kernel width that shows the shape: a hundredth of the range of the nodes. An operator with
    /// a single eigenvalue gets a hundredth of that, and the zero operator 1e-3.
    pub fn width(&self) -> f64 {
        match self.range() {
            Some((low, high)) if high - low > 1e-10 * high.abs().max(low.abs()) => {
                0.01 * (high - low)
            }
            Some((_, high)) if high != 0.0 => 0.01 * high.abs(),
            _ => 1e-3,
        }
    }

    /// The density smoothed by a Gaussian kernel, on an even grid from three widths below the
    /// smallest node to three above the largest.
    ///
    /// # Errors
    /// [`Error::Setting`] if `points` is below 2 or `width` not above 0 and finite.
    pub fn curve(&self, points: usize, width: f64) -> Result<DensityCurve, Error> {
        if points < 2 {
            return Err(Error::Setting {
                setting: "points",
                value: points as f64,
                must: "at least 2",
            });
        }
        let (low, high) = self.range().unwrap_or((0.0, 0.0));
        let (low, high) = (low - 3.0 * width, high + 3.0 * width);
        let step = (high - low) / (points - 1) as f64;
        let grid: Vec<f64> = (0..points).map(|i| low + step * i as f64).collect();
        self.on_grid(&grid, width)
    }

    /// The density smoothed by a Gaussian kernel, at the points given.
    ///
    /// # Errors
    /// [`Error::Setting`] if `width` is not above 0 and finite.
    pub fn on_grid(&self, grid: &[f64], width: f64) -> Result<DensityCurve, Error> {
        if !(width > 0.0 && width.is_finite()) {
            return Err(Error::Setting {
                setting: "width",
                value: width,
                must: "above 0 and finite",
            });
        }
        let factor = 1.0 / (width * (2.0 * std::f64::consts::PI).sqrt());
        let (density, standard_error) = grid
            .iter()
            .map(|&lambda| {
                let kernel = |t: f64| {
                    let z = (t - lambda) / width;
                    factor * (-0.5 * z * z).exp()
                };
                let estimate = self.mean_of(kernel);
                (estimate.value, estimate.standard_error)
            })
            .unzip();
        Ok(DensityCurve {
            grid: grid.to_vec(),
            density,
            standard_error,
            width,
        })
    }
}
