//! Problems and differences that several test files share.
#![allow(dead_code)]

use feasible_least_squares::{
    AnalyticCost, AutoCost, AuxiliaryId, Backward, Builder, Cost, Damping, Dogleg, Inputs,
    LevenbergMarquardt, Linear, Manifold, Objective, Real, Residual, Robust, Settings, Shape, Step,
    Stopping, Values, VariableId, Weight,
};

/// Rows sin(x₀ tᵢ + y₁) x₁ + exp(−0.3 y₀ tᵢ) y₂ + 0.1 x₀² − θᵢ, tᵢ = (i + 1)/rows: not affine in anything
/// but θ, and not to be fitted exactly by five numbers.
pub(crate) struct Curve(pub(crate) usize);

impl Residual for Curve {
    fn rows(&self) -> usize {
        self.0
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, y, theta) = (variables[0], variables[1], auxiliaries[0]);
        for (i, out) in out.iter_mut().enumerate() {
            let t = (i + 1) as f64 / self.0 as f64;
            let wave = (x[0] * t + y[1]).sin() * x[1];
            let decay = (y[0] * (-0.3 * t)).exp() * y[2];
            *out = wave + decay + x[0] * x[0] * 0.1 - theta[i] * x[1].powi(2) * 0.1 - theta[i];
        }
    }
}

/// Rows (z − θ) elementwise.
pub(crate) struct Pull(pub(crate) usize);

impl Residual for Pull {
    fn rows(&self) -> usize {
        self.0
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = variables[0][i] - auxiliaries[0][i];
        }
    }
}

/// A problem with every kind of input, and numbers for one sample.
pub(crate) struct Example {
    pub(crate) objective: Objective,
    pub(crate) variables: Vec<(VariableId, Vec<f64>)>,
    pub(crate) auxiliaries: Vec<(AuxiliaryId, Vec<f64>)>,
}

impl Example {
    pub(crate) fn inputs(&self) -> Inputs<'_> {
        let mut inputs = Inputs::new(&self.objective, 1);
        for (id, values) in &self.variables {
            inputs = inputs.start(*id, Values::Shared(values));
        }
        for (id, values) in &self.auxiliaries {
            inputs = inputs.auxiliary(*id, Values::Shared(values));
        }
        inputs
    }

    /// The numbers of all auxiliaries, one after another.
    pub(crate) fn theta(&self) -> Vec<f64> {
        self.auxiliaries
            .iter()
            .flat_map(|(_, v)| v.clone())
            .collect()
    }

    pub(crate) fn set_theta(&mut self, theta: &[f64]) {
        let mut rest = theta;
        for (_, values) in &mut self.auxiliaries {
            let (here, next) = rest.split_at(values.len());
            values.copy_from_slice(here);
            rest = next;
        }
    }

    pub(crate) fn start(&self) -> Vec<f64> {
        self.variables.iter().flat_map(|(_, v)| v.clone()).collect()
    }

    pub(crate) fn set_start(&mut self, start: &[f64]) {
        let mut rest = start;
        for (_, values) in &mut self.variables {
            let (here, next) = rest.split_at(values.len());
            values.copy_from_slice(here);
            rest = next;
        }
    }
}

/// Two variables, three costs, weights of every kind, one robust loss. Residuals far from zero.
pub(crate) fn example(robust: Robust) -> Example {
    let mut builder = Builder::new();
    let x = builder
        .variable("x", feasible_least_squares::Manifold::Vector(2))
        .unwrap();
    let y = builder
        .variable("y", feasible_least_squares::Manifold::Vector(3))
        .unwrap();
    let data = builder.auxiliary("data", 9).unwrap();
    let to_x = builder.auxiliary("to x", 2).unwrap();
    let to_y = builder.auxiliary("to y", 3).unwrap();
    let root = builder.auxiliary("root", 4).unwrap();
    let diagonal = builder.auxiliary("diagonal", 3).unwrap();
    let scale = builder.auxiliary("scale", 1).unwrap();
    builder
        .cost(
            "curve",
            AutoCost::new(Curve(9)),
            &[x, y],
            &[data],
            Weight::scale(scale),
            robust,
        )
        .unwrap();
    builder
        .cost(
            "pull x",
            AutoCost::new(Pull(2)),
            &[x],
            &[to_x],
            Weight::square_root(root),
            Robust::Huber { scale: 0.3 },
        )
        .unwrap();
    builder
        .cost(
            "pull y",
            AutoCost::new(Pull(3)),
            &[y],
            &[to_y],
            Weight::diagonal(diagonal),
            Robust::None,
        )
        .unwrap();
    Example {
        objective: builder.build().unwrap(),
        variables: vec![(x, vec![0.7, 1.1]), (y, vec![0.2, -0.4, 0.6])],
        auxiliaries: vec![
            (data, vec![0.9, -0.2, 0.5, 1.4, 0.3, -0.6, 0.8, 1.9, 0.1]),
            (to_x, vec![1.2, 0.4]),
            (to_y, vec![-0.3, 0.5, 0.9]),
            (root, vec![0.5, 0.2, -0.1, 0.6]),
            (diagonal, vec![0.6, 0.7, 0.4]),
            (scale, vec![0.8]),
        ],
    }
}

/// Settings that iterate to rounding.
pub(crate) fn tight(linear: Linear) -> Settings {
    Settings {
        max_iterations: 500,
        linear,
        stopping: Stopping {
            gradient: 1e-13,
            cost: 0.0,
            step: 1e-15,
        },
        ..Settings::default()
    }
}

/// From one step of central differences to the next.
pub(crate) const SHRINK: f64 = 1.6;

/// What central differences tend to as their step, each 1/[`SHRINK`] of the one before, goes to zero: by Ridders'
/// extrapolation, which finds the steps that balance truncation and rounding by itself.
pub(crate) fn extrapolated(central: impl IntoIterator<Item = f64>) -> f64 {
    let (mut last, mut best, mut error) = (Vec::<f64>::new(), f64::NAN, f64::INFINITY);
    for slope in central {
        let mut row = vec![slope];
        for j in 0..last.len() {
            let factor = SHRINK.powi(2 * (j as i32 + 1));
            let next = (factor * row[j] - last[j]) / (factor - 1.0);
            let change = f64::max((next - row[j]).abs(), (next - last[j]).abs());
            if change <= error {
                (best, error) = (next, change);
            }
            row.push(next);
        }
        last = row;
    }
    best
}

/// The derivative of a function of many numbers by one of them, by [`extrapolated`] central differences.
pub(crate) fn difference(
    at: &[f64],
    index: usize,
    h: f64,
    mut f: impl FnMut(&[f64]) -> f64,
) -> f64 {
    let mut moved = at.to_vec();
    extrapolated((0..9).map(|k| {
        let h = h / SHRINK.powi(k);
        moved[index] = at[index] + h;
        let high = f(&moved);
        moved[index] = at[index] - h;
        (high - f(&moved)) / (2.0 * h)
    }))
}

/// A fixed number of iterations, whatever they come to, so that differences see what reverse mode sees.
pub(crate) fn few(step: Step, iterations: usize, backward: Backward) -> Settings {
    Settings {
        step,
        max_iterations: iterations,
        stopping: Stopping {
            gradient: 0.0,
            cost: 0.0,
            step: 0.0,
        },
        backward,
        ..Settings::default()
    }
}

/// sin(x₀ θ₀) + x₁ and x₀ x₁ θ₁, with a Jacobian by hand.
pub(crate) fn sine_and_product() -> AnalyticCost {
    AnalyticCost::new(
        2,
        |at, out| {
            let (x, a) = (at.variables[0], at.auxiliaries[0]);
            out[0] = (x[0] * a[0]).sin() + x[1];
            out[1] = x[0] * x[1] * a[1];
        },
        |at, out| {
            let (x, a) = (at.variables[0], at.auxiliaries[0]);
            out[0] = a[0] * (x[0] * a[0]).cos();
            out[1] = 1.0;
            out[2] = x[1] * a[1];
            out[3] = x[0] * a[1];
        },
    )
}

/// Every linear solver, on problems small enough for all.
pub(crate) fn solvers() -> [Linear; 5] {
    [
        Linear::Auto,
        Linear::DenseCholesky,
        Linear::DenseQr,
        Linear::SparseCholesky,
        Linear::ConjugateGradient {
            tolerance: 1e-15,
            max_iterations: 200,
        },
    ]
}

/// Adds a cost without weight or robust loss.
pub(crate) fn plain(
    builder: &mut Builder,
    name: &str,
    cost: impl Cost + 'static,
    variables: &[VariableId],
    auxiliaries: &[AuxiliaryId],
) {
    builder
        .cost(
            name,
            cost,
            variables,
            auxiliaries,
            Weight::Identity,
            Robust::None,
        )
        .unwrap();
}

/// The objective of one residual in one vector of `n` numbers.
pub(crate) fn alone(residual: impl Residual + 'static, n: usize) -> (Objective, VariableId) {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(n)).unwrap();
    plain(&mut builder, "f", AutoCost::new(residual), &[x], &[]);
    (builder.build().unwrap(), x)
}

pub(crate) struct Rosenbrock;

impl Residual for Rosenbrock {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        let (x, y) = (variables[0][0], variables[0][1]);
        out[0] = (y - x * x) * 10.0;
        out[1] = T::constant(1.0) - x;
    }
}

pub(crate) fn steps() -> Vec<Step> {
    let lm = LevenbergMarquardt::default();
    vec![
        Step::LevenbergMarquardt(lm),
        Step::LevenbergMarquardt(LevenbergMarquardt {
            damping: Damping::Nielsen,
            ..lm
        }),
        Step::LevenbergMarquardt(LevenbergMarquardt {
            shape: Shape::ELLIPSOIDAL,
            ..lm
        }),
        Step::Dogleg(Dogleg::default()),
    ]
}
