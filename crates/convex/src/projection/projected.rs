//! What a projection returns, and its forward derivatives.

use burn::tensor::Tensor;
use feasible_core::host;
use feasible_solver::{Conflict, GradientReport, Parameter, Residuals, Status};

use crate::adjoint::GradientReports;
use crate::layer::SolvedBatch;
use crate::quadratic::SolvedProgram;
use crate::{ConvexSolution, Direction, Error};

use super::gather::Gather;

/// The points that a [`Projection`](crate::Projection) returns.
#[derive(Debug, Clone)]
pub struct Projected {
    /// The closest feasible points, `[batch, n]`.
    pub y: Tensor<2>,
    /// What the solver found, one per sample.
    pub status: Vec<Status>,
    /// Pivots and Newton steps of each sample.
    pub iterations: Vec<usize>,
    /// How well each sample meets its optimality conditions.
    pub residuals: Vec<Residuals>,
    answer: Answer,
}

#[derive(Debug, Clone)]
enum Answer {
    /// Of an empty batch on so many rows.
    None(usize),
    /// Of a solved batch, and the constraints' rows in the order of its multipliers.
    Of(Box<ConvexSolution>, Vec<usize>),
}

/// How projections move along a direction of ŷ; zero for samples without one. Constants of automatic
/// differentiation.
#[derive(Debug, Clone)]
pub struct ProjectedTangent {
    /// Of the projections, `[batch, n]`.
    pub y: Tensor<2>,
    /// Of the multipliers, `[batch, m]`.
    pub dual: Tensor<2>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

/// Derivatives of projections with respect to ŷ, of which every sample counts as having its own; zero
/// for samples without one. Constants of automatic differentiation.
#[derive(Debug, Clone)]
pub struct ProjectedJacobian {
    /// Of the projections, `[batch, n, n]`.
    pub y: Tensor<3>,
    /// Of the multipliers, `[batch, m, n]`.
    pub dual: Tensor<3>,
    /// How far each sample's derivatives can be trusted.
    pub reports: Vec<GradientReport>,
}

impl Projected {
    /// `order`: where each row of the constraints went among the solver's.
    pub(super) fn new(solution: ConvexSolution, order: Vec<usize>) -> Self {
        Self {
            y: solution.x.clone(),
            status: solution.status.clone(),
            iterations: solution.iterations.clone(),
            residuals: solution.residuals.clone(),
            answer: Answer::Of(Box::new(solution), order),
        }
    }

    /// A batch without samples. Arithmetic on tensors without entries is not to be relied on:
    /// cubecl's kernels compute the last element's place.
    pub(super) fn of_nothing(y_hat: &Tensor<2>, rows: usize) -> Self {
        let [_, n] = y_hat.dims();
        Self {
            y: host::write(vec![], [0, n], &y_hat.device(), y_hat.dtype()),
            status: vec![],
            iterations: vec![],
            residuals: vec![],
            answer: Answer::None(rows),
        }
    }

    /// A tensor without entries.
    fn empty<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        host::write(vec![], shape, &self.y.device(), self.y.dtype())
    }

    /// What the solver left, unless the batch is empty.
    pub(super) fn solved(&self) -> Option<&ConvexSolution> {
        match &self.answer {
            Answer::None(_) => None,
            Answer::Of(solution, _) => Some(solution),
        }
    }

    fn batch(&self) -> Option<&SolvedBatch<SolvedProgram>> {
        self.solved().map(|solution| &solution.batch)
    }

    /// The multipliers λ, `[batch, m]` in the order of the constraints' rows: positive where the
    /// upper bound holds y, negative where the lower bound does. Differentiable.
    pub fn dual(&self) -> Tensor<2> {
        match &self.answer {
            Answer::None(rows) => self.empty([0, *rows]),
            Answer::Of(solution, order) => gathered(solution.batch.parts(1..4), order),
        }
    }

    /// A handle on what the backward pass will say about each sample's gradient.
    pub fn gradient_reports(&self) -> GradientReports {
        self.batch()
            .map_or_else(GradientReports::default, |batch| batch.reports.clone())
    }

    /// The rows that make an infeasible sample so, the weightiest first, by their places among the
    /// constraints' rows; `None` for every other sample, and where the contradiction is too slight to be
    /// proved.
    pub fn conflict(&self, sample: usize) -> Option<Conflict> {
        self.solved()?.conflict(sample)
    }

    /// How far g(y) of a [`Status::Relaxed`] sample is beyond its bounds, `[m]` in the order of the
    /// constraints' rows: above 0 the upper bound rose, below 0 the lower one fell, and an equality's
    /// value moved. `None` for every other sample.
    pub fn shift(&self, sample: usize) -> Option<Vec<f64>> {
        let Answer::Of(solution, order) = &self.answer else {
            return None;
        };
        let shift = solution.shift(sample)?;
        let all = [shift.equality, shift.inequality, shift.quadratic].concat();
        Some(order.iter().map(|&row| all[row]).collect())
    }

    /// The derivative of the projections along a direction of ŷ, `[1 or batch, n]`: the product of
    /// their Jacobian with it. What the backward pass computes is the product of its transpose.
    ///
    /// # Errors
    /// If the direction has neither the shape of one sample nor of the batch, or a number that is not
    /// finite.
    ///
    /// # Cost
    /// That of a backward pass.
    pub fn tangent(&self, direction: &Tensor<2>) -> Result<ProjectedTangent, Error> {
        let [samples, n] = self.y.dims();
        let dims = direction.dims();
        if dims[1] != n || (dims[0] != samples && dims[0] != 1) {
            let expected = format!("[1, {n}] or [{samples}, {n}], as y_hat");
            return Err(feasible_core::Error::shape("direction", &dims, expected).into());
        }
        let (solution, order) = match &self.answer {
            Answer::Of(solution, order) => (solution, order),
            Answer::None(rows) => {
                return Ok(ProjectedTangent {
                    y: self.y.clone().detach(),
                    dual: self.empty([0, *rows]),
                    reports: vec![],
                });
            }
        };
        // The linear term is −ŷ.
        let down = Direction::default().along(Parameter::Q, &-direction.clone())?;
        let found = solution.tangent(&down)?;
        let duals = vec![
            found.equality_dual,
            found.inequality_dual,
            found.quadratic_dual,
        ];
        Ok(ProjectedTangent {
            y: found.x,
            dual: gathered(host::cat(duals, 1), order),
            reports: found.reports,
        })
    }

    /// The whole derivative of the projections with respect to ŷ.
    ///
    /// # Errors
    /// None for projections that a layer returned.
    ///
    /// # Cost
    /// One factorisation and n solves a sample.
    pub fn jacobian(&self) -> Result<ProjectedJacobian, Error> {
        let [_, n] = self.y.dims();
        let (solution, order) = match &self.answer {
            Answer::Of(solution, order) => (solution, order),
            Answer::None(rows) => {
                return Ok(ProjectedJacobian {
                    y: self.empty([0, n, n]),
                    dual: self.empty([0, *rows, n]),
                    reports: vec![],
                });
            }
        };
        let found = solution.jacobian(Parameter::Q)?;
        let duals = [
            found.equality_dual,
            found.inequality_dual,
            found.quadratic_dual,
        ];
        Ok(ProjectedJacobian {
            y: -found.x,
            dual: gathered(host::cat(duals.map(negated).to_vec(), 1), order),
            reports: found.reports,
        })
    }
}

/// Minus a tensor, which may have no entries.
fn negated(tensor: Tensor<3>) -> Tensor<3> {
    if tensor.shape().num_elements() == 0 {
        tensor
    } else {
        -tensor
    }
}

/// The solver's rows, along axis 1, in the order of the constraints'.
fn gathered<const D: usize>(rows: Tensor<D>, order: &[usize]) -> Tensor<D> {
    if order.is_empty() {
        rows
    } else {
        rows.gather_axis(1, order)
    }
}
