//! Where the numbers of one parameter live: shared by the batch, or one copy per sample.

/// Where a parameter's numbers live: one copy for the batch, or one per sample.
///
/// All data is row-major `f64`. A parameter of length `len` holds `len` numbers when shared and
/// `batch · len` when given per sample, sample after sample.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// One copy that every sample of the batch uses.
    Shared(&'a [f64]),
    /// One copy per sample: `[batch, len]`.
    PerSample(&'a [f64]),
}

impl<'a> Values<'a> {
    /// The `len` numbers that sample `i` uses.
    ///
    /// # Panics
    /// When the slice is shorter than validated data would be; [`crate::solve`] and
    /// [`crate::adjoint`] check lengths first and return [`crate::Error::Shape`].
    pub fn sample(&self, i: usize, len: usize) -> &'a [f64] {
        match self {
            Values::Shared(data) => &data[..len],
            Values::PerSample(data) => &data[i * len..(i + 1) * len],
        }
    }

    /// Whether one copy serves the whole batch.
    pub fn is_shared(&self) -> bool {
        matches!(self, Values::Shared(_))
    }

    /// All numbers, as they are stored.
    pub fn data(&self) -> &'a [f64] {
        match self {
            Values::Shared(data) | Values::PerSample(data) => data,
        }
    }

    /// How many numbers the parameter must hold: `len` when shared, `batch · len` otherwise.
    pub(crate) fn expected(&self, batch: usize, len: usize) -> usize {
        if self.is_shared() {
            len
        } else {
            batch.saturating_mul(len)
        }
    }
}

/// A batch of symmetric matrices: dense row-major, or only the diagonal.
#[derive(Clone, Copy, Debug)]
pub enum Symmetric<'a> {
    /// Full matrices, `[n, n]` row-major each; must be symmetric.
    Dense(Values<'a>),
    /// Diagonals, `[n]` each.
    Diagonal(Values<'a>),
}

impl<'a> Symmetric<'a> {
    /// The numbers, whichever the form.
    pub fn values(&self) -> Values<'a> {
        match self {
            Symmetric::Dense(values) | Symmetric::Diagonal(values) => *values,
        }
    }

    /// Whether only diagonals are stored.
    pub fn is_diagonal(&self) -> bool {
        matches!(self, Symmetric::Diagonal(_))
    }

    /// Numbers stored for one matrix: `n` or `n²`.
    pub fn entries(&self, n: usize) -> usize {
        if self.is_diagonal() {
            n
        } else {
            n.saturating_mul(n)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_picks_the_right_rows() {
        let data = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(Values::PerSample(&data).sample(1, 2), &[3.0, 4.0]);
        assert_eq!(Values::Shared(&data[..2]).sample(1, 2), &[1.0, 2.0]);
        assert_eq!(Values::PerSample(&data).expected(2, 2), 4);
        assert_eq!(Values::Shared(&data).expected(7, 4), 4);
        assert_eq!(Symmetric::Diagonal(Values::Shared(&data)).entries(4), 4);
        assert_eq!(Symmetric::Dense(Values::Shared(&data)).entries(2), 4);
    }
}
