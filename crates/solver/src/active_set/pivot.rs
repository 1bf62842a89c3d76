//! The pivots of one sample: Goldfarb & Idnani's dual method on scaled rows.
//!
//! Finds multipliers `λ` and the working set with `lower ≤ v₀ − K λ ≤ upper`, `λ_i ≥ 0` where the
//! upper bound holds and `≤ 0` where the lower does (Goldfarb & Idnani 1983, algorithm of §3, in
//! the form of Arnström, Bemporad & Axehill 2022 where only `K` is needed). Two-sided rows carry
//! one signed multiplier. Rows with equal bounds enter first and never leave.

use crate::active_set::basis::Basis;
use crate::active_set::violation::most_violated;
use crate::dense::{axpy, max_abs};

/// `1 − yᵀy` below this means that the entering row depends on the working ones. Rows have unit
/// diagonal, so this is a squared sine; rounding alone leaves about `1e-15`.
const DEPENDENT: f64 = 1e-10;

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
    /// The working set.
    pub(crate) basis: Basis,
    /// `+1` upper, `−1` lower, `0` equal bounds; parallel to the working rows.
    pub(crate) side: Vec<f64>,
    /// Multipliers, `[m]`.
    pub(crate) lambda: Vec<f64>,
    /// Current row values, `[m]`.
    value: Vec<f64>,
    /// Multipliers of the working rows, by position.
    held: Vec<f64>,
    /// Infinite for rows that must not enter, which are in the working set or equal-bounds rows that
    /// depend on it; 0 for the others.
    closed: Vec<f64>,
    /// Rows with equal bounds, which enter before any other.
    fixed: Vec<usize>,
    /// After [`Outcome::Contradiction`], multipliers of the scaled rows whose combination no point
    /// can satisfy, `[m]`: positive for upper bounds, negative for lower.
    pub(crate) ray: Vec<f64>,
}

impl Pivots {
    /// Memory for `m` rows of which at most `independent` are independent.
    pub(crate) fn new(m: usize, independent: usize) -> Pivots {
        let most = m.min(independent);
        Pivots {
            basis: Basis::new(m, most),
            side: Vec::with_capacity(most),
            lambda: vec![0.0; m],
            value: vec![0.0; m],
            held: Vec::with_capacity(most),
            closed: vec![0.0; m],
            fixed: Vec::with_capacity(m),
            ray: vec![0.0; m],
        }
    }

    /// Runs the pivots from a guessed working set, rows with `+1` for their upper bound and `−1` for
    /// their lower; returns the outcome and how many were made.
    #[inline(always)]
    pub(crate) fn run(&mut self, rows: Rows<'_>, guess: &[(usize, f64)]) -> (Outcome, usize) {
        let m = rows.start.len();
        self.basis.clear();
        self.side.clear();
        self.lambda.fill(0.0);
        self.closed.fill(0.0);
        let bounds = rows.lower.iter().zip(rows.upper);
        let equal = bounds.enumerate().filter(|(_, (l, u))| l == u);
        self.fixed.clear();
        self.fixed.extend(equal.map(|(i, _)| i));
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
            if self.basis.working.is_empty() {
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
        for &(row, sign) in guess {
            let (lower, upper) = (rows.lower[row], rows.upper[row]);
            let bound = if sign > 0.0 { upper } else { lower };
            if self.closed[row] != 0.0 || !bound.is_finite() || self.basis.is_full() {
                continue;
            }
            if self.basis.orthogonalise(rows.k, row) > DEPENDENT {
                self.basis.accept(row);
                self.side.push(if lower == upper { 0.0 } else { sign });
                self.closed[row] = f64::INFINITY;
            }
        }
        let mut dropped = 0;
        while !self.basis.working.is_empty() {
            self.hold(rows);
            let (mut worst, mut wrong) = (0.0, None);
            for (i, (held, side)) in self.held.iter().zip(&self.side).enumerate() {
                let signed = held * side;
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
                    self.put_multipliers();
                    break;
                }
            }
        }
        dropped
    }

    /// The next row, the side it is violated on, and whether its bounds are equal.
    #[inline(always)]
    fn entering(&self, rows: Rows<'_>) -> Option<(usize, f64, bool)> {
        let m = rows.start.len();
        let (lower, upper) = (&rows.lower[..m], &rows.upper[..m]);
        let (value, closed) = (&self.value[..m], &self.closed[..m]);
        for &row in &self.fixed {
            if closed[row] == 0.0 {
                let sign = if value[row] >= upper[row] { 1.0 } else { -1.0 };
                return Some((row, sign, true));
            }
        }
        let (row, sign) = most_violated(value, lower, upper, closed)?;
        Some((row, sign, false))
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
        let bound = if sign > 0.0 {
            rows.upper[row]
        } else {
            rows.lower[row]
        };
        loop {
            *count += 1;
            if *count > limit {
                return Outcome::Stalled;
            }
            let violation = (sign * (self.value[row] - bound)).max(0.0);
            let remainder = self.basis.orthogonalise(rows.k, row);
            // As many working rows as variables leave nothing outside their span, whatever rounding
            // says.
            let full = if remainder > DEPENDENT && !self.basis.is_full() {
                violation / remainder
            } else {
                f64::INFINITY
            };
            let (partial, blocking) = self.blocking(sign);
            let length = full.min(partial);
            let (direction, change) = self.basis.candidate();
            if !length.is_finite() {
                let scale = 1.0 + bound.abs() + self.value[row].abs();
                if fixed && violation <= 1e-9 * scale {
                    self.closed[row] = f64::INFINITY;
                    return Outcome::Optimal;
                }
                self.ray.fill(0.0);
                self.ray[row] = sign;
                for (change, &w) in change.iter().zip(&self.basis.working) {
                    self.ray[w] = sign * change;
                }
                return Outcome::Contradiction;
            }
            let signed = sign * length;
            axpy(-signed, direction, &mut self.value);
            for (change, &w) in change.iter().zip(&self.basis.working) {
                self.lambda[w] += signed * change;
            }
            self.lambda[row] += signed;
            if full <= partial {
                self.basis.accept(row);
                self.side.push(if fixed { 0.0 } else { sign });
                self.closed[row] = f64::INFINITY;
                self.value[row] = bound;
                return Outcome::Optimal;
            }
            self.remove(blocking);
        }
    }

    /// The longest step before a working multiplier changes sign, and which one does.
    #[inline(always)]
    fn blocking(&self, sign: f64) -> (f64, usize) {
        let (mut shortest, mut blocking) = (f64::INFINITY, usize::MAX);
        let (_, change) = self.basis.candidate();
        for (i, (change, &w)) in change.iter().zip(&self.basis.working).enumerate() {
            let rate = -sign * change;
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

    /// Takes one row out of the working set.
    #[inline(always)]
    fn remove(&mut self, position: usize) {
        let row = self.basis.remove(position);
        self.side.remove(position);
        self.lambda[row] = 0.0;
        self.closed[row] = 0.0;
    }

    /// Recomputes multipliers and row values, free of the updates' drift. False when a multiplier
    /// has clearly the wrong sign.
    #[inline(always)]
    fn refresh(&mut self, rows: Rows<'_>) -> bool {
        self.hold(rows);
        let largest = max_abs(&self.held);
        let right = self
            .held
            .iter()
            .zip(&self.side)
            .all(|(held, side)| held.is_finite() && !(held * side < -1e-9 * (1.0 + largest)));
        if right {
            self.put_multipliers();
        }
        right
    }

    /// The multipliers that hold the working rows at their bounds, into `held`, and the row values
    /// that they lead to.
    #[inline(always)]
    fn hold(&mut self, rows: Rows<'_>) {
        let m = rows.start.len();
        let miss = |(&w, side): (&usize, &f64)| {
            let bound = if *side >= 0.0 {
                rows.upper[w]
            } else {
                rows.lower[w]
            };
            rows.start[w] - bound
        };
        self.held.clear();
        self.held
            .extend(self.basis.working.iter().zip(&self.side).map(miss));
        self.basis.solve(&mut self.held);
        self.value.copy_from_slice(rows.start);
        for (&w, held) in self.basis.working.iter().zip(&self.held) {
            axpy(-held, &rows.k[w * m..(w + 1) * m], &mut self.value);
        }
    }

    /// Takes what `held` says for the multipliers of the working rows.
    #[inline(always)]
    fn put_multipliers(&mut self) {
        for (&w, held) in self.basis.working.iter().zip(&self.held) {
            self.lambda[w] = *held;
        }
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
            let mut working = pivots.basis.working.clone();
            working.sort_unstable();
            assert_eq!(working, [1, 2]);
            for (lambda, expected) in pivots.lambda.iter().zip([0.0, 1.4, 1.4]) {
                assert!((lambda - expected).abs() < 1e-14);
            }
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
            (pivots.basis.working.as_slice(), pivots.lambda[0]),
            (&[1, 2][..], 0.0)
        );
        for (lambda, expected) in pivots.lambda[1..].iter().zip([1.4, 1.4]) {
            assert!((lambda - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn duplicate_rows_use_one() {
        let k = [1.0, 1.0, 1.0, 1.0];
        let (outcome, pivots) = solve(&k, &[2.0, 2.0], &[-INF; 2], &[1.0, 1.0]);
        assert_eq!(outcome, Outcome::Optimal);
        assert_eq!(pivots.basis.working.len(), 1);
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
        assert_eq!(pivots.basis.working, [0, 1]);
        // 1 = (K λ)_1 with row 0 held at 0: λ1 = 1/(1 − ¼).
        assert!((pivots.lambda[1] - 1.0 / 0.75).abs() < 1e-14);
        assert!((pivots.lambda[0] + 0.5 / 0.75).abs() < 1e-14);
    }
}
