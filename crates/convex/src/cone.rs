use std::borrow::Cow;

use burn::tensor::Tensor;
use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeParameter, ConeProblem, ConeSettings, ConeSolution,
    ConeWanted, Residuals, Status, cone_adjoint, cone_conflict, conflict_in_words, solve_cones,
};
use serde::{Deserialize, Serialize};

use crate::adjoint::{Answer, GradientReports, Part, Solved};
use crate::layer::SolvedBatch;
use crate::parameter::{Parameter, batch_size};
use crate::sparse::SparseMatrix;
use crate::tracked::{Numbers, Tracked};
use crate::{Error, OnFailure};

/// A batch of cone programs: min ½xᵀPx + qᵀx subject to Ax + s = b, s in a product of cones.
///
/// Every parameter is shared by the batch or given per sample, each on its own. Shapes are checked
/// when a layer is called.
#[derive(Debug, Clone)]
pub struct ConeTensors {
    p: Option<SparseMatrix>,
    q: Parameter<2>,
    a: SparseMatrix,
    b: Parameter<2>,
    cones: Vec<Cone>,
}

impl ConeTensors {
    /// A linear objective: `q` is `[n]` or `[1 or batch, n]`, `a` is m × n, `b` is `[m]` or
    /// `[1 or batch, m]`, and the cones take the m rows in their order.
    pub fn new(
        q: impl Into<Parameter<2>>,
        a: SparseMatrix,
        b: impl Into<Parameter<2>>,
        cones: Vec<Cone>,
    ) -> Self {
        Self {
            p: None,
            q: q.into(),
            a,
            b: b.into(),
            cones,
        }
    }

    /// With ½xᵀPx in the objective, in place of any given before: the upper triangle of positive
    /// semidefinite matrices, n × n, as [`SparseMatrix::upper_triangle`] makes it.
    pub fn quadratic(mut self, p: SparseMatrix) -> Self {
        self.p = Some(p);
        self
    }
}

/// Settings of a [`ConeLayer`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConeLayerSettings {
    /// How to solve: tolerances and iteration limit.
    pub solver: ConeSettings,
    /// When a gradient counts as exact.
    pub adjoint: AdjointSettings,
    /// What to do with samples that have no solution. Default [`OnFailure::Error`].
    pub on_failure: OnFailure,
}

impl ConeLayerSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Solver`] naming the first setting out of range.
    pub fn validate(&self) -> Result<(), Error> {
        self.solver.validate()?;
        self.adjoint.validate()?;
        Ok(())
    }
}

/// The solutions of a batch of cone programs.
#[derive(Debug, Clone)]
pub struct ConeTensorSolution {
    /// Minimisers, `[batch, n]`.
    pub x: Tensor<2>,
    /// What the solver found, one per sample.
    pub status: Vec<Status>,
    /// Iterations and Newton steps of each sample.
    pub iterations: Vec<usize>,
    /// How well each sample meets its optimality conditions, in f64 before any rounding to the
    /// output's precision.
    pub residuals: Vec<Residuals>,
    pub(crate) batch: SolvedBatch<SolvedCones>,
}

impl ConeTensorSolution {
    /// Slacks, `[batch, m]`, differentiable.
    ///
    /// Of `x`, the slacks and the multipliers, each that a loss uses solves the adjoint system of
    /// its own.
    pub fn s(&self) -> Tensor<2> {
        self.batch.part(1)
    }

    /// Multipliers in the dual cones, `[batch, m]`, differentiable: the Lagrangian is
    /// ½xᵀPx + qᵀx + zᵀ(Ax + s − b).
    pub fn z(&self) -> Tensor<2> {
        self.batch.part(2)
    }

    /// A handle on what the backward pass will say about each sample's gradient.
    pub fn gradient_reports(&self) -> GradientReports {
        self.batch.reports.clone()
    }

    /// The rows that make an infeasible sample so, the weightiest first, with their multipliers in the
    /// proof relative to the largest; none of their cones can be left out. `None` for every other
    /// sample.
    ///
    /// # Cost
    /// That of [`feasible_solver::cone_conflict`]: some small solves.
    pub fn conflict(&self, sample: usize) -> Option<Vec<(usize, f64)>> {
        self.batch.solved.conflicting_rows(sample)
    }

    /// The direction, `[n]`, along which the objective of an unbounded sample falls forever; `None` for
    /// every other sample.
    pub fn ray(&self, sample: usize) -> Option<&[f64]> {
        self.batch.solved.solution.ray(sample)
    }
}

/// A differentiable layer that solves a batch of cone programs.
///
/// # Problem
///
/// min ½xᵀPx + qᵀx subject to Ax + s = b, s ∈ K, with P symmetric positive semidefinite and K a
/// product of [`Cone`]s.
///
/// # Optimality conditions
///
/// Px + q + Aᵀz = 0, Ax + s = b, s ∈ K, z ∈ K*, sᵀz = 0.
///
/// # Adjoint
///
/// With w = z − s the pair is (Π(w) − w, Π(w)), Π the projection on K*; where Π is differentiable
/// the conditions are smooth equations in (x, w), and the backward pass solves their transposed
/// linearisation once a sample. Where w is on a kink of Π, or the system is singular, the least-norm
/// answer is returned and reported as [`Degenerate`](crate::GradientQuality::Degenerate) by
/// [`ConeTensorSolution::gradient_reports`]. All of x, s and z are differentiable, once.
///
/// # Shapes
///
/// See [`ConeTensors`]. Outputs are `[batch, n]`, `[batch, m]` and `[batch, m]`, on the device of
/// the first tracked parameter and with the precision of `q`; the arithmetic is f64.
///
/// # Errors
///
/// Shapes and patterns that disagree, NaN, infinities, P not symmetric or not positive semidefinite, each
/// with the argument's name. Infeasible and unbounded samples are a [`Status`];
/// [`ConeLayerSettings::on_failure`] says what happens then.
///
/// # Cost
///
/// Clarabel's iterations a sample, one or two sparse factorisations to polish its point, one for the
/// backward pass. Sharing P and A sets Clarabel up once a thread.
///
/// # Reference
///
/// Goulart & Chen 2024 (Clarabel); Agrawal, Barratt, Boyd, Busseti & Moursi 2019 (differentiating a
/// cone program).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use feasible_convex::{Cone, ConeLayer, ConeTensors, SparseMatrix};
///
/// # fn main() -> Result<(), feasible_convex::Error> {
/// let device = Device::flex().autodiff();
/// // min qᵀx on the unit disc: (1, x) in the second-order cone.
/// let q = Tensor::<2>::from_data([[3.0, 4.0], [0.0, 2.0]], &device).require_grad();
/// let a = Tensor::<2>::from_data([[0.0, 0.0], [-1.0, 0.0], [0.0, -1.0]], &device);
/// let b = Tensor::<1>::from_data([1.0, 0.0, 0.0], &device);
/// let problem = ConeTensors::new(q.clone(), SparseMatrix::dense(a), b, vec![Cone::SecondOrder(3)]);
/// let solution = ConeLayer::default().forward(&problem)?;
/// let x = solution.x.clone().into_data().try_into_vec::<f32>().unwrap();
/// for (x, expected) in x.iter().zip([-0.6, -0.8, 0.0, -1.0]) {
///     assert!((x - expected).abs() < 1e-6);
/// }
/// // x = −q/‖q‖.
/// let gradients = solution.x.narrow(1, 0, 1).sum().backward();
/// let gradient = q.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
/// for (g, expected) in gradient.iter().zip([-0.128, 0.096, -0.5, 0.0]) {
///     assert!((g - expected).abs() < 1e-6);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ConeLayer {
    settings: ConeLayerSettings,
}

impl ConeLayer {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: ConeLayerSettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self { settings })
    }

    /// Solves the batch.
    ///
    /// # Errors
    /// As the type says.
    pub fn forward(&self, problem: &ConeTensors) -> Result<ConeTensorSolution, Error> {
        let (program, mut tracked) = read(problem)?;
        let solver = ConeSettings {
            rounding: self.settings.solver.rounding.max(tracked.rounding),
            ..self.settings.solver
        };
        if let Some(p) = &problem.p {
            p.check_symmetry("p", solver.rounding)?;
        }
        let solution = solve_cones(&program.as_problem(), &solver)?;
        let (status, iterations, residuals) = (
            solution.status.clone(),
            solution.iterations.clone(),
            solution.residuals.clone(),
        );
        let solved = SolvedCones {
            program,
            solution,
            settings: self.settings.adjoint,
            solver,
            roles: std::mem::take(&mut tracked.roles),
        };
        let batch = SolvedBatch::new(solved, tracked, self.settings.on_failure)?;
        Ok(ConeTensorSolution {
            x: batch.part(0),
            status,
            iterations,
            residuals,
            batch,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    P,
    Q,
    A,
    B,
}

/// The numbers of a batch on the host.
#[derive(Debug)]
pub(crate) struct Program {
    batch: usize,
    n: usize,
    tensors: ConeTensors,
    p: Option<Numbers>,
    q: Numbers,
    a: Numbers,
    b: Numbers,
}

impl Program {
    /// Numbers of one copy of a parameter.
    pub(crate) fn parameter_len(&self, parameter: ConeParameter) -> usize {
        match parameter {
            ConeParameter::P => self.tensors.p.as_ref().map_or(0, |p| p.values.length(1)),
            ConeParameter::Q => self.n,
            ConeParameter::A => self.tensors.a.values.length(1),
            ConeParameter::B => self.tensors.a.rows,
        }
    }

    pub(crate) fn as_problem(&self) -> ConeProblem<'_> {
        let matrices = (&self.tensors.p, &self.p);
        ConeProblem {
            batch: self.batch,
            n: self.n,
            p: match matrices {
                (Some(p), Some(numbers)) => Some(p.with(numbers.values())),
                _ => None,
            },
            q: self.q.values(),
            a: self.tensors.a.with(self.a.values()),
            b: self.b.values(),
            cones: &self.tensors.cones,
        }
    }
}

fn read(problem: &ConeTensors) -> Result<(Program, Tracked<Role>), Error> {
    let mut leading = vec![
        problem.q.length(0),
        problem.a.values.length(0),
        problem.b.length(0),
    ];
    leading.extend(problem.p.iter().map(|p| p.values.length(0)));
    let batch = batch_size(&leading);
    let n = problem.q.length(1);
    problem.q.check("q", batch, &[n], "n")?;
    problem.a.check("a", batch)?;
    let rows = [problem.a.rows];
    problem
        .b
        .check("b", batch, &rows, "m: one entry a row of `a`")?;
    if let Some(p) = &problem.p {
        p.check("p", batch)?;
    }
    let mut tracked = Tracked::new(problem.q.tensor());
    let p = match &problem.p {
        Some(p) => Some(
            tracked
                .read(Role::P, "p", &p.values)
                .map_err(|error| p.placed(error))?,
        ),
        None => None,
    };
    let q = tracked.read(Role::Q, "q", &problem.q)?;
    let a = tracked
        .read(Role::A, "a", &problem.a.values)
        .map_err(|error| problem.a.placed(error))?;
    let b = tracked.read(Role::B, "b", &problem.b)?;
    let program = Program {
        batch,
        n,
        tensors: problem.clone(),
        p,
        q,
        a,
        b,
    };
    Ok((program, tracked))
}

#[derive(Debug)]
pub(crate) struct SolvedCones {
    pub(crate) program: Program,
    pub(crate) solution: ConeSolution,
    pub(crate) settings: AdjointSettings,
    solver: ConeSettings,
    roles: Vec<Role>,
}

impl SolvedCones {
    fn conflicting_rows(&self, sample: usize) -> Option<Vec<(usize, f64)>> {
        let problem = self.program.as_problem();
        cone_conflict(&problem, &self.solution, sample, &self.solver)
    }
}

impl Solved for SolvedCones {
    fn status(&self) -> &[Status] {
        &self.solution.status
    }

    fn conflict(&self, sample: usize) -> Option<String> {
        let rows = self.conflicting_rows(sample)?;
        let names: Vec<String> = rows.iter().map(|(row, _)| format!("row {row}")).collect();
        Some(conflict_in_words(&names))
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let rows = self.program.tensors.a.rows;
        vec![
            (&self.solution.x, self.program.n),
            (&self.solution.s, rows),
            (&self.solution.z, rows),
        ]
    }

    fn gradients(&self, cotangents: &[Option<&[f64]>]) -> Option<Answer> {
        let &[x, s, z] = cotangents else {
            return None;
        };
        let cotangent = ConeCotangent {
            x: &x.map_or_else(|| vec![0.0; self.solution.x.len()].into(), Cow::Borrowed),
            s,
            z,
        };
        let has = |role| self.roles.contains(&role);
        let wanted = ConeWanted {
            p: has(Role::P),
            q: has(Role::Q),
            a: has(Role::A),
            b: has(Role::B),
        };
        let problem = self.program.as_problem();
        let mut gradients = cone_adjoint(
            &problem,
            &self.solution,
            &cotangent,
            &wanted,
            &self.settings,
        )
        .ok()?;
        let of_roles = self.roles.iter().map(|role| {
            let gradient = match role {
                Role::P => &mut gradients.p,
                Role::Q => &mut gradients.q,
                Role::A => &mut gradients.a,
                Role::B => &mut gradients.b,
            };
            gradient.take().unwrap_or_default()
        });
        Some((of_roles.collect(), gradients.reports))
    }
}
