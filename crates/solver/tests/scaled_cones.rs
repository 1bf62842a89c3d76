//! Cones whose rows are all multiplied by one number are the same sets: solutions and derivatives with
//! tiny and with huge coefficients, against closed forms and against the programs that they were made
//! from.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeGradients, ConeParameter, ConeProblem, ConeSettings,
    ConeSolution, ConeWanted, Cotangent, Degenerate, GradientQuality, Inequalities, Outputs,
    Problem, Settings, Status, Symmetric, Values, Wanted, adjoint, cone_adjoint, cone_jacobian,
    solve_cones,
};
use rand::RngExt;
use support::cones::{KINDS, Owned, Pattern, nearest, random, solve};
use support::{inner, normal, rng, uniform};

/// Of numbers of order 1 from well-conditioned systems; between factors of 1/16 and 16 rows stay as they
/// are, and slacks and multipliers apart by their square.
const ROUNDING: f64 = 1e-12;

/// `min ½xᵀPx + qᵀx` with `‖c(x − o)‖ ≤ c·r`, `P` diagonal, whose minimiser without the ball is at `o + t`.
struct Ball {
    c: f64,
    p: Vec<f64>,
    o: Vec<f64>,
    t: Vec<f64>,
    r: f64,
}

impl Ball {
    /// `y = x − o = (P + λ)⁻¹Pt` and `λ`, where `‖y‖ = r`.
    fn solution(&self) -> (Vec<f64>, f64) {
        let at = |multiplier: f64| -> Vec<f64> {
            let pairs = self.p.iter().zip(&self.t);
            pairs.map(|(p, t)| p * t / (p + multiplier)).collect()
        };
        let (mut low, mut high) = (0.0, 100.0);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            match inner(&at(middle), &at(middle)) > self.r * self.r {
                true => low = middle,
                false => high = middle,
            }
        }
        (at(low), low)
    }
}

/// The worst error of a vector, relative to its largest entry.
fn apart(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let size = expected
        .iter()
        .fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let errors = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // A NaN must not pass.
    errors.fold(0.0, |m: f64, v| if v <= m { m } else { v }) / size
}

/// x, s, z and their derivatives by q and b, of a batch whose samples differ in q and so share what is
/// prepared, and of one sample.
#[test]
fn balls_of_any_size_have_their_closed_form() {
    let mut rng = rng(1);
    let mut worst = 0.0f64;
    for n in [2usize, 5, 12] {
        for exponent in -15..=15 {
            let c = 10f64.powi(exponent);
            let (p, o) = (uniform(&mut rng, 0.5, 2.0, n), normal(&mut rng, n));
            let balls: Vec<Ball> = (0..3)
                .map(|_| {
                    let t: Vec<f64> = normal(&mut rng, n).iter().map(|v| 3.0 * v).collect();
                    let r = 0.5 * inner(&t, &t).sqrt();
                    let (p, o) = (p.clone(), o.clone());
                    Ball { c, p, o, t, r }
                })
                .collect();
            let diagonal = Pattern::new(n, n, |row, column| row == column);
            let below = Pattern::new(n + 1, n, |row, column| row == column + 1);
            let a = vec![c; n];
            for batch in [1, 3] {
                let (mut q, mut b) = (Vec::new(), Vec::new());
                for ball in &balls[..batch] {
                    q.extend((0..n).map(|i| -ball.p[i] * (ball.o[i] + ball.t[i])));
                    b.push(c * ball.r);
                    b.extend(ball.o.iter().map(|v| c * v));
                }
                let problem = ConeProblem {
                    batch,
                    n,
                    p: Some(diagonal.with(Values::Shared(&p))),
                    q: Values::PerSample(&q),
                    a: below.with(Values::Shared(&a)),
                    b: Values::PerSample(&b),
                    cones: &[Cone::SecondOrder(n + 1)],
                };
                let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
                assert!(solution.all_solved(), "{c:e}: {:?}", solution.status);
                let of = |parameter| {
                    let (outputs, settings) = (Outputs::PrimalAndDuals, AdjointSettings::default());
                    cone_jacobian(&problem, &solution, parameter, outputs, &settings).unwrap()
                };
                let (by_q, by_b) = (of(ConeParameter::Q), of(ConeParameter::B));
                for (i, ball) in balls[..batch].iter().enumerate() {
                    for report in [&by_q.reports[i], &by_b.reports[i]] {
                        let quality = report.quality;
                        assert_eq!(quality, GradientQuality::Exact, "{c:e}: {report:?}");
                    }
                    let errors = errors(ball, i, &solution, &by_q, &by_b);
                    let largest = errors.into_iter().fold(0.0, f64::max);
                    assert!(largest < ROUNDING, "n {n}, {c:e}, {batch}: {errors:?}");
                    worst = worst.max(largest);
                }
            }
        }
    }
    println!("worst {worst:.1e}");
}

/// Of x, s, z, ∂x/∂q, ∂s/∂q, ∂z/∂q, ∂x/∂r.
fn errors(
    ball: &Ball,
    i: usize,
    solution: &ConeSolution,
    by_q: &feasible_solver::ConeJacobian,
    by_b: &feasible_solver::ConeJacobian,
) -> [f64; 7] {
    let n = ball.p.len();
    let c = ball.c;
    let (y, multiplier) = ball.solution();
    let x: Vec<f64> = y.iter().zip(&ball.o).map(|(y, o)| y + o).collect();
    let rows = |first: f64, along: f64| -> Vec<f64> {
        let others = y.iter().map(|y| along * y);
        std::iter::once(first).chain(others).collect()
    };
    let s = rows(c * ball.r, -c);
    let z = rows(multiplier * ball.r / c, multiplier / c);
    // (P + λ)dy = −dq − y dλ, yᵀdy = r dr; cz = λy, cz₀ = λr, s = −cy.
    let m: Vec<f64> = ball.p.iter().map(|p| p + multiplier).collect();
    let whole: f64 = (0..n).map(|i| y[i] * y[i] / m[i]).sum();
    let (mut x_q, mut s_q, mut z_q) = (
        vec![0.0; n * n],
        vec![0.0; (n + 1) * n],
        vec![0.0; (n + 1) * n],
    );
    for column in 0..n {
        let change = -(y[column] / m[column]) / whole;
        z_q[column] = ball.r * change / c;
        for row in 0..n {
            let unit = f64::from(u8::from(row == column));
            let moves = -(unit + y[row] * change) / m[row];
            x_q[row * n + column] = moves;
            s_q[(row + 1) * n + column] = -c * moves;
            z_q[(row + 1) * n + column] = (change * y[row] + multiplier * moves) / c;
        }
    }
    let x_r: Vec<f64> = (0..n).map(|i| ball.r * y[i] / m[i] / whole / c).collect();
    let of = |all: &[f64], len: usize| all[i * len..(i + 1) * len].to_vec();
    let by_r: Vec<f64> = of(&by_b.x, n * (n + 1))
        .into_iter()
        .step_by(n + 1)
        .collect();
    [
        apart(&of(&solution.x, n), &x),
        apart(&of(&solution.s, n + 1), &s),
        apart(&of(&solution.z, n + 1), &z),
        apart(&of(&by_q.x, n * n), &x_q),
        apart(&of(&by_q.s, (n + 1) * n), &s_q),
        apart(&of(&by_q.z, (n + 1) * n), &z_q),
        apart(&by_r, &x_r),
    ]
}

/// The program with each cone's rows multiplied by its own number, and those numbers by row.
fn multiplied(owned: &Owned, seed: u64) -> (Owned, Vec<f64>) {
    let mut rng = rng(seed ^ 0xfac7);
    let mut factors = Vec::new();
    for cone in &owned.cones {
        let factor = 10f64.powi(rng.random_range(-9..=9));
        factors.extend(vec![factor; cone.rows()]);
    }
    let mut out = owned.clone();
    let rows: Vec<usize> = owned.a.places().iter().map(|(row, _)| *row).collect();
    for a in out.parts[2].0.chunks_exact_mut(rows.len()) {
        a.iter_mut()
            .zip(&rows)
            .for_each(|(v, row)| *v *= factors[*row]);
    }
    for b in out.parts[3].0.chunks_exact_mut(factors.len()) {
        b.iter_mut().zip(&factors).for_each(|(v, f)| *v *= f);
    }
    (out, factors)
}

/// Solutions and gradients of random programs of all cones are those of the program with rows multiplied,
/// by every choice at kinks.
fn are_invariant(kinds: &[Cone], count: u64) {
    let (mut worst, mut smoothed) = (0.0f64, 0);
    for seed in 0..count {
        let (owned, ..) = random(seed, kinds);
        let (other, factors) = multiplied(&owned, seed);
        let (before, after) = (solve(&owned), solve(&other));
        assert!(before.all_solved() && after.all_solved(), "seed {seed}");
        let m = factors.len();
        let by = |values: &[f64], power: i32| -> Vec<f64> {
            let each = values.iter().enumerate();
            each.map(|(at, v)| v * factors[at % m].powi(power))
                .collect()
        };
        let mut note = |what: &str, error: f64| {
            // Condition of the random systems, about 1e3, times rounding.
            assert!(error < 1e-10, "seed {seed}, {what}: {error:e}");
            worst = worst.max(error);
        };
        note("x", apart(&after.x, &before.x));
        note("s", apart(&by(&after.s, -1), &before.s));
        note("z", apart(&by(&after.z, 1), &before.z));
        let mut rng = rng(seed);
        let c = [owned.n, m, m].map(|len| normal(&mut rng, len * owned.batch));
        for degenerate in [
            Degenerate::LeastNorm,
            Degenerate::Held,
            Degenerate::Smoothed { mu: 1e-3 },
        ] {
            let settings = AdjointSettings {
                degenerate,
                ..AdjointSettings::default()
            };
            let of = |owned: &Owned, solution: &ConeSolution, z: &[f64], s: &[f64]| {
                let cotangent = ConeCotangent {
                    x: &c[0],
                    z: Some(z),
                    s: Some(s),
                };
                let problem = owned.problem();
                cone_adjoint(&problem, solution, &cotangent, &ConeWanted::ALL, &settings).unwrap()
            };
            let expected = of(&owned, &before, &c[1], &c[2]);
            let found = of(&other, &after, &by(&c[1], 1), &by(&c[2], -1));
            for (a, b) in found.reports.iter().zip(&expected.reports) {
                assert_eq!(
                    a.quality, b.quality,
                    "seed {seed} {degenerate:?}: {a:?} {b:?}"
                );
                smoothed += usize::from(a.quality == GradientQuality::Smoothed);
            }
            let ConeGradients { p, q, a, b, .. } = found;
            let rows: Vec<usize> = owned.a.places().iter().map(|(row, _)| *row).collect();
            let a = a.unwrap().into_iter().enumerate();
            let a: Vec<f64> = a
                .map(|(at, v)| v * factors[rows[at % rows.len()]])
                .collect();
            note("∂P", apart(&p.unwrap(), &expected.p.unwrap()));
            note("∂q", apart(&q.unwrap(), &expected.q.unwrap()));
            note("∂A", apart(&a, &expected.a.unwrap()));
            note("∂b", apart(&by(&b.unwrap(), 1), &expected.b.unwrap()));
        }
    }
    println!("worst {worst:.1e}, {smoothed} smoothed");
    assert!(smoothed > 0);
}

#[test]
fn multiplied_rows_change_nothing() {
    are_invariant(&KINDS, 150);
}

#[test]
fn multiplied_linear_rows_change_nothing() {
    are_invariant(&[Cone::Zero(1), Cone::Nonnegative(1)], 150);
}

#[cfg(feature = "semidefinite")]
#[test]
fn multiplied_matrices_change_nothing() {
    are_invariant(&support::cones::MATRICES, 40);
}

/// Certificates are of the numbers given: `‖cx‖ ≤ c` and `cx₀ ≥ 2c`.
#[test]
fn certificates_are_of_the_rows_given() {
    for c in [1e-6, 1.0, 1e6] {
        let p = Pattern::new(2, 2, |row, column| row == column);
        let a = Pattern::new(4, 2, |row, column| row == column || row == 3 && column == 0);
        // Rows 1, 2 and 0 of the ball are c·x and c; row 3 is the bound.
        let a = Pattern {
            indices: a
                .indices
                .iter()
                .map(|r| if *r == 3 { 3 } else { r + 1 })
                .collect(),
            ..a
        };
        let numbers: [&[f64]; 4] = [
            &[1.0; 2],
            &[-0.3, 0.1],
            &[c, -c, c],
            &[c, 0.0, 0.0, -2.0 * c],
        ];
        let cones = [Cone::SecondOrder(3), Cone::Nonnegative(1)];
        let problem = nearest(&p, &a, &numbers, &cones);
        let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
        assert_eq!(solution.status, [Status::PrimalInfeasible], "{c:e}");
        let z = &solution.z;
        let size = z.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let combined = [z[1] - z[3], z[2]].map(|v| v.abs() / size);
        // Clarabel's tolerance for certificates.
        assert!(combined.iter().all(|v| *v < 1e-6), "{c:e}: {z:?}");
        assert!((z[0] - 2.0 * z[3]) < -0.1 * size, "{c:e}: {z:?}");
    }
}

/// A vertex of a linear program, of which the first row binds alone with the second variable's bound.
#[test]
fn linear_programs_with_rows_of_any_size() {
    for c in [1e-12, 1e-9, 1e-5, 1.0, 1e5, 1e9, 1e12] {
        // min −x₀ − 2x₁,  c(x₀ + x₁) ≤ 4c,  cx₀ ≤ 3c,  −x ≤ 0: x = (0, 4).
        let a = Pattern::new(4, 2, |row, column| {
            row == 0 || row == 1 && column == 0 || row == column + 2
        });
        let entry = |row: usize| if row < 2 { c } else { -1.0 };
        let entries: Vec<f64> = a.places().iter().map(|(row, _)| entry(*row)).collect();
        let cones = [Cone::Nonnegative(4)];
        let b = [4.0 * c, 3.0 * c, 0.0, 0.0];
        let problem = ConeProblem {
            batch: 1,
            n: 2,
            p: None,
            q: Values::Shared(&[-1.0, -2.0]),
            a: a.with(Values::Shared(&entries)),
            b: Values::Shared(&b),
            cones: &cones,
        };
        let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
        assert!(solution.all_solved(), "{c:e}");
        let cotangent = ConeCotangent::of_x(&[1.0, 10.0]);
        let settings = AdjointSettings::default();
        let found =
            cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings).unwrap();
        assert_eq!(found.reports[0].quality, GradientQuality::Exact, "{c:e}");
        // x = (−b₂, b₀/c + b₂), z = (2/c, 0, 1, 0).
        for (what, got, expected) in [
            ("x", &solution.x, &[0.0, 4.0][..]),
            ("z", &solution.z, &[2.0 / c, 0.0, 1.0, 0.0]),
            ("b", &found.b.unwrap(), &[10.0 / c, 0.0, 9.0, 0.0]),
        ] {
            let error = apart(got, expected);
            assert!(error < ROUNDING, "{c:e} {what}: {got:?}");
        }
    }
}

/// The same as a QP, which the dense solver is asked.
#[test]
fn dense_linear_programs_with_rows_of_any_size() {
    for c in [1e-12, 1e-9, 1e-5, 1.0, 1e5, 1e9, 1e12] {
        let g = [c, c, c, 0.0, 1.0, 0.0, 0.0, 1.0];
        let l = [f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0, 0.0];
        let u = [4.0 * c, 3.0 * c, f64::INFINITY, f64::INFINITY];
        let problem = Problem {
            batch: 1,
            n: 2,
            p: Symmetric::Diagonal(Values::Shared(&[0.0, 0.0])),
            q: Values::Shared(&[-1.0, -2.0]),
            equalities: None,
            inequalities: Some(Inequalities {
                rows: 4,
                g: Values::Shared(&g),
                l: Values::Shared(&l),
                u: Values::Shared(&u),
            }),
            quadratics: None,
        };
        let solution = feasible_solver::solve(&problem, &Settings::default()).unwrap();
        assert!(solution.all_solved(), "{c:e}");
        let cotangent = Cotangent::of_x(&[1.0, 10.0]);
        let settings = AdjointSettings::default();
        let found = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
        assert_eq!(found.reports[0].quality, GradientQuality::Exact, "{c:e}");
        for (what, got, expected) in [
            ("x", &solution.x, &[0.0, 4.0][..]),
            (
                "duals",
                &solution.inequality_dual,
                &[2.0 / c, 0.0, -1.0, 0.0],
            ),
            ("u", &found.u.unwrap(), &[10.0 / c, 0.0, 0.0, 0.0]),
            ("l", &found.l.unwrap(), &[0.0, 0.0, -9.0, 0.0]),
        ] {
            let error = apart(got, expected);
            assert!(error < ROUNDING, "{c:e} {what}: {got:?}");
        }
    }
}
