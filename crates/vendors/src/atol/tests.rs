//! Worked exchanges in the shapes that are documented and were captured, with numbers of our own.

mod calls;
mod judging;
mod rendering;
mod sockets;

use std::time::Duration;

use receipt::{ExternalId, Operation, Receipt, VendorUuid};
use secrecy::SecretString;

use super::{Atol, AtolSettings, Tokens};
use crate::http::{CallTimeouts, Http};
use crate::vendor::Call;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/atol/fixtures/",
            $name,
            ".json"
        ))
    };
}
use fixture;

const LOGIN: &str = "lavka-login";
const PASSWORD: &str = "Zk4!mQ9\"w";
const GROUP: &str = "lavka_4410";
const TOKEN: &str = "mB7xQ2_vLr-Tn94KzP1dJe6YsHfU3cWoGi8tEaCyDb5RxNwSqZ";
const UUID: &str = "5f1e6b0a-7c3d-4e2f-9a18-2d4c6b8e0f13";

fn full_receipt() -> Receipt {
    serde_json::from_str(fixture!("receipt_full")).expect("the frozen form of a receipt")
}

fn small_receipt() -> Receipt {
    serde_json::from_str(fixture!("receipt_small")).expect("the frozen form of a receipt")
}

fn external_id() -> ExternalId {
    ExternalId::parse("invoice_main_417").expect("an external id")
}

fn uuid() -> VendorUuid {
    VendorUuid::parse(UUID).expect("a vendor's uuid")
}

fn settings(url: &str) -> AtolSettings {
    AtolSettings {
        url: url.to_owned(),
        login: LOGIN.to_owned(),
        password: SecretString::from(PASSWORD),
        group_code: GROUP.to_owned(),
        source: None,
    }
}

/// Long enough for a busy machine, short enough for a test that waits for it.
fn timeouts() -> CallTimeouts {
    CallTimeouts {
        connect: Duration::from_millis(1500),
        call: Duration::from_secs(3),
    }
}

fn atol_with(settings: &AtolSettings, timeouts: CallTimeouts) -> Atol {
    let http = Http::build(&timeouts).expect("an HTTP client");
    Atol::new(settings, http, timeouts, &mut Tokens::default()).expect("settings without faults")
}

fn atol(url: &str) -> Atol {
    atol_with(&settings(url), timeouts())
}

const BODY: &str =
    r#"{"external_id":"invoice_main_417","receipt":{"client":{"email":"lavka@example.org"},"total":1.10}}"#;

/// Runs `$what` with a call of [`BODY`].
fn sell<'a>(external_id: &'a ExternalId) -> Call<'a> {
    Call {
        operation: Operation::Sell,
        external_id,
        wire_body: BODY,
    }
}
