//! Inequalities row by row, and the columns that can leave them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::affine::{CONSTANT, ONE, Term};
use super::builder::Builder;

/// (column, parameter, bits of the value) of a row's terms in order: equal for equal rows.
pub(crate) type Key = Vec<(u32, u32, u64)>;

type Sources = Vec<(usize, usize)>;

/// Terms that add up to at most zero.
#[derive(Clone, Default)]
pub(crate) struct Row {
    pub(crate) terms: Vec<Term>,
    /// (constraint, entry) whose dual value has this row's multiplier in it.
    pub(crate) sources: Sources,
    /// The sub-expression that needs it.
    pub(crate) by: Option<u32>,
}

/// Where a column occurs.
#[derive(Clone, Default)]
struct Uses {
    /// Rows that bound it from below, and from above.
    lower: Vec<usize>,
    upper: Vec<usize>,
    /// Whether it occurs otherwise.
    elsewhere: bool,
}

impl Builder {
    /// Splits the inequalities into rows.
    pub(crate) fn split(&mut self) {
        for rows in std::mem::take(&mut self.nonpositive) {
            let grouped = rows.affine.by_row();
            for entry in 0..rows.affine.rows {
                self.rows.push(Row {
                    terms: grouped.group(entry).to_vec(),
                    sources: rows.source.map(|i| (i, entry)).into_iter().collect(),
                    by: rows.by,
                });
            }
        }
    }

    /// Takes out columns of epigraphs that one row bounds from above: `eᵢ ≤ t`, `αt + r ≤ 0` is
    /// `αeᵢ + r ≤ 0`. Fourier and Motzkin's elimination, where it does not add rows; without it a
    /// column is not unique when its row does not bind. `objective` has columns that stay.
    pub(crate) fn eliminate(&mut self, objective: &[Term]) {
        let mut uses = vec![Uses::default(); self.columns];
        let mut stays = |terms: &[Term]| {
            for t in terms.iter().filter(|t| t.column != CONSTANT) {
                uses[t.column as usize].elsewhere = true;
            }
        };
        stays(objective);
        self.zero.iter().for_each(|rows| stays(&rows.affine.terms));
        self.cones.iter().for_each(|cone| stays(&cone.affine.terms));
        self.quadratics
            .values()
            .for_each(|quadratic| stays(quadratic.terms()));
        for column in self.variables.iter().flat_map(|(_, columns)| columns) {
            uses[*column as usize].elsewhere = true;
        }
        for column in self.quadratics.keys().chain(&self.gone) {
            uses[*column as usize].elsewhere = true;
        }
        for (row, terms) in self.rows.iter().map(|row| &row.terms).enumerate() {
            for t in terms.iter().filter(|t| t.column != CONSTANT) {
                let uses = &mut uses[t.column as usize];
                if t.parameter != ONE {
                    uses.elsewhere = true;
                } else if t.value > 0.0 {
                    uses.upper.push(row);
                } else {
                    uses.lower.push(row);
                }
            }
        }
        let candidate: Vec<bool> = uses
            .iter()
            .map(|uses| !uses.elsewhere && uses.upper.len() == 1 && !uses.lower.is_empty())
            .collect();
        // Nothing is kept from rising: the column and its rows say nothing.
        let useless: Vec<bool> = uses
            .iter()
            .map(|uses| !uses.elsewhere && uses.upper.is_empty() && !uses.lower.is_empty())
            .collect();
        if useless.contains(&true) {
            self.rows.retain(|row| {
                let idle = |t: &Term| t.column != CONSTANT && useless[t.column as usize];
                !row.terms.iter().any(idle)
            });
            let columns = (0..self.columns as u32).filter(|c| useless[*c as usize]);
            self.gone.extend(columns);
            return self.eliminate(objective);
        }
        // Two candidates in one row would multiply each other's rows.
        let alone = |row: &Row| {
            let candidates = row
                .terms
                .iter()
                .filter(|t| t.column != CONSTANT && candidate[t.column as usize] && t.value > 0.0);
            candidates.count() == 1
        };
        let mut bounds: HashMap<u32, usize> = HashMap::new();
        for (column, uses) in uses.iter().enumerate() {
            if candidate[column] && alone(&self.rows[uses.upper[0]]) {
                bounds.insert(column as u32, uses.upper[0]);
            }
        }
        if bounds.is_empty() {
            return;
        }
        let old = std::mem::take(&mut self.rows);
        let is_bound: Vec<bool> = {
            let mut is_bound = vec![false; old.len()];
            bounds.values().for_each(|row| is_bound[*row] = true);
            is_bound
        };
        for (at, row) in old.iter().enumerate() {
            if is_bound[at] {
                continue;
            }
            self.rows.push(substituted(row, &old, &bounds));
        }
        self.gone.extend(bounds.into_keys());
    }
}

impl Builder {
    /// Drops rows that say what another row says: the multipliers of two equal rows are not unique.
    /// Rows that are reported to different constraints stay, each with a multiplier of its own.
    pub(crate) fn merge_equal(&mut self) {
        let mut known: HashMap<Key, HashSet<Sources>> = HashMap::new();
        let mut keep = vec![false; self.rows.len()];
        for reported in [true, false] {
            for (at, row) in self.rows.iter().enumerate() {
                if row.sources.is_empty() == reported {
                    continue;
                }
                let mut merged: BTreeMap<(u32, u32), f64> = BTreeMap::new();
                for t in &row.terms {
                    *merged.entry((t.column, t.parameter)).or_default() += t.value;
                }
                let entries = merged.into_iter().filter(|(_, v)| *v != 0.0);
                let key = entries.map(|((c, p), v)| (c, p, v.to_bits())).collect();
                let sources = known.entry(key).or_default();
                let said = if reported {
                    sources.contains(&row.sources)
                } else {
                    !sources.is_empty()
                };
                keep[at] = !said;
                sources.insert(row.sources.clone());
            }
        }
        let mut keep = keep.into_iter();
        self.rows.retain(|_| keep.next().unwrap_or(true));
    }
}

/// A row with the bounds of the columns it has below put in, one after another.
fn substituted(row: &Row, old: &[Row], bounds: &HashMap<u32, usize>) -> Row {
    let mut row = row.clone();
    loop {
        let found = row
            .terms
            .iter()
            .position(|t| t.value < 0.0 && bounds.contains_key(&t.column));
        let Some(at) = found else {
            return row;
        };
        let column = row.terms[at].column;
        let beta = -row.terms[at].value;
        let upper = &old[bounds[&column]];
        let alpha: f64 = upper
            .terms
            .iter()
            .filter(|t| t.column == column)
            .map(|t| t.value)
            .sum();
        // α/β times the row, so that the bound keeps its multiplier.
        let factor = alpha / beta;
        let mut terms: Vec<Term> = Vec::with_capacity(row.terms.len() + upper.terms.len());
        terms.extend(
            row.terms
                .iter()
                .filter(|t| t.column != column)
                .map(|t| Term {
                    value: factor * t.value,
                    ..*t
                }),
        );
        terms.extend(upper.terms.iter().filter(|t| t.column != column));
        row.terms = terms;
        row.sources.extend(&upper.sources);
    }
}
