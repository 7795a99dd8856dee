//! `cargo xtask chaos`: a running fleet under a seeded schedule of faults.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Result, ensure};

use crate::{
    command::run,
    services,
    workspace::{cargo, executables, with_executables},
};

/// Builds what the run needs and becomes it; so its exit code and its signals are ours. It starts servers of its own,
/// because it kills them. Returns only an error.
pub(crate) fn chaos(arguments: &[&str]) -> Result<std::convert::Infallible> {
    services::programs()?;
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
    ensure!(run(&mut build)?.success(), "the chaos run does not build");
    let program = executables()?.join("chaos");
    let mut chaos = Command::new(&program);
    with_executables(chaos.args(arguments))?;
    let error = chaos.exec();
    Err(anyhow::Error::new(error).context(format!("{} cannot be started", program.display())))
}
