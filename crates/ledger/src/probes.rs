//! Probing a closed gate: one worker at a time, for as long as its lease, whoever dies meanwhile.

use std::time::Duration;

use receipt::account_event::AccountBody;
use receipt::event::EventType;
use receipt::{AccountName, Refusal, StoreCode, TransactionId};
use uuid::Uuid;

use crate::claim::{Claimed, Lease, Prober, millis};
use crate::error::LedgerError;
use crate::gates::{CloseReason, told};
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::storable;

/// The right to probe one account, until it is ended or its lease is over.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Probe {
    /// Which account.
    pub account: AccountName,
    /// Probes that failed since the gate was closed.
    pub failed: u32,
    /// Whether a person has paused the account: then nothing real may be sent.
    pub is_paused: bool,
    /// Kind and code of the answer for which the account is halted; `None` when the breaker has closed its gate.
    pub halted_by: Option<(String, String)>,
    /// Whether a receipt in doubt may be the probe.
    takes_doubtful: bool,
    token: Uuid,
    /// What was sent as a probe last: the next one is another document, if there is one.
    last: Option<TransactionId>,
}

impl Probe {
    /// The same, but no receipt is claimed for it that the vendor may hold already.
    #[must_use]
    pub fn without_doubt(self) -> Self {
        Self {
            takes_doubtful: false,
            ..self
        }
    }
}

/// What a probe came to.
#[derive(Debug, Clone)]
pub enum ProbeEnd {
    /// The account works: the gate opens, unless a person has paused it.
    Works,
    /// It does not.
    Fails {
        /// What it said.
        refusal: Box<Refusal>,
        /// The wait before the next probe.
        wait: Duration,
    },
    /// Nothing was learnt.
    Nothing {
        /// The wait before the next probe.
        wait: Duration,
    },
}

impl Ledger {
    /// Takes the right to probe those of `accounts` whose gates a machine has closed, whose probe is due, and that nobody
    /// probes. After `lease` another worker may.
    ///
    /// # Errors
    /// An outage.
    pub async fn take_probes(&self, accounts: &[AccountName], lease: Duration) -> Result<Vec<Probe>, LedgerError> {
        let names: Vec<String> = accounts.iter().map(|account| account.as_str().to_owned()).collect();
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            UPDATE gates
            SET probe_token = gen_random_uuid(),
                probe_until = now() + $2::bigint * interval '1 millisecond'
            WHERE account = ANY($1)
                AND state <> 'open'
                AND next_probe_at <= now()
                AND (probe_until IS NULL OR probe_until <= now())
            RETURNING
                account, probes, paused_at IS NOT NULL AS "is_paused!", probe_token AS "probe_token!", probe_transaction,
                CASE WHEN reason = $3 THEN error_type END AS error_type, code
            "#,
                &names,
                millis(lease),
                CloseReason::Halt.name(),
            )
        );
        rows.into_iter()
            .map(|row| {
                Ok(Probe {
                    account: row.account.parse().map_err(|_| LedgerError::Corrupt {
                        id: row.account.clone(),
                        what: "a gate's account".to_owned(),
                    })?,
                    failed: u32::try_from(row.probes).unwrap_or(0),
                    is_paused: row.is_paused,
                    halted_by: row.error_type.zip(row.code),
                    takes_doubtful: true,
                    token: row.probe_token,
                    last: row.probe_transaction.map(TransactionId),
                })
            })
            .collect()
    }

    /// Claims one due receipt of the account, as the probe that one real send is: the longest due of a store, another one
    /// than the last time if there is one. `None` when nothing is due, or when the right to probe has gone to somebody
    /// else. The right to probe now lasts as long as the claim.
    ///
    /// # Errors
    /// An outage.
    pub async fn claim_probe(&self, probe: &Probe, lease: Lease) -> Result<Option<Claimed>, LedgerError> {
        let prober = |except| Prober {
            token: probe.token,
            except,
            takes_doubtful: probe.takes_doubtful,
        };
        let last = probe.last.map(|last| last.0);
        let claimed = self.claim_behind_gate(&probe.account, prober(last), lease).await?;
        if claimed.is_some() || last.is_none() {
            return Ok(claimed);
        }
        self.claim_behind_gate(&probe.account, prober(None), lease).await
    }

    /// Whether a receipt of the account is to be sent, now or later.
    ///
    /// # Errors
    /// An outage.
    pub async fn has_to_send(&self, account: &AccountName) -> Result<bool, LedgerError> {
        Ok(limited!(
            self.pool,
            fetch_one,
            sqlx::query_scalar!(
                r#"
            SELECT EXISTS (
                SELECT
                FROM transactions
                WHERE account = $1
                    AND due_at IS NOT NULL
            ) AS "has!"
            "#,
                account.as_str(),
            )
        ))
    }

    /// Ends a probe, and tells it to the account's `stores` if the gate opens. Returns whether the probe was still ours:
    /// its lease may be over, or a person may have opened the gate meanwhile.
    ///
    /// # Errors
    /// An outage; the probe then ends with its lease.
    pub async fn end_probe(&self, probe: &Probe, end: &ProbeEnd, stores: &[StoreCode]) -> Result<bool, LedgerError> {
        match end {
            ProbeEnd::Works => self.open_gate(probe, stores).await,
            ProbeEnd::Fails { refusal, wait } => self.keep_closed(probe, Some(refusal), *wait).await,
            ProbeEnd::Nothing { wait } => self.keep_closed(probe, None, *wait).await,
        }
    }

    async fn open_gate(&self, probe: &Probe, stores: &[StoreCode]) -> Result<bool, LedgerError> {
        let told = told(&AccountBody::opened(probe.account.clone()), stores)?;
        let opened = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH before AS (
                SELECT account, closed_at
                FROM gates
                WHERE account = $1
                    AND probe_token = $2
                FOR UPDATE
            ),
            opened AS (
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
                    version = g.version + 1
                FROM before
                WHERE g.account = before.account
                RETURNING g.account, before.closed_at, g.is_open
            ),
            noted AS (
                INSERT INTO gate_changes (id, account, change, who, is_person, reason)
                SELECT $3, account, 'opened', $4, false, 'probe'
                FROM opened
            ),
            told AS (
                INSERT INTO events (id, type, store, body)
                SELECT t.id, $5, t.store, $8::jsonb || jsonb_build_object('store', t.store, 'since', o.closed_at)
                FROM opened o
                CROSS JOIN unnest($6::uuid[], $7::text[]) AS t (id, store)
                WHERE o.is_open
            )
            SELECT account FROM opened
            "#,
                probe.account.as_str(),
                probe.token,
                Uuid::now_v7(),
                &self.worker,
                EventType::AccountResumed.name(),
                &told.ids,
                &told.stores,
                told.body as _,
            )
        );
        Ok(opened.is_some())
    }

    /// With a refusal the probe counts as failed, and the gate shows what it said. What was closed by the breaker becomes
    /// a halt when the account turns out to be refused; a halt stays one, whatever else goes wrong meanwhile.
    async fn keep_closed(&self, probe: &Probe, refusal: Option<&Refusal>, wait: Duration) -> Result<bool, LedgerError> {
        let halt = refusal.is_some_and(|refusal| matches!(refusal.class, receipt::RetryClass::Halt { .. }));
        let text = |text: fn(&Refusal) -> &str| refusal.map(|refusal| storable(text(refusal)));
        let kept = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            UPDATE gates
            SET state = 'closed',
                reason = CASE WHEN $4 THEN $5 ELSE reason END,
                error_type = CASE WHEN $4 OR reason <> $5 THEN coalesce($6, error_type) ELSE error_type END,
                code = CASE WHEN $4 OR reason <> $5 THEN coalesce($7, code) ELSE code END,
                cause_ru = CASE WHEN $4 OR reason <> $5 THEN coalesce($8, cause_ru) ELSE cause_ru END,
                cause_en = CASE WHEN $4 OR reason <> $5 THEN coalesce($9, cause_en) ELSE cause_en END,
                cure_ru = CASE WHEN $4 OR reason <> $5 THEN coalesce($10, cure_ru) ELSE cure_ru END,
                cure_en = CASE WHEN $4 OR reason <> $5 THEN coalesce($11, cure_en) ELSE cure_en END,
                probes = CASE WHEN $12 THEN probes + 1 ELSE probes END,
                next_probe_at = now() + $3::bigint * interval '1 millisecond',
                probe_token = NULL,
                probe_until = NULL
            WHERE account = $1
                AND probe_token = $2
            RETURNING account
            "#,
                probe.account.as_str(),
                probe.token,
                millis(wait),
                halt,
                CloseReason::Halt.name(),
                text(|refusal| &refusal.kind),
                text(|refusal| &refusal.code),
                text(|refusal| &refusal.cause.ru),
                text(|refusal| &refusal.cause.en),
                text(|refusal| &refusal.cure.ru),
                text(|refusal| &refusal.cure.en),
                refusal.is_some(),
            )
        );
        Ok(kept.is_some())
    }
}
