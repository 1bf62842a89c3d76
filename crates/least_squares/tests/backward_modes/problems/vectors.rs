//! Problems over vectors: curves, lines, systems, boxes.

use super::*;

/// A curve and two pulls on its variables, weighted by auxiliaries of every kind.
fn curve(robust: Robust, on_x: Robust) -> Draft {
    let mut draft = Draft::default();
    let (x, y) = (
        draft.variable(Manifold::Vector(2)),
        draft.variable(Manifold::Vector(3)),
    );
    let lengths = [9, 2, 3, 4, 3, 1];
    let [data, to_x, to_y, root, diagonal, scale] = lengths.map(|len| draft.auxiliary(len));
    let (curve, scale) = (AutoCost::new(Curve(9)), By::Scale(scale));
    draft.cost(curve, &[x, y], &[data], scale, robust);
    let (pull, root) = (AutoCost::new(Pull(2)), By::Root(root));
    draft.cost(pull, &[x], &[to_x], root, on_x);
    let (pull, diagonal) = (AutoCost::new(Pull(3)), By::Diagonal(diagonal));
    draft.cost(pull, &[y], &[to_y], diagonal, Robust::None);
    draft
}

/// Two losses, residuals far from zero.
pub(super) fn weighted_curve(robust: Robust) -> Problem {
    let draft = curve(robust, Robust::Huber { scale: 0.3 });
    let theta = [
        0.9, -0.2, 0.5, 1.4, 0.3, -0.6, 0.8, 1.9, 0.1, 1.2, 0.4, -0.3, 0.5, 0.9, 0.5, 0.2, -0.1,
        0.6, 0.6, 0.7, 0.4, 0.8,
    ];
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: near(&[0.7, 1.1, 0.2, -0.4, 0.6], 0.1, s as f64),
            theta: near(&theta, 0.08, 3.0 + s as f64),
        })
        .collect();
    draft.build(
        format!("weighted curve, {robust:?}"),
        Kind::Residual,
        samples,
    )
}

/// The row a + b tᵢ + 0.2 sin(a b tᵢ) − θᵢ.
struct Height {
    t: f64,
    index: usize,
}

impl Residual for Height {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (a, b) = (variables[0][0], variables[0][1]);
        let wave = (a * b * self.t).sin() * 0.2;
        out[0] = a + b * self.t + wave - auxiliaries[0][self.index];
    }
}

/// Heights with a loss each, two of them far off.
pub(super) fn line(robust: Robust) -> Problem {
    const POINTS: usize = 10;
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let (data, scale) = (draft.auxiliary(POINTS), draft.auxiliary(1));
    let place = |i: usize| i as f64 / POINTS as f64;
    for i in 0..POINTS {
        let row = Height {
            t: place(i),
            index: i,
        };
        let weight = if i % 2 == 0 {
            By::Scale(scale)
        } else {
            By::Identity
        };
        draft.cost(AutoCost::new(row), &[x], &[data], weight, robust);
    }
    let samples = (0..SAMPLES)
        .map(|s| {
            let noise = numbers(POINTS, 1.0 + s as f64);
            let mut theta: Vec<f64> = (0..POINTS)
                .map(|i| {
                    let far = match i {
                        2 => 4.0,
                        7 => -5.0,
                        _ => 0.0,
                    };
                    let t = place(i);
                    0.8 + 1.3 * t + 0.2 * (1.04 * t).sin() + 0.25 * noise[i] + far
                })
                .collect();
            theta.push(1.2);
            Sample {
                start: vec![0.7, 1.2],
                theta,
            }
        })
        .collect();
    draft.build(
        format!("line with outliers, {robust:?}"),
        Kind::Residual,
        samples,
    )
}

/// The curve through numbers that it meets exactly.
pub(super) fn fitted_curve(robust: Robust) -> Problem {
    let draft = curve(robust, robust);
    let samples = (0..SAMPLES)
        .map(|s| {
            let x = near(&[0.7, 1.1, 0.2, -0.4, 0.6], 0.3, 5.0 + s as f64);
            // At θ = 0 the rows are the model, which θ counts in times 1 + 0.1 x₁².
            let mut model = vec![0.0; 9];
            Curve(9).evaluate::<f64>(&[&x[..2], &x[2..]], &[&[0.0; 9]], &mut model);
            let mut theta: Vec<f64> = model
                .iter()
                .map(|m| m / (1.0 + 0.1 * x[1] * x[1]))
                .collect();
            theta.extend_from_slice(&x);
            theta.extend(near(
                &[0.5, 0.2, -0.1, 0.6, 0.6, 0.7, 0.4, 0.8],
                0.1,
                s as f64,
            ));
            Sample {
                start: near(&x, 0.05, 1.5),
                theta,
            }
        })
        .collect();
    draft.build(
        format!("fitted curve, {robust:?}"),
        Kind::ZeroResidual,
        samples,
    )
}

/// As many rows as unknowns: xᵢ + 0.3 sin(θᵢ xᵢ₊₁) − θᵢ.
struct Square;

impl Residual for Square {
    fn rows(&self) -> usize {
        3
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, theta) = (variables[0], auxiliaries[0]);
        for (i, out) in out.iter_mut().enumerate() {
            *out = x[i] + (theta[i] * x[(i + 1) % 3]).sin() * 0.3 - theta[i];
        }
    }
}

pub(super) fn square_system() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(3));
    let (theta, w) = (draft.auxiliary(3), draft.auxiliary(3));
    draft.cost(
        AutoCost::new(Square),
        &[x],
        &[theta],
        By::Diagonal(w),
        Robust::None,
    );
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: vec![0.3, -0.2, 0.6],
            theta: near(&[0.9, -0.6, 0.5, 1.0, 0.8, 1.3], 0.3, s as f64),
        })
        .collect();
    draft.build("square system", Kind::ZeroResidual, samples)
}

/// A x − b with both as auxiliaries and a full weight; Gauss-Newton leaves nothing out.
pub(super) fn affine() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let [a, b, w] = [8, 4, 16].map(|len| draft.auxiliary(len));
    let rows = LinearCost::new(4, 2, Numbers::Auxiliary(8), Numbers::Auxiliary(4));
    draft.cost(rows, &[x], &[a, b], By::Root(w), Robust::None);
    let samples = (0..SAMPLES)
        .map(|s| {
            let mut theta = numbers(12, 2.0 + s as f64);
            let mut root = numbers(16, 7.0 + s as f64);
            root.iter_mut().for_each(|w| *w *= 0.2);
            (0..4).for_each(|i| root[5 * i] += 1.0);
            theta.extend(root);
            Sample {
                start: vec![0.5, -0.5],
                theta,
            }
        })
        .collect();
    draft.build("affine rows", Kind::Residual, samples)
}

/// Quadratic rows by all their coefficients, met up to `residual`.
pub(super) fn quadratic(residual: f64) -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let [h, g, c] = [12, 6, 3].map(|len| draft.auxiliary(len));
    let number = Numbers::Auxiliary;
    let rows = || Quadratic::new(3, 2, number(12), number(6), number(3));
    draft.plain(rows(), &[x], &[h, g, c]);
    let samples = (0..SAMPLES)
        .map(|s| {
            let at = near(&[0.6, -0.4], 0.2, s as f64);
            let mut theta: Vec<f64> = numbers(12, 4.0 + s as f64)
                .iter()
                .map(|v| 0.5 * v)
                .collect();
            theta.extend(near(&[1.0, 0.2, -0.3, 1.2, 0.7, -0.8], 0.2, s as f64));
            let mut value = vec![0.0; 3];
            rows().residual(
                &Point {
                    manifolds: &[Manifold::Vector(2)],
                    variables: &[&at],
                    auxiliaries: &[&theta[..12], &theta[12..], &[0.0; 3]],
                },
                &mut value,
            );
            theta.extend(near(&value, residual, 11.0));
            Sample {
                start: near(&at, 0.1, 2.0),
                theta,
            }
        })
        .collect();
    let (name, kind) = if residual == 0.0 {
        ("quadratic rows, met", Kind::ZeroResidual)
    } else {
        ("quadratic rows", Kind::Residual)
    };
    draft.build(name, kind, samples)
}

/// sin(x₀ θ₀) + x₁ and x₀ x₁ θ₁, with a Jacobian by hand, and the rest by hand or differences.
pub(super) fn analytic(by_hand: bool) -> Problem {
    let mut cost = sine_and_product();
    if by_hand {
        // ψ = s₀(θ₀ cos(x₀θ₀) d₀ + d₁) + s₁θ₁(x₁d₀ + x₀d₁) + t₀(sin(x₀θ₀) + x₁) + t₁x₀x₁θ₁.
        cost = cost.with_probe(|at, probe, gradient| {
            let (x, a) = (at.variables[0], at.auxiliaries[0]);
            let (s, d, t) = (probe.s, probe.d, probe.t);
            let (sine, cosine) = (x[0] * a[0]).sin_cos();
            let by_x = &mut gradient.variables;
            by_x[0] += a[0] * (t[0] * cosine - s[0] * d[0] * a[0] * sine)
                + a[1] * (s[1] * d[1] + t[1] * x[1]);
            by_x[1] += t[0] + a[1] * (s[1] * d[0] + t[1] * x[0]);
            gradient.auxiliaries[0] +=
                s[0] * d[0] * (cosine - a[0] * x[0] * sine) + t[0] * x[0] * cosine;
            gradient.auxiliaries[1] += s[1] * (x[1] * d[0] + x[0] * d[1]) + t[1] * x[0] * x[1];
        });
    }
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(2));
    let [a, target, w] = [2, 2, 4].map(|len| draft.auxiliary(len));
    draft.cost(cost, &[x], &[a], By::Root(w), Robust::Cauchy { scale: 2.0 });
    draft.plain(AutoCost::new(Pull(2)), &[x], &[target]);
    let theta = [0.8, 1.1, 0.7, -0.6, 1.0, 0.2, -0.1, 0.9];
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: vec![0.4, -0.3],
            theta: near(&theta, 0.1, s as f64),
        })
        .collect();
    let name = name_by_hand("", by_hand);
    draft.build(name, Kind::Residual, samples)
}

pub(super) fn name_by_hand(place: &str, by_hand: bool) -> String {
    if by_hand {
        format!("all by hand{place}")
    } else {
        format!("{BY_DIFFERENCES}{place}")
    }
}

/// Distances of quadratic rows to a box, two of them beyond it, and a pull.
pub(super) fn clipped() -> Problem {
    let mut draft = Draft::default();
    let x = draft.variable(Manifold::Vector(3));
    let (c, target) = (draft.auxiliary(3), draft.auxiliary(3));
    let h: Vec<f64> = numbers(27, 0.2).iter().map(|v| 0.3 * v).collect();
    let rows = Quadratic::new(3, 3, h, numbers(9, 0.4), Numbers::Auxiliary(3));
    let infinity = f64::INFINITY;
    let rows = Clipped::new(rows, [2.0, -infinity, -9.0], [infinity, -1.5, 9.0]).unwrap();
    draft.plain(rows, &[x], &[c]);
    draft.plain(AutoCost::new(Pull(3)), &[x], &[target]);
    let samples = (0..SAMPLES)
        .map(|s| Sample {
            start: vec![0.2, -0.1, 0.3],
            theta: near(&[0.2, -0.3, 0.1, 0.5, 0.4, -0.2], 0.2, s as f64),
        })
        .collect();
    draft.build("distances to a box", Kind::Residual, samples)
}

/// The curve with two bounds that hold, from starts inside of them and outside.
pub(super) fn boxed(robust: Robust) -> Problem {
    let free = weighted_curve(robust);
    let least = free.solved(&free.samples[0], &tight(Default::default()));
    let (lower, upper) = (
        vec![least[0] + 0.2, least[1] - 2.0],
        vec![least[0] + 3.0, least[1] + 2.0],
    );
    let mut draft = Draft::default();
    let x = draft.bounded(lower.clone(), upper);
    let y = draft.bounded(
        vec![f64::NEG_INFINITY; 3],
        vec![least[2] - 0.3, f64::INFINITY, f64::INFINITY],
    );
    let [data, to_x, to_y, scale] = [9, 2, 3, 1].map(|len| draft.auxiliary(len));
    draft.cost(
        AutoCost::new(Curve(9)),
        &[x, y],
        &[data],
        By::Scale(scale),
        robust,
    );
    draft.plain(AutoCost::new(Pull(2)), &[x], &[to_x]);
    draft.plain(AutoCost::new(Pull(3)), &[y], &[to_y]);
    let theta = &free.samples[0].theta;
    let mut base = theta[..14].to_vec();
    base.push(0.8);
    let inside = vec![lower[0] + 0.5, least[1], least[2] - 0.8, -0.4, 0.6];
    let outside = vec![lower[0] - 0.5, least[1], least[2] + 0.8, -0.4, 0.6];
    let samples = [inside.clone(), outside, inside]
        .into_iter()
        .enumerate()
        .map(|(s, start)| Sample {
            start,
            theta: near(&base, if s == 2 { 0.05 } else { 0.0 }, 1.0),
        })
        .collect();
    draft.build(format!("bounds, {robust:?}"), Kind::Residual, samples)
}
