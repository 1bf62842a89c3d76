//! Nonlinear least squares: over tensors and of named costs.

use burn::tensor::Tensor;
use feasible::Dual;
use feasible::nls::least_squares::{
    Builder, LinearCost, Manifold, Numbers, Robust, Source, Weight,
};
use feasible::nls::{
    Backward, FunctionResidual, LevenbergMarquardt, ObjectiveLayer, ObjectiveTensors, Settings,
};

use crate::Backend;

impl Backend {
    /// r = (y² − θ)/√θ: y = √θ, dy/dθ = 1/(2√θ).
    pub(crate) fn least_squares_by_both_backward_modes(&self) {
        for backward in [Backward::Unrolled, Backward::Implicit] {
            let theta = self.matrix([[4.0], [9.0]]).require_grad();
            let residual = FunctionResidual::with_parameters(
                1,
                1,
                vec![theta.clone()],
                |y: Dual, theta: &[Tensor<2>]| {
                    (y.square() - theta[0].clone()) / theta[0].clone().sqrt()
                },
            );
            let settings = Settings {
                backward,
                residual_tolerance: self.tolerance * 0.1,
                ..Settings::default()
            };
            let solution = LevenbergMarquardt::new(settings)
                .unwrap()
                .solve(&residual, self.matrix([[1.0], [2.0]]))
                .unwrap();
            self.same("root", &solution.y, &[2.0, 3.0]);
            let gradients = solution.y.sum().backward();
            self.same(
                "root gradient",
                &theta.grad(&gradients).unwrap(),
                &[0.25, 1.0 / 6.0],
            );
        }
    }

    /// A fit of one number to two measurements of unlike trust: their weighted mean, whose derivative by
    /// a measurement is its share, and by a weight w_i is 2 w_i (m_i − x)/Σ w².
    pub(crate) fn objective_of_named_costs(&self) {
        let mut objective = Builder::new();
        let level = objective.variable("level", Manifold::Vector(1)).unwrap();
        let measured = objective.auxiliary("measured", 2).unwrap();
        let trust = objective.auxiliary("trust", 2).unwrap();
        let weight = Weight::Diagonal(Source::Auxiliary(trust));
        let both = LinearCost::new(2, 1, [1.0, 1.0], Numbers::Auxiliary(2));
        objective
            .cost("both", both, &[level], &[measured], weight, Robust::None)
            .unwrap();
        let layer = ObjectiveLayer::new(objective.build().unwrap(), Default::default()).unwrap();
        let measured = self.matrix([[1.0, 4.0], [-2.0, 3.0]]).require_grad();
        let trust = self.matrix([[1.0, 2.0]]).require_grad();
        let inputs = |measured: Tensor<2>| {
            ObjectiveTensors::new()
                .start("level", self.matrix([[0.0]]))
                .auxiliary("measured", measured)
                .auxiliary("trust", trust.clone())
        };
        let solution = layer.solve(&inputs(measured.clone())).unwrap();
        let x = solution.variable("level").unwrap();
        self.same("weighted mean", &x, &[3.4, 2.0]);
        let gradients = x.sum().backward();
        let by_measured = measured.grad(&gradients).unwrap();
        self.same("shares", &by_measured, &[0.2, 0.8, 0.2, 0.8]);
        // (1 − 3.4 − 2 − 2) 2/5 and (4 − 3.4 + 3 − 2) 4/5, summed over the samples.
        let by_trust = trust.grad(&gradients).unwrap();
        self.same("trust", &by_trust, &[-2.56, 1.28]);

        let bad = self.matrix([[1.0, f64::NAN], [-2.0, 3.0]]);
        let message = layer.solve(&inputs(bad)).unwrap_err().to_string();
        assert!(
            message.contains("measured") && message.contains("NaN"),
            "{message}"
        );
        let wide = self.matrix([[1.0, 4.0, 0.0]]);
        let message = layer.solve(&inputs(wide)).unwrap_err().to_string();
        assert!(
            message.contains("measured") && message.contains("[1, 3]"),
            "{message}"
        );
    }
}
