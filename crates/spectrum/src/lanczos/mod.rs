//! Eigenpairs by thick-restart Lanczos with deflation.
//!
//! A single Krylov space has one vector of each eigenspace, so repeated eigenvalues need more than
//! one. Pairs that have converged are deflated, and a random direction of their complement starts
//! another space. That one is short: it ends when an eigenvalue beyond those found has shown itself,
//! or when its absence is certain up to [`Settings::missed`] ([`exclusion`]). While it searches, the
//! nearly finished Ritz vectors of the first space are deflated as well; a copy of an eigenvalue is
//! orthogonal to the whole first space, so this hides none and shortens the search.

mod cycle;
mod exclusion;
mod select;

use crate::eigenpairs::{Eigenpairs, Pair, PairStatus, Status};
use crate::error::Error;
use crate::operator::{Counted, Halt, Operator};
use crate::projected::eigen_of;
use crate::random::generator;
use crate::settings::{Copies, Settings, Wanted};
use crate::vectors::{axpy, combinations, dot, norm};

use cycle::{Cycle, Found, Guard, Searched, Seen, Stop};
pub(crate) use cycle::{limit, residual};

/// Finds eigenpairs of a symmetric operator.
///
/// # Problem
/// `H v = λ v`, `‖v‖ = 1`, for the eigenvalues of [`Wanted`], repeated ones as often as they repeat.
///
/// # Method
/// Lanczos with full reorthogonalisation after the recurrence's own, again where that takes much, and
/// thick restarts (Wu & Simon, SIAM J. Matrix Anal. Appl. 22, 2000). A closed Krylov space is continued
/// from a random direction. Every pair is accepted by its true residual, from a product of its own
/// ([`Operator::residual_product`]). Then the complement is searched for
/// eigenvalues that the Krylov space could not show ([`Copies`]).
///
/// # Cost
/// One product a step, `4 n b` multiplications a step for a basis of `b` vectors. Memory for `b`
/// vectors of length `n` and `2 count` for the pairs found, while copies are searched for about twice
/// that.
///
/// # Errors
/// [`Error::Count`], [`Error::Setting`], [`Error::NoDimension`], or [`Error::Operator`] with what the
/// operator said. NaN, a spent budget and asymmetry are no errors but a [`Status`].
pub fn eigenpairs(
    operator: &mut dyn Operator,
    wanted: Wanted,
    settings: &Settings,
) -> Result<Eigenpairs, Error> {
    eigenpairs_from(operator, wanted, settings, &[])
}

/// [`eigenpairs`], started from approximate eigenvectors: those of the previous training step, say.
///
/// `start` is `[any, n]`; the first Krylov space starts from the sum of the normalised vectors, in
/// which every wanted direction is strong. Exact eigenvectors are recognised after as many products
/// as there are of them. A poor start costs products but changes no answer.
///
/// # Errors
/// As [`eigenpairs`]; [`Error::Shape`] or [`Error::Entry`] if `start` is not whole vectors of finite
/// numbers.
pub fn eigenpairs_from(
    operator: &mut dyn Operator,
    wanted: Wanted,
    settings: &Settings,
    start: &[f64],
) -> Result<Eigenpairs, Error> {
    settings.validate(wanted.count())?;
    let budget = settings.products;
    let mut op = Counted::new(operator, budget)?;
    let n = op.dim();
    wanted.validate(n)?;
    let start = combined_start(start, n)?;
    // Kept back for the residuals of what there is when the budget is spent.
    op.set_budget(budget - wanted.count());
    let mut seen = Seen::default();
    let mut search = Search {
        n,
        wanted,
        settings,
        found: Vec::new(),
        missed: 1.0,
        search_products: 0,
    };
    let status = match search.run(&mut op, start, &mut seen) {
        Ok(status) => status,
        Err(Stop::Asymmetric) => Status::Asymmetric,
        Err(Stop::Halt(Halt::Budget)) => Status::Budget,
        Err(Stop::Halt(Halt::NotFinite)) => Status::NotFinite,
        Err(Stop::Halt(Halt::Error(error))) => return Err(error),
    };
    Ok(search.report(status, &op, &seen))
}

/// The sum of the normalised vectors; `None` without any.
fn combined_start(start: &[f64], n: usize) -> Result<Option<Vec<f64>>, Error> {
    if let Some(entry) = start.iter().position(|v| !v.is_finite()) {
        return Err(Error::Entry {
            argument: "start",
            entry,
            value: start[entry],
            must: "finite",
        });
    }
    if !start.len().is_multiple_of(n) {
        return Err(Error::Shape {
            argument: "start",
            got: start.len(),
            expected: start.len().div_ceil(n) * n,
            layout: "[any, n]",
        });
    }
    let mut sum = vec![0.0; n];
    for vector in start.chunks_exact(n) {
        let length = norm(vector);
        if length > 0.0 {
            axpy(1.0 / length, vector, &mut sum);
        }
    }
    Ok((norm(&sum) > 0.0).then_some(sum))
}

/// Attempts to bring pairs back under the tolerance.
const MENDINGS: u64 = 3;

struct Search<'a> {
    n: usize,
    wanted: Wanted,
    settings: &'a Settings,
    found: Vec<Found>,
    missed: f64,
    search_products: usize,
}

impl Search<'_> {
    fn run(
        &mut self,
        op: &mut Counted<'_>,
        start: Option<Vec<f64>>,
        seen: &mut Seen,
    ) -> Result<Status, Stop> {
        let mut guards = Vec::new();
        if !self.space(op, self.wanted, start, 0, &mut guards, seen)? {
            return Ok(Status::Stagnated);
        }
        if self.settings.copies == Copies::Trust {
            return Ok(Status::Converged);
        }
        for searches in 0.. {
            let before = op.products();
            let outcome = self.look_beyond(op, &guards, searches, seen);
            self.search_products += op.products() - before;
            let (start, side) = match outcome? {
                Searched::Excluded => {
                    self.missed = self.settings.missed;
                    break;
                }
                Searched::Exhausted => {
                    self.missed = 0.0;
                    break;
                }
                Searched::Hit(vector, side) => (vector, side),
            };
            let stream = 2 * searches as u64 + 3;
            if !self.space(op, side, Some(start), stream, &mut guards, seen)?
                || !self.mend(op, &mut guards, seen)?
            {
                return Ok(Status::Stagnated);
            }
        }
        Ok(Status::Converged)
    }

    /// Takes up again the wanted pairs that mixing with those of a later space has brought back over
    /// the tolerance: copies share their residuals. Says whether none is left.
    fn mend(
        &mut self,
        op: &mut Counted<'_>,
        guards: &mut Vec<Guard>,
        seen: &mut Seen,
    ) -> Result<bool, Stop> {
        // They start from just above the tolerance; once is nearly always enough.
        for attempt in 0..MENDINGS {
            let weak: Vec<usize> = self
                .best()
                .into_iter()
                .filter(|&i| !self.found[i].converged)
                .collect();
            if weak.is_empty() {
                return Ok(true);
            }
            // In the complement of all others they are the outermost.
            let is_top = |value: f64| match self.wanted {
                Wanted::Top(_) => true,
                Wanted::Bottom(_) => false,
                Wanted::Magnitude(_) => value > 0.0,
                Wanted::BothEnds { top, bottom } => {
                    let ends = (self.found.iter()).map(|f| f.value);
                    let above = ends.clone().filter(|v| *v > value).count();
                    let below = ends.filter(|v| *v < value).count();
                    bottom == 0 || (top > 0 && above < below)
                }
            };
            let values: Vec<f64> = weak.iter().map(|&i| self.found[i].value).collect();
            let top = values.iter().filter(|v| is_top(**v)).count();
            let bottom = values.len() - top;
            let mut start = vec![0.0; self.n];
            for &i in &weak {
                axpy(1.0, &self.found[i].vector, &mut start);
            }
            let mut index = 0;
            self.found.retain(|_| {
                index += 1;
                !weak.contains(&(index - 1))
            });
            let stream = u64::MAX - attempt;
            let again = Wanted::BothEnds { top, bottom };
            if !self.space(op, again, Some(start), stream, guards, seen)? {
                return Ok(false);
            }
        }
        Ok(self.best().into_iter().all(|i| self.found[i].converged))
    }

    /// Adds the pairs of one Krylov space in the complement of those found. Says whether they have
    /// converged in it.
    fn space(
        &mut self,
        op: &mut Counted<'_>,
        wanted: Wanted,
        start: Option<Vec<f64>>,
        stream: u64,
        guards: &mut Vec<Guard>,
        seen: &mut Seen,
    ) -> Result<bool, Stop> {
        let mut rng = generator(self.settings.seed, stream);
        let deflated: Vec<Vec<f64>> = self.found.iter().map(|f| f.vector.clone()).collect();
        let capacity = self.settings.basis_size(self.wanted.count());
        let mut cycle = Cycle::new(self.n, self.settings, &deflated, capacity, start, &mut rng);
        match cycle.converge(op, wanted, seen, &mut rng) {
            Ok((found, converged)) => {
                // An earlier space's guards may not be orthogonal to this one's.
                *guards = cycle.guards(wanted, capacity / 2)?;
                self.found.extend(found);
                // A space alone is its own Rayleigh–Ritz.
                if !deflated.is_empty() {
                    self.rotate(seen)?;
                }
                Ok(converged)
            }
            Err(stop) => {
                let budget_spent = matches!(stop, Stop::Halt(Halt::Budget));
                if !matches!(stop, Stop::Halt(Halt::Error(_))) {
                    op.set_budget(self.settings.products);
                    self.found
                        .extend(cycle.salvage(op, wanted, budget_spent, seen)?);
                    self.rotate(seen)?;
                }
                Err(stop)
            }
        }
    }

    /// Rayleigh–Ritz on the span of all that was found. Pairs of later spaces are orthogonal to
    /// earlier ones, which are eigenvectors only to the tolerance: to a small eigenvalue that may be
    /// much, and this removes it. By the products kept, hence without new ones.
    fn rotate(&mut self, seen: &Seen) -> Result<(), Stop> {
        let (measured, rest): (Vec<Found>, Vec<Found>) = std::mem::take(&mut self.found)
            .into_iter()
            .partition(|f| !f.product.is_empty());
        let (vectors, products): (Vec<_>, Vec<_>) =
            measured.into_iter().map(|f| (f.vector, f.product)).unzip();
        let at = |i: usize, j: usize| {
            0.5 * (dot(&vectors[i], &products[j]) + dot(&vectors[j], &products[i]))
        };
        let ritz = eigen_of(vectors.len(), at)?;
        let rotated = combinations(&vectors, &ritz.vectors);
        let images = combinations(&products, &ritz.vectors);
        self.found = rotated
            .into_iter()
            .zip(images)
            .map(|(vector, product)| {
                let value = dot(&vector, &product);
                let residual = residual(&vector, &product, value);
                Found {
                    value,
                    residual,
                    converged: residual <= limit(self.settings, value, seen.norm),
                    vector,
                    product,
                }
            })
            .chain(rest)
            .collect();
        Ok(())
    }

    /// Looks in the complement of what was found for what would change the answer.
    fn look_beyond(
        &self,
        op: &mut Counted<'_>,
        guards: &[Guard],
        searches: i32,
        seen: &mut Seen,
    ) -> Result<Searched, Stop> {
        let best = self.best().into_iter();
        let values: Vec<f64> = best.map(|i| self.found[i].value).collect();
        let norm = seen.norm;
        let limits = select::outside(&values, self.wanted, |v| limit(self.settings, v, norm));
        let (low, high) = limits;
        // A Rayleigh quotient beyond a limit shows a missing eigenvalue without any search.
        if let Some(guard) = guards.iter().find(|g| g.value > high) {
            return Ok(Searched::Hit(guard.vector.clone(), Wanted::Top(1)));
        }
        if let Some(guard) = guards.iter().find(|g| g.value < low) {
            return Ok(Searched::Hit(guard.vector.clone(), Wanted::Bottom(1)));
        }
        let safe = guards.iter().filter(|g| g.is_safe(limits));
        let deflated: Vec<Vec<f64>> = self
            .found
            .iter()
            .map(|f| f.vector.clone())
            .chain(safe.map(|g| g.vector.clone()))
            .collect();
        let mut rng = generator(self.settings.seed, 2 * searches as u64 + 2);
        let capacity = self.settings.basis_size(self.wanted.count());
        let mut cycle = Cycle::new(self.n, self.settings, &deflated, capacity, None, &mut rng);
        // A half, a quarter, an eighth, ...: together no more than allowed, however many searches.
        let allowed = self.settings.missed * 0.5f64.powi(1 + searches);
        cycle.search(op, limits, allowed, self.wanted, seen, &mut rng)
    }

    /// Indices of the wanted ones of all found, in order.
    fn best(&self) -> Vec<usize> {
        let values: Vec<f64> = self.found.iter().map(|f| f.value).collect();
        select::wanted(&values, self.wanted)
    }

    fn report(&self, status: Status, op: &Counted<'_>, seen: &Seen) -> Eigenpairs {
        let best: Vec<&Found> = self.best().into_iter().map(|i| &self.found[i]).collect();
        let pairs = best
            .iter()
            .map(|f| Pair {
                value: f.value,
                residual: f.residual,
                status: if f.converged {
                    PairStatus::Converged
                } else {
                    PairStatus::Unconverged
                },
            })
            .collect();
        let vectors = best.iter().flat_map(|f| f.vector.iter().copied()).collect();
        Eigenpairs {
            pairs,
            vectors,
            status,
            products: op.products(),
            verification_products: seen.verification_products,
            search_products: self.search_products,
            restarts: seen.restarts,
            missed: self.missed,
            symmetry_defect: seen.defect,
            norm: seen.norm,
        }
    }
}
