//! Every parameter's gradient against central differences, entry by entry, in every layout.

use burn::tensor::Tensor;
use feasible_convex::{
    ConvexSolution, GradientQuality, Hessian, QcqpLayer, QpLayer, QpTensors, RowHessians,
};

use crate::support::{
    assert_close, central_differences, entries, numbers, random, symmetric_entries, tensor,
};

const BATCH: usize = 3;
const N: usize = 4;
const EQUALITIES: usize = 1;
const INEQUALITIES: usize = 3;
const QUADRATICS: usize = 2;

/// The parameters in order: p, q, a, b, g, l, u, then h, g, c of the quadratic rows.
const NAMES: [&str; 10] = ["p", "q", "a", "b", "g", "l", "u", "row h", "row g", "row c"];

/// Which parameters the batch shares, whether matrices are diagonals, and whether there are
/// quadratic rows.
#[derive(Debug, Clone, Copy)]
struct Layout {
    shared: [bool; 10],
    diagonal: bool,
    quadratics: bool,
}

impl Layout {
    fn count(&self) -> usize {
        if self.quadratics { 10 } else { 7 }
    }

    fn leading(&self, parameter: usize) -> usize {
        if self.shared[parameter] { 1 } else { BATCH }
    }

    /// Entries of one sample.
    fn length(&self, parameter: usize) -> usize {
        let square = if self.diagonal { N } else { N * N };
        [
            square,
            N,
            EQUALITIES * N,
            EQUALITIES,
            INEQUALITIES * N,
            INEQUALITIES,
            INEQUALITIES,
            QUADRATICS * square,
            QUADRATICS * N,
            QUADRATICS,
        ][parameter]
    }

    /// Problems with 0 strictly inside all inequalities and close to the equality's plane, so
    /// that every mixture of shared and own parameters is feasible; q pushes far out of them.
    fn data(&self, seed: u64) -> Vec<Vec<f64>> {
        let mut random = random(seed);
        let mut matrices = |count: usize| -> Vec<f64> {
            let mut all = vec![];
            for _ in 0..count {
                let root = random(N * N);
                if self.diagonal {
                    all.extend(root[..N].iter().map(|r| 0.3 + r * r));
                    continue;
                }
                for i in 0..N {
                    for j in 0..N {
                        let dot: f64 = (0..N).map(|k| root[i * N + k] * root[j * N + k]).sum();
                        all.push(dot + if i == j { 0.3 } else { 0.0 });
                    }
                }
            }
            all
        };
        let p = matrices(self.leading(0));
        let h = matrices(self.leading(7) * QUADRATICS);
        let mut random = self::random(seed + 1000);
        let mut scaled = |parameter: usize, scale: f64, shift: f64| -> Vec<f64> {
            let count = self.leading(parameter) * self.length(parameter);
            random(count).iter().map(|r| scale * r + shift).collect()
        };
        let mut data = vec![
            p,
            scaled(1, 4.0, 0.0),
            scaled(2, 1.0, 0.0),
            scaled(3, 0.03, 0.0),
            scaled(4, 1.0, 0.0),
            scaled(5, 0.2, -0.5),
            scaled(6, 0.2, 0.5),
            h,
            scaled(8, 0.5, 0.0),
            scaled(9, 0.2, 0.6),
        ];
        // One bound at infinity: it must neither move the solution nor get a gradient.
        data[5][0] = f64::NEG_INFINITY;
        data.truncate(self.count());
        data
    }

    fn solve(&self, leaves: &[Tensor<1>]) -> ConvexSolution {
        let matrix = |i: usize, rows: usize| -> Tensor<3> {
            leaves[i].clone().reshape([self.leading(i), rows, N])
        };
        let vector = |i: usize| -> Tensor<2> {
            leaves[i].clone().reshape([self.leading(i), self.length(i)])
        };
        let p = match self.diagonal {
            true => Hessian::diagonal(vector(0)),
            false => Hessian::dense(matrix(0, N)),
        };
        let qp = QpTensors::new(p, vector(1))
            .equalities(matrix(2, EQUALITIES), vector(3))
            .inequalities(matrix(4, INEQUALITIES), vector(5), vector(6));
        if !self.quadratics {
            return QpLayer::default().forward(&qp).unwrap();
        }
        let h = match self.diagonal {
            true => RowHessians::diagonal(matrix(7, QUADRATICS)),
            false => {
                let shape = [self.leading(7), QUADRATICS, N, N];
                let h: Tensor<4> = leaves[7].clone().reshape(shape);
                RowHessians::dense(h)
            }
        };
        let problem = qp.quadratics(h, matrix(8, QUADRATICS), vector(9));
        QcqpLayer::default().forward(&problem).unwrap()
    }
}

/// Random weights on x, and on the multipliers too if wanted.
fn loss(solution: &ConvexSolution, duals: bool) -> Tensor<1> {
    let mut random = random(77);
    let mut weighted = |part: &Tensor<2>| {
        let shape = part.dims();
        (part.clone() * tensor(&random(shape[0] * shape[1]), shape)).sum()
    };
    let mut loss = weighted(&solution.x);
    if duals {
        loss = loss + weighted(&solution.equality_dual()) + weighted(&solution.inequality_dual());
        if solution.quadratic_dual().dims()[1] > 0 {
            loss = loss + weighted(&solution.quadratic_dual());
        }
    }
    loss
}

/// Checks all gradients of one random problem; returns the worst error, and how many multipliers
/// of each kind are not zero.
fn check(layout: &Layout, seed: u64, duals: bool) -> (f64, [usize; 3]) {
    let data = layout.data(seed);
    let flat = |values: &Vec<f64>| tensor(values, [values.len()]);
    let mut worst = 0.0f64;
    let mut held = [0; 3];

    // All parameters tracked at once, and each on its own: the rest must cost and change nothing.
    let leaves: Vec<Tensor<1>> = data.iter().map(|v| flat(v).require_grad()).collect();
    let solution = layout.solve(&leaves);
    let reports = solution.gradient_reports();
    assert_eq!(reports.get(), None);
    let together = loss(&solution, duals).backward();
    assert_eq!(
        reports.count(GradientQuality::Exact),
        Some(BATCH),
        "{layout:?}, seed {seed}"
    );
    let parts = [
        &solution.equality_dual(),
        &solution.inequality_dual(),
        &solution.quadratic_dual(),
    ];
    for (held, part) in held.iter_mut().zip(parts) {
        *held = numbers(part).iter().filter(|v| v.abs() > 1e-6).count();
    }

    for parameter in 0..layout.count() {
        let name = format!(
            "{} of {layout:?}, seed {seed}, duals {duals}",
            NAMES[parameter]
        );
        let at = |values: &[f64], track: bool| {
            let mut leaves: Vec<Tensor<1>> = data.iter().map(flat).collect();
            leaves[parameter] = tensor(values, [values.len()]).set_require_grad(track);
            let loss = loss(&layout.solve(&leaves), duals);
            (leaves[parameter].clone(), loss)
        };
        let (leaf, own_loss) = at(&data[parameter], true);
        let alone = numbers(&leaf.grad(&own_loss.backward()).unwrap());
        let gradient = numbers(&leaves[parameter].grad(&together).unwrap());
        assert_close(&name, &gradient, &alone, 1e-13);

        let count = data[parameter].len();
        let directions = match (NAMES[parameter], layout.diagonal) {
            ("p" | "row h", false) => symmetric_entries(count, N),
            _ => entries(count),
        };
        let differences = central_differences(&data[parameter], &directions, |values| {
            numbers(&at(values, false).1)[0]
        });
        // The differences' own error, 5e-9, times the conditioning of these problems.
        worst = worst.max(assert_close(&name, &gradient, &differences, 1e-6));
    }
    (worst, held)
}

fn check_layouts(quadratics: bool) {
    let none = [false; 10];
    let mut only_q_own = [true; 10];
    only_q_own[1] = false;
    let alternate: [bool; 10] = std::array::from_fn(|i| i % 2 == 0);
    let matrices_shared: [bool; 10] = std::array::from_fn(|i| [0, 2, 4, 7, 8].contains(&i));
    let (mut worst, mut held) = (0.0f64, [0; 3]);
    for shared in [none, only_q_own, alternate, matrices_shared] {
        for diagonal in [false, true] {
            for (seed, duals) in [(1, false), (2, true), (3, true)] {
                let (error, kinds) = check(
                    &Layout {
                        shared,
                        diagonal,
                        quadratics,
                    },
                    seed,
                    duals,
                );
                worst = worst.max(error);
                for (total, kind) in held.iter_mut().zip(kinds) {
                    *total += kind;
                }
            }
        }
    }
    eprintln!("worst error {worst:e}; multipliers that are not zero: {held:?}");
    // The check means something only where rows of every kind hold some samples.
    assert!(
        held[0] > 0 && held[1] > 10 && (held[2] > 10) == quadratics,
        "{held:?}"
    );
}

#[test]
fn quadratic_programs_agree_with_central_differences() {
    check_layouts(false);
}

#[test]
fn quadratically_constrained_programs_agree_with_central_differences() {
    check_layouts(true);
}

#[test]
fn one_tensor_in_two_roles_gets_both_gradients() {
    // x = u = l: the equality x = t, written as a row with two bounds from one tensor.
    let t = tensor(&[0.3, -0.2], [1, 2]).require_grad();
    let problem = QpTensors::new(
        Hessian::diagonal(tensor(&[1.0, 2.0], [2])),
        tensor(&[0.0; 2], [2]),
    )
    .inequalities(tensor(&[1.0, 0.0, 0.0, 1.0], [2, 2]), t.clone(), t.clone());
    let x = QpLayer::default().forward(&problem).unwrap().x;
    assert_close("x", &numbers(&x), &[0.3, -0.2], 1e-12);
    let gradient = t
        .grad(&(x * tensor(&[2.0, 3.0], [1, 2])).sum().backward())
        .unwrap();
    assert_close("gradient", &numbers(&gradient), &[2.0, 3.0], 1e-12);
}

#[test]
fn nothing_is_recorded_without_a_tracked_parameter() {
    let problem = QpTensors::new(
        Hessian::diagonal(tensor(&[1.0], [1])),
        tensor(&[-2.0], [1, 1]),
    );
    let solution = QpLayer::default().forward(&problem).unwrap();
    assert!(!solution.x.is_tracked());
    assert_eq!(numbers(&solution.x), [2.0]);
}
