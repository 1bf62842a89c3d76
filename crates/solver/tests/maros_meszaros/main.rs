//! The small problems of the Maros and Meszaros test set: published optima, optimality conditions,
//! gradients, by the dense solvers and as sparse cone programs. See `data/README.md`.
//!
//! Each test goes through all problems before it fails, and then names every one that did.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

mod degenerate;
mod differences;
mod set;
#[path = "../support/mod.rs"]
mod support;

use feasible_solver::{
    AdjointSettings, ConeCotangent, ConeGradients, ConeSettings, ConeSolution, ConeWanted,
    Cotangent, GradientQuality, Gradients, Method, Settings, Solution, Status, Wanted, adjoint,
    cone_adjoint, solve, solve_cones,
};
use set::{Entry, Side, Sparsified, entries, relative_residuals};
use support::{Owned, normal, rng};

/// The published optima have eight digits.
const OPTIMUM: f64 = 1e-6;

/// The default tolerance of both solvers, relative to the terms that cancel in a residual.
const RESIDUAL: f64 = 1e-9;

/// Two exact gradients of one problem by different systems: what the worst conditioned leaves.
const AGREEMENT: f64 = 1e-6;

/// Problems that failed, each with its reason.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn unless(&mut self, holds: bool, entry: &Entry, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(format!("{}: {}", entry.name, what()));
        }
    }

    fn report(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

fn text(residuals: [f64; 3]) -> String {
    let [primal, dual, gap] = residuals;
    format!("{primal:.1e} {dual:.1e} {gap:.1e}")
}

fn optimum_error(entry: &Entry, objective: f64) -> f64 {
    (objective + entry.constant - entry.optimum).abs() / entry.optimum.abs().max(1.0)
}

/// A random loss on the point and on the multipliers, each in units of its size.
struct Loss {
    x: Vec<f64>,
    nu: Vec<f64>,
    lambda: Vec<f64>,
}

impl Loss {
    fn new(entry: &Entry, solution: &Solution) -> Self {
        let mut rng = rng(entry.name.bytes().map(u64::from).sum());
        let mut draw = |values: &[f64]| {
            let size = values.iter().fold(1.0f64, |size, v| size.max(v.abs()));
            let draws = normal(&mut rng, values.len());
            draws.iter().map(|v| v / size).collect()
        };
        Self {
            x: draw(&solution.x),
            nu: draw(&solution.equality_dual),
            lambda: draw(&solution.inequality_dual),
        }
    }

    /// The size of the terms that the value adds.
    fn size(&self, at: &Solution) -> f64 {
        let parts = [
            (&self.x, &at.x),
            (&self.nu, &at.equality_dual),
            (&self.lambda, &at.inequality_dual),
        ];
        let products = parts
            .into_iter()
            .flat_map(|(loss, at)| loss.iter().zip(at).map(|(a, b)| (a * b).abs()));
        1.0 + products.sum::<f64>()
    }

    fn value(&self, x: &[f64], nu: &[f64], lambda: &[f64]) -> f64 {
        use support::inner;
        inner(&self.x, x) + inner(&self.nu, nu) + inner(&self.lambda, lambda)
    }
}

fn dense(owned: &Owned, settings: &Settings) -> Solution {
    solve(&owned.problem(), settings).unwrap()
}

fn dense_gradients(owned: &Owned, solution: &Solution, loss: &Loss) -> Gradients {
    let cotangent = Cotangent {
        x: &loss.x,
        equality_dual: Some(&loss.nu),
        inequality_dual: Some(&loss.lambda),
        quadratic_dual: None,
    };
    let settings = AdjointSettings::default();
    adjoint(
        &owned.problem(),
        solution,
        &cotangent,
        &Wanted::ALL,
        &settings,
    )
    .unwrap()
}

/// The gradients of the same loss by the cone program.
fn cone_gradients(program: &Sparsified, solution: &ConeSolution, loss: &Loss) -> ConeGradients {
    let of_side = |side: &Side| match *side {
        Side::Equality(i) => loss.nu[i],
        Side::Fixed(i) | Side::Upper(i) => loss.lambda[i],
        Side::Lower(i) => -loss.lambda[i],
    };
    let z: Vec<f64> = program.sides.iter().map(of_side).collect();
    let cotangent = ConeCotangent {
        x: &loss.x,
        z: Some(&z),
        s: None,
    };
    cone_adjoint(
        &program.problem(),
        solution,
        &cotangent,
        &ConeWanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap()
}

fn check_dense(method: Method) {
    let mut failures = Failures::default();
    println!(
        "{:10} {:>4} {:>4} {:>4} {:>5} {:>18} {:>8} primal, dual, gap",
        "name", "n", "A", "G", "iter", "objective", "error"
    );
    for entry in entries() {
        let owned = &entry.owned;
        let settings = Settings {
            method,
            ..Settings::default()
        };
        let solution = dense(owned, &settings);
        let error = optimum_error(&entry, solution.objective[0]);
        let residual = relative_residuals(
            owned,
            &solution.x,
            &solution.equality_dual,
            &solution.inequality_dual,
        );
        println!(
            "{:10} {:4} {:4} {:4} {:5} {:18.10e} {error:8.1e} {} {:?}",
            entry.name,
            owned.n,
            owned.p_rows,
            owned.m,
            solution.iterations[0],
            solution.objective[0] + entry.constant,
            text(residual),
            solution.status[0]
        );
        failures.unless(solution.status[0] == Status::Solved, &entry, || {
            format!("{:?} {:?}", solution.status[0], solution.residuals[0])
        });
        failures.unless(error < OPTIMUM, &entry, || {
            format!("optimum off by {error:e}")
        });
        failures.unless(residual.iter().all(|v| *v < RESIDUAL), &entry, || {
            format!("residuals {}", text(residual))
        });
    }
    failures.report();
}

#[test]
fn dense_optima() {
    check_dense(Method::Auto);
}

#[test]
fn interior_point_optima() {
    check_dense(Method::InteriorPoint);
}

#[test]
fn cone_optima() {
    let mut failures = Failures::default();
    for entry in entries() {
        let owned = &entry.owned;
        let program = Sparsified::new(owned);
        let solution = solve_cones(&program.problem(), &ConeSettings::default()).unwrap();
        let (nu, lambda) = program.duals(owned, &solution.z);
        let error = optimum_error(&entry, solution.objective[0]);
        let residual = relative_residuals(owned, &solution.x, &nu, &lambda);
        println!(
            "{:10} {:5} {:18.10e} {error:8.1e} {} {:?}",
            entry.name,
            solution.iterations[0],
            solution.objective[0] + entry.constant,
            text(residual),
            solution.status[0]
        );
        failures.unless(solution.status[0] == Status::Solved, &entry, || {
            format!("{:?} {:?}", solution.status[0], solution.residuals[0])
        });
        failures.unless(error < OPTIMUM, &entry, || {
            format!("optimum off by {error:e}")
        });
        failures.unless(residual.iter().all(|v| *v < RESIDUAL), &entry, || {
            format!("residuals {}", text(residual))
        });
    }
    failures.report();
}

/// Gradients called exact agree with central differences in every parameter; the others are finite, and
/// those of the problems that are known to have no derivative.
#[test]
fn dense_gradients_are_derivatives() {
    let mut failures = Failures::default();
    let (mut exact, mut degenerate) = (0, 0);
    for entry in entries() {
        let owned = &entry.owned;
        let solution = dense(owned, &Settings::default());
        let loss = Loss::new(&entry, &solution);
        let gradients = dense_gradients(owned, &solution, &loss);
        let report = gradients.reports[0];
        let parts = differences::parts(&gradients);
        let finite = parts.iter().all(|part| part.iter().all(|v| v.is_finite()));
        failures.unless(finite, &entry, || "a gradient is not finite".to_owned());
        let causes = degenerate::causes(owned, &solution);
        print!(
            "{:10} {:?} margin {:.1e} condition {:.1e} {causes:?}",
            entry.name, report.quality, report.margin, report.condition
        );
        let known = degenerate::known(&entry.name);
        failures.unless(causes == known, &entry, || {
            format!("{causes:?} but known for {known:?}")
        });
        let expected = match known {
            [] => GradientQuality::Exact,
            _ => GradientQuality::Degenerate,
        };
        failures.unless(report.quality == expected, &entry, || {
            format!("{:?} but {causes:?}", report.quality)
        });
        match report.quality {
            GradientQuality::Degenerate => degenerate += 1,
            GradientQuality::Exact => {
                exact += 1;
                for outcome in differences::compare(owned, &solution, &loss, &parts) {
                    print!("  {} {:.0e}", outcome.parameter, outcome.error);
                    failures.unless(outcome.error < differences::TOLERANCE, &entry, || {
                        format!("gradient of {}: {}", outcome.parameter, outcome.detail)
                    });
                }
            }
            other => failures.unless(false, &entry, || format!("{other:?}")),
        }
        println!();
    }
    println!("{exact} exact, {degenerate} degenerate");
    failures.report();
    assert_eq!(degenerate, degenerate::KNOWN.len());
}

/// The cone program's gradients, where both routes call theirs exact, are the dense ones.
#[test]
fn cone_gradients_agree() {
    let mut failures = Failures::default();
    let mut compared = 0;
    for entry in entries() {
        let owned = &entry.owned;
        let solution = dense(owned, &Settings::default());
        let loss = Loss::new(&entry, &solution);
        let expected = dense_gradients(owned, &solution, &loss);
        let program = Sparsified::new(owned);
        let solution = solve_cones(&program.problem(), &ConeSettings::default()).unwrap();
        let got = cone_gradients(&program, &solution, &loss);
        let (dense, cone) = (expected.reports[0], got.reports[0]);
        let (q, b) = (got.q.unwrap(), got.b.unwrap());
        let finite = q.iter().chain(&b).all(|v| v.is_finite());
        failures.unless(finite, &entry, || "a gradient is not finite".to_owned());
        print!(
            "{:10} dense {:?} {:.1e} cone {:?} {:.1e}",
            entry.name, dense.quality, dense.margin, cone.quality, cone.margin
        );
        let exact = [dense.quality, cone.quality].map(|quality| quality == GradientQuality::Exact);
        if exact == [true, true] {
            compared += 1;
            let error = differences::distance(&expected.q.unwrap(), &q).max(differences::distance(
                &bounds(&program, &expected.b, &expected.l, &expected.u),
                &b,
            ));
            print!(" {error:.1e}");
            failures.unless(error < AGREEMENT, &entry, || {
                format!("gradients differ by {error:e}")
            });
        }
        println!();
    }
    println!("{compared} compared");
    failures.report();
    assert!(compared >= 20);
}

/// The dense gradients of right-hand sides in the order of the cone program's rows.
fn bounds(
    program: &Sparsified,
    b: &Option<Vec<f64>>,
    l: &Option<Vec<f64>>,
    u: &Option<Vec<f64>>,
) -> Vec<f64> {
    let at = |part: &Option<Vec<f64>>, i: usize| part.as_ref().unwrap()[i];
    let of_side = |side: &Side| match *side {
        Side::Equality(i) => at(b, i),
        Side::Fixed(i) => at(l, i) + at(u, i),
        Side::Upper(i) => at(u, i),
        Side::Lower(i) => -at(l, i),
    };
    program.sides.iter().map(of_side).collect()
}
