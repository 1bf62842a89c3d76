//! The batched cone program.

use serde::{Deserialize, Serialize};

use crate::batch::Values;
use crate::cone::semidefinite;
use crate::error::Error;
use crate::validate::{self, Infinities};

/// A closed convex cone. Names and row orders are Clarabel's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cone {
    /// `{0}` in so many rows: equalities.
    Zero(usize),
    /// Numbers of at least 0, so many.
    Nonnegative(usize),
    /// `s₀ ≥ ‖(s₁, …)‖`, in so many rows.
    SecondOrder(usize),
    /// So many exponential cones of three rows each: the closure of
    /// `{(x, y, v): y > 0, y·exp(x/y) ≤ v}`.
    Exponential(usize),
    /// Symmetric positive semidefinite matrices of this size: the upper triangle by columns, entries
    /// off the diagonal times `√2`, `size·(size + 1)/2` rows. Needs the feature `semidefinite`.
    #[serde(rename = "psd")]
    Semidefinite(usize),
    /// `{(x, y, v): x^α·y^(1−α) ≥ |v|, x ≥ 0, y ≥ 0}` with this `α` in (0, 1): three rows.
    Power(f64),
}

impl Cone {
    /// Rows it takes.
    pub fn rows(self) -> usize {
        match self {
            Cone::Zero(rows) | Cone::Nonnegative(rows) | Cone::SecondOrder(rows) => rows,
            Cone::Exponential(count) => count.saturating_mul(3),
            Cone::Semidefinite(size) => semidefinite::rows(size),
            Cone::Power(_) => 3,
        }
    }
}

/// A batch of sparse matrices of one pattern, by columns.
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a> {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Where each column's entries start, and the number of all entries: `[columns + 1]`.
    pub starts: &'a [usize],
    /// Row of each entry, ascending within a column.
    pub indices: &'a [usize],
    /// The entries.
    pub values: Values<'a>,
}

impl<'a> Sparse<'a> {
    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.indices.len()
    }

    /// `(row, column)` of every entry.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> + 'a {
        let (starts, indices) = (self.starts, self.indices);
        (0..self.columns).flat_map(move |column| {
            indices[starts[column]..starts[column + 1]]
                .iter()
                .map(move |&row| (row, column))
        })
    }

    fn check(&self, argument: &'static str, rows: usize, columns: usize) -> Result<(), Error> {
        let fault = |reason: String| Err(Error::Pattern { argument, reason });
        if (self.rows, self.columns) != (rows, columns) {
            return fault(format!(
                "has {} rows and {} columns but must have {rows} and {columns}",
                self.rows, self.columns
            ));
        }
        if self.starts.len() != columns + 1 {
            return fault(format!(
                "has {} column starts but must have {}",
                self.starts.len(),
                columns + 1
            ));
        }
        if self.starts[0] != 0 || self.starts[columns] != self.indices.len() {
            return fault(format!(
                "has column starts from {} to {} but must have them from 0 to {}, its entries",
                self.starts[0],
                self.starts[columns],
                self.indices.len()
            ));
        }
        for column in 0..columns {
            let (start, end) = (self.starts[column], self.starts[column + 1]);
            if start > end || end > self.indices.len() {
                return fault(format!("has column starts that fall after column {column}"));
            }
            let inside = &self.indices[start..end];
            if inside.windows(2).any(|pair| pair[0] >= pair[1]) {
                return fault(format!("has rows of column {column} that do not ascend"));
            }
            if let Some(row) = inside.iter().find(|row| **row >= rows) {
                return fault(format!("has row {row} in column {column} of {rows} rows"));
            }
        }
        Ok(())
    }
}

/// A batch of convex cone programs of one shape:
///
/// ```text
/// min ½ xᵀP x + qᵀx   s.t.   A x + s = b,   s ∈ K = K₁ × K₂ × …
/// ```
///
/// The dual `z` is in the dual cone `K*`, with the Lagrangian `½xᵀPx + qᵀx + zᵀ(Ax + s − b)`.
#[derive(Clone, Copy, Debug)]
pub struct ConeProblem<'a> {
    /// Number of samples.
    pub batch: usize,
    /// Number of variables of one sample.
    pub n: usize,
    /// Upper triangle of `P`, positive semidefinite, `[n, n]`; `None` for a linear objective.
    pub p: Option<Sparse<'a>>,
    /// `q`, `[n]`.
    pub q: Values<'a>,
    /// `A`, `[m, n]`.
    pub a: Sparse<'a>,
    /// `b`, `[m]`.
    pub b: Values<'a>,
    /// The cones in the order of the rows.
    pub cones: &'a [Cone],
}

impl ConeProblem<'_> {
    /// Rows of `A`, `m`.
    pub fn rows(&self) -> usize {
        self.a.rows
    }

    /// Checks shapes, patterns, cones and numbers.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let (batch, n, m) = (self.batch, self.n, self.a.rows);
        if n == 0 {
            return Err(Error::NoVariables);
        }
        for (index, cone) in self.cones.iter().enumerate() {
            let reason = match *cone {
                Cone::Power(alpha) if !(alpha > 0.0 && alpha < 1.0) => {
                    format!("has exponent {alpha} but must have one above 0 and below 1")
                }
                Cone::Semidefinite(_) if cfg!(not(feature = "semidefinite")) => {
                    "is semidefinite, which needs the feature `semidefinite`".to_owned()
                }
                Cone::Semidefinite(0) => "has size 0 but must have at least 1".to_owned(),
                Cone::SecondOrder(0) => "has no rows but must have at least one".to_owned(),
                _ => continue,
            };
            return Err(Error::Cone { index, reason });
        }
        let rows = self
            .cones
            .iter()
            .fold(0, |sum: usize, cone| sum.saturating_add(cone.rows()));
        self.a.check("a", rows, n)?;
        let check = |argument, values, len, layout| {
            validate::check(argument, values, batch, len, layout, Infinities::None)
        };
        check(
            "a",
            self.a.values,
            self.a.entries(),
            "entries of the pattern",
        )?;
        check("q", self.q, n, "[n], per sample or shared")?;
        check("b", self.b, m, "[m], per sample or shared")?;
        if let Some(p) = self.p {
            p.check("p", n, n)?;
            if let Some((row, column)) = p.places().find(|(row, column)| row > column) {
                return Err(Error::Pattern {
                    argument: "p",
                    reason: format!(
                        "has an entry at ({row}, {column}), below the diagonal; only the upper \
                         triangle is given"
                    ),
                });
            }
            check("p", p.values, p.entries(), "entries of the pattern")?;
        }
        Ok(())
    }

    /// The numbers of one sample.
    pub(crate) fn sample(&self, i: usize) -> ConeSample<'_> {
        ConeSample {
            n: self.n,
            m: self.a.rows,
            p: self.p.map(|p| Matrix::of(p, i)),
            q: self.q.sample(i, self.n),
            a: Matrix::of(self.a, i),
            b: self.b.sample(i, self.a.rows),
            cones: self.cones,
        }
    }
}

/// One sample's matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) starts: &'a [usize],
    pub(crate) indices: &'a [usize],
    pub(crate) entries: &'a [f64],
}

impl<'a> Matrix<'a> {
    fn of(sparse: Sparse<'a>, sample: usize) -> Matrix<'a> {
        Matrix {
            starts: sparse.starts,
            indices: sparse.indices,
            entries: sparse.values.sample(sample, sparse.entries()),
        }
    }

    /// `(row, column, entry)`.
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, usize, f64)> + 'a {
        (0..self.starts.len() - 1).flat_map(move |column| {
            (self.starts[column]..self.starts[column + 1])
                .map(move |at| (self.indices[at], column, self.entries[at]))
        })
    }

    /// `out += M x`.
    pub(crate) fn add_product(self, x: &[f64], out: &mut [f64]) {
        for (row, column, v) in self.iter() {
            out[row] += v * x[column];
        }
    }

    /// `out += Mᵀ x`.
    pub(crate) fn add_transposed_product(self, x: &[f64], out: &mut [f64]) {
        for (row, column, v) in self.iter() {
            out[column] += v * x[row];
        }
    }

    /// `out += M x` for a symmetric matrix of which this is the upper triangle.
    pub(crate) fn add_symmetric_product(self, x: &[f64], out: &mut [f64]) {
        for (row, column, v) in self.iter() {
            out[row] += v * x[column];
            if row != column {
                out[column] += v * x[row];
            }
        }
    }
}

/// The numbers of one sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConeSample<'a> {
    pub(crate) n: usize,
    pub(crate) m: usize,
    pub(crate) p: Option<Matrix<'a>>,
    pub(crate) q: &'a [f64],
    pub(crate) a: Matrix<'a>,
    pub(crate) b: &'a [f64],
    pub(crate) cones: &'a [Cone],
}
