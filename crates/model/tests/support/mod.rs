//! Random numbers, and gradients against central differences.
#![allow(dead_code, unreachable_pub, missing_docs)]

use feasible_model::{
    AdjointSettings, CompiledProblem, Cotangent, Formulation, GradientQuality, Gradients, Handle,
    Solution, SolveSettings, Values,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn normal(rng: &mut impl Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

pub fn uniform(rng: &mut impl Rng, low: f64, high: f64, count: usize) -> Vec<f64> {
    let range = Uniform::new(low, high).unwrap();
    (0..count).map(|_| range.sample(rng)).collect()
}

/// A positive definite matrix.
pub fn definite(rng: &mut impl Rng, n: usize) -> Vec<f64> {
    let f = normal(rng, n * n);
    let mut m = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            m[i * n + j] = (0..n).map(|k| f[i * n + k] * f[j * n + k]).sum::<f64>() / n as f64;
        }
        m[i * n + i] += 0.5;
    }
    m
}

/// One parameter's values.
#[derive(Clone, Debug)]
pub struct Input {
    pub name: &'static str,
    pub shared: bool,
    /// Order of a symmetric matrix whose mirrored entries move together.
    pub symmetric: Option<usize>,
    pub data: Vec<f64>,
}

pub fn shared(name: &'static str, data: Vec<f64>) -> Input {
    Input {
        name,
        shared: true,
        symmetric: None,
        data,
    }
}

pub fn each(name: &'static str, data: Vec<f64>) -> Input {
    Input {
        name,
        shared: false,
        symmetric: None,
        data,
    }
}

impl Input {
    fn values(&self) -> Values<'_> {
        if self.shared {
            Values::Shared(&self.data)
        } else {
            Values::PerSample(&self.data)
        }
    }

    pub fn symmetric(self, order: usize) -> Input {
        Input {
            symmetric: Some(order),
            ..self
        }
    }
}

pub fn values(inputs: &[Input]) -> Vec<(&str, Values<'_>)> {
    inputs
        .iter()
        .map(|input| (input.name, input.values()))
        .collect()
}

pub fn compiled(formulation: Formulation) -> CompiledProblem {
    formulation.compile().unwrap()
}

/// What compiling says is wrong.
pub fn mistake(formulation: Formulation) -> String {
    formulation.compile().unwrap_err().to_string()
}

/// What solving says is wrong.
pub fn refused(problem: &CompiledProblem, inputs: &[Input], batch: usize) -> String {
    let solution = problem.solve(&values(inputs), batch, &SolveSettings::default());
    solution.unwrap_err().to_string()
}

pub fn solved(problem: &CompiledProblem, inputs: &[Input], batch: usize) -> Solution {
    let solution = problem
        .solve(&values(inputs), batch, &SolveSettings::default())
        .unwrap();
    assert!(solution.all_solved(), "{:?}", solution.status());
    solution
}

pub fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!(
            (x - y).abs() <= tolerance * (1.0 + y.abs()),
            "entry {i}: {x} and {y}"
        );
    }
}

/// The gradients of `Σ weight·variable + Σ weight·dual`.
pub fn gradients(
    problem: &CompiledProblem,
    solution: &Solution,
    inputs: &[Input],
    variables: &[(&str, &[f64])],
    duals: &[(Handle<'_>, &[f64])],
) -> Gradients {
    let wanted: Vec<&str> = inputs.iter().map(|input| input.name).collect();
    let cotangent = Cotangent { variables, duals };
    problem
        .adjoint(solution, &cotangent, &wanted, &AdjointSettings::default())
        .unwrap()
}

/// Step of the central differences: solutions are exact to about 1e-12, so the quotient is to about
/// 1e-7, and the truncation of second order is below that.
const STEP: f64 = 1e-5;

/// Compares every parameter's gradient with central differences, entry by entry, for random weights
/// on the variables and duals named. All samples must be exact.
pub fn against_differences(
    problem: &CompiledProblem,
    inputs: &[Input],
    batch: usize,
    variables: &[&str],
    duals: &[&str],
    seed: u64,
) {
    against_differences_within(problem, inputs, batch, variables, duals, seed, 2e-6);
}

pub fn against_differences_within(
    problem: &CompiledProblem,
    inputs: &[Input],
    batch: usize,
    variables: &[&str],
    duals: &[&str],
    seed: u64,
    tolerance: f64,
) {
    let mut rng = rng(seed);
    let solution = solved(problem, inputs, batch);
    let weights: Vec<Vec<f64>> = variables
        .iter()
        .map(|name| normal(&mut rng, solution.variable(name).unwrap().len()))
        .collect();
    let dual_weights: Vec<Vec<f64>> = duals
        .iter()
        .map(|name| normal(&mut rng, solution.dual(*name).unwrap().len()))
        .collect();
    let on_variables: Vec<(&str, &[f64])> = variables
        .iter()
        .zip(&weights)
        .map(|(n, w)| (*n, &w[..]))
        .collect();
    let on_duals: Vec<(Handle<'_>, &[f64])> = duals
        .iter()
        .zip(&dual_weights)
        .map(|(n, w)| (Handle::Name(n), &w[..]))
        .collect();
    let gradients = gradients(problem, &solution, inputs, &on_variables, &on_duals);
    for (i, report) in gradients.reports.iter().enumerate() {
        assert_eq!(
            report.quality,
            GradientQuality::Exact,
            "sample {i}: {report:?}"
        );
    }
    forwards(
        problem,
        &solution,
        inputs,
        &on_variables,
        &on_duals,
        &mut rng,
    );
    along_differences(problem, &solution, inputs, variables, duals, &mut rng);
    let loss = |inputs: &[Input]| -> f64 {
        let solution = solved(problem, inputs, batch);
        let of = |w: &[f64], v: &[f64]| w.iter().zip(v).map(|(w, v)| w * v).sum::<f64>();
        let x: f64 = on_variables
            .iter()
            .map(|(n, w)| of(w, solution.variable(n).unwrap()))
            .sum();
        let z: f64 = on_duals
            .iter()
            .map(|(n, w)| of(w, &solution.dual(*n).unwrap()))
            .sum();
        x + z
    };
    for (k, input) in inputs.iter().enumerate() {
        let gradient = gradients.parameter(input.name).unwrap();
        for at in 0..input.data.len() {
            let mirrored = input.symmetric.map(|n| {
                let (copy, i, j) = (at / (n * n), at % (n * n) / n, at % n);
                copy * n * n + j * n + i
            });
            if mirrored.is_some_and(|other| other < at) {
                continue;
            }
            let moved = |by: f64| {
                let mut inputs = inputs.to_vec();
                inputs[k].data[at] += by;
                if let Some(other) = mirrored.filter(|other| *other != at) {
                    inputs[k].data[other] += by;
                }
                loss(&inputs)
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let own = match mirrored {
                Some(other) if other != at => gradient[at] + gradient[other],
                _ => gradient[at],
            };
            assert!(
                (own - difference).abs() <= tolerance * (1.0 + difference.abs()),
                "{}[{at}]: gradient {own}, difference {difference}",
                input.name
            );
        }
    }
}

/// Forwards and backwards differ by the rounding of two solves with one matrix, whose condition the
/// tests keep below about 1e6.
const TRANSPOSED: f64 = 1e-9;

/// Directions in the layouts of the inputs; mirrored entries move together.
pub fn directions(inputs: &[Input], rng: &mut impl Rng) -> Vec<Input> {
    let random = |input: &Input| {
        let mut data = normal(rng, input.data.len());
        if let Some(n) = input.symmetric {
            for copy in data.chunks_exact_mut(n * n) {
                for at in 0..n * n {
                    copy[at] = copy[at / n + at % n * n];
                }
            }
        }
        Input {
            data,
            ..input.clone()
        }
    };
    inputs.iter().map(random).collect()
}

/// Tangents along a random direction of all parameters against differences, number by number. All
/// samples must be exact. Returns the largest relative error.
///
/// Four points, so that the truncation is of fourth order; solutions are exact to about 1e-12, and
/// their quotients to about 1e-7.
pub fn along_differences(
    problem: &CompiledProblem,
    solution: &Solution,
    inputs: &[Input],
    variables: &[&str],
    duals: &[&str],
    rng: &mut impl Rng,
) -> f64 {
    let batch = solution.batch();
    let moved = directions(inputs, rng);
    let settings = AdjointSettings::default();
    let tangent = problem
        .tangent(solution, &values(&moved), &settings)
        .unwrap();
    for report in &tangent.reports {
        assert_eq!(report.quality, GradientQuality::Exact, "{report:?}");
    }
    let all = |solution: &Solution| -> Vec<f64> {
        let x = variables
            .iter()
            .map(|name| solution.variable(name).unwrap().to_vec());
        let duals = duals.iter().map(|name| solution.dual(*name).unwrap());
        x.chain(duals).flatten().collect()
    };
    let at = |by: f64| {
        let mut inputs = inputs.to_vec();
        for (input, moved) in inputs.iter_mut().zip(&moved) {
            for (v, d) in input.data.iter_mut().zip(&moved.data) {
                *v += by * d;
            }
        }
        all(&solved(problem, &inputs, batch))
    };
    let slopes = |step: f64| -> Vec<f64> {
        let (above, below) = (at(step), at(-step));
        let pairs = above.iter().zip(&below);
        pairs.map(|(a, b)| (a - b) / (2.0 * step)).collect()
    };
    let (near, far) = (slopes(STEP), slopes(2.0 * STEP));
    let x = variables.iter().map(|name| tangent.variable(name).unwrap());
    let z = duals.iter().map(|name| tangent.dual(*name).unwrap());
    let got: Vec<f64> = x.chain(z).flatten().copied().collect();
    let mut worst = 0.0f64;
    for (at, got) in got.iter().enumerate() {
        let expected = (4.0 * near[at] - far[at]) / 3.0;
        let error = (got - expected).abs() / (1.0 + expected.abs());
        assert!(
            error <= 1e-6,
            "number {at} moves by {got}, difference {expected}"
        );
        worst = worst.max(error);
    }
    worst
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Tangents and Jacobians as transposes of the adjoint: `⟨w, J d⟩ = ⟨Jᵀw, d⟩` for a random direction
/// of all parameters, and `Jᵀw` number by number. Returns the largest relative difference.
pub fn forwards(
    problem: &CompiledProblem,
    solution: &Solution,
    inputs: &[Input],
    variables: &[(&str, &[f64])],
    duals: &[(Handle<'_>, &[f64])],
    rng: &mut impl Rng,
) -> f64 {
    let settings = AdjointSettings::default();
    let moved = directions(inputs, rng);
    let tangent = problem
        .tangent(solution, &values(&moved), &settings)
        .unwrap();
    let gradients_of = gradients(problem, solution, inputs, variables, duals);
    for (forward, backward) in tangent.reports.iter().zip(&gradients_of.reports) {
        assert_eq!(forward.quality, backward.quality);
    }
    let of_variables: Vec<f64> = variables
        .iter()
        .map(|(name, w)| dot(w, tangent.variable(name).unwrap()))
        .collect();
    let of_duals: Vec<f64> = duals
        .iter()
        .map(|(handle, w)| dot(w, tangent.dual(*handle).unwrap()))
        .collect();
    let of_parameters: Vec<f64> = moved
        .iter()
        .map(|input| dot(gradients_of.parameter(input.name).unwrap(), &input.data))
        .collect();
    let left: f64 = of_variables.iter().chain(&of_duals).sum();
    let right: f64 = of_parameters.iter().sum();
    let all = of_variables.iter().chain(&of_duals).chain(&of_parameters);
    let size = 1.0 + all.fold(0.0f64, |m, v| m.max(v.abs()));
    let mut worst = (left - right).abs() / size;
    assert!(
        worst <= TRANSPOSED,
        "forwards {left}, backwards {right}, of numbers as large as {size}"
    );

    for input in inputs {
        let mut sum = vec![0.0; gradients_of.parameter(input.name).unwrap().len()];
        let of_variables = variables.iter().map(|(name, w)| {
            let jacobian = problem.jacobian(solution, name, input.name, &settings);
            (jacobian.unwrap(), *w)
        });
        let of_duals = duals.iter().map(|(handle, w)| {
            let jacobian = problem.dual_jacobian(solution, *handle, input.name, &settings);
            (jacobian.unwrap(), *w)
        });
        for (jacobian, w) in of_variables.chain(of_duals) {
            let (rows, columns) = (jacobian.rows, jacobian.columns);
            assert_eq!(jacobian.values.len(), w.len() * columns);
            assert_eq!(rows * jacobian.reports.len(), w.len());
            if columns == 0 {
                continue;
            }
            let lines = jacobian.values.chunks_exact(columns).zip(w);
            for (line, (values, w)) in lines.enumerate() {
                let start = if input.shared {
                    0
                } else {
                    line / rows * columns
                };
                for (sum, v) in sum[start..start + columns].iter_mut().zip(values) {
                    *sum += w * v;
                }
            }
        }
        let expected = gradients_of.parameter(input.name).unwrap();
        let size = 1.0 + expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (at, (sum, expected)) in sum.iter().zip(expected).enumerate() {
            let error = (sum - expected).abs() / size;
            worst = worst.max(error);
            assert!(
                error <= TRANSPOSED,
                "{}[{at}]: {sum} by the Jacobian, {expected} by the adjoint",
                input.name
            );
        }
    }
    worst
}

/// exp y over its sum.
pub fn softmax(y: &[f64]) -> Vec<f64> {
    let e: Vec<f64> = y.iter().map(|v| v.exp()).collect();
    let total: f64 = e.iter().sum();
    e.iter().map(|v| v / total).collect()
}

/// `M⁻¹ rhs` by Gaussian elimination with row pivots, `M` `[n, n]`.
pub fn eliminate(m: &[f64], rhs: &[f64]) -> Vec<f64> {
    let n = rhs.len();
    assert_eq!(m.len(), n * n);
    let mut lines: Vec<Vec<f64>> = m
        .chunks_exact(n)
        .zip(rhs)
        .map(|(line, b)| [line, &[*b]].concat())
        .collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|&a, &b| lines[a][k].abs().total_cmp(&lines[b][k].abs()));
        lines.swap(k, pivot.unwrap());
        let (above, below) = lines.split_at_mut(k + 1);
        let line = &above[k];
        assert!(line[k] != 0.0, "a singular matrix");
        for other in below {
            let f = other[k] / line[k];
            other.iter_mut().zip(line).for_each(|(o, v)| *o -= f * v);
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let rest: f64 = (k + 1..n).map(|j| lines[k][j] * x[j]).sum();
        x[k] = (lines[k][n] - rest) / lines[k][k];
    }
    x
}

/// `(x, y)` with `H x + Eᵀy = r`, `E x = s`: the optimality system of rows `E` `[k, n]` that hold.
pub fn saddle(h: &[f64], e: &[f64], r: &[f64], s: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (n, k) = (r.len(), s.len());
    let size = n + k;
    let mut m = vec![0.0; size * size];
    for i in 0..n {
        m[i * size..i * size + n].copy_from_slice(&h[i * n..(i + 1) * n]);
    }
    for row in 0..k {
        for j in 0..n {
            m[(n + row) * size + j] = e[row * n + j];
            m[j * size + n + row] = e[row * n + j];
        }
    }
    let mut x = eliminate(&m, &[r, s].concat());
    let y = x.split_off(n);
    (x, y)
}

/// The mean of a matrix and its transpose.
pub fn symmetric_part(m: &[f64], n: usize) -> Vec<f64> {
    (0..n * n)
        .map(|at| 0.5 * (m[at] + m[at % n * n + at / n]))
        .collect()
}
