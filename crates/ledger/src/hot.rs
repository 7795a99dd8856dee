//! Connections for the statements that run for every receipt.
//!
//! sqlx's pool asks a connection for a sign of life before each use and after it, the second time in a task of its own:
//! three round trips for a statement. Here one that was taken less than a second ago is believed, and a statement that
//! finds it dead is repeated as in any outage.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::timeout;

use crate::error::LedgerError;
use crate::limit::Borrowed;

/// A connection that was taken so short a time ago is not asked for a sign of life.
const BELIEVED: Duration = Duration::from_secs(1);
/// A connection collects plans and caches; after this time a new one follows it.
const LONGEST_LIFE: Duration = Duration::from_mins(30);

/// Such connections. Cheap to clone; every clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Hot {
    pool: Pool<Connections>,
    acquire_timeout: Duration,
}

impl Hot {
    /// Prepares up to `most` connections, each with these `settings`, without making one.
    pub(crate) fn prepare(
        options: PgConnectOptions,
        settings: &'static str,
        most: u32,
        acquire_timeout: Duration,
    ) -> Result<Self, sqlx::Error> {
        let pool = Pool::builder(Connections { options, settings })
            .max_size(usize::try_from(most).unwrap_or(usize::MAX))
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Ok(Self { pool, acquire_timeout })
    }

    /// A connection of one's own until it is dropped.
    pub(crate) async fn acquire(&self) -> Result<Lent, LedgerError> {
        let error = match timeout(self.acquire_timeout, self.pool.get()).await {
            Ok(Ok(mut object)) => {
                object.is_open_ended = true;
                return Ok(Lent(object));
            }
            Ok(Err(PoolError::Backend(error))) => error,
            Ok(Err(PoolError::Closed)) => sqlx::Error::PoolClosed,
            Ok(Err(error)) => sqlx::Error::Configuration(error.into()),
            Err(_) => {
                // Those that lie idle would each be waited for as long.
                self.pool.retain(|_, _| false);
                sqlx::Error::PoolTimedOut
            }
        };
        Err(error.into())
    }

    /// Closes the connections that nobody uses, and the others as they come back.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

/// A connection that goes back when it is dropped.
pub(crate) struct Lent(Object<Connections>);

impl Borrowed for Lent {
    fn answered(&mut self) {
        self.0.is_open_ended = false;
    }

    /// Those that lie idle are not believed any more either, for what ends one connection often ends all.
    fn give_up(self) {
        if let Some(pool) = Object::pool(&self.0) {
            pool.retain(|_, _| false);
        }
        drop(Object::take(self.0));
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0.connection
    }
}

/// How connections are made and looked after.
struct Connections {
    options: PgConnectOptions,
    settings: &'static str,
}

/// The options have the password.
impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connections").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Kept {
    connection: PgConnection,
    /// Somebody began to use it and did not say that the answer is whole. What is left of it must not be taken for the
    /// next one's.
    is_open_ended: bool,
}

impl Manager for Connections {
    type Type = Kept;
    type Error = sqlx::Error;

    /// A server that restarts, or has no room just now, is waited for as long as its caller waits.
    async fn create(&self) -> Result<Kept, sqlx::Error> {
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(10))
            .with_max_delay(Duration::from_millis(500))
            .without_max_times();
        let mut connection = (|| PgConnection::connect_with(&self.options))
            .retry(waits)
            .when(passes)
            .await?;
        connection.execute(sqlx::raw_sql(self.settings)).await?;
        Ok(Kept {
            connection,
            is_open_ended: false,
        })
    }

    async fn recycle(&self, kept: &mut Kept, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        let over = |why| Err(RecycleError::Message(Cow::Borrowed(why)));
        if kept.is_open_ended {
            return over("its last answer is not whole");
        }
        if metrics.age() > LONGEST_LIFE {
            return over("old");
        }
        if metrics.last_used() > BELIEVED {
            kept.connection.ping().await?;
        }
        Ok(())
    }
}

/// Whether a server that says so is soon another: it refuses connections, is starting (57P03), or has too many (53300).
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| matches!(code.as_ref(), "57P03" | "53300")),
        _ => false,
    }
}
