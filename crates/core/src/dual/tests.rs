use super::*;
use crate::host::read;
use burn::tensor::{DType, Device, TensorData};

fn points() -> Tensor<2> {
    let data = TensorData::new(vec![0.3, 1.7, -0.4, 0.9, 0.6, 1.1], [2, 3]);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}

/// Every function is compared with central differences: step 1e-6 in f64, whose error is
/// about 1e-10 for these functions.
fn check(name: &str, f: impl Fn(Dual) -> Dual) {
    let y = points();
    let [batch, n] = y.dims();
    let (value, jacobian) = f(Dual::variable(y.clone())).into_parts(n);
    let plain = f(Dual::constant(y.clone())).into_value();
    assert_eq!(
        read("v", &value).unwrap(),
        read("v", &plain).unwrap(),
        "{name}"
    );
    let k = value.dims()[1];
    let jacobian = read("J", &jacobian).unwrap();
    // The columns one by one are those of all at once.
    let identity = Tensor::<2>::eye(n, &y.device()).cast(y.dtype());
    for j in 0..n {
        let direction = identity.clone().slice_dim(0, j..j + 1);
        let (_, column) = f(Dual::along(y.clone(), direction)).into_parts(1);
        for (row, got) in read("Jv", &column).unwrap().iter().enumerate() {
            let expected = jacobian[row * n + j];
            let off = (got - expected).abs();
            assert!(
                off <= 1e-15 * expected.abs().max(1.0),
                "{name}: {got} {expected}"
            );
        }
    }
    let base = read("y", &y).unwrap();
    for j in 0..n {
        let shifted = |step: f64| {
            let data = (0..batch * n)
                .map(|i| base[i] + if i % n == j { step } else { 0.0 })
                .collect::<Vec<_>>();
            let y = Tensor::from_data(TensorData::new(data, [batch, n]), (&y.device(), DType::F64));
            read("f", &f(Dual::constant(y)).into_value()).unwrap()
        };
        let (plus, minus) = (shifted(1e-6), shifted(-1e-6));
        for b in 0..batch {
            for i in 0..k {
                let difference = (plus[b * k + i] - minus[b * k + i]) / 2e-6;
                let exact = jacobian[(b * k + i) * n + j];
                assert!(
                    (difference - exact).abs() < 1e-8,
                    "{name}: sample {b}, row {i}, column {j}: {exact} against {difference}"
                );
            }
        }
    }
}

#[test]
fn every_rule_agrees_with_central_differences() {
    check("sin", Dual::sin);
    check("cos", Dual::cos);
    check("tanh", Dual::tanh);
    check("exp", Dual::exp);
    check("abs", Dual::abs);
    check("recip", Dual::recip);
    check("log", |y| (y.square() + 1.0).log());
    check("sqrt", |y| (y.square() + 1.0).sqrt());
    check("powi 3", |y| y.powi(3));
    check("powi 0", |y| y.powi(0));
    check("powi 1", |y| y.powi(1));
    check("powi -2", |y| y.powi(-2));
    check("neg, sub, div", |y| {
        -(y.clone() - y.column(0)) / (y.column(1) + 2.0)
    });
    check("numbers", |y| ((y * 3.0 - 0.5) / 4.0 + 1.0).square());
    check("a matrix and numbers", |y| (y.sum() * 3.0 - 0.5) / -4.0);
    check("dot", |y| y.clone().dot(y.sin()));
    check("cat of a constant and a broadcast", |y| {
        let one = Dual::constant(y.column(0).value().ones_like());
        Dual::cat(vec![
            one + y.clone().square().sum(),
            y.slice(1..3),
            y.column(0) * 2.0,
        ])
    });
    check("matrix", |y| {
        let matrix = Tensor::from_data(
            TensorData::new(vec![1.0, 2.0, 3.0, -1.0, 0.5, 0.0], [2, 3]),
            (&Device::flex(), DType::F64),
        );
        y.left_multiply(matrix)
    });
    check("constant plus", |y| {
        Dual::constant(y.value().ones_like()) + y.column(0)
    });
}

/// Where components stop depending on one variable each.
#[test]
fn diagonal_jacobians_become_full_ones_where_components_mix() {
    let matrix = |rows: usize, k: usize| -> Tensor<2> {
        let entries = (0..rows * k).map(|i| (1.0 + i as f64).sin()).collect();
        crate::host::write(entries, [rows, k], &Device::flex(), DType::F64)
    };
    check("two elementwise functions of all", |y| {
        y.clone().sin() * y.clone().exp() - y.square()
    });
    check("two slices at one place", |y| {
        y.slice(1..3).sin() * y.slice(1..3) + y.slice(1..3)
    });
    check("two slices at different places", |y| {
        y.slice(0..2) * y.slice(1..3).sin() - y.slice(1..3)
    });
    check("one component with another", |y| y.column(0) * y.column(2));
    check("one component with all", |y| y.column(2).sin() * y.clone());
    check("one component after all", |y| y.clone().exp() + y.column(1));
    check("a constant for every sample", |y| {
        let constant = matrix(1, 3);
        (y * constant.clone() + constant.clone()) * constant
    });
    check("one component times constants", |y| {
        y.column(1).square() * y.value().ones_like()
    });
    check("a slice of a slice", |y| {
        y.slice(1..3).square().column(1).sin()
    });
    check("the sum of a slice", |y| y.slice(1..3).square().sum());
    check("a matrix of the first", |y| {
        y.slice(0..1).sin().left_multiply(matrix(2, 1))
    });
    check("a matrix of the middle", |y| {
        y.slice(1..2).sin().left_multiply(matrix(2, 1))
    });
    check("matrices of the last, one after the other", |y| {
        let first = y.slice(1..3).square().left_multiply(matrix(4, 2));
        (first * y.column(0)).left_multiply(matrix(2, 4)).tanh()
    });
    check("the sum of a full and a diagonal one", |y| {
        y.clone().left_multiply(matrix(3, 3)) - y.square()
    });
    check("a linear function alone", |y| {
        y.left_multiply(matrix(2, 3)) * 2.0
    });
    check("the variables", |y| y);
    check("the sum of variables", |y| y.sum());
    check("a cat of diagonal ones", |y| {
        Dual::cat(vec![y.column(2).sin(), y.slice(0..2), y.sum()])
    });
    check("sums of no components", |y| {
        let none = y.slice(1..1).square();
        Dual::cat(vec![
            none.clone().sum(),
            none.clone().dot(y.slice(2..2)),
            y.column(0) + none.sum(),
        ])
    });
}

/// What the Jacobian of so many samples and components is kept as.
fn form(dual: &Dual) -> (&'static str, [usize; 2]) {
    match dual.tangent.as_ref().unwrap() {
        Tangent::Diagonal(diagonal) => ("diagonal", diagonal.slope.dims()),
        Tangent::Full(jacobian) => ("full", [jacobian.dims()[0], jacobian.dims()[1]]),
    }
}

#[test]
fn jacobians_stay_diagonal_and_shared_as_long_as_they_can() {
    let y = Dual::variable(points());
    let constant = || points().slice_dim(0, 0..1);
    let linear = (y.clone() * 2.0 - 1.0) / 3.0;
    for (dual, batch, k) in [
        (y.clone(), 1, 3),
        (linear.clone() * constant() + points(), 1, 3),
        (-linear.slice(1..3), 1, 2),
        (y.clone().sin() * y.clone().exp() - linear.clone(), 2, 3),
        (y.slice(1..3).square().column(1).tanh(), 2, 1),
        (
            y.clone() * points() + y.clone() * points().slice_dim(1, 0..1),
            2,
            3,
        ),
    ] {
        assert_eq!(form(&dual), ("diagonal", [batch, k]));
    }
    let matrix = || points().transpose();
    for (dual, batch, k) in [
        (linear.clone().left_multiply(matrix().transpose()), 1, 2),
        (linear.clone().sum(), 1, 1),
        (y.clone().square().left_multiply(matrix().transpose()), 2, 2),
        (y.column(0) + y.column(1), 1, 1),
        (y.column(0) * y.clone(), 2, 3),
    ] {
        assert_eq!(form(&dual), ("full", [batch, k]));
    }
}

#[test]
#[should_panic]
fn functions_of_different_numbers_of_variables_have_no_sum() {
    let other = points().slice_dim(1, 0..2);
    let _ = Dual::variable(points()).slice(0..2) + Dual::variable(other);
}
