//! The barriers of the exponential and the power cone, for the central path of programs with them.
//!
//! Of the exponential cone `−ln ψ − ln y − ln v`, `ψ = y·ln(v/y) − x`; of the power cone
//! `−ln ψ₊ − ln ψ₋ − (1−α)·ln x − α·ln y`, `ψ± = g ∓ v`, `g = x^α·y^(1−α)` (Nesterov & Nemirovskii
//! 1994, §5.3; Chares 2009). Both are self-concordant and logarithmically homogeneous of degree 3.
//!
//! Every `ψ` is concave with a Hessian of rank one, so the barrier's Hessian is a sum of a few
//! positive terms of rank one, `μ∇²f = CCᵀ`. Rotating the columns of `C` against each other until
//! they are orthogonal (Hestenes 1958) gives its eigenvectors without ever forming it: near the
//! boundary its eigenvalues are as far apart as `μ⁻²`, and the small ones would drown.

use crate::cone::three::Three;

/// Steps of Newton's method for one `μ`: self-concordance bounds their number.
const STEPS: usize = 60;

/// Newton decrement below which whole steps converge quadratically, whatever the barrier.
const NEAR: f64 = 0.25;

/// What `μ` shrinks by on the way down from where the barrier outweighs the data.
const SHRINK: f64 = 0.1;

/// The point `s` of the cone's interior with `−∇f(s) = s`, which is inside the dual cone, too.
pub(crate) fn centre(kind: Three) -> [f64; 3] {
    match kind {
        Three::Exponential => [
            -0.827_838_399_065_678_6,
            0.805_102_001_584_795_4,
            1.290_927_709_856_958_2,
        ],
        Three::Power(alpha) => [(1.0 + alpha).sqrt(), (2.0 - alpha).sqrt(), 0.0],
    }
}

/// Orthonormal eigenvectors of `μ∇²f`, and its eigenvalues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curved {
    pub(crate) vectors: [[f64; 3]; 3],
    pub(crate) values: [f64; 3],
}

/// Takes `s` to the minimiser of `½‖s + w‖² + μf(s)` and returns the Hessian of `μf` there; with
/// `z = w + s` the pair is the central path's, `z = −μ∇f(s)`. `s` comes in as a guess. `None` where
/// rounding does not let Newton's method arrive.
pub(crate) fn proximal(kind: Three, w: &[f64; 3], mu: f64, s: &mut [f64; 3]) -> Option<Curved> {
    let mut near = *s;
    if !newton(kind, w, mu, &mut near, STEPS / 3) {
        let size = w.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let mut root = mu.sqrt().max(10.0 * size);
        near = centre(kind).map(|v| root * v);
        loop {
            let at = (root * root).max(mu);
            if !newton(kind, w, at, &mut near, STEPS) {
                return None;
            }
            if at == mu {
                break;
            }
            root *= SHRINK.sqrt();
        }
    }
    *s = near;
    let z = std::array::from_fn(|i| w[i] + s[i]);
    let forces = kind.forces(s, mu)?;
    kind.curved(s, kind.refined(&z, mu, forces), mu)
}

/// Damped Newton; false where it does not arrive within so many steps.
fn newton(kind: Three, w: &[f64; 3], mu: f64, s: &mut [f64; 3], steps: usize) -> bool {
    let mut last = f64::INFINITY;
    for _ in 0..steps {
        let Some(forces) = kind.forces(s, mu) else {
            return false;
        };
        let gradient = kind.gradient(s, forces, mu);
        let rest: [f64; 3] = std::array::from_fn(|i| s[i] + w[i] + gradient[i]);
        let Some(curved) = kind.curved(s, forces, mu) else {
            return false;
        };
        let mut step = [0.0; 3];
        let mut squared = 0.0;
        for (vector, value) in curved.vectors.iter().zip(curved.values) {
            let along = inner(vector, &rest);
            let slope = along / (1.0 + value);
            squared += along * slope / mu;
            for (step, v) in step.iter_mut().zip(vector) {
                *step -= slope * v;
            }
        }
        let decrement = squared.sqrt();
        if !decrement.is_finite() {
            return false;
        }
        // From NEAR on exact steps more than halve it. Where rounding ends that, what is left is the
        // force's rounding, which the step divides by the Hessian: the point is as exact as it gets.
        let halved = last >= NEAR || decrement <= 0.5 * last;
        if decrement < NEAR && (decrement <= 1e-15 || !halved) {
            return true;
        }
        last = decrement;
        let length = if decrement < NEAR {
            1.0
        } else {
            1.0 / (1.0 + decrement)
        };
        for (s, step) in s.iter_mut().zip(&step) {
            *s += length * step;
        }
    }
    false
}

fn inner(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

impl Three {
    /// `μ/ψ` of every `ψ`; `None` outside the cone's interior.
    fn forces(self, s: &[f64; 3], mu: f64) -> Option<[f64; 2]> {
        let [x, y, v] = *s;
        let slack = match self {
            Three::Exponential if y > 0.0 && v > 0.0 => {
                let slack = y * (v / y).ln() - x;
                [slack, slack]
            }
            Three::Power(alpha) if x > 0.0 && y > 0.0 => {
                let g = x.powf(alpha) * y.powf(1.0 - alpha);
                [g - v, g + v]
            }
            _ => return None,
        };
        let inside = slack.iter().all(|slack| *slack > 0.0);
        inside.then(|| slack.map(|slack| mu / slack))
    }

    /// The forces by way of the multipliers: near the boundary `ψ` is a difference of large numbers,
    /// and the multiplier is not.
    fn refined(self, z: &[f64; 3], mu: f64, forces: [f64; 2]) -> [f64; 2] {
        let [up, down] = forces;
        let close = |force: f64| force * force > mu;
        match self {
            Three::Exponential if close(up) => [-z[0], -z[0]],
            Three::Power(_) if up >= down && close(up) => [down - z[2], down],
            Three::Power(_) if up < down && close(down) => [up, up + z[2]],
            _ => forces,
        }
    }

    /// `μ∇f`.
    fn gradient(self, s: &[f64; 3], forces: [f64; 2], mu: f64) -> [f64; 3] {
        let [x, y, v] = *s;
        match self {
            Three::Exponential => {
                let slope = (v / y).ln() - 1.0;
                let force = forces[0];
                [force, -force * slope - mu / y, -(force * y + mu) / v]
            }
            Three::Power(alpha) => {
                let g = x.powf(alpha) * y.powf(1.0 - alpha);
                let force = (forces[0] + forces[1]) * g;
                [
                    -(alpha * force + mu * (1.0 - alpha)) / x,
                    -((1.0 - alpha) * force + mu * alpha) / y,
                    forces[0] - forces[1],
                ]
            }
        }
    }

    /// `μ∇²f`; `None` if its numbers are not finite.
    fn curved(self, s: &[f64; 3], forces: [f64; 2], mu: f64) -> Option<Curved> {
        let [x, y, v] = *s;
        let root = mu.sqrt();
        let mut columns = match self {
            Three::Exponential => {
                let steep = forces[0] / root;
                let bend = (forces[0] * y).sqrt();
                [
                    [-steep, steep * ((v / y).ln() - 1.0), steep * y / v],
                    [0.0, bend / y, -bend / v],
                    [0.0, root / y, 0.0],
                    [0.0, 0.0, root / v],
                    [0.0; 3],
                ]
            }
            Three::Power(alpha) => {
                let beta = 1.0 - alpha;
                let g = x.powf(alpha) * y.powf(beta);
                let [up, down] = forces.map(|force| force / root);
                let bend = (alpha * beta * g * (forces[0] + forces[1])).sqrt();
                [
                    [up * alpha * g / x, up * beta * g / y, -up],
                    [down * alpha * g / x, down * beta * g / y, down],
                    [bend / x, -bend / y, 0.0],
                    [root * beta.sqrt() / x, 0.0, 0.0],
                    [0.0, root * alpha.sqrt() / y, 0.0],
                ]
            }
        };
        orthogonalise(&mut columns)
    }
}

/// Sweeps over all pairs of columns; from nearly parallel ones it takes five.
const SWEEPS: usize = 12;

/// Eigenvectors and eigenvalues of `CCᵀ`, which rotations of the columns of `C` leave as it is.
fn orthogonalise(columns: &mut [[f64; 3]; 5]) -> Option<Curved> {
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for i in 0..5 {
            for j in i + 1..5 {
                let (p, q) = (columns[i], columns[j]);
                let (a, b, c) = (inner(&p, &p), inner(&q, &q), inner(&p, &q));
                // Below the square of the precision a column is rounding of the other.
                let negligible = 1e-31 * a.max(b);
                if a.min(b) <= negligible || c.abs() <= 1e-15 * (a * b).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (b - a) / (2.0 * c);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = cosine * tangent;
                for k in 0..3 {
                    columns[i][k] = cosine * p[k] - sine * q[k];
                    columns[j][k] = sine * p[k] + cosine * q[k];
                }
            }
        }
        if !rotated {
            break;
        }
    }
    columns.sort_by(|p, q| inner(q, q).total_cmp(&inner(p, p)));
    let values: [f64; 3] = std::array::from_fn(|k| inner(&columns[k], &columns[k]));
    let unit = |k: usize| columns[k].map(|v| v / values[k].sqrt());
    let (first, second) = (unit(0), unit(1));
    let third = [
        first[1] * second[2] - first[2] * second[1],
        first[2] * second[0] - first[0] * second[2],
        first[0] * second[1] - first[1] * second[0],
    ];
    let vectors = [first, second, third];
    let finite = vectors
        .iter()
        .flatten()
        .chain(&values)
        .all(|v| v.is_finite());
    finite.then_some(Curved { vectors, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Three; 4] = [
        Three::Exponential,
        Three::Power(0.5),
        Three::Power(0.07),
        Three::Power(0.8),
    ];

    fn waves(seed: usize) -> [f64; 3] {
        let wave = |at: usize| (1.3 + 0.9 * at as f64).sin() * 2.0;
        [wave(3 * seed), wave(3 * seed + 1), wave(3 * seed + 2)]
    }

    #[test]
    fn centres_are_fixed_points() {
        for kind in KINDS {
            let c = centre(kind);
            let forces = kind.forces(&c, 1.0).unwrap();
            let gradient = kind.gradient(&c, forces, 1.0);
            for (c, g) in c.iter().zip(&gradient) {
                assert!((c + g).abs() < 4e-15, "{kind:?}: {c} {g}");
            }
        }
    }

    /// Homogeneity: `sᵀ∇f = −3`, `∇²f s = −∇f`.
    #[test]
    fn gradients_and_hessians_are_those_of_a_barrier_of_degree_three() {
        for (seed, kind) in KINDS.into_iter().enumerate() {
            let mut s = [0.0; 3];
            for mu in [1.0, 1e-4, 1e-8] {
                let w = waves(seed);
                let curved = proximal(kind, &w, mu, &mut s).unwrap();
                let z: [f64; 3] = std::array::from_fn(|i| w[i] + s[i]);
                assert!((inner(&s, &z) - 3.0 * mu).abs() < 1e-14, "{kind:?} {mu}");
                for i in 0..3 {
                    let across: f64 = curved
                        .vectors
                        .iter()
                        .zip(curved.values)
                        .map(|(vector, value)| value * inner(vector, &s) * vector[i])
                        .sum();
                    assert!(
                        (across - z[i]).abs() < 1e-6,
                        "{kind:?} {mu} {across} {}",
                        z[i]
                    );
                }
            }
        }
    }

    /// The derivative of the proximal point is `−(I + μ∇²f)⁻¹`.
    #[test]
    fn derivatives_of_the_proximal_point() {
        let step = 1e-5;
        for kind in KINDS {
            for seed in 0..40 {
                let w = waves(seed);
                let d = waves(seed + 100);
                for mu in [1.0, 1e-2, 1e-4] {
                    let mut s = [0.0; 3];
                    let curved = proximal(kind, &w, mu, &mut s).unwrap();
                    let at = |t: f64| {
                        let moved = std::array::from_fn(|i| w[i] + t * step * d[i]);
                        let mut near = s;
                        proximal(kind, &moved, mu, &mut near).unwrap();
                        near
                    };
                    let points = [-2.0, -1.0, 1.0, 2.0].map(at);
                    for i in 0..3 {
                        let expected = (8.0 * (points[2][i] - points[1][i])
                            - (points[3][i] - points[0][i]))
                            / (12.0 * step);
                        let got: f64 = curved
                            .vectors
                            .iter()
                            .zip(curved.values)
                            .map(|(v, value)| -inner(v, &d) * v[i] / (1.0 + value))
                            .sum();
                        assert!(
                            (got - expected).abs() < 1e-8,
                            "{kind:?} {seed} {mu}: {got} {expected}"
                        );
                    }
                }
            }
        }
    }

    /// From a start that says nothing, over 12 orders of magnitude of the target and down to the
    /// smallest μ that leaves the boundary's distance a number.
    #[test]
    fn the_proximal_point_is_always_found() {
        for kind in KINDS {
            for seed in 0..60 {
                for size in [1e-6, 1.0, 1e6] {
                    for relative in [1e6, 1.0, 1e-3, 1e-6, 1e-9, 1e-12] {
                        let w = waves(seed).map(|v| v * size);
                        let mu = relative * size * size;
                        let mut s = [f64::NAN; 3];
                        let found = proximal(kind, &w, mu, &mut s);
                        assert!(found.is_some(), "{kind:?} {seed} {size} {relative}");
                        let z: [f64; 3] = std::array::from_fn(|i| w[i] + s[i]);
                        let gap = inner(&s, &z) / (3.0 * mu) - 1.0;
                        // The products' rounding over what is left of them.
                        let allowed = 1e-13 + 1e-15 / relative;
                        assert!(
                            gap.abs() < allowed,
                            "{kind:?} {seed} {size} {relative} {gap:e}"
                        );
                    }
                }
            }
        }
    }
}
