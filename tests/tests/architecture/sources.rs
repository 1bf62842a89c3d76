//! What the source files may name, and how long they may be.

use std::fs;
use std::path::PathBuf;

use crate::{BACKEND_PACKAGES, root};

/// The one module that names concrete backends.
const BACKEND_MODULE: &str = "crates/core/src/backend";
const BACKEND_TYPES: &[&str] = &[
    "Flex",
    "NdArray",
    "Cube",
    "CubeBackend",
    "Wgpu",
    "Vulkan",
    "Cuda",
    "Rocm",
    "LibTorch",
];

/// A source file is one idea; above this many lines it holds several.
const LONGEST_FILE: usize = 600;

/// The Rust files of the crates, as (path from the workspace folder, text).
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = fs::read_dir(root.join("crates"))
        .expect("crates")
        .map(|e| e.expect("readable").path().join("src"))
        .collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let short = path
                    .strip_prefix(&root)
                    .expect("below the root")
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push((short, fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    files.sort();
    files
}

/// The concrete backends that a source text names, comments apart: a backend crate anywhere, or a
/// backend type in a path through a `backend` module (an enum may well have a variant `Flex`).
fn backends_named(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .map(str::to_owned)
            .collect()
    };
    let crates: Vec<String> = BACKEND_PACKAGES
        .iter()
        .map(|name| name.replace('-', "_"))
        .collect();
    let mut named: Vec<String> = words(&code)
        .into_iter()
        .filter(|word| crates.contains(word))
        .collect();
    for (at, module) in code.match_indices("backend::") {
        let rest = &code[at + module.len()..];
        // `backend::{...};` or `backend::Name`.
        let end = if rest.starts_with('{') {
            rest.find(';')
        } else {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
        };
        named.extend(
            words(&rest[..end.unwrap_or(rest.len())])
                .into_iter()
                .filter(|w| BACKEND_TYPES.contains(&w.as_str())),
        );
    }
    named
}

#[test]
fn only_the_backend_module_names_backends() {
    let sources = sources();
    let in_module = |path: &str| path.starts_with(BACKEND_MODULE);
    let all: Vec<_> = sources
        .iter()
        .filter(|(path, _)| in_module(path))
        .flat_map(|(_, t)| backends_named(t))
        .collect();
    for backend in ["Flex", "NdArray", "burn_cubecl"] {
        assert!(
            all.iter().any(|name| name == backend),
            "the scan misses {backend} where it is"
        );
    }
    for (path, text) in sources.iter().filter(|(path, _)| !in_module(path)) {
        let named = backends_named(text);
        assert!(
            named.is_empty(),
            "{path} names {named:?}; only {BACKEND_MODULE} may"
        );
    }
}

#[test]
fn the_scan_sees_types_and_not_prose() {
    assert_eq!(
        backends_named("use burn::backend::{\n    Autodiff, Flex,\n};"),
        ["Flex"]
    );
    assert_eq!(
        backends_named("type B = burn::backend::NdArray<f32>;"),
        ["NdArray"]
    );
    assert_eq!(backends_named("use burn_cubecl as c;"), ["burn_cubecl"]);
    assert!(
        backends_named(
            "// burn::backend::Flex\nenum Choice { Flex, NdArray }\nlet d = Device::flex();"
        )
        .is_empty()
    );
}

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<(String, usize)> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, n)| *n > LONGEST_FILE)
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST_FILE} lines, split by idea: {long:?}"
    );
}
