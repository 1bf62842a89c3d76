//! Central differences of the solver itself, one parameter at a time.

use feasible_solver::{Gradients, Settings, Solution};

use crate::support::{Owned, inner, normal, rng};
use crate::{Loss, dense};

/// Largest relative error.
pub const TOLERANCE: f64 = 1e-6;

/// Half-widths of the differences, tried in turn until the same rows hold all points. Numbers move
/// by as much relative to their size. Truncation of the fourth-order formula goes with the width's
/// fourth power, rounding with 1e-15 over it.
const STEPS: [f64; 5] = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8];

const NAMES: [&str; 7] = ["P", "q", "A", "b", "G", "l", "u"];
const P: usize = 0;
const L: usize = 5;
const U: usize = 6;

/// One parameter's comparison.
pub struct Outcome {
    pub parameter: &'static str,
    /// Infinite where no difference could be taken.
    pub error: f64,
    pub detail: String,
}

/// Gradients in the order of the problem's parts, empty where absent.
pub fn parts(gradients: &Gradients) -> [&[f64]; 7] {
    [
        &gradients.p,
        &gradients.q,
        &gradients.a,
        &gradients.b,
        &gradients.g,
        &gradients.l,
        &gradients.u,
    ]
    .map(|part| part.as_deref().unwrap_or(&[]))
}

/// Largest difference of two vectors relative to their largest entry.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = |size: f64, v: &f64| size.max(v.abs());
    let size = a.iter().chain(b).fold(1e-12, largest);
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max) / size
}

/// Compares each parameter's gradient with differences along a random curve through the problem.
pub fn compare(
    owned: &Owned,
    solution: &Solution,
    loss: &Loss,
    gradients: &[&[f64]; 7],
) -> Vec<Outcome> {
    let compare = |part: usize| {
        let curve = Curve::new(owned, part)?;
        let (mut predicted, mut squares) = (0.0, 0.0);
        for (part, velocity) in &curve.velocities {
            predicted += inner(gradients[*part], velocity);
            let products = gradients[*part].iter().zip(velocity).map(|(g, v)| g * v);
            squares += products.map(|v| v * v).sum::<f64>();
        }
        let (error, detail) = match curve.measure(owned, solution, loss) {
            Ok((measured, step)) => {
                // The typical size of the inner product guards against cancellation in it. What
                // the loss loses in rounding is no difference.
                let size = predicted.abs().max(measured.abs()).max(squares.sqrt());
                let floor = 1e-15 * loss.size(solution) / (step * TOLERANCE);
                let error = (predicted - measured).abs() / size.max(floor);
                (
                    error,
                    format!("{error:.1e}, {predicted:e} against {measured:e} at step {step:e}"),
                )
            }
            Err(reason) => (f64::INFINITY, reason),
        };
        Some(Outcome {
            parameter: NAMES[part],
            error,
            detail,
        })
    };
    (0..NAMES.len()).filter_map(compare).collect()
}

/// A way of moving one parameter.
struct Curve {
    /// Parts that move, and how fast.
    velocities: Vec<(usize, Vec<f64>)>,
    /// For `P`, which has to stay semidefinite: `(I + tD) P (I + tD)` with this diagonal `D`.
    congruence: Option<Vec<f64>>,
}

impl Curve {
    /// `None` for a part that has nothing to move.
    fn new(owned: &Owned, part: usize) -> Option<Self> {
        let mut rng = rng(part as u64);
        let values = &owned.parts[part].data;
        let mut curve = Self {
            velocities: Vec::new(),
            congruence: None,
        };
        match NAMES[part] {
            "P" => {
                let d = normal(&mut rng, owned.n);
                let rate = |i: usize| match owned.p_diagonal {
                    true => 2.0 * d[i],
                    false => d[i / owned.n] + d[i % owned.n],
                };
                let velocity = values.iter().enumerate().map(|(i, v)| v * rate(i));
                curve.velocities.push((part, velocity.collect()));
                curve.congruence = Some(d);
            }
            // Zeros stay: they are the pattern.
            "A" | "G" => {
                let draws = normal(&mut rng, values.len());
                let velocity = values.iter().zip(&draws).map(|(v, d)| v * d);
                curve.velocities.push((part, velocity.collect()));
            }
            name => {
                let mut velocity = normal(&mut rng, values.len());
                for (velocity, v) in velocity.iter_mut().zip(values) {
                    *velocity *= if v.is_finite() { 1.0 + v.abs() } else { 0.0 };
                }
                if name == "l" || name == "u" {
                    let (l, u) = (&owned.parts[L].data, &owned.parts[U].data);
                    let mut both = vec![0.0; values.len()];
                    for i in (0..values.len()).filter(|&i| l[i] == u[i]) {
                        // Such a row stays an equality: its bounds move together, with `l`.
                        both[i] = velocity[i];
                        velocity[i] *= if name == "l" { 1.0 } else { 0.0 };
                    }
                    if name == "l" {
                        curve.velocities.push((U, both));
                    }
                }
                curve.velocities.push((part, velocity));
            }
        }
        let moves = |(_, v): &(usize, Vec<f64>)| v.iter().any(|v| *v != 0.0);
        curve.velocities.iter().any(moves).then_some(curve)
    }

    fn at(&self, owned: &Owned, t: f64) -> Owned {
        let mut moved = owned.clone();
        if let Some(d) = &self.congruence {
            let n = owned.n;
            for (i, v) in moved.parts[P].data.iter_mut().enumerate() {
                let (row, column) = if owned.p_diagonal {
                    (i, i)
                } else {
                    (i / n, i % n)
                };
                // The smaller index first, so that mirrored entries are equal to the last bit.
                let (a, b) = (row.min(column), row.max(column));
                *v = *v * (1.0 + t * d[a]) * (1.0 + t * d[b]);
            }
            return moved;
        }
        for (part, velocity) in &self.velocities {
            for (v, rate) in moved.parts[*part].data.iter_mut().zip(velocity) {
                if *rate != 0.0 {
                    *v += t * rate;
                }
            }
        }
        moved
    }

    /// The loss's derivative along the curve, and the width that gave it.
    fn measure(
        &self,
        owned: &Owned,
        solution: &Solution,
        loss: &Loss,
    ) -> Result<(f64, f64), String> {
        let held = signs(solution);
        for step in STEPS {
            let mut values = [0.0; 4];
            let mut same = true;
            for (value, t) in values.iter_mut().zip([-2.0, -1.0, 1.0, 2.0]) {
                let near = dense(&self.at(owned, t * step), &Settings::default());
                same &= near.all_solved() && signs(&near) == held;
                *value = loss.value(&near.x, &near.equality_dual, &near.inequality_dual);
            }
            if same {
                let [a, b, c, d] = values;
                return Ok(((8.0 * (c - b) - (d - a)) / (12.0 * step), step));
            }
        }
        Err("other rows hold the point at every width".to_owned())
    }
}

/// Which bound of each row holds the point.
fn signs(solution: &Solution) -> Vec<i8> {
    let sign = |v: &f64| i8::from(*v > 0.0) - i8::from(*v < 0.0);
    solution.inequality_dual.iter().map(sign).collect()
}
