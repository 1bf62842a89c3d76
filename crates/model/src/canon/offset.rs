//! What an objective adds whatever the variables are: the solver's form has no place for it, and it may
//! hold squares of parameters.

use super::affine::{Affine, CONSTANT, ONE, Term};

/// `Σ value·θ[parameter]`, and quadratics of such sums.
#[derive(Debug, Default)]
pub(crate) struct Offset {
    /// (parameter entry, value)
    terms: Vec<(u32, f64)>,
    squares: Vec<Square>,
}

/// `weight · eᵀPe` of rows `e` that parameters alone make, `P` the identity where there is none.
#[derive(Debug)]
pub(super) struct Square {
    rows: usize,
    /// (row, parameter entry, value) of `e`
    terms: Vec<(u32, u32, f64)>,
    /// (place, value)
    p: Option<Vec<(u32, f64)>>,
    weight: f64,
}

impl Square {
    /// The part of a quadratic that the list of its terms leaves out: what is a square in parameters.
    /// `None` where there is none.
    pub(super) fn of(e: &Affine, p: Option<&Affine>, weights: &[(u32, f64)]) -> Option<Square> {
        let own = |t: &&Term| t.column == CONSTANT && t.parameter != ONE;
        let terms = e.terms.iter().filter(own);
        let terms: Vec<_> = terms.map(|t| (t.row, t.parameter, t.value)).collect();
        // A parameter in the weight or in P would have moved those of `e` to columns of their own.
        let weight = weights.iter().map(|(_, weight)| weight).sum();
        (!terms.is_empty()).then(|| Square {
            rows: e.rows,
            terms,
            p: p.map(|p| p.terms.iter().map(|t| (t.row, t.value)).collect()),
            weight,
        })
    }

    fn at(&self, theta: &[f64]) -> f64 {
        let mut e = vec![0.0; self.rows];
        for (row, parameter, value) in &self.terms {
            e[*row as usize] += value * theta[*parameter as usize];
        }
        let sum: f64 = match &self.p {
            None => e.iter().map(|v| v * v).sum(),
            Some(p) => p
                .iter()
                .map(|(place, value)| {
                    let (i, j) = (*place as usize / self.rows, *place as usize % self.rows);
                    value * e[i] * e[j]
                })
                .sum(),
        };
        self.weight * sum
    }
}

impl Offset {
    /// Of an objective's terms, of which those with columns count for nothing here, and its squares.
    pub(super) fn new(terms: &[Term], squares: Vec<Square>) -> Offset {
        let constants = terms.iter().filter(|t| t.column == CONSTANT);
        Offset {
            terms: constants.map(|t| (t.parameter, t.value)).collect(),
            squares,
        }
    }

    /// Its value where all parameters' entries are `theta`.
    pub(crate) fn at(&self, theta: &[f64]) -> f64 {
        let term = |(parameter, value): &(u32, f64)| match *parameter {
            ONE => *value,
            parameter => value * theta[parameter as usize],
        };
        let linear: f64 = self.terms.iter().map(term).sum();
        let squares = self.squares.iter().map(|square| square.at(theta));
        linear + squares.sum::<f64>()
    }
}
