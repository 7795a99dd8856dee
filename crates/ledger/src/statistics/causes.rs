//! Failures grouped by what caused them.

use std::cmp::Reverse;

use jiff::Timestamp;
use receipt::{Failure, Money, StateName, StoreCode, Text};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::tally::failure;
use super::{Stretch, count, within, word};
use crate::error::LedgerError;

/// One cause and the receipts that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// `failed` or `unknown`.
    pub state: StateName,
    /// Of failed ones: why.
    pub failure: Option<Failure>,
    /// The vendor's error type, or a word for what happened on the way to it.
    pub kind: Option<String>,
    /// The vendor's code.
    pub code: Option<String>,
    /// What happened; absent when no attempt says.
    pub cause: Option<Text>,
    /// What to do.
    pub cure: Option<Text>,
    /// How many receipts.
    pub count: u64,
    /// The sum of their totals.
    pub total: Money,
    /// When the first of them was accepted.
    pub first: Timestamp,
    /// When the last of them was accepted.
    pub last: Timestamp,
    /// The last of them.
    pub example: Uuid,
    /// The shop's document of that one.
    pub example_document: String,
}

impl Cause {
    fn is_the_same_as(&self, other: &Self) -> bool {
        self.state == other.state
            && self.failure == other.failure
            && self.kind == other.kind
            && self.code == other.code
            && self.cause == other.cause
            && self.cure == other.cure
    }
}

/// Causes of several slices, brought together.
#[derive(Default)]
pub(super) struct Causes(Vec<Cause>);

impl Causes {
    /// Those of a later slice.
    pub(super) fn add(&mut self, causes: Vec<Cause>) {
        for cause in causes {
            match self.0.iter_mut().find(|known| known.is_the_same_as(&cause)) {
                Some(known) => {
                    known.count += cause.count;
                    known.total = [known.total, cause.total].into_iter().sum();
                    known.last = cause.last;
                    known.example = cause.example;
                    known.example_document = cause.example_document;
                }
                None => self.0.push(cause),
            }
        }
    }

    /// The most frequent first; of equally frequent ones the older.
    pub(super) fn sorted(mut self) -> Vec<Cause> {
        self.0.sort_by_key(|cause| (Reverse(cause.count), cause.first));
        self.0
    }
}

pub(super) async fn read(
    snapshot: &mut PgConnection,
    store: &StoreCode,
    slice: Stretch,
) -> Result<Vec<Cause>, LedgerError> {
    let rows = within(
        sqlx::query!(
            r#"
            SELECT t.state, t.failure, a.error_type AS "error_type?", a.code AS "code?",
                a.cause_ru AS "cause_ru?", a.cause_en AS "cause_en?", a.cure_ru AS "cure_ru?", a.cure_en AS "cure_en?",
                count(*) AS "count!",
                sum(t.total_kopecks)::bigint AS "total_kopecks!",
                min(t.accepted_at) AS "first!: jiff_sqlx::Timestamp",
                max(t.accepted_at) AS "last!: jiff_sqlx::Timestamp",
                (array_agg(t.id ORDER BY t.accepted_at DESC, t.id DESC))[1] AS "example!",
                (array_agg(t.document_number ORDER BY t.accepted_at DESC, t.id DESC))[1] AS "example_document!"
            FROM transactions t
            LEFT JOIN LATERAL (
                -- The attempt that moved the state, which the fence names; where a person or a dead worker did, the last
                -- that says anything.
                SELECT error_type, code, cause_ru, cause_en, cure_ru, cure_en
                FROM attempts
                WHERE transaction_id = t.id
                    AND cause_ru IS NOT NULL
                ORDER BY (number = t.fence) DESC, number DESC
                LIMIT 1
            ) a ON true
            WHERE t.accepted_at >= $1
                AND t.accepted_at < $2
                AND t.store = $3
                AND t.state IN ('failed', 'unknown')
            GROUP BY t.state, t.failure, a.error_type, a.code, a.cause_ru, a.cause_en, a.cure_ru, a.cure_en
            "#,
            jiff_sqlx::Timestamp::from(slice.from) as _,
            jiff_sqlx::Timestamp::from(slice.until) as _,
            store.as_str(),
        )
        .fetch_all(snapshot),
    )
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Cause {
                state: word(&row.example, &row.state)?,
                failure: failure(&row.example, row.failure.as_deref())?,
                kind: row.error_type,
                code: row.code,
                cause: text(row.cause_ru, row.cause_en),
                cure: text(row.cure_ru, row.cure_en),
                count: count(row.count),
                total: Money::from_kopecks(row.total_kopecks),
                first: row.first.to_jiff(),
                last: row.last.to_jiff(),
                example: row.example,
                example_document: row.example_document,
            })
        })
        .collect()
}

pub(super) fn text(ru: Option<String>, en: Option<String>) -> Option<Text> {
    ru.zip(en).map(|(ru, en)| Text { ru, en })
}
