//! Worked exchanges in the shapes that are documented and were captured, with numbers of our own. The calls themselves
//! are in `tests/contract`, against the simulated service.

mod credentials;
mod judging;
mod rendering;

use std::collections::BTreeMap;
use std::time::Duration;

use receipt::{ExternalId, Operation, Receipt};

use super::CheckOnlineSettings;
use crate::vendor::Rendering;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/checkonline/fixtures/",
            $name,
            ".json"
        ))
    };
}
use fixture;

fn settings() -> CheckOnlineSettings {
    CheckOnlineSettings {
        url: "https://fce.example:4443/".into(),
        group: Some("north".into()),
        client_id: Some("shop-7".into()),
        cert_file: "client.pem".into(),
        key_file: "client.key".into(),
        key_passphrase: None,
        ca_file: None,
        ofd_url: Some("https://receipt.taxcom.ru/v01/show?fp={{fiscalSign}}&s={{sum}}".into()),
        cashier_number: 1,
        timezone: None,
        full_response: false,
        call: Duration::from_secs(90),
        tax_ids: BTreeMap::new(),
    }
}

fn receipt(json: &str) -> Receipt {
    serde_json::from_str(json).expect("the frozen form of a receipt")
}

fn external_id() -> ExternalId {
    ExternalId::parse("invoice_main_417").expect("an external id")
}

fn rendering<'a>(receipt: &'a Receipt, operation: Operation, external_id: &'a ExternalId) -> Rendering<'a> {
    Rendering {
        receipt,
        operation,
        external_id,
        rendered_at: "2026-03-14T08:27:00Z".parse().expect("a time"),
        callback_url: Some("https://kassa.lavka.example/callbacks/main/s3cret"),
    }
}
