//! Checks the arguments of a repair before anything is computed with them.

use super::{DampedProblem, DampedSettings, RowCurvature, Rows};
use crate::batch::Values;
use crate::error::Error;

/// Mirrored entries of a symmetric matrix agree to this share of its largest one: the measure of
/// the other problems' matrices, far above rounding and far below a modelling mistake.
const SYMMETRY: f64 = 1e-10;

impl DampedSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let not_negative = |setting, value: f64| {
            if value >= 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(Error::Setting {
                setting,
                value,
                must: "finite and at least 0",
            })
        };
        not_negative("damping", self.damping)?;
        not_negative("tolerance", self.tolerance)?;
        if self.max_iterations == 0 {
            return Err(Error::Setting {
                setting: "max_iterations",
                value: 0.0,
                must: "at least 1",
            });
        }
        Ok(())
    }
}

impl DampedProblem<'_> {
    pub(super) fn validate(&self, start: &[f64]) -> Result<(), Error> {
        let (batch, n, m) = (self.batch, self.n, self.rows());
        if n == 0 {
            return Err(Error::NoVariables);
        }
        length("start", start.len(), batch * n, "[batch, n]")?;
        for (argument, side) in [("lower", self.lower), ("upper", self.upper)] {
            length(
                argument,
                side.data().len(),
                side.expected(batch, m),
                "[m] or [batch, m]",
            )?;
        }
        length("equality", self.equality.len(), m, "[m]")?;
        for block in &self.blocks {
            block.validate(batch, n)?;
        }
        all("start", Values::PerSample(start), n, f64::is_finite)?;
        all("lower", self.lower, m, |v| v < f64::INFINITY)?;
        all("upper", self.upper, m, |v| v > f64::NEG_INFINITY)?;
        self.validate_order(m)
    }

    fn validate_order(&self, m: usize) -> Result<(), Error> {
        let shared = self.lower.is_shared() && self.upper.is_shared();
        let samples = if shared {
            self.batch.min(1)
        } else {
            self.batch
        };
        for sample in 0..samples {
            let (l, u) = (self.lower.sample(sample, m), self.upper.sample(sample, m));
            if let Some(row) = (0..m).find(|&row| l[row] > u[row]) {
                return Err(Error::CrossedBounds {
                    sample,
                    row,
                    lower: l[row],
                    upper: u[row],
                });
            }
        }
        Ok(())
    }
}

impl Rows<'_> {
    fn validate(&self, batch: usize, n: usize) -> Result<(), Error> {
        let check = |argument, values: Values<'_>, len: usize, layout| {
            length(
                argument,
                values.data().len(),
                values.expected(batch, len),
                layout,
            )?;
            all(argument, values, len, f64::is_finite)
        };
        check("linear", self.linear, self.rows * n, "[rows, n]")?;
        match self.curvature {
            RowCurvature::None => Ok(()),
            RowCurvature::Diagonal(h) => check("curvature", h, self.rows * n, "[rows, n]"),
            RowCurvature::Dense(h) => {
                check("curvature", h, self.rows * n * n, "[rows, n, n]")?;
                self.validate_symmetry(h, n)
            }
        }
    }

    /// The Jacobian 2Hy + a is that of yᵀHy + aᵀy for symmetric H alone.
    fn validate_symmetry(&self, h: Values<'_>, n: usize) -> Result<(), Error> {
        for (at, matrix) in h.data().chunks_exact(n * n).enumerate() {
            let allowed = SYMMETRY * crate::dense::max_abs(matrix);
            let difference = |row: usize, column: usize| {
                (matrix[row * n + column] - matrix[column * n + row]).abs()
            };
            let pair = (0..n)
                .flat_map(|row| (0..row).map(move |column| (row, column)))
                .find(|&(row, column)| difference(row, column) > allowed);
            if let Some((row, column)) = pair {
                return Err(Error::Asymmetric {
                    argument: "curvature",
                    sample: (!h.is_shared()).then_some(at / self.rows),
                    index: at % self.rows,
                    row,
                    column,
                    difference: difference(row, column),
                });
            }
        }
        Ok(())
    }
}

fn length(
    argument: &'static str,
    got: usize,
    expected: usize,
    layout: &'static str,
) -> Result<(), Error> {
    if got == expected {
        return Ok(());
    }
    Err(Error::Shape {
        argument,
        got,
        expected,
        layout,
    })
}

/// `valid` must be false for NaN.
fn all(
    argument: &'static str,
    values: Values<'_>,
    len: usize,
    valid: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    let data = values.data();
    match data.iter().position(|v| !valid(*v)) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite {
            argument,
            sample: (!values.is_shared()).then(|| at / len),
            entry: at % len,
            value: data[at],
        }),
    }
}
