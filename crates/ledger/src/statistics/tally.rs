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

/// By the index of lists: the cost follows what is on its way, and not what is done.
pub(super) async fn read_open(snapshot: &mut PgConnection, store: &StoreCode) -> Result<Open, LedgerError> {
    let keys: Vec<String> = Operation::ALL
        .iter()
        .flat_map(|operation| {
            StateName::ALL
                .into_iter()
                .filter(|state| is_open(*state))
                .map(move |state| format!("{store}/{operation}/{state}"))
        })
        .collect();
    let row = within(
        sqlx::query!(
            r#"
            SELECT coalesce(sum(open.count), 0)::bigint AS "count!",
                coalesce(sum(open.total_kopecks), 0)::bigint AS "total_kopecks!",
                min(open.oldest) AS "oldest: jiff_sqlx::Timestamp"
            FROM unnest($1::text[]) AS wanted (key)
            CROSS JOIN LATERAL (
                SELECT count(*) AS count, sum(t.total_kopecks) AS total_kopecks, min(t.accepted_at) AS oldest
                FROM transactions t
                -- A range of one key: the planner takes a key that it does not know yet for a frequent one, and would
                -- read the whole table.
                WHERE t.store || '/' || t.operation || '/' || t.state BETWEEN wanted.key AND wanted.key
            ) open
            "#,
            &keys,
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

/// Whether a receipt that stands there is on its way.
const fn is_open(state: StateName) -> bool {
    match state {
        StateName::Held | StateName::Queued | StateName::Sending | StateName::Waiting | StateName::Retrying => true,
        StateName::Done | StateName::Unknown | StateName::Failed | StateName::Cancelled => false,
    }
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
