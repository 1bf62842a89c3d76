//! Cone programs as tensors: every gradient, sparse and dense, and failures.

use burn::tensor::{DType, Tensor};
use feasible_convex::{
    Cone, ConeLayer, ConeLayerSettings, ConeParameter, ConeTensorSolution, ConeTensors, Direction,
    Error, GradientQuality, OnFailure, SparseMatrix, Status,
};
use feasible_core::host;

use crate::support::{
    assert_close, central_differences, device, entries, numbers, random, symmetric_entries, tensor,
};

const N: usize = 3;
const CONES: [Cone; 3] = [Cone::Zero(1), Cone::Nonnegative(2), Cone::SecondOrder(3)];
const ROWS: usize = 6;
const BATCH: usize = 2;

/// P, q, A, b: P and A shared, q and b a sample's own.
fn data(seed: u64) -> [Vec<f64>; 4] {
    let mut random = random(seed);
    let root = random(N * N);
    let p = (0..N * N)
        .map(|at| {
            let (i, j) = (at / N, at % N);
            let dot: f64 = (0..N).map(|k| root[i * N + k] * root[j * N + k]).sum();
            dot + if i == j { 0.3 } else { 0.0 }
        })
        .collect();
    let q = random(BATCH * N).iter().map(|v| 2.0 * v).collect();
    let a = random(ROWS * N);
    // x = 0 is strictly feasible.
    let b = [0.0, 0.4, 0.6, 0.8, 0.1, -0.2].repeat(BATCH);
    [p, q, a, b]
}

/// The solution, and the leaves.
fn layer(
    data: &[Vec<f64>; 4],
) -> (
    ConeTensorSolution,
    Tensor<2>,
    Tensor<2>,
    Tensor<2>,
    Tensor<2>,
) {
    let leaf = |values: &[f64], shape: [usize; 2]| tensor(values, shape).require_grad();
    let [p, q, a, b] = data;
    let (p, q) = (leaf(p, [N, N]), leaf(q, [BATCH, N]));
    let (a, b) = (leaf(a, [ROWS, N]), leaf(b, [BATCH, ROWS]));
    let matrix = SparseMatrix::dense(a.clone());
    let problem = ConeTensors::new(q.clone(), matrix, b.clone(), CONES.to_vec())
        .quadratic(SparseMatrix::upper_triangle(p.clone()));
    let solution = ConeLayer::default().forward(&problem).unwrap();
    (solution, p, q, a, b)
}

fn loss(solution: &ConeTensorSolution, weights: &[f64]) -> Tensor<1> {
    let parts = [&solution.x, &solution.s(), &solution.z()];
    let all = Tensor::cat(parts.into_iter().cloned().collect(), 1);
    (all.clone() * tensor(weights, all.dims())).sum()
}

#[test]
fn every_gradient_agrees_with_differences() {
    let weights = random(5)(BATCH * (N + 2 * ROWS));
    let mut worst = 0.0f64;
    for seed in 0..12 {
        let data = data(seed);
        let (solution, p, q, a, b) = layer(&data);
        let reports = solution.gradient_reports();
        let gradients = loss(&solution, &weights).backward();
        assert_eq!(reports.count(GradientQuality::Exact), Some(BATCH), "{seed}");
        for (at, leaf) in [p, q, a, b].iter().enumerate() {
            let got = numbers(&leaf.grad(&gradients).unwrap());
            let directions = match at {
                0 => symmetric_entries(N * N, N),
                _ => entries(data[at].len()),
            };
            let expected = central_differences(&data[at], &directions, |values| {
                let mut moved = data.clone();
                moved[at] = values.to_vec();
                numbers(&loss(&layer(&moved).0, &weights))[0]
            });
            let what = ["∂P", "∂q", "∂A", "∂b"][at];
            worst = worst.max(assert_close(what, &got, &expected, 1e-6));
        }
    }
    eprintln!("cone layer: worst relative error {worst:.1e}");
}

#[test]
fn sparse_and_dense_matrices_agree() {
    // Places and numbers of a matrix with zeros: by columns, rows ascending.
    let (starts, indices) = (vec![0, 2, 4, 5], vec![0, 1, 0, 3, 2]);
    let values = [1.0, -1.0, 1.0, -1.0, -1.0];
    let mut dense = [0.0; 4 * 3];
    let places = [(0, 0), (1, 0), (0, 1), (3, 1), (2, 2)];
    for ((row, column), v) in places.into_iter().zip(values) {
        dense[row * 3 + column] = v;
    }
    let q = tensor(&[0.3, -0.2, 0.5, -1.0, 0.4, 0.2], [2, 3]);
    let b = tensor(&[1.0, 0.0, 0.0, 0.0], [1, 4]);
    let cones = vec![Cone::Zero(1), Cone::Nonnegative(3)];
    let p = tensor(&[1.0, 1.0, 1.0], [1, 3]);
    let quadratic = || SparseMatrix::new([3, 3], vec![0, 1, 2, 3], vec![0, 1, 2], p.clone());
    let forward = |a: SparseMatrix| {
        let problem = ConeTensors::new(q.clone(), a, b.clone(), cones.clone());
        let solution = ConeLayer::default().forward(&problem.quadratic(quadratic()));
        solution.unwrap()
    };
    let numbers_leaf = tensor(&values, [1, 5]).require_grad();
    let dense_leaf = tensor(&dense, [4, 3]).require_grad();
    let sparse = forward(SparseMatrix::new(
        [4, 3],
        starts,
        indices,
        numbers_leaf.clone(),
    ));
    let full = forward(SparseMatrix::dense(dense_leaf.clone()));
    assert_close("x", &numbers(&sparse.x), &numbers(&full.x), 1e-12);
    let weights = tensor(&[1.0, 2.0, -1.0, 0.5, 1.0, 3.0], [2, 3]);
    let of = |solution: ConeTensorSolution| (solution.x * weights.clone()).sum().backward();
    let of_entries = numbers(&numbers_leaf.grad(&of(sparse)).unwrap());
    let of_matrix = numbers(&dense_leaf.grad(&of(full)).unwrap());
    let expected: Vec<f64> = places.iter().map(|(r, c)| of_matrix[r * 3 + c]).collect();
    assert_close("∂A", &of_entries, &expected, 1e-10);
}

/// x ≥ l and x ≤ 1: the second sample's l is above.
fn crossed(on_failure: OnFailure) -> Result<ConeTensorSolution, Error> {
    let a = tensor(&[-1.0, 1.0], [2, 1]);
    let b = tensor(&[0.0, 1.0, -2.0, 1.0], [2, 2]).require_grad();
    let q = tensor(&[1.0], [1]);
    let settings = ConeLayerSettings {
        on_failure,
        ..ConeLayerSettings::default()
    };
    let cones = vec![Cone::Nonnegative(2)];
    ConeLayer::new(settings)?.forward(&ConeTensors::new(q, SparseMatrix::dense(a), b, cones))
}

#[test]
fn samples_without_a_solution_follow_the_policy() {
    let message = crossed(OnFailure::Error).unwrap_err().to_string();
    assert!(
        message.contains("sample 1 ended as PrimalInfeasible")
            && message.contains("row 0 and row 1 conflict"),
        "{message}"
    );
    let solution = crossed(OnFailure::Nan).unwrap();
    assert_eq!(solution.status, [Status::Solved, Status::PrimalInfeasible]);
    let x = numbers(&solution.x);
    assert!(x[0].abs() < 1e-9 && x[1].is_nan(), "{x:?}");
    let reports = solution.gradient_reports();
    solution.x.clone().narrow(0, 0, 1).sum().backward();
    assert_eq!(reports.count(GradientQuality::Unavailable), Some(1));
    assert!(solution.conflict(0).is_none());
    let conflict = solution.conflict(1).unwrap();
    assert_eq!(conflict.len(), 2, "{conflict:?}");
    // The certificate is in z: z ≥ 0, Aᵀz = 0, bᵀz < 0.
    let kept = crossed(OnFailure::Keep).unwrap();
    let z = numbers(&kept.z());
    assert!(z[2] > 0.0 && (z[2] - z[3]).abs() < 1e-6 * z[2], "{z:?}");
}

#[test]
fn bad_input_is_named() {
    let a = |shape: [usize; 2]| SparseMatrix::dense(tensor(&vec![1.0; shape[0] * shape[1]], shape));
    let vector = |length: usize| tensor(&vec![1.0; length], [length]);
    let cones = || vec![Cone::Nonnegative(2)];
    let message = |problem: ConeTensors| {
        let result = ConeLayer::default().forward(&problem);
        result.expect_err("must be refused").to_string()
    };
    let cases = [
        (
            "`b` has shape",
            ConeTensors::new(vector(3), a([2, 3]), vector(3), cones()),
        ),
        (
            "`a` has 2 rows and 3 columns",
            ConeTensors::new(vector(4), a([2, 3]), vector(2), cones()),
        ),
        (
            "`a`",
            ConeTensors::new(vector(3), a([4, 3]), vector(4), cones()),
        ),
        (
            "`a` has shape",
            ConeTensors::new(
                vector(1),
                SparseMatrix::new([2, 1], vec![0, 2], vec![0, 1], tensor(&[1.0], [1, 1])),
                vector(2),
                cones(),
            ),
        ),
        (
            "`q` is NaN",
            ConeTensors::new(tensor(&[f64::NAN; 3], [3]), a([2, 3]), vector(2), cones()),
        ),
        (
            "`a` is NaN at index [0, 1]",
            ConeTensors::new(
                vector(3),
                SparseMatrix::dense(tensor(&[1.0, f64::NAN, 1.0, 1.0, 1.0, 1.0], [2, 3])),
                vector(2),
                cones(),
            ),
        ),
        (
            "`a` is inf at index [1, 0, 2]",
            ConeTensors::new(
                vector(3),
                SparseMatrix::dense(tensor(
                    &[[1.0; 8].as_slice(), &[f64::INFINITY, 1.0, 1.0, 1.0]].concat(),
                    [2, 2, 3],
                )),
                vector(2),
                cones(),
            ),
        ),
        (
            "`p` is NaN at index [1, 2]",
            ConeTensors::new(vector(3), a([2, 3]), vector(2), cones()).quadratic(
                SparseMatrix::upper_triangle(tensor(
                    &[1.0, 0.0, 0.0, 0.0, 1.0, f64::NAN, 0.0, 0.0, 1.0],
                    [3, 3],
                )),
            ),
        ),
        (
            "`p`",
            ConeTensors::new(vector(3), a([2, 3]), vector(2), cones())
                .quadratic(SparseMatrix::dense(tensor(&[1.0; 9], [3, 3]))),
        ),
        (
            "`p` of the shared data is not symmetric: entries (1, 0) and (0, 1) of matrix 0 differ by 1e0",
            ConeTensors::new(vector(2), a([2, 2]), vector(2), cones()).quadratic(
                SparseMatrix::upper_triangle(tensor(&[2.0, 1.0, 0.0, 2.0], [2, 2])),
            ),
        ),
        (
            "`p` of sample 1 is not symmetric: entries (1, 0) and (0, 1) of matrix 0 differ by 5e-1",
            ConeTensors::new(vector(2), a([2, 2]), vector(2), cones()).quadratic(
                SparseMatrix::upper_triangle(tensor(
                    &[2.0, 0.5, 0.5, 2.0, 2.0, 0.5, 0.0, 2.0],
                    [2, 2, 2],
                )),
            ),
        ),
        (
            "`p` matrix 0 of the shared data must be positive semidefinite",
            ConeTensors::new(vector(1), a([2, 1]), vector(2), cones())
                .quadratic(SparseMatrix::upper_triangle(tensor(&[-1.0], [1, 1]))),
        ),
    ];
    for (expected, problem) in cases {
        let message = message(problem);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn single_precision_costs_one_rounding() {
    let run = |dtype: DType| {
        let [p, q, a, b] = data(3).map(|part| {
            let single = part.iter().map(|v| f64::from(*v as f32));
            single.collect::<Vec<f64>>()
        });
        let leaf = |values: Vec<f64>, shape: [usize; 2]| -> Tensor<2> {
            host::write(values, shape, &device(), dtype).require_grad()
        };
        let q = leaf(q, [BATCH, N]);
        let a = SparseMatrix::dense(leaf(a, [ROWS, N]));
        let problem = ConeTensors::new(q.clone(), a, leaf(b, [BATCH, ROWS]), CONES.to_vec())
            .quadratic(SparseMatrix::upper_triangle(leaf(p, [N, N])));
        let solution = ConeLayer::default().forward(&problem).unwrap();
        assert_eq!(solution.x.dtype(), dtype);
        let gradients = solution.x.clone().sum().backward();
        (numbers(&solution.x), numbers(&q.grad(&gradients).unwrap()))
    };
    let (single, double) = (run(DType::F32), run(DType::F64));
    // P is symmetrised in the tensors' precision, one rounding, which the solution magnifies.
    let tolerance = 8.0 * f64::from(f32::EPSILON);
    assert_close("x", &single.0, &double.0, tolerance);
    assert_close("∂q", &single.1, &double.1, tolerance);
}

/// Exponential, power and semidefinite cones through tensors: differences, and forwards against backwards.
#[test]
fn curved_cones_have_every_gradient() {
    const ROWS: usize = 9;
    let cones = [
        Cone::Exponential(1),
        Cone::Power(0.4),
        Cone::Semidefinite(2),
    ];
    let mut worst = 0.0f64;
    for seed in 0..6 {
        let mut draw = random(100 + seed);
        let q: Vec<f64> = draw(BATCH * N).iter().map(|v| 4.0 * v).collect();
        let a = draw(ROWS * N);
        // x = 0 is strictly feasible: e⁰ < 2, 1 > 0.2, a positive definite matrix.
        let b = [0.0, 1.0, 2.0, 1.0, 1.0, 0.2, 1.0, 0.1, 1.0];
        let data = [q, a, b.to_vec()];
        let solve = |data: &[Vec<f64>; 3]| {
            let leaf = |values: &[f64], shape: [usize; 2]| tensor(values, shape).require_grad();
            let leaves = [
                leaf(&data[0], [BATCH, N]),
                leaf(&data[1], [ROWS, N]),
                leaf(&data[2], [1, ROWS]),
            ];
            let [q, a, b] = leaves.clone();
            let identity: Vec<f64> = (0..N * N)
                .map(|e| f64::from(u8::from(e % (N + 1) == 0)))
                .collect();
            let problem = ConeTensors::new(q, SparseMatrix::dense(a), b, cones.to_vec())
                .quadratic(SparseMatrix::upper_triangle(tensor(&identity, [N, N])));
            (ConeLayer::default().forward(&problem).unwrap(), leaves)
        };
        let weights = draw(BATCH * (N + 2 * ROWS));
        let (solution, leaves) = solve(&data);
        let reports = solution.gradient_reports();
        let gradients = loss(&solution, &weights).backward();
        assert_eq!(reports.count(GradientQuality::Exact), Some(BATCH), "{seed}");
        let mut pulled = 0.0;
        let mut direction = Direction::default();
        for (at, (leaf, parameter)) in leaves
            .iter()
            .zip([ConeParameter::Q, ConeParameter::A, ConeParameter::B])
            .enumerate()
        {
            let got = numbers(&leaf.grad(&gradients).unwrap());
            let expected = central_differences(&data[at], &entries(data[at].len()), |values| {
                let mut data = data.clone();
                data[at] = values.to_vec();
                numbers(&loss(&solve(&data).0, &weights))[0]
            });
            worst = worst.max(assert_close("gradient", &got, &expected, 1e-6));
            let along = draw(got.len());
            pulled += got.iter().zip(&along).map(|(g, d)| g * d).sum::<f64>();
            let mut along: Tensor<2> = tensor(&along, leaf.dims());
            if parameter == ConeParameter::A {
                // On the pattern, by columns.
                along = along.transpose();
            }
            direction = direction.along(parameter, &along).unwrap();
        }
        let tangent = solution.tangent(&direction).unwrap();
        let all = Tensor::cat(vec![tangent.x, tangent.s, tangent.z], 1);
        let pushed = numbers(&(all.clone() * tensor(&weights, all.dims())).sum())[0];
        assert_close("⟨c, Jd⟩", &[pushed], &[pulled], 1e-9);
    }
    eprintln!("curved cones against differences: {worst:.1e}");
}

/// min c x for x ≥ 0: bounded, and not.
#[test]
fn an_unbounded_sample_shows_its_ray() {
    let layer = ConeLayer::new(ConeLayerSettings {
        on_failure: OnFailure::Keep,
        ..ConeLayerSettings::default()
    })
    .unwrap();
    let problem = ConeTensors::new(
        tensor(&[1.0, -2.0], [2, 1]),
        SparseMatrix::dense(tensor(&[-1.0], [1, 1])),
        tensor(&[0.0], [1]),
        vec![Cone::Nonnegative(1)],
    );
    let solution = layer.forward(&problem).unwrap();
    assert_eq!(solution.status, [Status::Solved, Status::DualInfeasible]);
    assert!(solution.ray(0).is_none());
    assert!(solution.ray(1).unwrap()[0] > 0.0);
}
