//! How a receipt is shown. [`super::contract`] says the same to the schema.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::TransactionRow;
use receipt::{Money, StateName};
use serde_json::{Value, json};

/// The row as the API shows it, without anything of the buyer.
pub(super) fn receipt(row: &TransactionRow) -> Value {
    let state: Option<StateName> = row.state.parse().ok();
    json!({
        "id": row.id,
        "store": row.store,
        "operation": row.operation,
        "document": {
            "number": row.document_number,
            "part": row.document_part,
            "order": row.order_number,
        },
        "revision": row.revision,
        "replaces": row.replaces,
        "state": row.state,
        "failure": row.failure,
        "kkm_status": state.map(StateName::kkm_status),
        "version": row.version,
        "account": row.account,
        "external_id": row.external_id,
        "vendor_uuid": row.vendor_uuid,
        "trials": row.trials,
        "due_at": row.due_at,
        "total": Money::from_kopecks(row.total_kopecks),
        "fiscal": row.fiscal,
        "accepted_at": row.accepted_at,
        "updated_at": row.updated_at,
    })
}

/// An answer with one receipt: its version is the entity tag that actions name.
pub(super) fn answer(
    status: StatusCode,
    row: &TransactionRow,
    body: Value,
    more: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", row.version)) {
        headers.insert(header::ETAG, tag);
    }
    headers.extend(more);
    response
}
