//! The optimality conditions of one sample, linearised at its solution.

use std::borrow::Cow;

use crate::adjoint::{GradientQuality, GradientReport};
use crate::cone::barrier::centre;
use crate::cone::central::{Central, central};
use crate::cone::geometry::{Local, localise};
use crate::cone::newton::ConePoint;
use crate::cone::problem::{Cone, ConeProblem, ConeSample};
use crate::cone::scaled::Scaled;
use crate::cone::solve::ConeSolution;
use crate::cone::system::{Rank, System};
use crate::cone::three::Three;
use crate::dense::max_abs;
use crate::error::Error;
use crate::settings::{AdjointSettings, Degenerate};

/// A factored linearisation. Its matrix is symmetric, so that it serves derivatives forwards and
/// backwards.
pub(crate) struct Linearised<'a> {
    pub(crate) sample: ConeSample<'a>,
    /// What is linearised, where it is not the sample as it is given: then `local` and `system` are of
    /// this.
    scaled: Option<Scaled<'a>>,
    local: Cow<'a, Local>,
    /// The point that is differentiated.
    pub(crate) x: Cow<'a, [f64]>,
    pub(crate) z: Cow<'a, [f64]>,
    /// It is one of the central path.
    smoothed: bool,
    /// Margin of the solution itself.
    margin: f64,
    confirmed: bool,
    system: System,
    rank: Rank,
    settings: &'a AdjointSettings,
    worst: f64,
}

impl<'a> Linearised<'a> {
    /// `None` where the sample was not solved or its numbers cannot be factored.
    pub(crate) fn at(
        problem: &'a ConeProblem<'a>,
        solution: &'a ConeSolution,
        settings: &'a AdjointSettings,
        i: usize,
    ) -> Option<Linearised<'a>> {
        if !solution.status[i].is_solved() {
            return None;
        }
        let given = problem.sample(i);
        let scaled = Scaled::of(&given, solution.units[i]);
        let sample = scaled.as_ref().map_or(given, |scaled| scaled.sample());
        let (n, m) = (sample.n, sample.m);
        let found = &solution.local[i];
        let layout = &solution.layout;
        let x = &solution.x[i * n..(i + 1) * n];
        let z = &solution.z[i * m..(i + 1) * m];
        let point = || {
            let point = ConePoint {
                x: x.to_vec(),
                s: solution.s[i * m..(i + 1) * m].to_vec(),
                z: z.to_vec(),
            };
            match &scaled {
                Some(scaled) => scaled.point(point),
                None => point,
            }
        };
        // The path is one and the same for scaled rows: `z ∘ s` is in units of the objective.
        let central = match settings.degenerate {
            Degenerate::Smoothed { mu } => {
                let mu = scaled.as_ref().map_or(mu, |scaled| scaled.mu(mu));
                central(&sample, &point(), layout, mu)
            }
            _ => None,
        };
        let smoothed = central.is_some();
        let (local, x, z) = match central {
            Some(Central { mut point, local }) => {
                if let Some(scaled) = &scaled {
                    scaled.unscale(&mut point.x, &mut point.z);
                }
                (Cow::Owned(local), Cow::Owned(point.x), Cow::Owned(point.z))
            }
            None => {
                let kink = found.smooth && !(found.margin > settings.degenerate_margin);
                let local = if kink {
                    Cow::Owned(beside(sample.cones, &point(), settings))
                } else {
                    Cow::Borrowed(found)
                };
                (local, Cow::Borrowed(x), Cow::Borrowed(z))
            }
        };
        let mut system = System::new(&sample, &local, layout, settings.rank_tolerance)?;
        let rank = system.rank(&sample, &local);
        Some(Linearised {
            sample: given,
            margin: found.margin,
            local,
            x,
            z,
            smoothed,
            confirmed: solution.confirmed[i],
            scaled,
            system,
            rank,
            settings,
            worst: 0.0,
        })
    }

    /// Solves `P dx + Aᵀdz = r₁`, `A dx + ds = r₂`, where `(ds, dz)` stays in the linearised
    /// cones. False, and zeros, if the numbers are not finite.
    pub(crate) fn solve(
        &mut self,
        right: (&[f64], &[f64]),
        dx: &mut [f64],
        dz: &mut [f64],
    ) -> bool {
        let residual = match &self.scaled {
            None => self.system.solve(&self.sample, &self.local, right, dx, dz),
            Some(scaled) => {
                let (of_x, of_s) = scaled.right(right);
                let right = (&of_x[..], &of_s[..]);
                let residual = self
                    .system
                    .solve(&scaled.sample(), &self.local, right, dx, dz);
                scaled.unscale(dx, dz);
                residual
            }
        };
        if !(max_abs(dx).is_finite() && max_abs(dz).is_finite()) {
            dx.fill(0.0);
            dz.fill(0.0);
            self.worst = f64::INFINITY;
            return false;
        }
        // A NaN must not pass for a good residual, of this derivative or a later one.
        self.worst = match residual.is_finite() {
            true => self.worst.max(residual),
            false => f64::INFINITY,
        };
        true
    }

    /// How far what was solved for can be trusted.
    pub(crate) fn report(&self) -> GradientReport {
        if self.worst == f64::INFINITY {
            return GradientReport::UNAVAILABLE;
        }
        let exact = self.confirmed
            && self.local.smooth
            && self.margin > self.settings.degenerate_margin
            && !self.rank.deficient
            && self.worst <= self.settings.residual_tolerance
            && self.rank.condition <= self.settings.condition_limit;
        let quality = match (exact, self.settings.degenerate) {
            (false, _) => GradientQuality::Degenerate,
            (true, Degenerate::Smoothed { .. }) if self.smoothed => GradientQuality::Smoothed,
            (true, Degenerate::Smoothed { .. }) => GradientQuality::Degenerate,
            (true, _) => GradientQuality::Exact,
        };
        GradientReport {
            quality,
            residual: self.worst,
            margin: self.margin,
            condition: self.rank.condition,
        }
    }
}

/// The directions on one side of a kink: eigenvalues too small to have a sign count as multipliers
/// where what touches is held, as slacks where it is released. Exponential and power cones, which have no
/// eigenvalues, move along a direction that is inside of them and of their duals: from a point that only
/// touches, `w = −s`, it leads out of where `z` is 0, and back.
fn beside(cones: &[Cone], at: &ConePoint, settings: &AdjointSettings) -> Local {
    let (s, z) = (&at.s, &at.z);
    let size = 1.0 + max_abs(s).max(max_abs(z));
    let shift = match settings.degenerate {
        Degenerate::Released => -2.0 * settings.degenerate_margin * size,
        _ => 2.0 * settings.degenerate_margin * size,
    };
    let mut w: Vec<f64> = z.iter().zip(s).map(|(z, s)| z - s).collect();
    let move_three = |w: &mut [f64], kind: Three| {
        for (w, inwards) in w.iter_mut().zip(centre(kind).iter().cycle()) {
            *w += shift * inwards;
        }
    };
    let mut first = 0;
    for &cone in cones {
        match cone {
            Cone::Nonnegative(rows) => {
                w[first..first + rows].iter_mut().for_each(|w| *w += shift);
            }
            Cone::SecondOrder(_) => w[first] += shift,
            Cone::Semidefinite(size) => {
                let diagonal = (1..=size).map(|k| k * (k + 1) / 2 - 1);
                diagonal.for_each(|at| w[first + at] += shift);
            }
            Cone::Exponential(_) => {
                move_three(&mut w[first..first + cone.rows()], Three::Exponential)
            }
            Cone::Power(alpha) => move_three(&mut w[first..first + 3], Three::Power(alpha)),
            Cone::Zero(_) => {}
        }
        first += cone.rows();
    }
    let (mut s, mut z) = (s.clone(), z.clone());
    localise(cones, &w, &mut s, &mut z)
}

/// Refuses a solution of another problem.
pub(crate) fn check_solution(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
) -> Result<(), Error> {
    let (batch, n, m) = (problem.batch, problem.n, problem.rows());
    for (what, got, expected) in [
        ("batch", solution.status.len(), batch),
        ("x", solution.x.len(), batch * n),
        ("z", solution.z.len(), batch * m),
    ] {
        if got != expected {
            return Err(Error::ForeignSolution {
                what,
                got,
                expected,
            });
        }
    }
    if solution.layout.belongs_to(problem) {
        Ok(())
    } else {
        Err(Error::ForeignPattern)
    }
}
