//! A batch of dense problems: rows A y + Q y² − z, written by their user once over every scalar, z reachable;
//! Levenberg-Marquardt with a fixed damping, ten iterations at most.

use std::error::Error;

use super::least_squares::{
    AutoCost, Backward, Builder, Damping, LevenbergMarquardt, Manifold, Objective, Real, Residual,
    Robust, Settings, Step, Weight,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

pub(crate) const BATCH: usize = 128;
pub(crate) const ITERATIONS: usize = 10;
pub(crate) const DAMPING: f64 = 1e-3;

pub(crate) fn settings(backward: Backward) -> Settings {
    let step = LevenbergMarquardt {
        damping: Damping::Fixed,
        initial: DAMPING,
        ..LevenbergMarquardt::default()
    };
    Settings {
        max_iterations: ITERATIONS,
        step: Step::LevenbergMarquardt(step),
        backward,
        ..Settings::default()
    }
}

pub(crate) struct Work {
    n: usize,
    m: usize,
    pub(crate) a: Vec<f64>,
    pub(crate) q: Vec<f64>,
    pub(crate) start: Vec<f64>,
    pub(crate) target: Vec<f64>,
}

impl Work {
    pub(crate) fn draw(n: usize, m: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut normal = |scale: f64, count: usize| -> Vec<f64> {
            let unit = StandardNormal.sample_iter(&mut rng);
            unit.take(count).map(|v: f64| scale * v).collect()
        };
        let a = normal((n as f64).powf(-0.5), m * n);
        let start = normal(2.0, BATCH * n);
        let unit = Uniform::new(0.0, 1.0).expect("a range");
        let mut unit =
            |count: usize| -> Vec<f64> { (0..count).map(|_| unit.sample(&mut rng)).collect() };
        let q: Vec<f64> = unit(m * n).iter().map(|q| q / n as f64).collect();
        let most = unit(m);
        let row = |i: usize, y: &[f64]| -> f64 {
            let place = i * n..(i + 1) * n;
            let terms = a[place.clone()].iter().zip(&q[place]).zip(y);
            terms.map(|((a, q), y)| (a + q * y) * y).sum()
        };
        // Rows that some y reaches.
        let target = start
            .chunks(n)
            .flat_map(|y| (0..m).map(|i| row(i, y).min(most[i])).collect::<Vec<_>>())
            .collect();
        Self {
            n,
            m,
            a,
            q,
            start,
            target,
        }
    }

    /// The variable "y" and the auxiliary "z"; sums by [`Real::dot`], or written out.
    pub(crate) fn objective(&self, dot: bool) -> Result<Objective, Box<dyn Error>> {
        let rows = Rows {
            n: self.n,
            m: self.m,
            a: self.a.clone(),
            q: self.q.clone(),
            dot,
        };
        let mut builder = Builder::new();
        let y = builder.variable("y", Manifold::Vector(self.n))?;
        let z = builder.auxiliary("z", self.m)?;
        let cost = AutoCost::new(rows);
        builder.cost("rows", cost, &[y], &[z], Weight::Identity, Robust::None)?;
        Ok(builder.build()?)
    }
}

/// The residual as a user writes it: one generic function, no derivative.
struct Rows {
    n: usize,
    m: usize,
    a: Vec<f64>,
    q: Vec<f64>,
    /// Whether sums are left to [`Real::dot`].
    dot: bool,
}

impl Residual for Rows {
    fn rows(&self) -> usize {
        self.m
    }

    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (y, z) = (variables[0], auxiliaries[0]);
        let squares: Vec<T> = y.iter().map(|y| *y * *y).collect();
        let rows = self.a.chunks(self.n).zip(self.q.chunks(self.n));
        for ((out, (a, q)), z) in out.iter_mut().zip(rows).zip(z) {
            if self.dot {
                *out = T::dot(a, y) + T::dot(q, &squares) - *z;
            } else {
                let mut sum = T::constant(0.0);
                for ((a, q), (y, square)) in a.iter().zip(q).zip(y.iter().zip(&squares)) {
                    sum += *y * *a + *square * *q;
                }
                *out = sum - *z;
            }
        }
    }
}
