//! A fiscal document that a person read off a receipt or in the vendor's cabinet, before it is believed.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::class::Text;
use crate::fiscal::FiscalDocument;
use crate::money::Money;

/// How far a register's clock and ours may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);

/// What the person read, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDocument {
    /// Number of the fiscal drive (tag 1041).
    pub fn_number: String,
    /// Number of the fiscal document (tag 1040).
    pub fd: String,
    /// Fiscal sign (tag 1077).
    pub fpd: String,
    /// When the register closed it, in the register's own local time (tag 1012).
    pub registered_at: Option<DateTime>,
    /// Total (tag 1020).
    pub total: Option<Money>,
}

/// What is known of the receipt that the document is said to belong to.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its total.
    pub total: Money,
    /// When it was accepted: no document of it is older.
    pub accepted_at: Timestamp,
    /// When it was sent last, if it was: stands in for the document's time when nobody read that.
    pub sent_at: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
    /// The time zone in which registers stamp their documents.
    pub registers: TimeZone,
    /// Settlement sign of the receipt (tag 1054), for the QR code.
    pub settlement_sign: u8,
}

/// One field that cannot be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// `fn`, `fd`, `fpd`, `registered_at` or `total`.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub message: Text,
}

/// A document that may be the receipt's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The document.
    pub document: FiscalDocument,
    /// Whether its time is that of the last send, because nobody read the right one. Then it has no QR code, which
    /// would not be the printed one.
    pub time_is_assumed: bool,
}

impl FoundDocument {
    /// Everything that is wrong, at once.
    ///
    /// # Errors
    /// The fields that cannot be right; never empty.
    pub fn check(&self, expected: &Expected) -> Result<Checked, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mut fault = |field, ru: String, en: String| {
            faults.push(FieldFault {
                field,
                message: Text::new(ru, en),
            });
        };
        if self.fn_number.len() != 16 || !self.fn_number.bytes().all(|byte| byte.is_ascii_digit()) {
            fault(
                "fn",
                "номер фискального накопителя — 16 цифр.".to_owned(),
                "the number of the fiscal drive has 16 digits.".to_owned(),
            );
        }
        let mut number = |field, text: &str| {
            let number = Some(text)
                .filter(|text| text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse::<u32>().ok())
                .filter(|number| *number > 0);
            if number.is_none() {
                fault(
                    field,
                    "целое число от 1 до 4294967295.".to_owned(),
                    "must be a whole number from 1 to 4294967295.".to_owned(),
                );
            }
            number.unwrap_or(0)
        };
        let (fd, fpd) = (number("fd", &self.fd), number("fpd", &self.fpd));
        if let Some(total) = self.total.filter(|total| *total != expected.total) {
            let ours = expected.total;
            fault(
                "total",
                format!("сумма документа {total} не равна сумме чека {ours}: это чужой документ."),
                format!("the document's total {total} is not the receipt's total {ours}: it is another receipt's."),
            );
        }
        let local = |time: Timestamp| time.to_zoned(expected.registers.clone()).datetime();
        if let Some(stamped) = self.registered_at {
            let (earliest, latest) = (
                local(expected.accepted_at - CLOCKS_APART),
                local(expected.now + CLOCKS_APART),
            );
            if stamped < earliest {
                let accepted = local(expected.accepted_at).strftime("%Y-%m-%dT%H:%M:%S").to_string();
                fault(
                    "registered_at",
                    format!("документ пробит {stamped}, а чек принят только {accepted}: это чужой документ."),
                    format!(
                        "the document was registered at {stamped}, but the receipt was accepted only at {accepted}: it \
                         is another receipt's."
                    ),
                );
            } else if stamped > latest {
                fault(
                    "registered_at",
                    format!("{stamped} ещё не наступило."),
                    format!("{stamped} is in the future."),
                );
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let assumed = || local(expected.sent_at.unwrap_or(expected.accepted_at));
        let mut document = FiscalDocument {
            fn_number: self.fn_number.clone(),
            fd: i64::from(fd),
            fpd: fpd.to_string(),
            shift: None,
            receipt_number: None,
            register_number: None,
            registered_at: self.registered_at.unwrap_or_else(assumed),
            total: expected.total,
            qr: None,
            ofd_url: None,
        };
        document.qr = self.registered_at.map(|_| document.qr_text(expected.settlement_sign));
        Ok(Checked {
            document,
            time_is_assumed: self.registered_at.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn expected() -> Expected {
        Expected {
            total: Money::from_kopecks(120_000),
            accepted_at: time("2026-11-23T09:00:00Z"),
            sent_at: Some(time("2026-11-23T09:00:05Z")),
            now: time("2026-11-24T09:00:00Z"),
            registers: TimeZone::fixed(jiff::tz::offset(3)),
            settlement_sign: 1,
        }
    }

    fn found() -> FoundDocument {
        FoundDocument {
            fn_number: "9960440301177245".to_owned(),
            fd: "48213".to_owned(),
            fpd: "0871940355".to_owned(),
            registered_at: Some(jiff::civil::date(2026, 11, 23).at(12, 1, 0, 0)),
            total: Some(Money::from_kopecks(120_000)),
        }
    }

    fn fields(found: &FoundDocument) -> Vec<&'static str> {
        let faults = found.check(&expected()).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn what_was_read_off_a_receipt_becomes_its_document() {
        let checked = found().check(&expected()).expect("a document");
        assert!(!checked.time_is_assumed);
        assert_eq!(
            (checked.document.fd, checked.document.fpd.as_str()),
            (48_213, "871940355")
        );
        assert_eq!(
            checked.document.qr.as_deref(),
            Some("t=20261123T120100&s=1200.00&fn=9960440301177245&i=48213&fp=871940355&n=1")
        );
    }

    #[test]
    fn a_time_that_nobody_read_is_that_of_the_last_send_and_makes_no_qr_code() {
        let checked = FoundDocument {
            registered_at: None,
            ..found()
        }
        .check(&expected())
        .expect("a document");
        assert!(checked.time_is_assumed);
        assert_eq!(checked.document.registered_at.to_string(), "2026-11-23T12:00:05");
        assert_eq!(checked.document.qr, None);
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let wrong = FoundDocument {
            fn_number: "12".to_owned(),
            fd: "0".to_owned(),
            fpd: "4294967296".to_owned(),
            registered_at: Some(jiff::civil::date(2026, 11, 20).at(12, 0, 0, 0)),
            total: Some(Money::from_kopecks(1)),
        };
        assert_eq!(fields(&wrong), ["fn", "fd", "fpd", "total", "registered_at"]);
        let later = FoundDocument {
            registered_at: Some(jiff::civil::date(2026, 11, 25).at(12, 0, 0, 0)),
            ..found()
        };
        assert_eq!(fields(&later), ["registered_at"]);
    }

    proptest! {
        #[test]
        fn nothing_that_a_person_types_panics_and_what_is_taken_is_within_the_registers_limits(
            fn_number in ".{0,20}", fd in ".{0,12}", fpd in "[0-9]{0,12}"
        ) {
            let typed = FoundDocument { fn_number, fd, fpd, ..found() };
            if let Ok(checked) = typed.check(&expected()) {
                prop_assert!((1..=4_294_967_295).contains(&checked.document.fd));
                prop_assert_eq!(checked.document.fn_number.len(), 16);
            }
        }
    }
}
