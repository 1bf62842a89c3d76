//! Forward-mode derivatives of solutions: along a direction of the parameters, and whole.

use std::fmt::{Debug, Display};

use burn::tensor::Tensor;
use feasible_core::host;
use feasible_solver::{
    ConeParameter, ConeTangents, GradientReport, Outputs, Parameter, Tangents, Values,
    cone_jacobian, cone_tangent, jacobian, tangent,
};

use crate::cone::SolvedCones;
use crate::quadratic::SolvedProgram;
use crate::{ConeTensorSolution, ConvexSolution, Error};

/// A direction in some parameters of a problem; those not named stay as they are. Starts as
/// `Direction::default()`, which moves nothing.
///
/// Directions are tensors of any rank, whose numbers are read row-major: one copy of the parameter,
/// which moves every sample alike, or one a sample. Off the diagonal, entries of a symmetric matrix
/// move in pairs: a direction of a dense matrix counts through its symmetric part.
#[derive(Debug)]
pub struct Direction<P> {
    parts: Vec<(P, host::Numbers)>,
}

impl<P> Default for Direction<P> {
    fn default() -> Self {
        Self { parts: vec![] }
    }
}

impl<P: PartialEq + Display> Direction<P> {
    /// With a direction of one more parameter.
    ///
    /// # Errors
    /// [`Error::DirectionTwice`] if the parameter has one already; if the tensor cannot be read.
    pub fn along<const D: usize>(
        mut self,
        parameter: P,
        direction: &Tensor<D>,
    ) -> Result<Self, Error> {
        if self.parts.iter().any(|(given, _)| *given == parameter) {
            return Err(Error::DirectionTwice {
                parameter: parameter.to_string(),
            });
        }
        let numbers = host::borrow("direction", direction)?;
        self.parts.push((parameter, numbers));
        Ok(self)
    }
}

/// One copy for the batch or one a sample, as the number of numbers says; the solver refuses any
/// other number.
fn values(numbers: &[f64], batch: usize, len: usize) -> Values<'_> {
    if numbers.len() == len && batch != 1 {
        Values::Shared(numbers)
    } else {
        Values::PerSample(numbers)
    }
}

/// How the solutions of a batch move along a direction; zero for samples without a solution.
#[derive(Debug, Clone)]
pub struct ConvexTangent {
    /// Of the minimisers, `[batch, n]`.
    pub x: Tensor<2>,
    /// Of ν, `[batch, p]`.
    pub equality_dual: Tensor<2>,
    /// Of λ_u − λ_l, `[batch, m]`.
    pub inequality_dual: Tensor<2>,
    /// Of μ, `[batch, k]`.
    pub quadratic_dual: Tensor<2>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

/// Derivatives of the solutions of a batch with respect to one parameter, of which every sample
/// counts as having a copy of its own; `len` numbers, row-major.
#[derive(Debug, Clone)]
pub struct ConvexJacobian {
    /// Of the minimisers, `[batch, n, len]`.
    pub x: Tensor<3>,
    /// Of ν, `[batch, p, len]`.
    pub equality_dual: Tensor<3>,
    /// Of λ_u − λ_l, `[batch, m, len]`.
    pub inequality_dual: Tensor<3>,
    /// Of μ, `[batch, k, len]`.
    pub quadratic_dual: Tensor<3>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

/// How the solutions of a batch of cone programs move along a direction.
#[derive(Debug, Clone)]
pub struct ConeTensorTangent {
    /// Of the minimisers, `[batch, n]`.
    pub x: Tensor<2>,
    /// Of the slacks, `[batch, m]`.
    pub s: Tensor<2>,
    /// Of the multipliers, `[batch, m]`.
    pub z: Tensor<2>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

/// Derivatives of the solutions of a batch of cone programs with respect to one parameter, of whose
/// pattern every sample counts as having a copy of its own; `len` numbers.
#[derive(Debug, Clone)]
pub struct ConeTensorJacobian {
    /// Of the minimisers, `[batch, n, len]`.
    pub x: Tensor<3>,
    /// Of the slacks, `[batch, m, len]`.
    pub s: Tensor<3>,
    /// Of the multipliers, `[batch, m, len]`.
    pub z: Tensor<3>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

impl ConvexSolution {
    /// The derivative of the solutions along a direction of the parameters: the product of their
    /// Jacobian with it. What the backward pass computes is the product of its transpose.
    ///
    /// The result is a constant of automatic differentiation.
    ///
    /// # Errors
    /// If a direction has neither the length of its parameter nor `batch` times that, or a number
    /// that is not finite.
    ///
    /// # Cost
    /// That of a backward pass.
    pub fn tangent(&self, direction: &Direction<Parameter>) -> Result<ConvexTangent, Error> {
        let SolvedProgram {
            problem,
            solution,
            settings,
            ..
        } = &*self.batch.solved;
        let sizes = problem.sizes;
        let problem = problem.as_problem();
        let mut tangents = Tangents::default();
        for (parameter, numbers) in &direction.parts {
            let len = problem.parameter_len(*parameter);
            tangents = tangents.and(*parameter, values(numbers, sizes.batch, len));
        }
        let found = tangent(&problem, solution, &tangents, settings)?;
        let write = |values, width| self.batch.write(values, [sizes.batch, width]);
        Ok(ConvexTangent {
            x: write(found.x, sizes.n),
            equality_dual: write(found.equality_dual, sizes.equalities),
            inequality_dual: write(found.inequality_dual, sizes.inequalities),
            quadratic_dual: write(found.quadratic_dual, sizes.quadratics),
            reports: found.reports,
        })
    }

    /// The whole derivative of the solutions with respect to one parameter.
    ///
    /// Entries of a dense P or H are derivatives along symmetric changes: an entry off the diagonal
    /// has half the derivative of moving it together with its mirror entry.
    ///
    /// # Errors
    /// None for a solution that a layer returned.
    ///
    /// # Cost
    /// One factorisation a sample, and one solve for every number of the parameter or of the
    /// solution, whichever are fewer.
    pub fn jacobian(&self, parameter: Parameter) -> Result<ConvexJacobian, Error> {
        let SolvedProgram {
            problem,
            solution,
            settings,
            ..
        } = &*self.batch.solved;
        let sizes = problem.sizes;
        let problem = problem.as_problem();
        let outputs = Outputs::PrimalAndDuals;
        let found = jacobian(&problem, solution, parameter, outputs, settings)?;
        let len = found.len;
        let write = |values, rows| self.batch.write(values, [sizes.batch, rows, len]);
        Ok(ConvexJacobian {
            x: write(found.x, sizes.n),
            equality_dual: write(found.equality_dual, sizes.equalities),
            inequality_dual: write(found.inequality_dual, sizes.inequalities),
            quadratic_dual: write(found.quadratic_dual, sizes.quadratics),
            reports: found.reports,
        })
    }
}

impl ConeTensorSolution {
    /// The derivative of the solutions along a direction of the parameters; those of P and A are on
    /// their patterns, by columns also where the matrix was given [dense](crate::SparseMatrix::dense). A constant of automatic differentiation.
    ///
    /// # Errors
    /// As [`ConvexSolution::tangent`].
    ///
    /// # Cost
    /// One factorisation and one solve a sample.
    pub fn tangent(
        &self,
        direction: &Direction<ConeParameter>,
    ) -> Result<ConeTensorTangent, Error> {
        let SolvedCones {
            program,
            solution,
            settings,
            ..
        } = &*self.batch.solved;
        let problem = program.as_problem();
        let mut tangents = ConeTangents::default();
        for (parameter, numbers) in &direction.parts {
            let values = values(numbers, problem.batch, program.parameter_len(*parameter));
            let part = match parameter {
                ConeParameter::P => &mut tangents.p,
                ConeParameter::Q => &mut tangents.q,
                ConeParameter::A => &mut tangents.a,
                ConeParameter::B => &mut tangents.b,
            };
            *part = Some(values);
        }
        let found = cone_tangent(&problem, solution, &tangents, settings)?;
        let (batch, n, m) = (problem.batch, problem.n, problem.rows());
        Ok(ConeTensorTangent {
            x: self.batch.write(found.x, [batch, n]),
            s: self.batch.write(found.s, [batch, m]),
            z: self.batch.write(found.z, [batch, m]),
            reports: found.reports,
        })
    }

    /// The whole derivative of the solutions with respect to one parameter, on its pattern, by columns.
    ///
    /// # Errors
    /// None for a solution that a layer returned.
    ///
    /// # Cost
    /// One factorisation a sample, and one solve for every number of the parameter or n + m, whichever
    /// are fewer.
    pub fn jacobian(&self, parameter: ConeParameter) -> Result<ConeTensorJacobian, Error> {
        let SolvedCones {
            program,
            solution,
            settings,
            ..
        } = &*self.batch.solved;
        let problem = program.as_problem();
        let outputs = Outputs::PrimalAndDuals;
        let found = cone_jacobian(&problem, solution, parameter, outputs, settings)?;
        let (batch, n, m) = (problem.batch, problem.n, problem.rows());
        let write = |values, rows| self.batch.write(values, [batch, rows, found.len]);
        Ok(ConeTensorJacobian {
            x: write(found.x, n),
            s: write(found.s, m),
            z: write(found.z, m),
            reports: found.reports,
        })
    }
}
