//! Random problems that own their numbers.
#![allow(dead_code, unreachable_pub, clippy::print_stdout)]

pub mod barrier;
pub mod cones;
pub mod derivatives;
pub mod differences;
pub mod pinned;
pub mod reference;
pub mod relaxed;

use feasible_solver::{Equalities, Inequalities, Problem, Quadratics, Symmetric, Values};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub const INF: f64 = f64::INFINITY;

/// Numbers of one parameter and whether the batch shares them.
#[derive(Clone, Debug)]
pub struct Part {
    pub data: Vec<f64>,
    pub shared: bool,
}

impl Part {
    pub fn values(&self) -> Values<'_> {
        if self.shared {
            Values::Shared(&self.data)
        } else {
            Values::PerSample(&self.data)
        }
    }
}

/// A problem that owns its numbers. Parts in the order P, q, A, b, G, l, u, H, g, c.
#[derive(Clone, Debug)]
pub struct Owned {
    pub batch: usize,
    pub n: usize,
    pub p_rows: usize,
    pub m: usize,
    pub k: usize,
    pub p_diagonal: bool,
    pub h_diagonal: bool,
    pub parts: [Part; 10],
}

impl Owned {
    pub fn problem(&self) -> Problem<'_> {
        let [p, q, a, b, g, l, u, h, hg, c] = &self.parts;
        Problem {
            batch: self.batch,
            n: self.n,
            p: if self.p_diagonal {
                Symmetric::Diagonal(p.values())
            } else {
                Symmetric::Dense(p.values())
            },
            q: q.values(),
            equalities: (self.p_rows > 0).then(|| Equalities {
                rows: self.p_rows,
                a: a.values(),
                b: b.values(),
            }),
            inequalities: (self.m > 0).then(|| Inequalities {
                rows: self.m,
                g: g.values(),
                l: l.values(),
                u: u.values(),
            }),
            quadratics: (self.k > 0).then(|| Quadratics {
                rows: self.k,
                h: if self.h_diagonal {
                    Symmetric::Diagonal(h.values())
                } else {
                    Symmetric::Dense(h.values())
                },
                g: hg.values(),
                c: c.values(),
            }),
        }
    }

    /// The numbers of one sample of one part.
    pub fn of(&self, part: usize, sample: usize) -> &[f64] {
        let part = &self.parts[part];
        if part.shared {
            &part.data
        } else {
            let len = part.data.len() / self.batch.max(1);
            &part.data[sample * len..(sample + 1) * len]
        }
    }
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn normal(rng: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

pub fn uniform(rng: &mut ChaCha8Rng, low: f64, high: f64, count: usize) -> Vec<f64> {
    (0..count).map(|_| rng.random_range(low..high)).collect()
}

/// Shape of a random problem.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub batch: usize,
    pub n: usize,
    pub p_rows: usize,
    pub m: usize,
    pub k: usize,
    pub p_diagonal: bool,
    pub h_diagonal: bool,
    /// Bit `i` set: part `i` is given per sample.
    pub per_sample: u32,
    /// Rank of a dense `P`; `n` is positive definite.
    pub p_rank: usize,
    /// Added to every `H_i`'s diagonal.
    pub h_shift: f64,
    /// Share of rows of `G` with equal bounds.
    pub equal_rows: f64,
}

fn gram(rng: &mut ChaCha8Rng, n: usize, rank: usize, shift: f64) -> Vec<f64> {
    let root = normal(rng, rank * n);
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            let mut sum = 0.0;
            for r in 0..rank {
                // Symmetric to the last bit: the same products in the same order.
                sum += root[r * n + i.min(j)] * root[r * n + i.max(j)];
            }
            out[i * n + j] = sum / rank.max(1) as f64;
        }
        out[i * n + i] += shift;
    }
    out
}

/// A feasible random problem: bounds are drawn around the values at a random point, so that about
/// half of the rows bind.
pub fn random(shape: Shape, seed: u64) -> Owned {
    let mut rng = rng(seed);
    let Shape {
        batch,
        n,
        p_rows,
        m,
        k,
        ..
    } = shape;
    let shared = |part: usize| shape.per_sample >> part & 1 == 0;
    let copies = |part: usize| if shared(part) { 1 } else { batch };
    let mut parts: Vec<Part> = (0..10)
        .map(|i| Part {
            data: Vec::new(),
            shared: shared(i),
        })
        .collect();
    for _ in 0..copies(0) {
        if shape.p_diagonal {
            parts[0].data.extend(uniform(&mut rng, 0.2, 2.0, n));
        } else {
            let shift = if shape.p_rank >= n { 0.3 } else { 0.0 };
            parts[0].data.extend(gram(&mut rng, n, shape.p_rank, shift));
        }
    }
    parts[1].data = normal(&mut rng, copies(1) * n)
        .iter()
        .map(|v| 2.0 * v)
        .collect();
    parts[2].data = normal(&mut rng, copies(2) * p_rows * n);
    parts[4].data = normal(&mut rng, copies(4) * m * n);
    for _ in 0..copies(7) * k {
        if shape.h_diagonal {
            let h = uniform(&mut rng, 0.0, 1.0, n);
            parts[7].data.extend(h.iter().map(|v| v + shape.h_shift));
        } else {
            let rank = 1 + rng.random_range(0..n);
            parts[7].data.extend(gram(&mut rng, n, rank, shape.h_shift));
        }
    }
    parts[8].data = normal(&mut rng, copies(8) * k * n);
    let mut owned = Owned {
        batch,
        n,
        p_rows,
        m,
        k,
        p_diagonal: shape.p_diagonal,
        h_diagonal: shape.h_diagonal,
        parts: parts.try_into().unwrap(),
    };
    // One interior point per sample, or one for all when right-hand sides or matrices are shared.
    let centre = normal(&mut rng, n);
    let samples = |parts: &[usize]| {
        if parts.iter().all(|&i| shared(i)) {
            1
        } else {
            batch
        }
    };
    let mut b = Vec::new();
    for s in 0..samples(&[2, 3]) {
        let a = owned.of(2, s);
        b.extend((0..p_rows).map(|i| inner(&a[i * n..(i + 1) * n], &centre)));
    }
    owned.parts[3] = Part {
        shared: samples(&[2, 3]) == 1 && shared(3),
        data: b,
    };
    if owned.parts[3].shared && samples(&[2, 3]) != 1 {
        owned.parts[3].shared = false;
    }
    let count = samples(&[4, 5, 6]);
    let (mut l, mut u) = (Vec::new(), Vec::new());
    for s in 0..count {
        let g = owned.of(4, s).to_vec();
        for i in 0..m {
            let value = inner(&g[i * n..(i + 1) * n], &centre);
            let (below, above): (f64, f64) =
                (rng.random_range(0.05..1.5), rng.random_range(0.05..1.5));
            if rng.random_bool(shape.equal_rows) {
                l.push(value);
                u.push(value);
                continue;
            }
            match rng.random_range(0..4) {
                0 => {
                    l.push(-INF);
                    u.push(value + above);
                }
                1 => {
                    l.push(value - below);
                    u.push(INF);
                }
                _ => {
                    l.push(value - below);
                    u.push(value + above);
                }
            }
        }
    }
    owned.parts[5] = Part {
        data: l,
        shared: count == 1,
    };
    owned.parts[6] = Part {
        data: u,
        shared: count == 1,
    };
    let count = samples(&[7, 8, 9]);
    let mut c = Vec::new();
    for s in 0..count {
        for i in 0..k {
            let value = quadratic_value(&owned, s, i, &centre);
            let room: f64 = rng.random_range(0.1..1.5);
            c.push(value + room);
        }
    }
    owned.parts[9] = Part {
        data: c,
        shared: count == 1,
    };
    // With batch 1, shared and per sample look the same; keep the request.
    if batch == 1 {
        for i in [3, 5, 6, 9] {
            owned.parts[i].shared = shared(i);
        }
    }
    owned
}

pub fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `xᵀH_i x + g_iᵀx` of one sample.
pub fn quadratic_value(owned: &Owned, sample: usize, row: usize, x: &[f64]) -> f64 {
    let n = owned.n;
    let h = owned.of(7, sample);
    let linear = inner(&owned.of(8, sample)[row * n..(row + 1) * n], x);
    let quadratic: f64 = if owned.h_diagonal {
        (0..n).map(|j| h[row * n + j] * x[j] * x[j]).sum()
    } else {
        (0..n)
            .map(|i| x[i] * inner(&h[(row * n + i) * n..(row * n + i + 1) * n], x))
            .sum()
    };
    quadratic + linear
}

/// A mixed bag of shapes, deterministic in `seed`.
pub fn random_shape(seed: u64, batch: usize, largest: usize, quadratics: bool) -> Shape {
    let mut rng = rng(seed ^ 0x5eed);
    let n = 1 + rng.random_range(0..largest);
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
    let k = if quadratics {
        1 + rng.random_range(0..4usize)
    } else {
        0
    };
    Shape {
        batch,
        n,
        p_rows,
        m,
        k,
        p_diagonal: rng.random_bool(0.4),
        h_diagonal: rng.random_bool(0.5),
        per_sample: if rng.random_bool(0.5) {
            // The usual layer: vectors per sample, matrices shared.
            0b10_0110_1010
        } else {
            rng.next_u32() & 0x3ff
        },
        p_rank: n,
        h_shift: 0.0,
        equal_rows: 0.0,
    }
}
