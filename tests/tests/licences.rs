//! Every dependency, on every platform, offers a licence on the allow list of `deny.toml`.
//!
//! `cargo deny check licenses` reads the same list; this test needs no further program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{CargoOpt, MetadataCommand, Package};

/// The licence part of `deny.toml`.
struct Policy {
    allow: BTreeSet<String>,
    /// More licences for one package.
    exceptions: BTreeMap<String, BTreeSet<String>>,
    /// The expression of a package whose manifest has none.
    clarified: BTreeMap<String, String>,
}

impl Policy {
    fn read(path: &Path) -> Self {
        let text =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let document: toml::Table = text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let licenses = document["licenses"].as_table().expect("[licenses]");
        let text = |value: &toml::Value| value.as_str().expect("a string").to_owned();
        let set = |value: &toml::Value| {
            value
                .as_array()
                .expect("a list")
                .iter()
                .map(text)
                .collect::<BTreeSet<_>>()
        };
        let tables = |key: &str| {
            let list = licenses
                .get(key)
                .map(|value| value.as_array().expect("a list").clone())
                .unwrap_or_default();
            list.into_iter()
                .map(|entry| entry.as_table().expect("a table").clone())
                .collect::<Vec<_>>()
        };
        Self {
            allow: set(&licenses["allow"]),
            exceptions: tables("exceptions")
                .iter()
                .map(|t| (text(&t["crate"]), set(&t["allow"])))
                .collect(),
            clarified: tables("clarify")
                .iter()
                .map(|t| (text(&t["crate"]), text(&t["expression"])))
                .collect(),
        }
    }

    /// Whether the package can be used under licences of the list; `Err` says why not.
    fn check(&self, name: &str, expression: Option<&str>) -> Result<(), String> {
        let clarified = self.clarified.get(name).map(String::as_str);
        let expression = expression
            .or(clarified)
            .ok_or("its manifest has no licence expression")?;
        let allowed = |licence: &str| {
            self.allow.contains(licence)
                || self
                    .exceptions
                    .get(name)
                    .is_some_and(|more| more.contains(licence))
        };
        match satisfied(expression, &allowed) {
            Some(true) => Ok(()),
            Some(false) => Err(format!("{expression} offers no licence of the list")),
            None => Err(format!("{expression} is not an SPDX expression")),
        }
    }
}

/// Evaluates an SPDX expression: `OR` and the older `/` choose, `AND` joins and binds tighter, and
/// `X WITH Y` is one licence of that whole name. `None` when it is no expression.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let value = choice(&mut words, allowed)?;
    words.is_empty().then_some(value)
}

fn choice(words: &mut Vec<&str>, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut value = all_of(words, allowed)?;
    while words.last() == Some(&"OR") {
        words.pop();
        // Not short-circuited: what follows must be parsed.
        value |= all_of(words, allowed)?;
    }
    Some(value)
}

fn all_of(words: &mut Vec<&str>, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut value = licence(words, allowed)?;
    while words.last() == Some(&"AND") {
        words.pop();
        value &= licence(words, allowed)?;
    }
    Some(value)
}

fn licence(words: &mut Vec<&str>, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    match words.pop()? {
        "(" => {
            let value = choice(words, allowed)?;
            (words.pop()? == ")").then_some(value)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        name if words.last() == Some(&"WITH") => {
            words.pop();
            Some(allowed(&format!("{name} WITH {}", words.pop()?)))
        }
        name => Some(allowed(name)),
    }
}

/// Cargo runs a package's tests in its folder. `CARGO_MANIFEST_DIR` would be that of the checkout
/// that compiled the test, where several share one target folder.
fn root() -> PathBuf {
    Path::new("..")
        .canonicalize()
        .expect("the workspace folder")
}

/// The packages that the workspace can reach with every feature on every platform.
fn packages() -> Vec<Package> {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(root().join("Cargo.toml"))
        .features(CargoOpt::AllFeatures);
    let metadata = command.exec().unwrap_or_else(|error| {
        panic!("cargo metadata needs the manifests of all platforms' dependencies; `cargo fetch` brings them: {error}")
    });
    let resolve = metadata.resolve.as_ref().expect("resolved");
    let mut reached = BTreeSet::new();
    let mut open: Vec<_> = metadata.workspace_members.clone();
    while let Some(id) = open.pop() {
        if reached.insert(id.clone()) {
            open.extend(
                resolve
                    .nodes
                    .iter()
                    .find(|node| node.id == id)
                    .expect("resolved")
                    .dependencies
                    .iter()
                    .cloned(),
            );
        }
    }
    metadata
        .packages
        .into_iter()
        .filter(|package| reached.contains(&package.id))
        .collect()
}

#[test]
fn every_dependency_offers_an_allowed_licence() {
    let policy = Policy::read(&root().join("deny.toml"));
    let packages = packages();
    assert!(
        packages.len() > 100,
        "only {} packages: the walk is broken",
        packages.len()
    );
    let wrong: Vec<String> = packages
        .iter()
        .filter_map(|p| {
            policy
                .check(&p.name, p.license.as_deref())
                .err()
                .map(|e| format!("{} {}: {e}", p.name, p.version))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "not covered by deny.toml:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn exceptions_are_still_needed() {
    let policy = Policy::read(&root().join("deny.toml"));
    let packages = packages();
    let names: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    for name in policy.exceptions.keys().chain(policy.clarified.keys()) {
        assert!(
            names.contains(name.as_str()),
            "{name} is no dependency any more: remove it from deny.toml"
        );
    }
    let strict = Policy {
        exceptions: BTreeMap::new(),
        ..policy
    };
    for name in Policy::read(&root().join("deny.toml")).exceptions.keys() {
        let needed = packages
            .iter()
            .any(|p| p.name == *name && strict.check(name, p.license.as_deref()).is_err());
        assert!(
            needed,
            "{name} needs no exception any more: remove it from deny.toml"
        );
    }
}

#[test]
fn copyleft_is_not_on_the_list() {
    let policy = Policy::read(&root().join("deny.toml"));
    let listed = policy.allow.iter();
    let copyleft: Vec<_> = listed
        .filter(|l| {
            ["GPL", "MPL", "EPL", "CDDL", "EUPL"]
                .iter()
                .any(|c| l.contains(c))
        })
        .collect();
    assert!(copyleft.is_empty(), "{copyleft:?}");
}

#[test]
fn expressions_are_evaluated() {
    let mit = |licence: &str| licence == "MIT" || licence == "Apache-2.0 WITH LLVM-exception";
    for (expression, expected) in [
        ("MIT", Some(true)),
        ("GPL-3.0", Some(false)),
        ("GPL-3.0 OR MIT", Some(true)),
        ("MIT AND GPL-3.0", Some(false)),
        ("GPL-3.0 AND MIT OR MIT", Some(true)),
        ("MIT OR MIT AND GPL-3.0", Some(true)),
        ("(GPL-3.0 OR MIT) AND GPL-3.0", Some(false)),
        ("(GPL-3.0 OR MIT) AND MIT", Some(true)),
        ("GPL-3.0/MIT", Some(true)),
        ("GPL-3.0 / MIT", Some(true)),
        ("Apache-2.0 WITH LLVM-exception", Some(true)),
        ("MIT WITH LLVM-exception", Some(false)),
        ("", None),
        ("MIT OR", None),
        ("(MIT", None),
        ("MIT)", None),
        ("MIT MIT", None),
    ] {
        assert_eq!(satisfied(expression, &mit), expected, "{expression:?}");
    }
}
