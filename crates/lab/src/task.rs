use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use feasible_data::{FsNetProblem, Part, PiecewiseProblem, Problem, PublishedProblem, generate};

use crate::config::{ProblemFamily, RunProblem, TrainingConfig};
use crate::{Error, device};

/// A problem on a device, twice: with automatic differentiation, to train on, and without, to
/// evaluate on.
#[derive(Debug, Clone)]
pub struct Task {
    training: Arc<dyn Problem>,
    evaluation: Arc<dyn Problem>,
    device: Device,
    dtype: DType,
    train_samples: usize,
}

/// Optimal objective values, one per sample; NaN where the reference solver did not finish.
#[derive(Debug, Clone, Default)]
pub struct References {
    /// Of the validation samples.
    pub validation: Vec<f64>,
    /// Of the test samples.
    pub test: Vec<f64>,
}

impl References {
    /// Whether there is one value for each sample.
    pub(crate) fn check(&self, task: &Task) -> Result<(), Error> {
        for (key, values, part) in [
            ("references.validation", &self.validation, Part::Validation),
            ("references.test", &self.test, Part::Test),
        ] {
            let samples = task.evaluation.samples(part);
            if values.len() != samples {
                return Err(Error::value(
                    key,
                    format!("{} values", values.len()),
                    format!("{samples}, one for each sample"),
                ));
            }
        }
        Ok(())
    }
}

impl Task {
    /// Puts a run's published problem on the device that `training` names.
    ///
    /// # Errors
    /// [`Error::Value`] if the run's problem is one's own, for which there is [`Task::new`];
    /// otherwise if the device is not there or the instance cannot be drawn.
    pub fn published(problem: &RunProblem, training: &TrainingConfig) -> Result<Self, Error> {
        let RunProblem::Published(problem) = problem else {
            return Err(Error::value("problem", problem.label(), "a published one"));
        };
        let (device, dtype) = device(training.device, training.dtype)?;
        let (seed, few) = (problem.published_seed(), training.train_samples);
        match problem.family {
            ProblemFamily::Program {
                recipe,
                size,
                row_decades,
                ..
            } => {
                let instance = generate(recipe, &size, seed)?;
                Self::new(&device, dtype, few, |device| {
                    let problem = PublishedProblem::new(instance.clone(), device, dtype)?;
                    Ok(Arc::new(match row_decades {
                        None => problem,
                        Some(decades) => problem.with_row_decades(decades)?,
                    }))
                })
            }
            ProblemFamily::FsNet { family, size, .. } => Self::new(&device, dtype, few, |device| {
                let problem = FsNetProblem::new(family, &size, seed, device, dtype)?;
                Ok(Arc::new(problem))
            }),
            ProblemFamily::Piecewise {
                recipe, samples, ..
            } => Self::new(&device, dtype, few, |device| {
                let problem = PiecewiseProblem::new(recipe, samples, seed, device, dtype)?;
                Ok(Arc::new(problem))
            }),
        }
    }

    /// A problem of your own: `make` puts it on the device it is given. Only the first
    /// `train_samples` training samples are used, where that is given.
    ///
    /// # Errors
    /// Those of `make`; [`Error::Value`] if there are fewer than two training samples, fewer than
    /// `train_samples`, or no validation or test sample, or if a part's inputs are not as many as
    /// its samples need.
    pub fn new(
        device: &Device,
        dtype: DType,
        train_samples: Option<usize>,
        make: impl Fn(&Device) -> Result<Arc<dyn Problem>, Error>,
    ) -> Result<Self, Error> {
        let training = make(&device.clone().autodiff())?;
        let evaluation = make(device)?;
        let there = training.samples(Part::Train);
        let train_samples = train_samples.unwrap_or(there);
        if train_samples > there {
            return Err(Error::value(
                "training.train_samples",
                train_samples,
                format!(
                    "at most {there}, the training samples of {}",
                    training.name()
                ),
            ));
        }
        for (part, samples, least) in [
            ("training", train_samples, 2),
            ("validation", evaluation.samples(Part::Validation), 1),
            ("test", evaluation.samples(Part::Test), 1),
        ] {
            if samples < least {
                return Err(Error::value(
                    "problem.samples",
                    format!("so small that {samples} are left for {part}"),
                    format!("large enough for {least}"),
                ));
            }
        }
        for (problem, part) in [
            (&training, Part::Train),
            (&evaluation, Part::Validation),
            (&evaluation, Part::Test),
        ] {
            let needed = problem.samples(part) * problem.inputs();
            let found = problem.input(part).len();
            if found != needed {
                return Err(Error::value(
                    "problem.input",
                    format!("{found} numbers for {part:?}"),
                    format!("{needed}, those of all its samples"),
                ));
            }
        }
        Ok(Self {
            training,
            evaluation,
            device: device.clone(),
            dtype,
            train_samples,
        })
    }

    /// The problem with automatic differentiation.
    pub fn training(&self) -> &dyn Problem {
        self.training.as_ref()
    }

    /// The problem without automatic differentiation.
    pub fn evaluation(&self) -> &dyn Problem {
        self.evaluation.as_ref()
    }

    /// The device, without automatic differentiation.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The floating-point type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Training samples in use.
    pub fn train_samples(&self) -> usize {
        self.train_samples
    }

    /// Inputs of some training samples, `[samples.len(), inputs]`, with automatic differentiation.
    pub fn training_inputs(&self, samples: &[usize]) -> Tensor<2> {
        let width = self.training.inputs();
        let all = self.training.input(Part::Train);
        let rows = samples
            .iter()
            .flat_map(|&i| &all[i * width..(i + 1) * width])
            .copied()
            .collect();
        host::write(
            rows,
            [samples.len(), width],
            &self.device.clone().autodiff(),
            self.dtype,
        )
    }

    /// Samples of a part that are in use.
    pub(crate) fn part_samples(&self, part: Part) -> usize {
        match part {
            Part::Train => self.train_samples,
            _ => self.evaluation.samples(part),
        }
    }

    /// Inputs of the first samples of a part, `[count, inputs]`, with automatic differentiation.
    pub(crate) fn part_inputs(&self, part: Part, count: usize) -> Tensor<2> {
        let width = self.training.inputs();
        let rows = self.training.input(part)[..count * width].to_vec();
        let device = self.device.clone().autodiff();
        host::write(rows, [count, width], &device, self.dtype)
    }

    /// All inputs of a part, `[samples, inputs]`, without automatic differentiation.
    pub fn inputs(&self, part: Part) -> Tensor<2> {
        let rows = self.evaluation.input(part).to_vec();
        host::write(
            rows,
            [self.evaluation.samples(part), self.evaluation.inputs()],
            &self.device,
            self.dtype,
        )
    }

    /// Optimal values of validation and test samples, computed once where there is a `cache`
    /// folder. `progress` is given samples done and samples in all.
    ///
    /// # Errors
    /// Those of [`Problem::reference`].
    pub fn references(
        &self,
        cache: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<References, Error> {
        let (validation, test) = (
            self.evaluation.samples(Part::Validation),
            self.evaluation.samples(Part::Test),
        );
        let total = validation + test;
        Ok(References {
            validation: self
                .evaluation
                .reference(Part::Validation, cache, &mut |done| progress(done, total))?,
            test: self.evaluation.reference(Part::Test, cache, &mut |done| {
                progress(validation + done, total)
            })?,
        })
    }
}
