//! Errors as RFC 9457 has them, in both languages, each with the cure.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::LedgerError;
use receipt::Text;
use receipt::intake::NotAccepted;
use receipt::request::FaultCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// When somebody who met an outage may come again, in seconds.
const COME_AGAIN: u32 = 5;

/// An answer that is an error. Boxed, because it is the rare half of every result here.
#[derive(Debug)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: Text,
    faults: Vec<Fault>,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One thing that is wrong: in the body, at a JSON pointer, or with a parameter or header.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameter: Option<String>,
    pub(super) code: &'static str,
    pub(super) message: Text,
}

impl Fault {
    pub(super) fn at(pointer: &str, code: &'static str, ru: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.to_owned()),
            parameter: None,
            code,
            message: Text::new(ru, en),
        }
    }

    pub(super) fn of(parameter: &str, code: &'static str, ru: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(parameter.chars().take(60).collect()),
            code,
            message: Text::new(ru, en),
        }
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, ru: impl Into<String>, en: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            detail: Text::new(ru, en),
            faults: Vec::new(),
            more: Map::new(),
            headers: Vec::new(),
        }))
    }

    pub(super) fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    pub(super) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.more.insert(name.to_owned(), json!(value));
        self
    }

    pub(super) fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// There is no usable key in the request.
    pub(super) fn unauthorized(code: &'static str, ru: &str, en: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, ru, en).with_header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"kassa\""),
        )
    }

    /// Nothing here, or nothing that this key may see: nobody learns which.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "Такого чека нет, или ключ не даёт его видеть. Проверьте номер.",
            "There is no such receipt, or the key does not show it. Check the id.",
        )
    }

    /// The request as a whole cannot be read.
    pub(super) fn invalid(status: StatusCode, faults: Vec<Fault>) -> Self {
        Self::new(
            status,
            "invalid",
            "Запрос нельзя принять: исправьте перечисленное и отправьте его снова.",
            "The request cannot be accepted: correct what is listed and send it again.",
        )
        .with_faults(faults)
    }

    /// The database did not answer, or refused what only a mistake of ours can have asked for.
    pub(super) fn ledger(error: &LedgerError) -> Self {
        if error.is_outage() || matches!(error, LedgerError::Closed) {
            return Self::outage();
        }
        tracing::error!(
            error = service::error::chain(error),
            "a request over HTTP cannot be answered"
        );
        Self::mistake()
    }

    pub(super) fn mistake() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "mistake",
            "Ошибка kassa; подробности в её журнале. Повторите запрос: повтор ничего не удваивает.",
            "A mistake in kassa; its log has the details. Send the request again: a repetition doubles nothing.",
        )
    }

    pub(super) fn outage() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "База данных не отвечает. Повторите тот же запрос: повтор ничего не удваивает.",
            "The database does not answer. Send the same request again: a repetition doubles nothing.",
        )
        .retry_after(COME_AGAIN)
    }
}

impl From<NotAccepted> for Problem {
    fn from(why: NotAccepted) -> Self {
        let detail = why.detail();
        let status = match &why {
            NotAccepted::Invalid(faults) => {
                let codes: Vec<FaultCode> = faults.iter().map(|fault| fault.code).collect();
                match codes.as_slice() {
                    [FaultCode::BodyTooLarge] => StatusCode::PAYLOAD_TOO_LARGE,
                    [FaultCode::NotUtf8 | FaultCode::InvalidJson] => StatusCode::BAD_REQUEST,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                }
            }
            NotAccepted::UnknownType(_) | NotAccepted::UnknownStore(_) => StatusCode::UNPROCESSABLE_ENTITY,
            // The configuration has to be mended; the shop can only come again.
            NotAccepted::UnknownAccount(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let faults = why
            .faults()
            .iter()
            .map(|fault| Fault {
                pointer: Some(fault.pointer.clone()),
                parameter: None,
                code: fault.code.name(),
                message: fault.message.clone(),
            })
            .collect();
        let problem = Self::new(status, why.code(), detail.ru, detail.en).with_faults(faults);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            problem.retry_after(60)
        } else {
            problem
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner {
            status,
            code,
            detail,
            faults,
            more,
            headers: of_its_own,
        } = *self.0;
        let mut body = json!({
            "type": format!("urn:kassa:problem:{code}"),
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "code": code,
            "detail": detail.en,
            "detail_ru": detail.ru,
            "errors": faults,
        });
        for (name, value) in more {
            body[name] = value;
        }
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let mut response = (status, headers, body.to_string()).into_response();
        response.headers_mut().extend(of_its_own);
        response
    }
}
