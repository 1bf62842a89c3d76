//! The check of all derivatives of cone programs around known solutions.
#![allow(clippy::print_stdout)]

use super::cones::{Owned, gradients, near_a_kink, random, random_of, solve};
use super::{inner, normal, rng};
use feasible_solver::{
    AdjointSettings, Cone, ConeSolution, ConeTangents, GradientQuality, Values, cone_tangent,
};

/// Half-widths of the differences, tried in turn: fourth order, so that truncation is far below
/// 1e-12 of the fifth derivative at the first; problems near a singular one move so far that they
/// need the smaller ones. Rounding, 1e-14 of the solution over the width, only allows those where
/// the derivative is as large.
pub const STEPS: [f64; 5] = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8];

/// Margin from which on the widths are these. A piece of the boundary that changes between the points
/// spoils the differences, so that below it they shrink with the margin.
const CLEAR: f64 = 1e-2;

/// Margin below which differences say nothing: the widest is 1e-8 there, and rounding over it as large
/// as the tolerance.
const LEAST: f64 = 1e-6;

/// Derivative of the solution above which a program is taken for a singular one: rounding of the solution
/// and truncation at the smallest of the widths leave no digits to compare.
const FAST: f64 = 1e4;

/// Largest relative difference of the two derivatives' inner products: rounding, 1e-16, times the
/// condition of the worst of the systems.
const TRANSPOSED: f64 = 1e-9;

/// A batch with its solutions, and how all its numbers move.
pub struct Known {
    pub owned: Owned,
    pub x: Vec<f64>,
    pub s: Vec<f64>,
    pub z: Vec<f64>,
    /// The derivative at 0 of what `moved` does to P, q, A, b.
    pub d: [Vec<f64>; 4],
    /// P's root and how that moves, where P is of low rank and most directions lead out of the convex
    /// ones.
    pub root: Option<Root>,
}

/// `P(t) = (V + tE)(V + tE)ᵀ`, both `[n, rank]`.
pub struct Root {
    pub rank: usize,
    pub v: Vec<f64>,
    pub e: Vec<f64>,
}

impl Root {
    /// The upper triangle by columns at `t`.
    pub fn at(&self, t: f64) -> Vec<f64> {
        let moved: Vec<f64> = self.v.iter().zip(&self.e).map(|(v, e)| v + t * e).collect();
        self.products(|i| &moved[i * self.rank..(i + 1) * self.rank], inner)
    }

    /// Its derivative at 0.
    pub fn slope(&self) -> Vec<f64> {
        let lines = |i: usize| i * self.rank..(i + 1) * self.rank;
        self.products(lines, |i, j| {
            inner(&self.v[i.clone()], &self.e[j.clone()]) + inner(&self.e[i], &self.v[j])
        })
    }

    fn products<T>(&self, line: impl Fn(usize) -> T, product: impl Fn(T, T) -> f64) -> Vec<f64> {
        let n = self.v.len() / self.rank;
        (0..n)
            .flat_map(|j| (0..=j).map(move |i| (i, j)))
            .map(|(i, j)| product(line(i), line(j)))
            .collect()
    }
}

impl Known {
    /// Numbers that move on their own, in a random direction.
    pub fn new(seed: u64, (owned, x, s, z): (Owned, Vec<f64>, Vec<f64>, Vec<f64>)) -> Known {
        let mut rng = direction_rng(seed, &owned);
        let d = std::array::from_fn(|i| normal(&mut rng, owned.parts[i].0.len()));
        Known {
            owned,
            x,
            s,
            z,
            d,
            root: None,
        }
    }

    fn moved(&self, t: f64) -> Owned {
        let mut moved = self.owned.clone();
        for (part, d) in moved.parts.iter_mut().zip(&self.d) {
            for (v, d) in part.0.iter_mut().zip(d) {
                *v += t * d;
            }
        }
        if let Some(root) = &self.root {
            moved.parts[0].0 = root.at(t);
        }
        moved
    }
}

/// The loss's derivatives with respect to x, z and s, and what is left of the generator.
fn loss(seed: u64, owned: &Owned) -> ([Vec<f64>; 3], rand_chacha::ChaCha8Rng) {
    let mut rng = rng(seed ^ 0xc0);
    let (n, m) = (owned.n, owned.a.rows);
    let c = [n, m, m].map(|len| normal(&mut rng, owned.batch * len));
    (c, rng)
}

fn direction_rng(seed: u64, owned: &Owned) -> rand_chacha::ChaCha8Rng {
    loss(seed, owned).1
}

/// What was checked of how many.
#[derive(Debug, Default)]
pub struct Tally {
    pub samples: usize,
    /// Samples against differences, and those among them nearer to a kink than [`CLEAR`].
    pub checked: usize,
    pub near: usize,
    /// Samples nearer than [`LEAST`].
    pub unchecked: usize,
    /// Samples whose solution moves faster than [`FAST`] and of which the differences are too coarse.
    pub fast: usize,
    /// Samples whose derivative is not called exact.
    pub degenerate: usize,
    /// Largest relative errors of the differences, and of tangent against adjoint.
    pub worst: f64,
    pub transposed: f64,
}

/// Programs around known solutions: the solver finds them, calls every gradient exact, and every
/// gradient agrees with differences of solutions along a direction that moves every number, and with
/// the derivative along it.
pub fn known_solutions_and_their_gradients(programs: u64, kinds: &[Cone]) {
    let mut tally = Tally::default();
    for seed in 0..programs {
        tally.check(seed, &Known::new(seed, random(seed, kinds)));
    }
    tally.finish(0);
}

/// The same near kinks, where what is called exact is the hardest to tell from what is not.
pub fn gradients_near_kinks(programs: u64, kinds: &[Cone]) {
    let mut tally = Tally::default();
    for seed in 0..programs {
        let program = random_of(seed, kinds, near_a_kink);
        tally.check(seed, &Known::new(seed, program));
    }
    tally.finish(30);
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a, v| a.max(v.abs()))
}

impl Tally {
    pub fn check(&mut self, seed: u64, known: &Known) {
        let owned = &known.owned;
        let solution = solve(owned);
        assert!(
            solution.all_solved(),
            "seed {seed} {:?} {:?}",
            owned.cones,
            solution.status
        );
        let (n, m) = (owned.n, owned.a.rows);
        let c = loss(seed, owned).0;
        let [p, q, a, b] = std::array::from_fn(|i| match owned.parts[i].1 {
            true => Values::Shared(&known.d[i]),
            false => Values::PerSample(&known.d[i]),
        });
        let tangents = ConeTangents {
            p: Some(p),
            q: Some(q),
            a: Some(a),
            b: Some(b),
        };
        let settings = AdjointSettings::default();
        let velocity = cone_tangent(&owned.problem(), &solution, &tangents, &settings).unwrap();
        let reports = gradients(owned, &solution, &c).reports;
        let around = |step: f64| [-2.0, -1.0, 1.0, 2.0].map(|t| solve(&known.moved(t * step)));
        let mut first = None;
        for (sample, report) in reports.iter().enumerate() {
            self.samples += 1;
            let place = || format!("seed {seed} sample {sample} {:?}: {report:?}", owned.cones);
            if report.quality != GradientQuality::Exact {
                assert_eq!(report.quality, GradientQuality::Degenerate, "{}", place());
                self.degenerate += 1;
                continue;
            }
            let speed = [(&velocity.x, n), (&velocity.s, m), (&velocity.z, m)];
            let speed = speed.map(|(v, len)| largest(&v[sample * len..(sample + 1) * len]));
            let fast = largest(&speed) > FAST;
            let mut lost = 0.0f64;
            for (what, got, expected, len) in [
                ("x", &solution.x, &known.x, n),
                ("s", &solution.s, &known.s, m),
                ("z", &solution.z, &known.z, m),
            ] {
                for at in sample * len..(sample + 1) * len {
                    let (got, expected) = (got[at], expected[at]);
                    let error = (got - expected).abs() / (1.0 + expected.abs());
                    assert!(error < 1e-9 || fast, "{what}: {got} {expected} {}", place());
                    lost = lost.max(error);
                }
            }
            let only: [Vec<f64>; 3] = [(0, n), (1, m), (2, m)].map(|(i, len)| {
                let mut only = vec![0.0; c[i].len()];
                only[sample * len..(sample + 1) * len]
                    .copy_from_slice(&c[i][sample * len..(sample + 1) * len]);
                only
            });
            let gradients = gradients(owned, &solution, &only);
            let parts = [&gradients.p, &gradients.q, &gradients.a, &gradients.b];
            let (mut predicted, mut squares) = (0.0, 0.0);
            for (g, d) in parts.iter().zip(&known.d) {
                for (g, d) in g.iter().flatten().zip(d) {
                    predicted += g * d;
                    squares += (g * d).powi(2);
                }
            }
            let of = |x: &[f64], z: &[f64], s: &[f64]| {
                inner(&only[0], x) + inner(&only[1], z) + inner(&only[2], s)
            };
            let relative = |other: f64| {
                // The typical size of such a product guards against cancellation.
                let size = predicted.abs().max(other.abs()).max(f64::sqrt(squares));
                (predicted - other).abs() / size
            };
            let transposed = relative(of(&velocity.x, &velocity.z, &velocity.s));
            assert!(transposed < TRANSPOSED, "{transposed:e} {}", place());
            self.transposed = self.transposed.max(transposed);
            if report.margin < LEAST {
                self.unchecked += 1;
                continue;
            }
            let nearness = (report.margin / CLEAR).min(1.0);
            let error_of = |at: &[ConeSolution; 4], step: f64| {
                // Near a singular one a wide step can leave the programs that have a solution.
                if !at.iter().all(|at| at.status[sample].is_solved()) {
                    return f64::INFINITY;
                }
                let value = at.each_ref().map(|at| of(&at.x, &at.z, &at.s));
                relative((8.0 * (value[2] - value[1]) - (value[3] - value[0])) / (12.0 * step))
            };
            let mut error = f64::INFINITY;
            for step in STEPS {
                if nearness == 1.0 && step == STEPS[0] {
                    let first = first.get_or_insert_with(|| around(step));
                    error = error_of(first, step);
                } else if error >= 1e-6 {
                    let step = step * nearness;
                    error = error_of(&around(step), step);
                }
            }
            if fast && !(error < 1e-6 && lost < 1e-9) {
                self.fast += 1;
                continue;
            }
            assert!(error < 1e-6, "{predicted} {error:e} {}", place());
            self.worst = self.worst.max(error);
            self.checked += 1;
            self.near += usize::from(nearness < 1.0);
        }
    }

    /// Every sample was checked, but for so many in a thousand of which differences say nothing. None
    /// of these programs is degenerate: at most one in a thousand may be called so.
    pub fn finish(&self, left: usize) {
        println!("{self:?}");
        let coarse = self.unchecked + self.fast;
        assert_eq!(self.checked + coarse + self.degenerate, self.samples);
        assert!(self.degenerate * 1000 <= self.samples, "{self:?}");
        assert!(coarse * 1000 <= left * self.samples, "{self:?}");
    }
}
