//! Where things are in this checkout.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// The root of the checkout.
///
/// Cargo sets the variable when it runs us; the built-in path serves an xtask binary that is started by hand.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    // crates/xtask
    manifest.ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

/// Where cargo puts the executables of the dev profile: xtask is one of them, wherever `target` was moved to.
pub(crate) fn executables() -> Result<PathBuf> {
    let own = env::current_exe().context("the path of xtask itself is not known")?;
    Ok(own.parent().context("xtask lies in no folder")?.to_path_buf())
}

/// Cargo, started in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// A variable of the environment; empty counts as not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
