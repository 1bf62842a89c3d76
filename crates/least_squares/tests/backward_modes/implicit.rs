//! By the stationarity of a minimiser, exact and Gauss-Newton.

use super::*;

/// The qualities that a gradient of the implicit modes may have.
fn expected(case: &Case, linear: Linear) -> &'static [GradientQuality] {
    let iterative = matches!(linear, Linear::ConjugateGradient { .. });
    match case.problem.kind {
        // Conjugate gradients see no null space that the cotangent has no part in.
        Kind::RankDeficient if iterative => &[GradientQuality::Exact, GradientQuality::Degenerate],
        Kind::RankDeficient => &[GradientQuality::Degenerate],
        _ if case.problem.name.starts_with(BY_DIFFERENCES) => &[GradientQuality::Inexact],
        _ => &[GradientQuality::Exact],
    }
}

#[test]
fn implicit_modes_on_every_problem() {
    let (mut exact, mut rough) = (Worst::default(), Worst::default());
    let (mut wrong, mut cases_seen) = (0, 0);
    for case in cases() {
        cases_seen += 1;
        let settings = to_the_end(Linear::Auto);
        let pairs: Vec<[Vec<f64>; 2]> = case
            .truths
            .iter()
            .map(|truth| {
                let v = truth.stored(&truth.v);
                let seen = truth.stored(&truth.as_gauss_newton_sees(&truth.v));
                by_theta(&case.problem, &truth.at, &settings, WIDE, [&v, &seen])
            })
            .collect();
        for linear in solvers() {
            let solution = case.solve(&case.samples, &to_the_end(linear));
            let v = case.cotangent(|truth| truth.v.clone());
            let by = |hessian| {
                let backward = Backward::Implicit { hessian };
                case.gradients(&case.samples, &solution, &v, &backward)
            };
            let (by_hessian, by_rows) = (by(Hessian::Exact), by(Hessian::GaussNewton));
            for (s, [all, without_curvature]) in pairs.iter().enumerate() {
                let place = case.place(s, &linear);
                let got = case.auxiliaries(&by_hessian, s);
                exact.see(case.rule(), error(got, all), IMPLICIT, &place);
                let quality = by_hessian.quality[s];
                exact.require(expected(&case, linear).contains(&quality), || {
                    format!("{}: {quality:?}", place())
                });
                // The error of the Gauss-Newton gradient in closed form: it is the exact one for HM⁺v.
                let got = case.auxiliaries(&by_rows, s);
                let truth = &case.truths[s];
                let seen = truth.as_gauss_newton_sees(&truth.v);
                rough.see(case.rule(), error(got, without_curvature), IMPLICIT, &place);
                let off: Vec<f64> = seen.iter().zip(&truth.v).map(|(a, b)| a - b).collect();
                let off = dot(&off, &off).sqrt() / dot(&truth.v, &truth.v).sqrt();
                let known = (by_rows.residual[s] - off).abs();
                rough.see("curvature left out, as reported", known, IMPLICIT, &place);
                if case.problem.kind == Kind::ZeroResidual {
                    rough.see("zero residual, as exact", error(got, all), IMPLICIT, &place);
                }
                if error(got, all) > LIMIT {
                    wrong += 1;
                    let quality = by_rows.quality[s];
                    rough.require(quality != GradientQuality::Exact, || {
                        format!("wrong, but {quality:?}: {}", place())
                    });
                }
            }
        }
    }
    println!("{cases_seen} problems");
    exact.finish("implicit, exact Hessian");
    rough.finish("implicit, Gauss-Newton");
    println!("  {wrong} gradients were wrong, and said so");
    // Most problems with a residual, by every solver.
    assert!(wrong > 200, "{wrong}");
}

#[test]
fn cotangents_outside_the_range_get_the_least_norm_gradient_and_say_so() {
    let mut worst = Worst::default();
    let rank_deficient = |case: &Case| case.problem.kind == Kind::RankDeficient;
    for case in cases().into_iter().filter(rank_deficient) {
        let any = case.cotangent(|truth| numbers(truth.v.len(), 0.5));
        let inside =
            case.cotangent(|truth| by_eigen(&truth.hessian, &numbers(truth.v.len(), 0.5), |_| 1.0));
        for linear in solvers() {
            let solution = case.solve(&case.samples, &to_the_end(linear));
            let by = |v: &[f64], backward| case.gradients(&case.samples, &solution, v, &backward);
            let got = by(&any, Backward::default());
            let expected = by(&inside, Backward::default());
            let tilted = by(&any, Backward::DirectLoss { epsilon: 1e-4 });
            for s in 0..case.samples.len() {
                let place = case.place(s, &linear);
                let quality = got.quality[s];
                let (got, expected) = (case.auxiliaries(&got, s), case.auxiliaries(&expected, s));
                // Iterations end where the null space begins, in the norm of their preconditioner.
                if !matches!(linear, Linear::ConjugateGradient { .. }) {
                    worst.see("least norm", error(got, expected), LIMIT, &place);
                }
                worst.require(quality == GradientQuality::Degenerate, || {
                    format!("{quality:?}: {}", place())
                });
                // Nothing bounds the tilted objective near, unless steps are by the rows.
                let given = case.auxiliaries(&tilted, s);
                match tilted.quality[s] {
                    GradientQuality::Unavailable => worst.require(largest(given) == 0.0, &place),
                    _ => worst.see("direct loss", error(given, expected), LIMIT, &place),
                }
            }
        }
    }
    worst.finish("outside the range");
}
