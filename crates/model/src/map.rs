//! Affine maps from the parameters to the numbers of a solver's problem.

use crate::canon::ONE;

/// `data = constant + Σ value · θ[parameter]`, sparse.
#[derive(Clone, Debug, Default)]
pub(crate) struct AffineMap {
    constant: Vec<f64>,
    /// (entry, parameter entry, value)
    terms: Vec<(u32, u32, f64)>,
    /// The parameters that occur, by leaf.
    leaves: Vec<bool>,
}

impl AffineMap {
    /// From a constant and (entry, parameter entry, value); `owners` says which parameter an entry
    /// of all parameters belongs to.
    pub(crate) fn new(
        mut constant: Vec<f64>,
        all: impl IntoIterator<Item = (usize, u32, f64)>,
        owners: &[u32],
    ) -> AffineMap {
        let mut terms = Vec::new();
        let count = owners.last().map_or(0, |last| *last as usize + 1);
        let mut leaves = vec![false; count];
        for (entry, parameter, value) in all {
            if parameter == ONE {
                constant[entry] += value;
            } else {
                leaves[owners[parameter as usize] as usize] = true;
                terms.push((entry as u32, parameter, value));
            }
        }
        AffineMap {
            constant,
            terms,
            leaves,
        }
    }

    /// The map with constants behind its own entries.
    pub(crate) fn extended(&self, constants: &[f64]) -> AffineMap {
        let mut map = self.clone();
        map.constant.extend_from_slice(constants);
        map
    }

    /// The map with entry `e` at `place(e)` of `len`, ones elsewhere.
    pub(crate) fn moved(&self, len: usize, place: &[usize]) -> AffineMap {
        let mut constant = vec![1.0; len];
        for (at, v) in place.iter().zip(&self.constant) {
            constant[*at] = *v;
        }
        let terms = self.terms.iter();
        AffineMap {
            constant,
            terms: terms
                .map(|(entry, parameter, v)| (place[*entry as usize] as u32, *parameter, *v))
                .collect(),
            leaves: self.leaves.clone(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.constant.len()
    }

    /// Whether a parameter occurs.
    pub(crate) fn uses(&self, leaf: usize) -> bool {
        self.leaves.get(leaf).copied().unwrap_or(false)
    }

    /// Whether one of some parameters occurs.
    pub(crate) fn uses_any(&self, wanted: &[bool]) -> bool {
        self.leaves
            .iter()
            .zip(wanted)
            .any(|(used, wanted)| *used && *wanted)
    }

    /// Writes the data at `theta`.
    pub(crate) fn evaluate(&self, theta: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.constant);
        for (entry, parameter, value) in &self.terms {
            out[*entry as usize] += value * theta[*parameter as usize];
        }
    }

    /// Writes how the data moves with the parameters.
    pub(crate) fn differential(&self, theta: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (entry, parameter, value) in &self.terms {
            out[*entry as usize] += value * theta[*parameter as usize];
        }
    }

    /// Adds the transpose's product with a gradient.
    pub(crate) fn pullback(&self, gradient: &[f64], theta: &mut [f64]) {
        for (entry, parameter, value) in &self.terms {
            theta[*parameter as usize] += value * gradient[*entry as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ⟨M θ, g⟩ = ⟨θ, Mᵀ g⟩.
    #[test]
    fn the_pullback_is_the_transpose() {
        let map = AffineMap::new(
            vec![1.0, -2.0, 0.5],
            [(0, 1, 2.0), (2, 0, -3.0), (2, 1, 0.25), (1, ONE, 4.0)],
            &[0, 1],
        );
        assert!(map.uses(0) && map.uses(1));
        let (theta, g) = ([0.7, -1.3], [0.2, 5.0, -0.4]);
        let mut out = [0.0; 3];
        map.evaluate(&theta, &mut out);
        let (mut zero, mut moved) = ([0.0; 3], [7.0; 3]);
        map.evaluate(&[0.0; 2], &mut zero);
        assert_eq!(zero, [1.0, 2.0, 0.5]);
        map.differential(&theta, &mut moved);
        for i in 0..3 {
            assert!((out[i] - zero[i] - moved[i]).abs() < 1e-15);
        }
        let mut back = [0.0; 2];
        map.pullback(&g, &mut back);
        let left: f64 = (0..3).map(|i| (out[i] - zero[i]) * g[i]).sum();
        let right: f64 = (0..2).map(|i| theta[i] * back[i]).sum();
        assert!((left - right).abs() < 1e-15);
    }
}
