//! OptNet's quadratic program, portfolios, and one layer for each atom with a closed form.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_model::{
    CompiledProblem, Domain, Expr, Form, Model, Route, abs, constant, geo_mean, inv_pos, log, max,
    maximum, min, neg_part, norm_inf, norm2, pos, power, quad_form, quad_over_lin, sqrt, square,
    sum_largest, sum_smallest, sum_squares, weighted_geo_mean,
};
use support::{
    against_differences, close, definite, each, eliminate, gradients, normal, rng, saddle, shared,
    solved, symmetric_part, uniform,
};

const NEAR: f64 = 1e-9;

/// OptNet's layer (Amos & Kolter 2017) with all parameters, by either solver.
#[test]
fn quadratic_program_with_all_parameters() {
    let (n, p, m, batch) = (5, 2, 4, 3);
    let build = |route| {
        let mut model = Model::new();
        let x = model.variable("x", [n]);
        let matrix = model.parameter_in("p", [n, n], Domain::Semidefinite);
        let (q, a, b) = (
            model.parameter("q", [n]),
            model.parameter("a", [p, n]),
            model.parameter("b", [p]),
        );
        let (g, h) = (model.parameter("g", [m, n]), model.parameter("h", [m]));
        model
            .minimize(0.5 * quad_form(&x, &matrix) + q.dot(&x))
            .subject_to(a.matmul(&x).eq(&b).named("equalities"))
            .subject_to(g.matmul(&x).le(&h).named("inequalities"))
            .route(route)
            .compile()
            .unwrap()
    };
    let mut rng = rng(1);
    let inputs = [
        each(
            "p",
            (0..batch).flat_map(|_| definite(&mut rng, n)).collect(),
        )
        .symmetric(n),
        each("q", normal(&mut rng, batch * n)),
        each("a", normal(&mut rng, batch * p * n)),
        shared("b", normal(&mut rng, p)),
        shared("g", normal(&mut rng, m * n)),
        each("h", uniform(&mut rng, 0.5, 1.5, batch * m)),
    ];
    let dense = build(Route::Auto);
    assert_eq!(
        dense.form(),
        Form::Qp {
            variables: n,
            equalities: p,
            inequalities: m
        }
    );
    let cones = build(Route::Cones);
    assert!(matches!(cones.form(), Form::Cone { .. }));
    let names = ["equalities", "inequalities"];
    let w = normal(&mut rng, batch * n);
    for problem in [&dense, &cones] {
        against_differences(problem, &inputs, batch, &["x"], &names, 2);
        let solution = solved(problem, &inputs, batch);
        let got = gradients(problem, &solution, &inputs, &[("x", &w)], &[]);
        let [p_, q, a, b, g, h] = inputs.each_ref().map(|input| &input.data[..]);
        let (mut of_b, mut of_g, mut held) = (vec![0.0; p], vec![0.0; m * n], 0);
        for i in 0..batch {
            let part = |data: &[f64], size: usize| data[i * size..(i + 1) * size].to_vec();
            let of = |name, size| part(got.parameter(name).unwrap(), size);
            let x = part(solution.variable("x").unwrap(), n);
            let closed = ActiveRows::of(
                [&part(p_, n * n), &part(q, n)],
                (&part(a, p * n), b),
                (g, &part(h, m)),
                &x,
                &part(&w, n),
            );
            held += closed.held.len();
            close(&x, &closed.x, NEAR);
            let ActiveRows { x, d, e, .. } = &closed;
            close(&of("q", n), &d.iter().map(|d| -d).collect::<Vec<_>>(), NEAR);
            let outer: Vec<f64> = (0..n * n).map(|at| -d[at / n] * x[at % n]).collect();
            close(
                &symmetric_part(&of("p", n * n), n),
                &symmetric_part(&outer, n),
                NEAR,
            );
            let rows: Vec<f64> = (0..p).flat_map(|row| closed.of_row(row)).collect();
            close(&of("a", p * n), &rows, NEAR);
            add(&mut of_b, e[..p].iter().copied());
            let mut of_h = vec![0.0; m];
            for (at, &row) in closed.held.iter().enumerate() {
                of_h[row] = e[p + at];
                add(&mut of_g[row * n..(row + 1) * n], closed.of_row(p + at));
            }
            close(&of("h", m), &of_h, NEAR);
        }
        assert!(held > 0);
        close(got.parameter("b").unwrap(), &of_b, NEAR);
        close(got.parameter("g").unwrap(), &of_g, NEAR);
    }
    let (one, other) = (
        solved(&dense, &inputs, batch),
        solved(&cones, &inputs, batch),
    );
    close(
        one.variable("x").unwrap(),
        other.variable("x").unwrap(),
        NEAR,
    );
    for name in names {
        close(&one.dual(name).unwrap(), &other.dual(name).unwrap(), 1e-8);
    }
}

/// `min ½xᵀPx + qᵀx`, `Ax = b`, `Gx ≤ h` on the rows that hold at the solution: with
/// `E = (A; G_J)` the system `M = (P, Eᵀ; E, 0)` has `M(x, y) = (−q, (b, h_J))`, and with
/// `M(d, e) = (w, 0)` the derivative of `wᵀx` is `−d` in `q`, `e` in the right sides, `−dxᵀ` in `P` and
/// `−(y dᵀ + e xᵀ)` in `E`.
struct ActiveRows {
    x: Vec<f64>,
    y: Vec<f64>,
    d: Vec<f64>,
    e: Vec<f64>,
    /// Which rows of `G` hold.
    held: Vec<usize>,
}

impl ActiveRows {
    /// `near` is what says which rows hold; that they are the right ones is checked here.
    fn of(
        [p, q]: [&[f64]; 2],
        (a, b): (&[f64], &[f64]),
        (g, h): (&[f64], &[f64]),
        near: &[f64],
        w: &[f64],
    ) -> ActiveRows {
        let n = q.len();
        let slack = |x: &[f64], row: usize| h[row] - dot(&g[row * n..(row + 1) * n], x);
        let held: Vec<usize> = (0..h.len()).filter(|&r| slack(near, r) < 1e-7).collect();
        let lines = held.iter().flat_map(|&row| &g[row * n..(row + 1) * n]);
        let e: Vec<f64> = a.iter().chain(lines).copied().collect();
        let right: Vec<f64> = (b.iter().copied())
            .chain(held.iter().map(|&row| h[row]))
            .collect();
        let minus: Vec<f64> = q.iter().map(|v| -v).collect();
        let (x, y) = saddle(p, &e, &minus, &right);
        // The solution of a convex problem: feasible, and no row pulls.
        assert!(y[b.len()..].iter().all(|y| *y > 1e-6), "{y:?}");
        let free = (0..h.len()).filter(|row| !held.contains(row));
        free.for_each(|row| assert!(slack(&x, row) > 1e-6));
        let (d, e) = saddle(p, &e, w, &vec![0.0; right.len()]);
        ActiveRows { x, y, d, e, held }
    }

    /// The derivative in row `row` of `E`.
    fn of_row(&self, row: usize) -> impl Iterator<Item = f64> + '_ {
        let (y, e) = (self.y[row], self.e[row]);
        (self.d.iter().zip(&self.x)).map(move |(d, x)| -(y * d + e * x))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `M v`, `M` of `v.len()` columns.
fn product(m: &[f64], v: &[f64]) -> Vec<f64> {
    m.chunks_exact(v.len()).map(|line| dot(line, v)).collect()
}

/// Mᵀ M of a `[k, n]` matrix.
fn gram(m: &[f64], n: usize) -> Vec<f64> {
    (0..n * n)
        .map(|at| (m.chunks_exact(n)).map(|r| r[at / n] * r[at % n]).sum())
        .collect()
}

fn add(to: &mut [f64], values: impl IntoIterator<Item = f64>) {
    to.iter_mut().zip(values).for_each(|(t, v)| *t += v);
}

fn minus_identity(n: usize) -> Vec<f64> {
    (0..n * n)
        .map(|at| if at / n == at % n { -1.0 } else { 0.0 })
        .collect()
}

fn portfolio(n: usize, k: usize, limit: bool) -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable_in("x", [n], Domain::Nonnegative);
    let returns = model.parameter("returns", [n]);
    let factors = model.parameter("factors", [k, n]);
    let risk = factors.matmul(&x);
    let (objective, constraint) = if limit {
        let limit = model.parameter("limit", []);
        (returns.dot(&x), Some(norm2(&risk).le(&limit).named("risk")))
    } else {
        let aversion = model.parameter_in("aversion", [], Domain::Nonnegative);
        (returns.dot(&x) - aversion * sum_squares(&risk), None)
    };
    model
        .maximize(objective)
        .subject_to(x.sum().eq(1.0).named("budget"))
        .subject_to_all(constraint)
        .compile()
        .unwrap()
}

#[test]
fn portfolio_by_risk_aversion() {
    let (n, k, batch) = (5, 5, 3);
    let problem = portfolio(n, k, false);
    assert!(matches!(problem.form(), Form::Qp { .. }));
    let mut rng = rng(3);
    let inputs = [
        each("returns", uniform(&mut rng, 0.0, 1.0, batch * n)),
        shared("factors", normal(&mut rng, k * n)),
        each("aversion", vec![0.5, 1.0, 2.0]),
    ];
    against_differences(&problem, &inputs, batch, &["x"], &["budget"], 4);
    // P = 2γFᵀF and q = −r: dP = 2dγ FᵀF + 2γ(dFᵀF + FᵀdF).
    let solution = solved(&problem, &inputs, batch);
    let w = normal(&mut rng, batch * n);
    let got = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    let [returns, factors, aversion] = inputs.each_ref().map(|input| &input.data[..]);
    let (mut of_factors, mut held) = (vec![0.0; k * n], 0);
    for i in 0..batch {
        let part = |data: &[f64]| data[i * n..(i + 1) * n].to_vec();
        let twice = 2.0 * aversion[i];
        let matrix: Vec<f64> = gram(factors, n).iter().map(|v| twice * v).collect();
        let linear: Vec<f64> = part(returns).iter().map(|r| -r).collect();
        let x = part(solution.variable("x").unwrap());
        let closed = ActiveRows::of(
            [&matrix, &linear],
            (&vec![1.0; n], &[1.0]),
            (&minus_identity(n), &vec![0.0; n]),
            &x,
            &part(&w),
        );
        held += closed.held.len();
        let ActiveRows { x: own, d, .. } = &closed;
        close(&x, own, NEAR);
        close(&part(got.parameter("returns").unwrap()), d, NEAR);
        let (of_x, of_d) = (product(factors, own), product(factors, d));
        let of_aversion = [-2.0 * dot(&of_x, &of_d)];
        close(
            &got.parameter("aversion").unwrap()[i..=i],
            &of_aversion,
            NEAR,
        );
        let entry = |at: usize| of_x[at / n] * d[at % n] + of_d[at / n] * own[at % n];
        add(&mut of_factors, (0..k * n).map(|at| -twice * entry(at)));
    }
    assert!(held > 0);
    close(got.parameter("factors").unwrap(), &of_factors, NEAR);
}

/// Without bounds `½γxᵀΣx − rᵀx` on `1ᵀx = b` has `x = K r + b Σ⁻¹1/s`, with `s = 1ᵀΣ⁻¹1` and
/// `K = (Σ⁻¹ − Σ⁻¹11ᵀΣ⁻¹/s)/γ`; and `dx = −γK dΣ x` (Merton 1972).
#[test]
fn portfolio_with_a_budget_alone() {
    let (n, batch, aversion) = (4, 3, 1.7);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let returns = model.parameter("returns", [n]);
    let covariance = model.parameter_in("covariance", [n, n], Domain::Semidefinite);
    let budget = model.parameter("budget", []);
    let problem = model
        .minimize(0.5 * aversion * quad_form(&x, &covariance) - returns.dot(&x))
        .subject_to(x.sum().eq(&budget).named("budget"))
        .compile()
        .unwrap();
    let mut rng = rng(31);
    let covariances = (0..batch).flat_map(|_| definite(&mut rng, n)).collect();
    let inputs = [
        each("returns", normal(&mut rng, batch * n)),
        each("covariance", covariances).symmetric(n),
        each("budget", vec![1.0, -0.5, 2.0]),
    ];
    let solution = solved(&problem, &inputs, batch);
    let w = normal(&mut rng, batch * n);
    let got = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    for i in 0..batch {
        let part = |data: &[f64], size: usize| data[i * size..(i + 1) * size].to_vec();
        let [returns, sigma, budget] = [(0, n), (1, n * n), (2, 1)]
            .map(|(at, size): (usize, usize)| part(&inputs[at].data, size));
        let ones = eliminate(&sigma, &vec![1.0; n]);
        let s: f64 = ones.iter().sum();
        let k = |v: &[f64]| -> Vec<f64> {
            let inverse = eliminate(&sigma, v);
            let mean = inverse.iter().sum::<f64>() / s;
            let centred = inverse.iter().zip(&ones).map(|(v, one)| v - mean * one);
            centred.map(|v| v / aversion).collect()
        };
        let spread = k(&returns);
        let x: Vec<f64> = (spread.iter().zip(&ones))
            .map(|(v, one)| v + budget[0] * one / s)
            .collect();
        close(&part(solution.variable("x").unwrap(), n), &x, NEAR);
        let w = part(&w, n);
        let d = k(&w);
        let of = |name, size| part(got.parameter(name).unwrap(), size);
        close(&of("returns", n), &d, NEAR);
        close(&of("budget", 1), &[dot(&ones, &w) / s], NEAR);
        let outer: Vec<f64> = (0..n * n)
            .map(|at| -aversion * d[at / n] * x[at % n])
            .collect();
        close(
            &symmetric_part(&of("covariance", n * n), n),
            &symmetric_part(&outer, n),
            NEAR,
        );
    }
}

#[test]
fn portfolio_with_a_risk_limit() {
    let (n, k, batch) = (5, 5, 3);
    let problem = portfolio(n, k, true);
    assert!(matches!(problem.form(), Form::Cone { .. }));
    let mut rng = rng(5);
    let inputs = [
        each("returns", uniform(&mut rng, 0.0, 1.0, batch * n)),
        each("factors", normal(&mut rng, batch * k * n)),
        shared("limit", vec![1.0]),
    ];
    against_differences(&problem, &inputs, batch, &["x"], &["budget", "risk"], 6);
    // With u = Fx/‖Fx‖, μ the limit's multiplier and H = μFᵀ(1 − uuᵀ)F/‖Fx‖, the rows that hold are
    // 1ᵀ, uᵀF and those of the assets that are not bought.
    let solution = solved(&problem, &inputs, batch);
    let w = normal(&mut rng, batch * n);
    let got = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    let prices = solution.dual("risk").unwrap();
    let (mut of_limit, mut held) = (0.0, 0);
    for i in 0..batch {
        let part = |data: &[f64], size: usize| data[i * size..(i + 1) * size].to_vec();
        let x = part(solution.variable("x").unwrap(), n);
        let f = part(&inputs[1].data, k * n);
        let (mu, fx) = (prices[i], product(&f, &x));
        let risk = dot(&fx, &fx).sqrt();
        assert!(mu > 1e-3 && (risk - 1.0).abs() < NEAR);
        let u: Vec<f64> = fx.iter().map(|v| v / risk).collect();
        let across = |v: &[f64]| -> Vec<f64> {
            let along = dot(&u, v);
            (v.iter().zip(&u)).map(|(v, u)| v - along * u).collect()
        };
        let column = |j: usize| -> Vec<f64> { f.iter().skip(j).step_by(n).copied().collect() };
        let hessian: Vec<f64> = (0..n * n)
            .map(|at| mu / risk * dot(&across(&column(at / n)), &column(at % n)))
            .collect();
        let slope: Vec<f64> = (0..n).map(|j| dot(&u, &column(j))).collect();
        let none: Vec<usize> = (0..n).filter(|&j| x[j] < 1e-7).collect();
        held += none.len();
        let sides = none
            .iter()
            .flat_map(|&j| (0..n).map(move |c| -f64::from(u8::from(c == j))));
        let rows: Vec<f64> = (0..n)
            .map(|_| 1.0)
            .chain(slope.clone())
            .chain(sides)
            .collect();
        // r = ν1 + μFᵀu − λ is solved by the multipliers, with the sign that λ must have.
        let returns = part(&inputs[0].data, n);
        let bought: Vec<f64> = (0..n)
            .filter(|j| !none.contains(j))
            .map(|j| returns[j] - mu * slope[j])
            .collect();
        bought
            .iter()
            .for_each(|v| assert!((v - bought[0]).abs() < 1e-8));
        none.iter()
            .for_each(|&j| assert!(bought[0] + mu * slope[j] - returns[j] > 1e-6));
        let count = rows.len() / n;
        let (d, e) = saddle(&hessian, &rows, &part(&w, n), &vec![0.0; count]);
        close(&part(got.parameter("returns").unwrap(), n), &d, 1e-8);
        of_limit += e[1];
        let fd = across(&product(&f, &d));
        let of_factors: Vec<f64> = (0..k * n)
            .map(|at| {
                let (r, c) = (at / n, at % n);
                -(mu * u[r] * d[c] + (mu / risk * fd[r] + e[1] * u[r]) * x[c])
            })
            .collect();
        close(
            &part(got.parameter("factors").unwrap(), k * n),
            &of_factors,
            1e-8,
        );
    }
    assert!(held > 0);
    close(got.parameter("limit").unwrap(), &[of_limit], 1e-8);
}

/// Water filling: `x = (1/ν − a)₊` with power `P` in all (Boyd & Vandenberghe 2004, example 5.2).
#[test]
fn water_filling() {
    let (n, batch) = (4, 3);
    let mut model = Model::new();
    let x = model.variable_in("x", [n], Domain::Nonnegative);
    let noise = model.parameter_in("noise", [n], Domain::Nonnegative);
    let power = model.parameter("power", []);
    let problem = model
        .maximize(log(&(&x + &noise)).sum())
        .subject_to(x.sum().eq(&power).named("power"))
        .compile()
        .unwrap();
    let mut rng = rng(7);
    let inputs = [
        each("noise", uniform(&mut rng, 0.2, 1.5, batch * n)),
        each("power", vec![0.5, 1.0, 3.0]),
    ];
    let solution = solved(&problem, &inputs, batch);
    for i in 0..batch {
        let noise = &inputs[0].data[i * n..(i + 1) * n];
        let mut sorted = noise.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut level = 0.0;
        let mut sum = inputs[1].data[i];
        for (k, a) in sorted.iter().enumerate() {
            sum += a;
            let trial = sum / (k + 1) as f64;
            if trial > *a {
                level = trial;
            }
        }
        let x: Vec<f64> = noise.iter().map(|a| (level - a).max(0.0)).collect();
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            NEAR,
        );
        close(
            &solution.dual("power").unwrap()[i..=i],
            &[1.0 / level],
            NEAR,
        );
    }
    against_differences(&problem, &inputs, batch, &["x"], &["power"], 8);
}

/// `max Π xᵢ^wᵢ`, `cᵀx ≤ 1` spends the share `wᵢ` on good `i`.
#[test]
fn cobb_douglas_shares() {
    let weights = [0.5, 0.3, 0.2];
    for (weights, uniform_weights) in [(weights, false), ([1.0 / 3.0; 3], true)] {
        let mut model = Model::new();
        let x = model.variable("x", [3]);
        let prices = model.parameter_in("prices", [3], Domain::Nonnegative);
        let utility = if uniform_weights {
            geo_mean(&x)
        } else {
            weighted_geo_mean(&x, &weights)
        };
        let problem = model
            .maximize(utility)
            .subject_to(prices.dot(&x).le(1.0))
            .compile()
            .unwrap();
        let inputs = [each("prices", vec![1.0, 2.0, 0.5, 0.3, 0.9, 1.4])];
        let solution = solved(&problem, &inputs, 2);
        let expected: Vec<f64> = (0..6).map(|i| weights[i % 3] / inputs[0].data[i]).collect();
        close(solution.variable("x").unwrap(), &expected, NEAR);
        let w = normal(&mut rng(9), 6);
        let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
        let slope: Vec<f64> = (0..6)
            .map(|i| -w[i] * weights[i % 3] / inputs[0].data[i].powi(2))
            .collect();
        close(g.parameter("prices").unwrap(), &slope, 1e-8);
        against_differences(&problem, &inputs, 2, &["x"], &[], 10);
    }
}

/// `min f(x) − cᵀx` for a scalar function: the solution is where `f' = c`.
fn scalar_layer(
    objective: impl Fn(&Expr) -> Expr,
    slopes: &[f64],
    inverse: impl Fn(f64) -> f64,
    inverse_derivative: impl Fn(f64) -> f64,
) {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let c = model.parameter("c", []);
    let problem = model.minimize(objective(&x) - &c * &x).compile().unwrap();
    let batch = slopes.len();
    let inputs = [each("c", slopes.to_vec())];
    let solution = solved(&problem, &inputs, batch);
    let expected: Vec<f64> = slopes.iter().map(|c| inverse(*c)).collect();
    close(solution.variable("x").unwrap(), &expected, NEAR);
    let ones = vec![1.0; batch];
    let g = gradients(&problem, &solution, &inputs, &[("x", &ones)], &[]);
    let expected: Vec<f64> = slopes.iter().map(|c| inverse_derivative(*c)).collect();
    close(g.parameter("c").unwrap(), &expected, 1e-8);
    against_differences(&problem, &inputs, batch, &["x"], &[], 11);
}

#[test]
fn powers_have_their_conjugates() {
    let positive = [0.4, 1.0, 2.5];
    let negative = [-0.4, -1.0, -2.5];
    scalar_layer(square, &[-1.0, 0.5], |c| c / 2.0, |_| 0.5);
    // x³: 3x² = c.
    scalar_layer(
        |x| power(x, 3.0),
        &positive,
        |c| (c / 3.0).sqrt(),
        |c| 0.5 / (3.0 * c).sqrt(),
    );
    // x^1.5: 1.5 √x = c.
    scalar_layer(
        |x| power(x, 1.5),
        &positive,
        |c| (c / 1.5).powi(2),
        |c| 2.0 * c / 2.25,
    );
    // x⁴, all real numbers: 4x³ = c.
    scalar_layer(
        |x| power(x, 4.0),
        &[-2.0, 0.7],
        |c| (c / 4.0).cbrt(),
        |c| (c / 4.0).cbrt() / (3.0 * c),
    );
    // 1/x: −1/x² = c.
    scalar_layer(
        inv_pos,
        &negative,
        |c| (-1.0 / c).sqrt(),
        |c| 0.5 * (-c).powf(-1.5),
    );
    // x^−2: −2 x^−3 = c.
    scalar_layer(
        |x| power(x, -2.0),
        &negative,
        |c| (-2.0 / c).cbrt(),
        |c| (-2.0 / c).cbrt() / (-3.0 * c),
    );
    // −√x: −1/(2√x) = c.
    scalar_layer(
        |x| -sqrt(x),
        &negative,
        |c| 0.25 / (c * c),
        |c| -0.5 / (c * c * c),
    );
    // −x^0.3: −0.3 x^−0.7 = c.
    scalar_layer(
        |x| -power(x, 0.3),
        &negative,
        |c| (-0.3 / c).powf(1.0 / 0.7),
        |c| (-0.3 / c).powf(1.0 / 0.7) / (-0.7 * c),
    );
    // −log x: −1/x = c.
    scalar_layer(|x| -log(x), &negative, |c| -1.0 / c, |c| 1.0 / (c * c));
    // 1/x again, as 1²/x.
    scalar_layer(
        |x| quad_over_lin(&Expr::from(1.0), x),
        &negative,
        |c| (-1.0 / c).sqrt(),
        |c| 0.5 * (-c).powf(-1.5),
    );
}

/// A projection in the norm of an atom's sublevel set, or with the atom in the objective: all
/// parameters against differences.
#[test]
fn atoms_in_objectives_and_constraints() {
    let n = 4;
    type Atom = fn(&Expr) -> Expr;
    let convex: [(&str, Atom); 14] = [
        ("abs", |x| abs(x).sum()),
        ("max", max),
        ("norm_inf", norm_inf),
        ("norm2", norm2),
        ("pos", |x| pos(x).sum()),
        ("neg_part", |x| neg_part(x).sum()),
        ("sum_largest", |x| sum_largest(x, 2)),
        ("minus min", |x| -min(x)),
        ("minus sum_smallest", |x| -sum_smallest(x, 2)),
        ("maximum", |x| {
            maximum(&[x.clone(), 2.0 * x - 0.1, Expr::from(-0.3)]).sum()
        }),
        ("quad_over_lin", |x| {
            quad_over_lin(&x.slice(0..2), &(x.at([2]) + 3.0))
        }),
        ("quad_form", |x| {
            quad_form(&x.slice(0..2), &constant([2, 2], vec![2.0, 1.0, 1.0, 2.0]))
        }),
        ("norm of a square", |x| norm2(&square(x))),
        ("square of a norm", |x| square(&norm2(x))),
    ];
    for (seed, (name, atom)) in convex.into_iter().enumerate() {
        println!("{name}");
        let batch = 3;
        let mut rng = rng(100 + seed as u64);
        let y = normal(&mut rng, batch * n);
        let mut model = Model::new();
        let x = model.variable("x", [n]);
        let (y_, w) = (
            model.parameter("y", [n]),
            model.parameter_in("w", [], Domain::Nonnegative),
        );
        let penalty = model
            .minimize(0.5 * sum_squares(&x - &y_) + &w * atom(&x))
            .compile()
            .unwrap();
        let inputs = [each("y", y.clone()), each("w", vec![0.3; batch])];
        against_differences(&penalty, &inputs, batch, &["x"], &[], 7);

        let mut model = Model::new();
        let x = model.variable("x", [n]);
        let (y_, c, shift) = (
            model.parameter("y", [n]),
            model.parameter("c", []),
            model.parameter("shift", [n]),
        );
        let limit = model
            .minimize(0.5 * sum_squares(&x - &y_))
            .subject_to(atom(&(&x + &shift)).le(&c).named("limit"))
            .compile()
            .unwrap();
        let inputs = [
            each("y", y),
            each("c", vec![0.6; batch]),
            shared(
                "shift",
                normal(&mut rng, n).iter().map(|v| 0.1 * v).collect(),
            ),
        ];
        against_differences(&limit, &inputs, batch, &["x"], &["limit"], 8);
    }
}

/// A quadratic constraint with a parameter for its matrix.
#[test]
fn ellipsoid_with_a_parameter_matrix() {
    let (n, batch) = (3, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (y, center) = (model.parameter("y", [n]), model.parameter("center", [n]));
    let matrix = model.parameter_in("matrix", [n, n], Domain::Semidefinite);
    let problem = model
        .minimize(sum_squares(&x - &y))
        .subject_to(
            quad_form(&(&x - &center), &matrix)
                .le(1.0)
                .named("ellipsoid"),
        )
        .compile()
        .unwrap();
    assert!(matches!(problem.form(), Form::Qcqp { quadratics: 1, .. }));
    let mut rng = rng(21);
    let inputs = [
        each(
            "y",
            normal(&mut rng, batch * n)
                .iter()
                .map(|v| 3.0 * v)
                .collect(),
        ),
        each("center", normal(&mut rng, batch * n)),
        each(
            "matrix",
            (0..batch).flat_map(|_| definite(&mut rng, n)).collect(),
        )
        .symmetric(n),
    ];
    let solution = solved(&problem, &inputs, batch);
    assert!(
        solution
            .violation("ellipsoid")
            .unwrap()
            .iter()
            .all(|v| *v < 1e-9)
    );
    against_differences(&problem, &inputs, batch, &["x"], &["ellipsoid"], 22);
}
