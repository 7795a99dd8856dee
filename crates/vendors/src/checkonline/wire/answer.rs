//! Answers: manual 3.2.0 and captured traffic of later years.
//!
//! Every field may be absent or of another type than documented without making the rest unreadable. Numbers may come as
//! texts. What identifies the fiscal document is looked for where it was seen: beside the answer, in the step that closed
//! the document, and in the text of the QR code.

use jiff::civil::DateTime;
use receipt::{FiscalDocument, Money};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::lenient::{is_digits, lenient};

/// The step of a full answer that holds the document. It is found by its path: the others may be missing.
const CLOSING: &str = "/fr/api/v2/CloseDocument";

/// One answer, whichever of its shapes it has.
#[derive(Debug)]
pub(in crate::checkonline) struct Answer {
    envelope: Envelope,
    document: Document,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    #[serde(rename = "FCEError", default, deserialize_with = "scalar")]
    fce_error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    error_description: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    fatal: Option<bool>,
    #[serde(default, deserialize_with = "scalar")]
    log_request_id: Option<String>,
    /// The first manual printed the name without its s.
    #[serde(default, alias = "Reponse", deserialize_with = "lenient")]
    response: Option<Outcome>,
    #[serde(default, deserialize_with = "scalar")]
    request_id: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    device_registration_number: Option<String>,
    #[serde(rename = "FNSerialNumber", default, deserialize_with = "scalar")]
    fn_serial_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    responses: Option<Vec<Step>>,
}

/// `Response`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    #[serde(default, deserialize_with = "scalar")]
    error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    error_messages: Option<Vec<String>>,
}

/// One element of `Responses`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    #[serde(default, deserialize_with = "lenient")]
    path: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    response: Option<Document>,
}

/// What describes the closed document, in the answer itself and in its closing step.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default, deserialize_with = "scalar")]
    document_type: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    fiscal_doc_number: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    fiscal_sign: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    doc_number: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    turn_number: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    grand_total: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    date: Option<Moment>,
    #[serde(rename = "QR", default, deserialize_with = "lenient")]
    qr: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Moment {
    date: Day,
    time: Clock,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Day {
    day: i8,
    month: i8,
    year: i16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Clock {
    hour: i8,
    minute: i8,
    second: i8,
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checkonline) enum Said<'a> {
    /// The register closed the document.
    Registered,
    /// The register refused.
    Device { code: i64, messages: &'a [String] },
    /// The service before the registers refused.
    Cloud {
        code: i64,
        /// Whether the same request would fail again, if it says so.
        fatal: Option<bool>,
        description: &'a str,
        /// The number that the vendor's support asks for.
        log_id: Option<&'a str>,
    },
    /// Neither.
    Nothing,
}

impl Answer {
    /// `None` when the bytes are no JSON object.
    pub(in crate::checkonline) fn parse(body: &[u8]) -> Option<Self> {
        Some(Self {
            envelope: serde_json::from_slice(body).ok()?,
            // Read on their own, because the same fields may stand in a step.
            document: serde_json::from_slice(body).ok()?,
        })
    }

    /// `Response` decides before `FCEError`: where it is, the register was reached.
    pub(in crate::checkonline) fn said(&self) -> Said<'_> {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok());
        let device = self.envelope.response.as_ref().and_then(|response| {
            let messages = response.error_messages.as_deref().unwrap_or_default();
            number(&response.error).map(|code| (code, messages))
        });
        match (device, number(&self.envelope.fce_error)) {
            (Some((0, _)), None | Some(0)) => Said::Registered,
            (Some((code, messages)), _) if code != 0 => Said::Device { code, messages },
            (_, Some(code)) if code != 0 => Said::Cloud {
                code,
                fatal: self.envelope.fatal,
                description: self.envelope.error_description.as_deref().unwrap_or_default(),
                log_id: self.envelope.log_request_id.as_deref(),
            },
            (_, _) => Said::Nothing,
        }
    }

    /// The id that the answer says it answers.
    pub(in crate::checkonline) fn request_id(&self) -> Option<&str> {
        self.envelope.request_id.as_deref()
    }

    /// `DocumentType` of the answer.
    pub(in crate::checkonline) fn document_type(&self) -> Option<i64> {
        self.document.document_type.as_deref()?.parse().ok()
    }

    /// The fiscal document, or the name of the field that is missing. Nothing that people can do without may be missed.
    ///
    /// `settlement_sign` is tag 1054, for the text of the QR code where the answer has none.
    pub(in crate::checkonline) fn fiscal_document(&self, settlement_sign: u8) -> Result<FiscalDocument, &'static str> {
        let qr = self.text(|document| document.qr.as_deref()).filter(|qr| !qr.is_empty());
        let of_qr = |key| qr.and_then(|qr| qr_value(qr, key));
        let digits = |text: Option<&str>| text.filter(|text| is_digits(text)).map(str::to_owned);
        let of_document = |pick: fn(&Document) -> Option<&str>| self.text(pick).filter(|text| is_digits(text));
        let number = |pick| of_document(pick).and_then(|text: &str| text.parse::<i64>().ok());

        let kopecks = number(|document| document.grand_total.as_deref()).map(Money::from_kopecks);
        let mut fiscal = FiscalDocument {
            fn_number: digits(self.envelope.fn_serial_number.as_deref())
                .or_else(|| digits(of_qr("fn")))
                .ok_or("FNSerialNumber")?,
            fd: number(|document| document.fiscal_doc_number.as_deref())
                .or_else(|| of_qr("i")?.parse().ok())
                .ok_or("FiscalDocNumber")?,
            fpd: digits(of_document(|document| document.fiscal_sign.as_deref()))
                .or_else(|| digits(of_qr("fp")))
                .ok_or("FiscalSign")?,
            shift: number(|document| document.turn_number.as_deref()),
            receipt_number: number(|document| document.doc_number.as_deref()),
            register_number: digits(self.envelope.device_registration_number.as_deref().map(str::trim)),
            registered_at: of_qr("t")
                .and_then(time_of_qr)
                .or_else(|| self.document.date.as_ref().and_then(Moment::datetime))
                .or_else(|| self.closing()?.date.as_ref()?.datetime())
                .ok_or("Date")?,
            total: kopecks.or_else(|| Money::parse(of_qr("s")?).ok()).ok_or("GrandTotal")?,
            qr: qr.filter(|qr| is_qr(qr)).map(str::to_owned),
            ofd_url: None,
        };
        if fiscal.qr.is_none() {
            fiscal.qr = Some(fiscal.qr_text(settlement_sign));
        }
        Ok(fiscal)
    }

    fn closing(&self) -> Option<&Document> {
        let steps = self.envelope.responses.as_deref().unwrap_or_default();
        let closing = steps.iter().find(|step| step.path.as_deref() == Some(CLOSING));
        closing.and_then(|step| step.response.as_ref())
    }

    fn text<'a>(&'a self, pick: impl Fn(&'a Document) -> Option<&'a str>) -> Option<&'a str> {
        pick(&self.document).or_else(|| pick(self.closing()?))
    }
}

impl Moment {
    /// `None` for the zeros that an error carries. Years have two digits.
    fn datetime(&self) -> Option<DateTime> {
        let Self {
            date: Day { day, month, year },
            time: Clock { hour, minute, second },
        } = *self;
        let year = if (0..100).contains(&year) { 2000 + year } else { year };
        DateTime::new(year, month, day, hour, minute, second, 0).ok()
    }
}

/// The value of a key in the text of a QR code.
pub(in crate::checkonline) fn qr_value<'a>(qr: &'a str, key: &str) -> Option<&'a str> {
    let pairs = qr.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// `t` with or without seconds: tag 1012, the time that the fiscal drive keeps.
fn time_of_qr(text: &str) -> Option<DateTime> {
    ["%Y%m%dT%H%M", "%Y%m%dT%H%M%S"]
        .into_iter()
        .find_map(|format| DateTime::strptime(format, text).ok())
}

/// Whether the text may be printed as a QR code and put into links.
fn is_qr(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic()) && qr_value(text, "fn").is_some()
}

/// A number or a text, as text; anything else is `None`.
fn scalar<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(from)?;
    Ok(raw.and_then(|raw| match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).ok(),
        Some(b'-' | b'0'..=b'9') => Some(raw.get().to_owned()),
        Some(_) | None => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_qr_code_is_read_with_and_without_seconds() {
        let noon = jiff::civil::date(2026, 3, 14).at(12, 0, 0, 0);
        assert_eq!(time_of_qr("20260314T1200"), Some(noon));
        assert_eq!(time_of_qr("20260314T120000"), Some(noon));
        for other in ["", "20260314", "20261314T1200", "2026-03-14T12:00"] {
            assert_eq!(time_of_qr(other), None, "{other}");
        }
    }
}
