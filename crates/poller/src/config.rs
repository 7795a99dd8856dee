//! The `[poller]` section.

use std::time::Duration;

use serde::Deserialize;

/// How a poller works.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Questions that one process has under way at once, for each account.
    pub slots: u32,
    /// How often due polls are looked for.
    #[serde(with = "service::config::duration")]
    pub interval: Duration,
    /// How often events are looked for when there were none.
    #[serde(with = "service::config::duration")]
    pub relay_interval: Duration,
    /// When a retired external id is asked about again, counted from the re-key.
    #[serde(with = "service::config::durations")]
    pub retired_checks: Vec<Duration>,
    /// How often receipts are looked for that have waited for longer than their store allows.
    #[serde(with = "service::config::duration")]
    pub overdue_interval: Duration,
    /// Messages of the broker's own dead letters that are looked at at once.
    pub dead_prefetch: u16,
    /// How often dead letters are looked for whose store has been configured since.
    #[serde(with = "service::config::duration")]
    pub replay_interval: Duration,
    /// How long a stopping process waits for what is under way.
    #[serde(with = "service::config::duration")]
    pub drain: Duration,
}

impl Config {
    /// The defaults of this section, commented.
    pub const DEFAULTS: &'static str = include_str!("defaults.toml");

    /// Everything in this section that cannot work, one sentence each, naming the key.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.slots == 0 {
            faults.push("poller.slots: must be at least 1".to_owned());
        }
        if self.retired_checks.is_empty() {
            faults.push("poller.retired_checks: must name at least one time".to_owned());
        }
        if self.dead_prefetch == 0 {
            faults.push("poller.dead_prefetch: must be at least 1".to_owned());
        }
        for (key, interval) in [
            ("interval", self.interval),
            ("relay_interval", self.relay_interval),
            ("replay_interval", self.replay_interval),
            ("overdue_interval", self.overdue_interval),
        ] {
            if interval.is_zero() {
                faults.push(format!("poller.{key}: must be above 0"));
            }
        }
        faults
    }
}
