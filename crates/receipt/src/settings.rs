//! Vendor-neutral settings of one store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::content::{PaymentMethod, PaymentObject, TaxSystem, Vat};
use crate::id::AccountName;
use crate::policy::{Gate, RetryPolicy};

/// One `[stores.<code>]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// The account at the vendor that registers this store's receipts.
    pub account: AccountName,
    /// INN of the seller, 10 or 12 digits.
    pub inn: String,
    /// Tax system of the seller (tag 1055).
    pub sno: TaxSystem,
    /// Place of settlement (tag 1187): the shop's address on the web.
    pub payment_address: String,
    /// Sender of the receipt (tag 1117).
    pub company_email: String,
    /// VAT rate of lines that name none; without it such a line is an error.
    #[serde(default)]
    pub default_vat: Option<Vat>,
    /// Payment method of lines that name none.
    #[serde(default = "full_payment")]
    pub default_payment_method: PaymentMethod,
    /// Payment object of lines that name none.
    #[serde(default = "commodity")]
    pub default_payment_object: PaymentObject,
    /// Waits between sends; the last one repeats.
    #[serde(default = "retry_intervals", with = "durations")]
    pub retry_intervals: Vec<Duration>,
    /// Sends of one cycle.
    #[serde(default = "max_trials")]
    pub max_trials: u32,
    /// The wait between two cycles.
    #[serde(default = "one_day", with = "humantime_serde")]
    pub resume_after: Duration,
    /// Whether there is a next cycle after `max_trials`.
    #[serde(default = "yes")]
    pub retry_endlessly: bool,
    /// Waits between polls; the last one repeats, hourly after a day.
    #[serde(default = "poll_intervals", with = "durations")]
    pub poll_intervals: Vec<Duration>,
}

impl StoreSettings {
    /// The retry policy of this store. `quiet_time` comes from the sender's settings.
    #[must_use]
    pub fn retry_policy(&self, quiet_time: Duration) -> RetryPolicy {
        RetryPolicy {
            intervals: self.retry_intervals.clone(),
            max_trials: self.max_trials,
            resume_after: self.resume_after,
            retry_endlessly: self.retry_endlessly,
            quiet_time,
            gate: Gate::Open,
        }
    }

    /// The wait before the next poll of a registration that was asked `polls` times and is `age` old.
    #[must_use]
    pub fn poll_delay(&self, polls: u32, age: Duration) -> Duration {
        const HOUR: Duration = Duration::from_secs(3600);
        if age >= Duration::from_secs(86_400) {
            return HOUR;
        }
        let step = usize::try_from(polls).unwrap_or(usize::MAX);
        let last = self.poll_intervals.last().copied().unwrap_or(Duration::from_secs(60));
        self.poll_intervals.get(step).copied().unwrap_or(last)
    }

    /// Everything in this section that cannot work, one sentence each, naming the key.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !matches!(self.inn.len(), 10 | 12) || !self.inn.bytes().all(|byte| byte.is_ascii_digit()) {
            faults.push("inn: must be 10 or 12 digits".to_owned());
        }
        if self.payment_address.is_empty() || self.payment_address.chars().count() > 256 {
            faults.push("payment_address: must have 1 to 256 characters".to_owned());
        }
        if !self.company_email.contains('@') || self.company_email.len() > 64 {
            faults.push("company_email: must be an e-mail address of at most 64 characters".to_owned());
        }
        if self
            .retry_intervals
            .last()
            .is_some_and(|last| self.resume_after < *last)
        {
            faults.push("resume_after: must not be shorter than the last of retry_intervals".to_owned());
        }
        if self.max_trials == 0 {
            faults.push("max_trials: must be at least 1".to_owned());
        }
        for (key, intervals) in [
            ("retry_intervals", &self.retry_intervals),
            ("poll_intervals", &self.poll_intervals),
        ] {
            if intervals.is_empty() {
                faults.push(format!("{key}: must name at least one interval"));
            }
            if intervals
                .iter()
                .any(|interval| interval.as_millis() < 1000 || interval.subsec_nanos() != 0)
            {
                faults.push(format!("{key}: every interval must be at least 1s and whole seconds"));
            }
        }
        faults
    }
}

fn full_payment() -> PaymentMethod {
    PaymentMethod::FullPayment
}

fn commodity() -> PaymentObject {
    PaymentObject::Commodity
}

fn retry_intervals() -> Vec<Duration> {
    [60, 300, 900, 1800, 3600].map(Duration::from_secs).to_vec()
}

fn poll_intervals() -> Vec<Duration> {
    [5, 15, 30, 60].map(Duration::from_secs).to_vec()
}

fn max_trials() -> u32 {
    10
}

fn one_day() -> Duration {
    Duration::from_secs(86_400)
}

fn yes() -> bool {
    true
}

/// Lists of durations as texts: `["1m", "5m"]`.
mod durations {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "humantime_serde")] Duration);

    pub(super) fn serialize<S: Serializer>(durations: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(durations.iter().map(|duration| Text(*duration)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<Text>::deserialize(from)?.into_iter().map(|text| text.0).collect())
    }
}
