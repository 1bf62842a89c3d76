//! Numbers, matrices and verdicts as JSON.

use feasible_record::Number;
use feasible_solver::{GradientQuality, GradientReport, Residuals, Status};
use serde_json::{Map, Value, json};

use crate::fields::Symmetric;

/// A number; NaN and the infinities as words.
pub(crate) fn number(value: f64) -> Value {
    serde_json::to_value(Number(value)).unwrap_or(Value::Null)
}

pub(crate) fn vector(values: &[f64]) -> Value {
    values.iter().map(|v| number(*v)).collect()
}

/// Row-major numbers as a list of rows.
pub(crate) fn matrix(values: &[f64], columns: usize) -> Value {
    if columns == 0 {
        return json!([]);
    }
    values.chunks_exact(columns).map(vector).collect()
}

/// A symmetric matrix's gradient in the form the matrix was given in.
pub(crate) fn like(given: &Symmetric, values: &[f64], n: usize) -> Value {
    match given {
        Symmetric::Dense(_) => matrix(values, n),
        Symmetric::Diagonal(_) => vector(values),
    }
}

pub(crate) fn residuals(residuals: &Residuals) -> Value {
    json!({
        "primal": number(residuals.primal),
        "dual": number(residuals.dual),
        "gap": number(residuals.gap),
    })
}

pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Solved => "solved",
        Status::Relaxed => "relaxed",
        Status::PrimalInfeasible => "primal_infeasible",
        Status::DualInfeasible => "dual_infeasible",
        Status::MaxIterations => "max_iterations",
        Status::NumericalError => "numerical_error",
        _ => "unknown",
    }
}

/// The verdict on a gradient, to which its entries are added.
pub(crate) fn gradient(report: &GradientReport) -> Map<String, Value> {
    let quality = match report.quality {
        GradientQuality::Exact => "exact",
        GradientQuality::Degenerate => "degenerate",
        GradientQuality::Smoothed => "smoothed",
        GradientQuality::Unavailable => "unavailable",
        _ => "unknown",
    };
    [
        ("status", json!(quality)),
        ("margin", number(report.margin)),
        ("condition", number(report.condition)),
        ("residual", number(report.residual)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
