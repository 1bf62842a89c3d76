//! Which package may depend on which, and on what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::{BACKEND_PACKAGES, root};

/// What each package may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("feasible-core", &["feasible-kernels"]),
    ("feasible-kernels", &[]),
    ("feasible-lapack", &[]),
    ("feasible-solver", &["feasible-lapack", "feasible-kernels"]),
    ("feasible-record", &[]),
    ("feasible-spectrum", &["feasible-kernels"]),
    ("feasible-landscape", &["feasible-kernels"]),
    ("feasible-nn", &[]),
    ("feasible-model", &["feasible-solver"]),
    (
        "feasible-convex",
        &["feasible-core", "feasible-solver", "feasible-model"],
    ),
    ("feasible-least-squares", &["feasible-kernels"]),
    (
        "feasible-nls",
        &[
            "feasible-core",
            "feasible-kernels",
            "feasible-solver",
            "feasible-least-squares",
        ],
    ),
    ("feasible-data", &["feasible-core", "feasible-solver"]),
    (
        "feasible-repair",
        &[
            "feasible-convex",
            "feasible-nls",
            "feasible-core",
            "feasible-kernels",
        ],
    ),
    (
        "feasible-dynamics",
        &[
            "feasible-core",
            "feasible-spectrum",
            "feasible-landscape",
            "feasible-kernels",
        ],
    ),
    (
        "feasible-lab",
        &[
            "feasible-repair",
            "feasible-convex",
            "feasible-nls",
            "feasible-nn",
            "feasible-data",
            "feasible-dynamics",
            "feasible-record",
        ],
    ),
    ("feasible-json", &["feasible-solver", "feasible-record"]),
    (
        "feasible-cli",
        &["feasible-lab", "feasible-json", "feasible-spectrum"],
    ),
];

/// Edges that skip a step of the arrows, each with its reason.
const SHORTCUTS: &[(&str, &str, &str)] = &[
    (
        "feasible-repair",
        "feasible-solver",
        "solver settings and statuses are part of the methods' interface",
    ),
    (
        "feasible-lab",
        "feasible-core",
        "constraints and penalties are part of every training step; backend features",
    ),
    (
        "feasible-lab",
        "feasible-landscape",
        "runs keep landscapes as files",
    ),
    (
        "feasible-lab",
        "feasible-spectrum",
        "runs keep spectra as files",
    ),
    (
        "feasible-cli",
        "feasible-landscape",
        "`feasible landscape` draws a file without a run",
    ),
    (
        "feasible-cli",
        "feasible-data",
        "`feasible data` writes a problem without training",
    ),
    (
        "feasible-cli",
        "feasible-record",
        "`feasible table` reads runs without training",
    ),
];

/// The facade may re-export any library, but not the experiments built on them.
const FACADE: &str = "feasible";
const NOT_IN_FACADE: &[&str] = &[
    "feasible-kernels",
    "feasible-lapack",
    "feasible-lab",
    "feasible-json",
    "feasible-cli",
];

/// Nothing depends on these, and they may depend on every library.
const LEAVES: &[&str] = &["feasible-examples", "feasible-benches", "feasible-tests"];

/// These must stay usable, and quick to build, without a tensor library.
const WITHOUT_BURN: &[&str] = &[
    "feasible-kernels",
    "feasible-lapack",
    "feasible-solver",
    "feasible-model",
    "feasible-least-squares",
    "feasible-record",
    "feasible-json",
    "feasible-spectrum",
    "feasible-landscape",
];
const BURN_FAMILY: &[&str] = &["burn", "cubecl", "cubek"];

/// The one package that names concrete backends.
const BACKEND_PACKAGE: &str = "feasible-core";
const BACKEND_FEATURES: &[&str] = &[
    "flex", "ndarray", "wgpu", "vulkan", "metal", "webgpu", "cuda", "rocm", "tch",
];
/// The manifests alone need no network; `resolved` adds the whole graph for this platform.
fn metadata(resolved: bool) -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    if resolved {
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let filter = if cfg!(target_os = "linux") {
            vec!["--filter-platform".to_owned(), host]
        } else {
            vec![]
        };
        command.other_options(filter);
    } else {
        command.no_deps();
    }
    command
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata: {error}"))
}

fn members(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.as_str(), package))
        .collect()
}

/// Names of the dependencies that a user of the package gets.
fn dependencies(package: &Package) -> impl Iterator<Item = &str> {
    let shipped = |kind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
    package
        .dependencies
        .iter()
        .filter(move |d| shipped(d.kind))
        .map(|d| d.name.as_str())
}

fn arrows(from: &str) -> &'static [&'static str] {
    ARROWS
        .iter()
        .find(|(name, _)| *name == from)
        .map_or(&[], |(_, to)| to)
}

/// Whether a path of arrows, of any length, leads from one package to the other.
fn leads(from: &str, to: &str) -> bool {
    arrows(from)
        .iter()
        .any(|next| *next == to || leads(next, to))
}

fn may_depend(from: &str, to: &str) -> bool {
    let is_library = ARROWS.iter().any(|(name, _)| *name == to) && !NOT_IN_FACADE.contains(&to);
    if from == FACADE {
        is_library
    } else if LEAVES.contains(&from) {
        is_library || to == FACADE || to == "feasible-lab"
    } else {
        arrows(from).contains(&to) || SHORTCUTS.iter().any(|(f, t, _)| (*f, *t) == (from, to))
    }
}

#[test]
fn packages_depend_along_the_arrows_only() {
    let metadata = metadata(false);
    let members = members(&metadata);
    let mut wrong = Vec::new();
    for (from, package) in &members {
        for to in dependencies(package).filter(|to| members.contains_key(to)) {
            if !may_depend(from, to) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "dependencies against the arrows of ARCHITECTURE.md: {wrong:?}"
    );
}

#[test]
fn every_package_has_its_rule_and_every_rule_its_package() {
    let metadata = metadata(false);
    let found: BTreeSet<&str> = members(&metadata).into_keys().collect();
    let ruled = ARROWS
        .iter()
        .map(|(name, _)| *name)
        .chain(LEAVES.iter().copied())
        .chain([FACADE]);
    assert_eq!(found, ruled.collect::<BTreeSet<_>>());
}

#[test]
fn shortcuts_follow_the_arrows_and_are_used() {
    let metadata = metadata(false);
    let members = members(&metadata);
    for (from, to, reason) in SHORTCUTS {
        assert!(
            leads(from, to),
            "{from} -> {to} ({reason}) is not a path of arrows"
        );
        assert!(
            dependencies(members[from]).any(|d| d == *to),
            "{from} -> {to} is no longer needed: remove it from SHORTCUTS"
        );
    }
}

#[test]
fn the_arrows_keep_the_layers_apart() {
    for (from, to) in [
        ("feasible-convex", "feasible-nls"),
        ("feasible-nls", "feasible-convex"),
        ("feasible-solver", "feasible-core"),
        ("feasible-least-squares", "feasible-core"),
        ("feasible-core", "feasible-solver"),
    ] {
        assert!(!leads(from, to), "{from} must not see {to}");
    }
    for below in ["feasible-nn", "feasible-data", "feasible-dynamics"] {
        for layer in ["feasible-convex", "feasible-nls", "feasible-repair"] {
            assert!(!leads(below, layer), "{below} must not see {layer}");
        }
    }
    for (name, _) in ARROWS {
        assert!(!leads(name, name), "the arrows have a cycle through {name}");
    }
}

#[test]
fn solver_and_record_never_reach_burn() {
    let metadata = metadata(true);
    let members = members(&metadata);
    let resolve = metadata.resolve.as_ref().expect("asked for");
    let shipped: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let kept = node.deps.iter().filter(|d| {
                d.dep_kinds
                    .iter()
                    .any(|k| k.kind != DependencyKind::Development)
            });
            (&node.id, kept.map(|d| &d.pkg).collect())
        })
        .collect();
    let reached_from = |name: &str| {
        let mut reached = BTreeSet::new();
        let mut open = vec![&members[name].id];
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                open.extend(&shipped[id]);
            }
        }
        reached
            .into_iter()
            .map(|id| metadata[id].name.as_str())
            .collect::<BTreeSet<_>>()
    };
    let is_burn = |name: &&str| {
        BURN_FAMILY
            .iter()
            .any(|f| name == f || name.starts_with(&format!("{f}-")))
    };
    // The walk itself must be able to find it.
    assert!(reached_from("feasible-core").iter().any(is_burn));
    for name in WITHOUT_BURN {
        let burn: Vec<&str> = reached_from(name).into_iter().filter(is_burn).collect();
        assert!(
            burn.is_empty(),
            "{name} must not see Burn, and reaches {burn:?}"
        );
    }
}

/// A run folder names the version of Burn that trained it. It is written down in the lab's source,
/// because nothing tells a crate the versions of its dependencies short of a build script.
#[test]
fn run_folders_name_the_version_of_burn_in_use() {
    let metadata = metadata(true);
    let burn: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| package.name.as_str() == "burn")
        .map(|package| package.version.to_string())
        .collect();
    let [version] = &burn[..] else {
        panic!("one version of Burn, not {burn:?}")
    };
    let source = "crates/lab/src/provenance.rs";
    let text = fs::read_to_string(root().join(source)).expect("the lab's source");
    assert!(
        text.contains(&format!("const BURN_VERSION: &str = \"{version}\";")),
        "BURN_VERSION in {source} is not {version}"
    );
}

#[test]
fn only_core_selects_backends_in_its_manifest() {
    let metadata = metadata(false);
    for (name, package) in members(&metadata) {
        if name == BACKEND_PACKAGE {
            continue;
        }
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind != DependencyKind::Development)
        {
            assert!(
                !BACKEND_PACKAGES.contains(&dependency.name.as_str()),
                "{name} depends on {}",
                dependency.name
            );
            let selected = dependency
                .features
                .iter()
                .find(|f| BACKEND_FEATURES.contains(&f.as_str()));
            let through_burn = dependency.name == "burn" || dependency.name.starts_with("burn-");
            assert!(
                !through_burn || selected.is_none(),
                "{name} selects {selected:?} of {}",
                dependency.name
            );
        }
        for (feature, enables) in &package.features {
            let burn = enables.iter().find(|f| f.starts_with("burn"));
            assert!(
                burn.is_none(),
                "feature {feature} of {name} enables {burn:?}; forward to {BACKEND_PACKAGE} instead"
            );
        }
    }
}
