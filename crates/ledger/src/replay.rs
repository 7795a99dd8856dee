//! Dead letters accepted after all: by a person, or by themselves once their store is configured.
//!
//! A replay goes the way of a message: judged, accepted once, and then marked. Whoever dies in between leaves a letter
//! whose replay finds the transaction again.

use std::time::Duration;

use jiff::civil::Date;
use receipt::intake::{Directory, Prepared};
use receipt::{EventId, ExternalId, TransactionId, VendorName};
use uuid::Uuid;

use crate::accept::{Acceptance, First, NewTransaction};
use crate::act::Actor;
use crate::claim::millis;
use crate::dead_letters::{Rejection, told};
use crate::error::LedgerError;
use crate::judge::{Judged, Request};
use crate::letters::{DeadLetter, DeadLetterRow};
use crate::limit::limited;
use crate::pool::Ledger;
use crate::revise::WouldAccept;
use crate::storable::{storable, storable_json};

/// What became of a letter.
#[derive(Debug, Clone)]
pub enum Replayed {
    /// Accepted now.
    Accepted {
        /// The transaction.
        id: TransactionId,
        /// Its key at the vendor.
        external_id: ExternalId,
        /// Its vendor, for a pointer; its fence is 0.
        vendor: VendorName,
    },
    /// Its content was accepted before, by this letter or another way.
    Known(TransactionId),
    /// It still cannot be accepted.
    Refused(Box<StillRefused>),
}

/// Why a letter was refused again.
#[derive(Debug, Clone)]
pub struct StillRefused {
    /// The word for filters.
    pub code: String,
    /// The problem document.
    pub problem: serde_json::Value,
}

impl StillRefused {
    fn of(rejection: Rejection) -> Self {
        Self {
            code: rejection.code,
            problem: rejection.problem,
        }
    }
}

/// What a replay would come to.
#[derive(Debug, Clone)]
pub enum WouldReplay {
    /// It would be accepted.
    Accept,
    /// It would be accepted as the next revision of a document whose receipt has certainly failed.
    Revise {
        /// The failed or cancelled transaction.
        replaces: TransactionId,
    },
    /// Its content is known.
    Known(TransactionId),
    /// It still cannot be accepted.
    Refused(Box<StillRefused>),
}

impl Ledger {
    /// Offers a letter again, with its own body or a `corrected` one, and marks it if it is accepted. May be repeated: a
    /// letter that was replayed answers with its transaction.
    ///
    /// Refused again with its own body it keeps the new reason, and the shop is told if that is another one.
    ///
    /// # Errors
    /// An outage.
    pub async fn replay(
        &self,
        directory: &Directory,
        letter: &DeadLetter,
        corrected: Option<&[u8]>,
        today: Date,
        actor: &Actor,
    ) -> Result<Replayed, LedgerError> {
        if let Some(id) = letter.transaction_id.filter(|_| letter.replayed_at.is_some()) {
            return Ok(Replayed::Known(TransactionId(id)));
        }
        let request = request(letter, corrected, today);
        let replayed = match self.judge(directory, request).await? {
            Judged::Acceptable(prepared) => self.offer_again(*prepared).await?,
            Judged::Known(id) => Ok(Replayed::Known(id)),
            Judged::Refused(why) => Err(Box::new(Rejection::of(&why))),
        };
        match replayed {
            Ok(replayed) => {
                if let Replayed::Accepted { id, .. } | Replayed::Known(id) = &replayed {
                    self.mark_replayed(letter, *id, corrected.is_some(), actor).await?;
                }
                Ok(replayed)
            }
            Err(rejection) => {
                if corrected.is_none() {
                    self.keep_with(letter, &rejection).await?;
                }
                Ok(Replayed::Refused(Box::new(StillRefused::of(*rejection))))
            }
        }
    }

    /// What a replay would come to. Nothing is changed; another process may be quicker than the replay that follows.
    ///
    /// # Errors
    /// An outage.
    pub async fn would_replay(
        &self,
        directory: &Directory,
        letter: &DeadLetter,
        corrected: Option<&[u8]>,
        today: Date,
    ) -> Result<WouldReplay, LedgerError> {
        if let Some(id) = letter.transaction_id.filter(|_| letter.replayed_at.is_some()) {
            return Ok(WouldReplay::Known(TransactionId(id)));
        }
        Ok(match self.judge(directory, request(letter, corrected, today)).await? {
            Judged::Known(id) => WouldReplay::Known(id),
            Judged::Refused(why) => WouldReplay::Refused(Box::new(StillRefused::of(Rejection::of(&why)))),
            Judged::Acceptable(prepared) => {
                let subject = prepared.subject.clone();
                match self.would_accept(&subject, &prepared.request_hash).await? {
                    WouldAccept::New => WouldReplay::Accept,
                    WouldAccept::Revision { replaces } => WouldReplay::Revise { replaces },
                    WouldAccept::Known(id) => WouldReplay::Known(id),
                    WouldAccept::Conflict { id, state } => {
                        WouldReplay::Refused(Box::new(StillRefused::of(Rejection::conflict(subject, id, state))))
                    }
                }
            }
        })
    }

    async fn offer_again(&self, prepared: Prepared) -> Result<Result<Replayed, Box<Rejection>>, LedgerError> {
        let subject = prepared.subject.clone();
        let (vendor, first_id) = (prepared.vendor.clone(), prepared.external_id.clone());
        let accepted = |id, external_id| {
            Ok(Replayed::Accepted {
                id,
                external_id,
                vendor: vendor.clone(),
            })
        };
        Ok(match self.accept(NewTransaction::of(prepared, First::Queue)).await {
            Ok(Acceptance::Queued(id) | Acceptance::Held(id)) => accepted(id, first_id),
            Ok(Acceptance::Claimed(claimed)) => accepted(claimed.subject.transaction_id, claimed.external_id.clone()),
            Ok(Acceptance::Revised { id, external_id, .. }) => accepted(id, external_id),
            Ok(Acceptance::Known { id, .. }) => Ok(Replayed::Known(id)),
            Ok(Acceptance::Conflict { id, state }) => Err(Box::new(Rejection::conflict(subject, id, state))),
            Err(LedgerError::ExternalIdTaken) => Err(Box::new(Rejection::key_taken(subject))),
            Err(error @ (LedgerError::Unavailable(_) | LedgerError::Closed)) => return Err(error),
            Err(LedgerError::Data { .. } | LedgerError::Corrupt { .. }) => Err(Box::new(Rejection::not_storable())),
        })
    }

    async fn mark_replayed(
        &self,
        letter: &DeadLetter,
        id: TransactionId,
        corrected: bool,
        actor: &Actor,
    ) -> Result<(), LedgerError> {
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH marked AS (
                UPDATE dead_letters
                SET replayed_at = now(),
                    transaction_id = $2
                WHERE id = $1
                    AND replayed_at IS NULL
                RETURNING id, reason_code
            )
            INSERT INTO actions (id, actor, action, dead_letter_id, transaction_id, reason, details)
            SELECT $3, $4, 'replay', id, $2, $5, jsonb_build_object('reason_code', reason_code, 'corrected', $6::boolean)
            FROM marked
            "#,
                letter.id,
                id.0,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                corrected,
            )
        );
        Ok(())
    }

    /// The letter with its new reason. When the reason is another one the shop is told, for it waits for the old one's
    /// end. A letter of the same message with that reason may be there already; then this one keeps its fingerprint.
    async fn keep_with(&self, letter: &DeadLetter, rejection: &Rejection) -> Result<(), LedgerError> {
        let told = told(rejection, &letter.routing_key, letter.message_id.as_deref());
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH refused AS (
                UPDATE dead_letters d
                SET reason_code = $2,
                    reason = $3,
                    fingerprint = CASE
                        WHEN EXISTS (
                            SELECT
                            FROM dead_letters other
                            WHERE other.id <> d.id
                                AND other.fingerprint =
                                    sha256(convert_to(d.routing_key || E'\n' || $2 || E'\n', 'UTF8') || d.body)
                        ) THEN d.fingerprint
                        ELSE sha256(convert_to(d.routing_key || E'\n' || $2 || E'\n', 'UTF8') || d.body)
                    END
                WHERE d.id = $1
                    AND d.replayed_at IS NULL
                    AND (d.reason_code, d.reason) IS DISTINCT FROM ($2, $3::jsonb)
                RETURNING d.message_id, d.reason_code
            )
            INSERT INTO events (id, type, store, correlation_id, body, transaction_id)
            SELECT $4, $5, $6, refused.message_id, $7::jsonb || coalesce(holder.names, '{}'), holder.id
            FROM refused
            LEFT JOIN (
                SELECT id, jsonb_build_object('external_id', external_id, 'vendor_uuid', vendor_uuid) AS names
                FROM transactions
                WHERE id = $8
            ) holder ON true
            "#,
                letter.id,
                storable(&rejection.code),
                storable_json(rejection.problem.clone()),
                EventId::new().0,
                rejection.event.name(),
                told.store,
                told.body,
                told.holder.map(|id| id.0),
            )
        );
        Ok(())
    }

    /// Takes letters that were refused only because their store, or its account, was not configured, and whose store is
    /// one of `stores` now; oldest first. Another process may take them again after `hold`; replaying twice does no
    /// harm.
    ///
    /// # Errors
    /// An outage.
    pub async fn take_letters_for(
        &self,
        stores: &[String],
        limit: i64,
        hold: Duration,
    ) -> Result<Vec<DeadLetter>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query_as!(
                DeadLetterRow,
                r#"
            WITH picked AS (
                SELECT id
                FROM dead_letters
                WHERE replayed_at IS NULL
                    AND reason_code IN ('unknown_store', 'unknown_account')
                    AND routing_key = ANY($1)
                    AND replay_after <= now()
                ORDER BY first_seen, id
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            UPDATE dead_letters d
            SET replay_after = now() + $3::bigint * interval '1 millisecond'
            FROM picked
            WHERE d.id = picked.id
            RETURNING d.id, d.origin, d.exchange, d.routing_key, d.message_id, d.body, d.headers, d.reason_code,
                d.reason, d.times, d.transaction_id,
                d.first_seen AS "first_seen: jiff_sqlx::Timestamp",
                d.last_seen AS "last_seen: jiff_sqlx::Timestamp",
                d.replayed_at AS "replayed_at: jiff_sqlx::Timestamp"
            "#,
                stores,
                limit,
                millis(hold),
            )
        );
        let mut letters: Vec<DeadLetter> = rows.into_iter().map(DeadLetter::from).collect();
        // An UPDATE answers in any order; receipts are better accepted in the order in which they were published.
        letters.sort_by_key(|letter| (letter.first_seen, letter.id));
        Ok(letters)
    }
}

/// The letter as a request. A corrected body is a person's own request: its type is known, and where it names a store
/// the routing key, which may have been the mistake, has no say.
fn request<'a>(letter: &'a DeadLetter, corrected: Option<&'a [u8]>, today: Date) -> Request<'a> {
    let names_a_store =
        |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|body| body.get("store").is_some());
    match corrected {
        Some(body) => Request {
            body,
            message_type: None,
            routing_key: (!names_a_store(body)).then_some(letter.routing_key.as_str()),
            today,
        },
        None => Request {
            body: &letter.body,
            message_type: letter.message_type(),
            routing_key: Some(&letter.routing_key),
            today,
        },
    }
}
