//! Resell: a registered sale is cancelled by a receipt of its own, and registered anew.
//!
//! Both halves are rows from the start, with their keys, and repeat what was registered: the cancelling receipt (child of
//! the sale) is queued, the new sale (child of the cancelling receipt) is held. The statement that records the cancelling
//! receipt as done releases the new sale, whoever brings the document; so nobody has to remember a second step, and a
//! crash between two steps leaves nothing undone. Both carry the fiscal sign of the receipt that they mend (tag 1192; FNS
//! letter ED-4-20/15240 of 2018-08-06).
//!
//! The revision of a half counts the resells of its document from 0.

use std::time::Duration;

use receipt::event::{Body, EventType, Subject};
use receipt::{
    DocumentNumber, DocumentPart, EventId, ExternalId, Operation, StateName, StoreCode, Text, TransactionId,
};
use serde_json::json;
use uuid::Uuid;

use crate::act::{Acted, Actor, Standing};
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::resend::{Key, NotResendable, Resending};
use crate::storable::{Jsonb, storable, to_jsonb};

/// The newest registered sale of a document, and what became of reselling it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Chain {
    /// The sale: the document's own, or the new sale of its last resell.
    pub sale: Standing,
    /// The cancelling receipt of its resell, if it was begun and not closed.
    pub refund: Option<Standing>,
    /// The new sale of that resell.
    pub sell: Option<Standing>,
    /// Refunds of the document or of its order that are open or done.
    pub other_refunds: Vec<OtherRefund>,
    /// How many resells the document has had, closed ones included.
    pub resells: u32,
}

/// A refund that stands in the way of a resell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRefund {
    /// The transaction.
    pub id: TransactionId,
    /// Its key.
    pub external_id: String,
    /// Where it stands.
    pub state: StateName,
}

/// One of the two receipts of a resell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The cancelling receipt.
    Refund,
    /// The new sale.
    Sell,
}

/// What can be done about a resell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reselling {
    /// It can begin.
    Start {
        /// The key of the cancelling receipt.
        refund: ExternalId,
        /// The key of the new sale.
        sell: ExternalId,
    },
    /// It has stopped at this half, which can be sent again.
    Resume(Half, Resending),
    /// It goes on by itself, and is at this half.
    UnderWay(Half),
    /// Both halves are registered. Another resell is one of the new sale.
    Ended,
}

/// Why nothing can be done about a resell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotResellable {
    /// Refunds of the same sale are open or done.
    OtherRefunds(Vec<OtherRefund>),
    /// It has stopped at this half, which cannot be sent as it was asked for.
    Stopped(Half, NotResendable),
    /// The sale was cancelled, and a person closed the new one.
    Closed,
    /// The keys of the halves would be too long.
    NoKey,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resold {
    /// It has begun: both rows, their events and the action are one commit.
    Started {
        /// The cancelling receipt.
        refund: TransactionId,
        /// The new sale.
        sell: TransactionId,
    },
    /// This half is sent again.
    Resumed(TransactionId),
    /// It is under way, and nothing was done.
    UnderWay(TransactionId),
    /// It has ended, and nothing was done.
    Ended,
    /// Something has changed since it was looked at. Nothing was done; look again.
    Changed,
}

impl Chain {
    /// What can be done about reselling this sale. `key` says under which key a half that has failed is sent again.
    ///
    /// # Errors
    /// Why nothing can be done.
    pub fn reselling(&self, key: Key) -> Result<Reselling, NotResellable> {
        let Some(refund) = &self.refund else {
            return self.start();
        };
        let (half, standing) = match (refund.state, &self.sell) {
            (StateName::Done, Some(sell)) => (Half::Sell, sell),
            (
                StateName::Done
                | StateName::Held
                | StateName::Queued
                | StateName::Sending
                | StateName::Waiting
                | StateName::Retrying
                | StateName::Unknown
                | StateName::Failed
                | StateName::Cancelled,
                _,
            ) => (Half::Refund, refund),
        };
        match standing.state {
            StateName::Queued | StateName::Sending | StateName::Waiting | StateName::Retrying => {
                Ok(Reselling::UnderWay(half))
            }
            StateName::Cancelled => Err(NotResellable::Closed),
            StateName::Done if half == Half::Sell => Ok(Reselling::Ended),
            StateName::Held | StateName::Unknown | StateName::Failed | StateName::Done => {
                let how = standing
                    .resending(key)
                    .map_err(|why| NotResellable::Stopped(half, why))?;
                // The statement refuses it too: what another receipt refunds is not cancelled once more.
                if half == Half::Refund && !self.other_refunds.is_empty() {
                    return Err(NotResellable::OtherRefunds(self.other_refunds.clone()));
                }
                Ok(Reselling::Resume(half, how))
            }
        }
    }

    fn start(&self) -> Result<Reselling, NotResellable> {
        if !self.other_refunds.is_empty() {
            return Err(NotResellable::OtherRefunds(self.other_refunds.clone()));
        }
        let Subject {
            store, document, part, ..
        } = &self.sale.subject;
        let key = |operation| {
            ExternalId::of_resell(operation, store, document, part, self.resells.saturating_add(1))
                .map_err(|_| NotResellable::NoKey)
        };
        Ok(Reselling::Start {
            refund: key(Operation::ResellRefund)?,
            sell: key(Operation::ResellSell)?,
        })
    }

    /// The receipt of a half, once the resell has begun.
    #[must_use]
    pub const fn half(&self, half: Half) -> Option<&Standing> {
        match half {
            Half::Refund => self.refund.as_ref(),
            Half::Sell => self.sell.as_ref(),
        }
    }
}

impl NotResellable {
    /// The word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherRefunds(_) => "other_refunds",
            Self::Stopped(_, why) => why.code(),
            Self::Closed => "closed",
            Self::NoKey => "no_key",
        }
    }

    /// One sentence that follows the document's name.
    #[must_use]
    pub fn text(&self) -> Text {
        match self {
            Self::OtherRefunds(refunds) => {
                let list = listed(refunds);
                Text::new(
                    format!("нельзя перепробить: по тому же документу или заказу есть возвраты: {list}."),
                    format!("cannot be resold: the same document or order has refunds: {list}."),
                )
            }
            Self::Stopped(half, why) => {
                let Text { ru, en } = why.text();
                let (half_ru, half_en) = match half {
                    Half::Refund => ("его отменяющий чек", "its cancelling receipt"),
                    Half::Sell => ("его новый чек", "its new sale"),
                };
                Text::new(
                    format!("не перепробит до конца: {half_ru} {ru}"),
                    format!("is not resold yet: {half_en} {en}"),
                )
            }
            Self::Closed => Text::new(
                "отменён, а его новый чек закрыт вручную: отправьте новый документ под другим номером.",
                "is cancelled, and its new sale was closed by a person: send a new document under another number.",
            ),
            Self::NoKey => Text::new(
                "нельзя перепробить: ключ был бы длиннее 64 знаков.",
                "cannot be resold: the key would be longer than 64 characters.",
            ),
        }
    }
}

impl Ledger {
    /// The newest registered sale of a document and its resell; `None` when no sale of it is registered.
    ///
    /// # Errors
    /// An outage.
    pub async fn chain(
        &self,
        store: &StoreCode,
        document: &DocumentNumber,
        part: &DocumentPart,
    ) -> Result<Option<Chain>, LedgerError> {
        let sale = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            SELECT id
            FROM transactions
            WHERE document_number = $1
                AND store = $2
                AND operation IN ('sell', 'resell_sell')
                AND document_part = $3
                AND state = 'done'
            ORDER BY operation = 'resell_sell' DESC, revision DESC
            LIMIT 1
            "#,
                document.as_str(),
                store.as_str(),
                part.as_str(),
            )
        );
        match sale {
            Some(sale) => self.chain_of(TransactionId(sale)).await,
            None => Ok(None),
        }
    }

    /// The same of one sale, be it the newest or not; `None` when there is no such transaction.
    ///
    /// # Errors
    /// An outage.
    pub async fn chain_of(&self, sale: TransactionId) -> Result<Option<Chain>, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_optional,
            sqlx::query!(
                r#"
            SELECT
                refund.id AS "refund_id?",
                sell.id AS "sell_id?",
                (
                    SELECT count(*)
                    FROM transactions former
                    WHERE former.document_number = sale.document_number
                        AND former.store = sale.store
                        AND former.operation = 'resell_refund'
                        AND former.document_part = sale.document_part
                ) AS "resells!"
            FROM transactions sale
            LEFT JOIN transactions refund
                ON refund.parent = sale.id
                AND refund.parent IS NOT NULL
                AND refund.state <> 'cancelled'
            LEFT JOIN transactions sell
                ON sell.document_number = sale.document_number
                AND sell.store = sale.store
                AND sell.operation = 'resell_sell'
                AND sell.document_part = sale.document_part
                AND sell.parent = refund.id
            WHERE sale.id = $1
            "#,
                sale.0,
            )
        );
        let Some(row) = row else { return Ok(None) };
        let Some(sale) = self.standing(sale).await? else {
            return Ok(None);
        };
        let half = async |id: Option<Uuid>| match id {
            Some(id) => self.standing(TransactionId(id)).await,
            None => Ok(None),
        };
        let other_refunds = self.other_refunds(&sale.subject).await?;
        Ok(Some(Chain {
            sale,
            refund: half(row.refund_id).await?,
            sell: half(row.sell_id).await?,
            other_refunds,
            resells: u32::try_from(row.resells).unwrap_or(u32::MAX),
        }))
    }

    /// The resell that a transaction has to do with, and its sale: a sale's own, be it the newest or not; of a half that
    /// is no registered sale yet, the one that it is a half of. `None` of a refund.
    ///
    /// # Errors
    /// An outage.
    pub async fn resell_of(&self, named: &Standing) -> Result<Option<Chain>, LedgerError> {
        let sale = match (named.subject.operation, named.state, named.parent) {
            (Operation::Refund, _, _) => None,
            (Operation::Sell, _, _) | (Operation::ResellSell, StateName::Done, _) => Some(named.subject.transaction_id),
            (Operation::ResellRefund, _, parent) => parent.map(|(sale, _)| sale),
            (Operation::ResellSell, _, Some((refund, _))) => {
                let refund = self.standing(refund).await?;
                refund.and_then(|refund| refund.parent).map(|(sale, _)| sale)
            }
            (Operation::ResellSell, _, None) => None,
        };
        match sale {
            Some(sale) => self.chain_of(sale).await,
            None => Ok(None),
        }
    }

    /// Refunds of the document, or of its order, that are open or done. A refund of another order that happens to have
    /// the document's number is none.
    pub(crate) async fn other_refunds(&self, sale: &Subject) -> Result<Vec<OtherRefund>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT id AS "id!", external_id AS "external_id!", state AS "state!"
            FROM (
                SELECT id, external_id, state
                FROM transactions
                WHERE document_number = $1
                    AND store = $2
                    AND operation = 'refund'
                    AND coalesce(order_number = $3, true)
                UNION
                SELECT id, external_id, state
                FROM transactions
                WHERE order_number = $3
                    AND order_number IS NOT NULL
                    AND store = $2
                    AND operation = 'refund'
            ) refunds
            WHERE state NOT IN ('failed', 'cancelled')
            ORDER BY id
            "#,
                sale.document.as_str(),
                sale.store.as_str(),
                sale.order.as_ref().map(receipt::OrderNumber::as_str),
            )
        );
        rows.into_iter()
            .map(|row| {
                Ok(OtherRefund {
                    id: TransactionId(row.id),
                    external_id: row.external_id,
                    state: row.state.parse().map_err(|_| LedgerError::Corrupt {
                        id: row.id.to_string(),
                        what: format!("state {:?}", row.state),
                    })?,
                })
            })
            .collect()
    }

    /// Begins a resell, or has a half that stopped sent again, if everything still is as it was seen. Of several who
    /// begin the same one, one does. `quiet_time` is `sender.quiet_time`.
    ///
    /// # Errors
    /// [`LedgerError::ExternalIdTaken`] when a key belongs to another document; an outage otherwise.
    pub async fn resell(
        &self,
        seen: &Chain,
        how: &Reselling,
        quiet_time: Duration,
        actor: &Actor,
    ) -> Result<Resold, LedgerError> {
        match how {
            Reselling::Start { refund, sell } => self.start_resell(&seen.sale, seen.resells, refund, sell, actor).await,
            Reselling::Ended => Ok(Resold::Ended),
            Reselling::UnderWay(half) => Ok(match seen.half(*half) {
                Some(standing) => Resold::UnderWay(standing.subject.transaction_id),
                None => Resold::Changed,
            }),
            Reselling::Resume(half, how) => {
                let Some(standing) = seen.half(*half) else {
                    return Ok(Resold::Changed);
                };
                Ok(match self.resend(standing, how, quiet_time, actor).await? {
                    Acted::Done => Resold::Resumed(standing.subject.transaction_id),
                    Acted::Changed => Resold::Changed,
                })
            }
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one statement and its parameters, read from top to bottom"
    )]
    async fn start_resell(
        &self,
        sale: &Standing,
        resells: u32,
        refund_key: &ExternalId,
        sell_key: &ExternalId,
        actor: &Actor,
    ) -> Result<Resold, LedgerError> {
        let id = sale.subject.transaction_id;
        // In this order, so that the rows are locked in the order of their ids.
        let refund = Subject {
            transaction_id: TransactionId::new(),
            operation: Operation::ResellRefund,
            ..sale.subject.clone()
        };
        let sell = Subject {
            transaction_id: TransactionId::new(),
            operation: Operation::ResellSell,
            ..sale.subject.clone()
        };
        let (refund_id, sell_id) = (refund.transaction_id, sell.transaction_id);
        let refund_body = Body::new(refund, refund_key.clone(), StateName::Queued).with_parent(id);
        let sell_body = Body::new(sell, sell_key.clone(), StateName::Held).with_parent(refund_id);
        let done = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            WITH sale AS (
                -- Whoever else begins at this moment has seen the version before.
                UPDATE transactions t
                SET version = t.version + 1
                WHERE t.id = $1
                    AND t.version = $2
                    AND t.state = 'done'
                    AND t.operation IN ('sell', 'resell_sell')
                    AND NOT EXISTS (
                        SELECT
                        FROM transactions live
                        WHERE live.parent = t.id
                            AND live.parent IS NOT NULL
                            AND live.state <> 'cancelled'
                    )
                    AND NOT EXISTS (
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
                RETURNING t.*
            ),
            halves AS (
                SELECT *
                FROM (VALUES
                    ($3::uuid, 'resell_refund', $1::uuid, $4::text, 'queued', $5::uuid, $6::jsonb),
                    ($7::uuid, 'resell_sell', $3::uuid, $8::text, 'held', $9::uuid, $10::jsonb)
                ) AS half (id, operation, parent, external_id, state, event_id, event_body)
            ),
            inserted AS (
                INSERT INTO transactions (
                    id, store, account, vendor, operation, document_number, document_part, order_number, revision,
                    request_hash, body, total_kopecks, state, external_id, due_at, parent
                )
                SELECT
                    half.id, sale.store, sale.account, sale.vendor, half.operation, sale.document_number,
                    sale.document_part, sale.order_number, $11, sale.request_hash,
                    sale.body || jsonb_build_object('check_property', sale.fpd), sale.total_kopecks, half.state,
                    half.external_id, CASE half.state WHEN 'queued' THEN now() END, half.parent
                FROM sale
                CROSS JOIN halves half
            ),
            registered AS (
                INSERT INTO registrations (transaction_id, generation, account, external_id)
                SELECT half.id, 0, sale.account, half.external_id
                FROM sale
                CROSS JOIN halves half
            ),
            told AS (
                INSERT INTO events (id, type, store, transaction_id, body)
                SELECT half.event_id, $12, sale.store, half.id, half.event_body || jsonb_build_object('version', 0)
                FROM sale
                CROSS JOIN halves half
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $13, $14, 'resell', id, 'done', 'done', $15, $16
                FROM sale
            )
            SELECT id FROM sale
            "#,
                id.0,
                sale.version,
                refund_id.0,
                refund_key.as_str(),
                EventId::new().0,
                to_jsonb(id, &refund_body)? as Jsonb,
                sell_id.0,
                sell_key.as_str(),
                EventId::new().0,
                to_jsonb(id, &sell_body)? as Jsonb,
                i32::try_from(resells).unwrap_or(i32::MAX),
                EventType::Accepted.name(),
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                json!({ "refund": refund_id, "sell": sell_id }),
            )
        );
        Ok(match done {
            Some(_) => Resold::Started {
                refund: refund_id,
                sell: sell_id,
            },
            None => Resold::Changed,
        })
    }
}

/// Refunds for people to read.
pub(crate) fn listed(refunds: &[OtherRefund]) -> String {
    let list: Vec<String> = refunds
        .iter()
        .map(|refund| format!("{} ({}, {})", refund.external_id, refund.id, refund.state))
        .collect();
    list.join(", ")
}

/// The new sale of the resell whose cancelling receipt is `refund`, under that one's id: a statement that knows the
/// sale's own puts it in its place.
pub(crate) fn sell_of(refund: &Subject) -> Subject {
    Subject {
        operation: Operation::ResellSell,
        ..refund.clone()
    }
}

/// What is told when the cancelling receipt `refund` is registered and its new sale goes out; id and key of the sale are
/// put in by the statement that knows them.
pub(crate) fn released_body(refund: &Subject, key: &ExternalId) -> Body {
    Body::new(sell_of(refund), key.clone(), StateName::Queued).with_parent(refund.transaction_id)
}
