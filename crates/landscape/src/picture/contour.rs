//! Lines of equal value, by marching squares.

/// A piece of a contour, from one point to another in the grid's coordinates.
pub type Segment = ((f64, f64), (f64, f64));

/// The pieces of the line `f = level` on a grid, one or two for each cell that it crosses. Values are
/// `[b, a]`; within a cell's edges they are taken to be linear. Where opposite corners lie on one
/// side, the mean of the corners decides which are joined. Cells with a corner that is not finite
/// have no line.
///
/// `values` must hold `a.len() · b.len()` numbers; cells beyond what it holds have no line.
pub fn contour(a: &[f64], b: &[f64], values: &[f64], level: f64) -> Vec<Segment> {
    let mut out = Vec::new();
    let width = a.len();
    for j in 1..b.len() {
        for i in 1..width {
            let at = |di: usize, dj: usize| {
                let index = (j - 1 + dj) * width + i - 1 + di;
                values.get(index).copied().unwrap_or(f64::NAN)
            };
            // Corners in order around the cell.
            let corners = [
                (a[i - 1], b[j - 1], at(0, 0)),
                (a[i], b[j - 1], at(1, 0)),
                (a[i], b[j], at(1, 1)),
                (a[i - 1], b[j], at(0, 1)),
            ];
            if corners.iter().any(|c| !c.2.is_finite()) {
                continue;
            }
            cell(&corners, level, &mut out);
        }
    }
    out
}

fn cell(corners: &[(f64, f64, f64); 4], level: f64, out: &mut Vec<Segment>) {
    let above = corners.map(|c| c.2 >= level);
    // Crossings in order around the cell; a corner at the level counts as above it.
    let crossings: Vec<(usize, (f64, f64))> = (0..4)
        .filter(|&k| above[k] != above[(k + 1) % 4])
        .map(|k| {
            let ((xa, ya, va), (xb, yb, vb)) = (corners[k], corners[(k + 1) % 4]);
            // Scaled first: the difference of two huge values may overflow.
            let scale = va.abs().max(vb.abs());
            let t = (level / scale - va / scale) / (vb / scale - va / scale);
            (k, (xa + t * (xb - xa), ya + t * (yb - ya)))
        })
        .collect();
    match crossings[..] {
        [(_, p), (_, q)] => out.push((p, q)),
        [(_, p), (_, q), (_, r), (_, s)] => {
            let mean = corners.iter().map(|c| c.2 / 4.0).sum::<f64>();
            // Edge k runs from corner k to k + 1: joining edges 0 and 1 cuts corner 1 off.
            if (mean >= level) == above[0] {
                out.extend([(p, q), (r, s)]);
            } else {
                out.extend([(q, r), (s, p)]);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(n: usize, f: impl Fn(f64, f64) -> f64) -> (Vec<f64>, Vec<f64>) {
        let axis: Vec<f64> = (0..n)
            .map(|i| -1.0 + 2.0 * i as f64 / (n - 1) as f64)
            .collect();
        let values = axis
            .iter()
            .flat_map(|&b| axis.iter().map(move |&a| (a, b)))
            .map(|(a, b)| f(a, b))
            .collect();
        (axis, values)
    }

    #[test]
    fn a_circle_has_its_length_and_radius() {
        let (axis, values) = grid(101, |a, b| a * a + b * b);
        let segments = contour(&axis, &axis, &values, 0.49);
        let length: f64 = segments
            .iter()
            .map(|(p, q)| ((p.0 - q.0).powi(2) + (p.1 - q.1).powi(2)).sqrt())
            .sum();
        // Chords of cells of size 0.02: both errors are of its square.
        assert!(
            (length - 2.0 * std::f64::consts::PI * 0.7).abs() < 1e-3,
            "{length}"
        );
        for (p, q) in segments {
            for (x, y) in [p, q] {
                assert!(((x * x + y * y).sqrt() - 0.7).abs() < 2e-4);
            }
        }
    }

    #[test]
    fn a_saddle_is_joined_by_its_mean_and_undefined_cells_are_empty() {
        let axis = [0.0, 1.0];
        // Corners 0 and 2 high; the mean 0.5 is above 0.4, so the high ones are joined.
        let joined = contour(&axis, &axis, &[1.0, 0.0, 0.0, 1.0], 0.4);
        assert_eq!(joined.len(), 2);
        for (p, q) in joined {
            // Each piece cuts off a low corner, (1, 0) or (0, 1).
            let middle = (0.5 * (p.0 + q.0), 0.5 * (p.1 + q.1));
            assert!((middle.0 - middle.1).abs() > 0.5, "{middle:?}");
        }
        let apart = contour(&axis, &axis, &[1.0, 0.0, 0.0, 1.0], 0.6);
        for (p, q) in apart {
            let middle = (0.5 * (p.0 + q.0), 0.5 * (p.1 + q.1));
            assert!((middle.0 - middle.1).abs() < 1e-12, "{middle:?}");
        }
        assert!(contour(&axis, &axis, &[1.0, 0.0, f64::NAN, 1.0], 0.5).is_empty());
        assert!(contour(&axis, &axis, &[1.0, 0.0], 0.5).is_empty());
        let huge = contour(&axis, &axis, &[f64::MAX, f64::MIN, f64::MAX, f64::MIN], 0.0);
        assert!(
            huge.iter().all(|(p, q)| p.0 == 0.5 && q.0 == 0.5),
            "{huge:?}"
        );
    }
}
