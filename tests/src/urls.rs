//! The servers and executables that the test command names in the environment.

use std::path::PathBuf;

use anyhow::{Context, ensure};

/// Where Postgres is; every test makes a database of its own there.
///
/// # Errors
/// Says which command sets it.
pub fn database_url() -> anyhow::Result<String> {
    std::env::var("DATABASE_URL").context("DATABASE_URL is not set; run `cargo xtask test`, which starts the servers")
}

/// Where RabbitMQ is; every test has a prefix of its own there.
///
/// # Errors
/// Says which command sets it.
pub fn amqp_url() -> anyhow::Result<String> {
    std::env::var("AMQP_URL").context("AMQP_URL is not set; run `cargo xtask test`, which starts the servers")
}

/// The two servers that a fleet needs.
#[derive(Debug, Clone)]
pub struct Servers {
    /// Postgres, as somebody who may make databases.
    pub database_url: String,
    /// `RabbitMQ`.
    pub amqp_url: String,
}

impl Servers {
    /// Those of the test command.
    ///
    /// # Errors
    /// Says which command sets them.
    pub fn given() -> anyhow::Result<Self> {
        Ok(Self {
            database_url: database_url()?,
            amqp_url: amqp_url()?,
        })
    }
}

/// An executable of ours: named by the variable, or beside the running one.
///
/// # Errors
/// Says which command builds it.
pub fn executable(variable: &str, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe()?;
    // A binary stands in target/<profile>, a test in target/<profile>/deps.
    let beside = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    let path =
        beside.with_context(|| format!("there is no {name} beside {}; run `cargo xtask test`", own.display()))?;
    ensure!(path.is_file(), "{} is not a file", path.display());
    Ok(path)
}
