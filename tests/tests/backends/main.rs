//! The same list of layer checks on every backend, in every precision it has. Each check has a
//! closed form, so that no backend is only compared with another.

mod convex;
mod dynamics;
mod least_squares;
mod outcomes;
mod repair;
mod unreachable;

use burn::tensor::{DType, Device, Tensor, TensorData};
use feasible::convex::Projection;
use feasible::{Affine, Bounds, Constraints, SoftPenalty, Stacked, Violations, host};
use std::sync::Arc;

/// A backend under test.
struct Backend {
    device: Device,
    dtype: DType,
    /// What rounding leaves: layers compute in f64, tensors between them in `dtype`.
    tolerance: f64,
}

impl Backend {
    fn f64(device: Device) -> Self {
        Self {
            device: device.autodiff(),
            dtype: DType::F64,
            tolerance: 1e-9,
        }
    }

    /// Two hundred units of f32 rounding.
    fn f32(device: Device) -> Self {
        Self {
            device: device.autodiff(),
            dtype: DType::F32,
            tolerance: 2e-5,
        }
    }

    fn vector(&self, values: &[f64]) -> Tensor<1> {
        host::write(values.to_vec(), [values.len()], &self.device, self.dtype)
    }

    fn matrix<const R: usize, const C: usize>(&self, values: [[f64; C]; R]) -> Tensor<2> {
        let data = TensorData::new(values.concat(), [R, C]).convert_dtype(self.dtype);
        Tensor::from_data(data, (&self.device, self.dtype))
    }

    fn same<const D: usize>(&self, what: &str, tensor: &Tensor<D>, expected: &[f64]) {
        assert_eq!(
            tensor.dtype(),
            self.dtype,
            "{what}: a layer keeps the precision of its input"
        );
        let got = host::read("result", tensor).unwrap();
        assert_eq!(got.len(), expected.len(), "{what}");
        for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
            let close = (got - expected).abs() <= self.tolerance * expected.abs().max(1.0);
            assert!(close, "{what}, entry {at}: {got} instead of {expected}");
        }
    }

    fn run(&self) {
        self.penalty_and_violations();
        self.projection_on_the_simplex();
        self.quadratic_program_with_every_gradient();
        self.quadratic_program_with_dense_matrices_and_an_active_row();
        self.projection_on_the_ball();
        self.quadratic_rows_with_every_gradient();
        self.cone_program_with_every_gradient();
        self.model_with_every_gradient();
        self.projection_on_stacked_rows();
        self.relaxed_projection();
        self.samples_without_a_solution();
        self.forward_derivatives();
        self.conflicts_and_relaxed_samples();
        self.kinks_by_option();
        self.warm_starts();
        self.semidefinite_cone();
        self.conic_samples_without_a_solution();
        self.least_squares_that_cannot_be_met();
        self.numbers_that_are_none();
        self.no_samples_and_no_rows();
        self.repair_of_affine_rows();
        self.repair_of_a_circle_by_both_paths();
        self.repair_with_infinite_bounds_and_relaxation();
        self.least_squares_by_both_backward_modes();
        self.objective_of_named_costs();
        self.repair_in_closed_form();
        self.repair_by_completion();
        self.repair_by_splitting();
        self.repair_by_quasi_newton_steps();
        self.repair_along_rays();
        self.repair_with_clamped_and_inexact_steps();
        self.repairs_of_bad_numbers();
        self.repairs_of_sets_without_a_point();
        self.repairs_where_rows_have_no_value();
        self.objectives_without_a_value();
        self.gradients_of_components_and_samples();
        self.gradients_before_and_after_a_layer();
        self.hessian_of_a_regression();
        self.landscape_of_a_quadratic();
    }

    fn penalty_and_violations(&self) {
        let bounds = Bounds::shared(
            self.vector(&[0.0, f64::NEG_INFINITY]),
            self.vector(&[1.0, 1.0]),
        )
        .unwrap();
        let constraints = Affine::shared(self.matrix([[1.0, 0.0], [0.0, 1.0]]), bounds).unwrap();
        let y = self
            .matrix([[4.0, 5.0], [-3.0, -9.0], [0.5, 0.5]])
            .require_grad();
        let summary = Violations::of(&constraints, y.clone())
            .summary(1e-6)
            .unwrap();
        assert_eq!(
            (summary.max, summary.lower_max, summary.infeasible_samples),
            (4.0, 3.0, 2)
        );
        let penalty = SoftPenalty::default()
            .components(&constraints, y.clone())
            .total();
        self.same("penalty", &penalty, &[50.0, 30.0, 0.0]);
        let gradients = penalty.sum().backward();
        self.same(
            "penalty gradient",
            &y.grad(&gradients).unwrap(),
            &[6.0, 8.0, -10.0, 0.0, 0.0, 0.0],
        );
    }

    fn numbers_that_are_none(&self) {
        let bounds = Bounds::shared(self.vector(&[0.0]), self.vector(&[1.0])).unwrap();
        let row = Affine::shared(self.matrix([[1.0, 1.0]]), bounds).unwrap();
        let y = self.matrix([[0.25, 0.25], [f64::NAN, 0.0]]);
        let summary = Violations::of(&row, y.clone()).summary(1e-6).unwrap();
        assert_eq!(summary.infeasible_samples, 1, "a NaN is never feasible");
        let message = Projection::default()
            .forward(y.clone(), &row)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("y_hat") && message.contains("NaN"),
            "{message}"
        );
        let message = self.snarenet(0.0).forward(y, &row, None).unwrap_err();
        assert!(message.to_string().contains("NaN"), "{message}");
        let crossed = Bounds::shared(self.vector(&[2.0]), self.vector(&[1.0]));
        assert!(crossed.unwrap_err().to_string().contains("row 0"));
    }

    fn no_samples_and_no_rows(&self) {
        let empty = |rows: usize, columns: usize| -> Tensor<2> {
            host::write(vec![], [rows, columns], &self.device, self.dtype)
        };
        let nothing = || Bounds::shared(self.vector(&[]), self.vector(&[])).unwrap();
        let none = Affine::shared(empty(0, 2), nothing()).unwrap();
        let one = Affine::shared(
            self.matrix([[1.0, 0.0]]),
            Bounds::at_most(self.matrix([[1.0]])).unwrap(),
        )
        .unwrap();
        let set = Stacked::new(vec![Arc::new(none.clone()), Arc::new(one)]).unwrap();
        let raw = self.matrix([[3.0, 4.0]]).require_grad();
        let projected = Projection::default().forward(raw.clone(), &set).unwrap();
        self.same("one row of two parts", &projected.y, &[1.0, 4.0]);
        let projected = Projection::default().forward(raw.clone(), &none).unwrap();
        self.same("no rows", &projected.y, &[3.0, 4.0]);
        for constraints in [&none as &dyn Constraints, &set] {
            let raw = empty(0, 2);
            let repaired = self.snarenet(0.0).forward(raw.clone(), constraints, None);
            assert_eq!(repaired.unwrap().y.dims(), [0, 2]);
            let projected = Projection::default().forward(raw, constraints).unwrap();
            assert_eq!(projected.y.dims(), [0, 2]);
        }
    }
}

/// Without the feature a backend's tests are silently absent: the test command says which it means
/// to run.
#[test]
fn every_backend_asked_for_is_in_this_build() {
    let asked = std::env::var("FEASIBLE_TEST_BACKENDS").unwrap_or_default();
    for backend in asked.split_whitespace() {
        let built = [
            ("flex", cfg!(feature = "flex")),
            ("ndarray", cfg!(feature = "ndarray")),
            ("wgpu", cfg!(feature = "wgpu")),
        ];
        assert!(
            built.contains(&(backend, true)),
            "feasible-tests was built without {backend}"
        );
    }
}

#[cfg(feature = "flex")]
#[test]
fn flex_f64() {
    Backend::f64(Device::flex()).run();
}

#[cfg(feature = "flex")]
#[test]
fn flex_f32() {
    Backend::f32(Device::flex()).run();
}

#[cfg(feature = "ndarray")]
#[test]
#[allow(deprecated, reason = "deprecated upstream and still supported here")]
fn ndarray_f64() {
    Backend::f64(Device::ndarray()).run();
}

#[cfg(feature = "ndarray")]
#[test]
#[allow(deprecated, reason = "deprecated upstream and still supported here")]
fn ndarray_f32() {
    Backend::f32(Device::ndarray()).run();
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu_f32() {
    Backend::f32(Device::wgpu(Default::default())).run();
}
