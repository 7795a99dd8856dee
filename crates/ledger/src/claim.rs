//! Claiming: after this commit, and before any socket is touched, the table says who sends what until when.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use receipt::event::Subject;
use receipt::ours::Expected;
use receipt::{AccountName, Doubt, ExternalId, Money, Receipt, TransactionId, VendorName};
use uuid::Uuid;

use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::unreadable;

/// How long a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Longer than the longest call and its recording.
    pub hold: Duration,
    /// The shortest time between the end of a lease and the next post of the same id.
    pub quiet_time: Duration,
}

impl Lease {
    pub(crate) fn until_claimable_ms(self) -> i64 {
        millis(self.hold.saturating_add(self.quiet_time))
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The right, and the duty, to make one attempt. Only the ledger makes one, and recording its outcome consumes it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claimed {
    /// Id, store, operation and document.
    pub subject: Subject,
    /// The account that was frozen at acceptance.
    pub account: AccountName,
    /// Its vendor.
    pub vendor: VendorName,
    /// Which registration of the transaction is sent.
    pub generation: i32,
    /// Number of this attempt, the fence.
    pub attempt: i32,
    /// The key at the vendor.
    pub external_id: ExternalId,
    /// What earlier tries of this registration left behind.
    pub doubt: Doubt,
    /// Sends of the current cycle that were counted before this one.
    pub trials: u32,
    /// What a document must add up to.
    pub total: Money,
    /// When we accepted it: a document that is much older is not ours.
    pub accepted_at: Timestamp,
    /// The frozen content; there when `wire_body` is not.
    pub receipt: Option<Receipt>,
    /// The rendered request, if it was rendered before.
    pub wire_body: Option<String>,
}

impl Claimed {
    /// What a document that comes for this registration must agree with.
    #[must_use]
    pub const fn expected(&self) -> Expected<'_> {
        Expected {
            external_id: &self.external_id,
            total: self.total,
            accepted_at: self.accepted_at,
        }
    }
}

/// What became of a pointer.
#[derive(Debug, Clone)]
pub enum Claim {
    /// This process sends it.
    Won(Box<Claimed>),
    /// The pointer is stale: somebody else has it, it is not due, it is settled, or the gate of its account is closed.
    /// In the last case the row stays due, and is found in the table when the gate opens.
    Stale,
}

/// How many due rows of one account may be claimed.
#[derive(Debug, Clone)]
pub struct Quota {
    /// The account.
    pub account: AccountName,
    /// Free slots.
    pub slots: u32,
}

/// Who may claim one row behind a closed gate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prober {
    /// As the gate bears it.
    pub(crate) token: Uuid,
    /// The transaction that is not wanted.
    pub(crate) except: Option<Uuid>,
    /// Whether a receipt may be claimed whose doubt can still be settled by repeating.
    pub(crate) takes_doubtful: bool,
}

/// What a pointer asks for, and the token by which the row knows its claimer.
#[derive(Debug, Clone)]
pub struct Claiming {
    id: TransactionId,
    fence: i32,
    token: Uuid,
    lease: Lease,
}

impl Claiming {
    /// The claim of a pointer to `id` that was made when the row had this `fence`.
    #[must_use]
    pub fn new(id: TransactionId, fence: i32, lease: Lease) -> Self {
        Self {
            id,
            fence,
            token: Uuid::new_v4(),
            lease,
        }
    }
}

impl Ledger {
    /// Claims what a pointer points to, if the pointer's fence is still the row's and the row is due.
    ///
    /// # Errors
    /// An outage. The same pointer may be tried again by a new call: a claim whose commit got no answer ends with its
    /// lease.
    pub async fn claim(&self, id: TransactionId, fence: i32, lease: Lease) -> Result<Claim, LedgerError> {
        self.claim_as(&Claiming::new(id, fence, lease)).await
    }

    /// The same with a value that can be kept through an outage. The commit of a claim whose answer was lost may have
    /// taken effect; asked again with the same value, the row knows its claimer, and no doubt arises.
    ///
    /// # Errors
    /// An outage. Repeat it with the same value.
    pub async fn claim_as(&self, claiming: &Claiming) -> Result<Claim, LedgerError> {
        match self.claims.call(claiming.clone()).await {
            Err(error) if error.is_outage() => self.claims.call(claiming.clone()).await,
            answer => answer,
        }
    }

    /// Claims rows that have been due for longer than `grace`, at most `slots` of each account; none of an account whose
    /// gate is closed. The stores of an account that have something due get equal parts of its slots, each its longest due
    /// first, so that a store with a great backlog starves no other.
    ///
    /// These are the rows whose pointer was lost, whose wait has no delay exchange, or whose claimer died. A row that
    /// was `sending` leaves a doubt: its claimer may have written to the vendor.
    ///
    /// # Errors
    /// An outage.
    pub async fn claim_due(
        &self,
        quotas: &[Quota],
        grace: Duration,
        lease: Lease,
    ) -> Result<Vec<Claimed>, LedgerError> {
        let accounts: Vec<String> = quotas.iter().map(|quota| quota.account.as_str().to_owned()).collect();
        let slots: Vec<i64> = quotas.iter().map(|quota| i64::from(quota.slots)).collect();
        self.claim_rows(&accounts, &slots, None, grace, lease).await
    }

    /// Claims one due row behind the closed gate of an account, for the prober whose token the gate bears.
    pub(crate) async fn claim_behind_gate(
        &self,
        account: &AccountName,
        prober: Prober,
        lease: Lease,
    ) -> Result<Option<Claimed>, LedgerError> {
        let mut claims = self
            .claim_rows(
                &[account.as_str().to_owned()],
                &[1],
                Some(prober),
                Duration::ZERO,
                lease,
            )
            .await?;
        Ok(claims.pop())
    }

    async fn claim_rows(
        &self,
        accounts: &[String],
        slots: &[i64],
        prober: Option<Prober>,
        grace: Duration,
        lease: Lease,
    ) -> Result<Vec<Claimed>, LedgerError> {
        let rows = limited!(
            self.hot,
            fetch_all,
            sqlx::query_as!(
                ClaimedRow,
                r#"
            WITH RECURSIVE quotas AS (
                SELECT q.account, q.slots
                FROM unnest($1::text[], $2::bigint[]) AS q (account, slots)
                WHERE NOT EXISTS (
                    SELECT
                    FROM gates g
                    WHERE g.account = q.account
                        AND NOT g.is_open
                        AND (g.paused_at IS NOT NULL OR $6::uuid IS NULL OR g.probe_token IS DISTINCT FROM $6)
                )
            ),
            stores AS (
                -- One step in the index for each store that has anything due, now or later.
                SELECT q.account, q.slots, (
                    SELECT min(t.store)
                    FROM transactions t
                    WHERE t.account = q.account
                        AND t.due_at IS NOT NULL
                ) AS store
                FROM quotas q
                UNION ALL
                SELECT s.account, s.slots, (
                    SELECT min(t.store)
                    FROM transactions t
                    WHERE t.account = s.account
                        AND t.store > s.store
                        AND t.due_at IS NOT NULL
                )
                FROM stores s
                WHERE s.store IS NOT NULL
            ),
            ready AS (
                SELECT s.account, s.slots, s.store
                FROM stores s
                CROSS JOIN LATERAL (
                    SELECT
                    FROM transactions t
                    WHERE t.account = s.account
                        AND t.store = s.store
                        AND t.due_at <= now() - $3::bigint * interval '1 millisecond'
                        AND NOT (t.state = 'sending' AND t.unfinished >= 2)
                        AND t.id IS DISTINCT FROM $7
                        AND ($8::boolean OR NOT (
                            t.state = 'sending'
                            OR EXISTS (
                                SELECT
                                FROM registrations r
                                WHERE r.transaction_id = t.id
                                    AND r.generation = t.generation
                                    AND r.doubt_since IS NOT NULL
                                    -- Past its horizon it is not sent, and a person is told.
                                    AND (r.doubt_until IS NULL OR r.doubt_until > now())
                            )
                        ))
                    -- Without an order the planner may rather read the table than the index.
                    ORDER BY t.due_at
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
                SELECT due.id, due.state
                FROM places p
                CROSS JOIN LATERAL (
                    SELECT oldest.id, oldest.state
                    FROM (
                        SELECT t.id, t.state
                        FROM transactions t
                        WHERE t.account = p.account
                            AND t.store = p.store
                            AND t.due_at <= now() - $3::bigint * interval '1 millisecond'
                            AND NOT (t.state = 'sending' AND t.unfinished >= 2)
                            AND t.id IS DISTINCT FROM $7
                            AND ($8::boolean OR NOT (
                                t.state = 'sending'
                                OR EXISTS (
                                    SELECT
                                    FROM registrations r
                                    WHERE r.transaction_id = t.id
                                        AND r.generation = t.generation
                                        AND r.doubt_since IS NOT NULL
                                        AND (r.doubt_until IS NULL OR r.doubt_until > now())
                                )
                            ))
                        ORDER BY t.due_at
                        -- More than anybody has slots for. Only a number tells the planner that these are few; no more
                        -- rows are locked than the outer limit lets through.
                        LIMIT 1000
                        FOR UPDATE SKIP LOCKED
                    ) oldest
                    LIMIT p.slots / p.stores + CASE WHEN p.place <= p.slots % p.stores THEN 1 ELSE 0 END
                ) due
            ),
            claimed AS (
                UPDATE transactions t
                SET state = 'sending',
                    last_attempt = t.last_attempt + 1,
                    fence = t.last_attempt + 1,
                    claim_token = gen_random_uuid(),
                    unfinished = CASE WHEN picked.state = 'sending' THEN t.unfinished + 1 ELSE t.unfinished END,
                    due_at = now() + $4::bigint * interval '1 millisecond',
                    version = t.version + 1,
                    updated_at = now()
                FROM picked
                -- The planner takes the rows that are picked for many, and would read the table for them.
                WHERE t.id = ANY (ARRAY(SELECT id FROM picked))
                    AND t.id = picked.id
                RETURNING t.*, picked.state AS state_before
            ),
            attempted AS (
                INSERT INTO attempts (transaction_id, number, generation, kind, worker)
                SELECT id, fence, generation, 'send', $5
                FROM claimed
            ),
            probing AS (
                UPDATE gates g
                SET state = 'probing',
                    probe_transaction = c.id,
                    probe_until = now() + $4::bigint * interval '1 millisecond'
                FROM claimed c
                WHERE g.account = c.account
                    AND g.probe_token = $6
            ),
            doubted AS (
                UPDATE registrations r
                SET doubt_since = coalesce(r.doubt_since, now())
                FROM claimed c
                WHERE r.transaction_id = c.id
                    AND r.generation = c.generation
                    AND c.state_before = 'sending'
            )
            SELECT
                c.id AS "id!", c.store AS "store!", c.operation AS "operation!",
                c.document_number AS "document_number!", c.document_part AS "document_part!", c.order_number,
                c.account AS "account!", c.vendor AS "vendor!", c.generation AS "generation!", c.fence AS "fence!",
                c.external_id AS "external_id!", c.trials AS "trials!",
                c.total_kopecks AS "total_kopecks!", c.accepted_at AS "accepted_at!: jiff_sqlx::Timestamp",
                (r.doubt_since IS NOT NULL OR c.state_before = 'sending') AS "doubtful!",
                r.wire_body,
                CASE WHEN r.wire_body IS NULL THEN c.body::text END AS body
            FROM claimed c
            JOIN registrations r ON r.transaction_id = c.id AND r.generation = c.generation
            "#,
                accounts,
                slots,
                millis(grace),
                lease.until_claimable_ms(),
                &self.worker,
                prober.map(|prober| prober.token) as _,
                prober.and_then(|prober| prober.except) as _,
                prober.is_none_or(|prober| prober.takes_doubtful),
            )
        );
        readable(&self.hot, rows).await
    }

    /// Transactions whose claimers ended without a word three times in a row: the receipt itself is suspected. The
    /// caller records them as unknown.
    ///
    /// # Errors
    /// An outage.
    pub async fn abandoned(&self, limit: i64) -> Result<Vec<Claimed>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query_as!(
                ClaimedRow,
                r#"
            SELECT
                t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number,
                t.account, t.vendor, t.generation, t.fence, t.external_id, t.trials,
                t.total_kopecks, t.accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                true AS "doubtful!",
                r.wire_body,
                NULL::text AS body
            FROM transactions t
            JOIN registrations r ON r.transaction_id = t.id AND r.generation = t.generation
            WHERE t.due_at <= now()
                AND t.state = 'sending'
                -- The number stands in the predicate of the index too, which a parameter could not be matched with.
                AND t.unfinished >= 2
            ORDER BY t.due_at
            LIMIT $1
            "#,
                limit,
            )
        );
        readable(&self.hot, rows).await
    }

    /// Gives back a claim with which nothing was sent, without a trial. It is due at once, before what came after it. If
    /// nothing was sent before either, it is rendered anew: what the settings are by then may be why it was given back.
    ///
    /// # Errors
    /// An outage; the claim then ends with its lease.
    pub async fn give_back(&self, claimed: &Claimed) -> Result<(), LedgerError> {
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH returned AS (
                UPDATE transactions
                SET state = 'retrying',
                    claim_token = NULL,
                    -- It was due when it was claimed.
                    due_at = accepted_at,
                    version = version + 1,
                    updated_at = now()
                WHERE id = $1
                    AND fence = $2
                    AND state = 'sending'
                RETURNING id, generation
            ),
            unrendered AS (
                UPDATE registrations r
                SET wire_body = NULL,
                    rendered_at = NULL
                FROM returned t
                WHERE r.transaction_id = t.id
                    AND r.generation = t.generation
                    AND NOT EXISTS (
                        SELECT
                        FROM attempts a
                        WHERE a.transaction_id = t.id
                            AND a.generation = t.generation
                            AND a.number <> $2
                            AND a.kind = 'send'
                            AND a.class IS DISTINCT FROM 'returned'
                    )
            )
            UPDATE attempts
            SET finished_at = now(),
                class = 'returned'
            WHERE transaction_id = $1
                AND number = $2
                AND finished_at IS NULL
                AND EXISTS (SELECT FROM returned)
            "#,
                claimed.subject.transaction_id.0,
                claimed.attempt,
            )
        );
        Ok(())
    }
}

struct ClaimedRow {
    id: Uuid,
    store: String,
    operation: String,
    document_number: String,
    document_part: String,
    order_number: Option<String>,
    account: String,
    vendor: String,
    generation: i32,
    fence: i32,
    external_id: String,
    trials: i32,
    total_kopecks: i64,
    accepted_at: jiff_sqlx::Timestamp,
    doubtful: bool,
    wire_body: Option<String>,
    body: Option<String>,
}

impl TryFrom<ClaimedRow> for Claimed {
    type Error = LedgerError;

    fn try_from(row: ClaimedRow) -> Result<Self, LedgerError> {
        let subject = subject(
            row.id,
            &row.store,
            &row.operation,
            &row.document_number,
            &row.document_part,
            row.order_number.as_deref(),
        )?;
        let corrupt = |what: String| LedgerError::Corrupt {
            id: row.id.to_string(),
            what,
        };
        Ok(Self {
            subject,
            account: AccountName::parse(&row.account).map_err(|error| corrupt(error.to_string()))?,
            vendor: VendorName::parse(&row.vendor).map_err(|error| corrupt(error.to_string()))?,
            generation: row.generation,
            attempt: row.fence,
            external_id: ExternalId::parse(&row.external_id).map_err(|error| corrupt(error.to_string()))?,
            doubt: if row.doubtful { Doubt::Stands } else { Doubt::None },
            trials: u32::try_from(row.trials).unwrap_or(0),
            total: Money::from_kopecks(row.total_kopecks),
            accepted_at: row.accepted_at.to_jiff(),
            // Without it nothing can be rendered, and the attempt is recorded with that as its cause.
            receipt: row.body.and_then(|body| {
                serde_json::from_str(&body)
                    .inspect_err(|error| tracing::error!(transaction.id = %row.id, %error, "a body cannot be read"))
                    .ok()
            }),
            wire_body: row.wire_body,
        })
    }
}

/// One row that does not hold together must not keep its neighbours from being sent.
async fn readable(hot: &Hot, rows: Vec<ClaimedRow>) -> Result<Vec<Claimed>, LedgerError> {
    let mut claims = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, fence) = (row.id, row.fence);
        match Claimed::try_from(row) {
            Ok(claimed) => claims.push(claimed),
            // An outage here must not take the good claims along: the row is met again when its lease is over.
            Err(why) => match unreadable::give_up(hot, id, fence, &why).await {
                Ok(()) => {}
                Err(error) => tracing::error!(error = %error, "the unreadable transaction keeps its claim"),
            },
        }
    }
    Ok(claims)
}

/// The unchanging part of a transaction, from its columns.
pub(crate) fn subject(
    id: Uuid,
    store: &str,
    operation: &str,
    document: &str,
    part: &str,
    order: Option<&str>,
) -> Result<Subject, LedgerError> {
    let corrupt = |what: String| LedgerError::Corrupt {
        id: id.to_string(),
        what,
    };
    Ok(Subject {
        transaction_id: TransactionId(id),
        store: store
            .parse()
            .map_err(|error: receipt::id::InvalidId| corrupt(error.to_string()))?,
        operation: operation
            .parse()
            .map_err(|()| corrupt(format!("operation {operation:?}")))?,
        document: document
            .parse()
            .map_err(|error: receipt::id::InvalidId| corrupt(error.to_string()))?,
        part: part
            .parse()
            .map_err(|error: receipt::id::InvalidId| corrupt(error.to_string()))?,
        order: order
            .map(str::parse)
            .transpose()
            .map_err(|error: receipt::id::InvalidId| corrupt(error.to_string()))?,
    })
}

pub(crate) async fn claim_batch(hot: Hot, worker: Arc<str>, batch: Arc<[Claiming]>) -> Result<Vec<Claim>, LedgerError> {
    let ids: Vec<Uuid> = batch.iter().map(|claiming| claiming.id.0).collect();
    let fences: Vec<i32> = batch.iter().map(|claiming| claiming.fence).collect();
    let tokens: Vec<Uuid> = batch.iter().map(|claiming| claiming.token).collect();
    let leases: Vec<i64> = batch
        .iter()
        .map(|claiming| claiming.lease.until_claimable_ms())
        .collect();
    let rows = limited!(
        hot,
        fetch_all,
        sqlx::query!(
            r#"
        WITH input AS (
            SELECT *
            FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::bigint[]) AS input (id, fence, token, lease_ms)
        ),
        picked AS (
            SELECT t.id
            FROM transactions t
            JOIN input ON input.id = t.id AND input.fence = t.fence
            WHERE t.state IN ('queued', 'retrying')
                -- Rows are looked up by id. A plain comparison would let the planner read the index of due rows, which
                -- it takes for small, and all of a backlog with it.
                AND coalesce(t.due_at <= now(), false)
                AND NOT EXISTS (SELECT FROM gates g WHERE g.account = t.account AND NOT g.is_open)
            ORDER BY t.id
            FOR UPDATE OF t SKIP LOCKED
        ),
        winners AS (
            -- The same pointer may stand in a batch twice; one of the two wins.
            SELECT DISTINCT ON (input.id) input.id, input.token, input.lease_ms
            FROM input
            JOIN picked ON picked.id = input.id
            ORDER BY input.id, input.token
        ),
        claimed AS (
            UPDATE transactions t
            SET state = 'sending',
                last_attempt = t.last_attempt + 1,
                fence = t.last_attempt + 1,
                claim_token = winners.token,
                due_at = now() + winners.lease_ms * interval '1 millisecond',
                version = t.version + 1,
                updated_at = now()
            FROM winners
            WHERE t.id = winners.id
            RETURNING t.*
        ),
        attempted AS (
            INSERT INTO attempts (transaction_id, number, generation, kind, worker)
            SELECT id, fence, generation, 'send', $5
            FROM claimed
        ),
        renewed AS (
            -- A repetition of a claim that took effect although its answer was lost: while nobody else has claimed
            -- the row, its lease begins anew.
            UPDATE transactions t
            SET due_at = now() + input.lease_ms * interval '1 millisecond'
            FROM input
            WHERE t.id = input.id
                AND t.claim_token = input.token
                AND t.state = 'sending'
            RETURNING t.*
        ),
        held AS (
            SELECT * FROM claimed
            UNION ALL
            SELECT * FROM renewed
        )
        SELECT
            h.id AS "id!", h.store AS "store!", h.operation AS "operation!",
            h.document_number AS "document_number!", h.document_part AS "document_part!", h.order_number,
            h.account AS "account!", h.vendor AS "vendor!", h.generation AS "generation!", h.fence AS "fence!",
            h.external_id AS "external_id!", h.trials AS "trials!", h.claim_token AS "claim_token!",
            h.total_kopecks AS "total_kopecks!", h.accepted_at AS "accepted_at!: jiff_sqlx::Timestamp",
            r.doubt_since IS NOT NULL AS "doubtful!",
            r.wire_body,
            CASE WHEN r.wire_body IS NULL THEN h.body::text END AS body
        FROM held h
        JOIN registrations r ON r.transaction_id = h.id AND r.generation = h.generation
        "#,
            &ids,
            &fences,
            &tokens,
            &leases,
            &worker,
        )
    );

    let mut won = std::collections::HashMap::with_capacity(rows.len());
    for row in rows {
        let token = row.claim_token;
        let (id, fence) = (row.id, row.fence);
        let claimed = Claimed::try_from(ClaimedRow {
            id: row.id,
            store: row.store,
            operation: row.operation,
            document_number: row.document_number,
            document_part: row.document_part,
            order_number: row.order_number,
            account: row.account,
            vendor: row.vendor,
            generation: row.generation,
            fence: row.fence,
            external_id: row.external_id,
            trials: row.trials,
            total_kopecks: row.total_kopecks,
            accepted_at: row.accepted_at,
            doubtful: row.doubtful,
            wire_body: row.wire_body,
            body: row.body,
        });
        match claimed {
            Ok(claimed) => {
                won.insert(token, claimed);
            }
            Err(why) => unreadable::give_up(&hot, id, fence, &why).await?,
        }
    }
    Ok(batch
        .iter()
        .map(|claiming| match won.remove(&claiming.token) {
            Some(claimed) => Claim::Won(Box::new(claimed)),
            None => Claim::Stale,
        })
        .collect())
}
