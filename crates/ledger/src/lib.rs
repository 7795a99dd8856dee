#![doc = include_str!("../README.md")]

mod accept;
mod accounts;
mod batch;
mod callback;
mod claim;
mod config;
mod dead_letters;
mod error;
mod events;
mod judge;
mod limit;
mod migrate;
mod outage;
mod outcome;
mod poll;
mod polled;
mod pool;
mod record;
mod render;
mod show;
mod storable;

pub use accept::{Acceptance, First, NewTransaction};
pub use accounts::Moved;
pub use callback::Hint;
pub use claim::{Claim, Claimed, Lease, Quota};
pub use config::Config;
pub use dead_letters::{DeadLetter, NewDeadLetter, Origin, Rejection};
pub use error::LedgerError;
pub use events::PendingEvent;
pub use judge::{Judged, Request};
pub use outage::{Outage, until_taken};
pub use outcome::{Evidence, Outcome, Recorded, Verdict};
pub use polled::{PollRecord, PollVerdict, Polled};
pub use pool::Ledger;
pub use show::{AttemptRow, Filter, Summary, TransactionDetails, TransactionRow};
