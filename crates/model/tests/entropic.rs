//! Layers with entropies: sigmoid, softmax, LML, transport, projection by divergence.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    CompiledProblem, Domain, Form, Model, constant, entropy, exp, kl_div, log_sum_exp, rel_entr,
};
use support::{
    against_differences, close, each, eliminate, gradients, normal, rng, shared, softmax, solved,
    uniform,
};

/// What the polish of exponential cones leaves of a solver's tolerance.
const NEAR: f64 = 1e-9;

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// `σ(y) = argmax yᵀx + H(x) + H(1 − x)` (Amos 2019, section 2.4.4).
#[test]
fn sigmoid_layer() {
    let (n, batch) = (4, 4);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let objective = x.dot(&y) + entropy(&x).sum() + entropy(&(1.0 - &x)).sum();
    let problem = model.maximize(objective).compile().unwrap();
    assert!(matches!(problem.form(), Form::Cone { .. }));
    let mut rng = rng(1);
    let inputs = [each("y", normal(&mut rng, batch * n))];
    let solution = solved(&problem, &inputs, batch);
    let expected: Vec<f64> = inputs[0].data.iter().map(|v| sigmoid(*v)).collect();
    close(solution.variable("x").unwrap(), &expected, NEAR);
    let weight = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &weight)], &[]);
    let slope: Vec<f64> = expected
        .iter()
        .zip(&weight)
        .map(|(s, w)| w * s * (1.0 - s))
        .collect();
    close(g.parameter("y").unwrap(), &slope, NEAR);
    against_differences(&problem, &inputs, batch, &["x"], &[], 2);
}

/// `softmax(y) = argmax yᵀx + H(x)` on the simplex; the multiplier is `log Σ exp y − 1`.
#[test]
fn softmax_layer() {
    let (n, batch) = (5, 4);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let problem = model
        .maximize(x.dot(&y) + entropy(&x).sum())
        .subject_to(x.sum().eq(1.0).named("total"))
        .compile()
        .unwrap();
    let mut rng = rng(3);
    let inputs = [each("y", normal(&mut rng, batch * n))];
    let solution = solved(&problem, &inputs, batch);
    let weight = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &weight)], &[]);
    for i in 0..batch {
        let (y, w) = (
            &inputs[0].data[i * n..(i + 1) * n],
            &weight[i * n..(i + 1) * n],
        );
        let s = softmax(y);
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &s,
            NEAR,
        );
        let mean: f64 = s.iter().zip(w).map(|(s, w)| s * w).sum();
        let expected: Vec<f64> = s.iter().zip(w).map(|(s, w)| s * (w - mean)).collect();
        close(
            &g.parameter("y").unwrap()[i * n..(i + 1) * n],
            &expected,
            NEAR,
        );
        let total = y.iter().map(|v| v.exp()).sum::<f64>().ln() - 1.0;
        close(&solution.dual("total").unwrap()[i..=i], &[total], NEAR);
        close(&solution.objective().unwrap()[i..=i], &[total + 1.0], NEAR);
    }
    against_differences(&problem, &inputs, batch, &["x"], &["total"], 4);
}

/// The limited multi-label projection: `σ(y + ν)` with entries adding up to `k` (Amos, Koltun &
/// Kolter 2019).
#[test]
fn limited_multi_label_layer() {
    let (n, k, batch) = (6, 2.0, 4);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let problem = model
        .maximize(x.dot(&y) + entropy(&x).sum() + entropy(&(1.0 - &x)).sum())
        .subject_to(x.sum().eq(k).named("count"))
        .compile()
        .unwrap();
    let mut rng = rng(5);
    let inputs = [each("y", normal(&mut rng, batch * n))];
    let solution = solved(&problem, &inputs, batch);
    let weight = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &weight)], &[]);
    for i in 0..batch {
        let (y, w) = (
            &inputs[0].data[i * n..(i + 1) * n],
            &weight[i * n..(i + 1) * n],
        );
        // Bisection for the shift.
        let (mut low, mut high) = (-20.0, 20.0);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            let total: f64 = y.iter().map(|v| sigmoid(v + middle)).sum();
            if total < k {
                low = middle;
            } else {
                high = middle;
            }
        }
        let x: Vec<f64> = y.iter().map(|v| sigmoid(v + low)).collect();
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            NEAR,
        );
        close(&solution.dual("count").unwrap()[i..=i], &[-low], NEAR);
        let d: Vec<f64> = x.iter().map(|x| x * (1.0 - x)).collect();
        let mean = d.iter().zip(w).map(|(d, w)| d * w).sum::<f64>() / d.iter().sum::<f64>();
        let expected: Vec<f64> = d.iter().zip(w).map(|(d, w)| d * (w - mean)).collect();
        close(
            &g.parameter("y").unwrap()[i * n..(i + 1) * n],
            &expected,
            NEAR,
        );
    }
    against_differences(&problem, &inputs, batch, &["x"], &["count"], 6);
}

/// The solution of `min cᵀx − εH(x)`, `Ax = b` differentiated: with `D = diag(x)/ε` and
/// `e = (ADAᵀ)⁻¹ADw`, `d = D(w − Aᵀe)`, the derivative of `wᵀx` is `−d` in `c`, `e` in `b`,
/// `−Σ d(1 + log x)` in `ε` and `−(ν dᵀ + e xᵀ)` in `A`, `ν` the multipliers.
fn entropic_slopes(x: &[f64], a: &[f64], smoothing: f64, w: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let n = x.len();
    let rows: Vec<&[f64]> = a.chunks_exact(n).collect();
    let inner =
        |u: &[f64], v: &[f64]| -> f64 { (0..n).map(|j| u[j] * v[j] * x[j] / smoothing).sum() };
    let matrix: Vec<f64> = (rows.iter())
        .flat_map(|u| rows.iter().map(|v| inner(u, v)))
        .collect();
    let right: Vec<f64> = rows.iter().map(|u| inner(u, w)).collect();
    let e = eliminate(&matrix, &right);
    let d = (0..n)
        .map(|j| {
            let force: f64 = rows.iter().zip(&e).map(|(u, e)| u[j] * e).sum();
            x[j] / smoothing * (w[j] - force)
        })
        .collect();
    (d, e)
}

fn negative(v: &[f64]) -> Vec<f64> {
    v.iter().map(|v| -v).collect()
}

/// `min cᵀx − εH(x)` on the simplex is `p = softmax(−c/ε)`: `dp/dc = −(diag(p) − ppᵀ)/ε` and
/// `dp/dε = p(c − pᵀc)/ε²`.
#[test]
fn entropic_linear_program_on_the_simplex() {
    let (n, batch) = (5, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let c = model.parameter("c", [n]);
    let smoothing = model.parameter_in("smoothing", [], Domain::Nonnegative);
    let problem = model
        .minimize(c.dot(&x) - &smoothing * entropy(&x).sum())
        .subject_to(x.sum().eq(1.0))
        .compile()
        .unwrap();
    let mut rng = rng(19);
    let inputs = [
        each("c", normal(&mut rng, batch * n)),
        each("smoothing", vec![0.3, 1.0, 2.5]),
    ];
    let solution = solved(&problem, &inputs, batch);
    let w = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    let mean = |p: &[f64], v: &[f64]| -> f64 { p.iter().zip(v).map(|(p, v)| p * v).sum() };
    for i in 0..batch {
        let at = i * n..(i + 1) * n;
        let (c, w, smoothing) = (
            &inputs[0].data[at.clone()],
            &w[at.clone()],
            inputs[1].data[i],
        );
        let scaled: Vec<f64> = c.iter().map(|c| -c / smoothing).collect();
        let p = softmax(&scaled);
        close(&solution.variable("x").unwrap()[at.clone()], &p, NEAR);
        let (of_w, of_c) = (mean(&p, w), mean(&p, c));
        let expected: Vec<f64> = (0..n).map(|j| -p[j] * (w[j] - of_w) / smoothing).collect();
        close(&g.parameter("c").unwrap()[at], &expected, NEAR);
        let slope: f64 = (0..n).map(|j| w[j] * p[j] * (c[j] - of_c)).sum();
        close(
            &g.parameter("smoothing").unwrap()[i..=i],
            &[slope / smoothing.powi(2)],
            NEAR,
        );
    }
    against_differences(&problem, &inputs, batch, &["x"], &[], 20);
}

fn transport(m: usize, n: usize) -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [m, n]);
    let cost = model.parameter("cost", [m, n]);
    let rows = model.parameter("rows", [m]);
    // The last column's total is implied by the others.
    let columns = model.parameter("columns", [n - 1]);
    let smoothing = model.parameter_in("smoothing", [], Domain::Nonnegative);
    let objective = x.dot(&cost) - &smoothing * entropy(&x).sum();
    model
        .minimize(objective)
        .subject_to(x.sum_axis(1).eq(&rows).named("rows"))
        .subject_to(x.sum_axis(0).slice(0..n - 1).eq(&columns))
        .compile()
        .unwrap()
}

/// Sinkhorn's iteration finds the same plan (Cuturi 2013).
#[test]
fn entropic_transport() {
    let (m, n, batch) = (3, 4, 2);
    let problem = transport(m, n);
    let mut rng = rng(7);
    let cost = uniform(&mut rng, 0.0, 1.0, batch * m * n);
    let (rows, columns) = (vec![0.2, 0.3, 0.5], vec![0.1, 0.2, 0.3, 0.4]);
    let inputs = [
        each("cost", cost.clone()),
        shared("rows", rows.clone()),
        shared("columns", columns[..n - 1].to_vec()),
        shared("smoothing", vec![0.3]),
    ];
    let solution = solved(&problem, &inputs, batch);
    let w = normal(&mut rng, batch * m * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    // Totals of the rows, and of the columns but the last.
    let totals: Vec<f64> = (0..m + n - 1)
        .flat_map(|row| (0..m * n).map(move |at| at / n == row || at % n + m == row))
        .map(|within| f64::from(u8::from(within)))
        .collect();
    let (mut of_totals, mut of_smoothing) = (vec![0.0; m + n - 1], 0.0);
    for i in 0..batch {
        let kernel: Vec<f64> = cost[i * m * n..(i + 1) * m * n]
            .iter()
            .map(|c| (-c / 0.3).exp())
            .collect();
        let (mut a, mut b) = (vec![1.0; m], vec![1.0; n]);
        for _ in 0..2000 {
            for r in 0..m {
                let sum: f64 = (0..n).map(|c| kernel[r * n + c] * b[c]).sum();
                a[r] = rows[r] / sum;
            }
            for c in 0..n {
                let sum: f64 = (0..m).map(|r| kernel[r * n + c] * a[r]).sum();
                b[c] = columns[c] / sum;
            }
        }
        let plan: Vec<f64> = (0..m * n)
            .map(|at| a[at / n] * kernel[at] * b[at % n])
            .collect();
        close(
            &solution.variable("x").unwrap()[i * m * n..(i + 1) * m * n],
            &plan,
            NEAR,
        );
        let at = i * m * n..(i + 1) * m * n;
        let (d, e) = entropic_slopes(&plan, &totals, 0.3, &w[at.clone()]);
        close(&g.parameter("cost").unwrap()[at], &negative(&d), NEAR);
        of_totals.iter_mut().zip(&e).for_each(|(sum, e)| *sum += e);
        let each = d.iter().zip(&plan).map(|(d, x)| d * (1.0 + x.ln()));
        of_smoothing -= each.sum::<f64>();
    }
    close(g.parameter("rows").unwrap(), &of_totals[..m], NEAR);
    close(g.parameter("columns").unwrap(), &of_totals[m..], NEAR);
    close(g.parameter("smoothing").unwrap(), &[of_smoothing], NEAR);
    against_differences(&problem, &inputs, batch, &["x"], &["rows"], 8);
}

/// `min c·x − ε H(x)`, `Ax = b`: all parameters of an entropy-regularised linear program.
#[test]
fn entropic_linear_program() {
    let (n, m, batch) = (5, 2, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (c, a, b) = (
        model.parameter("c", [n]),
        model.parameter("a", [m, n]),
        model.parameter("b", [m]),
    );
    let problem = model
        .minimize(c.dot(&x) - 0.5 * entropy(&x).sum())
        .subject_to(a.matmul(&x).eq(&b).named("rows"))
        .compile()
        .unwrap();
    let mut rng = rng(9);
    let a = uniform(&mut rng, 0.2, 1.0, batch * m * n);
    let point = uniform(&mut rng, 0.2, 1.0, n);
    let b: Vec<f64> = (0..batch * m)
        .map(|r| (0..n).map(|j| a[r * n + j] * point[j]).sum())
        .collect();
    let inputs = [shared("c", normal(&mut rng, n)), each("a", a), each("b", b)];
    against_differences(&problem, &inputs, batch, &["x"], &["rows"], 10);
    let solution = solved(&problem, &inputs, batch);
    let w = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    let duals = solution.dual("rows").unwrap();
    let mut of_c = vec![0.0; n];
    for i in 0..batch {
        let x = &solution.variable("x").unwrap()[i * n..(i + 1) * n];
        let a = &inputs[1].data[i * m * n..(i + 1) * m * n];
        let (c, nu) = (&inputs[0].data, &duals[i * m..(i + 1) * m]);
        for j in 0..n {
            let force: f64 = (0..m).map(|k| a[k * n + j] * nu[k]).sum();
            assert!((c[j] + 0.5 * (1.0 + x[j].ln()) + force).abs() < 1e-8);
        }
        let (d, e) = entropic_slopes(x, a, 0.5, &w[i * n..(i + 1) * n]);
        of_c.iter_mut().zip(&d).for_each(|(sum, d)| *sum -= d);
        close(&g.parameter("b").unwrap()[i * m..(i + 1) * m], &e, NEAR);
        let of_a: Vec<f64> = (0..m * n)
            .map(|at| -(nu[at / n] * d[at % n] + e[at / n] * x[at % n]))
            .collect();
        let got = &g.parameter("a").unwrap()[i * m * n..(i + 1) * m * n];
        close(got, &of_a, NEAR);
    }
    close(g.parameter("c").unwrap(), &of_c, NEAR);
}

/// Projection on a simplex by Kullback-Leibler divergence scales the prior, and on a half of it
/// scales each part.
#[test]
fn divergence_projection() {
    let (n, batch) = (5, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let prior = model.parameter_in("prior", [n], Domain::Nonnegative);
    let share = model.parameter("share", []);
    let problem = model
        .minimize(kl_div(&x, &prior).sum())
        .subject_to(x.sum().eq(1.0))
        .subject_to(x.slice(0..2).sum().eq(&share).named("share"))
        .compile()
        .unwrap();
    let mut rng = rng(11);
    let inputs = [
        each("prior", uniform(&mut rng, 0.2, 1.0, batch * n)),
        each("share", uniform(&mut rng, 0.3, 0.6, batch)),
    ];
    let solution = solved(&problem, &inputs, batch);
    for i in 0..batch {
        let prior = &inputs[0].data[i * n..(i + 1) * n];
        let share = inputs[1].data[i];
        let (head, tail): (f64, f64) = (prior[..2].iter().sum(), prior[2..].iter().sum());
        let x: Vec<f64> = (0..n)
            .map(|j| {
                prior[j]
                    * if j < 2 {
                        share / head
                    } else {
                        (1.0 - share) / tail
                    }
            })
            .collect();
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            NEAR,
        );
    }
    against_differences(&problem, &inputs, batch, &["x"], &["share"], 12);
}

/// The dual of the softmax: `min log Σ exp(x) − yᵀx` has the solution `x = log y + constant`.
#[test]
fn log_sum_exp_layer() {
    let (n, batch) = (4, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let problem = model
        .minimize(log_sum_exp(&x) - y.dot(&x))
        .subject_to(x.sum().eq(0.0))
        .compile()
        .unwrap();
    let mut rng = rng(13);
    let inputs = [each(
        "y",
        (0..batch)
            .flat_map(|_| softmax(&normal(&mut rng, n)))
            .collect(),
    )];
    let solution = solved(&problem, &inputs, batch);
    for i in 0..batch {
        let logs: Vec<f64> = inputs[0].data[i * n..(i + 1) * n]
            .iter()
            .map(|v| v.ln())
            .collect();
        let mean = logs.iter().sum::<f64>() / n as f64;
        let x: Vec<f64> = logs.iter().map(|v| v - mean).collect();
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            NEAR,
        );
    }
    // Off the simplex the problem is unbounded, so differences move along it.
    let offsets = constant([n], vec![0.3, -0.2, 0.1, 0.0]);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (a, b) = (model.parameter("a", [n, n]), model.parameter("b", [n]));
    let problem = model
        .minimize(
            log_sum_exp(&(a.matmul(&x) + &b)) + 0.5 * feasible_model::sum_squares(&x - offsets),
        )
        .compile()
        .unwrap();
    let inputs = [
        each("a", normal(&mut rng, batch * n * n)),
        each("b", normal(&mut rng, batch * n)),
    ];
    against_differences(&problem, &inputs, batch, &["x"], &[], 14);
}

/// `min exp(ax) − bx` has `x = log(b/a)/a`.
#[test]
fn exponential_layer() {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let a = model.parameter("a", []);
    let b = model.parameter("b", []);
    let problem = model.minimize(exp(&(&a * &x)) - &b * &x).compile().unwrap();
    let inputs = [
        each("a", vec![0.5, 1.5, -0.7]),
        each("b", vec![1.0, 0.4, -2.0]),
    ];
    let solution = solved(&problem, &inputs, 3);
    let expected: Vec<f64> = (0..3)
        .map(|i| (inputs[1].data[i] / inputs[0].data[i]).ln() / inputs[0].data[i])
        .collect();
    close(solution.variable("x").unwrap(), &expected, NEAR);
    against_differences(&problem, &inputs, 3, &["x"], &[], 16);
}

/// Relative entropy to a mean that is a variable too: both arguments move.
#[test]
fn relative_entropy_in_both_arguments() {
    let n = 3;
    let mut model = Model::new();
    let (x, y) = (model.variable("x", [n]), model.variable("y", [n]));
    let (p, q) = (model.parameter("p", [n]), model.parameter("q", [n]));
    let problem = model
        .minimize(
            rel_entr(&x, &y).sum()
                + feasible_model::sum_squares(&x - &p)
                + feasible_model::sum_squares(&y - &q),
        )
        .compile()
        .unwrap();
    let mut rng = rng(17);
    let inputs = [
        each("p", uniform(&mut rng, 0.5, 2.0, 2 * n)),
        each("q", uniform(&mut rng, 0.5, 2.0, 2 * n)),
    ];
    against_differences(&problem, &inputs, 2, &["x", "y"], &[], 18);
}
