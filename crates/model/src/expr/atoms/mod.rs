//! The convex and concave functions: names, curvature, sign, monotonicity.

mod build;
mod value;

use std::sync::Arc;

pub use build::{
    abs, entropy, exp, geo_mean, huber, inv_pos, kl_div, lambda_max, lambda_min, log, log_det,
    log_sum_exp, logistic, matrix_frac, max, maximum, min, minimum, neg_part, norm_inf, norm1,
    norm2, nuclear_norm, operator_norm, pos, power, quad_form, quad_over_lin, rel_entr, sqrt,
    square, sum_largest, sum_smallest, sum_squares, weighted_geo_mean,
};

use super::Expr;
use crate::attributes::{Curvature, Monotonicity, Sign};

/// What is known of a symmetric matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Definiteness {
    Positive,
    Negative,
    Neither,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Atom {
    Abs,
    Entropy,
    Exp,
    /// Weights that add up to 1.
    GeoMean(Arc<[f64]>),
    /// Threshold.
    Huber(f64),
    InvPos,
    KlDiv,
    LambdaMax,
    LambdaMin,
    Log,
    LogDet,
    LogSumExp,
    Logistic,
    MatrixFrac,
    Max,
    Maximum,
    Min,
    Minimum,
    NegPart,
    Norm1,
    Norm2,
    NormInf,
    NuclearNorm,
    OperatorNorm,
    Pos,
    /// An exponent that is none of 0, 1/2, 1, 2, −1.
    Power(f64),
    QuadForm(Definiteness),
    QuadOverLin,
    RelEntr,
    Sqrt,
    Square,
    SumLargest(usize),
    SumSmallest(usize),
    SumSquares,
}

/// Whether a power is defined for every real number: the even ones are.
pub(crate) fn is_even(exponent: f64) -> bool {
    exponent > 0.0 && exponent % 2.0 == 0.0
}

impl Atom {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Atom::Abs => "abs",
            Atom::Entropy => "entropy",
            Atom::Exp => "exp",
            Atom::GeoMean(_) => "geo_mean",
            Atom::Huber(_) => "huber",
            Atom::InvPos => "inv_pos",
            Atom::KlDiv => "kl_div",
            Atom::LambdaMax => "lambda_max",
            Atom::LambdaMin => "lambda_min",
            Atom::Log => "log",
            Atom::LogDet => "log_det",
            Atom::LogSumExp => "log_sum_exp",
            Atom::Logistic => "logistic",
            Atom::MatrixFrac => "matrix_frac",
            Atom::Max => "max",
            Atom::Maximum => "maximum",
            Atom::Min => "min",
            Atom::Minimum => "minimum",
            Atom::NegPart => "neg_part",
            Atom::Norm1 => "norm1",
            Atom::Norm2 => "norm2",
            Atom::NormInf => "norm_inf",
            Atom::NuclearNorm => "nuclear_norm",
            Atom::OperatorNorm => "operator_norm",
            Atom::Pos => "pos",
            Atom::Power(_) => "power",
            Atom::QuadForm(_) => "quad_form",
            Atom::QuadOverLin => "quad_over_lin",
            Atom::RelEntr => "rel_entr",
            Atom::Sqrt => "sqrt",
            Atom::Square => "square",
            Atom::SumLargest(_) => "sum_largest",
            Atom::SumSmallest(_) => "sum_smallest",
            Atom::SumSquares => "sum_squares",
        }
    }

    /// The arguments that are no expressions, as text.
    pub(crate) fn settings(&self) -> Vec<String> {
        match self {
            Atom::Huber(threshold) => vec![threshold.to_string()],
            Atom::Power(exponent) => vec![exponent.to_string()],
            Atom::SumLargest(count) | Atom::SumSmallest(count) => vec![count.to_string()],
            _ => Vec::new(),
        }
    }

    /// Whether an argument reaches the canonical form other than through a new variable's rows.
    pub(crate) fn passes_through(&self) -> bool {
        matches!(self, Atom::KlDiv)
    }

    /// The function's own curvature; a reason where it has none.
    pub(crate) fn curvature(&self, args: &[Expr]) -> Result<Curvature, String> {
        match self {
            Atom::Entropy
            | Atom::GeoMean(_)
            | Atom::LambdaMin
            | Atom::Log
            | Atom::LogDet
            | Atom::Min
            | Atom::Minimum
            | Atom::Sqrt
            | Atom::SumSmallest(_) => Ok(Curvature::Concave),
            Atom::Power(p) if *p > 0.0 && *p < 1.0 => Ok(Curvature::Concave),
            Atom::QuadForm(definiteness) => match definiteness {
                Definiteness::Positive => Ok(Curvature::Convex),
                Definiteness::Negative => Ok(Curvature::Concave),
                Definiteness::Neither if args[1].0.parameters => Err(format!(
                    "the matrix `{}` is not known to be semidefinite; declare the parameter \
                     Domain::Semidefinite",
                    args[1]
                )),
                Definiteness::Neither => Err(format!(
                    "the matrix `{}` is neither symmetric positive semidefinite nor symmetric \
                     negative semidefinite",
                    args[1]
                )),
            },
            _ => Ok(Curvature::Convex),
        }
    }

    pub(crate) fn monotonicity(&self, argument: usize, sign: Sign) -> Monotonicity {
        use Monotonicity::{Decreasing, Increasing, Neither};
        match self {
            Atom::Exp
            | Atom::GeoMean(_)
            | Atom::Log
            | Atom::LogSumExp
            | Atom::Logistic
            | Atom::Max
            | Atom::Maximum
            | Atom::Min
            | Atom::Minimum
            | Atom::Pos
            | Atom::Sqrt
            | Atom::SumLargest(_)
            | Atom::SumSmallest(_) => Increasing,
            Atom::InvPos | Atom::NegPart => Decreasing,
            Atom::Power(p) if *p < 0.0 => Decreasing,
            Atom::Power(p) if *p < 1.0 => Increasing,
            Atom::Power(p) if is_even(*p) => Monotonicity::away_from_zero(sign),
            // Above 1 and not even: infinite below zero, so rising only above it.
            Atom::Power(_) if sign.is_nonnegative() => Increasing,
            Atom::Abs
            | Atom::Huber(_)
            | Atom::Norm1
            | Atom::Norm2
            | Atom::NormInf
            | Atom::Square
            | Atom::SumSquares => Monotonicity::away_from_zero(sign),
            Atom::QuadOverLin if argument == 0 => Monotonicity::away_from_zero(sign),
            Atom::QuadOverLin => Decreasing,
            Atom::RelEntr if argument == 1 => Decreasing,
            _ => Neither,
        }
    }

    pub(crate) fn sign(&self, args: &[Sign]) -> Sign {
        match self {
            Atom::Entropy
            | Atom::LambdaMax
            | Atom::LambdaMin
            | Atom::Log
            | Atom::LogDet
            | Atom::LogSumExp
            | Atom::RelEntr => Sign::Unknown,
            Atom::Max | Atom::Min | Atom::SumLargest(_) | Atom::SumSmallest(_) => args[0],
            Atom::Maximum => {
                if args.iter().any(|s| s.is_nonnegative()) {
                    Sign::Nonnegative
                } else if args.iter().all(|s| s.is_nonpositive()) {
                    Sign::Nonpositive
                } else {
                    Sign::Unknown
                }
            }
            Atom::Minimum => {
                let negated: Vec<Sign> = args.iter().map(|s| s.negated()).collect();
                Atom::Maximum.sign(&negated).negated()
            }
            Atom::QuadForm(Definiteness::Negative) => Sign::Nonpositive,
            Atom::QuadForm(Definiteness::Neither) => Sign::Unknown,
            _ => Sign::Nonnegative,
        }
    }
}
