//! The programs of `tests/` that a person starts: the demo and the benchmark.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Result, ensure};

use crate::{
    command::run,
    services,
    workspace::{cargo, executables, with_services},
};

/// Builds what the program needs and becomes it; so its exit code and its signals are ours. Returns only an error.
pub(crate) fn play(name: &str, arguments: &[&str]) -> Result<std::convert::Infallible> {
    let urls = services::up()?;
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
    let program = executables()?.join(name);
    let mut played = Command::new(&program);
    with_services(played.args(arguments), &urls)?;
    let error = played.exec();
    Err(anyhow::Error::new(error).context(format!("{} cannot be started", program.display())))
}
