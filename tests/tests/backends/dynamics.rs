//! Instruments of training dynamics.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Tensor};
use feasible::convex::Projection;
use feasible::dynamics::{
    DifferenceSettings, EvaluationError, ExactHessian, GradientMoments, Hessian, Layout,
    LossComponents, PerSampleGradients, Rows, ScanPlan, Tangent, Threads, captured_gradients,
    jacobians, layer_gradients, per_sample_gradients, scan_module, whole,
};
use feasible::landscape::{Axes, Axis, Plane, PlaneKind, ScanOptions};
use feasible::spectrum::{Operator, Settings, Status, Wanted, eigenpairs};
use feasible::{Affine, Bounds, Violations, host};

use crate::Backend;

/// Inputs of the regression: its Hessian (2/N) XᵀX is diag(1/2, 2, 9/2).
const X: [[f64; 3]; 4] = [
    [1.0, 0.0, 0.0],
    [0.0, 2.0, 0.0],
    [0.0, 0.0, 3.0],
    [0.0, 0.0, 0.0],
];
const CURVATURE: [f64; 3] = [0.5, 2.0, 4.5];
const WEIGHTS: [f64; 3] = [1.0, -2.0, 0.5];
/// The residuals X w − y of the four samples.
const RESIDUALS: [f64; 4] = [-1.0, 0.5, 2.0, 4.0];

impl Backend {
    fn column<const R: usize>(&self, values: [f64; R]) -> Tensor<2> {
        self.matrix(values.map(|v| [v]))
    }

    /// Linear regression with known residuals: the model, the inputs and the targets.
    fn regression(&self) -> (Linear, Tensor<2>, Tensor<2>) {
        let targets = [0, 1, 2, 3].map(|i| {
            let fitted: f64 = X[i].iter().zip(WEIGHTS).map(|(x, w)| x * w).sum();
            fitted - RESIDUALS[i]
        });
        let model = Linear {
            weight: Param::from_tensor(self.column(WEIGHTS)),
            bias: None,
        };
        (model, self.matrix(X), self.column(targets))
    }

    fn numbers(&self, what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(got.len(), expected.len(), "{what}");
        for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
            let close = (got - expected).abs() <= tolerance * expected.abs().max(1.0);
            assert!(close, "{what}, entry {at}: {got} instead of {expected}");
        }
    }

    /// Rounding of gradients over the step of a central difference, the cube root of rounding: on
    /// what is quadratic nothing else is left. A thousand units of it for sums and scales.
    fn of_differences(&self) -> f64 {
        match self.dtype {
            DType::F64 => 1e-8,
            _ => 5e-3,
        }
    }

    pub(crate) fn gradients_of_components_and_samples(&self) {
        let (model, x, y) = self.regression();
        let layout = Layout::of(&model).unwrap();
        let mut components = LossComponents::new(&["fit", "decay"], |model: &Linear, part| {
            Ok(match part {
                0 => (model.forward(x.clone()) - y.clone()).square().mean(),
                _ => model.weight.val().square().sum(),
            })
        })
        .unwrap();
        let found = components.gradients(&model, &layout).unwrap();
        // (2/N) Xᵀr and 2 w.
        let fit = [-0.5, 0.5, 3.0];
        let decay = [2.0, -4.0, 1.0];
        self.numbers("of the fit", &found.gradients[0], &fit, self.tolerance);
        self.numbers("of the decay", &found.gradients[1], &decay, self.tolerance);
        // fitᵀdecay = 0.
        let cosine = found.cosines().between("fit", "decay").unwrap();
        self.numbers("cosine", &[cosine], &[0.0], self.tolerance);

        // Sample i's gradient of r² / 2 is r x.
        let rows: Vec<f64> = X
            .iter()
            .zip(RESIDUALS)
            .flat_map(|(x, r)| x.map(|x| r * x))
            .collect();
        let captured = captured_gradients(&model, &layout, |model, capture| {
            let residual = capture.linear(model, x.clone()) - y.clone();
            Ok((residual.square() * 0.5).squeeze_dim::<1>(1))
        })
        .unwrap();
        let mut gradients = PerSampleGradients::default();
        captured.per_sample(&mut gradients).unwrap();
        self.numbers("captured", gradients.rows(), &rows, self.tolerance);
        let alone = per_sample_gradients(&model, &layout, X.len(), |model, i| {
            let (x, y) = (x.clone().slice(i..i + 1), y.clone().slice(i..i + 1));
            Ok(((model.forward(x) - y).square() * 0.5).sum())
        })
        .unwrap();
        self.numbers("one by one", alone.rows(), &rows, self.tolerance);
        let moments: GradientMoments = gradients.moments();
        let mean = [-0.25, 0.25, 1.5];
        self.numbers("mean", &moments.mean(), &mean, self.tolerance);
    }

    pub(crate) fn gradients_before_and_after_a_layer(&self) {
        // The derivative of the projection onto the plane Σy = 1 takes the mean off.
        let bounds = Bounds::equal(self.matrix([[1.0]])).unwrap();
        let sum = Affine::shared(self.matrix([[1.0, 1.0, 1.0]]), bounds).unwrap();
        let raw = self.matrix([[2.0, 0.0, 1.0], [5.0, -1.0, 0.25]]);
        let weights = self.matrix([[3.0, 0.0, 0.0], [1.0, 1.0, 1.0]]);
        let project = |raw: Tensor<2>| -> Result<Tensor<2>, EvaluationError> {
            Ok(Projection::default().forward(raw, &sum)?.y)
        };
        let found = layer_gradients(raw.clone(), project, |y| Ok((y * weights).sum())).unwrap();
        self.numbers("after", &found.after, &[3.0, 3f64.sqrt()], self.tolerance);
        self.numbers("before", &found.before, &[6f64.sqrt(), 0.0], self.tolerance);
        for rows in [Rows::OnePass, Rows::AllAtOnce] {
            for jacobian in jacobians(raw.clone(), project, rows).unwrap() {
                let values = jacobian.singular_values().unwrap().unwrap();
                self.numbers(
                    "singular values",
                    &values.values,
                    &[1.0, 1.0, 0.0],
                    self.tolerance,
                );
                assert_eq!(values.numerical_rank(1e-3), 2);
                assert_eq!(values.dead_directions(1e-3), 1);
            }
        }
    }

    pub(crate) fn hessian_of_a_regression(&self) {
        let (model, x, y) = self.regression();
        let layout = Layout::of(&model).unwrap();
        let loss =
            whole(|model: &Linear| Ok((model.forward(x.clone()) - y.clone()).square().mean()));
        let mut differences =
            Hessian::new(&model, &layout, loss, DifferenceSettings::default()).unwrap();
        let mut exact = ExactHessian::new(
            &model,
            &layout,
            vec![1.0],
            |model: &Linear, direction: &Linear, _| {
                let fitted = Tangent::constant(x.clone()).linear(model, direction);
                let loss = (fitted - Tangent::constant(y.clone())).square().mean();
                Ok(loss.tangent.expect("parameters are involved"))
            },
        )
        .unwrap();
        let cases: [(&str, &mut dyn Operator, f64); 2] = [
            ("differences", &mut differences, self.of_differences()),
            ("exact", &mut exact, self.tolerance),
        ];
        for (what, operator, tolerance) in cases {
            let mut product = [0.0; 3];
            operator.apply(&[1.0; 3], &mut product).unwrap();
            self.numbers(what, &product, &CURVATURE, tolerance);
            let settings = Settings {
                tolerance,
                rounding: tolerance,
                asymmetry: tolerance,
                ..Settings::default()
            };
            let found = eigenpairs(operator, Wanted::Top(3), &settings).unwrap();
            assert_eq!(found.status, Status::Converged, "{what}");
            let values: Vec<f64> = found.pairs.iter().map(|pair| pair.value).collect();
            let [third, second, first] = CURVATURE;
            self.numbers(what, &values, &[first, second, third], tolerance);
        }
    }

    pub(crate) fn landscape_of_a_quadratic(&self) {
        #[derive(Module, Debug)]
        struct Point {
            at: Param<Tensor<1>>,
        }
        // Numbers that every precision holds exactly.
        let origin = [0.25, -0.75, 0.125];
        let point = Point {
            at: Param::from_tensor(self.vector(&origin)),
        };
        let layout = Layout::of(&point).unwrap();
        let (first, second) = (vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 1.0]);
        let plane = Plane::new(origin.to_vec(), first, second, PlaneKind::Given).unwrap();
        let axis = |half| Axis::centred(half, 3).unwrap();
        let axes = Axes::grid(axis(1.0), axis(0.5));
        let bounds = Bounds::shared(self.vector(&[-1.0]), self.vector(&[0.5])).unwrap();
        let row = Affine::shared(self.matrix([[1.0, 1.0, 1.0]]), bounds).unwrap();
        for threads in [Threads::OneRow, Threads::ManyRows] {
            let plan = ScanPlan {
                plane: &plane,
                axes: &axes,
                names: &["loss", "violation"],
                options: ScanOptions::default(),
                threads,
            };
            let found = scan_module(&point, &layout, &plan, |point: &Point| {
                let at = point.at.val();
                let loss = host::read("loss", &at.clone().square().sum())?[0];
                let violation = Violations::of(&row, at.unsqueeze()).summary(0.0)?.max;
                Ok(vec![loss, violation])
            })
            .unwrap();
            assert_eq!(found.centre_is_exact(), Some(true));
            let surface = &found.scan.surface;
            let (mut losses, mut violations) = (vec![], vec![]);
            for b in &surface.b {
                for a in &surface.a {
                    let at = [origin[0] + a, origin[1] + b, origin[2] + b];
                    let sum: f64 = at.iter().sum();
                    losses.push(at.iter().map(|v| v * v).sum());
                    violations.push((sum - 0.5).max(-1.0 - sum).max(0.0));
                }
            }
            let quantities = &surface.quantities;
            self.numbers("loss", &quantities[0].values, &losses, self.tolerance);
            self.numbers(
                "violation",
                &quantities[1].values,
                &violations,
                self.tolerance,
            );
        }
        let after = layout.flatten(&point).unwrap();
        let bits = |v: &f64| v.to_bits();
        assert!(after.iter().map(bits).eq(origin.iter().map(bits)));
    }
}
