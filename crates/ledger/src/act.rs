//! What a person does to a transaction: who, why, and to which version of it.

use jiff::Timestamp;
use receipt::event::Subject;
use receipt::{AccountName, Doubt, ExternalId, Failure, Money, StateName, TransactionId, VendorName, VendorUuid};
use serde::Serialize;
use uuid::Uuid;

use crate::claim::subject;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

/// Who acts, and why.
#[derive(Debug, Clone)]
pub struct Actor {
    /// A user of the machine, or a name that one gave.
    pub name: String,
    /// In the person's own words.
    pub reason: Option<String>,
}

/// Where a transaction stands, as a person sees it before acting. An action names it, and does nothing if it has changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Standing {
    /// Id, store, operation and document.
    pub subject: Subject,
    /// The account that was frozen at acceptance.
    pub account: AccountName,
    /// Where it stands.
    pub state: StateName,
    /// Counts every change of the row.
    pub version: i64,
    /// Which registration is live.
    pub generation: i32,
    /// The key of the live registration.
    pub external_id: ExternalId,
    /// The vendor's id of the live registration, if it has one.
    pub vendor_uuid: Option<VendorUuid>,
    /// What the document must add up to.
    pub total: Money,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it was sent last.
    pub sent_at: Option<Timestamp>,
    /// Whether any registration of it may have been registered without our knowing.
    pub doubt: Doubt,
    /// Whether the vendor has, or has registered, any registration of it.
    pub is_at_vendor: bool,
    /// The revision that corrects it, if there is one.
    pub replaced_by: Option<TransactionId>,
    /// That account's vendor.
    pub vendor: VendorName,
    /// Why it failed, if it has.
    pub failure: Option<Failure>,
    /// Whether every registration of it is proven not to be registered.
    pub is_dead: bool,
    /// Of a half of a resell: the transaction that it follows, and where that stands.
    pub parent: Option<(TransactionId, StateName)>,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// It is done: state, event and the action's own row are one commit.
    Done,
    /// The transaction has changed since the person looked. Nothing was done.
    Changed,
}

/// One action, as the history shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ActionRow {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// What: `send`, `resell`, `refresh`, `resolve`, `cancel`, `replay`, `drop`.
    pub action: String,
    /// Where the transaction stood before.
    pub state_before: Option<String>,
    /// And after.
    pub state_after: Option<String>,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// What else belongs to it.
    pub details: serde_json::Value,
}

impl Ledger {
    /// This process itself, when it does what a person could have done.
    #[must_use]
    pub fn machine(&self, reason: &str) -> Actor {
        Actor {
            name: format!("kassa {}", self.worker),
            reason: Some(reason.to_owned()),
        }
    }

    /// Where a transaction stands now; `None` when there is none.
    ///
    /// # Errors
    /// An outage.
    pub async fn standing(&self, id: TransactionId) -> Result<Option<Standing>, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_optional,
            sqlx::query!(
                r#"
            SELECT
                t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number,
                t.account, t.vendor, t.state, t.failure, t.version, t.generation, t.external_id, t.vendor_uuid, t.total_kopecks,
                t.accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                (
                    SELECT max(a.started_at)
                    FROM attempts a
                    WHERE a.transaction_id = t.id AND a.kind = 'send'
                ) AS "sent_at: jiff_sqlx::Timestamp",
                r.is_doubtful AS "is_doubtful!",
                r.is_at_vendor AS "is_at_vendor!",
                r.is_dead AS "is_dead!",
                parent.id AS "parent_id?",
                parent.state AS "parent_state?",
                (
                    SELECT later.id
                    FROM transactions later
                    WHERE later.document_number = t.document_number
                        AND later.store = t.store
                        AND later.operation = t.operation
                        AND later.document_part = t.document_part
                        AND later.revision = t.revision + 1
                        AND later.replaces = t.id
                ) AS replaced_by
            FROM transactions t
            LEFT JOIN transactions parent ON parent.id = t.parent
            CROSS JOIN LATERAL (
                SELECT
                    coalesce(bool_or(r.doubt_since IS NOT NULL), false) AS is_doubtful,
                    coalesce(bool_or(r.state IN ('waiting', 'done')), false) AS is_at_vendor,
                    coalesce(bool_and(r.state = 'dead' AND r.doubt_since IS NULL), false) AS is_dead
                FROM registrations r
                WHERE r.transaction_id = t.id
            ) r
            WHERE t.id = $1
            "#,
                id.0,
            )
        );
        let Some(row) = row else { return Ok(None) };
        let corrupt = |what: String| LedgerError::Corrupt {
            id: id.to_string(),
            what,
        };
        Ok(Some(Standing {
            subject: subject(
                row.id,
                &row.store,
                &row.operation,
                &row.document_number,
                &row.document_part,
                row.order_number.as_deref(),
            )?,
            account: AccountName::parse(&row.account).map_err(|error| corrupt(error.to_string()))?,
            state: row
                .state
                .parse()
                .map_err(|_| corrupt(format!("state {:?}", row.state)))?,
            version: row.version,
            generation: row.generation,
            external_id: ExternalId::parse(&row.external_id).map_err(|error| corrupt(error.to_string()))?,
            vendor_uuid: row
                .vendor_uuid
                .as_deref()
                .map(VendorUuid::parse)
                .transpose()
                .map_err(|error| corrupt(error.to_string()))?,
            total: Money::from_kopecks(row.total_kopecks),
            accepted_at: row.accepted_at.to_jiff(),
            sent_at: row.sent_at.map(jiff_sqlx::Timestamp::to_jiff),
            doubt: if row.is_doubtful { Doubt::Stands } else { Doubt::None },
            is_at_vendor: row.is_at_vendor,
            replaced_by: row.replaced_by.map(TransactionId),
            vendor: VendorName::parse(&row.vendor).map_err(|error| corrupt(error.to_string()))?,
            failure: row
                .failure
                .as_deref()
                .map(|failure| match failure {
                    "rejected" => Ok(Failure::Rejected),
                    "exhausted" => Ok(Failure::Exhausted),
                    other => Err(corrupt(format!("failure {other:?}"))),
                })
                .transpose()?,
            is_dead: row.is_dead,
            parent: match (row.parent_id, row.parent_state) {
                (Some(parent), Some(state)) => Some((
                    TransactionId(parent),
                    state.parse().map_err(|_| corrupt(format!("state {state:?}")))?,
                )),
                (_, _) => None,
            },
        }))
    }

    /// What people did to a transaction, oldest first.
    ///
    /// # Errors
    /// An outage.
    pub async fn actions(&self, id: Uuid) -> Result<Vec<ActionRow>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT actor, action, state_before, state_after, reason, details, time AS "time: jiff_sqlx::Timestamp"
            FROM actions
            WHERE transaction_id = $1
            ORDER BY id
            "#,
                id,
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| ActionRow {
                time: row.time.to_jiff(),
                actor: row.actor,
                action: row.action,
                state_before: row.state_before,
                state_after: row.state_after,
                reason: row.reason,
                details: row.details,
            })
            .collect())
    }
}
