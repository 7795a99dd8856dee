//! The `[gates]` section.

use std::time::Duration;

use serde::Deserialize;

/// When the gate of an account is closed, how it is probed, and how workers share the limits of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSettings {
    /// Failures in a row that close a gate, seen by one process.
    pub failures: u32,
    /// Over how many documents at least.
    pub documents: u32,
    /// The wait before the first probe; it doubles with each probe that fails.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
    /// The longest wait between two probes.
    #[serde(with = "humantime_serde")]
    pub longest_probe_interval: Duration,
    /// After opening, one call at once is let through, and twice as many after each of these.
    #[serde(with = "humantime_serde")]
    pub ramp_step: Duration,
    /// How often a process looks at the gates and shows itself to the other workers.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// A worker that has not shown itself for so long is gone, and its share of the limits is the others'.
    #[serde(with = "humantime_serde")]
    pub worker_expiry: Duration,
}

impl GateSettings {
    /// The defaults of this section, commented.
    pub const DEFAULTS: &'static str = include_str!("defaults.toml");

    /// Everything in this section that cannot work, one sentence each, naming the key.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.documents == 0 || self.failures < self.documents {
            faults.push("gates.failures: must not be less than gates.documents, which must be at least 1".to_owned());
        }
        for (key, duration) in [
            ("probe_interval", self.probe_interval),
            ("ramp_step", self.ramp_step),
            ("interval", self.interval),
        ] {
            if duration.is_zero() {
                faults.push(format!("gates.{key}: must be above 0"));
            }
        }
        if self.longest_probe_interval < self.probe_interval {
            faults.push("gates.longest_probe_interval: must not be shorter than gates.probe_interval".to_owned());
        }
        if self.worker_expiry < self.interval.saturating_mul(6) {
            // Half of it is how long a worker may go on with what it last saw.
            faults.push("gates.worker_expiry: must be at least six times gates.interval".to_owned());
        }
        faults
    }

    /// The wait before the next probe, when so many have failed since the gate was closed.
    #[must_use]
    pub fn probe_wait(&self, failed: u32) -> Duration {
        let doubled = 2_u32
            .checked_pow(failed)
            .map(|times| self.probe_interval.saturating_mul(times));
        doubled.unwrap_or(Duration::MAX).min(self.longest_probe_interval)
    }

    /// How long what was seen of the other workers may be believed, and how long a newcomer waits for its share: so a
    /// newcomer takes its share when everybody else has left it.
    #[must_use]
    pub fn settle(&self) -> Duration {
        self.worker_expiry / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> GateSettings {
        GateSettings {
            failures: 5,
            documents: 3,
            probe_interval: Duration::from_secs(5),
            longest_probe_interval: Duration::from_secs(300),
            ramp_step: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            worker_expiry: Duration::from_secs(10),
        }
    }

    #[test]
    fn the_wait_for_a_probe_doubles_up_to_the_longest() {
        let waits: Vec<u64> = (0..9).map(|failed| settings().probe_wait(failed).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(settings().probe_wait(u32::MAX).as_secs(), 300);
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        assert!(settings().faults().is_empty());
        let wrong = GateSettings {
            failures: 2,
            documents: 3,
            probe_interval: Duration::ZERO,
            longest_probe_interval: Duration::from_secs(1),
            ramp_step: Duration::ZERO,
            interval: Duration::from_secs(2),
            worker_expiry: Duration::from_secs(10),
        };
        let faults = wrong.faults().join("\n");
        for key in ["failures", "probe_interval", "ramp_step", "worker_expiry"] {
            assert!(faults.contains(&format!("gates.{key}")), "{key} in {faults}");
        }
        let short = GateSettings {
            longest_probe_interval: Duration::from_secs(1),
            ..settings()
        };
        assert!(short.faults()[0].contains("longest_probe_interval"));
    }
}
