//! Several derivatives of one sample from one factorisation are those of the batch.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeTangents, ConeWanted,
    Cotangent, Equalities, Error, GradientQuality, Inequalities, Problem, Quadratics,
    SampleDerivative, Settings, Sparse, Status, Symmetric, Tangents, Values, Wanted, adjoint,
    cone_adjoint, cone_differentiate, cone_tangent, differentiate, solve, solve_cones, tangent,
};
use rayon::ThreadPoolBuilder;
use support::derivatives::{Loss, gradients, parts};
use support::{Shape, normal, random, rng};

/// Another factorisation of the same system: rounding times its condition.
const ROUNDING: f64 = 1e-9;

fn close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs() / (1.0 + expected.abs());
        assert!(error <= ROUNDING, "{what}[{at}]: {got} and {expected}");
    }
}

/// Of a batch that several threads take several runs for, with matrices in common and each sample's own.
#[test]
fn gradients_of_a_large_batch_are_those_of_its_samples() {
    for per_sample in [0b110_1010, 0b111_1111] {
        let shape = Shape {
            batch: 200,
            n: 12,
            p_rows: 3,
            m: 10,
            k: 0,
            p_diagonal: true,
            h_diagonal: true,
            per_sample,
            p_rank: 12,
            h_shift: 0.0,
            equal_rows: 0.0,
        };
        let owned = random(shape, 11);
        let problem = owned.problem();
        let solution = solve(&problem, &Settings::default()).unwrap();
        assert!(solution.all_solved());
        let loss = Loss::random(&owned, 5, true);
        let settings = AdjointSettings::default();
        let alone: Vec<_> = (0..shape.batch)
            .map(|sample| {
                let of = |part: &[f64], len: usize| part[sample * len..(sample + 1) * len].to_vec();
                let own = Loss {
                    x: of(&loss.x, shape.n),
                    nu: of(&loss.nu, shape.p_rows),
                    lambda: of(&loss.lambda, shape.m),
                    mu: Vec::new(),
                };
                let work = |derivative: &mut SampleDerivative<'_>| {
                    derivative.adjoint(&own.cotangent(), &Wanted::ALL).unwrap()
                };
                differentiate(&problem, &solution, sample, &settings, work)
                    .unwrap()
                    .unwrap()
            })
            .collect();
        for threads in [1, 3] {
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let all = pool.install(|| gradients(&owned, &solution, &loss));
            for (at, got) in parts(&all).into_iter().enumerate() {
                let each = alone.iter().map(|one| parts(one)[at]);
                let expected = if owned.parts[at].shared {
                    let mut sum = vec![0.0; got.len()];
                    each.for_each(|one| sum.iter_mut().zip(one).for_each(|(sum, v)| *sum += v));
                    sum
                } else {
                    each.flatten().copied().collect()
                };
                close(&format!("part {at}, {threads} threads"), got, &expected);
            }
        }
    }
}

/// Three samples of min ½‖x‖² + qᵀx on a line, in a box and a ball; the last is infeasible.
#[test]
fn dense_derivatives() {
    let (batch, n) = (3, 3);
    let mut rng = rng(3);
    let mut normal = |count: usize| normal(&mut rng, count);
    let (q, g) = (normal(batch * n), normal(n));
    let problem = Problem {
        batch,
        n,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 2.0, 1.5])),
        q: Values::PerSample(&q),
        equalities: Some(Equalities {
            rows: 1,
            a: Values::Shared(&[1.0, 1.0, 1.0]),
            b: Values::PerSample(&[0.1, 0.2, 9.0]),
        }),
        inequalities: Some(Inequalities {
            rows: 1,
            g: Values::Shared(&g),
            l: Values::Shared(&[-0.05]),
            u: Values::Shared(&[0.05]),
        }),
        quadratics: Some(Quadratics {
            rows: 1,
            h: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0, 1.0])),
            g: Values::Shared(&[0.0, 0.0, 0.0]),
            c: Values::Shared(&[0.3]),
        }),
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert!(solution.status[..2].iter().all(|s| s.is_solved()));
    assert_eq!(solution.status[2], Status::PrimalInfeasible);
    let settings = AdjointSettings::default();
    let (of_q, of_g) = (normal(batch * n), normal(n));
    let tangents = Tangents {
        q: Some(Values::PerSample(&of_q)),
        g: Some(Values::Shared(&of_g)),
        ..Tangents::default()
    };
    let all = tangent(&problem, &solution, &tangents, &settings).unwrap();
    let mut cotangents = normal(2 * n);
    cotangents.extend([0.0; 3]);
    let duals = [0.7, -0.4, 0.0];
    for sample in 0..2 {
        let found = differentiate(&problem, &solution, sample, &settings, |derivative| {
            let moved = derivative.tangent(&tangents).unwrap();
            let cotangent = Cotangent {
                x: &cotangents[sample * n..(sample + 1) * n],
                equality_dual: Some(&duals[sample..=sample]),
                inequality_dual: None,
                quadratic_dual: Some(&duals[sample..=sample]),
            };
            let gradients = derivative.adjoint(&cotangent, &Wanted::ALL).unwrap();
            let wrong = Cotangent::of_x(&cotangents);
            assert!(matches!(
                derivative.adjoint(&wrong, &Wanted::ALL),
                Err(Error::Shape { .. })
            ));
            assert_eq!(derivative.report().quality, GradientQuality::Exact);
            (moved, gradients)
        });
        let (moved, gradients) = found.unwrap().unwrap();
        close("x", &moved.x, &all.x[sample * n..(sample + 1) * n]);
        close(
            "ν",
            &moved.equality_dual,
            &all.equality_dual[sample..=sample],
        );
        close(
            "λ",
            &moved.inequality_dual,
            &all.inequality_dual[sample..=sample],
        );
        close(
            "μ",
            &moved.quadratic_dual,
            &all.quadratic_dual[sample..=sample],
        );
        // The batch's adjoint with every other sample's cotangent zero.
        let only = |all: &[f64]| -> Vec<f64> {
            let len = all.len() / batch;
            let kept = |at: usize, v: &f64| if at / len == sample { *v } else { 0.0 };
            all.iter().enumerate().map(|(at, v)| kept(at, v)).collect()
        };
        let (x, duals) = (only(&cotangents), only(&duals));
        let cotangent = Cotangent {
            x: &x,
            equality_dual: Some(&duals),
            inequality_dual: None,
            quadratic_dual: Some(&duals),
        };
        let whole = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
        for (what, one, whole, shared) in [
            ("∂P", &gradients.p, &whole.p, true),
            ("∂q", &gradients.q, &whole.q, false),
            ("∂A", &gradients.a, &whole.a, true),
            ("∂b", &gradients.b, &whole.b, false),
            ("∂G", &gradients.g, &whole.g, true),
            ("∂l", &gradients.l, &whole.l, true),
            ("∂u", &gradients.u, &whole.u, true),
            ("∂H", &gradients.quadratic_h, &whole.quadratic_h, true),
            ("∂g", &gradients.quadratic_g, &whole.quadratic_g, true),
            ("∂c", &gradients.quadratic_c, &whole.quadratic_c, true),
        ] {
            let (one, whole) = (one.as_ref().unwrap(), whole.as_ref().unwrap());
            let start = if shared { 0 } else { sample * one.len() };
            close(what, one, &whole[start..start + one.len()]);
        }
    }
    let failed = differentiate(&problem, &solution, 2, &settings, |_| ()).unwrap();
    assert_eq!(failed, None);
    let error = differentiate(&problem, &solution, 3, &settings, |_| ()).unwrap_err();
    assert_eq!(error, Error::Sample { got: 3, batch: 3 });
}

/// min ½‖x‖² + qᵀx with (1, x) in the second-order cone and x₀ ≤ b, of which the last sample's is out
/// of reach.
#[test]
fn cone_derivatives() {
    let (batch, n, m) = (3, 2, 4);
    let pattern = [0, 2, 3];
    let problem = ConeProblem {
        batch,
        n,
        p: Some(Sparse {
            rows: 2,
            columns: 2,
            starts: &[0, 1, 2],
            indices: &[0, 1],
            values: Values::Shared(&[1.0, 2.0]),
        }),
        q: Values::PerSample(&[3.0, 1.0, -2.0, 0.3, 0.0, 0.0]),
        a: Sparse {
            rows: m,
            columns: n,
            starts: &pattern,
            indices: &[0, 2, 3],
            values: Values::Shared(&[1.0, -1.0, -1.0]),
        },
        b: Values::PerSample(&[0.5, 1.0, 0.0, 0.0, 0.4, 1.0, 0.0, 0.0, -2.0, 1.0, 0.0, 0.0]),
        cones: &[Cone::Nonnegative(1), Cone::SecondOrder(3)],
    };
    let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
    assert_eq!(
        solution.status,
        [Status::Solved, Status::Solved, Status::PrimalInfeasible]
    );
    let settings = AdjointSettings::default();
    let mut rng = rng(5);
    let mut normal = |count: usize| normal(&mut rng, count);
    let (of_p, of_q, of_a, of_b) = (normal(2), normal(batch * n), normal(3), normal(m));
    let tangents = ConeTangents {
        p: Some(Values::Shared(&of_p)),
        q: Some(Values::PerSample(&of_q)),
        a: Some(Values::Shared(&of_a)),
        b: Some(Values::Shared(&of_b)),
    };
    let all = cone_tangent(&problem, &solution, &tangents, &settings).unwrap();
    let (x, z, s) = (normal(batch * n), normal(batch * m), normal(batch * m));
    for sample in 0..2 {
        fn own(all: &[f64], sample: usize) -> &[f64] {
            let len = all.len() / 3;
            &all[sample * len..(sample + 1) * len]
        }
        let found = cone_differentiate(&problem, &solution, sample, &settings, |derivative| {
            let moved = derivative.tangent(&tangents).unwrap();
            let cotangent = ConeCotangent {
                x: own(&x, sample),
                z: Some(own(&z, sample)),
                s: Some(own(&s, sample)),
            };
            let gradients = derivative.adjoint(&cotangent, &ConeWanted::ALL).unwrap();
            let wrong = ConeCotangent::of_x(&x);
            assert!(matches!(
                derivative.adjoint(&wrong, &ConeWanted::ALL),
                Err(Error::Shape { .. })
            ));
            assert_eq!(derivative.report().quality, GradientQuality::Exact);
            (moved, gradients)
        });
        let (moved, gradients) = found.unwrap().unwrap();
        close("x", &moved.x, own(&all.x, sample));
        close("s", &moved.s, own(&all.s, sample));
        close("z", &moved.z, own(&all.z, sample));
        let only = |all: &[f64]| -> Vec<f64> {
            let len = all.len() / batch;
            let kept = |at: usize, v: &f64| if at / len == sample { *v } else { 0.0 };
            all.iter().enumerate().map(|(at, v)| kept(at, v)).collect()
        };
        let (x, z, s) = (only(&x), only(&z), only(&s));
        let cotangent = ConeCotangent {
            x: &x,
            z: Some(&z),
            s: Some(&s),
        };
        let wanted = ConeWanted::ALL;
        let whole = cone_adjoint(&problem, &solution, &cotangent, &wanted, &settings).unwrap();
        close("∂P", &gradients.p.unwrap(), &whole.p.unwrap());
        close("∂A", &gradients.a.unwrap(), &whole.a.unwrap());
        close("∂q", &gradients.q.unwrap(), own(&whole.q.unwrap(), sample));
        close("∂b", &gradients.b.unwrap(), own(&whole.b.unwrap(), sample));
    }
    let failed = cone_differentiate(&problem, &solution, 2, &settings, |_| ()).unwrap();
    assert_eq!(failed, None);
    let error = cone_differentiate(&problem, &solution, 3, &settings, |_| ()).unwrap_err();
    assert_eq!(error, Error::Sample { got: 3, batch: 3 });
}
