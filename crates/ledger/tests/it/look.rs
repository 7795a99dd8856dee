//! What stands in the tables.

use receipt::TransactionId;
use sqlx::PgPool;
use uuid::Uuid;

use crate::scratch::Scratch;

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Transaction {
    pub(crate) state: String,
    pub(crate) failure: Option<String>,
    pub(crate) version: i64,
    pub(crate) generation: i32,
    pub(crate) external_id: String,
    pub(crate) vendor_uuid: Option<String>,
    pub(crate) last_attempt: i32,
    pub(crate) fence: i32,
    pub(crate) unfinished: i32,
    pub(crate) trials: i32,
    /// By the database's clock.
    pub(crate) due_in_seconds: Option<f64>,
    #[sqlx(rename = "fn")]
    pub(crate) fn_number: Option<String>,
    pub(crate) fd: Option<i64>,
    pub(crate) fpd: Option<String>,
    pub(crate) registered_at: Option<String>,
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Registration {
    pub(crate) generation: i32,
    pub(crate) external_id: String,
    pub(crate) state: String,
    pub(crate) vendor_uuid: Option<String>,
    pub(crate) wire_body: Option<String>,
    pub(crate) doubtful: bool,
    pub(crate) polls: i32,
    /// By the database's clock.
    pub(crate) poll_in_seconds: Option<f64>,
    /// Until when a doubt may be repeated, by the database's clock.
    pub(crate) doubt_for_seconds: Option<f64>,
    /// Number of its own fiscal document.
    pub(crate) fd: Option<i64>,
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Attempt {
    pub(crate) number: i32,
    pub(crate) generation: i32,
    pub(crate) kind: String,
    pub(crate) worker: String,
    pub(crate) finished: bool,
    pub(crate) class: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) answer: Option<String>,
}

impl Scratch {
    pub(crate) async fn transaction(&self, id: TransactionId) -> Transaction {
        sqlx::query_as(
            "SELECT state, failure, version, generation, external_id, vendor_uuid, last_attempt, fence, unfinished, \
             trials, extract(epoch FROM due_at - now())::float8 AS due_in_seconds, fn, fd, fpd, \
             registered_at::text FROM transactions WHERE id = $1",
        )
        .bind(id.0)
        .fetch_one(&self.pool)
        .await
        .expect("the transaction")
    }

    pub(crate) async fn state(&self, id: TransactionId) -> String {
        self.transaction(id).await.state
    }

    pub(crate) async fn registrations(&self, id: TransactionId) -> Vec<Registration> {
        sqlx::query_as(
            "SELECT generation, external_id, state, vendor_uuid, wire_body, doubt_since IS NOT NULL AS doubtful, \
             polls, extract(epoch FROM next_poll_at - now())::float8 AS poll_in_seconds, \
             extract(epoch FROM doubt_until - now())::float8 AS doubt_for_seconds, (fiscal ->> 'fd')::bigint AS fd \
             FROM registrations WHERE transaction_id = $1 ORDER BY generation",
        )
        .bind(id.0)
        .fetch_all(&self.pool)
        .await
        .expect("the registrations")
    }

    /// The only registration of a transaction that was never re-keyed.
    pub(crate) async fn registration(&self, id: TransactionId) -> Registration {
        let mut registrations = self.registrations(id).await;
        assert_eq!(registrations.len(), 1, "one registration");
        registrations.remove(0)
    }

    pub(crate) async fn attempts(&self, id: TransactionId) -> Vec<Attempt> {
        sqlx::query_as(
            "SELECT number, generation, kind, worker, finished_at IS NOT NULL AS finished, class, message, answer \
             FROM attempts WHERE transaction_id = $1 ORDER BY number",
        )
        .bind(id.0)
        .fetch_all(&self.pool)
        .await
        .expect("the attempts")
    }

    /// The types of the events about a transaction, in order.
    pub(crate) async fn events(&self, id: TransactionId) -> Vec<String> {
        sqlx::query_scalar("SELECT type FROM events WHERE transaction_id = $1 ORDER BY id")
            .bind(id.0)
            .fetch_all(&self.pool)
            .await
            .expect("the events")
    }

    /// The transactions that wrote a transaction, its last event and its last attempt: one number if one commit did.
    pub(crate) async fn commits(&self, id: TransactionId) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT DISTINCT xmin::text FROM ( \
             SELECT xmin FROM transactions WHERE id = $1 \
             UNION ALL (SELECT xmin FROM events WHERE transaction_id = $1 ORDER BY id DESC LIMIT 1) \
             UNION ALL (SELECT xmin FROM attempts WHERE transaction_id = $1 ORDER BY number DESC LIMIT 1) \
             ) written",
        )
        .bind(id.0)
        .fetch_all(&self.pool)
        .await
        .expect("the commits")
    }

    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        count(&self.pool, statement).await
    }

    pub(crate) async fn ids(&self) -> Vec<Uuid> {
        sqlx::query_scalar("SELECT id FROM transactions ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .expect("the ids")
    }
}

async fn count(pool: &PgPool, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(pool).await.expect("a count")
}
