//! The steps of eight samples side by side, by rows.

use feasible_kernels::lanes::{
    LANES, LARGEST, Lanes, add_transposed, factor, gram_of_rows, multiply, one_of, side_by_side,
    solve,
};
use feasible_kernels::vectorised;

use super::{Linear, Places};

/// Numbers of B for all eight that stay in the first-level cache.
const FITTING: usize = 1 << 12;

/// Steps with what their adjoint needs. A row of zeros without a residual has the diagonal entry 1.
#[derive(Debug)]
pub(super) struct Eight {
    /// Up to eight.
    pub(super) samples: Vec<usize>,
    good: [bool; LANES],
    /// Of BBᵀ + λI, `[m, m]`.
    factors: Vec<Lanes>,
    /// t, `[m]`.
    multipliers: Vec<Lanes>,
    /// Δ, `[n]`.
    delta: Vec<Lanes>,
}

impl Eight {
    /// Whether problems of this size are solved like that.
    pub(super) fn takes(rows: usize, variables: usize) -> bool {
        rows <= variables && rows <= LARGEST && rows * variables * LANES <= FITTING
    }

    /// The lanes with a step, and their samples.
    pub(super) fn solved(&self) -> impl Iterator<Item = (usize, usize)> {
        let samples = self.samples.iter().copied().enumerate();
        samples.filter(|(lane, _)| self.good[*lane])
    }

    pub(super) fn delta(&self, lane: usize, out: &mut [f64]) {
        one_of(&self.delta, lane, out);
    }
}

/// What one thread needs.
pub(super) struct Scratch {
    /// B, `[m, n]`.
    b: Vec<Lanes>,
    /// s̄, `[m]`.
    of_rows: Vec<Lanes>,
    /// The cotangent, and Δ̄ − Bᵀs̄, `[n]`.
    of_variables: Vec<Lanes>,
    /// Δ̄ − Bᵀs̄ and Δ of one of them.
    one: (Vec<f64>, Vec<f64>),
}

impl Scratch {
    pub(super) fn new(rows: usize, variables: usize) -> Self {
        Self {
            b: vec![[0.0; LANES]; rows * variables],
            of_rows: vec![[0.0; LANES]; rows],
            of_variables: vec![[0.0; LANES]; variables],
            one: (vec![0.0; variables], vec![0.0; variables]),
        }
    }

    pub(super) fn solve(&mut self, linear: &Linear, samples: &[usize], damping: &[f64]) -> Eight {
        let (m, n) = (linear.rows, linear.variables);
        let b = &mut self.b;
        let mut eight = Eight {
            samples: samples.to_vec(),
            good: [false; LANES],
            factors: vec![[0.0; LANES]; m * m],
            multipliers: vec![[0.0; LANES]; m],
            delta: vec![[0.0; LANES]; n],
        };
        let (factors, t, delta) = (&mut eight.factors, &mut eight.multipliers, &mut eight.delta);
        let mut lambda = [0.0; LANES];
        for (lambda, &sample) in lambda.iter_mut().zip(samples) {
            *lambda = damping[sample];
        }
        eight.good = vectorised(
            #[inline(always)]
            || {
                side_by_side(samples.iter().map(|&b| linear.jacobian_of(b)), b);
                side_by_side(samples.iter().map(|&b| linear.residual_of(b)), t);
                gram_of_rows(b, m, n, factors);
                for i in 0..m {
                    let (diagonal, s) = (&mut factors[i * m + i], &t[i]);
                    for lane in 0..LANES {
                        let row = &b[i * n..][..n];
                        let is_zero = |b: &Lanes| b[lane] == 0.0;
                        if diagonal[lane] == 0.0 && s[lane] == 0.0 && row.iter().all(is_zero) {
                            diagonal[lane] = 1.0;
                        } else {
                            diagonal[lane] += lambda[lane];
                        }
                    }
                }
                let mut good = factor(factors, m);
                solve(factors, t);
                add_transposed(b, t, delta);
                for lane in 0..LANES {
                    good[lane] &= delta.iter().all(|d| d[lane].is_finite());
                }
                good
            },
        );
        eight
    }

    /// Writes ∂L/∂B and ∂L/∂s of the samples that have places, for ∂L/∂Δ = `cotangent`, which is that of the batch.
    ///
    /// With s̄ = (BBᵀ + λI)⁻¹ B Δ̄: B̄ = t (Δ̄ − Bᵀs̄)ᵀ − s̄ Δᵀ.
    pub(super) fn vjp(
        &mut self,
        linear: &Linear,
        eight: &Eight,
        cotangent: &[f64],
        places: Vec<Places<'_>>,
    ) {
        let n = linear.variables;
        let (b, p, q) = (&mut self.b, &mut self.of_rows, &mut self.of_variables);
        let (q_of_one, delta_of_one) = (&mut self.one.0, &mut self.one.1);
        vectorised(
            #[inline(always)]
            || {
                let samples = eight.samples.iter();
                side_by_side(samples.clone().map(|&b| linear.jacobian_of(b)), b);
                side_by_side(samples.map(|&b| &cotangent[b * n..][..n]), q);
                multiply(b, q, p);
                solve(&eight.factors, p);
                p.iter_mut().flatten().for_each(|p| *p = -*p);
                add_transposed(b, p, q);
                for (lane, place) in places.into_iter().enumerate() {
                    let Some((jacobian, residual)) = place else {
                        continue;
                    };
                    one_of(q, lane, q_of_one);
                    one_of(&eight.delta, lane, delta_of_one);
                    for (i, row) in jacobian.chunks_exact_mut(n).enumerate() {
                        let (t, minus_s) = (eight.multipliers[i][lane], p[i][lane]);
                        residual[i] = -minus_s;
                        for ((out, q), delta) in
                            row.iter_mut().zip(q_of_one.iter()).zip(delta_of_one.iter())
                        {
                            *out = t * q + minus_s * delta;
                        }
                    }
                }
            },
        );
    }
}
