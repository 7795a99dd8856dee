//! A cloud register with its fiscal drive: the only place where this vendor's fiscal documents come into being.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::order::Order;
use crate::books::FiscalDocument;
use crate::shared::moscow;

/// Section 3.
const SHIFT: Duration = Duration::from_secs(86_000);

/// In the drawer of a new register, in kopecks.
const FIRST_CASH: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Device {
    pub(super) serial: String,
    pub(super) registration_number: String,
    pub(super) fn_number: String,
    pub(super) cash: u64,
    shift_number: u32,
    shift_opened_at: Option<Timestamp>,
    receipts_in_shift: u32,
    last_document: u32,
}

/// A document as its register tells of it.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) fiscal: FiscalDocument,
    /// The register's local time.
    pub(super) at: DateTime,
}

impl Device {
    pub(super) fn new(random: &mut fastrand::Rng) -> Device {
        Device {
            serial: format!("{:020}", random.u64(10_000_000_000..99_999_999_999)),
            registration_number: format!("{:016}", random.u64(100_000_000..10_000_000_000)),
            fn_number: format!("99990788{:08}", random.u32(0..100_000_000)),
            cash: FIRST_CASH,
            shift_number: random.u32(1..400),
            shift_opened_at: None,
            receipts_in_shift: 0,
            last_document: random.u32(1_000..50_000),
        }
    }

    /// Closes a document that was checked. Opening and closing a shift take a number each too.
    pub(super) fn close(&mut self, order: &Order, now: Timestamp, random: &mut fastrand::Rng) -> Closed {
        if (self.shift_opened_at).is_some_and(|opened| now.duration_since(opened).unsigned_abs() >= SHIFT) {
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
        let in_cash = order.total().saturating_sub(order.electronic());
        self.cash = match order.documenttype {
            0 | 3 => self.cash.saturating_add(in_cash),
            _ => self.cash.saturating_sub(in_cash),
        };
        Closed {
            fiscal: FiscalDocument {
                fn_number: self.fn_number.clone(),
                shift_number: self.shift_number,
                fiscal_receipt_number: self.receipts_in_shift,
                fiscal_document_number: self.last_document,
                fiscal_document_attribute: random.u32(1 << 31..),
                ecr_registration_number: self.registration_number.clone(),
                receipt_datetime: moscow(now),
                ofd_receipt_url: String::new(),
            },
            at: Offset::constant(3).to_datetime(now),
        }
    }

    /// The next receipt opens a new shift.
    pub(super) fn close_shift(&mut self) {
        if self.shift_opened_at.take().is_some() {
            self.last_document += 1;
        }
    }
}
