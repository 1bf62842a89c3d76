//! Settings out of the input: mostly in range, and often the default.

use arbitrary::{Arbitrary, Result, Unstructured};
use feasible_json::{Degenerate, Infeasible, Options};

const TOLERANCES: [f64; 6] = [1e-3, 1e-6, 1e-12, 1e-16, 0.0, f64::NAN];
const WEIGHTS: [f64; 6] = [1e-3, 1.0, 1e6, 1e12, 0.0, f64::INFINITY];
const MUS: [f64; 6] = [1.0, 1e-2, 1e-4, 1e-8, 1e-300, -1.0];

#[derive(Debug)]
pub struct Choice(pub Options);

impl<'a> Arbitrary<'a> for Choice {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut options = Options::default();
        if u.ratio(1, 4)? {
            options.quadratic.infeasible = Infeasible::Elastic {
                weight: *u.choose(&WEIGHTS)?,
            };
        }
        options.adjoint.degenerate = match u.int_in_range(0..=5)? {
            0 => Degenerate::Held,
            1 => Degenerate::Released,
            2 => Degenerate::Smoothed {
                mu: *u.choose(&MUS)?,
            },
            _ => Degenerate::LeastNorm,
        };
        if u.ratio(1, 4)? {
            options.quadratic.tolerance = *u.choose(&TOLERANCES)?;
            options.cones.tolerance = *u.choose(&TOLERANCES)?;
        }
        Ok(Choice(options))
    }
}
