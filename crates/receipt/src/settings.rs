//! Vendor-neutral settings of one store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::callback::{self, CallbackSecret};
use crate::class::Refusal;
use crate::content::{Operation, PaymentMethod, PaymentObject, TaxSystem, Vat};
use crate::id::{AccountName, StoreCode, VendorName};
use crate::non_fatal::{ErrorCode, reclassed};
use crate::policy::{Gate, RetryPolicy};
use crate::webhook::WebhookSettings;

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
    /// Whether a sale is sent as soon as it is accepted. Otherwise it is `held` until a person sends it.
    #[serde(default = "yes")]
    pub auto_send_invoice: bool,
    /// The same for refunds.
    #[serde(default = "yes")]
    pub auto_send_creditmemo: bool,
    /// Codes of the vendor after which a receipt that would fail is sent again under the next id. Only codes that prove
    /// the id dead work here.
    #[serde(default)]
    pub non_fatal_codes: Vec<ErrorCode>,
    /// Waits between polls; the last one repeats, hourly after a day or once the receipt is overdue.
    #[serde(default = "poll_intervals", with = "durations")]
    pub poll_intervals: Vec<Duration>,
    /// The poll limit: how long a receipt may wait at the vendor before people are told that it is overdue. It goes on
    /// waiting all the same, asked about once an hour.
    #[serde(default = "one_day", with = "humantime_serde")]
    pub overdue_after: Duration,
    /// Name of the zone in which this store's days of business begin and end, such as `Europe/Moscow`. Whoever loads the
    /// settings checks it: this crate knows no zones.
    #[serde(default = "moscow")]
    pub time_zone: String,
    /// Where vendors reach this store's callbacks, up to their path; without it the address of the whole fleet.
    #[serde(default)]
    pub public_url: Option<String>,
    /// The first one stands in new requests, all of them are answered. Without any, callbacks are off.
    #[serde(default)]
    pub callback_secrets: Vec<CallbackSecret>,
    /// Where this store is told by HTTP; absent: by the broker alone.
    #[serde(default)]
    pub webhook: Option<WebhookSettings>,
}

/// Who decides that an accepted receipt is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// It is sent as soon as there is a slot.
    Automatic,
    /// A person.
    ByHand,
}

/// The time zone of a store that says nothing else, or is not configured any more.
pub const TIME_ZONE: &str = "Europe/Moscow";

/// The poll limit of transactions whose store is not configured any more.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(86_400);

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

    /// Who decides that a receipt of this operation is sent. A resell is a person's action already.
    #[must_use]
    pub const fn sending(&self, operation: Operation) -> Sending {
        let automatic = match operation {
            Operation::Sell => self.auto_send_invoice,
            Operation::Refund => self.auto_send_creditmemo,
            Operation::ResellRefund | Operation::ResellSell => true,
        };
        if automatic { Sending::Automatic } else { Sending::ByHand }
    }

    /// The refusal as this store's `non_fatal_codes` have it.
    #[must_use]
    pub fn reclassed(&self, refusal: Refusal) -> Refusal {
        reclassed(refusal, &self.non_fatal_codes)
    }

    /// The wait before the next poll of a registration that was asked `polls` times and is `age` old.
    #[must_use]
    pub fn poll_delay(&self, polls: u32, age: Duration) -> Duration {
        const HOUR: Duration = Duration::from_secs(3600);
        const DAY: Duration = Duration::from_secs(86_400);
        let step = usize::try_from(polls).unwrap_or(usize::MAX);
        let last = self.poll_intervals.last().copied().unwrap_or(Duration::from_secs(60));
        if age >= DAY.min(self.overdue_after) {
            return HOUR.max(last);
        }
        self.poll_intervals.get(step).copied().unwrap_or(last)
    }

    /// Where `vendor` may tell that a registration of this store has ended, if callbacks are on. It holds a secret.
    #[must_use]
    pub fn callback_url(&self, store: &StoreCode, vendor: &VendorName) -> Option<String> {
        let base = self.public_url.as_deref()?.trim_end_matches('/');
        let secret = self.callback_secrets.first()?;
        Some(format!("{base}{}", callback::path(vendor, store, secret)))
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
        if self.overdue_after.as_secs() < 1 {
            faults.push("overdue_after: must be at least 1s".to_owned());
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
        for (place, secret) in self.callback_secrets.iter().enumerate() {
            faults.extend(
                secret
                    .fault()
                    .map(|fault| format!("callback_secrets[{place}]: {fault}")),
            );
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

fn moscow() -> String {
    TIME_ZONE.to_owned()
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 86_400;

    fn store(more: &Value) -> StoreSettings {
        let mut section = json!({
            "account": "main",
            "inn": "7701234567",
            "sno": "osn",
            "payment_address": "https://shop.example",
            "company_email": "kassa@shop.example",
        });
        for (key, value) in more.as_object().expect("a section") {
            section[key] = value.clone();
        }
        serde_json::from_value(section).expect("a store")
    }

    #[test]
    fn polls_follow_the_intervals_the_last_one_repeats_and_a_day_or_being_overdue_makes_them_hourly() {
        let usual = json!({});
        let short = json!({ "overdue_after": "1h" });
        let patient = json!({ "overdue_after": "3days" });
        let slow = json!({ "poll_intervals": ["2h"] });
        let single = json!({ "poll_intervals": ["7s"] });
        for (section, polls, age, expected) in [
            (&usual, 0, 0, 5),
            (&usual, 1, 5, 15),
            (&usual, 2, 20, 30),
            (&usual, 3, 50, 60),
            (&usual, 4, 110, 60),
            (&usual, u32::MAX, DAY - 1, 60),
            // A day old, however often it was asked about.
            (&usual, 0, DAY, HOUR),
            (&usual, 3, 30 * DAY, HOUR),
            // Overdue before that.
            (&short, 9, HOUR - 1, 60),
            (&short, 9, HOUR, HOUR),
            // Hourly after a day, also where it is overdue only later.
            (&patient, 9, DAY, HOUR),
            // Never more often than the store asks for.
            (&slow, 0, 0, 2 * HOUR),
            (&slow, 1, DAY, 2 * HOUR),
            (&single, 5, 60, 7),
        ] {
            assert_eq!(
                store(section).poll_delay(polls, Duration::from_secs(age)),
                Duration::from_secs(expected),
                "{section}: asked {polls} times, {age} s old"
            );
        }
    }

    #[test]
    fn each_operation_has_its_own_switch_and_a_resell_is_a_persons_action_already() {
        let by_hand = |section: &Value| {
            let store = store(section);
            let all = Operation::ALL.iter().copied();
            all.filter(|operation| store.sending(*operation) == Sending::ByHand)
                .collect::<Vec<_>>()
        };
        let (sales, refunds) = (
            json!({ "auto_send_invoice": false }),
            json!({ "auto_send_creditmemo": false }),
        );
        assert_eq!(by_hand(&json!({})), []);
        assert_eq!(by_hand(&sales), [Operation::Sell]);
        assert_eq!(by_hand(&refunds), [Operation::Refund]);
    }
}
