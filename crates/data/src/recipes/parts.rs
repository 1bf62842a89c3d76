//! The arrays that make an instance, and what they must be.

use super::{Error, Recipe, Size};

/// The arrays of an [`Instance`](crate::Instance), row-major.
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

impl Parts {
    /// Checks lengths and entries; whether the equality rows are dependent is left to their inverse.
    pub(super) fn validate(&self, recipe: Recipe, size: &Size) -> Result<(), Error> {
        let Size {
            n,
            eq,
            ineq: m,
            samples,
        } = *size;
        check("q", &self.q, n)?;
        check("p", &self.p, n)?;
        check("equality", &self.equality, eq * n)?;
        check("x", &self.x, samples * eq)?;
        check("ineq", &self.ineq, m * n)?;
        check("upper", &self.upper, m)?;
        check_not_negative("q", &self.q)?;
        match (&self.ineq_diagonals, recipe) {
            (Some(diagonals), Recipe::SnareQcqp) => {
                check("ineq_diagonals", diagonals, m * n)?;
                check_not_negative("ineq_diagonals", diagonals)
            }
            (None, Recipe::SnareQcqp) => Err(quadratic_rows("missing", recipe)),
            (Some(_), _) => Err(quadratic_rows("given", recipe)),
            (None, _) => Ok(()),
        }
    }
}

pub(super) fn check_length(
    argument: &'static str,
    values: &[f64],
    need: usize,
) -> Result<(), Error> {
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
    use crate::recipes::{Instance, generate};

    const SMALL: Size = Size {
        n: 7,
        eq: 3,
        ineq: 4,
        samples: 12,
    };

    #[test]
    fn bad_arrays_are_refused() {
        let good = generate(Recipe::Dc3Simple, &SMALL, 1).unwrap();
        let parts = || good.parts().clone();
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
