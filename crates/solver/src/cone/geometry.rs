//! The cones near a solution.
//!
//! With `w = z − s` the complementary pair is `z = Π(w)`, `s = Π(w) − w`, `Π` the projection on the
//! dual cone (Moreau 1962). Where it is smooth, `DΠ` is symmetric with eigenvalues in `[0, 1]`; this
//! module writes it as `Σ t tᵀ/(1 + γ)` over orthonormal directions `t` with curvatures `γ ≥ 0`,
//! leaving out the eigenvalue 0. Active rows of linear cones are unit directions without curvature.

use crate::cone::problem::Cone;
use crate::cone::semidefinite::semidefinite;
use crate::cone::three::Three;
use crate::cone::three_rows::three_rows;
use crate::dense::{dot, max_abs};

/// Rows from which on a second-order cone's tangents are kept as a [`Sphere`].
pub(crate) const LONG: usize = 8;

/// Directions of one sample, and how far it is from the kinks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Local {
    /// Directions one by one.
    pub(crate) directions: Vec<Direction>,
    /// Directions of long second-order cones, all but the ray, kept as a whole: written one by one
    /// they would fill a sparse system.
    pub(crate) spheres: Vec<Sphere>,
    /// The smallest distance to a change of the directions' number, relative to the sizes of `s`
    /// and `z`; infinite when nothing can change.
    pub(crate) margin: f64,
    /// False at points where a cone's boundary is not smooth.
    pub(crate) smooth: bool,
}

/// Every direction orthogonal to a unit vector within the rows of one cone, with one curvature.
#[derive(Clone, Debug)]
pub(crate) struct Sphere {
    pub(crate) first: usize,
    pub(crate) axis: Vec<f64>,
    pub(crate) curvature: f64,
}

impl Sphere {
    /// Its rows.
    pub(crate) fn rows(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.axis.len()
    }
}

/// A direction within the rows of one cone.
#[derive(Clone, Debug)]
pub(crate) struct Direction {
    pub(crate) first: usize,
    pub(crate) entries: Vec<f64>,
    pub(crate) curvature: f64,
}

impl Direction {
    /// Its inner product with a vector of all rows.
    pub(crate) fn dot(&self, v: &[f64]) -> f64 {
        dot(
            &self.entries,
            &v[self.first..self.first + self.entries.len()],
        )
    }

    /// `v += factor · t`.
    pub(crate) fn add_to(&self, factor: f64, v: &mut [f64]) {
        let len = self.entries.len();
        crate::dense::axpy(factor, &self.entries, &mut v[self.first..self.first + len]);
    }
}

/// Complementary pair and directions at `w`. `s` and `z` come in as guesses (three-row cones are
/// projected on by Newton's method from there if it converges) and go out exact.
pub(crate) fn localise(cones: &[Cone], w: &[f64], s: &mut [f64], z: &mut [f64]) -> Local {
    let (primal, dual) = (1.0 + max_abs(s), 1.0 + max_abs(z));
    let mut local = Local {
        directions: Vec::new(),
        spheres: Vec::new(),
        margin: f64::INFINITY,
        smooth: true,
    };
    let mut first = 0;
    for &cone in cones {
        let rows = first..first + cone.rows();
        match cone {
            Cone::Zero(_) => {
                for row in rows.clone() {
                    (z[row], s[row]) = (w[row], 0.0);
                    local.unit(row);
                }
            }
            Cone::Nonnegative(_) => {
                for row in rows.clone() {
                    (z[row], s[row]) = (w[row].max(0.0), (-w[row]).max(0.0));
                    local.note(w[row], primal, dual);
                    if w[row] > 0.0 {
                        local.unit(row);
                    }
                }
            }
            Cone::SecondOrder(_) => {
                let range = rows.clone();
                second_order(
                    &mut local,
                    first,
                    &w[range.clone()],
                    &mut s[range.clone()],
                    &mut z[range],
                    primal,
                    dual,
                );
            }
            Cone::Semidefinite(size) => {
                let range = rows.clone();
                semidefinite(
                    &mut local,
                    (first, size),
                    &w[range.clone()],
                    (&mut s[range.clone()], primal),
                    (&mut z[range], dual),
                );
            }
            Cone::Exponential(_) | Cone::Power(_) => {
                let kind = match cone {
                    Cone::Power(alpha) => Three::Power(alpha),
                    _ => Three::Exponential,
                };
                for start in rows.clone().step_by(3) {
                    let range = start..start + 3;
                    three_rows(
                        &mut local,
                        kind,
                        start,
                        &w[range.clone()],
                        &mut s[range.clone()],
                        &mut z[range],
                        primal,
                        dual,
                    );
                }
            }
        }
        first = rows.end;
    }
    local
}

impl Local {
    /// Their number.
    pub(crate) fn count(&self) -> usize {
        let tangents = self.spheres.iter().map(|sphere| sphere.axis.len() - 1);
        self.directions.len() + tangents.sum::<usize>()
    }

    /// All directions one by one.
    pub(crate) fn explicit(&self) -> Vec<Direction> {
        let tangents = self.spheres.iter().flat_map(|sphere| {
            complement(&sphere.axis)
                .into_iter()
                .map(|entries| Direction {
                    first: sphere.first,
                    entries,
                    curvature: sphere.curvature,
                })
        });
        self.directions.iter().cloned().chain(tangents).collect()
    }

    pub(crate) fn unit(&mut self, row: usize) {
        self.directions.push(Direction {
            first: row,
            entries: vec![1.0],
            curvature: 0.0,
        });
    }

    /// Counts an eigenvalue of `w`, which is one of `z` where positive and of `s` where negative.
    pub(crate) fn note(&mut self, eigenvalue: f64, primal: f64, dual: f64) {
        let relative = if eigenvalue > 0.0 {
            eigenvalue / dual
        } else {
            -eigenvalue / primal
        };
        self.distance(relative);
    }

    pub(crate) fn distance(&mut self, relative: f64) {
        // A NaN must not pass for a safe distance.
        if !(relative >= self.margin) {
            self.margin = relative.max(0.0);
        }
    }
}

/// Eigenvalues of `w` are `w₀ ± ‖w₁‖` (Alizadeh & Goldfarb 2003, §4); the derivative of the
/// projection is that of Kanzow, Ferenczi & Fukushima 2009, lemma 2.5.
fn second_order(
    local: &mut Local,
    first: usize,
    w: &[f64],
    s: &mut [f64],
    z: &mut [f64],
    primal: f64,
    dual: f64,
) {
    let d = w.len();
    let radius = dot(&w[1..], &w[1..]).sqrt();
    local.note(w[0] + radius, primal, dual);
    if d > 1 {
        local.note(w[0] - radius, primal, dual);
    }
    if w[0] >= radius {
        z.copy_from_slice(w);
        s.fill(0.0);
        (first..first + d).for_each(|row| local.unit(row));
        return;
    }
    if w[0] <= -radius {
        z.fill(0.0);
        for (s, w) in s.iter_mut().zip(w) {
            *s = -w;
        }
        return;
    }
    let axis: Vec<f64> = w[1..].iter().map(|v| v / radius).collect();
    let (up, down) = (0.5 * (radius + w[0]), 0.5 * (radius - w[0]));
    (z[0], s[0]) = (up, down);
    for ((z, s), axis) in z[1..].iter_mut().zip(&mut s[1..]).zip(&axis) {
        (*z, *s) = (up * axis, -down * axis);
    }
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let ray = std::iter::once(half)
        .chain(axis.iter().map(|v| half * v))
        .collect();
    local.directions.push(Direction {
        first,
        entries: ray,
        curvature: 0.0,
    });
    let sphere = Sphere {
        first: first + 1,
        axis,
        curvature: down / up,
    };
    if d >= LONG {
        local.spheres.push(sphere);
        return;
    }
    for entries in complement(&sphere.axis) {
        local.directions.push(Direction {
            first: sphere.first,
            entries,
            curvature: sphere.curvature,
        });
    }
}

/// An orthonormal basis of what is orthogonal to a unit vector: the columns of the Householder
/// reflection that takes it to an axis, but for the first.
pub(crate) fn complement(unit: &[f64]) -> Vec<Vec<f64>> {
    let d = unit.len();
    let sign = if unit[0] >= 0.0 { 1.0 } else { -1.0 };
    let mut v = unit.to_vec();
    v[0] += sign;
    let norm = dot(&v, &v);
    (1..d)
        .map(|column| {
            let mut out: Vec<f64> = v.iter().map(|e| -2.0 * e * v[column] / norm).collect();
            out[column] += 1.0;
            out
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `Σ t tᵀ/(1 + γ)` against central differences of the projection itself.
    pub(crate) fn check(cones: &[Cone], w: &[f64], s: &[f64], z: &[f64]) {
        let (mut s0, mut z0) = (s.to_vec(), z.to_vec());
        let local = localise(cones, w, &mut s0, &mut z0);
        assert!(local.smooth && local.margin > 1e-3, "{local:?}");
        for i in 0..w.len() {
            assert!((z0[i] - s0[i] - w[i]).abs() < 1e-12);
        }
        assert!(dot(&s0, &z0).abs() < 1e-12);
        let step = 1e-6;
        for j in 0..w.len() {
            let at = |t: f64| {
                let mut moved = w.to_vec();
                moved[j] += t;
                let (mut s, mut z) = (s0.clone(), z0.clone());
                localise(cones, &moved, &mut s, &mut z);
                z
            };
            let (up, down) = (at(step), at(-step));
            for i in 0..w.len() {
                let mut exact = 0.0;
                for t in &local.explicit() {
                    let entry = |row: usize| {
                        row.checked_sub(t.first)
                            .and_then(|at| t.entries.get(at))
                            .copied()
                            .unwrap_or(0.0)
                    };
                    exact += entry(i) * entry(j) / (1.0 + t.curvature);
                }
                let difference = (up[i] - down[i]) / (2.0 * step);
                assert!(
                    (exact - difference).abs() < 1e-8,
                    "{cones:?} ({i}, {j}): {exact} {difference}"
                );
            }
        }
    }

    #[test]
    fn derivatives_of_the_projections() {
        check(
            &[Cone::Zero(2), Cone::Nonnegative(3)],
            &[1.0, -2.0, 0.5, -0.5, 3.0],
            &[0.0; 5],
            &[0.0; 5],
        );
        for w in [
            [0.3, 1.0, -0.5, 0.2],
            [-0.3, 0.1, 2.0, -0.4],
            [2.0, 0.5, 0.5, 0.1],
            [-2.0, 0.5, 0.5, 0.1],
        ] {
            check(&[Cone::SecondOrder(4)], &w, &[0.0; 4], &[0.0; 4]);
        }
        let long: Vec<f64> = (0..LONG).map(|i| 0.3 - 0.1 * i as f64).collect();
        check(
            &[Cone::SecondOrder(LONG)],
            &long,
            &[0.0; LONG],
            &[0.0; LONG],
        );
        check(&[Cone::SecondOrder(2)], &[0.2, -1.0], &[0.0; 2], &[0.0; 2]);
        check(&[Cone::SecondOrder(1)], &[0.2], &[0.0], &[0.0]);
    }
}
