//! The programs of `tests/` that a person starts: the demo, the benchmark and the chaos run.

use std::{convert::Infallible, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Result, ensure};

use crate::{
    command::run,
    services,
    workspace::{cargo, executables, with_executables, with_services},
};

/// Optimised, and quicker to build than `release`.
const MEASURED: &str = "measured";

/// Builds what the program needs and becomes it; so its exit code and its signals are ours. Returns only an error.
pub(crate) fn play(name: &str, arguments: &[&str]) -> Result<Infallible> {
    let urls = services::up()?;
    let mut played = build(name, "dev")?;
    with_services(played.args(arguments), &urls)?;
    Err(become_it(played))
}

/// The same for a program that starts servers of its own, because it kills them.
pub(crate) fn play_with_own_servers(name: &str, arguments: &[&str]) -> Result<Infallible> {
    services::programs()?;
    let mut played = build(name, "dev")?;
    with_executables(played.args(arguments), "dev")?;
    Err(become_it(played))
}

/// The same, built to be measured.
pub(crate) fn measure(name: &str, arguments: &[&str]) -> Result<Infallible> {
    services::programs()?;
    let mut played = build(name, MEASURED)?;
    with_executables(played.args(arguments), MEASURED)?;
    Err(become_it(played))
}

fn build(name: &str, profile: &str) -> Result<Command> {
    let mut build = cargo();
    build.args([
        "build",
        "--profile",
        profile,
        "--package",
        "kassa",
        "--package",
        "simulator",
        "--package",
        "kassa-tests",
        "--bins",
    ]);
    ensure!(run(&mut build)?.success(), "{name} does not build");
    Ok(Command::new(executables(profile)?.join(name)))
}

fn become_it(mut program: Command) -> anyhow::Error {
    let error = program.exec();
    anyhow::Error::new(error).context(format!("{} cannot be started", program.get_program().display()))
}
