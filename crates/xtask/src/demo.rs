//! `cargo xtask demo`: the fleet at work before your eyes.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Result, ensure};

use crate::{
    command::run,
    services,
    workspace::{cargo, executables, with_services},
};

/// Builds what the demo needs and becomes it; so its exit code and its signals are ours. Returns only an error.
pub(crate) fn demo(arguments: &[&str]) -> Result<std::convert::Infallible> {
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
    ensure!(run(&mut build)?.success(), "the demo does not build");
    let program = executables()?.join("demo");
    let mut demo = Command::new(&program);
    with_services(demo.args(arguments), &urls)?;
    let error = demo.exec();
    Err(anyhow::Error::new(error).context(format!("{} cannot be started", program.display())))
}
