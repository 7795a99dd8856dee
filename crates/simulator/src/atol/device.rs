//! A cash register with its fiscal drive: the only place where fiscal documents come into being.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::operation::Operation;
use crate::books::FiscalDocument;
use crate::exact::decimal_text;
use crate::shared::moscow;

/// The law allows 24 hours; a register closes its shift a little earlier.
const SHIFT: Duration = Duration::from_secs(23 * 3600 + 50 * 60);

#[derive(Debug)]
pub(super) struct Device {
    /// The register's name at the vendor.
    pub(super) code: String,
    fn_number: String,
    registration_number: String,
    shift_number: u32,
    shift_opened_at: Option<Timestamp>,
    receipts_in_shift: u32,
    last_document: u32,
}

impl Device {
    /// The `index`-th register of a group. Drives of the test stand begin with 99990789 (fact sheet, section 9).
    pub(super) fn new(index: usize, random: &mut fastrand::Rng) -> Device {
        Device {
            code: format!("KKT{:06}", 120 + index),
            fn_number: format!("99990789{:08}", random.u32(0..100_000_000)),
            registration_number: format!("{:016}", random.u64(100_000_000..10_000_000_000)),
            shift_number: random.u32(1..400),
            shift_opened_at: None,
            receipts_in_shift: 0,
            last_document: random.u32(1_000..50_000),
        }
    }

    /// Writes a fiscal document. Opening and closing a shift write one each too, so numbers have gaps between receipts.
    pub(super) fn register(
        &mut self,
        operation: Operation,
        total_kopecks: i64,
        now: Timestamp,
        random: &mut fastrand::Rng,
    ) -> FiscalDocument {
        if self
            .shift_opened_at
            .is_some_and(|opened| now.duration_since(opened).unsigned_abs() >= SHIFT)
        {
            self.close_shift();
        }
        if self.shift_opened_at.is_none() {
            self.shift_number += 1;
            self.last_document += 1;
            self.shift_opened_at = Some(now);
            self.receipts_in_shift = 0;
        }
        self.receipts_in_shift += 1;
        self.last_document += 1;
        let attribute = random.u32(1 << 31..);
        FiscalDocument {
            fn_number: self.fn_number.clone(),
            shift_number: self.shift_number,
            fiscal_receipt_number: self.receipts_in_shift,
            fiscal_document_number: self.last_document,
            fiscal_document_attribute: attribute,
            ecr_registration_number: self.registration_number.clone(),
            receipt_datetime: moscow(whole_minute(now)),
            ofd_receipt_url: format!(
                "https://consumer.1-ofd-test.ru/v1?fn={}&fp={attribute}&i={}&t={}&s={}&n={}",
                self.fn_number,
                self.last_document,
                Offset::constant(3)
                    .to_datetime(whole_minute(now))
                    .strftime("%Y%m%dT%H%M%S"),
                decimal_text(total_kopecks),
                operation.kind_in_link(),
            ),
        }
    }

    /// The next receipt opens a new shift, in which numbering starts again.
    pub(super) fn close_shift(&mut self) {
        if self.shift_opened_at.take().is_some() {
            self.last_document += 1;
        }
    }
}

/// A drive keeps time in whole minutes, and the receipts of section 10 show it.
fn whole_minute(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second() / 60 * 60).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    #[test]
    fn numbers_grow_and_begin_again_with_each_shift() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut device = Device::new(0, &mut random);
        let morning: Timestamp = "2026-02-14T08:08:31Z".parse().expect("a timestamp");
        let mut at = |time| device.register(Operation::Sell, 283_500, time, &mut random);
        let first = at(morning);
        let second = at(morning);
        let next_day = at(morning.checked_add(25.hours()).expect("in range"));

        assert_eq!(first.receipt_datetime, "14.02.2026 11:08:00");
        assert!(
            first.ofd_receipt_url.ends_with("&t=20260214T110800&s=2835.00&n=1"),
            "{}",
            first.ofd_receipt_url
        );
        assert_eq!((first.fiscal_receipt_number, second.fiscal_receipt_number), (1, 2));
        assert_eq!(second.fiscal_document_number, first.fiscal_document_number + 1);
        assert_eq!(next_day.fiscal_receipt_number, 1);
        assert_eq!(next_day.shift_number, first.shift_number + 1);
        assert_eq!(next_day.fiscal_document_number, second.fiscal_document_number + 3);
        for document in [first, second, next_day] {
            assert_eq!(
                (document.fn_number.len(), document.ecr_registration_number.len()),
                (16, 16)
            );
            assert!(document.fiscal_document_attribute > i32::MAX.unsigned_abs());
        }
    }
}
