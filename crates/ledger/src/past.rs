//! What a claimed registration has behind it: asked for only when there is something, so that the ordinary claim does not
//! pay for it.

use std::time::Duration;

use receipt::event::Subject;
use receipt::{AccountName, Doubt, ExternalId, Money, TransactionId, VendorUuid};

use crate::claim::Claimed;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::polled::Polled;
use crate::pool::Ledger;

/// What a claimed registration has behind it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Past {
    /// The doubt, if one stands.
    pub doubt: Option<Doubted>,
    /// The id that this one follows, if the vendor had taken it: asked once more before this one is sent. It may belong
    /// to the transaction that this one corrects.
    pub predecessor: Option<Polled>,
    /// A person has looked, and says that nothing is registered under the ids before this one.
    pub is_released: bool,
    /// How long ago this registration was opened.
    pub age: Duration,
}

/// A doubt that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubted {
    /// How long ago the earliest try began that the vendor may have seen.
    pub age: Duration,
    /// How long the id is known to be recognised, by what the vendor answered to the tries. `None`: no try got an answer
    /// that says so, and the vendor's own time counts from `age` alone.
    pub left: Option<Duration>,
}

impl Doubted {
    /// How long the id may be repeated from now, at a vendor that recognises it for `silent` after a try that ended
    /// without a word. Zero: it must not be sent again.
    #[must_use]
    pub fn left(&self, silent: Duration) -> Duration {
        let since_the_try = silent.saturating_sub(self.age);
        self.left.map_or(since_the_try, |left| left.min(since_the_try))
    }
}

impl Ledger {
    /// What stands behind a claim. Costs a round trip only for a registration that is in doubt or follows another one, be
    /// it of the same transaction or of the one that it corrects.
    ///
    /// # Errors
    /// An outage.
    pub async fn past(&self, claimed: &Claimed) -> Result<Past, LedgerError> {
        let is_first = claimed.generation == 0 && !claimed.external_id.is_numbered();
        if claimed.doubt == Doubt::None && is_first {
            return Ok(Past::default());
        }
        let row = limited!(
            self.pool,
            fetch_one,
            sqlx::query!(
                r#"
            SELECT
                r.doubt_since IS NOT NULL AS "doubtful!",
                -- A claim that ended without a word was noticed when its lease was over, or when somebody looked again.
                -- What the vendor remembers counts from its beginning.
                (extract(epoch FROM now() - least(r.doubt_since, silent.since)) * 1000)::bigint AS doubt_ms,
                (extract(epoch FROM r.doubt_until - now()) * 1000)::bigint AS left_ms,
                (extract(epoch FROM now() - r.created_at) * 1000)::bigint AS "age_ms!",
                EXISTS (
                    SELECT
                    FROM actions a
                    WHERE a.transaction_id = r.transaction_id
                        AND a.action = 'resolve'
                        AND a.details ->> 'next_external_id' = r.external_id
                ) AS "is_released!",
                p.id AS "former?",
                p.account AS "account?",
                p.total_kopecks AS "total_kopecks?",
                p.accepted_at AS "accepted_at?: jiff_sqlx::Timestamp",
                p.generation AS "generation?",
                p.external_id AS "external_id?",
                p.vendor_uuid AS "vendor_uuid?",
                p.polls AS "polls?",
                (extract(epoch FROM now() - p.waiting_since) * 1000)::bigint AS waited_ms
            FROM registrations r
            JOIN transactions t ON t.id = r.transaction_id
            CROSS JOIN LATERAL (
                SELECT min(a.started_at) AS since
                FROM attempts a
                WHERE a.transaction_id = r.transaction_id
                    AND a.generation = r.generation
                    AND a.kind = 'send'
                    AND a.finished_at IS NULL
                    AND a.number <> $3
            ) silent
            LEFT JOIN LATERAL (
                -- The newest id before this one that the vendor had taken, of this transaction or of one that it
                -- corrects.
                SELECT
                    f.id, f.account, f.total_kopecks, f.accepted_at, f.revision,
                    b.generation, b.external_id, b.vendor_uuid, b.polls, b.waiting_since
                FROM transactions f
                JOIN registrations b ON b.transaction_id = f.id
                WHERE f.document_number = t.document_number
                    AND f.store = t.store
                    AND f.operation = t.operation
                    AND f.document_part = t.document_part
                    AND (f.revision, b.generation) < (t.revision, r.generation)
                    AND f.operation IN ('sell', 'refund')
                    AND b.vendor_uuid IS NOT NULL
                UNION ALL
                -- The revisions of a resell's halves count the resells of their document, and follow nothing.
                SELECT
                    t.id, t.account, t.total_kopecks, t.accepted_at, t.revision,
                    b.generation, b.external_id, b.vendor_uuid, b.polls, b.waiting_since
                FROM registrations b
                WHERE t.operation NOT IN ('sell', 'refund')
                    AND b.transaction_id = t.id
                    AND b.generation < r.generation
                    AND b.vendor_uuid IS NOT NULL
                ORDER BY revision DESC, generation DESC
                LIMIT 1
            ) p ON true
            WHERE r.transaction_id = $1
                AND r.generation = $2
            "#,
                claimed.subject.transaction_id.0,
                claimed.generation,
                claimed.attempt,
            )
        );
        let corrupt = |what: String| LedgerError::Corrupt {
            id: claimed.subject.transaction_id.to_string(),
            what,
        };
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let former = row.former.zip(row.account).zip(row.total_kopecks.zip(row.accepted_at));
        let key = row.generation.zip(row.external_id.zip(row.vendor_uuid));
        let predecessor = match (former, key) {
            (Some(((id, account), (total, accepted_at))), Some((generation, (external_id, vendor_uuid)))) => {
                Some(Polled {
                    subject: Subject {
                        transaction_id: TransactionId(id),
                        ..claimed.subject.clone()
                    },
                    account: AccountName::parse(&account).map_err(|error| corrupt(error.to_string()))?,
                    generation,
                    external_id: ExternalId::parse(&external_id).map_err(|error| corrupt(error.to_string()))?,
                    vendor_uuid: VendorUuid::parse(&vendor_uuid).map_err(|error| corrupt(error.to_string()))?,
                    polls: row.polls.and_then(|polls| u32::try_from(polls).ok()).unwrap_or(0),
                    age: row.waited_ms.map(millis).unwrap_or_default(),
                    state: receipt::StateName::Sending,
                    retired: Some(millis(row.age_ms)),
                    trials: claimed.trials,
                    total: Money::from_kopecks(total),
                    accepted_at: accepted_at.to_jiff(),
                })
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        Ok(Past {
            doubt: row.doubtful.then(|| Doubted {
                age: row.doubt_ms.map(millis).unwrap_or_default(),
                left: row.left_ms.map(millis),
            }),
            predecessor,
            is_released: row.is_released,
            age: millis(row.age_ms),
        })
    }
}
