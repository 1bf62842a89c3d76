//! Whether the factor of another matrix is used, and only where it may be.

use faer::sparse::linalg::cholesky::SymbolicCholeskyRaw;

use super::SparseAdjoint;
use super::kept::ByFactor;
use crate::backward::hessian::Curvature;
use crate::backward::implicit::System;
use crate::dense::{axpy, norm};
use crate::linear::Damp;
use crate::linear::sparse::{MOST_COLUMNS, Sparse};
use crate::settings::Shape;
use crate::term::{Linearisation, Sample};
use crate::{AutoCost, Builder, Manifold, Objective, Real, Residual, Robust, VariableId, Weight};

/// (x² − 1, x/2): at 0 a Gauss-Newton Hessian of ¼, and a Hessian of −7/4.
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

/// y − x, or x of one variable.
struct Link;

impl Residual for Link {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        out[0] = variables[0][0];
        if let Some(from) = variables.get(1) {
            out[0] -= from[0];
        }
    }
}

/// Numbers linked in pairs, and the first held by a prior of this weight, where there is one.
fn links(size: usize, pairs: &[(usize, usize)], prior: Option<f64>) -> (Builder, Vec<VariableId>) {
    let mut builder = Builder::new();
    let x: Vec<_> = (0..size)
        .map(|i| {
            let name = format!("x{i}");
            builder.variable(&name, Manifold::Vector(1)).unwrap()
        })
        .collect();
    let mut add = |name: &str, ends: &[VariableId], weight| {
        let cost = AutoCost::new(Link);
        let weight = Weight::scale(weight);
        builder
            .cost(name, cost, ends, &[], weight, Robust::None)
            .unwrap();
    };
    for (from, to) in pairs {
        let ends = [x[*to], x[*from]];
        add(&format!("{from} to {to}"), &ends, 1.0);
    }
    if let Some(weight) = prior {
        add("prior", &x[..1], weight);
    }
    (builder, x)
}

fn chain(size: usize) -> Vec<(usize, usize)> {
    (1..size).map(|i| (i - 1, i)).collect()
}

/// The matrix at zero, before it is factored.
fn at_zero(objective: &Objective) -> Sparse<'_> {
    let sample = Sample {
        x: &vec![0.0; objective.storage],
        auxiliaries: &[],
    };
    let mut at = Linearisation::new(objective);
    at.update(objective, &sample);
    let mut sparse = Sparse::new(objective);
    sparse.load(objective, &at, &vec![false; objective.tangent]);
    sparse
}

/// What comes of the factor of JᵀJ + λI for the system with the exact Hessian, both at zero.
fn solve_by(objective: &Objective, lambda: f64, v: &[f64]) -> Option<ByFactor> {
    let x = vec![0.0; objective.storage];
    let sample = Sample {
        x: &x,
        auxiliaries: &[],
    };
    let mut at = Linearisation::new(objective);
    at.update(objective, &sample);
    let held = vec![false; objective.tangent];
    let mut step = at_zero(objective);
    let damp = Damp {
        lambda,
        shape: Shape::Spherical,
    };
    assert!(step.factor(damp));
    let mut adjoint = SparseAdjoint::new(Sparse::new(objective));
    let system = System {
        objective,
        sample,
        at: &at,
        matrix: None,
        held: &held,
        exact: true,
    };
    adjoint.assemble(&system, &mut Curvature::new(objective));
    let (_, factor) = step.take().expect("a matrix");
    let found = adjoint.solve_by(&factor.expect("a factor"), v, &at.gradient);
    if let Some(found) = &found {
        let mut product = vec![0.0; v.len()];
        adjoint.multiply_exact(&system, &found.w, &mut product);
        axpy(-1.0, v, &mut product);
        let size = norm(v);
        assert!(norm(&product) <= 1e-8 * size);
        if size > 0.0 {
            assert_eq!(found.residual, norm(&product) / size);
        }
    }
    found
}

fn cosines(size: usize) -> Vec<f64> {
    (0..size).map(|i| (2.3 * i as f64).cos()).collect()
}

const SIZE: usize = 70;

#[test]
fn a_regular_graph_is_solved_by_the_factor_of_its_last_step() {
    let objective = links(SIZE, &chain(SIZE), Some(0.1)).0.build().unwrap();
    let v = cosines(SIZE);
    for lambda in [0.0, 1e-9, 1e-7] {
        let found = solve_by(&objective, lambda, &v).expect("a factor that is near");
        let condition = found.condition;
        // The chain's least eigenvalue is about 0.01/70, its largest 4.
        assert!((1e3..1e7).contains(&condition), "{condition:e}");
    }
    assert!(solve_by(&objective, 1e-7, &vec![0.0; SIZE]).is_some());
}

#[test]
fn a_factor_that_is_far_off_is_not_used() {
    let objective = links(SIZE, &chain(SIZE), Some(0.1)).0.build().unwrap();
    for lambda in [0.1, 10.0] {
        assert!(solve_by(&objective, lambda, &cosines(SIZE)).is_none());
    }
}

#[test]
fn a_saddle_that_the_cotangent_does_not_touch_is_seen() {
    let (mut builder, x) = links(SIZE, &chain(SIZE - 1), Some(0.1));
    let saddle = AutoCost::new(Saddle);
    builder
        .cost(
            "saddle",
            saddle,
            &x[SIZE - 1..],
            &[],
            Weight::Identity,
            Robust::None,
        )
        .unwrap();
    let objective = builder.build().unwrap();
    let mut v = cosines(SIZE);
    v[SIZE - 1] = 0.0;
    for lambda in [0.0, 1e-7] {
        assert!(solve_by(&objective, lambda, &v).is_none());
    }
}

#[test]
fn a_null_space_that_the_cotangent_does_not_touch_is_seen() {
    let spokes: Vec<_> = (1..SIZE).map(|i| (0, i)).collect();
    let objective = links(SIZE, &spokes, None).0.build().unwrap();
    let mut v = vec![0.0; SIZE];
    (v[1], v[2]) = (1.0, -1.0);
    for lambda in [1e-9, 1e-6, 1e-2, 1.0] {
        assert!(solve_by(&objective, lambda, &v).is_none(), "{lambda}");
    }
}

/// A matrix and its factor: a chain has a simplicial one of single columns, a chain of groups, in which all
/// are linked, one of several alike; large groups that overlap have a supernodal one of several blocks, and
/// all pairs one of a single block.
fn factored(size: usize, each: impl Fn(&mut Sparse<'_>, &[f64])) {
    let all = |of: std::ops::Range<usize>| {
        (of.clone()).flat_map(move |i| (of.start..i).map(move |j| (i, j)))
    };
    let groups = (0..size / 5)
        .flat_map(|g| all(5 * g..5 * g + 5))
        .chain((1..size / 5).map(|g| (5 * g, 5 * g - 1)));
    // Groups of half of them, of which the next shares three fifths.
    let (width, step) = (size / 2, size / 5);
    let mut overlapping: Vec<_> = (0..=2)
        .flat_map(|g| all(g * step..g * step + width))
        .collect();
    overlapping.extend(all(3 * step..size));
    overlapping.sort_unstable();
    overlapping.dedup();
    for (pairs, simplicial) in [
        (chain(size), true),
        (groups.collect(), true),
        (overlapping, false),
        (all(0..size).collect(), false),
    ] {
        let objective = links(size, &pairs, Some(1.0)).0.build().unwrap();
        let raw = objective.pattern().symbolic.raw();
        assert_eq!(
            matches!(raw, SymbolicCholeskyRaw::Simplicial(_)),
            simplicial
        );
        let mut sparse = at_zero(&objective);
        assert!(sparse.factor(Damp::NONE));
        let factor = sparse.take_factor();
        each(&mut sparse, &factor);
    }
}

#[test]
fn a_factor_times_its_transpose_is_its_matrix() {
    let size = 300;
    factored(size, |sparse, factor| {
        // Products with all unit vectors are the columns of K = PᵀL; KKᵀ is the matrix.
        let columns: Vec<Vec<f64>> = (0..size)
            .map(|j| {
                let mut unit = vec![0.0; size];
                unit[j] = 1.0;
                sparse.multiply_by_factor(factor, &unit)
            })
            .collect();
        let v = cosines(size);
        let mut product = vec![0.0; size];
        sparse.multiply(&sparse.matrix, &v, &mut product);
        for column in &columns {
            axpy(-crate::dense::dot(column, &v), column, &mut product);
        }
        // Rounding of sums of 300 numbers of up to 300.
        assert!(norm(&product) < 1e-10, "{:e}", norm(&product));
    });
}

#[test]
fn a_factor_of_either_precision_solves_for_up_to_three() {
    let size = 300;
    factored(size, |sparse, factor| {
        let rounded: Vec<f32> = factor.iter().map(|v| *v as f32).collect();
        let wanted: Vec<f64> = (0..MOST_COLUMNS * size)
            .map(|i| (0.7 * i as f64).sin())
            .collect();
        let mut right = vec![0.0; wanted.len()];
        for (x, out) in wanted.chunks(size).zip(right.chunks_mut(size)) {
            sparse.multiply(&sparse.matrix, x, out);
        }
        for columns in 0..=MOST_COLUMNS {
            let wanted = &wanted[..columns * size];
            let error = |x: &[f64]| {
                x.iter()
                    .zip(wanted)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f64::max)
            };
            let mut x = right[..columns * size].to_vec();
            sparse.solve_by(factor, &mut x.chunks_mut(size).collect::<Vec<_>>());
            // The condition of the chain is about 4 · 300².
            assert!(error(&x) < 1e-9, "{columns}: {:e}", error(&x));
            let mut x = right[..columns * size].to_vec();
            sparse.solve_by(&rounded, &mut x.chunks_mut(size).collect::<Vec<_>>());
            assert!(error(&x) < 1.0, "{columns}: {:e}", error(&x));
            // The rounded factor is one of a matrix of its own, which its products give.
            let mut back = Vec::new();
            for x in x.chunks(size) {
                back.extend(product_of_factors(sparse, &rounded, x));
            }
            let right = &right[..columns * size];
            let missed = back.iter().zip(right).map(|(a, b)| (a - b).abs());
            assert!(missed.fold(0.0, f64::max) < 1e-9);
        }
    });
}

/// K Kᵀ x for K = PᵀL of the rounded factor.
fn product_of_factors(sparse: &mut Sparse<'_>, factor: &[f32], x: &[f64]) -> Vec<f64> {
    let size = x.len();
    let along: Vec<f64> = (0..size)
        .map(|j| {
            let mut unit = vec![0.0; size];
            unit[j] = 1.0;
            crate::dense::dot(&sparse.multiply_by_factor(factor, &unit), x)
        })
        .collect();
    sparse.multiply_by_factor(factor, &along)
}

#[test]
fn a_factor_that_single_precision_cannot_hold_is_not_kept() {
    let objective = links(SIZE, &chain(SIZE), Some(1.0)).0.build().unwrap();
    for (scale, held) in [(1.0, true), (1e40, false), (1e-42, false)] {
        let mut sparse = at_zero(&objective);
        let square = scale * scale;
        sparse.matrix.iter_mut().for_each(|v| *v *= square);
        assert!(sparse.factor(Damp::NONE));
        let (_, factor) = sparse.take().expect("a matrix");
        assert_eq!(factor.is_some(), held, "{scale}");
    }
    // The factor of [[1, a], [a, a² + b²]] is [[1], [a, b]]: only the entry that is no pivot is too large.
    let (a, b): (f64, f64) = (1e39, 1e36);
    let objective = links(2, &chain(2), Some(1.0)).0.build().unwrap();
    for matrix in [[1.0, a, a * a + b * b], [a * a + b * b, a, 1.0]] {
        let mut sparse = Sparse::new(&objective);
        sparse.matrix = matrix.to_vec();
        assert!(sparse.factor(Damp::NONE));
        assert!(matches!(sparse.take(), Some((_, None))));
    }
}

/// Nothing holds these chains in place: what is left of the last pivot is rounding, of either sign.
#[test]
fn a_pivot_of_rounding_is_none() {
    for seed in 0..40 {
        let (mut builder, x) = links(SIZE, &[], None);
        for i in 1..SIZE {
            let weight = 1.0 + (seed as f64 + 1.7 * i as f64).sin().abs();
            builder
                .cost(
                    &format!("link {i}"),
                    AutoCost::new(Link),
                    &[x[i], x[i - 1]],
                    &[],
                    Weight::scale(weight),
                    Robust::None,
                )
                .unwrap();
        }
        let objective = builder.build().unwrap();
        let mut sparse = at_zero(&objective);
        assert!(!sparse.factor(Damp::NONE), "{seed}");
    }
}

/// Sums of the numbers of two variables of any lengths, with factors that tell them apart.
struct Sums;

impl Residual for Sums {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        for (r, out) in out.iter_mut().enumerate() {
            *out = T::constant(0.3);
            for (place, x) in variables.iter().flat_map(|x| x.iter()).enumerate() {
                *out += *x * ((r + 2 * place) as f64).cos();
            }
        }
    }
}

#[test]
fn vectors_multiplied_together_are_multiplied_as_one_by_one_and_as_by_the_whole_matrix() {
    let mut builder = Builder::new();
    let x: Vec<_> = [1, 2, 3, 4, 5, 1, 1, 7]
        .into_iter()
        .enumerate()
        .map(|(i, size)| {
            let name = format!("x{i}");
            builder.variable(&name, Manifold::Vector(size)).unwrap()
        })
        .collect();
    for (from, to) in [(0, 3), (1, 4), (2, 3), (4, 5), (3, 6), (1, 2), (6, 7)] {
        let name = format!("{from} {to}");
        let ends = [x[from], x[to]];
        builder
            .cost(
                &name,
                AutoCost::new(Sums),
                &ends,
                &[],
                Weight::Identity,
                Robust::None,
            )
            .unwrap();
    }
    let objective = builder.build().unwrap();
    let n = objective.tangent;
    let mut at = Linearisation::new(&objective);
    let sample = Sample {
        x: &vec![0.0; objective.storage],
        auxiliaries: &[],
    };
    at.update(&objective, &sample);
    let sparse = at_zero(&objective);
    let (first, second) = (cosines(n), cosines(2 * n)[n..].to_vec());
    let mut out = [vec![f64::NAN; n], vec![f64::NAN; n]];
    let [a, b] = &mut out;
    sparse.multiply_together(&sparse.matrix, [&first, &second], [a, b]);
    for (x, together) in [first, second].iter().zip(&out) {
        let mut alone = vec![f64::NAN; n];
        sparse.multiply(&sparse.matrix, x, &mut alone);
        assert_eq!(&alone, together);
        // JᵀJx.
        let mut rows = vec![0.0; objective.rows];
        at.multiply(&objective, x, &mut rows);
        let mut expected = vec![0.0; n];
        at.add_transposed(&objective, &rows, &mut expected, &mut Vec::new());
        axpy(-1.0, &expected, &mut alone);
        assert!(norm(&alone) <= 1e-14 * norm(&expected));
    }
}
