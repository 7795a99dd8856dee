//! Answers: v4 document 5.23 §9 and §10.
//!
//! Every field may be absent or of another type than documented without making the rest unreadable; unknown fields are
//! ignored and unknown words kept as text. One shape answers registrations, reports and callbacks.

use jiff::civil::DateTime;
use receipt::{FiscalDocument, Money, VendorUuid};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::TIMESTAMP;
use crate::lenient::{is_digits, is_link, lenient};

/// The answer of `getToken`.
#[derive(Deserialize)]
pub(in crate::atol) struct TokenAnswer {
    #[serde(default, deserialize_with = "lenient")]
    pub(in crate::atol) token: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(in crate::atol) error: Option<ErrorBody>,
}

/// The answer of a registration and of a report.
#[derive(Debug, Deserialize)]
pub(in crate::atol) struct Answer {
    #[serde(default, deserialize_with = "lenient")]
    uuid: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(in crate::atol) error: Option<ErrorBody>,
    #[serde(default, deserialize_with = "lenient")]
    pub(in crate::atol) external_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(in crate::atol) payload: Option<Payload>,
}

/// `status` of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::atol) enum Status {
    Wait,
    Done,
    Fail,
    /// Absent, or a word that is not documented.
    Other,
}

impl Answer {
    /// The document's id; `None` also for an empty one, which some error answers carry.
    pub(in crate::atol) fn uuid(&self) -> Option<VendorUuid> {
        self.uuid.as_deref().and_then(|uuid| VendorUuid::parse(uuid).ok())
    }

    pub(in crate::atol) fn status(&self) -> Status {
        match self.status.as_deref() {
            Some("wait") => Status::Wait,
            Some("done") => Status::Done,
            Some("fail") => Status::Fail,
            Some(_) | None => Status::Other,
        }
    }
}

/// `error` of an answer. Without a code it says nothing that anybody could decide by.
#[derive(Debug, Deserialize)]
pub(in crate::atol) struct ErrorBody {
    #[serde(deserialize_with = "number_or_text")]
    pub(in crate::atol) code: i64,
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub(in crate::atol) kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(in crate::atol) text: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(in crate::atol) error_id: Option<String>,
}

/// `payload` of a done report. What identifies the document must be there and readable; the rest may be missing.
#[derive(Debug, Deserialize)]
pub(in crate::atol) struct Payload {
    total: Box<RawValue>,
    fn_number: String,
    receipt_datetime: String,
    fiscal_document_number: Box<RawValue>,
    fiscal_document_attribute: Box<RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    shift_number: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    fiscal_receipt_number: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    ecr_registration_number: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    ofd_receipt_url: Option<String>,
}

impl Payload {
    /// The fiscal document, or the name of the field that cannot be read.
    ///
    /// `qr` stays empty: a report does not say which operation it was, and the text ends in it. Whoever knows the
    /// operation builds it with [`FiscalDocument::qr_text`].
    pub(in crate::atol) fn fiscal_document(&self) -> Result<FiscalDocument, &'static str> {
        let number = |raw: &RawValue| {
            Some(raw.get().trim_matches('"'))
                .filter(|text| is_digits(text))
                .map(str::to_owned)
        };
        Ok(FiscalDocument {
            fn_number: Some(self.fn_number.clone())
                .filter(|text| is_digits(text))
                .ok_or("fn_number")?,
            fd: number(&self.fiscal_document_number)
                .and_then(|digits| digits.parse().ok())
                .ok_or("fiscal_document_number")?,
            fpd: number(&self.fiscal_document_attribute).ok_or("fiscal_document_attribute")?,
            shift: self.shift_number,
            receipt_number: self.fiscal_receipt_number,
            register_number: self.ecr_registration_number.clone().filter(|text| is_digits(text)),
            registered_at: timestamp(&self.receipt_datetime).ok_or("receipt_datetime")?,
            total: Money::parse(self.total.get().trim_matches('"')).map_err(|_| "total")?,
            qr: None,
            ofd_url: self.ofd_receipt_url.clone().filter(|url| is_link(url)),
        })
    }
}

/// A time exactly as documented, two digits each.
fn timestamp(text: &str) -> Option<DateTime> {
    let time = DateTime::strptime(TIMESTAMP, text).ok()?;
    (time.strftime(TIMESTAMP).to_string() == text).then_some(time)
}

/// Codes are documented as integers and printed with leading zeros in the documents.
fn number_or_text<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    raw.get()
        .trim_matches('"')
        .parse()
        .map_err(|_| D::Error::custom("not a code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_only_as_documented() {
        assert_eq!(
            timestamp("14.02.2026 11:08:00"),
            Some(jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0))
        );
        for other in [
            "2026-02-14 11:08:00",
            "14.2.2026 11:08:00",
            "31.02.2026 11:08:00",
            "14.02.2026 24:00:00",
            "",
        ] {
            assert_eq!(timestamp(other), None, "{other}");
        }
    }
}
