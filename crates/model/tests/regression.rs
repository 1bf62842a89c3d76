//! Regressions: ridge, lasso, nonnegative, elastic net, robust, Huber, logistic.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    CompiledProblem, Domain, Expr, Form, Model, Route, huber, logistic, norm1, norm2, sum_squares,
};
use support::{
    Input, against_differences, close, each, gradients, normal, rng, saddle, shared, solved,
};

const EXACT: f64 = 1e-10;

/// Of a gradient, which an elimination with other pivots rounds differently.
const NEAR: f64 = 1e-9;

/// A regression of `[m, n]` with a penalty; `a` and `b` are parameters.
fn regression(
    (m, n): (usize, usize),
    route: Route,
    build: impl FnOnce(&mut Model, &Expr, &Expr) -> (Expr, Vec<feasible_model::Constraint>),
) -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let a = model.parameter("a", [m, n]);
    let b = model.parameter("b", [m]);
    let residual = a.matmul(&x) - &b;
    let (objective, constraints) = build(&mut model, &x, &residual);
    model
        .minimize(objective)
        .subject_to_all(constraints)
        .route(route)
        .compile()
        .unwrap()
}

fn data(seed: u64, batch: usize, (m, n): (usize, usize)) -> Vec<Input> {
    let mut rng = rng(seed);
    vec![
        each("a", normal(&mut rng, batch * m * n)),
        each("b", normal(&mut rng, batch * m)),
    ]
}

/// Gaussian elimination without pivots, for a positive definite matrix.
fn solve_definite(mut m: Vec<f64>, mut rhs: Vec<f64>) -> Vec<f64> {
    let n = rhs.len();
    for k in 0..n {
        for i in k + 1..n {
            let f = m[i * n + k] / m[k * n + k];
            for j in k..n {
                m[i * n + j] -= f * m[k * n + j];
            }
            rhs[i] -= f * rhs[k];
        }
    }
    for k in (0..n).rev() {
        for j in k + 1..n {
            rhs[k] -= m[k * n + j] * rhs[j];
        }
        rhs[k] /= m[k * n + k];
    }
    rhs
}

/// `x = (AᵀA + λ)⁻¹Aᵀb`, and with `v = (AᵀA + λ)⁻¹w` the derivative of `wᵀx` is `Av` in `b`,
/// `−vᵀx` in `λ` and `r vᵀ − (Av) xᵀ`, `r = b − Ax`, in `A`.
#[test]
fn ridge() {
    let (m, n, batch) = (6, 3, 4);
    let with_weight = |route| {
        regression((m, n), route, |model, x, residual| {
            let weight = model.parameter_in("weight", [], Domain::Nonnegative);
            (sum_squares(residual) + &weight * sum_squares(x), vec![])
        })
    };
    let problem = with_weight(Route::Auto);
    assert_eq!(
        problem.form(),
        Form::Qp {
            variables: n + m,
            equalities: m,
            inequalities: 0
        }
    );
    let mut inputs = data(1, batch, (m, n));
    inputs.push(each("weight", vec![0.3, 0.5, 1.0, 2.0]));
    let solution = solved(&problem, &inputs, batch);
    let w = normal(&mut rng(2), batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    for i in 0..batch {
        let a = &inputs[0].data[i * m * n..(i + 1) * m * n];
        let b = &inputs[1].data[i * m..(i + 1) * m];
        let lambda = inputs[2].data[i];
        let gram: Vec<f64> = (0..n * n)
            .map(|at| {
                let (r, c) = (at / n, at % n);
                let dot: f64 = (0..m).map(|k| a[k * n + r] * a[k * n + c]).sum();
                dot + if r == c { lambda } else { 0.0 }
            })
            .collect();
        let right = (0..n)
            .map(|c| (0..m).map(|k| a[k * n + c] * b[k]).sum())
            .collect();
        let x = solve_definite(gram.clone(), right);
        let v = solve_definite(gram, w[i * n..(i + 1) * n].to_vec());
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            EXACT,
        );
        let times = |x: &[f64]| -> Vec<f64> {
            (0..m)
                .map(|k| (0..n).map(|c| a[k * n + c] * x[c]).sum())
                .collect()
        };
        let (ax, av) = (times(&x), times(&v));
        let of_a: Vec<f64> = (0..m * n)
            .map(|at| {
                let (k, c) = (at / n, at % n);
                (b[k] - ax[k]) * v[c] - av[k] * x[c]
            })
            .collect();
        close(
            &g.parameter("a").unwrap()[i * m * n..(i + 1) * m * n],
            &of_a,
            EXACT,
        );
        close(&g.parameter("b").unwrap()[i * m..(i + 1) * m], &av, EXACT);
        let of_weight: f64 = -x.iter().zip(&v).map(|(x, v)| x * v).sum::<f64>();
        close(&g.parameter("weight").unwrap()[i..=i], &[of_weight], EXACT);
    }
    against_differences(&problem, &inputs, batch, &["x"], &[], 3);
    against_differences(&with_weight(Route::Cones), &inputs, batch, &["x"], &[], 3);
}

#[test]
fn lasso_by_both_solvers() {
    let (m, n, batch) = (8, 5, 3);
    for route in [Route::Auto, Route::Cones] {
        let problem = regression((m, n), route, |model, x, residual| {
            let weight = model.parameter_in("weight", [], Domain::Nonnegative);
            (0.5 * sum_squares(residual) + &weight * norm1(x), vec![])
        });
        let mut inputs = data(4, batch, (m, n));
        inputs.push(shared("weight", vec![1.5]));
        let solution = solved(&problem, &inputs, batch);
        let x = solution.variable("x").unwrap();
        assert!(x.iter().any(|v| v.abs() < 1e-9) && x.iter().any(|v| v.abs() > 1e-3));
        // Optimality: |aⱼᵀ(b − Ax)| is the weight where x is not zero and at most that elsewhere.
        for i in 0..batch {
            let (a, b) = (&inputs[0].data[i * m * n..], &inputs[1].data[i * m..]);
            let x = &x[i * n..(i + 1) * n];
            for j in 0..n {
                let pull: f64 = (0..m)
                    .map(|k| {
                        let ax: f64 = (0..n).map(|c| a[k * n + c] * x[c]).sum();
                        a[k * n + j] * (b[k] - ax)
                    })
                    .sum();
                if x[j].abs() > 1e-9 {
                    assert!((pull - 1.5 * x[j].signum()).abs() < 1e-8);
                } else {
                    assert!(pull.abs() < 1.5);
                }
            }
        }
        against_differences(&problem, &inputs, batch, &["x"], &[], 5);
    }
}

/// On the support `S`, and with the budget held where it is: `v` of `A_SᵀA_S v + β1 = w_S`, `1ᵀv = 0`
/// (without a budget `v = (A_SᵀA_S)⁻¹w_S`), and as for the ridge the derivative of `wᵀx` is `A_S v` in `b`
/// and `r vᵀ − (A_S v)x_Sᵀ` in `A_S`.
#[test]
fn constrained_least_squares() {
    let (m, n, batch) = (7, 4, 4);
    for budget in [false, true] {
        let problem = regression((m, n), Route::Auto, |_, x, residual| {
            let mut constraints = vec![x.ge(0.0).named("floor")];
            if budget {
                constraints.push(x.sum().le(0.8).named("budget"));
            }
            (sum_squares(residual), constraints)
        });
        assert!(matches!(problem.form(), Form::Qp { .. }));
        let duals: &[&str] = if budget {
            &["floor", "budget"]
        } else {
            &["floor"]
        };
        let inputs = data(6, batch, (m, n));
        against_differences(&problem, &inputs, batch, &["x"], duals, 7);
        let solution = solved(&problem, &inputs, batch);
        let w = normal(&mut rng(16), batch * n);
        let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
        let (mut zeros, mut spent) = (0, 0);
        for i in 0..batch {
            let a = &inputs[0].data[i * m * n..(i + 1) * m * n];
            let b = &inputs[1].data[i * m..(i + 1) * m];
            let near = &solution.variable("x").unwrap()[i * n..(i + 1) * n];
            let support: Vec<usize> = (0..n).filter(|&j| near[j] > 1e-8).collect();
            let size = support.len();
            let holds = budget && near.iter().sum::<f64>() > 0.8 - 1e-8;
            zeros += n - size;
            spent += usize::from(holds);
            let column = |j: usize| (0..m).map(move |k| a[k * n + j]);
            let gram: Vec<f64> = (support.iter())
                .flat_map(|&i| (support.iter()).map(move |&j| (i, j)))
                .map(|(i, j)| column(i).zip(column(j)).map(|(a, b)| a * b).sum())
                .collect();
            let of_rows = |v: &[f64]| -> Vec<f64> {
                let line = |k: usize| (support.iter().zip(v)).map(move |(&j, v)| a[k * n + j] * v);
                (0..m).map(|k| line(k).sum()).collect()
            };
            let row = vec![1.0; if holds { size } else { 0 }];
            let right: &[f64] = if holds { &[0.8] } else { &[] };
            let pull: Vec<f64> = (support.iter())
                .map(|&j| column(j).zip(b).map(|(a, b)| a * b).sum())
                .collect();
            let (x, price) = saddle(&gram, &row, &pull, right);
            // No price pays for more, and no entry off the support would rise.
            assert!(price.iter().all(|p| *p > 1e-6) && x.iter().all(|x| *x > 0.0));
            let r: Vec<f64> = of_rows(&x).iter().zip(b).map(|(ax, b)| b - ax).collect();
            for j in (0..n).filter(|j| !support.contains(j)) {
                let gain: f64 = column(j).zip(&r).map(|(a, r)| a * r).sum();
                assert!(gain < price.first().unwrap_or(&0.0) - 1e-6);
            }
            let on_support: Vec<f64> = support.iter().map(|&j| near[j]).collect();
            close(&on_support, &x, EXACT);
            let of_support: Vec<f64> = support.iter().map(|&j| w[i * n + j]).collect();
            let (v, _) = saddle(&gram, &row, &of_support, &vec![0.0; right.len()]);
            let av = of_rows(&v);
            close(&g.parameter("b").unwrap()[i * m..(i + 1) * m], &av, NEAR);
            let mut of_a = vec![0.0; m * n];
            for k in 0..m {
                for (at, &j) in support.iter().enumerate() {
                    of_a[k * n + j] = r[k] * v[at] - av[k] * x[at];
                }
            }
            let got = &g.parameter("a").unwrap()[i * m * n..(i + 1) * m * n];
            close(got, &of_a, NEAR);
        }
        assert!(zeros > 0 && (spent > 0) == budget);
    }
}

#[test]
fn elastic_net() {
    let (m, n, batch) = (6, 4, 3);
    let problem = regression((m, n), Route::Auto, |model, x, residual| {
        let one = model.parameter_in("one", [], Domain::Nonnegative);
        let two = model.parameter_in("two", [], Domain::Nonnegative);
        (
            sum_squares(residual) + &one * norm1(x) + &two * sum_squares(x),
            vec![],
        )
    });
    let mut inputs = data(8, batch, (m, n));
    inputs.push(each("one", vec![0.5, 1.0, 2.0]));
    inputs.push(shared("two", vec![0.7]));
    against_differences(&problem, &inputs, batch, &["x"], &[], 9);
}

#[test]
fn robust_least_squares() {
    let (m, n, batch) = (7, 3, 3);
    let problem = regression((m, n), Route::Auto, |model, x, residual| {
        let weight = model.parameter_in("weight", [], Domain::Nonnegative);
        (norm2(residual) + &weight * norm1(x), vec![])
    });
    assert!(matches!(problem.form(), Form::Cone { .. }));
    let mut inputs = data(10, batch, (m, n));
    inputs.push(shared("weight", vec![0.2]));
    against_differences(&problem, &inputs, batch, &["x"], &[], 11);
}

/// With a threshold above every residual it is least squares; below, a residual beyond it pulls with
/// the threshold's force.
#[test]
fn huber_regression() {
    let (m, n, batch) = (8, 3, 3);
    let with = |threshold: f64| {
        regression((m, n), Route::Auto, |_, _, residual| {
            (huber(residual, threshold).sum(), vec![])
        })
    };
    let inputs = data(12, batch, (m, n));
    let plain = regression((m, n), Route::Auto, |_, _, residual| {
        (sum_squares(residual), vec![])
    });
    let far = with(100.0);
    assert!(matches!(far.form(), Form::Qp { .. }));
    close(
        solved(&far, &inputs, batch).variable("x").unwrap(),
        solved(&plain, &inputs, batch).variable("x").unwrap(),
        EXACT,
    );
    let problem = with(0.5);
    let solution = solved(&problem, &inputs, batch);
    let mut beyond = 0;
    for i in 0..batch {
        let (a, b) = (&inputs[0].data[i * m * n..], &inputs[1].data[i * m..]);
        let x = &solution.variable("x").unwrap()[i * n..(i + 1) * n];
        for j in 0..n {
            let force: f64 = (0..m)
                .map(|k| {
                    let r: f64 = (0..n).map(|c| a[k * n + c] * x[c]).sum::<f64>() - b[k];
                    beyond += usize::from(r.abs() > 0.5);
                    a[k * n + j] * r.clamp(-0.5, 0.5)
                })
                .sum();
            assert!(force.abs() < 1e-9, "{force}");
        }
    }
    assert!(beyond > 0);
    against_differences(&problem, &inputs, batch, &["x"], &[], 13);
}

/// Stationarity `Σ σ(aᵢᵀx)aᵢ − b + λx = 0`.
#[test]
fn logistic_regression() {
    let (m, n, batch) = (6, 3, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let a = model.parameter("a", [m, n]);
    let b = model.parameter("b", [n]);
    let problem = model
        .minimize(logistic(&a.matmul(&x)).sum() - b.dot(&x) + 0.25 * sum_squares(&x))
        .compile()
        .unwrap();
    let mut rng = rng(14);
    let inputs = [
        each("a", normal(&mut rng, batch * m * n)),
        shared("b", normal(&mut rng, n)),
    ];
    let solution = solved(&problem, &inputs, batch);
    for i in 0..batch {
        let a = &inputs[0].data[i * m * n..(i + 1) * m * n];
        let x = &solution.variable("x").unwrap()[i * n..(i + 1) * n];
        for j in 0..n {
            let pull: f64 = (0..m)
                .map(|k| {
                    let ax: f64 = (0..n).map(|c| a[k * n + c] * x[c]).sum();
                    a[k * n + j] / (1.0 + (-ax).exp())
                })
                .sum();
            let rest = pull - inputs[1].data[j] + 0.5 * x[j];
            assert!(rest.abs() < 1e-8, "{rest}");
        }
    }
    against_differences(&problem, &inputs, batch, &["x"], &[], 15);
}
