//! Every receipt of a period, for the exports.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use jiff::civil::DateTime;
use receipt::{Failure, Money, Operation, StateName, StoreCode};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::tally::failure;
use super::{Each, Stretch, within, word};
use crate::error::LedgerError;

/// One receipt as an export has it, without anything of the buyer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegisterEntry {
    /// Our id.
    pub id: Uuid,
    /// The store.
    pub store: String,
    /// What is registered.
    pub operation: Operation,
    /// The shop's document.
    pub document: String,
    /// Which receipt of it.
    pub part: String,
    /// The shop's order.
    pub order: Option<String>,
    /// Where it stands.
    pub state: StateName,
    /// Of failed ones: why.
    pub failure: Option<Failure>,
    /// The total.
    pub total: Money,
    /// When kassa's promise began.
    pub accepted_at: Timestamp,
    /// The account at the vendor.
    pub account: String,
    /// The key at the vendor.
    pub external_id: String,
    /// The vendor's own id.
    pub vendor_uuid: Option<String>,
    /// Number of the fiscal drive; text because of leading zeros.
    pub fn_number: Option<String>,
    /// Number of the fiscal document.
    pub fd: Option<i64>,
    /// Fiscal sign.
    pub fpd: Option<String>,
    /// When the register closed the document, in its own local time.
    pub registered_at: Option<DateTime>,
    /// Shift.
    pub shift: Option<i64>,
    /// Number of the receipt in the shift.
    pub receipt_number: Option<i64>,
}

/// Gives every receipt of the slice to `each` as it arrives, oldest first. Nothing is kept of them here.
pub(super) async fn read(
    snapshot: &mut PgConnection,
    store: &StoreCode,
    slice: Stretch,
    each: Each<'_>,
) -> Result<(), LedgerError> {
    let mut rows = sqlx::query!(
        r#"
        SELECT id, store, operation, document_number, document_part, order_number, state, failure, total_kopecks,
            account, external_id, vendor_uuid, fn AS fn_number, fd, fpd,
            accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
            registered_at AS "registered_at: jiff_sqlx::DateTime",
            (fiscal ->> 'shift')::bigint AS shift,
            (fiscal ->> 'receipt_number')::bigint AS receipt_number
        FROM transactions
        WHERE accepted_at >= $1
            AND accepted_at < $2
            AND store = $3
        ORDER BY accepted_at, id
        "#,
        jiff_sqlx::Timestamp::from(slice.from) as _,
        jiff_sqlx::Timestamp::from(slice.until) as _,
        store.as_str(),
    )
    .fetch(snapshot);
    while let Some(row) = within(rows.try_next()).await? {
        each(RegisterEntry {
            operation: word(&row.id, &row.operation)?,
            state: word(&row.id, &row.state)?,
            failure: failure(&row.id, row.failure.as_deref())?,
            id: row.id,
            store: row.store,
            document: row.document_number,
            part: row.document_part,
            order: row.order_number,
            total: Money::from_kopecks(row.total_kopecks),
            accepted_at: row.accepted_at.to_jiff(),
            account: row.account,
            external_id: row.external_id,
            vendor_uuid: row.vendor_uuid,
            fn_number: row.fn_number,
            fd: row.fd,
            fpd: row.fpd,
            registered_at: row.registered_at.map(jiff_sqlx::DateTime::to_jiff),
            shift: row.shift,
            receipt_number: row.receipt_number,
        });
    }
    Ok(())
}
