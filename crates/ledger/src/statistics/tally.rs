//! Counts and sums.

use jiff::Timestamp;
use receipt::{Failure, Money, Operation, StateName};
use serde::Serialize;

/// The receipts of one operation that stand at one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// What is registered.
    pub operation: Operation,
    /// Where they stand.
    pub state: StateName,
    /// Of failed ones: why.
    pub failure: Option<Failure>,
    /// How many.
    pub count: u64,
    /// The sum of their totals.
    pub total: Money,
}

/// What is on its way at this moment: neither registered nor closed, and not for a person to look into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Open {
    /// How many.
    pub count: u64,
    /// The sum of their totals.
    pub total: Money,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}
