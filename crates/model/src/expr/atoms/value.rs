//! The atoms' numbers.

use super::{Atom, Definiteness, is_even};
use crate::linalg::{eigenvalues, singular_values, solve_definite};
use crate::shape::Shape;

const INF: f64 = f64::INFINITY;

impl Atom {
    /// Outside of its domain a convex function is `+inf` and a concave one `-inf`.
    pub(crate) fn value(&self, args: &[&[f64]], shapes: &[Shape]) -> Vec<f64> {
        let x = args[0];
        let each = |f: &dyn Fn(f64) -> f64| x.iter().map(|v| f(*v)).collect();
        let pairs = |f: &dyn Fn(f64, f64) -> f64| {
            let pairs = x.iter().zip(args[1]);
            pairs.map(|(a, b)| f(*a, *b)).collect()
        };
        let across = |f: fn(f64, f64) -> f64| {
            let nth = |i: usize| args.iter().map(|arg| arg[i]).reduce(f).unwrap_or(f64::NAN);
            (0..x.len()).map(nth).collect()
        };
        let one = match self {
            Atom::Abs => return each(&f64::abs),
            Atom::Pos => return each(&|v| v.max(0.0)),
            Atom::NegPart => return each(&|v| (-v).max(0.0)),
            Atom::Square => return each(&|v| v * v),
            Atom::Sqrt => return each(&|v| if v < 0.0 { -INF } else { v.sqrt() }),
            Atom::InvPos => return each(&|v| if v <= 0.0 { INF } else { 1.0 / v }),
            Atom::Exp => return each(&f64::exp),
            Atom::Log => return each(&|v| if v <= 0.0 { -INF } else { v.ln() }),
            Atom::Entropy => return each(&|v| -x_log_x(v)),
            Atom::Logistic => return each(&|v| v.max(0.0) + (-v.abs()).exp().ln_1p()),
            Atom::Huber(threshold) => {
                let t = *threshold;
                return each(&|v| {
                    if v.abs() <= t {
                        v * v
                    } else {
                        2.0 * t * v.abs() - t * t
                    }
                });
            }
            Atom::Power(p) => return each(&|v| raised(v, *p)),
            Atom::RelEntr => return pairs(&relative_entropy),
            Atom::KlDiv => return pairs(&|a, b| relative_entropy(a, b) - a + b),
            Atom::Maximum => return across(f64::max),
            Atom::Minimum => return across(f64::min),
            Atom::Max => x.iter().copied().fold(-INF, f64::max),
            Atom::Min => x.iter().copied().fold(INF, f64::min),
            Atom::Norm1 => x.iter().map(|v| v.abs()).sum(),
            Atom::Norm2 => x.iter().map(|v| v * v).sum::<f64>().sqrt(),
            Atom::NormInf => x.iter().fold(0.0, |m: f64, v| m.max(v.abs())),
            Atom::SumSquares => x.iter().map(|v| v * v).sum(),
            Atom::SumLargest(count) => extremes(x, *count, true),
            Atom::SumSmallest(count) => extremes(x, *count, false),
            Atom::LogSumExp => {
                let top = x.iter().copied().fold(-INF, f64::max);
                if top.is_infinite() {
                    top
                } else {
                    top + x.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
                }
            }
            Atom::QuadForm(_) => {
                let n = x.len();
                (0..n)
                    .map(|i| {
                        let row = &args[1][i * n..(i + 1) * n];
                        x[i] * row.iter().zip(x).map(|(p, v)| p * v).sum::<f64>()
                    })
                    .sum()
            }
            Atom::QuadOverLin => {
                let (squares, y) = (x.iter().map(|v| v * v).sum::<f64>(), args[1][0]);
                if y > 0.0 {
                    squares / y
                } else if y == 0.0 && squares == 0.0 {
                    0.0
                } else {
                    INF
                }
            }
            Atom::MatrixFrac => match solve_definite(&symmetric(args[1], x.len()), x.len(), x) {
                Some(solved) => solved.iter().zip(x).map(|(a, b)| a * b).sum(),
                None => INF,
            },
            Atom::GeoMean(weights) => {
                if x.iter().any(|v| *v < 0.0) {
                    -INF
                } else {
                    let logs = x.iter().zip(weights.iter()).map(|(v, w)| w * v.ln());
                    logs.sum::<f64>().exp()
                }
            }
            Atom::LambdaMax => spectrum(x, shapes[0]).last().copied().unwrap_or(f64::NAN),
            Atom::LambdaMin => spectrum(x, shapes[0]).first().copied().unwrap_or(f64::NAN),
            Atom::LogDet => {
                let values = spectrum(x, shapes[0]);
                if values.iter().all(|v| *v > 0.0) {
                    values.iter().map(|v| v.ln()).sum()
                } else {
                    -INF
                }
            }
            Atom::NuclearNorm => singular(x, shapes[0]).iter().sum(),
            Atom::OperatorNorm => singular(x, shapes[0]).last().copied().unwrap_or(f64::NAN),
        };
        vec![one]
    }
}

impl Definiteness {
    pub(crate) fn is_negative(self) -> bool {
        self == Definiteness::Negative
    }
}

fn x_log_x(v: f64) -> f64 {
    if v < 0.0 {
        INF
    } else if v == 0.0 {
        0.0
    } else {
        v * v.ln()
    }
}

fn relative_entropy(x: f64, y: f64) -> f64 {
    if x < 0.0 || y < 0.0 || (x > 0.0 && y == 0.0) {
        INF
    } else if x == 0.0 {
        0.0
    } else {
        x * (x / y).ln()
    }
}

fn raised(v: f64, p: f64) -> f64 {
    if is_even(p) {
        return v.abs().powf(p);
    }
    if p < 0.0 {
        return if v <= 0.0 { INF } else { v.powf(p) };
    }
    match (v < 0.0, p < 1.0) {
        (false, _) => v.powf(p),
        (true, true) => -INF,
        (true, false) => INF,
    }
}

fn extremes(x: &[f64], count: usize, largest: bool) -> f64 {
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    if largest {
        sorted.reverse();
    }
    sorted[..count].iter().sum()
}

fn symmetric(x: &[f64], n: usize) -> Vec<f64> {
    let mean = |i: usize| 0.5 * (x[i] + x[(i % n) * n + i / n]);
    (0..n * n).map(mean).collect()
}

fn spectrum(x: &[f64], shape: Shape) -> Vec<f64> {
    eigenvalues(x, shape.dims()[0])
}

fn singular(x: &[f64], shape: Shape) -> Vec<f64> {
    singular_values(x, shape.dims()[0], shape.dims()[1])
}
