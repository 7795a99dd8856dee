//! Recording what a send came to.

use std::sync::Arc;

use crate::error::LedgerError;
use crate::hot::Hot;
use crate::outcome::{Outcome, Recorded};
use crate::plain::Plain;
use crate::pool::Ledger;
use crate::settle::{Entry, settle};

impl Ledger {
    /// Records an outcome. May be repeated with the same value until it succeeds: the attempt is finished once.
    ///
    /// The state is moved only if the attempt's number is the fence; but a fiscal document moves it however late it
    /// comes.
    ///
    /// # Errors
    /// [`LedgerError::ExternalIdTaken`] when the next key of a re-key belongs to another document; an outage otherwise.
    pub async fn record(&self, outcome: impl Into<Arc<Outcome>>) -> Result<Recorded, LedgerError> {
        let outcome = outcome.into();
        // What is plain has statements of its own, so that no other outcome fails them or waits for them.
        if Plain::of(&outcome).is_some() && self.plains.call(Arc::clone(&outcome)).await? {
            return Ok(Recorded::Applied);
        }
        self.records.call(outcome).await
    }
}

pub(crate) async fn record_batch(
    hot: Hot,
    worker: Arc<str>,
    batch: Arc<[Arc<Outcome>]>,
) -> Result<Vec<Recorded>, LedgerError> {
    let entries: Vec<Entry> = batch
        .iter()
        .map(|outcome| Outcome::clone(outcome).entry())
        .collect::<Result<_, _>>()?;
    settle(hot, worker, entries).await
}
