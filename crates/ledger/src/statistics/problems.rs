//! Receipts that need a person.

use jiff::Timestamp;
use receipt::{Failure, Money, Operation, StateName, Text};
use serde::Serialize;
use uuid::Uuid;

/// One receipt that needs a person. Identifiers are as they are stored: a row that does not hold together is here too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
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
    /// The key at the vendor.
    pub external_id: String,
    /// `failed`, `unknown`, or `waiting` for what is overdue.
    pub state: StateName,
    /// Of failed ones: why.
    pub failure: Option<Failure>,
    /// The total.
    pub total: Money,
    /// When kassa's promise began.
    pub accepted_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Of the deciding attempt: the vendor's error type.
    pub kind: Option<String>,
    /// The vendor's code.
    pub code: Option<String>,
    /// What happened.
    pub cause: Option<Text>,
    /// What to do.
    pub cure: Option<Text>,
}
