use burn::tensor::{Int, Tensor};
use feasible_core::host;
use feasible_solver::{NotSemidefinite, Sparse, Values, check_symmetric};

use crate::Error;
use crate::parameter::Parameter;

/// Sparse matrices of one pattern, one for the batch or one per sample; the places of the entries
/// are fixed, their numbers are a tensor.
#[derive(Debug, Clone)]
pub struct SparseMatrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) starts: Vec<usize>,
    pub(crate) indices: Vec<usize>,
    pub(crate) values: Parameter<2>,
    /// The whole of the symmetric matrices whose upper triangle this is, `[1 or batch, n, n]`.
    whole: Option<Tensor<3>>,
}

impl SparseMatrix {
    /// A matrix by columns: `starts[j]..starts[j + 1]` are the places of column `j`'s entries in
    /// `indices`, their rows, ascending, and in `values`, `[entries]` or `[1 or batch, entries]`.
    ///
    /// The pattern is checked when a layer is called.
    pub fn new(
        shape: [usize; 2],
        starts: Vec<usize>,
        indices: Vec<usize>,
        values: impl Into<Parameter<2>>,
    ) -> Self {
        Self {
            rows: shape[0],
            columns: shape[1],
            starts,
            indices,
            values: values.into(),
            whole: None,
        }
    }

    /// Every entry of `[m, n]` or `[1 or batch, m, n]`, zeros included.
    pub fn dense(matrix: impl Into<Parameter<3>>) -> Self {
        let matrix = matrix.into();
        let [copies, rows, columns] = matrix.tensor().dims();
        let starts = (0..=columns).map(|column| column * rows).collect();
        let indices = (0..columns).flat_map(|_| 0..rows).collect();
        let by_columns = matrix.tensor().clone().swap_dims(1, 2);
        Self::new([rows, columns], starts, indices, flat(by_columns, copies))
    }

    /// The upper triangle of symmetric matrices, `[n, n]` or `[1 or batch, n, n]`, zeros included.
    /// Their gradients are symmetric: each of two mirrored entries gets half of what moving both
    /// does. A layer refuses matrices whose mirrored entries differ by more than rounding.
    pub fn upper_triangle(matrix: impl Into<Parameter<3>>) -> Self {
        let matrix = matrix.into();
        let [copies, rows, columns] = matrix.tensor().dims();
        let full = matrix.tensor().clone();
        if rows != columns || full.shape().num_elements() == 0 {
            // The layer says what is wrong with it.
            return Self::dense(matrix);
        }
        let symmetric = (full.clone() + full.clone().swap_dims(1, 2)).mul_scalar(0.5);
        let mut starts = vec![0];
        let (mut indices, mut places) = (vec![], vec![]);
        for column in 0..columns {
            indices.extend(0..=column);
            places.extend((0..=column).map(|row| (row * columns + column) as i64));
            starts.push(indices.len());
        }
        let places = Tensor::<1, Int>::from_data(&places[..], &symmetric.device());
        let values = flat(symmetric, copies).select(1, places);
        Self {
            whole: Some(full),
            ..Self::new([rows, columns], starts, indices, values)
        }
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.indices.len()
    }

    pub(crate) fn check(&self, argument: &'static str, batch: usize) -> Result<(), Error> {
        self.values.check(
            argument,
            batch,
            &[self.entries()],
            "one number an entry of the pattern",
        )
    }

    /// Errors unless what [`SparseMatrix::upper_triangle`] was made of is symmetric up to rounding.
    pub(crate) fn check_symmetry(
        &self,
        argument: &'static str,
        rounding: f64,
    ) -> Result<(), Error> {
        let Some(whole) = &self.whole else {
            return Ok(());
        };
        let [copies, n, _] = whole.dims();
        let data = host::borrow(argument, whole)?;
        for (copy, matrix) in data.chunks_exact(n * n).enumerate() {
            let found = check_symmetric(matrix, n, rounding);
            if let Err(NotSemidefinite::Asymmetric {
                row,
                column,
                difference,
            }) = found
            {
                return Err(Error::Solver(feasible_solver::Error::Asymmetric {
                    argument,
                    sample: (copies > 1).then_some(copy),
                    index: 0,
                    row,
                    column,
                    difference,
                }));
            }
        }
        Ok(())
    }

    /// An error that names a place among the entries, naming row and column instead, after the sample where
    /// each has its own.
    pub(crate) fn placed(&self, mut error: Error) -> Error {
        if let Error::Core(feasible_core::Error::NonFinite { index, .. }) = &mut error
            && let [sample, place] = index[..]
        {
            let row = self.indices[place];
            let column = self.starts.partition_point(|start| *start <= place);
            let column = column.saturating_sub(1);
            *index = match self.values.is_shared() {
                true => vec![row, column],
                false => vec![sample, row, column],
            };
        }
        error
    }

    pub(crate) fn with<'a>(&'a self, values: Values<'a>) -> Sparse<'a> {
        Sparse {
            rows: self.rows,
            columns: self.columns,
            starts: &self.starts,
            indices: &self.indices,
            values,
        }
    }
}

/// `[copies, all the rest]`; Burn reads a 0 in a new shape as "this axis as it was".
fn flat(tensor: Tensor<3>, copies: usize) -> Tensor<2> {
    let entries = tensor.dims()[1] * tensor.dims()[2];
    if copies * entries == 0 {
        return host::write(vec![], [copies, entries], &tensor.device(), tensor.dtype());
    }
    tensor.reshape([copies, entries])
}
