//! The servers of `docker-compose.yml`, where a Docker engine is what there is.

use std::{process::Command, time::Duration};

use anyhow::{Result, bail};

use crate::{
    command::{output, run, succeeds},
    progress::timed,
    workspace,
};

const LIMIT: Duration = Duration::from_secs(5);

/// As `docker-compose.yml` has them.
pub(crate) const DATABASE_URL: &str = "postgres://kassa:kassa@127.0.0.1:25432/kassa";
pub(crate) const DATABASE_URL_INSIDE: &str = "postgres://kassa:kassa@127.0.0.1:5432/kassa";
pub(crate) const AMQP_URL: &str = "amqp://kassa:kassa@127.0.0.1:25672/%2f";

/// Whether an engine answers and compose is there; the client alone is of no use.
pub(crate) fn engine_answers() -> bool {
    succeeds(
        Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"]),
        LIMIT,
    ) && succeeds(Command::new("docker").args(["compose", "version"]), LIMIT)
}

/// Starts one service and waits until its health check is content.
pub(crate) fn up(service: &str) -> Result<()> {
    timed("docker", &format!("{service} is up"), || {
        if run(compose().args(["up", "--detach", "--wait", service]))?.success() {
            return Ok(());
        }
        bail!("docker compose could not start {service}")
    })
}

/// Removes the containers.
pub(crate) fn down() -> Result<()> {
    timed("docker", "stopped", || {
        if run(compose().arg("down"))?.success() {
            return Ok(());
        }
        bail!("docker compose could not stop the services")
    })
}

/// Whether a container of the service runs.
pub(crate) fn runs(service: &str) -> bool {
    output(
        compose().args(["ps", "--status", "running", "--quiet", service]),
        Duration::from_secs(5),
    )
    .is_ok_and(|containers| !containers.trim().is_empty())
}

/// `docker compose` for our file.
pub(crate) fn compose() -> Command {
    let mut compose = Command::new("docker");
    compose
        .args(["compose", "--file"])
        .arg(workspace::root().join("docker-compose.yml"));
    compose
}
