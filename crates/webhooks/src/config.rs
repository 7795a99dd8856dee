//! The section `[webhooks]`, and what is judged about the webhooks of the stores.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use receipt::{StoreCode, StoreSettings};
use serde::Deserialize;

use crate::address::Network;
use crate::client::Client;
use crate::endpoint;

/// How webhooks are delivered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Deliveries that one process has under way at once, for each store.
    pub slots: u32,
    /// How often deliveries are looked for when there were none.
    #[serde(with = "service::config::duration")]
    pub interval: Duration,
    /// The wait after each failed try; a delivery has one try more than there are waits.
    #[serde(with = "service::config::durations")]
    pub retry_intervals: Vec<Duration>,
    /// For DNS, TCP and TLS together.
    #[serde(with = "service::config::duration")]
    pub connect: Duration,
    /// For one try with everything that belongs to it.
    #[serde(with = "service::config::duration")]
    pub call: Duration,
    /// How long deliveries that were taken are remembered.
    #[serde(with = "service::config::duration")]
    pub keep: Duration,
    /// Networks that are not public and may be posted to all the same.
    pub allow_networks: Vec<Network>,
    /// Whether an endpoint may be `http`.
    pub allow_http: bool,
    /// Root certificates beside the system's and Mozilla's, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl Config {
    /// The defaults of this section, commented.
    pub const DEFAULTS: &'static str = include_str!("defaults.toml");

    /// Everything that cannot work in this section and in the webhooks of the stores, one sentence each, naming the key.
    #[must_use]
    pub fn faults(&self, stores: &BTreeMap<StoreCode, StoreSettings>) -> Vec<String> {
        let mut faults = Vec::new();
        if self.slots == 0 {
            faults.push("webhooks.slots: must be at least 1".to_owned());
        }
        for (key, time) in [("interval", self.interval), ("connect", self.connect)] {
            if time.is_zero() {
                faults.push(format!("webhooks.{key}: must be above 0"));
            }
        }
        if self.call <= self.connect {
            faults.push("webhooks.call: must be longer than webhooks.connect".to_owned());
        }
        if self.retry_intervals.iter().any(Duration::is_zero) {
            faults.push("webhooks.retry_intervals: every wait must be above 0".to_owned());
        }
        if let Err(unusable) = Client::build(self) {
            faults.push(format!("webhooks.ca_file: {}", service::error::chain(&unusable)));
        }
        for (code, store) in stores {
            if let Some(webhook) = &store.webhook {
                let own = endpoint::faults(webhook, self);
                faults.extend(own.into_iter().map(|fault| format!("stores.{code}.webhook.{fault}")));
            }
        }
        faults
    }

    /// How long a claim holds: the try, and what recording it may take on a slow database.
    pub(crate) fn hold(&self) -> Duration {
        self.call + Duration::from_secs(20)
    }
}
