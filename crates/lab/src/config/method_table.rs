//! A `[[method]]` table as written.

use feasible_repair::{
    Completion, Dc3Settings, FsNetSettings, Gradient, LineSearch, PiNetSettings, RaySettings,
    RowPolicy, RowWeights, SnareNetSettings, Stopping,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::PenaltyConfig;
use super::method::{MethodConfig, RelaxationConfig, SafeguardConfig};
use super::method_kind::MethodKind;
use super::optimizer::OptimizerConfig;

/// Keys that belong to training with a method, not to the method.
const COMMON: [&str; 8] = [
    "name",
    "kind",
    "soft_epochs",
    "relaxation",
    "distance_weight",
    "safeguard",
    "penalty",
    "optimizer",
];

/// One flat table of every method's keys. Unlike an enum tagged by `kind` it lets the parser name an
/// unknown key and its line; which keys go with a kind is what the fields of its settings are.
macro_rules! table {
    ($($key:ident: $type:ty),* $(,)?) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Table {
            kind: Kind,
            $(#[serde(default, skip_serializing_if = "Option::is_none")]
            $key: Option<$type>,)*
        }
    };
}

table! {
    name: String,
    soft_epochs: usize,
    relaxation: RelaxationConfig,
    distance_weight: f64,
    safeguard: SafeguardTable,
    penalty: PenaltyConfig,
    optimizer: OptimizerConfig,
    tolerance: f64,
    damping: f64,
    max_iterations: usize,
    rows: RowPolicy,
    stopping: Stopping,
    weights: RowWeights,
    gradient: Gradient,
    completion: Completion,
    partial: Vec<usize>,
    train_steps: usize,
    test_steps: usize,
    learning_rate: f64,
    momentum: f64,
    newton_iterations: usize,
    newton_tolerance: f64,
    sigma: f64,
    omega: f64,
    equilibration: usize,
    equilibration_tolerance: f64,
    backward_iterations: usize,
    backward_tolerance: f64,
    memory: usize,
    unrolled: usize,
    train_tolerance: f64,
    tolerance_decay_epochs: usize,
    least_train_tolerance: f64,
    test_tolerance: f64,
    gradient_tolerance: f64,
    first_step: f64,
    sufficient_decrease: f64,
    shrink: f64,
    max_halvings: usize,
    line_search: LineSearch,
    scale: f64,
    interior: Vec<f64>,
    least_margin: f64,
    trust_region: f64,
    conjugate_gradient: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Soft,
    Projection,
    Optnet,
    Snarenet,
    HardnetAff,
    HardnetCvx,
    #[serde(rename = "hardnet++")]
    HardnetPlusPlus,
    Dc3,
    Pinet,
    Fsnet,
    Rayen,
    GaugeMap,
}

impl TryFrom<Table> for MethodConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let given = Given::of(&table)?;
        let kind = match table.kind {
            Kind::Soft => given.without_settings(MethodKind::Soft)?,
            Kind::Projection => given.without_settings(MethodKind::Projection)?,
            Kind::Optnet => given.without_settings(MethodKind::OptNet)?,
            Kind::HardnetAff => given.without_settings(MethodKind::HardNetAff)?,
            Kind::HardnetCvx => given.without_settings(MethodKind::HardNetCvx)?,
            Kind::Snarenet => {
                MethodKind::SnareNet(given.over("snarenet", SnareNetSettings::default())?)
            }
            Kind::HardnetPlusPlus => MethodKind::HardNetPlusPlus(
                given.over("hardnet++", SnareNetSettings::hardnet_plus_plus())?,
            ),
            Kind::Dc3 => MethodKind::Dc3(given.over("dc3", Dc3Settings::default())?),
            Kind::Pinet => MethodKind::PiNet(given.over("pinet", PiNetSettings::default())?),
            Kind::Fsnet => MethodKind::FsNet(given.over("fsnet", FsNetSettings::default())?),
            Kind::Rayen => MethodKind::Rayen(given.over("rayen", RaySettings::default())?),
            Kind::GaugeMap => {
                MethodKind::GaugeMap(given.over("gauge-map", RaySettings::default())?)
            }
        };
        if kind == MethodKind::Soft {
            for (key, given) in [
                ("soft_epochs", table.soft_epochs.is_some()),
                ("relaxation", table.relaxation.is_some()),
                ("distance_weight", table.distance_weight.is_some()),
                ("safeguard", table.safeguard.is_some()),
            ] {
                if given {
                    return Err(inapplicable(key, "soft", &[]));
                }
            }
        }
        let mut method = Self::new(kind);
        if let Some(relaxation) = table.relaxation {
            method = method.with_relaxation(relaxation);
        }
        method.name = table.name;
        method.soft_epochs = table.soft_epochs.unwrap_or(0);
        method.penalty = table.penalty;
        method.optimizer = table.optimizer;
        if let Some(weight) = table.distance_weight {
            method.distance_weight = weight;
        }
        if let Some(given) = table.safeguard {
            method.safeguard = given.over(method.safeguard)?;
        }
        Ok(method)
    }
}

/// What is given of a [`SafeguardConfig`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SafeguardTable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    violation: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
}

impl SafeguardTable {
    /// The rest is the kind's.
    fn over(self, published: SafeguardConfig) -> Result<SafeguardConfig, String> {
        if self.weight.is_none() && published.weight == 0.0 {
            return Err("`safeguard` needs a `weight`: only `fsnet` has one of its own".into());
        }
        Ok(SafeguardConfig {
            violation: self.violation.unwrap_or(published.violation),
            weight: self.weight.unwrap_or(published.weight),
        })
    }
}

impl From<SafeguardConfig> for SafeguardTable {
    fn from(safeguard: SafeguardConfig) -> Self {
        Self {
            violation: Some(safeguard.violation),
            weight: Some(safeguard.weight),
        }
    }
}

/// The keys of a table that are not common to all methods.
struct Given(Map<String, Value>);

impl Given {
    fn of(table: &Table) -> Result<Self, String> {
        let Value::Object(mut keys) = serde_json::to_value(table).map_err(|e| e.to_string())?
        else {
            return Err("a method is a table".into());
        };
        keys.retain(|key, _| !COMMON.contains(&key.as_str()));
        Ok(Self(keys))
    }

    fn without_settings(&self, kind: MethodKind) -> Result<MethodKind, String> {
        match self.0.keys().next() {
            None => Ok(kind),
            Some(key) => Err(inapplicable(key, kind.name(), &[])),
        }
    }

    /// `defaults` with the given keys in place of its own, all of which must be among its fields.
    fn over<S: Serialize + DeserializeOwned>(&self, kind: &str, defaults: S) -> Result<S, String> {
        let Value::Object(mut fields) =
            serde_json::to_value(defaults).map_err(|e| e.to_string())?
        else {
            return Err("settings are a table".into());
        };
        for (key, value) in &self.0 {
            if !fields.contains_key(key) {
                let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                return Err(inapplicable(key, kind, &known));
            }
            // JSON has no word for a number that is not finite.
            if value.is_null() {
                return Err(format!("`{key}` of method kind {kind:?} must be finite"));
            }
            fields.insert(key.clone(), value.clone());
        }
        serde_json::from_value(Value::Object(fields)).map_err(|e| e.to_string())
    }
}

fn inapplicable(key: &str, kind: &str, known: &[&str]) -> String {
    let own = match known {
        [] => String::new(),
        known => format!(", whose settings are {}", known.join(", ")),
    };
    format!("`{key}` does not apply to method kind {kind:?}{own}")
}

impl From<MethodConfig> for Table {
    fn from(method: MethodConfig) -> Self {
        fn fields(settings: &impl Serialize) -> Map<String, Value> {
            match serde_json::to_value(settings) {
                Ok(Value::Object(fields)) => fields,
                _ => Map::new(),
            }
        }
        let mut keys = match &method.kind {
            MethodKind::Soft
            | MethodKind::Projection
            | MethodKind::OptNet
            | MethodKind::HardNetAff
            | MethodKind::HardNetCvx => Map::new(),
            MethodKind::SnareNet(settings) | MethodKind::HardNetPlusPlus(settings) => {
                fields(settings)
            }
            MethodKind::Dc3(settings) => fields(settings),
            MethodKind::PiNet(settings) => fields(settings),
            MethodKind::FsNet(settings) => fields(settings),
            MethodKind::Rayen(settings) | MethodKind::GaugeMap(settings) => fields(settings),
        };
        keys.retain(|_, value| !value.is_null());
        keys.insert("kind".into(), method.kind.name().into());
        let mut table: Self = serde_json::from_value(Value::Object(keys))
            .expect("the fields of all settings are keys of the table");
        let soft = method.kind == MethodKind::Soft;
        let published = method.kind.published_distance_weight();
        table.soft_epochs = (!soft).then_some(method.soft_epochs);
        table.distance_weight =
            (method.distance_weight != published).then_some(method.distance_weight);
        table.safeguard = (method.safeguard != method.kind.published_safeguard())
            .then_some(method.safeguard.into());
        table.name = method.name;
        table.relaxation = method.relaxation;
        table.penalty = method.penalty;
        table.optimizer = method.optimizer;
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<MethodKind> {
        vec![
            MethodKind::Soft,
            MethodKind::Projection,
            MethodKind::OptNet,
            MethodKind::SnareNet(SnareNetSettings::default()),
            MethodKind::HardNetAff,
            MethodKind::HardNetCvx,
            MethodKind::HardNetPlusPlus(SnareNetSettings::hardnet_plus_plus()),
            MethodKind::Dc3(Dc3Settings {
                partial: Some(vec![0, 2]),
                ..Dc3Settings::default()
            }),
            MethodKind::PiNet(PiNetSettings::default()),
            MethodKind::FsNet(FsNetSettings::default()),
            MethodKind::Rayen(RaySettings::default()),
            MethodKind::GaugeMap(RaySettings {
                interior: Some(vec![0.5, -1.0]),
                ..RaySettings::default()
            }),
        ]
    }

    #[test]
    fn every_method_survives_a_file_under_its_name() {
        for kind in every_kind() {
            let method = MethodConfig::new(kind);
            let json = serde_json::to_value(&method).unwrap();
            assert_eq!(json["kind"], method.kind.name());
            assert_eq!(
                serde_json::from_value::<MethodConfig>(json).unwrap(),
                method
            );
        }
    }

    #[test]
    fn the_keys_of_a_kind_are_named_with_one_that_is_not() {
        let read = |text: &str| toml::from_str::<MethodConfig>(text).unwrap_err();
        let message = read("kind = 'pinet'\ndamping = 1.0").to_string();
        assert!(
            message.contains("`damping` does not apply to method kind \"pinet\", whose settings are backward_iterations, backward_tolerance, equilibration, equilibration_tolerance, max_iterations, omega, sigma, tolerance"),
            "{message}"
        );
        let message = read("kind = 'dc3'\nsteps = 1").to_string();
        assert!(message.contains("unknown field `steps`"), "{message}");
        let message = read("kind = 'dc4'").to_string();
        assert!(message.contains("unknown variant `dc4`"), "{message}");
    }

    #[test]
    fn a_soft_method_has_no_weights_of_a_layer() {
        let soft = MethodConfig::new(MethodKind::Soft);
        assert!(soft.validate(10).is_ok());
        let mut far = soft.clone();
        far.distance_weight = 1.0;
        let mut guarded = soft;
        guarded.safeguard.weight = 1.0;
        for method in [far, guarded] {
            let message = method.validate(10).unwrap_err().to_string();
            assert!(message.contains("weights of 0"), "{message}");
        }
    }

    #[test]
    fn given_keys_replace_the_defaults_of_the_kind() {
        let read = |text: &str| toml::from_str::<MethodConfig>(text).unwrap();
        let method = read("kind = 'hardnet++'\nmax_iterations = 7");
        let expected = SnareNetSettings {
            max_iterations: 7,
            ..SnareNetSettings::hardnet_plus_plus()
        };
        assert_eq!(method.kind, MethodKind::HardNetPlusPlus(expected));
        let method = read("kind = 'snarenet'\ngradient = 'implicit'\nweights = 'inverse-norms'");
        let expected = SnareNetSettings {
            gradient: Gradient::Implicit,
            weights: RowWeights::InverseNorms,
            ..SnareNetSettings::default()
        };
        assert_eq!(method.kind, MethodKind::SnareNet(expected));
        let method = read("kind = 'fsnet'\nline_search = 'whole-batch'");
        assert_eq!(method.distance_weight, 10.0);
        assert_eq!(method.safeguard.weight, 10.0);
        let off = read("kind = 'fsnet'\nsafeguard = { weight = 0.0 }");
        assert_eq!(off.safeguard.weight, 0.0);
        let near = read("kind = 'fsnet'\nsafeguard = { violation = 500.0 }");
        assert_eq!(near.safeguard.weight, 10.0);
        assert_eq!(near.safeguard.violation, 500.0);
        let json = serde_json::to_value(&near).unwrap();
        assert_eq!(serde_json::from_value::<MethodConfig>(json).unwrap(), near);
        let none = "kind = 'snarenet'\nsafeguard = { violation = 500.0 }";
        let message = toml::from_str::<MethodConfig>(none)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`safeguard` needs a `weight`"),
            "{message}"
        );
        let json = serde_json::to_value(&off).unwrap();
        assert_eq!(serde_json::from_value::<MethodConfig>(json).unwrap(), off);
        let method = read("kind = 'soft'\npenalty = { upper = 0.0, lower = 0.0 }");
        assert_eq!(method.penalty.unwrap().upper, 0.0);
        let method = read("kind = 'soft'\noptimizer = { kind = 'gradient-descent' }");
        let json = serde_json::to_value(&method).unwrap();
        assert_eq!(json["optimizer"]["kind"], "gradient-descent");
        assert_eq!(
            serde_json::from_value::<MethodConfig>(json).unwrap(),
            method
        );
    }
}
