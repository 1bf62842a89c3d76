//! How large an instance is.

use super::Error;
use serde::{Deserialize, Serialize};

/// The dimensions of an instance. The default is the published size, the same for every recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Variables `n`, at least 2.
    pub n: usize,
    /// Equality rows, at least 1 and fewer than `n`; also the length of an input `x`.
    pub eq: usize,
    /// Inequality rows, at least 1.
    pub ineq: usize,
    /// Inputs `x` drawn, at least 3.
    pub samples: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            n: 100,
            eq: 50,
            ineq: 50,
            samples: 10_000,
        }
    }
}

/// Most entries one array may have: 2³⁰, which is 8 GiB of `f64` and above what dense methods can use.
const MOST_ENTRIES: usize = 1 << 30;

impl Size {
    /// Checks the dimensions.
    ///
    /// # Errors
    /// [`Error::Size`], which names the dimension, its value and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse =
            |what: &'static str, got: usize, need: String| Err(Error::Size { what, got, need });
        if self.n < 2 {
            return refuse("n", self.n, "at least 2".into());
        }
        if self.eq < 1 {
            return refuse("eq", self.eq, "at least 1".into());
        }
        if self.eq >= self.n {
            return refuse("eq", self.eq, format!("less than n = {}", self.n));
        }
        if self.ineq < 1 {
            return refuse("ineq", self.ineq, "at least 1".into());
        }
        if self.samples < 3 {
            return refuse("samples", self.samples, "at least 3".into());
        }
        let arrays = [
            ("n", self.n, self.n),
            ("ineq", self.ineq, self.n),
            ("samples", self.samples, self.eq),
        ];
        for (what, rows, columns) in arrays {
            if rows
                .checked_mul(columns)
                .is_none_or(|entries| entries > MOST_ENTRIES)
            {
                let need = format!(
                    "at most {} beside {columns} columns",
                    MOST_ENTRIES / columns
                );
                return refuse(what, rows, need);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_size_is_valid() {
        assert!(Size::default().validate().is_ok());
    }

    #[test]
    fn each_bad_dimension_is_named() {
        let good = Size {
            n: 4,
            eq: 2,
            ineq: 1,
            samples: 3,
        };
        assert!(good.validate().is_ok());
        let cases = [
            (Size { n: 1, ..good }, "n"),
            (Size { eq: 0, ..good }, "eq"),
            (Size { eq: 4, ..good }, "eq"),
            (Size { ineq: 0, ..good }, "ineq"),
            (Size { samples: 2, ..good }, "samples"),
            (
                Size {
                    n: usize::MAX,
                    ..good
                },
                "n",
            ),
            (
                Size {
                    samples: usize::MAX,
                    ..good
                },
                "samples",
            ),
        ];
        for (size, expected) in cases {
            match size.validate() {
                Err(Error::Size { what, .. }) => assert_eq!(what, expected),
                other => panic!("{size:?} gave {other:?}"),
            }
        }
    }
}
