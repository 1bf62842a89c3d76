//! Where a variable is, absolutely or relative to another.

use super::{Numbers, check_sizes};
use crate::cost::Shapes;
use crate::manifold::Manifold;
use crate::scalar::Real;

/// `$work` with `$group` as the group of `$manifold` over any scalar and `$dimensions` as its dimensions; `$flat`
/// on vectors.
macro_rules! by_group {
    ($manifold:expr, $group:ident, $dimensions:ident => $work:expr, $flat:expr) => {
        match $manifold {
            Manifold::Vector(_) | Manifold::Bounded(_) => $flat,
            Manifold::So2 => {
                type $group<T> = crate::groups::So2<T>;
                const $dimensions: usize = 1;
                $work
            }
            Manifold::Se2 => {
                type $group<T> = crate::groups::Se2<T>;
                const $dimensions: usize = 3;
                $work
            }
            Manifold::So3 => {
                type $group<T> = crate::groups::So3<T>;
                const $dimensions: usize = 3;
                $work
            }
            Manifold::Se3 => {
                type $group<T> = crate::groups::Se3<T>;
                const $dimensions: usize = 6;
                $work
            }
        }
    };
}

// After the macro, which they use.
mod between;
mod difference;

pub use between::Between;
pub use difference::Difference;

/// Constants as scalars, or the auxiliary.
#[inline(always)]
fn with_numbers<T: Real, R>(
    numbers: &Numbers,
    auxiliaries: &[&[T]],
    work: impl FnOnce(&[T]) -> R,
) -> R {
    match numbers {
        Numbers::Auxiliary(_) => work(auxiliaries[0]),
        Numbers::Constant(values) if values.len() <= 7 => {
            let mut few = [T::constant(0.0); 7];
            for (few, value) in few.iter_mut().zip(values) {
                *few = T::constant(*value);
            }
            work(&few[..values.len()])
        }
        Numbers::Constant(values) => {
            let many: Vec<T> = values.iter().map(|v| T::constant(*v)).collect();
            work(&many)
        }
    }
}

fn check_position(
    shapes: &Shapes<'_>,
    manifold: &Manifold,
    variables: usize,
    (name, numbers): (&str, &Numbers),
) -> Result<(), String> {
    let storage = manifold.storage();
    check_sizes(shapes, storage, variables, &[(name, numbers, storage)])?;
    let kind = |m: &Manifold| (!m.is_flat()).then(|| std::mem::discriminant(m));
    if shapes.manifolds.iter().any(|m| kind(m) != kind(manifold)) {
        return Err(format!("has a variable that is not on {manifold:?}"));
    }
    if let Numbers::Constant(values) = numbers {
        manifold
            .normalise(&mut values.clone())
            .map_err(|reason| format!("{reason} ({name})"))?;
    }
    Ok(())
}
