//! A family on a device.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::{Affine, Block, Bounds, Constraints, Curvature, Quadratic, Stacked, host};
use feasible_solver::{
    Equalities, Inequalities, Problem as Program, Quadratics, Settings, Symmetric, Values, solve,
};

use super::draw::{FsNetFamily, Numbers, Rows, draw, permutation};
use super::rows::{CurvedRows, Kind, Norm};
use crate::{Error, Part, Problem, Size};

/// The box of every variable.
const BOX: f64 = 5.0;

/// One of FSNet's families as tensors on a device.
///
/// Rows are the inequalities first, then the box, then the equalities. The published networks end in a
/// sigmoid that fills the box; here the box is rows like the others.
#[derive(Debug)]
pub struct FsNetProblem {
    family: FsNetFamily,
    size: Size,
    numbers: Numbers,
    /// Inputs in the order of the split: training, validation, test.
    inputs: Vec<f64>,
    /// Where each part ends, in samples.
    ends: [usize; 3],
    q: Tensor<2>,
    p: Tensor<2>,
    upper: Tensor<2>,
    equalities: Block,
    box_rows: Affine,
    inequalities: Inequality,
}

/// The inequality rows but for their bounds.
#[derive(Debug)]
enum Inequality {
    Block(Box<Block>),
    Curved { kind: Kind, g: Box<Tensor<2>> },
}

impl FsNetProblem {
    /// Draws the numbers of `family` and puts them on `device` with precision `dtype`.
    ///
    /// # Errors
    /// As [`FsNetFamily::validate`]; [`Error::RankDeficient`] where the drawn equality rows are
    /// dependent to rounding.
    pub fn new(
        family: FsNetFamily,
        size: &Size,
        seed: u32,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, Error> {
        let numbers = draw(family, size, seed)?;
        let Size {
            n,
            eq,
            ineq: m,
            samples,
        } = *size;
        let (valid, test) = (samples / 10, samples / 5);
        let inputs = permutation(samples, seed)
            .into_iter()
            .flat_map(|sample| numbers.x[sample * eq..][..eq].to_vec())
            .collect();
        let matrix = |values: &[f64], rows: usize, columns: usize| {
            host::write::<2>(values.to_vec(), [rows, columns], device, dtype)
        };
        let block = |linear: Tensor<2>, curvature| {
            let made = Block::new(linear.unsqueeze_dim(0), curvature);
            made.map_err(in_own_words)
        };
        let cosine = !family.is_convex();
        let (upper, inequalities) = match &numbers.rows {
            Rows::Flat { g, h, curvature } => {
                let g = matrix(g, m, n);
                let inequalities = match (curvature, cosine) {
                    (None, false) => Inequality::Block(Box::new(block(g, Curvature::None)?)),
                    (Some(curvature), false) => {
                        // Published with a ½.
                        let halved: Tensor<2> = matrix(curvature, m, n) * 0.5;
                        let curvature = Curvature::Diagonal(halved.unsqueeze_dim(0));
                        Inequality::Block(Box::new(block(g, curvature)?))
                    }
                    (None, true) => Inequality::Curved {
                        kind: Kind::Sine,
                        g: Box::new(g),
                    },
                    (Some(curvature), true) => Inequality::Curved {
                        kind: Kind::Cosine(Box::new(matrix(curvature, m, n))),
                        g: Box::new(g),
                    },
                };
                (matrix(h, 1, m), inequalities)
            }
            Rows::Cones { g, h, c, d } => {
                let kind = Kind::Norm(Box::new(Norm {
                    offset: matrix(h, m, m),
                    direction: matrix(c, m, n),
                    cosine,
                }));
                let g = Box::new(matrix(g, m * m, n));
                (matrix(d, 1, m), Inequality::Curved { kind, g })
            }
        };
        let mut identity = vec![0.0; n * n];
        (0..n).for_each(|i| identity[i * n + i] = 1.0);
        let limits = |value: f64| host::write::<1>(vec![value; n], [n], device, dtype);
        let bounds = Bounds::shared(limits(-BOX), limits(BOX)).map_err(in_own_words)?;
        let box_rows = Affine::shared(matrix(&identity, n, n), bounds).map_err(in_own_words)?;
        Ok(Self {
            family,
            size: *size,
            inputs,
            ends: [samples - valid - test, samples - test, samples],
            q: matrix(&numbers.q, 1, n),
            p: matrix(&numbers.p, 1, n),
            upper,
            equalities: block(matrix(&numbers.equality, eq, n), Curvature::None)?,
            box_rows,
            inequalities,
            numbers,
        })
    }

    /// The convex programs with rows that the solver takes, all samples of a part at once.
    fn optima(&self, part: Part) -> Result<Option<Vec<f64>>, Error> {
        let (Rows::Flat { g, h, curvature }, true) = (&self.numbers.rows, self.family.is_convex())
        else {
            return Ok(None);
        };
        let Size { n, eq, ineq: m, .. } = self.size;
        let batch = self.samples(part);
        let mut linear = vec![0.0; n * n];
        (0..n).for_each(|i| linear[i * n + i] = 1.0);
        let (mut low, mut high) = (vec![-BOX; n], vec![BOX; n]);
        if curvature.is_none() {
            linear.extend_from_slice(g);
            low.extend(std::iter::repeat_n(f64::NEG_INFINITY, m));
            high.extend_from_slice(h);
        }
        let halves: Vec<f64> = curvature.iter().flatten().map(|v| 0.5 * v).collect();
        let program = Program {
            batch,
            n,
            p: Symmetric::Diagonal(Values::Shared(&self.numbers.q)),
            q: Values::Shared(&self.numbers.p),
            equalities: Some(Equalities {
                rows: eq,
                a: Values::Shared(&self.numbers.equality),
                b: Values::PerSample(self.input(part)),
            }),
            inequalities: Some(Inequalities {
                rows: low.len(),
                g: Values::Shared(&linear),
                l: Values::Shared(&low),
                u: Values::Shared(&high),
            }),
            quadratics: curvature.as_ref().map(|_| Quadratics {
                rows: m,
                h: Symmetric::Diagonal(Values::Shared(&halves)),
                g: Values::Shared(g),
                c: Values::Shared(h),
            }),
        };
        let solution = solve(&program, &Settings::default())?;
        let samples = solution.objective.iter().zip(&solution.status);
        let value = |(objective, status): (&f64, &feasible_solver::Status)| match status.is_solved()
        {
            true => *objective,
            false => f64::NAN,
        };
        Ok(Some(samples.map(value).collect()))
    }
}

/// The numbers were made here, so that this is not the caller's to mend; it is still no reason to panic.
fn in_own_words(error: feasible_core::Error) -> Error {
    Error::Value {
        argument: "rows",
        problem: error.to_string(),
    }
}

impl Problem for FsNetProblem {
    fn name(&self) -> &str {
        self.family.name()
    }

    fn inputs(&self) -> usize {
        self.size.eq
    }

    fn variables(&self) -> usize {
        self.size.n
    }

    fn samples(&self, part: Part) -> usize {
        let [train, valid, test] = self.ends;
        match part {
            Part::Train => train,
            Part::Validation => valid - train,
            Part::Test => test - valid,
        }
    }

    fn input(&self, part: Part) -> &[f64] {
        let (eq, [train, valid, test]) = (self.size.eq, self.ends);
        match part {
            Part::Train => &self.inputs[..train * eq],
            Part::Validation => &self.inputs[train * eq..valid * eq],
            Part::Test => &self.inputs[valid * eq..test * eq],
        }
    }

    fn objective(&self, _x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let carrier = match self.family.is_convex() {
            true => y.clone(),
            false => y.clone().sin(),
        };
        let terms = y.square() * self.q.clone() * 0.5 + carrier * self.p.clone();
        terms.sum_dim(1).squeeze_dim(1)
    }

    fn constraints(&self, x: Tensor<2>) -> Result<Arc<dyn Constraints>, feasible_core::Error> {
        let [batch, inputs] = x.dims();
        if inputs != self.size.eq {
            let expected = format!("[batch, {}]", self.size.eq);
            return Err(feasible_core::Error::shape("x", &[batch, inputs], expected));
        }
        let upper = match self.family {
            FsNetFamily::FsnetNonconvexQp => self.upper.clone() * x.clone().cos(),
            _ => self.upper.clone(),
        };
        let bounds = Bounds::at_most(upper)?;
        let inequalities: Arc<dyn Constraints> = match &self.inequalities {
            Inequality::Block(block) => {
                Arc::new(Quadratic::from_block(block.as_ref().clone(), bounds)?)
            }
            Inequality::Curved { kind, g } => Arc::new(CurvedRows {
                kind: kind.clone(),
                g: g.as_ref().clone(),
                bounds,
            }),
        };
        let equalities = Affine::from_block(self.equalities.clone(), Bounds::equal(x)?)?;
        Ok(Arc::new(Stacked::new(vec![
            inequalities,
            Arc::new(self.box_rows.clone()),
            Arc::new(equalities),
        ])?))
    }

    /// By the interior point for the convex qp and qcqp. The others have none here: all NaN.
    fn reference(
        &self,
        part: Part,
        _cache: Option<&Path>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, Error> {
        let samples = self.samples(part);
        let optima = self.optima(part)?;
        progress(samples);
        Ok(optima.unwrap_or_else(|| vec![f64::NAN; samples]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LegacyRandom;

    const SIZE: Size = Size {
        n: 7,
        eq: 3,
        ineq: 3,
        samples: 40,
    };

    fn problem(family: FsNetFamily) -> FsNetProblem {
        FsNetProblem::new(family, &SIZE, 2025, &Device::flex(), DType::F64).unwrap()
    }

    fn set(problem: &FsNetProblem) -> Arc<dyn Constraints> {
        let x = problem.input(Part::Test).to_vec();
        let x = host::write(
            x,
            [problem.samples(Part::Test), 3],
            &Device::flex(),
            DType::F64,
        );
        problem.constraints(x).unwrap()
    }

    fn point(values: Vec<f64>) -> Tensor<2> {
        host::write(values, [8, 7], &Device::flex(), DType::F64)
    }

    #[test]
    fn parts_are_a_permutation_of_the_inputs() {
        let problem = problem(FsNetFamily::FsnetConvexQp);
        let sizes = [Part::Train, Part::Validation, Part::Test].map(|part| problem.samples(part));
        assert_eq!(sizes, [28, 4, 8]);
        let mut all: Vec<f64> = [Part::Train, Part::Validation, Part::Test]
            .iter()
            .flat_map(|&part| problem.input(part).to_vec())
            .collect();
        assert_eq!(
            &all[..3],
            &problem.numbers.x[permutation(40, 2025)[0] * 3..][..3]
        );
        let mut drawn = problem.numbers.x.clone();
        all.sort_by(f64::total_cmp);
        drawn.sort_by(f64::total_cmp);
        assert_eq!(all, drawn);
    }

    /// Row by row as the published definitions have them, in plain numbers.
    #[test]
    fn rows_are_the_published_ones() {
        let y = LegacyRandom::new(3).randn_vec(8 * 7);
        for family in FsNetFamily::ALL {
            let problem = problem(family);
            let set = set(&problem);
            let values = host::read("g", &set.values(point(y.clone()))).unwrap();
            let (m, rows) = (3, 3 + 7 + 3);
            assert_eq!(set.rows(), rows);
            let upper = host::read("u", &set.bounds().upper()).unwrap();
            for (sample, y) in y.chunks_exact(7).enumerate() {
                let carrier: Vec<f64> = match family {
                    FsNetFamily::FsnetNonconvexQp => y.iter().map(|v| v.sin()).collect(),
                    FsNetFamily::FsnetNonconvexQcqp | FsNetFamily::FsnetNonconvexSocp => {
                        y.iter().map(|v| v.cos()).collect()
                    }
                    _ => y.to_vec(),
                };
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let x = &problem.input(Part::Test)[sample * 3..][..3];
                for i in 0..m {
                    let (expected, bound) = match &problem.numbers.rows {
                        Rows::Flat { g, h, curvature } => {
                            let flat = dot(&g[i * 7..][..7], &carrier);
                            let square = curvature.as_ref().map_or(0.0, |c| {
                                (0..7).map(|j| 0.5 * c[i * 7 + j] * y[j] * y[j]).sum()
                            });
                            let bound = match family {
                                FsNetFamily::FsnetNonconvexQp => h[i] * x[i].cos(),
                                _ => h[i],
                            };
                            (flat + square, bound)
                        }
                        Rows::Cones { g, h, c, d } => {
                            let norm: f64 = (0..m)
                                .map(|k| {
                                    let row = &g[(i * m + k) * 7..][..7];
                                    (dot(row, &carrier) + h[i * m + k]).powi(2)
                                })
                                .sum();
                            (norm.sqrt() - dot(&c[i * 7..][..7], y), d[i])
                        }
                    };
                    assert!(
                        (values[sample * rows + i] - expected).abs() < 1e-13,
                        "{family}"
                    );
                    assert!((upper[sample * rows + i] - bound).abs() < 1e-13, "{family}");
                }
                assert_eq!(&values[sample * rows + m..][..7], y);
                for i in 0..3 {
                    let row = &problem.numbers.equality[i * 7..][..7];
                    let value = values[sample * rows + m + 7 + i];
                    assert!((value - dot(row, y)).abs() < 1e-13);
                    assert_eq!(upper[sample * rows + m + 7 + i], x[i]);
                }
            }
        }
    }

    /// Central differences with step 1e-6: truncation 1e-12, rounding 1e-10.
    #[test]
    fn jacobians_agree_with_differences_and_products_with_jacobians() {
        let y = LegacyRandom::new(5).randn_vec(8 * 7);
        for family in FsNetFamily::ALL {
            let set = set(&problem(family));
            let rows = set.rows();
            let jacobian = host::read("J", &set.jacobian(point(y.clone()))).unwrap();
            for j in 0..7 {
                let moved = |step: f64| {
                    let values = y.iter().enumerate();
                    let values = values.map(|(at, v)| if at % 7 == j { v + step } else { *v });
                    host::read("g", &set.values(point(values.collect()))).unwrap()
                };
                let (up, down) = (moved(1e-6), moved(-1e-6));
                for (at, (up, down)) in up.iter().zip(&down).enumerate() {
                    let exact = jacobian[at * 7 + j];
                    let slope = (up - down) / 2e-6;
                    assert!(
                        (slope - exact).abs() < 1e-8,
                        "{family} {at} {j}: {slope} {exact}"
                    );
                }
            }
            let w = LegacyRandom::new(6).randn_vec(8 * rows);
            let weights = host::write(w.clone(), [8, rows], &Device::flex(), DType::F64);
            let product = host::read("Jw", &set.vjp(point(y.clone()), weights)).unwrap();
            for (at, got) in product.iter().enumerate() {
                let (sample, j) = (at / 7, at % 7);
                let expected: f64 = (0..rows)
                    .map(|i| w[sample * rows + i] * jacobian[(sample * rows + i) * 7 + j])
                    .sum();
                assert!((got - expected).abs() < 1e-12, "{family}");
            }
        }
    }

    #[test]
    fn references_bound_feasible_points_from_below() {
        for family in FsNetFamily::ALL {
            let problem = problem(family);
            let best = problem.reference(Part::Test, None, &mut |_| {}).unwrap();
            let solved = matches!(
                family,
                FsNetFamily::FsnetConvexQp | FsNetFamily::FsnetConvexQcqp
            );
            assert!(
                best.iter().all(|value| value.is_nan() != solved),
                "{family}"
            );
            if !solved {
                continue;
            }
            // Any feasible point is no better.
            let set = set(&problem);
            let feasible = some_feasible_point(set.as_ref());
            let values = problem.objective(point(vec![0.0; 56]), feasible);
            for (value, best) in host::read("f", &values).unwrap().iter().zip(&best) {
                assert!(*value >= best - 1e-8);
            }
        }
    }

    /// Any point without violation to rounding.
    fn some_feasible_point(set: &dyn Constraints) -> Tensor<2> {
        let mut y = point(vec![0.0; 56]);
        // Gradient steps on the violation, short enough for the rows here.
        for _ in 0..20_000 {
            let r = set.bounds().residual(set.values(y.clone()));
            y = y.clone() - set.vjp(y, r) * 0.1;
        }
        let r = host::read("r", &set.bounds().residual(set.values(y.clone()))).unwrap();
        assert!(r.iter().all(|r| r.abs() < 1e-9));
        y
    }
}
