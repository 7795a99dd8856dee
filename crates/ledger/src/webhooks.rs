//! Deliveries to the shops' HTTP endpoints, on their way out: at least once, never missing.
//!
//! Their rows are made by the trigger of migration 0010, in the commit of the event. From here on a delivery is claimed,
//! tried outside of any database transaction, and recorded. A dispatcher that dies in between is followed by another
//! when its claim is over; the shop then sees the event twice.

use std::time::Duration;

use receipt::event::EventType;
use receipt::{EventId, StoreCode};

use crate::claim::millis;
use crate::error::LedgerError;
use crate::events::PendingEvent;
use crate::limit::limited;
use crate::outcome::Recorded;
use crate::pool::Ledger;
use crate::storable::storable;

/// An endpoint, as the configuration has it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Whose.
    pub store: StoreCode,
    /// The address; only its hash is stored.
    pub url: String,
    /// Which events; empty means every one.
    pub event_types: Vec<EventType>,
}

/// How many deliveries of one store may be claimed.
#[derive(Debug, Clone)]
pub struct DeliveryQuota {
    /// The store.
    pub store: StoreCode,
    /// Free slots.
    pub slots: u32,
}

/// A delivery that this process tries now.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What to deliver.
    pub event: PendingEvent,
    /// Which try of this cycle this is, from 1; the number that may write the outcome.
    pub attempt: u32,
    /// How often the endpoint has asked for less since it last took one.
    pub slowdowns: u32,
}

/// What a try came to, as decided. The times are waits from now, because times that are compared are the database's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryVerdict {
    /// The endpoint took it.
    Delivered,
    /// To be tried again.
    Again {
        /// The wait of this delivery.
        delay: Duration,
        /// The wait of every delivery to this endpoint, if it asked for less.
        slow: Option<Duration>,
    },
    /// It was the last try; a person may start another cycle.
    Exhausted,
    /// The endpoint is gone: nothing goes there until a person or a new address says so.
    Gone,
}

/// The result of one try.
#[derive(Debug, Clone)]
pub struct DeliveryOutcome {
    /// Which event.
    pub event: EventId,
    /// Which try.
    pub attempt: u32,
    /// The HTTP status, if an answer came.
    pub http_status: Option<u16>,
    /// A word for what became of the try without an answer.
    pub error: Option<String>,
    /// What follows.
    pub verdict: DeliveryVerdict,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be tried, again or for the first time.
    Pending,
    /// Taken by the endpoint.
    Delivered,
    /// Given up.
    Exhausted,
}

impl DeliveryState {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
        }
    }
}

impl Ledger {
    /// Writes down which stores have a webhook and for which events. From this commit on their events make deliveries.
    /// A store that is not named has none any more; a new address takes a stop away. May be repeated.
    ///
    /// # Errors
    /// An outage.
    pub async fn bind_webhooks(&self, endpoints: &[Endpoint]) -> Result<(), LedgerError> {
        let stores: Vec<String> = endpoints.iter().map(|endpoint| endpoint.store.to_string()).collect();
        let urls: Vec<String> = endpoints.iter().map(|endpoint| endpoint.url.clone()).collect();
        let types: Vec<String> = endpoints
            .iter()
            .map(|endpoint| {
                let names: Vec<&str> = endpoint.event_types.iter().map(|event| event.name()).collect();
                names.join(",")
            })
            .collect();
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH input AS (
                SELECT
                    store,
                    sha256(convert_to(url, 'UTF8')) AS url_hash,
                    string_to_array(nullif(types, ''), ',') AS event_types
                FROM unnest($1::text[], $2::text[], $3::text[]) AS input (store, url, types)
            ),
            gone AS (
                UPDATE webhook_endpoints
                SET active = false
                WHERE active
                    AND store <> ALL ($1::text[])
            )
            INSERT INTO webhook_endpoints AS known (store, event_types, url_hash)
            SELECT store, event_types, url_hash
            FROM input
            ORDER BY store
            ON CONFLICT ON CONSTRAINT webhook_endpoints_pkey DO UPDATE
            SET active = true,
                event_types = excluded.event_types,
                url_hash = excluded.url_hash,
                stopped_at = CASE WHEN known.url_hash = excluded.url_hash THEN known.stopped_at END,
                slow_until = CASE WHEN known.url_hash = excluded.url_hash THEN known.slow_until END,
                slowdowns = CASE WHEN known.url_hash = excluded.url_hash THEN known.slowdowns ELSE 0 END,
                bound_at = now()
            WHERE (known.active, known.event_types, known.url_hash)
                IS DISTINCT FROM (true, excluded.event_types, excluded.url_hash)
            "#,
                &stores,
                &urls,
                &types,
            )
        );
        Ok(())
    }

    /// Takes deliveries that are due, oldest due first, at most `slots` of each store, none of a store whose endpoint is
    /// stopped or wants to be left alone. What is not recorded within `hold` is taken again by somebody.
    ///
    /// # Errors
    /// An outage; what was taken by it is taken again after `hold`.
    pub async fn claim_deliveries(
        &self,
        quotas: &[DeliveryQuota],
        hold: Duration,
    ) -> Result<Vec<Delivery>, LedgerError> {
        let stores: Vec<String> = quotas.iter().map(|quota| quota.store.to_string()).collect();
        let slots: Vec<i64> = quotas.iter().map(|quota| i64::from(quota.slots)).collect();
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            WITH picked AS (
                SELECT due.event_id, endpoint.slowdowns
                FROM unnest($1::text[], $2::bigint[]) AS quota (store, slots)
                JOIN webhook_endpoints endpoint
                    ON endpoint.store = quota.store
                    AND endpoint.active
                    AND endpoint.stopped_at IS NULL
                    AND coalesce(endpoint.slow_until, '-infinity') <= now()
                CROSS JOIN LATERAL (
                    SELECT event_id
                    FROM webhook_deliveries
                    WHERE store = quota.store
                        AND state = 'pending'
                        AND due_at <= now()
                    ORDER BY due_at
                    -- An endpoint that asked for less is tried with one.
                    LIMIT CASE WHEN endpoint.slowdowns > 0 THEN 1 ELSE quota.slots END
                    FOR UPDATE SKIP LOCKED
                ) due
            ),
            claimed AS (
                UPDATE webhook_deliveries d
                SET attempts = d.attempts + 1,
                    due_at = now() + $3::bigint * interval '1 millisecond',
                    tried_at = now()
                FROM picked
                WHERE d.event_id = picked.event_id
                RETURNING d.event_id, d.attempts, picked.slowdowns
            )
            SELECT
                c.attempts AS "attempts!", c.slowdowns AS "slowdowns!",
                e.id, e.type AS event_type, e.store, e.correlation_id, e.body, e.time AS "time: jiff_sqlx::Timestamp"
            FROM claimed c
            JOIN events e ON e.id = c.event_id
            ORDER BY e.id
            "#,
                &stores,
                &slots,
                millis(hold),
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| Delivery {
                event: PendingEvent {
                    id: EventId(row.id),
                    event_type: row.event_type,
                    store: row.store,
                    correlation_id: row.correlation_id,
                    time: row.time.to_jiff(),
                    body: row.body,
                },
                attempt: u32::try_from(row.attempts).unwrap_or(0),
                slowdowns: u32::try_from(row.slowdowns).unwrap_or(0),
            })
            .collect())
    }

    /// Records what a try came to. A later try's claim is not touched, except by the news that the endpoint took it:
    /// that is true whoever says it. May be repeated.
    ///
    /// # Errors
    /// An outage; the delivery is then tried again.
    pub async fn record_delivery(&self, outcome: &DeliveryOutcome) -> Result<Recorded, LedgerError> {
        let (state, delay, slow, gone) = match outcome.verdict {
            DeliveryVerdict::Delivered => (DeliveryState::Delivered, None, None, false),
            DeliveryVerdict::Again { delay, slow } => {
                (DeliveryState::Pending, Some(millis(delay)), slow.map(millis), false)
            }
            DeliveryVerdict::Exhausted => (DeliveryState::Exhausted, None, None, false),
            DeliveryVerdict::Gone => (DeliveryState::Pending, Some(0), None, true),
        };
        let row = limited!(
            self.pool,
            fetch_one,
            sqlx::query!(
                r#"
            WITH recorded AS (
                UPDATE webhook_deliveries
                SET state = $3,
                    due_at = now() + $4::bigint * interval '1 millisecond',
                    http_status = $5,
                    error = $6,
                    delivered_at = CASE WHEN $3 = 'delivered' THEN now() END
                WHERE event_id = $1
                    AND (
                        (state = 'pending' AND attempts = $2)
                        OR ($3 = 'delivered' AND state <> 'delivered')
                    )
                RETURNING store
            ),
            told AS (
                -- Only what changes the endpoint writes to it: every delivery would otherwise wait for its neighbour.
                UPDATE webhook_endpoints e
                SET stopped_at = CASE WHEN $7 THEN coalesce(e.stopped_at, now()) ELSE e.stopped_at END,
                    slow_until = CASE
                        WHEN $3 = 'delivered' THEN NULL
                        ELSE greatest(e.slow_until, now() + $8::bigint * interval '1 millisecond')
                    END,
                    -- Several tries that were under way when it asked are told the same, and it has asked once.
                    slowdowns = CASE
                        WHEN $3 = 'delivered' THEN 0
                        WHEN $8::bigint IS NOT NULL AND coalesce(e.slow_until, '-infinity') <= now() THEN e.slowdowns + 1
                        ELSE e.slowdowns
                    END
                FROM recorded
                WHERE e.store = recorded.store
                    AND ($7 OR $8::bigint IS NOT NULL OR ($3 = 'delivered' AND e.slowdowns > 0))
            )
            SELECT EXISTS (SELECT FROM recorded) AS "recorded!"
            "#,
                outcome.event.0,
                i32::try_from(outcome.attempt).unwrap_or(i32::MAX),
                state.name(),
                delay,
                outcome.http_status.map(i32::from),
                outcome.error.as_deref().map(storable),
                gone,
                slow,
            )
        );
        Ok(if row.recorded {
            Recorded::Applied
        } else {
            Recorded::Fenced
        })
    }

    /// Forgets deliveries that were taken longer than `keep` ago, at most `limit` of them. Returns how many. The events
    /// themselves stay.
    ///
    /// # Errors
    /// An outage.
    pub async fn forget_deliveries(&self, keep: Duration, limit: i64) -> Result<u64, LedgerError> {
        let done = limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            DELETE FROM webhook_deliveries
            WHERE event_id IN (
                SELECT event_id
                FROM webhook_deliveries
                WHERE state = 'delivered'
                    AND delivered_at < now() - $1::bigint * interval '1 millisecond'
                ORDER BY delivered_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            "#,
                millis(keep),
                limit,
            )
        );
        Ok(done.rows_affected())
    }

    /// Lets a stopped endpoint go on and starts a new cycle for everything that waits for it: its tries begin anew, at
    /// once. With `exhausted` also for what was given up. Returns how many deliveries are due now; `None` when the store
    /// has no endpoint. A try that is under way at this moment may be made twice.
    ///
    /// # Errors
    /// An outage.
    pub async fn resume_webhook(&self, store: &StoreCode, exhausted: bool) -> Result<Option<u64>, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_one,
            sqlx::query!(
                r#"
            WITH resumed AS (
                UPDATE webhook_endpoints
                SET stopped_at = NULL,
                    slow_until = NULL,
                    slowdowns = 0
                WHERE store = $1
                RETURNING store
            ),
            -- Two statements, because each has an index of its own and both together have none.
            anew AS (
                UPDATE webhook_deliveries d
                SET attempts = 0,
                    due_at = now()
                FROM resumed
                WHERE d.store = resumed.store
                    AND d.state = 'pending'
                RETURNING d.event_id
            ),
            again AS (
                UPDATE webhook_deliveries d
                SET state = 'pending',
                    attempts = 0,
                    due_at = now()
                FROM resumed
                WHERE d.store = resumed.store
                    AND d.state = 'exhausted'
                    AND $2
                RETURNING d.event_id
            )
            SELECT
                (SELECT count(*) FROM resumed) AS "endpoints!",
                (SELECT count(*) FROM anew) + (SELECT count(*) FROM again) AS "deliveries!"
            "#,
                store.as_str(),
                exhausted,
            )
        );
        Ok((row.endpoints > 0).then(|| u64::try_from(row.deliveries).unwrap_or(0)))
    }
}
