//! What `/metrics` tells, in the text format of Prometheus.
//!
//! The names are a promise to whoever draws graphs and alerts of them, so all of them stand here. No label holds an id of
//! a receipt, an order or a buyer, and none may grow without a bound.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

const RECEIPTS_TOTAL: &str = "kassa_receipts_total";
const RECEIPTS: &str = "kassa_receipts";
const OLDEST_PENDING: &str = "kassa_oldest_pending_seconds";
const TIME_TO_REGISTER: &str = "kassa_time_to_register_seconds";
const REQUESTS: &str = "kassa_vendor_requests_total";
const REQUEST_DURATION: &str = "kassa_vendor_request_duration_seconds";
const ERRORS: &str = "kassa_vendor_errors_total";
const BREAKER: &str = "kassa_breaker_state";
const CALLBACKS: &str = "kassa_callbacks_total";
const WEBHOOKS: &str = "kassa_webhook_deliveries_total";
const REPORTS: &str = "kassa_reports_sent_total";
const DEAD_LETTERS: &str = "kassa_dead_letters";
const UNPUBLISHED: &str = "kassa_unpublished_events";
const BUILD: &str = "kassa_build_info";

/// Seconds. A vendor answers within one, its register within minutes, and what an outage delays within days.
const CALLS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
const WAITS: [f64; 12] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 7_200.0, 86_400.0, 604_800.0,
];
/// Codes that one process tells apart. A vendor has about a hundred; beyond that somebody makes them up.
const MOST_CODES: usize = 500;

/// What this process has measured.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// The metrics cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be set up: {0}")]
pub struct MetricsError(String);

/// Begins to measure, once for the process. What was counted before is gone.
///
/// # Errors
/// When somebody has begun before.
pub fn init() -> Result<Metrics, MetricsError> {
    let failed = |error: &dyn std::error::Error| MetricsError(error.to_string());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_DURATION.to_owned()), &CALLS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full(TIME_TO_REGISTER.to_owned()), &WAITS))
        .map_err(|error| failed(&error))?
        .install_recorder()
        .map_err(|error| failed(&error))?;
    describe();
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Metrics { handle })
}

impl Metrics {
    /// Everything measured so far, for `/metrics`.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn describe() {
    describe_counter!(RECEIPTS_TOTAL, "Receipts that this process brought into a state");
    describe_gauge!(
        RECEIPTS,
        "Receipts that are in a state that is not final, or need a person"
    );
    describe_gauge!(
        OLDEST_PENDING,
        Unit::Seconds,
        "Age of the oldest receipt that machines still work on"
    );
    describe_histogram!(
        TIME_TO_REGISTER,
        Unit::Seconds,
        "From acceptance to the fiscal document"
    );
    describe_counter!(REQUESTS, "Calls to vendors");
    describe_histogram!(REQUEST_DURATION, Unit::Seconds, "Duration of calls to vendors");
    describe_counter!(ERRORS, "Errors that vendors answered with");
    describe_gauge!(
        BREAKER,
        "Whether the gate of an account is closed: 0 open, 1 closed or probing, 2 paused by a person"
    );
    describe_counter!(CALLBACKS, "Callbacks of vendors");
    describe_counter!(WEBHOOKS, "Deliveries to webhooks");
    describe_counter!(REPORTS, "Reports that were mailed");
    describe_gauge!(
        DEAD_LETTERS,
        "Requests that could not be accepted and wait for a person"
    );
    describe_gauge!(UNPUBLISHED, "Events that the broker has not confirmed yet");
    describe_gauge!(BUILD, "The version that runs");
}

/// A call to a vendor has ended. `method`: `send`, `poll`. `outcome`: `ok`, or the class of the refusal.
pub fn vendor_call(vendor: &str, method: &'static str, outcome: &'static str, duration: Duration) {
    let vendor = vendor.to_owned();
    counter!(REQUESTS, "vendor" => vendor.clone(), "method" => method, "outcome" => outcome).increment(1);
    histogram!(REQUEST_DURATION, "vendor" => vendor, "method" => method).record(duration);
}

/// A vendor answered with an error; `kind` and `code` are its words.
pub fn vendor_error(vendor: &str, kind: &str, code: &str) {
    let code = bounded(&format!("{kind} {code}"));
    counter!(ERRORS, "vendor" => vendor.to_owned(), "code" => code).increment(1);
}

fn bounded(code: &str) -> String {
    static SEEN: OnceLock<Mutex<BTreeSet<String>>> = OnceLock::new();
    let mut seen = SEEN
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if !seen.contains(code) {
        if seen.len() >= MOST_CODES {
            return "other".to_owned();
        }
        seen.insert(code.to_owned());
    }
    code.to_owned()
}

/// This process brought a receipt into a state.
pub fn receipt(vendor: &str, operation: &'static str, state: &'static str) {
    counter!(RECEIPTS_TOTAL, "vendor" => vendor.to_owned(), "operation" => operation, "state" => state).increment(1);
}

/// A receipt has its fiscal document, so long after its acceptance.
pub fn registered(vendor: &str, after: Duration) {
    histogram!(TIME_TO_REGISTER, "vendor" => vendor.to_owned()).record(after);
}

/// How many receipts of a vendor are in a state now.
pub fn receipts(vendor: &str, state: &'static str, count: u64) {
    gauge!(RECEIPTS, "vendor" => vendor.to_owned(), "state" => state).set(exact(count));
}

/// How old the oldest receipt is that machines still work on; zero without one.
pub fn oldest_pending(vendor: &str, age: Duration) {
    gauge!(OLDEST_PENDING, "vendor" => vendor.to_owned()).set(age.as_secs_f64());
}

/// Where the gate of an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// Receipts are sent.
    Open,
    /// A machine has closed it.
    Closed,
    /// A person has paused it.
    Paused,
}

/// Where the gate of an account stands now.
pub fn breaker(account: &str, state: Breaker) {
    let value = match state {
        Breaker::Open => 0.0,
        Breaker::Closed => 1.0,
        Breaker::Paused => 2.0,
    };
    gauge!(BREAKER, "account" => account.to_owned()).set(value);
}

/// A callback came. `outcome`: `taken`, `refused`, `later`.
pub fn callback(vendor: &str, outcome: &'static str) {
    counter!(CALLBACKS, "vendor" => vendor.to_owned(), "outcome" => outcome).increment(1);
}

/// A delivery to a webhook has ended. `outcome`: `delivered`, `failed`.
pub fn webhook(outcome: &'static str) {
    counter!(WEBHOOKS, "outcome" => outcome).increment(1);
}

/// A report was mailed, or could not be. `outcome`: `sent`, `failed`.
pub fn report(period: &'static str, outcome: &'static str) {
    counter!(REPORTS, "period" => period, "outcome" => outcome).increment(1);
}

/// How many dead letters wait for a person.
pub fn dead_letters(count: u64) {
    gauge!(DEAD_LETTERS).set(exact(count));
}

/// How many events wait for the broker.
pub fn unpublished_events(count: u64) {
    gauge!(UNPUBLISHED).set(exact(count));
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 of anything here")]
fn exact(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_told_under_its_names_and_codes_that_somebody_makes_up_share_one_label() {
        let metrics = init().expect("the first one");
        vendor_call("first", "send", "ok", Duration::from_millis(120));
        registered("first", Duration::from_secs(3));
        receipts("first", "waiting", 7);
        breaker("main", Breaker::Paused);
        for code in 0..MOST_CODES + 50 {
            vendor_error("first", "system", &code.to_string());
        }
        let text = metrics.render();
        for line in [
            "kassa_vendor_requests_total{vendor=\"first\",method=\"send\",outcome=\"ok\"} 1",
            "kassa_vendor_request_duration_seconds_bucket{vendor=\"first\",method=\"send\",le=\"0.25\"} 1",
            "kassa_time_to_register_seconds_bucket{vendor=\"first\",le=\"1\"} 0",
            "kassa_receipts{vendor=\"first\",state=\"waiting\"} 7",
            "kassa_breaker_state{account=\"main\"} 2",
            "kassa_vendor_errors_total{vendor=\"first\",code=\"other\"} 50",
            "# TYPE kassa_time_to_register_seconds histogram",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(init().is_err(), "a second recorder would take nothing");
    }
}
