//! The objective: named variables, auxiliaries and weighted costs over them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cost::{Cost, Shapes};
use crate::error::Error;
use crate::linear::pattern::Pattern;
use crate::manifold::Manifold;
use crate::robust::Robust;
use crate::term::Term;
use crate::weight::{Source, Weight};

/// A variable of an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VariableId {
    pub(crate) owner: u32,
    pub(crate) index: usize,
}

/// An auxiliary of an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AuxiliaryId {
    pub(crate) owner: u32,
    pub(crate) index: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) manifold: Manifold,
    /// Where its stored numbers begin.
    pub(crate) place: usize,
    /// Where its step begins.
    pub(crate) column: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Auxiliary {
    pub(crate) name: String,
    pub(crate) len: usize,
    /// Where its numbers begin.
    pub(crate) place: usize,
}

/// ½ Σ_k ρ_k(‖W_k c_k‖²) over named variables.
///
/// Made by a [`Builder`]. The structure (who depends on whom, and what follows for the linear systems)
/// is computed once and serves every batch.
#[derive(Debug)]
pub struct Objective {
    pub(crate) owner: u32,
    pub(crate) variables: Vec<Variable>,
    pub(crate) auxiliaries: Vec<Auxiliary>,
    pub(crate) terms: Vec<Term>,
    pub(crate) storage: usize,
    pub(crate) tangent: usize,
    pub(crate) auxiliary: usize,
    pub(crate) rows: usize,
    /// Numbers in all costs' Jacobians.
    pub(crate) entries: usize,
    /// Whether all costs see all variables in order: their Jacobians are then that of the whole.
    pub(crate) full: bool,
    /// Whether a variable has bounds.
    pub(crate) bounded: bool,
    pattern: OnceLock<Pattern>,
}

/// Collects variables, auxiliaries and costs.
#[derive(Debug)]
pub struct Builder {
    owner: u32,
    variables: Vec<Variable>,
    auxiliaries: Vec<Auxiliary>,
    terms: Vec<Term>,
    names: [HashSet<String>; 3],
}

impl Default for Builder {
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            owner: NEXT.fetch_add(1, Ordering::Relaxed),
            variables: Vec::new(),
            auxiliaries: Vec::new(),
            terms: Vec::new(),
            names: Default::default(),
        }
    }
}

const KINDS: [&str; 3] = ["variable", "auxiliary", "cost"];

fn invalid(kind: &'static str, name: &str, reason: impl Into<String>) -> Error {
    Error::Invalid {
        kind,
        name: name.to_owned(),
        reason: reason.into(),
    }
}

impl Builder {
    /// An objective without anything.
    pub fn new() -> Self {
        Self::default()
    }

    fn name(&mut self, kind: usize, name: &str) -> Result<String, Error> {
        if self.names[kind].contains(name) {
            return Err(Error::DuplicateName {
                kind: KINDS[kind],
                name: name.to_owned(),
            });
        }
        Ok(name.to_owned())
    }

    /// Adds a variable.
    ///
    /// # Errors
    /// [`Error::DuplicateName`]; [`Error::Invalid`] for an empty space, or bounds of different lengths,
    /// that are NaN, or that are crossed.
    pub fn variable(&mut self, name: &str, manifold: Manifold) -> Result<VariableId, Error> {
        let name = self.name(0, name)?;
        if let Some(bounds) = manifold.bounds() {
            if bounds.lower.len() != bounds.upper.len() {
                let (l, u) = (bounds.lower.len(), bounds.upper.len());
                return Err(invalid(
                    KINDS[0],
                    &name,
                    format!("has {l} lower but {u} upper bounds"),
                ));
            }
            for (i, (l, u)) in bounds.lower.iter().zip(bounds.upper.iter()).enumerate() {
                if !(l <= u) || *l == f64::INFINITY || *u == f64::NEG_INFINITY {
                    let reason =
                        format!("has bounds {l} and {u} at {i}, which no number is between");
                    return Err(invalid(KINDS[0], &name, reason));
                }
            }
        }
        if manifold.storage() == 0 {
            return Err(invalid(KINDS[0], &name, "has no numbers"));
        }
        let (place, column) = self.variables.last().map_or((0, 0), |last| {
            (
                last.place + last.manifold.storage(),
                last.column + last.manifold.tangent(),
            )
        });
        self.names[0].insert(name.clone());
        self.variables.push(Variable {
            name,
            manifold,
            place,
            column,
        });
        Ok(VariableId {
            owner: self.owner,
            index: self.variables.len() - 1,
        })
    }

    /// Adds an auxiliary: `len` numbers that costs or weights depend on and gradients flow to.
    ///
    /// # Errors
    /// [`Error::DuplicateName`]; [`Error::Invalid`] without numbers.
    pub fn auxiliary(&mut self, name: &str, len: usize) -> Result<AuxiliaryId, Error> {
        let name = self.name(1, name)?;
        if len == 0 {
            return Err(invalid(KINDS[1], &name, "has no numbers"));
        }
        let place = self.auxiliaries.last().map_or(0, |a| a.place + a.len);
        self.names[1].insert(name.clone());
        self.auxiliaries.push(Auxiliary { name, len, place });
        Ok(AuxiliaryId {
            owner: self.owner,
            index: self.auxiliaries.len() - 1,
        })
    }

    /// Adds a cost over some variables and auxiliaries, given to it in this order.
    ///
    /// # Errors
    /// [`Error::DuplicateName`], [`Error::ForeignHandle`]; [`Error::Invalid`] without rows or variables,
    /// with a variable named twice, with sizes the cost refuses, or with a weight or a loss that cannot
    /// be.
    pub fn cost(
        &mut self,
        name: &str,
        cost: impl Cost + 'static,
        variables: &[VariableId],
        auxiliaries: &[AuxiliaryId],
        weight: Weight,
        robust: Robust,
    ) -> Result<(), Error> {
        self.shared_cost(name, Arc::new(cost), variables, auxiliaries, weight, robust)
    }

    /// As [`cost`](Self::cost), for a cost that several terms share.
    ///
    /// # Errors
    /// As there.
    pub fn shared_cost(
        &mut self,
        name: &str,
        cost: Arc<dyn Cost>,
        variables: &[VariableId],
        auxiliaries: &[AuxiliaryId],
        weight: Weight,
        robust: Robust,
    ) -> Result<(), Error> {
        let name = self.name(2, name)?;
        let refuse = |reason: String| Err(invalid(KINDS[2], &name, reason));
        if variables.is_empty() {
            return refuse("has no variables".to_owned());
        }
        for (i, id) in variables.iter().enumerate() {
            if id.owner != self.owner {
                return Err(Error::ForeignHandle {
                    kind: KINDS[0],
                    index: id.index,
                });
            }
            if variables[..i].contains(id) {
                let twice = &self.variables[id.index].name;
                return refuse(format!("names variable `{twice}` twice"));
            }
        }
        self.owned(auxiliaries)?;
        let manifolds: Vec<Manifold> = variables
            .iter()
            .map(|id| self.variables[id.index].manifold.clone())
            .collect();
        let lengths: Vec<usize> = auxiliaries
            .iter()
            .map(|id| self.auxiliaries[id.index].len)
            .collect();
        if let Err(reason) = cost.check(&Shapes {
            manifolds: &manifolds,
            auxiliaries: &lengths,
        }) {
            return refuse(reason);
        }
        let rows = cost.rows();
        if rows == 0 {
            return refuse("has no rows".to_owned());
        }
        let needed = weight.len(rows);
        match weight.source() {
            None => {}
            Some(Source::Constant(values)) => {
                if values.len() != needed {
                    let got = values.len();
                    return refuse(format!("has a weight of {got} numbers but needs {needed}"));
                }
                if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                    return refuse(format!("has {bad} in its weight"));
                }
            }
            Some(Source::Auxiliary(id)) => {
                self.owned(&[*id])?;
                let auxiliary = &self.auxiliaries[id.index];
                if auxiliary.len != needed {
                    let (got, name) = (auxiliary.len, &auxiliary.name);
                    return refuse(format!(
                        "has the weight `{name}` of {got} numbers but needs {needed}"
                    ));
                }
            }
        }
        if let Err(error) = robust.validate() {
            return refuse(format!("has a robust loss that cannot be: {error}"));
        }
        let columns: Vec<usize> = variables
            .iter()
            .flat_map(|id| {
                let variable = &self.variables[id.index];
                variable.column..variable.column + variable.manifold.tangent()
            })
            .collect();
        let (row, entry) = self
            .terms
            .last()
            .map_or((0, 0), |t| (t.row + t.rows, t.entry + t.rows * t.width));
        self.names[2].insert(name.clone());
        self.terms.push(Term {
            cost,
            variables: variables.iter().map(|id| id.index).collect(),
            places: variables
                .iter()
                .map(|id| self.variables[id.index].place)
                .collect(),
            auxiliaries: auxiliaries.iter().map(|id| id.index).collect(),
            auxiliary_len: lengths.iter().sum(),
            manifolds,
            weight,
            robust,
            rows,
            width: columns.len(),
            row,
            entry,
            first: columns
                .iter()
                .enumerate()
                .all(|(i, c)| columns[0] + i == *c)
                .then_some(columns[0]),
            columns,
        });
        Ok(())
    }

    fn owned(&self, auxiliaries: &[AuxiliaryId]) -> Result<(), Error> {
        match auxiliaries.iter().find(|id| id.owner != self.owner) {
            None => Ok(()),
            Some(id) => Err(Error::ForeignHandle {
                kind: KINDS[1],
                index: id.index,
            }),
        }
    }

    /// The objective.
    ///
    /// # Errors
    /// [`Error::NoVariables`], [`Error::NoCosts`]; [`Error::Invalid`] for a variable that no cost sees.
    pub fn build(self) -> Result<Objective, Error> {
        let last = self.variables.last().ok_or(Error::NoVariables)?;
        let last_term = self.terms.last().ok_or(Error::NoCosts)?;
        let tangent = last.column + last.manifold.tangent();
        let mut seen = vec![false; self.variables.len()];
        for term in &self.terms {
            for index in &term.variables {
                seen[*index] = true;
            }
        }
        if let Some(unseen) = seen.iter().position(|seen| !seen) {
            return Err(invalid(
                KINDS[0],
                &self.variables[unseen].name,
                "is in no cost, so nothing decides it",
            ));
        }
        Ok(Objective {
            owner: self.owner,
            storage: last.place + last.manifold.storage(),
            tangent,
            auxiliary: self.auxiliaries.last().map_or(0, |a| a.place + a.len),
            rows: last_term.row + last_term.rows,
            entries: last_term.entry + last_term.rows * last_term.width,
            full: self
                .terms
                .iter()
                .all(|t| t.first == Some(0) && t.width == tangent),
            bounded: self.variables.iter().any(|v| v.manifold.bounds().is_some()),
            variables: self.variables,
            auxiliaries: self.auxiliaries,
            terms: self.terms,
            pattern: OnceLock::new(),
        })
    }
}

impl Objective {
    /// Stored numbers of all variables together.
    pub fn storage(&self) -> usize {
        self.storage
    }

    /// Dimensions of all variables' steps together, n.
    pub fn tangent(&self) -> usize {
        self.tangent
    }

    /// Rows of all costs together, m.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of all auxiliaries together.
    pub fn auxiliary_len(&self) -> usize {
        self.auxiliary
    }

    /// The variables' names, in the order they were added.
    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|v| v.name.as_str())
    }

    /// The auxiliaries' names, in the order they were added.
    pub fn auxiliary_names(&self) -> impl Iterator<Item = &str> {
        self.auxiliaries.iter().map(|a| a.name.as_str())
    }

    /// The variable of that name.
    pub fn variable(&self, name: &str) -> Option<VariableId> {
        let index = self.variables.iter().position(|v| v.name == name)?;
        Some(VariableId {
            owner: self.owner,
            index,
        })
    }

    /// The auxiliary of that name.
    pub fn auxiliary(&self, name: &str) -> Option<AuxiliaryId> {
        let index = self.auxiliaries.iter().position(|a| a.name == name)?;
        Some(AuxiliaryId {
            owner: self.owner,
            index,
        })
    }

    /// Where a variable's stored numbers are among those of a sample.
    ///
    /// # Panics
    /// When the handle is another objective's.
    pub fn stored(&self, id: VariableId) -> std::ops::Range<usize> {
        assert_eq!(id.owner, self.owner, "a handle of another objective");
        let variable = &self.variables[id.index];
        variable.place..variable.place + variable.manifold.storage()
    }

    /// Where an auxiliary's numbers are among those of a sample.
    ///
    /// # Panics
    /// When the handle is another objective's.
    pub fn auxiliary_range(&self, id: AuxiliaryId) -> std::ops::Range<usize> {
        assert_eq!(id.owner, self.owner, "a handle of another objective");
        let auxiliary = &self.auxiliaries[id.index];
        auxiliary.place..auxiliary.place + auxiliary.len
    }

    /// The pattern of JᵀJ with its ordering and symbolic factor, made when first asked for.
    pub(crate) fn pattern(&self) -> &Pattern {
        self.pattern.get_or_init(|| Pattern::new(self))
    }
}
