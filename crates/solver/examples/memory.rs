//! Memory a sample: of what a solution keeps for its derivative, and of every gradient, as the allocator
//! counts it. Cotangents and data are the caller's.
//!
//! cargo run --release -p feasible-solver --example memory
#![allow(clippy::print_stdout, missing_docs)]

use std::alloc::System;

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeWanted, Cotangent,
    Equalities, Inequalities, Problem, Quadratics, Settings, Sparse, Symmetric, Values, Wanted,
    adjoint, cone_adjoint, solve, solve_cones,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What `work` returns, and how many bytes more than before are held with it.
fn held<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let region = Region::new(ALLOCATOR);
    let value = work();
    let change = region.change();
    let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
    (value, bytes)
}

/// One line of the table, in bytes.
struct Line {
    name: String,
    batch: usize,
    data: usize,
    solution: f64,
    gradients: f64,
}

impl Line {
    fn print(&self) {
        let Line { name, batch, .. } = self;
        let each = |bytes: f64| bytes / *batch as f64;
        println!(
            "{name:40} {batch:6} {:9} {:9.0} {:10.0}",
            self.data,
            each(self.solution),
            each(self.gradients)
        );
    }
}

/// Vectors of every sample's own; with `own` the matrices too.
fn quadratic(batch: usize, [n, p, m, k]: [usize; 4], own: bool) -> Line {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut normal = |count: usize| -> Vec<f64> {
        (0..count)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect()
    };
    let copies = if own { batch } else { 1 };
    let values = |numbers| match own {
        true => Values::PerSample(numbers),
        false => Values::Shared(numbers),
    };
    let (a, g) = (normal(copies * p * n), normal(copies * m * n));
    let (q, b) = (normal(batch * n), normal(batch * p));
    let b: Vec<f64> = b.iter().map(|b| 0.1 * b).collect();
    let diagonal = vec![1.0; copies * n];
    let (l, u) = (
        vec![f64::NEG_INFINITY; m],
        vec![0.6 * (n as f64).sqrt(); batch * m],
    );
    let (h, hg, c) = (
        vec![0.1; copies * k * n],
        normal(copies * k * n),
        vec![2.0; batch * k],
    );
    let problem = Problem {
        batch,
        n,
        p: Symmetric::Diagonal(values(&diagonal)),
        q: Values::PerSample(&q),
        equalities: (p > 0).then_some(Equalities {
            rows: p,
            a: values(&a),
            b: Values::PerSample(&b),
        }),
        inequalities: (m > 0).then_some(Inequalities {
            rows: m,
            g: values(&g),
            l: Values::Shared(&l),
            u: Values::PerSample(&u),
        }),
        quadratics: (k > 0).then_some(Quadratics {
            rows: k,
            h: Symmetric::Diagonal(values(&h)),
            g: values(&hg),
            c: Values::PerSample(&c),
        }),
    };
    let (solution, kept) = held(|| solve(&problem, &Settings::default()).expect("valid data"));
    let x = vec![1.0; batch * n];
    let cotangent = Cotangent {
        x: &x,
        equality_dual: None,
        inequality_dual: None,
        quadratic_dual: None,
    };
    let (linear, rows) = (m > 0, k > 0);
    let wanted = Wanted {
        p: true,
        q: true,
        a: p > 0,
        b: p > 0,
        g: linear,
        l: false,
        u: linear,
        quadratic_h: rows,
        quadratic_g: rows,
        quadratic_c: rows,
    };
    let settings = AdjointSettings::default();
    let backward = || adjoint(&problem, &solution, &cotangent, &wanted, &settings);
    let (gradients, given) = held(|| backward().expect("a solution of its own"));
    drop(gradients);
    let matrices = if own { n + (p + m) * n + 2 * k * n } else { 0 };
    let whose = if own { "of their own" } else { "shared" };
    Line {
        name: format!("n={n}, {p}+{m}+{k} rows, matrices {whose}"),
        batch,
        data: 8 * (n + p + m + k + matrices),
        solution: kept,
        gradients: given,
    }
}

/// min ½‖x‖² + qᵀx with x in a box and (1, x) in a second-order cone: two entries of A a variable.
fn conic(batch: usize, n: usize) -> Line {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let q: Vec<f64> = (0..batch * n)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect();
    let (starts, ones): (Vec<usize>, Vec<f64>) = ((0..=n).collect(), vec![1.0; n]);
    let places: Vec<usize> = (0..n).collect();
    let rows = 2 * n + 1;
    let two: Vec<usize> = (0..=n).map(|j| 2 * j).collect();
    let indices: Vec<usize> = (0..n).flat_map(|j| [j, n + 1 + j]).collect();
    let entries = [1.0, -1.0].repeat(n);
    let b: Vec<f64> = (0..rows)
        .map(|i| {
            if i < n {
                0.5
            } else {
                f64::from(u8::from(i == n))
            }
        })
        .collect();
    let sparse = |rows, starts, indices, values| Sparse {
        rows,
        columns: n,
        starts,
        indices,
        values: Values::Shared(values),
    };
    let problem = ConeProblem {
        batch,
        n,
        p: Some(sparse(n, &starts, &places, &ones)),
        q: Values::PerSample(&q),
        a: sparse(rows, &two, &indices, &entries),
        b: Values::Shared(&b),
        cones: &[Cone::Nonnegative(n), Cone::SecondOrder(n + 1)],
    };
    let settings = ConeSettings::default();
    let (solution, kept) = held(|| solve_cones(&problem, &settings).expect("valid data"));
    let x = vec![1.0; batch * n];
    let cotangent = ConeCotangent {
        x: &x,
        s: None,
        z: None,
    };
    let wanted = ConeWanted {
        p: true,
        q: true,
        a: true,
        b: true,
    };
    let settings = AdjointSettings::default();
    let backward = || cone_adjoint(&problem, &solution, &cotangent, &wanted, &settings);
    let (gradients, given) = held(|| backward().expect("a solution of its own"));
    drop(gradients);
    Line {
        name: format!("cone program, n={n}, {rows} rows"),
        batch,
        data: 8 * n,
        solution: kept,
        gradients: given,
    }
}

fn main() {
    // The first solve leaves the memory of threads and products behind.
    quadratic(64, [20, 5, 10, 0], false);
    println!(
        "{:40} {:>6} {:>9} {:>9} {:>10}",
        "bytes a sample", "batch", "data", "solution", "gradients"
    );
    for sizes in [[20, 5, 10, 0], [100, 50, 50, 0]] {
        quadratic(16_384, sizes, false).print();
        quadratic(1024, sizes, true).print();
    }
    for sizes in [[20, 0, 0, 5], [100, 0, 0, 10]] {
        quadratic(1024, sizes, false).print();
        quadratic(1024, sizes, true).print();
    }
    for n in [20, 100] {
        conic(1024, n).print();
    }
}
