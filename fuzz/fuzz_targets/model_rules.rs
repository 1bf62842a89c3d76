//! Random models: a compiled one is solved and differentiated without a panic, by either route and under any
//! settings, backwards and forwards, to finite numbers where it is called solved; what does not compile has a
//! message.
#![no_main]

mod options;

use arbitrary::{Result, Unstructured};
use feasible_model::{
    Constraint, Domain, Expr, Handle, Model, Route, SolveSettings, Values, abs, constant, diag,
    entropy, exp, geo_mean, hstack, huber, identity, inv_pos, kl_div, kron, lambda_max, lambda_min,
    log, log_det, log_sum_exp, logistic, matrix_frac, max, maximum, min, minimum, neg_part,
    norm_inf, norm1, norm2, nuclear_norm, operator_norm, pos, power, quad_form, quad_over_lin,
    rel_entr, sqrt, square, sum_largest, sum_smallest, sum_squares, vstack, weighted_geo_mean,
};
use libfuzzer_sys::fuzz_target;
use options::Choice;

const N: usize = 2;
const NUMBERS: [f64; 10] = [0.0, 1.0, -1.0, 0.5, 2.0, -0.3, 3.0, 1e-6, 1e6, f64::NAN];

fn number(u: &mut Unstructured<'_>) -> Result<f64> {
    // Not a number once in a while only.
    let at = u.int_in_range(0..=60)?;
    Ok(NUMBERS[if at == 60 { 9 } else { at % 9 }])
}

fn numbers(u: &mut Unstructured<'_>, count: usize) -> Result<Vec<f64>> {
    (0..count).map(|_| number(u)).collect()
}

/// Often within a vector of two, and now and then empty, backwards or too far.
fn range(u: &mut Unstructured<'_>) -> Result<std::ops::Range<usize>> {
    Ok(u.int_in_range(0..=2)?..u.int_in_range(0..=3)?)
}

/// A few expressions to build from, of several shapes; whatever is built joins them.
fn grow(u: &mut Unstructured<'_>, pool: &mut Vec<Expr>) -> Result<()> {
    let a = u.choose(pool)?.clone();
    let b = u.choose(pool)?.clone();
    let c = number(u)?;
    let made = match u.int_in_range(0..=71)? {
        0 => a + b,
        1 => a - b,
        2 => a * b,
        3 => a / b,
        4 => -a,
        5 => a + c,
        6 => c * a,
        7 => a.matmul(&b),
        8 => a.dot(&b),
        9 => a.sum(),
        10 => a.transpose(),
        11 => a.trace(),
        12 => diag(&a),
        13 => a.cumsum(),
        14 => a.at([u.int_in_range(0..=2)?]),
        15 => vstack(&[a, b]),
        16 => hstack(&[a, b]),
        17 => abs(&a),
        18 => square(&a),
        19 => exp(&a),
        20 => log(&a),
        21 => sqrt(&a),
        22 => pos(&a),
        23 => neg_part(&a),
        24 => huber(&a, c),
        25 => logistic(&a),
        26 => entropy(&a),
        27 => power(&a, c),
        28 => inv_pos(&a),
        29 => norm1(&a),
        30 => norm2(&a),
        31 => norm_inf(&a),
        32 => max(&a),
        33 => min(&a),
        34 => sum_squares(&a),
        35 => log_sum_exp(&a),
        36 => quad_over_lin(&a, &b),
        37 => sum_largest(&a, u.int_in_range(0..=3)?),
        38 => sum_smallest(&a, u.int_in_range(0..=3)?),
        39 => geo_mean(&a),
        40 => quad_form(&a, &b),
        41 => maximum(&[a, b]),
        42 => minimum(&[a, b]),
        43 => rel_entr(&a, &b),
        44 => kl_div(&a, &b),
        45 => lambda_max(&a),
        46 => lambda_min(&a),
        47 => log_det(&a),
        48 => nuclear_norm(&a),
        49 => constant([N], numbers(u, N)?),
        50 => constant([N, N], numbers(u, N * N)?),
        51 => constant([], numbers(u, 1)?),
        52 => {
            let count = u.int_in_range(0..=3)?;
            constant([N], numbers(u, count)?)
        }
        53 => a.matmul(&diag(&b)),
        54 => a.slice(range(u)?),
        55 => a.slice2(range(u)?, range(u)?),
        56 => {
            let count = u.int_in_range(0..=3)?;
            let places: Vec<usize> = (0..count)
                .map(|_| u.int_in_range(0..=3))
                .collect::<Result<_>>()?;
            a.select(&places)
        }
        57 => a.row(u.int_in_range(0..=2)?),
        58 => a.column(u.int_in_range(0..=2)?),
        59 => a.at([u.int_in_range(0..=2)?, u.int_in_range(0..=2)?]),
        60 => match u.int_in_range(0..=3)? {
            0 => a.flatten(),
            1 => a.reshape([N, N]),
            2 => a.reshape([u.int_in_range(0..=4)?]),
            _ => a.reshape([u.int_in_range(0..=4)?, u.int_in_range(0..=4)?]),
        },
        61 => a.broadcast([u.int_in_range(0..=3)?]),
        62 => a.sum_axis(u.int_in_range(0..=2)?),
        63 => a.mean(),
        64 => a.diff(),
        65 => operator_norm(&a),
        66 => matrix_frac(&a, &b),
        67 => {
            let count = u.int_in_range(0..=3)?;
            weighted_geo_mean(&a, &numbers(u, count)?)
        }
        68 => {
            // As long as the argument, and often legal.
            let entries = a.shape().size();
            let weights: Vec<f64> = (0..entries)
                .map(|_| Ok([0.5, 1.0, 2.0][u.int_in_range(0..=2)?]))
                .collect::<Result<_>>()?;
            weighted_geo_mean(&a, &weights)
        }
        // Products of products would fill the memory.
        69 if a.shape().size() * b.shape().size() <= 64 => kron(&a, &b),
        70 => identity(u.int_in_range(0..=3)?),
        _ => a.clone() + a,
    };
    pool.push(made);
    Ok(())
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let mut model = Model::new();
    let x = model.variable("x", [N]);
    let y = model.variable_in("y", [N, N], Domain::Symmetric);
    let p = model.parameter("p", [N]);
    let w = model.parameter_in("w", [], Domain::Nonnegative);
    let mut pool = vec![x.clone(), y.clone(), p.clone(), w.clone()];
    for _ in 0..u.int_in_range(1..=8)? {
        grow(u, &mut pool)?;
    }
    let objective = u.choose(&pool)?.clone();
    let scalar = objective.shape().is_scalar();
    let objective = if scalar { objective } else { objective.sum() };
    let used = objective.clone();
    // A box keeps most of the problems bounded.
    let mut formulation = if u.arbitrary()? {
        model.minimize(objective)
    } else {
        model.maximize(objective)
    };
    let mut constraints: Vec<Constraint> = vec![];
    if u.ratio(3, 4)? {
        constraints.extend([x.le(2.0), x.ge(-1.0), norm2(&y).le(3.0)]);
    }
    for _ in 0..u.int_in_range(0..=2)? {
        let (a, b) = (u.choose(&pool)?.clone(), u.choose(&pool)?.clone());
        constraints.push(match u.int_in_range(0..=3)? {
            0 => a.le(b),
            1 => a.ge(b),
            2 => a.eq(b),
            _ => a.succeeds(b),
        });
    }
    formulation = formulation.subject_to_all(constraints.iter().cloned());
    if u.ratio(1, 3)? {
        formulation = formulation.route(Route::Cones);
    }
    let Choice(options) = u.arbitrary()?;
    let problem = match formulation.compile() {
        Ok(problem) => problem,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Ok(());
        }
    };
    let (of_p, of_w) = (numbers(u, 2 * N)?, numbers(u, 1)?);
    let mut given = vec![];
    for (name, _) in problem.parameters() {
        given.push(match name {
            "p" => ("p", Values::PerSample(&of_p)),
            _ => ("w", Values::Shared(&of_w)),
        });
    }
    let settings = SolveSettings {
        dense: options.quadratic,
        cones: options.cones,
    };
    let Ok(solution) = problem.solve(&given, 2, &settings) else {
        return Ok(());
    };
    for (name, _) in problem.variables() {
        let values = solution.variable(name).expect("a variable of the problem");
        for (sample, status) in solution.status().iter().enumerate() {
            let size = values.len() / 2;
            let own = &values[sample * size..(sample + 1) * size];
            assert!(
                !status.is_solved() || own.iter().all(|v| v.is_finite()),
                "{used}: {own:?}"
            );
        }
    }
    let ones: Vec<(String, Vec<f64>)> = problem
        .variables()
        .map(|(name, shape)| (name.to_owned(), vec![1.0; 2 * shape.size()]))
        .collect();
    let variables: Vec<(&str, &[f64])> = ones.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    // Every constraint once, however often it was given.
    let mut weights: Vec<(&Constraint, Vec<f64>)> = vec![];
    for constraint in &constraints {
        if u.arbitrary()? {
            let dual = solution
                .dual(constraint)
                .expect("a constraint of the problem");
            weights.push((constraint, numbers(u, dual.len())?));
        }
    }
    let duals: Vec<(Handle<'_>, &[f64])> = weights
        .iter()
        .map(|(constraint, weights)| ((*constraint).into(), &weights[..]))
        .collect();
    let cotangent = feasible_model::Cotangent {
        variables: &variables,
        duals: &duals,
    };
    let wanted: Vec<&str> = problem.parameters().map(|(name, _)| name).collect();
    // Settings out of range, and weights that are no numbers.
    let Ok(gradients) = problem.adjoint(&solution, &cotangent, &wanted, &options.adjoint) else {
        return Ok(());
    };
    for (name, gradient) in gradients.parameters() {
        assert!(
            gradient.iter().all(|v| v.is_finite()),
            "{used}: gradient of {name} {gradient:?}"
        );
    }
    let tangent = problem
        .tangent(&solution, &given, &options.adjoint)
        .expect("the parameters were directions enough to be solved with");
    let moves = problem
        .variables()
        .map(|(name, _)| tangent.variable(name))
        .chain(
            constraints
                .iter()
                .map(|constraint| tangent.dual(constraint)),
        );
    for values in moves {
        let values = values.expect("of the problem");
        assert!(values.iter().all(|v| v.is_finite()), "{used}: {values:?}");
    }
    for name in &wanted {
        let jacobian = problem
            .jacobian(&solution, "x", name, &options.adjoint)
            .map(|jacobian| jacobian.values);
        let finite = jacobian.iter().flatten().all(|v| v.is_finite());
        assert!(finite, "{used}: {jacobian:?}");
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});
