use std::sync::{Arc, OnceLock};

use burn::tensor::{DType, Tensor};

use crate::{Error, host};

/// The second-order part of a block of rows.
#[derive(Debug, Clone)]
pub enum Curvature {
    /// The rows are affine.
    None,
    /// Diagonals of the matrices H_i, `[1 or batch, m, n]`.
    Diagonal(Tensor<3>),
    /// Symmetric matrices H_i, `[1 or batch, m, n, n]`.
    Dense(Tensor<4>),
}

/// How far mirrored entries of a symmetric matrix may be apart, as a share of its largest entry: far
/// above the rounding of forming MᵀM in the tensor's precision, far below a modelling mistake. In
/// f64 that of `feasible_solver`.
fn symmetry_tolerance(dtype: DType) -> f64 {
    f64::max(1e-10, 100.0 * host::rounding(dtype))
}

/// Rows g_i(y) = yᵀH_i y + a_iᵀy, without the ½, as quadratic constraints are published.
///
/// A leading 1 in a shape means that the batch shares the numbers.
#[derive(Debug, Clone)]
pub struct Block {
    linear: Tensor<3>,
    curvature: Curvature,
    host: Arc<OnceLock<Arc<HostBlock>>>,
}

/// A block's numbers on the host, row-major, for layers that compute there.
#[derive(Debug, PartialEq)]
pub struct HostBlock {
    /// Number of rows, m.
    pub rows: usize,
    /// Number of variables, n.
    pub variables: usize,
    /// The rows a_i, `[1 or batch, m, n]`.
    pub linear: Vec<f64>,
    /// Whether `linear` is one copy for the batch.
    pub linear_shared: bool,
    /// The second-order part.
    pub curvature: HostCurvature,
}

/// [`Curvature`] on the host; each with whether the batch shares it.
#[derive(Debug, PartialEq)]
pub enum HostCurvature {
    /// Affine rows.
    None,
    /// Diagonals, `[1 or batch, m, n]`.
    Diagonal(Vec<f64>, bool),
    /// Matrices, `[1 or batch, m, n, n]`.
    Dense(Vec<f64>, bool),
}

impl Block {
    /// A block from its parts.
    ///
    /// # Errors
    /// If shapes disagree, or a dense H_i is not symmetric: the Jacobian 2H_i y + a_i is that of
    /// symmetric matrices alone. Dense ones are read for that; other numbers are checked when they
    /// are first read ([`Block::on_host`]).
    pub fn new(linear: Tensor<3>, curvature: Curvature) -> Result<Self, Error> {
        let [b, m, n] = linear.dims();
        let check = |argument, got: &[usize], tail: &[usize]| {
            let batch_fits = got[0] == 1 || b == 1 || got[0] == b;
            if batch_fits && got[1..] == *tail {
                Ok(())
            } else {
                Err(Error::shape(
                    argument,
                    got,
                    format!("[1 or {b}] followed by {tail:?}"),
                ))
            }
        };
        match &curvature {
            Curvature::None => {}
            Curvature::Diagonal(h) => check("h", &h.dims(), &[m, n])?,
            Curvature::Dense(h) => {
                check("h", &h.dims(), &[m, n, n])?;
                check_symmetry(h)?;
            }
        }
        Ok(Self {
            linear,
            curvature,
            host: Arc::default(),
        })
    }

    /// The rows a_i, `[1 or batch, m, n]`.
    pub fn linear(&self) -> &Tensor<3> {
        &self.linear
    }

    /// The second-order part.
    pub fn curvature(&self) -> &Curvature {
        &self.curvature
    }

    /// Number of rows, m.
    pub fn rows(&self) -> usize {
        self.linear.dims()[1]
    }

    /// Number of variables, n.
    pub fn variables(&self) -> usize {
        self.linear.dims()[2]
    }

    /// Whether a gradient of the block's own numbers will be asked for.
    pub fn is_tracked(&self) -> bool {
        self.linear.is_tracked()
            || match &self.curvature {
                Curvature::None => false,
                Curvature::Diagonal(h) => h.is_tracked(),
                Curvature::Dense(h) => h.is_tracked(),
            }
    }

    /// The numbers on the host, read once however often the block is cloned. Dense matrices are made
    /// symmetric to the last bit: in f32 their rounding is more than a computation in f64 allows.
    ///
    /// # Errors
    /// If an entry is not finite or the device cannot be read.
    pub fn on_host(&self) -> Result<Arc<HostBlock>, Error> {
        if let Some(host) = self.host.get() {
            return Ok(host.clone());
        }
        let shared = |batch: usize| batch == 1;
        let curvature = match &self.curvature {
            Curvature::None => HostCurvature::None,
            Curvature::Diagonal(h) => {
                HostCurvature::Diagonal(host::read_finite("h", h)?, shared(h.dims()[0]))
            }
            Curvature::Dense(h) => {
                let mut values = host::read_finite("h", h)?;
                make_symmetric(&mut values, self.variables());
                HostCurvature::Dense(values, shared(h.dims()[0]))
            }
        };
        let block = Arc::new(HostBlock {
            rows: self.rows(),
            variables: self.variables(),
            linear: host::read_finite("a", &self.linear)?,
            linear_shared: shared(self.linear.dims()[0]),
            curvature,
        });
        Ok(self.host.get_or_init(|| block).clone())
    }

    /// H_i y for every row, `[batch, m, n]`; `None` for affine rows.
    fn curvature_product(&self, y: &Tensor<2>) -> Option<Tensor<3>> {
        let [batch, n] = y.dims();
        let m = self.rows();
        match &self.curvature {
            Curvature::None => None,
            Curvature::Diagonal(h) => Some(h.clone() * y.clone().unsqueeze_dim::<3>(1)),
            Curvature::Dense(h) if h.dims()[0] == 1 => {
                let stacked = h.clone().reshape([m * n, n]).transpose();
                Some(y.clone().matmul(stacked).reshape([batch, m, n]))
            }
            Curvature::Dense(h) => {
                let stacked = h.clone().reshape([h.dims()[0], m * n, n]);
                Some(
                    stacked
                        .matmul(y.clone().unsqueeze_dim::<3>(2))
                        .reshape([batch, m, n]),
                )
            }
        }
    }

    /// g(y), `[batch, m]`.
    pub fn values(&self, y: Tensor<2>) -> Tensor<2> {
        let batch = y.dims()[0];
        if batch * self.rows() == 0 {
            return host::write(vec![], [batch, self.rows()], &y.device(), y.dtype());
        }
        let linear = match self.linear.dims() {
            [1, m, n] => y
                .clone()
                .matmul(self.linear.clone().reshape([m, n]).transpose()),
            _ => self
                .linear
                .clone()
                .matmul(y.clone().unsqueeze_dim::<3>(2))
                .squeeze_dim::<2>(2),
        };
        match &self.curvature {
            Curvature::None => linear,
            // One matrix product instead of a [batch, m, n] intermediate.
            Curvature::Diagonal(h) if h.dims()[0] == 1 => {
                let h = h.clone().reshape([self.rows(), self.variables()]);
                linear + y.clone().mul(y).matmul(h.transpose())
            }
            Curvature::Diagonal(_) | Curvature::Dense(_) => {
                let product = self.curvature_product(&y).expect("the rows have curvature");
                linear + product.matmul(y.unsqueeze_dim::<3>(2)).squeeze_dim::<2>(2)
            }
        }
    }

    /// ∂g/∂y, `[batch, m, n]`.
    pub fn jacobian(&self, y: Tensor<2>) -> Tensor<3> {
        let [batch, n] = y.dims();
        if batch * self.rows() == 0 {
            return host::write(vec![], [batch, self.rows(), n], &y.device(), y.dtype());
        }
        match self.curvature_product(&y) {
            None => self
                .linear
                .clone()
                .expand([batch, self.rows(), self.variables()]),
            Some(product) => product * 2.0 + self.linear.clone(),
        }
    }

    /// Jᵀw for w `[batch, m]`, `[batch, n]`.
    pub fn vjp(&self, y: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
        let ([batch, n], m) = (y.dims(), self.rows());
        if batch * m == 0 {
            return host::write(vec![0.0; batch * n], [batch, n], &y.device(), y.dtype());
        }
        let across = |matrices: &Tensor<3>| match matrices.dims() {
            [1, _, _] => w.clone().matmul(matrices.clone().reshape([m, n])),
            _ => (matrices.clone() * w.clone().unsqueeze_dim::<3>(2))
                .sum_dim(1)
                .squeeze_dim::<2>(1),
        };
        let linear = across(&self.linear);
        match &self.curvature {
            Curvature::None => linear,
            Curvature::Diagonal(h) => linear + across(h) * y * 2.0,
            Curvature::Dense(_) => {
                let product = self.curvature_product(&y).expect("the rows have curvature");
                linear + across(&product) * 2.0
            }
        }
    }
}

fn check_symmetry(h: &Tensor<4>) -> Result<(), Error> {
    let [_, m, n, _] = h.dims();
    let values = host::read("h", h)?;
    let tolerance = symmetry_tolerance(h.dtype());
    for (at, matrix) in values.chunks_exact((n * n).max(1)).enumerate() {
        let largest = matrix.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        let difference =
            |row: usize, column: usize| (matrix[row * n + column] - matrix[column * n + row]).abs();
        let pair = (0..n)
            .flat_map(|row| (0..row).map(move |column| (row, column)))
            .find(|&(row, column)| difference(row, column) > tolerance * largest);
        if let Some((row, column)) = pair {
            let (sample, index) = (at / m, at % m);
            return Err(Error::shape(
                "h",
                &h.dims(),
                format!(
                    "stacked symmetric matrices: entries ({row}, {column}) and ({column}, {row}) of \
                     matrix {index}, sample {sample}, differ by {:e}",
                    difference(row, column)
                ),
            ));
        }
    }
    Ok(())
}

/// The mean of mirrored entries in their place.
fn make_symmetric(matrices: &mut [f64], n: usize) {
    for matrix in matrices.chunks_exact_mut((n * n).max(1)) {
        for row in 0..n {
            for column in 0..row {
                let (a, b) = (row * n + column, column * n + row);
                let mean = 0.5 * (matrix[a] + matrix[b]);
                (matrix[a], matrix[b]) = (mean, mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_matrix_that_is_not_symmetric_is_refused_with_its_place() {
        let device = Device::flex();
        let linear = || Tensor::<3>::zeros([1, 2, 2], &device);
        let block = |corner: f64, scale: f64| {
            let h = [[[[1.0, 0.5], [0.5, 2.0]], [[3.0, corner], [0.25, 1.0]]]];
            let h = Tensor::<4>::from_data(h, (&device, DType::F64)) * scale;
            Block::new(linear().cast(DType::F64), Curvature::Dense(h))
        };
        let error = block(0.75, 1.0).unwrap_err().to_string();
        assert!(
            error.contains("`h`")
                && error
                    .contains("entries (1, 0) and (0, 1) of matrix 1, sample 0, differ by 5e-1"),
            "{error}"
        );
        for scale in [1.0, 1e12] {
            block(0.25, scale).unwrap();
            // Rounding is no mistake, whatever the scale.
            block(0.25 + 1e-12, scale).unwrap();
            assert!(block(0.25 + 1e-8, scale).is_err());
        }
        // In f32 it is larger.
        let h = Tensor::<4>::from_data([[[[1.0f32, 0.5], [0.5 + 6e-8, 2.0]]]], &device);
        let block = Block::new(Tensor::zeros([1, 1, 2], &device), Curvature::Dense(h)).unwrap();
        let host = block.on_host().unwrap();
        let HostCurvature::Dense(h, true) = &host.curvature else {
            panic!("one dense matrix for the batch");
        };
        assert_eq!(h[1], h[2]);
    }
}
