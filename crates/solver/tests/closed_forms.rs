//! Problems whose answer and derivative can be written down.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, GradientQuality, Inequalities, Method, Problem,
    Quadratics, Settings, Solution, Symmetric, Values, Wanted, adjoint, solve,
};
use support::{INF, inner, normal, rng, uniform};

const METHODS: [Method; 2] = [Method::Auto, Method::InteriorPoint];

/// Rounding of sums over the few dozen terms below.
const EXACT: f64 = 1e-12;

fn solved(problem: &Problem<'_>, method: Method) -> Solution {
    let solution = solve(
        problem,
        &Settings {
            method,
            ..Settings::default()
        },
    )
    .unwrap();
    assert!(solution.all_solved(), "{:?}", solution.status);
    solution
}

fn q_gradient(problem: &Problem<'_>, solution: &Solution, x: &[f64]) -> Vec<f64> {
    let cotangent = Cotangent::of_x(x);
    let wanted = Wanted {
        q: true,
        ..Wanted::NONE
    };
    let gradients = adjoint(
        problem,
        solution,
        &cotangent,
        &wanted,
        &AdjointSettings::default(),
    )
    .unwrap();
    assert!(
        gradients
            .reports
            .iter()
            .all(|r| r.quality == GradientQuality::Exact)
    );
    assert!(gradients.p.is_none() && gradients.u.is_none());
    gradients.q.unwrap()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} and {b}");
    }
}

/// Projection onto a box clips; its derivative keeps the free coordinates.
#[test]
fn box_projection() {
    let (batch, n) = (40, 17);
    let mut rng = rng(1);
    let y = normal(&mut rng, batch * n);
    let q: Vec<f64> = y.iter().map(|v| -v).collect();
    let l = uniform(&mut rng, -1.0, -0.2, n);
    let u = uniform(&mut rng, 0.2, 1.0, n);
    let mut eye = vec![0.0; n * n];
    (0..n).for_each(|i| eye[i * n + i] = 1.0);
    let ones = vec![1.0; n];
    let problem = Problem {
        batch,
        n,
        p: Symmetric::Diagonal(Values::Shared(&ones)),
        q: Values::PerSample(&q),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: n,
            g: Values::Shared(&eye),
            l: Values::Shared(&l),
            u: Values::Shared(&u),
        }),
        quadratics: None,
    };
    let weight = normal(&mut rng, batch * n);
    let clipped: Vec<f64> = y
        .iter()
        .enumerate()
        .map(|(i, v)| v.clamp(l[i % n], u[i % n]))
        .collect();
    let expected: Vec<f64> = y
        .iter()
        .enumerate()
        .map(|(i, v)| if *v == clipped[i] { -weight[i] } else { 0.0 })
        .collect();
    for method in METHODS {
        let solution = solved(&problem, method);
        close(&solution.x, &clipped, EXACT);
        let duals: Vec<f64> = y.iter().zip(&clipped).map(|(y, x)| y - x).collect();
        close(&solution.inequality_dual, &duals, EXACT);
        close(&q_gradient(&problem, &solution, &weight), &expected, EXACT);
    }
}

/// Projection onto the simplex by sorting (Held, Wolfe & Crowder 1974); its derivative centres the
/// weights on the support.
#[test]
fn simplex_projection() {
    let (batch, n) = (30, 12);
    let mut rng = rng(2);
    let y: Vec<f64> = normal(&mut rng, batch * n)
        .iter()
        .map(|v| 0.5 * v)
        .collect();
    let q: Vec<f64> = y.iter().map(|v| -v).collect();
    let mut eye = vec![0.0; n * n];
    (0..n).for_each(|i| eye[i * n + i] = 1.0);
    let (ones, zeros, infinite) = (vec![1.0; n], vec![0.0; n], vec![INF; n]);
    let problem = Problem {
        batch,
        n,
        p: Symmetric::Diagonal(Values::Shared(&ones)),
        q: Values::PerSample(&q),
        equalities: Some(Equalities {
            rows: 1,
            a: Values::Shared(&ones),
            b: Values::Shared(&[1.0]),
        }),
        inequalities: Some(Inequalities {
            rows: n,
            g: Values::Shared(&eye),
            l: Values::Shared(&zeros),
            u: Values::Shared(&infinite),
        }),
        quadratics: None,
    };
    let weight = normal(&mut rng, batch * n);
    let (mut expected, mut gradient) = (Vec::new(), Vec::new());
    for (y, w) in y.chunks_exact(n).zip(weight.chunks_exact(n)) {
        let mut sorted = y.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut sum = 0.0;
        let mut shift = 0.0;
        for (i, v) in sorted.iter().enumerate() {
            sum += v;
            let candidate = (sum - 1.0) / (i + 1) as f64;
            if v - candidate > 0.0 {
                shift = candidate;
            }
        }
        let x: Vec<f64> = y.iter().map(|v| (v - shift).max(0.0)).collect();
        let support: Vec<usize> = (0..n).filter(|&i| x[i] > 0.0).collect();
        let mean = support.iter().map(|&i| w[i]).sum::<f64>() / support.len() as f64;
        gradient.extend((0..n).map(|i| if x[i] > 0.0 { mean - w[i] } else { 0.0 }));
        expected.extend(x);
    }
    for method in METHODS {
        let solution = solved(&problem, method);
        close(&solution.x, &expected, EXACT);
        close(&q_gradient(&problem, &solution, &weight), &gradient, EXACT);
    }
}

/// Projection onto the unit ball scales; outside, the derivative is the tangential projector over
/// the norm.
#[test]
fn ball_projection() {
    let (batch, n) = (30, 9);
    let mut rng = rng(3);
    let y: Vec<f64> = normal(&mut rng, batch * n)
        .iter()
        .map(|v| 0.4 * v)
        .collect();
    let q: Vec<f64> = y.iter().map(|v| -v).collect();
    let (ones, zeros) = (vec![1.0; n], vec![0.0; n]);
    let mut eye = vec![0.0; n * n];
    (0..n).for_each(|i| eye[i * n + i] = 1.0);
    let weight = normal(&mut rng, batch * n);
    let (mut expected, mut gradient, mut duals) = (Vec::new(), Vec::new(), Vec::new());
    for (y, w) in y.chunks_exact(n).zip(weight.chunks_exact(n)) {
        let norm = inner(y, y).sqrt();
        let scale = norm.max(1.0);
        expected.extend(y.iter().map(|v| v / scale));
        let radial = if norm > 1.0 {
            inner(y, w) / (norm * norm)
        } else {
            0.0
        };
        gradient.extend(y.iter().zip(w).map(|(y, w)| -(w - radial * y) / scale));
        // y = x + 2μx.
        duals.push(0.5 * (scale - 1.0));
    }
    for h in [
        Symmetric::Diagonal(Values::Shared(&ones)),
        Symmetric::Dense(Values::Shared(&eye)),
    ] {
        let problem = Problem {
            batch,
            n,
            p: Symmetric::Diagonal(Values::Shared(&ones)),
            q: Values::PerSample(&q),
            equalities: None,
            inequalities: None,
            quadratics: Some(Quadratics {
                rows: 1,
                h,
                g: Values::Shared(&zeros),
                c: Values::Shared(&[1.0]),
            }),
        };
        let solution = solved(&problem, Method::Auto);
        close(&solution.x, &expected, EXACT);
        close(&solution.quadratic_dual, &duals, EXACT);
        close(&q_gradient(&problem, &solution, &weight), &gradient, EXACT);
    }
}

/// With equalities only, the solution is linear in `(q, b)`: a dense solve of the whole system
/// must agree.
#[test]
fn equality_constrained_program() {
    let (n, p) = (14, 5);
    let mut rng = rng(4);
    let root = normal(&mut rng, n * n);
    let mut dense = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            dense[i * n + j] = inner(
                &root[i.min(j) * n..(i.min(j) + 1) * n],
                &root[i.max(j) * n..(i.max(j) + 1) * n],
            );
        }
        dense[i * n + i] += 0.1;
    }
    let (a, b, q) = (
        normal(&mut rng, p * n),
        normal(&mut rng, p),
        normal(&mut rng, n),
    );
    let problem = Problem {
        batch: 1,
        n,
        p: Symmetric::Dense(Values::Shared(&dense)),
        q: Values::Shared(&q),
        equalities: Some(Equalities {
            rows: p,
            a: Values::Shared(&a),
            b: Values::Shared(&b),
        }),
        inequalities: None,
        quadratics: None,
    };
    let system = faer::Mat::from_fn(n + p, n + p, |i, j| match (i < n, j < n) {
        (true, true) => dense[i * n + j],
        (true, false) => a[(j - n) * n + i],
        (false, true) => a[(i - n) * n + j],
        (false, false) => 0.0,
    });
    let rhs = faer::Mat::from_fn(n + p, 1, |i, _| if i < n { -q[i] } else { b[i - n] });
    let answer = faer::prelude::Solve::solve(&system.partial_piv_lu(), &rhs);
    let answer: Vec<f64> = (0..n + p).map(|i| answer[(i, 0)]).collect();
    for method in METHODS {
        let solution = solved(&problem, method);
        close(&solution.x, &answer[..n], 1e-11);
        close(&solution.equality_dual, &answer[n..], 1e-11);
        let objective = 0.5
            * (0..n)
                .map(|i| solution.x[i] * inner(&dense[i * n..(i + 1) * n], &solution.x))
                .sum::<f64>()
            + inner(&q, &solution.x);
        close(&solution.objective, &[objective], EXACT);
    }
}
