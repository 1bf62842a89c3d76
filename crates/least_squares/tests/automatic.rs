//! Derivatives of residuals written over every scalar: all widths of forward mode, and reverse mode with what it
//! does not record.

use feasible_least_squares::{AutoCost, Cost, Gradient, Manifold, Point, Probe, Real, Residual};

/// Rows sin(a x_r) x_{r+1} + x_r² over r, as many as variables, so that columns are the cheaper way for all but
/// many of them.
struct Chain(usize);

impl Residual for Chain {
    fn rows(&self) -> usize {
        self.0
    }
    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, a) = (variables[0], auxiliaries[0][0]);
        for (r, out) in out.iter_mut().enumerate() {
            *out = (a * x[r]).sin() * x[(r + 1) % self.0] + x[r] * x[r];
        }
    }
}

fn numbers(count: usize, seed: usize) -> Vec<f64> {
    let place = |i: usize| ((i * 7 + seed * 13) % 17) as f64 / 8.5 - 1.0;
    (0..count).map(|i| place(i) + 0.01 * i as f64).collect()
}

#[test]
fn jacobians_of_every_width_are_exact() {
    for width in 1..=62 {
        let cost = AutoCost::new(Chain(width));
        let (x, a) = (numbers(width, 1), 0.7);
        let manifolds = [Manifold::Vector(width)];
        let at = Point {
            manifolds: &manifolds,
            variables: &[&x],
            auxiliaries: &[&[a]],
        };
        let mut expected = vec![0.0; width * width];
        for r in 0..width {
            let next = (r + 1) % width;
            expected[r * width + r] += a * (a * x[r]).cos() * x[next] + 2.0 * x[r];
            expected[r * width + next] += (a * x[r]).sin();
        }
        let mut rows = vec![0.0; width];
        let mut jacobian = vec![f64::NAN; width * width];
        // The first evaluation may be by rows, to see what is cheaper; later ones are as it decided.
        for _ in 0..2 {
            cost.linearise(&at, &mut rows, &mut jacobian);
            for r in 0..width {
                let row = (a * x[r]).sin() * x[(r + 1) % width] + x[r] * x[r];
                // A few operations each.
                assert!((rows[r] - row).abs() < 1e-14, "{width} wide, row {r}");
            }
            for (i, (got, expected)) in jacobian.iter().zip(&expected).enumerate() {
                assert!((got - expected).abs() < 1e-14, "{width} wide, entry {i}");
            }
        }
    }
}

/// Everything that leaves a number at its place of the tape with another factor, and sums of such numbers in
/// order, out of order, with constants and with themselves.
struct Multiples;

/// How many variables: enough for reverse mode.
const WIDTH: usize = 20;

impl Residual for Multiples {
    fn rows(&self) -> usize {
        6
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, a) = (variables[0], auxiliaries[0][0]);
        let three = T::constant(3.0);
        let scaled: Vec<T> = x.iter().map(|x| -(*x * 0.5) / 4.0).collect();
        let squares: Vec<T> = x.iter().map(|x| *x * *x).collect();
        let mixed = [scaled[3], three, squares[2], scaled[1] + 2.0, x[7]];
        let coefficients: Vec<f64> = (0..WIDTH).map(|i| 0.3 - 0.05 * i as f64).collect();
        out[0] = T::dot(&coefficients, &scaled) * T::dot(&coefficients, &squares);
        out[1] = T::dot(&coefficients[..5], &mixed) * a - (three - x[4]) / three;
        // A square of a multiple, a product of multiples of one number, and one over a constant.
        out[2] = (x[5] * 2.0) * (x[5] * 2.0) + (x[6] * three) * (-x[6]) + x[8] / (three * 2.0);
        let sum = ((a * x[0] - x[1]) * -2.0).sin() + (three / (x[2] + 3.0)) * (x[3] + three).tanh();
        // A multiple of what is recorded, as an output, and a constant's.
        out[3] = three * (sum * -0.7);
        // An output that is a multiple of a variable, and one that depends on nothing.
        out[4] = x[9] * -1.5 + 1.0;
        out[5] = three * 2.0;
    }
}

fn at<'p>(
    manifolds: &'p [Manifold],
    variables: &'p [&'p [f64]],
    auxiliaries: &'p [&'p [f64]],
) -> Point<'p> {
    Point {
        manifolds,
        variables,
        auxiliaries,
    }
}

/// ψ = sᵀJd + tᵀc with the Jacobian as the cost gives it.
fn psi(cost: &AutoCost<Multiples>, x: &[f64], a: f64, probe: &Probe<'_>) -> f64 {
    let manifolds = [Manifold::Vector(WIDTH)];
    let (mut rows, mut jacobian) = (vec![0.0; 6], vec![0.0; 6 * WIDTH]);
    cost.linearise(&at(&manifolds, &[x], &[&[a]]), &mut rows, &mut jacobian);
    let product = |row: &[f64]| -> f64 { row.iter().zip(probe.d).map(|(j, d)| j * d).sum() };
    let rows = rows.iter().zip(jacobian.chunks_exact(WIDTH));
    rows.zip(probe.s.iter().zip(probe.t))
        .map(|((c, row), (s, t))| s * product(row) + t * c)
        .sum()
}

/// A difference of fourth order.
fn slope(f: impl Fn(f64) -> f64, at: f64) -> f64 {
    let h = 1e-3;
    (8.0 * (f(at + h) - f(at - h)) - (f(at + 2.0 * h) - f(at - 2.0 * h))) / (12.0 * h)
}

#[test]
fn what_reverse_mode_does_not_record_is_differentiated() {
    let cost = AutoCost::new(Multiples);
    let (x, a) = (numbers(WIDTH, 2), 0.8);
    let manifolds = [Manifold::Vector(WIDTH)];
    let variables: [&[f64]; 1] = [&x];
    let auxiliaries: [&[f64]; 1] = [&[a]];
    let here = at(&manifolds, &variables, &auxiliaries);
    // The Jacobian, of which the first is by rows.
    let moved = |i: usize, to: f64| -> Vec<f64> {
        let mut x = x.clone();
        x[i] = to;
        let mut rows = vec![0.0; 6];
        cost.residual(&at(&manifolds, &[&x], &auxiliaries), &mut rows);
        rows
    };
    let mut jacobian = vec![0.0; 6 * WIDTH];
    cost.linearise(&here, &mut [0.0; 6], &mut jacobian);
    for i in 0..WIDTH {
        for r in 0..6 {
            let expected = slope(|to| moved(i, to)[r], x[i]);
            let got = jacobian[r * WIDTH + i];
            // Differences of fourth order of numbers of order ten are good to about 1e-11.
            assert!((got - expected).abs() < 1e-9, "row {r}, column {i}");
        }
    }
    // One probe and two, and the Hessian.
    let (s, t, d) = (numbers(6, 3), numbers(6, 4), numbers(WIDTH, 5));
    let (s2, t2, d2) = (numbers(6, 6), numbers(6, 7), numbers(WIDTH, 8));
    let first = Probe {
        s: &s,
        d: &d,
        t: &t,
    };
    let second = Probe {
        s: &s2,
        d: &d2,
        t: &t2,
    };
    let by = |probe: &Probe<'_>, i: usize| {
        if i == WIDTH {
            return slope(|a| psi(&cost, &x, a, probe), a);
        }
        let value = |to: f64| {
            let mut x = x.clone();
            x[i] = to;
            psi(&cost, &x, a, probe)
        };
        slope(value, x[i])
    };
    let (mut one, mut one_a) = (vec![0.0; WIDTH], [0.0]);
    let gradient = &mut Gradient {
        variables: &mut one,
        auxiliaries: &mut one_a,
    };
    cost.probe(&here, &first, gradient);
    let (mut two, mut two_a) = (vec![0.0; WIDTH], [0.0]);
    let gradient = &mut Gradient {
        variables: &mut two,
        auxiliaries: &mut two_a,
    };
    cost.probe_pair(&here, [&first, &second], gradient);
    let (mut hessian, zero) = (vec![0.0; WIDTH * WIDTH], [0.0; 6]);
    cost.add_hessian(&here, &s, &mut hessian);
    let curvature = Probe {
        s: &s,
        d: &d,
        t: &zero,
    };
    for i in 0..=WIDTH {
        let (got, pair) = if i == WIDTH {
            (one_a[0], two_a[0])
        } else {
            (one[i], two[i])
        };
        let expected = by(&first, i);
        assert!((got - expected).abs() < 1e-8, "derivative {i} of one");
        let expected = expected + by(&second, i);
        assert!((pair - expected).abs() < 1e-8, "derivative {i} of two");
        if i < WIDTH {
            let row = &hessian[i * WIDTH..(i + 1) * WIDTH];
            let got: f64 = row.iter().zip(&d).map(|(h, d)| h * d).sum();
            assert!(
                (got - by(&curvature, i)).abs() < 1e-8,
                "row {i} of the Hessian"
            );
        }
    }
}

/// Rows that are added to what is there, which is zero, of more variables and auxiliaries than are gathered
/// without memory: out₀ = Σₖ (xₖ − 2ᵏ) xₖ and out₁ = Σₖ θₖ xₖ, xₖ the k-th variable.
struct Many;

const MANY: usize = 11;

impl Residual for Many {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        for (k, (x, theta)) in variables.iter().zip(auxiliaries).enumerate() {
            out[0] += (x[0] - (1 << k) as f64) * x[0];
            out[1] += theta[0] * x[x.len() - 1];
        }
    }
}

#[test]
fn rows_of_many_variables_may_be_added_up() {
    // Eleven variables of one number each, or the last of fourteen: one pass of forward mode, or two.
    for last in [1, 14] {
        let manifolds: Vec<_> = (0..MANY)
            .map(|k| Manifold::Vector(if k + 1 == MANY { last } else { 1 }))
            .collect();
        let x: Vec<Vec<f64>> = (0..MANY)
            .map(|k| numbers(manifolds[k].tangent(), k))
            .collect();
        let theta: Vec<[f64; 1]> = (0..MANY).map(|k| [0.5 - 0.1 * k as f64]).collect();
        let variables: Vec<&[f64]> = x.iter().map(Vec::as_slice).collect();
        let auxiliaries: Vec<&[f64]> = theta.iter().map(|t| t.as_slice()).collect();
        let here = at(&manifolds, &variables, &auxiliaries);
        let cost = AutoCost::new(Many);
        let width = here.width();
        let (mut expected, mut sums) = (vec![0.0; 2 * width], [0.0; 2]);
        for k in 0..MANY {
            let power = (1 << k) as f64;
            sums[0] += (x[k][0] - power) * x[k][0];
            sums[1] += theta[k][0] * x[k][x[k].len() - 1];
            expected[k] = 2.0 * x[k][0] - power;
            expected[width + k + x[k].len() - 1] += theta[k][0];
        }
        // By rows at first, where it is wide enough, then as was found cheaper.
        for _ in 0..2 {
            let (mut rows, mut jacobian) = ([f64::NAN; 2], vec![f64::NAN; 2 * width]);
            cost.linearise(&here, &mut rows, &mut jacobian);
            // Numbers up to 1024 times 2, in a dozen operations.
            for (got, expected) in rows.iter().zip(&sums) {
                assert!((got - expected).abs() < 1e-11, "{got} {expected}");
            }
            for (i, (got, expected)) in jacobian.iter().zip(&expected).enumerate() {
                assert!((got - expected).abs() < 1e-11, "entry {i}: {got}");
            }
        }
        // ψ = sᵀJd + tᵀc by the auxiliaries: s₁ d + t₁ x of the last number of each variable.
        let (s, t, d) = ([0.3, 0.7], [0.2, -0.4], numbers(width, 3));
        let (mut by_x, mut by_theta) = (vec![0.0; width], [0.0; MANY]);
        let gradient = &mut Gradient {
            variables: &mut by_x,
            auxiliaries: &mut by_theta,
        };
        let probe = Probe {
            s: &s,
            d: &d,
            t: &t,
        };
        cost.probe(&here, &probe, gradient);
        for k in 0..MANY {
            let at = k + x[k].len() - 1;
            let expected = s[1] * d[at] + t[1] * x[k][x[k].len() - 1];
            assert!((by_theta[k] - expected).abs() < 1e-13, "auxiliary {k}");
        }
    }
}
