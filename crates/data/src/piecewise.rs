//! HardNet's one-dimensional problems: fit a function of x under constraints that change with x.
//!
//! Min & Azizan, "Hard-Constrained Neural Networks with Universal Approximation Guarantees", arXiv
//! 2410.10807; `datasets/pwc`, `pwcbox` and `pwcfull` of azizanlab/hardnet, version 2. Inputs are drawn
//! after `np.random.seed(17)`; evaluation is on 401 equidistant points of [-2, 2].
//!
//! With s = sin(π(x + 1)/2), the four pieces are x ≤ -1, (-1, 0], (0, 1] and above 1:
//!
//! | | target | rows |
//! |---|---|---|
//! | `pwc`, `pwcfull` | `-5s`, `0`, `4 - 9(x - ⅔)²`, `8 - 5x` | `y ≥ 5s²`, `y ≤ 0`, `y ≥ (4 - 9(x - ⅔)²)x`, `y ≤ 7.5 - 4.5x` |
//! | `pwcbox` | `-5s - 2`, `-2`, `2 - 9(x - ⅔)²`, `3/x² - 2` | `[5s² - 2, -3s]`, `[-2, -2]`, `[(4 - 9(x - ⅔)²)x - 2, 3 - 4(x - ½)²]`, `[3/x³ - 2, 2]` |
//!
//! `pwc` trains on 50 inputs from [-1.2, 1.2), so that both ends are never seen; `pwcfull` on 50 and
//! `pwcbox` on 10 from [-2, 2). The one row is `±y`, so that the coefficient changes its sign too. The
//! published box has -1e10 where a side is open; here it is infinite.

use std::f64::consts::PI;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::{Affine, Bounds, Constraints, host};
use serde::{Deserialize, Serialize};

use crate::{Error, LegacyRandom, Part, Problem};

/// Points of the evaluation.
const EVALUATED: usize = 401;
/// Its ends.
const ENDS: [f64; 2] = [-2.0, 2.0];

/// Which of HardNet's one-dimensional problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piecewise {
    /// `pwc`: one bound, trained on the middle of the range.
    HardnetPwc,
    /// `pwcbox`: two bounds.
    HardnetPwcbox,
    /// `pwcfull`: as `pwc`, trained on the whole range.
    HardnetPwcfull,
}

impl Piecewise {
    /// All three.
    pub const ALL: [Self; 3] = [Self::HardnetPwc, Self::HardnetPwcbox, Self::HardnetPwcfull];
    /// The seed that the authors used.
    pub const PUBLISHED_SEED: u32 = 17;

    /// `hardnet-pwc`, `hardnet-pwcbox` or `hardnet-pwcfull`.
    pub fn name(self) -> &'static str {
        match self {
            Self::HardnetPwc => "hardnet-pwc",
            Self::HardnetPwcbox => "hardnet-pwcbox",
            Self::HardnetPwcfull => "hardnet-pwcfull",
        }
    }

    /// Training inputs of the published runs.
    pub fn published_samples(self) -> usize {
        match self {
            Self::HardnetPwc | Self::HardnetPwcfull => 50,
            Self::HardnetPwcbox => 10,
        }
    }

    /// Training inputs, as `np.random.uniform` draws them after `np.random.seed(seed)`.
    pub fn inputs(self, samples: usize, seed: u32) -> Vec<f64> {
        let end = match self {
            Self::HardnetPwc => 1.2,
            Self::HardnetPwcbox | Self::HardnetPwcfull => 2.0,
        };
        LegacyRandom::new(seed).uniform_vec(-end, end, samples)
    }

    /// The target at x.
    pub fn target(self, x: f64) -> f64 {
        match self {
            Self::HardnetPwc | Self::HardnetPwcfull => match x {
                x if x <= -1.0 => -5.0 * wave(x),
                x if x <= 0.0 => 0.0,
                x if x <= 1.0 => hill(x),
                x => 8.0 - 5.0 * x,
            },
            Self::HardnetPwcbox => match x {
                x if x <= -1.0 => -5.0 * wave(x) - 2.0,
                x if x <= 0.0 => -2.0,
                x if x <= 1.0 => hill(x) - 2.0,
                x => 3.0 / (x * x) - 2.0,
            },
        }
    }

    /// The coefficient a and the bounds of l ≤ ay ≤ u at x.
    pub fn row(self, x: f64) -> (f64, f64, f64) {
        let open = f64::NEG_INFINITY;
        match self {
            Self::HardnetPwc | Self::HardnetPwcfull => match x {
                x if x <= -1.0 => (-1.0, open, -5.0 * wave(x).powi(2)),
                x if x <= 0.0 => (1.0, open, 0.0),
                x if x <= 1.0 => (-1.0, open, -hill(x) * x),
                x => (1.0, open, 7.5 - 4.5 * x),
            },
            Self::HardnetPwcbox => match x {
                x if x <= -1.0 => (1.0, 5.0 * wave(x).powi(2) - 2.0, -3.0 * wave(x)),
                x if x <= 0.0 => (1.0, -2.0, -2.0),
                x if x <= 1.0 => (1.0, hill(x) * x - 2.0, 3.0 - 4.0 * (x - 0.5).powi(2)),
                x => (1.0, 3.0 / x.powi(3) - 2.0, 2.0),
            },
        }
    }
}

impl std::fmt::Display for Piecewise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

fn wave(x: f64) -> f64 {
    (PI * (x + 1.0) / 2.0).sin()
}

fn hill(x: f64) -> f64 {
    4.0 - 9.0 * (x - 2.0 / 3.0).powi(2)
}

/// One of these problems on a device: a supervised one, whose objective is the squared error.
///
/// Validation and test are the same 401 points, as published. The target meets the rows everywhere, so
/// the optimal value is 0 and a gap is the squared error.
#[derive(Debug)]
pub struct PiecewiseProblem {
    kind: Piecewise,
    train: Vec<f64>,
    evaluated: Vec<f64>,
    device: Device,
    dtype: DType,
}

impl PiecewiseProblem {
    /// Draws `samples` training inputs.
    ///
    /// # Errors
    /// If there are fewer than two samples.
    pub fn new(
        kind: Piecewise,
        samples: usize,
        seed: u32,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, Error> {
        if samples < 2 {
            return Err(Error::Size {
                what: "samples",
                got: samples,
                need: "at least 2".into(),
            });
        }
        Ok(Self {
            kind,
            train: kind.inputs(samples, seed),
            evaluated: equidistant(),
            device: device.clone(),
            dtype,
        })
    }

    fn column(&self, values: Vec<f64>) -> Tensor<2> {
        let rows = values.len();
        host::write(values, [rows, 1], &self.device, self.dtype)
    }
}

/// As `torch.linspace`, which counts from the nearer end.
fn equidistant() -> Vec<f64> {
    let step = (ENDS[1] - ENDS[0]) / (EVALUATED - 1) as f64;
    let at = |i: usize| match i < EVALUATED / 2 {
        true => ENDS[0] + step * i as f64,
        false => ENDS[1] - step * (EVALUATED - 1 - i) as f64,
    };
    (0..EVALUATED).map(at).collect()
}

impl Problem for PiecewiseProblem {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn inputs(&self) -> usize {
        1
    }

    fn variables(&self) -> usize {
        1
    }

    fn samples(&self, part: Part) -> usize {
        self.input(part).len()
    }

    fn input(&self, part: Part) -> &[f64] {
        match part {
            Part::Train => &self.train,
            Part::Validation | Part::Test => &self.evaluated,
        }
    }

    /// (y − target(x))².
    fn objective(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        // A device that cannot be read gives no numbers anywhere: NaN says so in the loss.
        let x = host::read("x", &x).unwrap_or_else(|_| vec![f64::NAN; y.dims()[0]]);
        let target = x.iter().map(|&x| self.kind.target(x)).collect();
        (y - self.column(target)).square().squeeze_dim(1)
    }

    fn constraints(&self, x: Tensor<2>) -> Result<Arc<dyn Constraints>, feasible_core::Error> {
        let [batch, inputs] = x.dims();
        if inputs != 1 {
            let got = [batch, inputs];
            return Err(feasible_core::Error::shape("x", &got, "[batch, 1]"));
        }
        let rows = host::read_finite("x", &x)?;
        let rows: Vec<_> = rows.iter().map(|&x| self.kind.row(x)).collect();
        let coefficients = rows.iter().map(|row| row.0).collect();
        let a = host::write(coefficients, [batch, 1, 1], &self.device, self.dtype);
        let lower = self.column(rows.iter().map(|row| row.1).collect());
        let upper = self.column(rows.iter().map(|row| row.2).collect());
        let bounds = Bounds::per_sample(lower, upper)?;
        Ok(Arc::new(Affine::per_sample(a, bounds)?))
    }

    /// Zero, at the target.
    fn reference(
        &self,
        part: Part,
        _cache: Option<&Path>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, Error> {
        let samples = self.samples(part);
        progress(samples);
        Ok(vec![0.0; samples])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feasible_core::Violations;

    fn problem(kind: Piecewise) -> PiecewiseProblem {
        let samples = kind.published_samples();
        let seed = Piecewise::PUBLISHED_SEED;
        PiecewiseProblem::new(kind, samples, seed, &Device::flex(), DType::F64).unwrap()
    }

    /// `np.random.seed(17); np.random.uniform(-1.2, 1.2)`: -1.2 + 2.4 · 0.2946650026871097.
    #[test]
    fn inputs_are_numpys() {
        let train = problem(Piecewise::HardnetPwc).train;
        assert_eq!(train.len(), 50);
        assert_eq!(train[0], -1.2 + 2.4 * 0.2946650026871097);
        assert!(train.iter().all(|x| (-1.2..1.2).contains(x)));
        assert_eq!(problem(Piecewise::HardnetPwcbox).train.len(), 10);
    }

    #[test]
    fn evaluation_is_on_401_points() {
        let points = equidistant();
        assert_eq!((points.len(), points[0], points[400]), (401, -2.0, 2.0));
        assert_eq!((points[100], points[200], points[300]), (-1.0, 0.0, 1.0));
    }

    #[test]
    fn targets_are_feasible_and_zero_error() {
        for kind in Piecewise::ALL {
            let problem = problem(kind);
            let x = problem.column(problem.input(Part::Test).to_vec());
            let targets: Vec<f64> = problem
                .input(Part::Test)
                .iter()
                .map(|&x| kind.target(x))
                .collect();
            let y = problem.column(targets);
            let set = problem.constraints(x.clone()).unwrap();
            let violations = Violations::of(set.as_ref(), y.clone());
            assert!(violations.summary(1e-12).unwrap().max < 1e-12, "{kind}");
            let errors = host::read("f", &problem.objective(x, y)).unwrap();
            assert_eq!(
                errors,
                problem.reference(Part::Test, None, &mut |_| {}).unwrap()
            );
        }
    }

    /// Values worked out by hand at one point of each piece.
    #[test]
    fn pieces_are_the_published_ones() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-14, "{a} instead of {b}");
        let kind = Piecewise::HardnetPwc;
        for (x, target, a, upper) in [
            (-2.0, 5.0, -1.0, -5.0),
            (-0.5, 0.0, 1.0, 0.0),
            (2.0 / 3.0, 4.0, -1.0, -8.0 / 3.0),
            (2.0, -2.0, 1.0, -1.5),
        ] {
            let row = kind.row(x);
            close(kind.target(x), target);
            close(row.0, a);
            close(row.2, upper);
        }
        let kind = Piecewise::HardnetPwcbox;
        for (x, target, lower, upper) in [
            (-2.0, 3.0, 3.0, 3.0),
            (-0.5, -2.0, -2.0, -2.0),
            (0.5, 1.75, -0.125, 3.0),
            (2.0, -1.25, -1.625, 2.0),
        ] {
            let row = kind.row(x);
            close(kind.target(x), target);
            close(row.1, lower);
            close(row.2, upper);
        }
    }

    #[test]
    fn too_few_samples_are_refused() {
        let made = PiecewiseProblem::new(Piecewise::HardnetPwc, 1, 17, &Device::flex(), DType::F64);
        assert!(made.unwrap_err().to_string().contains("samples is 1"));
    }
}
