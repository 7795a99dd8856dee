//! Webhooks for people: which endpoints there are, and what became of deliveries.

use jiff::Timestamp;
use receipt::StoreCode;
use serde::Serialize;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::webhooks::DeliveryState;

/// One endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointRow {
    /// Whose.
    pub store: String,
    /// Whether the configuration still has it.
    pub active: bool,
    /// Since when it is stopped, because it answered 410.
    pub stopped_at: Option<Timestamp>,
    /// Until when it wants to be left alone.
    pub slow_until: Option<Timestamp>,
    /// How many deliveries wait for it.
    pub pending: i64,
    /// How many were given up.
    pub exhausted: i64,
}

/// Which deliveries to list. Every field narrows.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only this store.
    pub store: Option<StoreCode>,
    /// Only this state.
    pub state: Option<DeliveryState>,
    /// Only those of this transaction.
    pub transaction: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// One delivery.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryRow {
    /// The event, which is also `webhook-id`.
    pub event_id: Uuid,
    /// `receipt.done` and the like.
    pub event_type: String,
    /// Whose.
    pub store: String,
    /// What it is about, if it is about one.
    pub transaction_id: Option<Uuid>,
    /// `pending`, `delivered` or `exhausted`.
    pub state: String,
    /// Tries of this cycle.
    pub attempts: i32,
    /// When it is tried next.
    pub due_at: Option<Timestamp>,
    /// What the last try came to.
    pub http_status: Option<i32>,
    /// What the last try came to, without an answer.
    pub error: Option<String>,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// When it was taken.
    pub delivered_at: Option<Timestamp>,
}

impl Ledger {
    /// Every endpoint that was ever configured, with what waits for it.
    ///
    /// # Errors
    /// An outage.
    pub async fn webhook_endpoints(&self) -> Result<Vec<EndpointRow>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT store, active,
                stopped_at AS "stopped_at: jiff_sqlx::Timestamp",
                slow_until AS "slow_until: jiff_sqlx::Timestamp",
                (SELECT count(*) FROM webhook_deliveries d WHERE d.store = e.store AND d.state = 'pending')
                    AS "pending!",
                (SELECT count(*) FROM webhook_deliveries d WHERE d.store = e.store AND d.state = 'exhausted')
                    AS "exhausted!"
            FROM webhook_endpoints e
            ORDER BY store
            "#,
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| EndpointRow {
                store: row.store,
                active: row.active,
                stopped_at: row.stopped_at.map(jiff_sqlx::Timestamp::to_jiff),
                slow_until: row.slow_until.map(jiff_sqlx::Timestamp::to_jiff),
                pending: row.pending,
                exhausted: row.exhausted,
            })
            .collect())
    }

    /// The stores whose configured endpoints are stopped.
    ///
    /// # Errors
    /// An outage.
    pub async fn stopped_webhooks(&self) -> Result<Vec<String>, LedgerError> {
        Ok(limited!(
            self.pool,
            fetch_all,
            sqlx::query_scalar!(
                "SELECT store FROM webhook_endpoints WHERE active AND stopped_at IS NOT NULL ORDER BY store"
            )
        ))
    }

    /// Deliveries, newest events first.
    ///
    /// # Errors
    /// An outage.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT d.event_id, e.type AS event_type, d.store, e.transaction_id, d.state, d.attempts, d.http_status, d.error,
                d.due_at AS "due_at: jiff_sqlx::Timestamp",
                d.tried_at AS "tried_at: jiff_sqlx::Timestamp",
                d.delivered_at AS "delivered_at: jiff_sqlx::Timestamp"
            FROM webhook_deliveries d
            JOIN events e ON e.id = d.event_id
            WHERE ($1::text IS NULL OR d.store = $1)
                AND ($2::text IS NULL OR d.state = $2)
                AND ($3::uuid IS NULL OR e.transaction_id = $3)
            ORDER BY d.event_id DESC
            LIMIT $4
            "#,
                filter.store.as_ref().map(StoreCode::as_str),
                filter.state.map(DeliveryState::name),
                filter.transaction,
                filter.limit,
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| DeliveryRow {
                event_id: row.event_id,
                event_type: row.event_type,
                store: row.store,
                transaction_id: row.transaction_id,
                state: row.state,
                attempts: row.attempts,
                due_at: row.due_at.map(jiff_sqlx::Timestamp::to_jiff),
                http_status: row.http_status,
                error: row.error,
                tried_at: row.tried_at.map(jiff_sqlx::Timestamp::to_jiff),
                delivered_at: row.delivered_at.map(jiff_sqlx::Timestamp::to_jiff),
            })
            .collect())
    }
}
