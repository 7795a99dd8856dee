//! What waits at a vendor for longer than its store allows: told once, and changed in nothing.
//!
//! It goes by time alone, so that it is told also while nothing can be asked: the vendor is away, or the account paused.

use std::time::Duration;

use receipt::event::{Body, EventType};
use receipt::{AccountName, EventId, ExternalId, StoreCode, TransactionId};
use uuid::Uuid;

use crate::claim::{millis, subject};
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::{Jsonb, to_jsonb};

/// The poll limit of one store.
#[derive(Debug, Clone)]
pub struct PollLimit {
    /// The store.
    pub store: StoreCode,
    /// How long its receipts may wait.
    pub after: Duration,
}

impl Ledger {
    /// Tells of at most `most` live registrations that have waited for longer than the limit of their store (`otherwise`
    /// for stores without one). Returns how many were found; another process may have told of them first.
    ///
    /// # Errors
    /// An outage.
    pub async fn tell_overdue(
        &self,
        accounts: &[AccountName],
        limits: &[PollLimit],
        otherwise: Duration,
        most: i64,
    ) -> Result<usize, LedgerError> {
        let least = limits
            .iter()
            .map(|limit| limit.after)
            .min()
            .unwrap_or(otherwise)
            .min(otherwise);
        let accounts: Vec<String> = accounts.iter().map(|account| account.as_str().to_owned()).collect();
        let stores: Vec<String> = limits.iter().map(|limit| limit.store.as_str().to_owned()).collect();
        let after: Vec<i64> = limits.iter().map(|limit| millis(limit.after)).collect();
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT
                t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number,
                w.external_id AS "external_id!", w.vendor_uuid AS "vendor_uuid!", w.generation AS "generation!",
                (extract(epoch FROM now() - w.waiting_since) * 1000)::bigint AS "waited_ms!"
            FROM unnest($1::text[]) AS account (name)
            CROSS JOIN LATERAL (
                -- Only what is followed is in the index that serves this.
                SELECT transaction_id, generation, external_id, vendor_uuid, waiting_since
                FROM registrations
                WHERE account = account.name
                    AND next_poll_at IS NOT NULL
                    AND state = 'waiting'
                    AND overdue_told_at IS NULL
                    AND waiting_since <= now() - $2::bigint * interval '1 millisecond'
            ) w
            JOIN transactions t ON t.id = w.transaction_id
            LEFT JOIN unnest($3::text[], $4::bigint[]) AS poll_limit (store, after_ms) ON poll_limit.store = t.store
            WHERE t.state = 'waiting'
                AND t.generation = w.generation
                AND w.waiting_since <= now() - coalesce(poll_limit.after_ms, $5) * interval '1 millisecond'
            LIMIT $6
            "#,
                &accounts,
                millis(least),
                &stores,
                &after,
                millis(otherwise),
                most,
            )
        );
        let (mut ids, mut generations) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let (mut event_ids, mut bodies) = (Vec::<Uuid>::new(), Vec::<Jsonb>::new());
        for row in &rows {
            let read = || -> Result<Jsonb, LedgerError> {
                let subject = subject(
                    row.id,
                    &row.store,
                    &row.operation,
                    &row.document_number,
                    &row.document_part,
                    row.order_number.as_deref(),
                )?;
                let external_id = ExternalId::parse(&row.external_id).map_err(|error| LedgerError::Corrupt {
                    id: row.id.to_string(),
                    what: error.to_string(),
                })?;
                let waited = Duration::from_millis(u64::try_from(row.waited_ms).unwrap_or(0));
                let body = Body::overdue(subject, external_id, waited).with_vendor_uuid(row.vendor_uuid.parse().ok());
                to_jsonb(TransactionId(row.id), &body)
            };
            match read() {
                Ok(body) => {
                    ids.push(row.id);
                    generations.push(row.generation);
                    event_ids.push(EventId::new().0);
                    bodies.push(body);
                    tracing::error!(
                        transaction.id = %TransactionId(row.id),
                        waited_ms = row.waited_ms,
                        "{} waits at the vendor for longer than the store {} allows",
                        row.external_id,
                        row.store,
                    );
                }
                Err(error) => tracing::error!(error = %error, "an overdue registration cannot be read"),
            }
        }
        if !ids.is_empty() {
            limited!(
                self.pool,
                execute,
                sqlx::query!(
                    r#"
                WITH input AS (
                    SELECT *
                    FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::jsonb[])
                        AS input (id, generation, event_id, event_body)
                ),
                locked AS (
                    SELECT t.id, t.state, t.generation, t.version
                    FROM transactions t
                    JOIN input i ON i.id = t.id
                    ORDER BY t.id
                    FOR NO KEY UPDATE OF t
                ),
                told AS (
                    UPDATE registrations r
                    SET overdue_told_at = now()
                    FROM input i
                    JOIN locked l ON l.id = i.id
                    WHERE r.transaction_id = i.id
                        AND r.generation = i.generation
                        AND r.overdue_told_at IS NULL
                        AND l.state = 'waiting'
                        AND l.generation = i.generation
                    RETURNING r.transaction_id AS id, l.version
                )
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT i.event_id, $5, i.event_body ->> 'store', i.id,
                    i.event_body || jsonb_build_object('version', told.version)
                FROM told
                JOIN input i ON i.id = told.id
                "#,
                    &ids,
                    &generations,
                    &event_ids,
                    &bodies as _,
                    EventType::Overdue.name(),
                )
            );
        }
        Ok(rows.len())
    }
}
