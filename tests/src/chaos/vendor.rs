//! Everything in a run that knows which vendor is simulated: its faults, its callbacks, and what its codes explain.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use reqwest::Client;
use serde_json::{Value, json};
use simulator::{Books, Document};
use tokio::sync::Mutex;

use super::kind::VendorFault;
use crate::vendor::{Vendor, client};

/// Longer than a call may take in the fleet of a run.
const TOO_LONG_MS: u64 = 4_000;

/// The simulated vendor with the faults of all strikes that are under way.
#[derive(Debug)]
pub(super) struct FaultyVendor {
    vendor: Vendor,
    in_force: Mutex<Vec<(u64, Fault)>>,
    next: AtomicU64,
    http: Client,
}

#[derive(Debug, Clone)]
enum Fault {
    Rules(Vec<Value>),
    /// Every callback so many times.
    Callbacks(u32),
    /// No client's certificate is good.
    Certificates,
}

/// What a document that the vendor refused for good makes of its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receipt itself is wrong: `failed`.
    Refused,
    /// The id is proven dead: another one is used.
    Dead,
    /// Nobody can tell: `unknown`.
    Undecided,
    /// It is repeated under the same id and ends nothing.
    Passing,
}

/// Answers of cash registers that a run plays, and what they mean: of ATOL Online (v4 document 5.23, section 11.2), and of
/// CheckOnline (its sections 6.1 and 6.2; no answer of it proves an id dead without a person).
const DEVICE_ERRORS: [(&str, i64, Verdict); 11] = [
    ("driver", 128, Verdict::Refused),
    ("driver", 40, Verdict::Dead),
    ("driver", 2, Verdict::Undecided),
    ("device", 73, Verdict::Refused),
    ("fce", 6, Verdict::Undecided),
    ("fce", 16, Verdict::Undecided),
    ("device", 250, Verdict::Passing),
    ("device", 249, Verdict::Passing),
    ("device", 80, Verdict::Passing),
    ("fce", 5, Verdict::Passing),
    ("fce", 24, Verdict::Passing),
];

/// Those of CheckOnline that may come after the document was closed.
const AFTER_THE_DOCUMENT: [(&str, i64); 5] = [
    ("device", 250),
    ("device", 249),
    ("device", 80),
    ("fce", 6),
    ("fce", 16),
];

impl FaultyVendor {
    pub(super) fn new(vendor: Vendor) -> anyhow::Result<Self> {
        Ok(Self {
            vendor,
            in_force: Mutex::default(),
            next: AtomicU64::default(),
            http: client()?,
        })
    }

    pub(super) async fn books(&self) -> anyhow::Result<Books> {
        self.vendor.books().await
    }

    /// Plays one fault of the vendor for so long.
    pub(super) async fn play(&self, fault: VendorFault, lasts: Duration, rng: &mut Rng) -> anyhow::Result<()> {
        match fault {
            VendorFault::ExpiredTokens => {
                self.vendor.expire_tokens().await?;
                tokio::time::sleep(lasts).await;
                self.vendor.expire_tokens().await
            }
            VendorFault::DuplicateCallbacks => {
                let id = self.begin(Fault::Callbacks(rng.u32(3..=20))).await?;
                let forged = self.forge_for(lasts, rng).await;
                self.end(id).await?;
                forged
            }
            VendorFault::RevokedCertificates => {
                let id = self.begin(Fault::Certificates).await?;
                tokio::time::sleep(lasts).await;
                self.end(id).await
            }
            VendorFault::Status500
            | VendorFault::Status502
            | VendorFault::Timeout
            | VendorFault::Garbage
            | VendorFault::CutAfterRegistration
            | VendorFault::DeviceErrors => {
                let id = self.begin(Fault::Rules(rules(fault, rng))).await?;
                tokio::time::sleep(lasts).await;
                self.end(id).await
            }
        }
    }

    /// No fault any more, whatever was under way.
    pub(super) async fn heal(&self) -> anyhow::Result<()> {
        self.in_force.lock().await.clear();
        self.vendor.clear_faults().await
    }

    async fn begin(&self, fault: Fault) -> anyhow::Result<u64> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut in_force = self.in_force.lock().await;
        in_force.push((id, fault));
        self.put(&in_force).await?;
        Ok(id)
    }

    async fn end(&self, id: u64) -> anyhow::Result<()> {
        let mut in_force = self.in_force.lock().await;
        in_force.retain(|(other, _)| *other != id);
        self.put(&in_force).await
    }

    async fn put(&self, in_force: &[(u64, Fault)]) -> anyhow::Result<()> {
        let mut rules = Vec::new();
        let (mut callbacks, mut certificates) = (json!("on"), json!("alert"));
        for (_, fault) in in_force {
            match fault {
                Fault::Rules(more) => rules.extend_from_slice(more),
                Fault::Callbacks(times) => callbacks = json!({ "repeated": times }),
                Fault::Certificates => certificates = json!("revoked"),
            }
        }
        self.vendor
            .set_faults(&json!({ "rules": rules, "callbacks": callbacks, "certificates": certificates }))
            .await
    }

    /// Posts callbacks that the vendor never made to the addresses that it was given.
    async fn forge_for(&self, lasts: Duration, rng: &mut Rng) -> anyhow::Result<()> {
        let end = tokio::time::Instant::now() + lasts;
        while tokio::time::Instant::now() < end {
            let documents = self.books().await?.documents;
            let newest = documents.len().saturating_sub(50);
            for document in documents.iter().skip(newest) {
                if let Some(url) = &document.callback_url {
                    // Nobody may be listening at this moment, and every answer is a good one.
                    let _ = self.http.post(url).body(forged(document, rng)).send().await;
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

/// A callback as anybody could write it who has seen one: a false end of a true registration, or nonsense.
fn forged(document: &Document, rng: &mut Rng) -> Vec<u8> {
    let uuid = match rng.u8(0..3) {
        0 => uuid::Uuid::from_u128(rng.u128(..)),
        _ => document.uuid,
    };
    let body = match rng.u8(0..4) {
        0 => json!({
            "uuid": uuid, "external_id": document.external_id, "status": "fail", "payload": null,
            "error": { "error_id": uuid, "code": 128, "type": "driver", "text": "forged" },
        }),
        1 => json!({
            "uuid": uuid, "external_id": document.external_id, "status": "done", "error": null,
            "payload": {
                "total": 1, "fn_number": "9999999999999999", "shift_number": 1, "fiscal_receipt_number": 1,
                "fiscal_document_number": 1, "fiscal_document_attribute": 1, "ecr_registration_number": "1",
                "receipt_datetime": "01.01.2020 00:00:00", "fns_site": "example.org",
            },
        }),
        2 => json!({ "uuid": uuid }),
        _ => return vec![b'{'; 64],
    };
    body.to_string().into_bytes()
}

/// The rules of one strike. Each acts on a share of the calls, so that some receipts get through.
fn rules(fault: VendorFault, rng: &mut Rng) -> Vec<Value> {
    let when = |rng: &mut Rng| if rng.bool() { "before" } else { "after" };
    match fault {
        VendorFault::Status500 => vec![
            json!({"at": "register", "when": when(rng), "do": {"status": {"code": 500}}, "probability": 0.6}),
            json!({"at": "report", "do": {"status": {"code": 500}}, "probability": 0.4}),
            json!({"at": "get_token", "do": {"status": {"code": 500}}, "probability": 0.5}),
        ],
        VendorFault::Status502 => vec![
            json!({"at": "register", "when": when(rng), "do": {"status": {"code": 502}}, "probability": 0.6}),
            json!({"at": "report", "do": {"status": {"code": 502}}, "probability": 0.4}),
        ],
        VendorFault::Timeout => vec![
            json!({"at": "register", "when": "before", "delay_ms": TOO_LONG_MS, "probability": 0.3}),
            json!({"at": "register", "when": "after", "delay_ms": TOO_LONG_MS, "probability": 0.5}),
            json!({"at": "report", "delay_ms": TOO_LONG_MS, "probability": 0.2}),
        ],
        VendorFault::Garbage => {
            let garbage = ["html", "truncated", "invalid_utf8", "empty"];
            let mut rules: Vec<Value> = garbage
                .iter()
                .map(|garbage| json!({"at": "register", "when": when(rng), "do": {"garbage": garbage}, "probability": 0.2}))
                .collect();
            rules.extend(garbage.iter().map(
                |garbage| json!({"at": "report", "when": when(rng), "do": {"garbage": garbage}, "probability": 0.1}),
            ));
            rules
        }
        VendorFault::CutAfterRegistration => {
            vec![json!({"at": "register", "when": "after", "do": "cut", "probability": 0.7})]
        }
        VendorFault::DeviceErrors => DEVICE_ERRORS
            .iter()
            .map(|(kind, code, verdict)| {
                let error = json!({ "type": kind, "code": code });
                let probability = if *verdict == Verdict::Passing { 0.12 } else { 0.2 };
                let rule = json!({"at": "processing", "do": { "error": error }, "probability": probability});
                match AFTER_THE_DOCUMENT.contains(&(*kind, *code)) {
                    true => with(rule, &[("when", when(rng)), ("vendor", "checkonline")]),
                    false => rule,
                }
            })
            .collect(),
        VendorFault::ExpiredTokens | VendorFault::DuplicateCallbacks | VendorFault::RevokedCertificates => Vec::new(),
    }
}

fn with(mut rule: Value, keys: &[(&str, &str)]) -> Value {
    for (key, value) in keys {
        rule[*key] = json!(value);
    }
    rule
}

/// What the registers made of a receipt if a strike has made it fail: by the books where they have it, else by the answer
/// that was recorded (CheckOnline keeps no document of what it refuses).
pub(super) fn verdict_on(documents: &[&Document], recorded: Option<(&str, &str)>) -> Option<(Verdict, String)> {
    let failure = documents.last().and_then(|document| document.failure.as_ref());
    let of_the_books = failure.map(|failure| (failure.kind.as_str(), failure.code.to_string()));
    let of_the_record = recorded.map(|(kind, code)| (kind, code.to_owned()));
    let (kind, code) = of_the_books.or(of_the_record)?;
    DEVICE_ERRORS
        .iter()
        .find(|(known, number, _)| *known == kind && number.to_string() == code)
        .map(|(kind, code, verdict)| (*verdict, format!("{kind} {code}")))
}
