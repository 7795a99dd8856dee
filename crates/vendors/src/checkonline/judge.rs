//! What an answer means: pure, so that every code and every HTTP status can be tested.
//!
//! A readable error decides before the HTTP status. An answer that says "registered" is judged with leniency: the
//! document exists, and whatever cannot be read of it must not lose it.

use std::path::Path;

use receipt::{Money, Operation, Refusal, RetryClass, Text};

use super::client::Answered;
use super::codes::{self, Kind};
use super::link::LinkTemplate;
use super::wire::{self, Said, Sent};
use crate::http::TRANSPORT;
use crate::mask::Mask;
use crate::vendor::{Origin, Registered};

/// How much of the vendor's words is kept, in bytes.
const LONGEST_MESSAGE: usize = 1000;

/// What an answer is held against.
pub(super) struct Question<'a> {
    /// What was sent.
    pub(super) sent: Option<&'a Sent>,
    pub(super) operation: Operation,
    /// How the account makes links.
    pub(super) link: Option<&'a LinkTemplate>,
    /// The file to name when the service does not accept us.
    pub(super) cert_file: &'a Path,
    pub(super) mask: &'a Mask,
}

/// What became of a registration.
pub(super) fn registration(answered: &Answered, question: &Question<'_>) -> Result<Registered, Box<Refusal>> {
    let said = answered.parsed.as_ref().map_or(Said::Nothing, |parsed| parsed.said());
    let mut refusal = match said {
        Said::Registered => return registered(answered, question),
        Said::Device { code, messages } => {
            let message = message(answered, &messages.join("; "), question.mask);
            match codes::find(Kind::Device, code) {
                Some(row) => row.refusal(None, message),
                None => codes::unlisted(Kind::Device, code, None, message),
            }
        }
        Said::Cloud {
            code,
            fatal,
            description,
            log_id,
        } => {
            let text = match log_id {
                Some(id) => format!("{description} (LogRequestId {id})"),
                None => description.to_owned(),
            };
            let message = message(answered, &text, question.mask);
            match codes::find(Kind::Cloud, code) {
                Some(row) => row.refusal(fatal, message),
                None => codes::unlisted(Kind::Cloud, code, fatal, message),
            }
        }
        Said::Nothing => of_status(answered.http.status, question.cert_file),
    };
    if let RetryClass::Retry { seen: _, after } = &mut refusal.class {
        *after = answered.http.retry_after;
    }
    Err(Box::new(refusal))
}

/// The vendor's words, and whether it only repeats them.
fn message(answered: &Answered, text: &str, mask: &Mask) -> String {
    let text = mask.text(text.as_bytes(), LONGEST_MESSAGE);
    match (answered.origin(), text.is_empty()) {
        (Origin::Memory, true) => "(repeated from the service's memory)".to_owned(),
        (Origin::Memory, false) => format!("{text} (repeated from the service's memory)"),
        (Origin::Fresh, true | false) => text,
    }
}

fn registered(answered: &Answered, question: &Question<'_>) -> Result<Registered, Box<Refusal>> {
    let Some(answer) = &answered.parsed else {
        return Err(unreadable("Response"));
    };
    let mut fiscal = answer
        .fiscal_document(question.operation.tag_value())
        .map_err(unreadable)?;
    if let Some(sent) = question.sent {
        let is_other = answer.request_id().is_some_and(|id| id != sent.request_id)
            || answer.document_type().is_some_and(|kind| kind != sent.document_type)
            || fiscal.total.kopecks() != sent.total();
        if is_other {
            return Err(foreign(&fiscal));
        }
    }
    if let Some(field) = fiscal.qr.as_deref().and_then(|qr| contradicted(qr, &fiscal)) {
        return Err(contradiction(field, &fiscal));
    }
    fiscal.ofd_url = question.link.and_then(|template| template.link(&fiscal));
    Ok(Registered::Done(Box::new(fiscal)))
}

/// An answer without a readable error.
fn of_status(status: u16, cert_file: &Path) -> Refusal {
    const WAIT: [&str; 2] = [
        "Повторится само под тем же номером; если не проходит, проверьте адрес сервиса и его состояние.",
        "It is repeated by itself under the same id; if it lasts, check the service's address and its state.",
    ];
    let file = cert_file.display();
    let (class, cause, cure) = match status {
        429 => (
            RetryClass::NOT_SEEN,
            Text::new("Сервис просит обращаться реже.", "The service asks for fewer requests."),
            codes::text(WAIT),
        ),
        // The service itself knows 200 and 500 only. 400 (in its own log 495 to 497) is what nginx says before it passes
        // a request on: no certificate, one that it does not accept, or no TLS.
        400 | 495..=497 => (
            RetryClass::Halt { certain: true },
            Text::new(
                format!("Сервис не принял сертификат {file} (HTTP {status})."),
                format!("The service did not accept the certificate {file} (HTTP {status})."),
            ),
            renew(),
        ),
        401 | 403 => (
            RetryClass::Halt { certain: false },
            Text::new(
                format!("Сервис не пускает нас (HTTP {status}); сертификат — {file}."),
                format!("The service does not let us in (HTTP {status}); the certificate is {file}."),
            ),
            renew(),
        ),
        200..300 => (
            RetryClass::MAYBE_SEEN,
            Text::new(
                "Ответ сервиса не удалось прочитать.",
                "The service's answer could not be read.",
            ),
            codes::text(WAIT),
        ),
        _ => (
            RetryClass::MAYBE_SEEN,
            Text::new(
                format!("Сервис ответил ошибкой HTTP {status}."),
                format!("The service answered with HTTP error {status}."),
            ),
            codes::text(WAIT),
        ),
    };
    Refusal {
        class,
        kind: TRANSPORT.to_owned(),
        code: match status {
            200..300 => "unreadable".to_owned(),
            _ => format!("http_{status}"),
        },
        message: String::new(),
        cause,
        cure,
    }
}

/// What to do about a certificate that the service does not want.
pub(super) fn renew() -> Text {
    Text::new(
        "Скачайте действующий сертификат этой организации в личном кабинете «Чек Онлайн» и положите его и ключ на место прежних (cert_file, key_file); перезапуск не нужен, чеки ждут и уйдут сами.",
        "Download the valid certificate of this enterprise from CheckOnline's cabinet and put it and its key in place of the old ones (cert_file, key_file); no restart is needed, the receipts wait and go out by themselves.",
    )
}

/// The document exists; a repetition would only bring the same answer from the service's memory.
fn unreadable(field: &'static str) -> Box<Refusal> {
    Box::new(Refusal {
        class: RetryClass::Unknown,
        kind: TRANSPORT.to_owned(),
        code: "unreadable_document".to_owned(),
        message: field.to_owned(),
        cause: Text::new(
            format!("Чек пробит, но в ответе нет поля {field} или оно не читается."),
            format!("The receipt is registered, but the field {field} of the answer is missing or cannot be read."),
        ),
        cure: Text::new(
            "Возьмите данные чека в личном кабинете или у ОФД и запишите его зарегистрированным.",
            "Take the receipt's data from the cabinet or the OFD and record it as registered.",
        ),
    })
}

/// The field of the QR code that says another thing than the answer does beside it. What is missing says nothing.
fn contradicted(qr: &str, fiscal: &receipt::FiscalDocument) -> Option<&'static str> {
    let of_qr = |key| wire::qr_value(qr, key);
    let number = |text: &str| text.parse::<u64>().ok();
    let other = |key, ours: &str| of_qr(key).is_some_and(|text| number(text) != number(ours));
    if of_qr("s").is_some_and(|sum| Money::parse(sum).ok() != Some(fiscal.total)) {
        return Some("s");
    }
    [
        ("fn", fiscal.fn_number.as_str()),
        ("i", &fiscal.fd.to_string()),
        ("fp", &fiscal.fpd),
    ]
    .into_iter()
    .find_map(|(key, ours)| other(key, ours).then_some(key))
}

/// The document exists, and its two descriptions do not agree: the buyer's code may lead to another one.
fn contradiction(field: &str, fiscal: &receipt::FiscalDocument) -> Box<Refusal> {
    let fd = fiscal.fd;
    Box::new(Refusal {
        class: RetryClass::Unknown,
        kind: TRANSPORT.to_owned(),
        code: "contradictory_document".to_owned(),
        message: format!(
            "FN {}, FD {fd}, FPD {}, total {}; {}",
            fiscal.fn_number,
            fiscal.fpd,
            fiscal.total,
            fiscal.qr.as_deref().unwrap_or_default()
        ),
        cause: Text::new(
            format!("Чек пробит (ФД {fd}), но поле {field} его QR-кода расходится с ответом сервиса."),
            format!(
                "The receipt is registered (FD {fd}), but the field {field} of its QR code contradicts the answer."
            ),
        ),
        cure: Text::new(
            "Сверьте чек в личном кабинете или у ОФД и запишите его зарегистрированным.",
            "Compare the receipt in the cabinet or at the OFD and record it as registered.",
        ),
    })
}

/// The id belongs to another document: somebody else uses our ids, or our own content has changed under it.
fn foreign(fiscal: &receipt::FiscalDocument) -> Box<Refusal> {
    let (total, fd) = (fiscal.total, fiscal.fd);
    Box::new(Refusal {
        class: RetryClass::Unknown,
        kind: TRANSPORT.to_owned(),
        code: "foreign_document".to_owned(),
        message: format!("FN {}, FD {fd}, FPD {}, total {total}", fiscal.fn_number, fiscal.fpd),
        cause: Text::new(
            format!("Под этим номером у сервиса другой документ (ФД {fd}, сумма {total})."),
            format!("Under this id the service has another document (FD {fd}, total {total})."),
        ),
        cure: Text::new(
            "Выясните, кто ещё отправляет чеки с этими group и client_id, и запишите исход чека.",
            "Find out who else sends receipts with this group and client_id, and record the receipt's outcome.",
        ),
    })
}
