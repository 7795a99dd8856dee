//! A person closes a transaction that is certainly not registered, in one commit with the event and the action's own row.
//!
//! With the cancelling half of a resell its new sale is closed too, for it waits for nothing any more; by itself it is not
//! closed as long as it waits.

use receipt::EventId;
use receipt::event::{Body, EventType};
use receipt::state::Change;
use serde_json::json;
use uuid::Uuid;

use crate::act::{Acted, Actor, Standing};
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::resell::sell_of;
use crate::resolve::{acted, moved};
use crate::storable::{Jsonb, storable, to_jsonb};

impl Ledger {
    /// Closes a transaction that is certainly not registered and will not be. While a doubt stands, or while the vendor
    /// has any registration of it, nothing is done.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when the state cannot be closed; an outage otherwise.
    pub async fn cancel(&self, seen: &Standing, actor: &Actor) -> Result<Acted, LedgerError> {
        let id = seen.subject.transaction_id;
        let after = moved(seen, Change::Closed)?;
        let body =
            Body::new(seen.subject.clone(), seen.external_id.clone(), after).with_vendor_uuid(seen.vendor_uuid.clone());
        let child = Body::new(sell_of(&seen.subject), seen.external_id.clone(), after);
        let done = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH moved AS (
                UPDATE transactions t
                SET state = 'cancelled',
                    failure = NULL,
                    due_at = NULL,
                    claim_token = NULL,
                    unfinished = 0,
                    version = version + 1,
                    updated_at = now()
                WHERE id = $1
                    AND version = $2
                    AND state = $3
                    AND NOT (state = 'held' AND operation = 'resell_sell')
                    AND NOT EXISTS (
                        SELECT
                        FROM registrations r
                        WHERE r.transaction_id = t.id
                            AND (r.doubt_since IS NOT NULL OR r.state IN ('waiting', 'done'))
                    )
                RETURNING id, store, operation, generation, version
            ),
            children AS (
                UPDATE transactions c
                SET state = 'cancelled',
                    version = c.version + 1,
                    updated_at = now()
                FROM moved
                WHERE moved.operation = 'resell_refund'
                    AND c.parent = moved.id
                    AND c.state = 'held'
                RETURNING c.id, c.store, c.generation, c.external_id, c.version
            ),
            retired AS (
                UPDATE registrations r
                SET state = 'dead'
                FROM (
                    SELECT id, generation FROM moved
                    UNION ALL
                    SELECT id, generation FROM children
                ) moved
                WHERE r.transaction_id = moved.id
                    AND r.generation = moved.generation
                    AND r.state = 'open'
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $4::uuid, $5, store, id, $6::jsonb || jsonb_build_object('version', version)
                FROM moved
                UNION ALL
                SELECT $11::uuid, $5, store, id,
                    $12::jsonb
                        || jsonb_build_object('transaction_id', id, 'external_id', external_id, 'version', version)
                FROM children
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $7::uuid, $8, 'cancel', id, $3, 'cancelled', $9, $10::jsonb
                FROM moved
                UNION ALL
                SELECT $13::uuid, $8, 'cancel', id, 'held', 'cancelled', $9,
                    jsonb_build_object('external_id', external_id)
                FROM children
            )
            SELECT id FROM moved
            "#,
                id.0,
                seen.version,
                seen.state.name(),
                EventId::new().0,
                EventType::Cancelled.name(),
                to_jsonb(id, &body)? as Jsonb,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                json!({ "external_id": seen.external_id }),
                EventId::new().0,
                to_jsonb(id, &child)? as Jsonb,
                Uuid::now_v7(),
            )
        );
        Ok(acted(done))
    }
}
