//! Rows whose lower bound lies above the upper one: no point satisfies them, and no method is made for
//! them. Their samples are solved without these rows, are infeasible for that reason alone, and with
//! the two bounds as rows of their own where rows may give way.

use crate::bounds::{Bounds, copies};
use crate::conflict::{Conflict, ConflictingRow, Farkas, NamedRow};
use crate::dense::dot;
use crate::problem::{Problem, Sample};

/// The bounds of a batch without those of crossed rows.
pub(crate) struct Uncrossed {
    pub(crate) bounds: Bounds,
    /// The samples that have crossed rows.
    pub(crate) samples: Vec<usize>,
}

impl Uncrossed {
    /// `None` where no row is crossed.
    pub(crate) fn of(problem: &Problem<'_>) -> Option<Uncrossed> {
        let part = problem.inequalities?;
        let is_crossed = |i: &usize| {
            let (l, u) = (part.l.sample(*i, part.rows), part.u.sample(*i, part.rows));
            l.iter().zip(u).any(|(l, u)| l > u)
        };
        let crossed: Vec<usize> = (0..copies(problem)).filter(is_crossed).collect();
        if crossed.is_empty() {
            return None;
        }
        let open = |l, u| match l > u {
            true => (f64::NEG_INFINITY, f64::INFINITY),
            false => (l, u),
        };
        Some(Uncrossed {
            bounds: Bounds::of(problem, open)?,
            samples: if part.l.is_shared() && part.u.is_shared() {
                (0..problem.batch).collect()
            } else {
                crossed
            },
        })
    }
}

/// A sample whose crossed rows keep their upper bounds and have their lower ones in rows of their own
/// behind the others.
pub(crate) struct Split<'a> {
    base: Sample<'a>,
    g: Vec<f64>,
    l: Vec<f64>,
    u: Vec<f64>,
    /// The crossed rows.
    rows: Vec<usize>,
}

impl<'a> Split<'a> {
    /// `None` where no row is crossed.
    pub(crate) fn of(sample: &Sample<'a>) -> Option<Split<'a>> {
        let m = sample.l.len();
        let rows: Vec<usize> = (0..m).filter(|&i| sample.l[i] > sample.u[i]).collect();
        if rows.is_empty() {
            return None;
        }
        let (mut g, mut l, mut u) = (sample.g.to_vec(), sample.l.to_vec(), sample.u.to_vec());
        for &row in &rows {
            g.extend_from_slice(&sample.g[row * sample.n..(row + 1) * sample.n]);
            l.push(l[row]);
            l[row] = f64::NEG_INFINITY;
            u.push(f64::INFINITY);
        }
        Some(Split {
            base: *sample,
            g,
            l,
            u,
            rows,
        })
    }

    pub(crate) fn sample(&self) -> Sample<'_> {
        Sample {
            g: &self.g,
            l: &self.l,
            u: &self.u,
            ..self.base
        }
    }

    /// Multipliers of the sample's own rows.
    pub(crate) fn fold(&self, lambda: &mut Vec<f64>) {
        let below = lambda.split_off(self.base.l.len());
        for (row, v) in self.rows.iter().zip(below) {
            lambda[*row] += v;
        }
    }

    /// The sample's own rows among those of the split one, each once.
    pub(crate) fn own(&self, rows: &[u32]) -> Vec<u32> {
        let m = self.base.l.len();
        let own = |row: &u32| match (*row as usize).checked_sub(m) {
            Some(behind) => self.rows[behind] as u32,
            None => *row,
        };
        let mut rows: Vec<u32> = rows.iter().map(own).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

/// The proof that a crossed row is: its two bounds.
pub(crate) fn proof(sample: &Sample<'_>) -> Option<Farkas> {
    let row = (0..sample.l.len()).find(|&i| sample.l[i] > sample.u[i])?;
    let gradient = &sample.g[row * sample.n..(row + 1) * sample.n];
    let norm = dot(gradient, gradient).sqrt();
    let scale = if norm > 0.0 { norm } else { 1.0 };
    let half = |row| ConflictingRow { row, weight: 0.5 };
    Some(Farkas {
        equality: vec![0.0; sample.b.len()],
        inequality: vec![0.0; sample.l.len()],
        quadratic: vec![0.0; sample.c.len()],
        gap: 0.5 * (sample.l[row] - sample.u[row]) / scale,
        conflict: Conflict {
            rows: vec![half(NamedRow::Lower(row)), half(NamedRow::Upper(row))],
        },
    })
}
