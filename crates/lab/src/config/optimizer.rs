use serde::{Deserialize, Serialize};

use crate::Error;

/// The optimiser and its settings; the default is Adam with the published learning rate and the
/// constants of the framework it was published with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct OptimizerConfig {
    /// Which optimiser. Default Adam.
    pub kind: OptimizerKind,
    /// Step length, greater than 0. Default 1e-4.
    pub learning_rate: f64,
}

/// Which optimiser, with the settings that only it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba 2015).
    Adam(AdamSettings),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW {
        /// As Adam's.
        moments: AdamSettings,
        /// Decoupled decay, at least 0. Default 0.01.
        weight_decay: f64,
    },
    /// Stochastic gradient descent with heavy-ball momentum.
    Sgd {
        /// Momentum in [0, 1). Default 0.9.
        momentum: f64,
    },
    /// Gradient descent: θ ← θ − learning rate · g.
    GradientDescent,
    /// The gradient flow θ' = −g of the whole training set, by the classical Runge-Kutta method of
    /// order 4: a step is an advance in time by the learning rate. Network and batch must make the
    /// loss a function of the parameters: no batch normalisation, no dropout, all samples in a batch.
    GradientFlow {
        /// Runge-Kutta steps a step, at least 1. Default 1.
        substeps: usize,
    },
}

/// What Adam and AdamW keep of past gradients. Burn has these constants in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Decay of the first moment, in [0, 1). Default 0.9.
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1). Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment, greater than 0. Default 1e-8.
    pub epsilon: f64,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam(AdamSettings::default()),
            learning_rate: 1e-4,
        }
    }
}

const DEFAULT_WEIGHT_DECAY: f64 = 0.01;
const DEFAULT_MOMENTUM: f64 = 0.9;

impl OptimizerConfig {
    /// Checks the settings of the optimiser at the key `table`.
    pub(super) fn validate(&self, table: &str) -> Result<(), Error> {
        let learning_rate = ("learning_rate", self.learning_rate, Range::Positive);
        let mut settings = vec![learning_rate];
        let mut moments = |moments: AdamSettings| {
            settings.extend([
                ("beta1", moments.beta1, Range::SinglePrecisionFraction),
                ("beta2", moments.beta2, Range::SinglePrecisionFraction),
                ("epsilon", moments.epsilon, Range::SinglePrecisionPositive),
            ]);
        };
        match self.kind {
            OptimizerKind::Adam(adam) => moments(adam),
            OptimizerKind::AdamW {
                moments: adam,
                weight_decay,
            } => {
                moments(adam);
                settings.push((
                    "weight_decay",
                    weight_decay,
                    Range::SinglePrecisionNotNegative,
                ));
            }
            OptimizerKind::Sgd { momentum } => {
                settings.push(("momentum", momentum, Range::Fraction));
            }
            OptimizerKind::GradientDescent => {}
            OptimizerKind::GradientFlow { substeps } => {
                settings.push(("substeps", substeps as f64, Range::Positive));
            }
        }
        match settings
            .into_iter()
            .find(|(_, value, range)| !range.contains(*value))
        {
            Some((key, value, range)) => Err(Error::value(
                format!("{table}.{key}"),
                value,
                range.in_words(),
            )),
            None => Ok(()),
        }
    }
}

/// Where a setting must lie. NaN lies nowhere.
#[derive(Debug, Clone, Copy)]
enum Range {
    Positive,
    SinglePrecisionPositive,
    SinglePrecisionNotNegative,
    Fraction,
    SinglePrecisionFraction,
}

impl Range {
    fn contains(self, value: f64) -> bool {
        let single = f64::from(value as f32);
        match self {
            Self::Positive => value > 0.0 && value.is_finite(),
            Self::SinglePrecisionPositive => single > 0.0 && single.is_finite(),
            Self::SinglePrecisionNotNegative => value >= 0.0 && single.is_finite(),
            Self::Fraction => (0.0..1.0).contains(&value),
            // At 1 Adam's bias correction divides by 1 − 1 = 0.
            Self::SinglePrecisionFraction => value >= 0.0 && single < 1.0,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Positive => "finite and greater than 0",
            Self::SinglePrecisionPositive => "finite and greater than 0, also when rounded to f32",
            Self::SinglePrecisionNotNegative => "finite and at least 0, also when rounded to f32",
            Self::Fraction => "at least 0 and less than 1",
            Self::SinglePrecisionFraction => "at least 0 and less than 1, also when rounded to f32",
        }
    }
}

/// An `optimizer` table as written; flat for the reason that a method's is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beta2: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epsilon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    momentum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    substeps: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Adam,
    Adamw,
    Sgd,
    GradientDescent,
    GradientFlow,
}

impl TryFrom<Table> for OptimizerConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let moment_keys = [
            ("beta1", table.beta1.is_some()),
            ("beta2", table.beta2.is_some()),
            ("epsilon", table.epsilon.is_some()),
        ];
        let decay_key = [("weight_decay", table.weight_decay.is_some())];
        let momentum_key = [("momentum", table.momentum.is_some())];
        let substeps_key = [("substeps", table.substeps.is_some())];
        let default = AdamSettings::default();
        let moments = AdamSettings {
            beta1: table.beta1.unwrap_or(default.beta1),
            beta2: table.beta2.unwrap_or(default.beta2),
            epsilon: table.epsilon.unwrap_or(default.epsilon),
        };
        let (kind, name, inapplicable): (_, _, &[&[(&str, bool)]]) = match table.kind {
            Kind::Adam => (
                OptimizerKind::Adam(moments),
                "adam",
                &[&decay_key, &momentum_key, &substeps_key],
            ),
            Kind::Adamw => {
                let weight_decay = table.weight_decay.unwrap_or(DEFAULT_WEIGHT_DECAY);
                let kind = OptimizerKind::AdamW {
                    moments,
                    weight_decay,
                };
                (kind, "adamw", &[&momentum_key, &substeps_key])
            }
            Kind::Sgd => {
                let momentum = table.momentum.unwrap_or(DEFAULT_MOMENTUM);
                let kind = OptimizerKind::Sgd { momentum };
                (kind, "sgd", &[&moment_keys, &decay_key, &substeps_key])
            }
            Kind::GradientDescent => (
                OptimizerKind::GradientDescent,
                "gradient-descent",
                &[&moment_keys, &decay_key, &momentum_key, &substeps_key],
            ),
            Kind::GradientFlow => {
                let substeps = table.substeps.unwrap_or(1);
                let kind = OptimizerKind::GradientFlow { substeps };
                (
                    kind,
                    "gradient-flow",
                    &[&moment_keys, &decay_key, &momentum_key],
                )
            }
        };
        let given = inapplicable
            .iter()
            .copied()
            .flatten()
            .find(|(_, given)| *given);
        match given {
            Some((key, _)) => Err(format!("`{key}` does not apply to optimizer kind {name:?}")),
            None => Ok(Self {
                kind,
                learning_rate: table.learning_rate.unwrap_or(Self::default().learning_rate),
            }),
        }
    }
}

impl From<OptimizerConfig> for Table {
    fn from(config: OptimizerConfig) -> Self {
        let (kind, moments, weight_decay, momentum) = match config.kind {
            OptimizerKind::Adam(moments) => (Kind::Adam, Some(moments), None, None),
            OptimizerKind::AdamW {
                moments,
                weight_decay,
            } => (Kind::Adamw, Some(moments), Some(weight_decay), None),
            OptimizerKind::Sgd { momentum } => (Kind::Sgd, None, None, Some(momentum)),
            OptimizerKind::GradientDescent => (Kind::GradientDescent, None, None, None),
            OptimizerKind::GradientFlow { .. } => (Kind::GradientFlow, None, None, None),
        };
        let substeps = match config.kind {
            OptimizerKind::GradientFlow { substeps } => Some(substeps),
            _ => None,
        };
        Self {
            kind,
            learning_rate: Some(config.learning_rate),
            beta1: moments.map(|m| m.beta1),
            beta2: moments.map(|m| m.beta2),
            epsilon: moments.map(|m| m.epsilon),
            weight_decay,
            momentum,
            substeps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OptimizerConfig, String> {
        let config: OptimizerConfig = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        config
            .validate("training.optimizer")
            .map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn every_kind_has_its_own_settings_and_no_others() {
        for (kind, keys) in [
            ("adam", &["weight_decay", "momentum"][..]),
            ("adamw", &["momentum"]),
            ("sgd", &["beta1", "beta2", "epsilon", "weight_decay"]),
            ("gradient-descent", &["beta1", "weight_decay", "momentum"]),
            ("gradient-flow", &["epsilon", "weight_decay", "momentum"]),
        ] {
            assert!(read(&format!("kind = '{kind}'")).is_ok());
            for key in keys {
                assert_eq!(
                    read(&format!("kind = '{kind}'\n{key} = 0.5")).unwrap_err(),
                    format!("`{key}` does not apply to optimizer kind {kind:?}")
                );
            }
        }
    }

    #[test]
    fn ranges_are_those_of_single_precision_where_burn_rounds_to_it() {
        for (text, accepted) in [
            ("beta2 = 0.9999999", true),
            ("beta2 = 0.99999999", false), // 1 in f32
            ("beta1 = 0.99999999", false),
            ("beta1 = -0.1", false),
            ("epsilon = 1e-30", true),
            ("epsilon = 1e-60", false), // 0 in f32
            ("epsilon = nan", false),
            ("learning_rate = 1e-60", true),
            ("learning_rate = inf", false),
            ("kind = 'sgd'\nmomentum = 0.99999999", true),
            ("kind = 'sgd'\nmomentum = 1.0", false),
            ("kind = 'adamw'\nweight_decay = -1.0", false),
            ("kind = 'adamw'\nweight_decay = 1e200", false),
            ("kind = 'gradient-flow'\nsubsteps = 0", false),
        ] {
            assert_eq!(read(text).is_ok(), accepted, "{text}: {:?}", read(text));
        }
        assert_eq!(
            read("beta2 = 0.99999999").unwrap_err(),
            "`training.optimizer.beta2` is 0.99999999, must be at least 0 and less than 1, also when rounded to f32"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "",
            "kind = 'adamw'\nbeta1 = 0.5",
            "kind = 'sgd'\nlearning_rate = 0.25",
            "kind = 'gradient-descent'",
            "kind = 'gradient-flow'\nsubsteps = 3",
        ] {
            let config = read(text).unwrap();
            let json = serde_json::to_value(&config).unwrap();
            assert_eq!(
                serde_json::from_value::<OptimizerConfig>(json).unwrap(),
                config
            );
        }
        assert_eq!(read("").unwrap(), OptimizerConfig::default());
    }
}
