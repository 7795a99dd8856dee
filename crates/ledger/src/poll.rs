//! Following what waits: who asks next, and what the answer changes.

use std::sync::Arc;
use std::time::Duration;

use receipt::{ExternalId, Money, VendorUuid};

use crate::claim::{Quota, millis, subject};
use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::outcome::Recorded;
use crate::polled::{PollRecord, Polled};
use crate::pool::Ledger;
use crate::settle::{Entry, settle};

impl Ledger {
    /// Takes registrations whose poll is due, at most `slots` of each account. The stores of an account that have any get
    /// equal parts, each its oldest first, so that a store with a great backlog keeps no other waiting. Another process
    /// may take them again after `hold`; asking twice does no harm.
    ///
    /// # Errors
    /// An outage.
    pub async fn claim_polls(&self, quotas: &[Quota], hold: Duration) -> Result<Vec<Polled>, LedgerError> {
        let accounts: Vec<String> = quotas.iter().map(|quota| quota.account.as_str().to_owned()).collect();
        let slots: Vec<i64> = quotas.iter().map(|quota| i64::from(quota.slots)).collect();
        let rows = limited!(
            self.hot,
            fetch_all,
            sqlx::query!(
                r#"
            WITH RECURSIVE stores AS (
                -- One step in the index for each store that has anything to ask about, now or later.
                SELECT q.account, q.slots, (
                    SELECT min(coalesce(r.store, ''))
                    FROM registrations r
                    WHERE r.account = q.account
                        AND r.next_poll_at IS NOT NULL
                ) AS store
                FROM unnest($1::text[], $2::bigint[]) AS q (account, slots)
                UNION ALL
                SELECT s.account, s.slots, (
                    SELECT min(coalesce(r.store, ''))
                    FROM registrations r
                    WHERE r.account = s.account
                        AND coalesce(r.store, '') > s.store
                        AND r.next_poll_at IS NOT NULL
                )
                FROM stores s
                WHERE s.store IS NOT NULL
            ),
            ready AS (
                SELECT s.account, s.slots, s.store
                FROM stores s
                CROSS JOIN LATERAL (
                    SELECT
                    FROM registrations r
                    WHERE r.account = s.account
                        AND coalesce(r.store, '') = s.store
                        AND r.next_poll_at <= now()
                    -- Without an order the planner may rather read the table than the index.
                    ORDER BY r.next_poll_at
                    LIMIT 1
                ) due
            ),
            places AS (
                -- With fewer slots than stores, chance decides whose turn it is: nobody has to remember it.
                SELECT
                    account, store, slots,
                    row_number() OVER (PARTITION BY account ORDER BY random()) AS place,
                    count(*) OVER (PARTITION BY account) AS stores
                FROM ready
            ),
            picked AS (
                SELECT due.transaction_id, due.generation
                FROM places p
                CROSS JOIN LATERAL (
                    SELECT oldest.transaction_id, oldest.generation
                    FROM (
                        SELECT transaction_id, generation
                        FROM registrations
                        WHERE account = p.account
                            AND coalesce(store, '') = p.store
                            AND next_poll_at <= now()
                        ORDER BY next_poll_at
                        -- More than anybody has slots for; no more rows are locked than the outer limit lets through.
                        LIMIT 1000
                        FOR UPDATE SKIP LOCKED
                    ) oldest
                    LIMIT p.slots / p.stores + CASE WHEN p.place <= p.slots % p.stores THEN 1 ELSE 0 END
                ) due
            )
            UPDATE registrations r
            SET next_poll_at = now() + $3::bigint * interval '1 millisecond',
                -- The question comes after every callback so far; later ones wait for its answer.
                callback_at = NULL,
                callback_rest_until = now() + $3::bigint * interval '1 millisecond',
                polls = r.polls + 1
            FROM picked
            JOIN transactions t ON t.id = picked.transaction_id
            LEFT JOIN registrations successor
                ON successor.transaction_id = picked.transaction_id
                AND successor.generation = picked.generation + 1
            LEFT JOIN transactions correction
                ON correction.document_number = t.document_number
                AND correction.store = t.store
                AND correction.operation = t.operation
                AND correction.document_part = t.document_part
                AND correction.revision = t.revision + 1
                -- The revisions of a resell's halves count resells and correct nothing.
                AND t.operation IN ('sell', 'refund')
            -- The planner takes the rows that are picked for many, and would read the table for them.
            WHERE r.transaction_id = ANY (ARRAY(SELECT transaction_id FROM picked))
                AND r.transaction_id = picked.transaction_id
                AND r.generation = picked.generation
            RETURNING
                t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number,
                t.state, t.trials, t.total_kopecks,
                t.accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                r.account, r.generation, r.external_id, r.vendor_uuid AS "vendor_uuid!", r.polls,
                (extract(epoch FROM now() - coalesce(r.waiting_since, now())) * 1000)::bigint AS "age_ms!",
                CASE WHEN r.generation <> t.generation OR correction.id IS NOT NULL THEN (
                    extract(epoch FROM now() - coalesce(
                        correction.accepted_at, successor.created_at, r.waiting_since, r.created_at
                    )) * 1000
                )::bigint END AS retired_ms
            "#,
                &accounts,
                &slots,
                millis(hold),
            )
        );
        let mut polled = Vec::with_capacity(rows.len());
        for row in rows {
            let corrupt = |what: String| LedgerError::Corrupt {
                id: row.id.to_string(),
                what,
            };
            let read = || -> Result<Polled, LedgerError> {
                Ok(Polled {
                    subject: subject(
                        row.id,
                        &row.store,
                        &row.operation,
                        &row.document_number,
                        &row.document_part,
                        row.order_number.as_deref(),
                    )?,
                    account: row
                        .account
                        .parse()
                        .map_err(|_| corrupt(format!("account {:?}", row.account)))?,
                    generation: row.generation,
                    external_id: ExternalId::parse(&row.external_id).map_err(|error| corrupt(error.to_string()))?,
                    vendor_uuid: VendorUuid::parse(&row.vendor_uuid).map_err(|error| corrupt(error.to_string()))?,
                    polls: u32::try_from(row.polls).unwrap_or(u32::MAX),
                    age: Duration::from_millis(u64::try_from(row.age_ms).unwrap_or(0)),
                    state: row
                        .state
                        .parse()
                        .map_err(|_| corrupt(format!("state {:?}", row.state)))?,
                    retired: row
                        .retired_ms
                        .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
                    trials: u32::try_from(row.trials).unwrap_or(0),
                    total: Money::from_kopecks(row.total_kopecks),
                    accepted_at: row.accepted_at.to_jiff(),
                })
            };
            match read() {
                Ok(one) => polled.push(one),
                Err(error) => tracing::error!(error = %error, "a registration cannot be read and is not asked about"),
            }
        }
        Ok(polled)
    }

    /// Records what a poll came to. May be repeated with the same value until it succeeds.
    ///
    /// The state is moved only if the registration asked about is the one that waits; but a fiscal document moves it
    /// whichever registration it was found under.
    ///
    /// # Errors
    /// [`LedgerError::ExternalIdTaken`] when the next key of a re-key belongs to another document; an outage otherwise.
    pub async fn record_poll(&self, record: PollRecord) -> Result<Recorded, LedgerError> {
        self.polls.call(record).await
    }
}

pub(crate) async fn record_polls(
    hot: Hot,
    worker: Arc<str>,
    batch: Arc<[PollRecord]>,
) -> Result<Vec<Recorded>, LedgerError> {
    let entries: Vec<Entry> = batch.iter().cloned().map(PollRecord::entry).collect::<Result<_, _>>()?;
    settle(hot, worker, entries).await
}
