//! Expressions evaluated at numbers.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    Error, Expr, Model, abs, constant, diag, entropy, exp, geo_mean, hstack, huber, identity,
    inv_pos, kl_div, kron, lambda_max, lambda_min, log, log_det, log_sum_exp, logistic,
    matrix_frac, max, maximum, min, minimum, neg_part, norm_inf, norm1, norm2, nuclear_norm,
    operator_norm, pos, power, quad_form, quad_over_lin, rel_entr, sqrt, square, sum_largest,
    sum_smallest, sum_squares, vstack, weighted_geo_mean,
};
use support::close;

const INF: f64 = f64::INFINITY;

fn check(table: Vec<(Expr, Vec<f64>)>, values: &[(&str, &[f64])]) {
    for (expr, expected) in table {
        let got = expr.value(values).unwrap();
        assert_eq!(got.len(), expr.shape().size(), "{expr}");
        for (a, b) in got.iter().zip(&expected) {
            let same = a == b || (a - b).abs() <= 1e-13 * (1.0 + b.abs());
            assert!(same, "{expr}: {got:?}, not {expected:?}");
        }
    }
}

#[test]
fn affine_operations() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let m = model.parameter("m", [2, 3]);
    let s = model.parameter("s", [2, 2]);
    let table = vec![
        (&x + 1.0, vec![2., 3., 4.]),
        (2.0 - &x, vec![1., 0., -1.]),
        (&x * &x, vec![1., 4., 9.]),
        (&x / 2.0, vec![0.5, 1.0, 1.5]),
        (-&x, vec![-1., -2., -3.]),
        (m.matmul(&x), vec![14., 32.]),
        (x.matmul(m.transpose()), vec![14., 32.]),
        (x.matmul(&x), vec![14.]),
        (m.matmul(m.transpose()), vec![14., 32., 32., 77.]),
        (x.dot(&x), vec![14.]),
        (m.sum(), vec![21.]),
        (m.mean(), vec![3.5]),
        (m.sum_axis(0), vec![5., 7., 9.]),
        (m.sum_axis(1), vec![6., 15.]),
        (m.transpose(), vec![1., 4., 2., 5., 3., 6.]),
        (m.reshape([3, 2]).row(1), vec![3., 4.]),
        (m.flatten().at([4]), vec![5.]),
        (m.at([1, 2]), vec![6.]),
        (m.column(1), vec![2., 5.]),
        (m.slice(1..2), vec![4., 5., 6.]),
        (m.slice2(0..2, 1..3), vec![2., 3., 5., 6.]),
        (x.slice(1..3), vec![2., 3.]),
        (x.select(&[2, 0, 2]), vec![3., 1., 3.]),
        (m.select(&[1]), vec![4., 5., 6.]),
        (s.trace(), vec![5.]),
        (diag(&s), vec![1., 4.]),
        (diag(&x.slice(0..2)), vec![1., 0., 0., 2.]),
        (x.cumsum(), vec![1., 3., 6.]),
        (m.cumsum(), vec![1., 2., 3., 5., 7., 9.]),
        (x.diff(), vec![1., 1.]),
        (m.diff(), vec![3., 3., 3.]),
        (
            vstack(&[m.clone(), x.clone()]),
            vec![1., 2., 3., 4., 5., 6., 1., 2., 3.],
        ),
        (
            hstack(&[m.slice2(0..2, 0..1), s.clone()]),
            vec![1., 1., 2., 4., 3., 4.],
        ),
        (hstack(&[x.clone(), Expr::from(9.0)]), vec![1., 2., 3., 9.]),
        (kron(&identity(2), &s).row(2), vec![0., 0., 1., 2.]),
        (
            kron(&constant([1, 2], vec![2., -1.]), &s),
            vec![2., 4., -1., -2., 6., 8., -3., -4.],
        ),
        (x.at([1]).broadcast([2, 2]), vec![2.; 4]),
        ([x.at([0]), x.at([2])].into_iter().sum(), vec![4.]),
    ];
    let values: [(&str, &[f64]); 3] = [
        ("x", &[1., 2., 3.]),
        ("m", &[1., 2., 3., 4., 5., 6.]),
        ("s", &[1., 2., 3., 4.]),
    ];
    check(table, &values);
}

#[test]
fn atoms_inside_and_outside_their_domains() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let s = model.variable("s", [2, 2]);
    let one = 1f64;
    let table = vec![
        (abs(&x), vec![1., 0., 2.]),
        (pos(&x), vec![0., 0., 2.]),
        (neg_part(&x), vec![1., 0., 0.]),
        (square(&x), vec![1., 0., 4.]),
        (sqrt(&x), vec![-INF, 0., 2f64.sqrt()]),
        (inv_pos(&x), vec![INF, INF, 0.5]),
        (exp(&x), vec![(-one).exp(), 1., 2f64.exp()]),
        (log(&x), vec![-INF, -INF, 2f64.ln()]),
        (entropy(&x), vec![-INF, 0., -2. * 2f64.ln()]),
        (logistic(&(&x * 1000.0)), vec![0., 2f64.ln(), 2000.]),
        (huber(&x, 0.5), vec![0.75, 0., 1.75]),
        (power(&x, 3.0), vec![INF, 0., 8.]),
        (power(&x, 4.0), vec![1., 0., 16.]),
        (power(&x, 0.25), vec![-INF, 0., 2f64.powf(0.25)]),
        (power(&x, -2.0), vec![INF, INF, 0.25]),
        (power(&x, 0.0), vec![1., 1., 1.]),
        (
            rel_entr(&x, &Expr::from(1.0)),
            vec![INF, 0., 2. * 2f64.ln()],
        ),
        (
            kl_div(&x, &Expr::from(1.0)),
            vec![INF, 1., 2. * 2f64.ln() - 1.],
        ),
        (rel_entr(&Expr::from(1.0), &x), vec![INF, INF, -2f64.ln()]),
        (maximum(&[x.clone(), Expr::from(0.5)]), vec![0.5, 0.5, 2.]),
        (minimum(&[x.clone(), Expr::from(0.5)]), vec![-1., 0., 0.5]),
        (max(&x), vec![2.]),
        (min(&x), vec![-1.]),
        (norm1(&x), vec![3.]),
        (norm2(&x), vec![5f64.sqrt()]),
        (norm_inf(&x), vec![2.]),
        (sum_squares(&x), vec![5.]),
        (sum_largest(&x, 2), vec![2.]),
        (sum_smallest(&x, 2), vec![-1.]),
        (log_sum_exp(&(&x * 1000.0)), vec![2000.]),
        (log_sum_exp(&inv_pos(&x)), vec![INF]),
        (quad_form(&x, &identity(3)), vec![5.]),
        (quad_over_lin(&x, &x.at([2])), vec![2.5]),
        (quad_over_lin(&x, &x.at([0])), vec![INF]),
        (geo_mean(&pos(&(&x + 2.0))), vec![8f64.cbrt()]),
        (geo_mean(&x), vec![-INF]),
        (
            weighted_geo_mean(&(&x + 2.0), &[1., 1., 2.]),
            vec![2f64.powf(0.25) * 2.],
        ),
        (lambda_max(&s), vec![3.]),
        (lambda_min(&s), vec![1.]),
        (log_det(&s), vec![3f64.ln()]),
        (log_det(&-&s), vec![-INF]),
        (nuclear_norm(&s), vec![4.]),
        (operator_norm(&s), vec![3.]),
        (matrix_frac(&x.slice(1..3), &s), vec![8. / 3.]),
        (matrix_frac(&x.slice(1..3), &-&s), vec![INF]),
    ];
    check(table, &[("x", &[-1., 0., 2.]), ("s", &[2., 1., 1., 2.])]);
}

#[test]
fn missing_and_wrong_values_are_named() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    assert!(matches!(
        norm2(&x).value(&[]),
        Err(Error::UnknownName { .. })
    ));
    let short = norm2(&x).value(&[("x", &[1.0])]);
    assert!(matches!(
        short,
        Err(Error::Length {
            got: 1,
            expected: 3,
            ..
        })
    ));
    assert!(matches!(
        x.at([5]).value(&[("x", &[1.0; 3])]),
        Err(Error::Shape { .. })
    ));
    let constraint = x.le(1.0);
    close(
        &[constraint.violation_at(&[("x", &[0.0, 1.5, 3.0])]).unwrap()],
        &[2.0],
        0.0,
    );
    let matrix = model.variable("m", [2, 2]);
    let violation = matrix
        .succeeds(0.0)
        .violation_at(&[("m", &[1.0, 2.0, 2.0, 1.0])]);
    close(&[violation.unwrap()], &[1.0], 1e-14);
}
