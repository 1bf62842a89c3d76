use feasible_data::{Recipe, Size};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// A published family of problems and the size and seed of its instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemConfig {
    /// Its name in tables; recipe and sizes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The family: `dc3-simple`, `dc3-nonconvex`, `snare-noncvx` or `snare-qcqp`.
    pub recipe: Recipe,
    /// Variables. Default as published, 100.
    #[serde(default = "published_variables")]
    pub variables: usize,
    /// Equality rows. Default as published, 50.
    #[serde(default = "published_equalities")]
    pub equalities: usize,
    /// Inequality rows. Default as published, 50.
    #[serde(default = "published_inequalities")]
    pub inequalities: usize,
    /// Inputs drawn, split 83.3 / 8.3 / 8.3 %. Default as published, 10,000.
    #[serde(default = "published_samples")]
    pub samples: usize,
    /// Seed of the instance. Default the published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
}

/// The problem of a run, as `run.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RunProblem {
    /// A published one.
    Published(ProblemConfig),
    /// One's own.
    Own(OwnProblem),
}

/// A [`Problem`](feasible_data::Problem) of one's own, as far as run folders and tables describe it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnProblem {
    /// Its name in tables and, made plain, in folder names.
    pub name: String,
    /// What decides its numbers, such as size and seed: any JSON. A run is gone on with only if
    /// this is what it was.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub settings: Value,
}

impl RunProblem {
    /// A problem of one's own.
    pub fn own(name: impl Into<String>, settings: Value) -> Self {
        Self::Own(OwnProblem {
            name: name.into(),
            settings,
        })
    }

    /// Its name in tables and, made plain, in folder names.
    pub fn label(&self) -> String {
        match self {
            Self::Published(problem) => problem.label(),
            Self::Own(problem) => problem.name.clone(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Published(problem) => problem.validate(),
            Self::Own(_) => Ok(()),
        }
    }
}

impl From<ProblemConfig> for RunProblem {
    fn from(problem: ProblemConfig) -> Self {
        Self::Published(problem)
    }
}

fn published_variables() -> usize {
    Size::default().n
}

fn published_equalities() -> usize {
    Size::default().eq
}

fn published_inequalities() -> usize {
    Size::default().ineq
}

fn published_samples() -> usize {
    Size::default().samples
}

impl ProblemConfig {
    /// The instance's dimensions.
    pub fn size(&self) -> Size {
        Size {
            n: self.variables,
            eq: self.equalities,
            ineq: self.inequalities,
            samples: self.samples,
        }
    }

    /// The instance's seed: the one given, or the published one.
    pub fn published_seed(&self) -> u32 {
        self.seed.unwrap_or_else(|| self.recipe.published_seed())
    }

    /// Its name in tables and, made plain, in folder names.
    pub fn label(&self) -> String {
        let Size { n, eq, ineq, .. } = self.size();
        self.name
            .clone()
            .unwrap_or_else(|| format!("{} {n}/{eq}/{ineq}", self.recipe))
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        self.size().validate().map_err(|error| match error {
            feasible_data::Error::Size { .. } => {
                Error::value("problem", error, "a size that an instance can have")
            }
            other => other.into(),
        })
    }
}
