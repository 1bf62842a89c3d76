//! The study file: which problems, methods, backbones and seeds, and how they are trained.

mod backbone;
mod method;
mod method_kind;
mod method_table;
mod one_or_many;
mod optimizer;
mod parse;
mod problem;
mod run;
mod training;

pub use backbone::{BackboneConfig, BackboneKind};
pub use method::{MethodConfig, RelaxationConfig, SafeguardConfig};
pub use method_kind::MethodKind;
pub use optimizer::{AdamSettings, OptimizerConfig, OptimizerKind};
pub use problem::{OwnProblem, ProblemConfig, ProblemFamily, RunProblem};
pub use run::RunConfig;
pub use training::{DeviceKind, Measure, PenaltyConfig, Precision, TrainingConfig};

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use one_or_many::one_or_many;
use run::slug;

/// A whole study: every problem with every method, backbone and seed is one run.
///
/// ```
/// let study = feasible_lab::StudyConfig::from_toml(r#"
///     name = "quickstart"
///     seeds = [456, 789]
///
///     [problem]
///     recipe = "snare-qcqp"
///     inequalities = 10
///
///     [training]
///     epochs = 4
///     batch = 100
///
///     [[method]]
///     kind = "soft"
///
///     [[method]]
///     kind = "snarenet"
///     relaxation = { schedule = "linear", decay_epochs = 2 }
/// "#)?;
/// assert_eq!(study.combinations().len(), 4);
/// # Ok::<(), feasible_lab::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfig {
    /// The study's name, which is also its folder's: `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// Seeds of the runs, each at most 2³² − 1; every combination is trained once per seed.
    pub seeds: Vec<u64>,
    /// One `[problem]` or several `[[problem]]`.
    #[serde(deserialize_with = "one_or_many")]
    pub problem: Vec<ProblemConfig>,
    /// How every run is trained.
    pub training: TrainingConfig,
    /// One `[[method]]` table each.
    #[serde(deserialize_with = "one_or_many")]
    pub method: Vec<MethodConfig>,
    /// One `[[backbone]]` table each; the published network when there is none.
    #[serde(deserialize_with = "one_or_many", default = "published_backbone")]
    pub backbone: Vec<BackboneConfig>,
}

fn published_backbone() -> Vec<BackboneConfig> {
    vec![BackboneConfig::default()]
}

impl StudyConfig {
    /// Reads and checks a study.
    ///
    /// # Errors
    /// [`Error::Syntax`] for text that is not a study, with its line; [`Error::Value`] for a value
    /// out of range.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        parse::study(text, "study")
    }

    /// Reads and checks a study file.
    ///
    /// # Errors
    /// As [`StudyConfig::from_toml`], and [`Error::StudyFile`] when the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::StudyFile {
            path: path.to_path_buf(),
            source,
        })?;
        parse::study(&text, &path.display().to_string())
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`Error::Value`] with the key, its value and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        feasible_record::validate_name("study", &self.name)?;
        if self.seeds.is_empty() {
            return Err(Error::value("seeds", "empty", "at least one seed"));
        }
        if let Some(seed) = self.seeds.iter().find(|&&seed| seed > u64::from(u32::MAX)) {
            return Err(Error::value("seeds", seed, "at most 4294967295 each"));
        }
        if let Some(seed) = first_repeated(self.seeds.iter()) {
            return Err(Error::value(
                "seeds",
                format!("{seed} twice"),
                "different numbers",
            ));
        }
        for (key, count) in [
            ("problem", self.problem.len()),
            ("method", self.method.len()),
            ("backbone", self.backbone.len()),
        ] {
            if count == 0 {
                return Err(Error::value(
                    key,
                    "empty",
                    format!("at least one [[{key}]] table"),
                ));
            }
        }
        let distinct = |key: &str, labels: Vec<String>| match first_repeated(labels.iter()) {
            Some(label) => Err(Error::value(
                key,
                format!("two tables called {label:?}"),
                "told apart by a `name` each",
            )),
            None => Ok(()),
        };
        distinct(
            "problem",
            self.problem.iter().map(|p| slug(&p.label())).collect(),
        )?;
        distinct(
            "method",
            self.method.iter().map(|m| slug(m.label())).collect(),
        )?;
        distinct(
            "backbone",
            self.backbone.iter().map(|b| slug(&b.label())).collect(),
        )?;
        self.combinations().iter().try_for_each(RunConfig::validate)
    }

    /// Every run, one problem after the other; all methods of a seed come before the next seed, so
    /// that methods can be compared early.
    pub fn combinations(&self) -> Vec<RunConfig> {
        let mut runs = Vec::new();
        for problem in &self.problem {
            for &seed in &self.seeds {
                for backbone in &self.backbone {
                    for method in &self.method {
                        runs.push(RunConfig {
                            study: self.name.clone(),
                            problem: problem.clone().into(),
                            method: method.clone(),
                            backbone: backbone.clone(),
                            seed,
                            training: self.training.clone(),
                        });
                    }
                }
            }
        }
        runs
    }
}

fn first_repeated<T: Ord>(items: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = BTreeSet::new();
    for item in items {
        if seen.contains(&item) {
            return Some(item);
        }
        seen.insert(item);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = 'a'\nseeds = [1]\n[problem]\nrecipe = 'dc3-simple'\n[training]\nepochs = 2\nbatch = 10\n[[method]]\nkind = 'soft'\n";

    fn refusal(text: &str) -> String {
        StudyConfig::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_the_published_ones() {
        let study = StudyConfig::from_toml(SMALL).unwrap();
        let run = &study.combinations()[0];
        assert_eq!(
            run.backbone.to_mlp().unwrap(),
            feasible_nn::MlpConfig::default()
        );
        let problem = &study.problem[0];
        let published = ProblemFamily::Program {
            recipe: feasible_data::Recipe::Dc3Simple,
            size: feasible_data::Size::default(),
            seed: None,
            row_decades: None,
        };
        assert_eq!(problem.family, published);
        assert_eq!(problem.published_seed(), 17);
        assert_eq!(run.training.optimizer, OptimizerConfig::default());
        assert_eq!(run.run_name(), "dc3-simple-100-50-50_soft_mlp-200-200_s1");
    }

    #[test]
    fn every_combination_is_one_run_with_its_own_name() {
        let text = SMALL.replace("seeds = [1]", "seeds = [1, 2, 3]")
            + "[[method]]\nkind = 'projection'\n[[backbone]]\nkind = 'mlp'\n[[backbone]]\nkind = 'mlp'\nhidden = [8]\n";
        let runs = StudyConfig::from_toml(&text).unwrap().combinations();
        let names: BTreeSet<String> = runs.iter().map(RunConfig::run_name).collect();
        assert_eq!((runs.len(), names.len()), (12, 12));
    }

    #[test]
    fn bad_values_name_key_value_and_need() {
        for (from, to, expected) in [
            (
                "epochs = 2",
                "epochs = 0",
                "`training.epochs` is 0, must be at least 1",
            ),
            (
                "seeds = [1]",
                "seeds = []",
                "`seeds` is empty, must be at least one seed",
            ),
            (
                "seeds = [1]",
                "seeds = [1, 1]",
                "`seeds` is 1 twice, must be different numbers",
            ),
            (
                "kind = 'soft'",
                "kind = 'soft'\n[[method]]\nkind = 'soft'",
                "two tables called \"soft\"",
            ),
            (
                "kind = 'soft'",
                "kind = 'soft'\nsoft_epochs = 1",
                "`soft_epochs` does not apply to method kind \"soft\"",
            ),
            (
                "kind = 'soft'",
                "kind = 'soft'\ndamping = 1.0",
                "`damping` does not apply to method kind \"soft\"",
            ),
            (
                "kind = 'soft'",
                "kind = 'snarenet'\ndamping = -1.0",
                "`method.damping` is -1, must be",
            ),
            (
                "kind = 'soft'",
                "kind = 'snarenet'\nrelaxation = { decay_epochs = 3 }",
                "`method.relaxation.decay_epochs` is 3, must be 1 to 2, the epochs that are not soft; the test has ε = 0",
            ),
            (
                "recipe = 'dc3-simple'",
                "recipe = 'dc3-simple'\nequalities = 100",
                "`problem` is size: eq is 100, must be less than n = 100",
            ),
            (
                "recipe = 'dc3-simple'",
                "recipe = 'hardnet-pwc'\nvariables = 2",
                "`variables` does not apply to recipe \"hardnet-pwc\", whose settings are samples, seed",
            ),
            (
                "kind = 'soft'",
                "kind = 'pinet'\nomega = 2.0",
                "`method.omega` is 2, must be between 0 and 2",
            ),
            (
                "batch = 10",
                "batch = 10\noptimizer = { kind = 'adam', momentum = 0.5 }",
                "`momentum` does not apply to optimizer kind \"adam\"",
            ),
        ] {
            let message = refusal(&SMALL.replace(from, to));
            assert!(
                message.contains(expected),
                "{message}\nshould contain {expected}"
            );
        }
    }

    #[test]
    fn a_study_round_trips_through_json() {
        let text = SMALL.replace(
            "kind = 'soft'",
            "kind = 'snarenet'\nrelaxation = { schedule = 'harmonic' }",
        );
        let study = StudyConfig::from_toml(&text).unwrap();
        let json = serde_json::to_string(&study).unwrap();
        assert_eq!(serde_json::from_str::<StudyConfig>(&json).unwrap(), study);
    }
}
