//! From a derivative by all rows and their Jacobian to variables and auxiliaries.
//!
//! With ρ' and ρ'' of each term, g = Σ ρ'Jᵀr and M = Σ ρ'JᵀJ, every mode needs the gradient of
//! ψ = zᵀg + Σ_i aᵢᵀ M bᵢ by x and θ, for constant z, a and b. By the product rule a term has
//!
//! ```text
//! dψ = ρ' [rᵀ dJ z + (Jz)ᵀ dr + Σ (Jbᵢ)ᵀ dJ aᵢ + (Jaᵢ)ᵀ dJ bᵢ] + 2ρ'' κ rᵀdr
//! κ  = (Jz)ᵀr + Σ (Jaᵢ)ᵀ(Jbᵢ)
//! ```
//!
//! since d(ρ') = 2ρ'' rᵀdr. The rows of a linearisation are scaled by √ρ', and so is all that comes in
//! here.

use super::hessian::Curvature;
use crate::objective::Objective;
use crate::term::{self, Linearisation, Sample, TermProbe};
use crate::weight::Source;

/// dψ over all rows: Σ qᵢᵀ (dJ) dᵢ + tᵀ dr of the scaled ones, and κ of the scaled ones. Its memory is kept from
/// one to the next.
#[derive(Debug, Default)]
pub(super) struct Cotangent {
    /// q over the rows and d over the steps, and what is left of earlier ones.
    pairs: Vec<(Vec<f64>, Vec<f64>)>,
    /// How many of them there are.
    count: usize,
    /// Over the rows.
    pub(super) t: Vec<f64>,
    /// One for each term.
    pub(super) kappa: Vec<f64>,
}

impl Cotangent {
    /// Makes it zero.
    pub(super) fn clear(&mut self, objective: &Objective) {
        self.count = 0;
        self.t.clear();
        self.t.resize(objective.rows, 0.0);
        self.kappa.clear();
        self.kappa.resize(objective.terms.len(), 0.0);
    }

    /// Makes it that of zᵀg.
    pub(super) fn set_gradient(&mut self, objective: &Objective, at: &Linearisation, z: &[f64]) {
        self.clear(objective);
        at.multiply(objective, z, &mut self.t);
        let t = std::mem::take(&mut self.t);
        self.add_kappa(objective, 1.0, &t, &at.rows);
        self.t = t;
        self.add_pair(at.rows.iter().copied(), z);
    }

    /// Adds qᵀ (dJ) d.
    pub(super) fn add_pair(&mut self, q: impl Iterator<Item = f64>, d: &[f64]) {
        if self.count == self.pairs.len() {
            self.pairs.push(Default::default());
        }
        let pair = &mut self.pairs[self.count];
        self.count += 1;
        pair.0.clear();
        pair.0.extend(q);
        pair.1.clear();
        pair.1.extend_from_slice(d);
    }

    /// Adds `factor` times the inner product of two vectors over the rows, term by term, to κ.
    pub(super) fn add_kappa(&mut self, objective: &Objective, factor: f64, a: &[f64], b: &[f64]) {
        for (kappa, term) in self.kappa.iter_mut().zip(&objective.terms) {
            let rows = term.row..term.row + term.rows;
            *kappa += factor * crate::dense::dot(&a[rows.clone()], &b[rows]);
        }
    }

    fn pairs(&self) -> &[(Vec<f64>, Vec<f64>)] {
        &self.pairs[..self.count]
    }
}

/// Where ψ is differentiated.
pub(super) struct Place<'p> {
    pub(super) objective: &'p Objective,
    pub(super) sample: &'p Sample<'p>,
    pub(super) at: &'p Linearisation,
}

/// What [`propagate`] works with, kept from call to call.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    term: term::ProbeScratch,
    /// The parts of one term of each pair's d and q, and of t.
    locals: Vec<Vec<f64>>,
    q: Vec<Vec<f64>>,
    t: Vec<f64>,
}

/// Adds dψ/dx by steps, `[n]`, where wanted, and dψ/dθ. `curvature` is that at the same point, where it has
/// been computed for all terms, ψ is of a gradient, and dψ/dx is not wanted.
pub(super) fn propagate(
    &Place {
        objective,
        sample,
        at,
    }: &Place<'_>,
    cotangent: &Cotangent,
    curvature: Option<&Curvature>,
    mut by_step: Option<&mut [f64]>,
    by_auxiliary: &mut [f64],
    scratch: &mut Scratch,
) {
    let constant = |term: &term::Term| {
        term.auxiliaries.is_empty() && !matches!(term.weight.source(), Some(Source::Auxiliary(_)))
    };
    let Scratch {
        term: scratch,
        locals,
        q,
        t,
    } = scratch;
    let pairs = cotangent.pairs().len();
    locals.resize(pairs.max(locals.len()), Vec::new());
    q.resize(pairs.max(q.len()), Vec::new());
    for (index, term) in objective.terms.iter().enumerate() {
        let scale = at.scales[index];
        if by_step.is_none() && constant(term) {
            continue;
        }
        if scale == 0.0 {
            // The loss is flat there: ρ' = ρ'' = 0.
            continue;
        }
        let rows = term.row..term.row + term.rows;
        t.clear();
        t.extend(cotangent.t[rows.clone()].iter().map(|t| scale * t));
        let scaled = &at.rows[rows.clone()];
        let square = crate::dense::dot(scaled, scaled) / (scale * scale);
        let second = term.robust.loss(square).second;
        if second != 0.0 {
            let factor = 2.0 * second * cotangent.kappa[index] / (scale * scale * scale);
            crate::dense::axpy(factor, scaled, t);
        }
        for (q, (all, _)) in q.iter_mut().zip(cotangent.pairs()) {
            q.clear();
            q.extend(all[rows.clone()].iter().map(|q| scale * q));
        }
        let by_step = by_step.as_deref_mut();
        let bilinear = q
            .iter()
            .zip(cotangent.pairs())
            .zip(&mut *locals)
            .map(|((q, (_, d)), local)| (q.as_slice(), term.gather(d, local)));
        gathered_pairs(bilinear, |bilinear| {
            let probe = TermProbe {
                bilinear,
                t,
                kept: curvature.map_or(&[], |curvature| curvature.kept(index)),
            };
            term::probe(
                objective,
                term,
                sample,
                &probe,
                by_step,
                by_auxiliary,
                scratch,
            );
        });
    }
}

type Pair<'a> = (&'a [f64], &'a [f64]);

/// Calls `work` with the pairs as one slice; one or two, the common cases, without memory of their own.
fn gathered_pairs<'a>(
    mut pairs: impl ExactSizeIterator<Item = Pair<'a>>,
    work: impl FnOnce(&[Pair<'a>]),
) {
    let mut few: [Pair<'a>; 2] = Default::default();
    let count = pairs.len();
    if count > few.len() {
        return work(&pairs.collect::<Vec<_>>());
    }
    few.iter_mut()
        .zip(&mut pairs)
        .for_each(|(few, pair)| *few = pair);
    work(&few[..count]);
}
