//! What is read from the table after a run.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// One transaction.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) marker: String,
    pub(super) state: String,
    pub(super) total_kopecks: i64,
    #[sqlx(rename = "fn")]
    pub(super) fn_number: Option<String>,
    pub(super) fd: Option<i64>,
    pub(super) fpd: Option<String>,
    pub(super) updated_ms: i64,
}

/// One event.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Event {
    pub(super) id: Uuid,
    #[sqlx(rename = "type")]
    pub(super) kind: String,
    pub(super) published_ms: Option<i64>,
}

/// One attempt, in the order of their numbers.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Attempt {
    pub(super) number: i32,
    pub(super) kind: String,
    pub(super) class: Option<String>,
    pub(super) error_type: Option<String>,
    pub(super) code: Option<String>,
    pub(super) is_finished: bool,
}

impl Attempt {
    /// Whether the vendor may have seen it, as far as anybody knew.
    pub(super) fn left_a_doubt(&self) -> bool {
        matches!(self.class.as_deref(), Some("in_doubt" | "running" | "unknown")) || self.ended_without_a_word()
    }

    /// Type and code of what the vendor said to it, if it said something of the kind.
    pub(super) fn answer(&self) -> Option<(&str, &str)> {
        self.error_type.as_deref().zip(self.code.as_deref())
    }

    /// Whether its worker never said what came of it. The last of three such attempts is finished by the machine.
    pub(super) fn ended_without_a_word(&self) -> bool {
        !self.is_finished || self.code.as_deref() == Some("unfinished")
    }
}

pub(super) async fn rows(pool: &PgPool) -> anyhow::Result<Vec<Row>> {
    Ok(sqlx::query_as(
        "SELECT id, coalesce(body #>> '{lines,0,name}', '') AS marker, state, total_kopecks, fn, fd, fpd, \
             (extract(epoch FROM updated_at) * 1000)::bigint AS updated_ms \
         FROM transactions ORDER BY id",
    )
    .fetch_all(pool)
    .await?)
}

/// Has the database note when an event leaves the outbox: kassa itself does not need to know.
pub(super) async fn note_publications(pool: &PgPool) -> anyhow::Result<()> {
    for statement in [
        "CREATE TABLE chaos_published (event_id uuid PRIMARY KEY, published_at timestamptz NOT NULL)",
        "CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO chaos_published VALUES (OLD.event_id, now()); RETURN NULL; END $$",
        "CREATE TRIGGER chaos_note AFTER DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION chaos_note()",
    ] {
        sqlx::query(statement).execute(pool).await?;
    }
    Ok(())
}

pub(super) async fn events(pool: &PgPool) -> anyhow::Result<Vec<Event>> {
    Ok(sqlx::query_as(
        "SELECT e.id, e.type, (extract(epoch FROM p.published_at) * 1000)::bigint AS published_ms \
         FROM events e LEFT JOIN chaos_published p ON p.event_id = e.id ORDER BY e.id",
    )
    .fetch_all(pool)
    .await?)
}

pub(super) async fn attempts(pool: &PgPool, transaction: Uuid) -> anyhow::Result<Vec<Attempt>> {
    Ok(sqlx::query_as(
        "SELECT number, kind, class, error_type, code, finished_at IS NOT NULL AS is_finished \
         FROM attempts WHERE transaction_id = $1 ORDER BY number",
    )
    .bind(transaction)
    .fetch_all(pool)
    .await?)
}

/// How often attempts ended in each class.
pub(super) async fn classes(pool: &PgPool) -> anyhow::Result<BTreeMap<String, i64>> {
    let counts: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind || ' ' || coalesce(class, 'unfinished'), count(*) FROM attempts GROUP BY 1")
            .fetch_all(pool)
            .await?;
    Ok(counts.into_iter().collect())
}

pub(super) async fn count(pool: &PgPool, sql: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

/// Everything that the table has about a receipt, for people.
pub(super) async fn dossier(pool: &PgPool, marker: &str) -> anyhow::Result<Value> {
    Ok(sqlx::query_scalar(
        "SELECT coalesce(jsonb_agg(jsonb_build_object( \
             'transaction', to_jsonb(t) - 'body', \
             'registrations', (SELECT jsonb_agg(to_jsonb(r) - 'wire_body' ORDER BY generation) \
                 FROM registrations r WHERE r.transaction_id = t.id), \
             'attempts', (SELECT jsonb_agg(to_jsonb(a) - 'request' ORDER BY number) \
                 FROM attempts a WHERE a.transaction_id = t.id), \
             'events', (SELECT jsonb_agg(to_jsonb(e) ORDER BY id) \
                 FROM events e WHERE e.transaction_id = t.id))), '[]') \
         FROM transactions t WHERE body #>> '{lines,0,name}' = $1",
    )
    .bind(marker)
    .fetch_one(pool)
    .await?)
}

/// The newest transaction of each receipt.
pub(super) fn newest(rows: &[Row]) -> HashMap<&str, &Row> {
    // Ids are in order of time, and the last one wins.
    rows.iter().map(|row| (row.marker.as_str(), row)).collect()
}
