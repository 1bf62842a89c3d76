//! Test problems of J. J. Moré, B. S. Garbow, K. E. Hillstrom, *Testing unconstrained optimization software*,
//! ACM TOMS 7(1), 1981: problems 1 to 19 of its section 3.

use std::f64::consts::TAU;

use feasible_least_squares::{Real, Residual};

/// One problem of the paper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem {
    pub(crate) number: usize,
    pub(crate) name: &'static str,
    rows: usize,
    pub(crate) start: &'static [f64],
    /// The smallest Σ f_i².
    pub(crate) optimum: f64,
}

const fn problem(
    number: usize,
    name: &'static str,
    rows: usize,
    start: &'static [f64],
    optimum: f64,
) -> Problem {
    Problem {
        number,
        name,
        rows,
        start,
        optimum,
    }
}

/// Problems 1 to 19.
pub(crate) const ALL: [Problem; 19] = [
    problem(1, "Rosenbrock", 2, &[-1.2, 1.0], 0.0),
    problem(2, "Freudenstein and Roth", 2, &[0.5, -2.0], 0.0),
    problem(3, "Powell badly scaled", 2, &[0.0, 1.0], 0.0),
    problem(4, "Brown badly scaled", 3, &[1.0, 1.0], 0.0),
    problem(5, "Beale", 3, &[1.0, 1.0], 0.0),
    problem(6, "Jennrich and Sampson", 10, &[0.3, 0.4], 124.362),
    problem(7, "Helical valley", 3, &[-1.0, 0.0, 0.0], 0.0),
    problem(8, "Bard", 15, &[1.0, 1.0, 1.0], 8.214_87e-3),
    problem(9, "Gaussian", 15, &[0.4, 1.0, 0.0], 1.127_93e-8),
    problem(10, "Meyer", 16, &[0.02, 4000.0, 250.0], 87.9458),
    problem(11, "Gulf research", 100, &[5.0, 2.5, 0.15], 0.0),
    problem(12, "Box three-dimensional", 10, &[0.0, 10.0, 20.0], 0.0),
    problem(13, "Powell singular", 4, &[3.0, -1.0, 0.0, 1.0], 0.0),
    problem(14, "Wood", 6, &[-3.0, -1.0, -3.0, -1.0], 0.0),
    problem(
        15,
        "Kowalik and Osborne",
        11,
        &[0.25, 0.39, 0.415, 0.39],
        3.075_05e-4,
    ),
    problem(
        16,
        "Brown and Dennis",
        20,
        &[25.0, 5.0, -5.0, -1.0],
        85_822.2,
    ),
    problem(
        17,
        "Osborne 1",
        33,
        &[0.5, 1.5, -1.0, 0.01, 0.02],
        5.464_89e-5,
    ),
    problem(18, "Biggs EXP6", 13, &[1.0, 2.0, 1.0, 1.0, 1.0, 1.0], 0.0),
    problem(
        19,
        "Osborne 2",
        65,
        &[1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5],
        4.013_77e-2,
    ),
];

const BARD: [f64; 15] = [
    0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39,
];
const GAUSSIAN: [f64; 8] = [
    0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989,
];
const MEYER: [f64; 16] = [
    34_780.0, 28_610.0, 23_650.0, 19_630.0, 16_370.0, 13_720.0, 11_540.0, 9_744.0, 8_261.0,
    7_030.0, 6_005.0, 5_147.0, 4_427.0, 3_820.0, 3_307.0, 2_872.0,
];
const KOWALIK: [(f64, f64); 11] = [
    (0.1957, 4.0),
    (0.1947, 2.0),
    (0.1735, 1.0),
    (0.1600, 0.5),
    (0.0844, 0.25),
    (0.0627, 0.167),
    (0.0456, 0.125),
    (0.0342, 0.1),
    (0.0323, 0.0833),
    (0.0235, 0.0714),
    (0.0246, 0.0625),
];
const OSBORNE_1: [f64; 33] = [
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685,
    0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448,
    0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406,
];
const OSBORNE_2: [f64; 65] = [
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608,
    0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661,
    0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428,
    0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559,
    0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054,
];

impl Residual for Problem {
    fn rows(&self) -> usize {
        self.rows
    }

    fn evaluate<T: Real>(&self, variables: &[&[T]], _auxiliaries: &[&[T]], out: &mut [T]) {
        let x = variables[0];
        let c = T::constant;
        for (k, out) in out.iter_mut().enumerate() {
            // The paper counts from one.
            let i = (k + 1) as f64;
            *out = match (self.number, k) {
                (1, 0) => (x[1] - x[0] * x[0]) * 10.0,
                (1, _) => c(1.0) - x[0],
                (2, 0) => x[0] - 13.0 + ((c(5.0) - x[1]) * x[1] - 2.0) * x[1],
                (2, _) => x[0] - 29.0 + ((x[1] + 1.0) * x[1] - 14.0) * x[1],
                (3, 0) => x[0] * x[1] * 1e4 - 1.0,
                (3, _) => (-x[0]).exp() + (-x[1]).exp() - 1.0001,
                (4, 0) => x[0] - 1e6,
                (4, 1) => x[1] - 2e-6,
                (4, _) => x[0] * x[1] - 2.0,
                (5, _) => c([1.5, 2.25, 2.625][k]) - x[0] * (c(1.0) - x[1].powi(k as i32 + 1)),
                (6, _) => c(2.0 + 2.0 * i) - ((x[0] * i).exp() + (x[1] * i).exp()),
                (7, 0) => {
                    let turns = (x[1] / x[0]).atan() / TAU;
                    let turns = if x[0].value() > 0.0 {
                        turns
                    } else {
                        turns + 0.5
                    };
                    (x[2] - turns * 10.0) * 10.0
                }
                (7, 1) => ((x[0] * x[0] + x[1] * x[1]).sqrt() - 1.0) * 10.0,
                (7, _) => x[2],
                (8, _) => {
                    let (v, w) = (16.0 - i, i.min(16.0 - i));
                    c(BARD[k]) - (x[0] + c(i) / (x[1] * v + x[2] * w))
                }
                (9, _) => {
                    let from_centre = x[2] * -1.0 + (8.0 - i) / 2.0;
                    x[0] * (x[1] * from_centre * from_centre * -0.5).exp() - GAUSSIAN[k.min(14 - k)]
                }
                (10, _) => x[0] * (x[1] / (x[2] + (45.0 + 5.0 * i))).exp() - MEYER[k],
                (11, _) => {
                    // The paper prints "y_i m i x_2" for y_i − x_2, without which its optimum is none.
                    let t = i / 100.0;
                    let y = 25.0 + (-50.0 * t.ln()).powf(2.0 / 3.0);
                    let distance = (c(y) - x[1]).abs();
                    // At a distance of zero the power and its derivatives are zero, the logarithm is not.
                    let power = if distance.value() > 0.0 {
                        (distance.ln() * x[2]).exp()
                    } else {
                        c(0.0)
                    };
                    (-(power / x[0])).exp() - t
                }
                (12, _) => {
                    let t = 0.1 * i;
                    let constant = (-t).exp() - (-10.0 * t).exp();
                    (x[0] * -t).exp() - (x[1] * -t).exp() - x[2] * constant
                }
                (13, 0) => x[0] + x[1] * 10.0,
                (13, 1) => (x[2] - x[3]) * 5.0_f64.sqrt(),
                (13, 2) => (x[1] - x[2] * 2.0).powi(2),
                (13, _) => (x[0] - x[3]).powi(2) * 10.0_f64.sqrt(),
                (14, 0) => (x[1] - x[0] * x[0]) * 10.0,
                (14, 1) => c(1.0) - x[0],
                (14, 2) => (x[3] - x[2] * x[2]) * 90.0_f64.sqrt(),
                (14, 3) => c(1.0) - x[2],
                (14, 4) => (x[1] + x[3] - 2.0) * 10.0_f64.sqrt(),
                (14, _) => (x[1] - x[3]) / 10.0_f64.sqrt(),
                (15, _) => {
                    let (y, u) = KOWALIK[k];
                    c(y) - x[0] * (x[1] * u + u * u) / (x[2] * u + x[3] + u * u)
                }
                (16, _) => {
                    let t = i / 5.0;
                    (x[0] + x[1] * t - t.exp()).powi(2) + (x[2] + x[3] * t.sin() - t.cos()).powi(2)
                }
                (17, _) => {
                    let t = 10.0 * (i - 1.0);
                    c(OSBORNE_1[k]) - (x[0] + x[1] * (x[3] * -t).exp() + x[2] * (x[4] * -t).exp())
                }
                (18, _) => {
                    let t = 0.1 * i;
                    let y = (-t).exp() - 5.0 * (-10.0 * t).exp() + 3.0 * (-4.0 * t).exp();
                    x[2] * (x[0] * -t).exp() - x[3] * (x[1] * -t).exp() + x[5] * (x[4] * -t).exp()
                        - y
                }
                (19, _) => {
                    let t = (i - 1.0) / 10.0;
                    let bell = |height: T, width: T, centre: T| {
                        height * (-((-centre + t).powi(2) * width)).exp()
                    };
                    c(OSBORNE_2[k])
                        - (x[0] * (x[4] * -t).exp()
                            + bell(x[1], x[5], x[8])
                            + bell(x[2], x[6], x[9])
                            + bell(x[3], x[7], x[10]))
                }
                _ => unreachable!("problems are numbered 1 to 19"),
            };
        }
    }
}
