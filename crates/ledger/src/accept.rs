//! Acceptance: where kassa's promise starts.

use std::sync::Arc;

use jiff::Timestamp;
use receipt::event::{Body, EventType, Subject};
use receipt::intake::Prepared;
use receipt::settings::Sending;
use receipt::{AccountName, Doubt, EventId, ExternalId, OrderNumber, Receipt, StateName, TransactionId, VendorName};
use sqlx::types::Json;
use uuid::Uuid;

use crate::claim::{Claimed, Lease};
use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::pool::Ledger;

/// A receipt to be accepted.
#[derive(Debug, Clone)]
pub struct NewTransaction {
    /// Id, store, operation and document.
    pub subject: Subject,
    /// The account that will register it, whatever the configuration says later.
    pub account: AccountName,
    /// That account's vendor.
    pub vendor: VendorName,
    /// SHA-256 of the canonical request before store defaults.
    pub request_hash: [u8; 32],
    /// The frozen content.
    pub receipt: Receipt,
    /// The key of the first registration.
    pub external_id: ExternalId,
    /// Whether this process sends it at once.
    pub first: First,
}

impl NewTransaction {
    /// What was prepared, to be accepted: held, whatever `first` says, if its store sends by hand.
    #[must_use]
    pub fn of(prepared: Prepared, first: First) -> Self {
        Self {
            subject: prepared.subject,
            account: prepared.account,
            vendor: prepared.vendor,
            request_hash: prepared.request_hash,
            receipt: prepared.receipt,
            external_id: prepared.external_id,
            first: match prepared.sending {
                Sending::Automatic => first,
                Sending::ByHand => First::Hold,
            },
        }
    }
}

impl NewTransaction {
    /// Where it stands once it is accepted and before anybody has claimed it.
    pub(crate) const fn first_state(&self) -> StateName {
        match self.first {
            First::Queue | First::Claim { .. } => StateName::Queued,
            First::Hold => StateName::Held,
        }
    }
}

/// What follows acceptance.
#[derive(Debug, Clone)]
pub enum First {
    /// Somebody will claim it.
    Queue,
    /// A person will send it.
    Hold,
    /// This process has a free slot: the transaction is accepted and claimed in one commit.
    Claim {
        /// The rendered request.
        wire_body: String,
        /// How long the claim holds.
        lease: Lease,
    },
}

/// What became of a receipt that was offered.
#[derive(Debug, Clone)]
pub enum Acceptance {
    /// Accepted now, and queued.
    Queued(TransactionId),
    /// Accepted now, and held until a person sends it.
    Held(TransactionId),
    /// Accepted now, and claimed by this process.
    Claimed(Box<Claimed>),
    /// Accepted now as the next revision of a document whose receipt has certainly failed, and queued or held.
    Revised {
        /// The new transaction.
        id: TransactionId,
        /// Its key at the vendor: the next one of the document.
        external_id: ExternalId,
        /// The failed or cancelled transaction that it corrects.
        replaces: TransactionId,
        /// `queued` or `held`.
        state: StateName,
    },
    /// The same request was accepted before; nothing changed.
    Known {
        /// The transaction.
        id: TransactionId,
        /// Where it stands.
        state: StateName,
        /// Its fence, for a pointer.
        fence: i32,
    },
    /// The document is known with another content; nothing changed.
    Conflict {
        /// The transaction that holds the document.
        id: TransactionId,
        /// Where it stands.
        state: StateName,
    },
}

impl Ledger {
    /// Accepts a receipt once. May be repeated with the same value until it succeeds.
    ///
    /// # Errors
    /// [`LedgerError::ExternalIdTaken`] when another document of the account has that key; an outage otherwise.
    pub async fn accept(&self, new: impl Into<Arc<NewTransaction>>) -> Result<Acceptance, LedgerError> {
        let new = new.into();
        match self.accepts.call(Arc::clone(&new)).await? {
            Acceptance::Conflict { .. } => self.revise(&new).await,
            settled @ (Acceptance::Queued(_)
            | Acceptance::Held(_)
            | Acceptance::Claimed(_)
            | Acceptance::Revised { .. }
            | Acceptance::Known { .. }) => Ok(settled),
        }
    }
}

impl Ledger {
    /// The transaction that holds exactly this request, if it was accepted before. For requests that would be refused
    /// today: a VAT rate may have ended, a default may have gone, and the receipt is registered all the same.
    ///
    /// # Errors
    /// An outage.
    pub async fn accepted_before(
        &self,
        subject: &Subject,
        request_hash: &[u8; 32],
    ) -> Result<Option<TransactionId>, LedgerError> {
        let id = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            SELECT id
            FROM transactions
            WHERE document_number = $1
                AND store = $2
                AND operation = $3
                AND document_part = $4
                AND request_hash = $5
            "#,
                subject.document.as_str(),
                subject.store.as_str(),
                subject.operation.name(),
                subject.part.as_str(),
                &request_hash[..],
            )
        );
        Ok(id.map(TransactionId))
    }
}

/// One row of what the accepting statement answers.
struct Answered {
    is_ours: bool,
    is_claimed: bool,
    known_id: Option<Uuid>,
    known_state: Option<String>,
    known_hash: Option<Vec<u8>>,
    known_fence: Option<i32>,
}

pub(crate) async fn accept_batch(
    hot: Hot,
    worker: Arc<str>,
    batch: Arc<[Arc<NewTransaction>]>,
) -> Result<Vec<Acceptance>, LedgerError> {
    let mut acceptances: Vec<Option<Acceptance>> = vec![None; batch.len()];
    // A neighbour of this batch, or another process, may be inserting the same document at this moment. Its row is
    // not visible to the statement that met it, but it is to the next one.
    for _ in 0..5 {
        let open: Vec<usize> = (0..batch.len()).filter(|&index| acceptances[index].is_none()).collect();
        if open.is_empty() {
            break;
        }
        for (index, answered) in insert(&hot, &worker, &batch, &open).await? {
            acceptances[index] = acceptance(&batch[index], &answered)?;
        }
    }
    acceptances
        .into_iter()
        .zip(batch.iter())
        .map(|(acceptance, new)| {
            acceptance.ok_or_else(|| LedgerError::Corrupt {
                id: new.subject.transaction_id.to_string(),
                what: "its document can neither be inserted nor found".to_owned(),
            })
        })
        .collect()
}

fn acceptance(new: &NewTransaction, answered: &Answered) -> Result<Option<Acceptance>, LedgerError> {
    let ours = new.subject.transaction_id;
    let settled = || match &new.first {
        First::Queue => Acceptance::Queued(ours),
        First::Hold => Acceptance::Held(ours),
        First::Claim { wire_body, .. } => Acceptance::Claimed(Box::new(Claimed {
            subject: new.subject.clone(),
            account: new.account.clone(),
            vendor: new.vendor.clone(),
            generation: 0,
            attempt: 1,
            external_id: new.external_id.clone(),
            doubt: Doubt::None,
            trials: 0,
            total: new.receipt.total,
            // By this process's clock and not the database's: minutes between them do not matter here.
            accepted_at: Timestamp::now(),
            receipt: None,
            wire_body: Some(wire_body.clone()),
        })),
    };
    if answered.is_ours {
        // Behind a closed gate it is accepted all the same, and waits.
        return Ok(Some(match &new.first {
            First::Claim { .. } if !answered.is_claimed => Acceptance::Queued(ours),
            First::Queue | First::Hold | First::Claim { .. } => settled(),
        }));
    }
    let (Some(id), Some(state), Some(hash), Some(fence)) = (
        answered.known_id,
        answered.known_state.as_deref(),
        answered.known_hash.as_deref(),
        answered.known_fence,
    ) else {
        return Ok(None);
    };
    let id = TransactionId(id);
    // Our own id: the commit of an earlier try took effect although its answer was lost. A claim that came with it and
    // was not renewed belongs to somebody else by now.
    if id == ours && matches!(new.first, First::Queue | First::Hold) {
        return Ok(Some(settled()));
    }
    let state: StateName = state.parse().map_err(|_| LedgerError::Corrupt {
        id: id.to_string(),
        what: format!("state {state:?}"),
    })?;
    Ok(Some(if hash == new.request_hash {
        Acceptance::Known { id, state, fence }
    } else {
        Acceptance::Conflict { id, state }
    }))
}

#[expect(
    clippy::too_many_lines,
    reason = "one statement and its parameters, read from top to bottom"
)]
async fn insert(
    hot: &Hot,
    worker: &str,
    batch: &[Arc<NewTransaction>],
    open: &[usize],
) -> Result<Vec<(usize, Answered)>, LedgerError> {
    // Two batches that insert the same documents in different orders would wait for each other.
    let mut order: Vec<usize> = open.to_vec();
    order.sort_by(|&a, &b| {
        let key = |index: usize| {
            let subject = &batch[index].subject;
            (
                subject.document.as_str(),
                subject.store.as_str(),
                subject.operation.name(),
                subject.part.as_str(),
            )
        };
        key(a).cmp(&key(b))
    });
    let rows = || order.iter().map(|&index| &*batch[index]);
    let texts = |text: fn(&NewTransaction) -> &str| rows().map(text).collect::<Vec<_>>();

    let ids: Vec<Uuid> = rows().map(|new| new.subject.transaction_id.0).collect();
    let orders: Vec<Option<&str>> = rows()
        .map(|new| new.subject.order.as_ref().map(OrderNumber::as_str))
        .collect();
    let hashes: Vec<&[u8]> = rows().map(|new| &new.request_hash[..]).collect();
    let bodies: Vec<Json<&Receipt>> = rows().map(|new| Json(&new.receipt)).collect();
    let totals: Vec<i64> = rows().map(|new| new.receipt.total.kopecks()).collect();
    let wire_bodies: Vec<Option<&str>> = rows()
        .map(|new| match &new.first {
            First::Queue | First::Hold => None,
            First::Claim { wire_body, .. } => Some(wire_body.as_str()),
        })
        .collect();
    let leases: Vec<Option<i64>> = rows()
        .map(|new| match &new.first {
            First::Queue | First::Hold => None,
            First::Claim { lease, .. } => Some(lease.until_claimable_ms()),
        })
        .collect();
    let holds: Vec<bool> = rows().map(|new| new.first_state() == StateName::Held).collect();
    let event_ids: Vec<Uuid> = rows().map(|_| EventId::new().0).collect();
    let event_bodies: Vec<Json<Body>> = rows()
        .map(|new| {
            Json(Body::new(
                new.subject.clone(),
                new.external_id.clone(),
                new.first_state(),
            ))
        })
        .collect();

    let answers = limited!(
        hot,
        fetch_all,
        sqlx::query!(
            r#"
        WITH input AS (
            SELECT
                input.*,
                input.account <> ALL (ARRAY(SELECT account FROM gates WHERE NOT is_open)) AS gate_is_open
            FROM unnest(
                $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::bytea[], $10::jsonb[], $11::bigint[], $12::text[], $13::text[], $14::bigint[],
                $15::uuid[], $16::jsonb[], $19::boolean[]
            ) WITH ORDINALITY AS input (
                id, store, account, vendor, operation, document_number, document_part, order_number,
                request_hash, body, total_kopecks, external_id, wire_body, lease_ms,
                event_id, event_body, is_held, place
            )
        ),
        inserted AS (
            INSERT INTO transactions (
                id, store, account, vendor, operation, document_number, document_part, order_number,
                request_hash, body, total_kopecks, external_id,
                state, fence, last_attempt, claim_token, due_at
            )
            SELECT
                id, store, account, vendor, operation, document_number, document_part, order_number,
                request_hash, body, total_kopecks, external_id,
                CASE WHEN is_held THEN 'held' WHEN is_claimed THEN 'sending' ELSE 'queued' END,
                CASE WHEN is_claimed THEN 1 ELSE 0 END,
                CASE WHEN is_claimed THEN 1 ELSE 0 END,
                CASE WHEN is_claimed THEN id END,
                CASE
                    WHEN NOT is_held
                    THEN now() + CASE WHEN is_claimed THEN lease_ms ELSE 0 END * interval '1 millisecond'
                END
            FROM (SELECT *, lease_ms IS NOT NULL AND gate_is_open AS is_claimed FROM input) input
            ORDER BY place
            ON CONFLICT (document_number, store, operation, document_part, revision) DO NOTHING
            RETURNING id, state, version
        ),
        renewed AS (
            -- A repetition of an acceptance that took effect although its answer was lost: while nobody else has
            -- claimed the row, its lease begins anew.
            UPDATE transactions t
            SET due_at = now() + input.lease_ms * interval '1 millisecond'
            FROM input
            -- What was inserted just now is no repetition, and is not looked for.
            LEFT JOIN inserted ON inserted.id = input.id
            WHERE inserted.id IS NULL
                AND t.id = input.id
                AND t.claim_token = input.id
                AND t.state = 'sending'
                AND input.lease_ms IS NOT NULL
            RETURNING t.id
        ),
        registered AS (
            INSERT INTO registrations (transaction_id, generation, account, external_id, wire_body, rendered_at)
            SELECT id, 0, account, external_id, wire_body, CASE WHEN wire_body IS NULL THEN NULL ELSE now() END
            FROM input
            JOIN inserted USING (id)
        ),
        attempted AS (
            INSERT INTO attempts (transaction_id, number, generation, kind, worker)
            SELECT id, 1, 0, 'send', $17
            FROM input
            JOIN inserted USING (id)
            WHERE inserted.state = 'sending'
        ),
        told AS (
            INSERT INTO events (id, type, store, transaction_id, body)
            SELECT event_id, $18, store, id, event_body || jsonb_build_object('version', version)
            FROM input
            JOIN inserted USING (id)
        )
        SELECT
            input.place AS "place!",
            coalesce(inserted.id, renewed.id) IS NOT NULL AS "is_ours!",
            (renewed.id IS NOT NULL OR coalesce(inserted.state = 'sending', false)) AS "is_claimed!",
            known.id AS "known_id?",
            known.state AS "known_state?",
            known.request_hash AS "known_hash?",
            known.fence AS "known_fence?"
        FROM input
        LEFT JOIN inserted ON inserted.id = input.id
        LEFT JOIN renewed ON renewed.id = input.id
        LEFT JOIN LATERAL (
            SELECT id, state, request_hash, fence
            FROM transactions
            -- What was inserted is no repetition: nearly all are, and a look-up costs each of them.
            WHERE inserted.id IS NULL
                AND document_number = input.document_number
                AND store = input.store
                AND operation = input.operation
                AND document_part = input.document_part
            ORDER BY revision DESC
            LIMIT 1
        ) known ON true
        "#,
            &ids,
            &texts(|new| new.subject.store.as_str()) as _,
            &texts(|new| new.account.as_str()) as _,
            &texts(|new| new.vendor.as_str()) as _,
            &texts(|new| new.subject.operation.name()) as _,
            &texts(|new| new.subject.document.as_str()) as _,
            &texts(|new| new.subject.part.as_str()) as _,
            &orders as _,
            &hashes as _,
            &bodies as _,
            &totals,
            &texts(|new| new.external_id.as_str()) as _,
            &wire_bodies as _,
            &leases as _,
            &event_ids,
            &event_bodies as _,
            worker,
            EventType::Accepted.name(),
            &holds,
        )
    );

    answers
        .into_iter()
        .map(|row| {
            let place = usize::try_from(row.place).ok().and_then(|place| place.checked_sub(1));
            let index = place
                .and_then(|place| order.get(place))
                .copied()
                .ok_or_else(|| LedgerError::Corrupt {
                    id: String::from("-"),
                    what: "an answer for a row that was not asked about".to_owned(),
                })?;
            Ok((
                index,
                Answered {
                    is_ours: row.is_ours,
                    is_claimed: row.is_claimed,
                    known_id: row.known_id,
                    known_state: row.known_state,
                    known_hash: row.known_hash,
                    known_fence: row.known_fence,
                },
            ))
        })
        .collect()
}
