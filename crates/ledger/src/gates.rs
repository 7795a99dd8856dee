//! One gate per account: what machines and people decided about sending, shared by all workers.
//!
//! Closing and opening, the change's own row and the events about it are one commit. Every claim looks at the gate in
//! the claiming statement, so what is closed here is closed for everybody.

mod settings;

use std::time::Duration;

use jiff::Timestamp;
use receipt::account_event::AccountBody;
use receipt::event::EventType;
use receipt::{AccountName, EventId, Refusal, StoreCode, Text, TransactionId};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::{storable, storable_json};

pub use settings::GateSettings;

/// What machines found about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// Nothing is wrong.
    Open,
    /// Nothing is sent until a probe works.
    Closed,
    /// One real send at a time tries it.
    Probing,
}

impl GateState {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Probing => "probing",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Closed, Self::Probing]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// Why a machine closed a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    /// Failures in a row: the vendor is away or sick.
    Breaker,
    /// The account itself is refused. Polls stop too: a wrong password repeated again and again may lock the account.
    Halt,
}

impl CloseReason {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Halt => "halt",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Breaker, Self::Halt]
            .into_iter()
            .find(|reason| reason.name() == name)
    }
}

/// The pause of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// In that person's words.
    pub reason: String,
}

/// The gate of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// Which account.
    pub account: AccountName,
    /// Whether receipts of it may be claimed: no machine has closed it and no person has paused it.
    pub is_open: bool,
    /// What machines found.
    pub state: GateState,
    /// Why a machine closed it.
    pub reason: Option<CloseReason>,
    /// The worker that closed it.
    pub closed_by: Option<String>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Type and code of the answer for which it is closed.
    pub code: Option<String>,
    /// What happened.
    pub cause: Option<Text>,
    /// What to do about it.
    pub cure: Option<Text>,
    /// Probes that failed since it was closed.
    pub probes: u32,
    /// When it is probed next, at the earliest.
    pub next_probe_at: Option<Timestamp>,
    /// When it was opened last.
    pub opened_at: Option<Timestamp>,
    /// How long ago that was, by the database's clock.
    #[serde(skip)]
    pub open_for: Option<Duration>,
    /// The pause of a person.
    pub pause: Option<Pause>,
    /// Counts the changes; a person's action names the version that the person saw.
    pub version: i64,
}

impl Gate {
    /// The gate of an account that was never stopped.
    #[must_use]
    pub const fn never_closed(account: AccountName) -> Self {
        Self {
            account,
            is_open: true,
            state: GateState::Open,
            reason: None,
            closed_by: None,
            closed_at: None,
            code: None,
            cause: None,
            cure: None,
            probes: 0,
            next_probe_at: None,
            opened_at: None,
            open_for: None,
            pause: None,
            version: 0,
        }
    }

    /// Whether the account itself is refused.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.reason == Some(CloseReason::Halt)
    }
}

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
    /// The gates of all accounts that were ever closed. An account that is not here is open.
    ///
    /// # Errors
    /// An outage.
    pub async fn gates(&self) -> Result<Vec<Gate>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT
                account, is_open, state, reason, closed_by,
                closed_at AS "closed_at: jiff_sqlx::Timestamp",
                error_type, code, cause_ru, cause_en, cure_ru, cure_en, probes,
                next_probe_at AS "next_probe_at: jiff_sqlx::Timestamp",
                opened_at AS "opened_at: jiff_sqlx::Timestamp",
                (extract(epoch FROM now() - opened_at) * 1000)::bigint AS open_ms,
                paused_by, paused_at AS "paused_at: jiff_sqlx::Timestamp", pause_reason, version
            FROM gates
            ORDER BY account
            "#,
            )
        );
        rows.into_iter()
            .map(|row| {
                let corrupt = |what: &str| LedgerError::Corrupt {
                    id: row.account.clone(),
                    what: what.to_owned(),
                };
                let text = |ru: Option<String>, en: Option<String>| Some(Text::new(ru?, en?));
                let reason = row
                    .reason
                    .as_deref()
                    .map(|reason| CloseReason::parse(reason).ok_or(reason));
                Ok(Gate {
                    account: row.account.parse().map_err(|_| corrupt("a gate's account"))?,
                    is_open: row.is_open,
                    state: GateState::parse(&row.state).ok_or_else(|| corrupt("a gate's state"))?,
                    reason: reason.transpose().map_err(|_| corrupt("a gate's reason"))?,
                    closed_by: row.closed_by,
                    closed_at: row.closed_at.map(jiff_sqlx::Timestamp::to_jiff),
                    code: row
                        .code
                        .map(|code| format!("{} {code}", row.error_type.as_deref().unwrap_or_default())),
                    cause: text(row.cause_ru, row.cause_en),
                    cure: text(row.cure_ru, row.cure_en),
                    probes: u32::try_from(row.probes).unwrap_or(0),
                    next_probe_at: row.next_probe_at.map(jiff_sqlx::Timestamp::to_jiff),
                    opened_at: row.opened_at.map(jiff_sqlx::Timestamp::to_jiff),
                    open_for: row
                        .open_ms
                        .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
                    pause: match (row.paused_by, row.paused_at, row.pause_reason) {
                        (Some(by), Some(since), Some(reason)) => Some(Pause {
                            by,
                            since: since.to_jiff(),
                            reason,
                        }),
                        (None, _, _) | (_, None, _) | (_, _, None) => None,
                    },
                    version: row.version,
                })
            })
            .collect()
    }

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
    /// longer for the interval that they were given before it was known that the account is meant.
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
                SELECT id
                FROM transactions
                WHERE id = ANY($1)
                    AND state = 'retrying'
                    AND coalesce(due_at > now(), false)
                ORDER BY id
                FOR NO KEY UPDATE
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
