//! Connections for the statements that run for every receipt.
//!
//! sqlx's pool asks a connection for a sign of life before each use and after it, the second time in a task of its own:
//! three round trips for a statement. Here one that was in use a moment ago is believed, and a statement that finds it
//! dead is repeated as in any outage.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};

use crate::error::LedgerError;

/// A connection that was taken so short a time ago is not asked for a sign of life.
const BELIEVED: Duration = Duration::from_secs(1);
/// A session collects plans and caches; after this time a new one follows it.
const LONGEST_LIFE: Duration = Duration::from_mins(30);

/// Such connections. Cheap to clone; every clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Hot {
    pool: Pool<Sessions>,
}

impl Hot {
    /// Prepares up to `most` connections, each with these `settings`, without making one.
    pub(crate) fn prepare(
        options: PgConnectOptions,
        settings: &'static str,
        most: u32,
        acquire_timeout: Duration,
    ) -> Result<Self, sqlx::Error> {
        let pool = Pool::builder(Sessions { options, settings })
            .max_size(usize::try_from(most).unwrap_or(usize::MAX))
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(acquire_timeout))
            .create_timeout(Some(acquire_timeout))
            .recycle_timeout(Some(acquire_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Ok(Self { pool })
    }

    /// A connection of one's own until it is dropped.
    pub(crate) async fn acquire(&self) -> Result<Lent, LedgerError> {
        match self.pool.get().await {
            Ok(session) => Ok(Lent(session)),
            Err(PoolError::Backend(error)) => Err(error.into()),
            Err(PoolError::Closed) => Err(LedgerError::Closed),
            Err(PoolError::Timeout(_)) => Err(sqlx::Error::PoolTimedOut.into()),
            Err(error @ (PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_))) => {
                Err(sqlx::Error::Configuration(error.into()).into())
            }
        }
    }

    /// Closes the connections that nobody uses, and the others as they come back.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

/// A connection that goes back when it is dropped.
pub(crate) struct Lent(Object<Sessions>);

impl Lent {
    /// It is not used again: whoever has it does not know in what state it is. Those that lie idle are not believed any
    /// more either, for what ends one connection often ends all.
    pub(crate) fn close_on_drop(&mut self) {
        self.0.given_up = true;
        if let Some(pool) = Object::pool(&self.0) {
            pool.retain(|_, _| false);
        }
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

/// How sessions are made and looked after.
struct Sessions {
    options: PgConnectOptions,
    settings: &'static str,
}

/// The options have the password.
impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sessions").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Session {
    connection: PgConnection,
    given_up: bool,
}

impl Manager for Sessions {
    type Type = Session;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Session, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        connection.execute(sqlx::raw_sql(self.settings)).await?;
        Ok(Session {
            connection,
            given_up: false,
        })
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        let over = |why| Err(RecycleError::Message(Cow::Borrowed(why)));
        if session.given_up {
            return over("given up");
        }
        if metrics.age() > LONGEST_LIFE {
            return over("old");
        }
        if metrics.last_used() > BELIEVED {
            session.connection.ping().await?;
        }
        Ok(())
    }
}
