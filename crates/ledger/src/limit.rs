//! No statement is waited for without end.
//!
//! A server that vanishes without closing its connections answers nothing, and nothing below us ever says so. Whoever
//! waits longer than any of our statements can take treats it as an outage: the statement is repeated, on another
//! connection.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::LedgerError;

/// Longer than any statement of ours takes on a loaded server, and shorter than any lease by default.
const LONGEST_STATEMENT: Duration = Duration::from_secs(15);

/// The answer of `statement`, or an outage when there is none in time.
pub(crate) async fn limited<T, E>(statement: impl Future<Output = Result<T, E>>) -> Result<T, LedgerError>
where
    LedgerError: From<E>,
{
    match tokio::time::timeout(LONGEST_STATEMENT, statement).await {
        Ok(answer) => Ok(answer?),
        Err(_) => {
            let silent = io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time");
            Err(LedgerError::Unavailable(Arc::new(sqlx::Error::Io(silent))))
        }
    }
}
