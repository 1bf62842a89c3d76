//! The number an expression has at given values of its leaves.

use std::collections::HashMap;

use super::{Expr, Node, Op, postorder};
use crate::error::Error;
use crate::shape::Shape;

impl Expr {
    /// Evaluates the expression, entry by entry, at values of its variables and parameters.
    ///
    /// Outside of its domain a convex function is `+inf` and a concave one `-inf`.
    ///
    /// # Errors
    /// [`Error::Shape`] and its like for an expression that is none, [`Error::UnknownName`] for a
    /// leaf without a value, [`Error::Length`].
    ///
    /// # Cost
    /// Each shared sub-expression is evaluated once. Spectral functions use Jacobi rotations.
    pub fn value(&self, values: &[(&str, &[f64])]) -> Result<Vec<f64>, Error> {
        self.evaluate(&|name| values.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
    }

    pub(crate) fn evaluate<'v>(
        &self,
        lookup: &dyn Fn(&str) -> Option<&'v [f64]>,
    ) -> Result<Vec<f64>, Error> {
        if self.0.poisoned
            && let Some(fault) = &self.0.fault
        {
            return Err((**fault).clone());
        }
        let mut known: HashMap<*const Node, Vec<f64>> = HashMap::new();
        for expr in postorder([self]) {
            let node = &expr.0;
            let data = match &node.op {
                Op::Variable(leaf) | Op::Parameter(leaf) => {
                    let given = lookup(&leaf.name).ok_or_else(|| Error::UnknownName {
                        name: leaf.name.clone(),
                        what: "given value",
                        known: "no value under that name".to_owned(),
                    })?;
                    if given.len() != leaf.shape.size() {
                        return Err(Error::Length {
                            what: "value of",
                            name: leaf.name.clone(),
                            got: given.len(),
                            expected: leaf.shape.size(),
                            layout: leaf.shape.to_string(),
                        });
                    }
                    given.to_vec()
                }
                _ => match &node.folded {
                    Some(data) => data.to_vec(),
                    None => {
                        let args: Vec<&[f64]> =
                            node.args.iter().map(|arg| &known[&arg.key()][..]).collect();
                        apply(&node.op, &node.args, &args, node.shape)
                    }
                },
            };
            known.insert(expr.key(), data);
        }
        Ok(known.remove(&self.key()).unwrap_or_default())
    }
}

/// Applies one operation to numbers.
pub(super) fn apply(op: &Op, exprs: &[Expr], args: &[&[f64]], shape: Shape) -> Vec<f64> {
    let pairs = || args[0].iter().zip(args[1]);
    match op {
        Op::Variable(_) | Op::Parameter(_) => Vec::new(),
        Op::Constant(data) => data.to_vec(),
        Op::Add => pairs().map(|(a, b)| a + b).collect(),
        Op::Negate => args[0].iter().map(|a| -a).collect(),
        Op::Multiply => pairs().map(|(a, b)| a * b).collect(),
        Op::Divide => pairs().map(|(a, b)| a / b).collect(),
        Op::MatMul => {
            let (rows, inner, columns) = product_sizes(exprs);
            let mut out = vec![0.0; shape.size()];
            for i in 0..rows {
                for r in 0..inner {
                    let a = args[0][i * inner + r];
                    for j in 0..columns {
                        out[i * columns + j] += a * args[1][r * columns + j];
                    }
                }
            }
            out
        }
        Op::Linear(map, _) => map.apply(args[0]),
        Op::Concat(_) => args.concat(),
        Op::Atom(atom) => {
            let shapes: Vec<Shape> = exprs.iter().map(Expr::shape).collect();
            atom.value(args, &shapes)
        }
    }
}

/// `(m, k, n)` of a product `[m, k]·[k, n]`, vectors as one row or one column.
pub(crate) fn product_sizes(factors: &[Expr]) -> (usize, usize, usize) {
    let rows = match *factors[0].shape().dims() {
        [m, _] => m,
        _ => 1,
    };
    let inner = factors[0].size() / rows;
    (rows, inner, factors[1].size() / inner)
}
