//! Failures grouped by what caused them.

use jiff::Timestamp;
use receipt::{Money, StateName, Text};
use serde::Serialize;
use uuid::Uuid;

/// One cause and the receipts that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// `failed` or `unknown`.
    pub state: StateName,
    /// The vendor's error type, or a word for what happened on the way to it.
    pub kind: Option<String>,
    /// The vendor's code.
    pub code: Option<String>,
    /// What happened; absent when no attempt says.
    pub cause: Option<Text>,
    /// What to do.
    pub cure: Option<Text>,
    /// How many receipts.
    pub count: u64,
    /// The sum of their totals.
    pub total: Money,
    /// When the first of them was accepted.
    pub first: Timestamp,
    /// When the last of them was accepted.
    pub last: Timestamp,
    /// The last of them.
    pub example: Uuid,
    /// The shop's document of that one.
    pub example_document: String,
}
