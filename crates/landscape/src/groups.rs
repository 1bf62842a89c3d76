//! Which entries of a flat parameter vector belong together.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How a group's entries form filters: the weights into one neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Filters {
    /// The columns of an `[in, out]` matrix: Burn's `Linear`.
    Columns,
    /// The slices along the first dimension, `[out, ..]`: convolutions, torch's `Linear`.
    Rows,
    /// None: a bias, a scale, any one-dimensional parameter.
    None,
}

/// One parameter of a network within the flat vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// How its entries form filters.
    pub filters: Filters,
}

impl Group {
    /// A parameter whose filters follow from its shape as Burn lays it out: columns of a matrix,
    /// slices along the first dimension of more, none of fewer.
    pub fn of_shape(name: impl Into<String>, shape: &[usize]) -> Self {
        let filters = match shape.len() {
            0 | 1 => Filters::None,
            2 => Filters::Columns,
            _ => Filters::Rows,
        };
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            filters,
        }
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each filter the indices of its entries within the group: a start, a stride and a count.
    pub(crate) fn filters(&self) -> Vec<(usize, usize, usize)> {
        let len = self.len();
        if len == 0 {
            return Vec::new();
        }
        match self.filters {
            Filters::None => Vec::new(),
            Filters::Columns => {
                let columns = self.shape.last().copied().unwrap_or(1);
                (0..columns).map(|c| (c, columns, len / columns)).collect()
            }
            Filters::Rows => {
                let rows = self.shape.first().copied().unwrap_or(1);
                let size = len / rows;
                (0..rows).map(|r| (r * size, 1, size)).collect()
            }
        }
    }
}

/// Checks that the groups cover a vector of `n` numbers.
pub(crate) fn check(groups: &[Group], n: usize) -> Result<(), Error> {
    let total = groups
        .iter()
        .try_fold(0usize, |sum, group| {
            let len = group
                .shape
                .iter()
                .try_fold(1usize, |p, d| p.checked_mul(*d))?;
            sum.checked_add(len)
        })
        .ok_or_else(|| Error::argument("groups", "hold more entries than can be counted"))?;
    crate::error::length(
        "groups",
        total,
        n,
        "entries, as many as there are parameters",
    )
}
