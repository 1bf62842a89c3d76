//! One Krylov space with thick restarts, in the complement of what is deflated.
//!
//! Wu & Simon 2000, thick-restart Lanczos; every new vector is orthogonalised against the whole
//! basis after the recurrence, and again where that takes much from it, so the coefficients are those
//! of `VᵀHV` and not of a recurrence, and their mirror images show how symmetric the operator is.

use rand_chacha::ChaCha8Rng;

use super::exclusion::Exclusion;
use super::select;
use crate::error::Error;
use crate::operator::{Counted, Halt};
use crate::projected::{Projected, Ritz};
use crate::random::unit_in_complement;
use crate::settings::{Settings, Wanted};
use crate::vectors::{combinations, dot, norm, orthogonalise, recurrence_row, scale};

/// Residuals below this many times the symmetry defect are taken for rounding: a residual sums the
/// rounding of a whole product, a coefficient that of its component along one vector.
const NOISE: f64 = 10.0;

/// A pair with its true residual.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) value: f64,
    /// NaN where no product could be had.
    pub(super) residual: f64,
    pub(super) converged: bool,
    pub(super) vector: Vec<f64>,
    /// The operator's product with the vector; empty where none could be had.
    pub(super) product: Vec<f64>,
}

/// A Ritz pair that is not wanted itself.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) value: f64,
    /// By the recurrence.
    pub(super) residual: f64,
    pub(super) vector: Vec<f64>,
}

impl Guard {
    /// Whether deflating it could hide little of an eigenvector with an eigenvalue beyond the limits:
    /// its component along one is at most the residual over the distance of the eigenvalues. At a
    /// tenth, a hundredth of such a vector is hidden.
    pub(super) fn is_safe(&self, (low, high): (f64, f64)) -> bool {
        self.residual <= 0.1 * (high - self.value).min(self.value - low)
    }
}

/// What the operator has shown of itself, over all cycles.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The longest product of a unit vector.
    pub(super) norm: f64,
    pub(super) defect: f64,
    pub(super) restarts: usize,
    pub(super) verification_products: usize,
}

/// What a search found.
pub(super) enum Searched {
    /// Nothing is left beyond the limits, up to the odds allowed.
    Excluded,
    /// Nothing is left beyond the limits: the random direction's space is all there is.
    Exhausted,
    /// A unit vector whose Rayleigh quotient is beyond a limit, on this side.
    Hit(Vec<f64>, Wanted),
}

pub(super) struct Cycle<'a> {
    settings: &'a Settings,
    deflated: &'a [Vec<f64>],
    capacity: usize,
    basis: Vec<Vec<f64>>,
    projected: Projected,
    /// Next basis vector and its coupling to the basis; none when the complement is exhausted.
    next: Option<(Vec<f64>, Vec<f64>)>,
    /// Norm of the residual of the last product.
    beta: f64,
    last_row: Vec<f64>,
}

/// Why a cycle stopped early.
pub(super) enum Stop {
    Halt(Halt),
    Asymmetric,
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Stop::Halt(halt)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Halt(Halt::Error(error))
    }
}

impl<'a> Cycle<'a> {
    /// `start` must be orthogonal to what is deflated only roughly; `None` draws it.
    pub(super) fn new(
        n: usize,
        settings: &'a Settings,
        deflated: &'a [Vec<f64>],
        capacity: usize,
        start: Option<Vec<f64>>,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let given = start.and_then(|mut v| {
            let before = norm(&v);
            scale(&mut v, if before > 0.0 { 1.0 / before } else { 0.0 });
            orthogonalise(&mut v, deflated);
            let after = norm(&v);
            // Less than this is mostly rounding.
            (after > 1e-8).then(|| {
                scale(&mut v, 1.0 / after);
                orthogonalise(&mut v, deflated);
                v
            })
        });
        let next = given
            .or_else(|| unit_in_complement(n, &[deflated], rng))
            .map(|v| (v, Vec::new()));
        Self {
            settings,
            deflated,
            capacity: capacity.min(n - deflated.len().min(n)),
            basis: Vec::new(),
            projected: Projected::default(),
            next,
            beta: 0.0,
            last_row: Vec::new(),
        }
    }

    fn exhausted(&self) -> bool {
        self.next.is_none()
    }

    /// One product more. Returns whether the Krylov space was closed by it.
    fn grow(
        &mut self,
        op: &mut Counted<'_>,
        seen: &mut Seen,
        rng: &mut ChaCha8Rng,
    ) -> Result<bool, Stop> {
        let Some((q, coupling)) = self.next.take() else {
            return Ok(true);
        };
        let n = q.len();
        let mut w = vec![0.0; n];
        if let Err(halt) = op.apply(&q, &mut w) {
            self.next = Some((q, coupling));
            return Err(halt.into());
        }
        seen.norm = seen.norm.max(norm(&w));
        self.basis.push(q);
        orthogonalise(&mut w, self.deflated);
        let (row, apart) = recurrence_row(&mut w, &self.basis, &coupling);
        // The basis pass may have let a part of the deflated space back in, by rounding.
        orthogonalise(&mut w, self.deflated);
        if seen.norm > 0.0 {
            seen.defect = seen.defect.max(apart / seen.norm);
        }
        let last = row.len() - 1;
        self.projected.push(row.clone());
        self.last_row = row;
        self.beta = norm(&w);
        // Noisy products leave a residual where no direction is left for one.
        let full = self.basis.len() + self.deflated.len() >= n;
        let closed = full || self.beta <= self.settings.rounding * seen.norm;
        if seen.defect > self.settings.asymmetry {
            return Err(Stop::Asymmetric);
        }
        let size = self.basis.len();
        if closed {
            // The space is invariant, to rounding: all it has is known, and the rest is uncoupled.
            self.beta = 0.0;
            self.next = unit_in_complement(n, &[self.deflated, &self.basis], rng)
                .map(|v| (v, vec![0.0; size]));
        } else {
            scale(&mut w, 1.0 / self.beta);
            let mut coupling = vec![0.0; size];
            coupling[last] = self.beta;
            self.next = Some((w, coupling));
        }
        Ok(closed)
    }

    /// Replaces a full basis by the Ritz vectors most like the wanted.
    fn restart_if_full(
        &mut self,
        ritz: &Ritz,
        wanted: Wanted,
        converged: usize,
        seen: &mut Seen,
        exclusions: &mut [Exclusion],
    ) {
        let size = self.basis.len();
        if size < self.capacity || self.exhausted() {
            return;
        }
        let count = wanted.count().min(size - 1);
        // Half of the room beyond the wanted, and one place more for each pair that has converged
        // and no longer gains from new directions.
        let keep = (count + (size - count) / 2 + converged / 2)
            .min(size - 2)
            .max(1);
        let mut kept = select::wanted(&ritz.values, select::more(wanted, keep));
        kept.sort_unstable();
        let columns: Vec<Vec<f64>> = kept.iter().map(|&i| ritz.vectors[i].clone()).collect();
        let values: Vec<f64> = kept.iter().map(|&i| ritz.values[i]).collect();
        let coupling: Vec<f64> = columns.iter().map(|y| self.beta * y[size - 1]).collect();
        self.basis = combinations(&self.basis, &columns);
        self.projected = Projected::diagonal(&values);
        for exclusion in exclusions {
            exclusion.restart(&values, &coupling);
        }
        if let Some((_, of_next)) = &mut self.next {
            *of_next = coupling;
        }
        seen.restarts += 1;
    }

    /// Residual norms of the Ritz pairs, by the recurrence.
    fn estimates(&self, ritz: &Ritz) -> Vec<f64> {
        let last = self.basis.len().wrapping_sub(1);
        ritz.vectors
            .iter()
            .map(|y| self.beta * y[last].abs())
            .collect()
    }

    fn limit(&self, value: f64, seen: &Seen) -> f64 {
        limit(self.settings, value, seen.norm)
    }

    /// Grows until the wanted pairs have true residuals below the tolerance. The second value says
    /// whether they have: it is false when the products' rounding keeps them above it.
    pub(super) fn converge(
        &mut self,
        op: &mut Counted<'_>,
        wanted: Wanted,
        seen: &mut Seen,
        rng: &mut ChaCha8Rng,
    ) -> Result<(Vec<Found>, bool), Stop> {
        let mut strictness = 1.0;
        // Set once the products' rounding, not the size of the space, is what limits the residuals.
        let mut deadline = usize::MAX;
        loop {
            self.grow(op, seen, rng)?;
            let size = self.basis.len();
            if size < wanted.count() && !self.exhausted() {
                continue;
            }
            let ritz = self.projected.eigen()?;
            let estimates = self.estimates(&ritz);
            let chosen = select::wanted(&ritz.values, wanted);
            let below = |floor: f64| {
                let good = |i: &&usize| {
                    let limit = strictness * self.limit(ritz.values[**i], seen);
                    estimates[**i] <= limit.max(floor)
                };
                chosen.iter().filter(good).count()
            };
            let converged = below(0.0);
            let late = op.products() >= deadline;
            if converged == chosen.len() || self.exhausted() || late {
                let found = self.verify(op, &ritz, &chosen, seen)?;
                let all = found.iter().all(|f| f.converged);
                if all || self.exhausted() || late {
                    return Ok((found, all));
                }
                // The recurrence and the products disagree; a little further they may not.
                strictness *= 0.1;
                deadline = deadline.min(op.products() + 2 * self.capacity);
            } else if below(NOISE * seen.defect * seen.norm) == chosen.len() {
                // Mirrored coefficients differ as much as residuals are long: both are rounding.
                deadline = deadline.min(op.products() + self.capacity);
            }
            self.restart_if_full(&ritz, wanted, converged, seen, &mut []);
        }
    }

    /// Grows until another eigenvalue beyond the limits `(low, high)` is found, or its odds are at
    /// most `allowed`.
    pub(super) fn search(
        &mut self,
        op: &mut Counted<'_>,
        limits: (f64, f64),
        allowed: f64,
        wanted: Wanted,
        seen: &mut Seen,
        rng: &mut ChaCha8Rng,
    ) -> Result<Searched, Stop> {
        let (low, high) = limits;
        let n = op.dim();
        let dimension = n - self.deflated.len().min(n);
        let mut exclusions: Vec<Exclusion> = [low, high]
            .into_iter()
            .filter(|l| l.is_finite())
            .map(Exclusion::new)
            .collect();
        if self.exhausted() {
            return Ok(Searched::Exhausted);
        }
        loop {
            let closed = self.grow(op, seen, rng)?;
            for exclusion in &mut exclusions {
                exclusion.grow(&self.last_row, self.beta);
            }
            let ritz = self.projected.eigen()?;
            let hit = |index: usize, side| {
                let mut v = combinations(&self.basis, &ritz.vectors[index..=index]);
                Searched::Hit(v.remove(0), side)
            };
            let last = ritz.values.len() - 1;
            if ritz.values[last] > high {
                return Ok(hit(last, Wanted::Top(1)));
            }
            if ritz.values[0] < low {
                return Ok(hit(0, Wanted::Bottom(1)));
            }
            if closed || self.exhausted() {
                return Ok(Searched::Exhausted);
            }
            // Each side gets its share of the odds beforehand: see `exclusion`.
            let share = allowed / exclusions.len() as f64;
            if exclusions.iter().all(|e| e.odds(dimension) <= share) {
                return Ok(Searched::Excluded);
            }
            self.restart_if_full(&ritz, wanted, 0, seen, &mut exclusions);
        }
    }

    /// The best pairs so far, with residuals from products as far as there are any.
    pub(super) fn salvage(
        &self,
        op: &mut Counted<'_>,
        wanted: Wanted,
        verify: bool,
        seen: &mut Seen,
    ) -> Result<Vec<Found>, Error> {
        // The last attempt may have left a basis vector without its product.
        if self.basis.len() != self.projected.size() || self.basis.is_empty() {
            return Ok(Vec::new());
        }
        let ritz = self.projected.eigen()?;
        let chosen = select::wanted(&ritz.values, wanted);
        if verify {
            match self.verify(op, &ritz, &chosen, seen) {
                Ok(found) => return Ok(found),
                Err(Stop::Halt(Halt::Error(error))) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(self
            .ritz_vectors(&ritz, &chosen)
            .into_iter()
            .zip(&chosen)
            .map(|(vector, &i)| Found {
                value: ritz.values[i],
                residual: f64::NAN,
                converged: false,
                vector,
                product: Vec::new(),
            })
            .collect())
    }

    /// Ritz pairs beyond those wanted that the basis still has, the best first.
    pub(super) fn guards(&self, wanted: Wanted, at_most: usize) -> Result<Vec<Guard>, Error> {
        let ritz = self.projected.eigen()?;
        let estimates = self.estimates(&ritz);
        let count = wanted.count();
        let ordered = select::wanted(&ritz.values, select::more(wanted, count + at_most));
        let used = select::wanted(&ritz.values, wanted);
        let rest: Vec<usize> = ordered.into_iter().filter(|i| !used.contains(i)).collect();
        let vectors = self.ritz_vectors(&ritz, &rest);
        Ok(rest
            .iter()
            .zip(vectors)
            .map(|(&i, vector)| Guard {
                value: ritz.values[i],
                residual: estimates[i],
                vector,
            })
            .collect())
    }

    fn ritz_vectors(&self, ritz: &Ritz, chosen: &[usize]) -> Vec<Vec<f64>> {
        let columns: Vec<Vec<f64>> = chosen.iter().map(|&i| ritz.vectors[i].clone()).collect();
        combinations(&self.basis, &columns)
    }

    /// A product for each chosen pair: its Rayleigh quotient and true residual. Whether it has
    /// converged is judged in the complement of what is deflated: the rest of the residual is due to
    /// the deflated vectors' own, and a rotation among all that was found removes it.
    fn verify(
        &self,
        op: &mut Counted<'_>,
        ritz: &Ritz,
        chosen: &[usize],
        seen: &mut Seen,
    ) -> Result<Vec<Found>, Stop> {
        let mut out = Vec::with_capacity(chosen.len());
        for mut vector in self.ritz_vectors(ritz, chosen) {
            let length = norm(&vector);
            scale(&mut vector, 1.0 / length);
            let mut product = vec![0.0; vector.len()];
            op.residual_product(&vector, &mut product)?;
            seen.verification_products += 1;
            let value = dot(&vector, &product);
            let mut rest = difference(&vector, &product, value);
            let residual = norm(&rest);
            orthogonalise(&mut rest, self.deflated);
            out.push(Found {
                value,
                residual,
                converged: norm(&rest) <= self.limit(value, seen),
                vector,
                product,
            });
        }
        Ok(out)
    }
}

/// The residual that counts as converged.
pub(crate) fn limit(settings: &Settings, value: f64, norm: f64) -> f64 {
    (settings.tolerance * value.abs()).max(settings.rounding * norm)
}

/// `‖Hv − λv‖`.
pub(crate) fn residual(vector: &[f64], product: &[f64], value: f64) -> f64 {
    norm(&difference(vector, product, value))
}

fn difference(vector: &[f64], product: &[f64], value: f64) -> Vec<f64> {
    product
        .iter()
        .zip(vector)
        .map(|(p, v)| p - value * v)
        .collect()
}
