//! What a sparse solve leaves behind is no proof that the Hessian at its end is regular: cotangents that do
//! not touch what is singular or not positive in it are told all the same.

mod common;

use common::{plain, tight};
use feasible_least_squares::{
    AutoCost, Builder, Damping, GradientQuality, Gradients, Inputs, LevenbergMarquardt, Linear,
    Manifold, Objective, Real, Residual, Robust, Settings, Step, Stopping, Values, VariableId,
    Weight,
};

/// y − x − θ, or x − θ of one variable.
struct Link;

impl Residual for Link {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        out[0] = variables[0][0] - auxiliaries[0][0];
        if let Some(from) = variables.get(1) {
            out[0] -= from[0];
        }
    }
}

/// (x² − 1, x/2): stationary at 0, where its Gauss-Newton Hessian is ¼ and its Hessian −7/4.
struct Saddle;

impl Residual for Saddle {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        let x = variables[0][0];
        out[0] = x * x - 1.0;
        out[1] = x * 0.5;
    }
}

struct Problem {
    objective: Objective,
    variables: Vec<VariableId>,
}

impl Problem {
    /// `links` from the first variable to the second, or to nothing.
    fn new(size: usize, links: &[(usize, Option<usize>, f64)], saddle: bool) -> Self {
        let mut builder = Builder::new();
        let variables: Vec<_> = (0..size)
            .map(|i| {
                let name = format!("x{i}");
                builder.variable(&name, Manifold::Vector(1)).unwrap()
            })
            .collect();
        let theta = builder.auxiliary("theta", 1).unwrap();
        for (i, (to, from, weight)) in links.iter().enumerate() {
            let ends: Vec<_> = std::iter::once(to).chain(from).collect();
            let ends: Vec<_> = ends.into_iter().map(|i| variables[*i]).collect();
            let weight = Weight::scale(*weight);
            let (name, cost) = (format!("link {i}"), AutoCost::new(Link));
            builder
                .cost(&name, cost, &ends, &[theta], weight, Robust::None)
                .unwrap();
        }
        if saddle {
            let last = &variables[size - 1..];
            plain(&mut builder, "saddle", AutoCost::new(Saddle), last, &[]);
        }
        Self {
            objective: builder.build().unwrap(),
            variables,
        }
    }

    /// The derivative of the solution by θ = 0.3 towards `v`.
    fn gradients(&self, v: &[f64], settings: &Settings) -> Gradients {
        let mut inputs = Inputs::new(&self.objective, 1);
        // The last begins, and in a saddle stays, at zero.
        let last = v.len() - 1;
        let starts: Vec<_> = (0..=last)
            .map(|i| [(1.7 * (last - i) as f64).sin()])
            .collect();
        for (id, start) in self.variables.iter().zip(&starts) {
            inputs = inputs.start(*id, Values::Shared(start));
        }
        let id = self.objective.auxiliary("theta").unwrap();
        inputs = inputs.auxiliary(id, Values::Shared(&[0.3]));
        let solution = self.objective.solve(&inputs, settings).unwrap();
        self.objective.vjp(&inputs, &solution, v).unwrap()
    }
}

/// A chain of all but the last variable, held by a weak prior on its first.
fn chain(size: usize) -> Vec<(usize, Option<usize>, f64)> {
    let links = (1..size - 1).map(|i| (i, Some(i - 1), 1.0));
    links.chain([(0, None, 0.1)]).collect()
}

fn same(a: &[f64], b: &[f64], within: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= within)
}

/// Enough variables for `Linear::Auto` to be sparse.
const SIZE: usize = 70;

#[test]
fn a_saddle_apart_from_the_cotangent_is_degenerate() {
    let problem = Problem::new(SIZE, &chain(SIZE), true);
    let mut v = vec![0.0; SIZE];
    for (i, v) in v[..SIZE - 1].iter_mut().enumerate() {
        *v = (2.3 * i as f64).cos();
    }
    let by = |linear| problem.gradients(&v, &tight(linear));
    let (dense, sparse) = (by(Linear::DenseCholesky), by(Linear::Auto));
    assert_eq!(dense.quality, [GradientQuality::Degenerate]);
    assert_eq!(sparse.quality, [GradientQuality::Degenerate]);
    // Sums of 70 numbers of up to 70 and of order one, of a matrix of condition 1e5.
    assert!(same(&dense.auxiliaries, &sparse.auxiliaries, 1e-7));
}

/// One variable in the middle, linked to all others, and nothing that ties them down.
fn star(size: usize) -> Vec<(usize, Option<usize>, f64)> {
    (1..size).map(|i| (i, Some(0), 1.0)).collect()
}

#[test]
fn a_null_space_apart_from_the_cotangent_is_degenerate() {
    let problem = Problem::new(SIZE, &star(SIZE), false);
    let mut v = vec![0.0; SIZE];
    (v[1], v[2]) = (1.0, -1.0);
    let damped = |damping, max_iterations| {
        let settings = Settings {
            max_iterations,
            step: Step::LevenbergMarquardt(LevenbergMarquardt {
                damping,
                initial: 1e-2,
                ..LevenbergMarquardt::default()
            }),
            // Rounding of numbers of order one.
            stopping: Stopping {
                gradient: 1e-12,
                ..Stopping::default()
            },
            ..Settings::default()
        };
        problem.gradients(&v, &settings).quality[0]
    };
    assert_eq!(damped(Damping::Fixed, 100), GradientQuality::Degenerate);
    // Two iterations by whatever rule have hardly taken the damping away.
    assert_eq!(damped(Damping::default(), 2), GradientQuality::Degenerate);
}
