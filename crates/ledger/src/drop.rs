//! Dead letters that are worth nothing: dropped for good, with a trace of what they were.

use uuid::Uuid;

use crate::act::Actor;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::storable;

impl Ledger {
    /// Drops letters for good, with one action for each that says what it was. A letter that came again after `as_of`
    /// stays: the person has not seen that. Returns those that were dropped.
    ///
    /// # Errors
    /// An outage.
    pub async fn drop_letters(
        &self,
        ids: &[Uuid],
        as_of: jiff::Timestamp,
        actor: &Actor,
    ) -> Result<Vec<Uuid>, LedgerError> {
        let action_ids: Vec<Uuid> = ids.iter().map(|_| Uuid::now_v7()).collect();
        let dropped = limited!(
            self.pool,
            fetch_all,
            sqlx::query_scalar!(
                r#"
            WITH dropped AS (
                DELETE FROM dead_letters
                WHERE id = ANY($1)
                    AND last_seen <= $3
                RETURNING *
            ),
            acted AS (
                INSERT INTO actions (id, actor, action, dead_letter_id, transaction_id, reason, details)
                SELECT given.action_id, $4, 'drop', d.id, d.transaction_id, $5, jsonb_build_object(
                    'routing_key', d.routing_key,
                    'message_id', d.message_id,
                    'document_number', d.document_number,
                    'reason_code', d.reason_code,
                    'body_sha256', encode(sha256(d.body), 'hex'),
                    'body_bytes', octet_length(d.body),
                    'times', d.times,
                    'first_seen', d.first_seen,
                    'last_seen', d.last_seen
                )
                FROM dropped d
                JOIN unnest($1::uuid[], $2::uuid[]) AS given (id, action_id) ON given.id = d.id
            )
            SELECT id FROM dropped
            "#,
                ids,
                &action_ids,
                jiff_sqlx::Timestamp::from(as_of) as _,
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
            )
        );
        Ok(dropped)
    }
}
