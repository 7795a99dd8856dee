//! What an answer means: pure, so that every code and every HTTP status can be tested.
//!
//! A readable error object decides before the HTTP status, and in a report `status` decides before the error: a waiting
//! report is HTTP 200 with error 34.

use receipt::{Refusal, RetryClass, Seen, Text, VendorUuid};
use secrecy::SecretString;

use super::client::Answered;
use super::codes::{self, Place, Verdict};
use super::wire::{self, ErrorBody, Status};
use crate::http::{self, TRANSPORT};
use crate::mask::Mask;
use crate::vendor::{Adopted, News, Registered};

/// How much of the vendor's words is kept, in bytes.
const LONGEST_MESSAGE: usize = 1000;

/// The longest token (v4 document 5.23 §4).
const LONGEST_TOKEN: usize = 1000;

const TOO_MANY_REQUESTS: u16 = 429;

/// The token in an answer of `getToken`.
pub(super) fn token(answered: &Answered<wire::TokenAnswer>, mask: &Mask) -> Result<SecretString, Box<Refusal>> {
    let error = answered.parsed.as_ref().and_then(|parsed| parsed.error.as_ref());
    let token = answered.parsed.as_ref().and_then(|parsed| parsed.token.as_deref());
    match (error, token) {
        (None, Some(token))
            if is_success(&answered.http)
                && (1..=LONGEST_TOKEN).contains(&token.len())
                && token.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(SecretString::from(token))
        }
        (error, _) => Err(refusal(Place::Token, &answered.http, error, mask)),
    }
}

/// What became of a registration.
pub(super) fn registration(answered: &Answered<wire::Answer>, mask: &Mask) -> Result<Registered, Box<Refusal>> {
    let error = answered.parsed.as_ref().and_then(|parsed| parsed.error.as_ref());
    let uuid = answered.parsed.as_ref().and_then(wire::Answer::uuid);
    let adopted = match error {
        None if is_success(&answered.http) => Some(Adopted::No),
        Some(error) if verdict(Place::Registration, error) == Some(Verdict::Adopt) => Some(Adopted::Yes),
        None | Some(_) => None,
    };
    match (adopted, uuid) {
        (Some(adopted), Some(vendor_uuid)) => Ok(Registered::Accepted { vendor_uuid, adopted }),
        (Some(_), None) | (None, Some(_) | None) => Err(refusal(Place::Registration, &answered.http, error, mask)),
    }
}

/// What became of a document that was asked for.
///
/// `Err` is for a question that was not answered (throttled, broken, the account refused); an answer that does not
/// settle anything is [`News::None`] with the reason.
pub(super) fn report(answered: &Answered<wire::Answer>, asked: &VendorUuid, mask: &Mask) -> Result<News, Box<Refusal>> {
    let Some(parsed) = &answered.parsed else {
        return Err(refusal(Place::Report, &answered.http, None, mask));
    };
    let error = parsed.error.as_ref();
    let verdict = error.and_then(|error| verdict(Place::Report, error));
    let is_ours = parsed
        .uuid()
        .is_some_and(|uuid| uuid.as_str().eq_ignore_ascii_case(asked.as_str()));
    let no_news = || Ok(News::None(Some(refusal(Place::Report, &answered.http, error, mask))));
    match parsed.status() {
        Status::Done if is_ours => Ok(done(parsed)),
        Status::Fail if is_ours => match verdict {
            Some(Verdict::Rekey | Verdict::Permanent | Verdict::Unknown) | None => {
                Ok(News::Refused(failed(&answered.http, error, mask)))
            }
            Some(Verdict::Halt | Verdict::FreshToken) => Err(refusal(Place::Report, &answered.http, error, mask)),
            Some(Verdict::NotSeen | Verdict::MaybeSeen | Verdict::Adopt | Verdict::NoNews | Verdict::Wait) => no_news(),
        },
        Status::Done => Ok(News::None(Some(unreadable("uuid")))),
        Status::Wait if error.is_none() || verdict == Some(Verdict::Wait) => Ok(News::None(None)),
        Status::Wait | Status::Fail | Status::Other => match verdict {
            Some(Verdict::Wait) => Ok(News::None(None)),
            Some(Verdict::Halt | Verdict::FreshToken) => Err(refusal(Place::Report, &answered.http, error, mask)),
            // Codes of a finished document count only under `fail` with the uuid that was asked for.
            Some(
                Verdict::NotSeen
                | Verdict::MaybeSeen
                | Verdict::Adopt
                | Verdict::NoNews
                | Verdict::Rekey
                | Verdict::Permanent
                | Verdict::Unknown,
            ) => no_news(),
            None if error.is_none() && !is_success(&answered.http) => {
                Err(refusal(Place::Report, &answered.http, None, mask))
            }
            None => no_news(),
        },
    }
    .map(ask_again)
}

/// Whether the answer only says that the token is not good (any more).
pub(super) fn refuses_the_token(place: Place, answered: &Answered<wire::Answer>) -> bool {
    answered.parsed.as_ref().is_some_and(|parsed| {
        let refused = parsed.error.as_ref().and_then(|error| verdict(place, error)) == Some(Verdict::FreshToken);
        refused && parsed.uuid().is_none() && matches!(parsed.status(), Status::Fail | Status::Other)
    })
}

fn done(parsed: &wire::Answer) -> News {
    let fiscal = parsed
        .payload
        .as_ref()
        .ok_or("payload")
        .and_then(wire::Payload::fiscal_document);
    match fiscal {
        Ok(fiscal) => News::Done {
            fiscal: Box::new(fiscal),
            external_id: parsed.external_id.as_ref().map(|id| id.replace('\0', "")),
        },
        // The document exists: asking again, and a person in the end, must find it.
        Err(field) => News::None(Some(unreadable(field))),
    }
}

/// The refusal of a document that failed in the end.
fn failed(http: &http::Answer, error: Option<&ErrorBody>, mask: &Mask) -> Box<Refusal> {
    match error {
        Some(_) => refusal(Place::Report, http, error, mask),
        None => Box::new(codes::unlisted(Place::Report, String::new(), 0, String::new())),
    }
}

/// The reason of "no news" never ends anything, whatever its code would mean elsewhere.
fn ask_again(news: News) -> News {
    match news {
        News::None(Some(mut reason)) => {
            if !matches!(
                reason.class,
                RetryClass::Retry {
                    seen: Seen::No,
                    after: _
                }
            ) {
                reason.class = RetryClass::NOT_SEEN;
            }
            News::None(Some(reason))
        }
        News::None(None) | News::Done { .. } | News::Refused(_) => news,
    }
}

/// The types of error that the service knows (v4 document 5.23 §11, v5 document 3.5 §7).
const ERROR_TYPES: [&str; 6] = ["system", "driver", "timeout", "agent", "unknown", "none"];

fn verdict(place: Place, error: &ErrorBody) -> Option<Verdict> {
    codes::find(error.kind.as_deref()?, error.code).map(|row| row.places.of(place))
}

fn is_success(http: &http::Answer) -> bool {
    (200..300).contains(&http.status)
}

/// The refusal that an answer means, by its error if it has a readable one, else by its HTTP status.
///
/// A gateway's own error object has none of the service's types: it says no more than the HTTP status does.
fn refusal(place: Place, http: &http::Answer, error: Option<&ErrorBody>, mask: &Mask) -> Box<Refusal> {
    let of_the_service = |error: &&ErrorBody| {
        let kind = error.kind.as_deref().unwrap_or_default();
        is_success(http) || ERROR_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind))
    };
    let mut refusal = match error.filter(of_the_service) {
        None => of_status(place, http.status),
        Some(error) => {
            let kind = error.kind.as_deref().unwrap_or_default();
            let message = message(error, mask);
            match codes::find(kind, error.code) {
                Some(row) => row.refusal(place, message),
                // A limiter in front of the service has error codes of its own; what it stopped was not seen.
                None if http.status == TOO_MANY_REQUESTS => Refusal {
                    message,
                    ..of_status(place, http.status)
                },
                None => codes::unlisted(place, mask.text(kind.as_bytes(), 32), error.code, message),
            }
        }
    };
    if let RetryClass::Retry { seen: _, after } = &mut refusal.class {
        *after = http.retry_after;
    }
    Box::new(refusal)
}

/// The vendor's words, with the number that its support asks for.
fn message(error: &ErrorBody, mask: &Mask) -> String {
    let text = error.text.as_deref().unwrap_or_default();
    let text = match error.error_id.as_deref() {
        Some(id) if !id.is_empty() => format!("{text} (error_id {id})"),
        Some(_) | None => text.to_owned(),
    };
    mask.text(text.as_bytes(), LONGEST_MESSAGE)
}

/// An answer without a readable error.
fn of_status(place: Place, status: u16) -> Refusal {
    let class = match place {
        Place::Registration if status != TOO_MANY_REQUESTS => RetryClass::MAYBE_SEEN,
        Place::Registration | Place::Token | Place::Report => RetryClass::NOT_SEEN,
    };
    let (code, cause) = match status {
        TOO_MANY_REQUESTS => (
            format!("http_{status}"),
            Text::new("Сервис просит обращаться реже.", "The service asks for fewer requests."),
        ),
        200..300 => (
            "unreadable".to_owned(),
            Text::new(
                "Ответ сервиса не удалось прочитать.",
                "The service's answer could not be read.",
            ),
        ),
        _ => (
            format!("http_{status}"),
            Text::new(
                format!("Сервис ответил ошибкой HTTP {status}."),
                format!("The service answered with HTTP error {status}."),
            ),
        ),
    };
    Refusal {
        class,
        kind: TRANSPORT.to_owned(),
        code,
        message: String::new(),
        cause,
        cure: Text::new(
            "Повторится само; если не проходит, проверьте адрес сервиса и его состояние.",
            "It is repeated by itself; if it lasts, check the service's address and its state.",
        ),
    }
}

/// A report that says "done" and lacks something that a fiscal document needs.
fn unreadable(field: &'static str) -> Box<Refusal> {
    Box::new(Refusal {
        class: RetryClass::NOT_SEEN,
        kind: TRANSPORT.to_owned(),
        code: "unreadable".to_owned(),
        message: field.to_owned(),
        cause: Text::new(
            format!("Чек пробит, но поле {field} в ответе прочитать не удалось."),
            format!("The receipt is registered, but the field {field} of the answer could not be read."),
        ),
        cure: Text::new(
            "Опрос продолжится; если не проходит, возьмите данные чека в личном кабинете или у ОФД.",
            "Polling goes on; if it lasts, take the receipt's data from the cabinet or the OFD.",
        ),
    })
}
