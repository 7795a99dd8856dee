//! A database for one test.

use std::future::Future;
use std::time::Duration;

use ledger::{Config, Ledger};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool};
use uuid::Uuid;

/// A migrated, empty database that is dropped with this value, also when the test fails.
pub(crate) struct Scratch {
    name: String,
    server: String,
    /// For looking at rows and for making time pass.
    pub(crate) pool: PgPool,
}

impl Scratch {
    pub(crate) async fn new() -> Self {
        let scratch = Self::empty().await;
        scratch
            .ledger()
            .migrate()
            .await
            .expect("the migrations apply to an empty database");
        scratch
    }

    pub(crate) async fn empty() -> Self {
        let server = server();
        let name = format!("kassa_test_ledger_{}", Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(&server)
            .await
            .expect("DATABASE_URL must name a Postgres that can be reached");
        connection
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .expect("the user of DATABASE_URL must be allowed to create databases");
        let pool = PgPool::connect_lazy_with(database(&server, &name));
        Self { name, server, pool }
    }

    /// A handle with connections and batches of its own, as another process would have.
    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger_of("test-1")
    }

    pub(crate) fn ledger_of(&self, worker: &str) -> Ledger {
        Ledger::open(&Config::at(self.url()), worker).expect("the URL is one")
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        database(&self.server, &self.name)
    }

    pub(crate) fn url(&self) -> String {
        self.options().to_url_lossy().to_string()
    }

    /// One statement for the arrangement of a test.
    pub(crate) async fn run(&self, statement: &'static str) -> u64 {
        self.pool
            .execute(statement)
            .await
            .expect("a statement of a test")
            .rows_affected()
    }

    /// As if so much time had gone by for everything that waits.
    pub(crate) async fn pass(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        for statement in [
            "UPDATE transactions SET due_at = due_at - make_interval(secs => $1)",
            "UPDATE registrations SET next_poll_at = next_poll_at - make_interval(secs => $1), \
             callback_rest_until = callback_rest_until - make_interval(secs => $1)",
            "UPDATE outbox SET relay_after = relay_after - make_interval(secs => $1), \
             taken_until = taken_until - make_interval(secs => $1)",
            "UPDATE webhook_deliveries SET due_at = due_at - make_interval(secs => $1), \
             delivered_at = delivered_at - make_interval(secs => $1)",
            "UPDATE mails SET due_at = due_at - make_interval(secs => $1)",
            "UPDATE alerts SET quiet_until = quiet_until - make_interval(secs => $1)",
            "UPDATE webhook_endpoints SET slow_until = slow_until - make_interval(secs => $1)",
            "UPDATE gates SET next_probe_at = next_probe_at - make_interval(secs => $1), \
             probe_until = probe_until - make_interval(secs => $1), \
             opened_at = opened_at - make_interval(secs => $1)",
            "UPDATE workers SET joined_at = joined_at - make_interval(secs => $1), \
             seen_at = seen_at - make_interval(secs => $1)",
        ] {
            sqlx::query(statement)
                .bind(seconds)
                .execute(&self.pool)
                .await
                .expect("time passes");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (server, statement) = (
            self.server.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // A drop cannot await, and the runtime of a failed test is on its way out.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let mut connection = PgConnection::connect(&server).await?;
                connection.execute(AssertSqlSafe(statement)).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        })
        .join();
        if !std::thread::panicking() {
            dropped.expect("no panic").expect("the test's database is dropped");
        }
    }
}

fn database(server: &str, name: &str) -> PgConnectOptions {
    server
        .parse::<PgConnectOptions>()
        .expect("DATABASE_URL must be a URL of Postgres")
        .database(name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one setting of the tests, which have no configuration"
)]
fn server() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres for the tests; `cargo xtask test` starts one and sets it")
}

/// Waits for a condition, with a limit.
pub(crate) async fn until<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(tokio::time::Instant::now() < limit, "not within 20 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
