use feasible_data::{Recipe, Size};
use serde::{Deserialize, Serialize};

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
