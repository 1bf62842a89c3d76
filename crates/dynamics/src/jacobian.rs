//! Jacobians of layers and networks, and how many directions they let through.

use burn::tensor::Tensor;
use faer::MatRef;
use feasible_core::host;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::EvaluationError;

/// How the rows of a Jacobian are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rows {
    /// One forward and one backward pass an output, each of the whole batch: for every map.
    #[default]
    OnePass,
    /// One pass with every sample repeated once an output, `[batch · outputs, inputs]`, sample by
    /// sample: for maps that take any batch and treat its samples apart. Fewer, larger passes.
    AllAtOnce,
}

/// The Jacobian of one sample, `[outputs, inputs]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Jacobian {
    outputs: usize,
    inputs: usize,
    data: Vec<f64>,
}

/// The Jacobians of a map `[batch, inputs] → [batch, outputs]` at every sample.
///
/// The map must treat samples apart: its Jacobian between different samples is taken as 0.
///
/// # Cost
/// As [`Rows`] says; the rows come from `outputs` backward passes' worth of work either way.
///
/// # Errors
/// [`Error::Evaluation`] if the map fails, [`Error::Shape`] if it changes the size of the batch.
pub fn jacobians(
    x: Tensor<2>,
    mut map: impl FnMut(Tensor<2>) -> Result<Tensor<2>, EvaluationError>,
    rows: Rows,
) -> Result<Vec<Jacobian>, Error> {
    let [batch, inputs] = x.dims();
    let x = x.detach();
    let shape = map(x.clone()).map_err(Error::evaluation("map"))?.dims();
    let outputs = shape[1];
    if shape[0] != batch {
        return Err(Error::Shape {
            argument: "map",
            got: format!("an output of shape {shape:?}"),
            expected: format!("[{batch}, outputs]"),
        });
    }
    let empty = Jacobian {
        outputs,
        inputs,
        data: vec![0.0; outputs * inputs],
    };
    let mut all = vec![empty; batch];
    if batch == 0 || outputs == 0 || inputs == 0 {
        return Ok(all);
    }
    match rows {
        Rows::OnePass => {
            for output in 0..outputs {
                let gradients = pullback(x.clone(), &mut map, |y| y.narrow(1, output, 1))?;
                for (jacobian, row) in all.iter_mut().zip(gradients.chunks_exact(inputs)) {
                    jacobian.data[output * inputs..][..inputs].copy_from_slice(row);
                }
            }
        }
        Rows::AllAtOnce => {
            let repeated = host::expand(x.unsqueeze_dim::<3>(1), [batch, outputs, inputs])
                .reshape([batch * outputs, inputs]);
            let gradients = pullback(repeated, &mut map, |y| {
                let eye = Tensor::<2>::eye(outputs, &y.device()).cast(y.dtype());
                y * eye.repeat(&[batch, 1])
            })?;
            for (jacobian, rows) in all.iter_mut().zip(gradients.chunks_exact(outputs * inputs)) {
                jacobian.data.copy_from_slice(rows);
            }
        }
    }
    Ok(all)
}

/// The gradient of the sum of what is picked of the map's output; 0 if it does not depend on `x`.
fn pullback(
    x: Tensor<2>,
    map: &mut impl FnMut(Tensor<2>) -> Result<Tensor<2>, EvaluationError>,
    pick: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> Result<Vec<f64>, Error> {
    let size = x.shape().num_elements();
    let leaf = x.autodiff().require_grad();
    let y = map(leaf.clone()).map_err(Error::evaluation("map"))?;
    if !y.is_tracked() {
        return Ok(vec![0.0; size]);
    }
    match leaf.grad(&pick(y).sum().backward()) {
        Some(gradient) => Ok(host::read("gradient", &gradient)?),
        None => Ok(vec![0.0; size]),
    }
}

impl Jacobian {
    /// A Jacobian given as numbers, row-major.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not `outputs · inputs`.
    pub fn new(outputs: usize, inputs: usize, data: Vec<f64>) -> Result<Self, Error> {
        crate::error::check_length("data", data.len(), outputs * inputs)?;
        Ok(Self {
            outputs,
            inputs,
            data,
        })
    }

    /// Its numbers, `[outputs, inputs]`.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    /// The singular values, descending. Undefined if an entry is not finite.
    ///
    /// # Errors
    /// [`Error::SingularValues`] if the decomposition does not converge.
    pub fn singular_values(&self) -> Result<Option<SingularValues>, Error> {
        if self.data.iter().any(|v| !v.is_finite()) {
            return Ok(None);
        }
        let values = if self.data.is_empty() {
            Vec::new()
        } else {
            MatRef::from_row_major_slice(&self.data, self.outputs, self.inputs)
                .singular_values()
                .map_err(|_| Error::SingularValues {
                    rows: self.outputs,
                    columns: self.inputs,
                })?
        };
        Ok(Some(SingularValues {
            values,
            outputs: self.outputs,
            inputs: self.inputs,
        }))
    }
}

/// The singular values of a Jacobian and the ranks they give, which differ: each says what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SingularValues {
    /// Descending, `min(outputs, inputs)` of them.
    pub values: Vec<f64>,
    /// Rows of the Jacobian.
    pub outputs: usize,
    /// Columns of the Jacobian.
    pub inputs: usize,
}

impl SingularValues {
    /// `exp(−Σ p ln p)` with `p = σ/Σσ`, between 1 and the rank; 0 for a Jacobian of 0 (Roy & Vetterli,
    /// The effective rank, EUSIPCO 2007).
    pub fn effective_rank(&self) -> f64 {
        let largest = self.largest();
        if largest == 0.0 {
            return 0.0;
        }
        // Relative to the largest, so that neither tiny nor huge ones leave the range of f64.
        let total: f64 = self.values.iter().map(|v| v / largest).sum();
        let entropy: f64 = self
            .values
            .iter()
            .map(|v| v / largest / total)
            .filter(|p| *p > 0.0)
            .map(|p| -p * p.ln())
            .sum();
        entropy.exp()
    }

    /// `‖J‖_F² / ‖J‖₂²`; 0 for a Jacobian of 0.
    pub fn stable_rank(&self) -> f64 {
        self.power_sum(2)
    }

    /// `(Σσ²)² / Σσ⁴`; 0 for a Jacobian of 0.
    pub fn participation_ratio(&self) -> f64 {
        if self.largest() == 0.0 {
            return 0.0;
        }
        self.power_sum(2).powi(2) / self.power_sum(4)
    }

    /// How many are above `tolerance` times the largest; 0 for a Jacobian of 0.
    /// [`SingularValues::rounding`] is the usual tolerance.
    pub fn numerical_rank(&self, tolerance: f64) -> usize {
        let limit = tolerance * self.largest();
        self.values
            .iter()
            .filter(|v| **v > limit && **v > 0.0)
            .count()
    }

    /// How many are above an absolute limit.
    pub fn above(&self, limit: f64) -> usize {
        self.values.iter().filter(|v| **v > limit).count()
    }

    /// `max(outputs, inputs)` units of rounding, relative to the largest: what is below it may be 0.
    pub fn rounding(&self) -> f64 {
        self.outputs.max(self.inputs) as f64 * f64::EPSILON
    }

    /// Directions of the input that do not move the output: `inputs` less the numerical rank.
    pub fn dead_directions(&self, tolerance: f64) -> usize {
        self.inputs - self.numerical_rank(tolerance)
    }

    /// `‖J‖₂`, the largest; 0 without any.
    pub fn largest(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    fn power_sum(&self, power: i32) -> f64 {
        let largest = self.largest();
        if largest == 0.0 {
            return 0.0;
        }
        self.values.iter().map(|v| (v / largest).powi(power)).sum()
    }
}

/// Ranks of the Jacobians of a batch, each the mean over the samples where it is defined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct JacobianSummary {
    /// Largest singular value; undefined if no sample has finite entries, as all that follow.
    pub largest: Option<f64>,
    /// [`SingularValues::effective_rank`].
    pub effective_rank: Option<f64>,
    /// [`SingularValues::stable_rank`].
    pub stable_rank: Option<f64>,
    /// [`SingularValues::numerical_rank`].
    pub numerical_rank: Option<f64>,
    /// [`SingularValues::participation_ratio`].
    pub participation_ratio: Option<f64>,
    /// [`SingularValues::dead_directions`].
    pub dead_directions: Option<f64>,
    /// Samples that went into it.
    pub samples: usize,
    /// Samples whose Jacobian has entries that are not finite.
    pub undefined: usize,
}

/// The ranks of a batch of Jacobians; singular values up to `tolerance` times the largest of their
/// sample count as 0.
///
/// # Errors
/// As [`Jacobian::singular_values`].
pub fn jacobian_summary(jacobians: &[Jacobian], tolerance: f64) -> Result<JacobianSummary, Error> {
    let mut all = Vec::new();
    for jacobian in jacobians {
        all.extend(jacobian.singular_values()?);
    }
    let mean = |f: &dyn Fn(&SingularValues) -> f64| {
        (!all.is_empty()).then(|| all.iter().map(f).sum::<f64>() / all.len() as f64)
    };
    Ok(JacobianSummary {
        largest: mean(&|s| s.largest()),
        effective_rank: mean(&|s| s.effective_rank()),
        stable_rank: mean(&|s| s.stable_rank()),
        numerical_rank: mean(&|s| s.numerical_rank(tolerance) as f64),
        participation_ratio: mean(&|s| s.participation_ratio()),
        dead_directions: mean(&|s| s.dead_directions(tolerance) as f64),
        samples: all.len(),
        undefined: jacobians.len() - all.len(),
    })
}
