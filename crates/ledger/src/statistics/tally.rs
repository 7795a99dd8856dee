//! Counts and sums.

use std::collections::BTreeMap;

use jiff::Timestamp;
use receipt::{Failure, Money, Operation, StateName, StoreCode};
use serde::Serialize;
use sqlx::PgConnection;

use super::{Stretch, count, within, word};
use crate::error::LedgerError;

/// The receipts of one operation that stand at one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// What is registered.
    pub operation: Operation,
    /// Where they stand.
    pub state: StateName,
    /// Of failed ones: why.
    pub failure: Option<Failure>,
    /// How many.
    pub count: u64,
    /// The sum of their totals.
    pub total: Money,
}

impl Tally {
    /// Whether there may be a problem among them: what waits may be overdue.
    pub(super) const fn may_need_a_person(&self) -> bool {
        match self.state {
            StateName::Waiting | StateName::Unknown | StateName::Failed => true,
            StateName::Held
            | StateName::Queued
            | StateName::Sending
            | StateName::Retrying
            | StateName::Done
            | StateName::Cancelled => false,
        }
    }
}

/// What is on its way at this moment: neither registered nor closed, and not for a person to look into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Open {
    /// How many.
    pub count: u64,
    /// The sum of their totals.
    pub total: Money,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

/// Tallies of several slices, added up.
#[derive(Default)]
pub(super) struct Tallies(BTreeMap<(Operation, StateName, Option<&'static str>), Tally>);

impl Tallies {
    pub(super) fn add(&mut self, tallies: Vec<Tally>) {
        for tally in tallies {
            let key = (tally.operation, tally.state, tally.failure.map(Failure::name));
            self.0
                .entry(key)
                .and_modify(|sum| {
                    sum.count += tally.count;
                    sum.total = [sum.total, tally.total].into_iter().sum();
                })
                .or_insert(tally);
        }
    }

    /// By operation, and by state in the order of a receipt's life.
    pub(super) fn sorted(self) -> Vec<Tally> {
        self.0.into_values().collect()
    }
}

pub(super) async fn read(
    snapshot: &mut PgConnection,
    store: &StoreCode,
    slice: Stretch,
) -> Result<Vec<Tally>, LedgerError> {
    let rows = within(
        sqlx::query!(
            r#"
            SELECT operation, state, failure, count(*) AS "count!", sum(total_kopecks)::bigint AS "total_kopecks!"
            FROM transactions
            WHERE accepted_at >= $1
                AND accepted_at < $2
                AND store = $3
            GROUP BY operation, state, failure
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
            Ok(Tally {
                operation: word(store, &row.operation)?,
                state: word(store, &row.state)?,
                failure: failure(store, row.failure.as_deref())?,
                count: count(row.count),
                total: Money::from_kopecks(row.total_kopecks),
            })
        })
        .collect()
}

/// By the indexes that hold nothing else: the cost follows what is on its way.
pub(super) async fn read_open(snapshot: &mut PgConnection, store: &StoreCode) -> Result<Open, LedgerError> {
    let row = within(
        sqlx::query!(
            r#"
            WITH open AS (
                SELECT accepted_at, total_kopecks
                FROM transactions
                WHERE due_at IS NOT NULL
                    AND store = $1
                UNION ALL
                SELECT t.accepted_at, t.total_kopecks
                FROM registrations r
                JOIN transactions t ON t.id = r.transaction_id AND t.generation = r.generation
                WHERE r.next_poll_at IS NOT NULL
                    AND t.state = 'waiting'
                    AND t.store = $1
                UNION ALL
                SELECT accepted_at, total_kopecks
                FROM transactions
                WHERE state = 'held'
                    AND store = $1
            )
            SELECT count(*) AS "count!", coalesce(sum(total_kopecks), 0)::bigint AS "total_kopecks!",
                min(accepted_at) AS "oldest: jiff_sqlx::Timestamp"
            FROM open
            "#,
            store.as_str(),
        )
        .fetch_one(snapshot),
    )
    .await?;
    Ok(Open {
        count: count(row.count),
        total: Money::from_kopecks(row.total_kopecks),
        oldest: row.oldest.map(jiff_sqlx::Timestamp::to_jiff),
    })
}

pub(super) fn failure(id: &impl ToString, text: Option<&str>) -> Result<Option<Failure>, LedgerError> {
    text.map(|text| {
        [Failure::Rejected, Failure::Exhausted]
            .into_iter()
            .find(|failure| failure.name() == text)
            .ok_or_else(|| super::corrupt(id, format!("{text:?} is no failure")))
    })
    .transpose()
}
