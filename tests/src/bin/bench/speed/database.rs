//! The database of a run: its schema, and what stands in it.

use anyhow::ensure;
use kassa_tests::database::Database;
use ledger::Ledger;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor as _, PgPool};

use super::contender::Rows;

/// A database with one connection of ours.
pub(crate) struct Store {
    database: Database,
    pub(crate) pool: PgPool,
    rows: Rows,
}

impl Store {
    /// Makes one on this server, with the tables that `rows` need.
    pub(crate) async fn create(server: &str, rows: Rows) -> anyhow::Result<Self> {
        let database = Database::create_at(server.to_owned(), "bench").await?;
        if rows == Rows::Kassa {
            let ledger = Ledger::open(&ledger::Config::at(database.url.clone()), "bench")?;
            ledger.migrate().await?;
            ledger.close().await;
        }
        let pool = PgPoolOptions::new().max_connections(1).connect(&database.url).await?;
        if rows == Rows::Two {
            pool.execute(include_str!("../../../../peers/receipts.sql")).await?;
        }
        Ok(Self { database, pool, rows })
    }

    pub(crate) fn url(&self) -> &str {
        &self.database.url
    }

    /// Receipts of which nothing more is to come in the state that the contest ends with.
    pub(crate) async fn finished(&self, state: &str) -> anyhow::Result<u64> {
        let table = match self.rows {
            Rows::Two => "SELECT count(*) FROM receipts WHERE state = $1",
            // What was seeded has a number without a letter.
            Rows::Kassa => "SELECT count(*) FROM transactions WHERE state = $1 AND document_number >= 'N'",
        };
        let count: i64 = sqlx::query_scalar(table).bind(state).fetch_one(&self.pool).await?;
        Ok(u64::try_from(count)?)
    }

    /// Everybody has written what kassa writes: one registration and one attempt for each receipt, and two events.
    pub(crate) async fn check_rows(&self, receipts: u64) -> anyhow::Result<()> {
        if self.rows == Rows::Two {
            return Ok(());
        }
        let (registrations, attempts, events): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM registrations), (SELECT count(*) FROM attempts), \
             (SELECT count(*) FROM events)",
        )
        .fetch_one(&self.pool)
        .await?;
        let receipts = i64::try_from(receipts)?;
        ensure!(
            (registrations, attempts, events) == (receipts, receipts, 2 * receipts),
            "{receipts} receipts have {registrations} registrations, {attempts} attempts and {events} events"
        );
        Ok(())
    }

    /// Lets the server write down what is in its memory, so that no run pays for another one's.
    pub(crate) async fn checkpoint(&self) -> anyhow::Result<()> {
        self.pool.execute("CHECKPOINT").await?;
        Ok(())
    }

    /// Where the log of all changes stands, in bytes.
    pub(crate) async fn written(&self) -> anyhow::Result<i64> {
        let position = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
        Ok(sqlx::query_scalar(position).fetch_one(&self.pool).await?)
    }

    /// Commits in this database so far. A connection tells of its own when it ends, or a second later.
    pub(crate) async fn commits(&self) -> anyhow::Result<i64> {
        let commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        Ok(sqlx::query_scalar(commits).fetch_one(&self.pool).await?)
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        self.pool.close().await;
        self.database.remove().await
    }
}
