//! Random cone programs around known solutions.

use super::{inner, normal, rng};
use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeGradients, ConeProblem, ConeSettings, ConeSolution,
    ConeWanted, GradientQuality, Sparse, Status, Values, cone_adjoint, solve_cones,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A batch that owns its numbers: P, q, A, b.
#[derive(Clone, Debug)]
pub struct Owned {
    pub batch: usize,
    pub n: usize,
    pub cones: Vec<Cone>,
    pub p: Pattern,
    pub a: Pattern,
    /// P, q, A, b and whether the batch shares them.
    pub parts: [(Vec<f64>, bool); 4],
}

#[derive(Clone, Debug)]
pub struct Pattern {
    pub rows: usize,
    pub columns: usize,
    pub starts: Vec<usize>,
    pub indices: Vec<usize>,
}

impl Pattern {
    /// The entries of a dense matrix where `keep` says so, by columns.
    pub fn new(rows: usize, columns: usize, mut keep: impl FnMut(usize, usize) -> bool) -> Self {
        let (mut starts, mut indices) = (vec![0], Vec::new());
        for column in 0..columns {
            indices.extend((0..rows).filter(|&row| keep(row, column)));
            starts.push(indices.len());
        }
        Self {
            rows,
            columns,
            starts,
            indices,
        }
    }

    pub fn with<'a>(&'a self, values: Values<'a>) -> Sparse<'a> {
        Sparse {
            rows: self.rows,
            columns: self.columns,
            starts: &self.starts,
            indices: &self.indices,
            values,
        }
    }

    pub fn places(&self) -> Vec<(usize, usize)> {
        (0..self.columns)
            .flat_map(|c| {
                self.indices[self.starts[c]..self.starts[c + 1]]
                    .iter()
                    .map(move |&r| (r, c))
            })
            .collect()
    }
}

impl Owned {
    pub fn problem(&self) -> ConeProblem<'_> {
        let values = |i: usize| {
            let (data, shared) = &self.parts[i];
            if *shared {
                Values::Shared(data)
            } else {
                Values::PerSample(data)
            }
        };
        ConeProblem {
            batch: self.batch,
            n: self.n,
            p: Some(self.p.with(values(0))),
            q: values(1),
            a: self.a.with(values(2)),
            b: values(3),
            cones: &self.cones,
        }
    }

    pub fn of(&self, part: usize, sample: usize) -> &[f64] {
        let (data, shared) = &self.parts[part];
        if *shared {
            data
        } else {
            let len = data.len() / self.batch;
            &data[sample * len..(sample + 1) * len]
        }
    }
}

/// Cones without matrices, to draw from.
pub const KINDS: [Cone; 6] = [
    Cone::Zero(2),
    Cone::Nonnegative(3),
    Cone::SecondOrder(4),
    Cone::Exponential(2),
    Cone::Power(0.3),
    Cone::Power(0.75),
];

/// Cones among which every other one is of matrices.
pub const MATRICES: [Cone; 10] = [
    Cone::Semidefinite(2),
    Cone::Zero(2),
    Cone::Semidefinite(3),
    Cone::Nonnegative(3),
    Cone::Semidefinite(4),
    Cone::SecondOrder(4),
    Cone::Semidefinite(5),
    Cone::Exponential(2),
    Cone::Semidefinite(6),
    Cone::Power(0.3),
];

/// Orthonormal columns.
pub fn orthogonal(rng: &mut ChaCha8Rng, size: usize) -> Vec<Vec<f64>> {
    let mut columns: Vec<Vec<f64>> = Vec::new();
    while columns.len() < size {
        let mut column = normal(rng, size);
        // Twice: once leaves the rounding of a near dependence.
        for _ in 0..2 {
            for done in &columns {
                let along = inner(done, &column);
                column
                    .iter_mut()
                    .zip(done)
                    .for_each(|(v, d)| *v -= along * d);
            }
        }
        let norm = inner(&column, &column).sqrt();
        columns.push(column.iter().map(|v| v / norm).collect());
    }
    columns
}

/// The rows of a symmetric matrix: its upper triangle by columns, off the diagonal times √2.
pub fn rows_of(size: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut rows = Vec::new();
    for column in 0..size {
        rows.extend((0..column).map(|row| std::f64::consts::SQRT_2 * entry(row, column)));
        rows.push(entry(column, column));
    }
    rows
}

/// The rows of `Σ value · q qᵀ`.
pub fn with_eigenvalues(vectors: &[Vec<f64>], values: &[f64]) -> Vec<f64> {
    rows_of(values.len(), |i, j| {
        vectors
            .iter()
            .zip(values)
            .map(|(q, v)| v * q[i] * q[j])
            .sum()
    })
}

/// A complementary pair of a cone: one of the two inside, or both on the boundary.
pub fn pair(cone: Cone, rng: &mut ChaCha8Rng) -> (Vec<f64>, Vec<f64>) {
    let positive = |rng: &mut ChaCha8Rng| rng.random_range(0.2..2.0);
    match cone {
        Cone::Zero(rows) => (vec![0.0; rows], normal(rng, rows)),
        Cone::Nonnegative(rows) => (0..rows)
            .map(|_| {
                if rng.random_bool(0.5) {
                    (positive(rng), 0.0)
                } else {
                    (0.0, positive(rng))
                }
            })
            .unzip(),
        Cone::SecondOrder(rows) => {
            let axis = normal(rng, rows - 1);
            let norm = inner(&axis, &axis).sqrt();
            let along = |size: f64, sign: f64| -> Vec<f64> {
                std::iter::once(size)
                    .chain(axis.iter().map(|v| sign * size * v / norm))
                    .collect()
            };
            let (a, b) = (positive(rng), positive(rng));
            match rng.random_range(0..4) {
                0 => {
                    let mut inside = along(a, 1.0);
                    inside[0] += b;
                    (inside, vec![0.0; rows])
                }
                1 => {
                    let mut inside = along(a, 1.0);
                    inside[0] += b;
                    (vec![0.0; rows], inside)
                }
                _ => (along(a, 1.0), along(b, -1.0)),
            }
        }
        Cone::Semidefinite(size) => {
            let vectors = orthogonal(rng, size);
            let (mut of_s, mut of_z) = (vec![0.0; size], vec![0.0; size]);
            for i in 0..size {
                let side = if rng.random_bool(0.5) {
                    &mut of_s
                } else {
                    &mut of_z
                };
                // Some repeat.
                side[i] = if rng.random_bool(0.3) {
                    0.7
                } else {
                    positive(rng)
                };
            }
            (
                with_eigenvalues(&vectors, &of_s),
                with_eigenvalues(&vectors, &of_z),
            )
        }
        Cone::Exponential(count) => {
            let (mut s, mut z) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let (x, y): (f64, f64) = (rng.random_range(-1.0..1.0), rng.random_range(0.4..1.5));
                let (e, kappa) = ((x / y).exp(), positive(rng));
                match rng.random_range(0..4) {
                    0 => {
                        s.extend([x, y, y * e + kappa]);
                        z.extend([0.0; 3]);
                    }
                    1 => {
                        s.extend([0.0; 3]);
                        z.extend([-y, x, y * (-x / y - 1.0).exp() + kappa]);
                    }
                    _ => {
                        s.extend([x, y, y * e]);
                        z.extend([-kappa * e, -kappa * e * (1.0 - x / y), kappa]);
                    }
                }
            }
            (s, z)
        }
        Cone::Power(alpha) => {
            let (x, y) = (positive(rng), positive(rng));
            let g = x.powf(alpha) * y.powf(1.0 - alpha);
            let (kappa, sign) = (positive(rng), if rng.random_bool(0.5) { 1.0 } else { -1.0 });
            match rng.random_range(0..4) {
                0 => (vec![x, y, 0.5 * sign * g], vec![0.0; 3]),
                1 => (
                    vec![0.0; 3],
                    vec![alpha * x, (1.0 - alpha) * y, 0.5 * sign * g],
                ),
                _ => (
                    vec![x, y, sign * g],
                    vec![
                        kappa * alpha * g / x,
                        kappa * (1.0 - alpha) * g / y,
                        -sign * kappa,
                    ],
                ),
            }
        }
    }
}

/// A complementary pair near a kink: one of the two is small, or inside and near the boundary.
pub fn near_a_kink(cone: Cone, rng: &mut ChaCha8Rng) -> (Vec<f64>, Vec<f64>) {
    let near = 10f64.powf(rng.random_range(-5.0..-2.0));
    let (mut s, mut z) = pair(cone, rng);
    if matches!(cone, Cone::Zero(_)) {
        return (s, z);
    }
    let is_zero = |v: &[f64]| v.iter().all(|v| *v == 0.0);
    let (no_s, no_z) = (is_zero(&s), is_zero(&z));
    let shrink = |v: &mut [f64]| v.iter_mut().for_each(|v| *v *= near);
    if !no_s && !no_z {
        shrink(if rng.random_bool(0.5) { &mut s } else { &mut z });
        return (s, z);
    }
    let boundary = loop {
        let (s, z) = pair(cone, rng);
        if !is_zero(&s) && !is_zero(&z) {
            break if no_z { s } else { z };
        }
    };
    let inside = if no_z { &mut s } else { &mut z };
    shrink(inside);
    inside.iter_mut().zip(&boundary).for_each(|(v, b)| *v += b);
    (s, z)
}

/// A strictly convex problem built around a solution, with that solution.
pub fn random(seed: u64, kinds: &[Cone]) -> (Owned, Vec<f64>, Vec<f64>, Vec<f64>) {
    random_of(seed, kinds, pair)
}

/// The same of pairs that are drawn as a test chooses.
pub fn random_of(
    seed: u64,
    kinds: &[Cone],
    pair: impl Fn(Cone, &mut ChaCha8Rng) -> (Vec<f64>, Vec<f64>),
) -> (Owned, Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut rng = rng(seed);
    let batch = rng.random_range(1..4);
    let mut cones = Vec::new();
    for _ in 0..rng.random_range(1..4) {
        cones.push(kinds[rng.random_range(0..kinds.len())]);
    }
    let m: usize = cones.iter().map(|c| c.rows()).sum();
    // More variables than rows can be active, so that multipliers are unique.
    let n = m + rng.random_range(0..4);
    let p = Pattern::new(n, n, |row, column| row <= column && column - row < 3);
    let mut keep = rng.clone();
    let a = Pattern::new(m, n, |row, column| {
        row % n == column % m.max(1) || keep.random_bool(0.6)
    });
    // Diagonally dominant, so positive definite.
    let p_values: Vec<f64> = p
        .places()
        .iter()
        .map(|(row, column)| {
            if row == column {
                rng.random_range(1.0..2.0)
            } else {
                rng.random_range(-0.2..0.2)
            }
        })
        .collect();
    let shared_a = rng.random_bool(0.5);
    let copies = if shared_a { 1 } else { batch };
    let a_values = normal(&mut rng, copies * a.indices.len());
    let (mut x, mut s, mut z) = (Vec::new(), Vec::new(), Vec::new());
    let (mut q, mut b) = (Vec::new(), Vec::new());
    for i in 0..batch {
        let x_i = normal(&mut rng, n);
        let (mut s_i, mut z_i) = (Vec::new(), Vec::new());
        for &cone in &cones {
            let (more_s, more_z) = pair(cone, &mut rng);
            s_i.extend(more_s);
            z_i.extend(more_z);
        }
        let entries = a.indices.len();
        let values = &a_values[if shared_a { 0 } else { i * entries }..][..entries];
        let (q_i, b_i) = optimal_at((&p, &p_values), (&a, values), [&x_i, &s_i, &z_i]);
        q.extend(q_i);
        b.extend(b_i);
        x.extend(x_i);
        s.extend(s_i);
        z.extend(z_i);
    }
    let owned = Owned {
        batch,
        n,
        cones,
        p,
        a,
        parts: [
            (p_values, true),
            (q, false),
            (a_values, shared_a),
            (b, false),
        ],
    };
    (owned, x, s, z)
}

/// The `q` and `b` of which `x`, `s` and `z` are the solution: `q = −Px − Aᵀz`, `b = Ax + s`.
pub fn optimal_at(
    (p, p_values): (&Pattern, &[f64]),
    (a, a_values): (&Pattern, &[f64]),
    [x, s, z]: [&[f64]; 3],
) -> (Vec<f64>, Vec<f64>) {
    let (mut q, mut b) = (vec![0.0; x.len()], s.to_vec());
    for ((row, column), v) in p.places().into_iter().zip(p_values) {
        q[row] -= v * x[column];
        if row != column {
            q[column] -= v * x[row];
        }
    }
    for ((row, column), v) in a.places().into_iter().zip(a_values) {
        q[column] -= v * z[row];
        b[row] += v * x[column];
    }
    (q, b)
}

pub fn solve(owned: &Owned) -> ConeSolution {
    solve_cones(&owned.problem(), &ConeSettings::default()).unwrap()
}

pub fn gradients(owned: &Owned, solution: &ConeSolution, c: &[Vec<f64>; 3]) -> ConeGradients {
    cone_adjoint(
        &owned.problem(),
        solution,
        &ConeCotangent {
            x: &c[0],
            z: Some(&c[1]),
            s: Some(&c[2]),
        },
        &ConeWanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap()
}

/// min ½‖x − p‖² over rows that a test chooses: s = b − Ax.
pub fn nearest<'a>(
    p: &'a Pattern,
    a: &'a Pattern,
    numbers: &'a [&'a [f64]; 4],
    cones: &'a [Cone],
) -> ConeProblem<'a> {
    ConeProblem {
        batch: 1,
        n: p.rows,
        p: Some(p.with(Values::Shared(numbers[0]))),
        q: Values::Shared(numbers[1]),
        a: a.with(Values::Shared(numbers[2])),
        b: Values::Shared(numbers[3]),
        cones,
    }
}

/// The solution, and every gradient of a loss with this gradient with respect to it.
pub fn differentiated(problem: &ConeProblem<'_>, of_x: &[f64]) -> (ConeSolution, ConeGradients) {
    let solution = solve_cones(problem, &ConeSettings::default()).unwrap();
    let gradients = cone_adjoint(
        problem,
        &solution,
        &ConeCotangent::of_x(of_x),
        &ConeWanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap();
    (solution, gradients)
}

pub fn quality(problem: &ConeProblem<'_>) -> (Status, GradientQuality, ConeGradients) {
    let (solution, gradients) = differentiated(problem, &vec![1.0; problem.n]);
    for part in [&gradients.p, &gradients.q, &gradients.a, &gradients.b] {
        assert!(part.iter().flatten().all(|v| v.is_finite()));
    }
    (solution.status[0], gradients.reports[0].quality, gradients)
}
