//! Events on their way out: at least once, never missing.

use jiff::Timestamp;
use receipt::EventId;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

/// An event that was not yet confirmed by the broker.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    /// Its id, the `message_id` in the broker.
    pub id: EventId,
    /// `receipt.done` and the like.
    pub event_type: String,
    /// The first part of the routing key.
    pub store: String,
    /// The id of the message that it answers, if it answers one.
    pub correlation_id: Option<String>,
    /// When it became true, by the database's clock.
    pub time: Timestamp,
    /// The rest.
    pub body: serde_json::Value,
}

impl PendingEvent {
    /// The bytes to publish: the same for every repetition, and the same by the broker and by a webhook.
    #[must_use]
    pub fn published(&self) -> Vec<u8> {
        receipt::event::published(self.id, &self.event_type, self.time, self.body.clone())
    }
}

impl Ledger {
    /// Takes events to publish, those first that wait for the longest time. What is not marked published within half a
    /// minute is taken again.
    ///
    /// # Errors
    /// An outage.
    pub async fn take_events(&self, limit: i64) -> Result<Vec<PendingEvent>, LedgerError> {
        let rows = limited!(
            self.hot,
            fetch_all,
            sqlx::query!(
                r#"
            WITH picked AS (
                SELECT event_id
                FROM outbox
                WHERE relay_after <= now()
                    AND (taken_until IS NULL OR taken_until <= now())
                ORDER BY relay_after, event_id
                LIMIT $1
                FOR UPDATE SKIP LOCKED
            ),
            taken AS (
                -- By arrays, which a planner takes for short. For a limit that it does not know yet it expects a tenth of
                -- the outbox, and would read all of it, or all events, to join them.
                UPDATE outbox
                SET taken_until = now() + interval '30 seconds'
                WHERE event_id = ANY (ARRAY(SELECT event_id FROM picked))
                RETURNING event_id
            )
            SELECT e.id, e.type AS event_type, e.store, e.correlation_id, e.body, e.time AS "time: jiff_sqlx::Timestamp"
            FROM events e
            WHERE e.id = ANY (ARRAY(SELECT event_id FROM taken))
            "#,
                limit,
            )
        );
        let mut events: Vec<PendingEvent> = rows
            .into_iter()
            .map(|row| PendingEvent {
                id: EventId(row.id),
                event_type: row.event_type,
                store: row.store,
                correlation_id: row.correlation_id,
                time: row.time.to_jiff(),
                body: row.body,
            })
            .collect();
        // An UPDATE answers in any order; a consumer is better served by the order in which things happened.
        events.sort_by_key(|event| event.id);
        Ok(events)
    }

    /// Takes events off the outbox that the broker has confirmed.
    ///
    /// # Errors
    /// An outage; the events are then published again.
    pub async fn mark_published(&self, ids: &[EventId]) -> Result<(), LedgerError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        limited!(
            self.hot,
            execute,
            sqlx::query!("DELETE FROM outbox WHERE event_id = ANY($1)", &ids)
        );
        Ok(())
    }

    /// Gives back events that were not sent, so that they are taken again at once.
    ///
    /// # Errors
    /// An outage; the events are then taken again by themselves.
    pub async fn return_events(&self, ids: &[EventId]) -> Result<(), LedgerError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        limited!(
            self.pool,
            execute,
            sqlx::query!("UPDATE outbox SET taken_until = NULL WHERE event_id = ANY($1)", &ids)
        );
        Ok(())
    }

    /// Puts off events that the broker did not take: for half a minute, and for twice as long each time, a quarter of an
    /// hour at most. A queue that takes nothing must not keep the events of all others waiting.
    ///
    /// # Errors
    /// An outage; the events are then taken again by themselves.
    pub async fn put_off_events(&self, ids: &[EventId]) -> Result<(), LedgerError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            UPDATE outbox
            SET relay_after = now() + least(interval '30 seconds' * 2 ^ least(refusals, 10), interval '15 minutes'),
                taken_until = NULL,
                refusals = refusals + 1
            WHERE event_id = ANY($1)
            "#,
                &ids,
            )
        );
        Ok(())
    }
}
