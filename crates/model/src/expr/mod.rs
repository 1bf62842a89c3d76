//! Expressions: a graph of shared nodes whose attributes are known from the start.

mod affine;
mod atoms;
mod linear;
mod operators;
mod print;
mod rules;
mod value;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

pub use affine::{constant, diag, hstack, identity, kron, vstack};
pub use atoms::{
    abs, entropy, exp, geo_mean, huber, inv_pos, kl_div, lambda_max, lambda_min, log, log_det,
    log_sum_exp, logistic, matrix_frac, max, maximum, min, minimum, neg_part, norm_inf, norm1,
    norm2, nuclear_norm, operator_norm, pos, power, quad_form, quad_over_lin, rel_entr, sqrt,
    square, sum_largest, sum_smallest, sum_squares, weighted_geo_mean,
};

pub(crate) use atoms::{Atom, is_even};
pub(crate) use linear::Linear;
pub(crate) use value::product_sizes;

use crate::attributes::{Curvature, Domain, Sign};
use crate::error::Error;
use crate::shape::Shape;

/// A scalar, vector or matrix that depends on variables and parameters.
///
/// Cloning is cheap. Operators and functions build new expressions and never panic: a mistake in
/// the shapes is kept in the expression and reported when the model is compiled.
#[derive(Clone)]
pub struct Expr(pub(crate) Arc<Node>);

/// A variable or parameter.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) model: u64,
    pub(crate) id: usize,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) domain: Domain,
}

/// How a linear operation is written: before and after its argument.
#[derive(Clone, Debug)]
pub(crate) enum Label {
    /// Not at all.
    Hidden,
    /// `name(argument, rest)`.
    Call(&'static str, String),
    /// `argument[index]`.
    Index(String),
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Variable(Arc<Leaf>),
    Parameter(Arc<Leaf>),
    Constant(Arc<[f64]>),
    Add,
    Negate,
    /// Entry by entry.
    Multiply,
    /// By a constant, entry by entry.
    Divide,
    MatMul,
    Linear(Arc<Linear>, Label),
    /// One argument's entries after another's.
    Concat(&'static str),
    Atom(Atom),
}

pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) args: Vec<Expr>,
    pub(crate) shape: Shape,
    pub(crate) curvature: Curvature,
    pub(crate) sign: Sign,
    /// Whether it depends on a variable.
    pub(crate) variables: bool,
    /// Whether it depends on a parameter.
    pub(crate) parameters: bool,
    /// Whether parameters are left in the canonical form, and not in the rows of a new variable.
    pub(crate) carries: bool,
    /// The numbers of a constant.
    pub(crate) folded: Option<Arc<[f64]>>,
    /// The first mistake at or below this node.
    pub(crate) fault: Option<Arc<Error>>,
    /// Whether the mistake is one of shapes, so that this node's shape means nothing.
    pub(crate) poisoned: bool,
}

/// A long chain of nodes would overflow the stack if each dropped the next.
impl Drop for Node {
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut self.args);
        while let Some(expr) = open.pop() {
            if let Some(mut node) = Arc::into_inner(expr.0) {
                open.append(&mut node.args);
            }
        }
    }
}

impl Expr {
    /// Numbers of rows and columns.
    pub fn shape(&self) -> Shape {
        self.0.shape
    }

    /// Curvature in variables and parameters together.
    pub fn curvature(&self) -> Curvature {
        self.0.curvature
    }

    /// What is known of the sign of all entries.
    pub fn sign(&self) -> Sign {
        self.0.sign
    }

    /// The mistake, if any, that would stop a model with this expression from compiling.
    pub fn mistake(&self) -> Option<&Error> {
        self.0.fault.as_deref()
    }

    pub(crate) fn args(&self) -> &[Expr] {
        &self.0.args
    }

    pub(crate) fn arg(&self, i: usize) -> &Expr {
        &self.0.args[i]
    }

    pub(crate) fn size(&self) -> usize {
        self.0.shape.size()
    }

    pub(crate) fn key(&self) -> *const Node {
        Arc::as_ptr(&self.0)
    }

    pub(crate) fn variable(leaf: Arc<Leaf>) -> Expr {
        Expr::leaf(Op::Variable(leaf.clone()), &leaf, true)
    }

    pub(crate) fn parameter(leaf: Arc<Leaf>) -> Expr {
        Expr::leaf(Op::Parameter(leaf.clone()), &leaf, false)
    }

    fn leaf(op: Op, leaf: &Leaf, variable: bool) -> Expr {
        let fault = leaf_fault(leaf);
        Expr(Arc::new(Node {
            op,
            args: Vec::new(),
            shape: leaf.shape,
            curvature: Curvature::Affine,
            sign: leaf.domain.sign(),
            variables: variable,
            parameters: !variable,
            carries: !variable,
            folded: None,
            poisoned: fault.is_some(),
            fault: fault.map(Arc::new),
        }))
    }

    /// A constant whose length fits its shape.
    pub(crate) fn numbers(shape: Shape, data: Vec<f64>) -> Expr {
        let data: Arc<[f64]> = data.into();
        let fault = data
            .iter()
            .position(|v| !v.is_finite())
            .map(|at| Error::Argument {
                expression: print::numbers(shape, &data),
                reason: format!("it is {} at entry {at} but must be finite", data[at]),
            });
        Expr(Arc::new(Node {
            op: Op::Constant(data.clone()),
            args: Vec::new(),
            shape,
            curvature: Curvature::Constant,
            sign: Sign::of(&data),
            variables: false,
            parameters: false,
            carries: false,
            folded: Some(data),
            poisoned: fault.is_some(),
            fault: fault.map(Arc::new),
        }))
    }

    /// A node of known shape.
    pub(crate) fn node(op: Op, args: Vec<Expr>, shape: Shape) -> Expr {
        let any = |f: fn(&Node) -> bool| args.iter().any(|arg| f(&arg.0));
        let (variables, parameters) = (any(|n| n.variables), any(|n| n.parameters));
        let carries = match &op {
            Op::Atom(Atom::QuadForm(_)) => args[1].0.parameters,
            Op::Atom(atom) => parameters && atom.passes_through(),
            _ => any(|n| n.carries),
        };
        let mut node = Node {
            op,
            args,
            shape,
            curvature: Curvature::Unknown,
            sign: Sign::Unknown,
            variables,
            parameters,
            carries,
            folded: None,
            fault: None,
            poisoned: false,
        };
        node.fault = node.args.iter().find_map(|arg| arg.0.fault.clone());
        node.poisoned = node.args.iter().any(|arg| arg.0.poisoned);
        if node.poisoned {
            return Expr(Arc::new(node));
        }
        if let Some(reason) = shape.excess() {
            return Expr::misshapen(node.op.clone(), std::mem::take(&mut node.args), reason);
        }
        if !variables && !parameters && node.args.iter().all(|arg| arg.0.folded.is_some()) {
            let args: Vec<&[f64]> = node
                .args
                .iter()
                .map(|arg| arg.0.folded.as_deref().unwrap_or(&[]))
                .collect();
            let data: Arc<[f64]> = value::apply(&node.op, &node.args, &args, shape).into();
            node.curvature = Curvature::Constant;
            node.sign = Sign::of(&data);
            if node.fault.is_none() && data.iter().any(|v| !v.is_finite()) {
                let expression = print::node(&node);
                node.fault = Some(Arc::new(Error::Argument {
                    expression,
                    reason: "its value is not finite".to_owned(),
                }));
            }
            node.folded = Some(data);
            return Expr(Arc::new(node));
        }
        node.sign = rules::sign(&node);
        match rules::curvature(&node) {
            Ok(curvature) => node.curvature = curvature,
            Err(error) if node.fault.is_none() => node.fault = Some(Arc::new(*error)),
            Err(_) => {}
        }
        Expr(Arc::new(node))
    }

    /// A node whose shapes do not fit.
    pub(crate) fn misshapen(op: Op, args: Vec<Expr>, reason: String) -> Expr {
        Expr::broken(op, args, |expression| Error::Shape { expression, reason })
    }

    /// A node with an argument it does not take.
    pub(crate) fn invalid(op: Op, args: Vec<Expr>, reason: String) -> Expr {
        Expr::broken(op, args, |expression| Error::Argument {
            expression,
            reason,
        })
    }

    fn broken(op: Op, args: Vec<Expr>, error: impl FnOnce(String) -> Error) -> Expr {
        let mut node = Node {
            op,
            args,
            shape: Shape::SCALAR,
            curvature: Curvature::Unknown,
            sign: Sign::Unknown,
            variables: true,
            parameters: true,
            carries: true,
            folded: None,
            fault: None,
            poisoned: true,
        };
        node.fault = node.args.iter().find_map(|arg| arg.0.fault.clone());
        if node.fault.is_none() {
            node.fault = Some(Arc::new(error(print::node(&node))));
        }
        Expr(Arc::new(node))
    }
}

fn leaf_fault(leaf: &Leaf) -> Option<Error> {
    let reason = if leaf.shape.size() == 0 {
        format!("its shape {} has no entries", leaf.shape)
    } else if let Some(excess) = leaf.shape.excess() {
        excess
    } else if leaf.domain.is_symmetric() && leaf.shape.square().is_none() {
        format!(
            "its shape is {} but a symmetric matrix must be square",
            leaf.shape
        )
    } else {
        return None;
    };
    Some(Error::Shape {
        expression: leaf.name.clone(),
        reason,
    })
}

/// The nodes below the roots, every argument before what uses it, each once.
pub(crate) fn postorder<'e>(roots: impl IntoIterator<Item = &'e Expr>) -> Vec<&'e Expr> {
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    for root in roots {
        let mut open = vec![(root, 0)];
        if !seen.insert(root.key()) {
            continue;
        }
        while let Some((expr, next)) = open.pop() {
            match expr.args().get(next) {
                Some(arg) => {
                    open.push((expr, next + 1));
                    if seen.insert(arg.key()) {
                        open.push((arg, 0));
                    }
                }
                None => order.push(expr),
            }
        }
    }
    order
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print::node(&self.0))
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}: {}", self.0.shape)
    }
}

impl From<f64> for Expr {
    fn from(value: f64) -> Expr {
        Expr::numbers(Shape::SCALAR, vec![value])
    }
}

impl From<&Expr> for Expr {
    fn from(expr: &Expr) -> Expr {
        expr.clone()
    }
}

impl From<Vec<f64>> for Expr {
    fn from(data: Vec<f64>) -> Expr {
        constant([data.len()], data)
    }
}

impl From<&[f64]> for Expr {
    fn from(data: &[f64]) -> Expr {
        constant([data.len()], data.to_vec())
    }
}
