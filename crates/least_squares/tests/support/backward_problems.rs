//! Problems of every kind for the backward modes, with several samples each, and their normal equations
//! assembled a second time.

use std::sync::{Arc, Mutex};

use feasible_least_squares::{
    AnalyticCost, AutoCost, AuxiliaryId, Between, Builder, Clipped, Control, Cost, Difference,
    Inputs, LinearCost, Manifold, Numbers, Objective, Point, Quadratic, Real, Residual, Robust,
    Settings, Values, VariableId, Weight,
};

use crate::common::{Curve, Pull, tight};

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

/// Weights of every kind that are auxiliaries, two losses, residuals far from zero.
fn weighted_curve(robust: Robust) -> Problem {
    let mut draft = Draft::default();
    let (x, y) = (
        draft.variable(Manifold::Vector(2)),
        draft.variable(Manifold::Vector(3)),
    );
    let lengths = [9, 2, 3, 4, 3, 1];
    let [data, to_x, to_y, root, diagonal, scale] = lengths.map(|len| draft.auxiliary(len));
    draft.cost(
        AutoCost::new(Curve(9)),
        &[x, y],
        &[data],
        By::Scale(scale),
        robust,
    );
    draft.cost(
        AutoCost::new(Pull(2)),
        &[x],
        &[to_x],
        By::Root(root),
        Robust::Huber { scale: 0.3 },
    );
    draft.cost(
        AutoCost::new(Pull(3)),
        &[y],
        &[to_y],
        By::Diagonal(diagonal),
        Robust::None,
    );
    let theta = [
        0.9, -0.2, 0.5, 1.4, 0.3, -0.6, 0.8, 1.9, 0.1, 1.2, 0.4, -0.3, 0.5, 0.9, 0.5, 0.2, -0.1,
        0.6, 0.6, 0.7, 0.4, 0.8,
    ];
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: near(&[0.7, 1.1, 0.2, -0.4, 0.6], 0.1, s as f64),
            theta: near(&theta, 0.08, 3.0 + s as f64),
        })
        .collect();
    draft.build(
        format!("weighted curve, {robust:?}"),
        Kind::Residual,
        samples,
    )
}

/// The row a + b tᵢ + 0.2 sin(a b tᵢ) − θᵢ.
struct Height {
    t: f64,
    index: usize,
}

impl Residual for Height {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (a, b) = (variables[0][0], variables[0][1]);
        let wave = (a * b * self.t).sin() * 0.2;
        out[0] = a + b * self.t + wave - auxiliaries[0][self.index];
    }
}

/// Heights with a loss each, two of them far off.
fn line(robust: Robust) -> Problem {
    const POINTS: usize = 10;
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let (data, scale) = (draft.auxiliary(POINTS), draft.auxiliary(1));
    let place = |i: usize| i as f64 / POINTS as f64;
    for i in 0..POINTS {
        let row = Height {
            t: place(i),
            index: i,
        };
        let weight = if i % 2 == 0 {
            By::Scale(scale)
        } else {
            By::Identity
        };
        draft.cost(AutoCost::new(row), &[x], &[data], weight, robust);
    }
    let samples = (0..SAMPLES)
        .map(|s| {
            let noise = numbers(POINTS, 1.0 + s as f64);
            let mut theta: Vec<f64> = (0..POINTS)
                .map(|i| {
                    let far = match i {
                        2 => 4.0,
                        7 => -5.0,
                        _ => 0.0,
                    };
                    let t = place(i);
                    0.8 + 1.3 * t + 0.2 * (1.04 * t).sin() + 0.25 * noise[i] + far
                })
                .collect();
            theta.push(1.2);
            Sample {
                start: vec![0.7, 1.2],
                theta,
            }
        })
        .collect();
    draft.build(
        format!("line with outliers, {robust:?}"),
        Kind::Residual,
        samples,
    )
}

/// The curve through numbers that it meets exactly.
fn fitted_curve(robust: Robust) -> Problem {
    let mut draft = Draft::default();
    let (x, y) = (
        draft.variable(Manifold::Vector(2)),
        draft.variable(Manifold::Vector(3)),
    );
    let [data, to_x, to_y, root, diagonal, scale] =
        [9, 2, 3, 4, 3, 1].map(|len| draft.auxiliary(len));
    draft.cost(
        AutoCost::new(Curve(9)),
        &[x, y],
        &[data],
        By::Scale(scale),
        robust,
    );
    draft.cost(
        AutoCost::new(Pull(2)),
        &[x],
        &[to_x],
        By::Root(root),
        robust,
    );
    draft.cost(
        AutoCost::new(Pull(3)),
        &[y],
        &[to_y],
        By::Diagonal(diagonal),
        Robust::None,
    );
    let samples = (0..SAMPLES)
        .map(|s| {
            let x = near(&[0.7, 1.1, 0.2, -0.4, 0.6], 0.3, 5.0 + s as f64);
            // At θ = 0 the rows are the model, which θ counts in times 1 + 0.1 x₁².
            let mut model = vec![0.0; 9];
            Curve(9).evaluate::<f64>(&[&x[..2], &x[2..]], &[&[0.0; 9]], &mut model);
            let mut theta: Vec<f64> = model
                .iter()
                .map(|m| m / (1.0 + 0.1 * x[1] * x[1]))
                .collect();
            theta.extend_from_slice(&x);
            theta.extend(near(
                &[0.5, 0.2, -0.1, 0.6, 0.6, 0.7, 0.4, 0.8],
                0.1,
                s as f64,
            ));
            Sample {
                start: near(&x, 0.05, 1.5),
                theta,
            }
        })
        .collect();
    draft.build(
        format!("fitted curve, {robust:?}"),
        Kind::ZeroResidual,
        samples,
    )
}

/// As many rows as unknowns: xᵢ + 0.3 sin(θᵢ xᵢ₊₁) − θᵢ.
struct Square;

impl Residual for Square {
    fn rows(&self) -> usize {
        3
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, theta) = (variables[0], auxiliaries[0]);
        for (i, out) in out.iter_mut().enumerate() {
            *out = x[i] + (theta[i] * x[(i + 1) % 3]).sin() * 0.3 - theta[i];
        }
    }
}

fn square_system() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(3));
    let (theta, w) = (draft.auxiliary(3), draft.auxiliary(3));
    draft.cost(
        AutoCost::new(Square),
        &[x],
        &[theta],
        By::Diagonal(w),
        Robust::None,
    );
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: vec![0.3, -0.2, 0.6],
            theta: near(&[0.9, -0.6, 0.5, 1.0, 0.8, 1.3], 0.3, s as f64),
        })
        .collect();
    draft.build("square system", Kind::ZeroResidual, samples)
}

/// A x − b with both as auxiliaries and a full weight; Gauss-Newton leaves nothing out.
fn affine() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let [a, b, w] = [8, 4, 16].map(|len| draft.auxiliary(len));
    let rows = LinearCost::new(4, 2, Numbers::Auxiliary(8), Numbers::Auxiliary(4));
    draft.cost(rows, &[x], &[a, b], By::Root(w), Robust::None);
    let samples = (0..SAMPLES)
        .map(|s| {
            let mut theta = numbers(12, 2.0 + s as f64);
            let mut root = numbers(16, 7.0 + s as f64);
            root.iter_mut().for_each(|w| *w *= 0.2);
            (0..4).for_each(|i| root[5 * i] += 1.0);
            theta.extend(root);
            Sample {
                start: vec![0.5, -0.5],
                theta,
            }
        })
        .collect();
    draft.build("affine rows", Kind::Residual, samples)
}

/// Quadratic rows by all their coefficients, met up to `residual`.
fn quadratic(residual: f64) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let [h, g, c] = [12, 6, 3].map(|len| draft.auxiliary(len));
    let number = Numbers::Auxiliary;
    let rows = || Quadratic::new(3, 2, number(12), number(6), number(3));
    draft.plain(rows(), &[x], &[h, g, c]);
    let samples = (0..SAMPLES)
        .map(|s| {
            let at = near(&[0.6, -0.4], 0.2, s as f64);
            let mut theta: Vec<f64> = numbers(12, 4.0 + s as f64)
                .iter()
                .map(|v| 0.5 * v)
                .collect();
            theta.extend(near(&[1.0, 0.2, -0.3, 1.2, 0.7, -0.8], 0.2, s as f64));
            let mut value = vec![0.0; 3];
            rows().residual(
                &Point {
                    manifolds: &[Manifold::Vector(2)],
                    variables: &[&at],
                    auxiliaries: &[&theta[..12], &theta[12..], &[0.0; 3]],
                },
                &mut value,
            );
            theta.extend(near(&value, residual, 11.0));
            Sample {
                start: near(&at, 0.1, 2.0),
                theta,
            }
        })
        .collect();
    let (name, kind) = if residual == 0.0 {
        ("quadratic rows, met", Kind::ZeroResidual)
    } else {
        ("quadratic rows", Kind::Residual)
    };
    draft.build(name, kind, samples)
}

/// sin(x₀ θ₀) + x₁ and x₀ x₁ θ₁, with a Jacobian by hand, and the rest by hand or differences.
fn analytic(by_hand: bool) -> Problem {
    let mut cost = AnalyticCost::new(
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
    );
    if by_hand {
        // ψ = s₀(θ₀ cos(x₀θ₀) d₀ + d₁) + s₁θ₁(x₁d₀ + x₀d₁) + t₀(sin(x₀θ₀) + x₁) + t₁x₀x₁θ₁.
        cost = cost.with_probe(|at, probe, gradient| {
            let (x, a) = (at.variables[0], at.auxiliaries[0]);
            let (s, d, t) = (probe.s, probe.d, probe.t);
            let (sine, cosine) = (x[0] * a[0]).sin_cos();
            let by_x = &mut gradient.variables;
            by_x[0] += a[0] * (t[0] * cosine - s[0] * d[0] * a[0] * sine)
                + a[1] * (s[1] * d[1] + t[1] * x[1]);
            by_x[1] += t[0] + a[1] * (s[1] * d[0] + t[1] * x[0]);
            gradient.auxiliaries[0] +=
                s[0] * d[0] * (cosine - a[0] * x[0] * sine) + t[0] * x[0] * cosine;
            gradient.auxiliaries[1] += s[1] * (x[1] * d[0] + x[0] * d[1]) + t[1] * x[0] * x[1];
        });
    }
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let [a, target, w] = [2, 2, 4].map(|len| draft.auxiliary(len));
    draft.cost(cost, &[x], &[a], By::Root(w), Robust::Cauchy { scale: 2.0 });
    draft.plain(AutoCost::new(Pull(2)), &[x], &[target]);
    let theta = [0.8, 1.1, 0.7, -0.6, 1.0, 0.2, -0.1, 0.9];
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: vec![0.4, -0.3],
            theta: near(&theta, 0.1, s as f64),
        })
        .collect();
    let name = name_by_hand("", by_hand);
    draft.build(name, Kind::Residual, samples)
}

/// What tells the problems whose second derivatives are differences.
pub(crate) const BY_DIFFERENCES: &str = "second derivatives by differences";

fn name_by_hand(place: &str, by_hand: bool) -> String {
    if by_hand {
        format!("all by hand{place}")
    } else {
        format!("{BY_DIFFERENCES}{place}")
    }
}

fn difference_of_rotations(at: &Point<'_>, rows: &mut [f64], jacobian: &mut [f64]) {
    let manifold = Manifold::So3;
    Difference::new(manifold, Numbers::Auxiliary(4)).linearise(at, rows, jacobian);
}

fn analytic_on_a_group(by_hand: bool) -> Problem {
    let mut cost = AnalyticCost::new(
        3,
        |at, out| difference_of_rotations(at, out, &mut [0.0; 9]),
        |at, out| difference_of_rotations(at, &mut [0.0; 3], out),
    );
    if by_hand {
        cost = cost.with_probe(|at, probe, gradient| {
            let ready = Difference::new(Manifold::So3, Numbers::Auxiliary(4));
            ready.probe(at, probe, gradient);
        });
    }
    let mut draft = Draft::default();
    let manifold = Manifold::So3;
    let x = draft.variable(manifold.clone());
    let [z, other, w] = [4, 4, 3].map(|len| draft.auxiliary(len));
    draft.cost(cost, &[x], &[z], By::Diagonal(w), Robust::None);
    let measured = Difference::new(manifold.clone(), Numbers::Auxiliary(4));
    draft.plain(measured, &[x], &[other]);
    let samples = (0..SAMPLES)
        .map(|s| {
            let seed = s as f64;
            let mut theta = pose(&manifold, 0.5, 1.0 + seed);
            theta.extend(pose(&manifold, 0.9, 6.0 + seed));
            theta.extend(near(&[0.8, 1.2, 1.0], 0.2, seed));
            Sample {
                start: pose(&manifold, 0.4, 2.0),
                theta,
            }
        })
        .collect();
    let name = name_by_hand(" on SO(3)", by_hand);
    draft.build(name, Kind::Residual, samples)
}

/// Distances of quadratic rows to a box, two of them beyond it, and a pull.
fn clipped() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(3));
    let (c, target) = (draft.auxiliary(3), draft.auxiliary(3));
    let h: Vec<f64> = numbers(27, 0.2).iter().map(|v| 0.3 * v).collect();
    let rows = Quadratic::new(3, 3, h, numbers(9, 0.4), Numbers::Auxiliary(3));
    let infinity = f64::INFINITY;
    let rows = Clipped::new(rows, [2.0, -infinity, -9.0], [infinity, -1.5, 9.0]).unwrap();
    draft.plain(rows, &[x], &[c]);
    draft.plain(AutoCost::new(Pull(3)), &[x], &[target]);
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: vec![0.2, -0.1, 0.3],
            theta: near(&[0.2, -0.3, 0.1, 0.5, 0.4, -0.2], 0.2, s as f64),
        })
        .collect();
    draft.build("distances to a box", Kind::Residual, samples)
}

/// The curve with two bounds that hold, from starts inside of them and outside.
fn boxed(robust: Robust) -> Problem {
    let free = weighted_curve(robust);
    let least = free.solved(&free.samples[0], &tight(Default::default()));
    let (lower, upper) = (
        vec![least[0] + 0.2, least[1] - 2.0],
        vec![least[0] + 3.0, least[1] + 2.0],
    );
    let mut draft = Draft::default();
    let x = draft.bounded(lower.clone(), upper);
    let y = draft.bounded(
        vec![f64::NEG_INFINITY; 3],
        vec![least[2] - 0.3, f64::INFINITY, f64::INFINITY],
    );
    let [data, to_x, to_y, scale] = [9, 2, 3, 1].map(|len| draft.auxiliary(len));
    draft.cost(
        AutoCost::new(Curve(9)),
        &[x, y],
        &[data],
        By::Scale(scale),
        robust,
    );
    draft.plain(AutoCost::new(Pull(2)), &[x], &[to_x]);
    draft.plain(AutoCost::new(Pull(3)), &[y], &[to_y]);
    let theta = &free.samples[0].theta;
    let mut base = theta[..14].to_vec();
    base.push(0.8);
    let inside = vec![lower[0] + 0.5, least[1], least[2] - 0.8, -0.4, 0.6];
    let outside = vec![lower[0] - 0.5, least[1], least[2] + 0.8, -0.4, 0.6];
    let samples = [inside.clone(), outside, inside]
        .into_iter()
        .enumerate()
        .map(|(s, start)| Sample {
            start,
            theta: near(&base, if s == 2 { 0.05 } else { 0.0 }, 1.0),
        })
        .collect();
    draft.build(format!("bounds, {robust:?}"), Kind::Residual, samples)
}

/// A point of the space that a step of the given size leads to from the neutral one.
fn pose(manifold: &Manifold, step: f64, seed: f64) -> Vec<f64> {
    let delta: Vec<f64> = numbers(manifold.tangent(), seed)
        .iter()
        .map(|v| step * v)
        .collect();
    exponential(manifold, &delta)
}

fn exponential(manifold: &Manifold, delta: &[f64]) -> Vec<f64> {
    let mut neutral = vec![0.0; manifold.storage()];
    neutral[0] = 1.0;
    let mut out = neutral.clone();
    manifold.retract(&neutral, delta, &mut out);
    out
}

/// Three poses in a loop, every measurement an auxiliary, with a prior where it is tied, and weights that are
/// auxiliaries.
fn graph(manifold: &Manifold, consistent: bool, tied: bool, robust: Robust) -> Problem {
    let (n, storage) = (manifold.tangent(), manifold.storage());
    let mut draft = Draft::default();
    let x: Vec<usize> = (0..3).map(|_| draft.variable(manifold.clone())).collect();
    let weights = [
        By::Scale(draft.auxiliary(1)),
        By::Diagonal(draft.auxiliary(n)),
        By::Root(draft.auxiliary(n * n)),
    ];
    let numbers_of = Numbers::Auxiliary(storage);
    let edges = [(0, 1), (1, 2), (2, 0)];
    for (weight, (i, j)) in weights.into_iter().zip(edges) {
        let measured = draft.auxiliary(storage);
        let between = Between::new(manifold.clone(), numbers_of.clone());
        draft.cost(between, &[x[i], x[j]], &[measured], weight, robust);
    }
    if tied {
        let target = draft.auxiliary(storage);
        let prior = Difference::new(manifold.clone(), numbers_of);
        draft.plain(prior, &[x[0]], &[target]);
    }
    let samples = (0..SAMPLES)
        .map(|s| {
            let seed = s as f64;
            let poses: Vec<Vec<f64>> = (0..3)
                .map(|i| pose(manifold, 0.7, 1.3 + i as f64 + 3.0 * seed))
                .collect();
            let mut theta = vec![1.1 + 0.1 * seed];
            theta.extend(near(&vec![1.0; n], 0.3, 4.0 + seed));
            let mut root: Vec<f64> = numbers(n * n, 3.3 + seed).iter().map(|v| 0.2 * v).collect();
            (0..n).for_each(|i| root[i * n + i] += 1.2);
            theta.extend(root);
            for (e, (i, j)) in edges.into_iter().enumerate() {
                let mut delta = vec![0.0; n];
                manifold.local(&poses[i], &poses[j], &mut delta);
                let exact = exponential(manifold, &delta);
                let mut measured = exact.clone();
                if !consistent {
                    let error: Vec<f64> = numbers(n, 20.0 + e as f64 + seed)
                        .iter()
                        .map(|v| 0.4 * v)
                        .collect();
                    manifold.retract(&exact, &error, &mut measured);
                }
                theta.extend(measured);
            }
            if tied {
                theta.extend_from_slice(&poses[0]);
            }
            let start = poses
                .iter()
                .enumerate()
                .flat_map(|(i, pose)| {
                    let off: Vec<f64> = numbers(n, 40.0 + i as f64)
                        .iter()
                        .map(|v| 0.2 * v)
                        .collect();
                    let mut out = pose.clone();
                    manifold.retract(pose, &off, &mut out);
                    out
                })
                .collect();
            Sample { start, theta }
        })
        .collect();
    let tie = if tied { "" } else { "free " };
    let (how, kind) = match (consistent, tied) {
        (true, true) => ("consistent", Kind::ZeroResidual),
        (false, true) => ("contradictory", Kind::Residual),
        (true, false) => ("consistent", Kind::RankDeficient),
        (false, false) => ("contradictory", Kind::RankDeficient),
    };
    let name = format!("{tie}graph on {manifold:?}, {how}, {robust:?}");
    draft.build(name, kind, samples)
}

/// Two affine rows in four unknowns, by b, or by A as well.
fn few_rows(by_matrix: bool) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(4));
    let matrix = numbers(8, 0.7);
    let (a, b) = (by_matrix.then(|| draft.auxiliary(8)), draft.auxiliary(2));
    let rows = if by_matrix {
        LinearCost::new(2, 4, Numbers::Auxiliary(8), Numbers::Auxiliary(2))
    } else {
        LinearCost::new(2, 4, matrix.clone(), Numbers::Auxiliary(2))
    };
    let auxiliaries: Vec<usize> = a.into_iter().chain([b]).collect();
    draft.plain(rows, &[x], &auxiliaries);
    let samples = (0..SAMPLES)
        .map(|s| {
            let mut theta = if by_matrix {
                near(&matrix, 0.1, s as f64)
            } else {
                Vec::new()
            };
            theta.extend(near(&[1.0, -0.5], 0.5, s as f64));
            Sample {
                start: numbers(4, 2.0 + s as f64),
                theta,
            }
        })
        .collect();
    let by = if by_matrix { "A and b" } else { "b" };
    draft.build(
        format!("few affine rows, by {by}"),
        Kind::RankDeficient,
        samples,
    )
}

/// Four rows of rank two in three unknowns, that can be met or not.
fn dependent_rows(met: bool) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(3));
    let (b, w) = (draft.auxiliary(4), draft.auxiliary(1));
    let a = [1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 0.5, -1.0, 0.3, 1.5, 1.0, 2.3];
    let rows = LinearCost::new(4, 3, a, Numbers::Auxiliary(4));
    draft.cost(rows, &[x], &[b], By::Scale(w), Robust::None);
    let samples = (0..SAMPLES)
        .map(|s| {
            let at = numbers(3, 1.0 + s as f64);
            let exact = product(&a, &at, 3, 1);
            let mut theta = near(&exact, if met { 0.0 } else { 0.5 }, 4.0);
            theta.push(0.7);
            Sample {
                start: vec![0.1, 0.4, -0.2],
                theta,
            }
        })
        .collect();
    let name = if met {
        "dependent rows, met"
    } else {
        "dependent rows"
    };
    draft.build(name, Kind::RankDeficient, samples)
}

/// x₀² + x₁² − θ: one row in two unknowns.
struct Circle;

impl Residual for Circle {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let x = variables[0];
        out[0] = x[0] * x[0] + x[1] * x[1] - auxiliaries[0][0];
    }
}

fn circle() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let theta = draft.auxiliary(1);
    draft.plain(AutoCost::new(Circle), &[x], &[theta]);
    let samples = [[0.8, 0.5], [-1.0, 0.4], [0.3, -1.2]]
        .map(|start| Sample {
            start: start.to_vec(),
            theta: vec![1.7],
        })
        .to_vec();
    draft.build("circle", Kind::RankDeficient, samples)
}

/// Two curved surfaces in four dimensions.
struct Surfaces;

impl Residual for Surfaces {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, theta) = (variables[0], auxiliaries[0]);
        out[0] = x[0] * x[1] * theta[0] + (x[2] * theta[1]).sin() - theta[2];
        out[1] = x[0] * x[0] - x[3] * theta[0] + (x[1] * 0.5).exp() - theta[1];
    }
}

fn surfaces() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(4));
    let (theta, w) = (draft.auxiliary(3), draft.auxiliary(4));
    draft.cost(
        AutoCost::new(Surfaces),
        &[x],
        &[theta],
        By::Root(w),
        Robust::Cauchy { scale: 2.0 },
    );
    let base = [1.1, 0.8, 0.4, 1.0, 0.2, -0.3, 0.9];
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: near(&[0.5, 0.4, -0.3, 0.6], 0.2, s as f64),
            theta: near(&base, 0.1, 2.0 + s as f64),
        })
        .collect();
    draft.build("two surfaces", Kind::RankDeficient, samples)
}

/// Rows x₀ x₁ tᵢ − θᵢ: more than unknowns, of which they see the product alone.
struct Factors;

impl Residual for Factors {
    fn rows(&self) -> usize {
        5
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let slope = variables[0][0] * variables[0][1];
        for (i, out) in out.iter_mut().enumerate() {
            *out = slope * (0.4 + 0.2 * i as f64) - auxiliaries[0][i];
        }
    }
}

fn factors(met: bool) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let (theta, w) = (draft.auxiliary(5), draft.auxiliary(5));
    draft.cost(
        AutoCost::new(Factors),
        &[x],
        &[theta],
        By::Diagonal(w),
        Robust::None,
    );
    let samples = (0..SAMPLES)
        .map(|s| {
            let exact: Vec<f64> = (0..5).map(|i| 1.5 * (0.4 + 0.2 * i as f64)).collect();
            let mut theta = near(&exact, if met { 0.0 } else { 0.3 }, s as f64);
            theta.extend(near(&[1.0; 5], 0.2, 3.0));
            Sample {
                start: near(&[1.1, 0.8], 0.3, s as f64),
                theta,
            }
        })
        .collect();
    let name = if met {
        "product of factors, met"
    } else {
        "product of factors"
    };
    draft.build(name, Kind::RankDeficient, samples)
}
