//! One drawn problem family member with all its inputs.

use super::parts::check_length;
use super::pseudo_inverse::pseudo_inverse;
use super::{Error, Parts, Recipe, Size};

/// A family of problems, one per input `x`: minimise `f(y)` subject to `equality · y = x` and `g(y) ≤ upper`.
///
/// `f` is `½ yᵀQy + pᵀy` ([`Recipe::is_convex`]) or `½ yᵀQy + pᵀ sin(y)`; row `i` of `g` is `G_i y`, plus
/// `yᵀH_i y` for [`Recipe::SnareQcqp`]. All arrays are row-major.
///
/// An instance cannot be changed, so that what is derived from its arrays stays true: [`Instance::parts`] reads
/// them, and an altered instance is made by [`Instance::new`], which checks them.
///
/// ```
/// use feasible_data::{Instance, Recipe, Size, generate};
///
/// # fn main() -> Result<(), feasible_data::Error> {
/// let size = Size { n: 8, eq: 3, ineq: 4, samples: 10 };
/// let drawn = generate(Recipe::Dc3Simple, &size, 17)?;
/// let mut parts = drawn.parts().clone();
/// parts.upper.iter_mut().for_each(|bound| *bound += 1.0);
/// let looser = Instance::new(drawn.recipe(), drawn.size(), drawn.seed(), parts)?;
/// # assert_eq!(looser.parts().upper[0], drawn.parts().upper[0] + 1.0);
/// # Ok(()) }
/// ```
///
/// ```compile_fail
/// # use feasible_data::{Recipe, Size, generate};
/// let mut drawn = generate(Recipe::Dc3Simple, &Size::default(), 17).unwrap();
/// drawn.parts.equality[0] = 1.0; // The pseudo-inverse behind `start` would be another matrix's.
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    recipe: Recipe,
    size: Size,
    seed: u32,
    parts: Parts,
    /// Pseudo-inverse of the equality rows, `[n, eq]`.
    inverse: Vec<f64>,
}

impl Instance {
    /// Checks the arrays and keeps the pseudo-inverse of the equality rows.
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Shape`], [`Error::Value`] for entries that are not finite, for a negative
    /// `q` or `ineq_diagonals` and for quadratic rows where the recipe has none (or the reverse),
    /// [`Error::RankDeficient`].
    pub fn new(recipe: Recipe, size: Size, seed: u32, parts: Parts) -> Result<Self, Error> {
        size.validate()?;
        parts.validate(recipe, &size)?;
        let inverse = pseudo_inverse(&parts.equality, size.eq, size.n)?;
        Ok(Self {
            recipe,
            size,
            seed,
            parts,
            inverse,
        })
    }

    /// The family.
    pub fn recipe(&self) -> Recipe {
        self.recipe
    }

    /// The dimensions.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The seed it was drawn with.
    pub fn seed(&self) -> u32 {
        self.seed
    }

    /// The arrays.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Input of one sample, `[eq]`, or `None` past the last.
    pub fn input(&self, sample: usize) -> Option<&[f64]> {
        self.parts.x.chunks_exact(self.size.eq).nth(sample)
    }

    /// `f(y)` at a point `[n]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where `y` has not `n` entries.
    pub fn objective(&self, y: &[f64]) -> Result<f64, Error> {
        self.check_point(y)?;
        let convex = self.recipe.is_convex();
        Ok(self
            .per_variable(y, |q, p, v| {
                let carrier = if convex { v } else { v.sin() };
                0.5 * q * v * v + p * carrier
            })
            .sum())
    }

    /// `∇f(y)`, `[n]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where `y` has not `n` entries.
    pub fn objective_gradient(&self, y: &[f64]) -> Result<Vec<f64>, Error> {
        self.check_point(y)?;
        let convex = self.recipe.is_convex();
        Ok(self
            .per_variable(y, |q, p, v| {
                let slope = if convex { 1.0 } else { v.cos() };
                q * v + p * slope
            })
            .collect())
    }

    /// Diagonal of `∇²f(y)`, `[n]`; `f` is a sum over the variables, so there is nothing beside it.
    ///
    /// # Errors
    /// [`Error::Shape`] where `y` has not `n` entries.
    pub fn objective_hessian_diagonal(&self, y: &[f64]) -> Result<Vec<f64>, Error> {
        self.check_point(y)?;
        let convex = self.recipe.is_convex();
        Ok(self
            .per_variable(y, |q, p, v| if convex { q } else { q - p * v.sin() })
            .collect())
    }

    /// The inequality rows `g(y)`, `[ineq]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where `y` has not `n` entries.
    pub fn inequality(&self, y: &[f64]) -> Result<Vec<f64>, Error> {
        self.check_point(y)?;
        let n = self.size.n;
        let mut g: Vec<f64> = self
            .parts
            .ineq
            .chunks_exact(n)
            .map(|row| dot(row, y))
            .collect();
        if let Some(diagonals) = &self.parts.ineq_diagonals {
            for (value, row) in g.iter_mut().zip(diagonals.chunks_exact(n)) {
                *value += row.iter().zip(y).map(|(d, v)| d * v * v).sum::<f64>();
            }
        }
        Ok(g)
    }

    /// The largest absolute amount by which `y` misses a constraint of input `x`; 0 where it meets all.
    ///
    /// # Errors
    /// [`Error::Shape`] where `x` has not `eq` entries or `y` not `n`.
    pub fn violation(&self, x: &[f64], y: &[f64]) -> Result<f64, Error> {
        self.check_input(x)?;
        let over = self
            .inequality(y)?
            .into_iter()
            .zip(&self.parts.upper)
            .map(|(g, u)| g - u);
        let off = self
            .parts
            .equality
            .chunks_exact(self.size.n)
            .zip(x)
            .map(|(row, target)| (dot(row, y) - target).abs());
        // `f64::max` drops NaN; a point with NaN violates without bound.
        Ok(over.chain(off).fold(0.0, |worst: f64, v| {
            if v.is_nan() {
                f64::INFINITY
            } else {
                worst.max(v)
            }
        }))
    }

    /// `equality⁺ x`, `[n]`: the shortest point with `equality · y = x`, and by construction of the bounds
    /// feasible for every input of the instance. The authors' solvers start here.
    ///
    /// # Errors
    /// [`Error::Shape`] where `x` has not `eq` entries.
    pub fn start(&self, x: &[f64]) -> Result<Vec<f64>, Error> {
        self.check_input(x)?;
        Ok(self
            .inverse
            .chunks_exact(self.size.eq)
            .map(|row| dot(row, x))
            .collect())
    }

    fn per_variable<'a, T>(
        &'a self,
        y: &'a [f64],
        term: impl Fn(f64, f64, f64) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        self.parts
            .q
            .iter()
            .zip(&self.parts.p)
            .zip(y)
            .map(move |((&q, &p), &v)| term(q, p, v))
    }

    fn check_point(&self, y: &[f64]) -> Result<(), Error> {
        check_length("y", y, self.size.n)
    }

    fn check_input(&self, x: &[f64]) -> Result<(), Error> {
        check_length("x", x, self.size.eq)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(u, v)| u * v).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::generate;

    const SMALL: Size = Size {
        n: 7,
        eq: 3,
        ineq: 4,
        samples: 12,
    };

    /// Central differences with step 1e-5: the third derivatives are at most 1, so truncation is under 1e-10
    /// and rounding about 1e-10 (values near 10).
    #[test]
    fn derivatives_agree_with_central_differences() {
        for recipe in Recipe::ALL {
            let instance = generate(recipe, &SMALL, 5).unwrap();
            for sample in 0..SMALL.samples {
                let y = instance.start(instance.input(sample).unwrap()).unwrap();
                let gradient = instance.objective_gradient(&y).unwrap();
                let hessian = instance.objective_hessian_diagonal(&y).unwrap();
                for j in 0..SMALL.n {
                    let step = 1e-5;
                    let (mut up, mut down) = (y.clone(), y.clone());
                    up[j] += step;
                    down[j] -= step;
                    let slope = (instance.objective(&up).unwrap()
                        - instance.objective(&down).unwrap())
                        / (2.0 * step);
                    assert!(
                        (slope - gradient[j]).abs() < 1e-8,
                        "{recipe} sample {sample} entry {j}"
                    );
                    let slopes = (
                        instance.objective_gradient(&up).unwrap(),
                        instance.objective_gradient(&down).unwrap(),
                    );
                    for k in 0..SMALL.n {
                        let curvature = (slopes.0[k] - slopes.1[k]) / (2.0 * step);
                        let want = if j == k { hessian[j] } else { 0.0 };
                        assert!(
                            (curvature - want).abs() < 1e-8,
                            "{recipe} sample {sample} {j},{k}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_start_is_feasible_for_every_sample() {
        for recipe in Recipe::ALL {
            for seed in 0..5 {
                let instance = generate(recipe, &SMALL, seed).unwrap();
                for sample in 0..SMALL.samples {
                    let x = instance.input(sample).unwrap();
                    let y = instance.start(x).unwrap();
                    // Rounding of A(A⁺x) only: condition numbers stay under 1e3 here.
                    assert!(
                        instance.violation(x, &y).unwrap() < 1e-12,
                        "{recipe} seed {seed}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_start_follows_altered_equality_rows() {
        let drawn = generate(Recipe::Dc3Simple, &SMALL, 1).unwrap();
        let mut parts = drawn.parts().clone();
        parts.equality[0] += 0.5;
        let altered = Instance::new(drawn.recipe(), drawn.size(), drawn.seed(), parts).unwrap();
        let x = altered.input(0).unwrap();
        let y = altered.start(x).unwrap();
        let met = dot(&altered.parts().equality[..SMALL.n], &y) - x[0];
        assert!(met.abs() < 1e-13, "the first row is off by {met:e}");
    }

    #[test]
    fn violation_sees_each_kind_of_miss() {
        let instance = generate(Recipe::SnareQcqp, &SMALL, 1).unwrap();
        let x = instance.input(0).unwrap();
        let y = instance.start(x).unwrap();
        let mut target = x.to_vec();
        target[1] += 0.25;
        assert!((instance.violation(&target, &y).unwrap() - 0.25).abs() < 1e-12);
        let far: Vec<f64> = y.iter().map(|v| v * 1e3).collect();
        let over = instance.inequality(&far).unwrap();
        let worst = (0..SMALL.ineq)
            .map(|i| over[i] - instance.parts().upper[i])
            .fold(0.0, f64::max);
        assert!(instance.violation(&target, &far).unwrap() >= worst && worst > 0.0);
        assert_eq!(
            instance.violation(x, &[f64::NAN; 7]).unwrap(),
            f64::INFINITY
        );
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let instance = generate(Recipe::Dc3Simple, &SMALL, 1).unwrap();
        assert!(matches!(
            instance.objective(&[0.0; 6]),
            Err(Error::Shape {
                got: 6,
                need: 7,
                ..
            })
        ));
        assert!(matches!(
            instance.start(&[0.0; 4]),
            Err(Error::Shape {
                got: 4,
                need: 3,
                ..
            })
        ));
        assert!(instance.input(SMALL.samples).is_none());
    }
}
