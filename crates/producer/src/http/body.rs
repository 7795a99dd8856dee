//! The body of a request, before anybody looks into it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use receipt::request::LONGEST_BODY;
use serde::de::DeserializeOwned;

use super::problem::{Fault, Problem};

/// Every byte of a JSON body.
///
/// # Errors
/// 413 when it is too long, 415 when it says that it is something else, 400 when it did not arrive whole.
pub(super) fn json_bytes(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    let is_json = headers.get(header::CONTENT_TYPE).is_none_or(|given| {
        let given = given.to_str().unwrap_or_default();
        let media = given.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Тело должно быть JSON: укажите Content-Type: application/json.",
            "The body must be JSON: set Content-Type: application/json.",
        ));
    }
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("Тело длиннее {LONGEST_BODY} байт. Разделите чек на несколько."),
            format!("The body is longer than {LONGEST_BODY} bytes. Make several receipts of it."),
        ),
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "body_incomplete",
            "Тело запроса не дошло целиком. Повторите запрос.",
            "The body did not arrive whole. Send the request again.",
        ),
    })
}

/// The small body of an action. Unknown and repeated fields are refused.
///
/// # Errors
/// 422 with what serde says, which names the field.
pub(super) fn small<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let status = match error.classify() {
            serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => StatusCode::BAD_REQUEST,
        };
        let said: String = error.to_string().chars().take(200).collect();
        let fault = Fault::at(
            "",
            "invalid_json",
            format!("тело не читается: {said}."),
            format!("the body cannot be read: {said}."),
        );
        Problem::invalid(status, vec![fault])
    })
}
