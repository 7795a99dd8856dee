//! Every receipt of a period, for the exports.

use jiff::Timestamp;
use jiff::civil::DateTime;
use receipt::{Failure, Money, Operation, StateName};
use serde::Serialize;
use uuid::Uuid;

/// One receipt as an export has it, without anything of the buyer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Our id.
    pub id: Uuid,
    /// The store.
    pub store: String,
    /// What is registered.
    pub operation: Operation,
    /// The shop's document.
    pub document: String,
    /// Which receipt of it.
    pub part: String,
    /// The shop's order.
    pub order: Option<String>,
    /// Where it stands.
    pub state: StateName,
    /// Of failed ones: why.
    pub failure: Option<Failure>,
    /// The total.
    pub total: Money,
    /// When kassa's promise began.
    pub accepted_at: Timestamp,
    /// The account at the vendor.
    pub account: String,
    /// The key at the vendor.
    pub external_id: String,
    /// The vendor's own id.
    pub vendor_uuid: Option<String>,
    /// Number of the fiscal drive; text because of leading zeros.
    pub fn_number: Option<String>,
    /// Number of the fiscal document.
    pub fd: Option<i64>,
    /// Fiscal sign.
    pub fpd: Option<String>,
    /// When the register closed the document, in its own local time.
    pub registered_at: Option<DateTime>,
    /// Shift.
    pub shift: Option<i64>,
    /// Number of the receipt in the shift.
    pub receipt_number: Option<i64>,
}
