//! Where things are in this checkout.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::services::Urls;

/// The root of the checkout.
///
/// Cargo sets the variable when it runs us; the built-in path serves an xtask binary that is started by hand.
pub(crate) fn root() -> PathBuf {
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    // crates/xtask
    manifest.ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

/// Where cargo puts the executables of a profile. xtask is one of those of the dev profile, wherever `target` was moved
/// to.
pub(crate) fn executables(profile: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("the path of xtask itself is not known")?;
    let dev = own.parent().context("xtask lies in no folder")?;
    Ok(match profile {
        "dev" => dev.to_path_buf(),
        other => dev.with_file_name(other),
    })
}

/// Cargo, started in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    forget_own_package(&mut cargo);
    cargo
}

/// Takes away what cargo has told us about the package `xtask`. Build scripts, that of `ring` among them, ask to run
/// again when these variables change, so the same build from here and from the command line would never be fresh.
fn forget_own_package(command: &mut Command) {
    const NAMES: [&str; 5] = [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "OUT_DIR",
    ];
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if NAMES.contains(&&*name) || name.starts_with("CARGO_PKG_") {
            command.env_remove(&*name);
        }
    }
}

/// Tells a program of ours where the services and the other programs are.
pub(crate) fn with_services(command: &mut Command, urls: &Urls) -> Result<()> {
    command
        .env("DATABASE_URL", &urls.database_url)
        .env("AMQP_URL", &urls.amqp_url);
    with_executables(command, "dev")
}

/// Tells a program of ours where the other programs are, built in this profile.
pub(crate) fn with_executables(command: &mut Command, profile: &str) -> Result<()> {
    let executables = executables(profile)?;
    forget_own_package(command);
    command
        .env("KASSA_BIN", executables.join("kassa"))
        .env("KASSA_SIMULATOR_BIN", executables.join("kassa-simulator"));
    Ok(())
}

/// A variable of the environment; empty counts as not set.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask has no configuration but the environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
