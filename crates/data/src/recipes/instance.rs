//! One drawn problem family member with all its inputs.

use super::pseudo_inverse::pseudo_inverse;
use super::{Error, Recipe, Size};

/// The arrays of an [`Instance`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Diagonal of `Q`, `[n]`, not negative.
    pub q: Vec<f64>,
    /// `p`, `[n]`.
    pub p: Vec<f64>,
    /// Equality rows, `[eq, n]`, of full row rank.
    pub equality: Vec<f64>,
    /// Inputs, `[samples, eq]`: the right-hand sides of the equalities.
    pub x: Vec<f64>,
    /// Linear part of the inequality rows, `[ineq, n]`.
    pub ineq: Vec<f64>,
    /// Diagonals of the quadratic part `H_i`, `[ineq, n]`, not negative; only [`Recipe::SnareQcqp`] has them.
    pub ineq_diagonals: Option<Vec<f64>>,
    /// Upper bounds of the inequality rows, `[ineq]`.
    pub upper: Vec<f64>,
}

/// A family of problems, one per input `x`: minimise `f(y)` subject to `equality · y = x` and `g(y) ≤ upper`.
///
/// `f` is `½ yᵀQy + pᵀy` ([`Recipe::is_convex`]) or `½ yᵀQy + pᵀ sin(y)`; row `i` of `g` is `G_i y`, plus
/// `yᵀH_i y` for [`Recipe::SnareQcqp`]. All arrays are row-major. The fields may be read freely; an instance
/// made by hand goes through [`Instance::new`], which checks them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Instance {
    /// The family.
    pub recipe: Recipe,
    /// Its dimensions.
    pub size: Size,
    /// The seed it was drawn with.
    pub seed: u32,
    /// Diagonal of `Q`, `[n]`.
    pub q: Vec<f64>,
    /// `p`, `[n]`.
    pub p: Vec<f64>,
    /// Equality rows, `[eq, n]`.
    pub equality: Vec<f64>,
    /// Inputs, `[samples, eq]`.
    pub x: Vec<f64>,
    /// Linear part of the inequality rows, `[ineq, n]`.
    pub ineq: Vec<f64>,
    /// Diagonals of the quadratic part, `[ineq, n]`, for [`Recipe::SnareQcqp`] only.
    pub ineq_diagonals: Option<Vec<f64>>,
    /// Upper bounds of the inequality rows, `[ineq]`.
    pub upper: Vec<f64>,
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
        let Size {
            n,
            eq,
            ineq: m,
            samples,
        } = size;
        check("q", &parts.q, n)?;
        check("p", &parts.p, n)?;
        check("equality", &parts.equality, eq * n)?;
        check("x", &parts.x, samples * eq)?;
        check("ineq", &parts.ineq, m * n)?;
        check("upper", &parts.upper, m)?;
        check_not_negative("q", &parts.q)?;
        match (&parts.ineq_diagonals, recipe) {
            (Some(diagonals), Recipe::SnareQcqp) => {
                check("ineq_diagonals", diagonals, m * n)?;
                check_not_negative("ineq_diagonals", diagonals)?;
            }
            (None, Recipe::SnareQcqp) => return Err(quadratic_rows("missing", recipe)),
            (Some(_), _) => return Err(quadratic_rows("given", recipe)),
            (None, _) => {}
        }
        let inverse = pseudo_inverse(&parts.equality, eq, n)?;
        let Parts {
            q,
            p,
            equality,
            x,
            ineq,
            ineq_diagonals,
            upper,
        } = parts;
        Ok(Self {
            recipe,
            size,
            seed,
            q,
            p,
            equality,
            x,
            ineq,
            ineq_diagonals,
            upper,
            inverse,
        })
    }

    /// Input of one sample, `[eq]`, or `None` past the last.
    pub fn input(&self, sample: usize) -> Option<&[f64]> {
        self.x.chunks_exact(self.size.eq).nth(sample)
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
        let mut g: Vec<f64> = self.ineq.chunks_exact(n).map(|row| dot(row, y)).collect();
        if let Some(diagonals) = &self.ineq_diagonals {
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
            .zip(&self.upper)
            .map(|(g, u)| g - u);
        let off = self
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

    /// `equality⁺`, `[n, eq]`.
    pub fn equality_inverse(&self) -> &[f64] {
        &self.inverse
    }

    fn per_variable<'a, T>(
        &'a self,
        y: &'a [f64],
        term: impl Fn(f64, f64, f64) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        self.q
            .iter()
            .zip(&self.p)
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

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(u, v)| u * v).sum()
}

fn check_length(argument: &'static str, values: &[f64], need: usize) -> Result<(), Error> {
    if values.len() == need {
        Ok(())
    } else {
        Err(Error::Shape {
            argument,
            got: values.len(),
            need,
        })
    }
}

fn check(argument: &'static str, values: &[f64], need: usize) -> Result<(), Error> {
    check_length(argument, values, need)?;
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(entry) => Err(Error::Value {
            argument,
            problem: format!("entry {entry} is {}, must be finite", values[entry]),
        }),
    }
}

fn check_not_negative(argument: &'static str, values: &[f64]) -> Result<(), Error> {
    match values.iter().position(|&v| v < 0.0) {
        None => Ok(()),
        Some(entry) => Err(Error::Value {
            argument,
            problem: format!("entry {entry} is {}, must not be negative", values[entry]),
        }),
    }
}

fn quadratic_rows(state: &str, recipe: Recipe) -> Error {
    let has = if recipe == Recipe::SnareQcqp {
        "has"
    } else {
        "has no"
    };
    Error::Value {
        argument: "ineq_diagonals",
        problem: format!("{state}, but {recipe} {has} quadratic rows"),
    }
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
            .map(|i| over[i] - instance.upper[i])
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

    #[test]
    fn bad_arrays_are_refused() {
        let good = generate(Recipe::Dc3Simple, &SMALL, 1).unwrap();
        let parts = || Parts {
            q: good.q.clone(),
            p: good.p.clone(),
            equality: good.equality.clone(),
            x: good.x.clone(),
            ineq: good.ineq.clone(),
            ineq_diagonals: None,
            upper: good.upper.clone(),
        };
        let new = |parts| Instance::new(Recipe::Dc3Simple, SMALL, 1, parts);
        assert_eq!(new(parts()).unwrap(), good);
        let mut nan = parts();
        nan.x[4] = f64::NAN;
        assert!(matches!(new(nan), Err(Error::Value { argument: "x", .. })));
        let mut short = parts();
        short.upper.pop();
        assert!(matches!(
            new(short),
            Err(Error::Shape {
                argument: "upper",
                ..
            })
        ));
        let mut concave = parts();
        concave.q[0] = -1.0;
        assert!(matches!(
            new(concave),
            Err(Error::Value { argument: "q", .. })
        ));
        let mut dependent = parts();
        dependent.equality.copy_within(0..7, 7);
        assert!(matches!(
            new(dependent),
            Err(Error::RankDeficient { rank: 2, rows: 3 })
        ));
        assert!(matches!(
            Instance::new(Recipe::SnareQcqp, SMALL, 1, parts()),
            Err(Error::Value {
                argument: "ineq_diagonals",
                ..
            })
        ));
    }
}
