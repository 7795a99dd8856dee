//! A person's word ends an unknown outcome.
//!
//! It is one commit of state, registration, event and the action's own row, and is refused by the statement itself
//! when the transaction is no longer as the person saw it.

use receipt::event::{Body, EventType};
use receipt::state::{Change, State};
use receipt::{EventId, ExternalId, FiscalDocument, StateName, TransactionId};
use serde_json::json;
use uuid::Uuid;

use crate::act::{Acted, Actor, Standing};
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::resell::released_body;
use crate::storable::{Jsonb, storable, to_jsonb};

const MONTH: jiff::SignedDuration = jiff::SignedDuration::from_hours(33 * 24);

/// What a person found at the vendor about an unknown outcome.
#[derive(Debug, Clone)]
pub enum Finding {
    /// It is registered, with this document.
    Registered {
        /// The document.
        document: Box<FiscalDocument>,
        /// Whether its time is the last send's, because nobody read the right one.
        time_is_assumed: bool,
    },
    /// Nothing was registered under any id of it: the receipt is sent again, under this one.
    NotRegistered {
        /// The next key.
        next: ExternalId,
    },
}

impl Ledger {
    /// Ends an unknown outcome.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when the state takes no such word, [`LedgerError::ExternalIdTaken`] when the next key
    /// belongs to another document; an outage otherwise.
    pub async fn resolve(&self, seen: &Standing, finding: &Finding, actor: &Actor) -> Result<Acted, LedgerError> {
        if seen.state != StateName::Unknown {
            return Err(LedgerError::Corrupt {
                id: seen.subject.transaction_id.to_string(),
                what: format!("a {} transaction takes no such word", seen.state),
            });
        }
        match finding {
            Finding::Registered {
                document,
                time_is_assumed,
            } => self.registered(seen, document, *time_is_assumed, actor).await,
            Finding::NotRegistered { next } => self.not_registered(seen, next, actor).await,
        }
    }

    async fn registered(
        &self,
        seen: &Standing,
        document: &FiscalDocument,
        time_is_assumed: bool,
        actor: &Actor,
    ) -> Result<Acted, LedgerError> {
        let id = seen.subject.transaction_id;
        let after = moved(seen, Change::Registered(Box::new(document.clone())))?;
        let body = Body::new(seen.subject.clone(), seen.external_id.clone(), after)
            .with_vendor_uuid(seen.vendor_uuid.clone())
            .with_fiscal(document.clone());
        let fiscal = to_jsonb(id, document)?;
        let details = json!({
            "external_id": seen.external_id,
            "fiscal": fiscal.0,
            "registered_at_is_assumed": time_is_assumed,
        });
        let done = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH moved AS (
                UPDATE transactions
                SET state = 'done',
                    due_at = NULL,
                    claim_token = NULL,
                    unfinished = 0,
                    fn = $4::jsonb ->> 'fn',
                    fd = ($4::jsonb ->> 'fd')::bigint,
                    fpd = $4::jsonb ->> 'fpd',
                    registered_at = ($4::jsonb ->> 'registered_at')::timestamp,
                    fiscal = $4::jsonb,
                    version = version + 1,
                    updated_at = now()
                WHERE id = $1
                    AND version = $2
                    AND state = $3
                RETURNING id, store, operation, generation, version
            ),
            released AS (
                -- The cancelling half of a resell is registered: its new sale goes out.
                UPDATE transactions c
                SET state = 'queued',
                    due_at = now(),
                    version = c.version + 1,
                    updated_at = now()
                FROM moved
                WHERE moved.operation = 'resell_refund'
                    AND c.parent = moved.id
                    AND c.state = 'held'
                RETURNING c.id, c.store, c.external_id, c.version
            ),
            released_told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $12, $13, store, id,
                    $14::jsonb
                        || jsonb_build_object('transaction_id', id, 'external_id', external_id, 'version', version)
                FROM released
            ),
            registered AS (
                UPDATE registrations r
                SET state = 'done',
                    doubt_since = NULL,
                    next_poll_at = NULL
                FROM moved
                WHERE r.transaction_id = moved.id
                    AND r.generation = moved.generation
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $5, $6, store, id, $7::jsonb || jsonb_build_object('version', version)
                FROM moved
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $8, $9, 'resolve', id, $3, 'done', $10, $11
                FROM moved
            )
            SELECT id FROM moved
            "#,
                id.0,
                seen.version,
                seen.state.name(),
                fiscal as Jsonb,
                EventId::new().0,
                EventType::Done.name(),
                to_jsonb(id, &body)? as Jsonb,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                details,
                EventId::new().0,
                EventType::Accepted.name(),
                to_jsonb(id, &released_body(&seen.subject, &seen.external_id))? as Jsonb,
            )
        );
        Ok(acted(done))
    }

    async fn not_registered(&self, seen: &Standing, next: &ExternalId, actor: &Actor) -> Result<Acted, LedgerError> {
        let id = seen.subject.transaction_id;
        let after = moved(seen, Change::NotRegistered)?;
        let body = Body::new(seen.subject.clone(), next.clone(), after);
        let details = json!({ "external_id": seen.external_id, "next_external_id": next });
        let done = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH moved AS (
                UPDATE transactions
                SET state = 'retrying',
                    due_at = now(),
                    claim_token = NULL,
                    unfinished = 0,
                    trials = 0,
                    generation = generation + 1,
                    external_id = $4,
                    vendor_uuid = NULL,
                    version = version + 1,
                    updated_at = now()
                WHERE id = $1
                    AND version = $2
                    AND state = $3
                RETURNING id, store, account, generation, external_id, version
            ),
            retired AS (
                -- The person's word ends the doubt. A uuid stays with it, to be asked about once more.
                UPDATE registrations r
                SET state = 'dead',
                    doubt_since = NULL,
                    next_poll_at = CASE WHEN r.vendor_uuid IS NOT NULL THEN now() + interval '10 minutes' END
                FROM moved
                WHERE r.transaction_id = moved.id
                    AND r.generation = moved.generation - 1
            ),
            next_registration AS (
                INSERT INTO registrations (transaction_id, generation, account, external_id)
                SELECT id, generation, account, external_id
                FROM moved
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $5, $6, store, id, $7::jsonb || jsonb_build_object('version', version)
                FROM moved
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $8, $9, 'resolve', id, $3, 'retrying', $10, $11
                FROM moved
            )
            SELECT id FROM moved
            "#,
                id.0,
                seen.version,
                seen.state.name(),
                next.as_str(),
                EventId::new().0,
                EventType::Retrying.name(),
                to_jsonb(id, &body)? as Jsonb,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                details,
            )
        );
        Ok(acted(done))
    }

    /// Another transaction that has this fiscal document, if there is one: two receipts never share one. Looked for
    /// among those accepted in the month before the document.
    ///
    /// # Errors
    /// An outage.
    pub async fn holder_of(
        &self,
        document: &FiscalDocument,
        other_than: TransactionId,
    ) -> Result<Option<TransactionId>, LedgerError> {
        // Ids begin with the time of acceptance in milliseconds, so the primary key narrows the search. A vendor keeps a
        // receipt for a month at most before it is registered.
        let month_before = document.registered_at.to_zoned(jiff::tz::TimeZone::UTC).ok();
        let since = month_before.map_or(0, |time| (time.timestamp() - MONTH).as_millisecond());
        let oldest = Uuid::from_u128(u128::from(u64::try_from(since).unwrap_or(0)) << 80);
        let holder = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            SELECT id
            FROM transactions
            WHERE fn = $1
                AND fd = $2
                AND id <> $3
                AND id >= $4
            LIMIT 1
            "#,
                document.fn_number,
                document.fd,
                other_than.0,
                oldest,
            )
        );
        Ok(holder.map(TransactionId))
    }
}

pub(crate) fn acted(id: Option<Uuid>) -> Acted {
    match id {
        Some(_) => Acted::Done,
        None => Acted::Changed,
    }
}

/// The state after `change`, by the one transition function.
pub(crate) fn moved(seen: &Standing, change: Change) -> Result<StateName, LedgerError> {
    let illegal = |what: String| LedgerError::Corrupt {
        id: seen.subject.transaction_id.to_string(),
        what,
    };
    let state = match seen.state {
        StateName::Held => State::Held,
        StateName::Queued => State::Queued,
        StateName::Retrying => State::Retrying,
        StateName::Unknown => State::Unknown,
        StateName::Cancelled => State::Cancelled,
        // Why it failed makes no difference to a person's action.
        StateName::Failed => State::Failed(receipt::Failure::Rejected),
        StateName::Sending | StateName::Waiting | StateName::Done => {
            return Err(illegal(format!("a {} transaction takes no such action", seen.state)));
        }
    };
    match state.on(change) {
        Ok(state) => Ok(state.name()),
        Err(error) => Err(illegal(error.to_string())),
    }
}
