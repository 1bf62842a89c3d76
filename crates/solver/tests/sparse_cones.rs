//! Cone programs too large for dense systems: known solutions, derivatives both ways and whole.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeParameter, ConeProblem, ConeSettings, ConeSolution,
    ConeTangents, ConeWanted, Error, GradientQuality, Outputs, Sparse, Values, cone_adjoint,
    cone_jacobian, cone_tangent, solve_cones,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use support::{inner, normal, rng};

/// Between two ways to one derivative, each by solves with one factored matrix: 6e-15 is
/// seen, and a matrix of a condition of 1e5 may lose as much of its rounding.
const ROUNDING: f64 = 1e-10;

/// A sparse matrix by columns.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    starts: Vec<usize>,
    indices: Vec<usize>,
    values: Vec<f64>,
}

impl Matrix {
    fn new(rows: usize, columns: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let (mut starts, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for column in 0..columns {
            for row in 0..rows {
                let value = entry(row, column);
                if value != 0.0 {
                    indices.push(row);
                    values.push(value);
                }
            }
            starts.push(indices.len());
        }
        Self {
            rows,
            starts,
            indices,
            values,
        }
    }

    fn entries(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        (0..self.starts.len() - 1).flat_map(move |column| {
            (self.starts[column]..self.starts[column + 1])
                .map(move |at| (self.indices[at], column, self.values[at]))
        })
    }

    fn sparse(&self) -> Sparse<'_> {
        Sparse {
            rows: self.rows,
            columns: self.starts.len() - 1,
            starts: &self.starts,
            indices: &self.indices,
            values: Values::Shared(&self.values),
        }
    }
}

/// A program whose solution is known, one sample.
#[derive(Clone)]
struct Program {
    p: Matrix,
    a: Matrix,
    q: Vec<f64>,
    b: Vec<f64>,
    cones: Vec<Cone>,
    x: Vec<f64>,
}

impl Program {
    /// Draws a solution first, then the data that it solves. `P` is definite on some variables
    /// only.
    fn draw(rng: &mut ChaCha8Rng, n: usize) -> Self {
        let cones = vec![
            Cone::Zero(n / 5),
            Cone::Nonnegative(n / 2),
            Cone::SecondOrder(n / 2),
            Cone::SecondOrder(4),
            Cone::SecondOrder(9),
            Cone::Exponential(3),
            Cone::Power(0.4),
        ];
        let m: usize = cones.iter().map(|cone| cone.rows()).sum();
        let p = Matrix::new(n, n, |row, column| match row == column {
            true if column % 4 > 0 => 0.5 + rng.random::<f64>(),
            _ => 0.0,
        });
        let a = Matrix::new(m, n, |row, column| {
            if row % n == column {
                1.0 + rng.random::<f64>()
            } else if rng.random_bool(0.04) {
                normal(rng, 1)[0]
            } else {
                0.0
            }
        });
        let x = normal(rng, n);
        let (mut s, mut z) = (Vec::new(), Vec::new());
        for &cone in &cones {
            let (of_s, of_z) = pair(cone, rng);
            s.extend(of_s);
            z.extend(of_z);
        }
        let mut b = s;
        let mut q = vec![0.0; n];
        for (row, column, v) in p.entries() {
            q[row] -= v * x[column];
        }
        for (row, column, v) in a.entries() {
            b[row] += v * x[column];
            q[column] -= v * z[row];
        }
        Self {
            p,
            a,
            q,
            b,
            cones,
            x,
        }
    }

    fn problem(&self) -> ConeProblem<'_> {
        ConeProblem {
            batch: 1,
            n: self.q.len(),
            p: Some(self.p.sparse()),
            q: Values::Shared(&self.q),
            a: self.a.sparse(),
            b: Values::Shared(&self.b),
            cones: &self.cones,
        }
    }

    fn solve(&self) -> ConeSolution {
        let solution = solve_cones(&self.problem(), &ConeSettings::default()).unwrap();
        assert!(solution.all_solved(), "{:?}", solution.status);
        solution
    }

    /// The numbers of one of `P`, `q`, `A`, `b`.
    fn part(&mut self, part: usize) -> &mut Vec<f64> {
        match part {
            0 => &mut self.p.values,
            1 => &mut self.q,
            2 => &mut self.a.values,
            _ => &mut self.b,
        }
    }
}

fn pair(cone: Cone, rng: &mut ChaCha8Rng) -> (Vec<f64>, Vec<f64>) {
    let mut positive = || 0.3 + rng.random::<f64>();
    match cone {
        Cone::Zero(rows) => (
            vec![0.0; rows],
            (0..rows).map(|_| positive() - 0.8).collect(),
        ),
        Cone::Nonnegative(rows) => (0..rows)
            .map(|row| match row % 3 {
                0 => (0.0, positive()),
                _ => (positive(), 0.0),
            })
            .unzip(),
        Cone::SecondOrder(rows) => {
            let axis: Vec<f64> = (1..rows).map(|_| positive() - 0.8).collect();
            let norm = inner(&axis, &axis).sqrt();
            let (up, down) = (positive(), positive());
            let along = |size: f64, sign: f64| {
                std::iter::once(size)
                    .chain(axis.iter().map(|v| sign * size * v / norm))
                    .collect()
            };
            (along(up, 1.0), along(down, -1.0))
        }
        Cone::Exponential(count) => (0..count)
            .flat_map(|_| {
                let (x, y, kappa) = (positive() - 0.8, positive(), positive());
                let e = (x / y).exp();
                [
                    (x, -kappa * e),
                    (y, -kappa * e * (1.0 - x / y)),
                    (y * e, kappa),
                ]
            })
            .unzip(),
        Cone::Power(alpha) => {
            let (x, y, kappa) = (positive(), positive(), positive());
            let g = x.powf(alpha) * y.powf(1.0 - alpha);
            (
                vec![x, y, g],
                vec![kappa * alpha * g / x, kappa * (1.0 - alpha) * g / y, -kappa],
            )
        }
        Cone::Semidefinite(_) => unreachable!("none is drawn"),
    }
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |a, b| a.max(b.abs()))
}

/// Solutions, the gradient of every number against central differences of the solution it was
/// drawn with, and the three ways to a derivative against each other.
#[test]
fn derivatives_of_large_sparse_programs() {
    let mut rng = rng(7);
    let settings = AdjointSettings::default();
    let (mut worst, mut between, mut checked) = (0.0f64, 0.0f64, 0);
    for n in [30, 40, 60, 90, 120] {
        let program = Program::draw(&mut rng, n);
        let solution = program.solve();
        for (got, expected) in solution.x.iter().zip(&program.x) {
            assert!((got - expected).abs() < 1e-9 * (1.0 + expected.abs()));
        }
        let problem = program.problem();
        let m = problem.rows();
        let (of_x, of_s, of_z) = (
            normal(&mut rng, n),
            normal(&mut rng, m),
            normal(&mut rng, m),
        );
        let cotangent = ConeCotangent {
            x: &of_x,
            z: Some(&of_z),
            s: Some(&of_s),
        };
        let gradients =
            cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings).unwrap();
        assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
        let gradients = [gradients.p, gradients.q, gradients.a, gradients.b].map(Option::unwrap);
        let loss = |solution: &ConeSolution| {
            inner(&of_x, &solution.x) + inner(&of_s, &solution.s) + inner(&of_z, &solution.z)
        };
        // Central differences along a direction of each part, and of all of them.
        let directions: Vec<Vec<f64>> = (0..4)
            .map(|part| normal(&mut rng, program.clone().part(part).len()))
            .collect();
        for parts in [vec![0], vec![1], vec![2], vec![3], vec![0, 1, 2, 3]] {
            let moved = |t: f64| {
                let mut moved = program.clone();
                for &part in &parts {
                    for (v, d) in moved.part(part).iter_mut().zip(&directions[part]) {
                        *v += t * d;
                    }
                }
                moved.solve()
            };
            let step = 2e-6;
            let (up, down) = (moved(step), moved(-step));
            let difference = (loss(&up) - loss(&down)) / (2.0 * step);
            let exact: f64 = parts
                .iter()
                .map(|&p| inner(&gradients[p], &directions[p]))
                .sum();
            let of = |part: usize| {
                parts
                    .contains(&part)
                    .then(|| Values::Shared(&directions[part]))
            };
            let tangents = ConeTangents {
                p: of(0),
                q: of(1),
                a: of(2),
                b: of(3),
            };
            let velocity = cone_tangent(&problem, &solution, &tangents, &settings).unwrap();
            assert_eq!(velocity.reports[0].quality, GradientQuality::Exact);
            let forwards =
                inner(&of_x, &velocity.x) + inner(&of_s, &velocity.s) + inner(&of_z, &velocity.z);
            let size = exact.abs().max(1.0);
            assert!((forwards - exact).abs() < 1e-9 * size, "{forwards} {exact}");
            let error = (difference - exact).abs() / size;
            worst = worst.max(error);
            checked += 1;
            assert!(error < 1e-6, "n {n}, {parts:?}: {exact} {difference}");
            let pairs = [
                (&velocity.x, &up.x, &down.x),
                (&velocity.s, &up.s, &down.s),
                (&velocity.z, &up.z, &down.z),
            ];
            for (velocity, up, down) in pairs {
                let size = largest(velocity).max(1.0);
                for (v, (up, down)) in velocity.iter().zip(up.iter().zip(down)) {
                    assert!((v - (up - down) / (2.0 * step)).abs() < 1e-6 * size);
                }
            }
        }
        let parameters = [
            ConeParameter::P,
            ConeParameter::Q,
            ConeParameter::A,
            ConeParameter::B,
        ];
        for (part, parameter) in parameters.into_iter().enumerate() {
            let expected = &gradients[part];
            let size = largest(expected).max(1.0);
            let of = |outputs| {
                cone_jacobian(&problem, &solution, parameter, outputs, &settings).unwrap()
            };
            let (primal, all) = (of(Outputs::Primal), of(Outputs::PrimalAndDuals));
            assert!(primal.s.is_empty() && primal.z.is_empty());
            let len = all.len;
            assert_eq!((len, all.x.len()), (expected.len(), n * len));
            // By rows and by columns of the inverse, whichever are fewer, it is the same.
            for (a, b) in all.x.iter().zip(&primal.x) {
                between = between.max((a - b).abs() / size);
                assert!((a - b).abs() < ROUNDING * size, "{a} {b}");
            }
            assert_eq!(all.reports[0].quality, GradientQuality::Exact);
            for (at, expected) in expected.iter().enumerate() {
                let of = |cotangent: &[f64], rows: &[f64]| -> f64 {
                    let column = rows.iter().skip(at).step_by(len);
                    cotangent.iter().zip(column).map(|(c, v)| c * v).sum()
                };
                let got = of(&of_x, &all.x) + of(&of_s, &all.s) + of(&of_z, &all.z);
                between = between.max((got - expected).abs() / size);
                assert!((got - expected).abs() < ROUNDING * size, "{got} {expected}");
            }
        }
    }
    println!(
        "{checked} directions of large programs, worst {worst:.1e}, between ways {between:.1e}"
    );
}

/// Redundant rows make the sparse factor's matrix singular: flagged, finite, and the gradient that
/// does not depend on the choice of multipliers stays right.
#[test]
fn redundant_rows_are_flagged() {
    let mut rng = rng(8);
    let mut program = Program::draw(&mut rng, 60);
    // The first equality a second time, in the place of the second one.
    let wide = program.q.len();
    let dense = |program: &Program, row: usize| {
        let mut out = vec![0.0; wide];
        for (r, column, v) in program.a.entries() {
            if r == row {
                out[column] = v;
            }
        }
        out
    };
    let first = dense(&program, 0);
    let mut all: Vec<Vec<f64>> = (0..program.a.rows)
        .map(|row| dense(&program, row))
        .collect();
    all[1] = first;
    program.a = Matrix::new(program.a.rows, wide, |row, column| all[row][column]);
    program.b[1] = program.b[0];
    let solution = program.solve();
    let problem = program.problem();
    let ones = vec![1.0; wide];
    let cotangent = ConeCotangent::of_x(&ones);
    let settings = AdjointSettings::default();
    let gradients =
        cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings).unwrap();
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
    let of_q = gradients.q.unwrap();
    let direction = normal(&mut rng, wide);
    let moved = |t: f64| {
        let mut moved = program.clone();
        for (v, d) in moved.q.iter_mut().zip(&direction) {
            *v += t * d;
        }
        moved.solve().x.iter().sum::<f64>()
    };
    let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
    let exact = inner(&of_q, &direction);
    assert!((difference - exact).abs() < 1e-6 * exact.abs().max(1.0));
    let half = |v: Vec<f64>| (v[0] - v[1]).abs() < 1e-9 * v[0].abs().max(1.0);
    assert!(half(gradients.b.unwrap()), "the least norm shares alike");
}

#[test]
fn solutions_of_other_problems_are_refused() {
    let mut rng = rng(9);
    let program = Program::draw(&mut rng, 30);
    let solution = program.solve();
    let mut other = program.clone();
    // One entry of A moves to another row of its column: same sizes, another pattern.
    let rows = &other.a.indices[other.a.starts[0]..other.a.starts[1]];
    let free = (0..other.a.rows).rfind(|row| !rows.contains(row)).unwrap();
    let mut column: Vec<usize> = rows[..rows.len() - 1].to_vec();
    column.push(free);
    column.sort_unstable();
    other.a.indices[..column.len()].copy_from_slice(&column);
    let ones = vec![1.0; 30];
    let cotangent = ConeCotangent::of_x(&ones);
    let settings = AdjointSettings::default();
    let problem = other.problem();
    assert_eq!(
        cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings).unwrap_err(),
        Error::ForeignPattern
    );
    let short = [0.0; 3];
    let tangents = ConeTangents {
        q: Some(Values::Shared(&short)),
        ..ConeTangents::default()
    };
    let error = cone_tangent(&program.problem(), &solution, &tangents, &settings).unwrap_err();
    assert!(error.to_string().contains("`tangents.q`"), "{error}");
}

/// Samples that share `A` share Clarabel's preparation, which is made from the first: one of quite
/// another size leaves the others as they are alone.
#[test]
fn a_wild_first_sample_spares_the_others() {
    let mut rng = rng(10);
    let program = Program::draw(&mut rng, 40);
    let (n, m) = (program.q.len(), program.b.len());
    let alone = program.solve();
    let huge: Vec<f64> = program.q.iter().map(|v| 1e9 * v).collect();
    let tiny: Vec<f64> = program.q.iter().map(|v| 1e-9 * v).collect();
    for first in [&huge, &tiny, &program.q] {
        let wild = first == &program.q;
        let mut b = program.b.clone();
        if wild {
            b.iter_mut().for_each(|v| *v = -1e6 * (1.0 + v.abs()));
        }
        let q = [&first[..], &program.q, &program.q].concat();
        let b = [&b[..], &program.b, &program.b].concat();
        let problem = ConeProblem {
            batch: 3,
            q: Values::PerSample(&q),
            b: Values::PerSample(&b),
            ..program.problem()
        };
        let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
        for sample in 1..3 {
            assert!(solution.status[sample].is_solved());
            let pairs = [
                (&solution.x[sample * n..][..n], &alone.x[..]),
                (&solution.s[sample * m..][..m], &alone.s[..]),
                (&solution.z[sample * m..][..m], &alone.z[..]),
            ];
            for (got, expected) in pairs {
                // One solution by two starts, each polished to rounding of the same condition.
                for (got, expected) in got.iter().zip(expected) {
                    assert!((got - expected).abs() < ROUNDING * (1.0 + expected.abs()));
                }
            }
        }
    }
}
