//! No statement is waited for without end.
//!
//! A server that vanishes without closing its connections answers nothing, and nothing below us ever says so. Whoever
//! waits longer than any of our statements can take treats it as an outage, gives the connection up and repeats the
//! statement on another one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use crate::error::LedgerError;

/// Longer than any statement of ours takes on a loaded server, and shorter than a lease by default.
pub(crate) const LONGEST_STATEMENT: Duration = Duration::from_secs(15);

/// An outage that nobody told us of.
pub(crate) fn silence() -> LedgerError {
    let silent = io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time");
    LedgerError::Unavailable(Arc::new(sqlx::Error::Io(silent)))
}

/// A connection of a pool while somebody uses it.
pub(crate) trait Borrowed {
    /// Its answer is whole: whoever has it next may use it.
    fn answered(&mut self);

    /// It is not used again: nobody knows in what state it is.
    fn give_up(self);
}

impl Borrowed for PoolConnection<Postgres> {
    /// sqlx's pool finds out by itself.
    fn answered(&mut self) {}

    fn give_up(mut self) {
        self.close_on_drop();
    }
}

/// Runs a checked query on a connection of the pool: `limited!(pool, fetch_all, query)`. Returns from the function with
/// an outage when there is no answer in time.
///
/// A macro, because the connection must not go back to its pool without an answer: it would be asked for a sign of life
/// and waited for without end, or what comes late would be taken for the answer to somebody else.
///
/// What a statement needs while it runs takes several kilobytes. It is boxed, because every future that may come to one,
/// and each receipt has a few of those, would have room for it from its beginning to its end.
macro_rules! limited {
    ($pool:expr, $fetch:ident, $query:expr $(,)?) => {{
        let mut connection = Box::pin($pool.acquire()).await?;
        let answer = Box::pin($query.$fetch(&mut *connection));
        match tokio::time::timeout($crate::limit::LONGEST_STATEMENT, answer).await {
            Ok(Ok(answer)) => {
                $crate::limit::Borrowed::answered(&mut connection);
                answer
            }
            Ok(Err(error)) => {
                let error = $crate::error::LedgerError::from(error);
                // It may be the connection that failed. What the data did leaves it as good as it was.
                if error.is_outage() && !error.is_collision() {
                    $crate::limit::Borrowed::give_up(connection);
                } else {
                    $crate::limit::Borrowed::answered(&mut connection);
                }
                return Err(error.into());
            }
            Err(_) => {
                $crate::limit::Borrowed::give_up(connection);
                return Err($crate::limit::silence());
            }
        }
    }};
}

pub(crate) use limited;
