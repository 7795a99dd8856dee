//! No statement is waited for without end.
//!
//! A server that vanishes without closing its connections answers nothing, and nothing below us ever says so. Whoever
//! waits longer than any of our statements can take treats it as an outage, gives the connection up and repeats the
//! statement on another one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::LedgerError;

/// Longer than any statement of ours takes on a loaded server, and shorter than a lease by default.
pub(crate) const LONGEST_STATEMENT: Duration = Duration::from_secs(15);

/// An outage that nobody told us of.
pub(crate) fn silence() -> LedgerError {
    let silent = io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time");
    LedgerError::Unavailable(Arc::new(sqlx::Error::Io(silent)))
}

/// Runs a checked query on a connection of the pool: `limited!(pool, fetch_all, query)`. Returns from the function with
/// an outage when there is no answer in time.
///
/// A macro, because the connection has to be told not to go back to the pool, where it would be asked for a sign of
/// life and wait for it without end.
///
/// What a statement needs while it runs takes several kilobytes. It is boxed, because every future that may come to one,
/// and each receipt has a few of those, would have room for it from its beginning to its end.
macro_rules! limited {
    ($pool:expr, $fetch:ident, $query:expr $(,)?) => {{
        let mut connection = Box::pin($pool.acquire()).await?;
        let answer = Box::pin($query.$fetch(&mut *connection));
        match tokio::time::timeout($crate::limit::LONGEST_STATEMENT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let error = $crate::error::LedgerError::from(error);
                // It may be the connection that failed. What the data did leaves it as good as it was.
                if error.is_outage() && !error.is_collision() {
                    connection.close_on_drop();
                }
                return Err(error.into());
            }
            Err(_) => {
                connection.close_on_drop();
                return Err($crate::limit::silence());
            }
        }
    }};
}

pub(crate) use limited;
