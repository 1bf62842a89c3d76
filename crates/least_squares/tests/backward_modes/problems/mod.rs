//! Problems of every kind for the backward modes, with several samples each, and their normal equations
//! assembled a second time.

mod deficient;
mod groups;
mod vectors;

use std::sync::{Arc, Mutex};

use feasible_least_squares::{
    AnalyticCost, AutoCost, AuxiliaryId, Between, Builder, Clipped, Control, Cost, Difference,
    Inputs, LinearCost, Manifold, Numbers, Objective, Point, Quadratic, Real, Residual, Robust,
    Settings, Values, VariableId, Weight,
};

use crate::common::{Curve, Pull, sine_and_product, tight};
use deficient::*;
use groups::*;
use vectors::*;

/// What is known of a problem's minimisers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Isolated, and the rows are zero there.
    ZeroResidual,
    /// Isolated.
    Residual,
    /// Not isolated: the derivative is that of what the rows determine.
    RankDeficient,
}

/// The numbers of one sample: stored numbers of all variables, and all auxiliaries.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) start: Vec<f64>,
    pub(crate) theta: Vec<f64>,
}

/// A weight's form, and the auxiliary that its numbers are.
#[derive(Clone, Copy)]
enum By {
    Identity,
    Scale(usize),
    Diagonal(usize),
    Root(usize),
}

struct Term {
    cost: Arc<dyn Cost>,
    variables: Vec<usize>,
    auxiliaries: Vec<usize>,
    weight: By,
    robust: Robust,
}

pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) objective: Objective,
    pub(crate) samples: Vec<Sample>,
    variables: Vec<(VariableId, Manifold)>,
    boxes: Vec<Option<(Vec<f64>, Vec<f64>)>>,
    auxiliaries: Vec<(AuxiliaryId, usize)>,
    terms: Vec<Term>,
}

#[derive(Default)]
struct Draft {
    builder: Builder,
    variables: Vec<(VariableId, Manifold)>,
    boxes: Vec<Option<(Vec<f64>, Vec<f64>)>>,
    auxiliaries: Vec<(AuxiliaryId, usize)>,
    terms: Vec<Term>,
}

impl Draft {
    fn variable(&mut self, manifold: Manifold) -> usize {
        let index = self.variables.len();
        let name = format!("x{index}");
        let id = self.builder.variable(&name, manifold.clone()).unwrap();
        self.variables.push((id, manifold));
        self.boxes.push(None);
        index
    }

    fn bounded(&mut self, lower: Vec<f64>, upper: Vec<f64>) -> usize {
        let index = self.variable(Manifold::bounded(lower.clone(), upper.clone()));
        self.boxes[index] = Some((lower, upper));
        index
    }

    fn auxiliary(&mut self, len: usize) -> usize {
        let index = self.auxiliaries.len();
        let id = self
            .builder
            .auxiliary(&format!("theta{index}"), len)
            .unwrap();
        self.auxiliaries.push((id, len));
        index
    }

    fn cost(
        &mut self,
        cost: impl Cost + 'static,
        variables: &[usize],
        auxiliaries: &[usize],
        weight: By,
        robust: Robust,
    ) {
        let cost: Arc<dyn Cost> = Arc::new(cost);
        let x: Vec<VariableId> = variables.iter().map(|i| self.variables[*i].0).collect();
        let theta: Vec<AuxiliaryId> = auxiliaries.iter().map(|i| self.auxiliaries[*i].0).collect();
        let w = match weight {
            By::Identity => Weight::Identity,
            By::Scale(i) => Weight::scale(self.auxiliaries[i].0),
            By::Diagonal(i) => Weight::diagonal(self.auxiliaries[i].0),
            By::Root(i) => Weight::square_root(self.auxiliaries[i].0),
        };
        let name = format!("c{}", self.terms.len());
        self.builder
            .shared_cost(&name, Arc::clone(&cost), &x, &theta, w, robust)
            .unwrap();
        self.terms.push(Term {
            cost,
            variables: variables.to_vec(),
            auxiliaries: auxiliaries.to_vec(),
            weight,
            robust,
        });
    }

    /// A cost without weight or loss.
    fn plain(&mut self, cost: impl Cost + 'static, variables: &[usize], auxiliaries: &[usize]) {
        self.cost(cost, variables, auxiliaries, By::Identity, Robust::None);
    }

    fn build(self, name: impl Into<String>, kind: Kind, samples: Vec<Sample>) -> Problem {
        Problem {
            name: name.into(),
            kind,
            objective: self.builder.build().unwrap(),
            samples,
            variables: self.variables,
            boxes: self.boxes,
            auxiliaries: self.auxiliaries,
            terms: self.terms,
        }
    }
}

/// The parts of `all` with these lengths.
fn parts(all: &[f64], lengths: impl Iterator<Item = usize>) -> Vec<&[f64]> {
    let mut rest = all;
    lengths
        .map(|len| {
            let (here, next) = rest.split_at(len);
            rest = next;
            here
        })
        .collect()
}

/// `[rows, inner] [inner, columns]`.
fn product(a: &[f64], b: &[f64], inner: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; a.len() / inner * columns];
    for (row, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
        for (a, b) in row.iter().zip(b.chunks_exact(columns)) {
            for (out, b) in out.iter_mut().zip(b) {
                *out += a * b;
            }
        }
    }
    out
}

impl Problem {
    /// Calls `work` with the inputs of these samples.
    pub(crate) fn with_inputs<R>(
        &self,
        samples: &[Sample],
        work: impl FnOnce(&Inputs<'_>) -> R,
    ) -> R {
        let storages = || self.variables.iter().map(|(_, m)| m.storage());
        let lengths = || self.auxiliaries.iter().map(|(_, len)| *len);
        let mut starts = vec![Vec::new(); self.variables.len()];
        let mut thetas = vec![Vec::new(); self.auxiliaries.len()];
        for sample in samples {
            for (all, part) in starts.iter_mut().zip(parts(&sample.start, storages())) {
                all.extend_from_slice(part);
            }
            for (all, part) in thetas.iter_mut().zip(parts(&sample.theta, lengths())) {
                all.extend_from_slice(part);
            }
        }
        let mut inputs = Inputs::new(&self.objective, samples.len());
        for ((id, _), values) in self.variables.iter().zip(&starts) {
            inputs = inputs.start(*id, Values::PerSample(values));
        }
        for ((id, _), values) in self.auxiliaries.iter().zip(&thetas) {
            inputs = inputs.auxiliary(*id, Values::PerSample(values));
        }
        work(&inputs)
    }

    /// Where a sample leads.
    pub(crate) fn solved(&self, sample: &Sample, settings: &Settings) -> Vec<f64> {
        self.with_inputs(std::slice::from_ref(sample), |inputs| {
            self.objective.solve(inputs, settings).unwrap().x
        })
    }

    /// The points that a sample's iterations lead to, one after each.
    pub(crate) fn iterates(&self, sample: &Sample, settings: &Settings) -> Vec<Vec<f64>> {
        let seen = Mutex::new(Vec::new());
        self.with_inputs(std::slice::from_ref(sample), |inputs| {
            self.objective
                .solve_with(inputs, settings, &|iteration| {
                    let variables = self.variables.iter();
                    let x = variables.flat_map(|(id, _)| iteration.variable(*id));
                    seen.lock().unwrap().push(x.copied().collect());
                    Control::Continue
                })
                .unwrap()
        });
        seen.into_inner().unwrap()
    }

    /// x ⊞ δ over all variables.
    pub(crate) fn moved(&self, x: &[f64], delta: &[f64]) -> Vec<f64> {
        let mut out = x.to_vec();
        let (mut place, mut column) = (0, 0);
        for (_, manifold) in &self.variables {
            let range = place..place + manifold.storage();
            let step = &delta[column..column + manifold.tangent()];
            manifold.retract(&x[range.clone()], step, &mut out[range.clone()]);
            (place, column) = (range.end, column + manifold.tangent());
        }
        out
    }

    /// The derivative of x ⊞ δ by δ at zero, `[n, storage]`: what each step moves.
    pub(crate) fn directions(&self, x: &[f64]) -> Vec<Vec<f64>> {
        let n = self.objective.tangent();
        (0..n)
            .map(|i| {
                let at = |h: f64| {
                    let mut delta = vec![0.0; n];
                    delta[i] = h;
                    self.moved(x, &delta)
                };
                // Of fourth order: a few units of rounding over 1e-3.
                let h = 1e-3;
                let (a, b, c, d) = (at(h), at(-h), at(2.0 * h), at(-2.0 * h));
                (0..x.len())
                    .map(|k| (8.0 * (a[k] - b[k]) - (c[k] - d[k])) / (12.0 * h))
                    .collect()
            })
            .collect()
    }

    /// Which coordinates are at a bound.
    pub(crate) fn at_bounds(&self, x: &[f64]) -> Vec<bool> {
        let mut out = Vec::new();
        let mut place = 0;
        for ((_, manifold), bounds) in self.variables.iter().zip(&self.boxes) {
            out.extend((0..manifold.tangent()).map(|i| {
                bounds.as_ref().is_some_and(|(lower, upper)| {
                    x[place + i] <= lower[i] || x[place + i] >= upper[i]
                })
            }));
            place += manifold.storage();
        }
        out
    }

    /// The gradient Jᵀr, `[n]`, and the Gauss-Newton matrix JᵀJ, `[n, n]`, with weights and losses.
    pub(crate) fn normal_equations(&self, x: &[f64], theta: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = self.objective.tangent();
        let stored = parts(x, self.variables.iter().map(|(_, m)| m.storage()));
        let numbers = parts(theta, self.auxiliaries.iter().map(|(_, len)| *len));
        let columns: Vec<std::ops::Range<usize>> = self
            .variables
            .iter()
            .scan(0, |column, (_, m)| {
                let range = *column..*column + m.tangent();
                *column = range.end;
                Some(range)
            })
            .collect();
        let (mut gradient, mut matrix) = (vec![0.0; n], vec![0.0; n * n]);
        for term in &self.terms {
            let manifolds: Vec<Manifold> = term
                .variables
                .iter()
                .map(|i| self.variables[*i].1.clone())
                .collect();
            let variables: Vec<&[f64]> = term.variables.iter().map(|i| stored[*i]).collect();
            let auxiliaries: Vec<&[f64]> = term.auxiliaries.iter().map(|i| numbers[*i]).collect();
            let at = Point {
                manifolds: &manifolds,
                variables: &variables,
                auxiliaries: &auxiliaries,
            };
            let (m, width) = (term.cost.rows(), at.width());
            let (mut c, mut j) = (vec![0.0; m], vec![0.0; m * width]);
            term.cost.linearise(&at, &mut c, &mut j);
            let diagonal = |w: &dyn Fn(usize) -> f64| -> Vec<f64> {
                let entry = |k: usize| {
                    if k.is_multiple_of(m + 1) {
                        w(k / m)
                    } else {
                        0.0
                    }
                };
                (0..m * m).map(entry).collect()
            };
            let w = match term.weight {
                By::Identity => diagonal(&|_| 1.0),
                By::Scale(i) => diagonal(&|_| numbers[i][0]),
                By::Diagonal(i) => diagonal(&|k| numbers[i][k]),
                By::Root(i) => numbers[i].to_vec(),
            };
            let (r, j) = (product(&w, &c, m, 1), product(&w, &j, m, width));
            let first = term.robust.loss(r.iter().map(|r| r * r).sum()).first;
            let places: Vec<usize> = term
                .variables
                .iter()
                .flat_map(|i| columns[*i].clone())
                .collect();
            for (row, r) in j.chunks_exact(width).zip(&r) {
                for (a, i) in row.iter().zip(&places) {
                    gradient[*i] += first * a * r;
                    for (b, k) in row.iter().zip(&places) {
                        matrix[i * n + k] += first * a * b;
                    }
                }
            }
        }
        (gradient, matrix)
    }
}

/// Numbers without pattern in (−1, 1).
pub(crate) fn numbers(count: usize, seed: f64) -> Vec<f64> {
    (0..count)
        .map(|i| (12.9898 * (i as f64 + seed)).sin())
        .collect()
}

/// `base` and numbers of this size.
fn near(base: &[f64], size: f64, seed: f64) -> Vec<f64> {
    let around = numbers(base.len(), seed);
    base.iter().zip(around).map(|(b, a)| b + size * a).collect()
}

/// What tells the problems whose second derivatives are differences.
pub(crate) const BY_DIFFERENCES: &str = "second derivatives by differences";

const SAMPLES: usize = 3;

fn losses(scale: f64) -> [Robust; 6] {
    [
        Robust::Huber { scale },
        Robust::SoftL1 { scale },
        Robust::Cauchy { scale },
        Robust::GemanMcClure { scale },
        Robust::Welsch { scale },
        Robust::Tukey { scale },
    ]
}

pub(crate) fn problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(
        std::iter::once(Robust::None)
            .chain(losses(3.0))
            .map(weighted_curve),
    );
    problems.extend(losses(1.0).map(line));
    problems.extend(
        std::iter::once(Robust::None)
            .chain(losses(1.0))
            .map(fitted_curve),
    );
    problems.push(square_system());
    problems.push(affine());
    problems.extend([0.0, 0.4].map(quadratic));
    problems.extend([false, true].map(analytic));
    problems.extend([false, true].map(analytic_on_a_group));
    problems.push(clipped());
    problems.extend([boxed(Robust::None), boxed(Robust::Cauchy { scale: 2.0 })]);
    for manifold in [Manifold::So2, Manifold::Se2, Manifold::So3, Manifold::Se3] {
        let graph = |consistent, tied, robust| graph(&manifold, consistent, tied, robust);
        problems.extend([
            graph(true, true, Robust::None),
            graph(true, true, Robust::Welsch { scale: 1.0 }),
            graph(false, true, Robust::None),
            graph(false, true, Robust::Cauchy { scale: 1.0 }),
            graph(false, true, Robust::SoftL1 { scale: 0.5 }),
            graph(true, false, Robust::None),
            graph(false, false, Robust::None),
        ]);
    }
    problems.extend([false, true].map(few_rows));
    problems.extend([false, true].map(dependent_rows));
    problems.push(circle());
    problems.push(surfaces());
    problems.extend([false, true].map(factors));
    problems
}
