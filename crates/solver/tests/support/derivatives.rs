//! Losses, directions and shapes that the tests of derivatives share.

use feasible_solver::{AdjointSettings, Cotangent, Gradients, Solution, Wanted, adjoint};
use rand::RngExt;

use super::{Owned, Shape, inner, normal, quadratic_value, random, rng};

pub struct Loss {
    pub x: Vec<f64>,
    pub nu: Vec<f64>,
    pub lambda: Vec<f64>,
    pub mu: Vec<f64>,
}

impl Loss {
    pub fn random(owned: &Owned, seed: u64, duals: bool) -> Loss {
        let mut rng = rng(seed ^ 0x1055);
        let size = if duals { owned.batch } else { 0 };
        Loss {
            x: normal(&mut rng, owned.batch * owned.n),
            nu: normal(&mut rng, size * owned.p_rows),
            lambda: normal(&mut rng, size * owned.m),
            mu: normal(&mut rng, size * owned.k),
        }
    }

    pub fn value(&self, solution: &Solution) -> f64 {
        inner(&self.x, &solution.x)
            + inner(&self.nu, &solution.equality_dual)
            + inner(&self.lambda, &solution.inequality_dual)
            + inner(&self.mu, &solution.quadratic_dual)
    }

    pub fn cotangent(&self) -> Cotangent<'_> {
        Cotangent {
            x: &self.x,
            equality_dual: (!self.nu.is_empty()).then_some(&self.nu[..]),
            inequality_dual: (!self.lambda.is_empty()).then_some(&self.lambda[..]),
            quadratic_dual: (!self.mu.is_empty()).then_some(&self.mu[..]),
        }
    }

    /// The same for one sample, zero for the others.
    pub fn only(&self, owned: &Owned, sample: usize) -> Loss {
        let keep = |part: &[f64], len: usize| {
            let mut kept = vec![0.0; part.len()];
            if !part.is_empty() {
                let range = sample * len..(sample + 1) * len;
                kept[range.clone()].copy_from_slice(&part[range]);
            }
            kept
        };
        Loss {
            x: keep(&self.x, owned.n),
            nu: keep(&self.nu, owned.p_rows),
            lambda: keep(&self.lambda, owned.m),
            mu: keep(&self.mu, owned.k),
        }
    }
}

/// Gradients in the order of `Owned::parts`.
pub fn parts(gradients: &Gradients) -> [&[f64]; 10] {
    [
        &gradients.p,
        &gradients.q,
        &gradients.a,
        &gradients.b,
        &gradients.g,
        &gradients.l,
        &gradients.u,
        &gradients.quadratic_h,
        &gradients.quadratic_g,
        &gradients.quadratic_c,
    ]
    .map(|part| part.as_deref().unwrap_or(&[]))
}

/// A random direction: symmetric for `P` and `H`, zero on infinite bounds, equal on equal bounds.
pub fn direction(owned: &Owned, seed: u64) -> [Vec<f64>; 10] {
    let mut rng = rng(seed ^ 0xd1);
    let mut d: [Vec<f64>; 10] =
        std::array::from_fn(|i| normal(&mut rng, owned.parts[i].data.len()));
    let n = owned.n;
    for (i, diagonal) in [(0, owned.p_diagonal), (7, owned.h_diagonal)] {
        if !diagonal {
            for matrix in d[i].chunks_exact_mut(n * n) {
                for r in 0..n {
                    for c in 0..r {
                        matrix[r * n + c] = matrix[c * n + r];
                    }
                }
            }
        }
    }
    for j in 0..owned.parts[5].data.len() {
        let (l, u) = (owned.parts[5].data[j], owned.parts[6].data[j]);
        if l == u {
            d[6][j] = d[5][j];
        }
        if l.is_infinite() {
            d[5][j] = 0.0;
        }
        if u.is_infinite() {
            d[6][j] = 0.0;
        }
    }
    d
}

pub fn moved(owned: &Owned, d: &[Vec<f64>; 10], t: f64) -> Owned {
    let mut out = owned.clone();
    for (part, d) in out.parts.iter_mut().zip(d) {
        for (v, d) in part.data.iter_mut().zip(d) {
            *v += t * d;
        }
    }
    out
}

/// How far a sample's solution moved, in the units of the margin (generously).
pub fn movement(owned: &Owned, a: &Solution, b: &Solution, sample: usize, step: f64) -> f64 {
    let change = |x: &[f64], y: &[f64], len: usize| {
        (sample * len..(sample + 1) * len)
            .map(|i| (x[i] - y[i]).abs())
            .fold(0.0, f64::max)
    };
    let n = owned.n;
    let row_norm = |part: usize| {
        owned
            .of(part, sample)
            .chunks_exact(n)
            .map(|row| inner(row, row).sqrt())
            .fold(1.0, f64::max)
    };
    // A slack moves by at most the distance of the points (2-norm); a multiplier counts times the
    // norm of its row, and the gradient of a quadratic row grows with x.
    let x = change(&a.x, &b.x, n) * (n as f64).sqrt();
    let lambda = change(&a.inequality_dual, &b.inequality_dual, owned.m) * row_norm(4);
    let mu = change(&a.quadratic_dual, &b.quadratic_dual, owned.k);
    let reach = a.x[sample * n..(sample + 1) * n]
        .iter()
        .fold(1.0f64, |r, v| r.max(v.abs()));
    x + lambda + mu * (row_norm(8) + 2.0 * reach * n as f64) + 20.0 * step
}

pub fn gradients(owned: &Owned, solution: &Solution, loss: &Loss) -> Gradients {
    adjoint(
        &owned.problem(),
        solution,
        &loss.cotangent(),
        &Wanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap()
}

pub fn shape(seed: u64, quadratics: bool) -> Shape {
    let mut rng = rng(seed ^ 0x5a5a);
    // Sizes spread evenly over the decades from 1 to 100.
    let n = (100f64.powf(rng.random::<f64>()).round() as usize).clamp(1, 100);
    let p_rows = if rng.random_bool(0.5) {
        rng.random_range(0..n.div_ceil(2))
    } else {
        0
    };
    let m = if rng.random_bool(0.85) {
        rng.random_range(0..n + 3)
    } else {
        0
    };
    let per_sample = match rng.random_range(0..3) {
        0 => 0b10_0110_1010,
        1 => 0,
        _ => rng.random::<u32>() & 0x3ff,
    };
    Shape {
        batch: rng.random_range(1..4),
        n,
        p_rows,
        m,
        k: if quadratics {
            1 + rng.random_range(0..4usize)
        } else {
            0
        },
        p_diagonal: rng.random_bool(0.5),
        h_diagonal: rng.random_bool(0.5),
        per_sample,
        p_rank: n,
        h_shift: 0.1,
        equal_rows: if p_rows == 0 && rng.random_bool(0.25) {
            0.1
        } else {
            0.0
        },
    }
}

/// Objectives of half rank and linear ones: rows hold what the objective leaves free.
pub fn semidefinite(seed: u64) -> Owned {
    let mut shape = shape(seed, seed.is_multiple_of(2));
    shape.n = shape.n.min(30);
    shape.p_diagonal = false;
    shape.p_rank = if seed.is_multiple_of(3) {
        0
    } else {
        shape.n / 2
    };
    shape.p_rows = shape.p_rows.min(shape.n / 4);
    shape.m = shape.n;
    shape.equal_rows = 0.0;
    let mut owned = random(shape, seed);
    // Two-sided rows in all directions bound the feasible set.
    for i in 0..owned.parts[5].data.len() {
        let (lower, upper) = (owned.parts[5].data[i], owned.parts[6].data[i]);
        if lower.is_infinite() {
            owned.parts[5].data[i] = upper - 2.0;
        }
        if upper.is_infinite() {
            owned.parts[6].data[i] = lower + 2.0;
        }
    }
    owned
}

/// One sample with at least two rows.
pub fn single(seed: u64) -> Owned {
    let mut shape = shape(seed, seed.is_multiple_of(3));
    shape.batch = 1;
    shape.per_sample = 0;
    shape.equal_rows = 0.0;
    shape.m = shape.m.max(2);
    random(shape, seed)
}

/// Kinks and non-unique multipliers made from a problem of [`single`] and its solution, where it
/// has the rows for it: a bound moved onto the value of an inactive row, an active row stated
/// twice, an equality stated twice, the right-hand side of an inactive quadratic row moved onto its
/// value.
pub fn made_degenerate(owned: &Owned, solution: &Solution) -> [Option<Owned>; 4] {
    let n = owned.n;
    let find =
        |active: bool| (0..owned.m).find(|&row| (solution.inequality_dual[row] != 0.0) == active);
    let touched = find(false).map(|row| {
        let mut changed = owned.clone();
        let value = inner(&owned.parts[4].data[row * n..(row + 1) * n], &solution.x);
        changed.parts[6].data[row] = value;
        changed.parts[5].data[row] = changed.parts[5].data[row].min(value - 1.0);
        changed
    });
    let twice = find(true).map(|row| {
        let mut changed = owned.clone();
        changed.m += 1;
        for (part, len) in [(4, n), (5, 1), (6, 1)] {
            let copy = changed.parts[part].data[row * len..(row + 1) * len].to_vec();
            changed.parts[part].data.extend(copy);
        }
        changed
    });
    let equality = (owned.p_rows > 0).then(|| {
        let mut changed = owned.clone();
        changed.p_rows += 1;
        for (part, len) in [(2, n), (3, 1)] {
            let copy = changed.parts[part].data[..len].to_vec();
            changed.parts[part].data.extend(copy);
        }
        changed
    });
    let quadratic = (0..owned.k).find(|&row| solution.quadratic_dual[row] == 0.0);
    let quadratic = quadratic.map(|row| {
        let mut changed = owned.clone();
        changed.parts[9].data[row] = quadratic_value(owned, 0, row, &solution.x);
        changed
    });
    [touched, twice, equality, quadratic]
}
