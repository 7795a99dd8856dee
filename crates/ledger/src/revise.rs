//! Revisions: a document whose receipt has certainly failed may be offered again with a corrected content.
//!
//! The former transaction stays as it is; the corrected receipt is a row of its own under the next external id. While
//! anything of the document may be registered, or may still come to be, another content is a conflict.

use receipt::event::{Body, EventType, Subject};
use receipt::policy::RETIRED_CHECKS;
use receipt::{EventId, ExternalId, Receipt, StateName, TransactionId};
use sqlx::types::Json;
use uuid::Uuid;

use crate::accept::{Acceptance, NewTransaction};
use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

/// How often the statement is repeated when another process revises the same document at the same moment.
const RACES: usize = 5;

/// What accepting a request would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WouldAccept {
    /// Its document is not known.
    New,
    /// It would be the next revision of its document.
    Revision {
        /// The failed or cancelled transaction that it would correct.
        replaces: TransactionId,
    },
    /// Its content is known.
    Known(TransactionId),
    /// Its document is known with another content.
    Conflict {
        /// The transaction that holds the document.
        id: TransactionId,
        /// Where it stands.
        state: StateName,
    },
}

impl Ledger {
    /// What accepting a request would come to now. Nothing is changed, so another process may change the answer.
    ///
    /// # Errors
    /// An outage.
    pub async fn would_accept(&self, subject: &Subject, request_hash: &[u8; 32]) -> Result<WouldAccept, LedgerError> {
        let revisions = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT t.id, t.state, (t.request_hash = $5) AS "is_equal!",
                (
                    SELECT coalesce(bool_and(r.state = 'dead' AND r.doubt_since IS NULL), false)
                    FROM registrations r
                    WHERE r.transaction_id = t.id
                ) AS "is_dead!"
            FROM transactions t
            WHERE t.document_number = $1
                AND t.store = $2
                AND t.operation = $3
                AND t.document_part = $4
            ORDER BY t.revision DESC
            "#,
                subject.document.as_str(),
                subject.store.as_str(),
                subject.operation.name(),
                subject.part.as_str(),
                &request_hash[..],
            )
        );
        if let Some(equal) = revisions.iter().find(|revision| revision.is_equal) {
            return Ok(WouldAccept::Known(TransactionId(equal.id)));
        }
        let Some(newest) = revisions.first() else {
            return Ok(WouldAccept::New);
        };
        let state: StateName = newest.state.parse().map_err(|error| corrupt(newest.id, &error))?;
        let id = TransactionId(newest.id);
        Ok(match state {
            StateName::Failed | StateName::Cancelled if revisions.iter().all(|revision| revision.is_dead) => {
                WouldAccept::Revision { replaces: id }
            }
            StateName::Failed
            | StateName::Cancelled
            | StateName::Held
            | StateName::Queued
            | StateName::Sending
            | StateName::Waiting
            | StateName::Retrying
            | StateName::Done
            | StateName::Unknown => WouldAccept::Conflict { id, state },
        })
    }

    /// Accepts another content of a known document as its next revision, if every registration of it is proven dead.
    ///
    /// A content that any revision of the document had is not revived: it is known, and its answer is the transaction
    /// that had it. A revision is never claimed at once, because its request has to be rendered with its own external id.
    pub(crate) async fn revise(&self, new: &NewTransaction) -> Result<Acceptance, LedgerError> {
        for _ in 0..RACES {
            if let Some(acceptance) = self.revise_once(new).await? {
                return Ok(acceptance);
            }
        }
        Err(LedgerError::Corrupt {
            id: new.subject.transaction_id.to_string(),
            what: "its document can neither be revised nor found".to_owned(),
        })
    }

    /// `None` when another process was quicker: the next look finds what it did.
    #[expect(
        clippy::too_many_lines,
        reason = "one statement and its parameters, read from top to bottom"
    )]
    async fn revise_once(&self, new: &NewTransaction) -> Result<Option<Acceptance>, LedgerError> {
        let subject = &new.subject;
        let body = Json(Body::new(subject.clone(), new.external_id.clone(), new.first_state()));
        let row = limited!(
            self.pool,
            fetch_optional,
            sqlx::query!(
                r#"
            WITH family AS (
                -- Whoever changes what is known about a transaction holds its row, in the order of ids.
                SELECT id, state, request_hash, fence, revision
                FROM transactions
                WHERE document_number = $1
                    AND store = $2
                    AND operation = $3
                    AND document_part = $4
                ORDER BY id
                FOR NO KEY UPDATE
            ),
            newest AS (
                SELECT * FROM family ORDER BY revision DESC LIMIT 1
            ),
            equal AS (
                SELECT * FROM family WHERE request_hash = $5 ORDER BY revision DESC LIMIT 1
            ),
            evidence AS (
                -- Locked, so that what somebody is writing about them at this moment is seen.
                SELECT r.state, r.doubt_since, r.external_id
                FROM registrations r
                JOIN family ON family.id = r.transaction_id
                ORDER BY r.transaction_id, r.generation
                FOR UPDATE OF r
            ),
            proof AS (
                SELECT
                    coalesce(bool_and(state = 'dead' AND doubt_since IS NULL), false) AS is_dead,
                    max(coalesce(substring(external_id FROM '__([0-9]{1,8})$')::integer, 0)) AS highest
                FROM evidence
            ),
            revised AS (
                INSERT INTO transactions (
                    id, store, account, vendor, operation, document_number, document_part, order_number,
                    request_hash, body, total_kopecks, external_id, state, due_at, revision, replaces
                )
                SELECT
                    $6, $2, $7, $8, $3, $1, $4, $9, $5, $10, $11, $12 || '__' || (proof.highest + 1), $16,
                    CASE WHEN $16 = 'queued' THEN now() END,
                    newest.revision + 1, newest.id
                FROM newest, proof
                WHERE newest.state IN ('failed', 'cancelled')
                    AND proof.is_dead
                    AND NOT EXISTS (SELECT FROM equal)
                ON CONFLICT (document_number, store, operation, document_part, revision) DO NOTHING
                RETURNING id, store, account, external_id, replaces
            ),
            corrected AS (
                -- Its content is not the document's any more: an action that saw it before has seen another one.
                UPDATE transactions t
                SET version = t.version + 1
                FROM revised
                WHERE t.id = revised.replaces
            ),
            registered AS (
                INSERT INTO registrations (transaction_id, generation, account, external_id)
                SELECT id, 0, account, external_id
                FROM revised
            ),
            watched AS (
                -- The vendor's word for their death was believed; the ids are asked about again, as after a re-key.
                UPDATE registrations r
                SET next_poll_at = now() + $17::bigint * interval '1 millisecond',
                    store = $2
                FROM family
                WHERE r.transaction_id = family.id
                    AND r.vendor_uuid IS NOT NULL
                    AND r.next_poll_at IS NULL
                    AND EXISTS (SELECT FROM revised)
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $13, $14, store, id,
                    $15::jsonb || jsonb_build_object('external_id', external_id, 'replaces', replaces, 'version', 0)
                FROM revised
            )
            SELECT
                newest.id AS "newest_id!",
                newest.state AS "newest_state!",
                (newest.state IN ('failed', 'cancelled') AND proof.is_dead) AS "may_be_revised!",
                equal.id AS "equal_id?",
                equal.state AS "equal_state?",
                equal.fence AS "equal_fence?",
                revised.external_id AS "external_id?",
                revised.replaces AS "replaces?"
            FROM newest
            CROSS JOIN proof
            LEFT JOIN equal ON true
            LEFT JOIN revised ON true
            "#,
                subject.document.as_str(),
                subject.store.as_str(),
                subject.operation.name(),
                subject.part.as_str(),
                &new.request_hash[..],
                subject.transaction_id.0,
                new.account.as_str(),
                new.vendor.as_str(),
                subject.order.as_ref().map(receipt::OrderNumber::as_str),
                Json(&new.receipt) as Json<&Receipt>,
                new.receipt.total.kopecks(),
                new.external_id.as_str(),
                EventId::new().0,
                EventType::Accepted.name(),
                body as Json<Body>,
                new.first_state().name(),
                millis(RETIRED_CHECKS[0]),
            )
        );
        let Some(row) = row else { return Ok(None) };
        if let (Some(external_id), Some(replaces)) = (row.external_id, row.replaces) {
            return Ok(Some(Acceptance::Revised {
                id: subject.transaction_id,
                external_id: ExternalId::parse(&external_id).map_err(|error| corrupt(row.newest_id, &error))?,
                replaces: TransactionId(replaces),
                state: new.first_state(),
            }));
        }
        if let (Some(id), Some(state), Some(fence)) = (row.equal_id, row.equal_state, row.equal_fence) {
            return Ok(Some(Acceptance::Known {
                id: TransactionId(id),
                state: state.parse().map_err(|error| corrupt(id, &error))?,
                fence,
            }));
        }
        if row.may_be_revised {
            return Ok(None);
        }
        Ok(Some(Acceptance::Conflict {
            id: TransactionId(row.newest_id),
            state: row
                .newest_state
                .parse()
                .map_err(|error| corrupt(row.newest_id, &error))?,
        }))
    }
}

fn corrupt(id: Uuid, error: &impl std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt {
        id: id.to_string(),
        what: error.to_string(),
    }
}
