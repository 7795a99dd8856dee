//! The whole configuration: each section is a crate's own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use receipt::intake::Directory;
use receipt::{AccountName, StoreCode, StoreSettings};
use serde::Deserialize;
use service::config::{Loaded, Sources};
use vendors::{AccountSettings, CallTimeouts, Registry};

/// Every section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) log: service::telemetry::Telemetry,
    pub(crate) health: service::health::HealthConfig,
    pub(crate) database: ledger::Config,
    pub(crate) broker: queue::Config,
    #[serde(default)]
    pub(crate) calls: CallTimeouts,
    pub(crate) sender: sender::Config,
    pub(crate) poller: poller::Config,
    pub(crate) webhooks: webhooks::Config,
    #[serde(default)]
    pub(crate) accounts: BTreeMap<AccountName, AccountSettings>,
    #[serde(default)]
    pub(crate) stores: BTreeMap<StoreCode, StoreSettings>,
}

/// The commented defaults of all sections, in the order in which they are printed.
pub(crate) const DEFAULTS: [&str; 5] = [
    service::DEFAULTS,
    sender::Config::DEFAULTS,
    poller::Config::DEFAULTS,
    webhooks::Config::DEFAULTS,
    include_str!("defaults.toml"),
];

/// Loads the configuration without judging combinations.
pub(crate) fn load(file: Option<PathBuf>) -> anyhow::Result<Loaded<Config>> {
    let sources = DEFAULTS
        .into_iter()
        .fold(Sources::from_process(file), Sources::defaults);
    // Names that tools around kassa use.
    let sources = sources.ignore(["KASSA_CONFIG", "KASSA_BIN", "KASSA_SIMULATOR_BIN", "KASSA_SERVICES_DIR"]);
    service::config::load(sources)
        .context("the configuration (--config FILE, else KASSA_CONFIG, else /etc/kassa/kassa.toml) cannot be used")
}

impl Config {
    /// Everything that cannot work, one sentence each, beginning with the key.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = vendors::registry::faults(&self.accounts, self.calls);
        for (code, store) in &self.stores {
            faults.extend(store.faults().into_iter().map(|fault| format!("stores.{code}.{fault}")));
            if !self.accounts.contains_key(&store.account) {
                let known: Vec<_> = self.accounts.keys().map(AccountName::as_str).collect();
                faults.push(format!(
                    "stores.{code}.account: there is no account {}; configured are: {}",
                    store.account,
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    }
                ));
            }
        }
        let longest_call = Registry::build(&self.accounts, self.calls)
            .map_or(std::time::Duration::ZERO, |registry| registry.longest_call());
        faults.extend(self.sender.faults(longest_call));
        faults.extend(self.poller.faults());
        faults.extend(self.webhooks.faults(&self.stores));
        faults
    }

    /// The same, as an error.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let faults = self.faults();
        anyhow::ensure!(
            faults.is_empty(),
            "the configuration cannot work:\n  {}",
            faults.join("\n  ")
        );
        Ok(())
    }

    /// Which stores there are, and which vendor each account has.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        Arc::new(Directory {
            stores: self.stores.clone(),
            vendors: self
                .accounts
                .iter()
                .map(|(name, account)| (name.clone(), account.vendor()))
                .collect(),
        })
    }

    /// Every retry interval of every store: each has a delay exchange.
    pub(crate) fn delays(&self) -> Vec<std::time::Duration> {
        let mut delays: Vec<_> = self
            .stores
            .values()
            .flat_map(|store| store.retry_intervals.iter().copied())
            .collect();
        delays.sort();
        delays.dedup();
        delays
    }

    /// The broker's topology.
    pub(crate) fn topology(&self) -> queue::Topology {
        let directory = self.directory();
        let mut vendors: Vec<_> = directory.vendors.values().cloned().collect();
        vendors.sort();
        vendors.dedup();
        let delays = match self.sender.delays {
            sender::Delays::Broker => self.delays(),
            sender::Delays::Table => Vec::new(),
        };
        queue::Topology::new(&self.broker.prefix, &vendors, &delays)
    }
}
