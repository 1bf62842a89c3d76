//! A point deep inside convex rows.

use std::sync::Arc;

use feasible_core::{HostBlock, HostCurvature};
use feasible_solver::{
    Equalities, Inequalities, Problem, Quadratics, Settings, Symmetric, Values, solve,
};

use crate::Error;

/// A margin beyond this gains nothing.
const MOST_MARGIN: f64 = 1.0;
/// Pull towards the origin that makes the point unique, small against the margin's weight of 1.
const PULL: f64 = 1e-3;

/// Points with their margins, one for the batch or one a sample.
#[derive(Debug)]
pub(super) struct Interior {
    /// `[copies, n]`.
    pub(super) points: Vec<f64>,
    /// `[copies]`; not positive where the rows leave no interior.
    pub(super) margins: Vec<f64>,
}

/// The box as numbers, `[copies, m]` each.
pub(super) struct Sides<'a> {
    pub(super) lower: &'a [f64],
    pub(super) upper: &'a [f64],
    pub(super) equal: &'a [bool],
}

/// One row of some block, for one sample.
struct Row<'a> {
    linear: &'a [f64],
    /// Diagonal or full matrix; empty for affine rows.
    curvature: &'a [f64],
}

fn row<'a>(block: &'a HostBlock, sample: usize, index: usize) -> Row<'a> {
    let (m, n) = (block.rows, block.variables);
    let at = |shared: bool| if shared { index } else { sample * m + index };
    let curvature = match &block.curvature {
        HostCurvature::None => &[][..],
        HostCurvature::Diagonal(h, shared) => &h[at(*shared) * n..][..n],
        HostCurvature::Dense(h, shared) => &h[at(*shared) * n * n..][..n * n],
    };
    Row {
        linear: &block.linear[at(block.linear_shared) * n..][..n],
        curvature,
    }
}

/// The point of the largest margin t ≤ 1: max t − ½·10⁻³‖z‖² with aᵀz + ‖a‖t ≤ u for affine rows and
/// zᵀHz + aᵀz + (1 + ‖a‖)t ≤ u for quadratic ones.
pub(super) fn interior(
    blocks: &[Arc<HostBlock>],
    sides: &Sides<'_>,
    copies: usize,
    n: usize,
) -> Result<Interior, Error> {
    let m = sides.equal.len();
    let rows: Vec<(&HostBlock, usize)> = blocks
        .iter()
        .flat_map(|block| (0..block.rows).map(move |index| (block.as_ref(), index)))
        .collect();
    let quadratic = |block: &HostBlock| block.curvature != HostCurvature::None;
    let dense = blocks
        .iter()
        .any(|block| matches!(block.curvature, HostCurvature::Dense(..)));
    let size = n + 1;
    let (mut a, mut b) = (vec![], vec![]);
    let (mut g, mut l, mut u) = (vec![], vec![], vec![]);
    let (mut h, mut hg, mut c) = (vec![], vec![], vec![]);
    for sample in 0..copies {
        for (at, &(block, index)) in rows.iter().enumerate() {
            let Row { linear, curvature } = row(block, sample, index);
            let (lower, upper) = (sides.lower[sample * m + at], sides.upper[sample * m + at]);
            let length = linear.iter().map(|v| v * v).sum::<f64>().sqrt();
            if sides.equal[at] {
                a.extend_from_slice(linear);
                a.push(0.0);
                b.push(0.5 * lower + 0.5 * upper);
            } else if quadratic(block) {
                extend_curvature(&mut h, curvature, n, dense);
                hg.extend_from_slice(linear);
                hg.push(1.0 + length);
                c.push(upper);
            } else {
                g.extend_from_slice(linear);
                g.push(length);
                l.push(f64::NEG_INFINITY);
                u.push(upper);
                g.extend_from_slice(linear);
                g.push(-length);
                l.push(lower);
                u.push(f64::INFINITY);
            }
        }
        g.extend(std::iter::repeat_n(0.0, n));
        g.push(1.0);
        l.push(f64::NEG_INFINITY);
        u.push(MOST_MARGIN);
    }
    let mut p = vec![PULL; n];
    p.push(0.0);
    let mut q = vec![0.0; n];
    q.push(-1.0);
    let count = |values: &[f64]| values.len() / copies.max(1);
    let problem = Problem {
        batch: copies,
        n: size,
        p: Symmetric::Diagonal(Values::Shared(&p)),
        q: Values::Shared(&q),
        equalities: (!b.is_empty()).then_some(Equalities {
            rows: count(&b),
            a: Values::PerSample(&a),
            b: Values::PerSample(&b),
        }),
        inequalities: Some(Inequalities {
            rows: count(&l),
            g: Values::PerSample(&g),
            l: Values::PerSample(&l),
            u: Values::PerSample(&u),
        }),
        quadratics: (!c.is_empty()).then_some(Quadratics {
            rows: count(&c),
            h: match dense {
                true => Symmetric::Dense(Values::PerSample(&h)),
                false => Symmetric::Diagonal(Values::PerSample(&h)),
            },
            g: Values::PerSample(&hg),
            c: Values::PerSample(&c),
        }),
    };
    let solution = solve(&problem, &Settings::default())?;
    let samples = solution.x.chunks_exact(size).zip(&solution.status);
    let (points, margins): (Vec<_>, Vec<_>) = samples
        .map(|(x, status)| match status.is_solved() {
            true => (x[..n].to_vec(), x[n]),
            false => (vec![0.0; n], f64::NEG_INFINITY),
        })
        .unzip();
    Ok(Interior {
        points: points.concat(),
        margins,
    })
}

/// H with a row and a column of zeros for the margin, in the form that all rows share.
fn extend_curvature(h: &mut Vec<f64>, curvature: &[f64], n: usize, dense: bool) {
    if !dense {
        h.extend_from_slice(curvature);
        h.push(0.0);
        return;
    }
    for i in 0..n {
        for j in 0..n {
            h.push(match curvature.len() == n {
                true if i == j => curvature[i],
                true => 0.0,
                false => curvature[i * n + j],
            });
        }
        h.push(0.0);
    }
    h.extend(std::iter::repeat_n(0.0, n + 1));
}
