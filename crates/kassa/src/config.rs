//! The whole configuration: each section is a crate's own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use ledger::{GateSettings, Ledger, Watch, WorkerRole};
use receipt::intake::Directory;
use receipt::{AccountName, Limits, StoreCode, StoreSettings};
use reporter::{MailConfig, ReportSettings};
use serde::Deserialize;
use service::config::{Loaded, Sources};
use vendors::{AccountSettings, CallTimeouts, Registry};

use crate::http::{self, HttpConfig};

/// Every section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) log: service::telemetry::Telemetry,
    pub(crate) health: service::health::HealthConfig,
    pub(crate) database: ledger::Config,
    pub(crate) broker: queue::Config,
    pub(crate) http: HttpConfig,
    #[serde(default)]
    pub(crate) calls: CallTimeouts,
    pub(crate) sender: sender::Config,
    pub(crate) poller: poller::Config,
    pub(crate) gates: GateSettings,
    #[serde(default)]
    pub(crate) limits: BTreeMap<AccountName, Limits>,
    pub(crate) webhooks: webhooks::Config,
    pub(crate) mail: MailConfig,
    #[serde(default)]
    pub(crate) reports: BTreeMap<StoreCode, ReportSettings>,
    #[serde(default)]
    pub(crate) accounts: BTreeMap<AccountName, AccountSettings>,
    #[serde(default)]
    pub(crate) stores: BTreeMap<StoreCode, StoreSettings>,
}

/// The commented defaults of all sections, in the order in which they are printed.
pub(crate) const DEFAULTS: [&str; 7] = [
    service::DEFAULTS,
    sender::Config::DEFAULTS,
    poller::Config::DEFAULTS,
    GateSettings::DEFAULTS,
    webhooks::Config::DEFAULTS,
    MailConfig::DEFAULTS,
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
            if let Err(unknown) = reporter::time_zone(&store.time_zone) {
                faults.push(format!("stores.{code}.time_zone: {unknown}"));
            }
            if let Some(account) = self.accounts.get(&store.account) {
                let wrong = vendors::non_fatal_faults(&account.vendor(), &store.non_fatal_codes);
                faults.extend(
                    wrong
                        .into_iter()
                        .map(|fault| format!("stores.{code}.non_fatal_codes: {fault}")),
                );
            } else {
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
        let registry = Registry::build(&self.accounts, self.calls).ok();
        if let Some(registry) = &registry {
            let directory = self.directory();
            faults.extend(http::callback_faults(&self.http, &directory, &self.stores, registry));
        }
        let longest_call = registry.map_or(std::time::Duration::ZERO, |registry| registry.longest_call());
        faults.extend(self.sender.faults(longest_call));
        faults.extend(self.poller.faults());
        faults.extend(self.http.faults());
        faults.extend(self.gates.faults());
        for (account, limits) in &self.limits {
            faults.extend(
                limits
                    .faults()
                    .into_iter()
                    .map(|fault| format!("limits.{account}.{fault}")),
            );
            if !self.accounts.contains_key(account) {
                faults.push(format!("limits.{account}: there is no account {account}"));
            }
        }
        faults.extend(self.webhooks.faults(&self.stores));
        faults.extend(self.mail.faults(&self.reports, &self.stores));
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

    /// Which stores there are, each with the public address that it has of its own or shares, and which vendor each
    /// account has.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        let shared = &self.http.public_url;
        let with_address = |(code, store): (&StoreCode, &StoreSettings)| {
            let public_url = store.public_url.clone().or_else(|| shared.clone());
            let store = StoreSettings {
                public_url,
                ..store.clone()
            };
            (code.clone(), store)
        };
        Arc::new(Directory {
            stores: self.stores.iter().map(with_address).collect(),
            vendors: self
                .accounts
                .iter()
                .map(|(name, account)| (name.clone(), account.vendor()))
                .collect(),
        })
    }

    /// The eye of one role on the gates and limits of the accounts.
    pub(crate) fn watch(&self, ledger: &Ledger, role: WorkerRole) -> Watch {
        let limits = self.limits.iter().map(|(account, limits)| (account.clone(), *limits));
        Watch::new(ledger.clone(), self.gates.clone(), limits, self.directory(), role)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One account of each vendor, without a word about times.
    const ACCOUNTS: &str = r#"
[database]
url = "postgres://kassa@127.0.0.1/kassa"
[broker]
url = "amqp://127.0.0.1"
[accounts.main]
vendor = "atol"
url = "https://online.atol.ru/possystem/v4"
login = "shop"
password = "secret"
group_code = "shop_1"
[accounts.second]
vendor = "checkonline"
url = "https://kkt.chekonline.ru"
cert_file = "/etc/kassa/second.crt"
key_file = "/etc/kassa/second.key"
"#;

    fn faults(with: &[(&str, &str)]) -> Vec<String> {
        let with = with
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = DEFAULTS.into_iter().chain([ACCOUNTS]);
        let sources = sources.fold(Sources::new(with), Sources::defaults);
        let loaded: Loaded<Config> = service::config::load(sources).expect("a configuration");
        loaded.value.faults()
    }

    #[test]
    fn the_default_lease_and_drain_outlast_the_slowest_vendors_call() {
        assert_eq!(faults(&[]), Vec::<String>::new());
        let slower = faults(&[("KASSA_ACCOUNTS__SECOND__CALL", "5m")]);
        assert!(
            slower.len() == 1 && slower[0].starts_with("sender.lease: "),
            "{slower:?}"
        );
        let shorter = [("KASSA_SENDER__LEASE", "75s")];
        assert!(faults(&shorter)[0].contains("at least 93s"), "{:?}", faults(&shorter));
        let both = [("KASSA_SENDER__LEASE", "75s"), ("KASSA_ACCOUNTS__SECOND__CALL", "60s")];
        assert_eq!(faults(&both), Vec::<String>::new());
        let config = faults(&[("KASSA_ACCOUNTS__SECOND__CALL", "5s")]);
        assert!(config[0].starts_with("accounts.second.call: "), "{config:?}");
    }
}
