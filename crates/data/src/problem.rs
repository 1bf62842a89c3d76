//! What a training run needs to know of a constrained problem, and the published ones as tensors.

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::{Affine, Block, Bounds, Constraints, Curvature, Quadratic, Stacked, host};

use crate::numpy_random::LegacyRandom;
use crate::{Error, Instance, Size, Split, optima_cached};

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Samples that train.
    Train,
    /// Samples that choose between trained models.
    Validation,
    /// Samples that only the reported figures see.
    Test,
}

/// A family of constrained problems to learn: for an input x, minimise f(x, y) over y with
/// l_x ≤ g_x(y) ≤ u_x.
///
/// Training needs no labels; [`Problem::reference`] gives the optimal values that optimality gaps
/// are measured against. Tensors live on the device and in the precision that the problem was
/// made with.
pub trait Problem: Debug + Send + Sync {
    /// A short name, for tables and file names.
    fn name(&self) -> &str;

    /// Number of inputs, the length of x.
    fn inputs(&self) -> usize;

    /// Number of variables, the length of y.
    fn variables(&self) -> usize;

    /// Number of samples of a part.
    fn samples(&self, part: Part) -> usize;

    /// The inputs of a part, row-major `[samples, inputs]`.
    fn input(&self, part: Part) -> &[f64];

    /// f(x, y), `[batch]`, for x `[batch, inputs]` and y `[batch, variables]`.
    fn objective(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1>;

    /// The constraints of a batch of inputs x, `[batch, inputs]`.
    ///
    /// # Errors
    /// If x has the wrong shape or is not finite.
    fn constraints(&self, x: Tensor<2>) -> Result<Arc<dyn Constraints>, feasible_core::Error>;

    /// Optimal objective values of a part's samples; a sample that the reference solver could not
    /// finish is NaN. With a `cache` folder they are computed once. `progress` is called with the
    /// number of finished samples.
    ///
    /// A cache that cannot be used is refused before anything is computed; computed values are
    /// returned even where keeping them failed, so that the next call computes them again.
    ///
    /// # Errors
    /// If the cache folder cannot be made or takes no files, or the problem data are unsound.
    fn reference(
        &self,
        part: Part,
        cache: Option<&Path>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, Error>;
}

/// A published [`Instance`] as tensors on a device.
#[derive(Debug)]
pub struct PublishedProblem {
    instance: Instance,
    split: Split,
    q: Tensor<2>,
    p: Tensor<2>,
    upper: Tensor<2>,
    inequalities: Block,
    equalities: Block,
    /// What the equality rows and their right-hand sides are multiplied by, `[1, eq]`.
    units: Option<Tensor<2>>,
}

impl PublishedProblem {
    /// Puts `instance` on `device` with precision `dtype` and the published split.
    ///
    /// # Errors
    /// If the instance's arrays do not fit its size.
    pub fn new(
        instance: Instance,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, feasible_core::Error> {
        let Size {
            n,
            eq,
            ineq: m,
            samples,
        } = instance.size();
        let parts = instance.parts();
        let matrix = |values: &[f64], rows: usize, columns: usize| {
            host::write(values.to_vec(), [rows, columns], device, dtype)
        };
        let rows =
            |values: &[f64], rows: usize| host::write(values.to_vec(), [1, rows, n], device, dtype);
        let curvature = match &parts.ineq_diagonals {
            Some(diagonals) => Curvature::Diagonal(rows(diagonals, m)),
            None => Curvature::None,
        };
        Ok(Self {
            q: matrix(&parts.q, 1, n),
            p: matrix(&parts.p, 1, n),
            upper: matrix(&parts.upper, 1, m),
            inequalities: Block::new(rows(&parts.ineq, m), curvature)?,
            equalities: Block::new(rows(&parts.equality, eq), Curvature::None)?,
            split: Split::published(samples),
            units: None,
            instance,
        })
    }

    /// The same problem in rows of other units: every constraint, with its bound, is multiplied by ten to
    /// the power of a number drawn from U[-decades, decades), the inequalities before the equalities.
    /// Inputs, feasible points and optima are those of the instance; violations are in the new units.
    ///
    /// # Errors
    /// [`feasible_core::Error::Setting`] unless `decades` is above 0 and at most 6.
    pub fn with_row_decades(mut self, decades: f64) -> Result<Self, feasible_core::Error> {
        // More would take rows to the size of other rows' rounding.
        if !(decades > 0.0 && decades <= 6.0) {
            return Err(feasible_core::Error::Setting {
                setting: "row_decades",
                got: decades.to_string(),
                expected: "above 0 and at most 6",
            });
        }
        let Size { n, eq, ineq, .. } = self.instance.size();
        // Not the seed itself, whose first numbers are the objective's.
        let mut random = LegacyRandom::new(self.instance.seed().wrapping_add(1));
        let units = random.uniform_vec(-decades, decades, ineq + eq);
        let units: Vec<f64> = units.into_iter().map(|power| 10f64.powf(power)).collect();
        let (device, dtype) = (self.upper.device(), self.upper.dtype());
        let tensor = |units: &[f64]| -> Tensor<2> {
            host::write(units.to_vec(), [1, units.len()], &device, dtype)
        };
        let times = |rows: &[f64], units: &[f64]| -> Tensor<3> {
            let rows = rows.iter().enumerate().map(|(at, v)| v * units[at / n]);
            host::write(rows.collect(), [1, units.len(), n], &device, dtype)
        };
        let (of_ineq, of_eq) = units.split_at(ineq);
        let parts = self.instance.parts();
        let curvature = match &parts.ineq_diagonals {
            Some(diagonals) => Curvature::Diagonal(times(diagonals, of_ineq)),
            None => Curvature::None,
        };
        self.inequalities = Block::new(times(&parts.ineq, of_ineq), curvature)?;
        self.equalities = Block::new(times(&parts.equality, of_eq), Curvature::None)?;
        self.upper = self.upper * tensor(of_ineq);
        self.units = Some(tensor(of_eq));
        Ok(self)
    }

    /// The instance behind the tensors.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    fn range(&self, part: Part) -> Range<usize> {
        match part {
            Part::Train => self.split.train.clone(),
            Part::Validation => self.split.valid.clone(),
            Part::Test => self.split.test.clone(),
        }
    }
}

impl Problem for PublishedProblem {
    fn name(&self) -> &str {
        self.instance.recipe().name()
    }

    fn inputs(&self) -> usize {
        self.instance.size().eq
    }

    fn variables(&self) -> usize {
        self.instance.size().n
    }

    fn samples(&self, part: Part) -> usize {
        self.range(part).len()
    }

    fn input(&self, part: Part) -> &[f64] {
        let range = self.range(part);
        &self.instance.parts().x[range.start * self.inputs()..range.end * self.inputs()]
    }

    fn objective(&self, _x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let carrier = if self.instance.recipe().is_convex() {
            y.clone()
        } else {
            y.clone().sin()
        };
        let terms = y.square() * self.q.clone() * 0.5 + carrier * self.p.clone();
        terms.sum_dim(1).squeeze_dim(1)
    }

    /// Inequality rows first, equality rows after, as published.
    fn constraints(&self, x: Tensor<2>) -> Result<Arc<dyn Constraints>, feasible_core::Error> {
        let [batch, inputs] = x.dims();
        if inputs != self.inputs() {
            return Err(feasible_core::Error::shape(
                "x",
                &[batch, inputs],
                format!("[batch, {}]", self.inputs()),
            ));
        }
        let right = match &self.units {
            None => x,
            Some(units) => x * units.clone(),
        };
        let equalities = Arc::new(Affine::from_block(
            self.equalities.clone(),
            Bounds::equal(right)?,
        )?);
        let inequalities = Quadratic::from_block(
            self.inequalities.clone(),
            Bounds::at_most(self.upper.clone())?,
        )?;
        Ok(Arc::new(Stacked::new(vec![
            Arc::new(inequalities),
            equalities,
        ])?))
    }

    /// [`optima_cached`] is the same with points, statuses, and whether they were kept.
    fn reference(
        &self,
        part: Part,
        cache: Option<&Path>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, Error> {
        let optima = optima_cached(&self.instance, self.range(part), cache, progress)?;
        Ok(optima
            .into_iter()
            .map(|optimum| {
                if optimum.is_solved() {
                    optimum.objective
                } else {
                    f64::NAN
                }
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Recipe, generate};

    #[test]
    fn rows_in_other_units_are_the_same_set() {
        let size = Size {
            n: 6,
            eq: 2,
            ineq: 3,
            samples: 12,
        };
        let device = Device::flex();
        for recipe in Recipe::ALL {
            let make = || {
                let instance = generate(recipe, &size, 4).unwrap();
                PublishedProblem::new(instance, &device, DType::F64).unwrap()
            };
            let (plain, scaled) = (make(), make().with_row_decades(2.0).unwrap());
            let x = host::write(
                plain.input(Part::Test).to_vec(),
                [plain.samples(Part::Test), 2],
                &device,
                DType::F64,
            );
            let y: Tensor<2> = host::write(
                (0..plain.samples(Part::Test) * 6)
                    .map(|k| (k as f64).sin())
                    .collect(),
                [plain.samples(Part::Test), 6],
                &device,
                DType::F64,
            );
            let distance = |problem: &PublishedProblem| {
                let set = problem.constraints(x.clone()).unwrap();
                let g = set.values(y.clone());
                let bound = set.bounds().upper().expand(g.dims());
                host::read("g", &(g - bound)).unwrap()
            };
            let ratios: Vec<f64> = distance(&scaled)
                .iter()
                .zip(distance(&plain))
                .map(|(a, b)| a / b)
                .collect();
            let (first, rest) = ratios.split_at(5);
            assert!(first.iter().all(|r| (1e-2..1e2).contains(r)), "{first:?}");
            let (least, most) = first
                .iter()
                .fold((f64::MAX, 0.0f64), |(a, b), r| (a.min(*r), b.max(*r)));
            assert!(most / least > 10.0, "{first:?}");
            for sample in rest.chunks_exact(5) {
                for (a, b) in sample.iter().zip(first) {
                    assert!((a / b - 1.0).abs() < 1e-9, "{recipe}: {a} {b}");
                }
            }
            for decades in [0.0, 7.0, f64::NAN] {
                assert!(make().with_row_decades(decades).is_err());
            }
        }
    }

    /// As [`optima_cached`] does: solved values are not lost to a cache that cannot keep them.
    #[test]
    fn references_are_the_same_kept_or_not() {
        let size = Size {
            n: 6,
            eq: 2,
            ineq: 3,
            samples: 12,
        };
        let instance = generate(Recipe::Dc3Simple, &size, 4).unwrap();
        let device = Device::flex();
        let problem = PublishedProblem::new(instance, &device, DType::F64).unwrap();
        let test = problem.range(Part::Test);
        let folder = tempfile::tempdir().unwrap();
        let reference = |cache| problem.reference(Part::Test, cache, &mut |_| {});
        let solved = reference(None).unwrap();
        assert_eq!(solved.len(), test.len());
        let kept = reference(Some(folder.path())).unwrap();
        assert_eq!(kept, solved);
        let file = optima_cached(problem.instance(), test, Some(folder.path()), &mut |_| {})
            .unwrap()
            .file
            .unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert_eq!(reference(Some(folder.path())).unwrap(), solved);
        // A folder that is a file can keep nothing, which is told at once.
        let occupied = folder.path().join("occupied");
        std::fs::write(&occupied, b"").unwrap();
        let refused = reference(Some(&occupied)).unwrap_err();
        assert!(refused.to_string().contains("occupied"), "{refused}");
    }
}
