//! Shapes of more entries than can be numbered are mistakes, and nothing is written down for them.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    Error, Expr, Model, Shape, constant, diag, geo_mean, hstack, identity, kron, nuclear_norm,
    operator_norm, quad_form,
};
use support::mistake;

#[test]
fn expressions_have_at_most_so_many_entries() {
    let mut model = Model::new();
    let mut next = 0;
    let mut leaf = |shape: Shape| {
        next += 1;
        model.variable(format!("x{next}"), shape)
    };
    let two = constant([2, 2], vec![1.0; 4]);
    let huge = leaf([1 << 33, 1 << 33].into());
    let vector = leaf([1 << 33].into());
    let wide = leaf([1, 1 << 31].into());
    let tall = leaf([1 << 17, 1].into());
    let lines = leaf([1, 1 << 20].into());
    let cases: Vec<Expr> = vec![
        diag(&leaf([65_536].into())),
        identity(1 << 16),
        identity(1 << 32),
        identity(usize::MAX),
        leaf([1 << 32].into()),
        huge.transpose(),
        huge.trace(),
        huge.mean(),
        huge.flatten(),
        quad_form(&vector, &huge),
        geo_mean(&vector),
        vector.cumsum(),
        kron(&two, &leaf([1 << 16, 1 << 15].into())),
        leaf(Shape::SCALAR).broadcast([1 << 32]),
        leaf(Shape::SCALAR) + &vector,
        lines.select(&[0; 4096]),
        tall.matmul(leaf([1, 1 << 17].into())),
        hstack(&[wide.clone(), wide]),
    ];
    for expr in cases {
        let found = expr.mistake();
        let Some(Error::Shape { reason, .. }) = found else {
            panic!("{expr}: {found:?}");
        };
        assert!(
            reason.contains("has more than 4294967295 entries"),
            "{expr}: {reason}"
        );
    }
    let sums = leaf([100_000].into()).cumsum();
    let message = sums.mistake().unwrap().to_string();
    assert!(
        message.contains("the sums of its shape [100000] have more than 4294967295 terms"),
        "{message}"
    );
    assert!(diag(&leaf([1000].into())).mistake().is_none());
}

#[test]
fn leaves_together_have_at_most_so_many() {
    let half = [1 << 31];
    let mut model = Model::new();
    let (x, y) = (model.variable("x", half), model.variable("y", half));
    let z = model.variable("z", []);
    let message = mistake(model.minimize(&z).subject_to(x.le(&y)));
    assert!(
        message
            .contains("`y`: with its shape [2147483648] the variables have more than 4294967295"),
        "{message}"
    );
}

#[test]
fn matrices_of_a_form_have_at_most_so_many() {
    let mut model = Model::new();
    let row = model.variable("row", [1, 70_000]);
    for norm in [operator_norm(&row), nuclear_norm(&row)] {
        let message = mistake(model.minimize(norm));
        assert!(
            message.contains("its semidefinite matrix has 70001 rows"),
            "{message}"
        );
    }
}
