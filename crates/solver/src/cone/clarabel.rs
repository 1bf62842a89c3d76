//! One sample, solved by Clarabel.

use std::panic::{AssertUnwindSafe, catch_unwind};

use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT};

use crate::cone::newton::ConePoint;
use crate::cone::problem::{Cone, ConeSample, Matrix};
use crate::cone::solve::ConeSettings;
use crate::status::Status;

/// What Clarabel says of a sample. A certificate of infeasibility is in `z`, one of unboundedness
/// in `x` and `s`.
pub(crate) struct Raw {
    pub(crate) point: ConePoint,
    pub(crate) status: Status,
    /// Clarabel stopped early but near its tolerance: the polish decides.
    pub(crate) almost: bool,
    pub(crate) iterations: usize,
}

/// Solves a sample. `None` if Clarabel refuses it, which validated data never makes it do, or gives up
/// by a panic.
pub(crate) fn solve(sample: &ConeSample<'_>, settings: &ConeSettings) -> Option<Raw> {
    let matrix = |matrix: Matrix<'_>, rows: usize| {
        CscMatrix::new(
            rows,
            sample.n,
            matrix.starts.to_vec(),
            matrix.indices.to_vec(),
            matrix.entries.to_vec(),
        )
    };
    let p = sample.p.map_or_else(
        || CscMatrix::zeros((sample.n, sample.n)),
        |p| matrix(p, sample.n),
    );
    let a = matrix(sample.a, sample.m);
    let cones: Vec<SupportedConeT<f64>> = sample
        .cones
        .iter()
        .flat_map(|cone| match *cone {
            Cone::Zero(rows) => vec![SupportedConeT::ZeroConeT(rows)],
            Cone::Nonnegative(rows) => vec![SupportedConeT::NonnegativeConeT(rows)],
            Cone::SecondOrder(rows) => vec![SupportedConeT::SecondOrderConeT(rows)],
            Cone::Exponential(count) => vec![SupportedConeT::ExponentialConeT(); count],
            Cone::Power(alpha) => vec![SupportedConeT::PowerConeT(alpha)],
            #[cfg(feature = "semidefinite")]
            Cone::Semidefinite(size) => vec![SupportedConeT::PSDTriangleConeT(size)],
            // Refused with the rest of the problem's faults.
            #[cfg(not(feature = "semidefinite"))]
            Cone::Semidefinite(_) => vec![],
        })
        .collect();
    let options = DefaultSettings {
        verbose: false,
        // Dropped rows would have no multipliers.
        presolve_enable: false,
        max_iter: settings.max_iterations,
        tol_gap_abs: settings.tolerance,
        tol_gap_rel: settings.tolerance,
        tol_feas: settings.tolerance,
        tol_infeas_abs: settings.infeasibility_tolerance,
        tol_infeas_rel: settings.infeasibility_tolerance,
        // The batch is what is spread over the cores.
        max_threads: 1,
        // It would trade rows for others, and the multipliers are those of the rows given.
        #[cfg(feature = "semidefinite")]
        chordal_decomposition_enable: false,
        ..DefaultSettings::default()
    };
    let mut solver = DefaultSolver::new(&p, sample.q, &a, sample.b, &cones, options).ok()?;
    // Clarabel panics where a semidefinite cone's iterate has overflowed, because it takes for granted
    // that eigenvalues and singular values are found. One sample must not end the others.
    catch_unwind(AssertUnwindSafe(|| solver.solve())).ok()?;
    let solution = &solver.solution;
    let (status, almost) = match solution.status {
        SolverStatus::Solved => (Status::Solved, false),
        SolverStatus::AlmostSolved => (Status::NumericalError, true),
        SolverStatus::PrimalInfeasible | SolverStatus::AlmostPrimalInfeasible => {
            (Status::PrimalInfeasible, false)
        }
        SolverStatus::DualInfeasible | SolverStatus::AlmostDualInfeasible => {
            (Status::DualInfeasible, false)
        }
        SolverStatus::MaxIterations => (Status::MaxIterations, true),
        SolverStatus::InsufficientProgress | SolverStatus::NumericalError => {
            (Status::NumericalError, true)
        }
        _ => (Status::NumericalError, false),
    };
    Some(Raw {
        point: ConePoint {
            x: solution.x.clone(),
            s: solution.s.clone(),
            z: solution.z.clone(),
        },
        status,
        almost,
        iterations: solution.iterations as usize,
    })
}
