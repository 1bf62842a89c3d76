//! Symmetric indefinite systems by products alone.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::operator::{Counted, Halt, Operator};
use crate::vectors::{axpy, dot, norm, scale};

/// How to solve a system by MINRES.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MinresSettings {
    /// `‖b − Hx‖ ≤ tolerance · ‖b‖` ends the iteration. Default `1e-12`.
    pub tolerance: f64,
    /// Products before [`MinresStatus::Budget`]. Default 10 000.
    pub products: usize,
}

impl Default for MinresSettings {
    fn default() -> Self {
        Self {
            tolerance: 1e-12,
            products: 10_000,
        }
    }
}

impl MinresSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return Err(Error::Setting {
                setting: "tolerance",
                value: self.tolerance,
                must: "between 0 and 1",
            });
        }
        if self.products < 2 {
            return Err(Error::Setting {
                setting: "products",
                value: self.products as f64,
                must: "at least 2",
            });
        }
        Ok(())
    }
}

/// How the iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MinresStatus {
    /// The true residual is below the tolerance.
    Converged,
    /// The products allowed were spent.
    Budget,
    /// The Krylov space closed, or rounding ended progress, with the residual above the tolerance:
    /// the operator is singular, or nearly, and the right-hand side not in its range.
    Stagnated,
    /// A product had a NaN or an infinity; `x` is what there was before.
    NotFinite,
}

/// The solution of a system.
#[derive(Clone, Debug)]
pub struct Minres {
    /// x, `[n]`.
    pub x: Vec<f64>,
    /// `‖b − Hx‖`, from a product of its own; NaN after [`MinresStatus::NotFinite`].
    pub residual: f64,
    /// Products, the last one for the residual included.
    pub products: usize,
    /// How it ended.
    pub status: MinresStatus,
}

/// Solves `H x = b` for a symmetric, possibly indefinite `H`, so that `‖b − Hx‖` is smallest over
/// the Krylov space (Paige & Saunders, SIAM J. Numer. Anal. 12, 1975).
///
/// Cost: a product and a few vector operations a step; memory for seven vectors.
///
/// # Errors
/// [`Error::Shape`], [`Error::Entry`], [`Error::Setting`], [`Error::NoDimension`], or
/// [`Error::Operator`].
pub fn minres(
    operator: &mut dyn Operator,
    b: &[f64],
    settings: &MinresSettings,
) -> Result<Minres, Error> {
    settings.validate()?;
    let mut op = Counted::new(operator, settings.products - 1)?;
    let n = op.dim();
    if b.len() != n {
        return Err(Error::Shape {
            argument: "b",
            got: b.len(),
            expected: n,
            layout: "[n]",
        });
    }
    if let Some(entry) = b.iter().position(|v| !v.is_finite()) {
        return Err(Error::Entry {
            argument: "b",
            entry,
            value: b[entry],
            must: "finite",
        });
    }
    let length = norm(b);
    let mut x = vec![0.0; n];
    if length == 0.0 {
        return Ok(Minres {
            x,
            residual: 0.0,
            products: 0,
            status: MinresStatus::Converged,
        });
    }
    let goal = settings.tolerance * length;
    let mut status = MinresStatus::Budget;
    // The recurrence's residual drifts from the true one; when it says done and the product says
    // not, the correction is solved for.
    for _ in 0..4 {
        let (mut residual, r) = match true_residual(&mut op, b, &x, length) {
            Ok(found) => found,
            Err(Halt::NotFinite) => {
                status = MinresStatus::NotFinite;
                break;
            }
            Err(Halt::Budget) => break,
            Err(Halt::Error(error)) => return Err(error),
        };
        if residual <= goal {
            status = MinresStatus::Converged;
            break;
        }
        let before = residual;
        match pass(&mut op, &r, residual, goal, &mut x) {
            Ok(()) => {}
            Err(Halt::NotFinite) => {
                status = MinresStatus::NotFinite;
                break;
            }
            Err(Halt::Budget) => break,
            Err(Halt::Error(error)) => return Err(error),
        }
        residual = match true_residual(&mut op, b, &x, length) {
            Ok((residual, _)) => residual,
            Err(Halt::Budget) => break,
            Err(Halt::NotFinite) => f64::NAN,
            Err(Halt::Error(error)) => return Err(error),
        };
        if residual <= goal {
            status = MinresStatus::Converged;
            break;
        }
        status = MinresStatus::Stagnated;
        if residual.is_nan() || residual > 0.5 * before {
            break;
        }
    }
    op.set_budget(settings.products);
    let residual = match status {
        MinresStatus::NotFinite => f64::NAN,
        _ => match true_residual(&mut op, b, &x, length) {
            Ok((residual, _)) => residual,
            Err(Halt::Error(error)) => return Err(error),
            Err(_) => f64::NAN,
        },
    };
    Ok(Minres {
        x,
        residual,
        products: op.products(),
        status,
    })
}

/// `‖Hr‖ / (‖H‖ ‖r‖)` below which the residual is taken for a null vector.
const LEAST_SQUARES: f64 = 1e-12;

fn true_residual(
    op: &mut Counted<'_>,
    b: &[f64],
    x: &[f64],
    length: f64,
) -> Result<(f64, Vec<f64>), Halt> {
    if x.iter().all(|v| *v == 0.0) {
        return Ok((length, b.to_vec()));
    }
    let mut product = vec![0.0; b.len()];
    op.apply(x, &mut product)?;
    let r: Vec<f64> = b.iter().zip(&product).map(|(b, p)| b - p).collect();
    Ok((norm(&r), r))
}

/// One run of the recurrence on `H d = r`; adds `d` to `x` as it grows.
fn pass(
    op: &mut Counted<'_>,
    r: &[f64],
    length: f64,
    goal: f64,
    x: &mut [f64],
) -> Result<(), Halt> {
    let n = r.len();
    let (mut v, mut v_old) = (r.to_vec(), vec![0.0; n]);
    scale(&mut v, 1.0 / length);
    let (mut d_old, mut d_older) = (vec![0.0; n], vec![0.0; n]);
    // Givens rotations of the last two columns, the residual's norm as it is carried along.
    let (mut c, mut s, mut c_old, mut s_old) = (1.0f64, 0.0f64, 1.0f64, 0.0f64);
    let (mut beta, mut eta, mut largest) = (0.0f64, length, 0.0f64);
    let mut w = vec![0.0; n];
    loop {
        op.apply(&v, &mut w)?;
        let alpha = dot(&v, &w);
        axpy(-alpha, &v, &mut w);
        axpy(-beta, &v_old, &mut w);
        let beta_new = norm(&w);
        largest = largest.max(alpha.abs() + beta_new);
        // The new column of T, rotated.
        let epsilon = s_old * beta;
        let between = c_old * beta;
        let delta = c * between + s * alpha;
        let gamma_bar = c * alpha - s * between;
        let gamma = gamma_bar.hypot(beta_new);
        // ‖H r‖ over ‖H‖‖r‖ (Choi, Paige & Saunders 2011, section 3): r is in the null space, so x is the
        // least-squares solution of a system without another. A consistent one never gets here.
        if gamma_bar.hypot(c * beta_new) <= LEAST_SQUARES * largest {
            return Ok(());
        }
        (c_old, s_old) = (c, s);
        (c, s) = (gamma_bar / gamma, beta_new / gamma);
        let mut d = v.clone();
        axpy(-delta, &d_old, &mut d);
        axpy(-epsilon, &d_older, &mut d);
        scale(&mut d, 1.0 / gamma);
        axpy(c * eta, &d, x);
        eta *= -s;
        (d_older, d_old) = (d_old, d);
        if eta.abs() <= 0.5 * goal || beta_new <= f64::EPSILON * largest {
            return Ok(());
        }
        std::mem::swap(&mut v_old, &mut v);
        v.copy_from_slice(&w);
        scale(&mut v, 1.0 / beta_new);
        beta = beta_new;
    }
}
