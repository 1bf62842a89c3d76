//! Derivatives where a quadratic row touches without force: in closed form, under every choice.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Degenerate, GradientQuality, Gradients, Outputs, Parameter,
    Problem, Quadratics, Settings, Solution, SolutionTangent, Symmetric, Tangents, Values, Wanted,
    adjoint, jacobian, solve, tangent,
};
use support::{inner, normal, rng};

const SIDES: [Degenerate; 3] = [
    Degenerate::LeastNorm,
    Degenerate::Held,
    Degenerate::Released,
];

fn with(degenerate: Degenerate) -> AdjointSettings {
    AdjointSettings {
        degenerate,
        ..AdjointSettings::default()
    }
}

/// `min ½w‖x − t‖²` in the ball `h‖x − o‖² ≤ hr²`, `t = o + ru` on its boundary.
struct Ball {
    n: usize,
    w: f64,
    h: f64,
    r: f64,
    o: Vec<f64>,
    u: Vec<f64>,
    /// `P`, `q`, `H`, `g`, `c`.
    parts: [Vec<f64>; 5],
}

const PARAMETERS: [Parameter; 5] = [
    Parameter::P,
    Parameter::Q,
    Parameter::QuadraticH,
    Parameter::QuadraticG,
    Parameter::QuadraticC,
];

impl Ball {
    fn new(n: usize, r: f64, seed: u64) -> Ball {
        let mut rng = rng(seed);
        let (w, h) = (0.5 + 0.3 * seed as f64, 1.5 / (1.0 + seed as f64));
        let o = normal(&mut rng, n);
        let mut u = normal(&mut rng, n);
        let norm = inner(&u, &u).sqrt();
        u.iter_mut().for_each(|v| *v /= norm);
        let t = |i: usize| o[i] + r * u[i];
        let parts = [
            vec![w; n],
            (0..n).map(|i| -w * t(i)).collect(),
            vec![h; n],
            o.iter().map(|v| -2.0 * h * v).collect(),
            vec![h * (r * r - inner(&o, &o))],
        ];
        Ball {
            n,
            w,
            h,
            r,
            o,
            u,
            parts,
        }
    }

    fn problem(&self) -> Problem<'_> {
        let [p, q, h, g, c] = self.parts.each_ref().map(|part| Values::Shared(part));
        Problem {
            batch: 1,
            n: self.n,
            p: Symmetric::Diagonal(p),
            q,
            equalities: None,
            inequalities: None,
            quadratics: Some(Quadratics {
                rows: 1,
                h: Symmetric::Diagonal(h),
                g,
                c,
            }),
        }
    }

    fn solved(&self) -> Solution {
        let solution = solve(&self.problem(), &Settings::default()).unwrap();
        assert!(solution.all_solved());
        solution
    }

    /// How `x` and `μ` move along changes of the parts: `wdx + dP x + dq + e dμ = 0`, `e = 2hru`, and,
    /// where the row is held, `eᵀdx + xᵀdH x + dgᵀx = dc`; released, `dμ = 0`.
    fn moves(&self, d: &[Vec<f64>; 5], held: bool) -> (Vec<f64>, f64) {
        let x: Vec<f64> = (0..self.n)
            .map(|i| self.o[i] + self.r * self.u[i])
            .collect();
        let e: Vec<f64> = self.u.iter().map(|u| 2.0 * self.h * self.r * u).collect();
        let push: Vec<f64> = (0..self.n).map(|i| d[0][i] * x[i] + d[1][i]).collect();
        let row: f64 = (0..self.n)
            .map(|i| d[2][i] * x[i] * x[i] + d[3][i] * x[i])
            .sum();
        let dual = match held {
            true => (self.w * (row - d[4][0]) - inner(&e, &push)) / inner(&e, &e),
            false => 0.0,
        };
        let dx = (0..self.n).map(|i| -(push[i] + e[i] * dual) / self.w);
        (dx.collect(), dual)
    }

    fn backward(&self, solution: &Solution, x: &[f64], mu: f64, choice: Degenerate) -> Gradients {
        let mu = [mu];
        let cotangent = Cotangent {
            quadratic_dual: Some(&mu),
            ..Cotangent::of_x(x)
        };
        let settings = with(choice);
        adjoint(
            &self.problem(),
            solution,
            &cotangent,
            &Wanted::ALL,
            &settings,
        )
        .unwrap()
    }

    fn forward(
        &self,
        solution: &Solution,
        d: &[Vec<f64>; 5],
        choice: Degenerate,
    ) -> SolutionTangent {
        let mut tangents = Tangents::default();
        for (parameter, d) in PARAMETERS.into_iter().zip(d) {
            tangents = tangents.and(parameter, Values::Shared(d));
        }
        tangent(&self.problem(), solution, &tangents, &with(choice)).unwrap()
    }
}

fn gradient_parts(gradients: &Gradients) -> [&[f64]; 5] {
    [
        &gradients.p,
        &gradients.q,
        &gradients.quadratic_h,
        &gradients.quadratic_g,
        &gradients.quadratic_c,
    ]
    .map(|part| part.as_deref().unwrap())
}

fn balls() -> impl Iterator<Item = Ball> {
    let sizes = [1, 2, 3, 8, 25];
    let radii = [0.3, 0.7, 1.0, 40.0];
    let all = sizes.into_iter().flat_map(move |n| radii.map(|r| (n, r)));
    all.enumerate()
        .map(|(seed, (n, r))| Ball::new(n, r, seed as u64))
}

/// The row's terms are as large as `h‖o‖² = 25h`: the point is off the boundary by their rounding over the
/// slope `2hr`, 1e-14 at the smallest radius and 1e-13 of it, and the multiplier off zero by as much of the
/// objective's slope. The worst is some ten times that.
const ROUNDING: f64 = 1e-11;

fn near(got: f64, expected: f64, size: f64, what: &str) {
    let error = (got - expected).abs();
    assert!(error <= ROUNDING * (1.0 + size), "{what}: {got} {expected}");
}

/// The unit disc touched at (1, 0): `I − uuᵀ` on the side where the row holds, `I` on the other.
#[test]
fn the_unit_disc() {
    let problem = Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0; 2])),
        q: Values::Shared(&[-1.0, 0.0]),
        equalities: None,
        inequalities: None,
        quadratics: Some(Quadratics {
            rows: 1,
            h: Symmetric::Diagonal(Values::Shared(&[1.0; 2])),
            g: Values::Shared(&[0.0; 2]),
            c: Values::Shared(&[1.0]),
        }),
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    for (choice, along, by_c) in [
        (Degenerate::LeastNorm, 0.0, 0.5),
        (Degenerate::Held, 0.0, 0.5),
        (Degenerate::Released, 1.0, 0.0),
    ] {
        let settings = with(choice);
        let of = |parameter| {
            let found = jacobian(&problem, &solution, parameter, Outputs::Primal, &settings);
            let found = found.unwrap();
            assert_eq!(found.reports[0].quality, GradientQuality::Degenerate);
            found.x
        };
        let expected = [-along, 0.0, 0.0, -1.0];
        for (got, expected) in of(Parameter::Q).into_iter().zip(expected) {
            near(got, expected, 1.0, "∂x/∂q");
        }
        for (got, expected) in of(Parameter::QuadraticC).into_iter().zip([by_c, 0.0]) {
            near(got, expected, 1.0, "∂x/∂c");
        }
    }
}

/// Every parameter's derivative of the point and of the multiplier: whole, forward and backward.
#[test]
fn one_sided_derivatives_in_closed_form() {
    for (seed, ball) in balls().enumerate() {
        let solution = ball.solved();
        let mut rng = rng(seed as u64 + 100);
        let lengths = ball.parts.each_ref().map(Vec::len);
        for choice in SIDES {
            let held = choice != Degenerate::Released;
            let place = format!("n {} r {} {choice:?}", ball.n, ball.r);
            for (at, parameter) in PARAMETERS.into_iter().enumerate() {
                let settings = with(choice);
                let outputs = Outputs::PrimalAndDuals;
                let problem = ball.problem();
                let whole = jacobian(&problem, &solution, parameter, outputs, &settings).unwrap();
                assert_eq!(whole.reports[0].quality, GradientQuality::Degenerate);
                for column in 0..lengths[at] {
                    let mut d = lengths.map(|len| vec![0.0; len]);
                    d[at][column] = 1.0;
                    let (dx, dual) = ball.moves(&d, held);
                    let size = inner(&dx, &dx).sqrt().max(dual.abs());
                    for (row, expected) in dx.into_iter().enumerate() {
                        let got = whole.x[row * lengths[at] + column];
                        near(got, expected, size, &format!("{place} {parameter}"));
                    }
                    let got = whole.quadratic_dual[column];
                    near(got, dual, size, &format!("{place} {parameter}, of μ"));
                }
            }
            let d = lengths.map(|len| normal(&mut rng, len));
            let (dx, dual) = ball.moves(&d, held);
            let size = inner(&dx, &dx).sqrt().max(dual.abs());
            let forward = ball.forward(&solution, &d, choice);
            assert_eq!(forward.reports[0].quality, GradientQuality::Degenerate);
            for (got, expected) in forward.x.iter().zip(&dx) {
                near(*got, *expected, size, &format!("{place} forward"));
            }
            near(
                forward.quadratic_dual[0],
                dual,
                size,
                &format!("{place} forward, of μ"),
            );
            let (loss, of_mu) = (normal(&mut rng, ball.n), normal(&mut rng, 1)[0]);
            let backward = ball.backward(&solution, &loss, of_mu, choice);
            assert_eq!(backward.reports[0].quality, GradientQuality::Degenerate);
            for (at, gradient) in gradient_parts(&backward).into_iter().enumerate() {
                assert_eq!(gradient.len(), lengths[at]);
                for (column, got) in gradient.iter().enumerate() {
                    let mut d = lengths.map(|len| vec![0.0; len]);
                    d[at][column] = 1.0;
                    let (dx, dual) = ball.moves(&d, held);
                    let expected = inner(&loss, &dx) + of_mu * dual;
                    let size = inner(&dx, &dx).sqrt().max(dual.abs());
                    let size = size * (1.0 + inner(&loss, &loss).sqrt());
                    let what = format!("{place} backward {}", PARAMETERS[at]);
                    near(*got, expected, size, &what);
                }
            }
        }
    }
}

/// The one-sided derivatives are what the solver's answers do on the two sides.
#[test]
fn each_side_has_its_derivative() {
    let step = 1e-6;
    for ball in balls() {
        let base = ball.solved();
        // Outward and inward, with a part along the boundary.
        for (outward, held) in [(1.0, true), (-1.0, false)] {
            let mut d = ball.parts.each_ref().map(|part| vec![0.0; part.len()]);
            for i in 0..ball.n {
                let around = ball.u[(i + 1) % ball.n] * if ball.n > 1 { 0.1 } else { 0.0 };
                d[1][i] = -ball.w * ball.r * (outward * ball.u[i] + around);
            }
            let mut moved = Ball::new(ball.n, ball.r, 0);
            moved.parts = ball.parts.clone();
            for (q, d) in moved.parts[1].iter_mut().zip(&d[1]) {
                *q += step * d;
            }
            let there = moved.solved();
            let (dx, _) = ball.moves(&d, held);
            for ((there, here), expected) in there.x.iter().zip(&base.x).zip(dx) {
                let slope = (there - here) / step;
                // The curvature's step, 1e-6, and rounding of x over it.
                let error = (slope - expected).abs();
                let size = 1.0 + ball.r;
                assert!(
                    error < 1e-5 * size,
                    "n {} r {}: {slope} {expected}",
                    ball.n,
                    ball.r
                );
            }
        }
    }
}

/// On the central path `μ(c − h(x)) = m`: with `ρ = ‖x − o‖` and `s = ‖t − o‖`,
/// `ws = wρ + 2hμρ`, so that tangents shrink by `ρ/s` and the radius moves by `dρ/ds`.
#[test]
fn the_central_path_in_closed_form() {
    for ball in balls() {
        let solution = ball.solved();
        let (w, h, r) = (ball.w, ball.h, ball.r);
        for share in [1e-2, 1e-5] {
            // In units of the objective.
            let m = share * w * r * r;
            let multiplier = |rho: f64| m / (h * (r - rho) * (r + rho));
            let (mut low, mut high) = (0.0, r);
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                let beyond = w * middle + 2.0 * h * multiplier(middle) * middle > w * r;
                (low, high) = if beyond {
                    (low, middle)
                } else {
                    (middle, high)
                };
            }
            let rho = low;
            let mu = multiplier(rho);
            let of_mu = 2.0 * mu * rho / ((r - rho) * (r + rho));
            let radial = w / (w + 2.0 * h * mu + 2.0 * h * rho * of_mu);
            let tangential = rho / r;
            let settings = with(Degenerate::Smoothed { mu: m });
            let problem = ball.problem();
            let found = jacobian(
                &problem,
                &solution,
                Parameter::Q,
                Outputs::Primal,
                &settings,
            );
            let found = found.unwrap();
            assert_eq!(found.reports[0].quality, GradientQuality::Degenerate);
            for i in 0..ball.n {
                for j in 0..ball.n {
                    let along = ball.u[i] * ball.u[j];
                    let eye = f64::from(u8::from(i == j));
                    let expected = -(radial * along + tangential * (eye - along)) / w;
                    let got = found.x[i * ball.n + j];
                    // The path's point to 1e-12 or so, over a distance to the boundary of √m.
                    let error = (got - expected).abs() * w;
                    assert!(error < 1e-8, "n {} r {r} m {m:e}: {got} {expected}", ball.n);
                }
            }
        }
    }
}
