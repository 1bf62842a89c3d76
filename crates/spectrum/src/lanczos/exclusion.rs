//! How unlikely it is that a Krylov space has not seen an eigenvalue.
//!
//! Let `u` be a unit eigenvector with eigenvalue λ and `v₁` the start, uniform on the unit sphere of
//! dimension d. By `A V = V T + β vₙₑₓₜ eᵀ` the components `tⱼ = uᵀvⱼ` follow from `t₁` alone:
//! `β tₙₑₓₜ = (λ − α) t − Σ Tᵢ tᵢ`. With λ beyond every Ritz value they grow, and as the basis is
//! orthonormal `Σ tⱼ² ≤ 1`, so `|t₁| ≤ 1/√(Σ (tⱼ/t₁)²)`. One coordinate of a uniform unit vector is
//! below b in absolute value with probability at most `b √(2d/π)`. The growth increases with λ, so the
//! bound is one for every eigenvalue beyond λ.
//!
//! The bound that a run ends with depends on `t₁` itself and is no probability. But a run that stops
//! once it is below a number fixed beforehand stops wrongly only if `|t₁|` is below that number, which
//! has the odds above.

/// Follows `tⱼ/t₁` for one λ.
#[derive(Clone, Debug)]
pub(crate) struct Exclusion {
    lambda: f64,
    /// Components over the current basis, all divided by `exp(log_scale)`.
    t: Vec<f64>,
    next: f64,
    log_scale: f64,
    /// Nothing beyond λ is left at all.
    pub(crate) complete: bool,
}

impl Exclusion {
    pub(crate) fn new(lambda: f64) -> Self {
        Self {
            lambda,
            t: Vec::new(),
            next: 1.0,
            log_scale: 0.0,
            complete: false,
        }
    }

    /// The basis grew by a vector with row `row` (its coupling to the vectors before it, then its
    /// own diagonal entry), and the residual's norm is now β.
    pub(crate) fn grow(&mut self, row: &[f64], beta: f64) {
        self.t.push(self.next);
        let last = self.t.len() - 1;
        let coupling: f64 = row[..last].iter().zip(&self.t).map(|(g, t)| g * t).sum();
        let reached = (self.lambda - row[last]) * self.t[last] - coupling;
        if beta == 0.0 {
            self.complete = true;
            return;
        }
        self.next = reached / beta;
        if self.next.abs() > 1e100 {
            for t in &mut self.t {
                *t *= 1e-100;
            }
            self.next *= 1e-100;
            self.log_scale += 100.0 * std::f64::consts::LN_10;
        }
    }

    /// The basis was replaced by Ritz vectors with these values, coupled to the next vector by
    /// `coupling`: `λ tᵢ = θᵢ tᵢ + sᵢ tₙₑₓₜ`.
    pub(crate) fn restart(&mut self, values: &[f64], coupling: &[f64]) {
        self.t = values
            .iter()
            .zip(coupling)
            .map(|(theta, s)| s * self.next / (self.lambda - theta))
            .collect();
    }

    /// Odds of a `|t₁|` as small as an eigenvector beyond λ must have, if there is one, in dimension `d`.
    pub(crate) fn odds(&self, d: usize) -> f64 {
        if self.complete {
            return 0.0;
        }
        let squares: f64 = self.t.iter().map(|t| t * t).sum::<f64>() + self.next * self.next;
        let log_growth = 0.5 * squares.ln() + self.log_scale;
        let log_odds = 0.5 * (2.0 * d as f64 / std::f64::consts::PI).ln() - log_growth;
        // Not a number when λ is a Ritz value; then nothing is known.
        if log_odds.is_nan() {
            1.0
        } else {
            log_odds.exp().min(1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lanczos on a diagonal 3 × 3 matrix: the recursion gives the components themselves.
    #[test]
    fn the_recursion_gives_the_components_of_an_eigenvector() {
        let eigenvalues = [1.0, 2.0, 4.0];
        let v1 = [0.6, 0.64, 0.48];
        // α₁ = v₁ᵀAv₁, β₁ v₂ = A v₁ − α₁ v₁.
        let alpha: f64 = (0..3).map(|i| eigenvalues[i] * v1[i] * v1[i]).sum();
        let r: Vec<f64> = (0..3).map(|i| (eigenvalues[i] - alpha) * v1[i]).collect();
        let beta = r.iter().map(|v| v * v).sum::<f64>().sqrt();
        let mut exclusion = Exclusion::new(4.0);
        exclusion.grow(&[alpha], beta);
        let ratio = (r[2] / beta) / v1[2];
        assert!(
            (exclusion.next - ratio).abs() < 1e-14,
            "{} {ratio}",
            exclusion.next
        );
        // Restarted with the basis as it is, v₁ being its own Ritz vector.
        exclusion.restart(&[alpha], &[beta]);
        assert!((exclusion.t[0] - 1.0).abs() < 1e-14, "{:?}", exclusion.t);
        let odds = (6.0 / std::f64::consts::PI).sqrt() / (1.0 + ratio * ratio).sqrt();
        assert!((exclusion.odds(3) - odds.min(1.0)).abs() < 1e-14);
    }

    #[test]
    fn growth_beyond_the_range_of_the_type_is_no_trouble() {
        let mut exclusion = Exclusion::new(1e8);
        for j in 0..100 {
            let mut row = vec![0.0; j + 1];
            if j > 0 {
                row[j - 1] = 1.0;
            }
            exclusion.grow(&row, 1.0);
        }
        assert!(exclusion.odds(10) == 0.0, "{}", exclusion.odds(10));
        assert!(!exclusion.complete);
    }
}
