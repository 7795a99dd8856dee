//! Bodies that the service sends (fact sheet, sections 5.1, 6.1–6.3 and 10).

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::codes;
use super::office::Record;
use crate::books::{Failure, FiscalDocument, Status};
use crate::exact::decimal_text;
use crate::faults::ErrorAnswer;
use crate::interference::Answer;
use crate::shared::{Shared, moscow};

#[derive(Serialize)]
struct TokenBody<'a> {
    error: Option<()>,
    token: &'a str,
    timestamp: String,
}

#[derive(Serialize)]
struct ServiceError<'a> {
    error_id: Uuid,
    code: i64,
    text: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Accepted, refused, or waiting: the three differ in what is left out.
#[derive(Serialize)]
struct ServiceBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<Uuid>,
    timestamp: String,
    error: Option<ServiceError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
}

#[derive(Serialize)]
struct ReportBody<'a> {
    uuid: Uuid,
    /// Without `error_id`, though the published schema requires one: so it was observed twice (section 6.3).
    error: Option<&'a Failure>,
    status: Status,
    payload: Option<Payload<'a>>,
    timestamp: String,
    group_code: &'a str,
    daemon_code: &'static str,
    device_code: &'a str,
    external_id: &'a str,
    warnings: Option<Warnings>,
    callback_url: &'a str,
}

#[derive(Serialize)]
struct Payload<'a> {
    total: Box<RawValue>,
    fns_site: &'static str,
    fn_number: &'a str,
    shift_number: u32,
    receipt_datetime: &'a str,
    fiscal_receipt_number: u32,
    fiscal_document_number: u32,
    ecr_registration_number: &'a str,
    fiscal_document_attribute: u32,
    ofd_inn: &'static str,
    ofd_receipt_url: &'a str,
}

#[derive(Serialize)]
struct Warnings {
    callback_url: &'static str,
}

/// A token granted.
pub(super) fn token(token: &str) -> Answer {
    let body = TokenBody {
        error: None,
        token,
        timestamp: moscow(Timestamp::now()),
    };
    answer(StatusCode::OK, &body, "token".to_owned())
}

/// A document accepted.
pub(super) fn accepted(uuid: Uuid) -> Answer {
    let body = ServiceBody {
        uuid: Some(uuid),
        timestamp: moscow(Timestamp::now()),
        error: None,
        status: Some(Status::Wait),
        callback_url: None,
    };
    answer(StatusCode::OK, &body, "wait".to_owned())
}

/// A service error in its documented form, with its documented text.
pub(super) fn refused(shared: &Shared, code: i64) -> Answer {
    refused_with(shared, code, codes::service(code).text)
}

/// A service error whose text names something of the request.
pub(super) fn refused_with(shared: &Shared, code: i64, text: &str) -> Answer {
    let known = codes::service(code);
    service_error(shared, known.http, "system", code, text, None)
}

/// Error 33 carries the number of the first document.
pub(super) fn duplicate(shared: &Shared, uuid: Uuid, external_id: &str, group: &str) -> Answer {
    let text = format!("В системе существует чек с external_id : \"{external_id}\" и group_code: \"{group}\"");
    service_error(shared, codes::service(33).http, "system", 33, &text, Some(uuid))
}

/// An error that a fault rule asks for.
pub(super) fn on_purpose(shared: &Shared, error: &ErrorAnswer) -> Answer {
    let known = codes::service(error.code);
    let http = error
        .http
        .and_then(|http| StatusCode::from_u16(http).ok())
        .unwrap_or(known.http);
    service_error(
        shared,
        http,
        &error.kind,
        error.code,
        error.text.as_deref().unwrap_or(known.text),
        None,
    )
}

fn service_error(shared: &Shared, http: StatusCode, kind: &str, code: i64, text: &str, uuid: Option<Uuid>) -> Answer {
    let body = ServiceBody {
        uuid,
        timestamp: moscow(Timestamp::now()),
        error: Some(ServiceError {
            error_id: shared.new_uuid(),
            code,
            text,
            kind,
        }),
        status: codes::service(code).status,
        // Only a waiting report is seen to have it, and empty whatever the request said (sections 6.1 and 10.7).
        callback_url: (code == 34).then_some(""),
    };
    answer(http, &body, format!("{kind}:{code}"))
}

/// The report of an ended document, which is the body of its callback as well.
pub(super) fn report(record: &Record) -> Answer {
    let (fiscal, failure) = (record.fiscal.as_ref(), record.failure.as_ref());
    let body = ReportBody {
        uuid: record.uuid,
        error: failure,
        status: record.status(),
        payload: fiscal.map(|fiscal| payload(fiscal, record.total_kopecks)),
        timestamp: moscow(record.finished_at.unwrap_or(record.accepted_at)),
        group_code: &record.group,
        daemon_code: "inttest-agent",
        device_code: &record.device_code,
        external_id: &record.order.external_id,
        warnings: record.has_bad_callback_url().then_some(Warnings {
            callback_url: "callback_url не соответствует маске",
        }),
        callback_url: &record.order.callback_url,
    };
    let label = match record.status() {
        Status::Wait => "wait",
        Status::Done => "done",
        Status::Fail => "fail",
    };
    answer(StatusCode::OK, &body, label.to_owned())
}

fn payload(fiscal: &FiscalDocument, total_kopecks: i64) -> Payload<'_> {
    Payload {
        total: json_number(total_kopecks),
        fns_site: "www.nalog.ru",
        fn_number: &fiscal.fn_number,
        shift_number: fiscal.shift_number,
        receipt_datetime: &fiscal.receipt_datetime,
        fiscal_receipt_number: fiscal.fiscal_receipt_number,
        fiscal_document_number: fiscal.fiscal_document_number,
        ecr_registration_number: &fiscal.ecr_registration_number,
        fiscal_document_attribute: fiscal.fiscal_document_attribute,
        ofd_inn: "7709364346",
        ofd_receipt_url: &fiscal.ofd_receipt_url,
    }
}

/// Roubles as the service writes them: `2835`, `2835.5`, `2835.05`.
fn json_number(kopecks: i64) -> Box<RawValue> {
    let text = decimal_text(kopecks);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    RawValue::from_string(text.to_owned()).expect("digits with a point between them are a JSON number")
}

fn answer(status: StatusCode, body: &impl Serialize, label: String) -> Answer {
    let body = serde_json::to_vec(body).expect("these structs have nothing that JSON lacks");
    Answer {
        status,
        body: body.into(),
        label,
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_lose_their_trailing_zeros() {
        for (kopecks, text) in [
            (283_500, "2835"),
            (283_550, "2835.5"),
            (283_505, "2835.05"),
            (0, "0"),
            (10, "0.1"),
            (100_000, "1000"),
        ] {
            assert_eq!(json_number(kopecks).get(), text);
        }
    }
}
