//! Curvature and sign of expressions, and what the rules refuse.
#![allow(missing_docs)]

use feasible_model::Curvature::{Affine, Concave, Constant, Convex, Unknown};
use feasible_model::Sign::{Nonnegative, Nonpositive, Zero};
use feasible_model::{
    Curvature, Domain, Error, Expr, Model, Sign, abs, constant, diag, entropy, exp, geo_mean,
    hstack, huber, identity, inv_pos, kl_div, kron, lambda_max, lambda_min, log, log_det,
    log_sum_exp, logistic, matrix_frac, max, maximum, min, minimum, neg_part, norm_inf, norm1,
    norm2, nuclear_norm, operator_norm, pos, power, quad_form, quad_over_lin, rel_entr, sqrt,
    square, sum_largest, sum_smallest, sum_squares, vstack,
};

const UNKNOWN_SIGN: Sign = Sign::Unknown;

struct Leaves {
    model: Model,
    x: Expr,
    s: Expr,
    pos: Expr,
    neg: Expr,
    mat: Expr,
    psd: Expr,
    p: Expr,
    q: Expr,
    lambda: Expr,
    mu: Expr,
    f: Expr,
    sigma: Expr,
}

fn leaves() -> Leaves {
    let mut model = Model::new();
    Leaves {
        x: model.variable("x", [3]),
        s: model.variable("s", []),
        pos: model.variable_in("pos", [3], Domain::Nonnegative),
        neg: model.variable_in("neg", [3], Domain::Nonpositive),
        mat: model.variable("mat", [3, 3]),
        psd: model.variable_in("psd", [3, 3], Domain::Semidefinite),
        p: model.parameter("p", [3]),
        q: model.parameter("q", [3]),
        lambda: model.parameter_in("lambda", [], Domain::Nonnegative),
        mu: model.parameter_in("mu", [], Domain::Nonpositive),
        f: model.parameter("f", [3, 3]),
        sigma: model.parameter_in("sigma", [3, 3], Domain::Semidefinite),
        model,
    }
}

#[test]
fn curvature_and_sign() {
    let Leaves {
        x,
        s,
        pos: xp,
        neg: xn,
        mat,
        psd,
        p,
        lambda,
        mu,
        f,
        sigma,
        ..
    } = leaves();
    let two = constant([3], vec![1.0, 2.0, 3.0]);
    let mixed = constant([3], vec![1.0, -2.0, 3.0]);
    let definite = constant([3, 3], vec![2., 1., 0., 1., 2., 0., 0., 0., 1.]);
    let indefinite = constant([3, 3], vec![0., 1., 0., 1., 0., 0., 0., 0., 1.]);
    let table: Vec<(Expr, Curvature, Sign)> = vec![
        // Leaves and affine operations.
        (Expr::from(2.0), Constant, Nonnegative),
        (Expr::from(0.0), Constant, Zero),
        (mixed.clone(), Constant, UNKNOWN_SIGN),
        (exp(&two) - 100.0, Constant, Nonpositive),
        (x.clone(), Affine, UNKNOWN_SIGN),
        (xp.clone(), Affine, Nonnegative),
        (xn.clone(), Affine, Nonpositive),
        (-&xp, Affine, Nonpositive),
        (p.clone(), Affine, UNKNOWN_SIGN),
        (lambda.clone(), Affine, Nonnegative),
        (&x + &p, Affine, UNKNOWN_SIGN),
        (&xp + &two, Affine, Nonnegative),
        (&xp - &xn, Affine, Nonnegative),
        (2.0 * &xp, Affine, Nonnegative),
        (-2.0 * &xp, Affine, Nonpositive),
        (&xp / 4.0, Affine, Nonnegative),
        (&xp / -4.0, Affine, Nonpositive),
        (&lambda * &xp, Affine, Nonnegative),
        (&mu * &xp, Affine, Nonpositive),
        (&p * &x, Affine, UNKNOWN_SIGN),
        (f.matmul(&x), Affine, UNKNOWN_SIGN),
        (two.matmul(&xp), Affine, Nonnegative),
        (mat.trace(), Affine, UNKNOWN_SIGN),
        (diag(&xp), Affine, Nonnegative),
        (diag(&mat), Affine, UNKNOWN_SIGN),
        (xp.sum(), Affine, Nonnegative),
        (xp.mean(), Affine, Nonnegative),
        (xp.cumsum(), Affine, Nonnegative),
        (xp.diff(), Affine, UNKNOWN_SIGN),
        (mat.transpose(), Affine, UNKNOWN_SIGN),
        (vstack(&[xp.clone(), xn.clone()]), Affine, UNKNOWN_SIGN),
        (hstack(&[xp.clone(), xp.clone()]), Affine, Nonnegative),
        (kron(&identity(2), &mat), Affine, UNKNOWN_SIGN),
        (&x * 0.0, Affine, Zero),
        // Atoms of affine arguments.
        (abs(&x), Convex, Nonnegative),
        (pos(&x), Convex, Nonnegative),
        (neg_part(&x), Convex, Nonnegative),
        (square(&x), Convex, Nonnegative),
        (sqrt(&x), Concave, Nonnegative),
        (inv_pos(&x), Convex, Nonnegative),
        (exp(&x), Convex, Nonnegative),
        (log(&x), Concave, UNKNOWN_SIGN),
        (entropy(&x), Concave, UNKNOWN_SIGN),
        (logistic(&x), Convex, Nonnegative),
        (huber(&x, 1.0), Convex, Nonnegative),
        (power(&x, 3.0), Convex, Nonnegative),
        (power(&x, 4.0), Convex, Nonnegative),
        (power(&x, 0.3), Concave, Nonnegative),
        (power(&x, -0.3), Convex, Nonnegative),
        (power(&x, 1.0), Affine, UNKNOWN_SIGN),
        (power(&x, 0.0), Constant, Nonnegative),
        (norm1(&x), Convex, Nonnegative),
        (norm2(&x), Convex, Nonnegative),
        (norm_inf(&x), Convex, Nonnegative),
        (sum_squares(&x), Convex, Nonnegative),
        (max(&x), Convex, UNKNOWN_SIGN),
        (max(&xp), Convex, Nonnegative),
        (min(&xn), Concave, Nonpositive),
        (maximum(&[x.clone(), Expr::from(0.0)]), Convex, Nonnegative),
        (minimum(&[x.clone(), Expr::from(0.0)]), Concave, Nonpositive),
        (sum_largest(&x, 2), Convex, UNKNOWN_SIGN),
        (sum_smallest(&x, 2), Concave, UNKNOWN_SIGN),
        (log_sum_exp(&x), Convex, UNKNOWN_SIGN),
        (rel_entr(&x, &xp), Convex, UNKNOWN_SIGN),
        (kl_div(&x, &xp), Convex, Nonnegative),
        (geo_mean(&x), Concave, Nonnegative),
        (quad_over_lin(&x, &s), Convex, Nonnegative),
        (quad_form(&x, &definite), Convex, Nonnegative),
        (quad_form(&x, &-&definite), Concave, Nonpositive),
        (quad_form(&x, &indefinite), Unknown, UNKNOWN_SIGN),
        (quad_form(&x, &sigma), Convex, Nonnegative),
        (
            quad_form(&x, &(2.0 * &sigma + &definite)),
            Convex,
            Nonnegative,
        ),
        (quad_form(&x, &-&sigma), Concave, Nonpositive),
        (quad_form(&x, &f), Unknown, UNKNOWN_SIGN),
        (matrix_frac(&x, &psd), Convex, Nonnegative),
        (lambda_max(&mat), Convex, UNKNOWN_SIGN),
        (lambda_min(&mat), Concave, UNKNOWN_SIGN),
        (log_det(&mat), Concave, UNKNOWN_SIGN),
        (nuclear_norm(&mat), Convex, Nonnegative),
        (operator_norm(&mat), Convex, Nonnegative),
        // Composition.
        (-norm1(&x), Concave, Nonpositive),
        (&lambda * norm1(&x), Convex, Nonnegative),
        (&mu * norm1(&x), Concave, Nonpositive),
        (&p.at([0]) * norm1(&x), Unknown, UNKNOWN_SIGN),
        (exp(&square(&x)), Convex, Nonnegative),
        (square(&exp(&x)), Convex, Nonnegative),
        (square(&square(&x)), Convex, Nonnegative),
        (square(&x.sum()), Convex, Nonnegative),
        (square(&log(&x)), Unknown, Nonnegative),
        (log(&sqrt(&x)), Concave, UNKNOWN_SIGN),
        (log(&square(&x)), Unknown, UNKNOWN_SIGN),
        (sqrt(&geo_mean(&x)), Concave, Nonnegative),
        (inv_pos(&sqrt(&x)), Convex, Nonnegative),
        (inv_pos(&square(&x)), Unknown, Nonnegative),
        (neg_part(&log(&x)), Convex, Nonnegative),
        (abs(&exp(&x)), Convex, Nonnegative),
        (norm2(&square(&x)), Convex, Nonnegative),
        (norm2(&log(&x)), Unknown, Nonnegative),
        (max(&vstack(&[norm1(&x), norm2(&x)])), Convex, Nonnegative),
        (min(&vstack(&[sqrt(&s), log(&s)])), Concave, UNKNOWN_SIGN),
        (power(&square(&x), 3.0), Convex, Nonnegative),
        (power(&exp(&x), 1.5), Convex, Nonnegative),
        (power(&max(&x), 3.0), Unknown, Nonnegative),
        (quad_over_lin(&x, &sqrt(&s)), Convex, Nonnegative),
        (quad_over_lin(&x, &square(&s)), Unknown, Nonnegative),
        (log_sum_exp(&square(&x)), Convex, UNKNOWN_SIGN),
        (logistic(&-log(&x)), Convex, Nonnegative),
        (norm1(&x) + square(&s) - log(&s), Convex, UNKNOWN_SIGN),
        (norm1(&x) - square(&s), Unknown, UNKNOWN_SIGN),
        (square(&x).sum(), Convex, Nonnegative),
        (square(&x).diff(), Unknown, UNKNOWN_SIGN),
        (square(&x).cumsum(), Convex, Nonnegative),
        (two.dot(square(&x)), Convex, Nonnegative),
        (mixed.dot(square(&x)), Unknown, UNKNOWN_SIGN),
        (&x * &x, Unknown, UNKNOWN_SIGN),
        (kl_div(&square(&x), &xp), Unknown, Nonnegative),
        (rel_entr(&xp, &sqrt(&xp)), Convex, UNKNOWN_SIGN),
    ];
    assert!(table.len() > 100);
    for (expr, curvature, sign) in &table {
        assert_eq!(expr.curvature(), *curvature, "curvature of {expr}");
        assert_eq!(expr.sign(), *sign, "sign of {expr}");
        assert_eq!(expr.mistake().is_some(), *curvature == Unknown, "{expr}");
    }
}

/// Products and atoms of parameters.
#[test]
fn parametrised_rule() {
    let Leaves {
        model,
        x,
        s,
        p,
        q,
        lambda,
        f,
        sigma,
        ..
    } = leaves();
    let accepted = [
        sum_squares(f.matmul(&x) - &p),
        &lambda * sum_squares(f.matmul(&x) - &p),
        &lambda * norm1(&(f.matmul(&x) - &p)),
        sum_squares(&p * &x + &q),
        (2.0 * &p + &q).dot(&x) + square(&s),
        square(&(&p - &x)).sum(),
        f.matmul(f.transpose().matmul(constant([3], vec![1.0; 3])))
            .sum()
            * 0.0
            + square(&s)
            - &lambda * &s,
        quad_form(&(&x - &p), &sigma),
        quad_form(&x, &sigma) + &lambda * sum_squares(&x),
        quad_form(&f.matmul(&x), &sigma),
        exp(&(&p * &x)).sum(),
        norm2(&(&lambda * &x)),
        norm1(&p) + square(&s),
        max(&(f.matmul(&x) + &p)),
    ];
    // The seventh has a product of two parameters: it must not be taken for granted.
    let refused_among: Vec<usize> = accepted
        .iter()
        .enumerate()
        .filter(|(_, e)| model.minimize(*e).compile().is_err())
        .map(|(i, _)| i)
        .collect();
    assert_eq!(refused_among, [6]);

    let refused: [(Expr, &str); 9] = [
        (p.dot(&q) + square(&s), "p * q"),
        (&lambda * &lambda * square(&s), "lambda * lambda"),
        ((&p * (&q * &x)).sum() + square(&s), "p * (q * x)"),
        (f.matmul(f.matmul(&x)).sum() + square(&s), "f @ (f @ x)"),
        (
            &lambda * (p.dot(&x) + &s) + square(&s),
            "lambda * (sum(p * x) + s)",
        ),
        (
            &lambda * quad_form(&x, &sigma),
            "lambda * quad_form(x, sigma)",
        ),
        ((&x / &lambda).sum() + square(&s), "x / lambda"),
        ((exp(&p) * &x).sum() + square(&s), "exp(p) * x"),
        (&lambda * kl_div(&x, &p).sum(), "lambda * sum(kl_div(x, p))"),
    ];
    for (expr, text) in refused {
        let error = model.minimize(&expr).compile().unwrap_err();
        assert!(
            matches!(error, Error::Parametrisation { .. }),
            "{expr}: {error:?}"
        );
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// Every message names the part that is wrong, what is wrong and what to do.
#[test]
fn messages() {
    let Leaves {
        mut model,
        x,
        s,
        pos: xp,
        mat,
        p,
        lambda,
        f,
        ..
    } = leaves();
    let wide = constant([2, 3], vec![1.0; 6]);
    let minimised: Vec<(Expr, &[&str])> = vec![
        // Shapes.
        (
            wide.matmul(constant([2], vec![1.0; 2])).sum(),
            &["constant[2, 3] @ [1, 1]", "[2, 3] and [2]"],
        ),
        (
            (&x + constant([2], vec![1.0; 2])).sum(),
            &["`x + [1, 1]`", "[3] and [2]", "scalar"],
        ),
        ((&mat * &x).sum(), &["`mat * x`", "[3, 3] and [3]"]),
        (mat.matmul(&wide).sum(), &["mat @ constant[2, 3]"]),
        (x.at([3]), &["`x[3]`", "outside of [3]"]),
        (x.slice(1..5).sum(), &["`x[1..5]`", "outside"]),
        (mat.row(7).sum(), &["`mat[7, ..]`"]),
        (x.reshape([2, 2]).sum(), &["`reshape(x, [2, 2])`", "[3]"]),
        (x.trace(), &["`trace(x)`", "[n, n]"]),
        (mat.sum_axis(2).sum(), &["sum_axis(mat, 2)", "axis 2"]),
        (vstack(&[]).sum(), &["vstack()", "no parts"]),
        (
            vstack(&[mat.clone(), wide.slice2(0..2, 0..2)]).sum(),
            &["vstack", "3 and 2 columns"],
        ),
        (
            quad_form(&x, &wide),
            &["quad_form(x, constant[2, 3])", "[n, n]"],
        ),
        (lambda_max(&wide), &["lambda_max(constant[2, 3])"]),
        (
            constant([2], vec![1.0]).sum() + &s,
            &["must hold 2 numbers"],
        ),
        // Arguments.
        (
            constant([2], vec![1.0, f64::NAN]).sum() + &s,
            &["NaN at entry 1"],
        ),
        (huber(&x, -1.0).sum(), &["`huber(x, -1)`", "positive"]),
        (
            sum_largest(&x, 4),
            &["`sum_largest(x, 4)`", "between 1 and", "3"],
        ),
        (power(&x, f64::INFINITY).sum(), &["power(x, inf)", "finite"]),
        (&s / 0.0, &["`s / 0`", "zero"]),
        // Curvature.
        (
            square(&s) + norm2(&log(&x)),
            &[
                "`norm2(log(x))`",
                "neither rises nor falls",
                "affine",
                "`log(x)` is concave",
            ],
        ),
        (
            sqrt(&s) + sum_squares(&x),
            &[
                "`sqrt(s) + sum_squares(x)`",
                "`sum_squares(x)`",
                "`sqrt(s)`",
            ],
        ),
        ((&x * &x).sum(), &["`x * x`", "both factors", "square"]),
        (
            &p.at([0]) * norm1(&x),
            &["`p[0] * norm1(x)`", "unknown sign", "declare"],
        ),
        (
            quad_form(&x, &f),
            &["`quad_form(x, f)`", "Domain::Semidefinite"],
        ),
        (power(&max(&x), 3.0) + &s, &["`power(max(x), 3)`"]),
        (
            log(&xp).sum(),
            &["minimise `sum(log(pos))`", "concave but must be convex"],
        ),
        (x.clone(), &["minimise `x`", "shape is [3] but must be []"]),
        (lambda.clone(), &["no variables"]),
    ];
    for (expr, texts) in &minimised {
        let message = model.minimize(expr).compile().unwrap_err().to_string();
        for text in *texts {
            assert!(message.contains(text), "`{text}` is not in: {message}");
        }
    }
    let error = model.maximize(norm1(&x)).compile().unwrap_err().to_string();
    assert!(error.contains("maximise `norm1(x)`") && error.contains("concave"));

    let constrained = [
        (
            sqrt(&x).le(1.0),
            "`sqrt(x) <= 1`",
            "smaller side must be convex",
        ),
        (
            square(&x).ge(1.0),
            "`square(x) >= 1`",
            "larger side must be concave",
        ),
        (norm2(&x).eq(1.0), "`norm2(x) == 1`", "must be affine"),
        (
            x.le(constant([2], vec![0.0; 2])),
            "`x <= [0, 0]`",
            "[3] and [2]",
        ),
        (x.succeeds(0.0), "`x ⪰ 0`", "square"),
        (diag(&square(&x)).succeeds(0.0), "⪰", "affine"),
        (x.le(norm1(&x)), "`x <= norm1(x)`", "concave"),
    ];
    for (constraint, text, rule) in constrained {
        let error = model
            .minimize(sum_squares(&x))
            .subject_to(&constraint)
            .compile();
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains(text) && message.contains(rule),
            "{message}"
        );
    }

    let named = x.ge(0.0).named("floor");
    let twice = model
        .minimize(sum_squares(&x))
        .subject_to(&named)
        .subject_to(x.le(1.0).named("floor"));
    assert!(matches!(twice.compile(), Err(Error::DuplicateName { .. })));
    let other = Model::new().minimize(sum_squares(&x)).compile();
    assert!(matches!(other, Err(Error::ForeignLeaf { .. })));
    model.parameter("x", [2]);
    let error = model.minimize(sum_squares(&x)).compile().unwrap_err();
    assert!(matches!(error, Error::DuplicateName { .. }) && error.to_string().contains("`x`"));
}

#[test]
fn expressions_are_readable() {
    let Leaves { x, s, f, p, .. } = leaves();
    let cases = [
        (
            sum_squares(f.matmul(&x) - &p) + 0.1 * norm1(&x),
            "sum_squares(f @ x - p) + 0.1 * norm1(x)",
        ),
        (-(&x + &p) * 2.0, "-(x + p) * 2"),
        (&x - (&p - &x), "x - (p - x)"),
        (2.0 * (&s + 1.0), "2 * (s + 1)"),
        (&s / 2.0 / 3.0, "s / 2 / 3"),
        (&s * (&s / 2.0), "s * (s / 2)"),
        ((&x + &p).at([1]), "(x + p)[1]"),
        (x.slice(0..2).sum(), "sum(x[0..2])"),
        (&s * -2.0, "s * -2"),
    ];
    for (expr, text) in cases {
        assert_eq!(expr.to_string(), text);
    }
    // Long and deep expressions are cut, and neither overflow the stack nor take long.
    let mut deep = s.clone();
    for _ in 0..200_000 {
        deep = deep + 1.0;
    }
    assert!(deep.to_string().len() < 300);
    assert_eq!(deep.value(&[("s", &[1.0])]).unwrap(), [200_001.0]);
}
