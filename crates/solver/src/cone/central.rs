//! The central path, for derivatives that are smooth in the data.
//!
//! Its point at `μ` is the minimiser with `μ` times a barrier of the cones in place of `s ∈ K`. In
//! symmetric cones that is `z ∘ s = μe` in place of complementarity, `∘` the cone's Jordan product.
//! With `w = z − s` and `λ` the eigenvalues of `w`, those of `z` are `f(λ) = ½(λ + ρ)`,
//! `ρ = √(λ² + 4μ)` (Chen & Mangasarian 1996; Fukushima, Luo & Tseng 2002), and those of `s` are
//! `f(−λ) = μ/f(λ)`. Between two eigenvectors the derivative of this spectral function is the divided
//! difference `(f(λᵢ) − f(λⱼ))/(λᵢ − λⱼ)`, which is `(fᵢ + fⱼ)/(ρᵢ + ρⱼ)` and has no cancellation.
//!
//! In exponential and power cones it is `z = −μ∇f(s)`, `f` the barrier of [`crate::cone::barrier`]: `s`
//! is the proximal point of `μf` at `−w`, and with `h` an eigenvalue of `μ∇²f(s)` the derivative of
//! `z` by `w` has the eigenvalue `h/(1 + h)`. So every direction is there in all cones, and the
//! system is that of [`crate::cone::system`].

use crate::cone::barrier::proximal;
use crate::cone::geometry::{Direction, Local, complement};
use crate::cone::layout::Layout;
use crate::cone::newton::{ConePoint, measure};
use crate::cone::problem::{Cone, ConeSample};
use crate::cone::semidefinite;
use crate::cone::system::System;
use crate::cone::three::Three;
use crate::dense::{axpy, dot, max_abs};

/// Newton steps; from the solution random programs take four to ten.
const STEPS: usize = 60;

/// Halvings of a step that does not bring the residual down.
const HALVINGS: usize = 30;

/// Relative residual of the path's equations that is asked for, and that is accepted at a standstill. The
/// derivative divides what is left by √μ, so that it is worth the last step.
const TARGET: f64 = 1e-15;
const ACCEPT: f64 = 1e-10;

/// One eigenvalue of `w`: those of `z` and of `s`, whose sum is `ρ`.
fn spectral(lambda: f64, mu: f64) -> (f64, f64) {
    let larger = 0.5 * (lambda.abs() + lambda.hypot(2.0 * mu.sqrt()));
    if lambda >= 0.0 {
        (larger, mu / larger)
    } else {
        (mu / larger, larger)
    }
}

/// The path's point and directions around it.
pub(crate) struct Central {
    pub(crate) point: ConePoint,
    pub(crate) local: Local,
}

/// Follows Newton's method from a solution to the path's point at `mu`.
pub(crate) fn central(
    sample: &ConeSample<'_>,
    start: &ConePoint,
    layout: &Layout,
    mu: f64,
) -> Option<Central> {
    let mut w: Vec<f64> = start.z.iter().zip(&start.s).map(|(z, s)| z - s).collect();
    let mut point = start.clone();
    let mut local = smooth(sample.cones, &w, mu, &mut point)?;
    let (mut dual, mut primal, mut error) = residual(sample, &point);
    let (mut dx, mut dz) = (vec![0.0; sample.n], vec![0.0; sample.m]);
    for _ in 0..STEPS {
        if error <= TARGET {
            break;
        }
        let mut system = System::new(sample, &local, layout, 1e-14)?;
        let right: Vec<f64> = dual.iter().map(|v| -v).collect();
        let missing: Vec<f64> = primal.iter().map(|v| -v).collect();
        system.solve(sample, &local, (&right, &missing), &mut dx, &mut dz);
        // dw = dz − ds, ds = r₂ − A dx.
        let mut dw: Vec<f64> = missing.iter().map(|v| -v).collect();
        sample.a.add_product(&dx, &mut dw);
        axpy(1.0, &dz, &mut dw);
        let mut length = 1.0;
        let better = (0..HALVINGS).find_map(|_| {
            let mut next = point.clone();
            axpy(length, &dx, &mut next.x);
            let mut next_w = w.clone();
            axpy(length, &dw, &mut next_w);
            length *= 0.5;
            let next_local = smooth(sample.cones, &next_w, mu, &mut next)?;
            let (dual, primal, next_error) = residual(sample, &next);
            (next_error < error).then_some((next, next_w, next_local, dual, primal, next_error))
        });
        let Some((next, next_w, next_local, next_dual, next_primal, next_error)) = better else {
            break;
        };
        (point, w, local) = (next, next_w, next_local);
        (dual, primal, error) = (next_dual, next_primal, next_error);
    }
    (error <= ACCEPT).then_some(Central { point, local })
}

/// Residuals of stationarity and of the rows, and the larger, relative.
fn residual(sample: &ConeSample<'_>, at: &ConePoint) -> (Vec<f64>, Vec<f64>, f64) {
    let (dual, primal, measured) = measure(sample, at);
    let (absolute, scale) = (measured.absolute, measured.scale);
    let error = (absolute.dual / scale.dual).max(absolute.primal / scale.primal);
    (dual, primal, error)
}

/// `s` and `z` of `w`, and the directions; `None` for numbers that are not finite.
fn smooth(cones: &[Cone], w: &[f64], mu: f64, at: &mut ConePoint) -> Option<Local> {
    if !max_abs(w).is_finite() {
        return None;
    }
    let mut local = Local {
        margin: f64::INFINITY,
        smooth: true,
        ..Local::default()
    };
    let mut first = 0;
    for &cone in cones {
        let rows = first..first + cone.rows();
        match cone {
            Cone::Zero(_) => {
                for row in rows.clone() {
                    (at.z[row], at.s[row]) = (w[row], 0.0);
                    push(&mut local, row, vec![1.0], (1.0, 0.0));
                }
            }
            Cone::Nonnegative(_) => {
                for row in rows.clone() {
                    let pair = spectral(w[row], mu);
                    (at.z[row], at.s[row]) = pair;
                    push(&mut local, row, vec![1.0], pair);
                }
            }
            Cone::SecondOrder(_) => second_order(&mut local, first, &w[rows.clone()], mu, at),
            Cone::Semidefinite(size) => {
                let eigen = semidefinite::eigen(size, &w[rows.clone()])?;
                let pairs: Vec<(f64, f64)> =
                    eigen.values.iter().map(|v| spectral(*v, mu)).collect();
                eigen.spread(|k| pairs[k].0, &mut at.z[rows.clone()]);
                eigen.spread(|k| pairs[k].1, &mut at.s[rows.clone()]);
                for i in 0..size {
                    for j in 0..=i {
                        let both = (pairs[i].0 + pairs[j].0, pairs[i].1 + pairs[j].1);
                        push(&mut local, first, eigen.across(i, j), both);
                    }
                }
            }
            Cone::Exponential(_) => {
                for start in rows.clone().step_by(3) {
                    three_rows(&mut local, Three::Exponential, start, w, mu, at)?;
                }
            }
            Cone::Power(alpha) => {
                three_rows(&mut local, Three::Power(alpha), first, w, mu, at)?;
            }
        }
        first = rows.end;
    }
    Some(local)
}

fn second_order(local: &mut Local, first: usize, w: &[f64], mu: f64, at: &mut ConePoint) {
    let d = w.len();
    if d == 1 {
        let pair = spectral(w[0], mu);
        (at.z[first], at.s[first]) = pair;
        push(local, first, vec![1.0], pair);
        return;
    }
    let radius = dot(&w[1..], &w[1..]).sqrt();
    let axis: Vec<f64> = if radius > 0.0 {
        w[1..].iter().map(|v| v / radius).collect()
    } else {
        // Any axis will do where both eigenvalues agree.
        (1..d).map(|row| if row == 1 { 1.0 } else { 0.0 }).collect()
    };
    let (up, down) = (spectral(w[0] + radius, mu), spectral(w[0] - radius, mu));
    let mean = |a: f64, b: f64| (0.5 * (a + b), 0.5 * (a - b));
    let (z0, z1) = mean(up.0, down.0);
    let (s0, s1) = mean(up.1, down.1);
    (at.z[first], at.s[first]) = (z0, s0);
    for (row, axis) in (first + 1..).zip(&axis) {
        (at.z[row], at.s[row]) = (z1 * axis, s1 * axis);
    }
    let half = std::f64::consts::FRAC_1_SQRT_2;
    for (sign, pair) in [(half, up), (-half, down)] {
        let ray = std::iter::once(half)
            .chain(axis.iter().map(|v| sign * v))
            .collect();
        push(local, first, ray, pair);
    }
    let both = (up.0 + down.0, up.1 + down.1);
    for tangent in complement(&axis) {
        push(local, first + 1, tangent, both);
    }
}

fn three_rows(
    local: &mut Local,
    kind: Three,
    first: usize,
    w: &[f64],
    mu: f64,
    at: &mut ConePoint,
) -> Option<()> {
    let rows = [first, first + 1, first + 2];
    let target = rows.map(|row| w[row]);
    let mut s = rows.map(|row| at.s[row]);
    let curved = proximal(kind, &target, mu, &mut s)?;
    for (k, row) in rows.into_iter().enumerate() {
        (at.s[row], at.z[row]) = (s[k], target[k] + s[k]);
    }
    for (vector, value) in curved.vectors.iter().zip(curved.values) {
        push(local, first, vector.to_vec(), (value, 1.0));
    }
    Some(())
}

/// A unit direction along which `dz` and `−ds` are these parts of `dw`, relative to their sum. It is
/// stored with length `√slope` and curvature `1 − slope`, `slope` the part of `dz`, which is the same
/// in the system and keeps its entries within the sizes of the data.
fn push(local: &mut Local, first: usize, mut entries: Vec<f64>, (of_z, of_s): (f64, f64)) {
    let length = (of_z / (of_z + of_s)).sqrt();
    entries.iter_mut().for_each(|v| *v *= length);
    local.directions.push(Direction {
        first,
        entries,
        curvature: of_s / (of_z + of_s),
    });
}
