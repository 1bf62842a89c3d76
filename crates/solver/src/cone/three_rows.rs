//! Exponential and power cones near a solution: interior, apex, face or curved boundary.

use crate::cone::geometry::{Direction, Local};
use crate::cone::three::{Boundary, Three};
use crate::dense::max_abs;

/// Which part of its cone, and of the dual one, the three rows from `first` on are at: `s` and `z` come in as
/// guesses and go out exact.
#[allow(clippy::too_many_arguments)]
pub(super) fn three_rows(
    local: &mut Local,
    kind: Three,
    first: usize,
    w: &[f64],
    s: &mut [f64],
    z: &mut [f64],
    primal: f64,
    dual: f64,
) {
    let target = [w[0], w[1], w[2]];
    let opposite = target.map(|w| -w);
    // Moreau: `z` is 0 where `−w` is in the cone, `s` where `w` is in the dual one.
    let (inside_s, inside_z) = (kind.depth(&opposite), kind.dual_depth(&target));
    if inside_s > 0.0 {
        z.fill(0.0);
        s.copy_from_slice(&opposite);
        local.distance(inside_s / primal);
        return;
    }
    if inside_z > 0.0 {
        s.fill(0.0);
        z.copy_from_slice(w);
        local.distance(inside_z / dual);
        (first..first + 3).for_each(|row| local.unit(row));
        return;
    }
    if kind == Three::Exponential && opposite[0] < 0.0 && opposite[1] < 0.0 {
        face(local, first, &opposite, (s, primal), (z, dual));
        return;
    }
    let mut guess_s = [s[0], s[1], s[2]];
    let mut guess_z = [z[0], z[1], z[2]];
    let mut found = kind.project(&target, &mut guess_s, &mut guess_z);
    if found.is_none()
        && let Some(nearest) = kind.nearest(&opposite)
    {
        let rest: [f64; 3] = std::array::from_fn(|i| target[i] + nearest[i]);
        let rounding = 16.0 * f64::EPSILON * max_abs(&target);
        if max_abs(&rest) <= rounding {
            z.fill(0.0);
            s.copy_from_slice(&opposite);
            local.distance(0.0);
            return;
        }
        if max_abs(&nearest) <= rounding && inside_z >= -1e-8 * max_abs(&target) {
            s.fill(0.0);
            z.copy_from_slice(w);
            (first..first + 3).for_each(|row| local.unit(row));
            local.distance(0.0);
            return;
        }
        (guess_s, guess_z) = (nearest, rest);
        found = kind.project(&target, &mut guess_s, &mut guess_z);
    }
    let Some(boundary) = found else {
        local.smooth = false;
        local.distance(0.0);
        return;
    };
    s.copy_from_slice(&guess_s);
    z.copy_from_slice(&guess_z);
    local.distance(max_abs(&guess_s) / primal);
    local.distance(max_abs(&guess_z) / dual);
    let Boundary {
        normal,
        bend,
        distance,
    } = boundary;
    local.distance(distance);
    local.directions.push(Direction {
        first,
        entries: normal.to_vec(),
        curvature: 0.0,
    });
    if let Some((direction, curvature)) = bend {
        local.directions.push(Direction {
            first,
            entries: direction.to_vec(),
            curvature,
        });
    }
}

/// The exponential cone's face `y = 0`, `x ≤ 0`, `v ≥ 0`: its points are the nearest to all others with
/// negative `x` and `y` (Friberg 2023).
fn face(
    local: &mut Local,
    first: usize,
    p: &[f64; 3],
    (s, primal): (&mut [f64], f64),
    (z, dual): (&mut [f64], f64),
) {
    let [x, y, v] = *p;
    s.copy_from_slice(&[x, 0.0, v.max(0.0)]);
    z.copy_from_slice(&[0.0, -y, (-v).max(0.0)]);
    local.distance(-x / primal);
    local.distance(-y / dual);
    local.note(-v, primal, dual);
    local.unit(first + 1);
    if v < 0.0 {
        local.unit(first + 2);
    }
}

#[cfg(test)]
mod tests {
    use crate::cone::geometry::localise;
    use crate::cone::geometry::tests::check;
    use crate::cone::problem::Cone;
    use crate::dense::max_abs;

    #[test]
    fn derivatives_of_the_three_row_cones() {
        // Complementary pairs on the boundaries: s with f(s) = 0 and z = −κ∇f(s).
        for (x, y, kappa) in [(0.5, 1.0, 0.7), (-1.0, 0.5, 2.0), (2.0, 1.5, 0.1)] {
            let e = f64::exp(x / y);
            let s = [x, y, y * e];
            let z = [-kappa * e, -kappa * e * (1.0 - x / y), kappa];
            let w: Vec<f64> = z.iter().zip(&s).map(|(z, s)| z - s).collect();
            check(&[Cone::Exponential(1)], &w, &s, &z);
        }
        for (alpha, x, y, sign, kappa) in [(0.6, 1.0, 2.0, 1.0, 0.5), (0.2, 0.3, 0.4, -1.0, 2.0)] {
            let g = f64::powf(x, alpha) * f64::powf(y, 1.0 - alpha);
            let s = [x, y, sign * g];
            let z = [
                kappa * alpha * g / x,
                kappa * (1.0 - alpha) * g / y,
                -sign * kappa,
            ];
            let w: Vec<f64> = z.iter().zip(&s).map(|(z, s)| z - s).collect();
            check(&[Cone::Power(alpha)], &w, &s, &z);
        }
    }

    #[test]
    fn the_flat_face_of_the_exponential_cone() {
        for w in [[1.0, 0.5, -2.0], [1.0, 0.5, 2.0]] {
            check(&[Cone::Exponential(1)], &w, &[0.0; 3], &[0.0; 3]);
        }
    }

    /// Points and multipliers on every piece are found from guesses on all the others.
    #[test]
    fn guesses_do_not_matter_to_the_three_row_cones() {
        let exponential = |kappa: f64| {
            let e = 0.5f64.exp();
            ([0.5, 1.0, e], [-kappa * e, -0.5 * kappa * e, kappa])
        };
        let power = |kappa: f64| {
            let g = 2.0f64.powf(0.4);
            let z = [kappa * 0.6 * g, kappa * 0.2 * g, kappa];
            ([1.0, 2.0, -g], z)
        };
        for (cone, pairs) in [
            (
                Cone::Exponential(1),
                [
                    ([0.0, 1.0, 3.0], [0.0; 3]),
                    ([0.0; 3], [-1.0, 0.5, 2.0]),
                    exponential(0.7),
                    exponential(1e-5),
                    exponential(1e5),
                    ([-1.0, 0.0, 2.0], [0.0, 0.3, 0.0]),
                ],
            ),
            (
                Cone::Power(0.6),
                [
                    ([1.0, 2.0, 0.3], [0.0; 3]),
                    ([0.0; 3], [1.0, 2.0, 0.3]),
                    power(0.7),
                    power(1e-5),
                    power(1e5),
                    power(3.0),
                ],
            ),
        ] {
            for (s, z) in pairs {
                let w: Vec<f64> = z.iter().zip(&s).map(|(z, s)| z - s).collect();
                let size = max_abs(&w);
                for (guess_s, guess_z) in pairs {
                    let (mut got_s, mut got_z) = (guess_s, guess_z);
                    let local = localise(&[cone], &w, &mut got_s, &mut got_z);
                    assert!(local.smooth && local.margin > 0.0, "{cone:?} {w:?}");
                    for i in 0..3 {
                        let error = (got_s[i] - s[i]).abs().max((got_z[i] - z[i]).abs());
                        assert!(error < 1e-13 * size, "{cone:?} {w:?}: {got_s:?} {got_z:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn apexes_of_the_three_row_cones() {
        let inside = [0.0, 1.0, 3.0];
        let w: Vec<f64> = inside.iter().map(|v| -v).collect();
        check(&[Cone::Exponential(1)], &w, &inside, &[0.0; 3]);
        let inside = [-1.0, 0.5, 2.0];
        check(&[Cone::Exponential(1)], &inside, &[0.0; 3], &inside);
        let inside = [1.0, 2.0, 0.3];
        check(&[Cone::Power(0.3)], &inside, &[0.0; 3], &inside);
    }
}
