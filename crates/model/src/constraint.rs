//! Constraints.

use std::fmt;
use std::sync::Arc;

use crate::attributes::Sign;
use crate::error::Error;
use crate::expr::Expr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    /// Left at most right.
    AtMost,
    /// Right at most left: `AtMost` as the user wrote it.
    AtLeast,
    /// Left minus right is positive semidefinite.
    Semidefinite,
}

/// A relation between expressions, entry by entry, or between matrices.
///
/// A clone is the same constraint: either is a handle for its dual values.
#[derive(Clone)]
pub struct Constraint(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) relation: Relation,
    pub(crate) left: Expr,
    pub(crate) right: Expr,
    /// What must be zero, at most zero, or positive semidefinite.
    pub(crate) residual: Expr,
    pub(crate) name: Option<String>,
}

impl Expr {
    /// Both sides equal, entry by entry; scalars are spread. Both must be affine.
    pub fn eq(&self, right: impl Into<Expr>) -> Constraint {
        Constraint::new(self.clone(), Relation::Equal, right.into())
    }

    /// At most the right side, entry by entry: convex ≤ concave.
    pub fn le(&self, right: impl Into<Expr>) -> Constraint {
        Constraint::new(self.clone(), Relation::AtMost, right.into())
    }

    /// At least the right side, entry by entry: concave ≥ convex.
    pub fn ge(&self, right: impl Into<Expr>) -> Constraint {
        Constraint::new(self.clone(), Relation::AtLeast, right.into())
    }

    /// The difference's symmetric part is positive semidefinite. A scalar on the right stands for
    /// its multiple of the identity.
    pub fn succeeds(&self, right: impl Into<Expr>) -> Constraint {
        let right = right.into();
        let right = match self.shape().square() {
            Some(n) if right.shape().is_scalar() => crate::expr::diag(&right.broadcast([n])),
            _ => right,
        };
        Constraint::new(self.clone(), Relation::Semidefinite, right)
    }
}

impl Constraint {
    fn new(left: Expr, relation: Relation, right: Expr) -> Constraint {
        let residual = match relation {
            Relation::AtLeast => &right - &left,
            _ => &left - &right,
        };
        Constraint(Arc::new(Inner {
            relation,
            left,
            right,
            residual,
            name: None,
        }))
    }

    /// The same constraint under a name, by which its dual values can be asked for.
    pub fn named(&self, name: impl Into<String>) -> Constraint {
        Constraint(Arc::new(Inner {
            relation: self.0.relation,
            left: self.0.left.clone(),
            right: self.0.right.clone(),
            residual: self.0.residual.clone(),
            name: Some(name.into()),
        }))
    }

    /// Checks the rule of the relation.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let inner = &*self.0;
        if let Some(error) = inner.left.mistake().or(inner.right.mistake()) {
            return Err(error.clone());
        }
        if let Some(Error::Shape { reason, .. }) = inner.residual.mistake() {
            return Err(Error::Shape {
                expression: self.to_string(),
                reason: reason.clone(),
            });
        }
        let (left, right) = (inner.left.curvature(), inner.right.curvature());
        let fail = |reason: String| {
            Err(Error::Constraint {
                constraint: self.to_string(),
                reason,
            })
        };
        let side = |e: &Expr| format!("`{e}` is {}", e.curvature());
        match inner.relation {
            Relation::Equal if !(left.is_affine() && right.is_affine()) => {
                let curved = if left.is_affine() {
                    &inner.right
                } else {
                    &inner.left
                };
                fail(format!(
                    "both sides of an equality must be affine, but {}; perhaps an inequality \
                     says as much",
                    side(curved)
                ))
            }
            Relation::AtMost | Relation::AtLeast => {
                let (small, large) = if inner.relation == Relation::AtMost {
                    (&inner.left, &inner.right)
                } else {
                    (&inner.right, &inner.left)
                };
                if !small.curvature().is_convex() {
                    fail(format!(
                        "the smaller side must be convex, but {}",
                        side(small)
                    ))
                } else if !large.curvature().is_concave() {
                    fail(format!(
                        "the larger side must be concave, but {}",
                        side(large)
                    ))
                } else {
                    Ok(())
                }
            }
            Relation::Semidefinite if inner.residual.shape().square().is_none() => {
                Err(Error::Shape {
                    expression: self.to_string(),
                    reason: format!(
                        "the sides have the shape {} but must be square matrices",
                        inner.residual.shape()
                    ),
                })
            }
            Relation::Semidefinite if !(left.is_affine() && right.is_affine()) => {
                let curved = if left.is_affine() {
                    &inner.right
                } else {
                    &inner.left
                };
                fail(format!(
                    "both sides of a matrix inequality must be affine, but {}",
                    side(curved)
                ))
            }
            _ => Ok(()),
        }
    }

    /// Largest violation at the residual's value; for semidefinite constraints that of the
    /// smallest eigenvalue.
    pub(crate) fn violation(&self, residual: &[f64]) -> f64 {
        let worst = match self.0.relation {
            Relation::Equal => residual.iter().fold(0.0f64, |m, v| m.max(v.abs())),
            Relation::AtMost | Relation::AtLeast => residual.iter().fold(0.0f64, |m, v| m.max(*v)),
            Relation::Semidefinite => {
                let n = self.0.residual.shape().dims().first().copied().unwrap_or(0);
                let values = crate::linalg::eigenvalues(residual, n);
                values.first().map_or(0.0, |v| (-v).max(0.0))
            }
        };
        if residual.iter().any(|v| v.is_nan()) {
            f64::NAN
        } else {
            worst
        }
    }

    /// How much the constraint is violated at values of the leaves: the largest entry, and the most
    /// negative eigenvalue of a matrix inequality.
    ///
    /// # Errors
    /// As [`Expr::value`].
    pub fn violation_at(&self, values: &[(&str, &[f64])]) -> Result<f64, Error> {
        Ok(self.violation(&self.0.residual.value(values)?))
    }

    /// The shape of its dual values.
    pub fn shape(&self) -> crate::Shape {
        self.0.residual.shape()
    }

    /// What is known of the sign of its dual values.
    pub fn dual_sign(&self) -> Sign {
        match self.0.relation {
            Relation::Equal | Relation::Semidefinite => Sign::Unknown,
            Relation::AtMost | Relation::AtLeast => Sign::Nonnegative,
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.0.relation {
            Relation::Equal => "==",
            Relation::AtMost => "<=",
            Relation::AtLeast => ">=",
            Relation::Semidefinite => "⪰",
        };
        write!(f, "{} {sign} {}", self.0.left, self.0.right)
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Constraint {
    /// The name, or the text of a constraint without one.
    pub(crate) fn label(&self) -> String {
        self.0.name.clone().unwrap_or_else(|| self.to_string())
    }
}
