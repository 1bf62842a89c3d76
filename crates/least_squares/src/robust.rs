//! Robust losses, which let a cost grow slower than its square.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A loss ρ of a cost's squared weighted norm s = ‖W c‖²; the cost counts ½ρ(s).
///
/// All have ρ(s) ≈ s for s far below `scale`², the square of the norm at which they bend. Steps use the
/// Gauss-Newton matrix of iteratively reweighted least squares, ρ' JᵀJ, which is positive semidefinite
/// for every loss here; gradients are exact, ρ' Jᵀr, and so is the Hessian of the exact backward mode,
/// which has ρ''. Reference: Barron, *A general and adaptive robust loss function*, 2019, for the family;
/// Triggs et al., *Bundle adjustment: a modern synthesis*, 2000, section 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Robust {
    /// ρ(s) = s.
    #[default]
    None,
    /// s below scale², then 2·scale·√s − scale².
    Huber {
        /// The norm at which the loss bends.
        scale: f64,
    },
    /// 2·scale²(√(1 + s/scale²) − 1).
    SoftL1 {
        /// The norm at which the loss bends.
        scale: f64,
    },
    /// scale² ln(1 + s/scale²).
    Cauchy {
        /// The norm at which the loss bends.
        scale: f64,
    },
    /// s/(1 + s/scale²).
    GemanMcClure {
        /// The norm at which the loss bends.
        scale: f64,
    },
    /// scale²(1 − exp(−s/scale²)).
    Welsch {
        /// The norm at which the loss bends.
        scale: f64,
    },
    /// scale²/3 (1 − (1 − s/scale²)³) below scale², then constant.
    Tukey {
        /// The norm from which on the loss is constant.
        scale: f64,
    },
}

/// A loss and its derivatives at one s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// ρ(s).
    pub value: f64,
    /// ρ'(s).
    pub first: f64,
    /// ρ''(s).
    pub second: f64,
}

impl Robust {
    /// ρ, ρ' and ρ'' at `s`.
    pub fn loss(&self, s: f64) -> Loss {
        let Some(scale) = self.scale() else {
            return Loss {
                value: s,
                first: 1.0,
                second: 0.0,
            };
        };
        let square = scale * scale;
        let q = s / square;
        let (value, first, second) = match self {
            Self::None => (q, 1.0, 0.0),
            Self::Huber { .. } if q <= 1.0 => (q, 1.0, 0.0),
            Self::Huber { .. } => {
                let root = q.sqrt();
                (2.0 * root - 1.0, 1.0 / root, -0.5 / (q * root))
            }
            Self::SoftL1 { .. } => {
                let root = (1.0 + q).sqrt();
                // 2(√(1+q) − 1) without cancellation for small q.
                (
                    2.0 * q / (root + 1.0),
                    1.0 / root,
                    -0.5 / (root * (1.0 + q)),
                )
            }
            Self::Cauchy { .. } => {
                let first = 1.0 / (1.0 + q);
                (q.ln_1p(), first, -first * first)
            }
            Self::GemanMcClure { .. } => {
                let inverse = 1.0 / (1.0 + q);
                let first = inverse * inverse;
                (q * inverse, first, -2.0 * first * inverse)
            }
            Self::Welsch { .. } => {
                let first = (-q).exp();
                (-(-q).exp_m1(), first, -first)
            }
            Self::Tukey { .. } if q <= 1.0 => {
                let left = 1.0 - q;
                // (1 − (1 − q)³)/3, multiplied out.
                (q * (1.0 - q * (1.0 - q / 3.0)), left * left, -2.0 * left)
            }
            Self::Tukey { .. } => (1.0 / 3.0, 0.0, 0.0),
        };
        Loss {
            value: square * value,
            first,
            second: second / square,
        }
    }

    fn scale(&self) -> Option<f64> {
        match *self {
            Self::None => None,
            Self::Huber { scale }
            | Self::SoftL1 { scale }
            | Self::Cauchy { scale }
            | Self::GemanMcClure { scale }
            | Self::Welsch { scale }
            | Self::Tukey { scale } => Some(scale),
        }
    }

    /// Checks the scale.
    ///
    /// # Errors
    /// [`Error::Setting`] unless it is above 0 and its square a normal number.
    pub fn validate(&self) -> Result<(), Error> {
        match self.scale() {
            Some(scale) if !(scale > 0.0 && (scale * scale).is_normal()) => Err(Error::Setting {
                setting: "robust.scale",
                value: scale.to_string(),
                must: "above 0, with a square that neither overflows nor underflows",
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(scale: f64) -> [Robust; 7] {
        [
            Robust::None,
            Robust::Huber { scale },
            Robust::SoftL1 { scale },
            Robust::Cauchy { scale },
            Robust::GemanMcClure { scale },
            Robust::Welsch { scale },
            Robust::Tukey { scale },
        ]
    }

    #[test]
    fn derivatives_are_those_of_the_loss() {
        for robust in all(1.7) {
            for s in [1e-3, 0.4, 2.0, 2.8, 3.1, 20.0] {
                let h = 1e-5;
                let (low, high) = (robust.loss(s - h), robust.loss(s + h));
                let at = robust.loss(s);
                // Central differences: error h² times a third derivative of order one, and rounding/h.
                let first = (high.value - low.value) / (2.0 * h);
                let second = (high.first - low.first) / (2.0 * h);
                assert!((first - at.first).abs() < 1e-8, "{robust:?} at {s}");
                assert!((second - at.second).abs() < 1e-8, "{robust:?} at {s}");
            }
        }
    }

    #[test]
    fn small_residuals_are_squares_and_large_ones_less() {
        for robust in all(2.0) {
            let tiny = robust.loss(1e-12);
            assert!((tiny.value / 1e-12 - 1.0).abs() < 1e-12, "{robust:?}");
            assert!((tiny.first - 1.0).abs() < 1e-12, "{robust:?}");
            if robust != Robust::None {
                assert!(robust.loss(100.0).value < 50.0, "{robust:?}");
            }
        }
    }

    #[test]
    fn bad_scales_are_refused() {
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-200, 1e-160, 1e200] {
            assert!(Robust::Cauchy { scale }.validate().is_err(), "{scale}");
        }
        for robust in all(1.0) {
            robust.validate().unwrap();
        }
    }
}
