//! Whether a fiscal document is ours.
//!
//! Somebody else may have used our id at the vendor's account, and a vendor that recognises an id answers with whatever
//! it holds under it, without comparing contents. So every document is checked before it is taken: one that was polled
//! for, one that came straight from a send, and one that is found under a retired id.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::class::{Refusal, RetryClass, Text};
use crate::external_id::ExternalId;
use crate::fiscal::FiscalDocument;
use crate::money::Money;

/// How much earlier than our acceptance a register's clock may have stamped our document (design, section 3).
pub const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);

/// What a document must agree with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The key that was sent or asked about.
    pub external_id: &'a ExternalId,
    /// The receipt's total.
    pub total: Money,
    /// When the receipt was accepted.
    pub accepted_at: Timestamp,
}

impl Expected<'_> {
    /// Why the document is not ours, if it is not: a refusal of class [`RetryClass::Unknown`] with code
    /// `foreign_document`.
    ///
    /// `external_id` is the key that the vendor says the document has, if it says one; `registers` the time zone in which
    /// registers stamp their documents.
    #[must_use]
    pub fn foreign(
        &self,
        document: &FiscalDocument,
        external_id: Option<&str>,
        registers: &TimeZone,
    ) -> Option<Box<Refusal>> {
        if let Some(theirs) = external_id.filter(|theirs| *theirs != self.external_id.as_str()) {
            return Some(refusal(
                format!("Поставщик вернул документ с другим ключом: {theirs}."),
                format!("The vendor returned a document with another key: {theirs}."),
            ));
        }
        if document.total != self.total {
            let (theirs, ours) = (document.total, self.total);
            return Some(refusal(
                format!("Сумма документа {theirs} не равна сумме чека {ours}."),
                format!("The document's total {theirs} is not the receipt's total {ours}."),
            ));
        }
        let stamped = document.registered_at.to_zoned(registers.clone());
        // A time that no calendar has proves nothing either way; the triple of numbers is what identifies a document.
        let is_older = |stamped: Timestamp| {
            self.accepted_at
                .checked_sub(CLOCKS_APART)
                .is_ok_and(|earliest| stamped < earliest)
        };
        if stamped.is_ok_and(|stamped| is_older(stamped.timestamp())) {
            let stamped = document.registered_at;
            return Some(refusal(
                format!("Документ пробит {stamped} — раньше, чем чек был принят."),
                format!("The document was registered at {stamped}, before the receipt was accepted."),
            ));
        }
        None
    }
}

fn refusal(ru: String, en: String) -> Box<Refusal> {
    Box::new(Refusal {
        class: RetryClass::Unknown,
        kind: "kassa".to_owned(),
        code: "foreign_document".to_owned(),
        message: String::new(),
        cause: Text::new(ru, en),
        cure: Text::new(
            "Проверьте чек в личном кабинете поставщика и закройте операцию вручную.",
            "Check the receipt in the vendor's cabinet and resolve the transaction by hand.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> FiscalDocument {
        FiscalDocument {
            fn_number: "9999078900000001".into(),
            fd: 1,
            fpd: "1".into(),
            shift: None,
            receipt_number: None,
            register_number: None,
            registered_at: jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0),
            total: Money::from_kopecks(90_000),
            qr: None,
            ofd_url: None,
        }
    }

    /// What is wrong with `document` for a receipt of 900.00 that was accepted `minutes` after it was stamped.
    fn wrong(document: &FiscalDocument, external_id: Option<&str>, minutes: i64) -> Option<String> {
        let registers = crate::intake::moscow();
        let stamped = jiff::civil::date(2026, 2, 14)
            .at(11, 8, 0, 0)
            .to_zoned(registers.clone())
            .expect("a time of Moscow")
            .timestamp();
        let ours = ExternalId::parse("invoice_main_417").expect("valid");
        let expected = Expected {
            external_id: &ours,
            total: Money::from_kopecks(90_000),
            accepted_at: stamped + SignedDuration::from_mins(minutes),
        };
        let refusal = expected.foreign(document, external_id, &registers)?;
        assert_eq!(
            (refusal.class, refusal.code.as_str()),
            (RetryClass::Unknown, "foreign_document")
        );
        Some(refusal.cause.en)
    }

    #[test]
    fn a_document_is_ours_by_key_total_and_time() {
        assert_eq!(wrong(&document(), Some("invoice_main_417"), 0), None);
        assert_eq!(wrong(&document(), None, 0), None, "not every vendor tells the key");
        let key = wrong(&document(), Some("invoice_main_418"), 0).expect("foreign");
        assert!(key.contains("invoice_main_418"), "{key}");
        let other = FiscalDocument {
            total: Money::from_kopecks(90_001),
            ..document()
        };
        let total = wrong(&other, None, 0).expect("foreign");
        assert!(total.contains("900.01") && total.contains("900.00"), "{total}");
    }

    #[test]
    fn clocks_may_be_ten_minutes_apart_and_no_more() {
        assert_eq!(wrong(&document(), None, 10), None);
        assert!(wrong(&document(), None, 11).is_some());
        assert_eq!(
            wrong(&document(), None, -60),
            None,
            "later than the acceptance is what is expected"
        );
    }
}
