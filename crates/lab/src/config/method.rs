use feasible_repair::{RowPolicy, RowWeights, Schedule, SnareNetSettings, Stopping};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A method: how the raw prediction is made to satisfy the constraints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct MethodConfig {
    /// Its name in tables; the kind, and its relaxation, when absent.
    name: Option<String>,
    default_label: String,
    /// What is done to the prediction.
    pub kind: MethodKind,
    /// For so many first epochs the prediction is left as it is, so that only the penalty acts.
    pub soft_epochs: usize,
    /// Widens the box at first and narrows it epoch by epoch.
    pub relaxation: Option<RelaxationConfig>,
}

/// What is done to the raw prediction.
#[derive(Debug, Clone, PartialEq)]
pub enum MethodKind {
    /// Nothing: only the penalty acts.
    Soft,
    /// The Euclidean projection onto the constraints, which must be convex.
    Projection,
    /// SnareNet's Newton-type repair.
    SnareNet(SnareNetSettings),
}

/// Adaptive relaxation: the box is `[l − ε, u + ε]`, with ε falling from the largest violation of
/// the untrained network to 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaxationConfig {
    /// How ε falls. Default linear.
    #[serde(default)]
    pub schedule: Schedule,
    /// Epochs until ε is 0, at most as many as are not soft: with all of them no epoch is trained on
    /// the true box. Default half of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_epochs: Option<usize>,
}

impl MethodConfig {
    /// A method with no soft epochs and no relaxation.
    pub fn new(kind: MethodKind) -> Self {
        Self::from_parts(None, kind, 0, None)
    }

    /// The same method with relaxation.
    pub fn with_relaxation(self, relaxation: RelaxationConfig) -> Self {
        Self::from_parts(self.name, self.kind, self.soft_epochs, Some(relaxation))
    }

    /// The same method under a name.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    fn from_parts(
        name: Option<String>,
        kind: MethodKind,
        soft_epochs: usize,
        relaxation: Option<RelaxationConfig>,
    ) -> Self {
        let mut default_label = match kind {
            MethodKind::Soft => "soft".to_owned(),
            MethodKind::Projection => "projection".to_owned(),
            MethodKind::SnareNet(_) => "snarenet".to_owned(),
        };
        if relaxation.is_some() {
            default_label.push_str(" + relaxation");
        }
        Self {
            name,
            default_label,
            kind,
            soft_epochs,
            relaxation,
        }
    }

    /// Its name in tables and, made plain, in folder names.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.default_label)
    }

    /// Epochs until ε is 0, counted from the first that is not soft.
    pub fn decay_epochs(&self, epochs: usize) -> Option<usize> {
        let relaxation = self.relaxation?;
        Some(
            relaxation
                .decay_epochs
                .unwrap_or((epochs.saturating_sub(self.soft_epochs) / 2).max(1)),
        )
    }

    pub(super) fn validate(&self, epochs: usize) -> Result<(), Error> {
        if self.soft_epochs > epochs {
            return Err(Error::value(
                "method.soft_epochs",
                self.soft_epochs,
                format!("at most training.epochs = {epochs}"),
            ));
        }
        if let Some(decay) = self.decay_epochs(epochs) {
            let left = epochs - self.soft_epochs;
            if decay == 0 || decay > left {
                let expected = format!(
                    "1 to {left}, the epochs that are not soft; the test has ε = 0 in any case"
                );
                return Err(Error::value(
                    "method.relaxation.decay_epochs",
                    decay,
                    expected,
                ));
            }
        }
        if let MethodKind::SnareNet(settings) = &self.kind {
            for (key, value) in [
                ("tolerance", settings.tolerance),
                ("damping", settings.damping),
            ] {
                if !(value >= 0.0 && value.is_finite()) {
                    return Err(Error::value(
                        format!("method.{key}"),
                        value,
                        "finite and at least 0",
                    ));
                }
            }
            if settings.max_iterations == 0 {
                return Err(Error::value("method.max_iterations", 0, "at least 1"));
            }
        }
        Ok(())
    }
}

/// A `[[method]]` table as written. One flat table, unlike an enum tagged by `kind`, lets the parser
/// name an unknown key and its line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    damping: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_iterations: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<RowPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopping: Option<Stopping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<RowWeights>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    soft_epochs: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relaxation: Option<RelaxationConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Soft,
    Projection,
    Snarenet,
}

impl TryFrom<Table> for MethodConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let repair_keys = [
            ("tolerance", table.tolerance.is_some()),
            ("damping", table.damping.is_some()),
            ("max_iterations", table.max_iterations.is_some()),
            ("rows", table.rows.is_some()),
            ("stopping", table.stopping.is_some()),
            ("weights", table.weights.is_some()),
        ];
        let layer_keys = [
            ("soft_epochs", table.soft_epochs.is_some()),
            ("relaxation", table.relaxation.is_some()),
        ];
        let (kind, name, inapplicable): (_, _, &[&[(&str, bool)]]) = match table.kind {
            Kind::Soft => (MethodKind::Soft, "soft", &[&repair_keys, &layer_keys]),
            Kind::Projection => (MethodKind::Projection, "projection", &[&repair_keys]),
            Kind::Snarenet => {
                let default = SnareNetSettings::default();
                let settings = SnareNetSettings {
                    tolerance: table.tolerance.unwrap_or(default.tolerance),
                    damping: table.damping.unwrap_or(default.damping),
                    max_iterations: table.max_iterations.unwrap_or(default.max_iterations),
                    rows: table.rows.unwrap_or(default.rows),
                    stopping: table.stopping.unwrap_or(default.stopping),
                    weights: table.weights.unwrap_or(default.weights),
                };
                (MethodKind::SnareNet(settings), "snarenet", &[])
            }
        };
        if let Some((key, _)) = inapplicable
            .iter()
            .copied()
            .flatten()
            .find(|(_, given)| *given)
        {
            return Err(format!("`{key}` does not apply to method kind {name:?}"));
        }
        Ok(Self::from_parts(
            table.name,
            kind,
            table.soft_epochs.unwrap_or(0),
            table.relaxation,
        ))
    }
}

impl From<MethodConfig> for Table {
    fn from(method: MethodConfig) -> Self {
        let (kind, settings) = match method.kind {
            MethodKind::Soft => (Kind::Soft, None),
            MethodKind::Projection => (Kind::Projection, None),
            MethodKind::SnareNet(settings) => (Kind::Snarenet, Some(settings)),
        };
        Self {
            name: method.name,
            kind,
            tolerance: settings.as_ref().map(|s| s.tolerance),
            damping: settings.as_ref().map(|s| s.damping),
            max_iterations: settings.as_ref().map(|s| s.max_iterations),
            rows: settings.as_ref().map(|s| s.rows),
            stopping: settings.as_ref().map(|s| s.stopping),
            weights: settings.as_ref().map(|s| s.weights),
            soft_epochs: (kind != Kind::Soft).then_some(method.soft_epochs),
            relaxation: method.relaxation,
        }
    }
}
