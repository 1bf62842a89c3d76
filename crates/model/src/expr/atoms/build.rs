//! The functions that build atoms.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Atom, Definiteness};
use crate::attributes::Domain;
use crate::expr::affine::broadcast;
use crate::expr::{Expr, Node, Op};
use crate::linalg::semidefinite_factor;
use crate::shape::Shape;

fn elementwise(atom: Atom, x: &Expr) -> Expr {
    Expr::node(Op::Atom(atom), vec![x.clone()], x.shape())
}

fn scalar(atom: Atom, x: &Expr) -> Expr {
    Expr::node(Op::Atom(atom), vec![x.clone()], Shape::SCALAR)
}

/// Brings scalars among the arguments to the shape of the others.
fn alike(atom: Atom, args: &[Expr]) -> Expr {
    let op = Op::Atom(atom);
    if args.is_empty() {
        return Expr::misshapen(op, Vec::new(), "it has no arguments".to_owned());
    }
    if args.iter().any(|arg| arg.0.poisoned) {
        return Expr::node(op, args.to_vec(), Shape::SCALAR);
    }
    let shape = args
        .iter()
        .map(Expr::shape)
        .find(|shape| !shape.is_scalar())
        .unwrap_or(Shape::SCALAR);
    let fits = |arg: &Expr| arg.shape() == shape || arg.shape().is_scalar();
    if let Some(other) = args.iter().find(|arg| !fits(arg)) {
        let reason = format!(
            "arguments have the shapes {shape} and {} but must have one shape or be scalars",
            other.shape()
        );
        return Expr::misshapen(op, args.to_vec(), reason);
    }
    let args = args
        .iter()
        .map(|arg| {
            if arg.shape() == shape {
                arg.clone()
            } else {
                broadcast(arg, shape)
            }
        })
        .collect();
    Expr::node(op, args, shape)
}

fn square_matrix(atom: Atom, x: &Expr) -> Expr {
    if x.0.poisoned || x.shape().square().is_some() {
        return scalar(atom, x);
    }
    let reason = format!("its argument has the shape {}, not [n, n]", x.shape());
    Expr::misshapen(Op::Atom(atom), vec![x.clone()], reason)
}

fn any_matrix(atom: Atom, x: &Expr) -> Expr {
    if x.0.poisoned || x.shape().rank() == 2 {
        return scalar(atom, x);
    }
    let reason = format!("its argument has the shape {}, not [m, n]", x.shape());
    Expr::misshapen(Op::Atom(atom), vec![x.clone()], reason)
}

/// `|x|`, entry by entry. Convex.
pub fn abs(x: &Expr) -> Expr {
    elementwise(Atom::Abs, x)
}

/// `max(x, 0)`, entry by entry. Convex, rising.
pub fn pos(x: &Expr) -> Expr {
    elementwise(Atom::Pos, x)
}

/// `max(−x, 0)`, entry by entry. Convex, falling.
pub fn neg_part(x: &Expr) -> Expr {
    elementwise(Atom::NegPart, x)
}

/// `x²`, entry by entry. Convex.
pub fn square(x: &Expr) -> Expr {
    elementwise(Atom::Square, x)
}

/// `√x`, entry by entry, `x ≥ 0`. Concave, rising.
pub fn sqrt(x: &Expr) -> Expr {
    elementwise(Atom::Sqrt, x)
}

/// `1/x`, entry by entry, `x > 0`. Convex, falling.
pub fn inv_pos(x: &Expr) -> Expr {
    elementwise(Atom::InvPos, x)
}

/// `exp(x)`, entry by entry. Convex, rising.
pub fn exp(x: &Expr) -> Expr {
    elementwise(Atom::Exp, x)
}

/// `log(x)`, entry by entry, `x > 0`. Concave, rising.
pub fn log(x: &Expr) -> Expr {
    elementwise(Atom::Log, x)
}

/// `−x log x`, entry by entry, `x ≥ 0`. Concave.
pub fn entropy(x: &Expr) -> Expr {
    elementwise(Atom::Entropy, x)
}

/// `log(1 + exp(x))`, entry by entry. Convex, rising.
pub fn logistic(x: &Expr) -> Expr {
    elementwise(Atom::Logistic, x)
}

/// `x²` where `|x| ≤ threshold`, `2·threshold·|x| − threshold²` beyond, entry by entry (Huber
/// 1964). Convex.
pub fn huber(x: &Expr, threshold: f64) -> Expr {
    if !(threshold > 0.0 && threshold.is_finite()) {
        let reason = format!("the threshold is {threshold} but must be positive and finite");
        return Expr::invalid(Op::Atom(Atom::Huber(threshold)), vec![x.clone()], reason);
    }
    elementwise(Atom::Huber(threshold), x)
}

/// `x^p`, entry by entry, any real `p`.
///
/// | `p` | domain | curvature |
/// |---|---|---|
/// | 2, 4, 6, … | all | convex |
/// | above 1 | `x ≥ 0` | convex |
/// | between 0 and 1 | `x ≥ 0` | concave, rising |
/// | below 0 | `x > 0` | convex, falling |
///
/// `p = 1` is `x` and `p = 0` is 1.
pub fn power(x: &Expr, p: f64) -> Expr {
    if x.0.poisoned {
        return x.clone();
    }
    if !p.is_finite() {
        let reason = format!("the exponent is {p} but must be finite");
        return Expr::invalid(Op::Atom(Atom::Power(p)), vec![x.clone()], reason);
    }
    if p == 0.0 {
        return Expr::numbers(x.shape(), vec![1.0; x.size()]);
    }
    if p == 1.0 {
        return x.clone();
    }
    // The canonical form has 1/(1 − p), p or 1/p for a cone's exponent, which is between 0 and 1.
    if p < 0.0 && 1.0 - p == 1.0 {
        let reason = format!("the exponent is {p}, which rounds to 0 beside 1");
        return Expr::invalid(Op::Atom(Atom::Power(p)), vec![x.clone()], reason);
    }
    let atom = if p == 2.0 {
        Atom::Square
    } else if p == 0.5 {
        Atom::Sqrt
    } else if p == -1.0 {
        Atom::InvPos
    } else {
        Atom::Power(p)
    };
    elementwise(atom, x)
}

/// Sum of absolute values of all entries, `[]`. Convex.
pub fn norm1(x: &Expr) -> Expr {
    scalar(Atom::Norm1, x)
}

/// Euclidean norm of all entries (of a matrix: Frobenius's), `[]`. Convex.
pub fn norm2(x: &Expr) -> Expr {
    scalar(Atom::Norm2, x)
}

/// Largest absolute value of all entries, `[]`. Convex.
pub fn norm_inf(x: &Expr) -> Expr {
    scalar(Atom::NormInf, x)
}

/// Sum of squares of all entries, `[]`. Convex.
pub fn sum_squares(x: impl Into<Expr>) -> Expr {
    scalar(Atom::SumSquares, &x.into())
}

/// Largest entry, `[]`. Convex, rising.
pub fn max(x: &Expr) -> Expr {
    scalar(Atom::Max, x)
}

/// Smallest entry, `[]`. Concave, rising.
pub fn min(x: &Expr) -> Expr {
    scalar(Atom::Min, x)
}

/// Largest of the arguments, entry by entry; scalars are spread. Convex, rising.
pub fn maximum(args: &[Expr]) -> Expr {
    alike(Atom::Maximum, args)
}

/// Smallest of the arguments, entry by entry; scalars are spread. Concave, rising.
pub fn minimum(args: &[Expr]) -> Expr {
    alike(Atom::Minimum, args)
}

/// Sum of the `count` largest entries, `[]`. Convex, rising.
pub fn sum_largest(x: &Expr, count: usize) -> Expr {
    counted(Atom::SumLargest(count), x, count)
}

/// Sum of the `count` smallest entries, `[]`. Concave, rising.
pub fn sum_smallest(x: &Expr, count: usize) -> Expr {
    counted(Atom::SumSmallest(count), x, count)
}

fn counted(atom: Atom, x: &Expr, count: usize) -> Expr {
    if x.0.poisoned || (1..=x.size()).contains(&count) {
        return scalar(atom, x);
    }
    let reason = format!(
        "the count is {count} but must be between 1 and the number of entries, {}",
        x.size()
    );
    Expr::invalid(Op::Atom(atom), vec![x.clone()], reason)
}

/// `log Σ exp(xᵢ)` over all entries, `[]`. Convex, rising.
pub fn log_sum_exp(x: &Expr) -> Expr {
    scalar(Atom::LogSumExp, x)
}

/// `x log(x/y)`, entry by entry; scalars are spread. Convex, falling in `y`.
pub fn rel_entr(x: &Expr, y: &Expr) -> Expr {
    alike(Atom::RelEntr, &[x.clone(), y.clone()])
}

/// `x log(x/y) − x + y`, entry by entry; scalars are spread. Convex, at least 0.
pub fn kl_div(x: &Expr, y: &Expr) -> Expr {
    alike(Atom::KlDiv, &[x.clone(), y.clone()])
}

/// `xᵀP x`, `x` of shape `[n]` and `P` `[n, n]`.
///
/// `P` is a constant that is positive semidefinite (convex) or negative semidefinite (concave), or
/// it is made of parameters declared [`Domain::Semidefinite`], sums of them, and their multiples
/// with numbers. With parameters it has its place in the objective, or in constraints of a problem
/// that needs no other cones.
pub fn quad_form(x: &Expr, p: &Expr) -> Expr {
    let args = vec![x.clone(), p.clone()];
    let definiteness = definiteness(p);
    let op = Op::Atom(Atom::QuadForm(definiteness));
    if x.0.poisoned || p.0.poisoned {
        return Expr::node(op, args, Shape::SCALAR);
    }
    if p.shape() != Shape::from([x.size(), x.size()]) || x.shape().rank() != 1 {
        let reason = format!(
            "the arguments have the shapes {} and {} but must be [n] and [n, n]",
            x.shape(),
            p.shape()
        );
        return Expr::misshapen(op, args, reason);
    }
    if p.0.variables {
        let reason = "the matrix depends on variables".to_owned();
        return Expr::invalid(op, args, reason);
    }
    Expr::node(op, args, Shape::SCALAR)
}

fn definiteness(p: &Expr) -> Definiteness {
    definiteness_once(p, &mut HashMap::new())
}

/// With what is known of shared nodes, which may be reached on very many ways.
fn definiteness_once(p: &Expr, known: &mut HashMap<*const Node, Definiteness>) -> Definiteness {
    if let Some(found) = known.get(&p.key()) {
        return *found;
    }
    let found = definiteness_anew(p, known);
    known.insert(p.key(), found);
    found
}

fn definiteness_anew(p: &Expr, known: &mut HashMap<*const Node, Definiteness>) -> Definiteness {
    let flip = |d| match d {
        Definiteness::Positive => Definiteness::Negative,
        Definiteness::Negative => Definiteness::Positive,
        Definiteness::Neither => Definiteness::Neither,
    };
    if p.0.poisoned {
        return Definiteness::Neither;
    }
    let Some(n) = p.shape().square() else {
        return Definiteness::Neither;
    };
    if let Some(data) = &p.0.folded {
        if semidefinite_factor(data, n).is_some() {
            return Definiteness::Positive;
        }
        let negated: Vec<f64> = data.iter().map(|v| -v).collect();
        return match semidefinite_factor(&negated, n) {
            Some(_) => Definiteness::Negative,
            None => Definiteness::Neither,
        };
    }
    match &p.0.op {
        Op::Parameter(leaf) if leaf.domain == Domain::Semidefinite => Definiteness::Positive,
        Op::Negate => flip(definiteness_once(p.arg(0), known)),
        Op::Add => {
            let a = definiteness_once(p.arg(0), known);
            let b = definiteness_once(p.arg(1), known);
            if a == b { a } else { Definiteness::Neither }
        }
        // A multiple: one factor is a number in every entry.
        Op::Multiply | Op::Divide => {
            let multiple = |i: usize| match &p.arg(i).0.folded {
                Some(data) if data.iter().all(|v| *v == data[0]) => Some(data[0]),
                _ => None,
            };
            for (i, other) in [(1, 0), (0, 1)] {
                if let Some(factor) = multiple(i) {
                    let d = definiteness_once(p.arg(other), known);
                    return if factor >= 0.0 { d } else { flip(d) };
                }
            }
            Definiteness::Neither
        }
        _ => Definiteness::Neither,
    }
}

/// `Σ xᵢ²/y`, `y > 0` a scalar, `[]`. Convex, falling in `y`.
pub fn quad_over_lin(x: &Expr, y: &Expr) -> Expr {
    let args = vec![x.clone(), y.clone()];
    let op = Op::Atom(Atom::QuadOverLin);
    if !y.0.poisoned && !y.shape().is_scalar() {
        let reason = format!("the divisor has the shape {} but must be []", y.shape());
        return Expr::misshapen(op, args, reason);
    }
    Expr::node(op, args, Shape::SCALAR)
}

/// `xᵀP⁻¹x`, `x` of shape `[n]` and `P` `[n, n]` positive definite (its symmetric part), `[]`.
/// Convex.
pub fn matrix_frac(x: &Expr, p: &Expr) -> Expr {
    let args = vec![x.clone(), p.clone()];
    let op = Op::Atom(Atom::MatrixFrac);
    let poisoned = x.0.poisoned || p.0.poisoned;
    if !poisoned && (p.shape() != Shape::from([x.size(), x.size()]) || x.shape().rank() != 1) {
        let reason = format!(
            "the arguments have the shapes {} and {} but must be [n] and [n, n]",
            x.shape(),
            p.shape()
        );
        return Expr::misshapen(op, args, reason);
    }
    Expr::node(op, args, Shape::SCALAR)
}

/// `(Π xᵢ)^(1/n)` over all entries, `x ≥ 0`, `[]`. Concave, rising.
pub fn geo_mean(x: &Expr) -> Expr {
    // What is poisoned may be of any size.
    let n = if x.0.poisoned { 1 } else { x.size() };
    scalar(Atom::GeoMean(vec![1.0 / n as f64; n].into()), x)
}

/// `Π xᵢ^wᵢ` over all entries, weights above 0 and divided by their sum, `x ≥ 0`, `[]`. Concave,
/// rising.
pub fn weighted_geo_mean(x: &Expr, weights: &[f64]) -> Expr {
    let total: f64 = weights.iter().sum();
    let shares: Arc<[f64]> = weights.iter().map(|w| w / total).collect();
    let op = Op::Atom(Atom::GeoMean(shares.clone()));
    if !x.0.poisoned && weights.len() != x.size() {
        let reason = format!("{} weights for the shape {}", weights.len(), x.shape());
        return Expr::misshapen(op, vec![x.clone()], reason);
    }
    if weights.iter().any(|w| !(*w > 0.0 && w.is_finite())) {
        let reason = "a weight is not positive and finite".to_owned();
        return Expr::invalid(op, vec![x.clone()], reason);
    }
    // The canonical form takes each with the mean so far.
    let (mut sum, mut vanishes) = (0.0, false);
    for share in shares.iter() {
        let before = sum;
        sum += share;
        vanishes |= !(*share > 0.0) || (before > 0.0 && !(before / sum < 1.0));
    }
    if vanishes || !total.is_finite() {
        let reason = "a weight vanishes beside the sum of those before it, or their sum overflows";
        return Expr::invalid(op, vec![x.clone()], reason.to_owned());
    }
    scalar(Atom::GeoMean(shares), x)
}

/// Largest eigenvalue of a matrix's symmetric part, `[]`. Convex.
pub fn lambda_max(x: &Expr) -> Expr {
    square_matrix(Atom::LambdaMax, x)
}

/// Smallest eigenvalue of a matrix's symmetric part, `[]`. Concave.
pub fn lambda_min(x: &Expr) -> Expr {
    square_matrix(Atom::LambdaMin, x)
}

/// Log of the determinant of a matrix's symmetric part, positive definite, `[]`. Concave.
pub fn log_det(x: &Expr) -> Expr {
    square_matrix(Atom::LogDet, x)
}

/// Sum of the singular values of a matrix, `[]`. Convex.
pub fn nuclear_norm(x: &Expr) -> Expr {
    any_matrix(Atom::NuclearNorm, x)
}

/// Largest singular value of a matrix, `[]`. Convex.
pub fn operator_norm(x: &Expr) -> Expr {
    any_matrix(Atom::OperatorNorm, x)
}
