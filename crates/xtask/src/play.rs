//! The programs of `tests/` that a person starts: the demo, the benchmark and the chaos run.

use std::{convert::Infallible, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Result, ensure};

use crate::{
    command::run,
    services,
    workspace::{cargo, executables, with_executables, with_services},
};

/// Builds what the program needs and becomes it; so its exit code and its signals are ours. Returns only an error.
pub(crate) fn play(name: &str, arguments: &[&str]) -> Result<Infallible> {
    let urls = services::up()?;
    let mut played = build(name)?;
    with_services(played.args(arguments), &urls)?;
    Err(become_it(played))
}

/// The same for a program that starts servers of its own, because it kills them.
pub(crate) fn play_with_own_servers(name: &str, arguments: &[&str]) -> Result<Infallible> {
    services::programs()?;
    let mut played = build(name)?;
    with_executables(played.args(arguments))?;
    Err(become_it(played))
}

fn build(name: &str) -> Result<Command> {
    let mut build = cargo();
    build.args([
        "build",
        "--package",
        "kassa",
        "--package",
        "simulator",
        "--package",
        "kassa-tests",
        "--bins",
    ]);
    ensure!(run(&mut build)?.success(), "{name} does not build");
    Ok(Command::new(executables()?.join(name)))
}

fn become_it(mut program: Command) -> anyhow::Error {
    let error = program.exec();
    anyhow::Error::new(error).context(format!("{} cannot be started", program.get_program().display()))
}
