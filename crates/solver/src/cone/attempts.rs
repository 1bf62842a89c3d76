//! One cone program, by as many attempts as it takes: Clarabel's point, polished and judged on the data given.

use crate::cone::clarabel::{Ends, Prepared, Raw};
use crate::cone::geometry::Local;
use crate::cone::layout::Layout;
use crate::cone::linear::as_quadratic;
use crate::cone::newton::{ConePoint, Polished, polish};
use crate::cone::problem::{Cone, ConeSample};
use crate::cone::solve::{ConeSettings, Second};
use crate::cone::units::Units;
use crate::dense::{dot, max_abs};
use crate::residual::Measured;
use crate::status::{Residuals, Status};

/// The largest [`price`](crate::cone::newton::price) of a solution. Residuals of 1e-8 at multipliers of the
/// size of the objective are worth 1e-8 of it; badly scaled rows may be four digits worse, but no more.
const PRICE: f64 = 1e-4;

/// Relative residual of a point that counts as solved whatever smaller tolerance was asked for.
const SOLVED: f64 = 1e-8;

/// That of a confirmed point, in the units given.
const RESTATED: f64 = 1e-10;

/// Multipliers that are weak, relative to the largest.
const WEAK: [f64; 2] = [1e-5, 1e-3];

/// What must vanish in a certificate, relative to its terms. Clarabel's tolerance is absolute where the problem's
/// numbers are large.
const CERTIFIED: f64 = 1e-6;

/// What it must gain, relative to its terms: less may come from what does not quite vanish.
const GAIN: f64 = 1e-10;

/// Where Clarabel stops first.
pub(super) const EARLY: f64 = 1e-6;

/// What came of one sample.
pub(super) struct Answer {
    pub(super) point: ConePoint,
    pub(super) objective: f64,
    pub(super) status: Status,
    pub(super) iterations: usize,
    pub(super) residuals: Residuals,
    /// The worst residual, relative; infinite until it is measured.
    error: f64,
    /// What the rows' misses are worth at the point's multipliers, relative to the objective.
    price: f64,
    pub(super) local: Local,
    pub(super) confirmed: bool,
    /// Those that the cones around the point are in.
    pub(super) units: Units,
}

/// Clarabel set up for this sample alone: early; to the end where the polish does not reach rounding from
/// there; on the numbers as they are where that is no solution; and with a firmer regularisation where that
/// is none either.
pub(super) fn fresh(
    sample: &ConeSample<'_>,
    (settings, second): (&ConeSettings, Second),
    layout: &Layout,
) -> Answer {
    let to = |ends| {
        let raw = Prepared::new(sample, settings, ends)
            .and_then(|mut prepared| prepared.solve())
            .unwrap_or_else(|| nothing(sample));
        finish(sample, raw, settings, layout)
    };
    let early = EARLY.max(settings.tolerance);
    let first = to(Ends::At(early));
    if first.confirmed || first.is_certified() || early <= settings.tolerance {
        return first;
    }
    // One digit more than is asked for: Clarabel's tolerance is relative to the norms of all rows.
    let mut answer = to(Ends::Refined(0.1 * settings.tolerance));
    answer.iterations += first.iterations;
    // The polish has less far to go than the regularisation would let Clarabel come.
    for ends in [Ends::Plain(settings.tolerance), Ends::Firm(early)] {
        if answer.status != Status::NumericalError {
            break;
        }
        let other = to(ends);
        let spent = answer.iterations + other.iterations;
        // Nearer, not only solved: without scaling a wrong point may miss small rows by little.
        if other.error < answer.error || answer.error.is_nan() {
            answer = other;
        }
        answer.iterations = spent;
    }
    let certified = answer.is_certified();
    if !(answer.confirmed || certified)
        && let Some(better) = without_weak_rows(sample, &answer, layout)
    {
        answer.take(better);
        answer.judge(settings);
    }
    if second == Second::Dense
        && !(answer.confirmed || certified)
        && let Some(better) = as_quadratic(sample, answer.error, settings)
    {
        answer.take(better);
        answer.judge(settings);
    }
    answer
}

/// An answer in other units than those of `given`: polished from there, and solved anew where that does not
/// reach rounding.
pub(super) fn restated(
    sample: &ConeSample<'_>,
    given: Option<ConePoint>,
    (settings, second): (&ConeSettings, Second),
    layout: &Layout,
) -> Answer {
    let at_given = given.map(|point| {
        let raw = Raw {
            point,
            status: Status::Solved,
            almost: false,
            iterations: 0,
        };
        finish(sample, raw, settings, layout)
    });
    match at_given {
        Some(answer) if answer.confirmed => answer,
        _ => fresh(sample, (settings, second), layout),
    }
}

/// The polish from where linear rows with tiny multipliers are let go, if it ends at a solution. Rows whose
/// slack at the solution is below the square root of Clarabel's last gap still have the larger multiplier, and
/// held together they may contradict each other.
fn without_weak_rows(
    sample: &ConeSample<'_>,
    answer: &Answer,
    layout: &Layout,
) -> Option<Polished> {
    if !answer.is_measured() {
        return None;
    }
    let strongest = 1.0 + max_abs(&answer.point.z);
    WEAK.into_iter().find_map(|share| {
        let mut start = answer.point.clone();
        let mut first = 0;
        let mut let_go = false;
        for cone in sample.cones {
            let rows = first..first + cone.rows();
            first = rows.end;
            if let Cone::Nonnegative(_) = cone {
                for row in rows {
                    if start.z[row] > 0.0 && start.z[row] <= share * strongest {
                        (start.z[row], let_go) = (0.0, true);
                    }
                }
            }
        }
        let polished = let_go.then(|| polish(sample, &start, layout))?;
        polished.confirmed.then_some(polished)
    })
}

/// An answer for data that Clarabel refuses, or gives up on by a panic.
fn nothing(sample: &ConeSample<'_>) -> Raw {
    Raw {
        point: ConePoint {
            x: vec![0.0; sample.n],
            s: vec![0.0; sample.m],
            z: vec![0.0; sample.m],
        },
        status: Status::NumericalError,
        almost: false,
        iterations: 0,
    }
}

/// Polishes what Clarabel found, and judges it on the data given.
pub(super) fn finish(
    sample: &ConeSample<'_>,
    raw: Raw,
    settings: &ConeSettings,
    layout: &Layout,
) -> Answer {
    let mut answer = Answer {
        objective: 0.0,
        status: raw.status,
        iterations: raw.iterations,
        residuals: Residuals::default(),
        local: Local::default(),
        error: f64::INFINITY,
        price: f64::INFINITY,
        confirmed: false,
        units: Units::GIVEN,
        point: raw.point,
    };
    if !certifies(sample, &answer) {
        answer.status = Status::NumericalError;
        return answer;
    }
    if !(raw.status.is_solved() || raw.almost) {
        return answer;
    }
    answer.take(polish(sample, &answer.point, layout));
    answer.judge(settings);
    answer
}

/// Whether a certificate is one, to [`CERTIFIED`] of its terms, on the numbers as they are; true where none is
/// claimed.
fn certifies(sample: &ConeSample<'_>, answer: &Answer) -> bool {
    let ConePoint { x, s, z } = &answer.point;
    let vanishes = |rest: &[f64], entries: &[f64], at: &[f64]| {
        max_abs(rest) <= CERTIFIED * max_abs(entries) * max_abs(at)
    };
    let gains = |q: &[f64], at: &[f64]| -dot(q, at) > GAIN * max_abs(q) * max_abs(at);
    match answer.status {
        Status::PrimalInfeasible => {
            let mut az = vec![0.0; sample.n];
            sample.a.add_transposed_product(z, &mut az);
            vanishes(&az, sample.a.entries, z) && gains(sample.b, z)
        }
        Status::DualInfeasible => {
            let mut px = vec![0.0; sample.n];
            if let Some(p) = sample.p {
                p.add_symmetric_product(x, &mut px);
            }
            let of_p = sample.p.map_or(&[][..], |p| p.entries);
            let mut rest = s.clone();
            sample.a.add_product(x, &mut rest);
            vanishes(&rest, sample.a.entries, x) && vanishes(&px, of_p, x) && gains(sample.q, x)
        }
        _ => true,
    }
}

impl Answer {
    /// Whether there is a solution or a proof that there is none.
    pub(super) fn is_verdict(&self) -> bool {
        self.status.is_solved() || self.is_certified()
    }

    /// Whether there is a proof that there is no solution.
    pub(super) fn is_certified(&self) -> bool {
        matches!(
            self.status,
            Status::PrimalInfeasible | Status::DualInfeasible
        )
    }

    /// Whether the point was taken for a solution and its residuals measured.
    pub(super) fn is_measured(&self) -> bool {
        self.error != f64::INFINITY
    }

    /// Takes what was measured, in these or other units.
    pub(super) fn remeasure(&mut self, measured: Measured) {
        self.residuals = measured.absolute;
        self.objective = measured.objective;
        self.error = measured.relative();
    }

    /// Takes back what the units given do not bear out: numbers that lie far apart in one cone have digits in some
    /// units only.
    pub(super) fn judge_again(&mut self, settings: &ConeSettings) {
        if self.status.is_solved() && !(self.error <= settings.tolerance.max(SOLVED)) {
            self.status = Status::NumericalError;
        }
        self.confirmed &= self.status.is_solved() && self.error <= RESTATED;
    }

    fn take(&mut self, polished: Polished) {
        self.iterations += polished.steps;
        self.remeasure(polished.measured);
        self.price = polished.price;
        self.confirmed = polished.confirmed;
        self.local = polished.local;
        self.point = polished.point;
    }

    /// Clarabel's verdict is about its scaled problem; the residuals are about the one given. Rows that
    /// are small as a whole miss by little however wrong the point is, but at a price.
    fn judge(&mut self, settings: &ConeSettings) {
        let reached = self.error <= settings.tolerance.max(SOLVED) && self.price <= PRICE;
        self.status = match (reached, self.status) {
            (true, _) => Status::Solved,
            (false, Status::Solved) => Status::NumericalError,
            (false, status) => status,
        };
        self.confirmed &= self.status.is_solved();
    }
}
