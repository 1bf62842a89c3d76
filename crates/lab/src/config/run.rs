use serde::{Deserialize, Serialize};

use super::{
    BackboneConfig, MethodConfig, OptimizerConfig, OptimizerKind, RunProblem, TrainingConfig,
};
use crate::Error;

/// One run: everything that decides its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The study's name.
    pub study: String,
    /// The problem.
    pub problem: RunProblem,
    /// The method.
    pub method: MethodConfig,
    /// The backbone.
    pub backbone: BackboneConfig,
    /// The seed.
    pub seed: u64,
    /// How it is trained.
    pub training: TrainingConfig,
}

impl RunConfig {
    /// The run's folder name, made of problem, method, backbone and seed.
    pub fn run_name(&self) -> String {
        let parts = [
            self.problem.label(),
            self.method.label().to_owned(),
            self.backbone.label(),
        ];
        let parts: Vec<String> = parts.iter().map(|part| slug(part)).collect();
        format!("{}_s{}", parts.join("_"), self.seed)
    }

    /// The optimiser: the method's own, or the study's.
    pub fn optimizer(&self) -> &OptimizerConfig {
        let own = self.method.optimizer.as_ref();
        own.unwrap_or(&self.training.optimizer)
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`Error::Value`] with the key, its value and what it must be; [`Error::Network`] and
    /// [`Error::Record`] for a network or a name that cannot be.
    pub fn validate(&self) -> Result<(), Error> {
        feasible_record::validate_name("study", &self.study)?;
        self.training.validate()?;
        self.problem.validate()?;
        self.method.validate(self.training.epochs)?;
        let network = self.backbone.to_mlp()?;
        if matches!(self.optimizer().kind, OptimizerKind::GradientFlow { .. })
            && (network.batch_norm || network.dropout > 0.0)
        {
            return Err(Error::value(
                "training.optimizer.kind",
                "gradient-flow of a network with batch normalisation or dropout",
                "that of a network without: batch_norm = false, dropout = 0.0",
            ));
        }
        feasible_record::validate_name("run", &self.run_name())?;
        Ok(())
    }
}

/// A label as part of a folder name: what is not a letter, a digit or a dot between them becomes one dash.
pub(super) fn slug(label: &str) -> String {
    let mut slug = String::new();
    for c in label.chars() {
        if c.is_ascii_alphanumeric()
            || (c == '.' && slug.ends_with(|last: char| last.is_ascii_alphanumeric()))
        {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with(['-', '.']) {
            slug.push('-');
        }
    }
    slug.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MethodKind;

    #[test]
    fn a_run_knows_a_published_problem_from_ones_own_in_json() {
        let published = RunConfig {
            study: "a".into(),
            problem: RunProblem::Published(
                serde_json::from_str(r#"{"recipe": "dc3-simple"}"#).unwrap(),
            ),
            method: MethodConfig::new(MethodKind::Soft),
            backbone: BackboneConfig::default(),
            seed: 1,
            training: TrainingConfig::new(2, 10),
        };
        let own = RunConfig {
            problem: RunProblem::own("My problem", serde_json::json!({ "seed": 3 })),
            ..published.clone()
        };
        assert_eq!(own.run_name(), "my-problem_soft_mlp-200-200_s1");
        for run in [published, own] {
            run.validate().unwrap();
            let json = serde_json::to_value(&run).unwrap();
            assert_eq!(serde_json::from_value::<RunConfig>(json).unwrap(), run);
        }
    }

    #[test]
    fn slugs_are_plain_folder_names() {
        assert_eq!(
            slug("SnareNet + relaxation (1e-6)"),
            "snarenet-relaxation-1e-6"
        );
        assert_eq!(slug("../a..b/"), "a.b");
    }
}
