//! The elastic problem of an infeasible sample: rows may give way at a quadratic price.
//!
//! `min ½xᵀPx + qᵀx + ½ρ‖σ‖²  s.t.  Ax = b + σ_e,  l + σ⁻ ≤ Gx ≤ u + σ⁺,  xᵀHx + gᵀx ≤ c + σ_q`.
//! With `σ = √κ·τ`, `κ = 1/ρ`, it is an ordinary problem in `(x, τ)` whose multipliers are those of
//! the sample's rows and whose shifts are `κ` times them.

use crate::crossed::Split;
use crate::dense::vectorised;
use crate::interior_point::{Answer, Owned, Prepared, confirm, solve_sample};
use crate::polish::Guess;
use crate::problem::{Matrix, Sample};
use crate::residual::{Terms, measure};
use crate::settings::Settings;
use crate::size::most;
use crate::status::{Residuals, Status};

/// Solves the elastic problem with price `weight`; `None` when that fails, or its matrices are out of proportion
/// to the sample's. Of bounds that cross each has a shift of its own.
pub(crate) fn relax(sample: &Sample<'_>, weight: f64, settings: &Settings) -> Option<Answer> {
    let split = Split::of(sample);
    if !fits(split.as_ref().map_or(*sample, |split| split.sample())) {
        return None;
    }
    let mut answer = match &split {
        None => solved(sample, weight, settings)?,
        Some(split) => solved(&split.sample(), weight, settings)?,
    };
    if let Some(split) = &split {
        split.fold(&mut answer.lambda);
        let active = &mut answer.active;
        active.linear = split.own(&active.linear).into();
        active.dependent = split.own(&active.dependent);
    }
    answer.x.truncate(sample.n);
    answer.status = Status::Relaxed;
    let mut terms = Terms::default();
    let at = answer.point();
    vectorised(
        #[inline(always)]
        || terms.evaluate(sample, at),
    );
    let measured = measure(sample, terms.evaluated(), at);
    // What the rows miss is how far they gave way; the gap is to where they then are.
    answer.residuals = Residuals {
        gap: answer.residuals.gap,
        ..measured.absolute
    };
    answer.objective = measured.objective;
    Some(answer)
}

/// Whether the elastic problem, one more variable a row, is of a size to be solved.
fn fits(sample: Sample<'_>) -> bool {
    let size = sample.n + sample.b.len() + sample.l.len() + sample.c.len();
    let matrices = match sample.h {
        Matrix::Dense(_) => sample.c.len().max(1),
        Matrix::Diagonal(_) => 1,
    };
    let of_rows = sample.a.len() + sample.g.len() + sample.hg.len();
    let given = sample.p.len() + of_rows + sample.h.len();
    size.saturating_mul(size).saturating_mul(matrices) <= most(given)
}

/// The answer to the elastic problem of a sample whose bounds do not cross, its shifts behind `x`.
fn solved(sample: &Sample<'_>, weight: f64, settings: &Settings) -> Option<Answer> {
    let elastic = widened(sample, 1.0, 1.0 / weight.sqrt());
    let inner = elastic.sample();
    let mut answer = solve_sample(&inner, &Prepared::new(&inner), settings);
    if !answer.status.is_solved() {
        let found = from_shifts(sample, &inner, weight, settings)?;
        answer = Answer {
            iterations: answer.iterations + found.iterations,
            ..found
        };
    }
    Some(answer)
}

/// Solves for the shifts first: with the whole objective divided by the price the multipliers are
/// the shifts themselves, whose size the iterations cope with however high the price. What the
/// scaling costs in digits the polish of the problem proper restores.
fn from_shifts(
    sample: &Sample<'_>,
    elastic: &Sample<'_>,
    weight: f64,
    settings: &Settings,
) -> Option<Answer> {
    let scaled = widened(sample, 1.0 / weight, 1.0);
    let inner = scaled.sample();
    let found = solve_sample(&inner, &Prepared::new(&inner), settings);
    if !found.status.is_solved() {
        return None;
    }
    let mut guess = Guess::of(elastic, found.point(), &found.active);
    for multipliers in [&mut guess.nu, &mut guess.lambda, &mut guess.mu] {
        multipliers.iter_mut().for_each(|v| *v *= weight);
    }
    guess.x[sample.n..]
        .iter_mut()
        .for_each(|v| *v *= weight.sqrt());
    let mut answer = confirm(elastic, &guess, settings).0?;
    answer.iterations += found.iterations;
    Some(answer)
}

/// `min factor·f(x) + ½‖τ‖²` with rows shifted by `give·τ`: one `τ` for every row, equalities first,
/// quadratic rows last.
fn widened(sample: &Sample<'_>, factor: f64, give: f64) -> Owned {
    let n = sample.n;
    let (p, m, k) = (sample.b.len(), sample.l.len(), sample.c.len());
    let size = n + p + m + k;
    let widen = |data: &[f64], first: usize, give: f64| {
        let mut out = vec![0.0; data.len() / n * size];
        for (i, (wide, row)) in out
            .chunks_exact_mut(size)
            .zip(data.chunks_exact(n))
            .enumerate()
        {
            wide[..n].copy_from_slice(row);
            wide[first + i] = give;
        }
        out
    };
    let square = |matrix: Matrix<'_>, factor: f64, rest: f64| match matrix {
        Matrix::Diagonal(data) => {
            let mut out: Vec<f64> = data.iter().map(|v| factor * v).collect();
            out.resize(size, rest);
            out
        }
        Matrix::Dense(data) => {
            let mut out = vec![0.0; size * size];
            for (wide, row) in out.chunks_exact_mut(size).zip(data.chunks_exact(n)) {
                for (wide, v) in wide.iter_mut().zip(row) {
                    *wide = factor * v;
                }
            }
            for i in n..size {
                out[i * size + i] = rest;
            }
            out
        }
    };
    let mut q = sample.q.to_vec();
    q.resize(size, 0.0);
    q.iter_mut().for_each(|v| *v *= factor);
    Owned {
        n: size,
        p: square(sample.p, factor, 1.0),
        p_dense: matches!(sample.p, Matrix::Dense(_)),
        q,
        a: widen(sample.a, n, -give),
        b: sample.b.to_vec(),
        g: widen(sample.g, n + p, -give),
        l: sample.l.to_vec(),
        u: sample.u.to_vec(),
        h: (0..k)
            .flat_map(|i| square(sample.h.row(i, n), 1.0, 0.0))
            .collect(),
        h_dense: matches!(sample.h, Matrix::Dense(_)),
        hg: widen(sample.hg, n + p + m, -give),
        c: sample.c.to_vec(),
    }
}
