//! Why a sample of a model has no solution, in the user's terms.

use std::collections::{HashMap, HashSet};
use std::fmt;

use feasible_solver::conflict_in_words;

use crate::canon::Block;
use crate::constraint::Relation;
use crate::expr::{Expr, Op, postorder};
use crate::problem::Inner;
use crate::solution::Solution;

/// Constraints and domains that contradict each other, the weightiest first.
///
/// The rows of the solver's form behind them are an irreducible set, unless their numbers are too
/// close to tell, or a cone program takes more than 200 solves to find it: without any one of them
/// the others can be met. It need not be the only one, nor the smallest.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// What contradicts.
    pub parts: Vec<Conflicting>,
}

/// One part of a [`Conflict`].
#[derive(Clone, Debug, PartialEq)]
pub struct Conflicting {
    /// What it is.
    pub what: ConflictSource,
    /// Which entries of a constraint, flat; empty for domains, matrix inequalities and constraints
    /// that take part only through a function's domain.
    pub entries: Vec<usize>,
    /// Its share of the certificate; all shares sum to 1.
    pub weight: f64,
}

/// Where a part of a conflict comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictSource {
    /// A constraint.
    Constraint {
        /// Its place among the constraints, from 0.
        index: usize,
        /// Its name, if it has one.
        name: Option<String>,
        /// The constraint as written.
        text: String,
        /// Number of its entries.
        size: usize,
    },
    /// The domain that a variable was declared with.
    Variable {
        /// Its name.
        name: String,
    },
    /// The domain of a function in the objective.
    Objective {
        /// The function as written.
        expression: String,
    },
}

/// Entries of one constraint that a message lists.
const LISTED: usize = 4;

impl fmt::Display for Conflicting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            ConflictSource::Constraint {
                index,
                name,
                text,
                size,
            } => {
                match name {
                    Some(name) => write!(f, "`{name}`")?,
                    None => write!(f, "constraint {index} (`{text}`)")?,
                }
                let entries: Vec<String> = self.entries.iter().map(usize::to_string).collect();
                match &entries[..] {
                    [one] if *size > 1 => write!(f, " at entry {one}"),
                    some if (2..=LISTED).contains(&some.len()) && some.len() < *size => {
                        write!(f, " at entries {}", some.join(", "))
                    }
                    _ => Ok(()),
                }
            }
            ConflictSource::Variable { name } => write!(f, "the domain of variable `{name}`"),
            ConflictSource::Objective { expression } => {
                write!(f, "the domain of `{expression}` in the objective")
            }
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
        f.write_str(&conflict_in_words(&names))
    }
}

/// A part while rows are sorted into it.
#[derive(Default)]
struct Share {
    entries: HashSet<usize>,
    weight: f64,
}

pub(crate) fn conflict(problem: &Inner, solution: &Solution, sample: usize) -> Option<Conflict> {
    if sample >= solution.batch() {
        return None;
    }
    let (_, data, solved) = solution.parts();
    let program = &problem.canonical.program;
    let rows = data.conflict(program, solved, sample, solution.settings())?;
    let mut open: HashMap<(Block, usize), f64> = HashMap::new();
    for (block, row, weight) in rows {
        open.insert((block, row), weight);
    }
    let constraints = &problem.formulation.constraints;
    let mut shares: HashMap<usize, Share> = HashMap::new();
    let mut used = HashSet::new();
    for (index, slots) in problem.canonical.duals.iter().enumerate() {
        let mut counted = HashSet::new();
        for slot in slots {
            let row = (slot.block, slot.index);
            let Some(weight) = open.get(&row) else {
                continue;
            };
            let share = shares.entry(index).or_default();
            if constraints[index].0.relation != Relation::Semidefinite {
                share.entries.insert(slot.entry);
            }
            // A matrix inequality has two entries of one row.
            if counted.insert(row) {
                share.weight += weight;
            }
            used.insert(row);
        }
    }
    open.retain(|row, _| !used.contains(row));
    let others = domains(problem, &open, &mut shares);

    let mut parts: Vec<Conflicting> = Vec::new();
    for (index, constraint) in constraints.iter().enumerate() {
        let Some(share) = shares.remove(&index) else {
            continue;
        };
        let mut entries: Vec<usize> = share.entries.into_iter().collect();
        entries.sort_unstable();
        parts.push(Conflicting {
            what: ConflictSource::Constraint {
                index,
                name: constraint.0.name.clone(),
                text: constraint.to_string(),
                size: constraint.shape().size(),
            },
            entries,
            weight: share.weight,
        });
    }
    parts.extend(others);
    let total: f64 = parts.iter().map(|part| part.weight).sum();
    if !(total > 0.0) {
        return None;
    }
    parts.iter_mut().for_each(|part| part.weight /= total);
    // Weights that differ by rounding alone stay in the model's order.
    parts.sort_by_key(|part| std::cmp::Reverse((part.weight * 1e6).round() as i64));
    Some(Conflict { parts })
}

/// Sorts the rows that are no constraint's into what brought them: a variable's domain, a constraint
/// with a function of a limited domain in it, or such a function in the objective.
fn domains(
    problem: &Inner,
    open: &HashMap<(Block, usize), f64>,
    shares: &mut HashMap<usize, Share>,
) -> Vec<Conflicting> {
    let mut found: Vec<(u32, f64)> = Vec::new();
    for brought in &problem.canonical.brought {
        let rows = brought.rows.clone();
        let weights = rows.filter_map(|row| open.get(&(brought.block, row)));
        let weight: f64 = weights.sum();
        if weight > 0.0 {
            match found.iter_mut().find(|(by, _)| *by == brought.by) {
                Some((_, sum)) => *sum += weight,
                None => found.push((brought.by, weight)),
            }
        }
    }
    if found.is_empty() {
        return vec![];
    }
    let all: Vec<&Expr> = postorder(problem.formulation.roots());
    let constraints = &problem.formulation.constraints;
    let mut others = Vec::new();
    for (by, weight) in found {
        let expr = all[by as usize];
        if let Op::Variable(leaf) = &expr.0.op {
            others.push(Conflicting {
                what: ConflictSource::Variable {
                    name: leaf.name.clone(),
                },
                entries: vec![],
                weight,
            });
            continue;
        }
        let within: Vec<usize> = (0..constraints.len())
            .filter(|i| {
                let residual = &constraints[*i].0.residual;
                postorder([residual]).iter().any(|e| e.key() == expr.key())
            })
            .collect();
        let named = within.iter().find(|i| shares.contains_key(i));
        match named.or(within.first()) {
            Some(index) => shares.entry(*index).or_default().weight += weight,
            None => others.push(Conflicting {
                what: ConflictSource::Objective {
                    expression: expr.to_string(),
                },
                entries: vec![],
                weight,
            }),
        }
    }
    others
}
