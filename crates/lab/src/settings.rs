//! Settings as keys and values, and where two sets of them differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Error;
use crate::config::RunConfig;

/// The settings of a run as JSON.
pub(crate) fn to_json(config: &RunConfig) -> Result<Value, Error> {
    serde_json::to_value(config).map_err(|error| Error::value("run", error, "convertible to JSON"))
}

/// The keys in which some settings differ, each with its value in every one of them.
pub(crate) fn differences(all: &[Value]) -> Vec<(String, Vec<String>)> {
    let leaves: Vec<BTreeMap<String, &Value>> = all
        .iter()
        .map(|settings| {
            let mut leaves = BTreeMap::new();
            collect("", settings, &mut leaves);
            leaves
        })
        .collect();
    let keys: BTreeSet<&String> = leaves.iter().flat_map(BTreeMap::keys).collect();
    keys.into_iter()
        .filter_map(|key| {
            let values: Vec<_> = leaves.iter().map(|of| of.get(key).copied()).collect();
            let in_words = |value: &Option<&Value>| match value {
                None | Some(Value::Null) => "not set".to_owned(),
                Some(value) => value.to_string(),
            };
            let words: Vec<String> = values.iter().map(in_words).collect();
            let differ = words.iter().any(|word| *word != words[0]);
            differ.then(|| (key.clone(), words))
        })
        .collect()
}

/// The values that are no table, by their key with the tables it is in.
fn collect<'a>(key: &str, value: &'a Value, leaves: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                let key = match key {
                    "" => name.clone(),
                    _ => format!("{key}.{name}"),
                };
                collect(&key, value, leaves);
            }
        }
        _ => {
            leaves.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_key_that_differs_is_named_once() {
        let found = differences(&[
            json!({ "a": 1, "b": { "c": 2.0, "d": [1, 2] }, "same": {} }),
            json!({ "a": 1, "b": { "c": 2.5, "d": [1, 2] }, "same": {}, "e": { "f": "x" } }),
            json!({ "a": 1, "b": null, "same": {} }),
        ]);
        let expected = [
            ("b.c", ["2.0", "2.5", "not set"]),
            ("b.d", ["[1,2]", "[1,2]", "not set"]),
            ("e.f", ["not set", "\"x\"", "not set"]),
        ];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.map(str::to_owned).to_vec()));
        assert_eq!(found, expected);
    }
}
