#![doc = include_str!("../README.md")]

mod accept;
mod batch;
mod claim;
mod config;
mod dead_letters;
mod error;
mod events;
mod migrate;
mod outage;
mod poll;
mod pool;
mod record;
mod show;

pub use accept::{Acceptance, First, NewTransaction};
pub use claim::{Claim, Claimed, Lease, Quota};
pub use config::Config;
pub use dead_letters::{DeadLetter, NewDeadLetter, Origin, Rejection};
pub use error::LedgerError;
pub use events::PendingEvent;
pub use outage::until_taken;
pub use poll::{PollRecord, PollVerdict, Polled};
pub use pool::Ledger;
pub use record::{Evidence, Outcome, Recorded, Verdict};
pub use show::{AttemptRow, Filter, Summary, TransactionDetails, TransactionRow};
