//! Reference optima of an instance, sample by sample.
//!
//! Convex recipes are handed to the batched convex solver. The non-convex objective `½ yᵀQy + pᵀ sin(y)` gets a
//! local optimum: sequential quadratic programming from the published start `A⁺x`
//! ([`sequential`]), finished by Newton's method on the rows that hold the solution ([`face_newton`]).
//! The published labels are local optima from the same start (IPOPT for DC3, SLSQP for SnareNet, both to
//! tolerance 1e-4), so a gap against them may be of either sign.

mod face_newton;
mod kkt;
mod sequential;

use crate::recipes::{Error, Instance, Size};
use feasible_solver::{Equalities, Inequalities, Problem, Quadratics, Settings, Symmetric, Values};
use kkt::Point;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A sample counts as optimal at this KKT residual, absolute: entries of an instance are of order one, and
/// its published labels hold to 1e-4.
const TOLERANCE: f64 = 1e-8;

/// Samples solved together: enough to fill the threads, few enough that progress is seen.
const CHUNK: usize = 128;

/// What was found for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OptimumStatus {
    /// The KKT residual is at most 1e-8: the global optimum of a convex recipe, a stationary point reached by
    /// descent (a local minimum but for exact saddle points) of a non-convex one.
    Optimal,
    /// The constraints exclude each other; cannot happen for a drawn instance.
    Infeasible,
    /// The objective has no lower bound; cannot happen for a drawn instance with every `q > 0`.
    Unbounded,
    /// Stopped before that residual; the last point is returned.
    Unconverged,
}

/// The best point found for one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// The point, `[n]`.
    pub y: Vec<f64>,
    /// Its objective.
    pub objective: f64,
    /// What it is.
    pub status: OptimumStatus,
    /// The largest absolute entry of the KKT conditions at the point: gradient of the Lagrangian, constraint
    /// violation, multiplier times slack, and negative part of the multipliers.
    pub kkt_residual: f64,
}

impl Optimum {
    /// Whether the point is an optimum.
    pub fn is_solved(&self) -> bool {
        self.status == OptimumStatus::Optimal
    }
}

/// Optima of the given samples, in order.
///
/// `progress` is told the number of samples done so far, after every 128 and at the end.
///
/// # Errors
/// [`Error::Samples`] for samples that the instance does not have, [`Error::Solver`] where the convex solver
/// refuses the problem. A sample without an optimum is not an error but an [`OptimumStatus`].
///
/// # Cost
/// 833 samples at the published size on two cores, tests' profile: 0.1 s for [`Recipe::Dc3Simple`], 2 s for
/// [`Recipe::SnareQcqp`] (3 s with 100 quadratic rows) and 4 s for the non-convex ones.
///
/// [`Recipe::Dc3Simple`]: crate::Recipe::Dc3Simple
/// [`Recipe::SnareQcqp`]: crate::Recipe::SnareQcqp
///
/// ```
/// use feasible_data::{OptimumStatus, Recipe, Size, generate, optima};
///
/// let size = Size { n: 8, eq: 3, ineq: 4, samples: 10 };
/// let instance = generate(Recipe::SnareNoncvx, &size, 1)?;
/// let optima = optima(&instance, 0..3, &mut |_done| {})?;
/// assert!(optima.iter().all(|o| o.status == OptimumStatus::Optimal));
/// # Ok::<(), feasible_data::Error>(())
/// ```
pub fn optima(
    instance: &Instance,
    samples: Range<usize>,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Optimum>, Error> {
    check_samples(instance, &samples)?;
    let eq = instance.size().eq;
    let inputs = &instance.parts().x[samples.start * eq..samples.end * eq];
    let mut found = Vec::with_capacity(samples.len());
    for chunk in inputs.chunks(CHUNK * eq) {
        if instance.recipe().is_convex() {
            found.extend(convex(instance, chunk)?);
        } else {
            found.extend(sequential::minimise(instance, chunk)?);
        }
        progress(found.len());
    }
    Ok(found)
}

/// Whether the instance has these samples.
pub(crate) fn check_samples(instance: &Instance, samples: &Range<usize>) -> Result<(), Error> {
    let total = instance.size().samples;
    if samples.start > samples.end || samples.end > total {
        return Err(Error::Samples {
            start: samples.start,
            end: samples.end,
            samples: total,
        });
    }
    Ok(())
}

fn convex(instance: &Instance, inputs: &[f64]) -> Result<Vec<Optimum>, Error> {
    let parts = instance.parts();
    let p = Symmetric::Diagonal(Values::Shared(&parts.q));
    solve_quadratic(instance, inputs, p, Values::Shared(&parts.p))?
        .into_iter()
        .map(|(point, solver)| point.optimum(instance, solver))
        .collect()
}

/// Solves `min ½ zᵀPz + qᵀz` over the feasible set of each input; gives the points and what the solver says.
fn solve_quadratic(
    instance: &Instance,
    inputs: &[f64],
    p: Symmetric<'_>,
    q: Values<'_>,
) -> Result<Vec<(Point, OptimumStatus)>, Error> {
    let Size { n, eq, ineq: m, .. } = instance.size();
    let parts = instance.parts();
    let below = vec![f64::NEG_INFINITY; m];
    let (g, upper) = (Values::Shared(&parts.ineq), Values::Shared(&parts.upper));
    let (inequalities, quadratics) = match &parts.ineq_diagonals {
        None => {
            let linear = Inequalities {
                rows: m,
                g,
                l: Values::Shared(&below),
                u: upper,
            };
            (Some(linear), None)
        }
        Some(diagonals) => {
            let h = Symmetric::Diagonal(Values::Shared(diagonals));
            (
                None,
                Some(Quadratics {
                    rows: m,
                    h,
                    g,
                    c: upper,
                }),
            )
        }
    };
    let batch = inputs.len() / eq;
    let problem = Problem {
        batch,
        n,
        p,
        q,
        equalities: Some(Equalities {
            rows: eq,
            a: Values::Shared(&parts.equality),
            b: Values::PerSample(inputs),
        }),
        inequalities,
        quadratics,
    };
    let solution = feasible_solver::solve(&problem, &Settings::default())?;
    let ineq_duals = if parts.ineq_diagonals.is_some() {
        &solution.quadratic_dual
    } else {
        &solution.inequality_dual
    };
    Ok((0..batch)
        .map(|i| {
            let point = Point {
                x: inputs[i * eq..(i + 1) * eq].to_vec(),
                y: solution.x[i * n..(i + 1) * n].to_vec(),
                equality_dual: solution.equality_dual[i * eq..(i + 1) * eq].to_vec(),
                ineq_dual: ineq_duals[i * m..(i + 1) * m].to_vec(),
            };
            (point, OptimumStatus::from(solution.status[i]))
        })
        .collect())
}

impl From<feasible_solver::Status> for OptimumStatus {
    fn from(status: feasible_solver::Status) -> Self {
        match status {
            feasible_solver::Status::Solved => Self::Optimal,
            feasible_solver::Status::PrimalInfeasible => Self::Infeasible,
            feasible_solver::Status::DualInfeasible => Self::Unbounded,
            _ => Self::Unconverged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::{Parts, Recipe};

    const SIZE: Size = Size {
        n: 2,
        eq: 1,
        ineq: 1,
        samples: 3,
    };

    /// `y₀ = x` and `row · y ≤ upper`.
    fn line(recipe: Recipe, q: [f64; 2], row: [f64; 2], upper: f64) -> Instance {
        let parts = Parts {
            q: q.to_vec(),
            p: vec![1.0, 1.0],
            equality: vec![1.0, 0.0],
            x: vec![-0.5, 0.5, -0.25],
            ineq: row.to_vec(),
            ineq_diagonals: None,
            upper: vec![upper],
        };
        Instance::new(recipe, SIZE, 0, parts).unwrap()
    }

    fn statuses(instance: &Instance) -> Vec<OptimumStatus> {
        let found = optima(instance, 0..3, &mut |_| {}).unwrap();
        found.iter().map(|o| o.status).collect()
    }

    #[test]
    fn an_infeasible_sample_leaves_the_others_alone() {
        use OptimumStatus::{Infeasible, Optimal};
        for recipe in [Recipe::Dc3Simple, Recipe::Dc3Nonconvex] {
            // y₀ ≤ 0 excludes the second input.
            let instance = line(recipe, [1.0, 1.0], [1.0, 0.0], 0.0);
            assert_eq!(
                statuses(&instance),
                [Optimal, Infeasible, Optimal],
                "{recipe}"
            );
        }
    }

    #[test]
    fn an_objective_without_a_lower_bound_is_said_so() {
        let instance = line(Recipe::Dc3Simple, [1.0, 0.0], [0.0, 1.0], 5.0);
        assert_eq!(statuses(&instance), [OptimumStatus::Unbounded; 3]);
    }

    /// The free variable minimises `½ q v² + v` or `½ q v² + sin v` under `v ≤ upper`.
    #[test]
    fn one_free_variable_has_its_closed_form() {
        let free = |recipe, upper| {
            let instance = line(recipe, [1.0, 0.5], [0.0, 1.0], upper);
            let found = optima(&instance, 0..3, &mut |_| {}).unwrap();
            assert!(found.iter().all(Optimum::is_solved));
            found[0].y[1]
        };
        assert!((free(Recipe::Dc3Simple, 9.0) + 2.0).abs() < 1e-12);
        assert!((free(Recipe::Dc3Simple, -3.0) + 3.0).abs() < 1e-12);
        let v = free(Recipe::Dc3Nonconvex, 9.0);
        assert!((0.5 * v + v.cos()).abs() < 1e-12 && v < 0.0, "{v}");
        assert!((free(Recipe::Dc3Nonconvex, -3.0) + 3.0).abs() < 1e-12);
    }
}
