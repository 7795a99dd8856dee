//! The handle that everybody holds.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::task::TaskTracker;

use crate::accept::{Acceptance, NewTransaction};
use crate::batch::Batcher;
use crate::callback::Hint;
use crate::claim::{Claim, Claiming};
use crate::config::Config;
use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::outcome::{Outcome, Recorded};
use crate::polled::PollRecord;
use crate::render::Rendered;

/// Every statement of ours is short, and compiling one takes longer than running it.
const ORDINARY: &str = "SET jit = off";
/// The statements that run for every receipt are long to plan and quick to run, and their plan does not depend on what is
/// asked: it is made once for a connection. So that one made beside an empty table is still good beside millions of rows,
/// no table is read whole where there is an index.
const HOT: &str = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off";
/// The largest number of receipts in one statement.
const LARGEST_BATCH: usize = 200;

/// Our Postgres database. Cheap to clone; every clone shares the same connections and batches.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// For questions of every kind.
    pub(crate) pool: PgPool,
    /// For the few statements that run for every receipt or all the time.
    pub(crate) hot: Hot,
    pub(crate) worker: Arc<str>,
    pub(crate) accepts: Batcher<Arc<NewTransaction>, Acceptance>,
    pub(crate) claims: Batcher<Claiming, Claim>,
    pub(crate) renders: Batcher<Rendered, String>,
    pub(crate) plains: Batcher<Arc<Outcome>, bool>,
    pub(crate) records: Batcher<Arc<Outcome>, Recorded>,
    pub(crate) polls: Batcher<PollRecord, Recorded>,
    pub(crate) hints: Batcher<Hint, ()>,
    tasks: TaskTracker,
}

impl Ledger {
    /// Prepares the connections without making one: a lost database is an ordinary state, not a reason not to start.
    /// `worker` stands in every attempt that this process makes.
    ///
    /// # Errors
    /// [`sqlx::Error::Configuration`] when the URL is not one.
    pub fn open(config: &Config, worker: &str) -> Result<Self, sqlx::Error> {
        let options: PgConnectOptions = config.url.expose_secret().parse()?;
        let options = options.application_name(&format!("kassa {worker}"));
        let hot = config.max_connections.div_ceil(2);
        let rest = config.max_connections.saturating_sub(hot).max(1);
        Ok(Self::over(
            Hot::prepare(options.clone(), HOT, hot, config.acquire_timeout)?,
            pool(config, rest, options),
            worker,
        ))
    }

    fn over(hot: Hot, pool: PgPool, worker: &str) -> Self {
        let tasks = TaskTracker::new();
        let worker: Arc<str> = worker.into();
        let accepts = {
            let (pool, worker) = (hot.clone(), Arc::clone(&worker));
            Batcher::start(&tasks, LARGEST_BATCH, move |batch| {
                crate::accept::accept_batch(pool.clone(), Arc::clone(&worker), batch)
            })
        };
        let claims = {
            let (pool, worker) = (hot.clone(), Arc::clone(&worker));
            Batcher::start(&tasks, LARGEST_BATCH, move |batch| {
                crate::claim::claim_batch(pool.clone(), Arc::clone(&worker), batch)
            })
        };
        let renders = {
            let pool = hot.clone();
            Batcher::start(&tasks, LARGEST_BATCH, move |batch| {
                crate::render::store_rendered(pool.clone(), batch)
            })
        };
        let plains = {
            let pool = hot.clone();
            Batcher::start(&tasks, LARGEST_BATCH, move |batch| {
                crate::plain::settle_plain(pool.clone(), batch)
            })
        };
        let records = {
            let (pool, worker) = (hot.clone(), Arc::clone(&worker));
            Batcher::start(&tasks, LARGEST_BATCH, move |batch| {
                crate::record::record_batch(pool.clone(), Arc::clone(&worker), batch)
            })
        };
        let polls = {
            let (pool, worker) = (hot.clone(), Arc::clone(&worker));
            Batcher::start(&tasks, LARGEST_BATCH, move |batch| {
                crate::poll::record_polls(pool.clone(), Arc::clone(&worker), batch)
            })
        };
        let hints = {
            let pool = hot.clone();
            Batcher::start(&tasks, LARGEST_BATCH, move |batch| {
                crate::callback::make_polls_due(pool.clone(), batch)
            })
        };
        Self {
            pool,
            hot,
            worker,
            accepts,
            claims,
            renders,
            plains,
            records,
            polls,
            hints,
            tasks,
        }
    }

    /// Asks the database for a sign of life and for how much its acknowledged commit promises.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when it does not answer.
    pub async fn probe(&self) -> Result<Probe, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_one,
            sqlx::query!(
                r#"
            SELECT
                current_setting('synchronous_commit') AS "synchronous_commit!",
                to_regclass('dead_letters') IS NOT NULL AS "migrated!"
            "#,
            )
        );
        Ok(Probe {
            synchronous_commit: row.synchronous_commit,
            migrated: row.migrated,
        })
    }

    /// Ends the batches that are under way and closes the connections.
    pub async fn close(self) {
        let Self {
            pool,
            hot,
            tasks,
            accepts,
            claims,
            renders,
            plains,
            records,
            polls,
            hints,
            worker: _,
        } = self;
        drop((accepts, claims, renders, plains, records, polls, hints));
        tasks.close();
        // Other clones keep the batches alive; they are not waited for.
        let _ = tokio::time::timeout(Duration::from_secs(5), tasks.wait()).await;
        hot.close();
        // A connection that waits for a silent server is not waited for either.
        let _ = tokio::time::timeout(Duration::from_secs(5), pool.close()).await;
    }
}

fn pool(config: &Config, most: u32, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(config.acquire_timeout)
        .idle_timeout(Duration::from_secs(600))
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(ORDINARY).execute(connection).await?;
                Ok(())
            })
        })
        .connect_lazy_with(options)
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `on`, `remote_apply`, `remote_write`, `local` or `off`. Below `on`, an acknowledged commit may be lost.
    pub synchronous_commit: String,
    /// Whether the tables are there.
    pub migrated: bool,
}

impl Probe {
    /// Whether an acknowledged commit survives a crash of the database.
    #[must_use]
    pub fn commits_are_durable(&self) -> bool {
        matches!(self.synchronous_commit.as_str(), "on" | "remote_apply" | "remote_write")
    }
}
