//! Answers as the service writes them (section 5): keys in alphabetical order, `&` as Go escapes it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use jiff::civil::DateTime;
use serde_json::{Value, json};

use super::codes::{CloudError, Refused};
use super::device::{Closed, Device};
use super::order::Order;
use crate::exact::decimal_text;
use crate::faults::ErrorAnswer;
use crate::interference::Answer;
use crate::shared::Shared;

/// The answer to a closed document.
pub(super) fn registered(order: &Order, device: &Device, closed: &Closed) -> Answer {
    let fiscal = &closed.fiscal;
    let total = i64::try_from(order.total()).unwrap_or(i64::MAX);
    let qr = format!(
        "t={}&s={}&fn={}&i={}&fp={}&n={}",
        closed.at.strftime("%Y%m%dT%H%M"),
        decimal_text(total),
        fiscal.fn_number,
        fiscal.fiscal_document_number,
        fiscal.fiscal_document_attribute,
        order.settlement_sign(),
    );
    let mut body = envelope(order, device, Some(closed.at));
    body.insert("DocNumber", json!(fiscal.fiscal_receipt_number));
    body.insert("FiscalDocNumber", json!(fiscal.fiscal_document_number));
    body.insert("FiscalSign", json!(fiscal.fiscal_document_attribute));
    body.insert("GrandTotal", json!(total));
    body.insert("QR", json!(qr));
    body.insert("Response", json!({"Error": 0}));
    if order.fullresponse {
        let step = json!({
            "Date": date(Some(closed.at)), "DocNumber": fiscal.fiscal_receipt_number, "DocumentType": order.documenttype,
            "Error": 0, "FiscalDocNumber": fiscal.fiscal_document_number, "FiscalSign": fiscal.fiscal_document_attribute,
            "GrandTotal": total, "QR": qr, "TaxMode": order.taxmode, "TurnNumber": fiscal.shift_number,
            "Text": format!("КАССОВЫЙ ЧЕК\t{}\n{}", closed.at, order.phoneoremail),
        });
        body.insert(
            "Responses",
            json!([{"Path": "/fr/api/v2/CloseDocument", "Response": step}]),
        );
    }
    answer(StatusCode::OK, &body, "done", device_headers(device))
}

/// A register's refusal.
pub(super) fn refused(order: &Order, device: &Device, refused: &Refused) -> Answer {
    let mut body = envelope(order, device, None);
    body.insert("Response", response(refused));
    answer(
        StatusCode::OK,
        &body,
        &format!("device:{}", refused.code),
        device_headers(device),
    )
}

/// An error of the service itself.
pub(super) fn cloud(error: &CloudError) -> Answer {
    let body = BTreeMap::from([
        ("ErrorDescription", json!(error.description)),
        ("FCEError", json!(error.code)),
        ("Fatal", json!(error.fatal)),
    ]);
    let headers = vec![("x-fce-error", error.code.to_string())];
    answer(
        StatusCode::INTERNAL_SERVER_ERROR,
        &body,
        &format!("fce:{}", error.code),
        headers,
    )
}

/// An error that a fault rule puts in place of an answer; the service's memory has no part in it.
pub(super) fn on_purpose(_: &Shared, error: &ErrorAnswer) -> Answer {
    let mut written = if error.kind == "device" {
        let refused = Refused {
            code: error.code,
            messages: error.text.iter().cloned().collect(),
        };
        let body = BTreeMap::from([("Path", json!("/fr/api/v2/Complex")), ("Response", response(&refused))]);
        answer(StatusCode::OK, &body, &format!("device:{}", error.code), Vec::new())
    } else {
        let usual = CloudError::of(error.code);
        cloud(&match &error.text {
            Some(text) => usual.saying(text.clone()),
            None => usual,
        })
    };
    if let Some(http) = error.http.and_then(|http| StatusCode::from_u16(http).ok()) {
        written.status = http;
    }
    written
}

fn response(refused: &Refused) -> Value {
    match refused.messages.is_empty() {
        true => json!({"Error": refused.code}),
        false => json!({"Error": refused.code, "ErrorMessages": refused.messages}),
    }
}

fn envelope(order: &Order, device: &Device, at: Option<DateTime>) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("ClientId", json!(order.clientid)),
        ("Date", date(at)),
        ("Device", json!({"Name": device.serial, "Address": "10.20.0.17:4417"})),
        ("DeviceRegistrationNumber", json!(device.registration_number)),
        ("DeviceSerialNumber", json!(device.serial)),
        ("DocumentType", json!(order.documenttype)),
        ("FNSerialNumber", json!(device.fn_number)),
        ("Path", json!("/fr/api/v2/Complex")),
        ("RequestId", json!(order.requestid)),
    ])
}

/// Zeros stand in an error (section 2).
fn date(at: Option<DateTime>) -> Value {
    let at = at.map_or([0; 6], |at| {
        [
            i16::from(at.day()),
            i16::from(at.month()),
            at.year() % 100,
            i16::from(at.hour()),
            i16::from(at.minute()),
            i16::from(at.second()),
        ]
    });
    json!({"Date": {"Day": at[0], "Month": at[1], "Year": at[2]}, "Time": {"Hour": at[3], "Minute": at[4], "Second": at[5]}})
}

fn device_headers(device: &Device) -> Vec<(&'static str, String)> {
    vec![
        ("x-device-name", device.serial.clone()),
        ("x-device-address", "10.20.0.17:4417".to_owned()),
    ]
}

fn answer(
    status: StatusCode,
    body: &BTreeMap<&'static str, Value>,
    label: &str,
    headers: Vec<(&'static str, String)>,
) -> Answer {
    let body = serde_json::to_string(body).expect("texts and numbers have nothing that JSON lacks");
    Answer {
        status,
        body: body.replace('&', "\\u0026").into(),
        label: format!("{} {label}", super::NAME),
        headers,
    }
}
