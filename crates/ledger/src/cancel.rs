//! A person closes a transaction that is certainly not registered, in one commit with the event and the action's own row.

use receipt::EventId;
use receipt::event::{Body, EventType};
use receipt::state::Change;
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::act::{Acted, Actor, Standing};
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::resolve::{acted, moved};
use crate::storable::{storable, to_jsonb};

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
                    AND NOT EXISTS (
                        SELECT
                        FROM registrations r
                        WHERE r.transaction_id = t.id
                            AND (r.doubt_since IS NOT NULL OR r.state IN ('waiting', 'done'))
                    )
                RETURNING id, store, generation, version
            ),
            retired AS (
                UPDATE registrations r
                SET state = 'dead'
                FROM moved
                WHERE r.transaction_id = moved.id
                    AND r.generation = moved.generation
                    AND r.state = 'open'
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $4, $5, store, id, $6::jsonb || jsonb_build_object('version', version)
                FROM moved
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $7, $8, 'cancel', id, $3, 'cancelled', $9, $10
                FROM moved
            )
            SELECT id FROM moved
            "#,
                id.0,
                seen.version,
                seen.state.name(),
                EventId::new().0,
                EventType::Cancelled.name(),
                to_jsonb(id, &body)? as Json<Value>,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                json!({ "external_id": seen.external_id }),
            )
        );
        Ok(acted(done))
    }
}
