//! Which variables are kept and which are computed.

use burn::tensor::{Int, Tensor, TensorData};
use faer::MatRef;
use feasible_core::Error;

/// The variables in two parts, each in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    /// Kept from the input.
    pub(super) partial: Vec<usize>,
    /// Computed, one for each equality row.
    pub(super) other: Vec<usize>,
}

impl Partition {
    /// The given variables are kept.
    pub(super) fn given(partial: &[usize], equalities: usize, n: usize) -> Result<Self, Error> {
        let mut sorted = partial.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let fits = sorted.len() == partial.len()
            && sorted.len() + equalities == n
            && sorted.last().is_none_or(|&last| last < n);
        if !fits {
            return Err(Error::Setting {
                setting: "partial",
                got: format!("{partial:?}"),
                expected: "distinct variables, as many as there are more variables than equality rows",
            });
        }
        let other = (0..n)
            .filter(|j| sorted.binary_search(j).is_err())
            .collect();
        Ok(Self {
            partial: sorted,
            other,
        })
    }

    /// The first columns that pivoting takes are computed: greedily those that keep their block far
    /// from singular. `jacobian` is row-major `[rows, n]`, the equality rows of one sample or those of several
    /// one below the other.
    pub(super) fn chosen(jacobian: &[f64], equalities: usize, n: usize) -> Self {
        let rows = jacobian.len() / n.max(1);
        let stacked = MatRef::from_row_major_slice(jacobian, rows, n);
        // Columns have the same lengths and angles in the triangle of a tall matrix.
        let qr = match rows > n {
            true => stacked.qr().thin_R().col_piv_qr(),
            false => stacked.col_piv_qr(),
        };
        let (order, _) = qr.P().arrays();
        let mut other = order[..equalities.min(n)].to_vec();
        other.sort_unstable();
        let partial = (0..n).filter(|j| other.binary_search(j).is_err()).collect();
        Self { partial, other }
    }

    /// Both parts put together: `partial` and `other` `[batch, ·]` to `[batch, n]`.
    pub(super) fn join(&self, partial: Tensor<2>, other: Tensor<2>) -> Tensor<2> {
        let mut place = vec![0; self.partial.len() + self.other.len()];
        for (at, &variable) in self.partial.iter().chain(&self.other).enumerate() {
            place[variable] = at;
        }
        pick(Tensor::cat(vec![partial, other], 1), 1, &place)
    }
}

/// The entries `indices` of an axis, in that order.
pub(super) fn pick<const D: usize>(tensor: Tensor<D>, axis: usize, indices: &[usize]) -> Tensor<D> {
    let indices: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
    let data = TensorData::new(indices.clone(), [indices.len()]);
    let device = tensor.device();
    tensor.select(axis, Tensor::<1, Int>::from_data(data, &device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pivots_avoid_a_singular_block() {
        // Columns 0 and 1 are parallel, column 3 is tiny.
        let a = [1.0, 2.0, 0.5, 1e-9, 2.0, 4.0, 3.0, 0.0];
        let partition = Partition::chosen(&a, 2, 4);
        assert_eq!(partition.other, [1, 2]);
        assert_eq!(partition.partial, [0, 3]);
        // The same twice and thrice, one below the other.
        for times in [2, 3] {
            assert_eq!(Partition::chosen(&a.repeat(times), 2, 4), partition);
        }
    }

    #[test]
    fn given_variables_are_checked() {
        assert_eq!(Partition::given(&[3, 1], 2, 4).unwrap().other, [0, 2]);
        for bad in [&[1][..], &[1, 1], &[1, 4], &[0, 1, 2]] {
            assert!(Partition::given(bad, 2, 4).is_err(), "{bad:?}");
        }
    }
}
