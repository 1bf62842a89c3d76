//! Rows that are affine in the columns (variables) with coefficients affine in the parameters.

use std::collections::HashMap;

use super::rows::Key;
use crate::expr::Linear;

/// The column of what no variable multiplies.
pub(crate) const CONSTANT: u32 = u32::MAX;
/// The parameter of what no parameter multiplies.
pub(crate) const ONE: u32 = u32::MAX;

/// `value · parameter · column`, in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) row: u32,
    pub(crate) column: u32,
    pub(crate) parameter: u32,
    pub(crate) value: f64,
}

/// The product of two factors of which at most one is a parameter.
pub(crate) fn joint(a: u32, b: u32) -> u32 {
    debug_assert!(a == ONE || b == ONE, "the rules refuse such products");
    if a == ONE { b } else { a }
}

/// Terms from which on sums look for those of one place: a sum that is added to itself again and again has
/// twice as many each time.
const MANY: usize = 1 << 16;

/// Makes terms of one place one term.
fn add_up(terms: &mut Vec<Term>) {
    terms.sort_by_key(|t| (t.row, t.column, t.parameter));
    terms.dedup_by(|next, sum| {
        let same = (next.row, next.column, next.parameter) == (sum.row, sum.column, sum.parameter);
        if same {
            sum.value += next.value;
        }
        same
    });
}

/// Rows as a list of terms in any order; terms of one place add up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Affine {
    pub(crate) rows: usize,
    pub(crate) terms: Vec<Term>,
}

impl Affine {
    pub(crate) fn constant(data: &[f64]) -> Affine {
        let terms = data
            .iter()
            .enumerate()
            .filter(|(_, v)| **v != 0.0)
            .map(|(row, value)| Term {
                row: row as u32,
                column: CONSTANT,
                parameter: ONE,
                value: *value,
            })
            .collect();
        Affine {
            rows: data.len(),
            terms,
        }
    }

    pub(crate) fn ones(rows: usize) -> Affine {
        Affine::constant(&vec![1.0; rows])
    }

    /// Row `i` is column `columns[i]`.
    pub(crate) fn columns(columns: impl ExactSizeIterator<Item = u32>) -> Affine {
        Affine {
            rows: columns.len(),
            terms: columns
                .enumerate()
                .map(|(row, column)| Term {
                    row: row as u32,
                    column,
                    parameter: ONE,
                    value: 1.0,
                })
                .collect(),
        }
    }

    /// Row `i` is parameter entry `first + i`.
    pub(crate) fn parameters(first: u32, rows: usize) -> Affine {
        Affine {
            rows,
            terms: (0..rows as u32)
                .map(|row| Term {
                    row,
                    column: CONSTANT,
                    parameter: first + row,
                    value: 1.0,
                })
                .collect(),
        }
    }

    pub(crate) fn plus(&self, other: &Affine) -> Affine {
        debug_assert_eq!(self.rows, other.rows);
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        terms.extend_from_slice(&self.terms);
        terms.extend_from_slice(&other.terms);
        let both = self.terms.len().min(other.terms.len());
        if terms.len() > MANY && 8 * both >= terms.len() {
            add_up(&mut terms);
        }
        Affine {
            rows: self.rows,
            terms,
        }
    }

    pub(crate) fn minus(&self, other: &Affine) -> Affine {
        self.plus(&other.times(-1.0))
    }

    pub(crate) fn times(&self, factor: f64) -> Affine {
        Affine {
            rows: self.rows,
            terms: self
                .terms
                .iter()
                .map(|t| Term {
                    value: factor * t.value,
                    ..*t
                })
                .collect(),
        }
    }

    /// One row in every one of `rows`.
    pub(crate) fn spread(&self, rows: usize) -> Affine {
        debug_assert_eq!(self.rows, 1);
        let terms = (0..rows as u32)
            .flat_map(|row| self.terms.iter().map(move |t| Term { row, ..*t }))
            .collect();
        Affine { rows, terms }
    }

    /// The sum of all rows.
    pub(crate) fn sum(&self) -> Affine {
        Affine {
            rows: 1,
            terms: self.terms.iter().map(|t| Term { row: 0, ..*t }).collect(),
        }
    }

    pub(crate) fn linear(&self, map: &Linear) -> Affine {
        let mut terms = Vec::with_capacity(self.terms.len());
        for t in &self.terms {
            terms.extend(map.of(t.row as usize).iter().map(|(row, c)| Term {
                row: *row,
                value: c * t.value,
                ..*t
            }));
        }
        Affine {
            rows: map.outputs(),
            terms,
        }
    }

    /// One's rows after another's.
    pub(crate) fn stacked<'a>(parts: impl IntoIterator<Item = &'a Affine>) -> Affine {
        let mut out = Affine::default();
        for part in parts {
            let first = out.rows as u32;
            out.terms.extend(part.terms.iter().map(|t| Term {
                row: first + t.row,
                ..*t
            }));
            out.rows += part.rows;
        }
        out
    }

    /// Row 0 of every part, then row 1 of every part, and so on: one small cone after another.
    pub(crate) fn interleaved(parts: &[&Affine]) -> Affine {
        let count = parts.len() as u32;
        let mut out = Affine {
            rows: parts.iter().map(|part| part.rows).sum(),
            terms: Vec::new(),
        };
        for (k, part) in parts.iter().enumerate() {
            out.terms.extend(part.terms.iter().map(|t| Term {
                row: count * t.row + k as u32,
                ..*t
            }));
        }
        out
    }

    /// The rows that differ, and the map from them to all rows; `None` where all do.
    pub(crate) fn distinct(&self) -> Option<(Affine, Linear)> {
        let grouped = self.by_row();
        let mut known: HashMap<Key, usize> = HashMap::new();
        let mut source = Vec::with_capacity(self.rows);
        let mut terms = Vec::new();
        for row in 0..self.rows {
            let group = grouped.group(row);
            let mut key: Key = group
                .iter()
                .map(|t| (t.column, t.parameter, t.value.to_bits()))
                .collect();
            key.sort_unstable();
            let next = known.len();
            let place = *known.entry(key).or_insert(next);
            if place == next {
                let row = place as u32;
                terms.extend(group.iter().map(|t| Term { row, ..*t }));
            }
            source.push(place);
        }
        let rows = known.len();
        (rows < self.rows).then(|| (Affine { rows, terms }, Linear::gather(rows, &source)))
    }

    /// `[m, k]·[k, n]`, one factor's coefficients on constants alone.
    pub(crate) fn product(
        &self,
        right: &Affine,
        (rows, inner, columns): (usize, usize, usize),
    ) -> Affine {
        let left = self.grouped(inner, |row| row % inner);
        let right = right.grouped(inner, |row| row / columns);
        let mut terms = Vec::new();
        for r in 0..inner {
            for a in left.group(r) {
                for b in right.group(r) {
                    let row = (a.row as usize / inner) * columns + b.row as usize % columns;
                    terms.push(times(a, b, row as u32));
                }
            }
        }
        Affine {
            rows: rows * columns,
            terms,
        }
    }

    /// Row by row, one factor's coefficients on constants alone.
    pub(crate) fn elementwise(&self, right: &Affine) -> Affine {
        let left = self.by_row();
        let right = right.by_row();
        let mut terms = Vec::new();
        for row in 0..self.rows {
            for a in left.group(row) {
                for b in right.group(row) {
                    terms.push(times(a, b, row as u32));
                }
            }
        }
        Affine {
            rows: self.rows,
            terms,
        }
    }

    pub(crate) fn by_row(&self) -> Grouped {
        self.grouped(self.rows, |row| row)
    }

    fn grouped(&self, groups: usize, key: impl Fn(usize) -> usize) -> Grouped {
        let mut starts = vec![0; groups + 1];
        for t in &self.terms {
            starts[key(t.row as usize) + 1] += 1;
        }
        for g in 0..groups {
            starts[g + 1] += starts[g];
        }
        let mut next = starts.clone();
        let blank = Term {
            row: 0,
            column: CONSTANT,
            parameter: ONE,
            value: 0.0,
        };
        let mut terms = vec![blank; self.terms.len()];
        for t in &self.terms {
            let at = &mut next[key(t.row as usize)];
            terms[*at] = *t;
            *at += 1;
        }
        Grouped { starts, terms }
    }
}

fn times(a: &Term, b: &Term, row: u32) -> Term {
    debug_assert!(a.column == CONSTANT || b.column == CONSTANT);
    Term {
        row,
        column: if a.column == CONSTANT {
            b.column
        } else {
            a.column
        },
        parameter: joint(a.parameter, b.parameter),
        value: a.value * b.value,
    }
}

/// Terms sorted into groups.
pub(crate) struct Grouped {
    starts: Vec<usize>,
    terms: Vec<Term>,
}

impl Grouped {
    pub(crate) fn group(&self, g: usize) -> &[Term] {
        &self.terms[self.starts[g]..self.starts[g + 1]]
    }
}
