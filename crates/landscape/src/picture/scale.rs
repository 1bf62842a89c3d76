//! From values to positions, and which values to mark.

use serde::{Deserialize, Serialize};

/// How values are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scaling {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithms. Values that are not above 0 have none: they are left out, and the legend
    /// says so.
    Log,
}

/// A range of values and the positions of its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    scaling: Scaling,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale over the drawable ones of the values, widened where they are all the same.
    pub(super) fn over(
        scaling: Scaling,
        values: impl Iterator<Item = f64>,
        (from, to): (f64, f64),
    ) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values.filter(|v| drawable(scaling, *v)) {
            low = low.min(v);
            high = high.max(v);
        }
        if low > high {
            (low, high) = match scaling {
                Scaling::Linear => (0.0, 1.0),
                Scaling::Log => (0.1, 1.0),
            };
        }
        // A range too narrow for the type's digits would divide by 0.
        if high - low <= 1e-12 * low.abs().max(high.abs()) {
            (low, high) = match scaling {
                Scaling::Linear if low == 0.0 => (-1.0, 1.0),
                Scaling::Linear => (low - 0.5 * low.abs(), high + 0.5 * high.abs()),
                Scaling::Log => (low / 2.0, high * 2.0),
            };
        }
        Self {
            scaling,
            low,
            high,
            from,
            to,
        }
    }

    /// The same with room beyond both ends, as a share of the whole.
    pub(super) fn padded(self, share: f64) -> Self {
        let out = match self.scaling {
            Scaling::Linear => {
                let room = share * (self.high - self.low);
                (self.low - room, self.high + room)
            }
            Scaling::Log => {
                let room = (self.high / self.low).powf(share);
                (self.low / room, self.high * room)
            }
        };
        Self {
            low: out.0,
            high: out.1,
            ..self
        }
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }

    /// The place in the range, 0 at its low end and 1 at its high; `None` for values that have none.
    pub(super) fn share(&self, value: f64) -> Option<f64> {
        if !drawable(self.scaling, value) {
            return None;
        }
        Some(match self.scaling {
            // Halved, so that the widest range does not overflow.
            Scaling::Linear => (0.5 * value - 0.5 * self.low) / (0.5 * self.high - 0.5 * self.low),
            Scaling::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        })
    }

    /// Position of a value; none for values that have none.
    pub(super) fn position(&self, value: f64) -> Option<f64> {
        self.share(value)
            .map(|s| self.from + s * (self.to - self.from))
    }

    /// Values to mark, and their names.
    pub(super) fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        match self.scaling {
            Scaling::Linear => self.linear_ticks(about),
            Scaling::Log => self.log_ticks(about),
        }
    }

    fn linear_ticks(&self, about: usize) -> Vec<(f64, String)> {
        let raw = (self.high / about as f64) - (self.low / about as f64);
        let unit = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * unit)
            .find(|s| *s >= raw)
            .unwrap_or(10.0 * unit);
        let first = (self.low / step).ceil();
        let largest = self.low.abs().max(self.high.abs());
        (0..=2 * about)
            .map(|i| (first + i as f64) * step)
            .take_while(|v| *v <= self.high + 1e-9 * step)
            .map(|v| (v, label(v, step, largest)))
            .collect()
    }

    fn log_ticks(&self, about: usize) -> Vec<(f64, String)> {
        let (from, to) = (
            self.low.log10().floor() as i32,
            self.high.log10().ceil() as i32,
        );
        let decades = (to - from).max(1);
        let inside = |v: &f64| *v >= self.low * (1.0 - 1e-9) && *v <= self.high * (1.0 + 1e-9);
        let every = (decades as usize).div_ceil(about.max(1)) as i32;
        let powers: Vec<f64> = (from..=to)
            .filter(|e| e.rem_euclid(every) == 0)
            .map(|e| 10f64.powi(e))
            .filter(inside)
            .collect();
        let values = if powers.len() >= 3 {
            powers
        } else {
            (from..=to)
                .flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e)))
                .filter(inside)
                .collect()
        };
        values.into_iter().map(|v| (v, short(v))).collect()
    }
}

/// Whether a value has a place on a scale of this kind.
pub(super) fn drawable(scaling: Scaling, value: f64) -> bool {
    value.is_finite() && (scaling == Scaling::Linear || value > 0.0)
}

/// A tick's name: with as many decimals as the step has, in powers of ten when far from 1.
fn label(value: f64, step: f64, largest: f64) -> String {
    if !(1e-3..1e5).contains(&largest) {
        // Rounding leaves a trace of the step at 0.
        return short(if value.abs() < 1e-9 * step {
            0.0
        } else {
            value
        });
    }
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text
        .trim_start_matches('-')
        .chars()
        .all(|c| c == '0' || c == '.')
    {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

/// A number in few characters.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "undefined".to_owned()
        } else if value > 0.0 {
            "∞".to_owned()
        } else {
            "−∞".to_owned()
        };
    }
    if (1e-3..1e5).contains(&value.abs()) {
        let digits = 4 - (value.abs().log10().floor() as i32 + 1).clamp(0, 4);
        let text = format!("{value:.*}", digits.max(0) as usize);
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        // Small ones lose their digits to the fixed number of decimals.
        if text.trim_start_matches('-').trim_matches(['0', '.']).len() >= 3 || value.abs() >= 0.01 {
            return text.to_owned();
        }
    }
    let text = format!("{value:.3e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{power}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scaling: Scaling, low: f64, high: f64) -> Vec<String> {
        let scale = Scale::over(scaling, [low, high].into_iter(), (0.0, 1.0));
        scale.ticks(5).into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers_inside() {
        assert_eq!(
            names(Scaling::Linear, -1.0, 1.0),
            ["-1.0", "-0.5", "0.0", "0.5", "1.0"]
        );
        assert_eq!(names(Scaling::Linear, 0.0, 3e7), ["0", "1e7", "2e7", "3e7"]);
        assert_eq!(
            names(Scaling::Log, 1e-6, 1e2),
            ["1e-6", "1e-4", "0.01", "1", "100"]
        );
        assert_eq!(names(Scaling::Log, 1.0, 9.0), ["1", "2", "5"]);
    }

    #[test]
    fn every_range_has_a_scale() {
        for (scaling, values) in [
            (Scaling::Linear, vec![]),
            (Scaling::Linear, vec![0.0]),
            (Scaling::Linear, vec![-3.0, f64::NAN]),
            (Scaling::Linear, vec![f64::MIN, f64::MAX]),
            (Scaling::Log, vec![-1.0, 0.0]),
            (Scaling::Log, vec![2.0]),
            (Scaling::Log, vec![f64::MIN_POSITIVE, f64::MAX]),
        ] {
            let scale = Scale::over(scaling, values.iter().copied(), (0.0, 100.0));
            for v in values.into_iter().filter(|v| drawable(scaling, *v)) {
                let position = scale.position(v).unwrap();
                assert!((-1e-6..=100.000001).contains(&position), "{v}: {position}");
            }
            assert!(scale.position(f64::NAN).is_none());
            assert!(scale.ticks(5).len() < 50);
        }
    }
}
