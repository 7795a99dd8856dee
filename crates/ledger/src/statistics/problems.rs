//! Receipts that need a person.

use jiff::Timestamp;
use receipt::{Failure, Money, Operation, StateName, StoreCode, Text};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::causes::text;
use super::tally::failure;
use super::{Stretch, count, within, word};
use crate::error::LedgerError;

/// One receipt that needs a person. Identifiers are as they are stored: a row that does not hold together is here too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
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
    /// The key at the vendor.
    pub external_id: String,
    /// `failed`, `unknown`, or `waiting` for what is overdue.
    pub state: StateName,
    /// Of failed ones: why.
    pub failure: Option<Failure>,
    /// The total.
    pub total: Money,
    /// When kassa's promise began.
    pub accepted_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Of the deciding attempt: the vendor's error type.
    pub kind: Option<String>,
    /// The vendor's code.
    pub code: Option<String>,
    /// What happened.
    pub cause: Option<Text>,
    /// What to do.
    pub cure: Option<Text>,
}

/// At most `room` of them, and how many there are.
pub(super) async fn read(
    snapshot: &mut PgConnection,
    store: &StoreCode,
    slice: Stretch,
    room: usize,
) -> Result<(Vec<Problem>, u64), LedgerError> {
    let rows = within(
        sqlx::query!(
            r#"
            SELECT t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number, t.external_id,
                t.state, t.failure, t.total_kopecks,
                t.accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                t.updated_at AS "updated_at: jiff_sqlx::Timestamp",
                t.in_all AS "in_all!",
                a.error_type AS "error_type?", a.code AS "code?",
                a.cause_ru AS "cause_ru?", a.cause_en AS "cause_en?", a.cure_ru AS "cure_ru?", a.cure_en AS "cure_en?"
            FROM (
                SELECT t.*, count(*) OVER () AS in_all
                FROM transactions t
                WHERE t.accepted_at >= $1
                    AND t.accepted_at < $2
                    AND t.store = $3
                    AND (
                        t.state IN ('failed', 'unknown')
                        -- No EXISTS, which the planner may answer from the whole table of registrations.
                        OR t.state = 'waiting' AND (
                            SELECT r.overdue_told_at
                            FROM registrations r
                            WHERE r.transaction_id = t.id
                                AND r.generation = t.generation
                        ) IS NOT NULL
                    )
                ORDER BY t.accepted_at, t.id
                LIMIT $4
            ) t
            LEFT JOIN LATERAL (
                SELECT error_type, code, cause_ru, cause_en, cure_ru, cure_en
                FROM attempts
                WHERE transaction_id = t.id
                    AND cause_ru IS NOT NULL
                ORDER BY (number = t.fence) DESC, number DESC
                LIMIT 1
            ) a ON true
            ORDER BY t.accepted_at, t.id
            "#,
            jiff_sqlx::Timestamp::from(slice.from) as _,
            jiff_sqlx::Timestamp::from(slice.until) as _,
            store.as_str(),
            // One at least, for their number stands beside it.
            i64::try_from(room).unwrap_or(i64::MAX).max(1),
        )
        .fetch_all(snapshot),
    )
    .await?;
    let in_all = rows.first().map_or(0, |row| count(row.in_all));
    let problems = rows
        .into_iter()
        .take(room)
        .map(|row| {
            Ok(Problem {
                operation: word(&row.id, &row.operation)?,
                state: word(&row.id, &row.state)?,
                failure: failure(&row.id, row.failure.as_deref())?,
                id: row.id,
                store: row.store,
                document: row.document_number,
                part: row.document_part,
                order: row.order_number,
                external_id: row.external_id,
                total: Money::from_kopecks(row.total_kopecks),
                accepted_at: row.accepted_at.to_jiff(),
                updated_at: row.updated_at.to_jiff(),
                kind: row.error_type,
                code: row.code,
                cause: text(row.cause_ru, row.cause_en),
                cure: text(row.cure_ru, row.cure_en),
            })
        })
        .collect::<Result<_, LedgerError>>()?;
    Ok((problems, in_all))
}
