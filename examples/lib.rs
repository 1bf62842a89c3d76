//! What several examples have in common: the first samples of a published problem, raw outputs near their sets, and
//! times. The examples themselves are the targets of this package.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use feasible::burn::tensor::{DType, Device};
use feasible::data::{LegacyRandom, Part, Problem, PublishedProblem, Recipe, Size, generate};
use feasible::{Constraints, host};

/// The first training samples of a problem at its published size, in f64 on flex.
pub struct FirstSamples {
    /// All of the problem.
    pub problem: PublishedProblem,
    /// The constraints of these samples.
    pub set: Arc<dyn Constraints>,
    /// How many they are.
    pub batch: usize,
    /// Variables.
    pub n: usize,
}

impl FirstSamples {
    /// # Errors
    /// More samples than there are for training.
    pub fn new(recipe: Recipe, batch: usize) -> anyhow::Result<Self> {
        let device = Device::flex().autodiff();
        let instance = generate(recipe, &Size::default(), recipe.published_seed())?;
        let n = instance.size().n;
        let problem = PublishedProblem::new(instance, &device, DType::F64)?;
        let inputs = problem.input(Part::Train);
        let x = inputs
            .get(..batch * problem.inputs())
            .with_context(|| format!("{recipe} has fewer than {batch} training samples"))?;
        let x = host::write(x.to_vec(), [batch, problem.inputs()], &device, DType::F64);
        let set = problem.constraints(x)?;
        Ok(Self {
            problem,
            set,
            batch,
            n,
        })
    }

    /// The shortest point on each sample's equalities and normal noise of this size, `[batch, n]`.
    ///
    /// # Errors
    /// Equalities that contradict each other.
    pub fn raw_outputs(&self, noise: f64, random: &mut LegacyRandom) -> anyhow::Result<Vec<f64>> {
        let instance = self.problem.instance();
        let mut outputs = vec![];
        for sample in 0..self.batch {
            let x = instance.input(sample).context("no such sample")?;
            let start = instance.start(x)?;
            let draws = random.randn_vec(self.n);
            outputs.extend(start.iter().zip(draws).map(|(y, e)| y + noise * e));
        }
        Ok(outputs)
    }
}

/// The first argument of the program, or 100.
///
/// # Errors
/// An argument that is no positive whole number.
pub fn samples_from_arguments() -> anyhow::Result<usize> {
    let Some(word) = std::env::args().nth(1) else {
        return Ok(100);
    };
    let samples = word.parse().ok().filter(|samples| *samples > 0);
    samples.with_context(|| format!("the number of samples is {word}, it must be 1 or more"))
}

/// The least of seven times, in milliseconds.
///
/// # Errors
/// Those of the work.
pub fn least_time(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..7 {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(least)
}
