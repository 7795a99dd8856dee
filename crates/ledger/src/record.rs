//! Recording what a send came to.

use std::sync::Arc;

use sqlx::PgPool;

use crate::error::LedgerError;
use crate::outcome::{Outcome, Recorded};
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
    pub async fn record(&self, outcome: Outcome) -> Result<Recorded, LedgerError> {
        self.records.call(outcome).await
    }
}

pub(crate) async fn record_batch(
    pool: PgPool,
    worker: Arc<str>,
    batch: Arc<[Outcome]>,
) -> Result<Vec<Recorded>, LedgerError> {
    let entries: Vec<Entry> = batch.iter().cloned().map(Outcome::entry).collect::<Result<_, _>>()?;
    settle(pool, worker, entries).await
}
