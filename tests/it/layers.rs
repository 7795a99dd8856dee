//! The house stands as design, section 2, draws it: which crate may use which, where each outside library lives, what
//! its licence is, and that only the vendors' crate knows a vendor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(["--locked".to_owned(), "--offline".to_owned()])
        .exec()
        .expect("cargo metadata from what is locked and fetched")
}

/// The direct dependencies of a package that are not for its tests alone.
fn direct(package: &Package) -> BTreeSet<&str> {
    let kept = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    kept.map(|dependency| dependency.name.as_str()).collect()
}

/// Our crates and which of our crates each may use.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("receipt", &[]),
    ("ledger", &["receipt"]),
    ("queue", &["receipt"]),
    ("vendors", &["receipt"]),
    ("service", &[]),
    ("producer", &["receipt", "ledger", "queue", "service"]),
    ("sender", &["receipt", "ledger", "queue", "vendors", "service"]),
    ("poller", &["receipt", "ledger", "queue", "vendors", "service"]),
    ("webhooks", &["receipt", "ledger", "service"]),
    ("reporter", &["receipt", "ledger", "service"]),
    ("simulator", &["receipt"]),
    (
        "kassa",
        &[
            "receipt", "ledger", "queue", "vendors", "service", "producer", "sender", "poller", "webhooks", "reporter",
        ],
    ),
    ("xtask", &[]),
];

/// Outside libraries that have a home, and who may use them directly. The harness and its binaries may use anything.
const HOMES: [(&str, &[&str]); 18] = [
    ("metrics-exporter-prometheus", &["service"]),
    ("lapin", &["queue"]),
    ("async-rs", &["queue"]),
    ("sqlx", &["ledger"]),
    ("jiff-sqlx", &["ledger"]),
    ("deadpool", &["ledger"]),
    ("reqwest", &["vendors", "webhooks", "simulator"]),
    // A router belongs to whoever knows what is asked for; `service` listens, and `kassa` puts the routers together.
    ("axum", &["service", "poller", "producer", "simulator"]),
    ("utoipa", &["producer"]),
    ("hyper", &["service", "simulator"]),
    ("tracing-subscriber", &["service", "simulator"]),
    ("config", &["service"]),
    ("clap", &["kassa", "simulator"]),
    ("comfy-table", &["kassa"]),
    ("rust_decimal", &["receipt"]),
    ("lettre", &["reporter"]),
    ("mrml", &["reporter"]),
    ("rust_xlsxwriter", &["reporter"]),
];

#[test]
fn our_crates_use_each_other_as_the_table_of_the_design_allows() {
    let metadata = metadata();
    let members: BTreeMap<&str, &Package> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.as_str(), package))
        .collect();
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let known: BTreeSet<&str> = allowed.keys().copied().chain(["kassa-tests"]).collect();
    let there: BTreeSet<&str> = members.keys().copied().collect();
    assert_eq!(
        there, known,
        "a new crate needs its line in design, section 2, and here"
    );
    for (name, allowed) in &allowed {
        let ours: BTreeSet<&str> = direct(members[name]).intersection(&there).copied().collect();
        let beyond: Vec<&str> = ours.into_iter().filter(|used| !allowed.contains(used)).collect();
        assert!(beyond.is_empty(), "{name} may not use {beyond:?}");
    }
}

#[test]
fn outside_libraries_stay_in_their_homes() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if name == "kassa-tests" {
            continue;
        }
        for (library, homes) in HOMES {
            let lives_here = direct(package).contains(library);
            assert!(
                !lives_here || homes.contains(&name),
                "{library} belongs to {homes:?}, not to {name}"
            );
        }
    }
}

/// Licences that ask for nothing but to be named. A package needs one alternative of its expression made of these.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be satisfied; `/` is the old spelling of `OR`.
fn is_permitted(expression: &str) -> bool {
    let tokens = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = tokens.split_whitespace().collect();
    let mut at = 0;
    let satisfied = any(&tokens, &mut at);
    satisfied && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize) -> bool {
    let mut satisfied = all(tokens, at);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        satisfied |= all(tokens, at);
    }
    satisfied
}

fn all(tokens: &[&str], at: &mut usize) -> bool {
    let mut satisfied = one(tokens, at);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        satisfied &= one(tokens, at);
    }
    satisfied
}

fn one(tokens: &[&str], at: &mut usize) -> bool {
    let Some(token) = tokens.get(*at) else { return false };
    *at += 1;
    if *token == "(" {
        let satisfied = any(tokens, at);
        *at += 1;
        return satisfied;
    }
    let mut licence = (*token).to_owned();
    if tokens.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    LICENCES.contains(&licence.as_str())
}

#[test]
fn licence_expressions_are_understood() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR LGPL-2.1",
    ] {
        assert!(is_permitted(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "LGPL-2.1 OR MPL-2.0", "(MIT"] {
        assert!(!is_permitted(bad), "{bad}");
    }
}

#[test]
fn every_package_in_the_graph_has_a_permissive_licence() {
    for package in &metadata().packages {
        let licence = package.license.as_deref().unwrap_or("");
        assert!(
            is_permitted(licence),
            "{} {}: {licence:?}",
            package.name,
            package.version
        );
    }
}

#[test]
fn one_tls_provider_and_no_unmaintained_library_is_in_the_graph() {
    let metadata = metadata();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let forbidden = [
            "aws-lc-rs",
            "aws-lc-sys",
            "native-tls",
            "openssl",
            "openssl-sys",
            "backoff",
            "instant",
        ];
        assert!(!forbidden.contains(&name), "{name} is in the graph");
    }
}

/// Vendors by the names under which code could mean them.
const VENDORS: [&str; 2] = ["atol", "checkonline"];

/// The code of a file without its comments and without what only its tests see.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn no_crate_but_the_vendors_and_the_simulator_names_a_vendor() -> anyhow::Result<()> {
    for (name, _) in MAY_USE {
        if ["vendors", "simulator"].contains(&name) {
            continue;
        }
        let mut files = Vec::new();
        sources(&root().join("crates").join(name).join("src"), &mut files)?;
        assert!(!files.is_empty(), "{name} has no sources");
        for file in files {
            // What people read in `--help` and in messages comes from doc comments and the vendors' texts.
            let code = code(&std::fs::read_to_string(&file)?).to_lowercase();
            for vendor in VENDORS {
                assert!(!code.contains(vendor), "{} names {vendor}", file.display());
            }
        }
    }
    Ok(())
}

#[test]
fn a_vendor_has_one_registry_line_and_a_folder() -> anyhow::Result<()> {
    let mut files = Vec::new();
    let folder = root().join("crates/vendors/src");
    sources(&folder, &mut files)?;
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let code = code(&std::fs::read_to_string(file)?).to_lowercase();
        for vendor in VENDORS
            .into_iter()
            .filter(|vendor| !file.starts_with(folder.join(vendor)))
        {
            assert!(
                !code.contains(vendor) || ["registry.rs", "lib.rs"].contains(&name),
                "{} names {vendor}; only the registry may",
                file.display()
            );
        }
    }
    assert_eq!(VENDORS.as_slice(), vendors::registry::VENDORS);
    Ok(())
}
