//! Every derivative of every cost against differences of its rows.

mod common;

use common::{Curve, Pull, difference, sine_and_product};
use feasible_least_squares::{
    AnalyticCost, AutoCost, Between, Clipped, Cost, Difference, Gradient, LinearCost, Manifold,
    Numbers, Point, Probe, Quadratic, Real, Residual, Shapes,
};

/// Every operation of a scalar, of numbers between 0 and 1.
struct Functions;

impl Residual for Functions {
    fn rows(&self) -> usize {
        20
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, y, z) = (variables[0][0], variables[0][1], auxiliaries[0][0]);
        let one = T::constant(1.0);
        let mut sum = x * y;
        sum += z * x;
        sum -= y / z;
        sum *= x;
        let rows = [
            (x * y).exp(),
            (x + z).ln(),
            (x * 2.0 - y).tanh(),
            (x * y + z).sqrt(),
            (x * z).sin(),
            (x / y).cos(),
            (y * x).tan(),
            (x - z * y).atan(),
            (x * y).asin(),
            (x * z).acos(),
            (y - one).atan2(x - 0.9),
            (x * y + z).powi(5),
            (one / (x + 1.5)).powi(-2) + y.powi(0),
            (x + y * y).powf(1.7),
            (x - one).abs() * y,
            x.max(y) * z + x.min(y),
            -(x / 3.0) * z + y.max(x) - y.min(x),
            T::dot(&[2.0, -1.0, 0.5, 3.0], &[y, x * z, one, x]) * y,
            T::dot(&[2.0, -1.0], &[one, one]) + x * x,
            sum,
        ];
        out.copy_from_slice(&rows);
    }
}

/// Wide enough for reverse mode to be chosen.
struct Wide {
    n: usize,
    a: Vec<f64>,
}

impl Residual for Wide {
    fn rows(&self) -> usize {
        self.a.len() / self.n
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let x = variables[0];
        let squares: Vec<T> = x.iter().map(|x| *x * *x).collect();
        let mut carried = T::constant(0.0);
        for (i, row) in self.a.chunks_exact(self.n).enumerate() {
            let straight = T::dot(row, x).tanh();
            carried = carried * 0.5 + T::dot(row, &squares) * straight;
            let first = x[0] * auxiliaries[0][0];
            out[i] = carried - first + T::dot(&row[..3], auxiliaries[0]) * variables[1][0];
        }
    }
}

struct Case {
    name: &'static str,
    cost: Box<dyn Cost>,
    manifolds: Vec<Manifold>,
    variables: Vec<Vec<f64>>,
    auxiliaries: Vec<Vec<f64>>,
    /// What its derivatives are good to: rounding of differences, unless they are differences themselves.
    tolerance: f64,
}

/// Numbers without pattern in (−1, 1).
fn numbers(count: usize, seed: f64) -> Vec<f64> {
    (0..count)
        .map(|i| (12.9898 * (i as f64 + seed)).sin())
        .collect()
}

fn unit(mut values: Vec<f64>, rotation: usize) -> Vec<f64> {
    let length = values[..rotation].iter().map(|v| v * v).sum::<f64>().sqrt();
    values[..rotation].iter_mut().for_each(|v| *v /= length);
    values
}

fn groups() -> [(Manifold, usize); 4] {
    [
        (Manifold::So2, 2),
        (Manifold::Se2, 2),
        (Manifold::So3, 4),
        (Manifold::Se3, 4),
    ]
}

fn cases() -> Vec<Case> {
    let case = |name, cost: Box<dyn Cost>, manifolds: Vec<Manifold>, auxiliaries: &[usize]| {
        let variables = manifolds
            .iter()
            .enumerate()
            .map(|(i, m)| {
                let values = numbers(m.storage(), i as f64 + 0.3);
                match m {
                    Manifold::So2 | Manifold::Se2 => unit(values, 2),
                    Manifold::So3 | Manifold::Se3 => unit(values, 4),
                    _ => values,
                }
            })
            .collect();
        Case {
            name,
            cost,
            manifolds,
            variables,
            auxiliaries: auxiliaries
                .iter()
                .enumerate()
                .map(|(i, len)| numbers(*len, i as f64 + 7.7))
                .collect(),
            tolerance: 1e-7,
        }
    };
    let vector = Manifold::Vector;
    let mut functions = case(
        "functions",
        Box::new(AutoCost::new(Functions)),
        vec![vector(2)],
        &[1],
    );
    functions.variables[0] = vec![0.37, 0.62];
    functions.auxiliaries[0] = vec![0.55];
    let a = numbers(6 * 40, 0.1);
    let wide = Wide { n: 40, a };
    let wide = case(
        "wide",
        Box::new(AutoCost::new(wide)),
        vec![vector(40), vector(1)],
        &[3],
    );
    let mut cases = vec![
        case(
            "curve",
            Box::new(AutoCost::new(Curve(6))),
            vec![vector(2), vector(3)],
            &[6],
        ),
        case(
            "pull",
            Box::new(AutoCost::new(Pull(11))),
            vec![vector(11)],
            &[11],
        ),
        case(
            "linear",
            Box::new(LinearCost::new(
                2,
                3,
                Numbers::Auxiliary(6),
                Numbers::Auxiliary(2),
            )),
            vec![vector(3)],
            &[6, 2],
        ),
        case(
            "linear with constants",
            Box::new(LinearCost::new(
                2,
                3,
                numbers(6, 0.9),
                Numbers::Auxiliary(2),
            )),
            vec![vector(3)],
            &[2],
        ),
        case(
            "quadratic",
            Box::new(Quadratic::new(
                2,
                3,
                Numbers::Auxiliary(18),
                Numbers::Auxiliary(6),
                Numbers::Auxiliary(2),
            )),
            vec![vector(3)],
            &[18, 6, 2],
        ),
        case(
            "clipped",
            Box::new(
                Clipped::new(
                    Quadratic::new(
                        3,
                        3,
                        numbers(27, 0.2),
                        numbers(9, 0.4),
                        Numbers::Auxiliary(3),
                    ),
                    [0.1, -50.0, -60.0],
                    [f64::INFINITY, -40.0, 60.0],
                )
                .unwrap(),
            ),
            vec![vector(3)],
            &[3],
        ),
        case(
            "difference of vectors",
            Box::new(Difference::new(vector(3), Numbers::Auxiliary(3))),
            vec![vector(3)],
            &[3],
        ),
        case(
            "between vectors",
            Box::new(Between::new(vector(9), Numbers::Auxiliary(9))),
            vec![vector(9), vector(9)],
            &[9],
        ),
    ];
    for (group, rotation) in groups() {
        let stored = group.storage();
        let mut prior = case(
            "difference",
            Box::new(Difference::new(group.clone(), Numbers::Auxiliary(stored))),
            vec![group.clone()],
            &[stored],
        );
        prior.auxiliaries[0] = unit(numbers(stored, 2.2), rotation);
        let mut between = case(
            "between",
            Box::new(Between::new(group.clone(), Numbers::Auxiliary(stored))),
            vec![group.clone(), group],
            &[stored],
        );
        between.auxiliaries[0] = unit(numbers(stored, 3.2), rotation);
        cases.extend([prior, between]);
    }
    cases.extend([functions, wide]);
    let mut analytic = case(
        "analytic",
        Box::new(sine_and_product()),
        vec![vector(2)],
        &[2],
    );
    // Its own derivatives are central differences, good to about 1e-10.
    analytic.tolerance = 1e-7;
    cases.push(analytic);
    // A Jacobian by hand on a group, whose differences see the order of the two steps.
    let group = Manifold::So3;
    let mut curved = case(
        "analytic on a group",
        Box::new(AnalyticCost::new(
            3,
            |at, out| turned(at, out, &mut [0.0; 9]),
            |at, out| turned(at, &mut [0.0; 3], out),
        )),
        vec![group],
        &[4],
    );
    curved.auxiliaries[0] = unit(numbers(4, 5.0), 4);
    cases.push(curved);
    cases
}

/// The difference from a target on SO(3), with the ready cost's Jacobian.
fn turned(at: &Point<'_>, rows: &mut [f64], jacobian: &mut [f64]) {
    let cost = Difference::new(Manifold::So3, at.auxiliaries[0]);
    let bare = Point {
        auxiliaries: &[],
        ..*at
    };
    cost.linearise(&bare, rows, jacobian);
}

impl Case {
    fn with<R>(
        &self,
        delta: &[f64],
        theta: Option<&[f64]>,
        work: impl FnOnce(&Point<'_>) -> R,
    ) -> R {
        let mut column = 0;
        let moved: Vec<Vec<f64>> = self
            .manifolds
            .iter()
            .zip(&self.variables)
            .map(|(m, x)| {
                let mut out = x.clone();
                m.retract(x, &delta[column..column + m.tangent()], &mut out);
                column += m.tangent();
                out
            })
            .collect();
        let variables: Vec<&[f64]> = moved.iter().map(Vec::as_slice).collect();
        let flat: Vec<f64> = self.auxiliaries.concat();
        let mut rest = theta.unwrap_or(&flat);
        let mut auxiliaries = Vec::new();
        for a in &self.auxiliaries {
            let (here, next) = rest.split_at(a.len());
            auxiliaries.push(here);
            rest = next;
        }
        work(&Point {
            manifolds: &self.manifolds,
            variables: &variables,
            auxiliaries: &auxiliaries,
        })
    }

    fn width(&self) -> usize {
        self.manifolds.iter().map(Manifold::tangent).sum()
    }

    fn rows(&self, delta: &[f64], theta: Option<&[f64]>) -> Vec<f64> {
        let mut out = vec![0.0; self.cost.rows()];
        self.with(delta, theta, |at| self.cost.residual(at, &mut out));
        out
    }

    /// ψ = sᵀ ∂c(x ⊞ δ)/∂δ d + tᵀc, the derivative by differences of fourth order.
    fn psi(&self, delta: &[f64], theta: Option<&[f64]>, [s, d, t]: [&[f64]; 3]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let along = |h: f64| {
            let moved: Vec<f64> = delta.iter().zip(d).map(|(x, d)| x + h * d).collect();
            dot(s, &self.rows(&moved, theta))
        };
        let h = 1e-3;
        let slope =
            (8.0 * (along(h) - along(-h)) - (along(2.0 * h) - along(-2.0 * h))) / (12.0 * h);
        slope + dot(t, &self.rows(delta, theta))
    }
}

#[test]
fn sizes_are_accepted() {
    for case in cases() {
        let lengths: Vec<usize> = case.auxiliaries.iter().map(Vec::len).collect();
        let shapes = Shapes {
            manifolds: &case.manifolds,
            auxiliaries: &lengths,
        };
        assert_eq!(case.cost.check(&shapes), Ok(()), "{}", case.name);
    }
}

#[test]
fn jacobians_are_those_of_the_rows() {
    for case in cases() {
        let (rows, width) = (case.cost.rows(), case.width());
        let zero = vec![0.0; width];
        let mut c = vec![0.0; rows];
        let mut j = vec![f64::NAN; rows * width];
        case.with(&zero, None, |at| case.cost.linearise(at, &mut c, &mut j));
        for (i, (a, b)) in c.iter().zip(case.rows(&zero, None)).enumerate() {
            assert!((a - b).abs() < 1e-13, "{} row {i}: {a} {b}", case.name);
        }
        for row in 0..rows {
            for column in 0..width {
                let d = difference(&zero, column, 1e-2, |x| case.rows(x, None)[row]);
                let g = j[row * width + column];
                assert!(
                    (g - d).abs() < 1e-8,
                    "{} {row} {column}: {g} {d}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn probes_are_the_derivatives_of_their_sums() {
    for case in cases() {
        let (rows, width) = (case.cost.rows(), case.width());
        let theta = case.auxiliaries.concat();
        let zero = vec![0.0; width];
        let (s, d, t) = (numbers(rows, 0.6), numbers(width, 1.6), numbers(rows, 2.6));
        let mut by_step = vec![0.0; width];
        let mut by_theta = vec![0.0; theta.len()];
        case.with(&zero, None, |at| {
            case.cost.probe(
                at,
                &Probe {
                    s: &s,
                    d: &d,
                    t: &t,
                },
                &mut Gradient {
                    variables: &mut by_step,
                    auxiliaries: &mut by_theta,
                },
            );
        });
        let probe = [&s[..], &d[..], &t[..]];
        for i in 0..width {
            let expected = difference(&zero, i, 3e-2, |x| case.psi(x, None, probe));
            let error = (by_step[i] - expected).abs();
            let size = 1.0 + expected.abs();
            assert!(
                error < case.tolerance * size,
                "{} by step {i}: {} {expected}",
                case.name,
                by_step[i]
            );
        }
        for i in 0..theta.len() {
            let expected = difference(&theta, i, 3e-2, |x| case.psi(&zero, Some(x), probe));
            let error = (by_theta[i] - expected).abs();
            let size = 1.0 + expected.abs();
            assert!(
                error < case.tolerance * size,
                "{} by number {i}: {} {expected}",
                case.name,
                by_theta[i]
            );
        }
    }
}

#[test]
fn hessians_are_what_probes_say() {
    for case in cases() {
        let (rows, width) = (case.cost.rows(), case.width());
        let s = numbers(rows, 0.6);
        let mut hessian = vec![0.0; width * width];
        let zero = vec![0.0; width];
        case.with(&zero, None, |at| {
            case.cost.add_hessian(at, &s, &mut hessian)
        });
        let mut unused = vec![0.0; case.auxiliaries.concat().len()];
        for column in 0..width {
            let mut d = vec![0.0; width];
            d[column] = 1.0;
            let mut expected = vec![0.0; width];
            case.with(&zero, None, |at| {
                case.cost.probe(
                    at,
                    &Probe {
                        s: &s,
                        d: &d,
                        t: &vec![0.0; rows],
                    },
                    &mut Gradient {
                        variables: &mut expected,
                        auxiliaries: &mut unused,
                    },
                );
            });
            for row in 0..width {
                let (a, b) = (hessian[row * width + column], expected[row]);
                // Analytic costs are symmetric only up to the error of their differences.
                assert!(
                    (a - b).abs() < 1e-7,
                    "{} {row} {column}: {a} {b}",
                    case.name
                );
            }
        }
        if case.cost.is_affine() && case.manifolds.iter().all(Manifold::is_flat) {
            assert!(
                hessian.iter().all(|h| *h == 0.0) || case.name == "clipped",
                "{}",
                case.name
            );
        }
    }
}
