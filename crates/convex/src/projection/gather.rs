use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};

/// Picking entries along an axis, by the cheapest operation that does it.
pub(super) trait Gather {
    /// The entries `indices` of `axis`, in that order. `indices` is not empty.
    fn gather_axis(self, axis: usize, indices: &[usize]) -> Self;
}

impl<const D: usize> Gather for Tensor<D> {
    fn gather_axis(self, axis: usize, indices: &[usize]) -> Self {
        match run(indices) {
            Some(range) if range.len() == self.dims()[axis] => self,
            Some(range) => self.narrow(axis, range.start, range.len()),
            None => {
                let count = indices.len();
                let indices: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
                let data = TensorData::new(indices, [count]);
                let indices = Tensor::<1, Int>::from_data(data, &self.device());
                self.select(axis, indices)
            }
        }
    }
}

/// The range that `indices` count through, if they do.
fn run(indices: &[usize]) -> Option<Range<usize>> {
    let start = *indices.first()?;
    let counts = indices
        .iter()
        .enumerate()
        .all(|(i, &index)| index == start + i);
    counts.then(|| start..start + indices.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use feasible_core::host::read;

    #[test]
    fn all_three_ways_pick_the_named_entries() {
        let x = Tensor::<2>::from_data([[0.0, 1.0, 2.0, 3.0]], &Device::flex());
        for indices in [&[0, 1, 2, 3][..], &[1, 2], &[2], &[3, 0, 2], &[1, 3]] {
            let expected: Vec<f64> = indices.iter().map(|&i| i as f64).collect();
            assert_eq!(
                read("x", &x.clone().gather_axis(1, indices)).unwrap(),
                expected
            );
        }
    }
}
