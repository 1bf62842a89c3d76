//! Parameters' values, and the solver's data at them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use feasible_solver::{NotSemidefinite, Values, check_semidefinite, check_symmetric};
use rayon::prelude::*;

use crate::attributes::Domain;
use crate::error::Error;
use crate::expr::Leaf;
use crate::map::AffineMap;

/// One parameter's values, owned: the adjoint and the objective need them again.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) shared: bool,
    pub(crate) data: Vec<f64>,
    /// First entry among all parameters, and entries.
    first: usize,
    pub(crate) len: usize,
}

impl Given {
    pub(crate) fn sample(&self, i: usize) -> &[f64] {
        if self.shared {
            &self.data
        } else {
            &self.data[i * self.len..(i + 1) * self.len]
        }
    }
}

/// All parameters' values.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) given: Vec<Given>,
    pub(crate) batch: usize,
    entries: usize,
}

impl Parameters {
    /// Checks names, lengths, numbers, which carry a relative `rounding`, and domains.
    pub(crate) fn new(
        leaves: &[(Arc<Leaf>, u32)],
        entries: usize,
        values: &[(&str, Values<'_>)],
        batch: usize,
        rounding: f64,
    ) -> Result<Parameters, Error> {
        check_names(leaves, values, "parameter")?;
        let mut given = Vec::with_capacity(leaves.len());
        for (leaf, first) in leaves {
            let Some((_, values)) = values.iter().find(|(name, _)| leaf.name == *name) else {
                return Err(Error::MissingParameter {
                    name: leaf.name.clone(),
                    shape: leaf.shape.to_string(),
                });
            };
            let len = leaf.shape.size();
            check_numbers("parameter", &leaf.name, values, batch, len)?;
            check_domain(leaf, values, rounding)?;
            given.push(Given {
                shared: values.is_shared(),
                data: values.data().to_vec(),
                first: *first as usize,
                len,
            });
        }
        Ok(Parameters {
            given,
            batch,
            entries,
        })
    }

    /// A direction: zero in the parameters that are not named.
    pub(crate) fn direction(
        leaves: &[(Arc<Leaf>, u32)],
        entries: usize,
        values: &[(&str, Values<'_>)],
        batch: usize,
    ) -> Result<Parameters, Error> {
        let what = "direction of parameter";
        check_names(leaves, values, what)?;
        let mut given = Vec::with_capacity(leaves.len());
        for (leaf, first) in leaves {
            let len = leaf.shape.size();
            let named = values.iter().find(|(name, _)| leaf.name == *name);
            if let Some((_, values)) = named {
                check_numbers(what, &leaf.name, values, batch, len)?;
            }
            given.push(Given {
                shared: named.is_none_or(|(_, values)| values.is_shared()),
                data: named.map_or_else(|| vec![0.0; len], |(_, values)| values.data().to_vec()),
                first: *first as usize,
                len,
            });
        }
        Ok(Parameters {
            given,
            batch,
            entries,
        })
    }

    /// One sample's values as a batch of their own.
    pub(crate) fn single(&self, i: usize) -> Parameters {
        let given = self.given.iter().map(|given| Given {
            shared: false,
            data: given.sample(i).to_vec(),
            ..*given
        });
        Parameters {
            given: given.collect(),
            batch: 1,
            entries: self.entries,
        }
    }

    /// Where one parameter's numbers are among all.
    pub(crate) fn range(&self, leaf: usize) -> Range<usize> {
        let given = &self.given[leaf];
        given.first..given.first + given.len
    }

    /// One sample's entries of all parameters.
    pub(crate) fn theta(&self, i: usize) -> Vec<f64> {
        let mut theta = vec![0.0; self.entries];
        for given in &self.given {
            theta[given.first..given.first + given.len].copy_from_slice(given.sample(i));
        }
        theta
    }

    /// Numbers of all parameters.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// The data of one map: shared by the batch where all its parameters are.
    pub(crate) fn evaluate(&self, map: &AffineMap) -> Numbers {
        self.through(map, AffineMap::evaluate)
    }

    /// What `apply` makes of the parameters that a map uses.
    pub(crate) fn through(
        &self,
        map: &AffineMap,
        apply: impl Fn(&AffineMap, &[f64], &mut [f64]),
    ) -> Numbers {
        let len = map.len();
        let used = |leaf: &usize| map.uses(*leaf);
        let (shared, own): (Vec<usize>, Vec<usize>) = (0..self.given.len())
            .filter(used)
            .partition(|leaf| self.given[*leaf].shared);
        let mut theta = vec![0.0; self.entries];
        let put = |leaf: usize, i: usize, theta: &mut Vec<f64>| {
            let given = &self.given[leaf];
            theta[given.first..given.first + given.len].copy_from_slice(given.sample(i));
        };
        shared.iter().for_each(|leaf| put(*leaf, 0, &mut theta));
        if own.is_empty() {
            let mut data = vec![0.0; len];
            apply(map, &theta, &mut data);
            return Numbers { shared: true, data };
        }
        let mut data = vec![0.0; self.batch * len];
        for i in 0..self.batch {
            own.iter().for_each(|leaf| put(*leaf, i, &mut theta));
            apply(map, &theta, &mut data[i * len..(i + 1) * len]);
        }
        Numbers {
            shared: false,
            data,
        }
    }
}

/// Data of one part of the solver's problem.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) shared: bool,
    pub(crate) data: Vec<f64>,
}

impl Numbers {
    pub(crate) fn values(&self) -> Values<'_> {
        if self.shared {
            Values::Shared(&self.data)
        } else {
            Values::PerSample(&self.data)
        }
    }
}

/// Gradients of all parameters, from those of the solver's data.
pub(crate) struct Pullback<'p> {
    parameters: &'p Parameters,
    /// Over the batch, for shared parameters.
    sum: Vec<f64>,
    /// Sample by sample, for the others; empty when there is none.
    each: Vec<f64>,
}

impl<'p> Pullback<'p> {
    pub(crate) fn new(parameters: &'p Parameters) -> Pullback<'p> {
        let any = parameters.given.iter().any(|given| !given.shared);
        let each = if any {
            vec![0.0; parameters.batch * parameters.entries]
        } else {
            Vec::new()
        };
        Pullback {
            parameters,
            sum: vec![0.0; parameters.entries],
            each,
        }
    }

    /// Adds what comes through one map. A gradient per sample may reach shared parameters, not the
    /// other way round.
    pub(crate) fn add(&mut self, map: &AffineMap, shared: bool, gradient: Option<&Vec<f64>>) {
        let Some(gradient) = gradient else {
            return;
        };
        if shared {
            map.pullback(gradient, &mut self.sum);
            return;
        }
        let entries = self.parameters.entries;
        let each = self.each.chunks_exact_mut(entries.max(1));
        for (theta, gradient) in each.zip(gradient.chunks_exact(map.len().max(1))) {
            map.pullback(gradient, theta);
        }
    }

    /// The gradients of a batch of one.
    pub(crate) fn into_sample(self) -> Vec<f64> {
        let each = self.each.into_iter().chain(std::iter::repeat(0.0));
        self.sum.iter().zip(each).map(|(a, b)| a + b).collect()
    }

    /// Adds one sample's gradients of all parameters.
    pub(crate) fn add_sample(&mut self, i: usize, theta: &[f64]) {
        let entries = self.parameters.entries;
        let target = if self.each.is_empty() {
            &mut self.sum[..]
        } else {
            &mut self.each[i * entries..(i + 1) * entries]
        };
        for (target, v) in target.iter_mut().zip(theta) {
            *target += v;
        }
    }

    /// One parameter's gradient in the layout of its values.
    pub(crate) fn of(&self, leaf: usize) -> Vec<f64> {
        let given = &self.parameters.given[leaf];
        let range = given.first..given.first + given.len;
        let each = self.each.chunks_exact(self.parameters.entries.max(1));
        if given.shared {
            let mut sum = self.sum[range.clone()].to_vec();
            for theta in each {
                for (sum, v) in sum.iter_mut().zip(&theta[range.clone()]) {
                    *sum += v;
                }
            }
            sum
        } else {
            each.flat_map(|theta| theta[range.clone()].iter().copied())
                .collect()
        }
    }
}

pub(crate) fn unknown<'n>(
    name: &str,
    what: &'static str,
    known: impl Iterator<Item = &'n String>,
) -> Error {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    Error::UnknownName {
        name: name.to_owned(),
        what,
        known: if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        },
    }
}

/// Refuses names that are unknown or come twice.
fn check_names(
    leaves: &[(Arc<Leaf>, u32)],
    values: &[(&str, Values<'_>)],
    what: &'static str,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for (name, _) in values {
        if !leaves.iter().any(|(leaf, _)| leaf.name == *name) {
            let known = leaves.iter().map(|(leaf, _)| &leaf.name);
            return Err(unknown(name, "parameter", known));
        }
        if !seen.insert(*name) {
            return Err(Error::GivenTwice {
                name: (*name).to_owned(),
                what,
            });
        }
    }
    Ok(())
}

/// Length and finiteness of what a user gives under a name.
pub(crate) fn check_numbers(
    what: &'static str,
    name: &str,
    values: &Values<'_>,
    batch: usize,
    len: usize,
) -> Result<(), Error> {
    let data = values.data();
    let expected = if values.is_shared() { len } else { batch * len };
    if data.len() != expected {
        let layout = if values.is_shared() {
            format!("{len} shared by the batch")
        } else {
            format!("{len} for each of {batch} samples")
        };
        return Err(Error::Length {
            what,
            name: name.to_owned(),
            got: data.len(),
            expected,
            layout,
        });
    }
    match data.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite {
            what,
            name: name.to_owned(),
            sample: (!values.is_shared()).then(|| at / len),
            entry: at % len,
            value: data[at],
        }),
    }
}

fn check_domain(leaf: &Leaf, values: &Values<'_>, rounding: f64) -> Result<(), Error> {
    let data = values.data();
    let len = leaf.shape.size();
    let sample = |copy: usize| (!values.is_shared()).then_some(copy);
    let refused = |at: usize, declared| Error::Domain {
        name: leaf.name.clone(),
        sample: sample(at / len),
        entry: at % len,
        value: data[at],
        declared,
    };
    let first = |wrong: fn(f64) -> bool| data.iter().position(|v| wrong(*v));
    let (declared, wrong) = match leaf.domain {
        Domain::Free => return Ok(()),
        Domain::Nonnegative => ("nonnegative", first(|v| v < 0.0)),
        Domain::Nonpositive => ("nonpositive", first(|v| v > 0.0)),
        Domain::Symmetric | Domain::Semidefinite => {
            let n = leaf.shape.dims()[0];
            let check = match leaf.domain {
                Domain::Symmetric => check_symmetric,
                _ => check_semidefinite,
            };
            // A matrix costs a factorisation.
            let found = data
                .par_chunks_exact(len.max(1))
                .enumerate()
                .find_map_first(|(copy, matrix)| Some((copy, check(matrix, n, rounding).err()?)));
            return Err(match found {
                None => return Ok(()),
                Some((copy, NotSemidefinite::Asymmetric { row, column, .. })) => {
                    refused(copy * len + row * n + column, "symmetric")
                }
                Some((copy, NotSemidefinite::Negative { eigenvalue })) => Error::NotSemidefinite {
                    name: leaf.name.clone(),
                    sample: sample(copy),
                    eigenvalue,
                },
            });
        }
    };
    wrong.map_or(Ok(()), |at| Err(refused(at, declared)))
}
