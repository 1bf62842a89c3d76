//! Sequential quadratic programming for `½ yᵀQy + pᵀ sin(y)` on a polyhedron.
//!
//! At `y` the objective is replaced by a convex quadratic with the true gradient and the curvatures
//! `max(|Q - p sin y|, 0.05)` (absolute values as in Greenstadt, Math. Comp. 21, 1967); its minimiser `z` over the
//! feasible set gives the direction `z - y`, along which a step is halved until the objective falls enough
//! (Armijo 1966). The set is convex, so iterates stay feasible. Where two successive subproblems agree on the
//! active rows, Newton on that face finishes ([`super::face_newton`]).

use super::face_newton::minimise_on_face;
use super::kkt::Point;
use super::{Optimum, OptimumStatus, TOLERANCE, solve_quadratic};
use crate::recipes::{Error, Instance};
use feasible_solver::{Symmetric, Values};
use rayon::prelude::*;

/// Least curvature of the model. Objectives have curvatures up to 2; a fortieth of that keeps steps bounded.
const LEAST_CURVATURE: f64 = 0.05;
/// Share of the decrease that the slope promises and a step must reach.
const ENOUGH_DECREASE: f64 = 1e-4;
/// Halvings of a step; 2⁻³⁰ of a direction is rounding.
const MOST_HALVINGS: usize = 30;
/// Subproblems per sample. The published test samples need 26 at most and four to five on average.
const MOST_SUBPROBLEMS: usize = 200;

/// Where one sample stands.
struct Iterate {
    /// Index within the batch.
    sample: usize,
    /// Its input, `[eq]`.
    x: Vec<f64>,
    /// Current point, `[n]`, feasible after the first step.
    y: Vec<f64>,
    /// Rows with a positive multiplier in the last subproblem.
    active: Vec<usize>,
}

/// What one iteration makes of a sample.
enum Outcome {
    Continues(Iterate),
    Ends(usize, Optimum),
}

/// Local optima for the inputs `[batch, eq]`.
pub(super) fn minimise(instance: &Instance, inputs: &[f64]) -> Result<Vec<Optimum>, Error> {
    let eq = instance.size().eq;
    let mut found: Vec<Option<Optimum>> = vec![None; inputs.len() / eq];
    let mut iterates: Vec<Iterate> = inputs
        .chunks_exact(eq)
        .enumerate()
        .map(|(sample, x)| {
            Ok(Iterate {
                sample,
                x: x.to_vec(),
                y: instance.start(x)?,
                active: Vec::new(),
            })
        })
        .collect::<Result<_, Error>>()?;
    for round in 0..MOST_SUBPROBLEMS {
        if iterates.is_empty() {
            break;
        }
        let last = round + 1 == MOST_SUBPROBLEMS;
        let minimisers = model_minimisers(instance, &iterates)?;
        let outcomes: Vec<Outcome> = iterates
            .into_par_iter()
            .zip(minimisers)
            .map(|(iterate, (model, said))| advance(instance, iterate, model, said, last))
            .collect::<Result<_, Error>>()?;
        iterates = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Continues(iterate) => iterates.push(iterate),
                Outcome::Ends(sample, optimum) => found[sample] = Some(optimum),
            }
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// Minimisers of the convex models, with the multipliers of the subproblems.
fn model_minimisers(
    instance: &Instance,
    iterates: &[Iterate],
) -> Result<Vec<(Point, OptimumStatus)>, Error> {
    let mut curvatures = Vec::with_capacity(iterates.len() * instance.size().n);
    let mut linear = Vec::with_capacity(iterates.len() * instance.size().n);
    for Iterate { y, .. } in iterates {
        let gradient = instance.objective_gradient(y)?;
        let hessian = instance.objective_hessian_diagonal(y)?;
        for ((h, g), y) in hessian.iter().zip(&gradient).zip(y) {
            let curvature = h.abs().max(LEAST_CURVATURE);
            curvatures.push(curvature);
            linear.push(g - curvature * y);
        }
    }
    let inputs: Vec<f64> = iterates.iter().flat_map(|i| i.x.iter().copied()).collect();
    let p = Symmetric::Diagonal(Values::PerSample(&curvatures));
    solve_quadratic(instance, &inputs, p, Values::PerSample(&linear))
}

fn advance(
    instance: &Instance,
    iterate: Iterate,
    model: Point,
    said: OptimumStatus,
    last: bool,
) -> Result<Outcome, Error> {
    let Iterate {
        sample,
        x,
        y,
        active,
    } = iterate;
    let ends = |point: Point, said| Ok(Outcome::Ends(sample, point.optimum(instance, said)?));
    if said != OptimumStatus::Optimal {
        return ends(Point { y, ..model }, said);
    }
    let now: Vec<usize> = (0..instance.size().ineq)
        .filter(|&i| model.ineq_dual[i] > 0.0)
        .collect();
    // A start that is not feasible (never so for a drawn instance) has nothing to lose by a full step.
    let feasible = instance.violation(&x, &y)? <= TOLERANCE;
    let step = if feasible {
        step_length(instance, &y, &model.y)?
    } else {
        Some(1.0)
    };
    if step == Some(1.0)
        && now == active
        && let Some(point) = minimise_on_face(instance, &model)?
    {
        let falls = instance.objective(&point.y)? <= instance.objective(&model.y)? + TOLERANCE;
        if falls && point.kkt_residual(instance)? <= TOLERANCE {
            return ends(point, OptimumStatus::Optimal);
        }
    }
    let Some(step) = step else {
        // No descent is left in rounding: the current point with the model's multipliers is the result.
        return ends(Point { y, ..model }, OptimumStatus::Unconverged);
    };
    let y: Vec<f64> = y
        .iter()
        .zip(&model.y)
        .map(|(from, to)| {
            if step == 1.0 {
                *to
            } else {
                from + step * (to - from)
            }
        })
        .collect();
    let point = Point { y, ..model };
    if last || point.kkt_residual(instance)? <= TOLERANCE {
        return ends(point, OptimumStatus::Unconverged);
    }
    Ok(Outcome::Continues(Iterate {
        sample,
        x,
        y: point.y,
        active: now,
    }))
}

/// The largest of 1, ½, ¼ … that lowers the objective enough on the way from `y` to `z`.
fn step_length(instance: &Instance, y: &[f64], z: &[f64]) -> Result<Option<f64>, Error> {
    let before = instance.objective(y)?;
    let slope: f64 = instance
        .objective_gradient(y)?
        .iter()
        .zip(y.iter().zip(z))
        .map(|(g, (from, to))| g * (to - from))
        .sum();
    // Differences of the objective under its rounding say nothing; a full step is then as good as any.
    let rounding = 1e-14 * (1.0 + before.abs());
    let mut step = 1.0;
    for _ in 0..MOST_HALVINGS {
        let trial: Vec<f64> = y
            .iter()
            .zip(z)
            .map(|(from, to)| from + step * (to - from))
            .collect();
        if instance.objective(&trial)? <= before + ENOUGH_DECREASE * step * slope + rounding {
            return Ok(Some(step));
        }
        step *= 0.5;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::{Recipe, Size, generate};

    /// With one equality fewer than variables the feasible set is a line, and a minimum can be told by looking
    /// to both sides of it.
    #[test]
    fn neighbours_on_a_line_are_no_better() {
        let size = Size {
            n: 4,
            eq: 3,
            ineq: 2,
            samples: 20,
        };
        let mut inner = 0;
        for seed in 0..20 {
            let drawn = generate(Recipe::SnareNoncvx, &size, seed).unwrap();
            // Flat enough for the sine to make several valleys.
            let mut parts = drawn.parts().clone();
            parts.q.iter_mut().for_each(|q| *q *= 0.1);
            let instance = Instance::new(drawn.recipe(), size, seed, parts).unwrap();
            let inputs = &instance.parts().x;
            let found = minimise(&instance, inputs).unwrap();
            for (optimum, x) in found.iter().zip(inputs.chunks_exact(3)) {
                assert!(optimum.is_solved(), "seed {seed}: {optimum:?}");
                assert!(instance.violation(x, &optimum.y).unwrap() < 1e-9);
                let along = null_direction(&instance, &optimum.y);
                let feasible = [1e-3, -1e-3].map(|step| {
                    let y: Vec<f64> = optimum
                        .y
                        .iter()
                        .zip(&along)
                        .map(|(v, d)| v + step * d)
                        .collect();
                    let better = instance.objective(&y).unwrap() < optimum.objective - 1e-12;
                    let inside = instance.violation(x, &y).unwrap() < 1e-9;
                    assert!(!(inside && better), "seed {seed}: a neighbour is better");
                    inside
                });
                inner += usize::from(feasible == [true, true]);
            }
        }
        // Both kinds of optimum occur: on a row and between rows.
        assert!(inner > 50 && inner < 350, "{inner} of 400 are between rows");
    }

    /// A unit vector that the equality rows do not see.
    fn null_direction(instance: &Instance, from: &[f64]) -> Vec<f64> {
        let shifted: Vec<f64> = from
            .iter()
            .zip(1..)
            .map(|(v, k)| v + f64::from(k))
            .collect();
        let n = instance.size().n;
        let image: Vec<f64> = instance
            .parts()
            .equality
            .chunks_exact(n)
            .map(|row| row.iter().zip(&shifted).map(|(a, b)| a * b).sum())
            .collect();
        let seen = instance.start(&image).unwrap();
        let hidden: Vec<f64> = shifted.iter().zip(seen).map(|(a, b)| a - b).collect();
        let norm = hidden.iter().map(|v| v * v).sum::<f64>().sqrt();
        hidden.into_iter().map(|v| v / norm).collect()
    }
}
