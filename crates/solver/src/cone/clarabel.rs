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

/// Where Clarabel is to stop.
#[derive(Clone, Copy)]
pub(crate) enum Ends {
    /// At this tolerance.
    At(f64),
    /// At this tolerance, with every linear system refined to rounding: steps near a kink need more
    /// digits of it than Clarabel asks for.
    Refined(f64),
    /// The same on the numbers as they are: equilibration helps badly scaled rows, and now and then is what
    /// leads astray.
    Plain(f64),
    /// At this tolerance, with a firmer regularisation: where the objective is singular and there are
    /// equalities, pivots that are nothing but Clarabel's own 1e-8 can end it at the first factorisation.
    Firm(f64),
}

/// What [`Ends::Firm`] adds to the diagonal.
const FIRM: f64 = 1e-6;

/// Clarabel set up for a sample's matrices and cones.
pub(crate) struct Prepared(DefaultSolver<f64>);

impl Prepared {
    /// `None` if Clarabel refuses the sample, which validated data never makes it do.
    pub(crate) fn new(
        sample: &ConeSample<'_>,
        settings: &ConeSettings,
        ends: Ends,
    ) -> Option<Prepared> {
        prepare(sample, settings, ends).map(Prepared)
    }

    /// Takes another sample's `q` and `b`; false if that failed. The scaling stays the one of the
    /// sample it was made from.
    pub(crate) fn update(&mut self, sample: &ConeSample<'_>) -> bool {
        let (q, b) = (sample.q.to_vec(), sample.b.to_vec());
        self.0.update_q(&q).is_ok() && self.0.update_b(&b).is_ok()
    }

    /// Solves from Clarabel's own start. `None` if it gave up by a panic, after which this must not
    /// be used again.
    ///
    /// Clarabel panics where a semidefinite cone's iterate has overflowed, because it takes for
    /// granted that eigenvalues and singular values are found. One sample must not end the others.
    pub(crate) fn solve(&mut self) -> Option<Raw> {
        catch_unwind(AssertUnwindSafe(|| self.0.solve())).ok()?;
        Some(read(&self.0))
    }
}

fn prepare(
    sample: &ConeSample<'_>,
    settings: &ConeSettings,
    ends: Ends,
) -> Option<DefaultSolver<f64>> {
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
    let mut options = DefaultSettings {
        verbose: false,
        // Dropped rows would have no multipliers.
        presolve_enable: false,
        max_iter: settings.max_iterations,
        tol_infeas_abs: settings.infeasibility_tolerance,
        tol_infeas_rel: settings.infeasibility_tolerance,
        // A certificate counts at the tolerance that was asked for, also where progress ends.
        reduced_tol_infeas_abs: settings.infeasibility_tolerance,
        reduced_tol_infeas_rel: settings.infeasibility_tolerance,
        // The batch is what is spread over the cores.
        max_threads: 1,
        // It would trade rows for others, and the multipliers are those of the rows given.
        #[cfg(feature = "semidefinite")]
        chordal_decomposition_enable: false,
        ..DefaultSettings::default()
    };
    let (Ends::At(tolerance)
    | Ends::Refined(tolerance)
    | Ends::Plain(tolerance)
    | Ends::Firm(tolerance)) = ends;
    options.tol_gap_abs = tolerance;
    options.tol_gap_rel = tolerance;
    options.tol_feas = tolerance;
    if !matches!(ends, Ends::At(_)) {
        options.iterative_refinement_reltol = f64::EPSILON;
        options.iterative_refinement_abstol = f64::EPSILON;
    }
    if matches!(ends, Ends::Firm(_)) {
        options.static_regularization_constant = FIRM;
    }
    options.equilibrate_enable = !matches!(ends, Ends::Plain(_));
    DefaultSolver::new(&p, sample.q, &a, sample.b, &cones, options).ok()
}

fn read(solver: &DefaultSolver<f64>) -> Raw {
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
    Raw {
        point: ConePoint {
            x: solution.x.clone(),
            s: solution.s.clone(),
            z: solution.z.clone(),
        },
        status,
        almost,
        iterations: solution.iterations as usize,
    }
}
