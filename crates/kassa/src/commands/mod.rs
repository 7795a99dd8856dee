//! One file per command.

pub(crate) mod account;
pub(crate) mod actor;
pub(crate) mod cancel;
pub(crate) mod check_config;
pub(crate) mod dead;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod manual;
pub(crate) mod migrate;
pub(crate) mod report;
pub(crate) mod resell;
pub(crate) mod resolve;
pub(crate) mod send;
pub(crate) mod show;
pub(crate) mod submit;
pub(crate) mod target;
pub(crate) mod topology;
pub(crate) mod update;
pub(crate) mod wait;
pub(crate) mod webhook;

use std::path::PathBuf;

use ledger::Ledger;

use crate::config::{self, Config};

/// The configuration and the ledger, for a command that reads or writes the table.
fn open(file: Option<PathBuf>) -> anyhow::Result<(Config, Ledger)> {
    let config = config::load(file)?.value;
    let ledger = Ledger::open(&config.database, "command")?;
    Ok((config, ledger))
}
