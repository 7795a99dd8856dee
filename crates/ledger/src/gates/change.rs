//! Closing, pausing and resuming: the change, its row in the history and the events about it are one commit.

use std::time::Duration;

use receipt::account_event::AccountBody;
use receipt::event::EventType;
use receipt::{AccountName, EventId, Refusal, StoreCode, TransactionId};
use sqlx::types::Json;
use uuid::Uuid;

use super::CloseReason;
use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::{storable, storable_json};

/// Why a gate is to be closed.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Which account.
    pub account: AccountName,
    /// Breaker or halt.
    pub reason: CloseReason,
    /// The answer that it is closed for.
    pub refusal: Refusal,
    /// The wait before the first probe.
    pub probe_in: Duration,
}

/// What became of a person's action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateAction {
    /// Done.
    Done,
    /// Somebody has changed the gate since the person looked; nothing was done.
    Changed,
}

impl Ledger {
    /// Closes a gate for what a machine found, and tells it to the account's `stores`. A gate that the breaker closed is
    /// closed once more by a halt, which says more. Returns whether anything changed; many may close it at once.
    ///
    /// # Errors
    /// An outage. May be repeated.
    pub async fn close_gate(&self, closing: &Closing, stores: &[StoreCode]) -> Result<bool, LedgerError> {
        let Closing {
            account,
            reason,
            refusal,
            probe_in,
        } = closing;
        let body = AccountBody::closed(account.clone(), reason.name(), refusal.clone());
        let told = told(&body, stores)?;
        let changed = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH closed AS (
                INSERT INTO gates AS g (
                    account, state, reason, closed_by, closed_at, error_type, code, cause_ru, cause_en, cure_ru, cure_en,
                    next_probe_at, version
                )
                VALUES (
                    $1, 'closed', $2, $3, now(), $4, $5, $6, $7, $8, $9, now() + $10::bigint * interval '1 millisecond', 1
                )
                ON CONFLICT (account) DO UPDATE
                SET state = 'closed',
                    reason = excluded.reason,
                    closed_by = excluded.closed_by,
                    closed_at = CASE WHEN g.state = 'open' THEN now() ELSE g.closed_at END,
                    error_type = excluded.error_type,
                    code = excluded.code,
                    cause_ru = excluded.cause_ru,
                    cause_en = excluded.cause_en,
                    cure_ru = excluded.cure_ru,
                    cure_en = excluded.cure_en,
                    probes = CASE WHEN g.state = 'open' THEN 0 ELSE g.probes END,
                    next_probe_at = excluded.next_probe_at,
                    probe_token = NULL,
                    probe_until = NULL,
                    version = g.version + 1
                WHERE g.state = 'open'
                    OR g.reason = 'breaker' AND excluded.reason = 'halt'
                RETURNING account, closed_at
            ),
            noted AS (
                INSERT INTO gate_changes (id, account, change, who, is_person, reason, error_type, code)
                SELECT $11, account, 'closed', $3, false, $2, $4, $5
                FROM closed
            ),
            told AS (
                INSERT INTO events (id, type, store, body)
                SELECT t.id, $12, t.store, $15::jsonb || jsonb_build_object('store', t.store, 'since', c.closed_at)
                FROM closed c
                CROSS JOIN unnest($13::uuid[], $14::text[]) AS t (id, store)
            )
            SELECT account FROM closed
            "#,
                account.as_str(),
                reason.name(),
                &self.worker,
                storable(&refusal.kind),
                storable(&refusal.code),
                storable(&refusal.cause.ru),
                storable(&refusal.cause.en),
                storable(&refusal.cure.ru),
                storable(&refusal.cure.en),
                millis(*probe_in),
                Uuid::now_v7(),
                EventType::AccountPaused.name(),
                &told.ids,
                &told.stores,
                told.body as _,
            )
        );
        Ok(changed.is_some())
    }

    /// Makes receipts due whose refusals led to the closing of their account's gate: they wait for the gate now, and no
    /// longer for the interval that they were given before it was known that the account is meant. A receipt whose last
    /// send ended otherwise keeps its wait.
    ///
    /// # Errors
    /// An outage; they are then due after their interval.
    pub async fn wait_for_gate(&self, ids: &[TransactionId]) -> Result<(), LedgerError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH waiting AS (
                SELECT t.id
                FROM transactions t
                JOIN attempts a ON a.transaction_id = t.id AND a.number = t.fence
                WHERE t.id = ANY($1)
                    AND t.state = 'retrying'
                    AND coalesce(t.due_at > now(), false)
                    AND a.class = 'halt'
                ORDER BY t.id
                FOR NO KEY UPDATE OF t
            )
            UPDATE transactions t
            SET due_at = now(),
                version = t.version + 1,
                updated_at = now()
            FROM waiting
            WHERE t.id = waiting.id
            "#,
                &ids,
            )
        );
        Ok(())
    }

    /// A person pauses an account. `seen` is the version of the gate that the person saw (0 for an account without a
    /// row). A pause replaces a pause.
    ///
    /// # Errors
    /// An outage.
    pub async fn pause_gate(
        &self,
        account: &AccountName,
        who: &str,
        reason: &str,
        seen: i64,
        stores: &[StoreCode],
    ) -> Result<GateAction, LedgerError> {
        let (who, reason) = (storable(who), storable(reason));
        let told = told(&AccountBody::paused(account.clone(), &who, &reason), stores)?;
        let paused = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH paused AS (
                INSERT INTO gates AS g (account, paused_by, paused_at, pause_reason, version)
                SELECT $1, $2, now(), $3, 1
                WHERE $4::bigint = 0 OR EXISTS (SELECT FROM gates WHERE account = $1)
                ON CONFLICT (account) DO UPDATE
                SET paused_by = excluded.paused_by,
                    paused_at = now(),
                    pause_reason = excluded.pause_reason,
                    version = g.version + 1
                WHERE g.version = $4
                RETURNING account, paused_at
            ),
            noted AS (
                INSERT INTO gate_changes (id, account, change, who, is_person, reason)
                SELECT $5, account, 'paused', $2, true, $3
                FROM paused
            ),
            told AS (
                INSERT INTO events (id, type, store, body)
                SELECT t.id, $6, t.store, $9::jsonb || jsonb_build_object('store', t.store, 'since', p.paused_at)
                FROM paused p
                CROSS JOIN unnest($7::uuid[], $8::text[]) AS t (id, store)
            )
            SELECT account FROM paused
            "#,
                account.as_str(),
                &who,
                &reason,
                seen,
                Uuid::now_v7(),
                EventType::AccountPaused.name(),
                &told.ids,
                &told.stores,
                told.body as _,
            )
        );
        Ok(paused.map_or(GateAction::Changed, |_| GateAction::Done))
    }

    /// A person opens a gate, whoever closed it. `seen` is the version of the gate that the person saw.
    ///
    /// # Errors
    /// An outage.
    pub async fn resume_gate(
        &self,
        account: &AccountName,
        who: &str,
        reason: &str,
        seen: i64,
        stores: &[StoreCode],
    ) -> Result<GateAction, LedgerError> {
        let (who, reason) = (storable(who), storable(reason));
        let told = told(&AccountBody::resumed(account.clone(), &who, &reason), stores)?;
        let resumed = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH before AS (
                SELECT account, least(closed_at, paused_at) AS since
                FROM gates
                WHERE account = $1
                    AND version = $4
                    AND NOT is_open
                FOR UPDATE
            ),
            resumed AS (
                UPDATE gates g
                SET state = 'open',
                    reason = NULL,
                    closed_by = NULL,
                    closed_at = NULL,
                    error_type = NULL,
                    code = NULL,
                    cause_ru = NULL,
                    cause_en = NULL,
                    cure_ru = NULL,
                    cure_en = NULL,
                    probes = 0,
                    next_probe_at = NULL,
                    probe_token = NULL,
                    probe_until = NULL,
                    opened_at = now(),
                    paused_by = NULL,
                    paused_at = NULL,
                    pause_reason = NULL,
                    version = g.version + 1
                FROM before
                WHERE g.account = before.account
                RETURNING g.account, before.since
            ),
            noted AS (
                INSERT INTO gate_changes (id, account, change, who, is_person, reason)
                SELECT $5, account, 'resumed', $2, true, $3
                FROM resumed
            ),
            told AS (
                INSERT INTO events (id, type, store, body)
                SELECT t.id, $6, t.store, $9::jsonb || jsonb_build_object('store', t.store, 'since', r.since)
                FROM resumed r
                CROSS JOIN unnest($7::uuid[], $8::text[]) AS t (id, store)
            )
            SELECT account FROM resumed
            "#,
                account.as_str(),
                &who,
                &reason,
                seen,
                Uuid::now_v7(),
                EventType::AccountResumed.name(),
                &told.ids,
                &told.stores,
                told.body as _,
            )
        );
        Ok(resumed.map_or(GateAction::Changed, |_| GateAction::Done))
    }
}

/// The events about one change, one for each store.
pub(crate) struct Told {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) stores: Vec<String>,
    pub(crate) body: Json<serde_json::Value>,
}

pub(crate) fn told(body: &AccountBody, stores: &[StoreCode]) -> Result<Told, LedgerError> {
    let body_json = serde_json::to_value(body).map_err(|error| LedgerError::Corrupt {
        id: body.account.to_string(),
        what: error.to_string(),
    })?;
    Ok(Told {
        ids: stores.iter().map(|_| EventId::new().0).collect(),
        stores: stores.iter().map(|store| store.as_str().to_owned()).collect(),
        body: Json(storable_json(body_json)),
    })
}
