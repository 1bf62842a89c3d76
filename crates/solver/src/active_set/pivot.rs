//! The pivots of one sample: Goldfarb & Idnani's dual method on scaled rows.
//!
//! Finds multipliers `λ` and the working set with `lower ≤ v₀ − K λ ≤ upper`, `λ_i ≥ 0` where the
//! upper bound holds and `≤ 0` where the lower does (Goldfarb & Idnani 1983, algorithm of §3, in
//! the form of Arnström, Bemporad & Axehill 2022 where only `K` is needed). Two-sided rows carry
//! one signed multiplier. Rows with equal bounds enter first and never leave.

use crate::dense::{axpy, dot};

/// `1 − yᵀy` below this means that the entering row depends on the working ones. Rows have unit
/// diagonal, so this is a squared sine; rounding alone leaves about `1e-15`.
const DEPENDENT: f64 = 1e-10;

/// A bound counts as violated beyond this times `1 + |bound| + |value|`.
const FEASIBLE: f64 = 1e-12;

/// How often converged multipliers are recomputed and checked before giving up. Each round removes
/// drift of the updates; more than one is rare.
const ROUNDS: usize = 4;

/// How the pivots ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Optimal working set found.
    Optimal,
    /// A bound is violated and no multiplier seems to move it; [`Pivots::ray`] is the combination of
    /// rows that would prove it, and has to be checked on the rows themselves.
    Contradiction,
    /// Too many pivots, or too ill-conditioned to tell; another method must decide.
    Stalled,
}

/// Bounds and start of one sample, on scaled rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// `K`, `[m, m]`, unit diagonal.
    pub(crate) k: &'a [f64],
    /// Row values without any multiplier, `[m]`.
    pub(crate) start: &'a [f64],
    /// Lower bounds, `[m]`.
    pub(crate) lower: &'a [f64],
    /// Upper bounds, `[m]`.
    pub(crate) upper: &'a [f64],
}

/// Working memory, reused from sample to sample.
#[derive(Debug)]
pub(crate) struct Pivots {
    /// Cholesky factor of `K` on the working rows, row-major with row length `stride`.
    factor: Vec<f64>,
    stride: usize,
    /// Rows of the working set.
    pub(crate) working: Vec<usize>,
    /// `+1` upper, `−1` lower, `0` equal bounds; parallel to `working`.
    side: Vec<f64>,
    /// Multipliers, `[m]`.
    pub(crate) lambda: Vec<f64>,
    /// Current row values, `[m]`.
    value: Vec<f64>,
    step: Vec<f64>,
    /// Row values of the current direction, `[m]`.
    direction: Vec<f64>,
    /// Rows that must not enter: in the working set, or equal-bounds rows that depend on it.
    closed: Vec<bool>,
    /// After [`Outcome::Contradiction`], multipliers of the scaled rows whose combination no point
    /// can satisfy, `[m]`: positive for upper bounds, negative for lower.
    pub(crate) ray: Vec<f64>,
}

impl Pivots {
    /// Memory for `m` rows of which at most `independent` are independent.
    pub(crate) fn new(m: usize, independent: usize) -> Pivots {
        let most = m.min(independent);
        Pivots {
            factor: vec![0.0; (most + 1) * (most + 1)],
            stride: most + 1,
            working: Vec::with_capacity(most),
            side: Vec::with_capacity(most),
            lambda: vec![0.0; m],
            value: vec![0.0; m],
            step: vec![0.0; most + 1],
            direction: vec![0.0; m],
            closed: vec![false; m],
            ray: vec![0.0; m],
        }
    }

    /// Packed rows of the working set's Cholesky factor.
    pub(crate) fn packed_factor(&self) -> Vec<f64> {
        let count = self.working.len();
        let mut packed = Vec::with_capacity(count * (count + 1) / 2);
        for i in 0..count {
            packed.extend_from_slice(&self.factor[i * self.stride..i * self.stride + i + 1]);
        }
        packed
    }

    /// Runs the pivots from a guessed working set, rows with `+1` for their upper bound and `−1` for
    /// their lower; returns the outcome and how many were made.
    #[inline(always)]
    pub(crate) fn run(&mut self, rows: Rows<'_>, guess: &[(usize, f64)]) -> (Outcome, usize) {
        let m = rows.start.len();
        self.working.clear();
        self.side.clear();
        self.lambda.fill(0.0);
        self.closed.fill(false);
        self.value.copy_from_slice(rows.start);
        let limit = 20 * m + 50;
        let mut count = self.take_up(rows, guess);
        for _ in 0..ROUNDS {
            while let Some((row, sign, fixed)) = self.entering(rows) {
                let outcome = self.enter(rows, row, sign, fixed, limit, &mut count);
                if outcome != Outcome::Optimal {
                    return (outcome, count);
                }
            }
            if self.working.is_empty() {
                return (Outcome::Optimal, count);
            }
            if !self.refresh(rows) {
                return (Outcome::Stalled, count);
            }
            if self.entering(rows).is_none() {
                return (Outcome::Optimal, count);
            }
        }
        (Outcome::Stalled, count)
    }

    /// Takes the independent rows of a guess into the working set and drops those whose multipliers
    /// have the wrong sign, worst first, until what is left is optimal for its own rows: a state
    /// from which the dual method goes on as from any other (Goldfarb & Idnani 1983, §3). Returns
    /// how many were dropped.
    #[inline(always)]
    fn take_up(&mut self, rows: Rows<'_>, guess: &[(usize, f64)]) -> usize {
        let m = rows.start.len();
        for &(row, sign) in guess {
            let (lower, upper) = (rows.lower[row], rows.upper[row]);
            let bound = if sign > 0.0 { upper } else { lower };
            if self.closed[row] || !bound.is_finite() || self.working.len() + 1 >= self.stride {
                continue;
            }
            let k_row = &rows.k[row * m..(row + 1) * m];
            let remainder = self.solve_column(rows.k, m, k_row, row);
            if remainder > DEPENDENT {
                let size = self.working.len();
                self.factor[size * self.stride + size] = remainder.sqrt();
                self.working.push(row);
                self.side.push(if lower == upper { 0.0 } else { sign });
                self.closed[row] = true;
            }
        }
        let mut dropped = 0;
        while !self.working.is_empty() {
            self.solve_working(rows);
            let (mut worst, mut wrong) = (0.0, None);
            for (i, side) in self.side.iter().enumerate() {
                let signed = self.step[i] * side;
                // NaN is wrong as well.
                if !(signed >= worst) {
                    (worst, wrong) = (signed, Some(i));
                }
            }
            match wrong {
                Some(position) => {
                    self.remove(position);
                    dropped += 1;
                }
                None => {
                    self.put_multipliers(rows);
                    break;
                }
            }
        }
        dropped
    }

    /// The next row, the side it is violated on, and whether its bounds are equal.
    #[inline(always)]
    fn entering(&self, rows: Rows<'_>) -> Option<(usize, f64, bool)> {
        let mut best = None;
        let mut worst = 0.0;
        for i in 0..rows.start.len() {
            let (value, lower, upper) = (self.value[i], rows.lower[i], rows.upper[i]);
            let (above, below) = (value - upper, lower - value);
            if self.closed[i] {
                continue;
            }
            if lower == upper {
                return Some((i, if above >= 0.0 { 1.0 } else { -1.0 }, true));
            }
            let (violation, sign, bound) = if above > below {
                (above, 1.0, upper)
            } else {
                (below, -1.0, lower)
            };
            if violation > worst && violation > FEASIBLE * (1.0 + bound.abs() + value.abs()) {
                worst = violation;
                best = Some((i, sign, false));
            }
        }
        best
    }

    /// Brings `row` into the working set, removing blocking rows on the way.
    #[inline(always)]
    fn enter(
        &mut self,
        rows: Rows<'_>,
        row: usize,
        sign: f64,
        fixed: bool,
        limit: usize,
        count: &mut usize,
    ) -> Outcome {
        let m = rows.start.len();
        let bound = if sign > 0.0 {
            rows.upper[row]
        } else {
            rows.lower[row]
        };
        let k_row = &rows.k[row * m..(row + 1) * m];
        loop {
            *count += 1;
            if *count > limit {
                return Outcome::Stalled;
            }
            let violation = (sign * (self.value[row] - bound)).max(0.0);
            let remainder = self.solve_column(rows.k, m, k_row, row);
            // As many working rows as variables leave nothing outside their span, whatever rounding
            // says.
            let full = if remainder > DEPENDENT && self.working.len() + 1 < self.stride {
                violation / remainder
            } else {
                f64::INFINITY
            };
            let (partial, blocking) = self.blocking(sign);
            let length = full.min(partial);
            if !length.is_finite() {
                let scale = 1.0 + bound.abs() + self.value[row].abs();
                if fixed && violation <= 1e-9 * scale {
                    self.closed[row] = true;
                    return Outcome::Optimal;
                }
                self.ray.fill(0.0);
                self.ray[row] = sign;
                for (i, &w) in self.working.iter().enumerate() {
                    self.ray[w] = -sign * self.step[i];
                }
                return Outcome::Contradiction;
            }
            self.direction.copy_from_slice(k_row);
            for (i, &w) in self.working.iter().enumerate() {
                axpy(
                    -self.step[i],
                    &rows.k[w * m..(w + 1) * m],
                    &mut self.direction,
                );
            }
            axpy(-sign * length, &self.direction, &mut self.value);
            for (i, &w) in self.working.iter().enumerate() {
                self.lambda[w] -= sign * length * self.step[i];
            }
            self.lambda[row] += sign * length;
            if full <= partial {
                let size = self.working.len();
                self.factor[size * self.stride + size] = remainder.sqrt();
                self.working.push(row);
                self.side.push(if fixed { 0.0 } else { sign });
                self.closed[row] = true;
                self.value[row] = bound;
                return Outcome::Optimal;
            }
            self.remove(blocking);
        }
    }

    /// Solves `K_WW step = K_W,row`; leaves `L⁻¹K_W,row` as the next row of the factor and
    /// returns the Schur complement of `row`.
    #[inline(always)]
    fn solve_column(&mut self, k: &[f64], m: usize, k_row: &[f64], row: usize) -> f64 {
        let size = self.working.len();
        let (done, next) = self.factor.split_at_mut(size * self.stride);
        let next = &mut next[..size];
        let mut squares = 0.0;
        for i in 0..size {
            let line = &done[i * self.stride..i * self.stride + i + 1];
            let v = (k_row[self.working[i]] - dot(&line[..i], &next[..i])) / line[i];
            next[i] = v;
            squares += v * v;
        }
        let step = &mut self.step[..size];
        step.copy_from_slice(next);
        back_substitute(done, self.stride, step);
        k[row * m + row] - squares
    }

    /// The longest step before a working multiplier changes sign, and which one does.
    #[inline(always)]
    fn blocking(&self, sign: f64) -> (f64, usize) {
        let (mut shortest, mut blocking) = (f64::INFINITY, usize::MAX);
        for (i, &w) in self.working.iter().enumerate() {
            let rate = sign * self.step[i];
            if rate * self.side[i] > 0.0 {
                // A multiplier that rounding pushed past zero blocks at once.
                let length = (self.lambda[w] / rate).max(0.0);
                if length < shortest {
                    shortest = length;
                    blocking = i;
                }
            }
        }
        (shortest, blocking)
    }

    /// Takes one row out of the working set and restores the factor by Givens rotations.
    #[inline(always)]
    fn remove(&mut self, position: usize) {
        let row = self.working.remove(position);
        self.side.remove(position);
        self.lambda[row] = 0.0;
        self.closed[row] = false;
        let (size, c) = (self.working.len(), self.stride);
        for i in position..size {
            self.factor
                .copy_within((i + 1) * c..(i + 1) * c + i + 2, i * c);
        }
        for i in position..size {
            let (a, b) = (self.factor[i * c + i], self.factor[i * c + i + 1]);
            let h = a.hypot(b);
            let (cos, sin) = (a / h, b / h);
            for q in i..size {
                let (u, v) = (self.factor[q * c + i], self.factor[q * c + i + 1]);
                self.factor[q * c + i] = cos * u + sin * v;
                self.factor[q * c + i + 1] = cos * v - sin * u;
            }
        }
    }

    /// Recomputes multipliers and row values from the factor, free of the updates' drift.
    /// False when a multiplier has clearly the wrong sign.
    #[inline(always)]
    fn refresh(&mut self, rows: Rows<'_>) -> bool {
        self.solve_working(rows);
        let step = &self.step[..self.working.len()];
        let largest = crate::dense::max_abs(step);
        let right = step
            .iter()
            .zip(&self.side)
            .all(|(step, side)| step.is_finite() && !(step * side < -1e-9 * (1.0 + largest)));
        if right {
            self.put_multipliers(rows);
        }
        right
    }

    /// The multipliers that hold the working rows at their bounds, into `step`.
    #[inline(always)]
    fn solve_working(&mut self, rows: Rows<'_>) {
        let size = self.working.len();
        for i in 0..size {
            let w = self.working[i];
            let upper = self.side[i] >= 0.0;
            let bound = if upper { rows.upper[w] } else { rows.lower[w] };
            self.step[i] = rows.start[w] - bound;
        }
        let step = &mut self.step[..size];
        for i in 0..size {
            let line = &self.factor[i * self.stride..i * self.stride + i + 1];
            step[i] = (step[i] - dot(&line[..i], &step[..i])) / line[i];
        }
        back_substitute(&self.factor, self.stride, step);
    }

    /// Takes `step` for the multipliers of the working rows.
    #[inline(always)]
    fn put_multipliers(&mut self, rows: Rows<'_>) {
        let m = rows.start.len();
        self.value.copy_from_slice(rows.start);
        for (&w, step) in self.working.iter().zip(&self.step) {
            self.lambda[w] = *step;
            axpy(-step, &rows.k[w * m..(w + 1) * m], &mut self.value);
        }
    }
}

/// `step ← L⁻ᵀ step` for a row-major lower triangle.
#[inline(always)]
fn back_substitute(factor: &[f64], stride: usize, step: &mut [f64]) {
    for i in (0..step.len()).rev() {
        let line = &factor[i * stride..i * stride + i + 1];
        let v = step[i] / line[i];
        step[i] = v;
        axpy(-v, &line[..i], &mut step[..i]);
    }
}

/// Solves with a packed lower Cholesky factor, in place.
#[inline(always)]
pub(crate) fn solve_packed(factor: &[f64], rhs: &mut [f64]) {
    let size = rhs.len();
    let mut start = 0;
    for i in 0..size {
        let line = &factor[start..start + i + 1];
        rhs[i] = (rhs[i] - dot(&line[..i], &rhs[..i])) / line[i];
        start += i + 1;
    }
    for i in (0..size).rev() {
        start -= i + 1;
        let line = &factor[start..start + i + 1];
        let v = rhs[i] / line[i];
        rhs[i] = v;
        axpy(-v, &line[..i], &mut rhs[..i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    fn solve(k: &[f64], start: &[f64], lower: &[f64], upper: &[f64]) -> (Outcome, Pivots) {
        let mut pivots = Pivots::new(start.len(), start.len());
        let rows = Rows {
            k,
            start,
            lower,
            upper,
        };
        let (outcome, _) = pivots.run(rows, &[]);
        (outcome, pivots)
    }

    /// Whatever set the pivots start from, they end at the same one.
    #[test]
    fn every_guess_leads_to_the_same_set() {
        let c = 0.7;
        let k = [1.0, c, c, c, 1.0, 0.0, c, 0.0, 1.0];
        let rows = Rows {
            k: &k,
            start: &[1.5, 1.4, 1.4],
            lower: &[-INF; 3],
            upper: &[0.0; 3],
        };
        let mut counts = Vec::new();
        for guess in 0..8 {
            // Every subset; a guess at a bound that is not there, or of a row twice, is passed over.
            let mut guess: Vec<(usize, f64)> = (0..3)
                .filter(|i| guess >> i & 1 == 1)
                .map(|i| (i, 1.0))
                .collect();
            guess.extend(guess.clone());
            guess.push((0, -1.0));
            let mut pivots = Pivots::new(3, 3);
            let (outcome, count) = pivots.run(rows, &guess);
            assert_eq!(outcome, Outcome::Optimal);
            let mut working = pivots.working.clone();
            working.sort_unstable();
            assert_eq!(working, [1, 2]);
            for (lambda, expected) in pivots.lambda.iter().zip([0.0, 1.4, 1.4]) {
                assert!((lambda - expected).abs() < 1e-14);
            }
            check_factor(&pivots, &k);
            counts.push(count);
        }
        // The right set needs no pivot, the full one a single removal.
        assert_eq!((counts[6], counts[7]), (0, 1));
        assert!(counts[0] > 2);
    }

    #[test]
    fn independent_rows_clip() {
        let k = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let (outcome, pivots) = solve(&k, &[2.0, -3.0, 0.5], &[-1.0, -1.0, -INF], &[1.0, 1.0, INF]);
        assert_eq!(outcome, Outcome::Optimal);
        assert_eq!(pivots.lambda, [1.0, -2.0, 0.0]);
    }

    /// Row 0 is violated most and enters first; rows 1 and 2, which lean on it from both sides, then
    /// push it back inside, so that it has to leave.
    #[test]
    fn a_row_can_leave_again() {
        let c = 0.7;
        let k = [1.0, c, c, c, 1.0, 0.0, c, 0.0, 1.0];
        let (outcome, pivots) = solve(&k, &[1.5, 1.4, 1.4], &[-INF; 3], &[0.0; 3]);
        assert_eq!(outcome, Outcome::Optimal);
        assert_eq!(
            (pivots.working.as_slice(), pivots.lambda[0]),
            (&[1, 2][..], 0.0)
        );
        for (lambda, expected) in pivots.lambda[1..].iter().zip([1.4, 1.4]) {
            assert!((lambda - expected).abs() < 1e-14);
        }
        // The rotations that took it out leave the factor of what stayed.
        assert_eq!(pivots.packed_factor().len(), 3);
        check_factor(&pivots, &k);
    }

    /// Removals from every position of a larger set.
    #[test]
    fn the_factor_survives_removals() {
        let m = 6;
        // A Gram matrix of unit vectors, far from singular.
        let vector = |i: usize| -> Vec<f64> {
            let v: Vec<f64> = (0..8)
                .map(|j| ((i * 8 + j).pow(2) as f64 * 0.37).sin())
                .collect();
            let norm = dot(&v, &v).sqrt();
            v.iter().map(|v| v / norm).collect()
        };
        let k: Vec<f64> = (0..m * m)
            .map(|at| dot(&vector(at / m), &vector(at % m)))
            .collect();
        for position in 0..m {
            let (_, mut pivots) = solve(&k, &[5.0; 6], &[0.0; 6], &[0.0; 6]);
            assert_eq!(pivots.working.len(), m);
            check_factor(&pivots, &k);
            pivots.remove(position);
            assert_eq!(pivots.working.len(), m - 1);
            check_factor(&pivots, &k);
        }
    }

    /// `L·Lᵀ = K` on the working rows.
    fn check_factor(pivots: &Pivots, k: &[f64]) {
        let m = pivots.lambda.len();
        for (i, &row) in pivots.working.iter().enumerate() {
            for (j, &column) in pivots.working[..=i].iter().enumerate() {
                let line = |i: usize| &pivots.factor[i * pivots.stride..i * pivots.stride + j + 1];
                let product = dot(line(i), line(j));
                assert!((product - k[row * m + column]).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn duplicate_rows_use_one() {
        let k = [1.0, 1.0, 1.0, 1.0];
        let (outcome, pivots) = solve(&k, &[2.0, 2.0], &[-INF; 2], &[1.0, 1.0]);
        assert_eq!(outcome, Outcome::Optimal);
        assert_eq!(pivots.working.len(), 1);
        assert_eq!(pivots.lambda.iter().sum::<f64>(), 1.0);
    }

    #[test]
    fn opposite_rows_are_infeasible() {
        let k = [1.0, -1.0, -1.0, 1.0];
        let (outcome, pivots) = solve(&k, &[0.0, 0.0], &[-INF; 2], &[-1.0, -1.0]);
        assert_eq!(outcome, Outcome::Contradiction);
        assert_eq!(pivots.ray, [1.0, 1.0]);
    }

    #[test]
    fn equal_bounds_stay_even_without_violation() {
        let k = [1.0, 0.5, 0.5, 1.0];
        let (outcome, pivots) = solve(&k, &[0.0, 2.0], &[0.0, -INF], &[0.0, 1.0]);
        assert_eq!(outcome, Outcome::Optimal);
        assert_eq!(pivots.working, [0, 1]);
        // 1 = (K λ)_1 with row 0 held at 0: λ1 = 1/(1 − ¼).
        assert!((pivots.lambda[1] - 1.0 / 0.75).abs() < 1e-14);
        assert!((pivots.lambda[0] + 0.5 / 0.75).abs() < 1e-14);
    }

    #[test]
    fn packed_solve_inverts() {
        let factor = [2.0, 1.0, 3.0, 0.5, -1.0, 1.5];
        let x = [1.0, -2.0, 0.25];
        // L Lᵀ x by hand.
        let lt = [
            2.0 * x[0] + x[1] + 0.5 * x[2],
            3.0 * x[1] - x[2],
            1.5 * x[2],
        ];
        let mut rhs = [
            2.0 * lt[0],
            lt[0] + 3.0 * lt[1],
            0.5 * lt[0] - lt[1] + 1.5 * lt[2],
        ];
        solve_packed(&factor, &mut rhs);
        for i in 0..3 {
            assert!((rhs[i] - x[i]).abs() < 1e-14);
        }
    }
}
