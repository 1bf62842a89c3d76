//! Published problem families, drawn as their authors drew them.
//!
//! A [`Recipe`] with its published [`Size`] and seed gives the published instance: every drawn number to the
//! last bit, every derived bound to rounding. Any other size and seed gives a fresh instance of the family.

mod dc3;
mod error;
mod instance;
mod parts;
mod pseudo_inverse;
mod size;
mod snare_noncvx;
mod snare_qcqp;

pub(crate) use dc3::absolute_row_sums;
pub use error::Error;
pub use instance::Instance;
pub use parts::Parts;
pub use size::Size;

use crate::numpy_random::LegacyRandom;
use serde::{Deserialize, Serialize};

/// A published family of problems: minimise `f(y)` subject to `equality · y = x` and `g(y) ≤ upper`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// DC3's "simple" problem: `½ yᵀQy + pᵀy` with linear rows (Donti et al., ICLR 2021, section 4.1).
    Dc3Simple,
    /// DC3's non-convex variant: `½ yᵀQy + pᵀ sin(y)` on the very same draws (section 4.2).
    Dc3Nonconvex,
    /// SnareNet's `noncvx`: the same family drawn in another order (Chu et al., arXiv 2602.09317).
    SnareNoncvx,
    /// SnareNet's `cvx_qcqp`: `½ yᵀQy + pᵀy` with convex quadratic rows `yᵀH_i y + G_i y ≤ h_i`.
    SnareQcqp,
}

impl Recipe {
    /// All recipes.
    pub const ALL: [Self; 4] = [
        Self::Dc3Simple,
        Self::Dc3Nonconvex,
        Self::SnareNoncvx,
        Self::SnareQcqp,
    ];

    /// The seed that the authors used.
    pub fn published_seed(self) -> u32 {
        match self {
            Self::Dc3Simple | Self::Dc3Nonconvex => dc3::SEED,
            Self::SnareNoncvx => snare_noncvx::SEED,
            Self::SnareQcqp => snare_qcqp::SEED,
        }
    }

    /// The name used in files: `dc3-simple`, `dc3-nonconvex`, `snare-noncvx`, `snare-qcqp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dc3Simple => "dc3-simple",
            Self::Dc3Nonconvex => "dc3-nonconvex",
            Self::SnareNoncvx => "snare-noncvx",
            Self::SnareQcqp => "snare-qcqp",
        }
    }

    /// The recipe with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.name() == name)
    }

    /// Whether the problem is convex: its optimum is then unique in value and a local one is the global one.
    pub fn is_convex(self) -> bool {
        matches!(self, Self::Dc3Simple | Self::SnareQcqp)
    }
}

impl std::fmt::Display for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Draws the instance of `recipe` with this size and seed.
///
/// With [`Size::default`] and [`Recipe::published_seed`] this is the published instance.
///
/// # Errors
/// [`Error::Size`] where [`Size::validate`] refuses the size, [`Error::RankDeficient`] where the drawn
/// equality rows are dependent to rounding (random ones are not).
///
/// # Cost
/// One singular value decomposition of an `[eq, n]` matrix, plus one of an `[eq, eq]` matrix per row for
/// [`Recipe::SnareQcqp`]. At the published size about 10 ms, and 30 ms for the QCQP.
///
/// ```
/// use feasible_data::{Recipe, Size, generate};
///
/// let size = Size { n: 8, eq: 3, ineq: 4, samples: 10 };
/// let instance = generate(Recipe::Dc3Simple, &size, Recipe::Dc3Simple.published_seed())?;
/// let x = instance.input(0).unwrap();
/// let y = instance.start(x)?;
/// assert!(instance.violation(x, &y)? < 1e-12);
/// # Ok::<(), feasible_data::Error>(())
/// ```
pub fn generate(recipe: Recipe, size: &Size, seed: u32) -> Result<Instance, Error> {
    size.validate()?;
    let mut random = LegacyRandom::new(seed);
    let parts = match recipe {
        Recipe::Dc3Simple | Recipe::Dc3Nonconvex => dc3::draw(size, &mut random)?,
        Recipe::SnareNoncvx => snare_noncvx::draw(size, &mut random)?,
        Recipe::SnareQcqp => snare_qcqp::draw(size, &mut random)?,
    };
    Instance::new(recipe, *size, seed, parts)
}
