//! Boundary points of the exponential and the power cone nearest to points outside, from no guess at
//! all: each is the root of a monotone function of one variable, which bisection finds.

use crate::cone::three::Three;

/// Halvings: from an interval of the size of the data to its rounding.
const HALVINGS: usize = 64;

/// Doublings of a step outwards, where an interval has one end.
const DOUBLINGS: usize = 64;

impl Three {
    /// Near the projection of `p` on the cone, for `p` neither in the cone nor in its polar; `None`
    /// where the nearest point is none of the curved boundary.
    pub(super) fn nearest(self, p: &[f64; 3]) -> Option<[f64; 3]> {
        match self {
            Three::Exponential => exponential(p),
            Three::Power(alpha) => power(alpha, p),
        }
    }
}

/// With `s = y·(ρ, 1, e^ρ)` and a multiplier along the normal at `ρ`, two rows of `p = s − z` give `y`
/// and the multiplier; what is left of the third increases in `ρ` where both are positive (Friberg 2023).
fn exponential(p: &[f64; 3]) -> Option<[f64; 3]> {
    let [x, y, v] = *p;
    if x <= 0.0 && y <= 0.0 {
        return None;
    }
    let scale = |ratio: f64| ratio * (ratio - 1.0) + 1.0;
    let primal = |ratio: f64| ((ratio - 1.0) * x + y) / scale(ratio);
    let dual = |ratio: f64| (x - ratio * y) / scale(ratio);
    let rest = |ratio: f64| primal(ratio) * ratio.exp() - dual(ratio) * (-ratio).exp() - v;
    // Where both are positive.
    let lowest = if x > 0.0 {
        1.0 - y / x
    } else {
        f64::NEG_INFINITY
    };
    let highest = if y > 0.0 { x / y } else { f64::INFINITY };
    let outwards = |from: f64, sign: f64| {
        let steps = (0..DOUBLINGS).map(|k| from + sign * (k as f64).exp2());
        // A NaN is beyond, too.
        steps.into_iter().find(|ratio| !(sign * rest(*ratio) < 0.0))
    };
    let (mut low, mut high) = match (lowest.is_finite(), highest.is_finite()) {
        (true, true) => (lowest, highest),
        (true, false) => (lowest, outwards(lowest, 1.0)?),
        (false, true) => (outwards(highest, -1.0)?, highest),
        (false, false) => return None,
    };
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if rest(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let ratio = 0.5 * (low + high);
    // At the root `y·e^ρ` is `v` and the multiplier's part, of which for large `ρ` only the former is there:
    // `y` itself is then a difference of numbers that are 1e40 times larger.
    let third = v + dual(ratio) * (-ratio).exp();
    if ratio > 0.0 && third > 0.0 {
        let y = third * (-ratio).exp();
        return Some([y * ratio, y, third]);
    }
    let y = primal(ratio);
    Some([y * ratio, y, y * ratio.exp()])
}

/// With `|v| = r` the other two are roots of quadratics; `x^α·y^(1−α)` over `r` falls through 1 between 0
/// and `|v|` (Hien 2015).
fn power(alpha: f64, p: &[f64; 3]) -> Option<[f64; 3]> {
    let [x, y, v] = *p;
    let size = v.abs();
    if size == 0.0 {
        return None;
    }
    let root = |at: f64, product: f64| {
        let root = (at * at + 4.0 * product).sqrt();
        if at >= 0.0 {
            0.5 * (at + root)
        } else {
            2.0 * product / (root - at)
        }
    };
    let point = |r: f64| {
        let product = r * (size - r);
        (root(x, alpha * product), root(y, (1.0 - alpha) * product))
    };
    let (mut low, mut high) = (0.0, size);
    // The root can be far below its bound, and is to have all its digits.
    for _ in 0..4 * HALVINGS {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        let (x, y) = point(middle);
        if x.powf(alpha) * y.powf(1.0 - alpha) > middle {
            low = middle;
        } else {
            high = middle;
        }
    }
    let r = 0.5 * (low + high);
    let (x, y) = point(r);
    Some([x, y, r.copysign(v)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nearly on the ray `(0, 0, v)`, where `x/y` is large and both are tiny.
    #[test]
    fn points_beside_the_ray_are_found() {
        for x in [0.1, 0.02, 0.01, 3e-3, 1e-3, 5e-4] {
            for (y, v) in [(-1.0, 1.0), (-3.0, 0.2)] {
                let found = Three::Exponential.nearest(&[x, y, v]).unwrap();
                assert!((found[2] - v).abs() < 1e-3 * v, "{x}: {found:?}");
                assert!(found[0] >= 0.0 && found[0] < 1e-3, "{x}: {found:?}");
                assert!(found[1] >= 0.0 && found[1] < 1e-3, "{x}: {found:?}");
            }
        }
    }

    /// From boundary points and outward normals of all sizes back to the points.
    #[test]
    fn boundary_points_are_found_again() {
        let sizes = [1e-6, 1e-3, 0.3, 1.0, 7.0, 1e3];
        let check = |kind: Three, s: [f64; 3], outward: [f64; 3]| {
            let p: [f64; 3] = std::array::from_fn(|i| s[i] + outward[i]);
            let found = kind.nearest(&p).unwrap();
            let size = p.iter().fold(0.0f64, |a, v| a.max(v.abs()));
            for (found, s) in found.iter().zip(s) {
                assert!(
                    (found - s).abs() < 1e-9 * size,
                    "{kind:?} {s} at {p:?}: {found}"
                );
            }
        };
        for ratio in [-6.0, -1.0, 0.0, 0.4, 2.5, 7.0] {
            let e = f64::exp(ratio);
            let normal = [e, e * (1.0 - ratio), -1.0];
            let norm = normal.iter().map(|v| v * v).sum::<f64>().sqrt();
            for y in sizes {
                for kappa in sizes {
                    let s = [y * ratio, y, y * e];
                    check(Three::Exponential, s, normal.map(|v| kappa * v / norm));
                }
            }
        }
        for (alpha, sign) in [(0.2, 1.0), (0.5, -1.0), (0.9, 1.0)] {
            for x in sizes {
                for y in [0.1, 1.0, 4.0] {
                    for kappa in sizes {
                        let g = f64::powf(x, alpha) * f64::powf(y, 1.0 - alpha);
                        let normal = [-alpha * g / x, -(1.0 - alpha) * g / y, sign];
                        let norm = normal.iter().map(|v| v * v).sum::<f64>().sqrt();
                        let outward = normal.map(|v| kappa * v / norm);
                        check(Three::Power(alpha), [x, y, sign * g], outward);
                    }
                }
            }
        }
    }
}
