use burn::tensor::Tensor;
use feasible_core::host;

use crate::Error;

/// One parameter of a batch of problems: a tensor whose first axis is 1 where the batch shares
/// its numbers, and `batch` where every sample has its own.
///
/// Made from a tensor of `D` axes as it is, or from one of `D − 1` axes, which is then shared.
#[derive(Debug, Clone)]
pub struct Parameter<const D: usize>(Tensor<D>);

impl<const D: usize> Parameter<D> {
    /// The tensor, `[1 or batch, ..]`.
    pub fn tensor(&self) -> &Tensor<D> {
        &self.0
    }

    /// Whether the batch shares the numbers.
    pub fn is_shared(&self) -> bool {
        self.0.dims()[0] == 1
    }

    /// Length of axis `axis`.
    pub(crate) fn length(&self, axis: usize) -> usize {
        self.0.dims()[axis]
    }

    /// Errors unless the shape is `[1 or batch]` followed by `tail`, which `layout` puts in words.
    pub(crate) fn check(
        &self,
        argument: &'static str,
        batch: usize,
        tail: &[usize],
        layout: &'static str,
    ) -> Result<(), Error> {
        let got = self.0.dims();
        if (got[0] == 1 || got[0] == batch) && got[1..] == *tail {
            return Ok(());
        }
        let leading = if batch == 1 {
            "[1]".into()
        } else {
            format!("[1 or {batch}]")
        };
        let expected = format!("{leading} followed by {tail:?} ({layout})");
        Err(feasible_core::Error::shape(argument, &got, expected).into())
    }
}

impl<const D: usize> From<Tensor<D>> for Parameter<D> {
    fn from(tensor: Tensor<D>) -> Self {
        Self(tensor)
    }
}

macro_rules! shared {
    ($($from:literal => $to:literal),*) => {$(
        impl From<Tensor<$from>> for Parameter<$to> {
            fn from(tensor: Tensor<$from>) -> Self {
                Self(host::shared(tensor))
            }
        }
    )*};
}
shared!(1 => 2, 2 => 3, 3 => 4);

/// The batch size that leading axes agree on: the largest, where 1 gives way to anything, also to
/// an empty batch.
pub(crate) fn batch_size(leading: &[usize]) -> usize {
    let own = leading.iter().copied().filter(|&length| length != 1);
    own.max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_tensor_without_a_batch_axis_is_shared() {
        let device = Device::flex();
        let full = Parameter::<3>::from(Tensor::<2>::ones([2, 3], &device));
        assert_eq!(full.tensor().dims(), [1, 2, 3]);
        assert!(full.is_shared());
        let empty = Parameter::<3>::from(Tensor::<2>::ones([0, 3], &device));
        assert_eq!(empty.tensor().dims(), [1, 0, 3]);
        let own = Parameter::<3>::from(Tensor::<3>::ones([2, 2, 3], &device));
        assert!(!own.is_shared());
    }

    #[test]
    fn one_gives_way_to_any_batch() {
        assert_eq!(batch_size(&[1, 1]), 1);
        assert_eq!(batch_size(&[1, 4, 1]), 4);
        assert_eq!(batch_size(&[1, 0]), 0);
        assert_eq!(batch_size(&[3, 4, 0]), 4);
    }
}
