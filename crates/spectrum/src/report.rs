//! The spectrum of a matrix as text and as JSON: what `feasible spectrum` prints.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::dense::DenseMatrix;
use crate::eigenpairs::{Eigenpairs, PairStatus};
use crate::error::Error;
use crate::interior::{DenseInverse, eigenpairs_near};
use crate::lanczos::eigenpairs;
use crate::quadrature::{DensityCurve, DensitySettings, SpectralDensity, spectral_density};
use crate::settings::{Settings, Wanted};

/// Which eigenvalues of a matrix to report.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Selection {
    /// At an end of the spectrum.
    Ends(Wanted),
    /// The `count` nearest to a shift.
    Near {
        /// The shift.
        shift: f64,
        /// How many.
        count: usize,
    },
}

/// Points of the density's grid.
const GRID: usize = 201;

/// Eigenvalues of a matrix, and its spectral density where asked for.
#[derive(Clone, Debug)]
pub struct Report {
    n: usize,
    selection: Selection,
    settings: Settings,
    found: Eigenpairs,
    density: Option<(SpectralDensity, DensityCurve)>,
}

/// Computes what is wanted of a symmetric matrix.
///
/// # Errors
/// Those of [`crate::eigenpairs`], [`crate::eigenpairs_near`] and [`crate::spectral_density`].
pub fn report(
    matrix: &mut DenseMatrix,
    selection: Selection,
    settings: &Settings,
    density: Option<&DensitySettings>,
) -> Result<Report, Error> {
    let found = match selection {
        Selection::Ends(wanted) => eigenpairs(matrix, wanted, settings)?,
        Selection::Near { shift, count } => {
            let mut inverse = DenseInverse::new(matrix, shift)?;
            eigenpairs_near(matrix, &mut inverse, shift, count, settings)?
        }
    };
    let density = match density {
        None => None,
        Some(of) => {
            let sampled = spectral_density(matrix, of)?;
            let curve = sampled.curve(GRID, sampled.width())?;
            Some((sampled, curve))
        }
    };
    Ok(Report {
        n: matrix.n(),
        selection,
        settings: *settings,
        found,
        density,
    })
}

/// Finite numbers as they are, the others as the words that run folders use.
fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}

fn numbers(values: &[f64]) -> Value {
    values.iter().map(|&v| number(v)).collect()
}

impl Report {
    /// The eigenpairs.
    pub fn found(&self) -> &Eigenpairs {
        &self.found
    }

    /// Whether every eigenvalue met the tolerance.
    pub fn all_converged(&self) -> bool {
        self.found.all_converged()
    }

    /// One JSON document. Without eigenvectors, which are as large as the matrix's rows.
    pub fn to_json(&self) -> Value {
        let found = &self.found;
        let pairs: Vec<Value> = found
            .pairs
            .iter()
            .map(|p| {
                json!({
                    "value": number(p.value),
                    "residual": number(p.residual),
                    "status": p.status,
                })
            })
            .collect();
        let (which, shift) = match self.selection {
            Selection::Ends(Wanted::Top(_)) => ("top", Value::Null),
            Selection::Ends(Wanted::Bottom(_)) => ("bottom", Value::Null),
            Selection::Ends(Wanted::Magnitude(_)) => ("magnitude", Value::Null),
            Selection::Ends(Wanted::BothEnds { .. }) => ("both", Value::Null),
            Selection::Near { shift, .. } => ("near", number(shift)),
        };
        let mut out = json!({
            "n": self.n,
            "which": which,
            "shift": shift,
            "tolerance": number(self.settings.tolerance),
            "seed": self.settings.seed,
            "status": found.status,
            "eigenpairs": pairs,
            "products": found.products,
            "verification_products": found.verification_products,
            "search_products": found.search_products,
            "missed": number(found.missed),
            "symmetry_defect": number(found.symmetry_defect),
        });
        if let Some((density, curve)) = &self.density {
            let quadratures: Vec<Value> = density
                .quadratures
                .iter()
                .map(|q| json!({"nodes": numbers(&q.nodes), "weights": numbers(&q.weights)}))
                .collect();
            let trace = density.trace_of(|t| t);
            out["density"] = json!({
                "status": density.status,
                "products": density.products,
                "width": number(curve.width),
                "grid": numbers(&curve.grid),
                "density": numbers(&curve.density),
                "standard_error": numbers(&curve.standard_error),
                "trace": {
                    "value": number(trace.value),
                    "standard_error": number(trace.standard_error),
                },
                "quadratures": quadratures,
            });
        }
        out
    }

    /// A table of eigenvalues and residuals, what they cost, and the density as bars.
    pub fn to_text(&self) -> String {
        let found = &self.found;
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:>4}  {:>24}  {:>10}", "", "eigenvalue", "residual");
        for (index, pair) in found.pairs.iter().enumerate() {
            let mark = match pair.status {
                PairStatus::Converged => "",
                PairStatus::Unconverged => "  not converged",
            };
            let _ = writeln!(
                out,
                "{:>4}  {:>24.16e}  {:>10.2e}{mark}",
                index + 1,
                pair.value,
                pair.residual
            );
        }
        let _ = writeln!(
            out,
            "{}: {} products ({} for residuals, {} in search of copies), symmetry defect {:.1e}",
            words(&json!(found.status)),
            found.products,
            found.verification_products,
            found.search_products,
            found.symmetry_defect
        );
        if let Some((density, curve)) = &self.density {
            let trace = density.trace_of(|t| t);
            let _ = writeln!(
                out,
                "\ndensity of eigenvalues, {} directions, {} products, kernel {:.3e}; trace {:.6e} ± {:.1e}",
                density.quadratures.len(),
                density.products,
                curve.width,
                trace.value,
                trace.standard_error
            );
            bars(&mut out, curve);
        }
        out
    }
}

/// `not_finite` → `not finite`.
fn words(status: &Value) -> String {
    status.as_str().unwrap_or_default().replace('_', " ")
}

/// Every tenth point of the grid as a line.
fn bars(out: &mut String, curve: &DensityCurve) {
    let highest = curve.density.iter().copied().fold(0.0, f64::max);
    for (lambda, density) in curve.grid.iter().zip(&curve.density).step_by(10) {
        let share = if highest > 0.0 {
            density / highest
        } else {
            0.0
        };
        let bar = "#".repeat((share * 40.0).round() as usize);
        let _ = writeln!(out, "{lambda:>12.4e}  {density:>10.3e}  {bar}");
    }
}
