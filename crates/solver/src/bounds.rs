//! Bounds that stand in for a problem's: those that cross by rounding alone meet in their middle.

use crate::batch::Values;
use crate::problem::{Inequalities, Problem};

/// Bounds that cross by less, relative to the larger, do so by rounding alone: the two may come from
/// different sums of the same numbers. Some hundred roundings of double precision.
const TOUCHING: f64 = 2e-13;

/// Whether a lower bound lies above its upper one by no more than numbers with this relative
/// `rounding` are off ([`crate::Settings::rounding`]): the solvers take such a row for one of equal
/// bounds, at their middle.
pub fn bounds_touch(lower: f64, upper: f64, rounding: f64) -> bool {
    // Each of the two may be the last of a few operations.
    let reach = TOUCHING.max(4.0 * rounding);
    lower > upper && lower - upper <= reach * lower.abs().max(upper.abs())
}

/// Bounds of a batch in place of the problem's own.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    l: Vec<f64>,
    u: Vec<f64>,
    shared: bool,
}

impl Bounds {
    /// The problem's bounds, each pair as `replace` makes it.
    pub(crate) fn of(
        problem: &Problem<'_>,
        replace: impl Fn(f64, f64) -> (f64, f64),
    ) -> Option<Bounds> {
        let part = problem.inequalities?;
        let copies = copies(problem);
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for i in 0..copies {
            let (l, u) = (part.l.sample(i, part.rows), part.u.sample(i, part.rows));
            for (l, u) in l.iter().zip(u) {
                let (l, u) = replace(*l, *u);
                lower.push(l);
                upper.push(u);
            }
        }
        Some(Bounds {
            l: lower,
            u: upper,
            shared: part.l.is_shared() && part.u.is_shared(),
        })
    }

    /// Those of a problem with bounds that touch; `None` where there are none.
    pub(crate) fn touching(problem: &Problem<'_>, rounding: f64) -> Option<Bounds> {
        if !any(problem, |l, u| bounds_touch(l, u, rounding)) {
            return None;
        }
        Bounds::of(problem, |l, u| {
            if bounds_touch(l, u, rounding) {
                // Halved first, so that the sum stays finite.
                let middle = 0.5 * l + 0.5 * u;
                (middle, middle)
            } else {
                (l, u)
            }
        })
    }

    /// The problem with these bounds.
    pub(crate) fn problem<'a>(&'a self, problem: &Problem<'a>) -> Problem<'a> {
        let values = |data: &'a [f64]| match self.shared {
            true => Values::Shared(data),
            false => Values::PerSample(data),
        };
        Problem {
            inequalities: problem.inequalities.map(|part| Inequalities {
                l: values(&self.l),
                u: values(&self.u),
                ..part
            }),
            ..*problem
        }
    }
}

/// Pairs of bounds that a batch has, in copies: one where both are shared.
pub(crate) fn copies(problem: &Problem<'_>) -> usize {
    match problem.inequalities {
        Some(part) if part.l.is_shared() && part.u.is_shared() => problem.batch.min(1),
        Some(_) => problem.batch,
        None => 0,
    }
}

/// Whether some pair of bounds is such.
pub(crate) fn any(problem: &Problem<'_>, such: impl Fn(f64, f64) -> bool) -> bool {
    let Some(part) = problem.inequalities else {
        return false;
    };
    (0..copies(problem)).any(|i| {
        let (l, u) = (part.l.sample(i, part.rows), part.u.sample(i, part.rows));
        // Without a branch inside: nearly always there is none.
        l.iter()
            .zip(u)
            .fold(false, |found, (l, u)| found | such(*l, *u))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_depends_on_the_rounding() {
        let single = f64::from(f32::EPSILON);
        let (l, u) = (f64::from(0.1f32 + 0.6), f64::from(0.7f32));
        assert!(l > u);
        assert!(bounds_touch(l, u, single) && !bounds_touch(l, u, f64::EPSILON));
        assert!(bounds_touch(-u, -l, single) && !bounds_touch(u, l, single));
        assert!(bounds_touch(0.1 + 0.2, 0.3, f64::EPSILON));
        // What is far apart is so however large it is, also where the sum of both overflows.
        assert!(!bounds_touch(1.7e308, 1.2e308, single));
        assert!(!bounds_touch(1.7e308, -1.7e308, single));
        assert!(bounds_touch(1.7e308, 1.7e308 * (1.0 - single), single));
        assert!(!bounds_touch(1.0, 1.0, single) && !bounds_touch(1e-9, -1e-9, single));
        let infinity = f64::INFINITY;
        assert!(!bounds_touch(-infinity, infinity, single));
    }
}
