//! A person has a transaction sent: what is held, what waits for its next try, what has certainly failed.
//!
//! What may be done is decided by [`Standing::resending`] and checked again by the statement, which names the version
//! that was seen. A doubt never leaves its id: only what is proven dead goes on under the next one.

use std::time::Duration;

use receipt::event::{Body, EventType};
use receipt::state::Change;
use receipt::{Doubt, EventId, ExternalId, Failure, Operation, StateName, Text, TransactionId};
use serde_json::json;
use uuid::Uuid;

use crate::act::{Acted, Actor, Standing};
use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::resell::{OtherRefund, listed};
use crate::resolve::{acted, moved};
use crate::storable::{Jsonb, storable, to_jsonb};

/// Under which key a person wants it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The one that it has.
    Same,
    /// The next one, if the one that it has is proven dead.
    Next,
}

/// How it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resending {
    /// It was held, and is queued.
    Release,
    /// Under its own key, at once and with all its trials before it.
    Again,
    /// Under the next key, at once and with all its trials before it. The old one is asked about before.
    Rekey {
        /// The next key.
        next: ExternalId,
    },
}

impl Resending {
    /// Where the transaction stands then.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self {
            Self::Release => StateName::Queued,
            Self::Again | Self::Rekey { .. } => StateName::Retrying,
        }
    }
}

/// Why it is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotResendable {
    /// A corrected receipt of the same document has taken its place.
    Replaced(TransactionId),
    /// The new sale of a resell waits for this cancelling receipt.
    AwaitsRefund(TransactionId),
    /// It is about to be sent.
    Queued,
    /// It is being sent.
    Sending,
    /// The vendor has it.
    Waiting,
    /// Its outcome is not known.
    Unknown,
    /// It is registered.
    Done,
    /// A person closed it.
    Cancelled,
    /// The vendor may have seen it: only the same key is safe.
    InDoubt,
    /// No answer proves its key dead: only the same key is safe.
    NotProvenDead,
    /// The vendor refused it under this key and would again.
    Rejected,
    /// The next key would be too long.
    NoNextKey,
    /// It is the cancelling receipt of a resell, and these refund the same sale.
    OtherRefunds(Vec<OtherRefund>),
}

impl NotResendable {
    /// The word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Replaced(_) => "replaced",
            Self::AwaitsRefund(_) => "awaits_refund",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::InDoubt => "in_doubt",
            Self::NotProvenDead => "not_proven_dead",
            Self::Rejected => "rejected",
            Self::NoNextKey => "no_next_key",
            Self::OtherRefunds(_) => "other_refunds",
        }
    }

    /// One sentence that follows the transaction's name.
    #[must_use]
    pub fn text(&self) -> Text {
        match self {
            Self::Replaced(by) => Text::new(
                format!("заменён исправленным чеком, операция {by}."),
                format!("was replaced by a corrected receipt, transaction {by}."),
            ),
            Self::AwaitsRefund(refund) => Text::new(
                format!("уйдёт сам, когда будет пробит отменяющий чек, операция {refund}."),
                format!("goes out by itself once its cancelling receipt is registered, transaction {refund}."),
            ),
            Self::Queued => Text::new("уже в очереди и уйдёт сам.", "is queued and goes out by itself."),
            Self::Sending => Text::new("отправляется прямо сейчас.", "is being sent at this moment."),
            Self::Waiting => Text::new(
                "уже у поставщика: его исход запрашивается сам.",
                "is at the vendor, and its outcome is asked for by itself.",
            ),
            Self::Unknown => Text::new(
                "мог быть пробит: сначала проверьте его у поставщика.",
                "may be registered: look it up at the vendor first.",
            ),
            Self::Done => Text::new("уже пробит.", "is registered already."),
            Self::Cancelled => Text::new("закрыт вручную.", "was closed by a person."),
            Self::InDoubt => Text::new(
                "мог дойти до поставщика: новый ключ пробил бы его второй раз.",
                "may have reached the vendor: the next key could register it twice.",
            ),
            Self::NotProvenDead => Text::new(
                "не отправляется под новым ключом: ни один ответ не доказал, что прежний не пробит.",
                "gets no next key: no answer proves that nothing is registered under the present one.",
            ),
            Self::Rejected => Text::new(
                "отвергнут поставщиком: под тем же ключом ответ будет тем же.",
                "was refused by the vendor, whose answer to the same key would be the same.",
            ),
            Self::NoNextKey => Text::new(
                "исчерпал ключи: следующий был бы слишком длинным.",
                "has no keys left: the next one would be too long.",
            ),
            Self::OtherRefunds(refunds) => {
                let list = listed(refunds);
                Text::new(
                    format!("не отправляется: по тому же документу или заказу есть возвраты: {list}."),
                    format!("is not sent: the same document or order has refunds: {list}."),
                )
            }
        }
    }
}

impl Standing {
    /// How this transaction can be sent by a person.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn resending(&self, key: Key) -> Result<Resending, NotResendable> {
        if let Some(by) = self.replaced_by {
            return Err(NotResendable::Replaced(by));
        }
        match self.state {
            StateName::Held => match (self.subject.operation, self.parent) {
                (Operation::ResellSell, Some((refund, state))) if state != StateName::Done => {
                    Err(NotResendable::AwaitsRefund(refund))
                }
                (Operation::Sell | Operation::Refund | Operation::ResellRefund | Operation::ResellSell, _) => match key
                {
                    Key::Same => Ok(Resending::Release),
                    Key::Next => Err(NotResendable::NotProvenDead),
                },
            },
            StateName::Retrying => match (key, self.doubt) {
                (Key::Same, Doubt::None | Doubt::Stands) => Ok(Resending::Again),
                (Key::Next, Doubt::Stands) => Err(NotResendable::InDoubt),
                (Key::Next, Doubt::None) => Err(NotResendable::NotProvenDead),
            },
            StateName::Failed => self.resending_failed(key),
            StateName::Queued => Err(NotResendable::Queued),
            StateName::Sending => Err(NotResendable::Sending),
            StateName::Waiting => Err(NotResendable::Waiting),
            StateName::Unknown => Err(NotResendable::Unknown),
            StateName::Done => Err(NotResendable::Done),
            StateName::Cancelled => Err(NotResendable::Cancelled),
        }
    }

    fn resending_failed(&self, key: Key) -> Result<Resending, NotResendable> {
        if self.doubt == Doubt::Stands {
            return Err(NotResendable::InDoubt);
        }
        if !self.is_dead {
            return Err(NotResendable::NotProvenDead);
        }
        match (key, self.failure) {
            (Key::Same, Some(Failure::Exhausted)) => Ok(Resending::Again),
            (Key::Same, Some(Failure::Rejected) | None) => Err(NotResendable::Rejected),
            (Key::Next, _) => match self.external_id.next_generation() {
                Ok(next) => Ok(Resending::Rekey { next }),
                Err(_) => Err(NotResendable::NoNextKey),
            },
        }
    }
}

impl Ledger {
    /// How a transaction can be sent by a person, as [`Standing::resending`] says, and whether another refund stands in
    /// the way of the cancelling receipt of a resell that has failed.
    ///
    /// # Errors
    /// An outage. Inside: why it cannot be sent.
    pub async fn resending(&self, seen: &Standing, key: Key) -> Result<Result<Resending, NotResendable>, LedgerError> {
        let how = seen.resending(key);
        if how.is_ok() && seen.subject.operation == Operation::ResellRefund && seen.state == StateName::Failed {
            let others = self.other_refunds(&seen.subject).await?;
            if !others.is_empty() {
                return Ok(Err(NotResendable::OtherRefunds(others)));
            }
        }
        Ok(how)
    }

    /// Has a transaction sent, if it still is as `seen`. Between two sends of one key at least `quiet_time` passes
    /// (`sender.quiet_time`).
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when the state takes no such change, [`LedgerError::ExternalIdTaken`] when the next key
    /// belongs to another document; an outage otherwise.
    pub async fn resend(
        &self,
        seen: &Standing,
        how: &Resending,
        quiet_time: Duration,
        actor: &Actor,
    ) -> Result<Acted, LedgerError> {
        match how {
            Resending::Release => self.release(seen, actor).await,
            Resending::Again => self.send_again(seen, quiet_time, actor).await,
            Resending::Rekey { next } => self.send_under(seen, next, actor).await,
        }
    }

    async fn release(&self, seen: &Standing, actor: &Actor) -> Result<Acted, LedgerError> {
        let id = seen.subject.transaction_id;
        let after = moved(seen, Change::Released)?;
        let body = Body::new(seen.subject.clone(), seen.external_id.clone(), after);
        let done = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH moved AS (
                UPDATE transactions t
                SET state = 'queued',
                    due_at = now(),
                    version = t.version + 1,
                    updated_at = now()
                WHERE t.id = $1
                    AND t.version = $2
                    AND t.state = 'held'
                    AND (
                        t.operation <> 'resell_sell'
                        OR EXISTS (SELECT FROM transactions p WHERE p.id = t.parent AND p.state = 'done')
                    )
                RETURNING t.id, t.store, t.version
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $3, $4, store, id, $5::jsonb || jsonb_build_object('version', version)
                FROM moved
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $6, $7, 'send', id, 'held', 'queued', $8, $9
                FROM moved
            )
            SELECT id FROM moved
            "#,
                id.0,
                seen.version,
                EventId::new().0,
                EventType::Accepted.name(),
                to_jsonb(id, &body)? as Jsonb,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                json!({ "external_id": seen.external_id }),
            )
        );
        Ok(acted(done))
    }

    async fn send_again(&self, seen: &Standing, quiet_time: Duration, actor: &Actor) -> Result<Acted, LedgerError> {
        let id = seen.subject.transaction_id;
        let after = moved(seen, Change::SentAgain)?;
        let body =
            Body::new(seen.subject.clone(), seen.external_id.clone(), after).with_vendor_uuid(seen.vendor_uuid.clone());
        let done = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH moved AS (
                UPDATE transactions t
                SET state = 'retrying',
                    failure = NULL,
                    due_at = greatest(
                        now(),
                        (
                            SELECT max(a.finished_at)
                            FROM attempts a
                            WHERE a.transaction_id = t.id
                                AND a.generation = t.generation
                                AND a.kind = 'send'
                        ) + $4::bigint * interval '1 millisecond'
                    ),
                    claim_token = NULL,
                    unfinished = 0,
                    trials = 0,
                    version = t.version + 1,
                    updated_at = now()
                WHERE t.id = $1
                    AND t.version = $2
                    AND t.state = $3
                    AND (
                        t.state = 'retrying'
                        OR t.failure = 'exhausted'
                        AND NOT EXISTS (
                            SELECT
                            FROM registrations r
                            WHERE r.transaction_id = t.id
                                AND (r.doubt_since IS NOT NULL OR r.state <> 'dead')
                        )
                    )
                    AND (
                        t.operation <> 'resell_refund'
                        OR t.state = 'retrying'
                        OR NOT EXISTS (
                            SELECT
                            FROM transactions other
                            WHERE other.document_number = t.document_number
                                AND other.store = t.store
                                AND other.operation = 'refund'
                                AND other.state NOT IN ('failed', 'cancelled')
                                AND coalesce(other.order_number = t.order_number, true)
                        )
                        AND NOT EXISTS (
                            SELECT
                            FROM transactions other
                            WHERE other.order_number = t.order_number
                                AND other.order_number IS NOT NULL
                                AND other.store = t.store
                                AND other.operation = 'refund'
                                AND other.state NOT IN ('failed', 'cancelled')
                        )
                    )
                RETURNING t.id, t.store, t.generation, t.version
            ),
            reopened AS (
                UPDATE registrations r
                SET state = 'open'
                FROM moved
                WHERE r.transaction_id = moved.id
                    AND r.generation = moved.generation
                    AND r.state = 'dead'
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
                SELECT $8, $9, 'send', id, $3, 'retrying', $10, $11
                FROM moved
            )
            SELECT id FROM moved
            "#,
                id.0,
                seen.version,
                seen.state.name(),
                millis(quiet_time),
                EventId::new().0,
                EventType::Retrying.name(),
                to_jsonb(id, &body)? as Jsonb,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                json!({ "external_id": seen.external_id }),
            )
        );
        Ok(acted(done))
    }

    async fn send_under(&self, seen: &Standing, next: &ExternalId, actor: &Actor) -> Result<Acted, LedgerError> {
        let id = seen.subject.transaction_id;
        let after = moved(seen, Change::SentAgain)?;
        let body = Body::new(seen.subject.clone(), next.clone(), after);
        let done = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH moved AS (
                UPDATE transactions t
                SET state = 'retrying',
                    failure = NULL,
                    due_at = now(),
                    claim_token = NULL,
                    unfinished = 0,
                    trials = 0,
                    generation = t.generation + 1,
                    external_id = $3,
                    vendor_uuid = NULL,
                    version = t.version + 1,
                    updated_at = now()
                WHERE t.id = $1
                    AND t.version = $2
                    AND t.state = 'failed'
                    AND NOT EXISTS (
                        SELECT
                        FROM registrations r
                        WHERE r.transaction_id = t.id
                            AND (r.doubt_since IS NOT NULL OR r.state <> 'dead')
                    )
                    AND (
                        t.operation <> 'resell_refund'
                        OR NOT EXISTS (
                            SELECT
                            FROM transactions other
                            WHERE other.document_number = t.document_number
                                AND other.store = t.store
                                AND other.operation = 'refund'
                                AND other.state NOT IN ('failed', 'cancelled')
                                AND coalesce(other.order_number = t.order_number, true)
                        )
                        AND NOT EXISTS (
                            SELECT
                            FROM transactions other
                            WHERE other.order_number = t.order_number
                                AND other.order_number IS NOT NULL
                                AND other.store = t.store
                                AND other.operation = 'refund'
                                AND other.state NOT IN ('failed', 'cancelled')
                        )
                    )
                RETURNING t.id, t.store, t.account, t.generation, t.external_id, t.version
            ),
            retired AS (
                -- What the vendor had taken is asked about once more, even after the sender's own question.
                UPDATE registrations r
                SET next_poll_at = now() + interval '10 minutes'
                FROM moved
                WHERE r.transaction_id = moved.id
                    AND r.generation = moved.generation - 1
                    AND r.vendor_uuid IS NOT NULL
            ),
            next_registration AS (
                INSERT INTO registrations (transaction_id, generation, account, external_id)
                SELECT id, generation, account, external_id
                FROM moved
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT $4, $5, store, id, $6::jsonb || jsonb_build_object('version', version)
                FROM moved
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $7, $8, 'send', id, 'failed', 'retrying', $9, $10
                FROM moved
            )
            SELECT id FROM moved
            "#,
                id.0,
                seen.version,
                next.as_str(),
                EventId::new().0,
                EventType::Retrying.name(),
                to_jsonb(id, &body)? as Jsonb,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                json!({ "external_id": seen.external_id, "next_external_id": next }),
            )
        );
        Ok(acted(done))
    }
}
