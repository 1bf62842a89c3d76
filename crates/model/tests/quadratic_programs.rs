//! OptNet's quadratic program and portfolios, against the equations of the rows that hold.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_model::{CompiledProblem, Domain, Form, Model, Route, norm2, quad_form, sum_squares};
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
