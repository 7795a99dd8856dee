//! The `[sender]` section.

use std::time::Duration;

use ledger::Lease;
use serde::Deserialize;

/// What wakes a receipt that waits for its next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delays {
    /// A delay exchange where there is one for the wait, the table behind it.
    Broker,
    /// The table alone.
    Table,
}

/// How a sender works.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Calls that one process has under way at once, for each account.
    pub slots: u32,
    /// Requests that one process accepts at once. Acceptance runs ahead of the vendors' capacity.
    pub intake_prefetch: u16,
    /// How long a claim holds; longer than the longest call and its recording.
    #[serde(with = "service::config::duration")]
    pub lease: Duration,
    /// The shortest time between a try that the vendor may have seen and the next post of the same id.
    #[serde(with = "service::config::duration")]
    pub quiet_time: Duration,
    /// How long a row is due before the table alone wakes it: what a lost pointer costs.
    #[serde(with = "service::config::duration")]
    pub grace: Duration,
    /// How often due rows are looked for.
    #[serde(with = "service::config::duration")]
    pub sweep_interval: Duration,
    /// What wakes a receipt that waits.
    pub delays: Delays,
    /// How long a stopping process waits for what is under way.
    #[serde(with = "service::config::duration")]
    pub drain: Duration,
}

impl Config {
    /// The defaults of this section, commented.
    pub const DEFAULTS: &'static str = include_str!("defaults.toml");

    /// How long claims hold, and what follows them.
    #[must_use]
    pub const fn claim_lease(&self) -> Lease {
        Lease {
            hold: self.lease,
            quiet_time: self.quiet_time,
        }
    }

    /// Everything in this section that cannot work, one sentence each, naming the key. `longest_call` is the longest
    /// that one call at any configured vendor can take, token included.
    #[must_use]
    pub fn faults(&self, longest_call: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        let shortest = longest_call.saturating_add(RECORDING).saturating_add(STARTING);
        if self.lease < shortest {
            faults.push(format!(
                "sender.lease: {:?} is too short for the longest call, its start and its recording; set it to at least \
                 {shortest:?}",
                self.lease
            ));
        }
        if self.slots == 0 {
            faults.push("sender.slots: must be at least 1".to_owned());
        }
        if self.intake_prefetch == 0 {
            faults.push("sender.intake_prefetch: must be at least 1".to_owned());
        }
        if self.sweep_interval.is_zero() {
            faults.push("sender.sweep_interval: must be above 0".to_owned());
        }
        faults
    }
}

/// What a lease must leave for writing the outcome down, and for clocks that run apart.
pub(crate) const RECORDING: Duration = Duration::from_secs(1);
/// What a lease must leave between the claim and the call, the wait for its turn included: an attempt that begins later is
/// given back unsent, so with nothing left none would ever be made.
pub(crate) const STARTING: Duration = Duration::from_secs(1);
