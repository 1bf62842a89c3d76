//! Sign and curvature of a node from those of its arguments.
//!
//! The composition rule of disciplined convex programming (Grant, Boyd & Ye 2006), with parameters
//! as affine as variables and products of two parameters refused (Agrawal, Amos, Barratt, Boyd,
//! Diamond & Kolter 2019).

use super::{Expr, Node, Op};
use crate::attributes::{Curvature, Monotonicity, Sign};
use crate::error::Error;

pub(super) fn sign(node: &Node) -> Sign {
    let of = |i: usize| node.args[i].sign();
    match &node.op {
        Op::Variable(leaf) | Op::Parameter(leaf) => leaf.domain.sign(),
        Op::Constant(data) => Sign::of(data),
        Op::Add => of(0).plus(of(1)),
        Op::Negate => of(0).negated(),
        Op::Multiply | Op::MatMul | Op::Divide => of(0).times(of(1)),
        Op::Linear(map, _) if map.is_nonnegative() => of(0),
        Op::Linear(..) => Sign::Unknown,
        Op::Concat(_) => {
            let first = of(0);
            let same = |s: Sign, t: Sign| match (s, t) {
                (Sign::Zero, s) | (s, Sign::Zero) => s,
                (a, b) if a == b => a,
                _ => Sign::Unknown,
            };
            node.args.iter().map(Expr::sign).fold(first, same)
        }
        Op::Atom(atom) => {
            let signs: Vec<Sign> = node.args.iter().map(Expr::sign).collect();
            atom.sign(&signs)
        }
    }
}

pub(super) fn curvature(node: &Node) -> Result<Curvature, Box<Error>> {
    let of = |i: usize| node.args[i].curvature();
    if node.args.iter().any(|arg| arg.0.fault.is_some()) {
        return Ok(Curvature::Unknown);
    }
    match &node.op {
        Op::Variable(_) | Op::Parameter(_) => Ok(Curvature::Affine),
        Op::Constant(_) => Ok(Curvature::Constant),
        Op::Add | Op::Concat(_) => joined(node),
        Op::Negate => Ok(of(0).negated()),
        Op::Multiply | Op::MatMul => product(node),
        Op::Divide => quotient(node),
        Op::Linear(map, _) if map.is_nonnegative() || of(0).is_affine() => Ok(of(0)),
        Op::Linear(..) => Err(breaks(
            node,
            format!(
                "it has coefficients of both signs, so its argument must be affine, but `{}` is \
                 {}; introduce a variable in its place and bound it by a constraint",
                node.args[0],
                of(0)
            ),
        )),
        Op::Atom(_) => composition(node),
    }
}

fn breaks(node: &Node, reason: String) -> Box<Error> {
    Box::new(Error::Curvature {
        expression: super::print::node(node),
        reason,
    })
}

fn parametrised(node: &Node, reason: String) -> Box<Error> {
    Box::new(Error::Parametrisation {
        expression: super::print::node(node),
        reason,
    })
}

fn joined(node: &Node) -> Result<Curvature, Box<Error>> {
    let curvature = node
        .args
        .iter()
        .map(Expr::curvature)
        .fold(Curvature::Constant, Curvature::plus);
    if curvature != Curvature::Unknown {
        return Ok(curvature);
    }
    let find = |c| node.args.iter().find(|arg| arg.curvature() == c);
    let show = |c| find(c).map_or(String::new(), |arg| format!("`{arg}`"));
    Err(breaks(
        node,
        format!(
            "it joins a convex part, {}, and a concave part, {}; all parts must be convex or all \
             concave",
            show(Curvature::Convex),
            show(Curvature::Concave)
        ),
    ))
}

fn product(node: &Node) -> Result<Curvature, Box<Error>> {
    let (a, b) = (&node.args[0], &node.args[1]);
    let (factor, other) = match (a.0.variables, b.0.variables) {
        (true, true) => {
            return Err(breaks(
                node,
                format!(
                    "both factors depend on variables (`{a}` and `{b}`), and such a product is \
                     neither convex nor concave in general; use square, sum_squares, quad_form, \
                     quad_over_lin or geo_mean where one of them says the same"
                ),
            ));
        }
        (true, false) => (b, a),
        (false, true) => (a, b),
        // No variables: one that is affine in the parameters scales the other.
        (false, false) if !b.0.parameters || !a.curvature().is_affine() => (b, a),
        (false, false) => (a, b),
    };
    if factor.0.parameters {
        if !factor.curvature().is_affine() {
            return Err(parametrised(
                node,
                format!(
                    "the factor `{factor}` is not affine in the parameters; make its value a \
                     parameter of its own"
                ),
            ));
        }
        if other.0.carries {
            return Err(parametrised(
                node,
                format!(
                    "both factors depend on parameters (`{factor}` and `{other}`), so their \
                     product is not affine in them; make the product one parameter, or put a new \
                     variable, equal to one factor by a constraint, in its place"
                ),
            ));
        }
    }
    let curvature = match (other.curvature(), factor.curvature()) {
        (Curvature::Constant, c) | (c, Curvature::Constant) if c.is_affine() => return Ok(c),
        (c, _) => c,
    };
    if curvature.is_affine() {
        return Ok(Curvature::Affine);
    }
    let sign = factor.sign();
    if sign.is_nonnegative() {
        Ok(curvature)
    } else if sign.is_nonpositive() {
        Ok(curvature.negated())
    } else {
        let declare = if factor.0.parameters {
            "; declare the parameter nonnegative or nonpositive"
        } else {
            ""
        };
        Err(breaks(
            node,
            format!(
                "the factor `{factor}` is {sign}, so the {} factor `{other}` keeps its curvature \
                 on neither side{declare}",
                other.curvature()
            ),
        ))
    }
}

fn quotient(node: &Node) -> Result<Curvature, Box<Error>> {
    let (a, b) = (&node.args[0], &node.args[1]);
    let Some(data) = &b.0.folded else {
        return Err(if b.0.variables {
            breaks(
                node,
                format!(
                    "the divisor `{b}` depends on variables; use inv_pos, quad_over_lin or \
                     rel_entr where one of them says the same"
                ),
            )
        } else {
            parametrised(
                node,
                format!(
                    "the divisor `{b}` is a parameter, in which a quotient is not affine; make \
                     its reciprocal the parameter and multiply"
                ),
            )
        });
    };
    if data.contains(&0.0) {
        return Err(Box::new(Error::Argument {
            expression: super::print::node(node),
            reason: format!("the divisor `{b}` is zero"),
        }));
    }
    let curvature = a.curvature();
    if curvature.is_affine() || b.sign().is_nonnegative() {
        Ok(curvature)
    } else if b.sign().is_nonpositive() {
        Ok(curvature.negated())
    } else {
        Err(breaks(
            node,
            format!("the divisor `{b}` has entries of both signs and `{a}` is {curvature}"),
        ))
    }
}

fn composition(node: &Node) -> Result<Curvature, Box<Error>> {
    let Op::Atom(atom) = &node.op else {
        return Ok(Curvature::Unknown);
    };
    let curvature = match atom.curvature(&node.args) {
        Ok(curvature) => curvature,
        Err(reason) => return Err(breaks(node, reason)),
    };
    for (i, arg) in node.args.iter().enumerate() {
        if arg.curvature().is_affine() {
            continue;
        }
        let monotonicity = atom.monotonicity(i, arg.sign());
        let rising = (curvature == Curvature::Convex) == (arg.curvature() == Curvature::Convex);
        let fits = match monotonicity {
            Monotonicity::Increasing => rising,
            Monotonicity::Decreasing => !rising,
            Monotonicity::Neither => false,
        };
        if fits {
            continue;
        }
        let name = atom.name();
        let place = match node.args.len() {
            1 => "its argument".to_owned(),
            _ => format!("argument {}", i + 1),
        };
        let (moves, must) = match (monotonicity, curvature) {
            (Monotonicity::Neither, _) => ("neither rises nor falls with", "affine"),
            (Monotonicity::Increasing, Curvature::Convex) => ("rises with", "convex"),
            (Monotonicity::Increasing, _) => ("rises with", "concave"),
            (Monotonicity::Decreasing, Curvature::Convex) => ("falls with", "concave"),
            (Monotonicity::Decreasing, _) => ("falls with", "convex"),
        };
        return Err(breaks(
            node,
            format!(
                "{name} is {curvature} and {moves} {place}, which must then be {must}, but `{arg}` \
                 is {}",
                arg.curvature()
            ),
        ));
    }
    Ok(curvature)
}
