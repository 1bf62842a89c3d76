//! Newton's method on the optimality conditions, from a solver's point to rounding.

use crate::cone::geometry::{Local, localise};
use crate::cone::layout::Layout;
use crate::cone::problem::{Cone, ConeSample};
use crate::cone::system::System;
use crate::dense::{axpy, dot, max_abs};
use crate::residual::Measured;
use crate::status::Residuals;

/// Newton steps; quadratic convergence from a tolerance of 1e-8 takes two or three, from where Clarabel gave
/// up now and then a dozen.
const STEPS: usize = 24;

/// What a polished point must reach, relative. The right local geometry ends near 1e-15.
const ACCEPT: f64 = 1e-11;

/// What its rows must reach where rounding allows no more.
const ROUNDED: f64 = 1e-9;

/// How far from the solution a confirmed point may be, relative to its size, as the last step tells. Farther off
/// are those that rounding alone determines.
const SETTLED: f64 = 1e-6;

/// How far a confirmed point may move, relative to its size, when the last digits of the conditions change.
const STEADY: f64 = 1e-9;

/// Eigenvalues below this times the largest are taken for zero.
const RANK_TOLERANCE: f64 = 1e-11;

/// A primal-dual point of one sample.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConePoint {
    pub(crate) x: Vec<f64>,
    pub(crate) s: Vec<f64>,
    pub(crate) z: Vec<f64>,
}

/// `r₁ = Px + q + Aᵀz`, `r₂ = Ax + s − b`, and their sizes. `s` and `z` are in their cones by
/// construction; what is left of complementarity is `sᵀz`.
pub(crate) fn measure(sample: &ConeSample<'_>, at: &ConePoint) -> (Vec<f64>, Vec<f64>, Measured) {
    let mut px = vec![0.0; sample.n];
    if let Some(p) = sample.p {
        p.add_symmetric_product(&at.x, &mut px);
    }
    let mut az = vec![0.0; sample.n];
    sample.a.add_transposed_product(&at.z, &mut az);
    let mut ax = vec![0.0; sample.m];
    sample.a.add_product(&at.x, &mut ax);
    let dual: Vec<f64> = (0..sample.n).map(|i| px[i] + sample.q[i] + az[i]).collect();
    let primal: Vec<f64> = (0..sample.m)
        .map(|i| ax[i] + at.s[i] - sample.b[i])
        .collect();
    let (quadratic, linear) = (dot(&px, &at.x), dot(sample.q, &at.x));
    let measured = Measured {
        absolute: Residuals {
            primal: max_abs(&primal),
            dual: max_abs(&dual),
            gap: dot(&at.s, &at.z).abs(),
        },
        scale: Residuals {
            primal: 1.0 + max_abs(sample.b).max(max_abs(&ax)).max(max_abs(&at.s)),
            dual: 1.0 + max_abs(sample.q).max(max_abs(&px)).max(max_abs(&az)),
            gap: 1.0 + quadratic.abs() + linear.abs() + dot(sample.b, &at.z).abs(),
        },
        objective: 0.5 * quadratic + linear,
    };
    (dual, primal, measured)
}

/// What the rows' misses are worth: to first order the optimal objective changes by `z_i` times what row
/// `i`'s right side does, so a point that misses by `r₂ = Ax + s − b` solves a problem whose objective is
/// off by up to `Σ|z_i r₂_i|`. It is that sum relative to the terms of the objective.
///
/// Unlike `r₂` itself it stays as it is when rows are multiplied: rows of tiny numbers are missed by
/// little wherever the point is, but their multipliers are large.
pub(crate) fn price(sample: &ConeSample<'_>, at: &ConePoint) -> f64 {
    let (_, primal, measured) = measure(sample, at);
    let terms = primal.iter().zip(&at.z).map(|(r, z)| (r * z).abs());
    terms.sum::<f64>() / measured.scale.gap
}

/// What [`polish`] found.
pub(crate) struct Polished {
    pub(crate) point: ConePoint,
    pub(crate) local: Local,
    pub(crate) measured: Measured,
    pub(crate) steps: usize,
    /// Whether the point reached rounding.
    pub(crate) confirmed: bool,
    /// See [`price`].
    pub(crate) price: f64,
}

/// Whether a point is at rounding. In a curved cone `s` and `z` are parts of one `w`: where multipliers are
/// large it is their rounding that the slacks have, and that the rows miss by.
fn reached(sample: &ConeSample<'_>, at: &ConePoint) -> bool {
    let (_, mut primal, mut measured) = measure(sample, at);
    if measured.relative() <= ACCEPT {
        return true;
    }
    let allowed = ROUNDED * measured.scale.primal;
    let mut first = 0;
    for cone in sample.cones {
        let rows = first..first + cone.rows();
        if !matches!(cone, Cone::Zero(_) | Cone::Nonnegative(_)) {
            let w = max_abs(&at.z[rows.clone()]).max(max_abs(&at.s[rows.clone()]));
            let missed = max_abs(&primal[rows.clone()]);
            if missed <= 4.0 * f64::EPSILON * w && missed <= allowed {
                primal[rows.clone()].fill(0.0);
            }
        }
        first = rows.end;
    }
    measured.absolute.primal = max_abs(&primal);
    measured.relative() <= ACCEPT
}

/// How far the point moves, relative to its size, when the terms of the conditions change in their last digits, up or
/// down. A minimum that is not attained is moved by as much as it is away: there the multipliers that hold the point
/// are rounding themselves.
fn rounding_moves(
    sample: &ConeSample<'_>,
    at: &ConePoint,
    local: &Local,
    system: &mut System,
) -> f64 {
    // The last digits of a curved cone's numbers are those of its largest.
    let mut largest = [&at.s, &at.z].map(|part| part.iter().map(|v| v.abs()).collect::<Vec<_>>());
    let mut first = 0;
    for cone in sample.cones {
        let rows = first..first + cone.rows();
        if !matches!(cone, Cone::Zero(_) | Cone::Nonnegative(_)) {
            for part in &mut largest {
                let size = max_abs(&part[rows.clone()]);
                part[rows.clone()].fill(size);
            }
        }
        first = rows.end;
    }
    let [mut primal, multipliers] = largest;
    let mut dual = vec![0.0; sample.n];
    if let Some(p) = sample.p {
        p.add_symmetric_product(&at.x, &mut dual);
    }
    for (term, q) in dual.iter_mut().zip(sample.q) {
        *term = term.abs() + q.abs();
    }
    for (term, b) in primal.iter_mut().zip(sample.b) {
        *term += b.abs();
    }
    for (row, column, v) in sample.a.iter() {
        dual[column] += v.abs() * multipliers[row];
        primal[row] += v.abs() * at.x[column].abs();
    }
    for terms in [&mut dual, &mut primal] {
        for (i, term) in terms.iter_mut().enumerate() {
            // Thue and Morse's signs, which no regular pattern of rows cancels.
            let sign = if i.count_ones() % 2 == 0 { 1.0 } else { -1.0 };
            *term *= sign * f64::EPSILON;
        }
    }
    let (mut dx, mut dz) = (vec![0.0; sample.n], vec![0.0; sample.m]);
    system.solve(sample, local, (&dual, &primal), &mut dx, &mut dz);
    max_abs(&dx) / (1.0 + max_abs(&at.x))
}

/// Improves a point; never returns a worse one.
pub(crate) fn polish(sample: &ConeSample<'_>, start: &ConePoint, layout: &Layout) -> Polished {
    let given = measure(sample, start).2;
    let mut w: Vec<f64> = start.z.iter().zip(&start.s).map(|(z, s)| z - s).collect();
    let mut at = start.clone();
    let mut local = localise(sample.cones, &w, &mut at.s, &mut at.z);
    let mut best: Option<(ConePoint, Local, Measured)> = None;
    // Of the last step, relative to the point: where it gained nothing, that is how far the best point is off.
    let mut distance = 0.0;
    let mut steps = 0;
    let mut system: Option<System> = None;
    // What the system is of, from the first step on.
    let mut factored: Option<Local> = None;
    let (mut dx, mut dz) = (vec![0.0; sample.n], vec![0.0; sample.m]);
    loop {
        let (dual, primal, measured) = measure(sample, &at);
        let error = measured.relative();
        let improved = best
            .as_ref()
            .is_none_or(|(_, _, before)| error < before.relative());
        if improved && local.smooth {
            best = Some((at.clone(), local.clone(), measured));
        }
        if error <= 1e-15 {
            distance = 0.0;
        }
        if steps == STEPS || !local.smooth || !(error > 1e-15) || !improved && steps > 3 {
            break;
        }
        let near = system
            .as_mut()
            .is_some_and(|system| system.refresh(sample, &local, layout));
        if !near {
            system = System::new(sample, &local, layout, RANK_TOLERANCE);
        }
        let Some(system) = &mut system else {
            break;
        };
        let rhs: Vec<f64> = dual.iter().map(|v| -v).collect();
        let missing: Vec<f64> = primal.iter().map(|v| -v).collect();
        system.solve(sample, &local, (&rhs, &missing), &mut dx, &mut dz);
        // dw = dz + A dx − r₂.
        let mut dw: Vec<f64> = missing.iter().map(|v| -v).collect();
        sample.a.add_product(&dx, &mut dw);
        axpy(1.0, &dz, &mut dw);
        axpy(1.0, &dx, &mut at.x);
        axpy(1.0, &dw, &mut w);
        distance = max_abs(&dx) / (1.0 + max_abs(&at.x));
        if !(max_abs(&at.x).is_finite() && max_abs(&w).is_finite()) {
            factored = None;
            break;
        }
        let next = localise(sample.cones, &w, &mut at.s, &mut at.z);
        factored = Some(std::mem::replace(&mut local, next));
        steps += 1;
    }
    match best {
        Some((point, local, measured))
            if measured.relative() <= ACCEPT || measured.relative() < given.relative() =>
        {
            // By the last step's system, as the point is no farther from that step's start.
            let mut steady = || {
                let moves = match (&mut system, &factored) {
                    (Some(system), Some(near)) => rounding_moves(sample, &point, near, system),
                    _ => match System::new(sample, &local, layout, RANK_TOLERANCE) {
                        Some(mut system) => rounding_moves(sample, &point, &local, &mut system),
                        None => return false,
                    },
                };
                moves <= STEADY
            };
            Polished {
                price: price(sample, &point),
                confirmed: reached(sample, &point) && distance <= SETTLED && steady(),
                point,
                local,
                measured,
                steps,
            }
        }
        _ => {
            let mut point = start.clone();
            let local = localise(sample.cones, &w_of(start), &mut point.s, &mut point.z);
            Polished {
                price: price(sample, start),
                point: start.clone(),
                local,
                measured: given,
                steps,
                confirmed: false,
            }
        }
    }
}

fn w_of(at: &ConePoint) -> Vec<f64> {
    at.z.iter().zip(&at.s).map(|(z, s)| z - s).collect()
}
