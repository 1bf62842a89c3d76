//! One weighted, robust cost of an objective: its rows, Jacobian and derivatives.

use std::sync::Arc;

use crate::cost::{Cost, Gradient, Point, Probe, gathered};
use crate::dense::{add_transposed, dot, multiply, vectorised};
use crate::manifold::Manifold;
use crate::objective::Objective;
use crate::robust::Robust;
use crate::weight::{Source, Weight};

#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) cost: Arc<dyn Cost>,
    pub(crate) variables: Vec<usize>,
    /// Where its variables' stored numbers begin.
    pub(crate) places: Vec<usize>,
    pub(crate) auxiliaries: Vec<usize>,
    pub(crate) auxiliary_len: usize,
    pub(crate) manifolds: Vec<Manifold>,
    pub(crate) weight: Weight,
    pub(crate) robust: Robust,
    pub(crate) rows: usize,
    /// Columns of its Jacobian.
    pub(crate) width: usize,
    /// Where its rows begin among all.
    pub(crate) row: usize,
    /// Where its Jacobian begins among all.
    pub(crate) entry: usize,
    /// The columns of its Jacobian among all.
    pub(crate) columns: Vec<usize>,
    /// The first of them, where they follow one another.
    pub(crate) first: Option<usize>,
}

/// The numbers of one sample.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    /// Stored numbers of all variables.
    pub(crate) x: &'a [f64],
    /// Numbers of every auxiliary.
    pub(crate) auxiliaries: &'a [&'a [f64]],
}

/// Rows, Jacobian and gradient at one point.
#[derive(Debug, Default)]
pub(crate) struct Linearisation {
    /// √ρ' W c, all terms, `[m]`.
    pub(crate) rows: Vec<f64>,
    /// √ρ' W J, term after term.
    pub(crate) jacobian: Vec<f64>,
    /// √ρ' of every term.
    pub(crate) scales: Vec<f64>,
    /// Σ ρ' Jᵀ Wᵀ W c, `[n]`.
    pub(crate) gradient: Vec<f64>,
    /// ½ Σ ρ.
    pub(crate) cost: f64,
    /// What anyone may overwrite.
    pub(crate) scratch: Vec<f64>,
}

impl Linearisation {
    pub(crate) fn new(objective: &Objective) -> Self {
        let widest = objective
            .terms
            .iter()
            .map(|t| t.rows * t.width.max(1))
            .max();
        Self {
            rows: vec![0.0; objective.rows],
            jacobian: vec![0.0; objective.entries],
            scales: vec![1.0; objective.terms.len()],
            gradient: vec![0.0; objective.tangent],
            cost: 0.0,
            scratch: vec![0.0; widest.unwrap_or(0)],
        }
    }

    /// Evaluates everything at `sample`.
    pub(crate) fn update(&mut self, objective: &Objective, sample: &Sample<'_>) {
        if self.gradient.is_empty() {
            // The default, or what is left where one was taken.
            *self = Self::new(objective);
        }
        self.cost = 0.0;
        self.gradient.fill(0.0);
        for (term, scale) in objective.terms.iter().zip(&mut self.scales) {
            let rows = &mut self.rows[term.row..term.row + term.rows];
            let jacobian = &mut self.jacobian[term.entry..term.entry + term.rows * term.width];
            term.with_point(sample, |point| term.cost.linearise(point, rows, jacobian));
            let w = term.weights(sample);
            term.weight.apply(w, rows, 1, &mut self.scratch);
            term.weight
                .apply(w, jacobian, term.width, &mut self.scratch);
            let loss = term.robust.loss(dot(rows, rows));
            self.cost += 0.5 * loss.value;
            *scale = loss.first.sqrt();
            if *scale != 1.0 {
                rows.iter_mut().for_each(|v| *v *= *scale);
                jacobian.iter_mut().for_each(|v| *v *= *scale);
            }
            let (gradient, scratch) = (&mut self.gradient, &mut self.scratch);
            vectorised(
                #[inline(always)]
                || term.add_transposed(jacobian, rows, gradient, scratch),
            );
        }
    }

    /// `out` = J p over all rows.
    pub(crate) fn multiply(&self, objective: &Objective, p: &[f64], out: &mut [f64]) {
        let mut local = Vec::new();
        vectorised(
            #[inline(always)]
            || {
                for term in &objective.terms {
                    let out = &mut out[term.row..term.row + term.rows];
                    multiply(self.block(term), term.gather(p, &mut local), out);
                }
            },
        );
    }

    /// `out` += Jᵀ q.
    pub(crate) fn add_transposed(
        &self,
        objective: &Objective,
        q: &[f64],
        out: &mut [f64],
        scratch: &mut Vec<f64>,
    ) {
        for term in &objective.terms {
            scratch.resize(scratch.len().max(term.width), 0.0);
            let q = &q[term.row..term.row + term.rows];
            term.add_transposed(self.block(term), q, out, scratch);
        }
    }

    pub(crate) fn block(&self, term: &Term) -> &[f64] {
        &self.jacobian[term.entry..term.entry + term.rows * term.width]
    }

    /// Zeroes the columns of coordinates that do not move.
    pub(crate) fn hold(&mut self, objective: &Objective, held: &[bool]) {
        for term in &objective.terms {
            let block = &mut self.jacobian[term.entry..term.entry + term.rows * term.width];
            for (local, column) in term.columns.iter().enumerate() {
                if held[*column] {
                    block
                        .iter_mut()
                        .skip(local)
                        .step_by(term.width)
                        .for_each(|v| *v = 0.0);
                }
            }
        }
    }
}

/// ½ Σ ρ at `sample`. `rows`, `[m]`, and `scratch`, of any length, are overwritten.
pub(crate) fn cost(
    objective: &Objective,
    sample: &Sample<'_>,
    rows: &mut [f64],
    scratch: &mut Vec<f64>,
) -> f64 {
    let mut cost = 0.0;
    for term in &objective.terms {
        let rows = &mut rows[term.row..term.row + term.rows];
        term.with_point(sample, |point| term.cost.residual(point, rows));
        scratch.resize(scratch.len().max(term.rows), 0.0);
        term.weight.apply(term.weights(sample), rows, 1, scratch);
        cost += 0.5 * term.robust.loss(dot(rows, rows)).value;
    }
    cost
}

impl Term {
    #[inline(always)]
    pub(crate) fn with_point<R>(
        &self,
        sample: &Sample<'_>,
        work: impl FnOnce(&Point<'_>) -> R,
    ) -> R {
        let variables = self
            .manifolds
            .iter()
            .zip(&self.places)
            .map(|(manifold, place)| &sample.x[*place..place + manifold.storage()]);
        let auxiliaries = self.auxiliaries.iter().map(|a| sample.auxiliaries[*a]);
        gathered(variables, self.variables.len(), |variables| {
            gathered(auxiliaries, self.auxiliaries.len(), |auxiliaries| {
                work(&Point {
                    manifolds: &self.manifolds,
                    variables,
                    auxiliaries,
                })
            })
        })
    }

    pub(crate) fn weights<'a>(&'a self, sample: &Sample<'a>) -> &'a [f64] {
        match self.weight.source() {
            None => &[],
            Some(Source::Constant(values)) => values,
            Some(Source::Auxiliary(id)) => sample.auxiliaries[id.index],
        }
    }

    /// The numbers of `p`, `[n]`, that belong to its columns.
    #[inline(always)]
    pub(crate) fn gather<'a>(&self, p: &'a [f64], local: &'a mut Vec<f64>) -> &'a [f64] {
        match self.first {
            Some(first) => &p[first..first + self.width],
            None => {
                local.clear();
                local.extend(self.columns.iter().map(|c| p[*c]));
                local
            }
        }
    }

    /// `out`, `[n]`, += (its Jacobian)ᵀ q.
    #[inline(always)]
    fn add_transposed(&self, jacobian: &[f64], q: &[f64], out: &mut [f64], scratch: &mut [f64]) {
        match self.first {
            Some(first) => add_transposed(jacobian, q, &mut out[first..first + self.width]),
            None => {
                let local = &mut scratch[..self.width];
                local.fill(0.0);
                add_transposed(jacobian, q, local);
                for (value, column) in local.iter().zip(&self.columns) {
                    out[*column] += value;
                }
            }
        }
    }
}

/// What reverse differentiation is after: the gradient of
/// Σ_i aᵢᵀ (dJ) dᵢ + tᵀ dr over one term's weighted rows r = W c and their Jacobian J.
pub(crate) struct TermProbe<'a> {
    /// Pairs of a over the rows and d over the term's columns.
    pub(crate) bilinear: &'a [(&'a [f64], &'a [f64])],
    /// Over the rows.
    pub(crate) t: &'a [f64],
    /// What the cost kept of its curvature for the one pair's a, where derivatives by steps are not wanted;
    /// else empty.
    pub(crate) kept: &'a [f64],
}

/// What [`probe`] works with, kept from term to term.
#[derive(Debug, Default)]
pub(crate) struct ProbeScratch {
    zero: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    t: Vec<f64>,
    by_step: Vec<f64>,
    by_auxiliary: Vec<f64>,
}

/// Adds the derivatives that `probe` asks for to the step coordinates of all variables, `[n]`, where
/// wanted, and the numbers of all auxiliaries.
pub(crate) fn probe(
    objective: &Objective,
    term: &Term,
    sample: &Sample<'_>,
    probe: &TermProbe<'_>,
    by_step: Option<&mut [f64]>,
    by_auxiliary: &mut [f64],
    scratch: &mut ProbeScratch,
) {
    let w = term.weights(sample);
    let (rows, width) = (term.rows, term.width);
    let ProbeScratch {
        zero,
        first: s,
        second,
        t,
        by_step: local,
        by_auxiliary: locals,
    } = scratch;
    zero.resize(zero.len().max(rows).max(width), 0.0);
    s.resize(rows, 0.0);
    second.resize(rows, 0.0);
    t.resize(rows, 0.0);
    local.clear();
    local.resize(width, 0.0);
    locals.clear();
    locals.resize(term.auxiliary_len, 0.0);
    term.with_point(sample, |point| {
        term.weight.transposed(w, probe.t, t);
        let mut gradient = Gradient {
            variables: local,
            auxiliaries: locals,
        };
        if probe.bilinear.is_empty() {
            let call = Probe {
                s: &zero[..rows],
                d: &zero[..width],
                t,
            };
            term.cost.probe(point, &call, &mut gradient);
        }
        for (index, pair) in probe.bilinear.chunks(2).enumerate() {
            let (a, d) = pair[0];
            term.weight.transposed(w, a, s);
            let first = Probe {
                s,
                d,
                t: if index == 0 { t } else { &zero[..rows] },
            };
            let Some((a, d)) = pair.get(1) else {
                if probe.kept.is_empty() {
                    term.cost.probe(point, &first, &mut gradient);
                } else {
                    let out = &mut *gradient.auxiliaries;
                    term.cost.probe_kept(point, &first, probe.kept, out);
                }
                continue;
            };
            term.weight.transposed(w, a, second);
            let other = Probe {
                s: second,
                d,
                t: &zero[..rows],
            };
            term.cost.probe_pair(point, [&first, &other], &mut gradient);
        }
        // The weight's own numbers, and on curved spaces what the symmetric second derivative lacks.
        let weight = match term.weight.source() {
            Some(Source::Auxiliary(id)) => Some(id.index),
            _ => None,
        };
        let curved = by_step.is_some() && !term.manifolds.iter().all(Manifold::is_flat);
        if weight.is_none() && !curved {
            return;
        }
        let mut c = vec![0.0; rows];
        let mut j = vec![0.0; rows * width];
        term.cost.linearise(point, &mut c, &mut j);
        if let Some(index) = weight {
            let auxiliary = &objective.auxiliaries[index];
            let out = &mut by_auxiliary[auxiliary.place..auxiliary.place + auxiliary.len];
            term.weight.add_gradient(probe.t, &c, out);
            let mut jd = vec![0.0; rows];
            for (a, d) in probe.bilinear {
                multiply(&j, d, &mut jd);
                term.weight.add_gradient(a, &jd, out);
            }
        }
        if curved {
            let mut pulled = vec![0.0; width];
            for (a, d) in probe.bilinear {
                term.weight.transposed(w, a, s);
                pulled.fill(0.0);
                add_transposed(&j, s, &mut pulled);
                let mut first = 0;
                for manifold in &term.manifolds {
                    let range = first..first + manifold.tangent();
                    first = range.end;
                    let (pulled, d) = (&pulled[range.clone()], &d[range.clone()]);
                    manifold.add_bracket(pulled, d, &mut gradient.variables[range]);
                }
            }
        }
    });
    if let Some(by_step) = by_step {
        for (value, column) in local.iter().zip(&term.columns) {
            by_step[*column] += value;
        }
    }
    let mut place = 0;
    for index in &term.auxiliaries {
        let auxiliary = &objective.auxiliaries[*index];
        let out = &mut by_auxiliary[auxiliary.place..auxiliary.place + auxiliary.len];
        for (out, value) in out.iter_mut().zip(&locals[place..]) {
            *out += value;
        }
        place += auxiliary.len;
    }
}
