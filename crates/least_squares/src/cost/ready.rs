//! Costs ready to use: differences, relative positions, linear and quadratic rows, distances to a box.

mod affine;
mod boxed;
mod curvature;
mod position;
mod quadratic;

pub use affine::Linear;
pub use boxed::Clipped;
pub use position::{Between, Difference};
pub use quadratic::Quadratic;

use super::Shapes;

/// Where a ready cost's numbers come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Always these.
    Constant(Vec<f64>),
    /// So many of the next of the cost's auxiliaries, which gradients flow to.
    Auxiliary(usize),
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Constant(values) => values.len(),
            Self::Auxiliary(len) => *len,
        }
    }
}

impl From<Vec<f64>> for Numbers {
    fn from(values: Vec<f64>) -> Self {
        Self::Constant(values)
    }
}

impl From<&[f64]> for Numbers {
    fn from(values: &[f64]) -> Self {
        Self::Constant(values.to_vec())
    }
}

impl<const N: usize> From<[f64; N]> for Numbers {
    fn from(values: [f64; N]) -> Self {
        Self::Constant(values.to_vec())
    }
}

/// The numbers themselves: constants, or the next auxiliary.
pub(crate) fn resolve<'a>(
    numbers: &'a Numbers,
    auxiliaries: &mut impl Iterator<Item = &'a [f64]>,
) -> &'a [f64] {
    match numbers {
        Numbers::Constant(values) => values,
        Numbers::Auxiliary(_) => auxiliaries.next().unwrap_or(&[]),
    }
}

/// Checks that the variables have these storage lengths and the auxiliaries those of `numbers`.
pub(crate) fn check_sizes(
    shapes: &Shapes<'_>,
    storage: usize,
    variables: usize,
    numbers: &[(&str, &Numbers, usize)],
) -> Result<(), String> {
    if shapes.manifolds.len() != variables {
        let got = shapes.manifolds.len();
        return Err(format!("has {got} variables but needs {variables}"));
    }
    for manifold in shapes.manifolds {
        if manifold.storage() != storage {
            let got = manifold.storage();
            return Err(format!(
                "has a variable of {got} numbers but needs {storage}"
            ));
        }
    }
    let mut auxiliaries = shapes.auxiliaries.iter();
    for (name, numbers, needed) in numbers {
        if numbers.len() != *needed {
            let got = numbers.len();
            return Err(format!("has {got} numbers for {name} but needs {needed}"));
        }
        match numbers {
            Numbers::Constant(values) => {
                if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                    return Err(format!("has {bad} in {name}"));
                }
            }
            Numbers::Auxiliary(_) => match auxiliaries.next() {
                Some(len) if len == needed => {}
                Some(got) => {
                    return Err(format!(
                        "has an auxiliary of {got} numbers for {name} but needs {needed}"
                    ));
                }
                None => return Err(format!("has no auxiliary for {name}")),
            },
        }
    }
    match auxiliaries.count() {
        0 => Ok(()),
        more => Err(format!("has {more} auxiliaries that it does not use")),
    }
}
