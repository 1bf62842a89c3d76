//! NIST's nonlinear regression problems: data, starts, certified values and models.

use feasible_least_squares::{Real, Residual};

const DATA: &str = include_str!("../data/nist.txt");

/// One problem of the collection.
#[derive(Clone, Debug)]
pub(crate) struct Regression {
    pub(crate) name: String,
    /// Starts 1 and 2.
    pub(crate) starts: [Vec<f64>; 2],
    pub(crate) certified: Vec<f64>,
    /// Residual sum of squares there.
    pub(crate) sum_of_squares: f64,
    response: Vec<f64>,
    predictors: Vec<Vec<f64>>,
}

/// All 27.
pub(crate) fn all() -> Vec<Regression> {
    let mut lines = DATA.lines().filter(|line| !line.starts_with('#'));
    let mut problems = Vec::new();
    while let Some(line) = lines.next() {
        let mut words = line.split(' ').skip(1);
        let name = words.next().unwrap().to_owned();
        let sizes: Vec<usize> = words.skip(1).map(|w| w.parse().unwrap()).collect();
        let mut row = || -> Vec<f64> {
            let words = lines.next().unwrap().split(' ');
            words.map(|w| w.parse().unwrap()).collect()
        };
        let parameters: Vec<_> = (0..sizes[0]).map(|_| row()).collect();
        let column = |k: usize| parameters.iter().map(|p| p[k]).collect::<Vec<f64>>();
        let sum_of_squares = row()[0];
        let observations: Vec<_> = (0..sizes[1]).map(|_| row()).collect();
        problems.push(Regression {
            name,
            starts: [column(0), column(1)],
            certified: column(2),
            sum_of_squares,
            response: observations.iter().map(|o| o[0]).collect(),
            predictors: observations.iter().map(|o| o[1..].to_vec()).collect(),
        });
    }
    problems
}

impl Regression {
    /// The smallest log relative error of a parameter, between 0 and the 11 digits that are certified.
    pub(crate) fn log_relative_error(&self, found: &[f64]) -> f64 {
        let pairs = found.iter().zip(&self.certified);
        pairs.fold(11.0, |least: f64, (found, certified)| {
            let digits = -((found - certified) / certified).abs().log10();
            // A NaN has no digits.
            if digits > 0.0 { least.min(digits) } else { 0.0 }
        })
    }

    fn model<T: Real>(&self, b: &[T], x: &[f64]) -> T {
        let at = x[0];
        let one = T::constant(1.0);
        let cubic = |b: &[T]| ((b[3] * at + b[2]) * at + b[1]) * at + b[0];
        let power = |base: T, exponent: T| (base.ln() * exponent).exp();
        let bell = |height: T, centre: T, width: T| {
            let z = (-centre + at) / width;
            height * (-(z * z)).exp()
        };
        let wave = |period: T, cosine: T, sine: T| {
            let phase = T::constant(std::f64::consts::TAU * at) / period;
            cosine * phase.cos() + sine * phase.sin()
        };
        match self.name.as_str() {
            "Misra1a" | "BoxBOD" => b[0] * (one - (-b[1] * at).exp()),
            "Misra1b" => b[0] * (one - (b[1] * (at / 2.0) + 1.0).powi(-2)),
            "Misra1c" => b[0] * (one - one / (b[1] * (2.0 * at) + 1.0).sqrt()),
            "Misra1d" => b[0] * b[1] * at / (b[1] * at + 1.0),
            "Chwirut1" | "Chwirut2" => (-b[0] * at).exp() / (b[1] + b[2] * at),
            "DanWood" => b[0] * (b[1] * at.ln()).exp(),
            "Gauss1" | "Gauss2" | "Gauss3" => {
                b[0] * (-b[1] * at).exp() + bell(b[2], b[3], b[4]) + bell(b[5], b[6], b[7])
            }
            "Lanczos1" | "Lanczos2" | "Lanczos3" => {
                let term = |k: usize| b[k] * (-b[k + 1] * at).exp();
                term(0) + term(2) + term(4)
            }
            "Kirby2" => {
                let above = (b[2] * at + b[1]) * at + b[0];
                above / ((b[4] * at + b[3]) * at + 1.0)
            }
            "Hahn1" | "Thurber" => cubic(&b[..4]) / cubic(&[one, b[4], b[5], b[6]]),
            "Nelson" => b[0] - b[1] * at * (-b[2] * x[1]).exp(),
            "MGH09" => b[0] * (b[1] * at + at * at) / (b[2] * at + b[3] + at * at),
            "MGH10" => b[0] * (b[1] / (b[2] + at)).exp(),
            "MGH17" => b[0] + b[1] * (-b[3] * at).exp() + b[2] * (-b[4] * at).exp(),
            "Roszman1" => {
                let angle = (b[2] / (-b[3] + at)).atan();
                b[0] - b[1] * at - angle / std::f64::consts::PI
            }
            "ENSO" => {
                let year = wave(T::constant(12.0), b[1], b[2]);
                b[0] + year + wave(b[3], b[4], b[5]) + wave(b[6], b[7], b[8])
            }
            "Rat42" => b[0] / ((b[1] - b[2] * at).exp() + 1.0),
            "Rat43" => b[0] * power((b[1] - b[2] * at).exp() + 1.0, -one / b[3]),
            "Eckerle4" => {
                let z = (-b[2] + at) / b[1];
                b[0] / b[1] * (z * z * -0.5).exp()
            }
            "Bennett5" => b[0] * power(b[1] + at, -one / b[2]),
            other => panic!("no model is called {other}"),
        }
    }
}

impl Residual for Regression {
    fn rows(&self) -> usize {
        self.response.len()
    }

    fn evaluate<T: Real>(&self, variables: &[&[T]], _auxiliaries: &[&[T]], out: &mut [T]) {
        let observations = self.predictors.iter().zip(&self.response);
        for (out, (x, y)) in out.iter_mut().zip(observations) {
            // Nelson's response is a logarithm.
            let y = if self.name == "Nelson" { y.ln() } else { *y };
            *out = self.model(variables[0], x) - y;
        }
    }
}
