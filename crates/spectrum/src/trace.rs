//! Traces by random products.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::estimate::{Estimate, SamplingStatus};
use crate::operator::{Counted, Halt, Operator};
use crate::quadrature::Probe;
use crate::vectors::{dot, norm, orthogonalise, scale};

/// How to estimate a trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceSettings {
    /// Products with the operator. Default 90.
    pub products: usize,
    /// Distribution of the directions. Default [`Probe::Rademacher`].
    pub probe: Probe,
    /// Seed of the directions. Default 0.
    pub seed: u64,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            products: 90,
            probe: Probe::default(),
            seed: 0,
        }
    }
}

impl TraceSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no product to spend.
    pub fn validate(&self) -> Result<(), Error> {
        if self.products == 0 {
            return Err(Error::Setting {
                setting: "products",
                value: 0.0,
                must: "at least 1",
            });
        }
        Ok(())
    }
}

/// An estimated trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    /// tr H and its standard error.
    pub estimate: Estimate,
    /// Products with the operator.
    pub products: usize,
    /// How it ended.
    pub status: SamplingStatus,
}

/// tr H as the mean of `zᵀHz` over random `z` (Hutchinson 1990): one product a sample, a standard
/// error that falls with the square root of their number.
///
/// # Errors
/// [`Error::Setting`], [`Error::NoDimension`], [`Error::Operator`].
pub fn hutchinson(operator: &mut dyn Operator, settings: &TraceSettings) -> Result<Trace, Error> {
    settings.validate()?;
    let mut op = Counted::new(operator, settings.products)?;
    let n = op.dim();
    let probes = (0..settings.products).map(|i| settings.probe.draw(n, settings.seed, i));
    let (values, status) = remainders(&mut op, probes, &[])?;
    Ok(Trace {
        estimate: Estimate::of(&values),
        products: op.products(),
        status,
    })
}

/// tr H by Hutch++ (Meyer, Musco, Musco & Woodruff 2021, algorithm 1): a third of the products finds
/// a basis `Q` of the dominant range, a third gives `tr QᵀHQ` exactly, and a third samples the rest,
/// `(I − QQᵀ) H (I − QQᵀ)`. The error falls like the inverse of the products instead of their root
/// where the spectrum decays; the standard error is that of the sampled rest, and NaN with fewer than
/// two samples of it.
///
/// With a basis of the whole space the trace is exact and its standard error 0.
///
/// # Errors
/// [`Error::Setting`] with fewer than 3 products, [`Error::NoDimension`], [`Error::Operator`].
pub fn hutch_plus_plus(
    operator: &mut dyn Operator,
    settings: &TraceSettings,
) -> Result<Trace, Error> {
    settings.validate()?;
    if settings.products < 3 {
        return Err(Error::Setting {
            setting: "products",
            value: settings.products as f64,
            must: "at least 3 for Hutch++",
        });
    }
    let mut op = Counted::new(operator, settings.products)?;
    let n = op.dim();
    let third = settings.products / 3;
    let halted = |op: &Counted<'_>, halt: Halt| match halt {
        Halt::Error(error) => Err(error),
        _ => Ok(Trace {
            estimate: Estimate::of(&[]),
            products: op.products(),
            status: SamplingStatus::NotFinite,
        }),
    };
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(third);
    let mut dominant = 0.0;
    let mut product = vec![0.0; n];
    for index in 0..third {
        let direction = settings.probe.draw(n, settings.seed, index);
        if let Err(halt) = op.apply(&direction, &mut product) {
            return halted(&op, halt);
        }
        let before = norm(&product);
        let mut v = product.clone();
        orthogonalise(&mut v, &q);
        let after = norm(&v);
        // Nothing new, to rounding: the range is exhausted.
        if after <= 1e-12 * before || after == 0.0 {
            continue;
        }
        scale(&mut v, 1.0 / after);
        orthogonalise(&mut v, &q);
        let length = norm(&v);
        scale(&mut v, 1.0 / length);
        q.push(v);
        if q.len() == n {
            break;
        }
    }
    for v in &q {
        if let Err(halt) = op.apply(v, &mut product) {
            return halted(&op, halt);
        }
        dominant += dot(v, &product);
    }
    if q.len() == n {
        return Ok(Trace {
            estimate: Estimate {
                value: dominant,
                standard_error: 0.0,
                samples: 0,
            },
            products: op.products(),
            status: SamplingStatus::Complete,
        });
    }
    let left = settings.products - op.products();
    let probes = (0..left).map(|i| settings.probe.draw(n, settings.seed, third + i));
    let (values, status) = remainders(&mut op, probes, &q)?;
    let rest = Estimate::of(&values);
    Ok(Trace {
        estimate: Estimate {
            value: dominant + rest.value,
            ..rest
        },
        products: op.products(),
        status,
    })
}

/// `zᵀHz` of each `z` after its part in the span of `q` is removed.
fn remainders(
    op: &mut Counted<'_>,
    probes: impl Iterator<Item = Vec<f64>>,
    q: &[Vec<f64>],
) -> Result<(Vec<f64>, SamplingStatus), Error> {
    let mut values = Vec::new();
    let mut product = vec![0.0; op.dim()];
    for mut z in probes {
        orthogonalise(&mut z, q);
        match op.apply(&z, &mut product) {
            Ok(()) => values.push(dot(&z, &product)),
            Err(Halt::Error(error)) => return Err(error),
            Err(_) => return Ok((values, SamplingStatus::NotFinite)),
        }
    }
    Ok((values, SamplingStatus::Complete))
}
