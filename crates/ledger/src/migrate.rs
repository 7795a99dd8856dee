//! Bringing the schema up to date.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::pool::Ledger;

/// Held by whoever migrates, for its session.
const LOCK: i64 = 0x006b_6173_7361;
/// How often the others look whether it is free.
const LOOK: Duration = Duration::from_millis(100);

/// Every migration, without sqlx's own lock: whoever waits for that one waits inside a statement, and an index that is
/// built concurrently waits for every statement that began before. The two would wait for each other.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../../migrations");
    migrations.set_locking(false);
    migrations
}

impl Ledger {
    /// Applies what is missing, each file in a transaction of its own unless it says otherwise; safe to call from several
    /// processes at once, and again after one was interrupted. Returns the descriptions of all migrations that this
    /// version knows.
    ///
    /// # Errors
    /// When the database cannot be reached, or was migrated by a version that this one does not know.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        let migrations = migrations();
        let mut connection = self.pool.acquire().await?;
        // The lock ends with the session.
        connection.close_on_drop();
        while !try_lock(&mut connection).await? {
            tokio::time::sleep(LOOK).await;
        }
        drop_half_built(&mut connection).await?;
        migrations.run(&mut *connection).await?;
        connection.close().await?;
        Ok(migrations
            .iter()
            .map(|migration| format!("{:04} {}", migration.version, migration.description))
            .collect())
    }
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK)
        .fetch_one(connection)
        .await
}

/// An index that was being built concurrently when its builder was stopped is left behind, serves nothing and costs as
/// much as one that does.
async fn drop_half_built(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let indexes = sqlx::query_scalar!(
        r#"
        SELECT format('%I', c.relname) AS "name!"
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE NOT i.indisvalid
            AND c.relkind = 'i'
            AND c.relnamespace = current_schema()::regnamespace
        "#
    )
    .fetch_all(&mut *connection)
    .await?;
    for name in indexes {
        tracing::warn!("the index {name} was not built to its end and is dropped");
        connection
            .execute(AssertSqlSafe(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")))
            .await?;
    }
    Ok(())
}
