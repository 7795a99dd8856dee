//! A lost database is an ordinary state: what must be written is written when it is back.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use crate::error::LedgerError;

const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Tells the beginning and the end of an outage once, for a loop that goes on at its next tick.
#[derive(Debug)]
pub struct Outage {
    of: &'static str,
    lasts: bool,
}

impl Outage {
    /// `of` names in the log what is looked for.
    #[must_use]
    pub const fn of(of: &'static str) -> Self {
        Self { of, lasts: false }
    }

    /// The value of a step, or `None` when the database was away.
    ///
    /// # Errors
    /// What the database refused.
    pub fn over<T>(&mut self, step: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
        let of = self.of;
        match step {
            Ok(value) => {
                if std::mem::replace(&mut self.lasts, false) {
                    tracing::info!("{of}: the database is back");
                }
                Ok(Some(value))
            }
            Err(error) if error.is_outage() => {
                if !std::mem::replace(&mut self.lasts, true) {
                    let cause = error.source().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(error = %error, cause, "{of}: looked for again when the database is back");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Repeats a statement until the database takes or refuses it, or until `give_up` is cancelled. `what` names in the
/// log what is being written.
///
/// Only statements that may be repeated come here, because an outage hides whether the last one took effect. While it
/// lasts the caller holds its delivery, its slot or its room for attempts, so a process without a database soon stops
/// taking work.
///
/// # Errors
/// What the database refused; the outage itself when `give_up` was cancelled during it.
pub async fn until_taken<T, F, Fut>(
    give_up: &CancellationToken,
    what: &'static str,
    mut statement: F,
) -> Result<T, LedgerError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, LedgerError>>,
{
    let waits = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST_WAIT)
        .with_jitter()
        .without_max_times();
    let mut until_next = None;
    loop {
        match statement().await {
            Err(error) if error.is_outage() => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(error = %error, cause, "{what}: not taken, to be repeated");
                // Made late: hardly any statement needs it, and each receipt has several.
                let until_next = until_next.get_or_insert_with(|| waits.build());
                let wait = until_next.next().unwrap_or(LONGEST_WAIT);
                if give_up.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    return Err(error);
                }
            }
            settled => return settled,
        }
    }
}
