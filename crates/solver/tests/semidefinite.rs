//! Semidefinite programs with answers in closed form, and the cones that small matrices are.
#![cfg(feature = "semidefinite")]
#![allow(missing_docs)]

mod support;

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use feasible_solver::{Cone, ConeGradients, ConeSolution, GradientQuality, Status};
use rand::RngExt;
use support::cones::{Owned, Pattern, gradients, orthogonal, rows_of, solve, with_eigenvalues};
use support::{inner, normal, rng};

/// `min ½ Σ pᵢxᵢ² + qᵀx` with `s = b − Ax`; entries of `A` that are zero are not in its pattern.
fn program(p: &[f64], q: &[f64], a: &[Vec<f64>], b: &[f64], cones: &[Cone]) -> Owned {
    let n = q.len();
    let p_pattern = Pattern::new(n, n, |i, j| i == j && !p.is_empty());
    let a_pattern = Pattern::new(b.len(), n, |i, j| a[i][j] != 0.0);
    let a_values = a_pattern.places().iter().map(|&(i, j)| a[i][j]).collect();
    Owned {
        batch: 1,
        n,
        cones: cones.to_vec(),
        p: p_pattern,
        a: a_pattern,
        parts: [
            (p.to_vec(), true),
            (q.to_vec(), true),
            (a_values, true),
            (b.to_vec(), true),
        ],
    }
}

fn unit(n: usize, at: usize, value: f64) -> Vec<f64> {
    let mut row = vec![0.0; n];
    row[at] = value;
    row
}

/// Gradients of `cᵀx`.
fn of_x(owned: &Owned, solution: &ConeSolution, c: &[f64]) -> ConeGradients {
    let nothing = vec![0.0; owned.a.rows];
    gradients(owned, solution, &[c.to_vec(), nothing.clone(), nothing])
}

fn assert_close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs();
        assert!(error < tolerance, "{what}[{i}]: {got} {expected}");
    }
}

/// Every gradient of `cᵀx` entry by entry against central differences, fourth order.
fn every_entry(owned: &Owned, c: &[f64]) {
    let solution = solve(owned);
    let gradients = of_x(owned, &solution, c);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
    let parts = [&gradients.p, &gradients.q, &gradients.a, &gradients.b];
    let step = 1e-4;
    for (part, gradient) in parts.iter().enumerate() {
        for (entry, got) in gradient.as_ref().unwrap().iter().enumerate() {
            let value = |t: f64| {
                let mut moved = owned.clone();
                moved.parts[part].0[entry] += t * step;
                inner(c, &solve(&moved).x)
            };
            let difference =
                (8.0 * (value(1.0) - value(-1.0)) - (value(2.0) - value(-2.0))) / (12.0 * step);
            let error = (got - difference).abs();
            assert!(
                error < 1e-6 * (1.0 + got.abs()),
                "part {part} entry {entry}: {got} {difference}"
            );
        }
    }
}

/// `min ½‖X − C‖²` over semidefinite `X`.
fn nearest(c: &[f64], size: usize) -> Owned {
    let m = c.len();
    let q: Vec<f64> = c.iter().map(|v| -v).collect();
    let a: Vec<Vec<f64>> = (0..m).map(|i| unit(m, i, -1.0)).collect();
    let cones = [Cone::Semidefinite(size)];
    program(&vec![1.0; m], &q, &a, &vec![0.0; m], &cones)
}

#[test]
fn nearest_semidefinite_matrix() {
    let mut rng = rng(1);
    for values in [
        &[2.0, 0.5, -1.0, -0.3][..],
        // Repeated eigenvalues of one sign are smooth.
        &[1.0, 1.0, 1.0, -0.5],
        &[1.0, 1.0, -0.5, -0.5, -0.5],
        &[0.5, 0.5],
        &[-1.0, -1.0, -2.0],
    ] {
        let size = values.len();
        let vectors = orthogonal(&mut rng, size);
        let owned = nearest(&with_eigenvalues(&vectors, values), size);
        let solution = solve(&owned);
        assert!(solution.all_solved());
        let kept: Vec<f64> = values.iter().map(|v| v.max(0.0)).collect();
        assert_close("x", &solution.x, &with_eigenvalues(&vectors, &kept), 1e-12);
        let dropped: Vec<f64> = values.iter().map(|v| (-v).max(0.0)).collect();
        let expected = with_eigenvalues(&vectors, &dropped);
        assert_close("z", &solution.z, &expected, 1e-12);
        // The derivative in the eigenvectors' basis, for a loss along each pair of them.
        for i in 0..size {
            for j in 0..=i {
                let pair = rows_of(size, |a, b| {
                    0.5 * (vectors[i][a] * vectors[j][b] + vectors[j][a] * vectors[i][b])
                });
                let gradients = of_x(&owned, &solution, &pair);
                assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
                let factor = match (values[i] > 0.0, values[j] > 0.0) {
                    (true, true) => 1.0,
                    (false, false) => 0.0,
                    (true, false) => values[i] / (values[i] - values[j]),
                    (false, true) => values[j] / (values[j] - values[i]),
                };
                let expected: Vec<f64> = pair.iter().map(|v| -factor * v).collect();
                assert_close("q", &gradients.q.unwrap(), &expected, 1e-12);
            }
        }
    }
    let vectors = orthogonal(&mut rng, 3);
    let owned = nearest(&with_eigenvalues(&vectors, &[1.0, 0.4, -0.7]), 3);
    every_entry(&owned, &normal(&mut rng, 6));
}

#[test]
fn a_vanishing_eigenvalue_is_flagged() {
    let mut rng = rng(2);
    for values in [
        &[0.0][..],
        &[1.0, 0.0],
        &[1.0, 0.0, -1.0],
        &[0.0, 0.0, -1.0],
    ] {
        let size = values.len();
        let vectors = orthogonal(&mut rng, size);
        let owned = nearest(&with_eigenvalues(&vectors, values), size);
        let solution = solve(&owned);
        assert_eq!(solution.status[0], Status::Solved);
        let gradients = of_x(&owned, &solution, &vec![1.0; owned.n]);
        let report = gradients.reports[0];
        assert_eq!(report.quality, GradientQuality::Degenerate, "{values:?}");
        assert!(gradients.q.unwrap().iter().all(|v| v.is_finite()));
    }
}

/// Higham (2002), §1: the correlation matrix nearest to one that is not semidefinite. By symmetry it
/// has entries `a` beside the diagonal and `2a² − 1` in the corner, with `4a³ − a − 1 = 0`.
#[test]
fn nearest_correlation_matrix() {
    let mut a: f64 = 0.76;
    for _ in 0..20 {
        a -= (4.0 * a.powi(3) - a - 1.0) / (12.0 * a * a - 1.0);
    }
    assert!((a - 0.7607).abs() < 5e-5 && (2.0 * a * a - 1.0 - 0.1573).abs() < 5e-5);
    let given = [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]];
    let q: Vec<f64> = rows_of(3, |i, j| -given[i][j]);
    let diagonal = [0, 2, 5].map(|at| unit(6, at, 1.0));
    let rows: Vec<Vec<f64>> = diagonal
        .into_iter()
        .chain((0..6).map(|i| unit(6, i, -1.0)))
        .collect();
    let b = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let cones = [Cone::Zero(3), Cone::Semidefinite(3)];
    let owned = program(&[1.0; 6], &q, &rows, &b, &cones);
    let solution = solve(&owned);
    let nearest = [
        [1.0, a, 2.0 * a * a - 1.0],
        [a, 1.0, a],
        [2.0 * a * a - 1.0, a, 1.0],
    ];
    assert_close("x", &solution.x, &rows_of(3, |i, j| nearest[i][j]), 1e-12);
    every_entry(&owned, &normal(&mut rng(3), 6));
}

/// The largest eigenvalue of `C` is the least `t` with `tI − C` semidefinite; its derivative with
/// respect to `C` is `v vᵀ`, and that of `v vᵀ` the standard one of an eigenvector.
#[test]
fn largest_eigenvalue() {
    let mut rng = rng(4);
    let values = [2.0, 1.5, -1.0, 0.3, 0.3];
    let vectors = orthogonal(&mut rng, 5);
    let c = with_eigenvalues(&vectors, &values);
    let top = with_eigenvalues(&vectors, &[1.0, 0.0, 0.0, 0.0, 0.0]);
    let identity = rows_of(5, |i, j| if i == j { 1.0 } else { 0.0 });
    let column: Vec<Vec<f64>> = identity.iter().map(|v| vec![-v]).collect();
    let minus_c: Vec<f64> = c.iter().map(|v| -v).collect();
    let cones = [Cone::Semidefinite(5)];
    let owned = program(&[], &[1.0], &column, &minus_c, &cones);
    let solution = solve(&owned);
    assert_close("t", &solution.x, &[2.0], 1e-12);
    assert_close("z", &solution.z, &top, 1e-11);
    let gradients = of_x(&owned, &solution, &[1.0]);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
    let expected: Vec<f64> = top.iter().map(|v| -v).collect();
    assert_close("b", &gradients.b.unwrap(), &expected, 1e-11);
    every_entry(&owned, &[1.0]);

    // max ⟨C, X⟩ over the semidefinite matrices of trace 1 is reached at v vᵀ.
    let rows: Vec<Vec<f64>> = std::iter::once(identity)
        .chain((0..15).map(|i| unit(15, i, -1.0)))
        .collect();
    let mut b = vec![0.0; 16];
    b[0] = 1.0;
    let cones = [Cone::Zero(1), Cone::Semidefinite(5)];
    let owned = program(&[], &minus_c, &rows, &b, &cones);
    let solution = solve(&owned);
    assert_close("x", &solution.x, &top, 1e-12);
    let direction = normal(&mut rng, 15);
    let gradients = of_x(&owned, &solution, &direction);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
    // dv = Σ vₖ (vₖᵀ dC v)/(λ − λₖ), so the loss's derivative along vₖvᵀ is ⟨D, vₖvᵀ⟩/(λ − λₖ).
    let mut expected = vec![0.0; 15];
    for k in 1..5 {
        let mixed = rows_of(5, |i, j| {
            vectors[k][i] * vectors[0][j] + vectors[0][i] * vectors[k][j]
        });
        let along = 0.5 * inner(&direction, &mixed) / (values[0] - values[k]);
        expected
            .iter_mut()
            .zip(&mixed)
            .for_each(|(e, v)| *e -= along * v);
    }
    assert_close("q", &gradients.q.unwrap(), &expected, 1e-11);

    // A repeated largest eigenvalue has no derivative.
    let c = with_eigenvalues(&vectors, &[-2.0, -2.0, 1.0, 0.0, 0.5]);
    let owned = program(&[], &[1.0], &column, &c, &[Cone::Semidefinite(5)]);
    let solution = solve(&owned);
    assert_close("t", &solution.x, &[2.0], 1e-9);
    let quality = of_x(&owned, &solution, &[1.0]).reports[0].quality;
    assert_eq!(quality, GradientQuality::Degenerate);
}

/// Goemans & Williamson (1995) on a triangle with weights: the optimal unit vectors lie in a plane
/// with `w sin θ` the same for every edge, so that the angles `π − θ` are those of the triangle of
/// sides `1/w`.
#[test]
fn max_cut_of_a_triangle() {
    for w in [[1.0, 1.0, 1.0], [1.0, 1.2, 0.9]] {
        // Rows 1, 3, 4 of the upper triangle: edges (0, 1), (0, 2), (1, 2).
        let edges = [1, 3, 4];
        let mut q = vec![0.0; 6];
        for (edge, w) in edges.iter().zip(&w) {
            q[*edge] = w * FRAC_1_SQRT_2;
        }
        let diagonal = [0, 2, 5].map(|at| unit(6, at, 1.0));
        let rows: Vec<Vec<f64>> = diagonal
            .into_iter()
            .chain((0..6).map(|i| unit(6, i, -1.0)))
            .collect();
        let b = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let cones = [Cone::Zero(3), Cone::Semidefinite(3)];
        let owned = program(&[], &q, &rows, &b, &cones);
        let solution = solve(&owned);
        assert!(solution.all_solved());
        for edge in 0..3 {
            let [a, b, c] = [edge, (edge + 1) % 3, (edge + 2) % 3].map(|k| 1.0 / w[k]);
            let cosine = -(b * b + c * c - a * a) / (2.0 * b * c);
            let row = edges[edge];
            assert_close("x", &solution.x[row..row + 1], &[SQRT_2 * cosine], 1e-11);
            let gradients = of_x(&owned, &solution, &unit(6, row, FRAC_1_SQRT_2));
            assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
            let q = gradients.q.unwrap();
            let of_sides = [
                a / (b * c),
                -(b * b - c * c + a * a) / (2.0 * b * b * c),
                -(c * c - b * b + a * a) / (2.0 * b * c * c),
            ];
            for (k, of_side) in of_sides.iter().enumerate() {
                let other = (edge + k) % 3;
                let expected = -of_side / w[other].powi(2);
                // The objective's numbers are w/√2.
                let got = q[edges[other]] * FRAC_1_SQRT_2;
                assert!((got - expected).abs() < 1e-9, "{w:?}: {got} {expected}");
            }
        }
        let cut: f64 = (0..3).map(|k| 0.5 * w[k]).sum::<f64>() - solution.objective[0] / 2.0;
        if w == [1.0; 3] {
            assert!((cut - 2.25).abs() < 1e-11, "{cut}");
        }
    }
}

/// `max log det X − ⟨S, X⟩` is reached at `S⁻¹`. With a lower triangle `Z` whose diagonal is `D`,
/// `log det X ≥ Σ log Dᵢ` where `[X Z; Zᵀ D]` is semidefinite (Ben-Tal & Nemirovski 2001, §4.2).
#[test]
fn log_det() {
    // Variables: X (3), Z₀₀, Z₁₀, Z₁₁, u₀, u₁.
    let s = [[2.0, 0.5], [0.5, 1.0]];
    let mut q = rows_of(2, |i, j| s[i][j]);
    q.extend([0.0, 0.0, 0.0, -1.0, -1.0]);
    let place = |i: usize, j: usize| -> Option<(usize, f64)> {
        // Entry (i ≤ j) of the block matrix as a variable with a factor.
        match (i, j) {
            (0, 0) => Some((0, 1.0)),
            (0, 1) => Some((1, FRAC_1_SQRT_2)),
            (1, 1) => Some((2, 1.0)),
            (0, 2) | (2, 2) => Some((3, 1.0)),
            (1, 2) => Some((4, 1.0)),
            (1, 3) | (3, 3) => Some((5, 1.0)),
            _ => None,
        }
    };
    let mut rows = Vec::new();
    for j in 0..4 {
        for i in 0..=j {
            let scale = if i == j { 1.0 } else { SQRT_2 };
            rows.push(match place(i, j) {
                Some((variable, factor)) => unit(8, variable, -scale * factor),
                None => vec![0.0; 8],
            });
        }
    }
    let mut b = vec![0.0; 10];
    for (u, diagonal) in [(6, 3), (7, 5)] {
        rows.push(unit(8, u, -1.0));
        rows.push(vec![0.0; 8]);
        rows.push(unit(8, diagonal, -1.0));
        b.extend([0.0, 1.0, 0.0]);
    }
    let cones = [Cone::Semidefinite(4), Cone::Exponential(2)];
    let owned = program(&[], &q, &rows, &b, &cones);
    let solution = solve(&owned);
    assert!(solution.all_solved());
    let det: f64 = s[0][0] * s[1][1] - s[0][1] * s[1][0];
    let inverse = [
        [s[1][1] / det, -s[0][1] / det],
        [-s[0][1] / det, s[0][0] / det],
    ];
    let expected = rows_of(2, |i, j| inverse[i][j]);
    assert_close("x", &solution.x[..3], &expected, 1e-11);
    assert!((solution.objective[0] - (2.0 + det.ln())).abs() < 1e-11);
    // dX = −X dS X.
    for at in 0..3 {
        let gradients = of_x(&owned, &solution, &unit(8, at, 1.0));
        assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
        let q = gradients.q.unwrap();
        for of in 0..3 {
            let basis = |k: usize, i: usize, j: usize| match k {
                0 => f64::from(u8::from(i == 0 && j == 0)),
                1 => FRAC_1_SQRT_2 * f64::from(u8::from(i != j)),
                _ => f64::from(u8::from(i == 1 && j == 1)),
            };
            let mut expected = 0.0;
            for [i, j, k, l] in (0..16).map(|at| [at & 1, at >> 1 & 1, at >> 2 & 1, at >> 3]) {
                expected -= basis(at, i, j) * inverse[i][k] * basis(of, k, l) * inverse[l][j];
            }
            assert!((q[of] - expected).abs() < 1e-9, "{} {expected}", q[of]);
        }
    }
    every_entry(&owned, &normal(&mut rng(5), 8));
}

/// A strictly convex program over rows of which `of` says what they are.
fn over(
    seed: u64,
    rows: usize,
    of: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>>,
    cones: &[Cone],
) -> Owned {
    let mut rng = rng(seed);
    let n = rows + 2;
    let p: Vec<f64> = (0..n).map(|_| rng.random_range(0.5..2.0)).collect();
    let q: Vec<f64> = normal(&mut rng, n).iter().map(|v| 3.0 * v).collect();
    let mut system: Vec<Vec<f64>> = (0..rows).map(|_| normal(&mut rng, n + 1)).collect();
    system = of(&system);
    let b: Vec<f64> = system.iter().map(|row| row[n]).collect();
    system.iter_mut().for_each(|row| row.truncate(n));
    program(&p, &q, &system, &b, cones)
}

#[test]
fn small_matrices_are_other_cones() {
    let h = FRAC_1_SQRT_2;
    // (a, √2·b, c) to the second-order cone's ((a + c)/√2, (a − c)/√2, √2·b), an orthogonal map.
    let map = [[h, 0.0, h], [h, 0.0, -h], [0.0, 1.0, 0.0]];
    let mapped = |rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        map.iter()
            .map(|m| {
                let sum = |j: usize| (0..3).map(|k| m[k] * rows[k][j]).sum();
                (0..rows[0].len()).map(sum).collect()
            })
            .collect()
    };
    let mut faces = [0; 3];
    for seed in 0..60 {
        let matrix = over(seed, 3, <[_]>::to_vec, &[Cone::Semidefinite(2)]);
        let vector = over(seed, 3, mapped, &[Cone::SecondOrder(3)]);
        let (one, other) = (solve(&matrix), solve(&vector));
        assert!(one.all_solved() && other.all_solved());
        assert_close("x", &one.x, &other.x, 1e-11);
        let c = normal(&mut rng(seed), matrix.n);
        let (one, other) = (of_x(&matrix, &one, &c), of_x(&vector, &other, &c));
        assert_eq!(one.reports[0].quality, other.reports[0].quality);
        assert_close("p", &one.p.unwrap(), &other.p.unwrap(), 1e-9);
        assert_close("q", &one.q.unwrap(), &other.q.unwrap(), 1e-9);
        let b = other.b.unwrap();
        let back: Vec<f64> = (0..3)
            .map(|k| (0..3).map(|i| map[i][k] * b[i]).sum())
            .collect();
        assert_close("b", &one.b.unwrap(), &back, 1e-9);
        let binding = b.iter().any(|v| v.abs() > 1e-12);
        faces[usize::from(binding)] += 1;

        let ones = [Cone::Semidefinite(1); 3];
        let (matrices, numbers) = (
            over(seed, 3, <[_]>::to_vec, &ones),
            over(seed, 3, <[_]>::to_vec, &[Cone::Nonnegative(3)]),
        );
        let (one, other) = (solve(&matrices), solve(&numbers));
        assert_close("x", &one.x, &other.x, 1e-12);
        assert_close("z", &one.z, &other.z, 1e-12);
        let (one, other) = (of_x(&matrices, &one, &c), of_x(&numbers, &other, &c));
        assert_eq!(one.reports[0].quality, other.reports[0].quality);
        assert_close("a", &one.a.unwrap(), &other.a.unwrap(), 1e-10);
        assert_close("b", &one.b.unwrap(), &other.b.unwrap(), 1e-10);
    }
    assert!(faces[0] > 2 && faces[1] > 20, "{faces:?}");
}
